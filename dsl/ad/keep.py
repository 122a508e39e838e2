"""Saving: the forward sweep of reverse mode writes the records that the plan asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsl.ad.plan import Construct, Key, Plan
from dsl.ad.readings import Reading
from dsl.ir.core import Op, Region, Value
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


def inner_place(place: Value, count: int, b: Builder) -> Value:
    """Of a place that `place_in_nest` has made of so many numbers, the place by all but the first."""
    total = place.owner
    assert isinstance(total, Op) and total.name == "add"
    product, number = total.args
    if count == 2:
        return number
    assert isinstance(product.owner, Op) and product.owner.name == "mul"
    rest, n = product.owner.args
    return b.prim("add", b.prim("mul", inner_place(rest, count - 1, b), n), number)


def _product(counts: Sequence[Value], b: Builder) -> Value:
    """A product of numbers that are not negative, or more than there is memory for."""
    size, *more = counts
    for n in more:
        exact = b.prim("mul", size, n)
        about = b.prim("mul", b.prim("tof64", size), b.prim("tof64", n))
        size = b.prim("select", b.prim("lt", about, b.const(float(TOO_MANY), F64)), exact, b.i64(TOO_MANY))
    return size


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
        return self.plan.makes_shadow_later(m)

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
                self.define(("tape", c.op), self.new_tape(c, self.plan.nests[c], b))
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
        around = self.plan.loop[op].parent
        for key in around.fields if around is not None else ():
            reading = self.plan.decisions.reading(key[1]) if key[0] == "copy" else None
            if reading is not None and reading.nest[0].op is op:
                self.define(key, self._copy(reading, b))

    def _copy(self, reading: Reading, b: Builder) -> Value:
        """What a nest has read by a load, by the numbers of the iterations that its place depends on; nothing, if the
        nest never came to the load."""
        trips = {c: trip_count(self._bounds(c, b), b) for c in reading.nest}
        ran = b.bool(True)
        for n in trips.values():
            ran = b.prim("and", ran, b.prim("gt", n, b.i64(0)))
        if not reading.loops:
            (type,) = reading.fields
            then = lambda b: b.yield_(*self._read(reading, [], b))  # noqa: E731
            return b.if_(ran, (type,), then, lambda b: b.yield_(b.zero(type)))[0]
        first, *others = [trips[c] for c in reading.loops]
        counts = [b.prim("select", ran, first, b.i64(0)), *others]
        copy = b.op("new", (_product(counts, b),), (reading.type,)).result

        def fill(numbers: list[Value], b: Builder) -> None:
            if len(numbers) == len(counts):
                b.op("store", (copy, place_in_nest(numbers, counts, b), *self._read(reading, numbers, b)), first=0)
                return
            region = Region([I64])
            inner = Builder(region, b.span)
            fill([*numbers, region.params[0]], inner)
            inner.next_()
            b.op("for", (b.i64(0), b.prim("sub", counts[len(numbers)], b.i64(1)), b.i64(1)), (), [region])

        fill([], b)
        return copy

    def _read(self, reading: Reading, numbers: Sequence[Value], b: Builder) -> list[Value]:
        """What a load gives in the iterations of these numbers."""
        made: dict[Value, Value] = {}
        for c, number in zip(reading.loops, numbers, strict=False):
            low, _, step = self._bounds(c, b)
            made[c.region.params[0]] = b.prim("add", low, b.prim("mul", number, step))

        def at(v: Value) -> Value:
            op = v.owner
            if v not in made and self.plan.encloses(reading.nest[0], self.plan.owner[v]):
                assert isinstance(op, Op)
                made[v] = b.op(op.name, [at(a) for a in op.args], (v.type,), **op.attrs).result
            return made.get(v) or self.copies[v]

        m, index = reading.load.args
        return b.op("load", (self.copies[m], at(index)), reading.fields, **reading.load.attrs).results

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

    def new_tape(self, c: Construct, nest: Sequence[Construct], b: Builder) -> Value:
        """A tape with a place for each time that a loop's body runs in all, in these loops."""
        size = _product([trip_count(self._bounds(loop, b), b) for loop in nest], b)
        return b.op("new", (size,), (c.record,), tape=True).result

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
