"""Elementary functions as polynomials, without a branch or a table: loops over arrays of them become vector code, with
the same bits at every vector width and every place in an array, within 1 ulp of the truth.

The rule for fused multiply-adds: a formula says `fma` where it means one, and nothing else is fused. `fma` rounds once,
natively and in the interpreter; what is exact because of it is said with the formula.

The coefficients interpolate at the Chebyshev nodes of the interval that is given with them (computed at 250 digits);
what that leaves is below 2e-17 of a value (`tests/unit/ops/test_coefficients.py`). A number in two parts is a float and
the `rest` that rounding took off.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import TypeAlias

from dsl.ops import libm
from dsl.ops.core import PRIMITIVES, Derivative, Primitive, Sym, declare, prim, select
from dsl.types import BOOL, F32, F64

# A whole number added to it ends in its low bits.
WHOLE = 1.5 * 2.0**52


def fma(x: Sym, y: Sym | float, z: Sym | float) -> Sym:
    """x*y + z, rounded once."""
    return prim("fma", x, y, z)


def polynomial(x: Sym, coefficients: Sequence[float]) -> Sym:
    """The polynomial with these coefficients, lowest first; odd and even powers beside each other, since a chain of
    multiply-adds half as long takes half the time where nothing else is to do."""
    square = x * x
    return fma(horner(square, coefficients[1::2]), x, horner(square, coefficients[0::2]))


def horner(x: Sym, coefficients: Sequence[float]) -> Sym:
    """The same, one after the other."""
    *rest, c, last = coefficients
    value = fma(x, last, c)
    for c in reversed(rest):
        value = fma(value, x, c)
    return value


def quotient(x: Sym, x_rest: Sym, y: Sym, y_rest: Sym) -> Sym:
    """(x + x_rest) / (y + y_rest), rounded nearly once."""
    inverse = 1.0 / y
    q = x * inverse
    return fma(inverse, fma(-q, y_rest, fma(-q, y, x) + x_rest), q)


def two_parts(x: Sym | float, y: Sym | float) -> tuple[Sym, Sym]:
    """The sum of a number and a smaller one (or of 0 and any), and what rounding took off."""
    total = x + y
    assert isinstance(total, Sym)
    return total, (x - total) + y


def in_double(formula: Callable[..., Sym]) -> Callable[..., Sym]:
    """A formula of Float64s, for Float32s too: computed in Float64, then rounded."""

    def either(*operands: Sym) -> Sym:
        if operands[0].v.type != F32:
            return formula(*operands)
        value = formula(*(x.to(F64) for x in operands))
        return Sym(value.b, value.b.prim("tof32", value.v))

    return either


# ---------------------------------------------------------------- the parts of a float


def _bits(x: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", x))[0])


def _float(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits & (1 << 64) - 1))[0])


_FRACTION = (1 << 52) - 1
_LOWEST = _bits(math.sqrt(0.5))      # of the mantissas
_BIAS = (1023 << 52) - _LOWEST
_COUNT = _bits(2.0**52)              # in the place of the exponent: a float that ends in a whole number


def _exponent(x: float) -> float:
    return _float((_bits(x) + _BIAS >> 52 & 2047) | _COUNT) - (2.0**52 + 1023)


def _mantissa(x: float) -> float:
    return _float((_bits(x) + _BIAS & _FRACTION) + _LOWEST)


declare(Primitive(
    "pow2", (((F64,), F64),), "2^n for n + 1.5·2^52 + 1023, n from -1022 to 1023 (of other numbers: unspecified)",
    ((WHOLE + 973, WHOLE + 1073),),
    evaluate=lambda t: _float(_bits(t) << 52),
    llvm={F64: "%{u}b = bitcast double {0} to i64\n%{u}e = shl i64 %{u}b, 52\nbitcast i64 %{u}e to double"},
    derivative=(None,),
    kinks=True,
))  # fmt: skip

_SPLIT = f"%{{u}}b = bitcast double {{0}} to i64\n%{{u}}s = add i64 %{{u}}b, {_BIAS}\n"
declare(Primitive(
    "exponent", (((F64,), F64),), "the whole number k of x = 2^k m, m from √½ to √2, of a positive normal number",
    ((0.1, 9),),
    evaluate=_exponent,
    llvm={F64: _SPLIT + f"%{{u}}e = lshr i64 %{{u}}s, 52\n%{{u}}k = and i64 %{{u}}e, 2047\n"
               f"%{{u}}f = or i64 %{{u}}k, {_COUNT}\n%{{u}}d = bitcast i64 %{{u}}f to double\n"
               f"fsub double %{{u}}d, 0x{_bits(2.0**52 + 1023):016X}"},
    derivative=(None,),
    kinks=True,
))  # fmt: skip
declare(Primitive(
    "mantissa", (((F64,), F64),), "m of x = 2^k m, from √½ to √2, of a positive normal number", ((0.1, 9),),
    evaluate=_mantissa,
    llvm={F64: _SPLIT + f"%{{u}}f = and i64 %{{u}}s, {_FRACTION}\n%{{u}}m = add i64 %{{u}}f, {_LOWEST}\n"
               "bitcast i64 %{u}m to double"},
    derivative=(lambda d, x, out: d * (out / x),),
    kinks=True,
))  # fmt: skip
declare(Primitive(
    "odd", (((F64,), BOOL),), "whether the whole number n is odd, for n + 1.5·2^52", ((WHOLE - 50, WHOLE + 50),),
    evaluate=lambda t: bool(_bits(t) & 1),
    llvm={F64: "%{u}b = bitcast double {0} to i64\ntrunc i64 %{u}b to i1"},
    derivative=(None,),
))  # fmt: skip
declare(Primitive(
    "halfturns", (((F64, F64), F64),), "x, or its opposite where n mod 4 is 2 or 3, for n + 1.5·2^52",
    ((-3, 3), (WHOLE - 50, WHOLE + 50)),
    evaluate=lambda x, t: -x if _bits(t) & 2 else x,
    llvm={F64: "%{u}b = bitcast double {1} to i64\n%{u}s = shl i64 %{u}b, 62\n"
               f"%{{u}}m = and i64 %{{u}}s, {-(1 << 63)}\n%{{u}}x = bitcast double {{0}} to i64\n"
               "%{u}r = xor i64 %{u}x, %{u}m\nbitcast i64 %{u}r to double"},
    derivative=(lambda d, x, t, out: prim("halfturns", d, t), None),
))  # fmt: skip


# ---------------------------------------------------------------- far arguments

# Where a polynomial does not reach, the C library is called: its function, and for each operand the first and the last
# number that the polynomial is for. Such a call, `far_NAME(x, value)`, has forms for vectors that look at all lanes at
# once (`backend.kernels`), so that operands that are near cost one comparison.
Interval: TypeAlias = tuple[float, float]
FAR: dict[str, tuple[str, tuple[Interval, ...]]] = {}


def far(c: str, *near: Interval, name: str = "") -> Callable[..., Sym]:
    """Declare the primitive `far_NAME`, where the name is not that of the C library's function. Give what builds it
    from operands and value."""
    name, arity = f"far_{name or c}", len(near)
    FAR[name] = (c, near)
    called = libm.f64(c, arity)

    def is_near(*operands: Sym) -> Sym:
        inside = [prim("and", x >= first, x <= last) for x, (first, last) in zip(operands, near, strict=True)]
        return reduce(lambda a, b: prim("and", a, b), inside)

    def evaluate(*operands: float) -> float:
        *x, value = operands
        inside = all(first <= v <= last for v, (first, last) in zip(x, near, strict=True))
        return value if inside else called(*x)

    def in_operand(k: int) -> Derivative:
        def derivative(d: Sym, *operands: Sym) -> Sym:
            *x, _, out = operands
            entry = PRIMITIVES[c].derivative[k]
            assert entry is not None
            return select(is_near(*x), 0.0, entry(d, *x, out))

        return derivative

    intervals = " and ".join(f"{show(first)} … {show(last)}" for first, last in near)
    declare(Primitive(
        name, (((F64,) * (arity + 1), F64),), f"the last operand where the others are in {intervals}, else {c} of them",
        ((0.1, 9),) * arity + ((-3, 3),),
        evaluate=evaluate,
        llvm={F64: f"kernel:{name}"},
        derivative=(*map(in_operand, range(arity)), lambda d, *x: select(is_near(*x[:-2]), d, 0.0)),
    ))  # fmt: skip
    return partial(prim, name)


def show(x: float) -> str:
    """A limit of an interval: a power of two, or the end of all numbers."""
    m, k = math.frexp(abs(x))
    sign = "-" * (x < 0)
    if math.isinf(x) or abs(x) == sys.float_info.max:
        return f"{sign}∞"
    return f"{sign}2^{k - 1}" if m == 0.5 else f"{x:.6g}"


# ---------------------------------------------------------------- exponentials

LOG2E = 1.4426950408889634
LN2, LN2_REST = 0.6931471805599453, 2.3190468138462996e-17

# (exp(r) - 1 - r) / r² for |r| ≤ 0.34658
EXP = (
    0.5, 0.1666666666666667, 0.04166666666666667, 0.00833333333332614, 0.0013888888888883752, 0.00019841269874804214,
    2.4801587325536023e-05, 2.7557255421023506e-06, 2.7557273657975953e-07, 2.5105208339987698e-08,
    2.0914680780540263e-09,
)  # fmt: skip


class Exponential:
    """exp(x + rest) = 2^k (1 + high + low), where |high + low| is at most √2 - 1."""

    def __init__(self, x: Sym, rest: Sym | None = None, fine: bool = False) -> None:
        """`fine`: so exact that a difference of the result and 1 is, too."""
        self.t = fma(x, LOG2E, WHOLE)
        self.k = self.t - WHOLE
        high = fma(self.k, -LN2, x)  # exact
        low = self.k * -LN2_REST if rest is None else fma(self.k, -LN2_REST, rest)
        r = high + low
        square = r * r
        self.high = high
        if fine:
            missing = fma(fma(r, r, -square), 0.5, fma(r, (high - r) + low, low))
            self.low = fma(square, 0.5, fma(square * r, polynomial(r, EXP[1:]), missing))
        else:
            self.low = fma(square, polynomial(r, EXP), low)

    @property
    def q(self) -> Sym:
        return self.high + self.low

    def mantissa(self) -> tuple[Sym, Sym]:
        """1 + high + low in two parts."""
        q, rest = two_parts(self.high, self.low)
        m, m_rest = two_parts(1.0, q)
        return m, m_rest + rest

    def power(self) -> tuple[Sym, Sym]:
        """2^k as a product of two numbers, since k may be anything from -1076 to 1025."""
        half = fma(self.k, 0.5, WHOLE + 1023)
        return prim("pow2", half), prim("pow2", (self.k - (half - (WHOLE + 1023))) + (WHOLE + 1023))


def limited(x: Sym, value: Sym) -> Sym:
    """An exponential of x, which may be out of range."""
    return select(x > 710.0, math.inf, select(x < -746.0, 0.0, value))


@in_double
def exp(x: Sym) -> Sym:
    e = Exponential(x)
    q = e.q
    one, other = e.power()
    return limited(x, fma(q, one, one) * other)


far_expm1 = far("expm1", (-math.inf, 709.0))


@in_double
def expm1(x: Sym) -> Sym:
    """2^k - 1 and 2^k q, added in two parts."""
    e = Exponential(select(x < -100.0, -100.0, x), fine=True)
    power = prim("pow2", e.t + 1023.0)
    whole = power - 1.0
    total, rest = two_parts(whole, power * e.high)
    value = total + (rest + fma(power, e.low, (power - whole) - 1.0))
    return far_expm1(x, select(x.eq(0.0), x, value))


far_sigmoid = far("exp", (-708.0, math.inf), name="sigmoid")


@in_double
def sigmoid(x: Sym) -> Sym:
    """With t = exp(-|x|), in two parts: 1/(1 + t), for negative numbers t/(1 + t)."""
    negative = x < 0.0
    a = prim("abs", x)
    e = Exponential(-select(a > 708.0, 708.0, a))
    m, m_rest = two_parts(1.0, e.q)
    power = prim("pow2", e.t + 1023.0)
    t, t_rest = m * power, m_rest * power
    below, below_rest = two_parts(1.0, t)
    value = quotient(select(negative, t, 1.0), select(negative, t_rest, 0.0), below, below_rest + t_rest)
    return far_sigmoid(x, value)


# ---------------------------------------------------------------- logarithms

# a product of it with an exponent is exact
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
# (log((1 + s) / (1 - s)) / s - 2) / s² as a function of s², for |s| ≤ 0.17158
LOG = (
    0.666666666666667, 0.39999999999899455, 0.2857142862599856, 0.2222221113102852, 0.1818288939967772,
    0.15331712479381301, 0.14616562422104645,
)  # fmt: skip
far_log = far("log", (2.0**-1022, sys.float_info.max))


@in_double
def log(x: Sym) -> Sym:
    k, f = prim("exponent", x), prim("mantissa", x) - 1.0
    s = f / (2.0 + f)
    z = s * s
    half_square = (0.5 * f) * f
    rest = fma(s, fma(z, polynomial(z, LOG), half_square), k * LN2_LOW)
    return far_log(x, fma(k, LN2_HIGH, f - (half_square - rest)))


far_log1p = far("log1p", (math.nextafter(-1.0, 0.0), 2.0**1000))


@in_double
def log1p(x: Sym) -> Sym:
    """log(u + rest), u + rest = 1 + x exactly; the rest matters to first order only."""
    u = 1.0 + x
    y = u - 1.0
    k, m = prim("exponent", u), prim("mantissa", u)
    rest = ((1.0 - (u - y)) + (x - y)) * prim("pow2", (WHOLE + 1023) - k)
    f = m - 1.0
    inverse = 1.0 / (m * (2.0 + f))
    s = (f * m) * inverse
    z = s * s
    half_square = (0.5 * f) * f
    rest = fma(-(rest * f), (2.0 + f) * inverse, rest) + k * LN2_LOW  # rest / m, exact where m is 1
    rest = fma(s, fma(z, polynomial(z, LOG), half_square), rest)
    return far_log1p(x, select(x.eq(0.0), x, fma(k, LN2_HIGH, f - (half_square - rest))))


# ---------------------------------------------------------------- powers

# (log((1 + s) / (1 - s)) / s - 2 - 2s²/3) / s⁴ as a function of s², for |s| ≤ 0.17158; 2/3 in two parts
LOG_TAIL = (
    0.40000000000000024, 0.28571428571338514, 0.22222222271098122, 0.1818180824823313, 0.15385574746296488,
    0.13285959102550726, 0.12913597064656068,
)  # fmt: skip
TWO_THIRDS, TWO_THIRDS_REST = 0.6666666666666666, 3.700743415417188e-17
far_pow = far("pow", (2.0**-1022, sys.float_info.max), (-(2.0**64), 2.0**64))


def product(x: Sym, x_rest: Sym, y: Sym, y_rest: Sym) -> tuple[Sym, Sym]:
    """A product of numbers in two parts."""
    p = x * y
    return p, fma(x, y, -p) + fma(x, y_rest, x_rest * y)


def log_in_two_parts(x: Sym) -> tuple[Sym, Sym]:
    """The logarithm of a positive normal number with some 66 bits: 2s + s(2z/3 + z²…), z = s², s = f/(2 + f)."""
    k, f = prim("exponent", x), prim("mantissa", x) - 1.0
    below, below_rest = two_parts(2.0, f)
    inverse = 1.0 / below
    s = f * inverse
    s_rest = inverse * fma(-s, below_rest, fma(-s, below, f))
    z, z_rest = product(s, s_rest, s, s_rest)
    c, c_rest = two_parts(TWO_THIRDS, z * polynomial(z, LOG_TAIL))
    u, u_rest = product(s, s_rest, *product(z, z_rest, c, fma(z_rest, LOG_TAIL[0], c_rest + TWO_THIRDS_REST)))
    mantissa, rest = two_parts(s + s, u)
    total, more = two_parts(k * LN2_HIGH, mantissa)
    return total, more + (fma(k, LN2_LOW, rest) + (u_rest + (s_rest + s_rest)))


@in_double
def pow(x: Sym, y: Sym) -> Sym:
    """exp(y log(x)), where the product, too, is in two parts."""
    log, rest = log_in_two_parts(x)
    p = y * log
    e = Exponential(p, fma(y, rest, fma(y, log, -p)))
    m, m_rest = e.mantissa()
    one, other = e.power()
    return far_pow(x, y, limited(p, ((m + m_rest) * one) * other))


# ---------------------------------------------------------------- other bases

Parts: TypeAlias = tuple[float, float]
LN_10: Parts = (2.302585092994046, -2.1707562233822494e-16)
LOG2_E: Parts = (LOG2E, 2.0355273740931033e-17)
LOG10_E: Parts = (0.4342944819032518, 1.098319650216765e-17)


def exp_to_base(logarithm: Parts) -> Callable[[Sym], Sym]:
    """The exponential to a base, by the base's logarithm: exact where the result is a float."""

    def formula(x: Sym) -> Sym:
        p = x * logarithm[0]
        e = Exponential(p, fma(x, logarithm[0], -p) + x * logarithm[1])
        m, m_rest = e.mantissa()
        one, other = e.power()
        return limited(p, ((m + m_rest) * one) * other)

    return in_double(formula)


