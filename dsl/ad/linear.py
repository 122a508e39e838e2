"""Whether a function is linear in some of its parameters: what forward mode needs of a pullback it transposes.

What cannot be followed (memory in memory, most kernels) counts as not linear: so the answer "linear" is certain. Memory
is told apart as by `analysis.influence`, and what is in it has one degree, that of everything ever stored there.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.analysis import Influence
from dsl.analysis.influence import walk_cell
from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ops.kernels import KERNELS
from dsl.records import dataclass, field
from dsl.types import is_ref

INDEPENDENT, ZERO, LINEAR, OTHER = 0, 1, 2, 3  # ZERO: independent, and the constant 0

# Kernels that change one memory to something linear in what it was, the other memories being independent.
LINEAR_IN_PLACE: dict[str, int] = {"trsm": 1}


def join(a: int, b: int) -> int:
    """The degree of a value that is one or the other."""
    if a == b or b == ZERO:
        return a
    if a == ZERO:
        return b
    return OTHER if OTHER in (a, b) or LINEAR in (a, b) else INDEPENDENT


def times(a: int, b: int) -> int:
    """The degree of a product."""
    if max(a, b) < LINEAR:
        return ZERO if ZERO in (a, b) else INDEPENDENT
    return LINEAR if max(a, b) == LINEAR and min(a, b) < LINEAR else OTHER


@dataclass
class _Asked:
    """What stays the same during one question. `active` are the calls being answered."""

    program: Program
    influence: Influence
    active: set[str] = field(default_factory=set)


class _Degree:
    """Degrees of the values of one function, raised until nothing changes. For memory a degree is that of its
    contents, before the call for a parameter, and after it in `params`."""

    def __init__(self, asked: _Asked, fn: Function, args: Sequence[int]) -> None:
        self.asked = asked
        self.flow = asked.influence.flow(fn.name)
        self.degree: dict[Value, int] = {}
        self.memory: dict[int, int] = {}
        self.results = [ZERO] * len(fn.results)
        self.doubt = 0  # how many conditions that are not independent we are under
        self.wild = False  # such a condition decides where control goes
        for p, d in zip(fn.params, args, strict=True):
            self.put(p, d)
        while True:
            before = (dict(self.degree), dict(self.memory), list(self.results), self.wild)
            self.region(fn.body, [])
            if before == (self.degree, self.memory, self.results, self.wild):
                break
        self.params = [self.get(p) for p in fn.params]
        if self.wild:
            self.results = [OTHER] * len(self.results)
            self.params = [OTHER if is_ref(p.type) else d for p, d in zip(fn.params, self.params, strict=True)]

    # ------------------------------------------------------------ degrees
    def put(self, v: Value, d: int) -> None:
        if not is_ref(v.type):
            self.degree[v] = join(self.degree[v], d) if v in self.degree else d
            return
        for cell in walk_cell(self.flow.cell(v)):
            self.memory[id(cell)] = join(self.memory.get(id(cell), ZERO), d)

    def get(self, v: Value) -> int:
        if not is_ref(v.type):
            return self.degree.get(v, INDEPENDENT)
        degrees = [self.memory.get(id(cell), ZERO) for cell in walk_cell(self.flow.cell(v))]
        if len(degrees) == 1:
            return degrees[0]
        return OTHER if max(degrees) >= LINEAR else INDEPENDENT

    def put_all(self, vs: Sequence[Value], ds: Sequence[int]) -> None:
        for v, d in zip(vs, ds, strict=False):
            self.put(v, d)

    def write(self, m: Value, d: int) -> None:
        self.put(m, OTHER if self.doubt else d)

    # ------------------------------------------------------------ ops
    def region(self, region: Region, stack: list[Op]) -> None:
        for op in region.ops:
            self.op(op, stack)

    def op(self, op: Op, stack: list[Op]) -> None:
        args = [self.get(a) for a in op.args]
        loops = [o for o in stack if o.name != "if"]
        match op.name:
            case "if" | "for" | "loop":
                self.nested(op, args, stack)
            case "yield":
                self.put_all(stack[-1].results, args)
            case "break":
                self.put_all(loops[-1 - op.attrs.get("depth", 0)].results, args)
            case "next":
                target = loops[-1]
                if target.name == "for":
                    self.put_all(target.regions[0].params[1:], args)
                    self.put_all(target.results, args)
                else:
                    self.put_all(target.regions[0].params, args)
            case "return":
                self.results = [join(r, a) for r, a in zip(self.results, args, strict=True)]
            case "check" | "print" | "new" | "null":
                pass
            case "load" | "pop":
                bad = len(op.args) > 1 and args[1] >= LINEAR
                self.put_all(op.results, [OTHER if bad else args[0]] * len(op.results))
            case "store" | "acc":
                self.write(op.args[0], OTHER if args[1] >= LINEAR else self._any(args[2:]))
            case "push":
                self.write(op.args[0], self._any(args[1:]))
            case "len" | "same" | "growable" | "address":
                self.put(op.result, INDEPENDENT)
            case "kernel":
                self.kernel(op, args)
            case "call":
                self.call(op, args)
            case _:
                for r in op.results:
                    self.put(r, self.primitive(op, args))
                if not op.results and any(a >= LINEAR for a in args):
                    self.put_all([a for a in op.args if is_ref(a.type)], [OTHER] * len(op.args))

    def _any(self, degrees: Sequence[int]) -> int:
        out = ZERO
        for d in degrees:
            out = join(out, d)
        return out

    def nested(self, op: Op, args: list[int], stack: list[Op]) -> None:
        """An op with regions."""
        if op.name == "if":
            bad = args[0] >= LINEAR
            if bad and any(r.terminator.name != "yield" for r in op.regions):
                self.wild = True
        else:
            skip = 3 if op.name == "for" else 0
            bad = any(a >= LINEAR for a in args[:skip])
            self.put_all(op.regions[0].params[1 if skip else 0 :], args[skip:])
            if skip:
                self.put_all(op.results, args[skip:])
        self.doubt += bad
        for inner in op.regions:
            self.region(inner, [*stack, op])
        self.doubt -= bad
        if bad:
            self.put_all(op.results, [OTHER] * len(op.results))

    def primitive(self, op: Op, args: list[int]) -> int:
        match op.name, args:
            case "const", _:
                return ZERO if op.attrs["value"] == 0 else INDEPENDENT
            case ("neg" | "tof64" | "tof32"), [a]:
                return a
            case ("add" | "sub"), [a, b]:
                return join(a, b)
            case ("mul" | "strongmul"), [a, b] if LINEAR in (a, b):
                return times(a, b)
            case "fma", [a, b, c]:
                known = OTHER if OTHER in (a, b) else INDEPENDENT
                return join(times(a, b) if LINEAR in (a, b) else known, c)
            case ("div" | "strongdiv"), [a, b] if a == LINEAR:
                return LINEAR if b < LINEAR else OTHER
            case "select", [c, a, b]:
                return OTHER if c >= LINEAR else join(a, b)
        return OTHER if any(a >= LINEAR for a in args) else INDEPENDENT

    def kernel(self, op: Op, args: list[int]) -> None:
        name = op.attrs["kernel"]
        roles = KERNELS[name].roles
        written = [k for k, role in enumerate(roles) if role != "in"]
        if name == "gemm":
            self.write(op.args[0], times(args[1], args[2]))
            return
        linear = LINEAR_IN_PLACE.get(name)
        known = all(a < LINEAR for a in args)
        for k in written:
            if k != linear:
                self.write(op.args[k], INDEPENDENT if known else OTHER)
            elif self.doubt or any(a >= LINEAR for j, a in enumerate(args) if j != k):
                self.write(op.args[k], OTHER)
        self.put_all(op.results, [INDEPENDENT if known else OTHER] * len(op.results))

    def call(self, op: Op, args: list[int]) -> None:
        name = op.attrs["fn"]
        asked = self.asked
        if name in asked.active:
            known = all(a < LINEAR for a in args)
            self.put_all(op.results, [INDEPENDENT if known else OTHER] * len(op.results))
            for a in op.args:
                if is_ref(a.type) and not known:
                    self.write(a, OTHER)
            return
        asked.active.add(name)
        inner = _Degree(asked, asked.program.functions[name], args)
        asked.active.remove(name)
        self.put_all(op.results, inner.results)
        for a, d in zip(op.args, inner.params, strict=True):
            if is_ref(a.type):
                self.write(a, d)


def is_linear(program: Program, influence: Influence, fn: Function, first: int, last: int) -> bool:
    """Whether every result of fn, and what it adds to memory handed in from parameter `last` on, is linear in its
    parameters from `first` to before `last` (together)."""
    args = [LINEAR if first <= i < last else INDEPENDENT if i < first else ZERO for i in range(len(fn.params))]
    found = _Degree(_Asked(program, influence, {fn.name}), fn, args)
    written = [d for d, p in zip(found.params[last:], fn.params[last:], strict=True) if is_ref(p.type)]
    return all(d in (ZERO, LINEAR) for d in (*found.results, *written))
