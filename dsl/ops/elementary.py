"""Elementary functions: roots, powers, exponentials and logarithms, trigonometric and hyperbolic functions.

Values come from the C library, or are formulas of what does, or polynomials (`ops.polynomials`). Outside its domain a
function gives NaN; `domain` is what lowering checks first. Derivatives use the result where it is at hand, and hold,
differentiated again, at the points where formulas degenerate (`pow` and `hypot` at zero, `sinc` at zero).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from dsl.ops import circular, libm, polynomials
from dsl.ops.arith import by_float, log_of_base
from dsl.ops.core import BINARY, PRIMITIVES, UNARY, Derivative, Primitive, Sym, declare, in_lanes, prim, select
from dsl.types import F32, F64

Domain = tuple[Callable[..., Sym], str]
LN2, LN10 = math.log(2.0), math.log(10.0)


def function(
    name: str, doc: str, sample: tuple[float, float], derivative: Derivative, domain: Domain | None = None, c: str = ""
) -> None:
    """A function of one float that the C library has."""
    c = c or name
    declare(Primitive(
        name, UNARY, doc, (sample,),
        evaluate={F64: libm.f64(c), F32: libm.f32(c + "f")},
        llvm={F64: f"libm:{c}", F32: f"libm:{c}f"},
        derivative=(derivative,),
        domain=domain,
    ))  # fmt: skip


def formula(
    name: str,
    doc: str,
    sample: tuple[float, float],
    expand: Callable[[Sym], Sym],
    derivative: Derivative,
    domain: Domain | None = None,
) -> None:
    """A function of one float that is made of others."""
    declare(Primitive(name, UNARY, doc, (sample,), expand=expand, derivative=(derivative,), domain=domain))


def holds_not(c: Sym) -> Sym:
    """A domain's predicate from what is wrong, so that NaN passes."""
    return prim("not", c)


def not_negative(name: str) -> Domain:
    return lambda x: holds_not(x < 0.0), f"{name} of a negative number: {{0}}"


def within_one(name: str) -> Domain:
    return lambda x: holds_not(prim("abs", x) > 1.0), f"{name} of a number outside -1 … 1: {{0}}"


# ---------------------------------------------------------------- roots and powers

declare(Primitive(
    "sqrt", UNARY, "the square root", ((0.1, 9),),
    evaluate=lambda x: math.sqrt(x) if x >= 0.0 else math.nan,
    llvm=by_float("call {t} @llvm.sqrt.{s}({t} {0})"),
    derivative=(lambda d, x, out: d * 0.5 / out,),
    domain=not_negative("sqrt"),
))  # fmt: skip

function("cbrt", "the cube root", (0.1, 9), lambda d, x, out: d / (3.0 * out * out))


def _hypot(d: Sym, x: Sym, y: Sym, out: Sym) -> Sym:
    """x / hypot(x, y), without overflow; 0 at the origin, also when differentiated again."""
    origin = out.eq(0.0)
    return d * (select(origin, 0.0, x) / select(origin, 1.0, out))


declare(Primitive(
    "hypot", BINARY, "sqrt(x² + y²) without overflow", ((-3, 3), (0.3, 3)),
    evaluate={F64: libm.f64("hypot", 2), F32: libm.f32("hypotf", 2)},
    llvm={F64: "libm:hypot", F32: "libm:hypotf"},
    derivative=(_hypot, lambda d, x, y, out: _hypot(d, y, x, out)),
    commutative=True,
))  # fmt: skip


def _pow_in_base(d: Sym, x: Sym, y: Sym, out: Sym) -> Sym:
    """y x^(y-1); 0 for x = y = 0."""
    both_zero = prim("and", x.eq(0.0), y.eq(0.0))
    return d * (y * prim("pow", x, select(both_zero, 1.0, y) - 1.0))


def _pow_domain(x: Sym, y: Sym) -> Sym:
    fraction = prim("ne", prim("trunc", y), y)
    return holds_not(prim("and", x < 0.0, prim("and", fraction, y.eq(y))))


