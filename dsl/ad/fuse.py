"""Fusing a counted loop with its reverse: where the adjoint of an iteration needs nothing of the iterations after it,
it is done at once, and nothing of the iteration has to be kept.

That is so where
- the reverse loop takes no cotangents out of memory that outlives an iteration: it only adds to shadows, and nobody
  reads or clears these before its turn comes (`order` says where it is not so);
- what it carries is handed on unchanged (the cotangent of a sum), or only added to (that of something that all
  iterations use), so that the order of iterations does not matter: cotangents add up in no order of their own;
- nothing that it uses comes from what the loop gives, as the cotangent of `log(sum)` does.

What it reads again of memory stays as it was when the loop read it (`settled`), so it is the same earlier, too. The
reverse loop moves to where the forward loop is. The nests inside are fused in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dsl.ad.keep import Saver, inner_place
from dsl.ad.plan import Construct
from dsl.ad.reverse import Backward
from dsl.ir.core import Op, Region, Value
from dsl.ir.opset import OPSET
from dsl.ops import PRIMITIVES, Builder
from dsl.passes.common import Mentions, mentioned


def fuse_nests(region: Region, copies: Mapping[Op, Op], saver: Saver, backward: Backward) -> None:
    """Fuse what can be of the loops that run once. `copies`: to each loop its copy in the forward sweep. The plan
    notes which were (`Plan.fused`)."""
    bodies = {backward.plan.root: region}
    for c in backward.plan.constructs[1:]:
        around = bodies.get(c.parent) if c.parent is not None else None
        if around is None or c.op is None or c.op not in backward.mirrors or len(c.exits) != 1:
            continue
        if c in backward.order.fixed:
            continue
        forward, reverse = copies[c.op], backward.mirrors[c.op]
        if forward in around.ops and reverse in around.ops and _Fusion(around, forward, reverse).run(c, saver):
            backward.plan.fused.add(c)
            bodies[c] = forward.regions[0]


class _Fusion:
    """One loop and its reverse, both in the same region."""

    def __init__(self, region: Region, forward: Op, reverse: Op) -> None:
        self.region = region
        self.forward = forward
        self.reverse = reverse
        self.body = forward.regions[0]
        self.adjoint = reverse.regions[0]
        self._users = Users()

    def run(self, c: Construct, saver: Saver) -> bool:
        """Fuse them, if that may be done."""
        if self.body.terminator.name != "next" or not all(map(self._is_unordered, range(1, len(self.adjoint.params)))):
            return False
        before = self._needed_before()
        if before is None:
            return False
        self._move(before)
        self._join(c, saver)
        return True

    # ------------------------------------------------------------ may it be done?
    def _is_unordered(self, k: int) -> bool:
        """Whether the reverse loop hands on its parameter k as it is, or adds to it and does nothing else with it."""
        param, last = self.adjoint.params[k], self.adjoint.terminator.args[k - 1]
        return _is_same(last, param) or self._users.added_to(self.adjoint, param) == k - 1

    def _needed_before(self) -> list[Op] | None:
        """The ops between the loops that the reverse one needs; None: it needs what the forward one gives, or what
        cannot be done before it."""
        ops = self.region.ops
        first, last = ops.index(self.forward), ops.index(self.reverse)
        given = set(self.forward.results)
        wanted = set(mentioned(self.reverse))
        found: list[Op] = []
        for op in reversed(ops[first + 1 : last]):
            if not wanted.isdisjoint(op.results):
                if not _may_move(op):
                    return None
                found.append(op)
                wanted.update(mentioned(op))
        return None if wanted & given else found[::-1]

    # ------------------------------------------------------------ doing it
    def _move(self, before: list[Op]) -> None:
        moved = {*before, self.reverse}
        ops = [op for op in self.region.ops if op not in moved]
        at = ops.index(self.forward)
        self.region.ops = [*ops[:at], *before, *ops[at:]]

    def _join(self, c: Construct, saver: Saver) -> None:
        """Append the body of the reverse loop to that of the forward one. Values stay what they are."""
        body, adjoint = self.body, self.adjoint
        end = body.ops.pop()
        number, *carried = adjoint.params
        self._number(number)
        known = self._records(c, saver)
        adjoint_end = adjoint.ops.pop()
        body.ops += adjoint.ops
        end.args += adjoint_end.args
        for op in (*_walk(adjoint.ops), end):
            op.args = [known.get(a, a) for a in op.args]
        body.ops.append(end)
        for p in carried:
            p.owner = body
        body.params += carried
        self.forward.args += self.reverse.args[3:]
        self.forward.results += self.reverse.results
        for r in self.reverse.results:
            r.owner = self.forward
        for inner, nest in saver.plan.nests.items():
            if c in nest[:-1] and inner.fields:
                self._shorten(inner, nest[nest.index(c) :], saver)

    def _shorten(self, c: Construct, nest: Sequence[Construct], saver: Saver) -> None:
        """Let the tape of a loop inside be an iteration's own, with places by the numbers of the loops inside alone.
        (Those of the loops around this one were left out when these were fused.)"""
        tape = saver.tape(c)
        accesses = [op for op in self.body.walk() if tape in op.args]
        if len(accesses) != sum(tape in op.args for op in self.region.walk()):
            return
        made = Region()
        own = saver.new_tape(c, nest[1:], Builder(made, self.forward.span))
        saver.have[saver.plan.root]["tape", c.op] = own
        self.body.ops[:0] = made.ops
        for region in _regions(self.body):
            for op in [op for op in region.ops if op in accesses]:
                before = Region()
                op.args[:2] = own, inner_place(op.args[1], len(nest), Builder(before, op.span))
                at = region.ops.index(op)
                region.ops[at:at] = before.ops

    def _number(self, number: Value) -> None:
        """Define the number of an iteration, by which the reverse body knows it."""
        b = Builder(self.body, self.forward.span)
        low, _, step = self.forward.args[:3]
        made = b.prim("ifld", b.prim("sub", self.body.params[0], low), step).owner
        assert isinstance(made, Op)
        made.results, number.owner = [number], made

    def _records(self, c: Construct, saver: Saver) -> dict[Value, Value]:
        """What the reverse body reads of the record, as the values that the forward body has; the tape goes."""
        if not c.fields:
            return {}
        tape = saver.tape(c)
        kept = next(op for op in self.body.ops if op.name in ("store", "push") and op.args[0] is tape)
        load = next(op for op in self.adjoint.ops if op.name == "load" and op.args[0] is tape)
        self.body.ops.remove(kept)
        self.adjoint.ops.remove(load)
        return dict(zip(load.results, kept.args[2 if kept.name == "store" else 1 :], strict=True))


def _regions(region: Region) -> Iterator[Region]:
    """A region and those inside."""
    yield region
    for op in region.walk():
        yield from op.regions


def _may_move(op: Op) -> bool:
    info = OPSET.get(op.name)
    return op.name in PRIMITIVES or op.name == "new" or (info is not None and info.pure)


def _walk(ops: Iterable[Op]) -> Iterator[Op]:
    for op in ops:
        yield op
        for region in op.regions:
            yield from region.walk()


def _is_same(v: Value, param: Value) -> bool:
    """Whether a value is a parameter, handed on through arms and loops as it is."""
    op = v.owner
    if v is param or not isinstance(op, Op) or op.name not in ("if", "for"):
        return v is param
    k = op.results.index(v)
    if op.name == "if":
        return all(arm.terminator.name == "yield" and _is_same(arm.terminator.args[k], param) for arm in op.regions)
    body = op.regions[0]
    return _is_same(op.args[3 + k], param) and _is_same(body.terminator.args[k], body.params[1 + k])


class Users(Mentions):
    """What becomes of values. `less`: a value from which something is taken away counts as added to, too."""

    def __init__(self, less: bool = False) -> None:
        super().__init__()
        self.less = less

    def added_to(self, region: Region, v: Value) -> int | None:
        """The place in the region's terminator to which a value comes that is at most added to on the way; None:
        something else is done with it."""
        while True:
            users = self.of(region, v)
            if len(users) != 1 or users[0].args.count(v) > 1:
                return None
            user = users[0]
            if user is region.terminator:
                return user.args.index(v)
            result = self._sum(user, v)
            if result is None:
                return None
            v = result

    def _sum(self, op: Op, v: Value) -> Value | None:
        """The result of an op that is a value or a sum with it; None: there is none, or it does something else, too."""
        taken_from = self.less and op.name == "sub" and op.args[0] is v
        if op.name == "add" or (op.name == "fma" and op.args[2] is v) or taken_from:
            return op.result
        if op.name == "if" and v not in op.args:
            ends = [self.added_to(arm, v) for arm in op.regions]
            return op.results[ends[0]] if ends[0] is not None and ends[0] == ends[1] else None
        if op.name == "for" and v in op.args[3:]:
            k = op.args[3:].index(v)
            alone = not self.of(op.regions[0], v)
            return op.results[k] if alone and self.added_to(op.regions[0], op.regions[0].params[k + 1]) == k else None
        return None
