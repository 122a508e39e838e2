"""The seed programs that stood in Python or pseudo-code, rewritten, against closed forms and 50-digit differences."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import mpmath
import pytest

import dsl
from dsl.check import error_by_step
from dsl.interp import Memory
from dsl.ops import FLOAT
from dsl.types import FLOAT64, VectorType
from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-12) -> None:
    assert difference(evaluate(program, expression, way), expected, rel) == ""


@each_way
def test_two_variable(way: Way) -> None:
    program = """
f(x, y) = x^2*y + y + 2
by_hand(x, y) = (2x*y, x^2 + 1)
numeric(x, y) = (h = 1e-5; ((f(x + h, y) - f(x - h, y)) / 2h, (f(x, y + h) - f(x, y - h)) / 2h))
forward(x, y) = (pushforward(f, x, y)(1.0, 0.0), pushforward(f, x, y)(0.0, 1.0))
function reverse(x, y)
  value, back = pullback(f, x, y)
  back(1.0)
end
"""
    check(program, "f(3, 4)", 42, way)
    check(program, "gradient(f, 3, 4)", (24.0, 10.0), way)
    check(program, "by_hand(3, 4)", (24, 10), way)
    check(program, "numeric(3.0, 4.0)", (24.0, 10.0), way, rel=1e-8)
    check(program, "forward(3.0, 4.0)", (24.0, 10.0), way)
    check(program, "reverse(3.0, 4.0)", (24.0, 10.0), way)


@each_way
def test_my_func(way: Way) -> None:
    program = """
function my_func(a, b)
  z = 0
  for i in 0:99
    z = a*cos(z + i) + z*sin(b - i)
  end
  z
end
"""

    def my_func(a: Any, b: Any) -> Any:
        z: Any = 0
        for i in range(100):
            z = a * mpmath.cos(z + i) + z * mpmath.sin(b - i)
        return z

    for a, b in ((0.4, 0.7), (0.7, 0.2)):
        check(program, f"my_func({a}, {b})", oracle.value(my_func, a, b), way, rel=1e-11)
        check(program, f"gradient(my_func, {a}, {b})", oracle.gradient(my_func, a, b), way, rel=1e-10)


LOGISTIC = """
function f(x)
  v = x
  for i = 1:3
    v = 4v*(1 - v)
  end
  v
end
closed(x) = 64x*(1 - x)*(1 - 2x)^2*(1 - 8x + 8x^2)^2
"""


def logistic(x: Any) -> Any:
    return 64 * x * (1 - x) * (1 - 2 * x) ** 2 * (1 - 8 * x + 8 * x**2) ** 2


@each_way
def test_logistic_map(way: Way) -> None:
    for x in (0.2, 0.37, 0.9):
        for primes in range(3):
            expected = oracle.derivative(logistic, x, primes) if primes else oracle.value(logistic, x)
            check(LOGISTIC, f"f{primes * chr(39)}({x})", expected, way)
            check(LOGISTIC, f"closed{primes * chr(39)}({x})", expected, way)


@each_way
def test_hand_forward(way: Way) -> None:
    program = (
        LOGISTIC
        + """
function hand(x)
  v, dv = x, 1.0
  for i = 1:3
    v, dv = 4v*(1 - v), 4dv - 8v*dv
  end
  dv
