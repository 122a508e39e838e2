"""Loops of broadcasts twice: once for arrays of equal sizes, once for any.

Where a dimension may be stretched, a broadcast multiplies its index by a *factor* that is 1, or 0 where the dimension
is: `select %same, 1, 0`. LLVM then sees addresses of unknown strides and gathers elements one by one. So a nest of
loops with such factors becomes an `if`: all of them are 1, and the first arm is the nest with that written in it; the
second is the nest as it was. Exact in value: the same operations in the same order.
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value, clone_op
from dsl.ops import Builder, known, made_by

MOST_OPS = 150  # of a nest: it is there twice afterwards; the nests inside a larger one are looked at by themselves


def versions(fn: Function) -> bool:
    """Apply to a function. Call it once: the second arm of what it makes looks like what it looks for."""
    return _region(fn.body)


def _region(region: Region) -> bool:
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        factors = _factors(op) if op.name == "for" else []
        if factors and _size(op) <= MOST_OPS:
            ops += _twice(op, factors)
            changed = True
        else:
            for inner in op.regions:
                changed |= _region(inner)
            ops.append(op)
    region.ops[:] = ops
    return changed


def _size(op: Op) -> int:
    return sum(1 for region in op.regions for _ in region.walk())


def _factors(loop: Op) -> list[Value]:
    """The factors from outside a nest that indices in it are multiplied by."""
    (body,) = loop.regions
    inside = {r for op in body.walk() for r in op.results}
    used = (a for op in body.walk() if op.name == "mul" for a in op.args)
    return [v for v in dict.fromkeys(used) if v not in inside and _condition(v) is not None]


def _condition(v: Value) -> tuple[Value, bool] | None:
    """Of a factor: it is 1 where the predicate is what is said."""
    op = made_by(v, "select")
    if op is None or sorted(str(known(a)) for a in op.args[1:]) != ["0", "1"]:
        return None
    return op.args[0], known(op.args[1]) == 1


def _twice(loop: Op, factors: list[Value]) -> list[Op]:
    """The `if`, with the results of the loop."""
    before = Region()
    b = Builder(before, loop.span)
    plain: Value | None = None
    for v in factors:
        found = _condition(v)
        assert found is not None
        term = found[0] if found[1] else b.prim("not", found[0])
        plain = term if plain is None else b.prim("and", plain, term)
    assert plain is not None
    arms = []
    for mapping in (dict.fromkeys(factors, b.i64(1)), {}):
        nest = clone_op(loop, mapping)
        arm = Region()
        arm.ops.append(nest)
        Builder(arm, loop.span).yield_(*nest.results)
        arms.append(arm)
    chosen = b.op("if", (plain,), (), arms)
    chosen.results = loop.results
    for r in chosen.results:
        r.owner = chosen
    return before.ops
