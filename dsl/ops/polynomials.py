"""Functions as polynomials, without a branch or a call: loops over arrays of them become vector code, with the same
bits at every vector width and every place in an array.

The coefficients interpolate at Chebyshev nodes (computed at 60 digits); the error beside rounding is below 1e-17. Sums
are written in an order that keeps the result within 1 ulp; no multiplication is fused with an addition.
"""

from __future__ import annotations

import struct

from dsl.ops.core import Primitive, Sym, declare, prim, select
from dsl.types import F32, F64

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the high part times an integer of 11 bits is exact

# (exp(r) - 1 - r) / r² for |r| ≤ ln(2)/2
EXP = (
    0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326136, 0.0013888888888883748, 0.00019841269874820627,
    2.4801587325547743e-05, 2.7557255400206422e-06, 2.75572736431103e-07, 2.5105217004720745e-08,
    2.0914686968086876e-09,
)  # fmt: skip
# (tanh(x)/x - 1) / x² as a function of x², for |x| ≤ SMALL
SMALL = 1.0
TANH = (
    -0.3333333333333333, 0.1333333333333309, -0.05396825396804637, 0.02186948852912909, -0.008863235404578283,
    0.003592126679366341, -0.0014558246920964941, 0.0005899792946300052, -0.00023895705228738225,
    9.646277743313181e-05, -3.8389607893147334e-05, 1.4606131676715378e-05, -4.987760317520347e-06,
    1.3791814499083342e-06, -2.6330772232959337e-07, 2.5155023659382105e-08,
)  # fmt: skip
LARGE = 22.0  # tanh is 1 from here on

_SHIFT = 1.5 * 2.0**52 + 1023  # a number added to it ends in its low bits, as the exponent of a power of two


def _pow2(k: float) -> float:
    (bits,) = struct.unpack("<Q", struct.pack("<d", k + _SHIFT))
    return float(struct.unpack("<d", struct.pack("<Q", bits << 52 & (1 << 64) - 1))[0])


declare(Primitive(
    "pow2", (((F64,), F64),), "2 to a whole number from -1022 to 1023 (of other numbers: unspecified)", ((-50, 50),),
    evaluate=_pow2,
    llvm={F64: f"%{{u}}s = fadd double {{0}}, 0x{struct.unpack('<Q', struct.pack('<d', _SHIFT))[0]:016X}\n"
               "%{u}b = bitcast double %{u}s to i64\n%{u}e = shl i64 %{u}b, 52\nbitcast i64 %{u}e to double"},
    derivative=(None,),
    kinks=True,
))  # fmt: skip


def horner(x: Sym, coefficients: tuple[float, ...]) -> Sym:
    """The polynomial with these coefficients (two at least), lowest first."""
    *rest, last = coefficients
    value = x * last + rest.pop()
    for c in reversed(rest):
        value = value * x + c
    return value


def exp_near(x: Sym) -> Sym:
    """exp(x) for 0 ≤ x ≤ 700: 2^k exp(r) with |r| ≤ ln(2)/2."""
    k = prim("round", x * LOG2E)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    return prim("pow2", k) * (1.0 + (r + (r * r) * horner(r, EXP)))


def tanh(x: Sym) -> Sym:
    """A polynomial near zero, elsewhere 1 - 2 / (exp(2|x|) + 1); the sign is put back at the end."""
    if x.v.type == F32:
        return Sym(x.b, x.b.prim("tof32", tanh(x.to(F64)).v))
    a = prim("abs", x)
    z = a * a
    small = a + (a * z) * horner(z, TANH)
    t = select(a > LARGE, LARGE, a)
    large = 1.0 - 2.0 / (exp_near(t + t) + 1.0)
    return prim("copysign", select(a < SMALL, small, large), x)
