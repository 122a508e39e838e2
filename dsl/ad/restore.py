"""A derivative call leaves its arguments as they were.

`restoring(program, fn, flow…)` makes, of a function that writes memory it was given, one that gives the same results
and then puts everything back: each write is noted in a journal (the place and the whole record before), and undone
from the last to the first. As an ordinary function it is differentiated like any other.
"""

from __future__ import annotations

from dsl.ad.kernels import written_memories
from dsl.ad.shadows import each_record
from dsl.analysis import Flow, Influence
from dsl.analysis.influence import walk_cell
from dsl.ir.core import Function, Op, Program, Region, Value, clone_region
from dsl.ops import Builder
from dsl.types import I64, LeafType, Mem, is_ref

STORED, PUSHED, POPPED = 0, 1, 2


def journal_type(t: Mem) -> Mem:
    """An entry: the memory, what was done, where, and the record as it was."""
    return Mem((t, I64, I64, *t.fields))


class Restorer:
    """Makes restoring copies, each once."""

    def __init__(self, program: Program, influence: Influence) -> None:
        self.program = program
        self.influence = influence
        self._journaled: dict[str, str] = {}

    def writes(self, fn: Function) -> bool:
        """Whether a function may write memory that a parameter leads to."""
        return bool(self._written(self.influence.flow(fn.name), fn))

    def _written(self, flow: Flow, fn: Function) -> set[int]:
        cells = set()
        for p in fn.params:
            if is_ref(p.type):
                cells |= {id(c) for c in walk_cell(flow.cell(p)) if c.written}
        return cells

    def restoring(self, fn: Function) -> Function:
        """The copy that undoes its writes."""
        types = self._types(fn)
        new = Function(
            self.program.fresh(f"{fn.name}.restoring"),
            Region([p.type for p in fn.params], [p.hint for p in fn.params]), fn.results, fn.title, fn.span,
        )  # fmt: skip
        self.program.add(new)
        b = Builder(new.body, fn.span)
        journals = {t: b.op("new", (b.i64(0),), (journal_type(t),)).result for t in types}
        inner = self.program.functions[self._journal(fn, types)]
        results = b.call(inner, [*new.params, *journals.values()])
        for t, journal in journals.items():
            _undo(t, journal, b)
        b.return_(*results)
        return new

    def _types(self, fn: Function) -> list[Mem]:
        """The memory types that a function or its callees may write, in a fixed order."""
        found: list[Mem] = []
        seen: set[str] = set()
        work = [fn.name]
        while work:
            name = work.pop()
            if name in seen:
                continue
            seen.add(name)
            for op in self.program.functions[name].body.walk():
                if op.name == "call":
                    work.append(op.attrs["fn"])
                for m in written_memories(op):
                    if isinstance(m.type, Mem) and m.type not in found:
                        found.append(m.type)
        return found

    def _journal(self, fn: Function, types: list[Mem]) -> str:
        """The copy that notes its writes in journals, its last parameters."""
        if fn.name in self._journaled:
            return self._journaled[fn.name]
        name = self._journaled[fn.name] = self.program.fresh(f"{fn.name}.journaled")
        new = Function(name, Region(), fn.results, fn.title, fn.span)
        self.program.add(new)
        flow = self.influence.flow(fn.name)
        outside = self._written(flow, fn)
        kept = {op: [m for m in written_memories(op) if id(flow.cell(m)) in outside] for op in fn.body.walk()}
        calls = [op for op in fn.body.walk() if op.name == "call" and self._needs_journal(op)]
        mapping: dict[Value, Value] = {}
        places = {id(op): i for i, op in enumerate(fn.body.walk())}
        new.body = clone_region(fn.body, mapping)
        copies = list(new.body.walk())
        journals = {}
        for t in types:
            p = Value(journal_type(t), new.body)
            new.body.params.append(p)
            journals[t] = p
        for op in calls:
            copy = copies[places[id(op)]]
            callee = self.program.functions[op.attrs["fn"]]
            copy.attrs["fn"] = self._journal(callee, types)
            copy.args += list(journals.values())
        noted = {id(copies[places[id(op)]]): [mapping.get(m, m) for m in ms] for op, ms in kept.items() if ms}
        _note(new.body, noted, journals)
        return name

    def _needs_journal(self, op: Op) -> bool:
        callee = self.program.functions[op.attrs["fn"]]
        return "rule" not in callee.attrs and self.writes(callee)


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


def _undo(t: Mem, journal: Value, b: Builder) -> None:
    """Go through a journal from its end and put everything back."""
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

    body.if_(body.prim("eq", kind, body.i64(STORED)), (), stored, length_changed)
    body.next_()
    last = b.prim("sub", b.op("len", (journal,), (I64,)).result, b.i64(1))
    b.op("for", (last, b.i64(0), b.i64(-1)), (), [region])
