"""Special functions: the logistic family, the error function, gamma and Bessel functions.

What the C library lacks is a straight-line formula; those that lose too much in single precision are computed in
double for Float32. Poles give infinities or NaN; `domain` is what lowering checks first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from dsl.ops import errorfunction, libm, polynomials
from dsl.ops.core import BINARY, Derivative, Primitive, Signature, Sym, declare, formula_in_lanes, prim, select
from dsl.ops.elementary import Domain, formula, function, holds_not, polynomial
from dsl.types import F64, I64

if TYPE_CHECKING:
    from fractions import Fraction

# ---------------------------------------------------------------- the logistic family

formula("sigmoid", "1 / (1 + exp(-x))", (-3, 3), polynomials.sigmoid, lambda d, x, out: d * (out * (1.0 - out)))
formula(
    "softplus", "log(1 + exp(x)) without overflow", (-3, 3),
    lambda x: prim("max", x, 0.0) + prim("log1p", prim("exp", -prim("abs", x))),
    lambda d, x, out: d * prim("sigmoid", x),
)  # fmt: skip


def _difference(x: Sym, y: Sym) -> Sym:
    """x - y, and 0 for equal infinities."""
    same = prim("and", x.eq(y), prim("abs", x).eq(math.inf))
    return select(same, 0.0, x - y)


def _logaddexp(x: Sym, y: Sym) -> Sym:
    return prim("max", x, y) + prim("log1p", prim("exp", -prim("abs", _difference(x, y))))


declare(Primitive(
    "logaddexp", BINARY, "log(exp(x) + exp(y)) without overflow", ((-3, 3), (-3, 3)),
    expand=_logaddexp,
    derivative=(
        lambda d, x, y, out: d * prim("sigmoid", _difference(x, y)),
        lambda d, x, y, out: d * prim("sigmoid", _difference(y, x)),
    ),
    commutative=True,
))  # fmt: skip

for _name in ("softplus", "logaddexp"):
    formula_in_lanes(_name)


# ---------------------------------------------------------------- in double precision for both float types


def in_double(
    name: str,
    doc: str,
    sample: tuple[float, float],
    expand: Callable[[Sym], Sym],
    derivative: Derivative,
    domain: Domain | None = None,
) -> None:
    """A formula that is computed in Float64 and, for a Float32, rounded at the end."""
    formula(name, doc, sample, lambda x: expand(x.to(F64)).to(x.v.type), derivative, domain)


# ---------------------------------------------------------------- the error function

TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)

formula("gaussian", "exp(-x²), of the derivative of erf", (-2, 2), errorfunction.gaussian,
        lambda d, x, out: -(d * ((x + x) * out)))  # fmt: skip
formula("erf", "the error function", (-2, 2), errorfunction.erf,
        lambda d, x, out: d * (TWO_OVER_SQRT_PI * prim("gaussian", x)))  # fmt: skip
formula("erfc", "1 - erf(x), exact for large x", (-2, 2), errorfunction.erfc,
        lambda d, x, out: -(d * (TWO_OVER_SQRT_PI * prim("gaussian", x))))  # fmt: skip


def _erfinv(x: Sym) -> Sym:
    """A closed-form guess, good to some thousandths, then three steps of Halley's method, which cube the error. What
    is missing is taken from erfc where erf is near 1."""
    a = prim("abs", x)
    log_rest = prim("log1p", -(a * a))
    c = 0.147
    half = 2.0 / (math.pi * c) + log_rest * 0.5
    q = log_rest * (-1.0 / c)
    w = prim("sqrt", q / (prim("sqrt", half * half + q) + half))
    for _ in range(3):
        missing = select(a < 0.5, prim("erf", w) - a, (1.0 - a) - prim("erfc", w))
        step = missing / (TWO_OVER_SQRT_PI * prim("exp", -(w * w)))
        w = w - step / (1.0 + w * step)
    return prim("copysign", select(a.eq(1.0), math.inf, w), x)


in_double(
    "erfinv", "the inverse of erf", (-0.95, 0.95), _erfinv,
    lambda d, x, out: d * (prim("exp", out * out) / TWO_OVER_SQRT_PI),
    (lambda x: holds_not(prim("abs", x) > 1.0), "erfinv of a number outside -1 … 1: {0}"),
)  # fmt: skip


# ---------------------------------------------------------------- gamma and its logarithmic derivatives


def _bernoulli(count: int) -> list[Fraction]:
    """The Bernoulli numbers B₀, B₁ = -1/2, B₂, … by their recurrence."""
    from fractions import Fraction

    b = [Fraction(1)]
    for n in range(1, count):
        b.append(-sum((math.comb(n + 1, k) * b[k] for k in range(n)), Fraction(0)) / (n + 1))
    return b


# ψ(y) = log z - 1/2z - Σ B₂ₖ/(2k z²ᵏ) - Σ 1/(y+j) with z = y + SHIFT, and its derivatives. With this shift and this
# many terms the remainder is below rounding for y ≥ 0, also when the formulas are differentiated a few times.
SHIFT = 12


@cache
def _psi(order: int) -> list[float]:
    """The coefficients of the sum, and of its first and second derivative but for sign and powers of z."""
    even = [(2 * k, b) for k, b in enumerate(_bernoulli(25)[2::2], start=1)]
    return [float((b / n, b, b * (n + 1))[order]) for n, b in even]


def _shifted_sum(y: Sym, power: int) -> Sym:
    """Σ (y+j)^-power for j from 0 to SHIFT - 1, smallest terms first."""
    total = None
    for j in reversed(range(SHIFT)):
        r = 1.0 / (y + float(j))
        term = r
        for _ in range(power - 1):
            term = term * r
        total = term if total is None else total + term
    assert total is not None
    return total


def _reflected(x: Sym) -> tuple[Sym, Sym, Sym, Sym]:
    """For x < 0 the argument 1 - x, else x; whether it was reflected; and sine and cosine of πx (1 and 0 where it
    was not: nothing there divides by zero)."""
    negative = x < 0.0
    s = select(negative, prim("sinpi", x), 1.0)
    c = select(negative, prim("cospi", x), 0.0)
    return select(negative, 1.0 - x, x), negative, s, c


def _digamma(x: Sym) -> Sym:
    y, _, s, c = _reflected(x)
    z = y + float(SHIFT)
    r = 1.0 / z
    r2 = r * r
    tail = prim("log", z) - 0.5 * r - r2 * polynomial(_psi(0), r2)
    return tail - _shifted_sum(y, 1) - math.pi * (c / s)


def _trigamma(x: Sym) -> Sym:
    y, negative, s, _ = _reflected(x)
    r = 1.0 / (y + float(SHIFT))
    r2 = r * r
    value = r + 0.5 * r2 + r * r2 * polynomial(_psi(1), r2) + _shifted_sum(y, 2)
    return select(negative, math.pi**2 / (s * s) - value, value)


def _tetragamma(x: Sym) -> Sym:
    """The derivative of trigamma, a smooth formula, so that all further derivatives are its own."""
    y, _, s, c = _reflected(x)
    r = 1.0 / (y + float(SHIFT))
    r2 = r * r
    value = -(r2 + r2 * r + r2 * r2 * polynomial(_psi(2), r2)) - 2.0 * _shifted_sum(y, 3)
    return value - 2.0 * math.pi**3 * (c / (s * s * s))


in_double("digamma", "the derivative of loggamma", (0.2, 9), _digamma, lambda d, x, out: d * prim("trigamma", x))
in_double("trigamma", "the derivative of digamma", (0.2, 9), _trigamma,
          lambda d, x, out: d * _tetragamma(x.to(F64)))  # fmt: skip


def _pole(x: Sym) -> Sym:
    return prim("and", x < 0.0, prim("floor", x).eq(x))


def _gamma_is_negative(x: Sym) -> Sym:
    return prim("and", x < 0.0, prim("mod", prim("floor", x), 2.0).eq(1.0))


function("gamma", "the gamma function", (0.2, 6), lambda d, x, out: d * (out * prim("digamma", x)),
         (lambda x: holds_not(_pole(x)), "gamma of a negative integer: {0}"), c="tgamma")  # fmt: skip
function("loggamma", "the logarithm of gamma", (0.2, 9), lambda d, x, out: d * prim("digamma", x),
         (lambda x: holds_not(_gamma_is_negative(x)), "loggamma of a number whose gamma is negative: {0}"),
         c="lgamma")  # fmt: skip


def _logbeta(x: Sym, y: Sym) -> Sym:
    return prim("loggamma", x) + prim("loggamma", y) - prim("loggamma", x + y)


def _beta(x: Sym, y: Sym) -> Sym:
    """By gamma, which keeps the sign and most digits, where nothing overflows."""
    small = prim("max", prim("abs", x), prim("abs", y)) < 80.0
    direct = prim("gamma", x) * (prim("gamma", y) / prim("gamma", x + y))
    return select(small, direct, prim("exp", _logbeta(x, y)))


def _binary_in_double(name: str, doc: str, expand: Callable[[Sym, Sym], Sym], by_value: bool) -> None:
    """A symmetric function of two floats whose logarithmic (`by_value`) or plain derivative is ψ(x) - ψ(x + y)."""

    def partial(d: Sym, x: Sym, y: Sym, out: Sym) -> Sym:
        slope = prim("digamma", x) - prim("digamma", x + y)
        return d * (out * slope) if by_value else d * slope

    declare(Primitive(
        name, BINARY, doc, ((0.3, 4), (0.3, 4)),
        expand=lambda x, y: expand(x.to(F64), y.to(F64)).to(x.v.type),
        derivative=(partial, lambda d, x, y, out: partial(d, y, x, out)),
        commutative=False,  # the last bit depends on the order
    ))  # fmt: skip


_binary_in_double("beta", "gamma(x) gamma(y) / gamma(x + y)", _beta, True)
_binary_in_double("logbeta", "the logarithm of beta for positive numbers", _logbeta, False)


# ---------------------------------------------------------------- Bessel functions

NF: tuple[Signature, ...] = (((I64, F64), F64),)


def bessel(kind: str, c: str, domain: str, sample: tuple[float, float]) -> None:
    """The functions of integer order of one kind: any order, 0, and 1. The order passes no derivative."""
    name = f"bessel{kind}"
    check: Domain | None = (lambda x: holds_not(x < 0.0), f"{domain}: {{0}}") if domain else None

    def order(n: int, x: Sym) -> Sym:
        return Sym(x.b, x.b.prim(name, x.b.i64(n), x.to(F64).v))

    def any_order(d: Sym, n: Sym, x: Sym, out: Sym) -> Sym:
        return d * (0.5 * (prim(name, n - 1, x) - prim(name, n + 1, x)))

    declare(Primitive(
        name, NF, f"the Bessel function {kind.upper()} of integer order n at x", ((0, 4), sample),
        evaluate=libm.indexed(f"{c}n"),
        llvm={I64: f"kernel:{name}.i64"},
        derivative=(None, any_order),
        domain=(lambda n, x: holds_not(x < 0.0), f"{domain}: {{1}}") if domain else None,
    ))  # fmt: skip
    function(f"{name}0", f"the Bessel function {kind.upper()} of order 0", sample,
             lambda d, x, out: -(d * prim(f"{name}1", x)), check, c=f"{c}0")  # fmt: skip
    function(f"{name}1", f"the Bessel function {kind.upper()} of order 1", sample,
             lambda d, x, out: d * (0.5 * (prim(f"{name}0", x) - order(2, x))), check, c=f"{c}1")  # fmt: skip


bessel("j", "j", "", (-9, 9))
bessel("y", "y", "a Bessel function of the second kind of a negative number", (0.5, 9))
