"""Equations, integrals, roots and interpolation against SciPy; derivatives against closed forms and differences at 60
digits of mpmath's own solutions."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import numpy
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline, PchipInterpolator

import dsl
from tests.support import oracle
from tests.support.ways import FAST, REVERSE, WAYS, Way, load

# ---------------------------------------------------------------- differential equations

EQUATIONS = """
number(u, p, t) = -p * u + t
pair(u, p, t) = (p * u[1] - u[1] * u[2], u[1] * u[2] - u[2])
vector(u, p, t) = [p * u[1] - u[1] * u[2], u[1] * u[2] - u[2]]
linear(u0, k, t0, t1) = odesolve(number, u0, (t0, t1); p=k, rtol=1e-11, atol=1e-13)
steps(u0, k, t0, t1) = rk4(number, u0, (t0, t1), 400; p=k)
pairs(k) = odesolve(pair, (1, 2.0), (0, 3); p=k, rtol=1e-11, atol=1e-13)[1]
vectors(k) = odesolve(vector, [1.0, 2.0], (0, 3); p=k, rtol=1e-11, atol=1e-13)[1]
captured(v) = odesolve((u, p, t) -> [v[1] * u[1] - u[1] * u[2], v[2] * u[1] * u[2] - u[2]], v, (0.0, 3.0);
  rtol=1e-11)[2]
saved(k, ts) = odesolve(vector, [1.0, 2.0], (0.0, 3.0); p=k, rtol=1e-11, atol=1e-13, saveat=ts)
total(k, ts) = sum(u[1] * u[2] for u in saved(k, ts))
path(k) = rk4_path(vector, [1.0, 2.0], (0.0, 3.0), 600; p=k)[301]
stiff(k) = odesolve((u, p, t) -> -k * (u - cos(t)), 0.0, (0.0, 10.0); maxsteps=50)
blown(u0) = odesolve((u, p, t) -> u^2, u0, (0.0, 2.0))
"""


def _linear(u0: Any, k: Any, t0: Any, t1: Any) -> Any:
    """u' = -k u + t"""
    return (u0 - t0 / k + 1 / k**2) * mp.exp(-k * (t1 - t0)) + t1 / k - 1 / k**2


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
def test_linear_equation(way: Way) -> None:
    module = load(EQUATIONS, way)
    for name, rel in (("linear", 1e-9), ("steps", 1e-9)):
        point = (1.2, 0.7, 0.5, 2.5)
        assert module[name](*point) == pytest.approx(oracle.value(_linear, *point), rel=rel)
        assert dsl.gradient(module[name], *point) == pytest.approx(oracle.gradient(_linear, *point), rel=1e-8)
    backwards = (1.2, 0.7, 2.5, 0.5)
    assert module.linear(*backwards) == pytest.approx(oracle.value(_linear, *backwards), rel=1e-9)


def _lotka_volterra(times: Any, k: float, c: float = 1.0, start: Any = (1.0, 2.0)) -> Any:
    return solve_ivp(lambda t, u: [k * u[0] - u[0] * u[1], c * u[0] * u[1] - u[1]], (0, 3), start,
                     method="DOP853", rtol=1e-13, atol=1e-14, t_eval=times).y  # fmt: skip


