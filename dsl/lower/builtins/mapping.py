"""`map`, `collect`, `filter`, `findfirst` and their kin: new arrays, and what calls a function for each item.

The number of items of an array or a range is known before the first: the result is made at once, of the type that the
function gives. Anything else is put into a vector that grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import (
    geometry,
    is_array,
    item_of,
    load_at,
    new_array,
    order_of,
    rank_of,
    sizes_of,
    store_at,
)  # fmt: skip
from dsl.lower.builtins.indexing import element_for, nest, unaliased
from dsl.lower.builtins.iteration import length_value
from dsl.lower.builtins.memory import append, new_vector
from dsl.lower.builtins.reductions import function_and_items, iterable
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name, call_value
from dsl.lower.control import branch, run_arm, run_loop
from dsl.lower.convert import convert_value
from dsl.lower.frame import Frame, Loop, Slot
from dsl.lower.joins import adapt
from dsl.lower.loops import Plan, for_each, indexed, item_at
from dsl.lower.patterns import widen_literal
from dsl.lower.values import UNIT, Val, items_of, tuple_val
from dsl.types import (
    BOTTOM,
    FLOAT64,
    INT64,
    FnType,
    Irrational,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    TupleType,
)  # fmt: skip


@builtin("map", forms=("map(f, xs…)",))
def lower_map(f: Frame, args: list[Val]) -> Val | None:
    """Of tuples a tuple, of an array an array of its shape, of several as long as the shortest; of anything else a
    vector."""
    if len(args) < 2 or not all(iterable(a.type) for a in args[1:]):
        return None
    span = f.span
    fn, *overs = args
    if all(isinstance(a.type, TupleType) for a in overs):
        return tuple_val([call_value(f, fn, list(row), {}, span) for row in zip(*map(items_of, overs), strict=False)])
    if isinstance(overs[0].type, NamedTupleType) and len(overs) == 1:
        made = tuple_val([call_value(f, fn, [v], {}, span) for v in items_of(overs[0])])
        return Val(NamedTupleType(overs[0].type.names, made.type.items), made.leaves)  # type: ignore[union-attr]
    if all(indexed(a) for a in overs):
        return map_indexed(f, lambda row: call_value(f, fn, row, {}, span), overs)
    over = overs[0] if len(overs) == 1 else call_name(f, "zip", overs)
    return pushed(f, over, lambda item: call_value(f, fn, [item] if len(overs) == 1 else items_of(item), {}, span))


def map_indexed(f: Frame, fn: Callable[[list[Val]], Val], overs: Sequence[Val]) -> Val:
    """A new array of fn of the items at each place."""
    matrices = [v for v in overs if is_array(v.type) and rank_of(v.type) > 1]
    if matrices:
        same_shape(f, overs)
        places = [geometry(f, v) for v in matrices]
        if len(matrices) < len(overs):
            raise error("E0412", "map of a matrix and of something that is none", f.span)
        sizes = places[0].sizes
        order = "C" if all(order_of(v.type) == "C" for v in matrices) else "F"

        def row(at: list[Value]) -> list[Val]:
            return [load_at(f, g, at) for g in places]
    else:
        lengths = [length_value(f, v) for v in overs]
        shortest = call_name(f, "min", [n for n in lengths if n is not None]) if len(overs) > 1 else lengths[0]
        assert shortest is not None
        sizes, order = (shortest.leaf,), "F"

        def row(at: list[Value]) -> list[Val]:
            return [item_at(f, v, at[0]) for v in overs]

    item = _item_of_result(f, lambda: fn(row([f.b.i64(0)] * len(sizes))))
    out = new_array(f, item, sizes, order, filled=True)
    g = geometry(f, out)
    nest(f, sizes, lambda at: store_at(f, g, at, convert_value(f, fn(row(at)), item, f.span)), order)
    return out


def same_shape(f: Frame, arrays: Sequence[Val]) -> None:
    """A check that arrays have one shape."""
    shapes = [sizes_of(f, v) for v in arrays if is_array(v.type)]
    for shape in shapes[1:]:
        if len(shape) != len(shapes[0]):
            raise error("E0412", f"arrays of {len(shapes[0])} and {len(shape)} dimensions have no common shape", f.span)
        for n, m in zip(shapes[0], shape, strict=True):
            if n is not m:
                f.check(f.b.prim("eq", n, m), "E0412", "sizes {0} and {1} differ", n, m)


def _item_of_result(f: Frame, compute: Callable[[], Val]) -> LangType:
    """The element type that holds what is computed (found by lowering it once, to be thrown away)."""
    found: list[LangType] = [BOTTOM]

    def one() -> Val:
        found.append(compute().type)
        return UNIT

    marks = f.pending()
    run_arm(f, one)
    f.forget(marks)
    return element_type(found[-1])


def element_type(t: LangType) -> LangType:
    """The type of an array's elements that holds values of a type: what is known of one by its type is forgotten."""
    return FLOAT64 if isinstance(t, Irrational) else widen_literal(t)


