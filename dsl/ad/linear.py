"""Whether a function is linear in some of its parameters: what forward mode needs of a pullback it transposes."""

from __future__ import annotations

from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.types import is_ref

INDEPENDENT, ZERO, LINEAR, OTHER = 0, 1, 2, 3  # ZERO: independent, and the constant 0


class _Degree:
    """Degrees of the values of one function, raised until nothing changes."""

    def __init__(self, program: Program, fn: Function, args: tuple[int, ...], active: frozenset[str]) -> None:
        self.program = program
        self.active = active
        self.degree: dict[Value, int] = dict(zip(fn.params, args, strict=True))
        self.results = [ZERO] * len(fn.results)
        while True:
            before = (dict(self.degree), list(self.results))
            self.region(fn.body, [])
            if before == (self.degree, self.results):
                return

    def join(self, a: int, b: int) -> int:
        """The degree of a value that is one or the other."""
        if a == b or b == ZERO:
            return a
        if a == ZERO:
            return b
        return OTHER if OTHER in (a, b) or LINEAR in (a, b) else INDEPENDENT

    def put(self, v: Value, d: int) -> None:
        self.degree[v] = self.join(self.degree[v], d) if v in self.degree else d

    def get(self, v: Value) -> int:
        return self.degree.get(v, INDEPENDENT)

    def region(self, region: Region, stack: list[Op]) -> None:
        for op in region.ops:
            self.op(op, stack)

    def op(self, op: Op, stack: list[Op]) -> None:
        args = [self.get(a) for a in op.args]
        loops = [o for o in stack if o.name != "if"]
        match op.name:
            case "if" | "for" | "loop":
                if op.name == "if":
                    bad = args[0] >= LINEAR
                else:
                    skip = 3 if op.name == "for" else 0
                    bad = any(a >= LINEAR for a in args[:skip])
                    params = op.regions[0].params[1 if skip else 0 :]
                    self.put_all(params, args[skip:])
                    if skip:
                        self.put_all(op.results, args[skip:])
                for inner in op.regions:
                    self.region(inner, [*stack, op])
                if bad:
                    self.put_all(op.results, [OTHER] * len(op.results))
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
                self.results = [self.join(r, a) for r, a in zip(self.results, args, strict=True)]
            case "call":
                self.put_all(op.results, self.call(op, args))
            case _:
                for r in op.results:
                    self.put(r, self.primitive(op, args))
                if not op.results and any(a >= LINEAR for a in args) and op.name not in ("check", "print"):
                    self.put_all([a for a in op.args if is_ref(a.type)], [OTHER] * len(op.args))

    def put_all(self, vs: list[Value], ds: list[int]) -> None:
        for v, d in zip(vs, ds, strict=False):
            self.put(v, d)

    def primitive(self, op: Op, args: list[int]) -> int:
        match op.name, args:
            case "const", _:
                return ZERO if op.attrs["value"] == 0 else INDEPENDENT
            case ("neg" | "tof64" | "tof32"), [a]:
                return a
            case ("add" | "sub"), [a, b]:
                if ZERO in (a, b):
                    return a if b == ZERO else b
                return a if a == b else OTHER
            case ("mul" | "strongmul"), [a, b]:
                if LINEAR in (a, b):
                    return LINEAR if min(a, b) < LINEAR else OTHER
            case ("div" | "strongdiv"), [a, b] if a == LINEAR:
                return LINEAR if b < LINEAR else OTHER
            case "select", [c, a, b]:
                return OTHER if c >= LINEAR else self.join(a, b)
        return OTHER if any(a >= LINEAR for a in args) else INDEPENDENT

    def call(self, op: Op, args: list[int]) -> list[int]:
        name = op.attrs["fn"]
        if all(a < LINEAR for a in args):
            return [INDEPENDENT] * len(op.results)
        if name in self.active:
            return [OTHER] * len(op.results)
        return _Degree(self.program, self.program.functions[name], tuple(args), self.active | {name}).results


def is_linear(program: Program, fn: Function, first: int) -> bool:
    """Whether every result of fn is linear in its parameters from number `first` on (together)."""
    args = tuple(INDEPENDENT if i < first else LINEAR for i in range(len(fn.params)))
    return all(d in (ZERO, LINEAR) for d in _Degree(program, fn, args, frozenset({fn.name})).results)
