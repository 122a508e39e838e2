"""What memory the records of a plan keep alive: one array an iteration for each reference that is kept, where the
iterations make it.

An array that loops carry is kept through the parameter that carries it, and made by the op whose memory a `next` hands
on. So each reference is followed back to its *makers*, ops that make the very memory; only makers inside the construct
whose record has the reference count, since other memory is there anyway. Two references with the same makers are one
array, an iteration apart at most. An array is counted where it is kept innermost.

Not counted: what memory with references leads to, records of callees, and what is left behind where vectors grow (at
most three times what they hold).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

from dsl.ad.decide import known_trips
from dsl.ad.kernels import BILINEAR, numbers_of
from dsl.ir.core import Op, Value
from dsl.ops import known
from dsl.records import dataclass
from dsl.types import Mem, is_ref

if TYPE_CHECKING:
    from dsl.ad.plan import Construct, Key, Plan

HEADER = 32  # bytes that say where a memory's records are and how many


@dataclass(frozen=True)
class Held:
    """An array that records keep, one an iteration of their construct. `count`: how many elements, None if that is not
    known before; `type` says what they are."""

    type: Mem
    count: int | None


def held(plan: Plan) -> dict[Construct, dict[Key, Held]]:
    """For each construct the arrays, by the first reference to each in its record."""
    found: dict[Construct, dict[Key, Held]] = {}
    counted: set[tuple[str, Op]] = set()
    for construct in reversed(plan.constructs):
        mine = found[construct] = {}
        for key in construct.fields:
            type = plan.key_type(key)
            makers = [m for m in _makers(plan, key) if plan.encloses(construct, plan.owner[m])]
            if isinstance(type, Mem) and not counted.issuperset((key[0], m) for m in makers):
                counted |= {(key[0], m) for m in makers}
                counts = {_count(plan, key, m) for m in makers}
                mine[key] = Held(type, counts.pop() if len(counts) == 1 else None)
    return found


def _makers(plan: Plan, key: Key) -> Iterator[Op]:
    """The ops that make the memory which something that is kept refers to."""
    kind, what = key
    if kind == "contents":
        yield what[0]
    elif kind == "copy":
        yield what
    elif kind == "capture" and isinstance(what[1], int):
        op, i = what
        rule = plan.rule_of(op)
        if rule is not None and plan.settled.fresh(rule.forward, len(op.results) + i):
            yield op
    elif isinstance(what, Value) and is_ref(what.type):
        work, seen = [what], {what}
        while work:
            v = work.pop()
            maker = plan.settled.maker(v)
            if maker is not None:
                yield maker
                continue
            new = [s for s in _sources(plan, v) if s not in seen]
            seen.update(new)
            work += new


def _sources(plan: Plan, v: Value) -> Sequence[Value]:
    """The values that one which control flow gives may be."""
    op = v.owner
    if not isinstance(op, Op):
        construct = plan.of_region.get(op)
        if construct is None or construct.op is None:
            return ()
        first, skipped = (3, 1) if construct.op.name == "for" else (0, 0)
        k = construct.region.params.index(v) - skipped
        return [construct.op.args[first + k], *(e.args[k] for e in construct.nexts)] if k >= 0 else ()
    k = op.results.index(v)
    match op.name:
        case "if":
            return [r.terminator.args[k] for r in op.regions if r.terminator.name == "yield"]
        case "for":
            return [op.args[3 + k], *(e.args[k] for e in plan.loop[op].nexts)]
        case "loop":
            return [e.args[k] for e in plan.loop[op].breaks]
        case "select":
            return op.args[1:]
    return ()


def _count(plan: Plan, key: Key, maker: Op) -> int | None:
    """How many elements the memory has that an op makes for what is kept."""
    kind, what = key
    if kind == "contents":
        op, k = what
        if op.name == "call":
            return None
        numbers = numbers_of(op)
        sizes = [known(numbers[name]) for name in BILINEAR[op.attrs["kernel"]].factors[k].counts]
    elif kind == "copy":
        reading = plan.decisions.reading(what)
        assert reading is not None
        sizes = [known_trips(c.op) for c in reading.loops if c.op is not None]
    elif maker.name == "new" and not plan.activity.flow.cell(maker.result).resized:
        sizes = [known(maker.args[0])]
    else:
        return None
    return None if None in sizes else prod(int(n or 0) for n in sizes)


__all__ = ["HEADER", "Held", "held"]
