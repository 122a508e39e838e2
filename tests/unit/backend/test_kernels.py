"""Kernels on whole arrays: native code against the reference, and the references against what factorisations mean."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from dsl.interp import Memory, run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.ops.kernels import KERNELS
from dsl.runtime.engine import compile_unit

NAMES = {"f64": float, "f32": float, "i64": int}


def program_of(name: str, types: list[str]) -> str:
    """A function that takes what a kernel takes and does nothing but the kernel."""
    kernel = KERNELS[name]
    params = [f"%m{k}: mem<{t}>" for k, t in enumerate(types)] + [f"%{n}: i64" for n in kernel.numbers]
    operands = ", ".join(p.split(":")[0] for p in params)
    result = "%info: i64 = " if kernel.results else ""
    gives, arrow = (" %info", " -> i64") if kernel.results else ("", "")
    attr = f'{{kernel="{name}"}}'
    return f"fn @f({', '.join(params)}){arrow} {{\n  {result}kernel {operands} {attr}\n  return{gives}\n}}\n"


def both(name: str, types: list[str], arrays: list[list[Any]], numbers: list[int]) -> list[list[Any]]:
    """The contents of the memories after a kernel, natively; the same, up to rounding, as the reference has them.
    The last entry is the kernel's results."""
    program = parse_program(program_of(name, types))
    verify(program)
    outcomes = []
    for call in (lambda args: run(program, "f", args), compile_unit(program, "f", 2).call):
        memories = [Memory([[x] for x in array]) for array in arrays]
        results = call([*memories, *numbers])
        outcomes.append([*([row[0] for row in m.rows] for m in memories), results])
    reference, native = outcomes
    assert close(reference, native, 1e-4 if "f32" in types else 1e-9)
    return native


def close(left: Any, right: Any, tolerance: float) -> bool:
    if isinstance(left, list):
        return len(left) == len(right) and all(close(x, y, tolerance) for x, y in zip(left, right, strict=True))
    return left == right or math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)


def matrix(rng: random.Random, m: int, n: int) -> list[float]:
    return [rng.gauss(0.0, 1.0) for _ in range(m * n)]


def product(a: list[float], b: list[float], m: int, k: int, n: int) -> list[float]:
    """A B, column by column."""
    return [sum(a[i + p * m] * b[p + j * k] for p in range(k)) for j in range(n) for i in range(m)]


def transposed(a: list[float], m: int, n: int) -> list[float]:
    return [a[i + j * m] for i in range(m) for j in range(n)]


def test_the_text_form_of_kernels() -> None:
    for name, kernel in KERNELS.items():
        text = program_of(name, ["f64"] * len(kernel.roles))
        assert print_program(parse_program(text)) == text


# ---------------------------------------------------------------- gemm


def place(rng: random.Random, rows: int, cols: int) -> tuple[int, int, int, int]:
    """Offset, strides and records of a matrix in a larger memory, in any layout."""
    kind = rng.choice("FCSN")
    pad, offset = rng.randint(0, 2), rng.randint(0, 3)
    if kind == "F":
        strides = (1, rows + pad)
    elif kind == "C":
        strides = (cols + pad, 1)
    else:
        strides = (2, 2 * rows + pad)
    extent = max(0, rows - 1) * strides[0] + max(0, cols - 1) * strides[1]
    if kind == "N":  # backwards
        return offset + extent, -strides[0], -strides[1], offset + extent + 1
    return offset, *strides, offset + extent + 1


