"""Memory that each iteration of a loop fills before it reads it is made in the iteration.

    %m = new %n; for … { for %j = 0, %n - 1, 1 { …; store %m[%j], … }; … load %m[…] … }

becomes a loop with the `new` in it, where nothing else knows the memory: no iteration can tell what one before left
there. So the iterations do not wait for each other, and what differentiates sees that neither do their derivatives.
Exact in value and derivative: all that is there, cotangents included, is overwritten in each iteration. That memory is
not made again and again is seen to at the end (`passes.outside`).
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value
from dsl.passes.blank import fills
from dsl.passes.common import Mentions

_STAYS = frozenset({"blank", "tape", "local"})


def localise(fn: Function) -> bool:
    """Apply to a function."""
    made = {op.result for op in fn.body.walk() if op.name == "new" and not _STAYS.intersection(op.attrs)}
    return bool(made) and _region(fn.body, Mentions(made))


def _region(region: Region, users: Mentions) -> bool:
    changed = False
    for made in [op for op in region.ops if op.name == "new" and not _STAYS.intersection(op.attrs)]:
        loop = _home(region, made, users)
        if loop is not None:
            made.attrs["local"] = True
            region.ops.remove(made)
            loop.regions[0].ops.insert(0, made)
            changed = True
    for op in region.ops:
        for inner in op.regions:
            changed |= _region(inner, users)
    return changed


def _home(region: Region, made: Op, users: Mentions) -> Op | None:
    """The outermost loop in whose iterations a memory may be made: one that mentions it alone, and does so in a loop
    whose iterations begin with filling it, if not in its own."""
    m, outermost = made.result, None
    while True:
        found = users.of(region, m)
        if len(found) != 1 or found[0].name not in ("for", "loop") or m in found[0].args:
            return None
        (loop,) = found
        outermost = outermost or loop
        if _begins(loop, m, made, users):
            return outermost
        (region,) = loop.regions


def _begins(loop: Op, m: Value, made: Op, users: Mentions) -> bool:
    """Whether an iteration of a loop fills a memory before it does anything else with it, and tells nobody of it."""
    first = next((op for op in users.of(loop.regions[0], m) if op.name != "len"), None)
    if first is None or not fills(first, m, made):
        return False
    uses = [op for op in loop.regions[0].walk() if m in op.args]
    return all(op.name in ("load", "store", "len") and m not in op.args[1:] for op in uses)
