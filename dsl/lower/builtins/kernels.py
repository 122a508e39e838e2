"""Kernels on whole arrays as built-in functions with raw names, for the library that is written in the language.

    __gemm!(C, A, B)          C += A * B; matrices of any layout, B and C may be vectors
    __getrf!(A, p)            A = P L U in place, p an Int vector of row swaps (from 0)
    __potrf!(A)               the lower Cholesky factor in place, zeros above it
    __trsm!(A, B, lower, transposed, unit)   B becomes op(A) \\ B; B may be a vector
    __qr!(A, R)               A becomes the thin Q
    __syev!(A, w)             eigenvectors in place, eigenvalues ascending
    __svd!(A, U, s, Vt)       A is destroyed

Matrices are column-major and contiguous but for `__gemm!`, elements Float64 (`__gemm!`: also Float32 and Int). Sizes
are checked. `ops/kernels.py` says what each of them does. Those with an info give it as an Int, the others `nothing`.
They have no derivatives but `__gemm!`: what calls them carries a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.ir.core import Value
from dsl.lower.arrays import Geometry, geometry, is_array, item_of
from dsl.lower.builtins.registry import builtin
from dsl.lower.frame import Frame
from dsl.lower.values import Val
from dsl.ops.kernels import KERNELS
from dsl.types import BOOLEAN, FLOAT32, FLOAT64, INT64, NOTHING, ArrayType, LangType, VectorType

# What the operands must be: "M" a column-major matrix, "V" a vector, "P" an Int vector, "B" a matrix or vector.
_SHAPES = {"getrf": "MP", "potrf": "M", "trsm": "MB", "qr": "MM", "syev": "MV", "svd": "MMVM"}


def _fits(f: Frame, kind: str, t: LangType) -> bool:
    item = INT64 if kind == "P" else FLOAT64
    vector = isinstance(t, VectorType)
    matrix = isinstance(t, ArrayType) and t.rank == 2 and t.layout == "F"
    return {"M": matrix, "B": matrix or vector}.get(kind, vector) and item_of(f, t) == item


def _require(f: Frame, left: Value, right: Value) -> None:
    f.check(f.b.prim("eq", left, right), "E0412", "sizes {0} and {1} do not fit together", left, right)


def _sizes(f: Frame, name: str, shapes: Sequence[tuple[Value, ...]]) -> list[Value]:
    """The numbers that a kernel takes, read off its operands, whose sizes must agree."""
    m, n = shapes[0]
    if name in ("qr", "svd"):
        k = f.b.prim("select", f.b.prim("lt", m, n), m, n)
        wanted = [(m, n), (k, n)] if name == "qr" else [(m, n), (m, k), (k,), (k, n)]
        numbers = [m, n]
    else:
        wanted = [(m, m), *((m, *s[1:]) for s in shapes[1:])]
        numbers = [m]
        if name == "trsm":
            numbers.append(shapes[1][1] if len(shapes[1]) == 2 else f.b.i64(1))
    for have, want in zip(shapes, wanted, strict=True):
        for x, y in zip(have, want, strict=True):
            if x is not y:
                _require(f, x, y)
    return numbers


def _lower(name: str) -> Callable[[Frame, list[Val]], Val | None]:
    kinds = _SHAPES[name]
    kernel = KERNELS[name]

    def lower(f: Frame, args: list[Val]) -> Val | None:
        arrays, flags = args[: len(kinds)], args[len(kinds) :]
        if len(flags) != (3 if name == "trsm" else 0) or any(v.type != BOOLEAN for v in flags):
            return None
        if len(arrays) != len(kinds) or not all(_fits(f, k, v.type) for k, v in zip(kinds, arrays, strict=True)):
            return None
        places = [geometry(f, v) for v in arrays]
        numbers = _sizes(f, name, [g.sizes for g in places])
        numbers += [f.b.prim("booltoi64", v.leaf) for v in flags]
        return _run(f, name, places, numbers)

    lower.__doc__ = kernel.doc
    return lower


def _run(f: Frame, name: str, places: Sequence[Geometry], numbers: Sequence[Value]) -> Val:
    op = f.b.op("kernel", [*(g.mem for g in places), *numbers], KERNELS[name].results, kernel=name)
    return Val(INT64, (op.result,)) if op.results else Val(NOTHING, ())


for _name in _SHAPES:
    builtin(f"__{_name}!")(_lower(_name))


@builtin("__gemm!")
def lower_gemm(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 3 or not all(is_array(v.type) for v in args):
        return None
    items = {item_of(f, v.type) for v in args}
    if len(items) != 1 or items & {FLOAT64, FLOAT32, INT64} != items:
        return None
    one = f.b.i64(1)
    places = [geometry(f, v) for v in args]
    if any(g.rank > 2 for g in places) or places[1].rank != 2 or places[0].rank != places[2].rank:
        return None
    (m, n), (m1, k), (k1, n1) = ((*g.sizes, one)[:2] for g in places)
    for x, y in ((m, m1), (n, n1), (k, k1)):
        if x is not y:
            _require(f, x, y)
    numbers = [m, n, k]
    for g in places:
        numbers += [g.offset if g.offset is not None else f.b.i64(0), *(*g.strides, one)[:2]]
    return _run(f, "gemm", places, numbers)
