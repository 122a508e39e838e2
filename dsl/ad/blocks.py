"""Long loops in blocks, of which only the state at their beginnings is kept: a rewriting of the SSA, before its plan.

    for i = lo, hi, s (c = init) { body }

becomes, for n iterations in blocks of B, of which the last one may be shorter,

    m = (n - 1) / B
    c1 = for b = 0, m - 1, 1 (c = init) { next (call @block(lo + b B s, B, c, …)) }
    c2 = for j = 0, n - m B - 1, 1 (c = c1) { i = lo + m B s + j s; body }

where `@block` is such a loop as a function with the attribute `checkpoint`, so that its call keeps what goes into it
and is run again (`again`). A single block is the loop as it was: B is found when the loop begins, and no smaller than n
where the tape is small.

A loop is put in blocks by itself, the outermost of a nest, where it carries a state from one iteration to the next
(sums alone do not count: such loops are done with their reverse, `fuse`) for a number of iterations that is no array's
size, since a tape of that length is in proportion to what is there anyway. Where it begins it is decided whether the
tape would be so long that it costs more than doing the loop again, or passes the memory budget, by the weights of
`costs`. A loop marked by hand (`@checkpoint`) is in blocks whatever it costs. `DFL_CHECKPOINT=on` takes the outermost
`for` of every nest that keeps something for marked, `off` leaves all loops as they are.

A memory that is written in a block is copied where the block begins, so a block is not so short that the copies take
more than a part of its tape. What cannot be put in blocks is left as it is, and the plan says why, where that was asked
for by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from math import prod

from dsl.ad.again import CHECKPOINT, flat
from dsl.ad.costs import AGAIN, BUDGET, CACHE, DEAR, FITS, LOAD, MADE, SAVED_BYTE, TRAFFIC, UNKNOWN_TRIPS
from dsl.ad.decide import known_trips
from dsl.ad.fuse import Users
from dsl.ad.keep import trip_count
from dsl.ad.kernels import written_memories
from dsl.ad.plan import Construct, Plan, record_bytes
from dsl.ir.core import Function, Op, Region, Value, clone_function, clone_op, clone_region
from dsl.ops import PRIMITIVES, Builder, known
from dsl.records import dataclass, field
from dsl.types import BOOL, F64, I64, Mem, is_ref

SNAPSHOT = 4  # a block's tape is at least so many times what is copied for it


def asked() -> str:
    """What the environment asks for: "on", "off", or "" for what is decided here."""
    return os.environ.get("DFL_CHECKPOINT", "")


@dataclass
class Split:
    """A function with loops in blocks: the loops over blocks, the calls of blocks with the loop that each is of, and
    what is to be said of loops to a person."""

    fn: Function
    calls: dict[Op, Op] = field(default_factory=dict)
    blocks: set[Op] = field(default_factory=set)
    notes: dict[Op, str] = field(default_factory=dict)


def in_blocks(plan: Plan, refused: Set[Op] = frozenset()) -> Split | None:
    """The function of a plan with its long loops in blocks, but for some; None where there are none."""
    whole = asked() == "off" or CHECKPOINT in plan.fn.attrs  # a block is not divided again
    chosen = {} if whole else _choose(plan, refused)
    return _Splitter(plan, chosen).run() if chosen else None


# ---------------------------------------------------------------- which loops


def _choose(plan: Plan, refused: Set[Op]) -> dict[Op, bool]:
    """The loops to put in blocks, and which of them whatever their length."""
    chosen: dict[Op, bool] = {}
    for c in plan.constructs[1:]:
        if c.op is None or c.op not in plan.activity.live:
            continue
        by_hand = bool(c.op.attrs.get(CHECKPOINT)) or asked() == "on"
        reason = _hindrance(plan, c) or (c.op in refused and "it changes what cannot be copied") or ""
        if reason:
            if c.op.attrs.get(CHECKPOINT):
                plan.notes[c.op] = f"not in blocks: {reason}"
        elif c.op.attrs.get(CHECKPOINT) or (
            not any(_encloses(o, c.op) for o in chosen) and (by_hand or _is_worthwhile(plan, c))
        ):
            chosen[c.op] = by_hand
    return chosen


def _encloses(outer: Op, inner: Op) -> bool:
    return any(op is inner for region in outer.regions for op in region.walk())


def _hindrance(plan: Plan, c: Construct) -> str:
    """Why a loop cannot be in blocks, or need not be; "" where nothing is in the way."""
    assert c.op is not None
    if c.op.name != "for":
        return "it is no loop of known length"
    if _tape_at_least(plan, c) == 0:
        return "it keeps nothing"
    resized = {"push", "pop"}
    if any(op.name in resized and not _is_made_in(plan, c, op.args[0]) for op in c.region.walk()):
        return "it changes the length of a vector"
    if any(is_ref(p.type) and not flat(p.type) for p in c.region.params):
        return "it carries memory that refers to memory"
    return ""


def _is_made_in(plan: Plan, c: Construct, m: Value) -> bool:
    """Whether each iteration makes the memory that a value refers to."""
    maker = plan.settled.maker(m)
    return maker is not None and plan.encloses(c, plan.owner[maker])


def _inner(plan: Plan, c: Construct) -> list[Construct]:
    return [d for d in plan.constructs if plan.encloses(c, d)]


def _tape_at_least(plan: Plan, c: Construct) -> int:
    """Bytes that one run through each loop inside keeps."""
    return sum(plan.bytes_of(d) for d in _inner(plan, c))


def _is_worthwhile(plan: Plan, c: Construct) -> bool:
    """Whether a loop should be in blocks if it is long, and may be."""
    assert c.op is not None
    inner = _inner(plan, c)
    if all(known_trips(d.op) is not None for d in inner if d.op is not None) and not any(
        a.count is None for d in inner for a in plan.held[d].values()
    ):
        whole = sum(plan.bytes_of(d) * _runs(d, c.parent) for d in inner)
        if whole <= _limit(plan, c):
            return False
    prints = any(op.name == "print" for op in c.region.walk())
    return not prints and not _has_size_of_array(plan, c.op) and _carries_state(plan, c)


def _has_size_of_array(plan: Plan, loop: Op) -> bool:
    """Whether there are as many iterations as something has elements: a tape of what arrays take anyway."""
    if known_trips(loop) is not None:
        return False
    sizes = {plan.fn.params[k] for k in plan.fn.attrs.get("sizes", ())}
    work, seen = list(loop.args[:3]), set(loop.args[:3])
    while work:
        v = work.pop()
        op = v.owner if isinstance(v.owner, Op) else None
        if op is None and v not in sizes:
            return False
        if op is not None and op.name != "len":
            if op.name not in PRIMITIVES and op.name not in ("const", "stop"):
                return False
            work += [a for a in op.args if a not in seen]
            seen.update(op.args)
    return True


def _runs(d: Construct, around: Construct | None) -> int:
    """How often a loop's body is run, in an iteration of a construct around it, where all trip counts are known."""
    runs, at = 1, d
    while at is not around and at.op is not None and at.parent is not None:
        runs, at = runs * (known_trips(at.op) or 0), at.parent
    return runs


