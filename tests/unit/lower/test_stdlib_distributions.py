"""Log densities: values against SciPy, gradients against the textbook's densities at 60 digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy
import pytest
from scipy import stats

import dsl
from tests.support import oracle
from tests.support.ways import FAST, Way, load

MODULE = dsl.loads("")
# name: points, SciPy's value there, the density or probability itself
CONTINUOUS: dict[str, tuple[list[tuple[float, ...]], Callable[..., float], Callable[..., Any]]] = {
    "normal_logpdf": (
        [(0.7, 0.2, 1.5), (40.0, -1.0, 0.5)], stats.norm.logpdf,
        lambda x, m, s: mp.exp(-((x - m) ** 2) / (2 * s**2)) / (s * mp.sqrt(2 * mp.pi)),
    ),
    "student_t_logpdf": (
        [(0.7, 3.5, 0.2, 1.5), (-30.0, 1.0, 0.0, 2.0)], stats.t.logpdf,
        lambda x, v, m, s: mp.gamma((v + 1) / 2) / mp.gamma(v / 2) / mp.sqrt(v * mp.pi) / s
        * (1 + ((x - m) / s) ** 2 / v) ** (-(v + 1) / 2),
    ),
    "cauchy_logpdf": (
        [(0.7, 0.2, 1.5)], stats.cauchy.logpdf, lambda x, m, s: 1 / (mp.pi * s * (1 + ((x - m) / s) ** 2)),
    ),
    "laplace_logpdf": (
        [(0.7, 0.2, 1.5), (-3.0, 0.2, 1.5)], stats.laplace.logpdf, lambda x, m, b: mp.exp(-abs(x - m) / b) / (2 * b),
    ),
    "logistic_logpdf": (
        [(0.7, 0.2, 1.5), (-90.0, 0.0, 0.1), (90.0, 0.0, 0.1)], stats.logistic.logpdf,
        lambda x, m, s: mp.exp(-(x - m) / s) / (s * (1 + mp.exp(-(x - m) / s)) ** 2),
    ),
    "gumbel_logpdf": (
        [(0.7, 0.2, 1.5)], stats.gumbel_r.logpdf,
        lambda x, m, b: mp.exp(-(x - m) / b - mp.exp(-(x - m) / b)) / b,
    ),
    "lognormal_logpdf": (
        [(0.7, 0.2, 1.5)], lambda x, m, s: stats.lognorm.logpdf(x, s, scale=math.exp(m)),
        lambda x, m, s: mp.exp(-((mp.log(x) - m) ** 2) / (2 * s**2)) / (x * s * mp.sqrt(2 * mp.pi)),
    ),
    "half_normal_logpdf": (
        [(0.7, 1.5)], lambda x, s: stats.halfnorm.logpdf(x, scale=s),
        lambda x, s: 2 * mp.exp(-(x**2) / (2 * s**2)) / (s * mp.sqrt(2 * mp.pi)),
    ),
    "half_cauchy_logpdf": (
        [(0.7, 1.5)], lambda x, s: stats.halfcauchy.logpdf(x, scale=s),
        lambda x, s: 2 / (mp.pi * s * (1 + (x / s) ** 2)),
    ),
    "exponential_logpdf": (
        [(0.7, 1.5)], lambda x, rate: stats.expon.logpdf(x, scale=1 / rate), lambda x, rate: rate * mp.exp(-rate * x),
    ),
    "gamma_logpdf": (
        [(0.7, 2.5, 1.5), (9.0, 0.5, 2.0)], lambda x, a, b: stats.gamma.logpdf(x, a, scale=1 / b),
        lambda x, a, b: b**a / mp.gamma(a) * x ** (a - 1) * mp.exp(-b * x),
    ),
    "inverse_gamma_logpdf": (
        [(0.7, 2.5, 1.5)], lambda x, a, b: stats.invgamma.logpdf(x, a, scale=b),
        lambda x, a, b: b**a / mp.gamma(a) * x ** (-a - 1) * mp.exp(-b / x),
    ),
    "chi_squared_logpdf": (
        [(2.7, 3.5)], stats.chi2.logpdf,
        lambda x, v: x ** (v / 2 - 1) * mp.exp(-x / 2) / (2 ** (v / 2) * mp.gamma(v / 2)),
    ),
    "weibull_logpdf": (
        [(0.7, 2.5, 1.5)], lambda x, k, s: stats.weibull_min.logpdf(x, k, scale=s),
        lambda x, k, s: k / s * (x / s) ** (k - 1) * mp.exp(-((x / s) ** k)),
    ),
    "pareto_logpdf": (
        [(2.7, 2.5, 1.5)], lambda x, m, a: stats.pareto.logpdf(x, a, scale=m), lambda x, m, a: a * m**a / x ** (a + 1),
    ),
    "beta_logpdf": (
        [(0.7, 2.5, 1.5), (1e-9, 0.5, 0.5)], stats.beta.logpdf,
        lambda x, a, b: x ** (a - 1) * (1 - x) ** (b - 1) * mp.gamma(a + b) / (mp.gamma(a) * mp.gamma(b)),
    ),
    "uniform_logpdf": (
        [(0.7, -0.5, 1.5)], lambda x, a, b: stats.uniform.logpdf(x, a, b - a), lambda x, a, b: 1 / (b - a),
    ),
}  # fmt: skip
COUNTS: dict[str, tuple[list[tuple[float, ...]], Callable[..., float], Callable[..., Any]]] = {
    "bernoulli_logpmf": ([(1, 0.3), (0, 1e-9)], stats.bernoulli.logpmf, lambda k, p: p if k else 1 - p),
    "bernoulli_logit_logpmf": (
        [(1, -40.0), (0, 0.5)], lambda k, e: mp.log(1 / (1 + mp.exp(-e if k else e))),
        lambda k, e: 1 / (1 + mp.exp(-e if k else e)),
    ),
    "binomial_logpmf": (
        [(3, 7, 0.3), (0, 5, 0.25)], stats.binom.logpmf, lambda k, n, p: mp.binomial(n, k) * p**k * (1 - p) ** (n - k),
    ),
    "binomial_logit_logpmf": (
        [(3, 7, 0.3)], lambda k, n, e: stats.binom.logpmf(k, n, 1 / (1 + math.exp(-e))),
        lambda k, n, e: mp.binomial(n, k) / (1 + mp.exp(-e)) ** k / (1 + mp.exp(e)) ** (n - k),
    ),
    "poisson_logpmf": (
        [(3, 2.5), (0, 0.5)], stats.poisson.logpmf, lambda k, r: r**k * mp.exp(-r) / mp.factorial(k),
    ),
    "poisson_log_logpmf": (
        [(3, 0.5)], lambda k, e: stats.poisson.logpmf(k, math.exp(e)),
        lambda k, e: mp.exp(k * e - mp.exp(e)) / mp.factorial(k),
    ),
    "geometric_logpmf": (
        [(3, 0.3)], lambda k, p: stats.geom.logpmf(k + 1, p), lambda k, p: p * (1 - p) ** k,
    ),
    "negative_binomial_logpmf": (
        [(3, 2.5, 0.3)], stats.nbinom.logpmf,
        lambda k, r, p: mp.gamma(k + r) / (mp.gamma(r) * mp.factorial(k)) * p**r * (1 - p) ** k,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_density(way: Way, name: str) -> None:
    points, scipys, density = CONTINUOUS[name]
    function = load("", way).eval(name)
    for point in points:
        slopes = [slope or 0.0 for slope in dsl.gradient(function, *point)]  # None: the bounds alone matter
        assert function(*point) == pytest.approx(float(scipys(*point)), rel=1e-12)
        expected = oracle.gradient(lambda *a: mp.log(density(*a)), *point)
        assert slopes == pytest.approx(expected, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_probability(way: Way, name: str) -> None:
    points, scipys, probability = COUNTS[name]
    names = "abc"[: len(points[0]) - 1]
    for point in points:
        k, *rest = point
        function = load("", way).eval(f"({', '.join(names)}) -> {name}({k}, {', '.join(names)})")
        assert function(*rest) == pytest.approx(float(scipys(*point)), rel=1e-12)
        slope = dsl.gradient(function, *rest)[-1]
        expected = oracle.derivative(lambda p, before=point[:-1]: mp.log(probability(*before, p)), point[-1])
        assert slope == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(
    "text",
    [
        "lognormal_logpdf(-1.0)", "exponential_logpdf(-0.5, 2.0)", "gamma_logpdf(-1.0, 2.0)",
        "beta_logpdf(1.5, 2.0, 2.0)",
        "uniform_logpdf(3.0)", "weibull_logpdf(-1.0, 2.0)", "pareto_logpdf(0.5, 1.0, 2.0)", "poisson_logpmf(-1, 2.0)",
        "poisson_logpmf(1.5, 2.0)", "binomial_logpmf(8, 7, 0.5)", "bernoulli_logpmf(2, 0.5)", "poisson_logpmf(1, 0.0)",
        "categorical_logpmf(4, [0.5, 0.25, 0.25])", "dirichlet_logpdf([-0.5, 1.5], [1.0, 2.0])",
    ],
)  # fmt: skip
def test_outside_the_support(text: str) -> None:
    assert MODULE.eval(text) == -math.inf


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("normal_logpdf(1.0, 0.0, -2.0)", "σ must be positive"), ("gamma_logpdf(1.0, 0.0)", "α must be positive"),
        ("bernoulli_logpmf(1, 1.5)", "between 0 and 1"), ("uniform_logpdf(1.0, 2.0, 1.0)", "a must be less than b"),
        ("poisson_logpmf(1, -1.0)", "λ must not be negative"),
    ],
)  # fmt: skip
def test_no_such_distribution(text: str, said: str) -> None:
    with pytest.raises(dsl.DslError, match=said) as caught:
        MODULE.eval(text)
    assert caught.value.kind == "DomainError"


VECTORS = """
dirichlet(x, α) = dirichlet_logpdf(x, α)
normal(x, μ, L) = multi_normal_cholesky_logpdf(x, μ, L)
full(x, μ, Σ) = multi_normal_logpdf(x, μ, Σ)
multinomial(p) = multinomial_logpmf([2, 0, 3], p)
category(η) = categorical_logit_logpmf(2, η)
"""
X, MEAN, FACTOR = (
    numpy.array([0.5, -1.0, 2.0]),
    numpy.array([0.1, 0.2, 0.3]),
    numpy.tril(numpy.ones((3, 3))) + numpy.eye(3),
)


def _differences(f: Callable[[Any], float], x: Any, h: float = 1e-4) -> Any:
    """Central differences of the fourth order of SciPy's own function: good to 1e-9 or so."""
    out = numpy.zeros_like(x)
    for k in numpy.ndindex(x.shape):
        e = numpy.zeros_like(x)
        e[k] = h
        out[k] = (8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h)
    return out


@pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)
def test_densities_of_vectors(way: Way) -> None:
    module = load(VECTORS, way)
    covariance = FACTOR @ FACTOR.T
    expected = stats.multivariate_normal.logpdf(X, MEAN, covariance)
    assert module.normal(X, MEAN, FACTOR) == pytest.approx(expected, rel=1e-13)
    assert module.full(X, MEAN, covariance) == pytest.approx(expected, rel=1e-12)
    _, by_mean, by_covariance = dsl.gradient(module.full, X, MEAN, covariance)
    inverse, z = numpy.linalg.inv(covariance), numpy.linalg.solve(covariance, X - MEAN)
    assert by_mean == pytest.approx(z, rel=1e-12)
    assert (by_covariance + by_covariance.T) / 2 == pytest.approx((numpy.outer(z, z) - inverse) / 2, rel=1e-11)
    by_x, by_mean, by_factor = dsl.gradient(module.normal, X, MEAN, FACTOR)
    inverse = numpy.linalg.inv(covariance)
    assert by_x == pytest.approx(-inverse @ (X - MEAN), rel=1e-12)
    assert by_mean == pytest.approx(inverse @ (X - MEAN), rel=1e-12)
    differences = _differences(lambda factor: stats.multivariate_normal.logpdf(X, MEAN, factor @ factor.T), FACTOR)
    assert numpy.tril(by_factor) == pytest.approx(numpy.tril(differences), rel=1e-8, abs=1e-9)
    assert numpy.triu(by_factor, 1).tolist() == numpy.zeros((3, 3)).tolist()

    α, p = numpy.array([1.5, 2.0, 0.7]), numpy.array([0.2, 0.3, 0.5])
    assert module.dirichlet(p, α) == pytest.approx(stats.dirichlet.logpdf(p, α), rel=1e-12)
    _, by_α = dsl.gradient(module.dirichlet, p, α)
    assert by_α == pytest.approx(_differences(lambda a: stats.dirichlet.logpdf(p, a), α), rel=1e-8)
    assert module.multinomial(p) == pytest.approx(stats.multinomial.logpmf([2, 0, 3], 5, p), rel=1e-12)
    assert dsl.gradient(module.multinomial, p)[0] == pytest.approx(numpy.array([2, 0, 3]) / p, rel=1e-13)

    η = numpy.array([1000.0, 999.0, 1001.0])
    soft = numpy.exp(η - 1001) / numpy.exp(η - 1001).sum()
    assert module.category(η) == pytest.approx(math.log(soft[1]), rel=1e-12)
    assert dsl.gradient(module.category, η)[0] == pytest.approx(numpy.eye(3)[1] - soft, rel=1e-12)


def test_sizes_must_agree() -> None:
    with pytest.raises(dsl.DslError, match="the first vector has 1 elements, the second one 2") as caught:
        MODULE.eval("dirichlet_logpdf([1.0], [1.0, 2.0])")
    assert caught.value.kind == "ArgumentError"
