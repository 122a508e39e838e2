"""What a nest of counted loops reads of memory that changes behind it: a third way beside reading again and saving.

A load is done in every iteration of a nest, but its place depends on some of the counters only: in `A[i] - A[j]` on one
of two. Where the nest leaves the memory alone, all that is read is still there when it ends: it is copied then, once
for each value of those counters, in place of a value saved for each iteration. So a copy is never more than what would
be saved, whatever the memory's size. It is made behind the nest, since only then each place is known to be in bounds.

A nest that stands in the very body of a gradient is left to `fuse`, which keeps nothing at all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.ad.costs import AGAIN
from dsl.ir.core import Op, Value
from dsl.ops import PRIMITIVES, known
from dsl.records import dataclass
from dsl.types import LeafType, Mem, is_ref

if TYPE_CHECKING:
    from dsl.ad.plan import Construct, Plan


@dataclass(frozen=True)
class Reading:
    """A load that the loops of `nest` do in every iteration (the outermost first), at a place that depends on the
    counters of `loops`."""

    load: Op
    nest: tuple[Construct, ...]
    loops: tuple[Construct, ...]

    @property
    def around(self) -> Construct:
        """The construct in which the nest is, which keeps the copy."""
        around = self.nest[0].parent
        assert around is not None
        return around

    @property
    def type(self) -> LeafType:
        """Of the copy: an array, or the value itself where it is the same in all iterations."""
        return Mem(self.fields) if self.loops else self.fields[0]

    @property
    def fields(self) -> tuple[LeafType, ...]:
        return tuple(r.type for r in self.load.results)


def find_reading(plan: Plan, load: Op) -> Reading | None:
    """The largest nest that reads a memory so, if there is one."""
    if any(is_ref(r.type) for r in load.results):
        return None
    best: Reading | None = None
    nest: list[Construct] = []
    inner = load
    while (c := plan.owner[inner]).op is not None and c.op.name == "for" and plan.settled.region_of(inner) is c.region:
        nest.insert(0, c)
        if len(c.exits) != 1 or not _is_left_alone(plan, load, c):
            break
        loops = _loops_of_place(plan, load, nest)
        fewer = loops is not None and len(loops) < len(nest) and (loops or len(load.results) == 1)
        if loops is not None and fewer and all(_is_fixed(plan, inner.op, c) for inner in nest):
            best = Reading(load, tuple(nest), loops)
        inner = c.op
    if best is None or (best.around is plan.root and plan.activity.pattern.in_place):
        return None
    return best


def _is_left_alone(plan: Plan, load: Op, c: Construct) -> bool:
    """Whether the memory is one, and holds the same, while a loop runs."""
    m = load.args[0]
    return not plan.encloses(c, plan.owner[m]) and not plan.settled.written_in(c.region, m)


def _is_fixed(plan: Plan, loop: Op | None, c: Construct) -> bool:
    """Whether the bounds of a loop are known where a loop around it begins."""
    return loop is not None and all(known(v) is not None or not plan.encloses(c, plan.owner[v]) for v in loop.args[:3])


def _loops_of_place(plan: Plan, load: Op, nest: list[Construct]) -> tuple[Construct, ...] | None:
    """The loops on whose counters the place of a load depends; None: it depends on something else in the nest, too."""
    counters = {c.region.params[0]: c for c in nest}
    found: set[Construct] = set()
    seen: set[Value] = set()
    work = [load.args[1]]
    while work:
        v = work.pop()
        if v in seen or known(v) is not None or not plan.encloses(nest[0], plan.owner[v]):
            continue
        seen.add(v)
        if v in counters:
            found.add(counters[v])
        elif isinstance(v.owner, Op) and v.owner.name in PRIMITIVES and v.owner.name in AGAIN:
            work += v.owner.args
        else:
            return None
    return tuple(c for c in nest if c in found)
