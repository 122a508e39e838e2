"""Memory of which a loop is the first to do something, adding or storing once to places side by side, is not zeroed.

    %m = new %n; for %i = %lo, %hi, %1 { …; acc %m[%i], %a; next }

becomes a `blank` memory, to which the loop stores what it added to zero, after the places before and behind are zeroed
(where the loop runs: often these are none, or one, as can be seen then):

    %m = new %n {blank=True}; if %lo <= %hi { for %k = 0, %lo - 1, 1 { store %m[%k], 0.0 … }; … } else { … all … }
    for %i = %lo, %hi, %1 { …; %b = add %a, 0.0; store %m[%i], %b; next }

Where the loop does not run all places are before. So a shadow is written once, not zeroed, read, and written. The loop
mentions the memory once, unconditionally, for whole records; nothing refers to the memory before, so it has no other
name. Loops in the arms of an `if` do as well, each the first in its arm; other arms zero. Each place is one of the
memory, and they are different and side by side, since one differs from the next by one; a loop that will fail a check
may have others, so what is zeroed before it is cut to the memory.
Exact in value: what is not negative zero stays what it is when zero is added, as it was. Runs after `carry`, which puts
what comes to a place in several iterations together. No derivative is taken afterwards.
"""

from __future__ import annotations

from dsl.analysis.places import line
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import Builder, known
from dsl.passes.common import for_counter, mentioned
from dsl.records import dataclass
from dsl.types import I64, Mem


def fresh(fn: Function) -> bool:
    """Apply to a function."""
    return _region(fn.body)


def _region(region: Region) -> bool:
    changed = False
    waiting: dict[Value, Op] = {}
    found: list[tuple[Op, list[_Use]]] = []
    for op in region.ops:
        for inner in op.regions:
            changed |= _region(inner)
        if op.name != "len":
            for m in [m for m in mentioned(op) if m in waiting]:
                made = waiting.pop(m)
                uses = _uses(region, op, m)
                if uses is not None:
                    found.append((made, uses))
        if op.name == "new" and not op.attrs.get("blank"):
            waiting[op.result] = op
    for made, uses in found:
        for use in uses:
            use.apply(made)
        made.attrs["blank"] = True
    return changed or bool(found)


@dataclass(frozen=True)
class _Use:
    """The loop of a region that is the first to do something with a memory, by one op; none where the memory has to be
    zeroed when the region begins."""

    region: Region
    loop: Op | None = None
    op: Op | None = None

    def apply(self, made: Op) -> None:
        if self.loop is None or self.op is None:
            b = Builder(Region(), made.span)
            _zero(made.result, b.i64(0), made.args[0], b)
            self.region.ops[:0] = b.region.ops
        else:
            at = self.region.ops.index(self.loop)
            self.region.ops[at:at] = _rest(self.loop, self.op, made)
            _store(self.loop.regions[0], self.op)


def _uses(region: Region, op: Op, m: Value) -> list[_Use] | None:
    """How a memory is first used on every way through an op of a region that mentions it; None where there is no loop
    that could be the first."""
    if op.name == "for":
        first = _first(op, m)
        return None if first is None else [_Use(region, op, first)]
    if op.name != "if":
        return None
    found: list[_Use] = []
    for arm in op.regions:
        inner = next((o for o in arm.ops if o.name != "len" and m in mentioned(o)), None)
        found += (inner and _uses(arm, inner, m)) or [_Use(arm)]
    return found if any(use.loop is not None for use in found) else None


def _first(loop: Op, m: Value) -> Op | None:
    """The op of a loop that puts something once to each of several places side by side, and is all that it does."""
    if loop.name != "for" or m in loop.args or known(loop.args[2]) not in (1, -1):
        return None
    uses = [op for op in loop.regions[0].walk() if m in op.args]
    if len(uses) != 1 or uses[0] not in loop.regions[0].ops or uses[0].name not in ("acc", "store"):
        return None
    (op,) = uses
    assert isinstance(m.type, Mem)
    if m in op.args[1:] or len(op.args) - 2 != len(m.type.fields):
        return None
    found = line(op.args[1], loop)
    return op if found is not None and found[0] in (1, -1) else None


def _rest(loop: Op, first: Op, made: Op) -> list[Op]:
    """What zeroes the places that the loop does not come to."""
    before = Region()
    b = Builder(before, loop.span)
    low, high, step = loop.args[:3]
    found = line(first.args[1], loop)
    assert found is not None
    upwards = (known(step) == 1) == (found[0] == 1)
    ends = [for_counter(first.args[1], loop, counter, b) for counter in (low, high)]
    least, most = ends if upwards else reversed(ends)
    ran = b.prim("le" if known(step) == 1 else "ge", low, high)
    m, (size,) = first.args[0], made.args
    arms = [Region(), Region()]
    some, all_ = (Builder(arm, loop.span) for arm in arms)
    _zero(m, some.i64(0), some.prim("min", least, size), some)
    _zero(m, some.prim("max", some.prim("add", most, some.i64(1)), some.i64(0)), size, some)
    _zero(m, all_.i64(0), size, all_)
    for arm in (some, all_):
        arm.yield_()
    b.op("if", (ran,), (), arms)
    return before.ops


def _zero(m: Value, start: Value, stop: Value, b: Builder) -> None:
    """Zero the records of a memory from one place to before another."""
    assert isinstance(m.type, Mem)
    region = Region([I64])
    inner = Builder(region, b.span)
    inner.op("store", (m, region.params[0], *map(inner.zero, m.type.fields)), first=0)
    inner.next_()
    b.op("for", (start, b.prim("sub", stop, b.i64(1)), b.i64(1)), (), [region])


def _store(body: Region, op: Op) -> None:
    """Let an accumulation to zero be a store."""
    if op.name == "store":
        return
    sums = Region()
    b = Builder(sums, op.span)
    op.args[2:] = [b.prim("add", v, b.zero(v.type)) for v in op.args[2:]]
    op.name = "store"
    at = body.ops.index(op)
    body.ops[at:at] = sums.ops