@pytest.mark.parametrize("type", ["f64", "f32", "i64"])
@pytest.mark.parametrize("largest", [4, 40])
def test_gemm_in_every_layout(type: str, largest: int) -> None:
    """Sizes on both sides of the crossover to BLAS; single rows, columns and empty matrices among them."""
    rng = random.Random(f"{type}{largest}")
    number = (lambda: rng.randint(-9, 9)) if type == "i64" else (lambda: float(rng.randint(-9, 9)))
    for _ in range(12):
        m, n, k = (rng.choice((0, 1, largest - 1, largest)) for _ in range(3))
        places = [place(rng, m, n), place(rng, m, k), place(rng, k, n)]
        c, a, b = ([number() for _ in range(p[3])] for p in places)
        (c0, ci, cj, _), (a0, ai, ak, _), (b0, bk, bj, _) = places
        native = both("gemm", [type] * 3, [c, a, b], [m, n, k, c0, ci, cj, a0, ai, ak, b0, bk, bj])
        expected = list(c)
        for i in range(m):
            for j in range(n):
                for p in range(k):
                    expected[c0 + i * ci + j * cj] += a[a0 + i * ai + p * ak] * b[b0 + p * bk + j * bj]
        assert native[0] == expected  # small integers: exact in every order
        assert native[1:] == [a, b, []]


def test_integer_products_wrap() -> None:
    native = both("gemm", ["i64"] * 3, [[1], [1 << 62], [6]], [1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1])
    assert native[0] == [1 - (1 << 63)]


# ---------------------------------------------------------------- rows side by side


@pytest.mark.parametrize("type", ["f64", "f32", "i64"])
@pytest.mark.parametrize("m", [0, 1, 3, 4, 7, 16])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 9, 50])
def test_rows_side_by_side(type: str, m: int, n: int) -> None:
    """With gaps between them, in both directions, one over the other; nothing else is read or written."""
    for apart in (n + 2, n, -n - 1, 1, 0):
        first = max(0, -apart * (m - 1))
        a = [NAMES[type](k) for k in range(max(0, first + max(0, apart) * (m - 1) + n))]
        native = both("transpose", [type] * 2, [[NAMES[type](-1)] * (m * n), a], [m, n, first, apart])
        assert native == [[a[first + i * apart + j] for j in range(n) for i in range(m)], a, []]


# ---------------------------------------------------------------- factorisations


@pytest.mark.parametrize("n", [0, 1, 3, 9])
def test_lu_and_triangular_solves(n: int) -> None:
    rng = random.Random(n)
    a, b = matrix(rng, n, n), matrix(rng, n, 2)
    lu, pivots, info = both("getrf", ["f64", "i64"], [a, [0] * n], [n])
    assert info == [0]
    x = list(b)
    for k, other in enumerate(pivots):
        for r in (0, n):
            x[k + r], x[other + r] = x[other + r], x[k + r]
    for flags in ([1, 0, 1], [0, 0, 0]):
        x = both("trsm", ["f64"] * 2, [lu, x], [n, 2, *flags])[1]
    assert close(product(a, x, n, n, 2), b, 1e-9)
    for lower in (0, 1):  # the transposed of one triangle is the other
        t = both("trsm", ["f64"] * 2, [transposed(lu, n, n), b], [n, 2, 1 - lower, 1, 0])[1]
        assert close(t, both("trsm", ["f64"] * 2, [lu, b], [n, 2, lower, 0, 0])[1], 1e-9)


def test_lu_of_a_singular_matrix_names_the_pivot() -> None:
    assert both("getrf", ["f64", "i64"], [[1.0, 2.0, 2.0, 4.0], [0, 0]], [2])[2] == [2]


@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_cholesky(n: int) -> None:
    rng = random.Random(n)
    g = matrix(rng, n, n)
    a = product(g, transposed(g, n, n), n, n, n)
    factor, info = both("potrf", ["f64"], [a], [n])
    assert info == [0]
    assert close(product(factor, transposed(factor, n, n), n, n, n), a, 1e-9)
    assert all(factor[i + j * n] == 0.0 for j in range(n) for i in range(j))


def test_cholesky_of_a_matrix_that_is_not_positive_names_the_minor() -> None:
    program = parse_program(program_of("potrf", ["f64"]))
    for call in (lambda args: run(program, "f", args), compile_unit(program, "f").call):
        assert call([Memory([[1.0], [2.0], [2.0], [1.0]]), 2]) == [2]
        assert call([Memory([[math.nan]]), 1]) == [1]


