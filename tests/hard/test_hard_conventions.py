"""The conventions at points where a function has no derivative, or where a formula would overflow."""

from __future__ import annotations

import math

import mpmath
import pytest

from tests.support.compare import difference
from tests.support.ways import WAYS, Way, error_of, evaluate

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
INF, NAN = math.inf, math.nan

TABLE: dict[str, object] = {
    "abs'(0.0)": 0.0,
    "abs'(-2.0)": -1.0,
    "sign'(0.0)": 0.0,
    "sign'(3.0)": 0.0,
    # ties: max as x > y ? x : y, min as y > … the other way round
    "gradient(max, 2.0, 2.0)": (0.0, 1.0),
    "gradient(min, 2.0, 2.0)": (1.0, 0.0),
    "gradient(max, 3.0, 2.0)": (1.0, 0.0),
    "gradient(min, 3.0, 2.0)": (0.0, 1.0),
    "relu'(0.0)": 0.0,
    "relu'(1.0)": 1.0,
    # clamp: inclusive bounds; outside, the bound has it
    "gradient(clamp, 1.0, 0.0, 1.0)": (1.0, 0.0, 0.0),
    "gradient(clamp, 0.0, 0.0, 1.0)": (1.0, 0.0, 0.0),
    "gradient(clamp, 0.5, 0.0, 1.0)": (1.0, 0.0, 0.0),
    "gradient(clamp, 1.5, 0.0, 1.0)": (0.0, 0.0, 1.0),
    "gradient(clamp, -1.5, 0.0, 1.0)": (0.0, 1.0, 0.0),
    "gradient(hypot, 0.0, 0.0)": (0.0, 0.0),
    "gradient(hypot, 3e200, 4e200)": (0.6, 0.8),
    "hypot(3e200, 4e200)": 5e200,
    # roots and logarithms at 0
    "sqrt'(0.0)": INF,
    "(x -> -sqrt(x))'(0.0)": -INF,
    "cbrt'(0.0)": INF,
    "log'(0.0)": INF,
    "(x -> -log(x))'(0.0)": -INF,
    "sqrt'(4.0)": 0.25,
    "cbrt'(-8.0)": 1 / 12,
    # powers
    "(x -> x^0)'(0.0)": 0.0,
    "(x -> x^0.0)'(0.0)": 0.0,
    "gradient((x, y) -> x^y, 0.0, 0.0)[1]": 0.0,
    "gradient((x, y) -> x^y, 0.0, 2.0)": (0.0, 0.0),
    "gradient((x, y) -> x^y, 0.0, 1.0)": (1.0, 0.0),
    "gradient((x, y) -> x^y, 0.0, 0.5)": (INF, 0.0),
    "gradient((x, y) -> x^y, -2.0, 3.0)": (12.0, NAN),
    "(x -> x^-3)'(-2.0)": -3 / 16,
    "(x -> x^3)'(0.0)": 0.0,
    # rounding, remainders
    "floor'(2.5)": 0.0,
    "ceil'(2.5)": 0.0,
    "round'(2.5)": 0.0,
    "trunc'(2.5)": 0.0,
    "round(2.5)": 2.0,
    "(x -> x ÷ 2.0)'(5.0)": 0.0,
    "(x -> mod(x, 2))'(5.5)": 1.0,
    "(x -> mod(x, 2.0))'(-5.5)": 1.0,
    "gradient(mod, 7.3, 2.0)": (1.0, -3.0),
    "gradient(rem, -7.3, 2.0)": (1.0, 3.0),
    # removable singularities and saturation
    "sinc'(0.0)": 0.0,
    "sinc''(0.0)": -(math.pi**2) / 3,
    "sinc(0.0)": 1.0,
    "sigmoid'(-800.0)": 0.0,
    "sigmoid'(800.0)": 0.0,
    "softplus'(800.0)": 1.0,
    "softplus'(-800.0)": 0.0,
    "softplus(800.0)": 800.0,
    "tanh'(400.0)": 0.0,
    "logaddexp(-Inf, -Inf)": -INF,
    "gradient(logaddexp, 1000.0, 1000.0)": (0.5, 0.5),
    # the arm that is not chosen contributes an exact zero
    "(x -> x > 0 ? sqrt(x) : 0.0)'(0.0)": 0.0,
    "(x -> x == 0 ? 0.0 : x * log(x))'(0.0)": 0.0,
    "(x -> ifelse(x >= 0, x, sqrt(abs(x)) / x))'(0.0)": 1.0,
    "(x -> ifelse(x > 0, x, 2.0))'(0.0)": 0.0,
    "gradient((x, y) -> ifelse(x > y, x, y), 2.0, 2.0)": (0.0, 1.0),
    "gradient((y, x) -> atan(y, x), 0.0, 0.0)": (NAN, NAN),
    "(x -> sqrt(x^2))'(0.0)": NAN,
    "1 / 0.0": INF,
    "(x -> 1 / x)'(0.0)": -INF,
}


