"""Accumulations whose places a counted loop comes back to are carried in registers.

    for %i = %lo, %hi, %1 { …; acc %m[%i], %a; acc %m[%i - 1], %b; next }

adds to each place in one iteration and again in the next one, which waits for the first through memory: no vector code
is made of that. It becomes a loop that adds to each place once, and carries what is to be added in the next iteration:

    %c' = for %i = %lo, %hi, %1 (%c = 0.0) { …; %s = add %b, %c; acc %m[%i - 1], %s; next %a }
    if %lo <= %hi { acc %m[%hi], %c' … }

In general, a place moves by a constant *stride* in an iteration, and the accumulations of a *chain* are so many
iterations (their *lag*) ahead of the last one that comes to a place. What is pending for the places between is carried,
and added behind the loop. Places that do not move (stride 0) are added to behind the loop only; what comes to one place
in the same iteration is added up first.

Cotangents have no order in which they add up; everything else keeps its bits, if nothing but accumulations can tell
that some of them come later. So a loop is left alone that calls, or does anything to memory that is not understood
here, and so is a chain whose memory the loop also loads from or stores to. Where that is a question of two references,
it is asked before the loop, which is there twice then.

Indices need no proof that they do not wrap: each is an index of the memory, so equal ones modulo 2^64 are equal, and
places between two of an iteration are places of the memory, too. No derivative is taken afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.analysis.places import Polynomial, difference, line
from dsl.ir.core import Function, Op, Region, Value, clone_op
from dsl.ops import Builder, known, made_by
from dsl.passes.common import for_counter, info
from dsl.passes.names import BY_NAME, Names
from dsl.records import dataclass
from dsl.types import BOOL

MOST_LAG = 4  # iterations for which something is carried
MOST_STRIDE = 1 << 10
MOST_OPS = 150  # of a loop that is there twice afterwards
MOST_QUESTIONS = 4

_HARMLESS = frozenset({"if", "yield", "next", "unreachable", "check", "print", "new"})


def carry(fn: Function) -> bool:
    """Apply to a function."""
    if not any(op.name == "acc" for op in fn.body.walk()):
        return False
    return _Carrier(fn).region(fn.body)


@dataclass(eq=False)
class _Place:
    """An accumulation: where it is at a counter of 0, and what that moves by in an iteration."""

    op: Op
    stride: int
    origin: Polynomial

    def kin(self, other: _Place) -> int | None:
        """How far this place is from another one that moves with it, in the same fields of the same memory."""
        mine, theirs = ((p.op.args[0], p.op.attrs.get("first", 0), len(p.op.args), p.stride) for p in (self, other))
        return difference(self.origin, other.origin) if mine == theirs else None


@dataclass(eq=False)
class _Chain:
    """Accumulations by their lags; lag 0 is the last that comes to a place."""

    memory: Value
    stride: int
    lags: dict[int, list[Op]]

    @property
    def ops(self) -> list[Op]:
        return [op for ops in self.lags.values() for op in ops]

    @property
    def negated(self) -> bool:
        """Whether it takes away from a place that does not move: what it takes is carried then, for LLVM gives vectors
        to sums only."""
        return not self.stride and all(made_by(v, "neg") for op in self.ops for v in op.args[2:])

    @property
    def pending(self) -> range:
        """How many strides the places are behind the last one that is added to in the loop, for which sums are
        carried."""
        return range(1, max(self.lags) + 1) if self.stride else range(1)


class _Carrier:
    def __init__(self, fn: Function) -> None:
        self.names = Names(fn)

    def region(self, region: Region) -> bool:
        changed = False
        ops: list[Op] = []
        for op in region.ops:
            for inner in op.regions:
                changed |= self.region(inner)
            made = self._loop(op) if op.name == "for" else None
            changed |= made is not None
            ops += [op] if made is None else made
        region.ops[:] = ops
        return changed

    def _loop(self, loop: Op) -> list[Op] | None:
        """What a loop becomes; None: it stays as it is."""
        inside = list(loop.regions[0].walk())
        if not any(op.name == "acc" for op in inside) or not all(map(_is_understood, inside)):
            return None
        defined = {r for op in inside for r in op.results} | set(loop.regions[0].params)
        chains: list[_Chain] = []
        questions: dict[tuple[Value, Value], None] = {}
        for chain in _chains(loop, defined):
            asked = self._asked(chain.memory, inside, defined)
            if asked is not None:
                chains.append(chain)
                questions.update(dict.fromkeys(asked))
        if not chains or (questions and (len(questions) > MOST_QUESTIONS or len(inside) > MOST_OPS)):
            return None
        return _twice(loop, chains, list(questions)) if questions else _carried(loop, chains)

    def _asked(self, m: Value, inside: Sequence[Op], defined: set[Value]) -> list[tuple[Value, Value]] | None:
        """The pairs of references that have to be to different memories; None: some are not, or that cannot be
        asked before the loop."""
        used = dict.fromkeys(op.args[0] for op in inside if op.name in ("load", "store"))
        doubtful = [x for x in used if x.type == m.type and not self.names.differ(m, x, defined)]
        return None if any(x is m or x in defined for x in doubtful) else [(m, x) for x in doubtful]


def _is_understood(op: Op) -> bool:
    return op.name in BY_NAME or op.name in _HARMLESS or info(op).pure


# ---------------------------------------------------------------- chains


def _chains(loop: Op, defined: set[Value]) -> list[_Chain]:
    """The accumulations that each iteration does, by chains that are worth it."""
    step = _step(loop)
    if not 0 < abs(step) <= MOST_STRIDE:
        return []
    families: list[list[_Place]] = []
    for op in loop.regions[0].ops:
        if op.name == "acc" and op.args[0] not in defined and (found := line(op.args[1], loop)) is not None:
            place = _Place(op, found[0] * step, found[1])
            if abs(place.stride) <= MOST_STRIDE:
                _join(families, place)
    return [chain for family in families for chain in _split(family)]


def _join(families: list[list[_Place]], place: _Place) -> None:
    """Put a place with those that are whole strides away."""
    for family in families:
        distance = place.kin(family[0])
        if distance is not None and (distance % place.stride == 0 if place.stride else distance == 0):
            family.append(place)
            return
    families.append([place])


def _split(family: list[_Place]) -> list[_Chain]:
    """Chains of a family, each no longer than is carried."""
    first = family[0]
    if not first.stride:
        return [_Chain(first.op.args[0], 0, {0: [p.op for p in family]})]
    ahead: dict[int, list[Op]] = {}
    for p in family:
        distance = p.kin(first)
        assert distance is not None
        ahead.setdefault(distance // first.stride, []).append(p.op)
    chains: list[_Chain] = []
    start: int | None = None
    for lag in sorted(ahead):
        if start is None or lag - start > MOST_LAG:
            start = lag
            chains.append(_Chain(first.op.args[0], first.stride, {}))
        chains[-1].lags[lag - start] = ahead[lag]
    return [c for c in chains if len(c.ops) > 1]


# ---------------------------------------------------------------- the loop


def _twice(loop: Op, chains: Sequence[_Chain], questions: Sequence[tuple[Value, Value]]) -> list[Op]:
    """An `if` with the loop that carries, where all these are different memories, and the loop as it was."""
    before = Region()
    b = Builder(before, loop.span)
    given = loop.results
    differ: Value | None = None
    for m, x in questions:
        term = b.prim("not", b.op("same", (m, x), (BOOL,)).result)
        differ = term if differ is None else b.prim("and", differ, term)
    assert differ is not None
    plain = clone_op(loop, {})
    loop.results = [Value(r.type, loop, r.hint) for r in given]
    own = list(loop.results)
    arms = (Region(), Region())
    arms[0].ops += _carried(loop, chains)
    Builder(arms[0], loop.span).yield_(*own)
    arms[1].ops.append(plain)
    Builder(arms[1], loop.span).yield_(*plain.results)
    chosen = b.op("if", (differ,), (), arms)
    chosen.results = given
    for r in given:
        r.owner = chosen
    return before.ops


def _carried(loop: Op, chains: Sequence[_Chain]) -> list[Op]:
    """The loop that carries what these chains add, and what is done before it and behind it."""
    around = Region()
    b = Builder(around, loop.span)
    left = [(chain, chain.negated, _carry_chain(loop, chain, b)) for chain in chains]
    around.ops.append(loop)
    if not any(sums for _, _, sums in left):
        return around.ops
    ran = b.prim("le" if _step(loop) > 0 else "ge", *loop.args[:2])

    def add(arm: Builder) -> None:
        last = _last(loop, arm)
        for chain, negated, sums in left:
            (op, *_) = chain.lags[0]
            place = for_counter(op.args[1], loop, last, arm)
            for k, values in zip(chain.pending, sums, strict=True):
                at = arm.prim("add", place, arm.i64(k * chain.stride)) if k else place
                values = [arm.prim("neg", v) for v in values] if negated else values
                arm.op("acc", (chain.memory, at, *values), first=op.attrs.get("first", 0))
        arm.yield_()

    b.if_(ran, (), add, lambda arm: arm.yield_())
    return around.ops


def _carry_chain(loop: Op, chain: _Chain, before: Builder) -> list[list[Value]]:
    """Rewrite a chain's accumulations in a loop; gives the sums that are left when it ends, by `pending`."""
    (body,) = loop.regions
    accumulations = set(chain.ops)
    some = chain.lags[0][0]
    types = [v.type for v in some.args[2:]]
    carried: list[list[Value]] = []
    left: list[list[Value]] = []
    for _ in chain.pending:
        carried.append([Value(t, body) for t in types])
        left.append([Value(t, loop) for t in types])
        body.params += carried[-1]
        loop.results += left[-1]
        loop.args += [before.zero(t) for t in types]
    out = Region()
    for op in body.ops:
        if op not in accumulations:
            out.ops.append(op)
            continue
        accumulations.discard(op)
        if not accumulations:
            body.terminator.args += _iteration(chain, carried, Builder(out, op.span))
    body.ops[:] = out.ops
    return left


