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


@each_engine
@pytest.mark.parametrize("write", ("", "x[1] = x[2] * x[3]"), ids=("read", "written"))
def test_the_hessian_of_a_dict_that_holds_the_argument(write: str, options: dict[str, Any]) -> None:
    """Restoring must leave the gradient alone, which is memory made by the call that is restored."""
    program = f"""
      function f(x)
        d = Dict(1 => x)
        {write}
        d[2] = x .* x
        return sum(d[2] .* d[1])
      end
    """
    m = dsl.loads(program, **options)
    a, b, c = X
    x, y = (a, 0.0) if not write else (b * c, 1.0)
    # Σ x_k³, where x_1 is perhaps x_2 x_3
    expected = np.diag([6 * a * (1 - y), 6 * b + y * 6 * x * c * c, 6 * c + y * 6 * x * b * b])
    expected[1, 2] = expected[2, 1] = y * (6 * x * b * c + 3 * x * x)
    before = X.copy()
    np.testing.assert_allclose(dsl.hessian(m.f)(before), expected, rtol=1e-13)
    np.testing.assert_allclose(m.f.hvp(before, X), expected @ X, rtol=1e-13)
    assert (before == X).all()


def test_the_third_derivative_of_a_function_that_writes_its_argument() -> None:
    program = """
      f(x) = (x[1] = x[2] * x[3]; sum(x .^ 3))
      g(x) = gradient(f, x)[1]
      h(x, v) = pushforward(g, x)(v)
      k(x, v) = pushforward(z -> h(z, v), x)(v)
    """
    m = dsl.loads(program, opt_level=1)
    v = np.array([1.0, 2.0, 3.0])
    b, c = X[1:]
    # along v: the second derivative of 3 b²c³ + 3 b², 3 b³c² + 3 c²
    of_b = [6 * c**3 + 0.0, 18 * b * c**2, 18 * b**2 * c]
    of_c = [18 * b * c**2, 18 * b**2 * c, 6 * b**3]
    expected = [0.0] + [w[0] * 4 + w[1] * 12 + w[2] * 9 + 6 * v[i] ** 2 for i, w in ((1, of_b), (2, of_c))]
    np.testing.assert_allclose(m.k(X, v), expected, rtol=1e-13)


@each_engine
def test_what_stands_behind_a_failure_is_not_begun(options: dict[str, object]) -> None:
    """Rows of a matrix that could be done side by side, into an array of the caller: those behind stay as they were."""
    text = """
    function rows!(out, A, b)
      for i in 1:size(A, 1)
        s = 0.0
        for j in 1:size(A, 2)
          s += A[i, j] * b[j]
        end
        out[i] = log(s)
      end
      nothing
    end
    """
    module = dsl.loads(text, **options)
    A, out = np.ones((40, 10), order="F"), np.zeros(40)
    A[5] = -1.0
    with pytest.raises(dsl.DslError, match="log of a negative number: -10"):
        module["rows!"](out, A, np.ones(10))
    assert np.allclose(out[:5], np.log(10.0)) and not out[5:].any()