@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_systems(way: Way) -> None:
    module = load(EQUATIONS, way)
    times = numpy.array([0.0, 0.4, 1.1, 1.1, 2.9, 3.0])
    expected = _lotka_volterra(numpy.unique(times), 0.7)
    slope = (_lotka_volterra([3.0], 0.7 + 1e-4) - _lotka_volterra([3.0], 0.7 - 1e-4))[0, 0] / 2e-4
    for name in ("pairs", "vectors"):
        assert module[name](0.7) == pytest.approx(expected[0, -1], rel=1e-9)
        assert dsl.gradient(module[name], 0.7)[0] == pytest.approx(slope, rel=1e-7)
    found = numpy.array(module.saved(0.7, times))
    assert found[[0, 1, 2, 4, 5]] == pytest.approx(expected.T, rel=2e-7)  # between the steps the order is 4
    assert found[2].tolist() == found[3].tolist()
    assert module.path(0.7) == pytest.approx(_lotka_volterra([1.5], 0.7)[:, 0], rel=1e-8)

    def total(k: float) -> float:
        u = _lotka_volterra(times[[0, 1, 2, 4, 5]], k)
        return float((u[0] * u[1]).sum() + u[0, 2] * u[1, 2])

    by_k = dsl.gradient(module.total, 0.7, times)[0]
    assert by_k == pytest.approx((total(0.7 + 1e-4) - total(0.7 - 1e-4)) / 2e-4, rel=1e-6)


@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_what_the_equation_captures(way: Way) -> None:
    v = numpy.array([0.8, 1.1])

    def end(v: Any) -> float:
        return float(_lotka_volterra([3.0], v[0], v[1], v)[1, 0])

    (found,) = dsl.gradient(load(EQUATIONS, way).captured, v)
    expected = [(end(v + e) - end(v - e)) / 2e-4 for e in 1e-4 * numpy.eye(2)]
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stiff(1e6)", "50 steps lead to"), ("blown(1.0)", "steps become too small|steps lead to|NaN"),
        ("saved(0.7, [1.0, 0.5])", "number 2 does not"), ("saved(0.7, [4.0])", "number 1 does not"),
        ("rk4(number, 1.0, (0.0, 1.0), 0; p=1.0)", "must be positive"),
        ("odesolve(number, 1.0, (0.0, 1.0); p=1.0, rtol=0.0, atol=0.0)", "a tolerance must be positive"),
    ],
)  # fmt: skip
def test_equations_that_are_not_solved(text: str, said: str) -> None:
    with pytest.raises(dsl.DslError, match=said):
        dsl.loads(EQUATIONS).eval(text)


# ---------------------------------------------------------------- roots and fixed points

ROOTS = """
enclosed(p, q) = find_root(x -> x^3 - p * x - q, 0, 5)
newtons(p, q) = newton(x -> x^3 - p * x - q, 2)
arrays(v) = find_root(x -> x^3 - v[1] * x - v[2], 0.0, 5.0)
kepler(e, m) = newton(x -> x - e * sin(x) - m, m)
system(a, b) = newton(x -> [x[1]^2 + x[2]^2 - a, x[1] * x[2] - b], [2.0, 1])[1]
system_of(v) = newton(x -> [x[1]^2 + x[2]^2 - v[1], x[1] * x[2] - v[2]], [2.0, 1.0])[1]
angle_(a) = fixed_point(x -> cos(a * x), 1)
pairs(a) = fixed_point(x -> (cos(a * x[2]) / 2, sin(x[1]) / 2), (1.0, 1.0))[1]
vectors(a, b) = fixed_point(x -> [cos(a * x[2]) / 2, b * sin(x[1]) / 2], [1.0, 1.0])[1]
"""


def _cubic(p: Any, q: Any) -> Any:
    return mp.findroot(lambda x: x**3 - p * x - q, 1.5)


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
@pytest.mark.parametrize("name", ["enclosed", "newtons"])
def test_root(way: Way, name: str) -> None:
    f = load(ROOTS, way)[name]
    assert f(1.2, 1.1) == pytest.approx(oracle.value(_cubic, 1.2, 1.1), rel=1e-15)
    assert dsl.gradient(f, 1.2, 1.1) == pytest.approx(oracle.gradient(_cubic, 1.2, 1.1), rel=1e-13)