def _carries_state(plan: Plan, c: Construct) -> bool:
    """Whether an iteration starts from what the one before made of what it started from."""
    users = Users(less=True)
    for k, (p, last) in enumerate(zip(c.region.params[1:], c.nexts[0].args if c.nexts else (), strict=False)):
        summed = users.added_to(c.region, p) == k or _goes_on(plan, c, p, last)
        if plan.activity.shadowed(p) or (plan.activity.active(p) and not summed):
            return True
    read = {plan.settled.memory(op.args[0]) for op in c.region.walk() if op.name in ("load", "kernel")}
    return any(
        plan.activity.shadowed(m) and not _is_made_in(plan, c, m) and plan.settled.memory(m) in read
        for op in c.region.walk()
        for m in written_memories(op)
    )


def _goes_on(plan: Plan, c: Construct, p: Value, last: Value) -> bool:
    """Whether each iteration adds the same to what is carried, or nothing."""
    op = last.owner
    if last is p or not isinstance(op, Op):
        return last is p
    return op.name in ("add", "sub") and op.args[0] is p and not plan.encloses(c, plan.owner[op.args[1]])


def _limit(plan: Plan, c: Construct) -> int:
    """Bytes of a tape that is not worth doing the loop again for."""
    again, traffic = 0.0, 0.0
    for d in _inner(plan, c):
        runs = prod(_about(e) for e in _inner(plan, c) if e is not c and plan.encloses(e, d))
        again += runs * sum(_cost(op) for op in d.region.walk() if plan.owner[op] is d)
        arrays = sum(record_bytes(a.type.fields) * (a.count or UNKNOWN_TRIPS) for a in plan.held[d].values())
        traffic += runs * (TRAFFIC * record_bytes(list(d.fields.values())) + SAVED_BYTE * arrays)
    return FITS if again < traffic else BUDGET


