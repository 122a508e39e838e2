"""Power series of programs, against mpmath's with 60 digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import pytest

import dsl
from dsl.ops import PRIMITIVES

PROGRAM = """\
G(x) = exp(-x^2/2)
rational(x) = sin(x)*cos(2x)/(1 + x^2)
powers(x) = x^2.5 + 2.0^x + x^x + x^-3
function looped(x)
  s, v = 0.0, [0.0, 0.0, 0.0]
  for i in 1:3
    v[i] = x^i
    s += v[i]*sin(s + x)
  end
  s
end
function early(x)
  s = x
  while true
    s = s*x + 1
    if s > 10
      return s
    end
  end
end
product(n, x) = n < 1 ? one(x) : (x + n)*product(n - 1, x)
recursive(x) = product(4, x)
kinks(x) = max(x, 0.0)^2 * abs(x - 3)
guarded(x) = (y = x > 0 ? sqrt(x) : 0.0; sqrt(y))
mutable struct Box
  value
end
boxed(x) = (b = Box(x); b.value = b.value^2; b.value*x)
grown(x) = (v = [x]; push!(v, x^2); a = pop!(v); a*v[1])
tiled(x) = gradient(rational, x)[1]
s(x) = x^2
@adjoint s(x) = s(x), ȳ -> (2ȳ*x,)
through_rule(x) = s(x)
"""


def looped(x: Any) -> Any:
    s = mpmath.mpf(0)
    for i in range(1, 4):
        s += x**i * mpmath.sin(s + x)
    return s


def rational(x: Any) -> Any:
    return mpmath.sin(x) * mpmath.cos(2 * x) / (1 + x**2)


ORACLES: dict[str, Callable[[Any], Any]] = {
    "G": lambda x: mpmath.exp(-(x**2) / 2),
    "rational": rational,
    "powers": lambda x: x ** mpmath.mpf("2.5") + mpmath.mpf(2) ** x + x**x + x**-3,
    "looped": looped,
    "early": lambda x: (((x * x + 1) * x + 1) * x + 1) * x + 1,
    "recursive": lambda x: (x + 1) * (x + 2) * (x + 3) * (x + 4),
    "kinks": lambda x: x**2 * (3 - x),
    "boxed": lambda x: x**3,
    "grown": lambda x: x**3,
}


@pytest.fixture(scope="module", params=["interpreter", "native"])
def m(request: pytest.FixtureRequest) -> dsl.Module:
    return dsl.loads(PROGRAM, interpreter=request.param == "interpreter", verify=True, opt_level=0)


def near(found: Any, expected: Any, rel: float = 1e-11) -> None:
    assert len(found) == len(expected)
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a == pytest.approx(float(b), rel=rel, abs=1e-13), f"coefficient {k}"


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_ten_coefficients(m: dsl.Module, name: str) -> None:
    x = 1.4 if name == "early" else 0.7
    with mpmath.workdps(60):
        expected = mpmath.taylor(ORACLES[name], mpmath.mpf(x), 10)
    near(m.eval(f"taylor({name}, {x}, 10)"), expected)


# primitives of one float whose derivatives mpmath can take; the others are formulas of these
FUNCTIONS = ["sqrt", "cbrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
             "cosh", "tanh", "asinh", "atanh", "erf", "sec", "csc", "cot", "sinc", "digamma", "gamma"]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_series_of_primitives(name: str) -> None:
    assert name in PRIMITIVES
    oracle = {"sinc": mpmath.sincpi}.get(name) or getattr(mpmath, name)
    m = dsl.loads("", interpreter=True)
    with mpmath.workdps(60):
        expected = mpmath.taylor(oracle, mpmath.mpf("0.625"), 6)
    near(m.eval(f"taylor({name}, 0.625, 6)"), expected, rel=1e-9)


def test_what_needs_no_series(m: dsl.Module) -> None:
    near(m.eval("taylor(x -> x^3, 2.0, 0)"), [8])
    near(m.eval("taylor(x -> 3.0, 2.0, 3)"), [3, 0, 0, 0])
    near(m.eval("taylor(x -> floor(x)*x, 2.5, 2)"), [5, 2, 0])
    near(m.eval("taylor(x -> x^3, 2, 4)"), [8, 12, 6, 1, 0])


def test_the_path_not_taken_leaves_zero(m: dsl.Module) -> None:
    near(m.eval("taylor(guarded, -1.0, 4)"), [0, 0, 0, 0, 0])
    near(m.eval("taylor(kinks, -1.0, 3)"), [0, 0, 0, 0])


def test_series_and_derivatives_nest(m: dsl.Module) -> None:
    with mpmath.workdps(60):
        fourth = float(mpmath.diff(rational, mpmath.mpf("0.5"), 4))
    assert m.eval("gradient(x -> taylor(rational, x, 3)[4], 0.5)[1]") == pytest.approx(fourth / 6, rel=1e-11)
    assert m.eval("6*taylor(tiled, 0.5, 3)[4]") == pytest.approx(fourth, rel=1e-11)
    assert m.eval("2*taylor(x -> 2*taylor(rational, x, 2)[3], 0.5, 2)[3]") == pytest.approx(fourth, rel=1e-11)
    assert m.eval("rational''''(0.5)") == pytest.approx(fourth, rel=1e-11)


def test_coefficients_that_are_not_there_make_no_terms(m: dsl.Module) -> None:
    """The argument is x + t: where x is infinite, 0 x would be no number."""
    assert m.eval("taylor(x -> x^2, Inf, 3)").tolist() == [math.inf, math.inf, 1.0, 0.0]
    text = """
    square(x) = x * x
    bell(x) = exp(-square(x))
    f(x) = taylor(bell, x, 10)[11]
    deep(n, x) = n < 1 ? x : square(other(n - 1, x))
    other(n, x) = n < 1 ? x : deep(n - 1, 0.5x)
    """
    module = dsl.loads(text)
    # exp's recurrence has one term for each of the two coefficients of x²: two products and a sum, or none
    assert module.code_typed("f(0.5)").count(" = add ") <= 10
    assert module.code_typed("f(0.5)").count(" = mul ") <= 45
    with mpmath.workdps(60):
        expected = mpmath.taylor(lambda x: (x / 4) ** 4, mpmath.mpf("0.75"), 5)
    near(module.eval("taylor(x -> deep(4, x), 0.75, 5)"), expected)


def test_the_code_grows_with_the_square() -> None:
    """Nested derivatives double with each order; a series does not."""
    orders = (5, 10, 20)
    m = dsl.loads(PROGRAM + "".join(f"t{n}(x) = taylor(rational, x, {n})\n" for n in orders))
    sizes = {n: m.code_typed(f"t{n}(0.5)").count("\n") for n in orders}
    assert sizes[20] < 5 * sizes[10] < 25 * sizes[5]
    assert sizes[10] < 1500
    # the tenth derivative of exp(-x²/2) at 0 is -945 (a Hermite number)
    assert m.eval("taylor(G, 0.0, 10)")[10] * math.factorial(10) == pytest.approx(-945.0, rel=1e-13)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("taylor(G, 1.0, -1)", "ArgumentError"),
        ("taylor(G, 1.0, 2000)", "ArgumentError"),
        ("(n -> taylor(G, 1.0, n))(3)", "ArgumentError"),
        ("taylor(x -> (x, x), 1.0, 2)", "NonScalarOutput"),
        ("taylor(through_rule, 1.0, 2)", "ArgumentError"),
    ],
)
def test_errors(m: dsl.Module, call: str, kind: str) -> None:
    with pytest.raises(dsl.DslError) as caught:
        m.eval(call)
    assert caught.value.kind == kind
    assert caught.value.hint
