"""What differs between the iterations of a counted loop, and whether several of them may be done side by side.

A value of the body is *uniform* where it is the same in all iterations, else it *varies*. Memory that an iteration makes
for itself (*own* memory) is uniform where only uniform values go to uniform places of it. Values that depend on what the
loop carries are *serial*: they have to be computed in the order of the iterations.

Iterations may be done side by side (`admissible`) where
- what they do is loads, stores, accumulations, arithmetic, arms and further counted loops, whose bounds are uniform and
  which do not stand in an arm;
- what is serial is arithmetic at the body's own level, on which nothing else depends;
- memory from outside that is stored to is stored to by one op, at another place in each iteration, and is not read or
  added to; what is added to is not read. Of two names for memory from outside that could be the same one, it is asked
  before the loop whether they are (`questions`).
- what has to be checked is uniform, or holds in between where it holds at the ends (`is_foreseen`), or is the domain of a function: beyond it that gives NaN, so nothing goes wrong
  where it is noticed late. (A check guards what stands behind it.)
"""

from __future__ import annotations

from collections.abc import Iterator

from dsl.analysis.places import distinct
from dsl.ir.core import Op, Region, Value
from dsl.ops import PRIMITIVES, known, made_by
from dsl.passes.late import DOMAIN
from dsl.passes.names import Names
from dsl.types import I64, Mem, is_ref

ALLOWED = frozenset({"const", "load", "store", "acc", "len", "new", "check", "if", "for", "yield", "next"})
MOST_OPS = 600  # of the body
MOST_QUESTIONS = 64
MOST_SLOPE = 1 << 10
COMPARE = frozenset({"le", "lt", "ge", "gt"})


