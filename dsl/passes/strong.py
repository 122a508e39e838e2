"""Products that keep a zero (`strongmul`) are plain ones where no factor is zero.

    for … { for … { for{lanes} … { %x = load %m[…]; %a = strongmul %x, %y } } }

where the nest leaves %m alone, is there twice: where no record of %m is zero the product is `mul %x, %y`. So it is
asked once a record, not once a product, whose vectors need no masks then. The memory may have so many records for each
iteration of the outermost loop that looking at them takes no time beside it. Exact in value.
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value, clone_op
from dsl.ops import PRIMITIVES, Builder, known
from dsl.passes.common import inner, rewrite, twice
from dsl.passes.names import Names, is_made
from dsl.passes.uniform import nested
from dsl.types import BOOL, F64, I64, Mem

MOST_OPS = 150    # of a nest
MOST_RECORDS = 64  # for each iteration

_UNREADABLE = frozenset({"blank", "frame"})
_UNDERSTOOD = frozenset({"const", "load", "store", "acc", "len", "treesum", "if", "for", "yield", "next"})


def strong(fn: Function) -> bool:
    """Apply to a function. Call it once: the second arm of what it makes looks like what it looks for."""
    if not any(op.name == "strongmul" for op in fn.body.walk()):
        return False
    names = Names(fn)
    return rewrite(fn.body, lambda op: _versions(op, names))


def _versions(loop: Op, names: Names) -> list[Op] | None:
    if loop.name != "for" or loop.attrs or known(loop.args[2]) not in (1, -1):
        return None
    factors = _factors(loop, names)
    if not factors or sum(1 for _ in inner(loop)) > MOST_OPS:
        return None
    before = Region()
    b = Builder(before, loop.span)
    first, last = loop.args[:2] if known(loop.args[2]) == 1 else loop.args[1::-1]
    trips = b.prim("add", b.prim("sub", last, first), b.i64(1))
    most = b.prim("mul", trips, b.i64(MOST_RECORDS))
    good: Value = b.bool(True)
    for m in dict.fromkeys(factors.values()):
        good = _no_zero(m, good, most, b)
    plain = clone_op(loop, {})
    for op, copy in zip(inner(loop), inner(plain), strict=True):
        if op in factors:
            copy.name = "mul"
    twice(good, plain, loop, b)
    return before.ops


def _factors(loop: Op, names: Names) -> dict[Op, Value]:
    """The products, and the memories that their factors are loaded from."""
    ops = list(inner(loop))
    if any(op.name not in PRIMITIVES and op.name not in _UNDERSTOOD for op in ops):
        return {}
    written = {op.args[0] for op in ops if op.name in ("store", "acc")}
    inside = {r for op in ops for r in op.results} | {p for op in (loop, *ops) for r in op.regions for p in r.params}
    found: dict[Op, Value] = {}
    for op, around in nested(loop.regions[0], ()):
        load = op.args[0].owner if op.name == "strongmul" else None
        if not isinstance(load, Op) or load.name != "load" or len(around) < 2 or not around[-1].attrs.get("lanes"):
            continue
        m = load.args[0]
        alone = m not in inside and all(names.differ(m, w) for w in written)
        if alone and m.type == Mem((F64,)) and _has_numbers(m):
            found[op] = m
    return found


def _has_numbers(m: Value) -> bool:
    """Whether all records of a memory may be read: it began as zeros, in memory (of what is in the frame LLVM makes
    registers)."""
    return is_made(m) and isinstance(m.owner, Op) and _UNREADABLE.isdisjoint(m.owner.attrs)


def _no_zero(m: Value, good: Value, most: Value, b: Builder) -> Value:
    """Whether something holds, and a memory of no more records has no zero in it."""
    count = b.op("len", (m,), (I64,)).result

    def look(arm: Builder) -> None:
        body = Region([I64, BOOL])
        inside = Builder(body, b.span)
        x = inside.op("load", (m, body.params[0]), (F64,)).result
        inside.next_(inside.prim("and", body.params[1], inside.prim("ne", x, inside.const(0.0, F64))))
        last = arm.prim("sub", count, arm.i64(1))
        arm.yield_(arm.op("for", (arm.i64(0), last, arm.i64(1), arm.bool(True)), (BOOL,), [body]).result)

    few = b.prim("and", good, b.prim("le", count, most))
    return b.if_(few, (BOOL,), look, lambda arm: arm.yield_(arm.bool(False)))[0]
