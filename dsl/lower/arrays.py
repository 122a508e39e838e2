"""Arrays as lowering sees them: where the elements of any array-like value lie, and how new arrays are made.

`geometry` reduces vectors, arrays of every layout and rows (`v'`) to one notion: element (i, j, …), counted from 0, is
record offset + i·stride₁ + j·stride₂ + … of a memory. Nothing here checks indices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.values import Val
from dsl.ops import known
from dsl.records import dataclass
from dsl.types import I64, INT64, AdjointType, ArrayType, LangType, Mem, TupleType, VectorType, leaves

if TYPE_CHECKING:
    from dsl.lower.frame import Frame

MOST_ELEMENTS = 2.0**60  # more than any machine has room for, and far from where Int64 wraps around

# `body(indices)` of a loop nest, with indices counted from 0.
Body = Callable[[list[Value]], None]


@dataclass(frozen=True)
class Geometry:
    """`dense` says how the elements follow each other without gaps from record 0 on: "F", "C" (rank 1: "F"), or ""."""

    mem: Value
    item: LangType
    offset: Value | None
    sizes: tuple[Value, ...]
    strides: tuple[Value, ...]
    dense: str = ""

    @property
    def rank(self) -> int:
        return len(self.sizes)


def is_array(t: LangType) -> bool:
    return isinstance(t, VectorType | ArrayType | AdjointType)


def rank_of(t: LangType) -> int:
    """The rank of an array type."""
    match t:
        case ArrayType():
            return t.rank
        case AdjointType():
            return 2
    assert isinstance(t, VectorType), t
    return 1


def item_of(f: Frame, t: LangType) -> LangType:
    """The element type of an array type, as known by now."""
    return f.current(t.vector if isinstance(t, AdjointType) else t)[0]


def order_of(t: LangType) -> str:
    """The order in which the elements of a type lie, for results that should lie alike: "C" or "F"."""
    return "C" if isinstance(t, ArrayType) and t.layout == "C" else "F"


# ---------------------------------------------------------------- arithmetic on sizes


def times(f: Frame, a: Value, b: Value) -> Value:
    """a * b, where a factor that is 1 costs nothing."""
    if known(a) == 1:
        return b
    return a if known(b) == 1 else f.b.prim("mul", a, b)


def plus(f: Frame, a: Value | None, b: Value) -> Value:
    if a is None or known(a) == 0:
        return b
    return a if known(b) == 0 else f.b.prim("add", a, b)


def less_one(f: Frame, n: Value) -> Value:
    return f.b.prim("sub", n, f.b.i64(1))


def product(f: Frame, sizes: Sequence[Value]) -> Value:
    """How many elements there are."""
    total = f.b.i64(1)
    for n in sizes:
        total = times(f, total, n)
    return total


def dense_strides(f: Frame, sizes: Sequence[Value], layout: str) -> tuple[Value, ...]:
    """The strides of a contiguous array."""
    order = list(range(len(sizes))) if layout == "F" else list(reversed(range(len(sizes))))
    strides: dict[int, Value] = {}
    step = f.b.i64(1)
    for n, k in enumerate(order):
        strides[k] = step
        if n < len(order) - 1:
            step = times(f, step, sizes[k])
    return tuple(strides[k] for k in range(len(sizes)))


# ---------------------------------------------------------------- where elements lie


def geometry(f: Frame, v: Val) -> Geometry:
    """Where the elements of an array lie."""
    t, item = v.type, item_of(f, v.type)
    match t:
        case VectorType():
            n = f.b.op("len", v.leaves, (I64,)).result
            return Geometry(v.leaf, item, None, (n,), (f.b.i64(1),), "F")
        case ArrayType(layout="S"):
            mem, offset, *rest = v.leaves
            return Geometry(mem, item, offset, tuple(rest[: t.rank]), tuple(rest[t.rank :]))
        case ArrayType():
            mem, *sizes = v.leaves
            return Geometry(mem, item, None, tuple(sizes), dense_strides(f, sizes, t.layout), t.layout)
        case AdjointType():
            g = geometry(f, Val(t.vector, v.leaves))
            sizes2, strides2 = (f.b.i64(1), *g.sizes), (f.b.i64(1), *g.strides)
            return Geometry(g.mem, item, g.offset, sizes2, strides2, g.dense)
    raise AssertionError(t)


def sizes_of(f: Frame, v: Val) -> tuple[Value, ...]:
    return geometry(f, v).sizes


def record_at(f: Frame, g: Geometry, indices: Sequence[Value]) -> Value:
    """The number of the record that holds an element; indices count from 0."""
    at = g.offset
    for i, stride in zip(indices, g.strides, strict=True):
        if known(i) != 0:
            at = plus(f, at, times(f, i, stride))
    return f.b.i64(0) if at is None else at


def load_at(f: Frame, g: Geometry, indices: Sequence[Value]) -> Val:
    return f.load(g.mem, record_at(f, g, indices), g.item)


def store_at(f: Frame, g: Geometry, indices: Sequence[Value], value: Val) -> None:
    """Store an element, which has the element type."""
    f.store(g.mem, record_at(f, g, indices), value)


def unravel(f: Frame, k: Value, sizes: Sequence[Value]) -> list[Value]:
    """The indices of the element number k in column-major order, all counted from 0."""
    out = []
    for n in sizes[:-1]:
        out.append(f.b.prim("irem", k, n))
        k = f.b.prim("idiv", k, n)
    return [*out, k]


def number_at(f: Frame, g: Geometry, k: Value) -> Value:
    """The record of element number k in column-major order."""
    if g.dense == "F":
        return k
    return record_at(f, g, unravel(f, k, g.sizes))


# ---------------------------------------------------------------- views


def strided(g: Geometry, f: Frame) -> Val:
    """The same elements as an array with a strided layout."""
    offset = g.offset if g.offset is not None else f.b.i64(0)
    return Val(ArrayType(g.item, g.rank, "S"), (g.mem, offset, *g.sizes, *g.strides))


def to_strided(f: Frame, v: Val) -> Val:
    return strided(geometry(f, v), f)


def transposed(f: Frame, v: Val) -> Val:
    """A matrix with its indices exchanged, without a copy."""
    t = v.type
    assert isinstance(t, ArrayType) and t.rank == 2
    if t.layout == "S":
        mem, offset, m, n, s, r = v.leaves
        return Val(t, (mem, offset, n, m, r, s))
    mem, m, n = v.leaves
    return Val(ArrayType(t.item, 2, "C" if t.layout == "F" else "F"), (mem, n, m))


def adjoint(f: Frame, v: Val) -> Val:
    """`A'` of real elements: a vector becomes a row, a row a vector; nothing is copied."""
    t = v.type
    if isinstance(t, AdjointType):
        return Val(t.vector, v.leaves)
    if rank_of(t) > 2:
        raise error("E0301", f"`'` of an array of {rank_of(t)} dimensions", f.span,
                    hint="`permutedims(A, (2, 1, 3))` exchanges dimensions")  # fmt: skip
    return Val(AdjointType(t), v.leaves) if rank_of(t) == 1 else transposed(f, v)


# ---------------------------------------------------------------- making arrays


def array_type(item: LangType, rank: int, layout: str = "F") -> VectorType | ArrayType:
    return VectorType(item) if rank == 1 else ArrayType(item, rank, layout)


def new_array(f: Frame, item: LangType, sizes: Sequence[Value], layout: str = "F", filled: bool = False) -> Val:
    """An array of zeroed records; sizes are not negative. `filled`: all of them are about to be stored."""
    t = array_type(item, len(sizes), layout)
    _must_be_countable(f, sizes)
    made = f.b.op("new", (product(f, sizes),), leaves(t)[:1])
    if filled:
        made.attrs["filled"] = True
    return Val(t, (made.result,) if isinstance(t, VectorType) else (made.result, *sizes))


def _must_be_countable(f: Frame, sizes: Sequence[Value]) -> None:
    """An error where the number of elements would wrap around: indices within the sizes could leave the memory then."""
    factors = [n for n in sizes if known(n) != 1]
    if len(factors) < 2:
        return
    count = f.b.f64(1.0)
    for n in factors:
        count = f.b.prim("mul", count, f.b.prim("tof64", n))
    f.check(f.b.prim("lt", count, f.b.f64(MOST_ELEMENTS)), "E0411", "there is not enough memory")


def reshaped(item: LangType, mem: Value, sizes: Sequence[Value], layout: str = "F") -> Val:
    """An array of all records of a memory."""
    t = array_type(item, len(sizes), layout)
    return Val(t, (mem,) if isinstance(t, VectorType) else (mem, *sizes))


def int_tuple(sizes: Sequence[Value]) -> Val:
    """Sizes as a tuple of the language."""
    vals = [Val(INT64, (n,), _int(known(n))) for n in sizes]
    return Val(TupleType((INT64,) * len(vals)), tuple(v.leaf for v in vals))


def _int(x: object) -> int | None:
    return x if isinstance(x, int) and not isinstance(x, bool) else None


def record_type(v: Val) -> Mem:
    mem = v.leaves[0].type
    assert isinstance(mem, Mem)
    return mem
