"""Whether memory that an op reads still holds the same when the reverse sweep comes back to that op.

An answer of yes is sure: nothing that may write the memory can run after the op, in the function, in its callees, or
in a caller before the reverse sweep. What callers do is told by the pattern: `in_place` (forward and reverse sweep are
one function, so nothing runs in between), or `settled` (the parameters whose memory the caller leaves alone so long).

The argument, for an op X that reads and an op W that may write the same memory:

- No loop goes around both, and W stands before X: W has run for the last time when X runs.
- W writes what its own function has just made (N: a `new`, or a call that gives fresh memory), by the value that N
  defines. Then W runs in the scope of N, the rest of N's region. An X that is not in there runs before N, or when the
  scope has been left for good, so it never reads what is written later; for one that is in there, only loops inside
  the scope can bring W after it.

Memory that parameters lead to may be one and the same if its type is the same, since a caller may pass it twice. Where
the pullback of a rule writes memory that it has captured, no memory of that type is taken to stay.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import cached_property

from dsl.ad.activity import Pattern
from dsl.ad.kernels import written_memories
from dsl.analysis import Flow, Influence
from dsl.analysis.influence import Cell, walk_cell
from dsl.analysis.places import distinct
from dsl.ir.core import Function, Op, Region, Rule, Value
from dsl.records import dataclass
from dsl.types import LeafType, is_ref


@dataclass(frozen=True)
class Write:
    """An op that may write a memory; `maker` made that memory just before, None where that is not sure. `resizes`: it
    may change the length, too."""

    op: Op
    maker: Op | None
    resizes: bool


class Settled:
    """Answers for one function and pattern."""

    def __init__(self, fn: Function, flow: Flow, pattern: Pattern, influence: Influence) -> None:
        self.fn = fn
        self.flow = flow
        self.pattern = pattern
        self.influence = influence
        self._outsides: dict[str, set[int]] = {}

    # ------------------------------------------------------------ queries
    def contents(self, op: Op, m: Value) -> bool:
        """Whether the contents (and length) of the memory m, as they are when `op` runs, stay."""
        cell = self.flow.cell(m)
        return self._left_alone(cell) and not any(self._may_follow(w, op) for w in self._writes_to(cell))

    def length(self, op: Op, m: Value) -> bool:
        """The same of the length alone."""
        cell = self.flow.cell(m)
        return self._left_alone(cell) and not any(w.resizes and self._may_follow(w, op) for w in self._writes_to(cell))

    def written_in(self, region: Region, m: Value) -> bool:
        """Whether something in a region may write the memory m."""
        around = self._places[1]
        return any(region in around[w.op] for w in self._writes_to(self.flow.cell(m)))

    def region_of(self, op: Op) -> Region:
        """The region that an op stands in."""
        return self._places[1][op][-1]

    def everything(self, op: Op, m: Value) -> bool:
        """The same of the contents of every memory that m leads to."""
        return all(
            self._left_alone(cell) and not any(self._may_follow(w, op) for w in self._writes_to(cell))
            for cell in walk_cell(self.flow.cell(m))
        )

    def untouched(self, op: Op, m: Value) -> bool:
        """The same, where `op` itself does not write them, either."""
        return self.everything(op, m) and not any(
            w.op is op for cell in walk_cell(self.flow.cell(m)) for w in self._writes_to(cell)
        )

    def memory(self, m: Value) -> Hashable:
        """What tells a memory from others: those with different answers are different ones."""
        return self._apart(self.flow.cell(m))

    def reached(self, m: Value) -> set[Hashable]:
        """The same of every memory that m leads to."""
        return {self._apart(cell) for cell in walk_cell(self.flow.cell(m))}

    def _apart(self, cell: Cell) -> Hashable:
        return cell.type if id(cell) in self._sources else id(cell)

    def stored(self, v: Value) -> Op | None:
        """A `store` that has put a value that an op defines where it stays: done whenever that op is (save by exits
        in between), and nothing else is written there, by a later iteration neither."""
        for store in self._stores.get(v, ()):
            cell = self.flow.cell(store.args[0])
            if self._left_alone(cell) and not any(
                self._may_follow(w, store) and not self._elsewhere(w, store) for w in self._writes_to(cell)
            ):
                return store
        return None

    @cached_property
    def _stores(self) -> dict[Value, list[Op]]:
        """The stores of a value in the very region in which an op defines it."""
        found: dict[Value, list[Op]] = {}
        around = self._places[1]
        for op in self.fn.body.walk():
            for v in op.args[2:] if op.name == "store" else ():
                if isinstance(v.owner, Op) and around[v.owner][-1] is around[op][-1]:
                    found.setdefault(v, []).append(op)
        return found

    def _elsewhere(self, w: Write, store: Op) -> bool:
        """Whether a write is that store itself, of other iterations, at other places."""
        if w.op is not store or w.maker is None:
            return False
        _, around, _ = self._places
        loops = [self._loops[r] for r in around[store][len(around[w.maker]) :] if r in self._loops]
        return all(op.name == "for" for op in loops) and distinct(store.args[1], loops)

    @cached_property
    def _loops(self) -> dict[Region, Op]:
        return {r: op for op in self.fn.body.walk() if op.name in ("for", "loop") for r in op.regions}

    # ------------------------------------------------------------ callers
    def _left_alone(self, cell: Cell) -> bool:
        """Whether no caller writes a memory before the reverse sweep, nor a pullback in it."""
        if cell.type in self._rewritten:
            return False
        if self.pattern.in_place:
            return True
        if id(cell) in self._given:
            return False
        return self._sources.get(id(cell), frozenset()) <= self.pattern.settled

    @cached_property
    def _rewritten(self) -> set[LeafType]:
        """The types of memory that the pullback of some rule writes among what it has captured: it runs in the middle
        of the reverse sweep."""
        found: set[LeafType] = set()
        functions = self.influence.program.functions
        seen, work = {self.fn.name}, [self.fn.name]
        while work:
            fn = functions[work.pop()]
            rule = fn.attrs.get("rule")
            if isinstance(rule, Rule) and rule.reverse:
                flow = self.influence.flow(rule.reverse)
                captured = len(functions[rule.forward].results) - len(fn.results)
                refs = [p for p in flow.fn.params[:captured] if is_ref(p.type)]
                found |= {c.type for p in refs for c in walk_cell(flow.cell(p)) if c.written}
            more = {op.attrs["fn"] for op in fn.body.walk() if op.name == "call"} - seen
            seen |= more
            work += more
        return found

    @cached_property
    def _sources(self) -> dict[int, frozenset[int]]:
        """For each cell outside this function the parameters that lead to it."""
        found: dict[int, frozenset[int]] = {}
        for i, p in enumerate(self.fn.params):
            if is_ref(p.type):
                for cell in walk_cell(self.flow.cell(p)):
                    found[id(cell)] = found.get(id(cell), frozenset()) | {i}
        return found

    @cached_property
    def _given(self) -> set[int]:
        """The cells that results lead to."""
        return {id(c) for root in self.flow.result_cells.values() for c in walk_cell(root)}

    # ------------------------------------------------------------ writes
    def _writes_to(self, cell: Cell) -> Iterable[Write]:
        if id(cell) in self._sources:
            return self._outside.get(cell.type, ())
        return self._writes.get(id(cell), ())

    @cached_property
    def _outside(self) -> dict[LeafType, list[Write]]:
        """Writes to memory that parameters lead to, by its type."""
        found: dict[LeafType, list[Write]] = {}
        for i in self._sources:
            for w in self._writes.get(i, ()):
                found.setdefault(self._cells[i].type, []).append(w)
        return found

    @cached_property
    def _writes(self) -> dict[int, list[Write]]:
        """The writes to each cell, by its identity."""
        found: dict[int, list[Write]] = {}
        self._cells: dict[int, Cell] = {}

        def note(cell: Cell, w: Write) -> None:
            self._cells[id(cell)] = cell
            found.setdefault(id(cell), []).append(w)

        for op in self.fn.body.walk():
            for m in written_memories(op):
                note(self.flow.cell(m), Write(op, self.maker(m), op.name in ("push", "pop")))
            if op.name == "call":
                outside = self._outside_of(op.attrs["fn"])
                for theirs, mine in self.flow.cells_of_call(op):
                    if theirs.written:
                        note(mine, Write(op, None if id(theirs) in outside else op, theirs.resized))
        return found

    def maker(self, m: Value) -> Op | None:
        """The op that has made the very memory that a value refers to, in this run of the region."""
        op = m.owner
        if not isinstance(op, Op):
            return None
        if op.name == "new":
            return op
        if op.name == "call":
            return op if self.fresh(op.attrs["fn"], op.results.index(m)) else None
        return None

    def fresh(self, name: str, result: int) -> bool:
        """Whether a function makes the memory that is its result number so many in the very call."""
        cell = self.influence.flow(name).result_cells.get(result)
        return cell is not None and id(cell.find()) not in self._outside_of(name)

    def _outside_of(self, name: str) -> set[int]:
        """The cells that a function's parameters lead to. What else its results lead to is made in the very call."""
        if name not in self._outsides:
            callee = self.influence.flow(name)
            refs = [p for p in callee.fn.params if is_ref(p.type)]
            self._outsides[name] = {id(c) for p in refs for c in walk_cell(callee.cell(p))}
        return self._outsides[name]

    # ------------------------------------------------------------ order
    def _may_follow(self, w: Write, x: Op) -> bool:
        """Whether w may run after x on memory that x has read."""
        place, around, repeats = self._places
        first = 0
        if w.maker is not None:
            region = around[w.maker]
            if around[x][: len(region)] != region or place[x] < place[w.maker]:
                return False
            first = len(region)
        shared = [a for a, b in zip(around[x][first:], around[w.op][first:], strict=False) if a is b]
        return any(r in repeats for r in shared) or place[w.op] > place[x]

    @cached_property
    def _places(self) -> tuple[dict[Op, int], dict[Op, list[Region]], set[Region]]:
        """The number of each op in program order, the regions around it (outermost first), and the regions that run
        again: the bodies of loops with a `next`."""
        place: dict[Op, int] = {}
        around: dict[Op, list[Region]] = {}
        repeats: set[Region] = set()

        def visit(region: Region, outer: list[Region], loop: Region | None) -> None:
            inside = [*outer, region]
            for op in region.ops:
                place[op] = len(place)
                around[op] = inside
                if op.name == "next" and loop is not None:
                    repeats.add(loop)
                for inner in op.regions:
                    visit(inner, inside, loop if op.name == "if" else inner)

        visit(self.fn.body, [], None)
        return place, around, repeats


__all__ = ["Settled", "Write"]
