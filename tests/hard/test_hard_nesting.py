"""Derivatives of derivatives: mixed orders and modes, perturbation confusion, derivatives inside loops and closures."""

from __future__ import annotations

from typing import Any

import mpmath
import pytest

from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-11) -> None:
    assert difference(evaluate(program, expression, way), expected, rel) == ""


# expression → answer, all closed forms
CONFUSION = {
    "derivative(x -> x * derivative(y -> x + y, 1.0), 1.0)": 1.0,
    "derivative(x -> x * derivative(y -> x * y, 2.0), 4.0)": 8.0,
    # inner: d/dy (x·y²) at y = x is 2x², times x: 2x³
    "derivative(x -> x * derivative(y -> x * y^2, x), 3.0)": 54.0,
    # inner: d/dz (x y z²) at z = y is 2xy²; y ↦ x y² · 2 x y² = 2x²y⁴ has 8x²y³ at y = x, that is 8x⁵
    "derivative(x -> derivative(y -> x * y^2 * derivative(z -> x * y * z^2, y), x), 2.0)": 640.0,
    # a closure made outside is called inside: f is y ↦ x·y, so d/dx (x · x) = 2x
    "derivative(x -> (f = y -> x * y; derivative(z -> f(z), x) * x), 3.0)": 6.0,
    # the outer variable is the inner point, too: d/dx 3x² = 6x
    "derivative(x -> derivative(y -> y^3, x), 2.0)": 12.0,
    # an inner derivative in which the outer variable is only the seed's factor
    "derivative(x -> gradient((a, b) -> a * b * x, x, x)[2], 3.0)": 6.0,
    "gradient((x, y) -> derivative(t -> t^2 * x + y * t, y), 2.0, 3.0)": (6.0, 5.0),
    # the inner derivative is stop(x)·x, through whose first factor the outer one does not go either
    "derivative(x -> derivative(y -> stop_gradient(y) * y * x, x), 3.0)": 3.0,
    "derivative(x -> pullback(y -> x * y^2, x)[2](x)[1], 2.0)": 24.0,
    "derivative(x -> pushforward(y -> x * y^2, x)(x), 2.0)": 24.0,
}


@each_way
@pytest.mark.parametrize("expression", CONFUSION)
def test_perturbation_confusion(expression: str, way: Way) -> None:
    check("", expression, CONFUSION[expression], way)


CURVED = """
function f(x)
  s = x
  for i in 1:4
    if s > 1
      s = s * cos(x) + 0.3
    else
      s = exp(s * x) - 0.1
    end
  end
  s * x
end
function r(x, n)
  n == 0 && return sin(x)
  return r(x, n - 1) * x + r(x * 0.5, n - 1)
end
g(x) = r(x, 3)
grad(f) = x -> gradient(f, x)[1]
"""


def curved(x: Any) -> Any:
    s = x
    for _ in range(4):
        s = s * mpmath.cos(x) + mpmath.mpf(0.3) if s > 1 else mpmath.exp(s * x) - mpmath.mpf(0.1)
    return s * x


def recursive(x: Any, n: int = 3) -> Any:
    return mpmath.sin(x) if n == 0 else recursive(x, n - 1) * x + recursive(x / 2, n - 1)


@each_way
@pytest.mark.parametrize(("name", "mirror"), [("f", curved), ("g", recursive)])
def test_reverse_over_reverse_over_reverse(name: str, mirror: Any, way: Way) -> None:
    third = oracle.derivative(mirror, 0.6, 3)
    check(CURVED, f"{name}'''(0.6)", third, way, rel=1e-9)
    check(CURVED, f"grad(grad(grad({name})))(0.6)", third, way, rel=1e-9)
    check(CURVED, f"gradient(x -> gradient(y -> gradient({name}, y)[1], x)[1], 0.6)", (third,), way, rel=1e-9)


@each_way
def test_mixed_modes(way: Way) -> None:
    """Forward over reverse and reverse over forward, whatever the default mode is."""
    second = oracle.derivative(curved, 0.6, 2)
    check(CURVED, "pushforward(y -> pullback(f, y)[2](1.0)[1], 0.6)(1.0)", second, way, rel=1e-9)
    check(CURVED, "pullback(y -> pushforward(f, y)(1.0), 0.6)[2](1.0)", (second,), way, rel=1e-9)
    check(CURVED, "pullback(y -> pullback(f, y)[2](1.0)[1], 0.6)[2](1.0)", (second,), way, rel=1e-9)
    check(CURVED, "pushforward(y -> pushforward(f, y)(1.0), 0.6)(1.0)", second, way, rel=1e-9)
    check(CURVED, "hessian(f, 0.6)", second, way, rel=1e-9)