@each_way
@pytest.mark.parametrize("expression", TABLE)
def test_convention(expression: str, way: Way) -> None:
    assert difference(evaluate("", expression, way), TABLE[expression]) == ""


@each_way
def test_logaddexp_of_nothing_has_no_nan(way: Way) -> None:
    entries = evaluate("", "gradient(logaddexp, -Inf, -Inf)", way)
    assert not any(math.isnan(e) for e in entries)


@each_way
def test_ifelse_evaluates_both_arms(way: Way) -> None:
    assert error_of("f(x) = ifelse(x > 0, sqrt(x), 0.0)", "f'(-1.0)", way) == "DomainError"


@each_way
@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("sqrt(-1.0)", "DomainError"),
        ("sqrt'(-1.0)", "DomainError"),
        ("log(-1.0)", "DomainError"),
        ("(-1.0)^0.5", "DomainError"),
        ("(n -> 2^n)(-1)", "DomainError"),
        ("(n -> 2 ÷ n)(0)", "DivideError"),
        ("gradient(x -> sqrt(x - 3), 2.0)", "DomainError"),
        ("(x -> (t = (1, 2); t[3] * x))(1.0)", "BoundsError"),
        ("(i -> (v = Float64[]; push!(v, 1.0); v[i]))(2)", "BoundsError"),
        ("(i -> (v = Float64[]; push!(v, 1.0); v[i]))'(0)", "BoundsError"),
        ("(k -> Dict(1 => 2.0, 3 => 4.0)[k])(2)", "KeyError"),
        ('(x -> x > 0 ? error("no") : x)(1.0)', "ErrorException"),
        ('(x -> x > 0 ? error("no") : x)\'(1.0)', "ErrorException"),
    ],
)
def test_errors_of_native_code(expression: str, kind: str, way: Way) -> None:
    assert error_of("", expression, way) == kind


# functions that lose digits when computed by the textbook formula: value and derivative to 15 digits
ACCURATE = {
    "expm1": (mpmath.expm1, mpmath.exp, (1e-10, 0.3, -2.0)),
    "log1p": (mpmath.log1p, lambda x: 1 / (1 + x), (1e-12, 0.3, -0.9)),
    "sinpi": (lambda x: mpmath.sin(mpmath.pi * x), lambda x: mpmath.pi * mpmath.cos(mpmath.pi * x), (0.25, 1e6 + 0.25)),
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2, (1e-9, 0.4, 1.5)),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), lambda x: 1 / (1 + mpmath.exp(-x)), (-30.0, 0.2, 40.0)),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: mpmath.sech(x / 2) ** 2 / 4, (-30.0, 0.2, 2.0)),
}  # fmt: skip


@each_way
@pytest.mark.parametrize("name", ACCURATE)
def test_accuracy(name: str, way: Way) -> None:
    function, slope, points = ACCURATE[name]
    for x in points:
        with mpmath.workdps(50):
            expected = (float(function(mpmath.mpf(x))), float(slope(mpmath.mpf(x))))
        assert difference(evaluate("", f"({name}({x}), {name}'({x}))", way), expected, rel=2e-14, abs_=1e-300) == ""
