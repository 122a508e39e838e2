"""A derivative call leaves its arguments as they were.

`restoring(program, fn, flow…)` makes, of a function that writes memory it was given, one that gives the same results
and then puts everything back: each write is noted in a journal (the place and the whole record before), and undone
from the last to the first. As an ordinary function it is differentiated like any other.
"""

from __future__ import annotations

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
                elif op.name in ("store", "acc", "push", "pop"):
                    t = op.args[0].type
                    if isinstance(t, Mem) and t not in found:
                        found.append(t)
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
        kept = [op for op in fn.body.walk() if _writes(op) and id(flow.cell(op.args[0])) in outside]
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
        _note(new.body, {id(copies[places[id(op)]]) for op in kept}, journals)
        return name

    def _needs_journal(self, op: Op) -> bool:
        callee = self.program.functions[op.attrs["fn"]]
        return "rule" not in callee.attrs and self.writes(callee)


def _writes(op: Op) -> bool:
    return op.name in ("store", "acc", "push", "pop")


def _note(region: Region, ops: set[int], journals: dict[Mem, Value]) -> None:
    """Put a journal entry before (a pop, a store) or after (a push) each of some ops."""
    out: list[Op] = []
    for op in region.ops:
        for inner in op.regions:
            _note(inner, ops, journals)
        if id(op) not in ops:
            out.append(op)
            continue
        scratch = Region()
        b = Builder(scratch, op.span)
        m = op.args[0]
        assert isinstance(m.type, Mem)
        fields: tuple[LeafType, ...] = m.type.fields
        if op.name == "push":
            b.op("push", (journals[m.type], m, b.i64(PUSHED), b.i64(0), *(b.zero(t) for t in fields)))
        else:
            place = op.args[1] if op.name != "pop" else b.prim("sub", b.op("len", (m,), (I64,)).result, b.i64(1))
            old = b.op("load", (m, place), fields, first=0).results
            kind = b.i64(POPPED if op.name == "pop" else STORED)
            b.op("push", (journals[m.type], m, kind, place, *old))
        out += [*scratch.ops, op]
    region.ops[:] = out


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