@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_higher_derivatives_of_a_root(way: Way) -> None:
    module = load(ROOTS, way)
    for order in (2, 3):
        expected = oracle.derivative(lambda p: _cubic(p, mp.mpf(1)), 1.2, order)
        assert module.eval(f"(p -> enclosed(p, 1.0)){chr(39) * order}(1.2)") == pytest.approx(expected, rel=1e-12)
    (found,) = dsl.gradient(module.arrays, numpy.array([1.2, 1.1]))
    assert found == pytest.approx(oracle.gradient(_cubic, 1.2, 1.1), rel=1e-13)
    by_e, by_m = dsl.gradient(module.kepler, 0.9, 0.4)
    assert (by_e, by_m) == pytest.approx(
        oracle.gradient(lambda e, m: mp.findroot(lambda x: x - e * mp.sin(x) - m, 1.3), 0.9, 0.4), rel=1e-12
    )


def _circle_and_hyperbola(a: Any, b: Any) -> Any:
    """x² + y² = a, x y = b, the solution with x > y"""
    return (mp.sqrt(a + 2 * b) + mp.sqrt(a - 2 * b)) / 2


@pytest.mark.parametrize("way", REVERSE, ids=lambda w: w.name)
def test_root_of_a_system(way: Way) -> None:
    module = load(ROOTS, way)
    assert module.system(5.0, 1.5) == pytest.approx(oracle.value(_circle_and_hyperbola, 5.0, 1.5), rel=1e-14)
    expected = oracle.gradient(_circle_and_hyperbola, 5.0, 1.5)
    assert dsl.gradient(module.system, 5.0, 1.5) == pytest.approx(expected, rel=1e-12)
    assert dsl.gradient(module.system_of, numpy.array([5.0, 1.5]))[0] == pytest.approx(expected, rel=1e-12)
    second = oracle.derivative(lambda a: _circle_and_hyperbola(a, mp.mpf(1.5)), 5.0, 2)
    assert module.eval("(a -> system(a, 1.5))''(5.0)") == pytest.approx(second, rel=1e-11)


def _coupled(a: Any, b: Any) -> Any:
    return mp.findroot(lambda x, y: (mp.cos(a * y) / 2 - x, b * mp.sin(x) / 2 - y), (0.5, 0.25))[0]


@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_fixed_point(way: Way) -> None:
    module = load(ROOTS, way)

    def cosine(a: Any) -> Any:
        return mp.findroot(lambda x: mp.cos(a * x) - x, 0.77)

    assert module.angle_(0.9) == pytest.approx(oracle.value(cosine, 0.9), rel=1e-14)
    assert dsl.gradient(module.angle_, 0.9)[0] == pytest.approx(oracle.derivative(cosine, 0.9), rel=1e-12)
    assert module.eval("angle_''(0.9)") == pytest.approx(oracle.derivative(cosine, 0.9, 2), rel=1e-10)
    expected = oracle.gradient(_coupled, 0.9, 1.1)
    assert dsl.gradient(module.vectors, 0.9, 1.1) == pytest.approx(expected, rel=1e-11)
    expected = oracle.gradient(_coupled, 0.9, 1.0)
    assert dsl.gradient(module.pairs, 0.9)[0] == pytest.approx(expected[0], rel=1e-11)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("find_root(x -> x^2 + 1, 0.0, 1.0)", "one sign at both ends"),
        ("find_root(x -> x < 0.5 ? x - 1 : NaN, 0.0, 1.0)", "NaN"), ("newton(x -> x^2 + 1, 0.0)", r"f'\(x\) = 0"),
        ("newton(x -> atan(x), 2.0)", "not finite|steps lead to|= 0 here"),
        ("fixed_point(x -> 2x + 1, 1.0)", "without bound"),
        ("gradient(p -> find_root(x -> (x - p)^3, 0.0, 1.0), 0.5)", "derivative of a root"),
    ],
)  # fmt: skip
def test_no_root(text: str, said: str) -> None:
    with pytest.raises(dsl.DslError, match=said):
        dsl.loads("").eval(text)


