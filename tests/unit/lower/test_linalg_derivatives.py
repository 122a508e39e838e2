"""Derivatives of linear algebra, first and second, in both modes, against differences of mpmath's at 60 digits.

Each function of a matrix is a sum of all its elements times fixed weights, so that no symmetry hides an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import dsl

Matrix = Any  # of mpmath
Reference = Callable[[Matrix], Any]

A3 = np.array([[2.0, -1.0, 0.5], [0.3, 3.0, -0.7], [1.1, 0.4, 1.7]])
S3 = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.2], [0.5, -0.2, 2.0]])
TALL = np.array([[1.0, 2.0], [-0.5, 1.5], [0.7, -1.2], [0.2, 0.9]])
WIDE = np.array([[1.0, 2.0, -0.5, 0.3], [0.7, -1.2, 0.2, 0.9]])
RANK_3 = np.array([[1.0, 0.2, 0.0, 0.1], [0.0, 2.0, 0.6, 0.0], [1.5, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
A4 = np.array([[2.0, 0.1, -0.4, 0.3], [0.5, 1.5, 0.2, -0.6], [-0.3, 0.8, 2.5, 0.4], [0.9, -0.2, 0.6, 1.2]])

LIBRARY = """
weight(i, j) = 1 + sin(1.0 * (3i + 5j))
weighted(X) = sum([weight(i, j) * X[i, j] for i in 1:size(X, 1), j in 1:size(X, 2)])
weighted(x::AbstractVector) = sum([weight(i, 1) * x[i] for i in 1:length(x)])
both(A, D) = (f(A), gradient(f, A)[1], pushforward(f, A)(D))
second(A, D) = hvp(f, A, D)
"""


def weighted(x: Matrix) -> Any:
    return mp.fsum((1 + mp.sin(3 * (i + 1) + 5 * (j + 1))) * x[i, j] for i in range(x.rows) for j in range(x.cols))


def upper_mirrored(a: Matrix) -> Matrix:
    return mp.matrix([[a[min(i, j), max(i, j)] for j in range(a.rows)] for i in range(a.rows)])


def symmetric_part(a: Matrix) -> Matrix:
    return (a + a.T) / 2


def gram_schmidt(a: Matrix) -> tuple[Matrix, Matrix]:
    """Q and R with a positive diagonal, of the first columns; R has all of them."""
    m, n = a.rows, a.cols
    k = min(m, n)
    q = mp.matrix(m, k)
    for j in range(k):
        v = a[:, j]
        for i in range(j):
            v = v - q[:, i] * (q[:, i].T * v)[0]
        q[:, j] = v / mp.norm(v)
    return q, q.T * a


def with_signs(a: Matrix, start: np.ndarray[Any, Any]) -> tuple[Matrix, Matrix]:
    """Q and R with the signs that LAPACK gives to the diagonal at `start`."""
    q, r = gram_schmidt(a)
    d = mp.diag([mp.mpf(float(s)) for s in np.sign(np.diag(np.linalg.qr(start)[1]))])
    return q * d, d * r


def eigen(a: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues ascending, vectors whose last component is positive."""
    w, v = mp.eigsy(symmetric_part(a))
    for j in range(a.rows):
        if v[a.rows - 1, j] < 0:
            v[:, j] = -v[:, j]
    return w, v