def _iteration(chain: _Chain, carried: list[list[Value]], b: Builder) -> list[Value]:
    """What an iteration adds to memory, and what it hands on."""
    added = {k: [op.args[2:] for op in ops] for k, ops in chain.lags.items()}
    if chain.negated:
        added = {0: [[v.owner.args[0] for v in row if isinstance(v.owner, Op)] for row in added[0]]}
    if not chain.stride:
        return _sum([*added[0], carried[0]], b)
    now, *later = [_sum([*more, *added.get(k, [])], b) for k, more in enumerate([*([c] for c in carried), []])]
    some = chain.lags[0][0]
    b.op("acc", (chain.memory, some.args[1], *now), first=some.attrs.get("first", 0))
    return [v for sums in later for v in sums]


def _sum(rows: Sequence[list[Value]], b: Builder) -> list[Value]:
    """The sum of each column."""
    total, *more = rows
    for row in more:
        total = [b.op("add", (s, v), (s.type,), free=True).result for s, v in zip(total, row, strict=True)]
    return total


def _step(loop: Op) -> int:
    """By how much a loop counts on, 0 where that is no constant."""
    step = known(loop.args[2])
    return step if isinstance(step, int) else 0


def _last(loop: Op, b: Builder) -> Value:
    """The counter of the last iteration, if there is one."""
    low, high, step = loop.args[:3]
    if abs(_step(loop)) == 1:
        return high
    trips = b.prim("ifld", b.prim("sub", high, low), step)
    return b.prim("add", low, b.prim("mul", trips, step))
