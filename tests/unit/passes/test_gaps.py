"""Copies that are overwritten row by row: what is in the array then, for arrays and parts of all shapes. (What is
decided, and what just not: tests/files/passes/gaps_*.ir.)"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import dsl

PROGRAM = """
function part(u)
  n, m = size(u)
  v = copy(u)
  for i in ROWS
    for j in COLUMNS
      v[i, j] = u[i, j] * (u[i, j] + j)
    end
  end
  v
end
function across(u)
  n, m = size(u)
  v = copy(u)
  for j in COLUMNS
    for i in ROWS
      v[i, j] = u[i, j] * (u[i, j] + j)
    end
  end
  v
end
total(u) = sum(part(u) .^ 2)
"""
RANGES = ["1:LAST", "2:LAST-1", "2:LAST", "1:LAST-2", "3:LAST-1"]


def loaded(rows: str, columns: str, **options: int) -> dsl.Module:
    text = PROGRAM.replace("ROWS", rows.replace("LAST", "n")).replace("COLUMNS", columns.replace("LAST", "m"))
    return dsl.loads(text, **options)


def expected(u: np.ndarray, rows: str, columns: str) -> np.ndarray:
    v = u.copy()
    ranges = []
    for text, last in zip((rows, columns), u.shape, strict=True):
        first, end = text.replace("LAST", str(last)).split(":")
        ranges.append(range(int(first), sum(map(int, end.replace("-", " -").split())) + 1))
    for i, j in itertools.product(*ranges):
        v[i - 1, j - 1] *= v[i - 1, j - 1] + j
    return v


@pytest.mark.parametrize(("rows", "columns"), itertools.product(RANGES, RANGES))
def test_all_shapes(rows: str, columns: str) -> None:
    """Whether the nest goes along the rows of the array, or across them."""
    module = loaded(rows, columns)
    assert "local=True" in str(module.part.code_typed(np.zeros((3, 3))))
    assert "local=True" not in str(module.across.code_typed(np.zeros((3, 3))))
    for shape in itertools.product((0, 1, 2, 3, 5), (0, 1, 2, 3, 6)):
        u = np.random.default_rng(1).uniform(size=shape)
        np.testing.assert_array_equal(module.part(u), expected(u, rows, columns))
        np.testing.assert_array_equal(module.across(u), expected(u, rows, columns))


def test_gradients() -> None:
    module = loaded("2:LAST-1", "2:LAST-1")
    for shape in ((4, 5), (2, 2), (1, 3)):
        dsl.check_grads(module.total, (np.random.default_rng(2).uniform(size=shape),), order=2)
