"""Looking at the checks of a nest before it runs: the part of the nest that they depend on, once, instead of the nest
with its checks in every iteration.

What is asked is asked even where the nest would not come to a check. So an answer of no means that the nest has to be
run as it is, not that it fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.ir.core import Op, Region, Value
from dsl.ops import PRIMITIVES, Builder, known
from dsl.ops.core import IN_LANES
from dsl.passes.common import inner
from dsl.passes.packs import Packs
from dsl.passes.uniform import Shape, nested
from dsl.types import BOOL

MOST_TRIPS = 1 << 48  # more cannot be run
SMALL = 1 << 60


def holds(
    shape: Shape, packs: Packs, questions: Sequence[tuple[Value, Value]], most: int, trips: Value, least: int,
    b: Builder,
) -> Value | None:
    """Emit what finds out whether there are that many iterations, all uniform checks hold, own memory is no larger
    than `most` records, and the memories in question are different. None: that depends on what cannot be looked at."""
    slice_ = _Slice(shape, most)
    if not slice_.complete:
        return None

    def look(arm: Builder) -> None:
        good: Value = arm.bool(True)
        for m, x in questions:
            good = arm.prim("and", good, arm.prim("not", arm.op("same", (m, x), (BOOL,)).result))
        for row in packs.rows:
            good = arm.prim("and", good, arm.prim("le", row.size(arm), arm.i64(most)))
        arm.yield_(slice_.region(shape.body, good, {}, arm))

    enough = b.prim("and", b.prim("ge", trips, b.i64(least)), b.prim("le", trips, b.i64(MOST_TRIPS)))
    ran = b.prim("le" if slice_.upwards(shape.loop) else "ge", *shape.loop.args[:2])
    return b.if_(b.prim("and", ran, enough), (BOOL,), look, lambda arm: arm.yield_(arm.bool(False)))[0]


class _Slice:
    """What uniform checks and the sizes of own memory depend on."""

    def __init__(self, shape: Shape, most: int) -> None:
        self.shape = shape
        self.most = most
        self.needed: set[Value] = set()
        self.complete = True
        self.owner: dict[Value, Op] = {}  # parameter → its loop
        work: list[Value] = []
        for op, around in nested(shape.body, ()):
            if op.name == "for":
                self.owner.update(dict.fromkeys(op.regions[0].params, op))
                self.complete &= bool(known(op.args[2]))
            if self._asks(op):
                work.append(op.args[0])
                for loop in around:
                    work += loop.args[:3]
        while work:
            v = work.pop()
            if v in shape.varying:
                work += v.owner.args if isinstance(v.owner, Op) else ()
            elif v not in self.needed and v in shape.inside:
                self.needed.add(v)
                work += self._sources(v)

    def _asks(self, op: Op) -> bool:
        return (op.name == "check" and self.shape.is_foreseen(op)) or op.name == "new"

    def _sources(self, v: Value) -> list[Value]:
        if v in self.owner:
            loop = self.owner[v]
            k = loop.regions[0].params.index(v)
            return [*loop.args[:3], loop.args[2 + k], loop.regions[0].terminator.args[k - 1]] if k else loop.args[:3]
        op = v.owner
        if not isinstance(op, Op):
            self.complete = False
            return []
        if op.name == "for":
            return [op.regions[0].params[1 + op.results.index(v)]]
        if op.name == "if":
            return [op.args[0], *(r.terminator.args[op.results.index(v)] for r in op.regions)]
        if op.name not in PRIMITIVES and op.name not in ("const", "len"):
            self.complete = False
        if op.name == "len" and op.args[0] in self.shape.inside:
            self.complete = False
        return list(op.args)

    # ------------------------------------------------------------ emitting
    def region(self, region: Region, good: Value, env: dict[Value, Value], b: Builder) -> Value:
        for op in region.ops:
            if self._asks(op):
                good = b.prim("and", good, self._answer(op, env, b))
            elif op.name == "for":
                if any(map(self._asks, inner(op))) or not self.needed.isdisjoint(op.results):
                    good = self._for(op, good, env, b)
            elif op.name == "if":
                for arm in op.regions:
                    good = self.region(arm, good, env, b)
                for k, r in enumerate(op.results):
                    if r in self.needed:
                        arms = [env.get(v, v) for v in (a.terminator.args[k] for a in op.regions)]
                        env[r] = b.prim("select", env.get(op.args[0], op.args[0]), *arms)
            elif not self.needed.isdisjoint(op.results):
                args = [env.get(a, a) for a in op.args]
                env[op.result] = b.op(IN_LANES.get(op.name, op.name), args, (op.result.type,), **op.attrs).result
        return good

    def _answer(self, op: Op, env: dict[Value, Value], b: Builder) -> Value:
        if op.name == "check":
            return self._at_ends(op.args[0], env, b)
        v = env.get(op.args[0], op.args[0])
        return b.prim("and", b.prim("ge", v, b.i64(0)), b.prim("le", v, b.i64(self.most)))

    def _at_ends(self, cond: Value, env: dict[Value, Value], b: Builder) -> Value:
        """Whether something holds in the first and the last iteration. What it compares is so small that it does not
        wrap in between."""
        if cond not in self.shape.varying:
            return env.get(cond, cond)
        op = cond.owner
        assert isinstance(op, Op)
        if op.name == "and":
            return b.prim("and", *(self._at_ends(a, env, b) for a in op.args))
        found: Value | None = None
        for number in self.shape.loop.args[:2]:
            sides = [self._at(a, number, env, b) for a in op.args]
            terms = [b.prim(op.name, *sides)]
            for side, a in zip(sides, op.args, strict=True):
                if a in self.shape.varying:
                    terms += b.prim("le", side, b.i64(SMALL)), b.prim("ge", side, b.i64(-SMALL))
            for term in terms:
                found = term if found is None else b.prim("and", found, term)
        assert found is not None
        return found

    def _at(self, v: Value, number: Value, env: dict[Value, Value], b: Builder) -> Value:
        """A number in the iteration of this number."""
        if v is self.shape.counter:
            return number
        if v not in self.shape.varying:
            return env.get(v, v)
        assert isinstance(v.owner, Op)
        return b.prim(v.owner.name, *(self._at(a, number, env, b) for a in v.owner.args))

    def _for(self, op: Op, good: Value, env: dict[Value, Value], b: Builder) -> Value:
        """A loop that ends where it counts to its end, or something is not good. (A loop may be longer than can be
        waited for, if a check would end it.)"""
        (body,) = op.regions
        kept = [k for k, p in enumerate(body.params[1:]) if p in self.needed]
        low, high, step, *inits = (env.get(a, a) for a in op.args)
        made = Region([body.params[0].type, BOOL, *(body.params[1 + k].type for k in kept)])
        counter, before, *carried = made.params
        env[body.params[0]] = counter
        env.update(zip((body.params[1 + k] for k in kept), carried, strict=True))
        arm = Builder(made, op.span)
        within = arm.prim("le" if self.upwards(op) else "ge", counter, high)
        go_on = arm.prim("and", within, before)
        arm.if_(go_on, (), lambda a: a.yield_(), lambda a: a.break_(before, *carried))
        after = self.region(body, before, env, arm)
        ends = (body.terminator.args[k] for k in kept)
        arm.next_(arm.prim("add", counter, step), after, *(env.get(v, v) for v in ends))
        loop = b.op("loop", [low, good, *(inits[k] for k in kept)], [p.type for p in made.params[1:]], [made])
        env.update(zip((op.results[k] for k in kept), loop.results[1:], strict=True))
        return loop.results[0]

    def upwards(self, loop: Op) -> bool:
        step = known(loop.args[2])
        return isinstance(step, int) and step > 0
