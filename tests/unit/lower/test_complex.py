"""Complex numbers: values against mpmath at 40 digits, derivatives against the complex derivative there."""

from __future__ import annotations

import cmath
import math
from typing import Any

import mpmath
import numpy
import pytest

import dsl
from dsl.api import open_workspace
from dsl.diagnostics import Source
from tests.support.ways import FAST, WAYS, Way, evaluate, load

MODULE = dsl.loads("")
POINTS = (0.3 + 0.4j, -1.2 + 0.7j, 2.0 - 3.0j, -0.1 - 1e-3j)
FUNCTIONS: dict[str, Any] = {
    "exp": mpmath.exp, "log": mpmath.log, "sqrt": mpmath.sqrt, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "asin": mpmath.asin,
    "acos": mpmath.acos, "atan": mpmath.atan, "asinh": mpmath.asinh, "acosh": mpmath.acosh, "atanh": mpmath.atanh,
    "inv": lambda z: 1 / z, "expm1": mpmath.expm1, "log1p": lambda z: mpmath.log(1 + z),
    "exp2": lambda z: mpmath.power(2, z), "log10": mpmath.log10, "cis": mpmath.expj,
    "z -> z^5": lambda z: z**5, "z -> z^-3": lambda z: z**-3, "z -> z^1.5": lambda z: z**1.5,
    "z -> z^(0.5 - 2im)": lambda z: z ** mpmath.mpc(0.5, -2), "z -> 2^z": lambda z: mpmath.power(2, z),
    "z -> (z + 2) / (3z - im)": lambda z: (z + 2) / (3 * z - 1j),
    "z -> 1 / z - z \\ 2im + 1": lambda z: 1 / z - mpmath.mpc(0, 2) / z + 1,
}  # fmt: skip
PROGRAM = "\n".join(
    f"{part}{k}(x, y) = {part}(({text})(complex(x, y)))"
    for k, text in enumerate(FUNCTIONS)
    for part in ("real", "imag")
)


@pytest.mark.parametrize("k", range(len(FUNCTIONS)), ids=list(FUNCTIONS))
@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_function(way: Way, k: int) -> None:
    f, module = list(FUNCTIONS.values())[k], load(PROGRAM, way)
    for z in POINTS:
        with mpmath.workdps(40):
            value, slope = complex(f(mpmath.mpc(z))), complex(mpmath.diff(f, mpmath.mpc(z)))
        found = complex(module[f"real{k}"](z.real, z.imag), module[f"imag{k}"](z.real, z.imag))
        assert abs(found - value) <= 4e-15 * max(abs(value), 1e-3)
        real, imag = (dsl.gradient(module[f"{part}{k}"], z.real, z.imag) for part in ("real", "imag"))
        # Cauchy and Riemann: d/dx = f', d/dy = i f'
        assert complex(real[0], imag[0]) == pytest.approx(slope, rel=1e-12)
        assert complex(real[1], imag[1]) == pytest.approx(1j * slope, rel=1e-12)


@pytest.mark.parametrize("name", ["sqrt", "log", "asin", "acos", "atan", "atanh"])
def test_branch_cuts_have_the_sides_that_python_gives_them(name: str) -> None:
    for z in (complex(-2.0, 0.0), complex(-2.0, -0.0), complex(2.0, 0.0), complex(2.0, -0.0)):
        if name != "atan":
            found = MODULE.eval(f"{name}(complex({z.real!r}, {z.imag!r}))")
            assert found == pytest.approx(getattr(cmath, name)(z), rel=1e-15)
    assert MODULE.eval(f"{name}(0.5 + 0.25im)") == pytest.approx(getattr(cmath, name)(0.5 + 0.25j), rel=1e-15)


