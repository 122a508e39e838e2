"""The points where a derivative is a convention, or where a formula would degenerate: first and second order."""

from __future__ import annotations

import math

import pytest
from mpmath import mp, mpf
from primitive_oracle import derivatives

from dsl.ops import evaluate
from dsl.types import BOOL, F64, I64

INF, NAN = math.inf, math.nan


def same(got: float, expected: float) -> bool:
    if expected != expected:
        return got != got
    if expected == 0.0 or math.isinf(expected):
        return got == expected
    return abs(got - expected) <= 1e-14 * abs(expected)


FIRST = [
    ("abs", [0.0], [0.0]), ("abs", [-2.0], [-1.0]), ("sign", [0.0], [0.0]), ("sign", [3.0], [0.0]),
    ("max", [2.0, 2.0], [0.0, 1.0]), ("max", [3.0, 2.0], [1.0, 0.0]),
    ("min", [2.0, 2.0], [1.0, 0.0]), ("min", [3.0, 2.0], [0.0, 1.0]),
    ("relu", [0.0], [0.0]), ("relu", [1e-300], [1.0]),
    ("clamp", [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]), ("clamp", [1.0, 0.0, 1.0], [1.0, 0.0, 0.0]),
    ("clamp", [-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]), ("clamp", [2.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
    ("hypot", [0.0, 0.0], [0.0, 0.0]), ("hypot", [3e200, 4e200], [0.6, 0.8]), ("hypot", [3e-200, 4e-200], [0.6, 0.8]),
    ("sqrt", [0.0], [INF]), ("cbrt", [0.0], [INF]), ("log", [0.0], [INF]), ("log", [-0.0], [-INF]),
    ("pow", [0.0, 0.0], [0.0, 0.0]), ("pow", [0.0, 1.0], [1.0, 0.0]), ("pow", [0.0, 2.0], [0.0, 0.0]),
    ("pow", [0.0, 0.5], [INF, 0.0]), ("pow", [-2.0, 3.0], [12.0, NAN]),
    ("floor", [2.0], [0.0]), ("round", [2.5], [0.0]), ("mod", [5.0, 2.0], [1.0, -2.0]),
    ("mod", [7.3, 2.0], [1.0, -3.0]),
    ("mod", [-7.3, 2.0], [1.0, 4.0]), ("rem", [-7.3, 2.0], [1.0, 3.0]), ("rem", [0.3, 0.1], [1.0, -2.0]),
    ("sinc", [0.0], [0.0]), ("sinpi", [1e15], [math.pi]), ("sinpi", [1e300], [math.pi]),
    ("cospi", [1e15 + 0.5], [-math.pi]),
    ("sigmoid", [-800.0], [0.0]), ("sigmoid", [800.0], [0.0]), ("softplus", [800.0], [1.0]),
    ("softplus", [-800.0], [0.0]),
    ("logaddexp", [-INF, -INF], [0.5, 0.5]), ("logaddexp", [INF, INF], [0.5, 0.5]),
    ("logaddexp", [-INF, 1.0], [0.0, 1.0]),
    ("atan2", [0.0, 0.0], [NAN, NAN]), ("atan2", [1e200, 1e200], [5e-201, -5e-201]),
    ("atan", [1e200], [0.0]), ("asinh", [1e200], [1e-200]), ("acosh", [1e200], [1e-200]), ("acosh", [1.0], [INF]),
    ("asin", [1.0], [INF]), ("acot", [0.0], [-1.0]), ("expm1", [-50.0], [math.exp(-50.0)]),
    ("copysign", [0.0, -1.0], [0.0, 0.0]), ("copysign", [-2.0, 3.0], [-1.0, 0.0]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "expected"), FIRST, ids=lambda x: str(x))
def test_first(name: str, values: list[float], expected: list[float]) -> None:
    got = [derivatives(name, [F64] * len(values), values, k) for k in range(len(values))]
    assert all(map(same, got, expected)), got


SECOND = [
    ("sinc", [0.0], (0, 0), -math.pi**2 / 3), ("hypot", [0.0, 0.0], (0, 0), 0.0), ("hypot", [0.0, 0.0], (0, 1), 0.0),
    ("pow", [0.0, 2.0], (0, 0), 2.0), ("pow", [0.0, 1.0], (0, 0), 0.0), ("pow", [0.0, 0.0], (0, 0), 0.0),
    ("pow", [2.0, 0.0], (0, 1), 0.5), ("pow", [0.0, 3.0], (1, 1), 0.0), ("pow", [-2.0, 3.0], (0, 0), -12.0),
    ("abs", [0.0], (0, 0), 0.0), ("relu", [0.0], (0, 0), 0.0), ("max", [1.0, 1.0], (0, 0), 0.0),
    ("logaddexp", [1.0, 1.0], (0, 0), 0.25), ("logaddexp", [1.0, 1.0], (0, 1), -0.25),
    ("logaddexp", [-INF, -INF], (0, 1), 0.0), ("sqrt", [0.0], (0, 0), -INF),
    ("softplus", [800.0], (0, 0), 0.0), ("softplus", [0.0], (0, 0), 0.25), ("sigmoid", [-800.0], (0, 0), 0.0),
    ("besselj1", [0.0], (0, 0), 0.0), ("mod", [5.5, 2.0], (1, 1), 0.0), ("clamp", [1.0, 0.0, 1.0], (0, 2), 0.0),
    ("select", [True, 1.0, NAN], (1, 1), 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "order", "expected"), SECOND, ids=lambda x: str(x))
def test_second(name: str, values: list[float], order: tuple[int, ...], expected: float) -> None:
    types = [BOOL if isinstance(v, bool) else F64 for v in values]
    got = derivatives(name, types, values, *order)
    assert same(got, expected), got


def test_sinc_at_zero_in_higher_orders() -> None:
    # sin(πx)/(πx) = Σ (-1)^j (πx)^2j / (2j+1)!, so the derivative of order 2j at 0 is (-1)^j π^2j / (2j+1).
    assert same(derivatives("sinc", [F64], [0.0], *[0] * 4), math.pi**4 / 5)
    assert derivatives("sinc", [F64], [0.0], *[0] * 3) == 0.0


@pytest.mark.parametrize(
    ("x", "n", "first", "second"),
    [(0.0, 0, 0.0, 0.0), (0.0, 1, 1.0, 0.0), (0.0, 2, 0.0, 2.0), (0.0, 3, 0.0, 0.0), (0.0, -1, -INF, INF),
     (2.0, -1, -0.25, 0.25), (-3.0, 5, 405.0, -540.0)],
)  # fmt: skip
def test_integer_powers(x: float, n: int, first: float, second: float) -> None:
    assert same(derivatives("powi", [F64, I64], [x, n], 0), first)
    assert same(derivatives("powi", [F64, I64], [x, n], 0, 0), second)


def test_integers_carry_a_float_derivative() -> None:
    assert same(derivatives("powi", [F64, I64], [2.0, 3], 1), 8.0 * math.log(2.0))
    assert derivatives("mul", [I64, I64], [3, 4], 0) == 4.0
    assert derivatives("ipow", [I64, I64], [5, 2], 0) == 10.0
    assert derivatives("ipow", [I64, I64], [0, 0], 0) == 0.0
    assert same(derivatives("ipow", [I64, I64], [2, 3], 1), 8.0 * math.log(2.0))
    assert derivatives("abs", [I64], [-3], 0) == -1.0
    assert derivatives("tof64", [I64], [3], 0) == 1.0
    for name in ("idiv", "irem", "imod", "ifld", "iand", "shl"):
        assert derivatives(name, [I64, I64], [7, 2], 0) == derivatives(name, [I64, I64], [7, 2], 1) == 0.0


VALUES = [
    ("sinpi", [1.0], 0.0), ("sinpi", [-1.0], -0.0), ("sinpi", [0.5], 1.0), ("sinpi", [1e15 + 0.5], 1.0),
    ("cospi", [0.5], 0.0), ("cospi", [1.0], -1.0), ("cospi", [1e15 + 1.0], -1.0), ("sind", [30.0], 0.5),
    ("sind", [180.0], 0.0), ("cosd", [90.0], 0.0), ("cosd", [-450.0], 0.0), ("tand", [45.0], 1.0),
    ("sinc", [INF], 0.0), ("sinc", [3.0], 0.0), ("sigmoid", [-800.0], 0.0), ("softplus", [800.0], 800.0),
    ("logaddexp", [-INF, -INF], -INF), ("logaddexp", [INF, -INF], INF), ("erfinv", [1.0], INF),
    ("erfinv", [-1.0], -INF),
    ("erfinv", [1e-300], 1e-300 * math.sqrt(math.pi) / 2), ("max", [NAN, 1.0], NAN), ("min", [1.0, NAN], NAN),
    ("max", [-0.0, 0.0], 0.0), ("min", [0.0, -0.0], -0.0), ("mod", [-1.0, 3.0], 2.0), ("mod", [-3.0, 3.0], 0.0),
    ("mod", [3.0, -3.0], -0.0), ("quo", [-7.0, 2.0], -3.0), ("fld_", [-7.0, 2.0], -4.0), ("quo", [0.3, 0.1], 2.0),
    ("round", [2.5], 2.0), ("round", [-0.4], -0.0), ("sign", [-0.0], -0.0), ("div", [1.0, 0.0], INF),
    ("div", [-1.0, 0.0], -INF), ("div", [0.0, 0.0], NAN), ("pow", [0.0, 0.0], 1.0), ("gamma", [5.0], 24.0),
    ("digamma", [-1.5], 0.7031566406452432), ("trigamma", [-0.5], 8.934802200544679),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "expected"), VALUES, ids=lambda x: str(x))
def test_value(name: str, values: list[float], expected: float) -> None:
    got = evaluate(name, [F64] * len(values), values)
    assert same(got, expected), got
    assert expected != expected or math.copysign(1.0, got) == math.copysign(1.0, expected)


INTEGERS = [
    ("idiv", [-7, 2], -3), ("irem", [-7, 2], -1), ("imod", [-7, 2], 1), ("ifld", [-7, 2], -4), ("imod", [7, -2], -1),
    ("ifld", [7, -2], -4), ("imod", [6, -2], 0), ("ifld", [6, -2], -3), ("idiv", [-(2**63), -1], -(2**63)),
    ("irem", [-(2**63), -1], 0), ("ipow", [3, 40], 3**40 - 2**64), ("ipow", [-2, 3], -8), ("neg", [-(2**63)], -(2**63)),
    ("abs", [-(2**63)], -(2**63)), ("shl", [1, 63], -(2**63)), ("shl", [1, 64], 0), ("shl", [8, -2], 2),
    ("shr", [-8, 1], -4), ("shr", [-8, 70], -1), ("ushr", [-1, 60], 15), ("ushr", [1, -3], 8), ("inot", [5], -6),
    ("copysign", [3, -1], -3), ("flipsign", [3, -1], -3), ("sign", [-9], -1), ("clamp", [9, 0, 5], 5),
    ("relu", [-4], 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "expected"), INTEGERS, ids=lambda x: str(x))
def test_integer_value(name: str, values: list[int], expected: int) -> None:
    assert evaluate(name, [I64] * len(values), values) == expected


@pytest.mark.parametrize("x", [-3.7, -0.2, -12.5])
def test_gamma_family_left_of_zero(x: float) -> None:
    for name, order, oracle in (("gamma", 1, mp.gamma), ("digamma", 0, mp.digamma), ("digamma", 1, mp.digamma)):
        expected = mp.diff(oracle, mpf(x), order) if order else oracle(mpf(x))
        got = derivatives(name, [F64], [x], *[0] * order) if order else evaluate(name, [F64], [x])
        assert abs(got - expected) <= 1e-12 * max(1, abs(expected)), (name, order)
    third = derivatives("trigamma", [F64], [x], 0, 0)
    assert abs(third - mp.polygamma(3, mpf(x))) <= 1e-11 * abs(mp.polygamma(3, mpf(x)))


@pytest.mark.parametrize("y", [1 - 2.0**-53, 0.999999, 0.75, 0.5, 0.1, 1e-9, -0.3])
def test_erfinv_to_the_ends(y: float) -> None:
    assert same(evaluate("erfinv", [F64], [y]), float(mp.erfinv(mpf(y))))
