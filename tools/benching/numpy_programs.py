"""Rows in NumPy and SciPy, with derivatives written by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benching.harness import Arguments, Row, Run


def perceptron(row: Row, args: Arguments) -> tuple[Run, Run]:
    """tanh layers and a linear one."""
    *params, x0, y = args
    last = len(params) - 2

    def outputs() -> list[Any]:
        outs = [x0]
        for k in range(0, len(params), 2):
            z = outs[-1] @ params[k] + params[k + 1]
            outs.append(z if k == last else np.tanh(z))
        return outs

    def both() -> tuple[Any, ...]:
        outs = outputs()
        rest = outs[-1] - y
        d = 2 * rest / rest.size
        gradients: list[Any] = []
        for k in range(last, -1, -2):
            if k != last:
                d = d * (1 - outs[k // 2 + 1] ** 2)
            gradients = [outs[k // 2].T @ d, d.sum(axis=0), *gradients]
            if k:
                d = d @ params[k].T
        return (np.mean(rest**2), *gradients)

    return lambda: (np.mean((outputs()[-1] - y) ** 2),), both


def layers(random: np.random.Generator, batch: int, *widths: int) -> Arguments:
    """Parameters of a perceptron, inputs, and what is to come out."""
    made: list[Any] = []
    for n, m in itertools.pairwise(widths):
        made += [random.normal(size=(n, m)) / np.sqrt(n), 0.1 * random.normal(size=m)]
    return (*made, random.normal(size=(batch, widths[0])), np.tanh(random.normal(size=(batch, widths[-1]))))


def logistic_regression(row: Row, args: Arguments) -> tuple[Run, Run]:
    w, b, x, y = args

    def both() -> tuple[Any, ...]:
        z = x @ w + b
        d = (1 / (1 + np.exp(-z)) - y) / len(y)
        return np.mean(np.logaddexp(0, z) - y * z), x.T @ d, d.sum()

    return lambda: (np.mean(np.logaddexp(0, (z := x @ w + b)) - y * z),), both


def exponential(row: Row, args: Arguments) -> tuple[Run, Run]:
    """The adjoint of exp at A is its derivative at A' along the cotangent."""
    from scipy.linalg import expm, expm_frechet

    (a,) = args
    ones = np.ones_like(a)
    return lambda: (expm(a).sum(),), lambda: (expm(a).sum(), expm_frechet(a.T, ones, compute_expm=False))


def solve(row: Row, args: Arguments) -> tuple[Run, Run]:
    from scipy.linalg import lu_factor, lu_solve

    m, b = args

    def both() -> tuple[Any, ...]:
        lu = lu_factor(m, check_finite=False)
        x = lu_solve(lu, b, check_finite=False)
        db = lu_solve(lu, 2 * x, trans=1, check_finite=False)
        return (x**2).sum(), -np.outer(db, x), db

    return lambda: ((np.linalg.solve(m, b) ** 2).sum(),), both


def factor(row: Row, args: Arguments) -> tuple[Run, Run]:
    """Murray, Differentiation of the Cholesky decomposition (2016)."""
    from scipy.linalg import cholesky, solve_triangular

    (s,) = args

    def both() -> tuple[Any, ...]:
        lower = cholesky(s, lower=True, check_finite=False)
        d = 3 * lower**2
        phi = np.tril(lower.T @ d)
        phi[np.diag_indices_from(phi)] /= 2
        half = solve_triangular(lower, phi + phi.T, lower=True, trans=1, check_finite=False)
        full = solve_triangular(lower, half.T, lower=True, trans=1, check_finite=False)
        return (lower**3).sum(), full / 2

    return lambda: ((cholesky(s, lower=True, check_finite=False) ** 3).sum(),), both
