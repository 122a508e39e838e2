"""Values of linear algebra against NumPy and SciPy, for every layout of the arguments; errors; conventions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import dsl

Array = np.ndarray[Any, Any]

PROGRAM = """
product(A, B) = A * B
chain(A, B, v) = A * B * v
row_times(v, A) = v' * A
inner(v, w) = v' * w
outer_product(v, w) = v * w'
quadratic(A, v) = v' * A * v
power(A, n) = A^n
solve(A, B) = A \\ B
divide(A, B) = A / B
inverse(A) = inv(A)
determinant(A) = det(A)
log_determinant(A) = logdet(A)
sign_and_log(A) = logabsdet(A)
trace(A) = tr(A)
shifted(A) = (A - 2I, I + A, 3I - A, I * A, A * 2I, A / 2I, A \\ I)
lower(A) = cholesky(A).L
upper(A) = cholesky(A).U
by_cholesky(A, B) = (cholesky(A) \\ B, logdet(cholesky(A)), det(cholesky(A)), inv(cholesky(A)))
by_lu(A, B) = (lu(A) \\ B, det(lu(A)), inv(lu(A)))
function factors(A)
  L, U, p = lu(A)
  F = lu(A)
  return L, F.U, p
end
function thin_qr(A)
  Q, R = qr(A)
  return Q, R
end
function spectrum(A)
  w, V = eigen(A)
  return w, V, eigvals(A)
end
function singular(A)
  U, S, V = svd(A)
  return U, S, V, svd(A).Vt, svdvals(A)