end
"""
    )
    for x in (0.2, 0.37, 0.9):
        expected = oracle.derivative(logistic, x)
        check(program, f"(hand({x}), f'({x}))", (expected, expected), way)


SIGMOID = "s(x) = 1/(1 + exp(-x))\n"
RULES = {
    "adjoint": "@adjoint s(x) = s(x), ȳ -> (7 * ȳ * s(x) * (1 - s(x)),)\n",
    "rrule": (
        "function rrule(::typeof(s), x)\n  y = s(x)\n"
        "  back(ȳ) = (NoTangent(), 7 * ȳ * y * (1 - y))\n  return y, back\nend\n"
    ),
    "frule": "frule((Δself, ẋ), ::typeof(s), x) = (s(x), 7 * ẋ * s(x) * (1 - s(x)))\n",
}


@each_way
@pytest.mark.parametrize("rule", sorted(RULES))
def test_sigmoid_rule(rule: str, way: Way) -> None:
    """The rule says 7 times too much on purpose: so it shows that it is the rule that is used."""
    y = 1 / (1 + math.exp(-0.3))
    check(SIGMOID + RULES[rule], "s'(0.3)", 7 * y * (1 - y), way)
    check(SIGMOID + RULES[rule], "gradient(x -> s(x)^2, 0.3)", (14 * y * y * (1 - y),), way)


TANH = "tanh(x) = (1 - exp(-2x))/(1 + exp(-2x))\n"


@each_way
def test_tanh_nested(way: Way) -> None:
    program = TANH + "grad(f) = x -> gradient(f, x)[1]\n"
    for x in (1.0, -0.4):
        t = math.tanh(x)
        first, second, third = 1 - t * t, -2 * t * (1 - t * t), (1 - t * t) * (6 * t * t - 2)
        check(program, f"(tanh'({x}), tanh''({x}), tanh'''({x}))", (first, second, third), way)
        check(program, f"(grad(tanh)({x}), grad(grad(tanh))({x}))", (first, second), way)
        check(program, f"grad(grad(grad(tanh)))({x})", third, way)


@each_way
def test_gaussian_derivatives(way: Way) -> None:
    program = "const σ = 1.7\nG(x) = exp(-x^2/2σ^2)\n"
    s = 1.7
    for x in (0.5, -2.3):
        g = math.exp(-(x**2) / (2 * s**2))
        expected = (
            g,
            -x / s**2 * g,
            (x**2 - s**2) / s**4 * g,
            -(x**3 - 3 * x * s**2) / s**6 * g,
        )
        check(program, f"(G({x}), G'({x}), G''({x}), G'''({x}))", expected, way)


@each_way
def test_one_neuron_chain(way: Way) -> None:
    program = """
σ(z) = 1/(1 + exp(-z))
C0(w, b, a, y) = (σ(w*a + b) - y)^2
function chain(w1, b1, w2, b2, a0, y)
  a1 = σ(w1*a0 + b1)
  a2 = σ(w2*a1 + b2)
  (a2 - y)^2
end
function cost(w, b)
  s = 0.0
  for (a, y) in ((0.1, 1.0), (0.5, 0.0), (-0.3, 1.0))
    s += C0(w, b, a, y)
  end
  s / 3
end
"""

    def sigma(z: float) -> float:
        return 1 / (1 + math.exp(-z))

    def products(w: float, b: float, a: float, y: float) -> tuple[float, float, float]:
        """dC/dw, dC/db, dC/da of one neuron, as the chain rule has them."""
        out = sigma(w * a + b)
        dz = 2 * (out - y) * out * (1 - out)
        return dz * a, dz, dz * w

    w, b, a, y = 0.8, -0.2, 0.6, 1.0
    check(program, f"gradient((w, b, a) -> C0(w, b, a, {y}), {w}, {b}, {a})", products(w, b, a, y), way)

    w1, b1, w2, b2, a0 = 0.3, 0.1, -1.2, 0.4, 0.9
    a1 = sigma(w1 * a0 + b1)
    dw2, db2, da1 = products(w2, b2, a1, y)
    dz1 = da1 * a1 * (1 - a1)
    expected = (dz1 * a0, dz1, dw2, db2, dz1 * w1, -2 * (sigma(w2 * a1 + b2) - y))
    check(program, f"gradient(chain, {w1}, {b1}, {w2}, {b2}, {a0}, {y})", expected, way)

    examples = [products(w, b, a, y) for a, y in ((0.1, 1.0), (0.5, 0.0), (-0.3, 1.0))]
    mean = tuple(sum(e[k] for e in examples) / 3 for k in range(2))
    check(program, f"gradient(cost, {w}, {b})", mean, way)


@each_way
def test_jacobian(way: Way) -> None:
    """More inputs than outputs, fewer, and one output."""
    program = """
