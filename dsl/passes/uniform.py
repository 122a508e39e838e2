"""What differs between the iterations of a counted loop, and whether several of them may be done side by side.

A value of the body is *uniform* where it is the same in all iterations, else it *varies*. Memory that an iteration
makes for itself (*own* memory) is uniform where only uniform values go to uniform places of it, and not in an arm.
Values that depend on what the loop carries are *serial*: they have to be computed in the order of the iterations.

Iterations may be done side by side (`Shape.admissible`) where
- what they do is loads, stores, accumulations, arithmetic, arms and further counted loops, whose bounds are uniform and
  which do not stand in an arm;
- what is serial is arithmetic at the body's own level, on which nothing else depends;
- memory from outside that is stored to is stored to by one op, at another place in each iteration, and is not read or
  added to; what is added to is not read. Of two names for memory from outside that could be the same one, it is asked
  before the loop whether they are (`questions`);
- what has to be checked can be looked at before (`is_foreseen`), or is the domain of a function: beyond that it gives
  NaN, so nothing goes wrong where it is noticed late, if nobody can see then what later iterations have stored. (Any
  other check may guard what stands behind it.)
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from dsl.analysis.places import distinct
from dsl.ir.core import Op, Region, Value
from dsl.ops import PRIMITIVES, known, made_by
from dsl.passes.common import inner, mentioned
from dsl.passes.late import DOMAIN
from dsl.passes.names import Names
from dsl.types import I64, is_ref

MOST_QUESTIONS = 64
MOST_SLOPE = 1 << 10

_ALLOWED = frozenset({"const", "load", "store", "acc", "len", "new", "check", "if", "for", "yield", "next"})
_IN_ORDER = frozenset({"const", "if", "yield"})
_COMPARE = frozenset({"le", "lt", "ge", "gt"})
ACCESS = frozenset({"load", "store", "acc"})


class Shape:
    """Of a loop. `varying` holds values, and own memories that do not hold the same in all iterations."""

    def __init__(self, loop: Op) -> None:
        self.loop = loop
        self.body: Region = loop.regions[0]
        self.counter = self.body.params[0]
        self.own: dict[Value, Op] = {op.result: op for op in self.body.walk() if op.name == "new"}
        self.varying: set[Value] = set(self.body.params)
        self.serial: set[Value] = set(self.body.params[1:])
        self.inside: set[Value] = set(self.body.params)
        for op in self.body.walk():
            self.inside.update(op.results)
            for region in op.regions:
                self.inside.update(region.params)
        before = -1
        while before != len(self.varying) + len(self.serial):
            before = len(self.varying) + len(self.serial)
            self._region(self.body, False)

    # ------------------------------------------------------------ what varies
    def _region(self, region: Region, arm: bool) -> None:
        for op in region.ops:
            if op.name == "if":
                self._if(op)
            elif op.name == "for":
                (body,) = op.regions
                self._region(body, arm)
                for values in (self.varying, self.serial):
                    _join(values, body.params[1:], op.args[3:], body.terminator.args)
                    _join(values, op.results, body.params[1:])
            elif op.name in ("store", "acc"):
                if op.args[0] in self.own and (arm or not self.varying.isdisjoint(op.args[1:])):
                    self.varying.add(op.args[0])
            elif op.name != "new":
                for values in (self.varying, self.serial):
                    if not values.isdisjoint(op.args):
                        values.update(op.results)

    def _if(self, op: Op) -> None:
        """What is not uniform as a whole is done by lanes, and so are its results."""
        for way in op.regions:
            self._region(way, True)
        mixed = any(o.name in ("store", "acc") or not self.is_uniform(o) for o in inner(op))
        if mixed or op.args[0] in self.varying:
            self.varying.update(op.results)
        if not self.serial.isdisjoint(mentioned(op)):
            self.serial.update(op.results)

    def is_uniform(self, op: Op) -> bool:
        """Whether an op, what is in its regions aside, does the same in all iterations."""
        return self.varying.isdisjoint(op.args) and self.varying.isdisjoint(op.results)

    def is_serial(self, op: Op) -> bool:
        return not self.serial.isdisjoint(op.results) or not self.serial.isdisjoint(mentioned(op))

    # ------------------------------------------------------------ may it be done?
    def admissible(self) -> bool:
        ops = list(self.body.walk())
        return (
            known(self.loop.args[2]) in (1, -1)
            and all(map(self._is_understood, ops))
            and self._is_nested_well(self.body)
            and all(map(self._is_in_order, self.body.ops))
            and all(self._is_apart(m, done) for m, done in self.outer().items())
        )

    def _is_understood(self, op: Op) -> bool:
        match op.name:
            case "new":
                return op.args[0] not in self.varying
            case "check":
                return self.is_foreseen(op) or op.attrs["code"] == DOMAIN
            case "len":
                return op.args[0] not in self.inside
        if op.name not in PRIMITIVES and op.name not in _ALLOWED:
            return False
        return not any(is_ref(v.type) for v in (*op.args[op.name in ACCESS :], *op.results))

    def _is_nested_well(self, region: Region) -> bool:
        """Whether inner loops are, and what is in arms can be."""
        for op in region.ops:
            if op.name == "for" and not (self.varying.isdisjoint(op.args[:3]) and self._is_nested_well(op.regions[0])):
                return False
            if op.name == "if":
                defined = {v for o in inner(op) for v in o.results}
                if not all(self._may_be_in_arm(o, defined) for o in inner(op)):
                    return False
        return True

    def _may_be_in_arm(self, op: Op, defined: Set[Value]) -> bool:
        """`defined`: in arms. (Where lanes add to has to be known outside.)"""
        if op.name in ("for", "new") or self.scatters(op):
            return False
        return not (self.adds_up(op) and op.args[1] in defined)

    def _is_in_order(self, op: Op) -> bool:
        """Whether an op of the body does not depend on what is carried, or is arithmetic that does."""
        if op.name == "next" or not self.is_serial(op):
            return True
        return all(o.name in PRIMITIVES or o.name in _IN_ORDER for o in (op, *inner(op)))

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
        if not isinstance(op, Op) or op.name not in _COMPARE or op.args[0].type != I64:
            return False
        slopes = [self.slope(a) for a in op.args]
        return None not in slopes and 0 in slopes

    def slope(self, v: Value) -> int | None:
        """By how much an integer grows with the counter, where that is a small constant."""
        op = v.owner
        if v not in self.varying or v is self.counter:
            return int(v is self.counter)
        if not isinstance(op, Op) or op.name not in ("add", "sub"):
            return None
        left, right = (self.slope(a) for a in op.args)
        if left is None or right is None:
            return None
        found = left + right if op.name == "add" else left - right
        return found if abs(found) <= MOST_SLOPE else None

    # ------------------------------------------------------------ memory from outside
    def outer(self) -> dict[Value, set[str]]:
        """What is done to memory from outside."""
        found: dict[Value, set[str]] = {}
        for op in self.body.walk():
            if op.name in ACCESS and op.args[0] not in self.own:
                found.setdefault(op.args[0], set()).add(op.name)
        return found

    def adds_up(self, op: Op) -> bool:
        """Whether iterations add to one place of memory from outside."""
        return op.name == "acc" and op.args[0] not in self.own and op.args[1] not in self.varying

    def scatters(self, op: Op) -> bool:
        """Whether iterations add to places of memory from outside that may be the same, or not."""
        return op.name == "acc" and op.args[0] not in self.own and op.args[1] in self.varying

    def _is_apart(self, m: Value, done: set[str]) -> bool:
        if m in self.inside or len(done) > 1:
            return False
        accesses = [(op, around) for op, around in nested(self.body, (self.loop,)) if op.args and op.args[0] is m]
        return "store" not in done or (len(accesses) == 1 and distinct(accesses[0][0].args[1], accesses[0][1]))

    def questions(self, names: Names) -> list[tuple[Value, Value]] | None:
        """The pairs of references that have to be to different memories; None: they are too many, or somebody would see
        what iterations have stored that come after one that fails."""
        outer = self.outer()
        late = any(op.name == "check" and not self.is_foreseen(op) for op in self.body.walk())
        if late and any("store" in done and not names.dies(m) for m, done in outer.items()):
            return None
        asked = [
            (m, x)
            for m, done in outer.items()
            for x, theirs in outer.items()
            if done != {"load"} and x is not m and x.type == m.type and not done == theirs == {"acc"}
            and not names.differ(m, x)
        ]  # fmt: skip
        return asked if len(asked) <= MOST_QUESTIONS else None


def _join(values: set[Value], targets: list[Value], *ways: list[Value]) -> None:
    """Add to a set what comes from it, one way or another."""
    for k, target in enumerate(targets):
        if any(way[k] in values for way in ways):
            values.add(target)


def nested(region: Region, around: tuple[Op, ...]) -> Iterator[tuple[Op, tuple[Op, ...]]]:
    """Each op with the loops around it, from the outermost."""
    for op in region.ops:
        yield op, around
        for r in op.regions:
            yield from nested(r, (*around, op) if op.name == "for" else around)
