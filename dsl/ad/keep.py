"""Saving: the forward sweep of reverse mode writes the records that the plan asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsl.ad.plan import Construct, Key, Plan
from dsl.ir.core import Op, Value
from dsl.ops import Builder, known
from dsl.types import F64, I64

TOO_MANY = 1 << 60  # records of a tape: there is no memory for so many


def trip_count(bounds: Sequence[Value], b: Builder) -> Value:
    """How often a `for` with bounds lo, hi, step runs: max(0, ⌊(hi - lo) / step⌋ + 1)."""
    lo, hi, step = bounds
    n = b.prim("add", b.prim("ifld", b.prim("sub", hi, lo), step), b.i64(1))
    return b.prim("select", b.prim("lt", n, b.i64(0)), b.i64(0), n)


def place_in_nest(numbers: Sequence[Value], trips: Sequence[Value], b: Builder) -> Value:
    """The place of the record of these iterations (their numbers), of loops with these trip counts, outermost first."""
    place = numbers[0]
    for number, n in zip(numbers[1:], trips[1:], strict=True):
        place = b.prim("add", b.prim("mul", place, n), number)
    return place


class Saver:
    """A `forward.Keeper`. `have[c]` is what is at hand of construct c; at an exit it becomes c's record.

    What an arm of an `if` defines is visible in the arm only, and yielded by it where the arm falls through.
    """

    def __init__(self, plan: Plan, tapes: Mapping[Construct, Value]) -> None:
        self.plan = plan
        self.tapes = tapes
        self.have: dict[Construct, dict[Key, Value]] = {plan.root: {}}
        self._arms: list[dict[Key, Value] | None] = []  # None: a loop's body begins
        self._counts: dict[Op, Value] = {}

    def wants(self, key: Key) -> bool:
        return key in self.plan.keys

    def makes_shadow_later(self, m: Value) -> bool:
        return m in self.plan.local

    def define(self, key: Key, v: Value) -> None:
        if key not in self.plan.keys:
            return
        self.have[self.plan.key_owner(key)][key] = v
        if self._arms and self._arms[-1] is not None:
            self._arms[-1][key] = v

    def enter_arm(self) -> None:
        self._arms.append({})

    def leave_arm(self) -> dict[Key, Value]:
        kept = self._arms.pop()
        assert kept is not None
        for key in kept:
            del self.have[self.plan.key_owner(key)][key]
        return kept

    # ------------------------------------------------------------ loops
    def before_loop(self, op: Op, b: Builder) -> None:
        construct = self.plan.loop[op]
        for c in self.plan.constructs:
            if ("tape", c.op) in self.plan.keys and self.plan.nests[c][0] is construct:
                self.define(("tape", c.op), b.op("new", (self._size(c, b),), (c.record,)).result)
        if ("start", op) in self.plan.keys:
            self.define(("start", op), b.op("len", (self.tapes[construct],), (I64,)).result)
        if ("trips", op) in self.plan.keys:
            self.define(("trips", op), trip_count([self.copies[a] for a in op.args[:3]], b))

    copies: Mapping[Value, Value]  # the sweep's map from original values to copies

    def enter_loop(self, op: Op, count: Value | None) -> None:
        self.have[self.plan.loop[op]] = {}
        self._arms.append(None)
        if count is not None:
            self._counts[op] = count

    def leave_loop(self) -> None:
        self._arms.pop()

    def after_loop(self, op: Op, b: Builder) -> None:
        if ("end", op) in self.plan.keys:
            self.define(("end", op), b.op("len", (self.tapes[self.plan.loop[op]],), (I64,)).result)

    def loop_extras(self, op: Op) -> list[Key]:
        return [key for key in (("code", op), ("count", op)) if key in self.plan.keys]

    def exit_extras(self, exit: Op, loop: Op, b: Builder) -> list[Value]:
        extras = []
        if exit.name == "break" and ("code", loop) in self.plan.keys:
            extras.append(b.i64(self.plan.loop[loop].code(exit)))
        if ("count", loop) in self.plan.keys:
            extras.append(b.prim("add", self._counts[loop], b.i64(1)))
        return extras

    # ------------------------------------------------------------ tapes of exact size
    def _bounds(self, c: Construct, b: Builder) -> list[Value]:
        """Low, high and step of a loop of a nest, where the nest begins or inside it."""
        assert c.op is not None
        return [b.i64(int(n)) if (n := known(v)) is not None else self.copies[v] for v in c.op.args[:3]]

    def _size(self, c: Construct, b: Builder) -> Value:
        """How often a loop's body runs in all: a product, or more than there is memory for."""
        size, *more = (trip_count(self._bounds(loop, b), b) for loop in self.plan.nests[c])
        for trips in more:
            exact = b.prim("mul", size, trips)
            about = b.prim("mul", b.prim("tof64", size), b.prim("tof64", trips))
            size = b.prim("select", b.prim("lt", about, b.const(float(TOO_MANY), F64)), exact, b.i64(TOO_MANY))
        return size

    def _place(self, c: Construct, b: Builder) -> Value:
        """The number of this iteration among all of a nest."""
        numbers, trips = [], []
        for loop in self.plan.nests[c]:
            low, high, step = self._bounds(loop, b)
            counter = self.copies[loop.region.params[0]]
            numbers.append(b.prim("ifld", b.prim("sub", counter, low), step))
            trips.append(trip_count([low, high, step], b))
        return place_in_nest(numbers, trips, b)

    # ------------------------------------------------------------ records
    def leave(self, exit: Op, b: Builder) -> None:
        """Push the records of the loops of which this ends an iteration, innermost first. A loop that is left for
        good tells the next one where its tape ends."""
        told: dict[Key, Value] = {}
        for c in self.plan.exits_through(exit):
            if c.op is None:
                self.have[c].update(told)  # the root's record is made by whoever handles the return
                return
            if c in self.plan.nests and c.fields:
                b.op("store", (self.tape(c), self._place(c, b), *self.record(c, exit, b, told)), first=0)
            elif c.fields:
                b.op("push", (self.tape(c), *self.record(c, exit, b, told)))
            told = {}
            if ("end", c.op) in self.plan.keys:
                told["end", c.op] = b.op("len", (self.tapes[c],), (I64,)).result
            if ("count", c.op) in self.plan.keys:
                told["count", c.op] = b.prim("add", self._counts[c.op], b.i64(1))

    def tape(self, c: Construct) -> Value:
        """Where a loop's records go."""
        return self.have[self.plan.root]["tape", c.op] if c in self.plan.nests else self.tapes[c]

    def record(self, c: Construct, exit: Op, b: Builder, told: Mapping[Key, Value] | None = None) -> list[Value]:
        """The fields of a construct's record at one of its exits; what the iteration did not reach is zero."""
        have = {**self.have[c], **(told or {})}
        values = []
        for key, t in c.fields.items():
            if key[0] == "itercode":
                values.append(b.i64(c.code(exit)))
            else:
                values.append(have[key] if key in have else b.zero(t))
        return values
