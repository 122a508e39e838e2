"""Conversion between scalar types, rounding, signs, and bit operations on integers.

Rounding gives floats of the same type and passes no derivative. Conversions to i64 saturate (NaN gives 0); lowering
checks range and exactness before them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from ctypes import c_float

from dsl.ir.core import Op, Value
from dsl.ops.arith import II, III, UNARY_I, by_float
from dsl.ops.core import BINARY_I, UNARY, Builder, Primitive, Rewrite, Sym, declare, made_by, prim, select
from dsl.types import BOOL, F32, F64, I64, round_to_f32

# ---------------------------------------------------------------- conversions


def _to_i64(x: float) -> int:
    if x != x:
        return 0
    if x >= 2.0**63:
        return 2**63 - 1
    return -(2**63) if x < -(2.0**63) else int(x)


def _i64_to_f32(n: int) -> float:
    """Rounded once: bits that a double has no room for are folded into one that keeps the direction of rounding."""
    if abs(n) < 1 << 53:
        return round_to_f32(float(n))
    return c_float(float(n >> 11 | (n & 2047 != 0))).value * 2048.0


def round_trip(inner: str) -> Rewrite:
    """A conversion of what `inner` (which is exact) made of a value of the result's type is that value."""

    def rewrite(b: Builder, op: Op) -> Value | None:
        made = made_by(op.args[0], inner)
        return made.args[0] if made and made.args[0].type == op.result.type else None

    return rewrite


def same_type(b: Builder, op: Op) -> Value | None:
    """A conversion of a value that has the type already."""
    return op.args[0] if op.args[0].type == op.result.type else None


declare(Primitive(
    "tof64", (((I64,), F64), ((F32,), F64), ((F64,), F64)), "to Float64", ((-50, 50),),
    evaluate=float,
    llvm={I64: "sitofp i64 {0} to double", F32: "fpext float {0} to double", F64: "fadd double {0}, -0.0"},
    derivative=(lambda d, x, out: d,),
    simplify=(("to its own type", same_type),),
))  # fmt: skip

declare(Primitive(
    "tof32", (((I64,), F32), ((F64,), F32), ((F32,), F32)), "to Float32, rounded", ((-50, 50),),
    evaluate={I64: _i64_to_f32, F64: round_to_f32, F32: round_to_f32},
    llvm={I64: "sitofp i64 {0} to float", F64: "fptrunc double {0} to float", F32: "fadd float {0}, -0.0"},
    derivative=(lambda d, x, out: d,),
    simplify=(("to its own type", same_type), ("of a Float32 as Float64", round_trip("tof64"))),
))  # fmt: skip

declare(Primitive(
    "toi64", (((F64,), I64), ((F32,), I64)), "to Int64, truncated towards zero; saturates, NaN gives 0", ((-50, 50),),
    evaluate=_to_i64,
    llvm=by_float("call i64 @llvm.fptosi.sat.i64.{s}({t} {0})"),
    derivative=(None,),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "booltof64", (((BOOL,), F64),), "1.0 for true, 0.0 for false", ((0, 1),),
    evaluate=float,
    llvm={BOOL: "uitofp i1 {0} to double"},
    derivative=(None,),
))  # fmt: skip

declare(Primitive(
    "booltoi64", (((BOOL,), I64),), "1 for true, 0 for false", ((0, 1),),
    evaluate=int,
    llvm={BOOL: "zext i1 {0} to i64"},
    derivative=(None,),
))  # fmt: skip


# ---------------------------------------------------------------- rounding


def _float_rounding(function: Callable[[float], int]) -> Callable[[float], float]:
    """A rounding to integers, on floats: NaN and infinities stay, and so does the sign of a zero."""
    return lambda x: math.copysign(float(function(x)), x) if abs(x) < 2.0**52 else x


def rounding(name: str, doc: str, function: Callable[[float], int], intrinsic: str) -> None:
    declare(Primitive(
        name, UNARY, doc, ((-9, 9),),
        evaluate=_float_rounding(function),
        llvm=by_float(f"call {{t}} @llvm.{intrinsic}.{{s}}({{t}} {{0}})"),
        derivative=(None,),
        kinks=True,
    ))  # fmt: skip


rounding("floor", "rounded down", math.floor, "floor")
rounding("ceil", "rounded up", math.ceil, "ceil")
rounding("trunc", "rounded towards zero", math.trunc, "trunc")
rounding("round", "rounded to the nearest integer, halves to the even one", round, "roundeven")


# ---------------------------------------------------------------- signs


def _sign(x: Sym) -> Sym:
    return select(x > 0, 1, select(x < 0, -1, x))


def _copysign_i64(x: int, y: int) -> int:
    return abs(x) if y >= 0 else -abs(x)


