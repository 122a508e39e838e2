"""Constant folding: what can be computed now is."""

from __future__ import annotations

from dsl.ir.core import TERMINATORS, Function, Op, Region, Value
from dsl.ops import PRIMITIVES, evaluate
from dsl.passes.common import constants, substitute

Number = float | int | bool


def fold(fn: Function) -> bool:
    """Evaluate primitives on constants by their table, decide `if`s and `check`s on known conditions, and drop what
    control never reaches. Exact in value and derivative; loops are kept, but for a `for` of at most one iteration."""
    folder = _Folder(constants(fn.body))
    folder.region(fn.body)
    return folder.changed


class _Folder:
    def __init__(self, known: dict[Value, Number]) -> None:
        self.known = known  # constants, and conditions where they are decided
        self.mapping: dict[Value, Value] = {}
        self.changed = False

    def region(self, region: Region) -> None:
        learnt: list[Value] = []
        ops: list[Op] = []
        ops.append(self.fill(region.ops, ops, learnt))
        region.ops = ops
        for condition in learnt:
            del self.known[condition]

    def fill(self, source: list[Op], ops: list[Op], learnt: list[Value]) -> Op:
        """Append the folded ops of a region; gives the terminator that control comes to, not appended."""
        for op in source:
            substitute(op, self.mapping)
            if op.name in TERMINATORS:
                return op
            leaving = self.op(op, ops, learnt)
            if leaving is not None:
                self.changed |= op is not source[-2] or leaving.name != source[-1].name
                return leaving
        raise AssertionError("a region without terminator")

    def op(self, op: Op, ops: list[Op], learnt: list[Value]) -> Op | None:
        """Append one op, folded. Gives the terminator behind which control does not get, if it meets one."""
        if op.name in PRIMITIVES:
            self.primitive(op)
        elif op.name == "if":
            if op.args[0] in self.known and not op.attrs.get("ways"):  # those are `ad`'s to decide
                return self.decided(op, ops, learnt)
            return self.undecided(op, ops, learnt)
        elif op.name == "for":
            trips = self.trips(op)
            if trips is not None and trips <= 1:
                return self.dissolved(op, trips, ops, learnt)
            self.region(op.regions[0])
        elif op.name == "check" and self.known.get(op.args[0]) is True:
            self.changed = True
            return None
        else:
            for region in op.regions:
                self.region(region)
        ops.append(op)
        return None

    def primitive(self, op: Op) -> None:
        if not all(a in self.known for a in op.args):
            return
        value = evaluate(op.name, [a.type for a in op.args], [self.known[a] for a in op.args])
        op.name, op.args, op.attrs = "const", [], {"value": value}
        self.known[op.result] = value
        self.changed = True

    # -- conditions
    def decided(self, op: Op, ops: list[Op], learnt: list[Value]) -> Op | None:
        self.changed = True
        arm = op.regions[0 if self.known[op.args[0]] else 1]
        end = self.fill(arm.ops, ops, learnt)
        if end.name != "yield":
            return end
        self.mapping.update(zip(op.results, end.args, strict=True))
        return None

    def undecided(self, op: Op, ops: list[Op], learnt: list[Value]) -> Op | None:
        """Inside an arm the condition is known; behind the `if`, too, where the other arm leaves."""
        condition = op.args[0]
        for region, holds in zip(op.regions, (True, False), strict=True):
            self.known[condition] = holds
            self.region(region)
            del self.known[condition]
        ops.append(op)
        yielding = [r.terminator.name == "yield" for r in op.regions]
        if not any(yielding):
            return Op("unreachable", span=op.span)
        if not all(yielding):
            self.known[condition] = yielding[0]
            learnt.append(condition)
        return None

    # -- loops
    def dissolved(self, op: Op, trips: int, ops: list[Op], learnt: list[Value]) -> Op | None:
        """Put the one iteration of a `for`, or none, in its place."""
        self.changed = True
        values = op.args[3:]
        if trips:
            (body,) = op.regions
            self.mapping.update(zip(body.params, [op.args[0], *values], strict=True))
            end = self.fill(body.ops, ops, learnt)
            if end.name != "next":
                return end
            values = end.args
        self.mapping.update(zip(op.results, values, strict=True))
        return None

    def trips(self, op: Op) -> int | None:
        """How often a `for` runs, where that is known."""
        low, high, step = op.args[:3]
        if low is high:
            return 1
        if not all(v in self.known for v in (low, high, step)):
            return None
        lo, hi, by = (int(self.known[v]) for v in (low, high, step))
        return max(0, (hi - lo) // by + 1) if by else None
