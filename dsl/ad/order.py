"""Which loops' adjoints have to stay where they are in the reverse sweep, and go from the last iteration to the first.

A cotangent in memory is *taken* where it is read or dropped: what the adjoints of later ops add must be there by then,
and what those of earlier ops add must not be. So a loop is *fixed* whose adjoint takes from memory that outlives its
iteration, or adds to memory that has been taken from before.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from dsl.ad.plan import Construct, Plan
from dsl.ir.core import Op, Value
from dsl.types import is_ref


class Order:
    """Told by the reverse sweep, as it goes, what it does in which construct (`here`)."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.fixed: set[Construct] = set()
        self._taken: set[Hashable] = set()
        self._added: dict[Construct, set[Hashable]] = {c: set() for c in plan.constructs}

    def takes(self, m: Value, here: Construct) -> None:
        """Cotangents in a memory are read or dropped."""
        self._taken.add(self._memory(m))
        for c in _around(here):
            if m in self.plan.local and self.plan.owner[m] is c:
                return
            self.fixed.add(c)

    def adds(self, m: Value, here: Construct) -> None:
        """Cotangents in a memory are added to."""
        for c in _around(here):
            self._added[c].add(self._memory(m))

    def hands_on(self, m: Value, c: Construct) -> None:
        """A loop has handed shadows on from iteration to iteration, and adds the last one to that of a memory."""
        self.fixed.add(c)
        assert c.parent is not None
        self.adds(m, c.parent)

    def calls(self, op: Op, here: Construct) -> None:
        """The adjoint of a call does anything to the memory that it is told of."""
        self.fixed.update(_around(here))
        for v in (*op.args, *op.results):
            if is_ref(v.type):
                self._taken |= self.plan.settled.reached(v)

    def begin(self) -> frozenset[Hashable]:
        """The adjoint of a loop begins."""
        return frozenset(self._taken)

    def end(self, c: Construct, before: frozenset[Hashable]) -> None:
        """It ends; `before` is what `begin` gave."""
        if not before.isdisjoint(self._added[c]):
            self.fixed.add(c)

    def _memory(self, m: Value) -> Hashable:
        return m if m in self.plan.local else self.plan.settled.memory(m)


def _around(c: Construct | None) -> Iterator[Construct]:
    """A construct and those around it, from the innermost."""
    while c is not None:
        yield c
        c = c.parent
