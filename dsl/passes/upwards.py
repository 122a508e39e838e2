"""Counted loops that count down, as reverse sweeps do, count up where nobody can tell.

    for %i = %n, %0, -1 { … }      becomes      for %i = %0, %n, 1 { … }

Memory is read from its beginning to its end then, as processors expect it, and vectors need not be turned around, each
time that one is loaded or stored; but a loop without a loop in it goes the way of the loop around, where that goes
through memory row by row. The loop, which may have counted loops in it, does not fail, and carries nothing but
sums without an order (`passes.contract`). Its iterations do not wait for each other: memory that it stores to it only
stores to and loads from at one place, another one in each iteration; memory that it adds to it only adds to (cotangents
have no order in which they add up). What is written is certainly different memory from all else that is read or
written. Runs after differentiation.
"""

from __future__ import annotations

from itertools import islice

from dsl.analysis.places import affine, difference, distinct, line, polynomial
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES, Builder, known
from dsl.passes.names import Names
from dsl.passes.spread import loose_sums
from dsl.passes.uniform import nested

MOST_OPS = 150

_ACCESS = frozenset({"load", "store", "acc"})
_ALLOWED = _ACCESS | {"const", "len", "for", "next"}


def upwards(fn: Function) -> bool:
    """Apply to a function."""
    if not any(op.name == "for" and known(op.args[2]) == -1 for op in fn.body.walk()):
        return False
    return _region(fn.body, Names(fn))


def _region(region: Region, names: Names, around: Op | None = None) -> bool:
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        downwards = op.name == "for" and known(op.args[2]) == -1
        if downwards and not (around and _is_next_row(op, around)) and _may_turn(op, names):
            b = Builder(Region(), op.span)
            op.args[:3] = [op.args[1], op.args[0], b.i64(1)]
            ops += b.region.ops
            changed = True
        ops.append(op)
        for inner in op.regions:
            changed |= _region(inner, names, op if op.name == "for" and known(op.args[2]) == -1 else None)
    region.ops[:] = ops
    return changed


def _is_next_row(loop: Op, around: Op) -> bool:
    """Whether a loop without a loop in it goes on in memory where the iteration before of one around it, which counts
    down, has ended."""
    (body,) = loop.regions
    counters = (around.regions[0].params[0], body.params[0])
    places = [affine(op.args[1], (around, loop)) for op in body.ops if op.name in _ACCESS]
    return any(form is None or all(form.get(c) for c in counters) for form in places)


def _may_turn(loop: Op, names: Names) -> bool:
    (body,) = loop.regions
    inside = list(islice(body.walk(), MOST_OPS + 1))
    if loop.attrs or len(inside) > MOST_OPS or not all(map(_is_understood, inside)) or not _carries_sums(loop):
        return False
    accesses: dict[Value, list[tuple[Op, tuple[Op, ...]]]] = {}
    for op, loops in nested(body, (loop,)):
        if op.name in _ACCESS:
            accesses.setdefault(op.args[0], []).append((op, loops))
    done = {m: {op.name for op, _ in found} for m, found in accesses.items()}
    written = [m for m in done if done[m] != {"load"}]
    defined = {r for op in inside for r in op.results}
    return (
        defined.isdisjoint(accesses)
        and all(done[m] == {"acc"} or _one_place(accesses[m]) for m in written)
        and all(
            x is m or x.type != m.type or done[m] == done[x] == {"acc"} or names.differ(m, x)
            for m in written
            for x in accesses
        )
    )


def _is_understood(op: Op) -> bool:
    return op.name in _ALLOWED or op.name in PRIMITIVES


def _carries_sums(loop: Op) -> bool:
    """Whether all that a nest carries is added up, an inner loop going on where the iteration is."""
    (body,) = loop.regions
    return len(loose_sums(body)) == len(body.params) - 1 and all(
        _carries_sums(op) for op in body.ops if op.name == "for"
    )


def _one_place(accesses: list[tuple[Op, tuple[Op, ...]]]) -> bool:
    """Whether loads and stores are at one place in an iteration of the loops that they are in, and at another one in
    each."""
    first, loops = accesses[0]
    place = polynomial(first.args[1])
    if not all(op.name != "acc" and around == loops and difference(polynomial(op.args[1]), place) == 0
               for op, around in accesses):  # fmt: skip
        return False
    if distinct(first.args[1], loops):
        return True
    found = line(first.args[1], loops[0]) if len(loops) == 1 else None
    return found is not None and found[0] != 0