_COSTS = {"load": LOAD, "store": LOAD, "acc": LOAD, "new": MADE, "call": MADE, "kernel": MADE * UNKNOWN_TRIPS}


def _about(c: Construct) -> int:
    trips = None if c.op is None else known_trips(c.op)
    return UNKNOWN_TRIPS if trips is None else trips


def _cost(op: Op) -> int:
    if op.name in PRIMITIVES:
        return AGAIN.get(op.name, DEAR)
    return _COSTS.get(op.name, 0)


# ---------------------------------------------------------------- doing it


class _Splitter:
    """Makes the copy of a plan's function. `new` maps the function's values to those of the copy."""

    def __init__(self, plan: Plan, chosen: dict[Op, bool]) -> None:
        self.plan = plan
        self.program = plan.program
        self.split = Split(clone_function(plan.fn, plan.program.fresh(f"{plan.fn.name}.blocks")))
        self.program.add(self.split.fn)
        body = plan.fn.body
        self.new: dict[Value, Value] = dict(zip(body.params, self.split.fn.params, strict=True))
        self.chosen: dict[Op, tuple[Construct, bool]] = {}
        for old, op in zip(body.walk(), self.split.fn.body.walk(), strict=True):
            self.new.update(zip(old.results, op.results, strict=True))
            for r, s in zip(old.regions, op.regions, strict=True):
                self.new.update(zip(r.params, s.params, strict=True))
            if old in chosen:
                self.chosen[op] = plan.loop[old], chosen[old]
            if old in plan.notes:
                self.split.notes[op] = plan.notes[old]

    def run(self) -> Split:
        self._region(self.split.fn.body)
        return self.split

    def _region(self, region: Region) -> None:
        """Put the chosen loops of a region in blocks, inner ones first."""
        ops: list[Op] = []
        for op in region.ops:
            for inner in op.regions:
                self._region(inner)
            if op in self.chosen:
                self._loop(op, *self.chosen[op], ops)
            ops.append(op)
        region.ops[:] = ops

    def _loop(self, op: Op, c: Construct, by_hand: bool, ops: list[Op]) -> None:
        """Append to `ops` what stands before a loop that has become the last block."""
        before = Region()
        b = Builder(before, op.span)
        low, _, step = op.args[:3]
        trips = trip_count(op.args[:3], b)
        size = self._size(c, by_hand, trips, b)
        zero, one = b.i64(0), b.i64(1)
        blocks = b.prim("idiv", b.prim("max", b.prim("sub", trips, one), zero), size)
        blocks = b.op("stop", (blocks,), (I64,)).result
        size = b.op("stop", (size,), (I64,)).result
        begin = self._after(low, b.prim("mul", blocks, size), step, b)
        rest = b.prim("sub", trips, b.prim("mul", blocks, size))
        carried = op.args[3:]
        self._from_zero(op, begin, step, rest, b)
        fn, free = self._block(op, begin, step)
        region = Region([I64, *(v.type for v in carried)], ["block", *(p.hint for p in op.regions[0].params[1:])])
        inner = Builder(region, op.span)
        first = self._after(low, inner.prim("mul", region.params[0], size), step, inner)
        results = inner.call(fn, [first, size, *region.params[1:], *free])
        inner.next_(*results)
        assert c.op is not None
        self.split.calls[inner.region.ops[-2]] = c.op
        outer = b.op("for", (zero, b.prim("sub", blocks, one), one, *carried), [v.type for v in carried], [region])
        op.args[3:] = outer.results
        ops += before.ops
        self.split.blocks.add(outer)
        limit = f"{_limit(self.plan, c) >> 20} MB"
        self.split.notes[op] = "in blocks" if by_hand else f"in blocks where its tape would take more than {limit}"

    def _after(self, low: Value, number: Value, step: Value, b: Builder) -> Value:
        """The counter in the iteration of a number."""
        return b.prim("add", low, b.prim("mul", number, step))

    def _from_zero(self, op: Op, begin: Value, step: Value, trips: Value, b: Builder) -> None:
        """Let a loop of so many iterations count from zero, and make the counter that it had of that."""
        (body,) = op.regions
        counter = body.params[0]
        number = Value(I64, body)
        body.params[0] = number
        made = Region()
        inner = Builder(made, op.span)
        last = self._after(begin, number, step, inner).owner
        assert isinstance(last, Op)
        last.results, counter.owner = [counter], last
        body.ops[:0] = made.ops
        op.args[:3] = [b.i64(0), b.prim("sub", trips, b.i64(1)), b.i64(1)]

    # ------------------------------------------------------------ the block
    def _block(self, op: Op, begin: Value, step: Value) -> tuple[Function, list[Value]]:
        """The loop as a function of where it begins, how long it is, what it carries and what else it uses, which is
        given, too."""
        free = _free(op.regions[0])
        constants = [v for v in free if known(v) is not None]
        free = [v for v in free if known(v) is None and v is not begin]
        carried = op.regions[0].params[1:]
        given = [begin, op.args[1], *carried, *free]
        body = Region([v.type for v in given], [v.hint for v in given])
        fn = Function(
            self.program.fresh(f"{self.plan.fn.name}.block"), body, tuple(r.type for r in op.results),
            f"a block of the loop in line {op.span.line}", op.span, {CHECKPOINT: True},
        )  # fmt: skip
        self.program.add(fn)
        b = Builder(body, op.span)
        n = 2 + len(carried)
        mapping = dict(zip(free, body.params[n:], strict=True)) | {begin: body.params[0]}
        for v in constants:
            assert isinstance(v.owner, Op)
            body.ops.append(clone_op(v.owner, mapping))
        bounds = [b.i64(0), b.prim("sub", body.params[1], b.i64(1)), b.i64(1)]
        copy = clone_region(op.regions[0], mapping)
        loop = b.op("for", [*bounds, *body.params[2:n]], [v.type for v in carried], [copy])
        b.return_(*loop.results)
        return fn, free

    # ------------------------------------------------------------ how long a block is
    def _size(self, c: Construct, by_hand: bool, trips: Value, b: Builder) -> Value:
        """How many iterations a block has: all, where the tape is small; else so many that its tape fills the cache, or
        as much memory as the states of all blocks do, whichever is more."""
        n = b.prim("tof64", trips)
        tape = b.prim("max", self._tape(c, b), b.f64(1.0))
        state, snapshot = self._state(c, b)
        balanced = b.prim("sqrt", b.prim("mul", n, b.prim("div", b.prim("max", state, b.f64(8.0)), tape)))
        if asked() == "on":
            size = b.prim("floor", b.prim("sqrt", n))
        elif by_hand:
            size = balanced
        else:
            size = b.prim("max", balanced, b.prim("div", b.f64(CACHE), tape))
            if snapshot is not None:
                size = b.prim("max", size, b.prim("div", b.prim("mul", snapshot, b.f64(SNAPSHOT)), tape))
            small = b.prim("le", b.prim("mul", n, tape), b.f64(_limit(self.plan, c)))
            size = b.prim("select", small, n, size)
        size = b.prim("toi64", b.prim("min", size, n))
        return b.prim("max", size, b.i64(1))

    def _tape(self, c: Construct, b: Builder) -> Value:
        """Bytes that an iteration keeps, as far as that is known where the loop begins."""
        longest = self._longest(c, b)
        total = b.f64(0.0)
        for d in _inner(self.plan, c):
            each = b.f64(self.plan.bytes_of(d))
            unknown = sum(record_bytes(a.type.fields) for a in self.plan.held[d].values() if a.count is None)
            if unknown:
                each = b.prim("add", each, b.prim("mul", b.f64(unknown), longest))
            if unknown or self.plan.bytes_of(d):
                total = b.prim("add", total, b.prim("mul", each, self._runs(d, c, longest, b)))
        return total

    def _longest(self, c: Construct, b: Builder) -> Value:
        """How many elements arrays have, about: those of the loop as many as the longest that it takes from outside."""
        assert c.op is not None
        memories = [v for v in (*c.op.args[3:], *_free(c.region)) if flat(v.type)]
        lengths = [self._length(v, b) for v in memories]
        return _largest(lengths, b) or b.f64(UNKNOWN_TRIPS)

    def _runs(self, d: Construct, c: Construct, longest: Value, b: Builder) -> Value:
        """How often a loop's body is run in one iteration of a loop around it, about: what goes over arrays, as often
        as the longest has elements."""
        runs = b.f64(1.0)
        at: Construct | None = d
        while at is not None and at is not c:
            assert at.op is not None
            bounds = at.op.args[:3] if at.op.name == "for" else []
            if bounds and not any(known(v) is None and self.plan.encloses(c, self.plan.owner[v]) for v in bounds):
                values = [b.i64(int(k)) if (k := known(v)) is not None else self.new[v] for v in bounds]
                count = b.prim("tof64", trip_count(values, b))
            elif at.op.name == "for" and _has_size_of_array(self.plan, at.op):
                count = longest
            else:
                count = b.f64(UNKNOWN_TRIPS)
            runs, at = b.prim("mul", runs, count), at.parent
        return runs

    def _state(self, c: Construct, b: Builder) -> tuple[Value, Value | None]:
        """Bytes that are kept of a block, and those among them that are copied."""
        assert c.op is not None
        total = b.f64(record_bytes([v.type for v in c.op.args[3:] if not is_ref(v.type)]))
        for v in c.op.args[3:]:
            if is_ref(v.type):  # the memory and its shadow
                total = b.prim("add", total, b.prim("mul", b.f64(2.0), self._bytes(v, b)))
        snapshot = None
        for v in _free(c.region):
            if flat(v.type) and self.plan.settled.written_in(c.region, v):
                size = self._bytes(v, b)
                snapshot = size if snapshot is None else b.prim("add", snapshot, size)
        return (total, None) if snapshot is None else (b.prim("add", total, snapshot), snapshot)

    def _bytes(self, v: Value, b: Builder) -> Value:
        """Bytes of a memory."""
        assert isinstance(v.type, Mem)
        return b.prim("mul", self._length(v, b), b.f64(record_bytes(v.type.fields)))

    def _length(self, v: Value, b: Builder) -> Value:
        """How many records a memory has, none if it is null."""
        m = self.new[v]

        def there(arm: Builder) -> None:
            arm.yield_(arm.prim("tof64", arm.op("len", (m,), (I64,)).result))

        null = b.op("same", (m, b.zero(m.type)), (BOOL,)).result
        return b.if_(null, (F64,), lambda arm: arm.yield_(arm.f64(0.0)), there)[0]


def _largest(values: Sequence[Value], b: Builder) -> Value | None:
    largest: Value | None = None
    for v in values:
        largest = v if largest is None else b.prim("max", largest, v)
    return largest


def _free(region: Region) -> list[Value]:
    """The values that a region uses and does not define, in order."""
    inside: set[Value] = set()
    found: dict[Value, None] = {}
    for v, defines in _mentions(region):
        if defines:
            inside.add(v)
        elif v not in inside:
            found[v] = None
    return list(found)


def _mentions(region: Region) -> Iterator[tuple[Value, bool]]:
    """The values that a region defines (True) or uses, each before it is used."""
    yield from ((p, True) for p in region.params)
    for op in region.ops:
        yield from ((a, False) for a in op.args)
        for inner in op.regions:
            yield from _mentions(inner)
        yield from ((r, True) for r in op.results)


__all__ = ["Split", "asked", "in_blocks"]
