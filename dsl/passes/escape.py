"""Where references go: which values may lead to memory that is made in a loop's body or a function, and whether any
such memory is reached from outside afterwards.

Two facts of a reference, each an over-estimate: it is *inner* if memory made inside may be reached from it, by any
number of loads; it is *outer* if the memory it refers to may have been made outside. A store of an inner reference into
outer memory is an escape; so is an inner reference among what leaves, unless its memory is flat: records without
references, which can be moved. Of a called function two things are known: whether it makes memory, and whether it
stores references into memory that it has not made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dsl.ir.core import Op, Program, Region, Value
from dsl.passes.common import called, components
from dsl.types import LeafType, Mem, Obj, is_ref


def flat(t: LeafType) -> bool:
    """Whether memory of a type holds no references."""
    return isinstance(t, Mem) and not any(map(is_ref, t.fields))


def holds_references(t: LeafType) -> bool:
    return isinstance(t, Obj) or (isinstance(t, Mem) and not flat(t))


@dataclass
class Summary:
    """What is known of functions, by name."""

    makes: set[str] = field(default_factory=set)   # makes memory, or calls what does
    stores: set[str] = field(default_factory=set)  # stores references into memory that it has not made

    @staticmethod
    def of(program: Program, roots: Sequence[str]) -> Summary:
        """Of all functions that the roots need."""
        summary = Summary()
        groups = [[program.functions[name] for name in group] for group in components(program, roots)]
        for group in groups:
            if any(summary.allocates(op) for fn in group for op in fn.body.walk()):
                summary.makes.update(fn.name for fn in group)
        for group in groups if summary.makes else ():
            before = -1
            while before != len(summary.stores):  # within a recursion, until nothing changes
                before = len(summary.stores)
                summary.stores.update(fn.name for fn in group if Flow(fn.body, summary).stores_outside())
        return summary

    def allocates(self, op: Op) -> bool:
        return op.name in ("new", "pack", "shadow") or (op.name == "call" and called(op) in self.makes)


@dataclass(frozen=True)
class Step:
    """An op, and the ops with regions around it inside the body that is looked at, outermost first."""

    op: Op
    around: tuple[Op, ...]


class Flow:
    """Of one body: a function's, or that of a loop, which is `loop` then."""

    def __init__(self, body: Region, summary: Summary, loop: Op | None = None) -> None:
        self.summary = summary
        self.loop = loop
        self.body = body
        self.inner: set[Value] = set()
        self.outer: set[Value] = {p for p in body.params if is_ref(p.type)}
        self.steps = [s for s in _steps(body) if any(is_ref(v.type) for v in (*s.op.args, *s.op.results))]
        self.inside = set(body.params)
        for op in body.walk():
            self.inside.update(op.results)
            for region in op.regions:
                self.inside.update(region.params)
        self._settle()

    def is_outer(self, v: Value) -> bool:
        return v in self.outer or v not in self.inside

    # ------------------------------------------------------------ facts
    def _settle(self) -> None:
        before = -1
        while before != len(self.inner) + len(self.outer):
            before = len(self.inner) + len(self.outer)
            for step in self.steps:
                self._step(step)

    def _step(self, step: Step) -> None:
        op = step.op
        match op.name:
            case "new" | "pack" | "shadow":
                self.inner.add(op.result)
            case "null":
                pass
            case "for" | "loop":
                first = 3 if op.name == "for" else 0
                params = op.regions[0].params[1:] if op.name == "for" else op.regions[0].params
                self._join(params, op.args[first:])
                if op.name == "for":
                    self._join(op.results, op.args[first:])
            case "yield" | "next" | "break":
                for targets in self.targets(step):
                    self._join(targets, op.args)
            case "load" | "pop" | "unpack":
                self._mark(op.results, op.args[0] in self.inner, True)
            case "call":
                refs = [a for a in op.args if is_ref(a.type)]
                inner = called(op) in self.summary.makes or any(a in self.inner for a in refs)
                self._mark(op.results, inner, any(map(self.is_outer, refs)))
            case "if" | "return":
                pass
            case _:  # nothing else gives references; what does all the same may give any
                self._mark(op.results, True, True)

    def _mark(self, values: Sequence[Value], inner: bool, outer: bool) -> None:
        for v in values:
            if is_ref(v.type):
                if inner:
                    self.inner.add(v)
                if outer:
                    self.outer.add(v)

    def _join(self, targets: Sequence[Value], sources: Sequence[Value]) -> None:
        for target, source in zip(targets, sources, strict=True):
            self._mark([target], source in self.inner, self.is_outer(source))

    def targets(self, step: Step) -> list[list[Value]]:
        """What gets the operands of a terminator, inside the body: nothing where it leaves that."""
        op = step.op
        if op.name == "yield":
            return [step.around[-1].results]
        loops = [o for o in step.around if o.name != "if"]
        if op.name == "next":
            if loops:
                return _carried(loops[-1])
            return _carried(self.loop)[:1] if self.loop is not None else []
        depth = op.attrs.get("depth", 0)
        return [loops[-1 - depth].results] if depth < len(loops) else []

    # ------------------------------------------------------------ questions
    def stores_outside(self) -> bool:
        """Whether a reference may be stored into memory that is not made here."""
        return any(self._stores(step.op, any_reference=True) for step in self.steps)

    def escapes(self) -> bool:
        """Whether memory made here may be reached afterwards, other than by flat memories among what leaves."""
        stored = any(self._stores(step.op, any_reference=False) for step in self.steps)
        return stored or not all(flat(v.type) for step in self.steps for v in self.leaving(step))

    def leaving(self, step: Step) -> list[Value]:
        """The inner references among the operands of a terminator that leaves the body, or its iteration."""
        op = step.op
        loops = [o for o in step.around if o.name != "if"]
        gone = (
            op.name == "return"
            or (op.name == "next" and not loops)
            or (op.name == "break" and op.attrs.get("depth", 0) >= len(loops))
        )
        return [v for v in op.args if v in self.inner] if gone else []

    def _stores(self, op: Op, any_reference: bool) -> bool:
        if op.name in ("store", "push"):
            first = 2 if op.name == "store" else 1
            values = [v for v in op.args[first:] if is_ref(v.type)]
            counts = any(any_reference or v in self.inner for v in values)
            return counts and self.is_outer(op.args[0])
        if op.name == "call" and called(op) in self.summary.stores:
            refs = [a for a in op.args if is_ref(a.type)]
            counts = any_reference or called(op) in self.summary.makes or any(a in self.inner for a in refs)
            return counts and any(holds_references(a.type) and self.is_outer(a) for a in refs)
        return False


def _carried(loop: Op) -> list[list[Value]]:
    """What gets the operands of a loop's `next`."""
    (body,) = loop.regions
    return [body.params[1:], loop.results] if loop.name == "for" else [body.params]


def _steps(body: Region) -> Iterator[Step]:
    """The ops in a body, each before those in its regions; however deep they are."""
    stack: list[tuple[Iterator[Op], tuple[Op, ...]]] = [(iter(body.ops), ())]
    while stack:
        ops, around = stack[-1]
        op = next(ops, None)
        if op is None:
            stack.pop()
            continue
        yield Step(op, around)
        stack += [(iter(inner.ops), (*around, op)) for inner in reversed(op.regions)]
