"""Arithmetic: + - * /, division with remainder, powers with integer exponents.

Integers wrap to 64 bits. No operation traps: lowering checks divisors and exponents before the op; what the op itself
gives for a bad one is stated with it, so that passes may move it freely.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dsl.ir.core import Op, Value
from dsl.ops import libm
from dsl.ops.core import (
    BINARY,
    BINARY_I,
    UNARY,
    Builder,
    Primitive,
    Rewrite,
    Sym,
    declare,
    known,
    made_by,
    prim,
    select,
)
from dsl.types import F32, F64, I64, LeafType, round_to_f32

II = ((I64,), I64)
III = ((I64, I64), I64)
UNARY_I = (*UNARY, II)
TERNARY = (((F64, F64, F64), F64), ((F32, F32, F32), F32))
FLOATS: tuple[LeafType, ...] = (F64, F32)


def by_float(form: str, integer: str | None = None) -> dict[LeafType | None, str]:
    """One LLVM form for both float types, and one for integers."""
    table: dict[LeafType | None, str] = {F64: form, F32: form}
    if integer is not None:
        table[I64] = integer
    return table


# ---------------------------------------------------------------- rewrites


def is_const(v: Value, value: float) -> bool:
    """Whether a value is that constant; zeros of different sign are different."""
    k = known(v)
    return k is not None and k == value and math.copysign(1.0, k) == math.copysign(1.0, value)


def neutral(side: int, value: float, *types: LeafType) -> Rewrite:
    """`x op value` (side 1) or `value op x` (side 0) is x, for operands of these types."""

    def rewrite(b: Builder, op: Op) -> Value | None:
        hit = op.args[side].type in types and is_const(op.args[side], value)
        return op.args[1 - side] if hit else None

    return rewrite


def absorbing(b: Builder, op: Op) -> Value | None:
    """An i64 product with 0 is 0. (Not so for floats: NaN, infinities, and the sign of zero.)"""
    hit = op.result.type == I64 and any(is_const(a, 0) for a in op.args)
    return b.i64(0) if hit else None


def involution(b: Builder, op: Op) -> Value | None:
    """An operation that undoes itself: `op op x` is x."""
    inner = made_by(op.args[0], op.name)
    return inner.args[0] if inner else None


def sign_outside(b: Builder, op: Op) -> Value | None:
    """A product with an opposite is the opposite of the product, or one with an opposite constant."""
    for k in (0, 1):
        negated = made_by(op.args[k], "neg")
        if negated is not None and op.result.type != I64:
            x, other = negated.args[0], op.args[1 - k]
            number = known(other)
            if number is not None:
                return b.prim("mul", x, b.const(-number, x.type))
            return b.prim("neg", b.prim("mul", x, other))
    return None


def opposite(b: Builder, op: Op) -> Value | None:
    """A product with -1 is the opposite: the sign is part of the instruction that uses it."""
    for k in (0, 1):
        if op.result.type != I64 and known(op.args[k]) == -1.0:
            return b.prim("neg", op.args[1 - k])
    return None


def products(b: Builder, op: Op) -> Value | None:
    """A power with a small literal exponent as the products of the multiplication scheme of `powi`."""
    x, n = op.args[0], known(op.args[1])
    if n is None or abs(n) > 3 or (x.type == I64 and n < 0):
        return None
    if n == 0:
        return b.i64(1) if x.type == I64 else b.const(1.0, x.type)
    if n < 0:
        x = b.prim("div", b.const(1.0, x.type), x)
    square = b.prim("mul", x, x) if abs(n) > 1 else x
    return b.prim("mul", x, square) if abs(n) == 3 else square


# ---------------------------------------------------------------- + - * /


def divide(x: float, y: float) -> float:
    """IEEE division: by zero an infinity or NaN."""
    if y != 0.0:
        return x / y
    if x != x or x == 0.0:
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1.0, y)


declare(Primitive(
    "add", BINARY_I, "the sum", ((-3, 3), (-3, 3)),
    evaluate=lambda x, y: x + y,
    llvm=by_float("fadd {t} {0}, {1}", "add i64 {0}, {1}"),
    derivative=(lambda d, x, y, out: d, lambda d, x, y, out: d),
    commutative=True,
    simplify=(
        ("x + -0.0", neutral(1, -0.0, *FLOATS)), ("-0.0 + x", neutral(0, -0.0, *FLOATS)),
        ("x + 0", neutral(1, 0, I64)), ("0 + x", neutral(0, 0, I64)),
    ),
))  # fmt: skip

declare(Primitive(
    "sub", BINARY_I, "the difference", ((-3, 3), (-3, 3)),
    evaluate=lambda x, y: x - y,
    llvm=by_float("fsub {t} {0}, {1}", "sub i64 {0}, {1}"),
    derivative=(lambda d, x, y, out: d, lambda d, x, y, out: -d),
    simplify=(("x - 0.0", neutral(1, 0.0, *FLOATS)), ("x - 0", neutral(1, 0, I64))),
))  # fmt: skip

declare(Primitive(
    "mul", BINARY_I, "the product", ((-3, 3), (-3, 3)),
    evaluate=lambda x, y: x * y,
    llvm=by_float("fmul {t} {0}, {1}", "mul i64 {0}, {1}"),
    derivative=(lambda d, x, y, out: d * y, lambda d, x, y, out: d * x),
    commutative=True,
    simplify=(
        ("x * 1", neutral(1, 1, *FLOATS, I64)), ("1 * x", neutral(0, 1, *FLOATS, I64)), ("x * 0", absorbing),
        ("x * -y", sign_outside), ("x * -1", opposite),
    ),
))  # fmt: skip

def over(d: Sym, y: Sym) -> Sym:
    """d / y, of a known number by its inverse, which takes a fraction of the time."""
    number = known(y.v)
    return d * (1.0 / number) if number is not None and 1e-300 < abs(number) < 1e300 and d.v.type == F64 else d / y


declare(Primitive(
    "div", BINARY, "the quotient of floats", ((-3, 3), (0.3, 3)),
    evaluate=divide,
    llvm=by_float("fdiv {t} {0}, {1}"),
    derivative=(lambda d, x, y, out: over(d, y), lambda d, x, y, out: -(d / y * out)),
    simplify=(("x / 1", neutral(1, 1.0, *FLOATS)),),
))  # fmt: skip

# How a derivative that may be zero only because of the path taken is scaled: that zero is kept, whatever the partial
# derivative is there (infinite, NaN). Their own derivatives are made of themselves, so this holds in every order, and a
# factor that merely happens to be 0 still has its derivative.


def factor_known(b: Builder, op: Op) -> Value | None:
    """With a constant first operand: 0, or the plain operation."""
    k = known(op.args[0])
    if k is None:
        return None
    return b.const(0.0, op.result.type) if k == 0.0 else b.prim(op.name.removeprefix("strong"), *op.args)


def sign_to_second(b: Builder, op: Op) -> Value | None:
    """A strong product of an opposite is one with an opposite: zero is zero, whatever its sign is."""
    negated = made_by(op.args[0], "neg")
    if negated is None:
        return None
    other = made_by(op.args[1], "neg")
    return b.prim("strongmul", negated.args[0], other.args[0] if other else b.prim("neg", op.args[1]))


def _strong(form: str) -> dict[LeafType | None, str]:
    """Zero is the second choice: what a processor's vectors do by a mask that clears, in the operation itself."""
    head = f"%{{u}}a = {form} {{t}} {{0}}, {{1}}\n%{{u}}n = fcmp une {{t}} {{0}}, 0.0\n"
    return by_float(head + "select i1 %{u}n, {t} %{u}a, {t} 0.0")