@pytest.mark.parametrize("name", ["sqrt", "log"])
def test_the_derivative_on_the_branch_cut_is_that_of_its_side(name: str) -> None:
    for imag in (0.0, -0.0):
        z = complex(-4.0, imag)
        slope = 1 / (2 * cmath.sqrt(z)) if name == "sqrt" else 1 / z
        (dx, dy) = MODULE.eval(f"gradient((x, y) -> real({name}(complex(x, y))), -4.0, {imag!r})")
        assert (dx, dy) == pytest.approx((slope.real, -slope.imag), rel=1e-14, abs=1e-16)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(3 + 4im)", 5.0), ("abs2(3 + 4im)", 25), ("angle(-1.0im)", -math.pi / 2),
        ("conj(1 + 2im)", 1 - 2j), ("(1 + 2im)'", 1 - 2j),
        ("reim(1.5 - 2im)", (1.5, -2.0)), ("real(2.0) + imag(2.0)", 2.0), ("im^2", -1), ("im * im == -1", True),
        ("1 + 0im == 1", True), ("2.0im == im", False), ("isreal(1.0 + 0im)", True),
        ("abs(1e200 + 1e200im)", 2**0.5 * 1e200),
        ("(1e200 + 1e200im) / (1e200 + 1e200im)", 1 + 0j), 
        ("zero(1.0im) + one(ComplexF64)", 1 + 0j),
        ("sign(3.0im)", 1j), ("(0.0im)^0", 1), ("(0.0im)^2.5", 0), ("(1.0 + 1e-16im) ≈ 1", True),
        ("sum([1.0im, 2] .* 2im)", -2 + 4j), ("expm1(1e-10 + 1e-10im)", 1e-10 + (1e-10 + 1e-20) * 1j),
        ("im * Inf", complex(0, math.inf)),
        ("convert(ComplexF64, 2)", 2 + 0j), ("Complex{Float64}(1, 2)", 1 + 2j), ("isnan(complex(NaN, 0.0))", True),
    ],
)  # fmt: skip
def test_value(text: str, expected: Any) -> None:
    found = MODULE.eval(text)
    if isinstance(expected, bool | tuple) or not cmath.isfinite(expected):
        assert found == expected
    else:
        assert found == pytest.approx(expected, rel=1e-15, abs=1e-300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.0 + 2.0im", "1.0 + 2.0im"), ("-2.0im", "-0.0 - 2.0im"), ("2im", "0 + 2im"), ("im", "im"),
        ("complex(1.0, NaN)", "1.0 + NaN*im"), ("complex(-1.0, -Inf)", "-1.0 - Inf*im"),
        ("ComplexF32(1, 2)", "1.0f0 + 2.0f0im"), 
    ],
)  # fmt: skip
def test_text(text: str, shown: str) -> None:
    assert MODULE.eval(f'"$({text})"') == shown
    if text != "im":
        printed: list[str] = []
        open_workspace(Source("test", f"println({text})"), print_expressions=True, out=printed.append)
        assert "".join(printed) == shown + "\n"


def test_the_logarithm_loses_no_digits_near_the_unit_circle() -> None:
    for z in (0.6 + 0.8j, 1 + 1e-9j, 0.8 - 0.6j):
        with mpmath.workdps(40):
            expected = float(mpmath.log(mpmath.mpc(z)).real)
        assert MODULE.eval(f"real(log({z.real!r} + {z.imag!r}im))") == pytest.approx(expected, rel=1e-14)


DFT = """
function dft(x, k)
  s = 0
  for j in 1:length(x)
    s += x[j] * exp(-2π * im * (j - 1) * k / length(x))
  end
  return s
end
power(x, k) = abs2(dft(x, k))
weight(z) = abs2(z) * real(z)
wave(x) = exp(im * x)
"""


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
def test_a_sum_that_begins_with_zero_becomes_complex(way: Way) -> None:
    x = numpy.array([0.5, -1.0, 2.0, 0.25, 1.5])
    module = load(DFT, way)
    assert module.dft(x, 2) == pytest.approx(numpy.fft.fft(x)[2], rel=1e-14)
    k = numpy.arange(5)
    slope = 2 * (numpy.fft.fft(x)[2].conj() * numpy.exp(-2j * numpy.pi * k * 2 / 5)).real
    assert dsl.gradient(module.power, x, 2)[0] == pytest.approx(slope, rel=1e-13)


def test_numbers_of_python() -> None:
    module = dsl.loads(DFT)
    assert module.weight(1 + 2j) == 5.0
    assert dsl.gradient(module.weight, 1 + 2j)[0]._asdict() == {"re": 7.0, "im": 4.0}
    assert dsl.loads("f(z) = z * z").f(numpy.complex128(1j)) == -1
    assert dsl.loads("f(z) = 2 .* z").f(numpy.array([1j, 2])).tolist() == [2j, 4]


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
def test_the_gradient_of_a_complex_result_is_an_error(way: Way) -> None:
    with pytest.raises(dsl.DslError) as caught:
        evaluate(DFT, "gradient(wave, 1.0)", way)
    assert caught.value.code == "E0502" and "abs2" in str(caught.value)


def test_complex_numbers_have_no_order() -> None:
    with pytest.raises(dsl.DslError) as caught:
        MODULE.eval("1im < 2im")
    assert caught.value.kind == "MethodError"
