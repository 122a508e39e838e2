"""Inner loops of a block of iterations (`passes.lockstep`) whose vectors lie along their own counter.

    for %j = … { %a = load %x[%p + %j]; %d = mul %a, %z; acc %g[%j], %d }

with %p and %z of the iteration around: neighbours in %x and %g are neighbours in %j, whereas side by side the lanes
would read %x far apart, and have to be added up for each place of %g. Such a loop is *jammed*: it stays outside, and
what it does is done for one lane after the other.

    for %j = … { for (lanes) { …; acc %g[%j], %d } }

So each place of %g is read and written once a block, by a vector of places; the lanes add to it in the order of the
iterations. That may be done where a loop
- has no loop, arm or late check in it, and carries nothing;
- accesses no memory of the iteration's own but to read what is the same in all of them;
- stores and adds to places that move by one with its counter, and reads such or one that stays.
So its iterations do not wait for each other either, and it counts upwards, which is the way of vectors.
"""

from __future__ import annotations

from dsl.analysis.places import line
from dsl.ir.core import Op
from dsl.ops import PRIMITIVES, known
from dsl.passes.uniform import ACCESS, Shape
from dsl.types import Mem

_QUIET = frozenset({"const", "len", "next"})


def jammed(shape: Shape) -> set[Op]:
    """The loops in the body of a shape that are to be jammed."""
    return {op for op in shape.body.walk() if op.name == "for" and _is_jammed(op, shape)}


def _is_jammed(loop: Op, shape: Shape) -> bool:
    return (
        known(loop.args[2]) in (1, -1)
        and len(loop.args) == 3
        and all(op.name in PRIMITIVES or op.name in _QUIET or _is_along(op, loop, shape) for op in loop.regions[0].ops)
    )


def _is_along(op: Op, loop: Op, shape: Shape) -> bool:
    """Whether an op is an access at neighbouring places, or a check that has been looked at."""
    if op.name == "check":
        return shape.is_foreseen(op)
    if op.name not in ACCESS:
        return False
    memory = op.args[0]
    if memory in shape.own and (op.name != "load" or memory in shape.varying):
        return False
    assert isinstance(memory.type, Mem)
    at = line(op.args[1], loop)
    return at is not None and ((abs(at[0]) == 1 and len(memory.type.fields) == 1) or (at[0] == 0 and op.name == "load"))