def pushed(f: Frame, over: Val, fn: Callable[[Val], Val]) -> Val:
    """A vector of fn of the items of something whose number is not known in advance."""
    made = new_vector(f, None, "pushed")
    key = f.unit.fresh_key(f, "pushed")
    for_each(f, over, Plan(key, (), key, False), lambda item: append(f, made, fn(item)))
    return made


@builtin("map!", forms=("map!(f, A, xs…)",))
def lower_map_in(f: Frame, args: list[Val]) -> Val | None:
    """Each element of A becomes f of the elements of the others at its place, which have A's shape."""
    if len(args) < 3 or not all(is_array(a.type) for a in args[1:]):
        return None
    span = f.span
    fn, target, *sources = args
    same_shape(f, [target, *sources])
    to = geometry(f, target)
    sources = [v if v.leaves == target.leaves else unaliased(f, v, to.mem) for v in sources]
    places = [geometry(f, v) for v in sources]

    def one(at: list[Value]) -> None:
        value = call_value(f, fn, [load_at(f, g, at) for g in places], {}, span)
        store_at(f, to, at, element_for(f, target.type, value))

    nest(f, to.sizes, one, to.dense or "F")
    return target


@builtin("collect", forms=("collect(xs)",))
def lower_collect(f: Frame, args: list[Val]) -> Val | None:
    """The items of anything as a new array: of the shape of an array or of a generator without conditions."""
    if len(args) != 1 or not iterable(args[0].type):
        return None
    over = args[0]
    if is_array(over.type):
        return call_name(f, "copy", args)
    if isinstance(over.type, FnType):
        return call_name(f, "comprehension", args)
    return map_indexed(f, lambda row: row[0], [over]) if indexed(over) else pushed(f, over, lambda v: v)


@builtin("foreach", forms=("foreach(f, xs)",))
def lower_foreach(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not iterable(args[1].type):
        return None
    span, key = f.span, f.unit.fresh_key(f, "foreach")

    def one(v: Val) -> None:
        call_value(f, args[0], [v], {}, span)

    for_each(f, args[1], Plan(key, (), key, False), one)
    return UNIT


@builtin("filter", forms=("filter(f, xs)",))
def lower_filter(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not (is_array(args[1].type) or isinstance(args[1].type, RangeType)):
        return None
    span, key = f.span, f.unit.fresh_key(f, "filter")
    t = args[1].type
    item: LangType | None = None
    if not getattr(t, "site", 0):
        item = t.item if isinstance(t, RangeType) else item_of(f, t)
    made = new_vector(f, item, "filter")

    def one(v: Val) -> None:
        keep = call_value(f, args[0], [v], {}, span)

        def take() -> Val:
            append(f, made, v)
            return UNIT

        branch(f, keep.leaf, take, lambda: UNIT, False)

    for_each(f, args[1], Plan(key, (), key, False), one)
    return made


@builtin("ntuple", forms=("ntuple(f, n)",))
def lower_ntuple(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not isinstance(args[1].known, int):
        return None
    span = f.span
    ks = [Val(INT64, (f.b.i64(k),), k) for k in range(1, args[1].known + 1)]
    return tuple_val([call_value(f, args[0], [k], {}, span) for k in ks])


def _position(f: Frame, over: Val, test: Callable[[Val], Val]) -> Val:
    """The number of the first item that passes a test, or nothing."""
    key = f.unit.fresh_key(f, "findfirst")
    result = f.temporary(key, "found")
    f.env[result] = Slot(adapt(f, UNIT, OptionalType(INT64)))

    def body(block: Loop, _: Sequence[Value]) -> None:
        def item(numbered: Val) -> None:
            k, v = items_of(numbered)
            hit = test(v)

            def stop() -> Val:
                f.env[result] = Slot(adapt(f, Val(INT64, k.leaves), OptionalType(INT64)))
                f.break_from(block)

            branch(f, hit.leaf, stop, lambda: UNIT, False)

        for_each(f, call_name(f, "enumerate", [over]), Plan((key, "items"), [result], key, True), item)

    run_loop(f, key, [result], body, statement=key, once=True)
    return f.env.pop(result).val


@builtin("findfirst", forms=("findfirst(f, xs)",))
def lower_findfirst(f: Frame, args: list[Val]) -> Val | None:
    parts = function_and_items(f, args)
    if parts is None or not (is_array(parts[1].type) or isinstance(parts[1].type, RangeType | TupleType)):
        return None
    return _position(f, parts[1], parts[0])
