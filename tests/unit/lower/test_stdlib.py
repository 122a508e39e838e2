"""The library that is written in the language: values against Python's, derivatives against closed forms."""

from __future__ import annotations

import math

import pytest

import dsl

MODULE = dsl.loads("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gcd(84, -36)", math.gcd(84, 36)), ("gcd(0, 0)", 0), ("lcm(21, 6)", math.lcm(21, 6)), ("lcm(0, 3)", 0),
        ("cld(7, 2)", 4), ("cld(-7, 2)", -3), ("factorial(20)", math.factorial(20)), ("factorial(0)", 1),
        ("binomial(30, 12)", math.comb(30, 12)), ("binomial(5, 7)", 0), ("cmp(1, 2.5)", -1), ("cmp(2, 2)", 0),
        ("logit(0.25)", math.log(1 / 3)), ("xlogx(0.0)", 0.0), ("xlogy(0.0, 0.0)", 0.0),
        ("xlogy(2.0, 3.0)", 2 * math.log(3)),
        ("log1mexp(-1e-20)", math.log(1e-20)), ("log1mexp(-50.0)", -math.exp(-50)),
        ("logit'(0.25)", 1 / (0.25 * 0.75)), ("xlogx'(2.0)", math.log(2) + 1), ("xlogx'(0.0)", 0.0),
        ("log1mexp'(-2.0)", -math.exp(-2) / (1 - math.exp(-2))),
    ],
)  # fmt: skip
def test_value(text: str, expected: float) -> None:
    assert MODULE.eval(text) == pytest.approx(expected, rel=1e-14)


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(dsl.DslError, match="n goes from 0 to 20"):
        MODULE.eval("factorial(21)")


def test_a_program_may_use_the_names_itself() -> None:
    assert dsl.loads("gcd(x) = x + 1\nxlogx(x) = 5x\n").eval("(gcd(1), xlogx(2))") == (2, 10)