@pytest.mark.parametrize(("m", "n"), [(0, 0), (1, 1), (5, 3), (3, 5), (4, 4), (9, 2)])
def test_qr(m: int, n: int) -> None:
    rng = random.Random(10 * m + n)
    k, a = min(m, n), matrix(rng, m, n)
    q, r, _ = both("qr", ["f64"] * 2, [a, [7.0] * (k * n)], [m, n])
    q = q[: m * k]
    assert close(product(q, r, m, k, n), a, 1e-12)
    assert close(product(transposed(q, m, k), q, k, m, k), identity(k), 1e-12)
    assert all(r[i + j * k] == 0.0 for j in range(n) for i in range(j + 1, k))


def identity(n: int) -> list[float]:
    return [float(i == j) for j in range(n) for i in range(n)]


@pytest.mark.parametrize("n", [0, 1, 2, 5, 30])
def test_eigenvalues_of_symmetric_matrices(n: int) -> None:
    rng = random.Random(n)
    g = matrix(rng, n, n)
    a = [x + y for x, y in zip(g, transposed(g, n, n), strict=True)]
    v, w, info = both("syev", ["f64"] * 2, [a, [0.0] * n], [n])
    assert info == [0] and w == sorted(w)
    assert close(product(a, v, n, n, n), [v[i + j * n] * w[j] for j in range(n) for i in range(n)], 1e-9)
    assert close(product(transposed(v, n, n), v, n, n, n), identity(n), 1e-9)


@pytest.mark.parametrize(("m", "n"), [(0, 0), (1, 1), (5, 3), (3, 5), (4, 4), (9, 2), (30, 30)])
def test_singular_values(m: int, n: int) -> None:
    rng = random.Random(10 * m + n)
    k, a = min(m, n), matrix(rng, m, n)
    _, u, s, vt, info = both_but_first("svd", [a, [0.0] * (m * k), [0.0] * k, [0.0] * (k * n)], [m, n])
    assert info == [0] and s == sorted(s, reverse=True) and all(x >= 0 for x in s)
    scaled = [u[i + j * m] * s[j] for j in range(k) for i in range(m)]
    assert close(product(scaled, vt, m, k, n), a, 1e-9)
    assert close(product(transposed(u, m, k), u, k, m, k), identity(k), 1e-9)
    assert close(product(vt, transposed(vt, k, n), k, n, k), identity(k), 1e-9)


def both_but_first(name: str, arrays: list[list[float]], numbers: list[int]) -> list[list[Any]]:
    """As `both`, for a kernel that leaves its first memory without a meaning."""
    program = parse_program(program_of(name, ["f64"] * len(arrays)))
    outcomes = []
    for call in (lambda args: run(program, "f", args), compile_unit(program, "f", 2).call):
        memories = [Memory([[x] for x in array]) for array in arrays]
        results = call([*memories, *numbers])
        outcomes.append([*([row[0] for row in m.rows] for m in memories), results])
    assert close(outcomes[0][1:], outcomes[1][1:], 1e-8)
    return outcomes[1]


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_what_is_not_finite_does_not_converge(bad: float) -> None:
    for name, sizes, numbers in (("syev", [4, 2], [2]), ("svd", [4, 4, 2, 4], [2, 2])):
        program = parse_program(program_of(name, ["f64"] * len(sizes)))
        for call in (lambda args, p=program: run(p, "f", args), compile_unit(program, "f").call):
            memories = [Memory([[1.0] for _ in range(size)]) for size in sizes]
            memories[0].rows[1] = [bad]
            assert call([*memories, *numbers]) == [1]


# ---------------------------------------------------------------- growable


def test_memory_of_the_language_can_grow() -> None:
    text = """fn @f(%m: mem<f64>) -> bool {
  %0: bool = growable %m
  return %0
}
"""
    program = parse_program(text)
    assert print_program(program) == text
    verify(program)
    assert compile_unit(program, "f").call([Memory([])]) == [True]
    assert run(program, "f", [Memory([])]) == [True]
    assert run(program, "f", [Memory([], growable=False)]) == [False]