@each_way
def test_fourth_order(way: Way) -> None:
    check(CURVED, "f''''(0.6)", oracle.derivative(curved, 0.6, 4), way, rel=1e-8)


@each_way
def test_gradient_inside_a_loop_inside_a_gradient(way: Way) -> None:
    program = """
function newton(a)
  g(x) = x^3 - a
  x = 1.0
  for i in 1:7
    x -= g(x) / g'(x)
  end
  x
end
function descend(p)
  loss(a, b) = (a * b - p)^2 + 0.1a^2
  a = 1.0
  b = p
  for i in 1:5
    da, db = gradient(loss, a, b)
    a -= 0.1da
    b -= 0.1db
  end
  a * b
end
"""

    def newton(a: Any) -> Any:
        x = mpmath.mpf(1)
        for _ in range(7):
            x -= (x**3 - a) / (3 * x**2)
        return x

    def descend(p: Any) -> Any:
        tenth = mpmath.mpf(0.1)
        a, b = mpmath.mpf(1), p
        for _ in range(5):
            e = a * b - p
            da, db = 2 * e * b + 2 * tenth * a, 2 * e * a
            a, b = a - tenth * da, b - tenth * db
        return a * b

    for name, mirror in (("newton", newton), ("descend", descend)):
        check(program, f"{name}(1.7)", oracle.value(mirror, 1.7), way)
        check(program, f"gradient({name}, 1.7)", (oracle.derivative(mirror, 1.7),), way, rel=1e-10)
        check(program, f"{name}''(1.7)", oracle.derivative(mirror, 1.7, 2), way, rel=1e-8)


@each_way
def test_derivative_of_a_function_that_captures_a_box(way: Way) -> None:
    """The inner derivative runs a closure that writes a captured variable: the writes are undone, the value is used."""
    program = """
function f(x)
  c = x
  g(y) = (c = c * y; c + y)
  d = g'(2.0)
  d * g(3.0) + c
end
"""
    # g'(2) at c = x is x + 1, c is x again; then c = 3x, g(3) = 3x + 3: f = (x + 1)(3x + 3) + 3x = 3x² + 9x + 3
    check(program, "(f(1.5), f'(1.5), f''(1.5))", (3 * 2.25 + 13.5 + 3, 18.0, 6.0), way)


@each_way
def test_second_derivatives_through_memory(way: Way) -> None:
    program = """
mutable struct Acc
  v::Float64
  n::Int
end
function f(x)
  a = Acc(x, 0)
  d = Dict(:k => x)
  r = Ref(1.0)
  for i in 1:4
    a.v = a.v * d[:k] + r[]
    a.n += i
    d[:k] = sin(a.v)
    r[] = r[] * x
  end
  a.v * a.n + d[:k]
end
"""

    def mirror(x: Any) -> Any:
        v, n, k, r = x, 0, x, mpmath.mpf(1)
        for i in range(1, 5):
            v = v * k + r
            n += i
            k = mpmath.sin(v)
            r = r * x
        return v * n + k

    for k in (1, 2, 3):
        check(program, f"f{k * chr(39)}(0.8)", oracle.derivative(mirror, 0.8, k), way, rel=1e-9)


@each_way
def test_implicit_function_by_recursion(way: Way) -> None:
    program = """
fix(g, x, n) = n == 0 ? x : fix(g, g(x), n - 1)
f(a) = fix(x -> cos(a * x), 0.5, 30)
slope(a) = derivative(f, a)
"""

    def mirror(a: Any) -> Any:
        x = mpmath.mpf(0.5)
        for _ in range(30):
            x = mpmath.cos(a * x)
        return x

    check(program, "slope(0.9)", oracle.derivative(mirror, 0.9), way, rel=1e-10)
    check(program, "slope'(0.9)", oracle.derivative(mirror, 0.9, 2), way, rel=1e-9)


@each_way
def test_jacobian_and_hvp_of_scalars(way: Way) -> None:
    program = "f(x) = x^3 + sin(x)\n"
    with mpmath.workdps(30):
        second = float(6 * mpmath.mpf(2) - mpmath.sin(2))
    check(program, "hvp(f, 2.0, 3.0)", 3 * second, way)
    check(program, "hessian(f, 2.0)", second, way)