declare(Primitive(
    "pow", BINARY, "x to the power y", ((0.2, 3), (-3, 3)),
    evaluate={F64: libm.f64("pow", 2), F32: libm.f32("powf", 2)},
    llvm={F64: "libm:pow", F32: "libm:powf"},
    derivative=(_pow_in_base, lambda d, x, y, out: d * (out * log_of_base(x, y))),
    domain=(_pow_domain, "a negative number to a power that is no integer: {0}^{1}"),
))  # fmt: skip


# ---------------------------------------------------------------- exponentials and logarithms

function("exp", "ℯ to the power x", (-3, 3), lambda d, x, out: d * out)
function("exp2", "2 to the power x", (-3, 3), lambda d, x, out: d * (out * LN2))
function("exp10", "10 to the power x", (-3, 3), lambda d, x, out: d * (out * LN10))
# Not out + 1, which has no correct digit where out is near -1.
formula("expm1", "exp(x) - 1, exact near 0", (-3, 3), polynomials.expm1, lambda d, x, out: d * prim("exp", x))
function("log", "the natural logarithm", (0.1, 9), lambda d, x, out: d / x, not_negative("log"))
function("log2", "the logarithm to base 2", (0.1, 9), lambda d, x, out: d / x / LN2, not_negative("log2"))
function("log10", "the logarithm to base 10", (0.1, 9), lambda d, x, out: d / x / LN10, not_negative("log10"))
formula(
    "log1p", "log(1 + x), exact near 0", (-0.9, 9), polynomials.log1p, lambda d, x, out: d / (1.0 + x),
    (lambda x: holds_not(x < -1.0), "log1p of a number below -1: {0}"),
)  # fmt: skip

for _name in ("exp", "exp2", "exp10", "log", "log2", "log10", "pow"):
    in_lanes(_name, getattr(polynomials, _name))


# ---------------------------------------------------------------- trigonometric functions

formula("sin", "the sine of an angle in radians", (-3, 3), circular.sin, lambda d, x, out: d * prim("cos", x))
formula("cos", "the cosine of an angle in radians", (-3, 3), circular.cos, lambda d, x, out: -(d * prim("sin", x)))
formula("tan", "the tangent of an angle in radians", (-1.3, 1.3), circular.tan,
        lambda d, x, out: d * (1.0 + out * out))  # fmt: skip


def _one_minus_square(x: Sym) -> Sym:
    """1 - x², without cancellation near ±1."""
    return (1.0 - x) * (1.0 + x)


function("asin", "the inverse sine", (-0.9, 0.9), lambda d, x, out: d / prim("sqrt", _one_minus_square(x)),
         within_one("asin"))  # fmt: skip
function("acos", "the inverse cosine", (-0.9, 0.9), lambda d, x, out: -(d / prim("sqrt", _one_minus_square(x))),
         within_one("acos"))  # fmt: skip
function("atan", "the inverse tangent", (-3, 3), lambda d, x, out: d / (1.0 + x * x))


def _over_square(d: Sym, x: Sym, y: Sym) -> Sym:
    """d x / (x² + y²), without overflow; NaN at the origin."""
    r = prim("hypot", x, y)
    return d / r * (x / r)


declare(Primitive(
    "atan2", BINARY, "the angle of the point (x, y), given as (y, x)", ((-3, 3), (0.3, 3)),
    evaluate={F64: libm.f64("atan2", 2), F32: libm.f32("atan2f", 2)},
    llvm={F64: "libm:atan2", F32: "libm:atan2f"},
    derivative=(lambda d, y, x, out: _over_square(d, x, y), lambda d, y, x, out: -_over_square(d, y, x)),
))  # fmt: skip