def test_a_root_at_an_end_and_a_flat_one() -> None:
    module = dsl.loads("")
    assert module.eval("find_root(x -> x, 0.0, 1.0)") == 0.0
    assert module.eval("find_root(x -> x - 1, 0.0, 1.0)") == 1.0
    assert module.eval("find_root(x -> (x - 0.3)^9, -1.0, 2.0; xtol=1e-6)") == pytest.approx(0.3, abs=3e-2)
    assert module.eval("find_root(x -> exp(x) - 1e10, -1000.0, 500.0)") == pytest.approx(math.log(1e10), rel=1e-15)


# ---------------------------------------------------------------- integrals

INTEGRALS = """
wave(a, b, p) = integrate(x -> exp(-p * x) * sin(x), a, b)
fixed(a, b, p) = gauss_legendre(x -> exp(-p * x) * sin(x), a, b, 14)
bell(p) = integrate(x -> exp(-p * x^2), -Inf, Inf)
above(a, p) = integrate(x -> exp(-p * x), a, Inf)
below(a, p) = integrate(x -> exp(p * x), a, -Inf)
power(v) = integrate(x -> v[1] * x^v[2], 0, 1)
table(xs, ys) = trapz(xs, ys)
"""


def _wave(a: Any, b: Any, p: Any) -> Any:
    """The closed form of the integral of exp(-p x) sin(x)."""
    return -mp.im((mp.exp((1j - p) * a) - mp.exp((1j - p) * b)) / (1j - p))


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
@pytest.mark.parametrize("name", ["wave", "fixed"])
def test_integral(way: Way, name: str) -> None:
    f, point = load(INTEGRALS, way)[name], (0.2, 3.0, 0.7)
    assert f(*point) == pytest.approx(oracle.value(_wave, *point), rel=1e-13)
    assert dsl.gradient(f, *point) == pytest.approx(oracle.gradient(_wave, *point), rel=1e-12)


@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_infinite_bounds(way: Way) -> None:
    module = load(INTEGRALS, way)
    assert module.bell(2.0) == pytest.approx(math.sqrt(math.pi / 2), rel=1e-13)
    assert dsl.gradient(module.bell, 2.0)[0] == pytest.approx(-math.sqrt(math.pi) / 2 * 2**-1.5, rel=1e-12)
    tail = math.exp(-2) / 2
    assert module.above(1.0, 2.0) == pytest.approx(tail, rel=1e-13)
    assert dsl.gradient(module.above, 1.0, 2.0) == pytest.approx((-2 * tail, -1.5 * tail), rel=1e-12)
    whole = math.exp(2) / 2
    assert module.below(1.0, 2.0) == pytest.approx(-whole, rel=1e-13)
    assert dsl.gradient(module.below, 1.0, 2.0) == pytest.approx((-2 * whole, -whole / 2), rel=1e-12)
    assert dsl.gradient(module.power, numpy.array([2.0, 3.0]))[0] == pytest.approx([0.25, -0.125], rel=1e-8)


def test_quadrature() -> None:
    module = dsl.loads(INTEGRALS)
    assert module.eval("integrate(x -> sqrt(x), 0, 1)") == pytest.approx(2 / 3, rel=1e-9)
    assert module.eval("integrate(x -> x, 1.0, 0.0)") == -0.5
    assert module.eval("integrate(x -> 0.0, 0.0, 1.0)") == 0.0
    assert module.eval("gauss_legendre(x -> x^9 + x^8, -1, 2, 5)") == pytest.approx(1023 / 10 + 513 / 9, rel=1e-14)
    xs, ys = numpy.array([0.0, 1.0, 2.5, 3.0]), numpy.array([1.0, 3.0, 2.0, 2.5])
    assert module.table(xs, ys) == pytest.approx(numpy.trapezoid(ys, xs), rel=1e-15)
    for degree in range(0, 23, 2):  # what the formula of Kronrod with 15 points is exact for
        assert module.eval(f"integrate(x -> x^{degree}, -1, 1; rtol=1.0)") == pytest.approx(2 / (degree + 1), rel=1e-14)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("integrate(x -> 1 / x, 0.0, 1.0)", "singularity|changes too fast"), ("integrate(x -> NaN, 0.0, 1.0)", "NaN"),
        ("integrate(x -> x, 0.0, 1.0; rtol=0.0)", "a tolerance must be positive"),
        ("gauss_legendre(x -> x, 0.0, 1.0, 0)", "must be positive"),
        ("trapz([1.0], [1.0, 2.0])", "1 points with 2 values"),
    ],
)  # fmt: skip
def test_no_integral(text: str, said: str) -> None:
    with pytest.raises(dsl.DslError, match=said):
        dsl.loads("").eval(text)