end
exponential(A) = exp(A)
products(v, w) = (dot(v, w), v ⋅ w)
norms(v) = (norm(v), norm(v, 1), norm(v, 2), norm(v, Inf), norm(v, 3), norm(v, 0.5), norm(v, -Inf), norm(v, 0))
unit(v) = normalize(v)
parts(A) = (diag(A), diag(A, 1), diag(A, -1), triu(A), tril(A), triu(A, 1), tril(A, -1))
diagonal(v) = diagm(v)
symmetric(A) = issymmetric(A)
blocks(A, B) = kron(A, B)
batched(A, B) = batched_mul(A, B)
flipped(A) = transpose(A)
dyad(v, w) = outer(v, w)
"""
MODULE = dsl.loads(PROGRAM, opt_level=0)


def ordered(a: Array) -> Array:
    return np.ascontiguousarray(a)


def columns(a: Array) -> Array:
    return np.asfortranarray(a)


def strided(a: Array) -> Array:
    """The same elements with gaps between them, and backwards."""
    big = np.full(tuple(2 * n + 1 for n in a.shape), np.nan if a.dtype.kind == "f" else 0, dtype=a.dtype)
    part = big[tuple(slice(2 * n - 1, None, -2) if n else slice(0, 0) for n in a.shape)]
    part[...] = a
    return part


LAYOUTS = (ordered, columns, strided)


def sample(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def positive(n: int) -> Array:
    a = sample(n, n, seed=5)
    return a @ a.T + n * np.eye(n)


def same(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            same(a, e, tolerance)
        return
    have, want = np.asarray(actual), np.asarray(expected)
    assert have.shape == want.shape
    assert have.dtype.kind == want.dtype.kind
    np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance * (np.max(np.abs(want), initial=1.0)))


SQUARE, RIGHT = sample(5, 5) + 3 * np.eye(5), sample(5, 3, seed=1)
V5, W5, V3 = sample(5, seed=2), sample(5, seed=3), sample(3, seed=4)
INTS = np.arange(9).reshape(3, 3) - 4
SYMMETRIC = SQUARE + SQUARE.T


def batches(a: Array, b: Array) -> Array:
    return np.einsum("ijb,jkb->ikb", a, b)


CASES: list[tuple[str, tuple[Array, ...], Any]] = [
    ("product", (SQUARE, RIGHT), SQUARE @ RIGHT),
    ("product", (SQUARE, V5), SQUARE @ V5),
    ("product", (INTS, INTS), INTS @ INTS),
    ("product", (INTS, sample(3, 2)), INTS @ sample(3, 2)),
    ("product", (SQUARE.astype(np.float32), V5.astype(np.float32)), SQUARE.astype(np.float32) @ V5.astype(np.float32)),
    ("product", (sample(0, 3), sample(3, 2)), np.zeros((0, 2))),
    ("product", (sample(3, 0), sample(0, 2)), np.zeros((3, 2))),
    ("product", (sample(70, 65), sample(65, 80, seed=1)), sample(70, 65) @ sample(65, 80, seed=1)),
    ("chain", (SQUARE, RIGHT, V3), SQUARE @ RIGHT @ V3),
    ("row_times", (V5, RIGHT), (V5 @ RIGHT)[None, :]),
    ("inner", (V5, W5), V5 @ W5),
    ("outer_product", (V5, V3), np.outer(V5, V3)),
    ("dyad", (V5, V3), np.outer(V5, V3)),
    ("quadratic", (SQUARE, V5), V5 @ SQUARE @ V5),
    ("solve", (SQUARE, V5), np.linalg.solve(SQUARE, V5)),
    ("solve", (SQUARE, RIGHT), np.linalg.solve(SQUARE, RIGHT)),
    ("solve", (INTS + 5 * np.eye(3, dtype=int), V3), np.linalg.solve(INTS + 5 * np.eye(3), V3)),
    ("solve", (RIGHT, V5), np.linalg.lstsq(RIGHT, V5)[0]),
    ("solve", (RIGHT.T, V3), np.linalg.lstsq(RIGHT.T, V3)[0]),
    ("solve", (sample(1, 1), sample(1, 2)), sample(1, 2) / sample(1, 1)),
    ("divide", (RIGHT.T, SQUARE), RIGHT.T @ np.linalg.inv(SQUARE)),
    ("inverse", (SQUARE,), np.linalg.inv(SQUARE)),
    ("inverse", (np.zeros((0, 0)),), np.zeros((0, 0))),
    ("determinant", (SQUARE,), np.linalg.det(SQUARE)),
    ("determinant", (SQUARE[:3, :3],), np.linalg.det(SQUARE[:3, :3])),
    ("determinant", (np.zeros((0, 0)),), 1.0),
    ("log_determinant", (positive(5),), np.linalg.slogdet(positive(5))[1]),
    ("sign_and_log", (-SQUARE,), (np.linalg.slogdet(-SQUARE)[1], np.linalg.slogdet(-SQUARE)[0])),
    ("trace", (SQUARE,), np.trace(SQUARE)),
    ("shifted", (SQUARE,), (SQUARE - 2 * np.eye(5), SQUARE + np.eye(5), 3 * np.eye(5) - SQUARE, SQUARE, 2 * SQUARE,
                            SQUARE / 2, np.linalg.inv(SQUARE))),
    ("lower", (positive(5),), np.linalg.cholesky(positive(5))),
    ("upper", (positive(5),), np.linalg.cholesky(positive(5)).T),
    ("by_cholesky", (positive(5), V5), (np.linalg.solve(positive(5), V5), np.linalg.slogdet(positive(5))[1],
                                        np.linalg.det(positive(5)), np.linalg.inv(positive(5)))),
    ("by_lu", (SQUARE, RIGHT), (np.linalg.solve(SQUARE, RIGHT), np.linalg.det(SQUARE), np.linalg.inv(SQUARE))),
    ("exponential", (SQUARE,), scipy.linalg.expm(SQUARE)),
    ("exponential", (0.001 * SQUARE,), scipy.linalg.expm(0.001 * SQUARE)),
    ("exponential", (np.array([[0.0, 1e3], [-1e3, 0.0]]),), np.array([[np.cos(1e3), np.sin(1e3)],
                                                                     [-np.sin(1e3), np.cos(1e3)]])),
    ("exponential", (np.zeros((2, 2)),), np.eye(2)),
    ("products", (V5, W5), (V5 @ W5, V5 @ W5)),
    ("products", (SQUARE, SYMMETRIC), (np.sum(SQUARE * SYMMETRIC), np.sum(SQUARE * SYMMETRIC))),
    ("norms", (V5,), (*(np.linalg.norm(V5, p) for p in (2, 1, 2, np.inf, 3, 0.5, -np.inf)), 5.0)),
    ("norms", (SQUARE,), (*(np.linalg.norm(SQUARE.ravel(), p) for p in (2, 1, 2, np.inf, 3, 0.5, -np.inf)), 25.0)),
    ("unit", (V5,), V5 / np.linalg.norm(V5)),
    ("parts", (RIGHT,), (np.diag(RIGHT), np.diag(RIGHT, 1), np.diag(RIGHT, -1), np.triu(RIGHT), np.tril(RIGHT),
                         np.triu(RIGHT, 1), np.tril(RIGHT, -1))),
    ("diagonal", (V3,), np.diag(V3)),
    ("symmetric", (SYMMETRIC,), True),
    ("symmetric", (SQUARE,), False),
    ("blocks", (RIGHT, INTS), np.kron(RIGHT, INTS)),
    ("blocks", (V3, W5), np.kron(V3, W5)),
    ("batched", (sample(2, 3, 4), sample(3, 5, 4, seed=1)), batches(sample(2, 3, 4), sample(3, 5, 4, seed=1))),
    ("flipped", (RIGHT,), RIGHT.T),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "args", "expected"), CASES, ids=[f"{c[0]}{k}" for k, c in enumerate(CASES)])
def test_value(name: str, args: tuple[Array, ...], expected: Any, layout: Callable[[Array], Array]) -> None:
    tolerance = 1e-5 if args[0].dtype == np.float32 else 1e-10 if name == "exponential" else 1e-12
    same(getattr(MODULE, name)(*map(layout, args)), expected, tolerance)


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 5, 12])
def test_powers(n: int) -> None:
    same(MODULE.power(SQUARE, n), np.linalg.matrix_power(SQUARE, n), 1e-11)


def test_powers_that_are_written() -> None:
    for n in (-2, -1, 0, 1, 3):
        same(MODULE.eval(f"[2.0 1.0; 0.5 3.0]^{n}"), np.linalg.matrix_power(np.array([[2.0, 1.0], [0.5, 3.0]]), n))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_factors_multiply_to_the_matrix(layout: Callable[[Array], Array]) -> None:
    lower, upper, p = MODULE.factors(layout(SQUARE))
    same(lower @ upper, SQUARE[p - 1])
    assert np.all(np.abs(lower) <= 1)
    same(np.tril(lower), lower)
    same(np.diag(lower), np.ones(5))
    for a in (RIGHT, RIGHT.T, SQUARE):
        k = min(a.shape)
        q, r = MODULE.thin_qr(layout(a))
        same(q @ r, a)
        same(q.T @ q, np.eye(k))
        same(np.triu(r), r)
        u, s, v, vt, alone = MODULE.singular(layout(a))
        same(u @ np.diag(s) @ v.T, a)
        same(u.T @ u, np.eye(k))
        same(v.T @ v, np.eye(k))
        same((vt, alone, s), (v.T, s, np.linalg.svd(a)[1]))
    w, v, alone = MODULE.spectrum(layout(SYMMETRIC))
    same(SYMMETRIC @ v, v @ np.diag(w))
    same((w, alone), (np.linalg.eigvalsh(SYMMETRIC), w))


def test_complex_matrices() -> None:
    module = dsl.loads(
        "f(A, B, v) = (A * B, A * v, A', v' * v, dot(v, v), norm(v), A \\ v, inv(A), det(A), A^2, tr(A))", opt_level=0
    )
    a, b = (sample(4, 4, seed=k) + 1j * sample(4, 4, seed=k + 1) for k in (10, 20))
    v = V5[:4] + 1j * W5[:4]
    expected = (a @ b, a @ v, a.conj().T, np.vdot(v, v), np.vdot(v, v), np.linalg.norm(v), np.linalg.solve(a, v),
                np.linalg.inv(a), np.linalg.det(a), a @ a, np.trace(a))  # fmt: skip
    same(module.f(a, b, v), expected, 1e-11)


def test_numbers_of_the_users_own() -> None:
    """A field of two elements."""
    module = dsl.loads(
        "import Base: +, *, zero, one\n"
        "struct F2 <: Number\n  n::Int\nend\n"
        "+(a::F2, b::F2) = F2((a.n + b.n) % 2)\n*(a::F2, b::F2) = F2(a.n * b.n)\n"
        "zero(::Type{F2}) = F2(0)\none(::Type{F2}) = F2(1)\n"
        "f() = [[x.n for x in [F2(1) F2(1); F2(0) F2(1)]^k] for k in 0:3]\n"
    )
    assert [np.asarray(m).tolist() for m in module.f()] == [[[1, 0], [0, 1]], [[1, 1], [0, 1]]] * 2


def test_ranges_are_vectors() -> None:
    same(MODULE.eval("([1 2; 3 4] * (1:2), dot(1:3, [4, 5, 6]), dot(1:3, 1:3), norm(3:4), 2 * [1, 2])"),
         (np.array([5, 11]), 32, 14, 5.0, np.array([2, 4])))  # fmt: skip


# ---------------------------------------------------------------- errors

BAD: list[tuple[str, tuple[Array, ...], str, str]] = [
    ("product", (SQUARE, V3), "DimensionMismatch", "A * B: a 5×5 matrix times a vector of 3"),
    ("product", (RIGHT, SQUARE), "DimensionMismatch", "A * B: a 5×3 matrix times a 5×5 matrix"),
    ("row_times", (V3, SQUARE), "DimensionMismatch", "v' * A: a row of 3 times a 5×5 matrix"),
    ("inner", (V5, V3), "DimensionMismatch", "v' * w: a row of 5 times a vector of 3"),
    ("products", (V5, V3), "DimensionMismatch", "dot(v, w): the inner product of arrays of 5 and 3 elements"),
    ("power", (RIGHT, 2), "DimensionMismatch", "A^n: a power takes a square matrix, this one is 5×3"),  # type: ignore[list-item]
    ("inverse", (RIGHT,), "DimensionMismatch", "inv(A): inv takes a square matrix, this one is 5×3"),
    ("trace", (RIGHT,), "DimensionMismatch", "tr(A): tr takes a square matrix, this one is 5×3"),
    ("solve", (SQUARE, V3), "DimensionMismatch",
     "A \\ B: a 5×5 matrix and a vector of 3 have different numbers of rows"),
    ("divide", (SQUARE, RIGHT), "DimensionMismatch", "A / B: matrices of 5 and 3 columns"),
    ("solve", (np.ones((2, 2)), np.ones(2)), "SingularException",
     "A \\ B: the matrix is singular: pivot 2 is zero"),
    ("inverse", (np.zeros((3, 3)),), "SingularException", "inv(A): the matrix is singular: pivot 1 is zero"),
    ("lower", (-positive(3),), "PosDefException",
     "cholesky(A): the matrix is not positive definite: its leading minor of order 1 is not positive"),
    ("lower", (np.array([[1.0, 2.0], [2.0, 1.0]]),), "PosDefException",
     "cholesky(A): the matrix is not positive definite: its leading minor of order 2 is not positive"),
    ("log_determinant", (np.diag([1.0, -1.0]),), "DomainError", "logdet(A): the determinant is negative"),
    ("spectrum", (SQUARE,), "ArgumentError", "eigen(A): eigen is of symmetric matrices, this one is not symmetric"),
    ("batched", (sample(2, 3, 4), sample(2, 3, 4)), "DimensionMismatch",
     "batched_mul(A, B): a batch of 4 matrices 2×3 times one of 4, 2×3"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kind", "message"), BAD, ids=[f"{b[0]}{k}" for k, b in enumerate(BAD)])
def test_what_does_not_fit_is_an_error(name: str, args: tuple[Array, ...], kind: str, message: str) -> None:
    with pytest.raises(dsl.DslError) as caught:
        getattr(MODULE, name)(*args)
    assert (caught.value.kind, caught.value.message) == (kind, message)
    assert caught.value.span.source.name == "<string>"


def test_two_vectors_have_no_product() -> None:
    with pytest.raises(dsl.DslError, match=r"no method matching \*\(Vector"):
        MODULE.eval("[1.0, 2.0] * [3.0, 4.0]")


# ---------------------------------------------------------------- conventions


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_conventions_of_derivatives(mode: Any) -> None:
    module = dsl.loads(
        "at_zero(v) = gradient(norm, v)[1]\np_at_zero(v) = gradient(v -> norm(v, 3), v)[1]\n"
        "ties(v) = gradient(v -> norm(v, Inf), v)[1]\n"
        "values(A) = gradient(A -> sum(abs2, eigvals(A)) + sum(abs2, eigen(A).values) + sum(svdvals(A)), A)[1]\n"
        "vectors(A) = gradient(A -> sum(eigen(A).vectors * (eigen(A).values .* eigen(A).vectors')), A)[1]\n",
        mode=mode,
        opt_level=0,
    )  # fmt: skip
    same(module.at_zero(np.zeros(3)), np.zeros(3))
    same(module.p_at_zero(np.zeros(3)), np.zeros(3))
    same(module.ties(np.array([1.0, -2.0, 2.0])), np.array([0.0, -1.0, 0.0]))
    same(module.values(np.eye(3)), 5 * np.eye(3))
    assert np.isnan(module.vectors(np.eye(3))[0, 1])  # eigenvalues that coincide: not known, and not a wrong number
    same(module.vectors(np.diag([1.0, 2.0, 3.0])), np.ones((3, 3)))


def test_norms_do_not_overflow() -> None:
    same(MODULE.norms(np.array([3e200, 4e200]))[0], 5e200)
    same(MODULE.norms(np.array([3e-200, 4e-200]))[0], 5e-200, 1e-220)
    same(MODULE.unit(np.array([3e200, 4e200])), np.array([0.6, 0.8]))
    same(MODULE.eval("gradient(norm, [3e200, 4e200])[1]"), np.array([0.6, 0.8]))
    assert MODULE.norms(np.array([np.inf, 1.0]))[0] == np.inf
    assert np.isnan(MODULE.norms(np.array([np.nan, 1.0]))[0])


def test_floats_of_32_bits_stay_so() -> None:
    a = (SQUARE[:3, :3]).astype(np.float32)
    for result in (MODULE.solve(a, a[0]), MODULE.inverse(a), MODULE.exponential(a), MODULE.unit(a[0])):
        assert result.dtype == np.float32
    same(MODULE.inverse(a), np.linalg.inv(a), 1e-5)