def singular(a: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    u, s, vt = mp.svd_r(a)
    for i in range(s.rows):
        if vt[i, vt.cols - 1] < 0:
            vt[i, :], u[:, i] = -vt[i, :], -u[:, i]
    return u, s, vt


def solve(a: Matrix, b: Matrix) -> Matrix:
    return a**-1 * b


def p_norm(v: Matrix, p: str) -> Any:
    return mp.fsum(abs(x) ** mp.mpf(p) for x in v) ** (1 / mp.mpf(p))


def shortest(a: Matrix, b: Matrix) -> Matrix:
    return a.T * (a * a.T) ** -1 * b


def lower_upper(a: Matrix) -> Any:
    """The weighted sum of L and of U, with the largest pivots."""
    _, lower, upper = mp.lu(a)
    return weighted(lower) + weighted(upper) ** 2


def det(a: Matrix) -> Any:
    """By permutations."""
    n = a.rows
    if n == 1:
        return a[0, 0]
    rest = lambda j: mp.matrix([[a[i, c] for c in range(n) if c != j] for i in range(1, n)])  # noqa: E731
    return mp.fsum((-1) ** j * a[0, j] * det(rest(j)) for j in range(n))


B = mp.matrix([[1, 2], ["0.5", -1], ["-0.7", "0.3"]])
TALL_B = mp.matrix([1, 2, "-0.5", "0.3"])
WIDE_B = mp.matrix([1, "-0.7"])

CASES: dict[str, tuple[str, np.ndarray[Any, Any], Reference]] = {
    "products": ("weighted(A' * A * A) * tr(A * A')", A3,
                 lambda a: weighted(a.T * a * a) * mp.fsum((a * a.T)[i, i] for i in range(3))),
    "vectors": ("([1.0, 2.0, -0.5]' * A) * (A * [1.0, 2.0, 3.0])", A3,
                lambda a: ((mp.matrix([[1, 2, "-0.5"]]) * a) * (a * mp.matrix([1, 2, 3])))[0]),
    "outer product": ("weighted(A[:, 1] * A[2, :]')", A3, lambda a: weighted(a[:, 0] * a[1, :])),
    "power": ("weighted(A^5)", A3, lambda a: weighted(a**5)),
    "inverse power": ("weighted(A^-2)", A3, lambda a: weighted(a**-2)),
    "dot": ("dot(A, A * A)", A3, lambda a: mp.fsum(x * y for x, y in zip(a, a * a, strict=True))),
    "norm": ("norm(A) * norm(A[:, 1])^2", A3, lambda a: mp.norm(a) * mp.norm(a[:, 0]) ** 2),
    "norm p": ("norm(A[:, 2], 3) + norm(A[1, :], 1.5)", A3, lambda a:
               p_norm(a[:, 1], "3") + p_norm(a[0, :], "1.5")),
    "normalize": ("weighted(normalize(A[1, :]))", A3, lambda a: weighted((a[0, :] / mp.norm(a[0, :])).T)),
    "kron": ("weighted(kron(A, A[1:2, :]))", A3, lambda a: weighted(mp.matrix(
        [[a[i // 2, j // 3] * a[i % 2, j % 3] for j in range(9)] for i in range(6)]))),
    "identity": ("weighted((A - 0.5I) * (A + I))", A3, lambda a: weighted((a - mp.eye(3) / 2) * (a + mp.eye(3)))),
    "solve": ("weighted(A \\ [1.0 2.0; 0.5 -1.0; -0.7 0.3])", A3, lambda a: weighted(solve(a, B))),
    "solve for the right side": ("weighted([2.0 1.0 0.0; 0.5 3.0 1.0; 0.0 1.0 4.0] \\ (A * A))", A3, lambda a: weighted(
        solve(mp.matrix([[2, 1, 0], ["0.5", 3, 1], [0, 1, 4]]), a * a))),
    "divide": ("weighted(A' / A)", A3, lambda a: weighted(a.T * a**-1)),
    "least squares": ("weighted(A \\ [1.0, 2.0, -0.5, 0.3])", TALL, lambda a: weighted(
        solve(a.T * a, a.T * TALL_B))),
    "shortest": ("weighted(A \\ [1.0, -0.7])", WIDE, lambda a: weighted(shortest(a, WIDE_B))),
    "inv": ("weighted(inv(A))", A3, lambda a: weighted(a**-1)),
    "det of 3": ("det(A)", A3, det),
    "det of 4": ("det(A)^2", A4, lambda a: det(a) ** 2),
    "det of 4, singular": ("det(A)", RANK_3, det),
    "det of 4, rank 2": ("det(A)", np.diag([1.0, 1, 0, 0]) @ RANK_3, det),
    "logdet": ("logdet(A)^2", A3, lambda a: mp.log(det(a)) ** 2),
    "cholesky": ("weighted(cholesky(A).L) + weighted(cholesky(A).U)^2", S3, lambda a: weighted(
        mp.cholesky(upper_mirrored(a))) + weighted(mp.cholesky(upper_mirrored(a)).T) ** 2),
    "cholesky solve": ("weighted(cholesky(A) \\ [1.0, 2.0, 3.0]) + logdet(cholesky(A))", S3, lambda a: weighted(
        solve(upper_mirrored(a), mp.matrix([1, 2, 3]))) + mp.log(det(upper_mirrored(a)))),
    "lu": ("weighted(lu(A).L) + weighted(lu(A).U)^2", A3, lower_upper),
    "lu solve": ("weighted(lu(A) \\ [1.0, 2.0, 3.0])", A3, lambda a: weighted(solve(a, mp.matrix([1, 2, 3])))),
    "qr": ("weighted(qr(A).Q) + weighted(qr(A).R)^2", TALL, lambda a: weighted(
        with_signs(a, TALL)[0]) + weighted(with_signs(a, TALL)[1]) ** 2),
    "qr, wide": ("weighted(qr(A).Q) + weighted(qr(A).R)^2", WIDE, lambda a: weighted(
        with_signs(a, WIDE)[0]) + weighted(with_signs(a, WIDE)[1]) ** 2),
    "eigvals": ("weighted(eigvals((A + A') / 2))", S3, lambda a: weighted(eigen(a)[0])),
    "eigen": ("weighted(eigen((A + A') / 2).vectors) + eigen((A + A') / 2).values[1]^2", S3, lambda a: weighted(
        eigen(a)[1]) + eigen(a)[0][0] ** 2),
    "svdvals": ("weighted(svdvals(A))", TALL, lambda a: weighted(singular(a)[1])),
    "svd, tall": ("weighted(svd(A).U) + weighted(svd(A).V) + weighted(svd(A).S)^2", TALL, lambda a: weighted(
        singular(a)[0]) + weighted(singular(a)[2].T) + weighted(singular(a)[1]) ** 2),
    "svd, wide": ("weighted(svd(A).U) + weighted(svd(A).Vt) + weighted(svd(A).S)^2", WIDE, lambda a: weighted(
        singular(a)[0]) + weighted(singular(a)[2]) + weighted(singular(a)[1]) ** 2),
    "exp, small": ("weighted(exp(0.05A))", A3, lambda a: weighted(mp.expm(a / 20, method="pade"))),
    "exp, large": ("weighted(exp(3A))", A3, lambda a: weighted(mp.expm(3 * a, method="taylor"))),
    "exp, not normal": ("weighted(exp(A))", np.array([[1.0, 20.0], [0.0, 1.0]]), lambda a: weighted(
        mp.expm(a, method="taylor"))),
}  # fmt: skip

H = mp.mpf(10) ** -14


def along(f: Reference, a: np.ndarray[Any, Any], *directions: np.ndarray[Any, Any]) -> Any:
    """The derivative along directions, by central differences."""
    if not directions:
        return f(mp.matrix(a.tolist()) if isinstance(a, np.ndarray) else a)
    d, rest = mp.matrix(directions[0].tolist()), directions[1:]
    here = mp.matrix(a.tolist()) if isinstance(a, np.ndarray) else a
    return (along(f, here + H * d, *rest) - along(f, here - H * d, *rest)) / (2 * H)  # type: ignore[arg-type]


def units(a: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [np.eye(a.size)[k].reshape(a.shape) for k in range(a.size)]


def direction(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.cos(np.arange(a.size) * 1.7 + 0.3).reshape(a.shape)


def close(actual: Any, expected: list[Any], rel: float) -> None:
    want = np.array([float(x) for x in expected])
    have = np.asarray(actual, dtype=float).ravel()
    assert np.max(np.abs(have - want)) <= rel * max(1.0, np.max(np.abs(want))), f"\n{have}\n{want}"


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name: str) -> None:
    body, a, f = CASES[name]
    module = dsl.loads(f"{LIBRARY}f(A) = {body}\n", opt_level=0)
    d = direction(a)
    with mp.workdps(60):
        value, gradient, pushed = module.both(a, d)
        close(value, [along(f, a)], 1e-12)
        close(gradient, [along(f, a, u) for u in units(a)], 1e-11)
        close(pushed, [along(f, a, d)], 1e-11)
        close(module.second(a, d), [along(f, a, u, d) for u in units(a)], 1e-9)


@pytest.mark.parametrize("name", ["solve", "least squares", "inv", "det of 4", "cholesky", "exp, large"])
def test_gradients_are_the_same_for_every_layout(name: str) -> None:
    body, a, _ = CASES[name]
    module = dsl.loads(f"{LIBRARY}f(A) = {body}\ng(A) = gradient(f, A)[1]\n", opt_level=0)
    gaps = np.zeros((2 * a.shape[0], 3 * a.shape[1]))[::2, ::3]
    gaps[...] = a
    expected = module.g(a)
    close(module.g(np.asfortranarray(a)), list(expected.ravel()), 1e-13)
    close(module.g(gaps), list(expected.ravel()), 1e-13)