declare(Primitive(
    "strongmul", BINARY, "the product; 0 where x is 0, whatever y is", ((-3, 3), (-3, 3)),
    evaluate=lambda x, y: 0.0 if x == 0.0 else x * y,
    llvm=_strong("fmul"),
    derivative=(lambda d, x, y, out: prim("strongmul", d, y), lambda d, x, y, out: prim("strongmul", x, d)),
    simplify=(("strongmul of a number", factor_known), ("strongmul(-x, y)", sign_to_second)),
))  # fmt: skip

declare(Primitive(
    "strongdiv", BINARY, "the quotient; 0 where x is 0, whatever y is", ((-3, 3), (0.3, 3)),
    evaluate=lambda x, y: 0.0 if x == 0.0 else divide(x, y),
    llvm=_strong("fdiv"),
    derivative=(
        lambda d, x, y, out: prim("strongdiv", d, y),
        lambda d, x, y, out: -prim("strongmul", out, prim("strongdiv", d, y)),
    ),
    simplify=(("strongdiv of a number", factor_known),),
))  # fmt: skip

declare(Primitive(
    "neg", UNARY_I, "the opposite number", ((-3, 3),),
    evaluate=lambda x: -x,
    llvm=by_float("fneg {t} {0}", "sub i64 0, {0}"),
    derivative=(lambda d, x, out: -d,),
    simplify=(("--x", involution),),
))  # fmt: skip

