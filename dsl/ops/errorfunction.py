"""The error function, its complement and its derivative as polynomials (see `polynomials`): within 1 ulp for every
argument."""

from __future__ import annotations

from dsl.ops.core import Sym, prim, select
from dsl.ops.polynomials import Exponential, fma, horner, in_double, polynomial, quotient, two_parts

# erf(x)/x - 1 as a function of x², for |x| ≤ 0.8
ERF = (
    0.1283791670955126, -0.37612638903183754, 0.11283791670955087, -0.026866170645118446, 0.005223977625222192,
    -0.0008548327001135946, 0.00012055331545294116, -1.4925589383821143e-05, 1.646038320985815e-06,
    -1.63332293434337e-07, 1.4413879289095029e-08, -9.502840894774706e-10,
)  # fmt: skip
# exp(x²) erfc(x) as a function of x - 0.8, for x from 0.8 to 5.875: minimax, weighted by exp(-x²)
SCALED_ERFC = (
    0.4891005892231147, -0.3458182243385329, 0.21244600975245237, -0.11724094436004, 0.05932662713935256,
    -0.02791185691497839, 0.012332378583476314, -0.00515597460710337, 0.0020518508033941646,
    -0.0007808618022212668, 0.0002851499828527821, -0.00010005597914587274, 3.364642159740609e-05,
    -1.073887227290465e-05, 3.1914744726830965e-06, -8.58411748384488e-07, 2.0176726403301466e-07,
    -3.98545575179629e-08, 6.335818920007401e-09, -7.697502945729009e-10, 6.651920815616037e-11,
    -3.618574886642331e-12, 9.271793305705148e-14,
)  # fmt: skip
# (1 + 2x) exp(x²) erfc(x) as a function of (x - 3) / (x + 3), for x from 0.75 to 27.3; its first coefficient is in
# two parts
ERFC_REST = 4.5276203702746546e-17
ERFC = (
    1.2530080582697296, -0.13562110612458153, -0.04756229435345064, 0.12964515870281426, -0.11927366341532683,
    0.06830802734161152, -0.02377051491744983, 0.0025293918638621122, 0.001888690325481815, -0.000779832797377223,
    -0.00010515932057136385, 0.0001251027438493667, 4.945672701370399e-06, -2.0113683212125307e-05,
    -7.136971225663835e-07, 3.5016152661905614e-06, 3.0790728734364785e-07, -6.484037869554846e-07,
    -6.713924562680555e-08, 1.0702471897631944e-07, -1.0495446758642183e-08,
)  # fmt: skip


def exp_of_minus_square(x: Sym) -> tuple[Sym, Exponential]:
    """x², and exp(-x²) with what rounding takes off x². (Where x² is infinite it is NaN.)"""
    square = x * x
    return square, Exponential(-square, fma(-x, x, square))


@in_double
def gaussian(x: Sym) -> Sym:
    square, e = exp_of_minus_square(x)
    one, other = e.power()
    return select(square > 750.0, 0.0, fma(e.q, one, one) * other)


@in_double
def erf(x: Sym) -> Sym:
    """Beyond 0.8 what is missing to 1: exp(-x²), which a derivative needs, too, times a function that varies less. From
    6 on nothing is missing."""
    a = prim("abs", x)
    square, e = exp_of_minus_square(x)
    small = fma(x, polynomial(square, ERF), x)
    power = prim("pow2", e.t + 1023.0)
    y = a - 0.8
    scaled = fma(y, polynomial(y, SCALED_ERFC[1:]), SCALED_ERFC[0])
    large = fma(-fma(e.q, power, power), scaled, 1.0)
    return select(a < 0.8, small, prim("copysign", select(a > 6.0, 1.0, large), x))


@in_double
def erfc(x: Sym) -> Sym:
    """From 0.75 on exp(-x²), with what rounding takes off x², times a function that varies little."""
    a = prim("abs", x)
    difference, rest = two_parts(1.0, -x)
    small = difference + fma(-x, horner(x * x, ERF), rest)
    b = select(a > 28.0, 28.0, a)
    square = b * b
    e = Exponential(-square, fma(-b, b, square))
    m, m_rest = e.mantissa()
    below, below_rest = two_parts(b + b, 1.0)
    t = (b - 3.0) / (b + 3.0)
    f, f_rest = two_parts(ERFC[0], t * polynomial(t, ERFC[1:]))
    value = m * f
    value_rest = fma(m, f, -value) + fma(m, f_rest + ERFC_REST, m_rest * f)
    one, other = e.power()
    large = (quotient(value, value_rest, below, below_rest) * one) * other
    return select(a < 0.75, small, select(x < 0.0, 2.0 - large, large))
