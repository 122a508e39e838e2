"""Operations on whole arrays, each declared once: what the op `kernel` can do.

A kernel takes memories, then i64 numbers; it reads and writes elements of the memories as its roles say, makes no memory
and gives scalars. Offsets and strides are in elements. Nothing is checked here: lowering emits the checks. Results of
kernels that sum (`gemm`, factorisations) are defined up to rounding, everything else in the language to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dsl.types import LeafType

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


KERNELS: dict[str, Kernel] = {
    k.name: k
    for k in (
        Kernel(
            "gemm", ("inout", "in", "in"),
            ("m", "n", "k", "c0", "ci", "cj", "a0", "ai", "ak", "b0", "bk", "bj"), (), _gemm,
            "C += A * B with C m×n, A m×k, B k×n; element (i, j) of C is record c0 + i*ci + j*cj, and so on. C overlaps "
            "neither A nor B. f64, f32 or i64 memories of one field",
        ),
    )
}  # fmt: skip