declare(Primitive(
    "muladd", (*TERNARY, ((I64, I64, I64), I64)), "x*y + z, rounded twice",
    ((-3, 3), (-3, 3), (-3, 3)),
    expand=lambda x, y, z: x * y + z,
    derivative=(lambda d, x, y, z, out: d * y, lambda d, x, y, z, out: d * x, lambda d, x, y, z, out: d),
))  # fmt: skip


def plain_sum(side: int) -> Rewrite:
    """An `fma` with a factor of 1 or -1 is a sum or a difference."""

    def rewrite(b: Builder, op: Op) -> Value | None:
        x, z = op.args[1 - side], op.args[2]
        if is_const(op.args[side], 1.0):
            return b.prim("add", x, z)
        return b.prim("sub", z, x) if is_const(op.args[side], -1.0) else None

    return rewrite


def plain_product(b: Builder, op: Op) -> Value | None:
    """With the summand that adds nothing it is a product."""
    return b.prim("mul", *op.args[:2]) if is_const(op.args[2], -0.0) else None


declare(Primitive(
    "fma", TERNARY, "x*y + z, rounded once", ((-3, 3), (-3, 3), (-3, 3)),
    evaluate={F64: libm.f64("fma", 3), F32: libm.f32("fmaf", 3)},
    llvm=by_float("call {t} @llvm.fma.{s}({t} {0}, {t} {1}, {t} {2})"),
    derivative=(lambda d, x, y, z, out: d * y, lambda d, x, y, z, out: d * x, lambda d, x, y, z, out: d),
    simplify=(("1*y + z", plain_sum(0)), ("x*1 + z", plain_sum(1)), ("x*y + -0.0", plain_product)),
))  # fmt: skip


# ---------------------------------------------------------------- integer division

# The machine's division traps for a zero divisor and for the smallest integer by -1. A safe divisor takes their
# place; x ÷ -1 is the (wrapping) opposite, and x ÷ 0 is x with remainder 0.
_SAFE_DIVISOR = """\
%{u}z = icmp eq i64 {1}, 0
%{u}m = icmp eq i64 {1}, -1
%{u}b = or i1 %{u}z, %{u}m
%{u}d = select i1 %{u}b, i64 1, i64 {1}
"""


def _idiv(x: int, y: int) -> int:
    if y == 0:
        return x
    q = abs(x) // abs(y)
    return q if (x < 0) == (y < 0) else -q


def _irem(x: int, y: int) -> int:
    return 0 if y == 0 else x - y * _idiv(x, y)


def _disagree(r: Sym, y: Sym) -> Sym:
    """Whether a remainder is not zero and its sign is not the divisor's."""
    return prim("and", prim("ne", r, integer(r, 0)), prim("ixor", r, y) < 0)


def integer(like: Sym, n: int) -> Sym:
    """An i64 constant, where a Sym is."""
    return Sym(like.b, like.b.i64(n))


declare(Primitive(
    "idiv", (III,), "integer division, truncated towards zero (÷); x where y is 0", ((-50, 50), (1, 9)),
    evaluate=_idiv,
    llvm={I64: _SAFE_DIVISOR + """\
%{u}q = sdiv i64 {0}, %{u}d
%{u}n = sub i64 0, {0}
select i1 %{u}m, i64 %{u}n, i64 %{u}q"""},
    derivative=(None, None),  # so that x ÷ 1 is not x: it passes no derivative
))  # fmt: skip

declare(Primitive(
    "irem", (III,), "the remainder of ÷, with the sign of x (%); 0 where y is 0", ((-50, 50), (1, 9)),
    evaluate=_irem,
    llvm={I64: _SAFE_DIVISOR + "srem i64 {0}, %{u}d"},
    derivative=(None, None),
))  # fmt: skip


def _imod(x: Sym, y: Sym) -> Sym:
    r = prim("irem", x, y)
    return select(_disagree(r, y), r + y, r)


def _ifld(x: Sym, y: Sym) -> Sym:
    q = prim("idiv", x, y)
    return select(_disagree(prim("irem", x, y), y), q - 1, q)


declare(Primitive(
    "imod", (III,), "the remainder of floored division, with the sign of y; 0 where y is 0", ((-50, 50), (1, 9)),
    expand=_imod,
    derivative=(None, None),
))  # fmt: skip

