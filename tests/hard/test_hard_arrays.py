"""Programs on arrays that are written to break differentiation: gradients and their derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dsl

Array = np.ndarray[Any, np.dtype[np.float64]]
X = np.array([0.3, -0.7, 1.1])
ENGINES = ({"interpreter": True}, {"opt_level": 3})
each_engine = pytest.mark.parametrize("options", ENGINES, ids=("interpreter", "O3"))
each_mode = pytest.mark.parametrize("mode", ("forward", "reverse"))


def differences(function: Callable[[Array], Any], x: Array, h: float = 1e-4) -> Array:
    """Central differences of fourth order: a row for each number of x."""

    def at(i: int, k: int) -> Array:
        y = x.copy()
        y[i] += k * h
        return np.asarray(function(y), float)

    return np.array([(8 * (at(i, 1) - at(i, -1)) - at(i, 2) + at(i, -2)) / (12 * h) for i in range(len(x))])


def test_what_a_nested_gradient_restores_is_known_beyond_it() -> None:
    """A captured array that a function under `gradient` writes; the second derivative goes through the restoring."""
    program = """
      function f(x)
        buf = copy(x)
        function h(y)
          buf[1] = y[2] * buf[2]
          return buf[1] * y[1] + sum(buf)
        end
        g = gradient(h, x)[1]
        return sum(g .* [1.0, 2.0, 3.0]) + buf[1] * 5
      end
    """
    m = dsl.loads(program, opt_level=1)

    # h = y1*y2*x2 + y2*x2 + x2 + x3 at y = x, buf[1] as it was
    def expected(x: Array) -> float:
        return float(x[1] * x[1] + 2 * (x[0] * x[1] + x[1]) + 5 * x[0])

    np.testing.assert_allclose(m.f(X.copy()), expected(X), rtol=1e-14)
    np.testing.assert_allclose(dsl.gradient(m.f, X)[0], differences(expected, X), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(dsl.hessian(m.f)(X), [[0, 2, 0], [2, 2, 0], [0, 0, 0]], rtol=1e-14, atol=1e-14)


@each_engine
@each_mode
def test_a_gradient_through_a_written_buffer_in_forward_mode(options: dict[str, Any], mode: str) -> None:
    program = """
      function f(x)
        buf = zeros(1)
        g = gradient(y -> (buf[1] = y[1]; buf[1] * y[1] * y[1]), x)[1]
        return g[1]
      end
      k(x) = pushforward(z -> gradient(f, z)[1], x)([1.0, 2.0, 3.0])
    """
    m = dsl.loads(program, mode=mode, **options)
    np.testing.assert_allclose(m.k(X), [6.0, 0.0, 0.0], rtol=1e-14)