# ---------------------------------------------------------------- interpolation

POINTS = """
lin(xs, ys, x) = interp_linear(xs, ys, x)
cub(xs, ys, x) = interp_cubic(xs, ys, x)
pch(xs, ys, x) = interp_pchip(xs, ys, x)
"""
XS, YS = numpy.array([0.0, 1.0, 2.5, 3.0, 4.2, 6.0]), numpy.array([1.0, 3.0, 2.0, 2.5, -1.0, -1.5])
PEERS: dict[str, Any] = {
    "lin": lambda xs, ys: lambda x: numpy.interp(x, xs, ys),
    "cub": lambda xs, ys: CubicSpline(xs, ys, bc_type="natural"),
    "pch": PchipInterpolator,
}  # fmt: skip


@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
@pytest.mark.parametrize("name", PEERS)
def test_interpolation(way: Way, name: str) -> None:
    f, peer = load(POINTS, way)[name], PEERS[name]
    for x in (0.0, 0.3, 1.7, 2.5, 2.9, 3.7, 6.0):
        assert f(XS, YS, x) == pytest.approx(float(peer(XS, YS)(x)), rel=1e-13)
    x, h = 2.8, 1e-5
    by_xs, by_ys, by_x = dsl.gradient(f, XS, YS, x)
    assert by_x == pytest.approx(float(peer(XS, YS)(x + h) - peer(XS, YS)(x - h)) / (2 * h), rel=1e-8)
    for k, e in enumerate(h * numpy.eye(len(XS))):
        moved = float(peer(XS + e, YS)(x) - peer(XS - e, YS)(x)) / (2 * h)
        raised = float(peer(XS, YS + e)(x) - peer(XS, YS - e)(x)) / (2 * h)
        assert (by_xs[k], by_ys[k]) == pytest.approx((moved, raised), rel=1e-6, abs=1e-8)


def test_a_spline_is_a_function() -> None:
    module = dsl.loads("s = cubic_spline([0.0, 1.0, 2.5, 4.0], [1.0, 3.0, 2.0, 0.5])\nf(x) = s(x)")
    peer = CubicSpline([0.0, 1.0, 2.5, 4.0], [1.0, 3.0, 2.0, 0.5], bc_type="natural")
    assert module.f(1.7) == pytest.approx(float(peer(1.7)), rel=1e-14)
    assert module.eval("f'(1.7)") == pytest.approx(float(peer(1.7, 1)), rel=1e-13)
    assert module.eval("f''(1.7)") == pytest.approx(float(peer(1.7, 2)), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("interp_linear([0.0, 1.0], [1.0, 2.0], 1.5)", "not between the first point and the last"),
        ("interp_cubic([0.0, 1.0, 1.0], [1.0, 2.0, 3.0], 0.5)", "number 3 does not"),
        ("pchip([0.0], [1.0])", "needs 2 points"), ("cubic_spline([0.0, 1.0], [1.0])", "2 points with 1 values"),
    ],
)  # fmt: skip
def test_no_interpolation(text: str, said: str) -> None:
    with pytest.raises(dsl.DslError, match=said):
        dsl.loads("").eval(text)