wide(v) = [v[1]*v[2]*v[3], sin(v[3]) + v[4]]
tall(v) = [v[1]^2, v[1]*v[2], exp(v[2]), 3v[1]]
single(v) = [v[1]*sin(v[2])]
number(v) = v[1]*sin(v[2])
rows(J) = [[J[i, j] for j in 1:size(J, 2)] for i in 1:size(J, 1)]
"""
    wide = [[6.0, 3.0, 2.0, 0.0], [0.0, 0.0, math.cos(3.0), 1.0]]
    tall = [[1.0, 0.0], [2.0, 0.5], [0.0, math.exp(2.0)], [3.0, 0.0]]
    single = [math.sin(2.0), 0.5 * math.cos(2.0)]
    found = [evaluate(program, f"jacobian({f})[1]", way).tolist() for f in (
        "wide, [1.0, 2.0, 3.0, 4.0]", "tall, [0.5, 2.0]", "single, [0.5, 2.0]",
    )]  # fmt: skip
    assert difference(found, [wide, tall, [single]], 1e-14) == ""
    gradient = evaluate(program, "gradient(number, [0.5, 2.0])[1]", way).tolist()
    assert difference(found[2][0], gradient, 1e-14) == ""


def test_numeric_check() -> None:
    """The error of central differences is a V: truncation at large steps, rounding at small ones."""
    m = dsl.loads("f(x) = exp(sin(x))*x")
    report = dsl.check_grads(m.f, (1.3,), order=2)
    exact = float(oracle.derivative(lambda x: mpmath.exp(mpmath.sin(x)) * x, 1.3))
    assert all(found == pytest.approx(exact, rel=1e-13) for found in report.entries[0].exact.values())
    errors = [math.log10(max(e, 1e-17)) for e in error_by_step(m.f, (1.3,))]
    best = errors.index(min(errors))
    assert 6 < best < 20 and errors[best] < -9
    assert errors[0] > -2 and errors[-1] > -3
    falling = errors[2:best:2]
    assert all(a > b for a, b in pairwise(falling[:4]))


class Counting:
    """The arithmetic of floats, which counts how often a primitive is evaluated."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0

    def constant(self, value: Any, type: Any) -> Any:
        return FLOAT.constant(value, type)

    def primitive(self, name: str, types: Any, values: Any) -> Any:
        self.count += name == self.name
        return FLOAT.primitive(name, types, values)


COSTS = """
f(v) = tanh(v[1]*v[2] + v[999]*v[1000])
function numeric(v)
  base, h, g = f(v), 1e-6, [0.0 for x in v]
  for i in 1:length(v)
    old = v[i]
    v[i] += h
    g[i] = (f(v) - base) / h
    v[i] = old
  end
  g
end
forward(v) = jacobian(f, v)[1]
reverse(v) = gradient(f, v)[1]
"""


def test_cost_table() -> None:
    """Evaluations of a function of 1,000 parameters: differences 1,001; forward mode 1,000 directions, of which one
    evaluation carries four; reverse mode 1."""
    evaluations = {"numeric": 1001, "forward": 250, "reverse": 1}
    for name, expected in evaluations.items():
        m = dsl.loads(COSTS, mode="forward" if name == "forward" else "reverse")
        f = m[name]
        compiled = f.workspace.compiled_here(f, [VectorType(FLOAT64)])
        arithmetic = Counting("tanh")
        memory = Memory([[0.001 * k] for k in range(1000)])
        (found, *_) = f.workspace.driver.trace(compiled, [memory], arithmetic)
        assert arithmetic.count == expected, name
        slope = 1 - math.tanh(0.001 * 0.0 + 0.998 * 0.999) ** 2
        assert found.rows[998][0] == pytest.approx(slope * 0.999, rel=1e-5)
        assert found.rows[500][0] == pytest.approx(0.0, abs=1e-9)