class Shape:
    """Of a loop that is `admissible`."""

    def __init__(self, loop: Op) -> None:
        self.loop = loop
        self.body: Region = loop.regions[0]
        self.own: dict[Value, Op] = {op.result: op for op in self.body.walk() if op.name == "new"}
        self.varying: set[Value] = set()  # values, and own memories that do not hold the same
        self.serial: set[Value] = set()
        self.inside: set[Value] = set(self.body.params)
        for op in self.body.walk():
            self.inside.update(op.results)
            for region in op.regions:
                self.inside.update(region.params)
        self._spread()

    # ------------------------------------------------------------ what varies
    def _spread(self) -> None:
        self.varying.update(self.body.params)
        self.serial.update(self.body.params[1:])
        before = -1
        while before != len(self.varying) + len(self.serial):
            before = len(self.varying) + len(self.serial)
            self._region(self.body, False)

    def _region(self, region: Region, arm: bool) -> None:
        """`arm`: whether not every iteration may come here. (What arms do to own memory is done by lanes.)"""
        for op in region.ops:
            if not op.regions and op.name != "new":
                for values in (self.varying, self.serial):
                    if not values.isdisjoint(op.args):
                        values.update(op.results)
            if op.name in ("store", "acc") and op.args[0] in self.own:
                if arm or not self.varying.isdisjoint(op.args[1:]):
                    self.varying.add(op.args[0])
            if op.name == "if":
                for way in op.regions:
                    self._region(way, True)
                self._join(op.results, [r.terminator.args for r in op.regions if r.terminator.name == "yield"], op.args[0])
                if any(o.name in ("store", "acc") or not self.is_uniform(o) for o in inner(op)):
                    self.varying.update(op.results)
                if not self.serial.isdisjoint(uses(op)):
                    self.serial.update(op.results)
            elif op.name == "for":
                (body,) = op.regions
                self._region(body, arm)
                self._join(body.params[1:], [op.args[3:], body.terminator.args], None)
                self._join(op.results, [body.params[1:]], None)

    def _join(self, results: list[Value], ways: list[list[Value]], cond: Value | None) -> None:
        for values in (self.varying, self.serial):
            for k, r in enumerate(results):
                if cond in values or any(way[k] in values for way in ways):
                    values.add(r)

    def is_uniform(self, op: Op) -> bool:
        """Whether an op without regions does the same in all iterations."""
        return self.varying.isdisjoint(op.args) and self.varying.isdisjoint(op.results)

    def is_serial(self, op: Op) -> bool:
        return not self.serial.isdisjoint(op.results) or not self.serial.isdisjoint(uses(op))

    # ------------------------------------------------------------ may it be done?
    def admissible(self) -> bool:
        ops = list(self.body.walk())
        return (
            known(self.loop.args[2]) in (1, -1)
            and self.body.terminator.name == "next"
            and len(ops) <= MOST_OPS
            and all(map(self._is_understood, ops))
            and self._is_nested_well(self.body, False)
            and all(map(self._is_in_order, self.body.ops))
            and all(self._is_apart(m) for m in self.outer())
        )

    def _is_understood(self, op: Op) -> bool:
        if op.name not in PRIMITIVES and op.name not in ALLOWED:
            return False
        if op.name == "new":
            return op.args[0] not in self.varying
        if op.name == "check":
            return self.is_foreseen(op) or op.attrs["code"] == DOMAIN
        if op.name == "len" and op.args[0] in self.inside:
            return False
        accesses = op.name in ("load", "store", "acc", "len")
        return not any(is_ref(v.type) for v in (*op.args[accesses:], *op.results))

    def _is_nested_well(self, region: Region, arm: bool) -> bool:
        for op in region.ops:
            if op.name == "new" and arm:
                return False
            if op.name == "for" and (arm or not self.varying.isdisjoint(op.args[:3])):
                return False
            if op.name in ("return", "break", "unreachable"):
                return False
            if op.name == "acc" and op.args[0] not in self.own and arm and op.args[1] in self.varying:
                return False
            if not all(self._is_nested_well(inner, arm or op.name == "if") for inner in op.regions):
                return False
        return True

    def _is_in_order(self, op: Op) -> bool:
        """Whether an op of the body does not depend on what is carried, or is arithmetic that does."""
        if op.name == "next" or not self.is_serial(op):
            return True
        return all(o.name in PRIMITIVES or o.name in ("if", "yield", "const") for o in (op, *inner(op)))

    # ------------------------------------------------------------ checks
    def is_foreseen(self, check: Op) -> bool:
        """Whether it holds in all iterations if it does in the first and the last one: it is uniform, or compares what
        grows or falls steadily."""
        return self._is_convex(check.args[0])

    def _is_convex(self, cond: Value) -> bool:
        if cond not in self.varying:
            return True
        both = made_by(cond, "and")
        if both is not None:
            return all(map(self._is_convex, both.args))
        op = cond.owner
        return isinstance(op, Op) and op.name in COMPARE and op.args[0].type == I64 and (
            None not in (slopes := [self.slope(a) for a in op.args]) and 0 in slopes
        )  # fmt: skip

    def slope(self, v: Value) -> int | None:
        """By how much an integer grows with the counter, where that is a small constant."""
        op = v.owner
        if v not in self.varying or v is self.body.params[0]:
            return int(v in self.varying)
        if not isinstance(op, Op) or op.name not in ("add", "sub", "mul") or op.result.type != I64:
            return None
        left, right = (self.slope(a) for a in op.args)
        if left is None or right is None:
            return None
        if op.name == "mul":
            factors = [known(a) for a in op.args]
            left, right = (left * f if isinstance(f, int) else None for f in reversed(factors))
            found = left if right is None else right
        else:
            found = left + right if op.name == "add" else left - right
        return found if found is not None and abs(found) <= MOST_SLOPE else None

    # ------------------------------------------------------------ memory from outside
    def outer(self) -> dict[Value, set[str]]:
        """What is done to memory from outside."""
        found: dict[Value, set[str]] = {}
        for op in self.body.walk():
            if op.name in ("load", "store", "acc") and op.args[0] not in self.own:
                found.setdefault(op.args[0], set()).add(op.name)
        return found

    def _is_apart(self, m: Value) -> bool:
        done = self.outer()[m]
        if "store" not in done:
            return m not in self.inside and len(done) == 1
        if m in self.inside or len(done) > 1:
            return False
        stores = [(op, around) for op, around in nested(self.body, (self.loop,)) if op.name == "store" and op.args[0] is m]
        ((op, around),) = stores if len(stores) == 1 else ((None, ()),)
        return op is not None and distinct(op.args[1], around)

    def questions(self, names: Names) -> list[tuple[Value, Value]] | None:
        """The pairs of references that have to be to different memories; None: some are not."""
        asked: dict[tuple[Value, Value], None] = {}
        outer = self.outer()
        for m, done in outer.items():
            if done != {"load"}:
                for x, theirs in outer.items():
                    if x is not m and x.type == m.type and not (done == theirs == {"acc"}) and not names.differ(m, x):
                        if (x, m) not in asked:
                            asked[m, x] = None
        return list(asked) if len(asked) <= MOST_QUESTIONS else None


def uses(op: Op) -> Iterator[Value]:
    """Every value that an op mentions, those inside its regions included."""
    yield from op.args
    for o in inner(op):
        yield from o.args


def inner(op: Op) -> Iterator[Op]:
    """The ops in the regions of an op."""
    for region in op.regions:
        yield from region.walk()


def nested(region: Region, around: tuple[Op, ...]) -> Iterator[tuple[Op, tuple[Op, ...]]]:
    """Each op with the loops around it, from the outermost."""
    for op in region.ops:
        yield op, around
        for r in op.regions:
            yield from nested(r, (*around, op) if op.name == "for" else around)


def fields(m: Value) -> int:
    assert isinstance(m.type, Mem)
    return len(m.type.fields)
