"""Memory of the same size in all iterations, of which each overwrites all that it reads, is made once, before the loop.

    for … { %m = new %n {blank}; … }

becomes `%m = new %n {blank}; for … { … }`, where nothing but loads, stores, accumulations and lengths know the memory.
(A loop that does not run makes none: its size is 0 then.)
Exact in value. No derivative is taken afterwards.
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import Builder, known
from dsl.passes.names import Names


def outside(fn: Function) -> bool:
    """Apply to a function."""
    return _region(fn.body, Names(fn).private)


def _region(region: Region, private: frozenset[Value]) -> bool:
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        for inner in op.regions:
            changed |= _region(inner, private)
        if op.name == "for":
            moved = _take(op, private)
            changed |= bool(moved)
            ops += moved
        ops.append(op)
    region.ops[:] = ops
    return changed


def _take(loop: Op, private: frozenset[Value]) -> list[Op]:
    (body,) = loop.regions
    inside = {*body.params, *(r for op in body.ops for r in op.results if op.name != "const")}
    before = Region()
    b = Builder(before, loop.span)
    left: list[Op] = []
    for op in body.ops:
        if op.name != "new" or not op.attrs.get("blank") or op.result not in private or op.args[0] in inside:
            left.append(op)
            continue
        if not before.ops:
            step = known(loop.args[2])
            if not isinstance(step, int) or not step:
                return []
            ran = b.prim("le" if step > 0 else "ge", *loop.args[:2])
        size = op.args[0]
        if known(size) is not None:
            size = b.i64(int(known(size) or 0))
        op.args[0] = b.prim("select", ran, size, b.i64(0))
        before.ops.append(op)
    body.ops[:] = left
    return before.ops
