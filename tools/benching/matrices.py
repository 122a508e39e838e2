"""Gradients through a matrix exponential, a linear solve and a Cholesky factorisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from benching.harness import Data, Row, Run, dfl_run, jax_run

TEXT = """
exponential(A) = sum(exp(A))
solve(A, b) = sum((A \\ b) .^ 2)
factor(A) = (L = cholesky((A + A') / 2).L; sum(L .* L .* L))  # the others differentiate it as symmetric, too
"""


def data_of(n: int) -> Any:
    def data(random: np.random.Generator) -> Data:
        a = random.normal(size=(n, n)) / np.sqrt(n)
        return {"a": a, "s": a @ a.T + 2 * np.eye(n), "m": a + 2 * np.eye(n), "b": random.normal(size=n)}

    return data


# ---------------------------------------------------------------- exp


def exp_dfl(data: Data) -> Run:
    return dfl_run(TEXT, "exponential", (0,), data["a"])


def exp_jax(data: Data) -> Run:
    import jax

    return jax_run(lambda a: jax.scipy.linalg.expm(a).sum(), (0,), data["a"])


def exp_scipy(data: Data) -> Run:
    """The adjoint of exp at A is its derivative at A' along the cotangent."""
    from scipy.linalg import expm, expm_frechet

    a, ones = data["a"], np.ones_like(data["a"])
    return lambda: (expm(a).sum(), expm_frechet(a.T, ones, compute_expm=False))


# ---------------------------------------------------------------- solve


def solve_dfl(data: Data) -> Run:
    return dfl_run(TEXT, "solve", (0, 1), data["m"], data["b"])


def solve_jax(data: Data) -> Run:
    import jax.numpy as jnp

    return jax_run(lambda a, b: (jnp.linalg.solve(a, b) ** 2).sum(), (0, 1), data["m"], data["b"])


def solve_scipy(data: Data) -> Run:
    from scipy.linalg import lu_factor, lu_solve

    m, b = data["m"], data["b"]

    def run() -> tuple[Any, ...]:
        lu = lu_factor(m, check_finite=False)
        x = lu_solve(lu, b, check_finite=False)
        db = lu_solve(lu, 2 * x, trans=1, check_finite=False)
        return (x**2).sum(), -np.outer(db, x), db

    return run


# ---------------------------------------------------------------- Cholesky


def cholesky_dfl(data: Data) -> Run:
    return dfl_run(TEXT, "factor", (0,), data["s"])


def symmetric(g: Any) -> Any:
    return (g + g.T) / 2


def cholesky_jax(data: Data) -> Run:
    import jax.numpy as jnp

    return jax_run(lambda s: (jnp.linalg.cholesky(s) ** 3).sum(), (0,), data["s"])


def cholesky_scipy(data: Data) -> Run:
    """Murray, Differentiation of the Cholesky decomposition (2016)."""
    from scipy.linalg import cholesky, solve_triangular

    s = data["s"]

    def run() -> tuple[Any, ...]:
        lower = cholesky(s, lower=True, check_finite=False)
        d = 3 * lower**2
        phi = np.tril(lower.T @ d)
        phi[np.diag_indices_from(phi)] /= 2
        half = solve_triangular(lower, phi + phi.T, lower=True, trans=1, check_finite=False)
        full = solve_triangular(lower, half.T, lower=True, trans=1, check_finite=False)
        return (lower**3).sum(), full / 2

    return run


KINDS = (
    ("expm", "sum of exp(A)", {"dfl": exp_dfl, "scipy": exp_scipy, "jax": exp_jax}),
    ("solve", "squared solution of A x = b", {"dfl": solve_dfl, "scipy": solve_scipy, "jax": solve_jax}),
    ("cholesky", "cubes of a Cholesky factor", {"dfl": cholesky_dfl, "scipy": cholesky_scipy, "jax": cholesky_jax}),
)
ROWS = tuple(
    Row(f"{name}-{n}", f"{title}, n = {n}", data_of(n), peers, tolerance=1e-7, matrix=True)
    for name, title, peers in KINDS
    for n in (8, 64, 512)
)