declare(Primitive(
    "ifld", (III,), "integer division, rounded down; x where y is 0", ((-50, 50), (1, 9)),
    expand=_ifld,
    derivative=(None, None),
))  # fmt: skip


# ---------------------------------------------------------------- division of floats with remainder


def _fmod(x: float, y: float) -> float:
    if x - x != 0.0 or y == 0.0 or y != y:
        return math.nan
    return math.fmod(x, y)


def _mod(x: Sym, y: Sym) -> Sym:
    r = prim("rem", x, y)
    wrong_side = prim("xor", r > 0.0, y > 0.0)
    return select(r.eq(0.0), prim("copysign", r, y), select(wrong_side, r + y, r))


def _quotient(x: Sym, y: Sym, remainder: Sym) -> Sym:
    """The integer that was taken off: exact, where x / y rounded would be off by one near an integer."""
    return prim("round", (x - remainder) / y)


declare(Primitive(
    "rem", BINARY, "the remainder of truncated division, with the sign of x (%)", ((-9, 9), (0.6, 3)),
    evaluate=_fmod,
    llvm={F64: "libm:fmod", F32: "libm:fmodf"},
    derivative=(lambda d, x, y, out: d, lambda d, x, y, out: -(d * _quotient(x, y, out))),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "mod", BINARY, "the remainder of floored division, with the sign of y", ((-9, 9), (0.6, 3)),
    expand=_mod,
    derivative=(lambda d, x, y, out: d, lambda d, x, y, out: -(d * _quotient(x, y, out))),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "quo", BINARY, "the quotient of floats, truncated towards zero (÷)", ((-9, 9), (0.6, 3)),
    expand=lambda x, y: _quotient(x, y, prim("rem", x, y)),
    derivative=(None, None),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "fld_", BINARY, "the quotient of floats, rounded down", ((-9, 9), (0.6, 3)),
    expand=lambda x, y: _quotient(x, y, prim("mod", x, y)),
    derivative=(None, None),
    kinks=True,
))  # fmt: skip


# ---------------------------------------------------------------- powers with integer exponents


def _powi(rounding: Callable[[float], float]) -> Callable[[float, int], float]:
    """The multiplication scheme, shared with the kernel: of the inverse where n < 0; squares, lowest bit first."""

    def powi(x: float, n: int) -> float:
        if n < 0:
            x, n = rounding(divide(1.0, x)), -n
        r = 1.0
        while n:
            if n & 1:
                r = rounding(r * x)
            x = rounding(x * x)
            n >>= 1
        return r

    return powi


def _ipow(x: int, n: int) -> int:
    return pow(x, n, 1 << 64) if n >= 0 else 1


def log_of_base(x: Sym, y: Sym) -> Sym:
    """log(x) for d/dy x^y = x^y log(x). At x = 0 with y ≥ 0, where x^y is constant as y grows, it counts as 0."""
    at_zero = prim("and", x.eq(0.0), y >= 0.0)
    return prim("log", select(at_zero, 1.0, x))


def _powi_in_base(d: Sym, x: Sym, n: Sym, out: Sym) -> Sym:
    """n x^(n-1), which is 0 for n = 0, also at x = 0."""
    m = select(prim("eq", n, integer(n, 0)), 1, n)
    return d * (prim("powi", x.to(d.v.type), m - 1) * n)


def _powi_in_exponent(d: Sym, x: Sym, n: Sym, out: Sym) -> Sym:
    return d * (out.to(d.v.type) * log_of_base(x.to(d.v.type), n.to(d.v.type)))


declare(Primitive(
    "powi", (((F64, I64), F64), ((F32, I64), F32), III), "an integer power, by multiplication; of an i64 as `ipow`",
    ((0.3, 3), (-4, 6)),
    evaluate={F64: _powi(lambda r: r), F32: _powi(round_to_f32), I64: _ipow},
    llvm={F64: "kernel:powi.f64", F32: "kernel:powi.f32", I64: "kernel:ipow.i64"},
    derivative=(_powi_in_base, _powi_in_exponent),
    simplify=(("x^n as products", products),),
))  # fmt: skip

declare(Primitive(
    "ipow", (III,), "an integer to an integer power, wrapping; 1 where the exponent is negative", ((1, 9), (0, 6)),
    evaluate=_ipow,
    llvm={I64: "kernel:ipow.i64"},
    derivative=(_powi_in_base, _powi_in_exponent),
    simplify=(("x^n as products", products),),
))  # fmt: skip
