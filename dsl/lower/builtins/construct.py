"""Making arrays of a shape, and out of arrays: `zeros`, `fill`, `similar`, `reshape`, `vcat`, `permutedims`, …

Everything here is a new array: nothing shares memory with its arguments. Sizes are Ints, or one tuple of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.annotations import concrete
from dsl.lower.arrays import (
    Geometry,
    dense_strides,
    geometry,
    is_array,
    item_of,
    new_array,
    number_at,
    order_of,
    plus,
    product,
    rank_of,
    record_at,
    sizes_of,
    store_at,
)
from dsl.lower.broadcast import Lazy, operand
from dsl.lower.builtins.arrays import common_item
from dsl.lower.builtins.indexing import WHOLE, each_record, element_for, nest, unaliased
from dsl.lower.builtins.mapping import map_indexed
from dsl.lower.builtins.memory import append, collected, length_of
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name
from dsl.lower.convert import convert_value
from dsl.lower.frame import Frame
from dsl.lower.joins import adapt
from dsl.lower.names import UNDEF
from dsl.lower.patterns import widen_literal
from dsl.lower.values import Val, flatten, is_number, items_of, show_type, type_val
from dsl.ops import known
from dsl.types import (
    BOOLEAN,
    FLOAT64,
    INT64,
    ArrayType,
    Irrational,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    RefType,
    StructType,
    TupleType,
    TypeValue,
    VectorType,
    is_ref,
    leaves,
)  # fmt: skip

# ---------------------------------------------------------------- sizes


def shape_of(f: Frame, args: Sequence[Val]) -> list[Value] | None:
    """The sizes that arguments give; None where they are none."""
    if len(args) == 1 and isinstance(args[0].type, TupleType):
        args = items_of(args[0])
    if not args or any(a.type != INT64 for a in args):
        return None
    sizes = []
    for a in args:
        have = known(a.leaf)
        if not isinstance(have, int) or have < 0:
            f.check(f.b.prim("ge", a.leaf, f.b.i64(0)), "E0409", "an array cannot have the size {0}", a.leaf)
        sizes.append(a.leaf)
    return sizes


def type_and_shape(f: Frame, args: Sequence[Val], default: LangType) -> tuple[LangType, list[Value]] | None:
    """`(T, sizes…)` or `(sizes…)`."""
    item = default
    if args and isinstance(args[0].type, TypeValue):
        meant = concrete(args[0].type.type)
        if meant is None:
            return None
        item, args = meant, args[1:]
    sizes = shape_of(f, args)
    return None if sizes is None else (item, sizes)


def plain(f: Frame, v: Val) -> Val:
    """A value as an element: what is known of it by its type is a value of a type that others have, too."""
    if isinstance(v.type, Irrational):
        return f.number(v, FLOAT64)
    wide = widen_literal(v.type)
    return v if wide == v.type else adapt(f, v, wide)


def filled(f: Frame, sizes: Sequence[Value], value: Val, order: str = "F") -> Val:
    out = new_array(f, value.type, sizes, order)
    each_record(f, geometry(f, out), lambda at: f.store(out.leaves[0], at, value))
    return out


# ---------------------------------------------------------------- of one value


@builtin("zeros", forms=("zeros(sizes…)", "zeros(T, sizes…)"))
def lower_zeros(f: Frame, args: list[Val]) -> Val | None:
    wanted = type_and_shape(f, args, FLOAT64)
    if wanted is None:
        return None
    item, sizes = wanted
    if is_number(item):
        return new_array(f, item, sizes)
    return filled(f, sizes, call_name(f, "zero", [type_val(item)]))


@builtin("ones", forms=("ones(sizes…)", "ones(T, sizes…)"))
def lower_ones(f: Frame, args: list[Val]) -> Val | None:
    wanted = type_and_shape(f, args, FLOAT64)
    return None if wanted is None else filled(f, wanted[1], call_name(f, "one", [type_val(wanted[0])]))


@builtin("fill", forms=("fill(x, sizes…)",))
def lower_fill(f: Frame, args: list[Val]) -> Val | None:
    sizes = shape_of(f, args[1:])
    return None if sizes is None else filled(f, sizes, plain(f, args[0]))


def _truth(name: str, value: bool) -> None:
    @builtin(name, forms=(f"{name}(sizes…)",))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        sizes = shape_of(f, args)
        return None if sizes is None else filled(f, sizes, Val(BOOLEAN, (f.b.bool(value),)))


_truth("trues", True)
_truth("falses", False)


@builtin("fill!", forms=("fill!(A, x)",))
def lower_fill_in(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not is_array(args[0].type):
        return None
    value, g = element_for(f, args[0].type, args[1]), geometry(f, args[0])
    each_record(f, g, lambda at: f.store(g.mem, at, value))
    return args[0]


# ---------------------------------------------------------------- like another one


def blank(f: Frame, item: LangType) -> Val | None:
    """What a place of an array holds before something is put there: zeros, empty arrays; None where nothing will do."""
    match item:
        case VectorType(site=0):
            return new_array(f, item.item, [f.b.i64(0)])
        case ArrayType() if item.layout != "S":
            return new_array(f, item.item, [f.b.i64(0)] * item.rank, item.layout)
        case TupleType() | StructType(mutable=False):
            parts = [blank(f, t) for t in item.items]
            return None if None in parts else Val(item, flatten(p for p in parts if p is not None))
    if isinstance(item, OptionalType) or is_number(item):
        return Val(item, tuple(f.b.zero(t) for t in leaves(item)))
    return None


def blank_array(f: Frame, item: LangType, sizes: Sequence[Value], order: str = "F") -> Val:
    """An array without contents."""
    if is_number(item):
        return new_array(f, item, sizes, order)
    value = blank(f, item)
    if value is None:
        raise error("E0409", f"an array of {show_type(item)} cannot be made without contents", f.span,
                    hint="use a comprehension, `fill(x, n)`, or `T[]` and `push!`")  # fmt: skip
    out = new_array(f, item, sizes, order)
    each_record(f, geometry(f, out), lambda at: f.store(out.leaves[0], at, blank(f, item) or value))
    return out


@builtin("similar", forms=("similar(A)", "similar(A, T)", "similar(A, sizes…)", "similar(A, T, sizes…)"))
def lower_similar(f: Frame, args: list[Val]) -> Val | None:
    """An array of the element type and sizes of another one, or of those given; it holds zeros."""
    if not args or not (is_array(args[0].type) or isinstance(args[0].type, RangeType)):
        return None
    a, *rest = args
    if isinstance(a.type, RangeType):
        a = collected(f, a)
    item, order, sizes = item_of(f, a.type), "F", list(sizes_of(f, a))
    if rest and isinstance(rest[0].type, TypeValue):
        meant = concrete(rest[0].type.type)
        if meant is None:
            return None
        item, rest = meant, rest[1:]
    if not rest:
        return blank_array(f, item, sizes, order_of(a.type))
    wanted = shape_of(f, rest)
    return None if wanted is None else blank_array(f, item, wanted, order)


@builtin("__array", forms=("Array{T}(undef, sizes…)", "Array{T}(A)"))
def lower_array(f: Frame, args: list[Val]) -> Val | None:
    """`Vector{T}(undef, n)`, `Matrix{T}(undef, m, n)`, `Array{T, N}(undef, sizes…)`: zeros.
    `Vector{T}(v)`, `Matrix(A)`: a copy, whose elements are converted."""
    kind, *rest = args
    assert isinstance(kind.type, TypeValue)
    p: object = kind.type.type
    name, params = ("Vector", (p.item,)) if isinstance(p, VectorType) else (p.name, p.params)  # type: ignore[attr-defined]
    item = concrete(params[0]) if params else None
    rank = {"Vector": 1, "Matrix": 2, "Array": None}.get(name, int(name[5:]) if name[5:].isdigit() else None)
    if rest and rest[0].type == UNDEF:
        sizes = shape_of(f, rest[1:])
        if item is None or sizes is None:
            return None
        if rank not in (None, len(sizes)):
            raise error("E0301", f"an array of {rank} dimension{'s' * (rank != 1)} is given {len(sizes)} sizes", f.span,
                        hint="it is called as `Array{T}(undef, sizes…)`, one size a dimension")  # fmt: skip
        return blank_array(f, item, sizes)
    a = as_array(f, rest[0]) if len(rest) == 1 else None
    if a is None or rank not in (None, rank_of(a.type)):
        return None
    if item is None or item == item_of(f, a.type):
        return lower_copy(f, [a])
    wanted = item
    return map_indexed(f, lambda row: convert_value(f, row[0], wanted, f.span), [a])


# ---------------------------------------------------------------- other shapes of the same elements


def copy_elements(f: Frame, source: Geometry, to: Geometry) -> None:
    """Copy all elements between arrays of one shape that do not overlap."""
    if source.dense and source.dense == to.dense:
        each_record(f, to, lambda at: f.store(to.mem, at, f.load(source.mem, at, source.item)))
        return

    def one(at: list[Value]) -> None:
        store_at(f, to, at, f.load(source.mem, record_at(f, source, at), source.item))

    nest(f, source.sizes, one, source.dense or "F")


def reshaped_copy(f: Frame, v: Val, sizes: Sequence[Value]) -> Val:
    """The elements of an array in column-major order, in a new array of another shape with as many places."""
    source = geometry(f, v)
    out = new_array(f, source.item, sizes)
    places = Geometry(out.leaves[0], source.item, None, source.sizes, dense_strides(f, source.sizes, "F"), "F")
    copy_elements(f, source, places)
    return out


@builtin("copy", forms=("copy(A)",))
def lower_copy(f: Frame, args: list[Val]) -> Val | None:
    """A new array of the same elements; numbers, tuples and ranges are themselves."""
    if len(args) != 1:
        return None
    v = args[0]
    if is_array(v.type):
        source = geometry(f, v)
        out = new_array(f, source.item, source.sizes, order_of(v.type))
        copy_elements(f, source, geometry(f, out))
        return out
    return v if is_number(v.type) or isinstance(v.type, TupleType | NamedTupleType | RangeType) else None


@builtin("deepcopy", forms=("deepcopy(x)",))
def lower_deepcopy(f: Frame, args: list[Val]) -> Val | None:
    """A copy of everything that is in a value, too. What is reached by two ways is copied twice."""
    return _deep(f, args[0]) if len(args) == 1 else None


def _deep(f: Frame, v: Val) -> Val | None:
    t = v.type
    if not any(is_ref(leaf) for leaf in leaves(t)):
        return v
    if is_array(t):
        out = lower_copy(f, [v])
        assert out is not None
        g = geometry(f, out)
        if any(is_ref(leaf) for leaf in leaves(g.item)):
            each_record(f, g, lambda at: f.store(g.mem, at, _deep(f, f.load(g.mem, at, g.item)) or v))
        return out
    match t:
        case TupleType() | NamedTupleType() | StructType(mutable=False):
            parts = [_deep(f, x) for x in items_of(v)]
            return None if None in parts else Val(t, flatten(p for p in parts if p is not None))
        case StructType() | RefType():
            out = Val(t, (f.b.op("new", (f.b.i64(1),), leaves(t)).result,))
            inside = _deep(f, f.load(v.leaf, 0, TupleType(f.current(t))))
            if inside is not None:
                f.store(out.leaf, 0, inside)
            return None if inside is None else out
    return None


def as_array(f: Frame, v: Val) -> Val | None:
    if isinstance(v.type, RangeType):
        return collected(f, v)
    return v if is_array(v.type) else None


@builtin("reshape", forms=("reshape(A, sizes…)",))
def lower_reshape(f: Frame, args: list[Val]) -> Val | None:
    """The elements in column-major order as a new array; one size may be `:`."""
    a = as_array(f, args[0]) if args else None
    rest = items_of(args[1]) if len(args) == 2 and isinstance(args[1].type, TupleType) else args[1:]
    if a is None or not rest:
        return None
    total = product(f, sizes_of(f, a))
    free = [k for k, v in enumerate(rest) if v.type == WHOLE]
    given = [v for v in rest if v.type != WHOLE]
    sizes = (shape_of(f, given) if given else []) if len(free) <= 1 else None
    if sizes is None:
        return None
    if free:
        others = product(f, sizes)
        some = f.b.prim("max", others, f.b.i64(1))
        f.check(f.b.prim("eq", f.b.prim("irem", total, some), f.b.i64(0)), "E0412",
                "{0} elements do not make whole rows of {1}", total, others)  # fmt: skip
        sizes = [*sizes[: free[0]], f.b.prim("idiv", total, some), *sizes[free[0] :]]
    have = product(f, sizes)
    f.check(f.b.prim("eq", have, total), "E0412", "{0} elements do not fit {1} places", total, have)
    return reshaped_copy(f, a, sizes)


@builtin("vec", forms=("vec(A)",))
def lower_vec(f: Frame, args: list[Val]) -> Val | None:
    a = as_array(f, args[0]) if len(args) == 1 else None
    return None if a is None else reshaped_copy(f, a, [product(f, sizes_of(f, a))])


@builtin("permutedims", forms=("permutedims(A)", "permutedims(A, (2, 1, …))"))
def lower_permutedims(f: Frame, args: list[Val]) -> Val | None:
    """A new array with the dimensions in another order; a vector becomes a matrix of one row."""
    if not 1 <= len(args) <= 2 or not is_array(args[0].type):
        return None
    g = geometry(f, args[0])
    if len(args) == 1:
        if g.rank > 2:
            return None
        one = f.b.i64(1)
        sizes, strides = (*reversed(g.sizes),), (*reversed(g.strides),)
        sizes, strides = ((one, *sizes), (one, *strides)) if g.rank == 1 else (sizes, strides)
    else:
        order = shape_of(f, args[1:])
        if order is None or len(order) != g.rank:
            return None
        _require_permutation(f, order)
        sizes, strides = (tuple(_chosen(f, p, xs) for p in order) for xs in (g.sizes, g.strides))
    out = new_array(f, g.item, sizes)
    copy_elements(f, Geometry(g.mem, g.item, g.offset, sizes, strides), geometry(f, out))
    return out


def _chosen(f: Frame, p: Value, values: Sequence[Value]) -> Value:
    """Value number p, counted from 1."""
    at = known(p)
    if isinstance(at, int):
        return values[at - 1] if 1 <= at <= len(values) else values[0]
    found = values[0]
    for k, v in enumerate(values[1:], 2):
        found = f.b.prim("select", f.b.prim("eq", p, f.b.i64(k)), v, found)
    return found


def _require_permutation(f: Frame, order: Sequence[Value]) -> None:
    ok = f.b.bool(True)
    for k in range(1, len(order) + 1):
        here = f.b.bool(False)
        for p in order:
            here = f.b.prim("or", here, f.b.prim("eq", p, f.b.i64(k)))
        ok = f.b.prim("and", ok, here)
    f.check(ok, "E0409", "this is no permutation of the {0} dimensions", f.b.i64(len(order)))


@builtin("dropdims", keywords=("dims",), forms=("dropdims(A; dims = k)",))
def lower_dropdims(f: Frame, args: list[Val], dims: Val | None = None) -> Val | None:
    """A new array without some dimensions, whose sizes are 1."""
    if len(args) != 1 or dims is None or not is_array(args[0].type):
        return None
    drop = shape_of(f, [dims])
    g = geometry(f, args[0])
    if drop is None or len(drop) >= g.rank:
        return None
    sizes = list(g.sizes)
    for n, d in enumerate(drop):
        for e in drop[:n]:  # the dimensions before it that are gone by now
            d = f.b.prim("sub", d, f.b.prim("booltoi64", f.b.prim("gt", drop[n], e)))
        inside = f.b.prim("and", f.b.prim("ge", d, f.b.i64(1)), f.b.prim("le", d, f.b.i64(len(sizes))))
        f.check(inside, "E0409", "there is no dimension {0}", drop[n])
        size = _chosen(f, d, sizes)
        f.check(f.b.prim("eq", size, f.b.i64(1)), "E0412", "dimension {0} has the size {1}, not 1", drop[n], size)
        sizes = [f.b.prim("select", f.b.prim("gt", d, f.b.i64(k)), a, b) for k, (a, b) in enumerate(pairwise(sizes), 1)]
    return reshaped_copy(f, args[0], sizes)


# ---------------------------------------------------------------- one behind the other


def _padded(o: Lazy, rank: int, one: Value) -> list[Value]:
    return [*o.sizes, *(one,) * (rank - len(o.sizes))]


def concatenate(f: Frame, args: Sequence[Val], dim: int) -> Val:
    """Arrays and single elements one behind the other along a dimension (from 0); all other sizes agree."""
    args = [plain(f, a) for a in args]
    items = [item_of(f, a.type) if is_array(a.type) else _item(a.type) for a in args]
    item, pieces = common_item(f, items), [operand(f, a) if _spread(a.type) else _single(a) for a in args]
    one = f.b.i64(1)
    rank = max(dim + 1, *(len(p.sizes) for p in pieces))
    shapes = [_padded(p, rank, one) for p in pieces]
    for shape in shapes[1:]:
        for k, (n, m) in enumerate(zip(shapes[0], shape, strict=True)):
            if k != dim and n is not m:
                f.check(f.b.prim("eq", n, m), "E0412", "sizes {0} and {1} do not fit side by side", n, m)
    total = shapes[0][dim]
    for shape in shapes[1:]:
        total = plus(f, total, shape[dim])
    orders = {p.order for p in pieces}
    order = "C" if orders == {"C"} else "F"
    out = new_array(f, item, [total if k == dim else n for k, n in enumerate(shapes[0])], order)
    g, start = geometry(f, out), f.b.i64(0)
    for piece, shape in zip(pieces, shapes, strict=True):
        _put(f, g, piece, dim, start, order)
        start = plus(f, start, shape[dim])
    return out


def _put(f: Frame, g: Geometry, piece: Lazy, dim: int, start: Value, order: str) -> None:
    zero = f.b.i64(0)

    def one(at: list[Value]) -> None:
        full = [*at, *(zero,) * (g.rank - len(at))]
        full[dim] = plus(f, start, full[dim])
        store_at(f, g, full, convert_value(f, piece.at(at), g.item, f.span))

    nest(f, piece.sizes, one, order)


def _spread(t: LangType) -> bool:
    return is_array(t) or isinstance(t, RangeType)


def _item(t: LangType) -> LangType:
    return t.item if isinstance(t, RangeType) else t


def _single(v: Val) -> Lazy:
    return Lazy((), lambda _: v)


def _along(name: str, dim: int) -> None:
    @builtin(name, forms=(f"{name}(A, B…)",))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        return concatenate(f, args, dim) if args else new_array(f, FLOAT64, [f.b.i64(0)])


_along("vcat", 0)
_along("hcat", 1)


@builtin("cat", keywords=("dims",), forms=("cat(A, B…; dims = k)",))
def lower_cat(f: Frame, args: list[Val], dims: Val | None = None) -> Val | None:
    if not args or dims is None:
        return None
    if not isinstance(dims.known, int) or dims.known < 1:
        raise error("E0409", "`dims` of cat has to be a number that is known while compiling, from 1 on", f.span)
    return concatenate(f, args, dims.known - 1)


# ---------------------------------------------------------------- into an array that is there


@builtin("copyto!", forms=("copyto!(A, B)",))
def lower_copyto(f: Frame, args: list[Val]) -> Val | None:
    """The elements of B over the first ones of A, both in column-major order."""
    source = as_array(f, args[1]) if len(args) == 2 else None
    if source is None or not is_array(args[0].type):
        return None
    to = geometry(f, args[0])
    source = call_name(f, "vec", [unaliased(f, source, to.mem)])
    n, room = length_of(f, source), product(f, to.sizes)
    f.check(f.b.prim("le", n, room), "E0402", "{0} elements do not fit {1} places", n, room)
    put_first(f, args[0], source, n)
    return args[0]


def put_first(f: Frame, target: Val, source: Val, n: Value) -> None:
    to, have = geometry(f, target), item_of(f, source.type)

    def one(at: list[Value]) -> None:
        item = f.load(source.leaves[0], at[0], have)
        f.store(to.mem, number_at(f, to, at[0]), element_for(f, target.type, item))

    nest(f, [n], one)


@builtin("__grow!", forms=("resize!(v, n)",))
def lower_grow(f: Frame, args: list[Val]) -> Val | None:
    """Put one more element without contents at the end of a vector."""
    if len(args) != 1 or not isinstance(args[0].type, VectorType):
        return None
    item = item_of(f, args[0].type)
    value = blank(f, item)
    if value is None:
        text = f"a {show_type(item)} without contents cannot be put into a vector"
        raise error("E0409", text, f.span, hint="use `push!`")
    append(f, args[0], value)
    return args[0]