def _by_quarters(turn: float, radians: Callable[[Sym], Sym]) -> tuple[Callable[[Sym], Sym], Callable[[Sym], Sym]]:
    """Sine and cosine of angles in a unit in which a full turn is an exact number: the multiples of a quarter are
    taken off exactly, so that large angles lose nothing and the zeros and ±1 are exact."""
    quarter = turn / 4.0

    def reduced(x: Sym) -> tuple[Sym, Sym, Sym, Sym]:
        """Sine and cosine of the rest, and the quarter it belongs to: odd ones, and both signs."""
        r = prim("rem", x, turn)
        q = prim("round", r / quarter)
        t = radians(r - q * quarter)
        return prim("sin", t), prim("cos", t), q, prim("abs", q)

    def sine(x: Sym) -> Sym:
        s, c, q, size = reduced(x)
        odd = prim("or", size.eq(1.0), size.eq(3.0))
        value = select(odd, c, s)
        # The signs of the quarters 0 … 3 are + + - -; going down from 0 they are + - - +.
        minus = prim("or", size.eq(2.0), prim("or", q.eq(3.0), q.eq(-1.0)))
        value = select(minus, -value, value)
        return select(value.eq(0.0), prim("copysign", 0.0, x), value)

    def cosine(x: Sym) -> Sym:
        s, c, q, size = reduced(x)
        odd = prim("or", size.eq(1.0), size.eq(3.0))
        value = select(odd, s, c)
        minus = prim("or", size.eq(2.0), prim("or", q.eq(1.0), q.eq(-3.0)))
        value = select(minus, -value, value)
        return select(value.eq(0.0), 0.0, value)

    return sine, cosine


_sinpi, _cospi = _by_quarters(2.0, lambda t: t * math.pi)
_sind, _cosd = _by_quarters(360.0, lambda t: t * (math.pi / 180.0))
DEGREE = math.pi / 180.0

formula("sinpi", "sin(πx), exact for large x", (-3, 3), _sinpi, lambda d, x, out: d * (math.pi * prim("cospi", x)))
formula("cospi", "cos(πx), exact for large x", (-3, 3), _cospi, lambda d, x, out: -(d * (math.pi * prim("sinpi", x))))
formula("sind", "the sine of an angle in degrees", (-200, 200), _sind,
        lambda d, x, out: d * (DEGREE * prim("cosd", x)))  # fmt: skip
formula("cosd", "the cosine of an angle in degrees", (-200, 200), _cosd,
        lambda d, x, out: -(d * (DEGREE * prim("sind", x))))  # fmt: skip
formula("tand", "the tangent of an angle in degrees", (-80, 80), lambda x: prim("sind", x) / prim("cosd", x),
        lambda d, x, out: d * (DEGREE * (1.0 + out * out)))  # fmt: skip
formula("deg2rad", "degrees to radians", (-200, 200), lambda x: x * DEGREE, lambda d, x, out: d * DEGREE)
formula("rad2deg", "radians to degrees", (-3, 3), lambda x: x * (180.0 / math.pi),
        lambda d, x, out: d * (180.0 / math.pi))  # fmt: skip


def polynomial(coefficients: list[float], x: Sym) -> Sym:
    """The polynomial with these coefficients, lowest power first, by Horner's scheme."""
    *rest, last = coefficients
    value = last * x + rest.pop()
    for c in reversed(rest):
        value = value * x + c
    return value


def _sinc(x: Sym) -> Sym:
    zero = x.eq(0.0)
    value = prim("sinpi", x) / (math.pi * select(zero, 1.0, x))
    return select(zero, 1.0, select(prim("abs", x).eq(math.inf), 0.0, value))


@cache
def _cosc() -> list[float]:
    """cos(πx)/x - sin(πx)/(πx²) as a power series in x: the coefficients of x, x³, …. Enough of them that the first few
    derivatives of the series, too, have all digits for |x| < 1/2."""
    from fractions import Fraction

    squared = Fraction(math.pi) ** 2
    return [float((-1) ** j * squared**j * 2 * j / math.factorial(2 * j + 1)) for j in range(1, 17)]


def _sinc_derivative(d: Sym, x: Sym, out: Sym) -> Sym:
    """(cos(πx) - sinc(x)) / x, near 0 by its series: so every order is right at 0."""
    near = prim("abs", x) < 0.5
    series = polynomial(_cosc(), x * x) * x
    return d * select(near, series, (prim("cospi", x) - out) / select(near, 1.0, x))


