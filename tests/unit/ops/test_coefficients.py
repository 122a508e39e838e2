"""The tables of coefficients are what their comments say: each polynomial is near its function, beside rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from mpmath import mp, mpf

from dsl.ops import circular, errorfunction, polynomials


def of_root(numerator: Callable[[Any], Any], power: int) -> Callable[[Any], Any]:
    """numerator(√z) / √z^power."""
    return lambda z: numerator(mp.sqrt(z)) / mp.sqrt(z) ** power


def two_atanh(s: Any) -> Any:
    return 2 * mp.atanh(s)


def scaled_erfc(t: Any) -> Any:
    x = 3 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


# name: coefficients, the function, the interval, and how far off a value may be: what it is multiplied with is small
TABLES: dict[str, tuple[Sequence[float], Callable[[Any], Any], tuple[float, float], Callable[[Any], float]]] = {
    "EXP": (polynomials.EXP, lambda r: (mp.expm1(r) - r) / r**2, (-0.34658, 0.34658),
            lambda r: 6e-17),
    "LOG": (polynomials.LOG, of_root(lambda s: two_atanh(s) - 2 * s, 3), (0, 0.02944), lambda z: 4e-16),
    "LOG_TAIL": (polynomials.LOG_TAIL, of_root(lambda s: two_atanh(s) - 2 * s - 2 * s**3 / 3, 5), (0, 0.02944),
                 lambda z: 4e-16),
    "TANH": (polynomials.TANH, of_root(lambda x: mp.tanh(x) - x, 3), (0, 0.390625), lambda z: 6e-17),
    "SIN": (circular.SIN, of_root(lambda x: mp.sin(x) - x, 3), (0, 0.6169), lambda z: 6e-17),
    "COS": (circular.COS, of_root(lambda x: mp.cos(x) - 1 + x * x / 2, 4), (0, 0.6169), lambda z: 2e-17),
    "ERF": (errorfunction.ERF, of_root(lambda x: mp.erf(x) - x, 1), (0, 0.64),
            lambda z: 2e-17),
    "SCALED_ERFC": (errorfunction.SCALED_ERFC, lambda y: mp.exp((y + 0.8) ** 2) * mp.erfc(y + 0.8), (0, 5.075),
                    lambda y: 1e-17 * mp.exp((y + 0.8) ** 2)),
    "ERFC": (errorfunction.ERFC, scaled_erfc, (-0.6, 0.8019), lambda t: 7e-17),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_polynomial_is_near_its_function(name: str) -> None:
    coefficients, exact, (low, high), tolerance = TABLES[name]
    with mp.workdps(50):
        for k in range(60):
            x = mpf(low) + (mpf(high) - mpf(low)) * (2 * k + 1) / 120
            assert abs(mp.polyval(list(reversed(coefficients)), x) - exact(x)) <= tolerance(x), (name, x)


def test_constants_in_parts() -> None:
    with mp.workdps(60):
        for exact, *parts in (
            (mp.log(2), polynomials.LN2, polynomials.LN2_REST),
            (mp.log(2), polynomials.LN2_HIGH, polynomials.LN2_LOW),
            (mp.log(10), *polynomials.LN_10), (1 / mp.log(2), *polynomials.LOG2_E),
            (1 / mp.log(10), *polynomials.LOG10_E),
            (mpf(2) / 3, polynomials.TWO_THIRDS, polynomials.TWO_THIRDS_REST),
            (mp.pi / 2, circular.QUARTER, circular.QUARTER_2, circular.QUARTER_3),
            (scaled_erfc(mpf(0)), errorfunction.ERFC[0], errorfunction.ERFC_REST),
        ):  # fmt: skip
            assert abs(mp.fsum(map(mpf, parts)) - exact) <= abs(parts[-1]) * mpf(2) ** -52
    for x, last_bit in ((polynomials.LN2_HIGH, 32), (circular.QUARTER_2, 83)):  # with few bits
        assert (x * 2.0**last_bit).is_integer()
