"""What a copy has of places that are overwritten next is not copied.

    %m = new %n; for %k = 0, %n - 1, 1 { %v = load %u[%k]; store %m[%k], %v; next }
    for %i = … { …; for %j = %lo, %hi, 1 { …; store %m[%i*%s + %j], %x; next }; next }

The second nest writes *rows* of places side by side, one as long as the other, whose beginnings are %s apart. Where %s
is not negative and there are rows, the copy ends before the first one, and a nest of its own copies the gaps from each
row to the next one, and behind the last one all that is left:

    for %k = 0, (the first row's beginning) - 1, 1 { … }
    for %i = … { for %k = (the end of row %i) + 1, (the beginning of the next) - 1, 1 { … }; next }

Else the copy is as it was, and there are no gaps: both is said by the bounds of the loops. No gap reaches into a row,
since neither beginnings nor ends of rows go back. Between the copy and the nest, and in the nest, nothing but that one
store mentions the memory, which has no other name yet; nothing else is written, and the nest cannot fail. (So what is
copied is still there.) Exact in value and derivative. The memory is `local` then: all of it is written before it is
read.
"""

from __future__ import annotations

from dsl.analysis.places import polynomial, reached, steady
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES, Builder, known
from dsl.passes.common import for_counter, mentioned
from dsl.types import I64, Mem

MOST_OPS = 100

_ALLOWED = frozenset({"const", "load", "len", "for", "next"})
_BETWEEN = frozenset({"const", "load", "len", "new", "check"})


def gaps(fn: Function) -> bool:
    """Apply to a function."""
    return _region(fn.body)


def _region(region: Region) -> bool:
    changed = False
    waiting: dict[Value, list[Op]] = {}  # memory that has been made, and what fills it with a copy
    for op in list(region.ops):
        for inner in op.regions:
            changed |= _region(inner)
        for m in [m for m in mentioned(op) if m in waiting] if waiting and op.name != "len" else ():
            made, *copy = waiting[m]
            if not copy and _is_copy(op, made):
                waiting[m] = [made, op]
                continue
            del waiting[m]
            if copy and _writes_rows(op, m) and _is_still_there(region, copy[0], op):
                _leave_out(region, made, copy[0], op)
                changed = True
        if op.name == "new" and "blank" not in op.attrs:
            waiting[op.result] = [op]
    return changed


def _is_copy(loop: Op, made: Op) -> bool:
    """Whether a loop stores all records of other memory, one after the other."""
    if loop.name != "for" or loop.attrs or len(loop.args) > 3 or known(loop.args[2]) != 1:
        return False
    load, *rest = loop.regions[0].ops
    return (
        [op.name for op in (load, *rest)] == ["load", "store", "next"]
        and rest[0].args == [made.result, loop.regions[0].params[0], *load.results]
        and load.args[1] is loop.regions[0].params[0]
        and load.args[0] is not made.result
        and load.args[0].type == made.result.type
        and _is_whole(rest[0])
        and reached(load.args[1], [loop]) == polynomial(made.args[0])
    )


def _is_whole(store: Op) -> bool:
    """Whether a record is stored, not some fields of it."""
    assert isinstance(store.args[0].type, Mem)
    return len(store.args) - 2 == len(store.args[0].type.fields)


def _store(nest: Op, m: Value) -> Op | None:
    """The one op that does something with a memory in a nest of two loops that does nothing else."""
    inside = [op for op in nest.regions[0].walk() if m in op.args] if nest.name == "for" else []
    return inside[0] if len(inside) == 1 and inside[0].name == "store" and inside[0].args[0] is m else None


def _writes_rows(nest: Op, m: Value) -> bool:
    store = _store(nest, m)
    if store is None or m in store.args[1:] or not _is_whole(store) or nest.attrs or known(nest.args[2]) != 1:
        return False
    ops = list(nest.regions[0].walk())
    inner = next((op for op in nest.regions[0].ops if op.name == "for" and store in op.regions[0].ops), None)
    if inner is None or inner.attrs or known(inner.args[2]) != 1 or len(ops) > MOST_OPS:
        return False
    if not all(op is store or op.name in _ALLOWED or op.name in PRIMITIVES for op in ops):
        return False
    defined = {r for op in ops for r in op.results} | {p for op in (nest, *ops) for r in op.regions for p in r.params}
    return defined.isdisjoint(inner.args[:3]) and steady(store.args[1], [nest, inner])


def _is_still_there(region: Region, copy: Op, nest: Op) -> bool:
    """Whether nothing is written between the two."""
    between = region.ops[region.ops.index(copy) + 1 : region.ops.index(nest)]
    return all(op.name in _BETWEEN or op.name in PRIMITIVES for op in between)


def _leave_out(region: Region, made: Op, copy: Op, nest: Op) -> None:
    m = made.result
    store = _store(nest, m)
    assert store is not None
    rows = nest.regions[0]
    inner = next(op for op in rows.ops if op.name == "for" and store in op.regions[0].ops)
    low, high = inner.args[:2]
    first, last, step = nest.args
    ops = list(rows.ops)
    ends = Builder(rows, nest.span)  # of a row, made where the nest makes it, and again where it is needed
    left, right = (for_counter(store.args[1], inner, at, ends) for at in (low, high))
    b = Builder(Region(), copy.span)
    begin, second = (for_counter(left, nest, row, b) for row in (first, b.prim("add", first, b.i64(1))))
    good = b.prim("le", begin, second)
    for lo, hi in ((low, high), (first, last)):
        good = b.prim("and", good, b.prim("le", lo, hi))
    whole = copy.args[1]
    copy.args[1] = b.prim("select", good, b.prim("sub", begin, b.i64(1)), whole)
    between = Region([I64])
    inside = Builder(between, nest.span)
    row = between.params[0]
    end = for_counter(right, nest, row, inside)
    following = for_counter(left, nest, inside.prim("add", row, inside.i64(1)), inside)
    until = inside.prim("select", inside.prim("eq", row, last), whole, inside.prim("sub", following, inside.i64(1)))
    _copy(copy, inside.prim("add", end, inside.i64(1)), until, inside)
    inside.next_()
    rows.ops[:] = ops
    behind = Builder(Region(), copy.span)
    bounds = [behind.prim("select", good, v, behind.i64(none)) for v, none in ((first, 1), (last, 0))]
    behind.op("for", (*bounds, step), (), [between])
    region.ops.remove(copy)
    at = region.ops.index(nest)
    region.ops[at:at] = [*b.region.ops, copy, *behind.region.ops]
    made.attrs["local"] = True


def _copy(like: Op, first: Value, last: Value, b: Builder) -> None:
    """A copy of other places."""
    load = like.regions[0].ops[0]
    body = Region([I64])
    inside = Builder(body, like.span)
    read = inside.op("load", (load.args[0], body.params[0]), [r.type for r in load.results], **load.attrs).results
    inside.op("store", (like.regions[0].ops[1].args[0], body.params[0], *read), **like.regions[0].ops[1].attrs)
    inside.next_()
    b.op("for", (first, last, b.i64(1)), (), [body])