formula("sinc", "sin(πx) / (πx), 1 at 0", (-3, 3), _sinc, _sinc_derivative)

formula("sec", "1 / cos(x)", (-1.3, 1.3), lambda x: 1.0 / prim("cos", x),
        lambda d, x, out: d * (out * prim("tan", x)))  # fmt: skip
formula("csc", "1 / sin(x)", (0.3, 2.8), lambda x: 1.0 / prim("sin", x),
        lambda d, x, out: -(d * (out * prim("cot", x))))  # fmt: skip
formula("cot", "1 / tan(x)", (0.3, 2.8), lambda x: 1.0 / prim("tan", x), lambda d, x, out: -(d * (1.0 + out * out)))


# ---------------------------------------------------------------- hyperbolic functions

function("sinh", "the hyperbolic sine", (-3, 3), lambda d, x, out: d * prim("cosh", x))
function("cosh", "the hyperbolic cosine", (-3, 3), lambda d, x, out: d * prim("sinh", x))
formula("tanh", "the hyperbolic tangent", (-3, 3), polynomials.tanh,
        lambda d, x, out: d * _one_minus_square(out))
function("asinh", "the inverse hyperbolic sine", (-3, 3), lambda d, x, out: d / prim("hypot", x, 1.0))
function(
    "acosh", "the inverse hyperbolic cosine", (1.2, 9),
    lambda d, x, out: d / (prim("sqrt", x - 1.0) * prim("sqrt", x + 1.0)),
    (lambda x: holds_not(x < 1.0), "acosh of a number below 1: {0}"),
)  # fmt: skip
function("atanh", "the inverse hyperbolic tangent", (-0.9, 0.9), lambda d, x, out: d / _one_minus_square(x),
         within_one("atanh"))  # fmt: skip

formula("sech", "1 / cosh(x)", (-3, 3), lambda x: 1.0 / prim("cosh", x),
        lambda d, x, out: -(d * (out * prim("tanh", x))))  # fmt: skip
formula("csch", "1 / sinh(x)", (0.3, 3), lambda x: 1.0 / prim("sinh", x),
        lambda d, x, out: -(d * (out * prim("coth", x))))  # fmt: skip
formula("coth", "1 / tanh(x)", (0.3, 3), lambda x: 1.0 / prim("tanh", x), lambda d, x, out: d * _one_minus_square(out))


# ---------------------------------------------------------------- inverses of the reciprocals


def of_reciprocal(name: str, base: str, sample: tuple[float, float], domain: Domain | None = None) -> None:
    """`asec` is `acos` of 1/x, and so on; the derivative is that of the base at 1/x, times -1/x²."""

    def derivative(d: Sym, x: Sym, out: Sym) -> Sym:
        entry = PRIMITIVES[base].derivative[0]
        assert entry is not None
        r = 1.0 / x
        return -(entry(d, r, out) * (r * r))

    formula(name, f"{base}(1 / x)", sample, lambda x: prim(base, 1.0 / x), derivative, domain)


def outside_one(name: str) -> Domain:
    return lambda x: holds_not(prim("abs", x) < 1.0), f"{name} of a number inside -1 … 1: {{0}}"


of_reciprocal("asec", "acos", (1.2, 9), outside_one("asec"))
of_reciprocal("acsc", "asin", (1.2, 9), outside_one("acsc"))
formula("acot", "atan(1 / x)", (0.3, 9), lambda x: prim("atan", 1.0 / x), lambda d, x, out: -(d / (1.0 + x * x)))
of_reciprocal("asech", "acosh", (0.1, 0.9), (
    lambda x: holds_not(prim("or", x < 0.0, x > 1.0)), "asech of a number outside 0 … 1: {0}",
))  # fmt: skip
of_reciprocal("acsch", "asinh", (0.3, 9))
of_reciprocal("acoth", "atanh", (1.2, 9), outside_one("acoth"))