declare(Primitive(
    "abs", UNARY_I, "the absolute value", ((-3, 3),),
    evaluate=abs,
    llvm=by_float("call {t} @llvm.fabs.{s}({t} {0})", "call i64 @llvm.abs.i64(i64 {0}, i1 false)"),
    derivative=(lambda d, x, out: d * prim("sign", x),),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "sign", UNARY_I, "-1, 0 or 1; zeros and NaN stay as they are", ((-3, 3),),
    expand=_sign,
    derivative=(None,),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "copysign", BINARY_I, "x with the sign of y", ((-3, 3), (-3, 3)),
    evaluate={F64: math.copysign, F32: math.copysign, I64: _copysign_i64},
    llvm=by_float("call {t} @llvm.copysign.{s}({t} {0}, {t} {1})", """\
%{u}d = xor i64 {0}, {1}
%{u}c = icmp slt i64 %{u}d, 0
%{u}n = sub i64 0, {0}
select i1 %{u}c, i64 %{u}n, i64 {0}"""),
    derivative=(lambda d, x, y, out: prim("flipsign", d * prim("sign", x), y.to(d.v.type)), None),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "flipsign", BINARY_I, "x, or its opposite where y is negative (also -0.0)", ((-3, 3), (-3, 3)),
    evaluate={
        F64: lambda x, y: -x if math.copysign(1.0, y) < 0 else x,
        F32: lambda x, y: -x if math.copysign(1.0, y) < 0 else x,
        I64: lambda x, y: -x if y < 0 else x,
    },
    llvm={
        F64: """\
%{u}s = call double @llvm.copysign.f64(double 1.0, double {1})
fmul double {0}, %{u}s""",
        F32: """\
%{u}s = call float @llvm.copysign.f32(float 1.0, float {1})
fmul float {0}, %{u}s""",
        I64: """\
%{u}c = icmp slt i64 {1}, 0
%{u}n = sub i64 0, {0}
select i1 %{u}c, i64 %{u}n, i64 {0}""",
    },
    derivative=(lambda d, x, y, out: prim("flipsign", d, y.to(d.v.type)), None),
    kinks=True,
))  # fmt: skip


# ---------------------------------------------------------------- bits

_MASK = (1 << 64) - 1


def _shl(x: int, n: int) -> int:
    return _shr(x, -n) if n < 0 else x << n if n < 64 else 0


def _shr(x: int, n: int) -> int:
    return _shl(x, -n) if n < 0 else x >> min(n, 63)


def _ushr(x: int, n: int) -> int:
    return _shl(x, -n) if n < 0 else (x & _MASK) >> n if n < 64 else 0


def _shift(forward: str, backward: str) -> str:
    """A shift by any amount: a negative one goes the other way, bits shifted out are gone (an arithmetic shift to the
    right leaves the sign)."""

    def amount(kind: str, name: str) -> str:
        top = f"%{{u}}{name}i = icmp ult i64 %{{u}}{name}, 64\n"
        return top + f"%{{u}}{name}j = select i1 %{{u}}{name}i, i64 %{{u}}{name}, i64 63\n" + (
            f"%{{u}}{name}s = {kind} i64 {{0}}, %{{u}}{name}j\n"
        )

    def result(kind: str, name: str) -> str:
        gone = f"i64 %{{u}}{name}s" if kind == "ashr" else "i64 0"
        return f"%{{u}}{name}r = select i1 %{{u}}{name}i, i64 %{{u}}{name}s, {gone}\n"

    return (
        "%{u}f = add i64 {1}, 0\n%{u}b = sub i64 0, {1}\n"
        + amount(forward, "f") + amount(backward, "b") + result(forward, "f") + result(backward, "b")
        + "%{u}c = icmp slt i64 {1}, 0\nselect i1 %{u}c, i64 %{u}br, i64 %{u}fr"
    )  # fmt: skip


def bits(name: str, doc: str, function: Callable[[int, int], int], llvm: str, commutative: bool = False) -> None:
    declare(Primitive(
        name, (III,), doc, ((-50, 50), (0, 20)),
        evaluate=function,
        llvm={I64: llvm},
        derivative=(None, None),
        commutative=commutative,
    ))  # fmt: skip


bits("iand", "bitwise and (&)", lambda x, y: x & y, "and i64 {0}, {1}", commutative=True)
bits("ior", "bitwise or (|)", lambda x, y: x | y, "or i64 {0}, {1}", commutative=True)
bits("ixor", "bitwise exclusive or (⊻)", lambda x, y: x ^ y, "xor i64 {0}, {1}", commutative=True)
bits("shl", "shift to the left (<<); by a negative amount as >>", _shl, _shift("shl", "ashr"))
bits("shr", "shift to the right that keeps the sign (>>); by a negative amount as <<", _shr, _shift("ashr", "shl"))
bits("ushr", "shift to the right that fills with zeros (>>>); by a negative amount as <<", _ushr, _shift("lshr", "shl"))

declare(Primitive(
    "inot", (II,), "every bit the other way (~)", ((-50, 50),),
    evaluate=lambda x: ~x,
    llvm={I64: "xor i64 {0}, -1"},
    derivative=(None,),
))  # fmt: skip
