"""Functions made of polynomials: within one unit in the last place, the same bits at every place of an array."""

from __future__ import annotations

import math
from random import Random

import mpmath
import numpy as np

import dsl
from dsl.ops import evaluate
from dsl.types import F64


def points(n: int) -> list[float]:
    random = Random(1)
    near = [random.uniform(-1.5, 1.5) for _ in range(n)]
    return near + [random.uniform(-25, 25) for _ in range(n)] + [10 ** random.uniform(-308, 0) for _ in range(n // 4)]


def test_tanh_is_within_one_ulp() -> None:
    with mpmath.workdps(40):
        for x in points(1500):
            exact = mpmath.tanh(mpmath.mpf(x))
            assert abs(mpmath.mpf(evaluate("tanh", [F64], [x])) - exact) <= math.ulp(float(exact))


def test_tanh_at_the_ends() -> None:
    for x, y in ((0.0, 0.0), (math.inf, 1.0), (-math.inf, -1.0), (22.5, 1.0), (5e-324, 5e-324), (-1e308, -1.0)):
        assert evaluate("tanh", [F64], [x]) == y
    assert math.copysign(1.0, evaluate("tanh", [F64], [-0.0])) == -1.0
    assert math.isnan(evaluate("tanh", [F64], [math.nan]))


def test_the_bits_do_not_depend_on_the_place() -> None:
    m = dsl.loads("all(v) = tanh.(v)\none(x) = tanh(x)")
    numbers = points(40)
    for start in range(9):
        part = np.array(numbers[start:])
        found = m["all"](part)
        assert [x.hex() for x in found] == [m.one(float(x)).hex() for x in part]
