"""Memory that each iteration of a loop fills before it reads it is made in the iteration.

    %m = new %n; for … { for %j = 0, %n - 1, 1 { …; store %m[%j], … }; … load %m[…] … }

becomes a loop with the `new` in it, where nothing else knows the memory: no iteration can tell what one before left
there. So the iterations do not wait for each other, and what differentiates sees that neither do their derivatives.
Exact in value and derivative: all that is there, cotangents included, is overwritten in each iteration. That memory is
not made again and again is seen to at the end (`passes.outside`).
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value
from dsl.passes.blank import fills, mentioned

_STAYS = frozenset({"blank", "tape", "local"})


def localise(fn: Function) -> bool:
    """Apply to a function."""
    return _region(fn.body)


def _region(region: Region) -> bool:
    changed = False
    for made in [op for op in region.ops if op.name == "new" and not _STAYS.intersection(op.attrs)]:
        loop = _home(region, made)
        if loop is not None:
            made.attrs["local"] = True
            region.ops.remove(made)
            loop.regions[0].ops.insert(0, made)
            changed = True
    for op in region.ops:
        for inner in op.regions:
            changed |= _region(inner)
    return changed


def _home(region: Region, made: Op) -> Op | None:
    """The outermost loop in whose iterations a memory may be made: one that mentions it alone, and does so in a loop
    whose iterations begin with filling it, if not in its own."""
    m, outermost = made.result, None
    while True:
        users = [op for op in region.ops if m in mentioned(op)]
        if len(users) != 1 or users[0].name not in ("for", "loop") or m in users[0].args:
            return None
        (loop,) = users
        outermost = outermost or loop
        if _begins(loop, m, made):
            return outermost
        (region,) = loop.regions


def _begins(loop: Op, m: Value, made: Op) -> bool:
    """Whether an iteration of a loop fills a memory before it does anything else with it, and tells nobody of it."""
    (body,) = loop.regions
    users = [op for op in body.walk() if m in op.args]
    if any(op.name not in ("load", "store", "len") or m in op.args[1:] for op in users):
        return False
    first = next(op for op in body.ops if op.name != "len" and m in mentioned(op))
    return fills(first, m, made)
