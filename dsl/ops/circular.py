"""Sine, cosine and tangent as polynomials (see `polynomials`): within 1 ulp for every argument.

x is n quarter turns and r, |r| ≤ π/4, in two parts; sine and cosine of r are both computed, so that LLVM makes one of
all that a program's sine and cosine of the same angle have in common. Beyond LAST the C library is called.
"""

from __future__ import annotations

from dsl.ops.core import Sym, prim, select
from dsl.ops.polynomials import WHOLE, far, fma, in_double, polynomial, quotient, two_parts

LAST = 2.0**23
TWO_OVER_PI = 0.6366197723675814
# π/2 in three parts; the second has so few bits that its product with n is exact
QUARTER, QUARTER_2, QUARTER_3 = 1.5707963267948966, 6.12323399409214e-17, 1.6446256936324258e-26
# (sin(r)/r - 1) / r² and (cos(r) - 1 + r²/2) / r⁴ as functions of r², for |r| ≤ 0.78548
SIN = (
    -0.16666666666666666, 0.008333333333330946, -0.0001984126983675482, 2.755731610060454e-06,
    -2.5051131439072584e-08, 1.591810005217486e-10,
)  # fmt: skip
COS = (
    0.041666666666666664, -0.0013888888888887395, 2.4801587298763338e-05, -2.755731727051122e-07,
    2.0876146014458044e-09, -1.1382614131547583e-11,
)  # fmt: skip


class Angle:
    """Which quarter an angle is in, and sine and cosine of the rest, in two parts each."""

    def __init__(self, x: Sym) -> None:
        self.t = fma(x, TWO_OVER_PI, WHOLE)
        n = self.t - WHOLE
        high = fma(n, -QUARTER, x)  # exact
        product = n * QUARTER_2     # exact
        r = high - product
        rest = fma(n, -QUARTER_3, (high - r) - product)
        z = r * r
        self.r, self.rest, self.z = r, rest, z
        self.s, self.s_rest = r, fma(z * r, polynomial(z, SIN), rest)
        self.c = fma(z, -0.5, 1.0)
        self.c_rest = fma(z * z, polynomial(z, COS), fma(r, -rest, fma(z, -0.5, 1.0 - self.c)))
        self.odd = prim("odd", self.t)


far_sin, far_cos, far_tan = (far(name, (-LAST, LAST)) for name in ("sin", "cos", "tan"))


@in_double
def sin(x: Sym) -> Sym:
    a = Angle(x)
    value = prim("halfturns", select(a.odd, a.c + a.c_rest, a.s + a.s_rest), a.t)
    return far_sin(x, select(x.eq(0.0), x, value))


@in_double
def cos(x: Sym) -> Sym:
    a = Angle(x)
    value = select(a.odd, a.s + a.s_rest, a.c + a.c_rest)
    return far_cos(x, prim("halfturns", value, a.t + 1.0))


@in_double
def tan(x: Sym) -> Sym:
    """The quotient of both, of which terms count that do not in sine and cosine alone."""
    a = Angle(x)
    square_rest, cube = fma(a.r, a.r, -a.z), a.z * a.r
    cube_rest = fma(square_rest, a.r, fma(a.z, a.r, -cube))
    small = fma(cube * a.z, polynomial(a.z, SIN[1:]), fma(a.rest, a.c, cube_rest * SIN[0]))
    s, s_rest = two_parts(a.s, fma(cube, SIN[0], small))
    c, c_rest = two_parts(a.c, fma(square_rest, -0.5, a.c_rest))
    upper, upper_rest = select(a.odd, -c, s), select(a.odd, -c_rest, s_rest)
    lower, lower_rest = select(a.odd, s, c), select(a.odd, s_rest, c_rest)
    return far_tan(x, select(x.eq(0.0), x, quotient(upper, upper_rest, lower, lower_rest)))
