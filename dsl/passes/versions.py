"""Loops of broadcasts twice: once for arrays of equal sizes, once for any.

Where a dimension may be stretched, a broadcast multiplies its index by a *factor* that is 1, or 0 where the dimension
is: `select %same, 1, 0`. LLVM then sees addresses of unknown strides and gathers elements one by one. So a nest of
loops with such factors becomes an `if`: all of them are 1, and the first arm is the nest with that written in it; the
second is the nest as it was. Exact in value: the same operations in the same order.
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value, clone_op
from dsl.ops import Builder, known, made_by
from dsl.passes.common import inner, rewrite, twice

MOST_OPS = 150  # of a nest: it is there twice afterwards; the nests inside a larger one are looked at by themselves


def versions(fn: Function) -> bool:
    """Apply to a function. Call it once: the second arm of what it makes looks like what it looks for."""
    return rewrite(fn.body, _versions)


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


def _versions(loop: Op) -> list[Op] | None:
    factors = _factors(loop) if loop.name == "for" else []
    if not factors or sum(1 for _ in inner(loop)) > MOST_OPS:
        return None
    before = Region()
    b = Builder(before, loop.span)
    plain: Value | None = None
    for v in factors:
        found = _condition(v)
        assert found is not None
        term = found[0] if found[1] else b.prim("not", found[0])
        plain = term if plain is None else b.prim("and", plain, term)
    assert plain is not None
    one = b.i64(1)
    twice(plain, clone_op(loop, dict.fromkeys(factors, one)), loop, b)
    return before.ops
