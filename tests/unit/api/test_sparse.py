"""Sparse Jacobians and Hessians: exactly the dense ones, with the pattern that the program has, in few directions."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import dsl
from dsl.ad.sparse import column_colours, read_symmetric, star_colours

PROGRAM = """\
function stencil(x)
  y = [0.0 for i in 1:length(x)]
  for i in 1:length(x)
    left = i > 1 ? x[i-1] : 0.0
    right = i < length(x) ? x[i+1] : 0.0
    y[i] = left - 2x[i]^2 + sin(right)
  end
  y
end
function dense_row(x)
  s = 0.0
  for i in 1:length(x)
    s += x[i]^2*i
  end
  (s, x[1], 3.0)
end
function chain(x)
  s = 0.0
  for i in 1:length(x)-1
    s += 100*(x[i+1] - x[i]^2)^2 + (1 - x[i])^2
  end
  s
end
function arrow(x)
  s = 0.0
  for i in 2:length(x)
    s += x[1]*x[i]^2 + x[i]^3
  end
  s
end
choose(x) = x[1] > 0 ? [x[1]*x[2], x[3]] : [x[3], x[1]]
linear(x) = 2x[1] + x[2]
scaled(x, a) = [a*x[1], x[2]^a, a]
function swapped(x)
  y = [v for v in x]
  y[1], y[2] = y[2], y[1]
  y
end
tens(A) = A
"""
X = np.linspace(0.5, 2.0, 9)


@pytest.fixture(scope="module")
def m() -> dsl.Module:
    return dsl.loads(PROGRAM, opt_level=0)


@pytest.mark.parametrize("name", ["stencil", "swapped"])
def test_jacobians_are_the_dense_ones(m: dsl.Module, name: str) -> None:
    f = m[name]
    found = dsl.sparse_jacobian(f, X)
    assert scipy.sparse.issparse(found)
    np.testing.assert_array_equal(found.toarray(), dsl.jacobian(f)(X))


def test_the_pattern_is_that_of_the_program(m: dsl.Module) -> None:
    assert dsl.sparse_jacobian(m.stencil, X).nnz == 3 * len(X) - 2
    assert dsl.sparse_jacobian(m.swapped, X).nnz == len(X)
    found = dsl.sparse_jacobian(m.dense_row, X)
    assert found.shape == (3, 9) and found.nnz == 10
    np.testing.assert_allclose(found.toarray()[0], 2 * X * np.arange(1, 10))
    assert found.toarray()[1].tolist() == [1.0] + [0.0] * 8


@pytest.mark.parametrize("name", ["chain", "arrow", "linear"])
def test_hessians_are_the_dense_ones(m: dsl.Module, name: str) -> None:
    f = m[name]
    found = dsl.sparse_hessian(f, X)
    np.testing.assert_allclose(found.toarray(), dsl.hessian(f)(X), rtol=1e-13, atol=1e-13)
    assert found.nnz == {"chain": 3 * 9 - 2, "arrow": 9 + 2 * 8 - 1, "linear": 0}[name]


def test_a_pattern_that_the_point_decides_is_found_at_each_point(m: dsl.Module) -> None:
    for x in (np.array([1.0, 2.0, 3.0]), np.array([-1.0, 2.0, 3.0])):
        np.testing.assert_array_equal(dsl.sparse_jacobian(m.choose, x).toarray(), dsl.jacobian(m.choose)(x))


def test_further_arguments(m: dsl.Module) -> None:
    found = dsl.sparse_jacobian(m.scaled, np.array([2.0, 3.0]), 2.0)
    np.testing.assert_allclose(found.toarray(), [[2, 0], [0, 6], [0, 0]])


def test_what_has_no_sparse_derivative(m: dsl.Module) -> None:
    with pytest.raises(dsl.DslError) as caught:
        dsl.sparse_jacobian(m.tens, np.eye(2))
    assert caught.value.code == "E0602"


def random_pattern(rng: random.Random, rows: int, columns: int) -> list[list[int]]:
    return [sorted(rng.sample(range(columns), rng.randint(0, min(4, columns)))) for _ in range(rows)]


def test_no_row_has_two_columns_of_one_colour() -> None:
    rng = random.Random(1)
    for _ in range(50):
        pattern = random_pattern(rng, rng.randint(1, 20), rng.randint(1, 20))
        colours = column_colours(pattern, 20)
        assert all(len({colours[j] for j in row}) == len(row) for row in pattern)


def test_symmetric_matrices_are_read_back_exactly() -> None:
    rng = random.Random(2)
    for _ in range(100):
        n = rng.randint(1, 25)
        h = np.zeros((n, n))
        for _ in range(rng.randint(0, 3 * n)):
            i, j = rng.randrange(n), rng.randrange(n)
            h[i, j] = h[j, i] = rng.uniform(1, 2)
        pattern: list[list[int]] = [np.flatnonzero(row).tolist() for row in h]
        colours = star_colours(pattern)
        products: list[Any] = [h @ (np.array(colours) == c) for c in range(max(colours) + 1)]
        read = np.zeros((n, n))
        for i, j, row, c in read_symmetric(pattern, colours):
            read[i, j] = products[c][row]
        np.testing.assert_array_equal(read, h)


def test_an_arrow_needs_two_directions() -> None:
    n = 50
    pattern = [list(range(n)), *([0, i] for i in range(1, n))]
    assert max(star_colours(pattern)) == 1
    assert max(column_colours(pattern, n)) == n - 1


def test_rows_that_are_moved_keep_the_pattern() -> None:
    """Iterations are done side by side, for which rows of W are laid side by side by a kernel."""
    text = """
function f(x, W)
  out = zeros(size(W, 1))
  for i in 1:size(W, 1)
    z = x[i]
    for j in 1:size(W, 2)
      z = z * W[i, j] + 1
    end
    out[i] = z
  end
  out
end
"""
    f, x, W = dsl.loads(text).f, np.ones(40), np.full((40, 3), 0.5)
    assert "transpose" in f.code_typed(x, W)
    assert dsl.sparse_jacobian(f, x, W).nnz == 40
