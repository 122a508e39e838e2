"""Programs made to break differentiation: a derivative that is zero by chance, not by path; tangents that are shared.

Each answer is derived by hand beside it.
"""

from __future__ import annotations

import math

import pytest

from tests.support.compare import difference
from tests.support.ways import WAYS, Way, error_of, evaluate

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)


def check(program: str, expression: str, expected: object, way: Way) -> None:
    assert difference(evaluate(program, expression, way), expected, 1e-11) == "", expression


# ------------------------------------------------------------------ zero by chance, not by path

# sin(u) + exp(u) with u = x²: 1 + 2x² + …, so the second derivative at 0 is 4, and the third 0
THROUGH_BRANCH = (
    "function f(x)\n  y = x^2\n  if x > -5.0\n    z = y\n  else\n    z = 1.0\n  end\n  sin(z) + exp(z)\nend\n"
)
THROUGH_VECTOR = "function f(x)\n  v = Float64[]\n  push!(v, x^2)\n  sin(v[1]) + exp(v[1])\nend\n"
THROUGH_LOOP = (
    "function f(x)\n  z = 1.0\n  while z > 0.5\n    z = x^2\n    x > 9.0 && break\n  end\n  sin(z) + exp(z)\nend\n"
)
THROUGH_CHOICE = "f(x) = sin(max(x^2, -1.0)) + ifelse(x < 1.0, exp(x^2), 1.0)\n"
THROUGH_CALL = "g(y) = sin(y) + exp(y)\nfunction f(x)\n  z = 0.0\n  if x < 3.0\n    z = x^2\n  end\n  g(z)\nend\n"


@each_way
@pytest.mark.parametrize("program", [THROUGH_BRANCH, THROUGH_VECTOR, THROUGH_LOOP, THROUGH_CHOICE, THROUGH_CALL])
def test_a_tangent_that_is_zero_by_chance_has_a_derivative(program: str, way: Way) -> None:
    check(program, "(f'(0.0), f''(0.0), f'''(0.0))", (0.0, 4.0, 0.0), way)
    check(program, "pushforward(t -> pullback(f, t)[2](1.0)[1], 0.0)(1.0)", 4.0, way)


@each_way
def test_a_cotangent_that_is_zero_by_chance_has_a_derivative(way: Way) -> None:
    """(sin x - sin 1)²: at 1 the second derivative is 2 cos² 1, the third -6 sin 1 cos 1."""
    program = "function f(x)\n  r = Ref(sin(x))\n  u = r[] - sin(1.0)\n  u * u\nend\n"
    second, third = 2 * math.cos(1) ** 2, -6 * math.sin(1) * math.cos(1)
    check(program, "(f'(1.0), f''(1.0), f'''(1.0))", (0.0, second, third), way)
    check(program, "pushforward(t -> pullback(f, t)[2](1.0)[1], 1.0)(1.0)", second, way)


@each_way
def test_the_path_not_taken_stays_an_exact_zero_in_higher_orders(way: Way) -> None:
    """x² near 0; what is not used has infinite derivatives there."""
    program = (
        "function f(x)\n  y = sqrt(x) + log(x) + x^1.5 + cbrt(x)\n  z = x * x\n"
        "  if x > 3.0\n    z = y * y\n  end\n  z\nend\n"
    )
    check(program, "(f'(0.0), f''(0.0), f'''(0.0))", (0.0, 2.0, 0.0), way)
    check(program, "pushforward(t -> pullback(f, t)[2](1.0)[1], 0.0)(1.0)", 2.0, way)


@each_way
@pytest.mark.parametrize("rule", [
    "@adjoint s(x) = (sqrt(x), d -> (d * (0.5 / sqrt(x)),))\n",
    "frule((_, d), ::typeof(s), x) = (sqrt(x), d * (0.5 / sqrt(x)))\n",
], ids=["adjoint", "frule"])  # fmt: skip
def test_a_rule_on_the_path_not_taken(rule: str, way: Way) -> None:
    program = f"s(x) = sqrt(x)\n{rule}function f(x)\n  y = s(x)\n  z = x^2\n  if x > 1.0\n    z = y\n  end\n  2z\nend\n"
    check(program, "(f'(0.0), gradient(f, 0.0), f''(0.0))", (0.0, (0.0,), 4.0), way)


# ------------------------------------------------------------------ tangents and cotangents of vectors

VECTORS = "pair(a, b) = (v = Float64[]; push!(v, a); push!(v, b); v)\n"


@each_way
def test_a_vector_as_its_own_tangent(way: Way) -> None:
    """w = v₁² v₂ along v is 3w; the function writes its argument, and so its tangent."""
    program = VECTORS + (
        "w(v) = (v[1] = v[1]^2; v[1] * v[2])\n"
        "t() = (v = pair(2.0, 3.0); d = pushforward(w, v)(v); (d, v[1], v[2]))\n"
        "along(x) = (v = pair(x, 3.0); pushforward(w, v)(v))\n"
    )
    check(program, "t()", (36.0, 2.0, 3.0), way)
    check(program, "(along'(2.0), along''(2.0))", (36.0, 18.0), way)  # 9x²


@each_way
def test_a_tangent_of_another_length(way: Way) -> None:
    program = VECTORS + (
        "one() = (v = Float64[]; push!(v, 1.0); v)\nf(v) = v[1] * v[2]\nt() = pushforward(f, pair(2.0, 3.0))(one())\n"
    )
    assert error_of(program, "t()", way) == "ArgumentError"


@each_way
def test_a_cotangent_of_a_vector_is_not_dropped(way: Way) -> None:
    program = VECTORS + "f(x) = pair(x, x^2)\nt(x) = pullback(f, x)[2](pair(1.0, 10.0))[1]\n"
    check(program, "t(3.0)", 61.0, way)
