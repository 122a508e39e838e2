"""Products of matrices, vectors and rows, inner products, and what the library's linear algebra is built on.

Products of numbers of the machine go through the kernel `gemm`, whatever the layouts are: transposes and views cost
nothing. Operands of different types are brought to one first. Other elements (Complex, a user's numbers) go through
loops of the library (`stdlib/linalg.dfl`). Sizes are checked where the program asks for the product.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import (
    Geometry,
    adjoint,
    geometry,
    is_array,
    item_of,
    load_at,
    new_array,
    order_of,
    product,
    rank_of,
    store_at,
    times,
    transposed,
)
from dsl.lower.broadcast import combine, materialise, operand
from dsl.lower.builtins import numbers, text  # noqa: F401 - their operators are extended here
from dsl.lower.builtins.indexing import nest
from dsl.lower.builtins.numbers import to_number
from dsl.lower.builtins.registry import builtin, extend
from dsl.lower.calls import call_name
from dsl.lower.frame import Frame
from dsl.lower.loops import Plan, count_up
from dsl.lower.values import Val, is_number, promote, show_type
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT32,
    FLOAT64,
    INT64,
    AdjointType,
    ArrayType,
    LangType,
    RangeType,
    VectorType,
    is_complex_number,
)  # fmt: skip

NATIVE = (FLOAT64, FLOAT32, INT64)  # what `gemm` multiplies
LONGEST_NAME = 40                   # of an expression that a message repeats

# ---------------------------------------------------------------- sizes, and what messages say of them


def shape_text(rank: int, row: bool, first: int) -> str:
    """What an operand is, with places for its sizes from number `first` on."""
    if row:
        return f"a row of {{{first + 1}}}"
    return f"a vector of {{{first}}}" if rank == 1 else f"a {{{first}}}×{{{first + 1}}} matrix"


def written(f: Frame) -> str:
    """The expression being lowered as the beginning of a message; nothing where it is long."""
    source = f.span.text
    fits = 0 < len(source) <= LONGEST_NAME and not set(source) & set("{}\n")
    return f"{source}: " if fits else ""


def as_matrix(f: Frame, g: Geometry) -> Geometry:
    """A vector as a matrix of one column."""
    if g.rank == 2:
        return g
    return Geometry(g.mem, g.item, g.offset, (*g.sizes, f.b.i64(1)), (*g.strides, *g.sizes), g.dense)


def require_square(f: Frame, v: Val, name: str) -> None:
    m, n = geometry(f, v).sizes
    if m is not n:
        f.check(f.b.prim("eq", m, n), "E0412", f"{written(f)}{name} takes a square matrix, this one is {{0}}×{{1}}",
                m, n)  # fmt: skip


def require_equal(f: Frame, a: Value, b: Value, told: str) -> None:
    if a is not b:
        f.check(f.b.prim("eq", a, b), "E0412", written(f) + told, a, b)


# ---------------------------------------------------------------- elements


def converted(f: Frame, v: Val, item: LangType) -> Val:
    """An array of numbers with elements of a type that they promote to; itself where it has them."""
    if item_of(f, v.type) == item:
        return v
    if isinstance(v.type, AdjointType):
        return adjoint(f, converted(f, adjoint(f, v), item))
    return materialise(f, combine(f, [operand(f, v)], lambda items: to_number(f, items[0], item)))


def native(f: Frame, args: Sequence[Val]) -> list[Val] | None:
    """Arrays of numbers of the machine, brought to one element type; None where the elements are others."""
    items = [item_of(f, a.type) for a in args]
    if not all(is_number(t) for t in items):
        return None
    common: LangType = items[0]
    for t in items[1:]:
        common = promote(common, t)
    common = INT64 if common == BOOLEAN else common
    return [converted(f, a, common) for a in args] if common in NATIVE else None


def flat(f: Frame, v: Val) -> Val:
    """All elements as a vector, column by column; where they lie like that, it is the same memory."""
    if isinstance(v.type, AdjointType):
        return flat(f, adjoint(f, v))
    g = geometry(f, v)
    if g.rank == 1:
        return v
    if g.dense == "F":
        return Val(VectorType(g.item), (g.mem,))
    out = columns(f, g)
    return Val(VectorType(g.item), out.leaves[:1])


def columns(f: Frame, g: Geometry) -> Val:
    """A new array with the elements of another, column by column."""
    out = new_array(f, g.item, g.sizes)
    to = geometry(f, out)
    nest(f, g.sizes, lambda at: store_at(f, to, at, load_at(f, g, at)))
    return out


def in_columns(f: Frame, v: Val) -> Val:
    """The same elements in an array that lies column by column: itself where it does. (A row becomes a matrix.)"""
    g = geometry(f, v)
    return v if g.dense == "F" and not isinstance(v.type, AdjointType) else columns(f, g)


# ---------------------------------------------------------------- products


def gemm(f: Frame, c: Geometry, a: Geometry, b: Geometry) -> None:
    """C += A B"""
    zero = f.b.i64(0)
    where: list[Value] = [*c.sizes, a.sizes[1]]
    for g in (c, a, b):
        where += [zero if g.offset is None else g.offset, *g.strides]
    f.b.op("kernel", [c.mem, a.mem, b.mem, *where], (), kernel="gemm")


def multiply(f: Frame, a: Val, b: Val) -> Val:
    """The product of two arrays of rank 1 or 2."""
    row_a, row_b = isinstance(a.type, AdjointType), isinstance(b.type, AdjointType)
    ranks = rank_of(a.type), rank_of(b.type)
    if max(ranks) > 2:
        raise error("E0412", f"a product of arrays of {ranks[0]} and {ranks[1]} dimensions", f.span,
                    hint="`batched_mul` multiplies along the last dimension of 3")  # fmt: skip
    if ranks == (1, 1):
        raise error("E0301", f"no method matching *({show_type(a.type)}, {show_type(b.type)})", f.span,
                    hint="`a .* b` multiplies the elements, `dot(a, b)` or `a' * b` adds these up")  # fmt: skip
    ga, gb = as_matrix(f, geometry(f, a)), as_matrix(f, geometry(f, b))
    if ga.sizes[1] is not gb.sizes[0]:
        told = f"{shape_text(ranks[0], row_a, 0)} times {shape_text(ranks[1], row_b, 2)}"
        f.check(f.b.prim("eq", ga.sizes[1], gb.sizes[0]), "E0412", written(f) + told, *ga.sizes, *gb.sizes)
    if row_a and not row_b:
        v = adjoint(f, a)
        return inner(f, v, b) if ranks[1] == 1 else adjoint(f, multiply(f, transposed(f, b), v))
    both = native(f, [a, b])
    if both is None:
        return call_name(f, "_product_by_loops", [a, b])
    orders = {order_of(t) for t, row in ((a.type, row_a), (b.type, row_b)) if not row and rank_of(t) == 2}
    sizes = (ga.sizes[0],) if ranks[1] == 1 else (ga.sizes[0], gb.sizes[1])
    ga, gb = (as_matrix(f, geometry(f, v)) for v in both)
    out = new_array(f, ga.item, sizes, "C" if orders == {"C"} else "F")
    gemm(f, as_matrix(f, geometry(f, out)), ga, gb)
    return out


def inner(f: Frame, a: Val, b: Val) -> Val:
    """The sum of the products of the elements of two vectors of one length; nothing is conjugated."""
    both = native(f, [a, b])
    if both is None:
        return call_name(f, "_sum_of_products", [a, b])
    ga, gb = (as_matrix(f, geometry(f, v)) for v in both)
    row = Geometry(ga.mem, ga.item, ga.offset, (f.b.i64(1), ga.sizes[0]), (ga.strides[1], ga.strides[0]))
    out = new_array(f, ga.item, [f.b.i64(1)])
    gemm(f, as_matrix(f, geometry(f, out)), row, gb)
    return f.load(out.leaf, 0, ga.item)


@extend("*")
def lower_product(f: Frame, args: list[Val]) -> Val | None:
    """`A * B`; of a chain that ends in a vector, the last product is the first."""
    if any(is_array(a.type) for a in args) and not any(is_number(a.type) for a in args):
        args = [in_memory(f, a) for a in args]
    if len(args) < 2 or not all(_multiplied(f, a) for a in args):
        return None
    if len(args) > 2 and rank_of(args[-1].type) == 1 and all(not isinstance(a.type, AdjointType) for a in args):
        *rest, total = args
        for a in reversed(rest):
            total = multiply(f, a, total)
        return total
    return multiply(f, *args) if len(args) == 2 else None


def in_memory(f: Frame, v: Val) -> Val:
    """A range as a vector; anything else as it is."""
    return materialise(f, operand(f, v)) if isinstance(v.type, RangeType) else v


def _multiplied(f: Frame, v: Val) -> bool:
    return is_array(v.type) and item_of(f, v.type) != BOTTOM


@extend("^")
def lower_power(f: Frame, args: list[Val]) -> Val | None:
    """A matrix to a whole power."""
    if len(args) != 2 or not is_array(args[0].type) or rank_of(args[0].type) != 2 or args[1].type != INT64:
        return None
    base, n = args
    require_square(f, base, "a power")
    if isinstance(n.known, int) and n.known < 0:
        base, n = call_name(f, "inv", [base]), Val(INT64, (f.b.i64(-n.known),), -n.known)
    elif n.known is None and item_of(f, base.type) in (FLOAT64, FLOAT32):
        return call_name(f, "_power", [base, n])
    elif n.known is None:
        f.check(f.b.prim("ge", n.leaf, f.b.i64(0)), "E0401", "a matrix of integers to a negative power: {0}", n.leaf,
                hint="write `inv(A)^n`")  # fmt: skip
    return call_name(f, "_power_by_squares", [base, n])


@extend("'")
def lower_adjoint(f: Frame, args: list[Val]) -> Val | None:
    """Of complex numbers, the conjugate."""
    (v,) = args
    if is_complex_number(v.type):
        return call_name(f, "conj", args)
    if not is_array(v.type) or not is_complex_number(item_of(f, v.type)):
        return None
    return adjoint(f, conjugated(f, v))


def conjugated(f: Frame, v: Val) -> Val:
    if isinstance(v.type, AdjointType):
        return adjoint(f, conjugated(f, adjoint(f, v)))
    return materialise(f, combine(f, [operand(f, v)], lambda items: call_name(f, "conj", items)))


@builtin("transpose", forms=("transpose(A)",))
def lower_transpose(f: Frame, args: list[Val]) -> Val | None:
    """The same memory with the indices exchanged."""
    if len(args) != 1:
        return None
    (v,) = args
    if is_array(v.type):
        return adjoint(f, v) if rank_of(v.type) <= 2 else None
    return v if is_number(v.type) or is_complex_number(v.type) else None


# ---------------------------------------------------------------- inner products, norms


@builtin("dot", "⋅", forms=("dot(a, b)",))
def lower_dot(f: Frame, args: list[Val]) -> Val | None:
    """Of complex numbers, the first is conjugated."""
    if len(args) != 2:
        return None
    a, b = args = [in_memory(f, a) for a in args]
    if not (is_array(a.type) and is_array(b.type)):
        if is_array(a.type) or is_array(b.type):
            return None
        return call_name(f, "*", [call_name(f, "conj", [a]) if is_complex_number(a.type) else a, b])
    sizes = [product(f, geometry(f, v).sizes) for v in args]
    require_equal(f, sizes[0], sizes[1], "the inner product of arrays of {0} and {1} elements")
    same = a.type == b.type and isinstance(a.type, ArrayType) and a.type.layout == "C" and a.type.rank == 2
    if same:  # in the order in which they lie
        a, b = transposed(f, a), transposed(f, b)
    if is_complex_number(item_of(f, a.type)):
        a = conjugated(f, a)
    return inner(f, flat(f, a), flat(f, b))


@builtin("norm", forms=("norm(v)", "norm(v, p)"))
def lower_norm(f: Frame, args: list[Val]) -> Val | None:
    """Of the elements, of a matrix too; 2 where no p is given."""
    if len(args) not in (1, 2) or (len(args) == 2 and not is_number(args[1].type)):
        return None
    v = in_memory(f, args[0])
    if not is_array(v.type):
        return call_name(f, "abs", [v]) if is_number(v.type) or is_complex_number(v.type) else None
    if isinstance(v.type, ArrayType) and v.type.layout == "C" and v.type.rank == 2:
        v = transposed(f, v)
    v = flat(f, v)
    item = item_of(f, v.type)
    if item == BOTTOM:
        return None
    if is_number(item):
        v = converted(f, v, FLOAT32 if item == FLOAT32 else FLOAT64)
    else:
        v = materialise(f, combine(f, [operand(f, v)], lambda items: call_name(f, "abs", items)))
    if len(args) == 1 or args[1].known == 2:
        return call_name(f, "_norm", [v])
    if args[1].known == 1:
        return call_name(f, "_sum_of_sizes", [v])
    return call_name(f, "_norm_of_power", [v, to_number(f, args[1], FLOAT64)])


# ---------------------------------------------------------------- parts of square matrices, batches


@builtin("tr", forms=("tr(A)",))
def lower_trace(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1 or not is_array(args[0].type) or rank_of(args[0].type) != 2:
        return None
    require_square(f, args[0], "tr")
    return call_name(f, "_trace", args)


@builtin("batched_mul", forms=("batched_mul(A, B)",))
def lower_batched(f: Frame, args: list[Val]) -> Val | None:
    """C[:, :, k] = A[:, :, k] * B[:, :, k]"""
    if len(args) != 2 or not all(is_array(a.type) and rank_of(a.type) == 3 for a in args):
        return None
    ga, gb = (geometry(f, a) for a in args)
    fits = [f.b.prim("eq", m, n) for m, n in ((ga.sizes[1], gb.sizes[0]), (ga.sizes[2], gb.sizes[2])) if m is not n]
    for ok in fits:
        f.check(ok, "E0412", f"{written(f)}a batch of {{2}} matrices {{0}}×{{1}} times one of {{5}}, {{3}}×{{4}}",
                *ga.sizes, *gb.sizes)  # fmt: skip
    both = native(f, args)
    if both is None:
        raise error("E0901", f"batched_mul of {show_type(args[0].type)} is not supported", f.span,
                    hint="multiply the slices `A[:, :, k] * B[:, :, k]`")  # fmt: skip
    ga, gb = (geometry(f, v) for v in both)
    out = new_array(f, ga.item, [ga.sizes[0], gb.sizes[1], ga.sizes[2]])
    gc = geometry(f, out)
    key = f.unit.fresh_key(f, "batched_mul")
    count_up(f, ga.sizes[2], Plan(key, (), key, False), lambda k: gemm(f, *(_slice(f, g, k) for g in (gc, ga, gb))))
    return out


def _slice(f: Frame, g: Geometry, k: Value) -> Geometry:
    """The matrix number k of a batch."""
    step = times(f, k, g.strides[2])
    offset = step if g.offset is None else f.b.prim("add", g.offset, step)
    return Geometry(g.mem, g.item, offset, g.sizes[:2], g.strides[:2])


# ---------------------------------------------------------------- raw functions for the library


def _floats(f: Frame, v: Val) -> Geometry | None:
    return geometry(f, v) if is_array(v.type) and item_of(f, v.type) == FLOAT64 else None


@builtin("__columns")
def lower_columns(f: Frame, args: list[Val]) -> Val | None:
    """A new array of floats with the elements of another, column by column."""
    g = _floats(f, args[0])
    return None if g is None else columns(f, g)


@builtin("__in_columns")
def lower_in_columns(f: Frame, args: list[Val]) -> Val | None:
    """The same elements column by column, in new memory only where they do not lie like that."""
    return None if _floats(f, args[0]) is None else in_columns(f, args[0])


@builtin("__zeros")
def lower_zeros(f: Frame, args: list[Val]) -> Val | None:
    """A new array of the floats 0.0; the sizes are not negative."""
    return new_array(f, FLOAT64, [a.leaf for a in args]) if all(a.type == INT64 for a in args) else None


@builtin("__places")
def lower_places(f: Frame, args: list[Val]) -> Val | None:
    """A new vector of the integers 0."""
    return new_array(f, INT64, [a.leaf for a in args]) if len(args) == 1 and args[0].type == INT64 else None
