"""The code of blocks of iterations (`passes.lockstep` says what they are).

A *stretch* is what varies in a region between two loops: it becomes a loop over the lanes. A varying value that is
used outside of its stretch, or carried by an inner loop, has a *slot*: memory in the frame with a record for each lane,
which LLVM makes registers of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from typing import TypeAlias

from dsl.ir.core import Op, Region, Value, clone_op
from dsl.ops import Builder, known
from dsl.passes.common import inner, mentioned
from dsl.passes.packs import Packs, Row, emit, is_strided
from dsl.passes.uniform import Shape, nested
from dsl.records import dataclass, field
from dsl.types import BOOL, I64, Mem

Env: TypeAlias = dict[Value, Value]


@dataclass(eq=False)
class Stretch:
    """Ops of one region that are done by lanes, and what is copied to slots behind them."""

    ops: list[Op] = field(default_factory=list)
    copies: list[tuple[Value, Value]] = field(default_factory=list)  # where to, what

    def __bool__(self) -> bool:
        return bool(self.ops or self.copies)


@dataclass(eq=False)
class Gather:
    """A load whose places are apart, lane by lane."""

    op: Op


@dataclass(eq=False)
class Nest:
    """An inner loop and what is in it."""

    op: Op
    items: list[Item]


@dataclass(eq=False)
class Jam:
    """A jammed loop (`passes.jam`)."""

    op: Op


Item: TypeAlias = "Op | Stretch | Gather | Nest | Jam"  # an op: uniform, done once


class Block:
    """`run` emits all blocks, and gives the first iteration that is not done by them and what is carried to it."""

    def __init__(self, shape: Shape, packs: Packs, jam: Set[Op], lanes: int, trips: Value, b: Builder) -> None:
        self.shape = shape
        self.loop = shape.loop
        self.lanes = lanes
        self.trips = trips
        self.b = b
        self.env: Env = {}
        self.slots: dict[Value, Value] = {}  # memory, with a record for each lane
        self.tests = [op for op in shape.body.walk() if op.name == "check" and not shape.is_foreseen(op)]
        body = shape.body
        self.serial = [op for op in body.ops[:-1] if shape.is_serial(op)]
        self.numbers: set[Op] = set()  # places and the like, made again where they are used
        self.packs = packs
        self.jam = jam
        self.packed: dict[Row, Value] = {}
        self.items = self._items(body, set(self.serial))
        self._give_slots()

    # ------------------------------------------------------------ what is done where
    def _items(self, region: Region, left: set[Op]) -> list[Item]:
        items: list[Item] = []
        stretch = Stretch()

        def end() -> None:
            nonlocal stretch
            if stretch:
                items.append(stretch)
            stretch = Stretch()

        for op in region.ops[:-1]:
            if op in left:
                continue
            if op in self.jam:
                end()
                items.append(Jam(op))
            elif op.name == "for":
                (body,) = op.regions
                stretch.copies += self._carried(body.params[1:], op.args[3:])
                end()
                items.append(Nest(op, self._items(body, set())))
            elif op.name == "check" and op not in self.tests:
                pass  # it has been looked at
            elif op not in self.packs.loads and is_strided(op, self.shape):
                items.append(Gather(op))
            elif self._is_number(op):
                self.numbers.add(op)
            elif op.name == "new" or self._is_done_once(op):
                if op.name in ("store", "acc"):
                    end()  # what is read in the arms of the stretch before is read before
                items.append(op)
            else:
                stretch.ops.append(op)
        if region is not self.shape.body:
            stretch.copies += self._carried(region.params[1:], region.terminator.args)
        end()
        return items

    def _is_done_once(self, op: Op) -> bool:
        """Whether an op is uniform, what is in its arms, too; but what each iteration adds to memory from outside is
        added by each."""
        ops = (op, *inner(op))
        outside = any(o.name in ("store", "acc") and o.args[0] not in self.shape.own for o in ops)
        return not outside and all(map(self.shape.is_uniform, ops))

    def _is_number(self, op: Op) -> bool:
        """Whether an op does integer arithmetic with the number of the iteration and what is uniform."""
        if op.name not in ("add", "sub", "mul") or op.result.type != I64 or op.result not in self.shape.varying:
            return False
        return all(a is self.shape.counter or a not in self.shape.varying or a.owner in self.numbers for a in op.args)

    def _carried(self, params: Sequence[Value], values: Sequence[Value]) -> list[tuple[Value, Value]]:
        return [(p, v) for p, v in zip(params, values, strict=True) if p in self.shape.varying and p is not v]

    def _give_slots(self) -> None:
        home: dict[Value, Stretch] = {}
        wanted: list[tuple[Stretch | None, Value]] = [(None, v) for op in self.serial for v in mentioned(op)]
        wanted += [(None, v) for v in self.shape.body.terminator.args]
        for item in _all(self.items):
            if isinstance(item, Nest):
                for p, r in zip(item.op.regions[0].params[1:], item.op.results, strict=True):
                    if p in self.shape.varying:
                        self.slots[r] = self._slot(p)
            elif isinstance(item, Gather):
                for r in item.op.results:
                    self._slot(r)
            elif isinstance(item, Jam):
                wanted += [(None, v) for v in mentioned(item.op)]
            elif isinstance(item, Stretch):
                home.update(dict.fromkeys((r for op in item.ops for r in op.results), item))
                wanted += [(item, v) for op in item.ops for v in mentioned(op)]
                wanted += [(item, v) for _, v in item.copies]
                wanted += [(None, v) for op in item.ops if self.shape.scatters(op) for v in op.args]
        for where, v in wanted:
            if v in home and home[v] is not where:
                self._slot(v)
        self.good = Value(BOOL)
        if self.tests:
            self._slot(self.good)
        nest = nested(self.shape.body, ())
        added = [op for op, around in nest if self.shape.adds_up(op) and self.jam.isdisjoint(around)]
        self.terms = {op: [Value(v.type) for v in op.args[2:]] for op in added}
        for terms in self.terms.values():
            for term in terms:
                self._slot(term)

    def _slot(self, v: Value) -> Value:
        if v not in self.slots:
            size = self.b.i64(self.lanes)
            self.slots[v] = self.b.op("new", (size,), (Mem((v.type,)),), frame=True).result
        return self.slots[v]

    # ------------------------------------------------------------ the whole
    def run(self) -> list[Value]:
        b = self.b
        low, _, step, *inits = self.loop.args
        if self.tests:
            self._each_lane(b, lambda lb, lane: self._put(self.good, lb.bool(True), lane, lb))
        blocks = b.prim("ifld", self.trips, b.i64(self.lanes))
        stride = b.prim("mul", step, b.i64(self.lanes))
        for row in self.packs.rows:
            size = b.prim("mul", row.size(b), b.i64(self.lanes))
            self.packed[row] = b.op("new", (size,), (row.memory.type,), blank=True).result
        body = Region([I64, *(v.type for v in inits)])
        inside = Builder(body, self.loop.span)
        first = inside.prim("add", low, inside.prim("mul", body.params[0], stride))
        for row, memory in self.packed.items():
            self._pack(row, memory, first, inside)
        self._emit(self.items, first, inside)
        inside.next_(*self._in_order(first, body.params[1:], inside))
        last = b.prim("sub", blocks, b.i64(1))
        loop = b.op("for", (b.i64(0), last, b.i64(1), *inits), [v.type for v in inits], [body])
        done = [b.prim("add", low, b.prim("mul", blocks, stride)), *loop.results]
        if not self.tests:
            return done
        fine = self._all_good(b)
        return [b.prim("select", fine, new, old) for new, old in zip(done, (low, *inits), strict=True)]

    def _in_order(self, first: Value, carried: Sequence[Value], b: Builder) -> list[Value]:
        """What is serial, lane by lane; gives what the block hands on."""
        params = self.shape.body.params[1:]
        body = Region([I64, *(p.type for p in params)])
        lane, *now = body.params
        lb = Builder(body, self.loop.span)
        env = dict(zip(params, now, strict=True))
        ends = self.shape.body.terminator.args
        if not params:
            return []
        self._load([v for op in self.serial for v in mentioned(op)] + ends, env, lane, first, lb)
        for op in self.serial:
            lb.region.ops.append(clone_op(op, env))
        lb.next_(*(env.get(v, v) for v in ends))
        inits = (b.i64(0), b.i64(self.lanes - 1), b.i64(1), *carried)
        return b.op("for", inits, [p.type for p in params], [body]).results

    def _all_good(self, b: Builder) -> Value:
        body = Region([I64, BOOL])
        lb = Builder(body, self.loop.span)
        lb.next_(lb.prim("and", body.params[1], self._get(self.good, body.params[0], lb)))
        return b.op("for", (b.i64(0), b.i64(self.lanes - 1), b.i64(1), b.bool(True)), (BOOL,), [body]).result

    # ------------------------------------------------------------ items
    def _emit(self, items: Sequence[Item], first: Value, b: Builder) -> None:
        for item in items:
            if isinstance(item, Stretch):
                self._stretch(item, first, b)
            elif isinstance(item, Nest):
                self._nest(item, first, b)
            elif isinstance(item, Gather):
                self._gather(item.op, first, b)
            elif isinstance(item, Jam):
                self._jam(item.op, first, b)
            else:
                b.span = item.span
                made = clone_op(item, self.env)
                if item.name == "new" and item.result in self.shape.varying:
                    made.args[0] = b.prim("mul", made.args[0], b.i64(self.lanes))
                for region in made.regions:
                    _drop_checks(region)
                b.region.ops.append(made)

    def _pack(self, row: Row, memory: Value, first: Value, b: Builder) -> None:
        """Copy a row of each lane."""
        start = emit(row.first, {self.shape.counter: first}, b)
        apart = b.prim("mul", emit(row.apart, {}, b), self.loop.args[2])
        b.op("kernel", (memory, row.memory, b.i64(self.lanes), row.size(b), start, apart), (), kernel="transpose")

    def _gather(self, op: Op, first: Value, b: Builder) -> None:
        def read(lb: Builder, lane: Value) -> None:
            env: Env = {}
            self._load(op.args[1:], env, lane, first, lb)
            found = lb.op("load", (op.args[0], env[op.args[1]]), [r.type for r in op.results], **op.attrs).results
            for r, v in zip(op.results, found, strict=True):
                self._put(r, v, lane, lb)

        b.span = op.span
        self._each_lane(b, read, apart=True)

    def _jam(self, op: Op, first: Value, b: Builder) -> None:
        """The loop, upwards, with the lanes one after the other inside."""
        (old,) = op.regions
        low, high, step = (self.env.get(a, a) for a in op.args)
        body = Region([I64])
        inside = Builder(body, op.span)

        def alone(lb: Builder, lane: Value) -> None:
            env: Env = {old.params[0]: body.params[0]}
            self._load(mentioned(op), env, lane, first, lb)
            lb.region.ops += [clone_op(o, env) for o in old.ops[:-1] if o.name != "check"]

        self._each_lane(inside, alone, apart=True)
        inside.next_()
        b.span = op.span
        b.op("for", (low, high, step) if known(step) == 1 else (high, low, b.i64(1)), (), [body])

    def _by_lane(self, index: Value, lane: Value, b: Builder) -> Value:
        """The place of a lane's record."""
        return b.prim("add", b.prim("mul", index, b.i64(self.lanes)), lane)

    def _nest(self, nest: Nest, first: Value, b: Builder) -> None:
        op = nest.op
        (old,) = op.regions
        kept = [k for k, p in enumerate(old.params[1:]) if p not in self.shape.varying]
        made = Region([p.type for p in (old.params[0], *(old.params[1 + k] for k in kept))])
        self.env.update(zip((old.params[0], *(old.params[1 + k] for k in kept)), made.params, strict=True))
        inside = Builder(made, op.span)
        args = [self.env.get(a, a) for a in (*op.args[:3], *(op.args[3 + k] for k in kept))]
        self._emit(nest.items, first, inside)
        inside.next_(*(self.env.get(v, v) for v in (old.terminator.args[k] for k in kept)))
        b.span = op.span
        loop = b.op("for", args, [p.type for p in made.params[1:]], [made])
        self.env.update(zip((op.results[k] for k in kept), loop.results, strict=True))

    def _stretch(self, stretch: Stretch, first: Value, b: Builder) -> None:
        b.span = stretch.ops[0].span if stretch.ops else b.span
        sums: list[Op] = []
        scattered = [op for op in stretch.ops if self.shape.scatters(op)]

        def lanes(lb: Builder, lane: Value) -> None:
            env: Env = {}
            given = [v for op in stretch.ops for v in mentioned(op)] + [v for _, v in stretch.copies]
            self._load(given, env, lane, first, lb)
            for op in stretch.ops:
                if op not in scattered:
                    for made in (op, *inner(op)):
                        if self.shape.adds_up(made):
                            sums.append(made)
                            if made is not op:
                                for term in self.terms[made]:
                                    self._put(term, lb.zero(term.type), lane, lb)
                    good = self._lane(op, env, lane, lb)
                    if good is not None:
                        before = self._get(self.good, lane, lb)
                        self._put(self.good, lb.prim("and", before, good), lane, lb)
            for op in stretch.ops:
                for r in op.results:
                    if r in self.slots:
                        self._put(r, env[r], lane, lb)
            for p, v in stretch.copies:
                self._put(p, env.get(v, self.env.get(v, v)), lane, lb)

        self._each_lane(b, lanes)
        for op in sums:
            self._sum(op, b)
        for op in scattered:
            self._scatter(op, first, b)

    # ------------------------------------------------------------ lanes
    def _each_lane(self, b: Builder, fill: Callable[[Builder, Value], None], apart: bool = False) -> None:
        """A loop over the lanes; `apart`: of operations that are no vectors'."""
        body = Region([I64])
        lb = Builder(body, b.span)
        fill(lb, body.params[0])
        lb.next_()
        b.op("for", (b.i64(0), b.i64(self.lanes - 1), b.i64(1)), (), [body], **({} if apart else {"lanes": True}))

    def _load(self, values: Iterable[Value], env: Env, lane: Value, first: Value, lb: Builder) -> None:
        """Let `env` know, of these values, those that are found in slots, or made of the number of the iteration."""
        for v in dict.fromkeys(values):
            if v in self.slots:
                env[v] = self._get(v, lane, lb)
            elif v in self.env:
                env.setdefault(v, self.env[v])
            else:
                self._number(v, env, lane, first, lb)

    def _number(self, v: Value, env: Env, lane: Value, first: Value, lb: Builder) -> Value:
        """What is made of the number of the iteration, where a value is."""
        if v is self.shape.counter and v not in env:
            env[v] = lb.prim("add" if known(self.loop.args[2]) == 1 else "sub", first, lane)
        elif isinstance(v.owner, Op) and v.owner in self.numbers and v not in env:
            env[v] = lb.prim(v.owner.name, *(self._number(a, env, lane, first, lb) for a in v.owner.args))
        return env.get(v, self.env.get(v, v))

    def _lane(self, op: Op, env: Env, lane: Value, lb: Builder) -> Value | None:
        """What one lane does of an op; gives whether the checks in it are good, if there are some."""
        if op.name == "check":
            return env.get(op.args[0], op.args[0]) if op in self.tests else None
        if op.regions:
            return self._arms(op, env, lane, lb)
        args = [env.get(a, self.env.get(a, a)) for a in op.args]
        if op.name in ("load", "store", "acc") and op.args[0] in self.shape.varying:
            args[1] = self._by_lane(args[1], lane, lb)
        if op in self.packs.loads:
            row, place = self.packs.loads[op]
            args = [self.packed[row], self._by_lane(emit(place, self.env, lb), lane, lb)]
        if self.shape.adds_up(op):
            for term, value in zip(self.terms[op], args[2:], strict=True):
                self._put(term, value, lane, lb)
            return None
        made = lb.op(op.name, args, [r.type for r in op.results], **op.attrs)
        for old, new in zip(op.results, made.results, strict=True):
            new.hint = old.hint
            env[old] = new
        return None

    def _arms(self, op: Op, env: Env, lane: Value, lb: Builder) -> Value | None:
        tested = any(o in self.tests for o in inner(op))
        arms = []
        for region in op.regions:
            arm = Region()
            ab = Builder(arm, op.span)
            good: Value | None = None
            for o in region.ops[:-1]:
                ab.span = o.span
                more = self._lane(o, env, lane, ab)
                good = more if good is None else good if more is None else ab.prim("and", good, more)
            ends = [env.get(v, self.env.get(v, v)) for v in region.terminator.args]
            ab.yield_(*ends, *([good or ab.bool(True)] if tested else []))
            arms.append(arm)
        cond = env.get(op.args[0], self.env.get(op.args[0], op.args[0]))
        made = lb.op("if", (cond,), [*(r.type for r in op.results), *([BOOL] if tested else [])], arms)
        env.update(zip(op.results, made.results, strict=False))
        return made.results[-1] if tested else None

    def _get(self, v: Value, lane: Value, b: Builder) -> Value:
        return b.op("load", (self.slots[v], lane), (v.type,)).result

    def _put(self, v: Value, value: Value, lane: Value, b: Builder) -> None:
        b.op("store", (self.slots[v], lane, value), first=0)

    # ------------------------------------------------------------ accumulations
    def _sum(self, op: Op, b: Builder) -> None:
        """Add the sum of all lanes to one place."""
        place = self.env.get(op.args[1], op.args[1])
        sums = [b.op("treesum", (self.slots[term], b.i64(0)), (term.type,), count=self.lanes).result
                for term in self.terms[op]]  # fmt: skip
        b.op("acc", (op.args[0], place, *sums), first=op.attrs.get("first", 0))

    def _scatter(self, op: Op, first: Value, b: Builder) -> None:
        """Add to places lane by lane."""
        body = Region([I64])
        lb = Builder(body, op.span)
        env: Env = {}
        self._load(op.args[1:], env, body.params[0], first, lb)
        args = [env.get(a, self.env.get(a, a)) for a in op.args]
        lb.op("acc", args, first=op.attrs.get("first", 0))
        lb.next_()
        b.op("for", (b.i64(0), b.i64(self.lanes - 1), b.i64(1)), (), [body])


def _all(items: Sequence[Item]) -> Iterable[Item]:
    for item in items:
        yield item
        if isinstance(item, Nest):
            yield from _all(item.items)


def _drop_checks(region: Region) -> None:
    region.ops[:] = [op for op in region.ops if op.name != "check"]
    for op in region.ops:
        for r in op.regions:
            _drop_checks(r)
