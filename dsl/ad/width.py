"""Forward mode with a width: one pass that carries the tangents of several directions.

A function of forward mode is linear in its tangents, and where it goes does not depend on them. So what depends on a
tangent is done once for each *lane*, everything else once for all; LLVM packs the lanes of neighbouring scalars into
vectors. This holds by construction for what `ad.forward` writes; where a call, a condition or a store is of another
kind, `Unwidenable` is raised, and the lanes are done one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsl.ir.core import TERMINATORS, Function, Op, Program, Region, Value
from dsl.ops.kernels import KERNELS
from dsl.records import dataclass
from dsl.types import BOOL, LeafType

SAME_IN_ALL = frozenset({"len", "same", "const", "null", "growable"})  # what they give does not depend on the direction


class Unwidenable(Exception):
    """Something depends on a tangent that has to be done for one direction at a time."""


@dataclass(frozen=True)
class Tangents:
    """Of a function of forward mode: how many of its parameters and results are primal, and which values are tangents
    or shadows."""

    params: int
    results: int
    values: frozenset[Value]


def loop_of(stack: Sequence[Op], depth: int = 0) -> Op:
    return [o for o in stack if o.name != "if"][-1 - depth]


def receivers(op: Op, stack: Sequence[Op]) -> list[Sequence[Value]]:
    """What a terminator hands its operands to: lists of values, each as long as the operands."""
    match op.name:
        case "yield":
            return [stack[-1].results]
        case "break":
            return [loop_of(stack, op.attrs.get("depth", 0)).results]
        case "next":
            loop = loop_of(stack)
            return [loop.regions[0].params[1:], loop.results] if loop.name == "for" else [loop.regions[0].params]
    return []


class Dependent:
    """The values of a function that differ from lane to lane."""

    def __init__(self, fn: Function, tangents: Tangents, known: Mapping[str, Tangents]) -> None:
        self.known = known
        self.values: set[Value] = {v for v in tangents.values if not _shared(v)}
        self.values.update(fn.params[tangents.params :])
        before = -1
        while before != len(self.values):
            before = len(self.values)
            self._region(fn.body, [])

    def __contains__(self, v: Value) -> bool:
        return v in self.values

    def _region(self, region: Region, stack: list[Op]) -> None:
        for op in region.ops:
            self._op(op, stack)
            for inner in op.regions:
                self._region(inner, [*stack, op])

    def _op(self, op: Op, stack: list[Op]) -> None:
        if op.name in TERMINATORS:
            for targets in receivers(op, stack):
                self._join(op.args, targets)
        elif op.name == "for":
            self._join(op.args[3:], op.regions[0].params[1:])
            self._join(op.args[3:], op.results)
            self._refuse(op.args[:3])
        elif op.name == "loop":
            self._join(op.args, op.regions[0].params)
        elif op.name == "if":
            self._refuse(op.args)
        elif any(a in self.values for a in op.args):
            self._depends(op)
        elif op.name == "call" and any(r in self.values for r in op.results) and op.attrs["fn"] not in self.known:
            raise Unwidenable  # one memory, made by somebody else

    def _join(self, sources: Sequence[Value], targets: Sequence[Value]) -> None:
        self.values.update(t for s, t in zip(sources, targets, strict=True) if s in self.values)

    def _refuse(self, vs: Sequence[Value]) -> None:
        if any(v in self.values for v in vs):
            raise Unwidenable

    def _depends(self, op: Op) -> None:
        if op.name in SAME_IN_ALL:
            return
        if op.name == "call":
            callee = self.known.get(op.attrs["fn"])
            if callee is None or any(a in self.values for a in op.args[: callee.params]):
                raise Unwidenable
            self.values.update(op.results[callee.results :])
            return
        if op.name in ("check", "print") or any(r.type == BOOL for r in op.results):
            raise Unwidenable
        if any(m not in self.values for m in _written(op)):
            raise Unwidenable
        if op.name in ("load", "pop", "store", "acc") and len(op.args) > 1 and op.args[1] in self.values:
            raise Unwidenable  # an index
        self.values.update(op.results)


def _written(op: Op) -> list[Value]:
    """The memories that an op writes."""
    if op.name == "kernel":
        roles = KERNELS[op.attrs["kernel"]].roles
        return [m for m, role in zip(op.args, roles, strict=False) if role != "in"]
    return op.args[:1] if op.name in ("store", "acc", "push") else []


def _shared(v: Value) -> bool:
    return isinstance(v.owner, Op) and v.owner.name in ("const", "null")


class Widener:
    """Makes wide functions, each once. `known` says of each function of forward mode what its tangents are."""

    def __init__(self, program: Program, known: Mapping[str, Tangents], width: int) -> None:
        self.program = program
        self.known = known
        self.width = width
        self._made: dict[str, str] = {}

    def function(self, name: str) -> Function:
        """The wide form of a function: where it has one tangent it has as many as there are lanes, side by side."""
        if name in self._made:
            return self.program.functions[self._made[name]]
        fn, tangents = self.program.functions[name], self.known[name]
        dependent = Dependent(fn, tangents, self.known)
        params = self._repeated([p.type for p in fn.params], tangents.params)
        results = tuple(self._repeated(fn.results, tangents.results))
        title, fresh = f"{fn.title}, {self.width} directions", self.program.fresh(f"{name}{self.width}")
        new = Function(fresh, Region(params), results, title, fn.span, dict(fn.attrs))
        self._made[name] = new.name
        self.program.add(new)
        try:
            _Copy(self, fn, tangents, dependent, new)
        except Unwidenable:
            del self.program.functions[new.name], self._made[name]
            raise
        return new

    def _repeated(self, types: Sequence[LeafType], first: int) -> list[LeafType]:
        """Types of which those from number `first` on stand once for each lane."""
        return [*types[:first], *(t for t in types[first:] for _ in range(self.width))]


class _Copy:
    """Copies one function; `lanes` are the copies of a value, all the same one where it is shared."""

    def __init__(self, widener: Widener, fn: Function, tangents: Tangents, dependent: Dependent, new: Function) -> None:
        self.widener = widener
        self.width = widener.width
        self.tangents = tangents
        self.dependent = dependent
        self.lanes: dict[Value, list[Value]] = {}
        self._bind(fn.params, new.params, [k >= tangents.params for k in range(len(fn.params))])
        self._region(fn.body, new.body, [])

    def _bind(self, old: Sequence[Value], new: Sequence[Value], wide: Sequence[bool]) -> None:
        rest = iter(new)
        for v, w in zip(old, wide, strict=True):
            copies = [next(rest) for _ in range(self.width if w else 1)]
            for c in copies:
                c.hint = v.hint
            self.lanes[v] = copies if w else copies * self.width

    def _wide(self, vs: Sequence[Value]) -> list[bool]:
        return [v in self.dependent for v in vs]

    def _spread(self, vs: Sequence[Value], wide: Sequence[bool]) -> list[Value]:
        return [c for v, w in zip(vs, wide, strict=True) for c in (self.lanes[v] if w else self.lanes[v][:1])]

    def _types(self, vs: Sequence[Value], wide: Sequence[bool]) -> list[LeafType]:
        return [v.type for v, w in zip(vs, wide, strict=True) for _ in range(self.width if w else 1)]

    def _region(self, region: Region, into: Region, stack: list[Op]) -> None:
        for op in region.ops:
            self._op(op, into, stack)

    def _op(self, op: Op, into: Region, stack: list[Op]) -> None:
        if op.name == "return":
            wide = [k >= self.tangents.results for k in range(len(op.args))]
            into.ops.append(Op("return", self._spread(op.args, wide), span=op.span))
        elif op.name in TERMINATORS:
            targets = receivers(op, stack)
            wide = self._wide(targets[0]) if targets else [False] * len(op.args)
            into.ops.append(Op(op.name, self._spread(op.args, wide), (), dict(op.attrs), (), op.span))
        elif op.regions:
            self._nested(op, into, stack)
        elif op.name == "call" and any(v in self.dependent for v in (*op.args, *op.results)):
            self._call(op, into)
        elif op.name not in SAME_IN_ALL and any(v in self.dependent for v in (*op.args, *op.results)):
            copies = [self._copy(op, lane, into) for lane in range(self.width)]
            for k, r in enumerate(op.results):
                self.lanes[r] = [c.results[k] for c in copies]
        else:
            made = self._copy(op, 0, into)
            for r, n in zip(op.results, made.results, strict=True):
                self.lanes[r] = [n] * self.width

    def _copy(self, op: Op, lane: int, into: Region) -> Op:
        args = [self.lanes[a][lane] for a in op.args]
        new = Op(op.name, args, [r.type for r in op.results], dict(op.attrs), (), op.span)
        for r, n in zip(op.results, new.results, strict=True):
            n.hint = r.hint
        into.ops.append(new)
        return new

    def _nested(self, op: Op, into: Region, stack: list[Op]) -> None:
        given = {"if": 1, "for": 3, "loop": 0}[op.name]
        carried = list(op.regions[0].params[1 if op.name == "for" else 0 :])
        args = self._spread(op.args[:given], [False] * given) + self._spread(op.args[given:], self._wide(carried))
        regions = []
        for region in op.regions:
            wide = self._wide(region.params)
            copy = Region(self._types(region.params, wide))
            self._bind(region.params, copy.params, wide)
            self._region(region, copy, [*stack, op])
            regions.append(copy)
        wide = self._wide(op.results)
        new = Op(op.name, args, self._types(op.results, wide), dict(op.attrs), regions, op.span)
        into.ops.append(new)
        self._bind(op.results, new.results, wide)

    def _call(self, op: Op, into: Region) -> None:
        tangents = self.widener.known[op.attrs["fn"]]
        callee = self.widener.function(op.attrs["fn"])
        wide = [k >= tangents.params for k in range(len(op.args))]
        made = [k >= tangents.results for k in range(len(op.results))]
        new = Op("call", self._spread(op.args, wide), self._types(op.results, made), {"fn": callee.name}, (), op.span)
        into.ops.append(new)
        self._bind(op.results, new.results, made)


def widened(program: Program, known: Mapping[str, Tangents], name: str, width: int) -> Function | None:
    """The wide form of a function of forward mode; None where there is none."""
    before = set(program.functions)
    try:
        return Widener(program, known, width).function(name)
    except Unwidenable:
        for extra in set(program.functions) - before:
            del program.functions[extra]
        return None
