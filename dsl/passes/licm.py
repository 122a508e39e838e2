"""Loop-invariant motion: what is the same in every iteration is computed once, before the loop."""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES
from dsl.passes.common import is_pure
from dsl.types import I64


def licm(fn: Function, exact: bool) -> bool:
    """Move pure scalar ops whose operands come from outside a loop before it, though never out of an arm.
    `exact`: only where that changes no derivative. (An op that is done although its loop runs no iteration passes on a
    zero cotangent, which times an infinite derivative is NaN; so what may have one must be done anyway.)"""
    mover = _Mover(exact)
    mover.define(fn.params)
    mover.region(fn.body, 0, 0)
    return mover.changed


def _is_finite(op: Op) -> bool:
    """Whether no partial derivative of an op is infinite or NaN, whatever the operands."""
    numbers = all(v.type == I64 for v in (op.result, *op.args)) and op.name == "mul"
    return numbers or op.name in ("add", "sub", "neg") or all(d is None for d in PRIMITIVES[op.name].derivative)


class _Mover:
    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self.level: dict[Value, int] = {}  # how many loops are around the definition, where there are some
        self.before: list[list[Op]] = []  # for each loop around, what moves before it
        self.changed = False

    def define(self, values: list[Value]) -> None:
        if self.before:
            for value in values:
                self.level[value] = len(self.before)

    def region(self, region: Region, arm: int, certain: int) -> None:
        """`arm`: how many loops are around the innermost arm; `certain`: out of which loops, from the innermost to
        this number, an op here may go since their first iteration surely comes to it."""
        here = len(self.before)
        kept: list[Op] = []
        for op in region.ops:
            if op.regions:
                kept += self.control(op, arm, certain)
                certain = here  # an exit in there may have been taken
            elif here:
                self.place(op, kept, arm, certain)
            else:
                kept.append(op)
        region.ops = kept

    def control(self, op: Op, arm: int, certain: int) -> list[Op]:
        """The op, with what moves before it."""
        here = len(self.before)
        if op.name == "if":
            for inner in op.regions:
                self.region(inner, here, here)
            self.define(op.results)
            return [op]
        self.before.append([])
        for inner in op.regions:
            self.define(inner.params)
            self.region(inner, arm, certain if op.name == "loop" else here + 1)
        moved = self.before.pop()
        self.define(op.results)
        return [*moved, op]

    def place(self, op: Op, kept: list[Op], arm: int, certain: int) -> None:
        here = len(self.before)
        level = here
        if is_pure(op) and op.name in PRIMITIVES:
            level = max(arm, *(self.level.get(a, 0) for a in op.args))
            if self.exact and not _is_finite(op):
                level = max(level, certain)
        if level < here:
            self.before[level].append(op)
            self.changed = True
        else:
            kept.append(op)
        for value in op.results:
            self.level[value] = level
