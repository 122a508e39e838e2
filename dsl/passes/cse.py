"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES
from dsl.passes.common import is_pure, substitute
from dsl.passes.contract import FREE, LOOSE


def cse(fn: Function) -> bool:
    """Share pure ops with equal operands where the first is visible; pure ops without operands move to the top.
    Guarantees the same values and the same derivatives (a value is only replaced by itself)."""
    sharer = _Sharer()
    before = fn.body.ops
    sharer.region(fn.body)
    moved = sharer.top + fn.body.ops
    fn.body.ops = moved
    return sharer.changed or any(a is not b for a, b in zip(before, moved, strict=False))


_COMMUTATIVE = frozenset(name for name, primitive in PRIMITIVES.items() if primitive.commutative)


class _Sharer:
    def __init__(self) -> None:
        self.known: dict[object, list[Value]] = {}
        self.mapping: dict[Value, Value] = {}
        self.top: list[Op] = []
        self.changed = False

    def region(self, region: Region) -> None:
        local: list[object] = []  # what is known only in this region
        kept: list[Op] = []
        for op in region.ops:
            substitute(op, self.mapping)
            if not self.share(op, local):
                kept.append(op)
                for inner in op.regions:
                    self.region(inner)
        for key in local:
            del self.known[key]
        region.ops = kept

    def share(self, op: Op, local: list[object]) -> bool:
        """Whether the op need not stay where it is."""
        if op.regions or not is_pure(op):
            return False
        key = _key(op)
        if key in self.known:
            for own, shared in zip(op.results, self.known[key], strict=True):
                self.mapping[own] = shared
                if isinstance(shared.owner, Op) and shared.owner.attrs:
                    for mark in (FREE, LOOSE):
                        if mark not in op.attrs:  # one of the two is decided already (`passes.contract`)
                            shared.owner.attrs.pop(mark, None)
            self.changed = True
            return True
        self.known[key] = op.results
        if op.args:
            local.append(key)
            return False
        self.top.append(op)
        return True


def _key(op: Op) -> object:
    """Equal for ops that give the same values. Constants are told apart by their text: 0.0 is not -0.0."""
    args = op.args
    if op.name in _COMMUTATIVE and id(args[0]) > id(args[1]):
        args = [args[1], args[0], *args[2:]]
    if op.name in PRIMITIVES:  # whose results have the types that their operands say
        return op.name, *args
    attrs = tuple((k, repr(v)) for k, v in sorted(op.attrs.items())) if op.attrs else ()
    return op.name, tuple(args), tuple([r.type for r in op.results]), attrs
