"""Ranges, iterators, lengths: what can be gone through, and how many items it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.ir.core import Value
from dsl.lower.arrays import (
    int_tuple,
    is_array,
    product,
    rank_of,
    sizes_of,
)  # fmt: skip
from dsl.lower.builtins.memory import length_of
from dsl.lower.builtins.numbers import to_number
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name
from dsl.lower.expressions import generator_scope
from dsl.lower.frame import Frame
from dsl.lower.loops import (
    SLICES,
    range_item,
    range_length,
    slices,
)  # fmt: skip
from dsl.lower.values import Val, is_number, items_of, promote, text_of, tuple_val
from dsl.types import (
    BOOLEAN,
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
    Prim,
    RangeType,
    StaticDictType,
    SymbolLit,
    TupleType,
    TypeValue,
    VectorType,
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
