"""Loops over the same places, one of which reads what the other has just stored, become one loop.

    %m = new %n; for %i = %lo, %hi, %1 { …; store %m[%i], %a; next }
    for %k = %lo, %hi, %1 (%s = …) { …; %b = load %m[%k]; …; next %t }

becomes `for %i = … (%s = …) { …; store %m[%i], %a; … %a in the place of %b …; next %t }`, and the memory is gone where
nothing else reads it (`passes.dce`). So an array that a broadcast makes to be summed is never there, nor is its
shadow, and the loop can be differentiated together with its reverse.

An iteration of the second loop then comes before later ones of the first, which nothing can tell: each loop writes
only memory that nobody else knows yet (made in the region, and not mentioned before), the second one nothing that the
first mentions, and it reads what the first has written only at the place that the iteration has just stored. At most
one of them can fail. What lies between the two is done before both: it has no effect, and fails only where the first
loop cannot. Exact in value and derivative.
"""

from __future__ import annotations

from collections.abc import Iterable

from dsl.ir.core import Function, Op, Region, Value
from dsl.passes.common import info, mentioned, substitute
from dsl.types import Mem, is_ref

MOST_OPS = 400  # of a loop that has been made of two


def merge(fn: Function) -> bool:
    """Apply to a function."""
    return _region(fn.body)


def _region(region: Region) -> bool:
    changed = False
    for op in region.ops:
        for inner in op.regions:
            changed |= _region(inner)
    place = 0
    while place < len(region.ops):
        first = _partner(region, place) if region.ops[place].name == "for" else None
        if first is None:
            place += 1
        else:  # the loop is shorter by one op now, and may have another partner
            _merge(region, first, place)
            place -= 1
            changed = True
    return changed


def _partner(region: Region, place: int) -> int | None:
    """Where the loop is that the one at a place can be merged into; none if there is no such loop."""
    second = region.ops[place]
    loads = (op.args[0] for op in second.regions[0].walk() if op.name == "load")
    read = {m for m in loads if isinstance(m.owner, Op) and m.owner.name == "new"}
    for at in range(place - 1, -1, -1) if read else ():
        first = region.ops[at]
        if not read.isdisjoint(mentioned(first)) and first.name == "for":
            return at if _can_be_merged(region, at, place) else None
    return None


def _can_be_merged(region: Region, at: int, place: int) -> bool:
    first, second = region.ops[at], region.ops[place]
    if first.args[:3] != second.args[:3] or first.attrs != second.attrs:
        return False
    inside, later = list(first.regions[0].walk()), list(second.regions[0].walk())
    if len(inside) + len(later) > MOST_OPS or not all(map(_is_tame, inside + later)):
        return False
    fails, fails_later = (any(op.name == "check" for op in ops) for ops in (inside, later))
    results, stored, written = set(first.results), _written(inside), _written(later)
    if (fails and fails_later) or not results.isdisjoint(mentioned(second)):
        return False
    if not _are_new(region, at, stored) or not _are_new(region, place, written):
        return False
    return _only_here(first, second, stored) and all(
        _goes_before(op, fails, results, stored) for op in region.ops[at + 1 : place]
    )


def _is_tame(op: Op) -> bool:
    """Nothing happens but loads, stores of numbers and checks."""
    i = info(op)
    if op.name == "store" and any(is_ref(a.type) for a in op.args[1:]):
        return False
    plain = op.name in ("load", "store", "acc", "len", "check", "if", "for", "yield", "next")
    return plain or not (i.reads or i.writes or i.makes or i.raises or i.effect or op.regions)


def _written(ops: Iterable[Op]) -> set[Value]:
    return {op.args[0] for op in ops if op.name in ("store", "acc")}


def _are_new(region: Region, place: int, memories: set[Value]) -> bool:
    """Whether memories are made in a region before a place, and not mentioned between, lengths aside."""
    for m in memories:
        made = m.owner
        if not isinstance(made, Op) or made.name != "new" or made not in region.ops[:place]:
            return False
        since = region.ops[region.ops.index(made) + 1 : place]
        if any(m in mentioned(op) for op in since if op.name != "len"):
            return False
    return True


def _only_here(first: Op, second: Op, stored: set[Value]) -> bool:
    """Whether the second loop reads what the first has written only where the same iteration has just stored it."""
    body, (counter, *_) = second.regions[0], second.regions[0].params
    for op in body.walk():
        for k, m in enumerate(op.args):
            if m in stored and op.name != "len":
                here = op.name == "load" and k == 0 and op.args[1] is counter
                if not here or _stores(first, m) is None:
                    return False
    return True


def _stores(loop: Op, m: Value) -> Op | None:
    """The one op of a loop that mentions a memory, where it stores a whole record at the loop's count."""
    (body,) = loop.regions
    uses = [op for op in body.walk() if m in op.args]
    if len(uses) != 1 or uses[0].name != "store" or uses[0] not in body.ops:
        return None
    (op,) = uses
    assert isinstance(m.type, Mem)
    whole = op.args[0] is m and m not in op.args[1:] and len(op.args) - 2 == len(m.type.fields)
    return op if whole and op.args[1] is body.params[0] else None


def _goes_before(op: Op, fails: bool, results: set[Value], stored: set[Value]) -> bool:
    """Whether an op between the loops may be done before both: what the first one gives and has stored is not there."""
    i = info(op)
    quiet = op.name in ("new", "len", "load") or not (i.reads or i.writes or i.raises or i.effect)
    if op.regions or not (quiet or (op.name == "check" and not fails)):
        return False
    return results.isdisjoint(op.args) and (op.name == "len" or stored.isdisjoint(op.args))


def _merge(region: Region, at: int, place: int) -> None:
    first, second = region.ops[at], region.ops[place]
    (body,), (more,) = first.regions, second.regions
    counter, *carried = more.params
    ends = [body.ops.pop(), more.ops.pop()]
    mapping = {counter: body.params[0]}
    _take_over(first, more, counter, mapping)
    for p in carried:
        p.owner = body
    body.params += carried
    body.ops += more.ops
    for end in ends:
        substitute(end, mapping)
    ends[0].args += ends[1].args
    body.ops.append(ends[0])
    second.args[3:3] = first.args[3:]
    for r in first.results:
        r.owner = second
    second.results[:0] = first.results
    second.regions = [body]
    del region.ops[at]


def _take_over(first: Op, more: Region, counter: Value, mapping: dict[Value, Value]) -> None:
    """Put what the first loop has stored in the place of what the second loads, and what `mapping` says."""
    for region in [more, *(r for op in more.walk() for r in op.regions)]:
        kept = []
        for op in region.ops:
            store = _stores(first, op.args[0]) if op.name == "load" and op.args[1] is counter else None
            if store is not None:
                start = 2 + op.attrs.get("first", 0)
                mapping.update(zip(op.results, store.args[start : start + len(op.results)], strict=True))
            else:
                kept.append(op)
        region.ops = kept
    for op in more.walk():
        substitute(op, mapping)
