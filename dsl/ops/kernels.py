"""Operations on whole arrays, each declared once: what the op `kernel` can do.

A kernel takes memories, then i64 numbers; it reads and writes elements of the memories as its roles say, makes no
memory and gives scalars. Offsets and strides are in elements. Nothing is checked here: lowering emits the checks.
Results of kernels that sum (`gemm`, factorisations) are defined up to rounding, everything else in the language to the
bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsl.ops import factor
from dsl.records import dataclass
from dsl.types import I64, LeafType

Rows = list[list[Any]]  # the records of a memory, as the interpreter has them


@dataclass(frozen=True)
class Kernel:
    """name      as in the op's attribute `kernel`
    roles     of each memory operand: "in" (read), "out" (written, all of it), "inout" (read and written)
    numbers   names of the i64 operands that follow
    results   types of the results
    evaluate  the reference: (memories, numbers) → results
    doc       what it does, for a person"""

    name: str
    roles: tuple[str, ...]
    numbers: tuple[str, ...]
    results: tuple[LeafType, ...]
    evaluate: Callable[[Sequence[Rows], Sequence[int]], list[Any]]
    doc: str


def _gemm(memories: Sequence[Rows], numbers: Sequence[int]) -> list[Any]:
    c, a, b = memories
    m, n, k, c0, ci, cj, a0, ai, ak, b0, bk, bj = numbers
    for j in range(n):
        for i in range(m):
            total = c[c0 + i * ci + j * cj]
            for p in range(k):
                total[0] += a[a0 + i * ai + p * ak][0] * b[b0 + p * bk + j * bj][0]
    return []


def _transpose(memories: Sequence[Rows], numbers: Sequence[int]) -> list[Any]:
    b, a = memories
    m, n, a0, ai = numbers
    for i in range(m):
        for j in range(n):
            b[i + j * m] = list(a[a0 + i * ai + j])
    return []


def _factorisation(algorithm: Callable[..., int | None]) -> Callable[[Sequence[Rows], Sequence[int]], list[Any]]:
    """An algorithm on flat lists of numbers as one on memories."""

    def evaluate(memories: Sequence[Rows], numbers: Sequence[int]) -> list[Any]:
        flat = [[value for (value,) in rows] for rows in memories]
        info = algorithm(*flat, *numbers)
        for rows, values in zip(memories, flat, strict=True):
            rows[:] = [[value] for value in values]
        return [] if info is None else [info]

    return evaluate


KERNELS: dict[str, Kernel] = {
    k.name: k
    for k in (
        Kernel(
            "gemm", ("inout", "in", "in"),
            ("m", "n", "k", "c0", "ci", "cj", "a0", "ai", "ak", "b0", "bk", "bj"), (), _gemm,
            "C += A * B with C m×n, A m×k, B k×n; element (i, j) of C is record c0 + i*ci + j*cj, and so on. C "
            "overlaps neither A nor B. f64, f32 or i64 memories of one field",
        ),
        Kernel(
            "transpose", ("out", "in"), ("m", "n", "a0", "ai"), (), _transpose,
            "m rows of A, of n elements each, apart in memory, come to lie side by side: record i + j*m of B becomes "
            "record a0 + i*ai + j of A. f64, f32 or i64 memories of one field; made by `passes.lockstep`",
        ),
        # LAPACK's, on f64 matrices that lie column by column from record 0; `factor` says what each of them does
        Kernel(
            "getrf", ("inout", "out"), ("n",), (I64,), _factorisation(factor.getrf),
            "A = P L U in place; p (i64): row p[k] was swapped with row k, from 0; info k > 0: pivot k is zero",
        ),
        Kernel(
            "potrf", ("inout",), ("n",), (I64,), _factorisation(factor.potrf),
            "the lower Cholesky factor in place of A (whose lower triangle is read), zeros above; info k > 0: the "
            "leading minor of order k is not positive",
        ),
        Kernel(
            "trsm", ("in", "inout"), ("n", "nrhs", "lower", "trans", "unit"), (), _factorisation(factor.trsm),
            "B (n×nrhs) becomes the solution of op(A) X = B, A triangular; the flags are 0 or 1",
        ),
        Kernel(
            "qr", ("inout", "out"), ("m", "n"), (), _factorisation(factor.qr),
            "A (m×n) becomes the thin Q (m×k, k = min(m, n)), R (k×n) upper triangular",
        ),
        Kernel(
            "syev", ("inout", "out"), ("n",), (I64,), _factorisation(factor.syev),
            "eigenvectors in place of A (symmetric, the lower triangle is read), eigenvalues ascending; the last "
            "component of each vector that is not negligible is positive; info > 0: not finite or not converged",
        ),
        Kernel(
            "svd", ("inout", "out", "out", "out"), ("m", "n"), (I64,), _factorisation(factor.svd),
            "A (m×n, destroyed) = U diag(s) V': thin U (m×k), s descending, V' (k×n); signs as in `syev`, of V; "
            "info > 0: not finite or not converged",
        ),
    )
}  # fmt: skip
