"""Memory that is overwritten entirely before it is read is not zeroed when it is made.

A `new` is `blank` where the first thing that its region does with it, the length aside, is a nest of `for` that stores
each record once, at places 0 … n-1 (`analysis.places`), and does no more with it. Nothing refers to the memory before,
so it has no other name by then. A nest of several loops counts only where lowering has said that it is one over sizes
that are not negative (`filled`): else all of them could be, and the product of two such sizes is not.

Exact in value. Runs late: to what differentiates, memory begins as zero.
"""

from __future__ import annotations

from dsl.analysis.places import polynomial, reached
from dsl.ir.core import Function, Op, Region, Value
from dsl.passes.common import mentioned
from dsl.types import Mem

_OVERWRITTEN = frozenset({"tape", "local"})  # attributes of memory of which that is known


def blank(fn: Function) -> bool:
    """Apply to a function."""
    return _region(fn.body)


def _region(region: Region) -> bool:
    changed = False
    waiting: dict[Value, Op] = {}
    for op in region.ops:
        for r in op.regions:
            changed |= _region(r)
        if waiting and op.name != "len":
            for m in [m for m in mentioned(op) if m in waiting]:
                made = waiting.pop(m)
                if fills(op, m, made):
                    made.attrs["blank"] = changed = True
        if op.name == "new" and _OVERWRITTEN.intersection(op.attrs):
            op.attrs["blank"] = changed = True
        elif op.name == "new" and "blank" not in op.attrs:
            waiting[op.result] = op
    return changed


def fills(nest: Op, m: Value, made: Op) -> bool:
    """Whether an op overwrites all of a memory, without reading it."""
    loops: list[Op] = []
    at = nest
    while at.name == "for" and m not in at.args:  # into the nest, as long as it is one loop in another
        loops.append(at)
        uses = [op for op in at.regions[0].ops if m in mentioned(op)]
        if len(uses) != 1:
            return False
        (at,) = uses
    if at.name != "store" or not (len(loops) == 1 or (loops and made.attrs.get("filled"))):
        return False
    assert isinstance(m.type, Mem)
    whole = at.args[0] is m and m not in at.args[1:] and len(at.args) - 2 == len(m.type.fields)
    return whole and reached(at.args[1], loops) == polynomial(made.args[0])
