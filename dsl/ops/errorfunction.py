"""The error function and its complement as polynomials (see `polynomials`): within 1 ulp for every argument."""

from __future__ import annotations

from dsl.ops.core import Sym, prim, select
from dsl.ops.polynomials import Exponential, fma, horner, in_double, polynomial, quotient, two_parts

# erf(x)/x - 1 as a function of x², for |x| ≤ 0.75
ERF = (
    0.1283791670955126, -0.37612638903183754, 0.11283791670955087, -0.026866170645118446, 0.005223977625222192,
    -0.0008548327001135946, 0.00012055331545294116, -1.4925589383821143e-05, 1.646038320985815e-06,
    -1.63332293434337e-07, 1.4413879289095029e-08, -9.502840894774706e-10,
)  # fmt: skip
# log(erfc(x)) as a function of x - 0.75, for x from 0.75 to 6: least squares at 90 Chebyshev points, weighted by erfc
LOG_ERFC = (
    -1.241867260678887, -2.2258736679806868, -0.8078515419193268, -0.052899989578895544, 0.012705625240730233,
    -0.002270447123150151, 0.00012961880603414274, 0.00010588723512238452, -5.428254499187804e-05,
    1.4298818864510368e-05, -1.3674711949444396e-06, -7.68949704851032e-07, 5.172536987845871e-07,
    -1.8663624751151068e-07, 4.824742649691971e-08, -9.380089877385434e-09, 1.3597436207421085e-09,
    -1.40914035592224e-10, 9.605582897938678e-12, -3.6364174685022427e-13, 4.828027253599328e-15,
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


@in_double
def erf(x: Sym) -> Sym:
    """Beyond 0.75 what is missing to 1, whose logarithm is a polynomial; from 6 on nothing is."""
    a = prim("abs", x)
    small = fma(x, polynomial(x * x, ERF), x)
    y = select(a > 6.0, 6.0, a) - 0.75
    e = Exponential(*two_parts(LOG_ERFC[0], y * polynomial(y, LOG_ERFC[1:])))
    power = prim("pow2", e.t + 1023.0)
    large = prim("copysign", 1.0 - fma(e.q, power, power), x)
    return select(a < 0.75, small, large)


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
