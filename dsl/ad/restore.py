"""A derivative call leaves its arguments as they were.

`restoring(program, fn, flow…)` makes, of a function that writes memory it was given, one that gives the same results
and then puts everything back: each write is noted in a journal (the place and the whole record before), and undone
from the last to the first. As an ordinary function it is differentiated like any other.

Of a memory every write is noted from when the function's parameters lead to it, or none: what a callee writes counts
as from outside where the call hands it memory from outside, not because it is a parameter there. (A note without those
that follow it would be undone in another state: a record of memory that has shrunk again.)
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.ad.kernels import written_memories
from dsl.ad.registry import TABLE, Registries, Registry, new_registry
from dsl.ad.shadows import each_record
from dsl.analysis import Flow, Influence
from dsl.analysis.influence import Cell, walk_cell
from dsl.ir.core import Function, Op, Program, Region, Value, clone_region
from dsl.ops import Builder
from dsl.types import BOOL, I64, LeafType, Mem, is_ref

Cells = frozenset[int]  # cells of the flow of one function, by identity
STORED, PUSHED, POPPED = 0, 1, 2


def journal_type(t: Mem) -> Mem:
    """An entry: the memory, what was done, where, and the record as it was."""
    return Mem((t, I64, I64, *t.fields))


class Restorer:
    """Makes restoring copies, each once."""

    def __init__(self, program: Program, influence: Influence) -> None:
        self.program = program
        self.influence = influence
        self._journaled: dict[tuple[str, Cells, tuple[Mem, ...]], str] = {}
        self._entering: dict[Mem, str] = {}
        self._sets = Registries(program)

    def writes(self, fn: Function) -> bool:
        """Whether a function may write memory that a parameter leads to."""
        return any(c.written for p in fn.params if is_ref(p.type) for c in walk_cell(self._flow(fn).cell(p)))

    def restoring(self, fn: Function) -> Function:
        """The copy that undoes its writes."""
        outside = frozenset(id(c) for p in fn.params if is_ref(p.type) for c in walk_cell(self._flow(fn).cell(p)))
        types = self._types(fn, outside)
        new = Function(
            self.program.fresh(f"{fn.name}.restoring"),
            Region([p.type for p in fn.params], [p.hint for p in fn.params]), fn.results, fn.title, fn.span,
        )  # fmt: skip
        self.program.add(new)
        b = Builder(new.body, fn.span)
        before = self._before(new, self._ambiguous(fn) & {*types}, b)
        journals = {t: b.op("new", (b.i64(0),), (journal_type(t),)).result for t in types}
        inner = self.program.functions[self._journal(fn, outside, types)]
        results = b.call(inner, [*new.params, *journals.values()])
        for t, journal in journals.items():
            _undo(t, journal, self._given(t, before), b)
        b.return_(*results)
        return new

    # ------------------------------------------------------------ what was there before
    def _ambiguous(self, fn: Function) -> set[Mem]:
        """The types of memory from outside that cannot be told from memory the function makes, which is not restored:
        it may be a result."""
        cells = [c for p in fn.params if is_ref(p.type) for c in walk_cell(self._flow(fn).cell(p))]
        return {c.type for c in cells if c.written and c.made and isinstance(c.type, Mem)}

    def _before(self, new: Function, types: set[Mem], b: Builder) -> dict[Mem, tuple[Registry, Value]]:
        """For types of memory, the set of those that the parameters lead to, and how many they are."""
        if not types:
            return {}
        reached = dict.fromkeys(t for p in new.params for t in _reached_types(p.type))
        sets = {t: new_registry(Mem((t,)), b) for t in reached}
        for p in new.params:
            if isinstance(p.type, Mem):
                self._enter(p, sets, b)
        return {t: (sets[t], b.op("len", (sets[t].entries,), (I64,)).result) for t in types if t in sets}

    def _enter(self, m: Value, sets: dict[Mem, Registry], b: Builder) -> None:
        """Put a memory and all it leads to into the sets."""
        assert isinstance(m.type, Mem)
        name = self._entering.get(m.type)
        types = _reached_types(m.type)
        if name is None:
            name = self._entering[m.type] = self.program.fresh(f"dfl.reached.{len(self._entering)}")
            params = [p for t in types for p in (Mem((t,)), TABLE)]
            self.program.add(Function(name, Region([m.type, *params]), (), f"reached {m.type}"))
            self._build_enter(self.program.functions[name], types)
        b.call(self.program.functions[name], [m, *(v for t in types for v in (sets[t].entries, sets[t].table))])

    def _build_enter(self, fn: Function, types: list[Mem]) -> None:
        b = Builder(fn.body)
        m, *flat = fn.params
        assert isinstance(m.type, Mem)
        sets = {t: Registry(*pair) for t, pair in zip(types, zip(flat[::2], flat[1::2], strict=True), strict=True)}
        null = b.op("same", (m, b.zero(m.type)), (BOOL,)).result
        b.if_(null, (), lambda arm: arm.return_(), lambda arm: arm.yield_())
        n = b.op("len", (sets[m.type].entries,), (I64,)).result
        known = b.prim("lt", self._sets.place(m, sets[m.type], b), n)
        b.if_(known, (), lambda arm: arm.return_(), lambda arm: arm.yield_())

        def record(body: Builder, place: Value) -> None:
            for f, t in enumerate(m.type.fields):  # type: ignore[union-attr]
                if isinstance(t, Mem):
                    self._enter(body.op("load", (m, place), (t,), first=f).result, sets, body)

        if any(isinstance(t, Mem) for t in m.type.fields):
            each_record(m, b, record)
        b.return_()

    def _given(self, t: Mem, before: dict[Mem, tuple[Registry, Value]]) -> Callable[[Value, Builder], Value]:
        """The test whether a memory of a journal was there before."""
        if t not in before:
            return lambda m, body: body.bool(True)
        found, n = before[t]
        return lambda m, body: body.prim("lt", self._sets.place(m, found, body), n)

    # ------------------------------------------------------------ noting

    def _types(self, fn: Function, outside: Cells) -> tuple[Mem, ...]:
        """The types of the memories from outside that a function or its callees may write, in a fixed order."""
        found: dict[Mem, None] = {}
        seen: set[tuple[str, Cells]] = set()
        work = [(fn, outside)]
        while work:
            fn, outside = work.pop()
            if (fn.name, outside) in seen:
                continue
            seen.add((fn.name, outside))
            for op in fn.body.walk():
                work += self._noted_call(fn, op, outside)
                found.update((m.type, None) for m in self._noted(fn, op, outside) if isinstance(m.type, Mem))
        return tuple(found)

    def _journal(self, fn: Function, outside: Cells, types: tuple[Mem, ...]) -> str:
        """The copy that notes its writes to memory from outside in journals, its last parameters."""
        key = (fn.name, outside, types)
        if key in self._journaled:
            return self._journaled[key]
        name = self._journaled[key] = self.program.fresh(f"{fn.name}.journaled")
        new = Function(name, Region(), fn.results, fn.title, fn.span)
        self.program.add(new)
        mapping: dict[Value, Value] = {}
        new.body = clone_region(fn.body, mapping)
        journals = {}
        for t in types:
            p = Value(journal_type(t), new.body)
            new.body.params.append(p)
            journals[t] = p
        noted = {}
        for op, copy in zip(list(fn.body.walk()), list(new.body.walk()), strict=True):
            for callee, context in self._noted_call(fn, op, outside):
                copy.attrs["fn"] = self._journal(callee, context, types)
                copy.args += list(journals.values())
            if memories := self._noted(fn, op, outside):
                noted[id(copy)] = [mapping.get(m, m) for m in memories]
        _note(new.body, noted, journals)
        return name

    # ------------------------------------------------------------ what is from outside
    def _flow(self, fn: Function) -> Flow:
        return self.influence.flow(fn.name)

    def _noted(self, fn: Function, op: Op, outside: Cells) -> list[Value]:
        """The memories from outside that an op writes."""
        return [m for m in written_memories(op) if id(self._flow(fn).cell(m)) in outside]

    def _noted_call(self, fn: Function, op: Op, outside: Cells) -> list[tuple[Function, Cells]]:
        """The callee of a call, and what is from outside in it, where it may write such memory."""
        if op.name != "call":
            return []
        callee = self.program.functions[op.attrs["fn"]]
        if "rule" in callee.attrs:
            return []
        caller, flow = self._flow(fn), self._flow(callee)
        work = [(caller.cell(a), flow.cell(p)) for a, p in zip(op.args, callee.params, strict=True) if is_ref(p.type)]
        seen: set[tuple[int, int]] = set()
        found: dict[int, Cell] = {}
        while work:
            ours, theirs = (c.find() for c in work.pop())
            if (id(ours), id(theirs)) in seen:
                continue
            seen.add((id(ours), id(theirs)))
            if id(ours) in outside:
                found.update((id(c), c) for c in walk_cell(theirs))
            work += [(ours.children[f], child) for f, child in theirs.children.items() if f in ours.children]
        return [(callee, frozenset(found))] if any(c.written for c in found.values()) else []


def _note(region: Region, written: dict[int, list[Value]], journals: dict[Mem, Value]) -> None:
    """Put journal entries before (a pop, a store, a kernel) or after (a push) each of some ops, by identity, for the
    memories that each of them writes."""
    out: list[Op] = []
    for op in region.ops:
        for inner in op.regions:
            _note(inner, written, journals)
        scratch = Region()
        b = Builder(scratch, op.span)
        for m in written.get(id(op), ()):
            assert isinstance(m.type, Mem)
            _entries(op, m, m.type.fields, journals[m.type], b)
        out += [*scratch.ops, op]
    region.ops[:] = out


def _entries(op: Op, m: Value, fields: tuple[LeafType, ...], journal: Value, b: Builder) -> None:
    """The entries of one op and one memory that it writes: of the record in question, or of all of them."""

    def old(place: Value, kind: int, b: Builder) -> None:
        record = b.op("load", (m, place), fields, first=0).results
        b.op("push", (journal, m, b.i64(kind), place, *record))

    match op.name:
        case "push":
            b.op("push", (journal, m, b.i64(PUSHED), b.i64(0), *(b.zero(t) for t in fields)))
        case "pop":
            old(b.prim("sub", b.op("len", (m,), (I64,)).result, b.i64(1)), POPPED, b)
        case "kernel":
            each_record(m, b, lambda inner, place: old(place, STORED, inner))
        case _:
            old(op.args[1], STORED, b)


def _reached_types(t: LeafType) -> list[Mem]:
    """A memory type and those its records refer to, each once."""
    found: list[Mem] = []
    work = [t]
    while work:
        x = work.pop()
        if isinstance(x, Mem) and x not in found:
            found.append(x)
            work += x.fields
    return found


def _undo(t: Mem, journal: Value, given: Callable[[Value, Builder], Value], b: Builder) -> None:
    """Go through a journal from its end and put everything back that was `given`."""
    region = Region([I64])
    body = Builder(region, b.span)
    m, kind, place, *old = body.op("load", (journal, region.params[0]), journal_type(t).fields, first=0).results

    def stored(arm: Builder) -> None:
        arm.op("store", (m, place, *old), first=0)
        arm.yield_()

    def length_changed(arm: Builder) -> None:
        def pushed(inner: Builder) -> None:
            inner.op("pop", (m,), t.fields)
            inner.yield_()

        def popped(inner: Builder) -> None:
            inner.op("push", (m, *old))
            inner.yield_()

        arm.if_(arm.prim("eq", kind, arm.i64(PUSHED)), (), pushed, popped)
        arm.yield_()

    def undone(arm: Builder) -> None:
        arm.if_(arm.prim("eq", kind, arm.i64(STORED)), (), stored, length_changed)
        arm.yield_()

    body.if_(given(m, body), (), undone, lambda arm: arm.yield_())
    body.next_()
    last = b.prim("sub", b.op("len", (journal,), (I64,)).result, b.i64(1))
    b.op("for", (last, b.i64(0), b.i64(-1)), (), [region])
