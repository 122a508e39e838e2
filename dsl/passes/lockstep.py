"""Iterations of an outer loop side by side, so many that each operation is a vector's.

    for %i = %lo, %hi, %1 { …; for %j = … { … load %a[%j] … }; … }

The inner loops of such a nest may be short, add up in an order, or wait for memory, so that LLVM makes no good vector
code of them; where the iterations of the outer loop do not wait for each other (`passes.uniform`), a *block* of W of
them is done at once. Each stretch of the body that has no loop inside becomes a loop over the *lanes* of the block, the
inner loops stay around these; what varies from lane to lane and is needed in another stretch goes through memory, and
own memory of an iteration is there W times, with the lanes side by side. What is uniform is done once a block:

    if (there are W iterations, what is uniform is as the checks want it, memories are different) {
      %c = for (blocks) { …; for{lanes} %l = 0, W - 1, 1 { … }; … }
      where a check has failed: as if no block had been done
    }
    for (the remaining iterations, as they were) { … }

Uniform checks are looked at before the loop (`passes.inspector`), and need not be done again in a block. A check of a
domain is noted by lanes and looked at behind the blocks: where one fails, all iterations are done again as they were,
so that the first failure is what it was. (Nothing else can tell: memory that is read is not written, an error ends the
call, and what later iterations have stored is gone then.) Each number is made of the same operations in the same order;
only accumulations come in another order, which they do not have: those of the lanes at one place are put together by
halves (`treesum`). Exponentials and the like are polynomials in all iterations then, the remaining ones included, so
that no bit depends on the place.
Runs after differentiation.
"""

from __future__ import annotations

from collections.abc import Set
from itertools import islice

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import Builder, known
from dsl.ops.core import IN_LANES
from dsl.passes.common import inner, rewrite
from dsl.passes.inspector import holds
from dsl.passes.jam import jammed
from dsl.passes.lanewise import Block
from dsl.passes.names import Names
from dsl.passes.packs import Packs
from dsl.passes.uniform import Shape, nested
from dsl.types import F32, F64

LANES = 16
LANES_OF_SUMS = 32  # where inner loops add them up: what that costs is the same for both
MOST_OPS = 400  # of the loop
MOST_SLOTS = 64
MOST_RECORDS = 1 << 17  # of own memory, of all lanes: it should stay in the processor's cache


def lockstep(fn: Function) -> bool:
    """Apply to a function. Call it once: the remaining iterations look like what it looks for."""
    names = Names(fn)
    return rewrite(fn.body, lambda op: _blocks(op, names))


def _blocks(loop: Op, names: Names) -> list[Op] | None:
    """The blocks, and the loop for the remaining iterations; None: it stays as it is."""
    if loop.name != "for" or loop.attrs or not any(op.name == "for" for op in loop.regions[0].ops):
        return None
    (body,) = loop.regions
    if sum(1 for _ in islice(body.walk(), MOST_OPS + 1)) > MOST_OPS:
        return None
    shape = Shape(loop)
    if not shape.admissible():
        return None
    jam = jammed(shape)
    packs = Packs.of(shape, jam)
    if not _pays(shape, packs, jam):
        return None
    questions = shape.questions(names)
    if questions is None:
        return None
    before = Region()
    b = Builder(before, loop.span)
    trips = _trips(loop, b)
    arm = Region()
    inside = Builder(arm, loop.span)
    lanes = LANES_OF_SUMS if _sums(shape, jam) else LANES
    block = Block(shape, packs, jam, lanes, trips, inside)
    if len(block.slots) > MOST_SLOTS:
        return None
    good = holds(shape, packs, questions, MOST_RECORDS // lanes, trips, lanes, b)
    if good is None:
        return None
    for op in inner(loop):
        if op.name in IN_LANES:
            op.name = IN_LANES[op.name]
    low, inits = loop.args[0], loop.args[3:]
    inside.yield_(*block.run())
    other = Region()
    Builder(other, loop.span).yield_(low, *inits)
    chosen = b.op("if", (good,), [v.type for v in (low, *inits)], (arm, other))
    loop.args[0], loop.args[3:] = chosen.results[0], chosen.results[1:]
    return [*before.ops, loop]


def _trips(loop: Op, b: Builder) -> Value:
    """The number of iterations; what it is where there are none, or more than can be counted, is not positive."""
    low, high, step = loop.args[:3]
    first, last = (low, high) if known(step) == 1 else (high, low)
    return b.prim("add", b.prim("sub", last, first), b.i64(1))


def _sums(shape: Shape, jam: Set[Op]) -> bool:
    """Whether lanes are added up in inner loops."""
    return any(shape.adds_up(op) and around and jam.isdisjoint(around) for op, around in nested(shape.body, ()))


def _pays(shape: Shape, packs: Packs, jam: Set[Op]) -> bool:
    """Whether lanes are mostly side by side in the inner loops: what is read at places that are not costs an operation
    a lane, as does what is added to memory from outside. Rows cost little, and jammed loops gain little."""
    alike = apart = 0
    for op, around in nested(shape.body, ()):
        weight = 8 ** min(len(around), 4)
        if not around or shape.varying.isdisjoint((*op.args, *op.results)):
            continue
        if op in packs.loads or not jam.isdisjoint(around):
            continue
        elsewhere = op.name in ("load", "store", "acc") and op.args[0] not in shape.own
        if elsewhere:
            apart += weight
        elif op.name in ("load", "store", "acc") or any(r.type in (F64, F32) for r in op.results):
            alike += weight
    return apart * 2 <= alike and (alike > 0 or not jam)
