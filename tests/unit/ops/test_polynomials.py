"""Functions made of polynomials: within one unit in the last place everywhere, the same bits at every place of an
array, at every level and by the interpreter, and loops over them are vector code."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest

import dsl
from dsl.ops import evaluate
from dsl.ops.core import IN_LANES
from dsl.ops.polynomials import FAR
from dsl.types import F64

INF, NAN = math.inf, math.nan


def uniform(lo: float, hi: float, n: int = 400) -> list[float]:
    random = Random(f"{lo} {hi}")
    return [random.uniform(lo, hi) for _ in range(n)]


def powers(lo: float, hi: float, n: int = 300, signs: bool = True) -> list[float]:
    """Numbers of sizes from 2^lo to 2^hi."""
    random = Random(f"{lo} {hi} {n}")
    found = [2.0 ** random.uniform(lo, hi) for _ in range(n)]
    return found + [-x for x in found] * signs


def around(*points: float, steps: int = 3) -> list[float]:
    """Numbers, and those next to them."""
    found = []
    for x in points:
        below = above = x
        found.append(x)
        for _ in range(steps):
            below, above = math.nextafter(below, -INF), math.nextafter(above, INF)
            found += [below, above]
    return found


QUARTERS = around(*(k * math.pi / 2 for k in (1, 2, 3, 4, 5, 10, 11, 355, 710, 52174, 1146408, 5340353)), steps=1)
ANGLES = uniform(-1, 1) + uniform(-20, 20) + uniform(-(2.0**23), 2.0**23) + powers(-1074, 23) + QUARTERS
ANGLES += powers(23, 1023)
EXPONENTS = uniform(-0.5, 0.5) + uniform(-3, 3) + uniform(-708, 709.7) + uniform(-745, -708) + powers(-1074, 0)
POSITIVE = uniform(0.5, 2) + powers(-1074, 1023, signs=False) + [1 + x for x in powers(-52, -3)]
POSITIVE += around(math.sqrt(0.5))

# function: what it is, and where it is looked at
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "exp": (mpmath.exp, EXPONENTS),
    "log": (mpmath.log, POSITIVE),
    "exp2": (lambda x: mpmath.mpf(2) ** x, uniform(-1, 1) + uniform(-1074, 1023.9) + [float(k) for k in range(-9, 9)]),
    "exp10": (lambda x: mpmath.mpf(10) ** x, uniform(-1, 1) + uniform(-323, 308) + [float(k) for k in range(-9, 23)]),
    "log2": (lambda x: mpmath.log(x, 2), POSITIVE),
    "log10": (mpmath.log10, POSITIVE),
    "sin": (mpmath.sin, ANGLES),
    "cos": (mpmath.cos, ANGLES),
    "tan": (mpmath.tan, ANGLES + uniform(0.7, 0.8) + uniform(-3.95, -3.85)),
    "expm1": (mpmath.expm1, EXPONENTS + powers(-1074, 0) + uniform(0.34, 0.45)),
    "log1p": (mpmath.log1p, uniform(-1, 1) + powers(-1074, -1) + powers(-1, 1023, signs=False) + around(-0.5, -0.9999)),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), EXPONENTS),
    "erf": (mpmath.erf, uniform(-1, 1) + uniform(-6.5, 6.5) + powers(-1074, 2) + around(0.8) + uniform(0.78, 0.84)),
    "gaussian": (lambda x: mpmath.exp(-x * x), uniform(-2, 2) + uniform(-26, 27.2) + powers(-1074, 1) + around(26.6)),
    "erfc": (mpmath.erfc,
             uniform(-1, 1) + uniform(-7, 27.2) + powers(-1074, 2) + around(0.75, 26.5) + uniform(0.68, 0.76)),
    "tanh": (mpmath.tanh, uniform(-1.5, 1.5) + uniform(0.6, 0.65) + uniform(-25, 25) + powers(-1074, 0)),
}  # fmt: skip

NAMED = [name for name in FUNCTIONS if name != "gaussian"]  # in the language


def polynomial(name: str) -> Callable[..., float]:
    """The function as it is in loops."""
    return lambda *x: evaluate(IN_LANES.get(name, name), [F64] * len(x), x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_one_ulp(name: str) -> None:
    exact, points = FUNCTIONS[name]
    f = polynomial(name)
    with mpmath.workdps(40):
        for x in points:
            y = exact(mpmath.mpf(x))
            assert abs(mpmath.mpf(f(x)) - y) <= math.ulp(float(y)), (x, f(x), y)


SPECIAL = [
    ("exp", [0.0, -0.0, INF, -INF, NAN, 710.0, 1e300, -746.0, -1e300], [1.0, 1.0, INF, 0.0, NAN, INF, INF, 0.0, 0.0]),
    ("log", [1.0, 0.0, -0.0, INF, -1.0, -INF, NAN], [0.0, -INF, -INF, INF, NAN, NAN, NAN]),
    ("exp2", [0.0, 3.0, -1074.0, 1023.0, 1024.0, -1080.0, INF, -INF, NAN],
     [1.0, 8.0, 5e-324, 2.0**1023, INF, 0.0, INF, 0.0, NAN]),
    ("exp10", [0.0, 3.0, 22.0, 309.0, -330.0, INF, -INF, NAN], [1.0, 1000.0, 1e22, INF, 0.0, INF, 0.0, NAN]),
    ("log2", [1.0, 8.0, 5e-324, 0.0, INF, -1.0, NAN, 2.0**-1022], [0.0, 3.0, -1074.0, -INF, INF, NAN, NAN, -1022.0]),
    ("log10", [1.0, 1000.0, 1e22, 0.0, INF, -1.0, NAN], [0.0, 3.0, 22.0, -INF, INF, NAN, NAN]),
    ("sin", [0.0, -0.0, INF, -INF, NAN, 5e-324, -5e-324], [0.0, -0.0, NAN, NAN, NAN, 5e-324, -5e-324]),
    ("cos", [0.0, -0.0, INF, -INF, NAN, 5e-324], [1.0, 1.0, NAN, NAN, NAN, 1.0]),
    ("tan", [0.0, -0.0, INF, -INF, NAN, 5e-324], [0.0, -0.0, NAN, NAN, NAN, 5e-324]),
    ("expm1", [0.0, -0.0, INF, -INF, NAN, 5e-324, -1e300, 1e300], [0.0, -0.0, INF, -1.0, NAN, 5e-324, -1.0, INF]),
    ("log1p", [0.0, -0.0, INF, -1.0, -1.5, NAN, -5e-324], [0.0, -0.0, INF, -INF, NAN, NAN, -5e-324]),
    ("sigmoid", [0.0, -0.0, INF, -INF, NAN, -746.0, 40.0], [0.5, 0.5, 1.0, 0.0, NAN, 0.0, 1.0]),
    ("erf", [0.0, -0.0, INF, -INF, NAN, 6.0, -1e300, 5e-324], [0.0, -0.0, 1.0, -1.0, NAN, 1.0, -1.0, 5e-324]),
    ("gaussian", [0.0, -0.0, INF, -INF, NAN, 28.0, 1e300, 27.3], [1.0, 1.0, 0.0, 0.0, NAN, 0.0, 0.0, 0.0]),
    ("erfc", [0.0, -0.0, INF, -INF, NAN, 28.0, 1e300, -1e300], [1.0, 1.0, 0.0, 2.0, NAN, 0.0, 0.0, 2.0]),
    ("tanh", [0.0, -0.0, INF, -INF, NAN, 22.5, 5e-324, -1e308], [0.0, -0.0, 1.0, -1.0, NAN, 1.0, 5e-324, -1.0]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "points", "expected"), SPECIAL, ids=[name for name, *_ in SPECIAL])
def test_at_the_ends(name: str, points: list[float], expected: list[float]) -> None:
    assert [polynomial(name)(x).hex() for x in points] == [y.hex() for y in expected]
    assert {name for name, *_ in SPECIAL} == set(FUNCTIONS)


def powers_of(n: int) -> list[tuple[float, float]]:
    """Bases and exponents of all sizes, whose power is neither 0 nor infinite."""
    random = Random(n)
    bases = [random.uniform(0.1, 9) for _ in range(n)] + [2.0 ** random.uniform(-1000, 1000) for _ in range(n)]
    bases += [1 + random.uniform(-1, 1) * 10 ** random.uniform(-12, -1) for _ in range(n)]
    small = [(x, random.uniform(-3, 3)) for x in bases[:n]]
    return small + [(x, random.uniform(-700, 700) / math.log(x)) for x in bases]


def test_powers_are_within_one_ulp() -> None:
    f = polynomial("pow")
    with mpmath.workdps(60):
        for x, y in powers_of(250):
            exact = mpmath.mpf(x) ** mpmath.mpf(y)
            assert abs(mpmath.mpf(f(x, y)) - exact) <= math.ulp(float(exact)), (x, y, f(x, y), exact)
    assert [f(x, y) for x in (2.0, 3.0, 10.0) for y in (0.0, 1.0, 3.0, -1.0)] == [
        1.0, 2.0, 8.0, 0.5, 1.0, 3.0, 27.0, 1 / 3, 1.0, 10.0, 1000.0, 0.1,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.0, 2.0, 0.0), (0.0, -1.0, INF), (-2.0, 3.0, -8.0), (-2.0, 0.5, NAN), (1.0, INF, 1.0), (1.0, NAN, 1.0),
     (NAN, 0.0, 1.0), (INF, -1.0, 0.0), (2.0, 2000.0, INF), (2.0, -2000.0, 0.0), (1e300, 1e300, INF),
     (-0.0, -3.0, -INF), (0.5, INF, 0.0), (5e-324, 1.0, 5e-324)],
)  # fmt: skip
def test_powers_at_the_ends(x: float, y: float, expected: float) -> None:
    assert polynomial("pow")(x, y).hex() == expected.hex()


def program(interpreter: bool, level: int) -> Any:
    text = "\n".join(f"all_{name}(v) = {name}.(v)" for name in NAMED) + "\nall_pow(v, w) = v .^ w"
    return dsl.loads(text, interpreter=interpreter, opt_level=level, checks=False)


@pytest.mark.parametrize(("interpreter", "level"), [(True, 0), (False, 0), (False, 3)])
def test_the_bits_do_not_depend_on_the_place(interpreter: bool, level: int) -> None:
    """In arrays of every length up to several vectors, with arguments of all kinds beside each other."""
    m = program(interpreter, level)
    for name in NAMED:
        _, points = FUNCTIONS[name]
        points = [*next(p for n, p, _ in SPECIAL if n == name), *points[:: len(points) // 30]]
        expected = [polynomial(name)(x).hex() for x in points]
        for start in range(len(points)) if not interpreter else (0,):
            found = m[f"all_{name}"](np.array(points[start:]))
            assert [float(y).hex() for y in found] == expected[start:], name


@pytest.mark.parametrize(("interpreter", "level"), [(True, 0), (False, 0), (False, 3)])
def test_powers_do_not_depend_on_the_place(interpreter: bool, level: int) -> None:
    m = program(interpreter, level)
    pairs = [*powers_of(8), (0.0, 2.0), (-2.0, 3.0), (1.0, INF), (2.0, 2000.0), (NAN, 0.0)]
    expected = [polynomial("pow")(x, y).hex() for x, y in pairs]
    for start in range(len(pairs)) if not interpreter else (0,):
        x, y = np.array(pairs[start:]).T.copy()
        assert [float(z).hex() for z in m["all_pow"](x, y)] == expected[start:]


@pytest.mark.parametrize("name", NAMED)
def test_loops_are_vector_code(name: str) -> None:
    """A loop of one's own: with numbers in registers of several, and without the C library."""
    m = dsl.loads(f"""
function all(v, y)
    for i in 1:length(v)
        y[i] = {name}(v[i])
    end
end
""", checks=False)
    x = np.ones(8)
    text = str(m.all.code_llvm(x, np.ones(8)))
    assert re.search(r"call <\d+ x double> @llvm.fma", text)
    assert f"call double @{name}(" not in text


def test_the_error_function_and_its_derivative_share_an_exponential() -> None:
    def multiply_adds(formula: str) -> int:
        m = dsl.loads(f"""
function all(v, y, z)
    for i in 1:length(v)
        x = v[i]
        y[i] = erf(x)
        z[i] = {formula}
    end
end
""", checks=False)  # fmt: skip
        return str(m.all.code_llvm(*[np.ones(8)] * 3)).count("@llvm.fma")

    alone, apart, together = map(multiply_adds, ("x", "erf'(x + 1.0)", "erf'(x)"))
    assert together - alone < (apart - alone) / 2


def test_far_operands_are_told_by_their_intervals() -> None:
    for name, (_, near) in FAR.items():
        inside = [(first if math.isfinite(first) else last) for first, last in near]
        for k, (first, last) in enumerate(near):
            for x, is_near in ((first, True), (last, True), (math.nextafter(first, -INF), first == -INF), (NAN, False)):
                operands = [*inside[:k], x, *inside[k + 1 :], 123.0]
                assert (evaluate(name, [F64] * len(operands), operands) == 123.0) is is_near, (name, operands)
