"""Ranges, iterators, lengths, and what is reduced: `sum`, `maximum`, `foldl`, `any`, `map`, `findfirst` and their kin.

A reduction is a loop of the compiler's own around an accumulator. Its items may come from anything that can be
iterated, generators included; where these are numbers it starts from a neutral one, else with the first item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import (
    geometry,
    int_tuple,
    is_array,
    item_of,
    load_at,
    new_array,
    order_of,
    product,
    rank_of,
    sizes_of,
    store_at,
)  # fmt: skip
from dsl.lower.builtins.compare import search
from dsl.lower.builtins.indexing import element_for, nest, unaliased
from dsl.lower.builtins.memory import append, length_of, new_vector
from dsl.lower.builtins.numbers import to_number
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name, call_value
from dsl.lower.control import branch, run_arm, run_loop
from dsl.lower.convert import convert_value
from dsl.lower.expressions import generator_scope
from dsl.lower.frame import Frame, Loop, Slot
from dsl.lower.joins import adapt, join
from dsl.lower.loops import (
    SLICES,
    Plan,
    for_each,
    indexed,
    item_at,
    range_item,
    range_length,
    slices,
)  # fmt: skip
from dsl.lower.patterns import widen_literal
from dsl.lower.scopes import Var
from dsl.lower.values import FLOATS, UNIT, Val, is_number, items_of, promote, show_type, text_of, tuple_val
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT64,
    INT64,
    AdjointType,
    ArrayType,
    DictType,
    FnType,
    Irrational,
    IterType,
    LangType,
    NamedTupleType,
    OptionalType,
    Prim,
    RangeType,
    StaticDictType,
    SymbolLit,
    TupleType,
    TypeValue,
    VectorType,
    leaves,
)  # fmt: skip

# ---------------------------------------------------------------- ranges


@builtin(":", forms=("start:stop", "start:step:stop"))
def lower_range(f: Frame, args: list[Val]) -> Val | None:
    if len(args) not in (2, 3) or not all(is_number(a.type) for a in args):
        return None
    t: LangType = args[0].type
    for a in args[1:]:
        t = promote(t, a.type)
    item = FLOAT64 if isinstance(t, Irrational) else INT64 if t == BOOLEAN else t
    assert isinstance(item, Prim)
    start, *between, stop = (to_number(f, a, item) for a in args)
    step = between[0] if between else call_name(f, "one", [start])
    if item == INT64:
        return _int_range(f, start, step, stop, bool(between))
    return _float_range(f, item, start.leaf, step.leaf, stop.leaf)


def _int_range(f: Frame, start: Val, step: Val, stop: Val, checked: bool) -> Val:
    if checked and not step.known:
        f.check(f.b.prim("ne", step.leaf, f.b.i64(0)), "E0409", "the step of a range is 0")
    n = range_length(f, start.leaf, step.leaf, stop.leaf)
    return Val(RangeType(INT64), (start.leaf, step.leaf, n))


def _float_range(f: Frame, item: Prim, start: Value, step: Value, stop: Value) -> Val:
    """The count first: the whole number of steps, where it is one up to rounding. The step is then what fits it."""
    zero = f.b.const(0.0, start.type)
    f.check(f.b.prim("ne", step, zero), "E0409", "the step of a range is 0")
    ratio = f.b.prim("div", f.b.prim("sub", stop, start), step)
    near = f.b.prim("round", ratio)
    size = f.b.prim("max", f.b.prim("abs", ratio), f.b.const(1.0, start.type))
    slack = f.b.prim("mul", size, f.b.const(1e-12, start.type))
    whole = f.b.prim("le", f.b.prim("abs", f.b.prim("sub", ratio, near)), slack)
    steps = f.b.prim("select", whole, near, f.b.prim("floor", ratio))
    n = f.b.prim("max", f.b.prim("add", f.b.prim("toi64", steps), f.b.i64(1)), f.b.i64(0))
    return Val(RangeType(item), (start, step, n))


@builtin("range", keywords=("length", "step", "stop"), forms=("range(start, stop; length = n)",))
def lower_range_call(
    f: Frame, args: list[Val], length: Val | None = None, step: Val | None = None, stop: Val | None = None
) -> Val | None:
    """`range(start, stop; length)`, `range(start, stop; step)`."""
    if stop is not None:
        args = [*args, stop]
    if len(args) != 2:
        return None
    if step is not None:
        return call_name(f, ":", [args[0], step, args[1]])
    if length is None:
        return call_name(f, ":", args)
    start, end = (call_name(f, "float", [a]) for a in args)
    one = Val(INT64, (f.b.i64(1),), 1)
    gaps = call_name(f, "max", [call_name(f, "-", [length, one]), one])
    width = call_name(f, "/", [call_name(f, "-", [end, start]), gaps])
    return Val(RangeType(FLOAT64), (start.leaf, width.leaf, length.leaf))


def _range_part(name: str, pick: Callable[[Frame, Val], Val]) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        return pick(f, args[0]) if len(args) == 1 and isinstance(args[0].type, RangeType) else None


_range_part("step", lambda f, r: Val(r.type.item, r.leaves[1:2]))  # type: ignore[union-attr]

# ---------------------------------------------------------------- lengths and ends


def known_length(t: LangType) -> int | None:
    match t:
        case TupleType() | NamedTupleType() | StaticDictType():
            return len(t.items)
    text = text_of(t)
    return None if text is None else len(text)


def length_value(f: Frame, v: Val) -> Val | None:
    known = known_length(v.type)
    if known is not None:
        return Val(INT64, (f.b.i64(known),), known)
    match v.type:
        case VectorType() | DictType():
            return Val(INT64, (length_of(f, v),))
        case ArrayType() | AdjointType():
            return Val(INT64, (product(f, sizes_of(f, v)),))
        case RangeType():
            return Val(INT64, (v.leaves[2],))
        case IterType(kind="counted"):
            lo, hi, step = v.leaves
            return Val(INT64, (range_length(f, lo, step, hi),))
        case IterType(kind="zip"):
            lengths = [length_value(f, p) for p in items_of(tuple_like(v))]
            return None if None in lengths else call_name(f, "min", lengths)  # type: ignore[arg-type]
        case IterType() if v.type.kind in SLICES:
            g, dim = slices(f, v)
            return Val(INT64, (g.sizes[dim],))
        case IterType():
            return length_value(f, items_of(tuple_like(v))[0])
        case FnType() if generator_scope(v.type) is not None:
            return call_name(f, "count", [Val(TypeValue(BOOLEAN)), v])
    return None


def tuple_like(v: Val) -> Val:
    assert isinstance(v.type, IterType)
    return Val(TupleType(v.type.items), v.leaves)


@builtin("length")
def lower_length(f: Frame, args: list[Val]) -> Val | None:
    return length_value(f, args[0]) if len(args) == 1 else None


@builtin("lastindex", forms=("lastindex(A)", "lastindex(A, dim)"))
def lower_lastindex(f: Frame, args: list[Val]) -> Val | None:
    return lower_size(f, args) if len(args) == 2 else lower_length(f, args)


@builtin("firstindex")
def lower_firstindex(f: Frame, args: list[Val]) -> Val | None:
    return Val(INT64, (f.b.i64(1),), 1) if len(args) == 1 and length_value(f, args[0]) is not None else None


@builtin("isempty")
def lower_isempty(f: Frame, args: list[Val]) -> Val | None:
    n = length_value(f, args[0]) if len(args) == 1 else None
    if n is None:
        return None
    return Val(BOOLEAN, (f.b.prim("eq", n.leaf, f.b.i64(0)),), None if n.known is None else n.known == 0)


@builtin("size", forms=("size(A)", "size(A, dim)"))
def lower_size(f: Frame, args: list[Val]) -> Val | None:
    if not args or len(args) > 2 or not (is_array(args[0].type) or isinstance(args[0].type, RangeType)):
        return None
    sizes = sizes_of(f, args[0]) if is_array(args[0].type) else args[0].leaves[2:]
    if len(args) == 1:
        return int_tuple(sizes)
    return _size_along(f, sizes, args[1])


def _size_along(f: Frame, sizes: Sequence[Value], dim: Val) -> Val | None:
    """The size of one dimension; 1 beyond the last."""
    if dim.type != INT64:
        return None
    one = f.b.i64(1)
    if isinstance(dim.known, int):
        f.check(f.b.bool(dim.known >= 1), "E0409", "there is no dimension {0}", dim.leaf)
        return Val(INT64, (sizes[dim.known - 1] if 1 <= dim.known <= len(sizes) else one,))
    f.check(f.b.prim("ge", dim.leaf, one), "E0409", "there is no dimension {0}", dim.leaf, hint="they count from 1")
    n = one
    for k, size in enumerate(sizes):
        n = f.b.prim("select", f.b.prim("eq", dim.leaf, f.b.i64(k + 1)), size, n)
    return Val(INT64, (n,))


@builtin("ndims", forms=("ndims(A)",))
def lower_ndims(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1 or not is_array(args[0].type):
        return None
    n = rank_of(args[0].type)
    return Val(INT64, (f.b.i64(n),), n)


def _end_item(name: str, last: bool) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 1:
            return None
        v = args[0]
        if isinstance(v.type, NamedTupleType) and v.type.names == ("first", "second"):
            return items_of(v)[last]
        n = length_value(f, v)
        if n is None:
            return None
        f.check(f.b.prim("gt", n.leaf, f.b.i64(0)), "E0402", f"{name} of something empty")
        return call_name(f, "getindex", [v, n if last else Val(INT64, (f.b.i64(1),), 1)])


_end_item("first", False)
_end_item("last", True)

# ---------------------------------------------------------------- iterators


def _iterator(name: str, kind: str, many: bool = False) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if not args or (len(args) > 1 and not many):
            return None
        return Val(IterType(kind, tuple(a.type for a in args)), tuple(leaf for a in args for leaf in a.leaves))


_iterator("enumerate", "enumerate")
_iterator("zip", "zip", many=True)


def _slices(name: str) -> None:
    @builtin(name, forms=(f"{name}(A)",))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        """The rows or columns of a matrix, as views."""
        if len(args) != 1 or not is_array(args[0].type) or rank_of(args[0].type) != 2:
            return None
        return Val(IterType(name, (args[0].type,)), args[0].leaves)


for _name in SLICES:
    _slices(_name)


def _of_keys(name: str) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 1:
            return None
        v = args[0]
        if isinstance(v.type, NamedTupleType) and name != "pairs":
            return tuple_val(items_of(v) if name == "values" else [Val(SymbolLit(n)) for n in v.type.names])
        if isinstance(v.type, DictType | StaticDictType | NamedTupleType):
            return Val(IterType(name, (v.type,)), v.leaves)
        if name == "values":
            return v
        return call_name(f, "eachindex", args) if name == "keys" else Val(IterType("pairs", (v.type,)), v.leaves)


for _name in ("keys", "values", "pairs"):
    _of_keys(_name)


@builtin("eachindex", "axes1")
def lower_eachindex(f: Frame, args: list[Val]) -> Val | None:
    n = length_value(f, args[0]) if len(args) == 1 else None
    if n is None:
        return None
    return Val(RangeType(INT64), (f.b.i64(1), f.b.i64(1), n.leaf))


@builtin("reverse")
def lower_reverse(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1:
        return None
    v = args[0]
    match v.type:
        case TupleType():
            return tuple_val(items_of(v)[::-1])
        case RangeType():
            _, step, n = v.leaves
            last = range_item(f, v, f.b.prim("sub", n, f.b.i64(1)))
            return Val(v.type, (last.leaf, f.b.prim("neg", step), n))
    return None


# ---------------------------------------------------------------- reductions

Combine = Callable[[Val, Val], Val]


def item_types(f: Frame, over: Val, fn: Callable[[Val], Val]) -> LangType:
    """The joined type of fn of the items (found by lowering it once, to be thrown away)."""
    found: list[LangType] = []

    def note(item: Val) -> None:
        found.append(fn(item).type)

    key = (f.unit.fresh_key(f, "probe"), "probe")

    def all_items() -> Val:
        for_each(f, over, Plan(key, (), key, False), note)
        return UNIT

    marks = f.pending()
    run_arm(f, all_items)
    f.forget(marks)
    t: LangType | None = BOTTOM
    for one in found:
        t = None if t is None else join(t, one, f.sites)
    return BOTTOM if t is None else t


def accumulate(f: Frame, over: Val, fn: Callable[[Val], Val], combine: Combine, start: Val | None, what: str) -> Val:
    """Combine fn of the items from the left, beginning with `start` or with the first item."""
    key = f.unit.fresh_key(f, what)
    acc = f.temporary(key, what)
    if start is not None:
        f.env[acc] = Slot(start)
    else:
        f.env.pop(acc, None)

    def add(item: Val) -> None:
        value = fn(item)
        slot = f.env.get(acc)
        if slot is None:
            f.env[acc] = Slot(Val(value.type, value.leaves))
        elif slot.defined is None:
            f.env[acc] = Slot(combine(_held(f, acc), value))
        else:
            held = _held(f, acc)
            both = branch(f, slot.defined, lambda: combine(held, value), lambda: value, True)
            f.env[acc] = Slot(both)

    for_each(f, over, Plan(key, [acc], key, False), add)
    slot = f.env.pop(acc, None)
    if slot is None:
        f.fail("E0409", f"{what} of something empty", hint="give it a start: `init=…`")
    if slot.conflict is not None:
        raise slot.conflict
    if slot.defined is not None:
        f.check(slot.defined, "E0409", f"{what} of something empty", hint="give it a start: `init=…`")
    return slot.val


def _held(f: Frame, acc: Var) -> Val:
    slot = f.env[acc]
    if slot.conflict is not None:
        raise slot.conflict
    return slot.val


def function_and_items(f: Frame, args: list[Val]) -> tuple[Callable[[Val], Val], Val] | None:
    """`sum(f, xs)` and `sum(xs)`."""
    span = f.span
    if len(args) == 1:
        return (lambda v: v), args[0]
    if len(args) == 2:
        return (lambda v: call_value(f, args[0], [v], {}, span)), args[1]
    return None


def neutral(f: Frame, t: LangType, value: int) -> Val | None:
    """The number to begin with, where the items are numbers."""
    if t == BOTTOM or not is_number(t):
        return None
    item = INT64 if t in (INT64, BOOLEAN) else t if t in FLOATS else FLOAT64
    return Val(item, (f.b.const(value if item == INT64 else float(value), leaves(item)[0]),))


def _folding(name: str, symbol: str, unit: int) -> None:
    @builtin(name, keywords=("init",), forms=(f"{name}(xs)", f"{name}(f, xs)"))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        parts = function_and_items(f, args)
        if parts is None or not iterable(parts[1].type):
            return None
        fn, over = parts[0], in_memory_order(parts[1])
        if init is None and isinstance(over.type, TupleType) and over.type.items:
            return accumulate(f, over, fn, lambda a, b: call_name(f, symbol, [a, b]), None, name)
        if init is None:
            t = item_types(f, over, fn)
            init = neutral(f, INT64 if t == BOTTOM else t, unit)
        return accumulate(f, over, fn, lambda a, b: call_name(f, symbol, [a, b]), init, name)


def in_memory_order(over: Val) -> Val:
    """The same elements in the order in which they lie, for what does not depend on their order."""
    t = over.type
    if isinstance(t, ArrayType) and t.layout == "C":
        return Val(ArrayType(t.item, t.rank, "F"), (over.leaves[0], *reversed(over.leaves[1:])))
    return Val(t.vector, over.leaves) if isinstance(t, AdjointType) else over


_folding("sum", "+", 0)
_folding("prod", "*", 1)


def iterable(t: LangType) -> bool:
    if isinstance(t, FnType):
        return generator_scope(t) is not None
    kinds = TupleType | NamedTupleType | RangeType | DictType | StaticDictType | IterType
    return isinstance(t, kinds) or is_array(t) or t in (INT64, FLOAT64)


def _extreme(name: str, symbol: str) -> None:
    """The first of the largest (smallest); NaN where there is one."""

    @builtin(name, keywords=("init",), forms=(f"{name}(xs)", f"{name}(f, xs)"))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        parts = function_and_items(f, args)
        if parts is None or not iterable(parts[1].type):
            return None
        return accumulate(f, parts[1], parts[0], lambda a, b: better(f, symbol, a, b), init, name)


def better(f: Frame, symbol: str, a: Val, b: Val) -> Val:
    """b where it is better than a (or NaN), else a."""
    if not (is_number(a.type) and is_number(b.type)):
        c = call_name(f, symbol, [b, a])
        return branch(f, c.leaf, lambda: b, lambda: a, True)
    t = promote(a.type, b.type)
    a, b = to_number(f, a, t), to_number(f, b, t)
    return Val(t, (f.b.prim("select", better_number(f, symbol, a, b), b.leaf, a.leaf),))


def better_number(f: Frame, symbol: str, a: Val, b: Val) -> Value:
    """Whether b is better than a; NaN is better than any number, but not than another NaN."""
    if a.type == BOOLEAN:
        a, b = to_number(f, a, INT64), to_number(f, b, INT64)
    take = f.b.prim({"<": "lt", ">": "gt"}[symbol], b.leaf, a.leaf)
    if a.type == INT64:
        return take
    nan = f.b.prim("and", f.b.prim("ne", b.leaf, b.leaf), f.b.prim("eq", a.leaf, a.leaf))
    return f.b.prim("or", take, nan)


_extreme("maximum", ">")
_extreme("minimum", "<")


@builtin("extrema")
def lower_extrema(f: Frame, args: list[Val]) -> Val | None:
    return tuple_val([call_name(f, "minimum", args), call_name(f, "maximum", args)])


def _fold(name: str, right: bool) -> None:
    @builtin(name, keywords=("init",), forms=(f"{name}(op, xs)",))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        if len(args) != 2 or not iterable(args[1].type):
            return None
        span = f.span
        op, over = args
        if right:
            over = _backwards(over)

        def combine(a: Val, b: Val) -> Val:
            return call_value(f, op, [b, a] if right else [a, b], {}, span)

        return accumulate(f, over, lambda v: v, combine, init, name)


def _backwards(over: Val) -> Val:
    if isinstance(over.type, TupleType):
        return tuple_val(items_of(over)[::-1])
    return Val(IterType("reversed", (over.type,)), over.leaves)


_fold("foldl", False)
_fold("reduce", False)
_fold("foldr", True)


def _mapfold(name: str) -> None:
    @builtin(name, keywords=("init",), forms=(f"{name}(f, op, xs)",))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        if len(args) != 3 or not iterable(args[2].type):
            return None
        span = f.span
        fn, op, over = args
        return accumulate(
            f, over, lambda v: call_value(f, fn, [v], {}, span),
            lambda a, b: call_value(f, op, [a, b], {}, span), init, name,
        )  # fmt: skip


_mapfold("mapreduce")
_mapfold("mapfoldl")


def _quantifier(name: str, found: bool) -> None:
    @builtin(name, forms=(f"{name}(xs)", f"{name}(f, xs)"))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        parts = function_and_items(f, args)
        if parts is None or not iterable(parts[1].type):
            return None
        fn, over = parts[0], in_memory_order(parts[1])

        def test(v: Val) -> Val:
            answer = fn(v)
            if answer.type != BOOLEAN:
                raise error("E0203", f"{name} needs Bools, not {show_type(answer.type)}", f.span)
            return answer if found else call_name(f, "!", [answer])

        return search(f, over, test, found)


_quantifier("any", True)
_quantifier("all", False)


@builtin("count", forms=("count(xs)", "count(f, xs)"))
def lower_count(f: Frame, args: list[Val]) -> Val | None:
    if len(args) == 2 and isinstance(args[0].type, TypeValue):  # every item counts
        def one(_: Val) -> Val:
            return Val(INT64, (f.b.i64(1),))

        start = Val(INT64, (f.b.i64(0),))
        return accumulate(f, args[1], one, lambda a, b: call_name(f, "+", [a, b]), start, "count")
    return call_name(f, "sum", args)


@builtin("mean", forms=("mean(xs)", "mean(f, xs)"))
def lower_mean(f: Frame, args: list[Val]) -> Val | None:
    if not args or not iterable(args[-1].type):
        return None
    return call_name(f, "/", [call_name(f, "sum", args), call_name(f, "length", args[-1:])])


# ---------------------------------------------------------------- map, filter, search


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
    out = new_array(f, item, sizes, order)
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


def _arg_extreme(name: str, symbol: str) -> None:
    """The number of the first of the largest (smallest) items."""

    @builtin(name, forms=(f"{name}(xs)",))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 1 or not (is_array(args[0].type) or isinstance(args[0].type, RangeType | TupleType)):
            return None
        n = length_value(f, args[0])
        assert n is not None
        f.check(f.b.prim("gt", n.leaf, f.b.i64(0)), "E0409", f"{name} of something empty")
        pairs = call_name(f, "enumerate", args)

        def combine(a: Val, b: Val) -> Val:
            (k, x), (j, y) = items_of(a), items_of(b)
            if x.type == y.type and is_number(x.type):
                take = better_number(f, symbol, x, y)
                chosen = [f.b.prim("select", take, n, m) for n, m in ((j.leaf, k.leaf), (y.leaf, x.leaf))]
                return tuple_val([Val(INT64, (chosen[0],)), Val(x.type, (chosen[1],))])
            c = call_name(f, symbol, [y, x])
            return branch(f, c.leaf, lambda: tuple_val([j, y]), lambda: tuple_val([k, x]), True)

        best = accumulate(f, pairs, lambda v: Val(v.type, v.leaves), combine, None, name)
        return items_of(best)[0]


_arg_extreme("argmax", ">")
_arg_extreme("argmin", "<")