def log_to_base(c: str, inverse: Parts) -> Callable[[Sym], Sym]:
    """The logarithm to a base, by one over the base's logarithm."""
    elsewhere = far(c, (2.0**-1022, sys.float_info.max))

    def formula(x: Sym) -> Sym:
        log, rest = log_in_two_parts(x)
        p = log * inverse[0]
        return elsewhere(x, p + (fma(log, inverse[0], -p) + fma(rest, inverse[0], log * inverse[1])))

    return in_double(formula)


exp2, exp10 = exp_to_base((LN2, LN2_REST)), exp_to_base(LN_10)
log2, log10 = log_to_base("log2", LOG2_E), log_to_base("log10", LOG10_E)


# ---------------------------------------------------------------- the hyperbolic tangent

# (tanh(x)/x - 1) / x² as a function of x², for |x| ≤ SMALL
SMALL = 0.625
TANH = (
    -0.3333333333333333, 0.13333333333333042, -0.05396825396789699, 0.021869488519008305, -0.008863235103240878,
    0.0035921217511549622, -0.0014557754120478055, 0.0005896606577757043, -0.0002375906496055562,
    9.257116129556769e-05, -3.12011014257974e-05, 6.485163482793113e-06,
)  # fmt: skip
LARGE = 22.0  # tanh is 1 from here on


@in_double
def tanh(x: Sym) -> Sym:
    """A polynomial near zero, elsewhere (1 - t) / (1 + t), t = exp(-2|x|) in two parts; the sign is put back."""
    a = prim("abs", x)
    z = a * a
    small = fma(a * z, polynomial(z, TANH), a)
    b = select(a > LARGE, LARGE, a)
    e = Exponential(-(b + b))
    m, m_rest = two_parts(1.0, e.q)
    power = prim("pow2", e.t + 1023.0)
    t, t_rest = m * power, m_rest * power
    above, above_rest = two_parts(1.0, -t)
    below, below_rest = two_parts(1.0, t)
    large = quotient(above, above_rest - t_rest, below, below_rest + t_rest)
    return prim("copysign", select(a < SMALL, small, large), x)
