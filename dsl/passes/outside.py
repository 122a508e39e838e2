"""Memory of the same size in all iterations, of which each overwrites all that it reads, is made once, before the loop.

    for … { %m = new %n {blank}; … }

becomes `%m = new %n {blank}; for … { … }`, where nothing but loads, stores, accumulations and lengths know the memory.
(A loop that does not run makes none: its size is 0 then.) What may fail before it is made keeps it where it is. So do
references in its records: what they refer to would have to live as long as it does.
Exact in value. No derivative is taken afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES, Builder, known
from dsl.passes.common import info, inner
from dsl.passes.names import Names
from dsl.types import Mem, is_ref


def outside(fn: Function) -> bool:
    """Apply to a function."""
    return _region(fn.body, Names(fn).private)


def _region(region: Region, private: frozenset[Value]) -> bool:
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        for r in op.regions:
            changed |= _region(r, private)
        if op.name == "for":
            moved = _take(op, private)
            changed |= bool(moved)
            ops += moved
        ops.append(op)
    region.ops[:] = ops
    return changed


def _take(loop: Op, private: frozenset[Value]) -> list[Op]:
    (body,) = loop.regions
    step = known(loop.args[2])
    made_here = {r: op for op in body.ops for r in op.results}
    before = Region()
    b = Builder(before, loop.span)
    sizes: dict[Value, Value] = {}
    fixed: dict[Value, bool] = {}
    left: list[Op] = []
    for k, op in enumerate(body.ops):
        if not isinstance(step, int) or any(info(o).raises for o in (op, *inner(op))):
            left += body.ops[k:]  # what fails before fails before
            break
        movable = op.name == "new" and op.attrs.get("blank") and op.result in private
        if not movable or _refers(op.result) or not _is_fixed(op.args[0], body, made_here, fixed):
            left.append(op)
            continue
        ran = b.prim("le" if step > 0 else "ge", *loop.args[:2])
        op.args[0] = b.prim("select", ran, _again(op.args[0], made_here, sizes, b), b.i64(0))
        before.ops.append(op)
    body.ops[:] = left
    return before.ops


def _refers(m: Value) -> bool:
    assert isinstance(m.type, Mem)
    return any(map(is_ref, m.type.fields))


def _is_fixed(v: Value, body: Region, made_here: Mapping[Value, Op], fixed: dict[Value, bool]) -> bool:
    """Whether a number is made of what is there before the loop; `fixed` has the answers so far."""
    if v not in fixed:
        op = made_here.get(v)
        if op is None:
            fixed[v] = v not in body.params
        else:
            understood = op.name == "const" or op.name in PRIMITIVES
            fixed[v] = understood and all(_is_fixed(a, body, made_here, fixed) for a in op.args)
    return fixed[v]


def _again(v: Value, made_here: Mapping[Value, Op], copies: dict[Value, Value], b: Builder) -> Value:
    """The same number, before the loop."""
    if v in made_here and v not in copies:
        op = made_here[v]
        args = [_again(a, made_here, copies, b) for a in op.args]
        copies[v] = b.op(op.name, args, (v.type,), **op.attrs).result
    return copies.get(v, v)
