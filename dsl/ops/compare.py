"""Comparison, logic and choice: what depends on the order of its operands.

Derivatives follow the language's conventions: a maximum counts as `x > y ? x : y`, a minimum as `x > y ? y : x`, clamp
is inclusive and flows to the bound outside, and what is not chosen gets an exact zero, never a NaN.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from dsl.ir.core import Op, Value
from dsl.ops.arith import UNARY_I, by_float, involution
from dsl.ops.core import BINARY_I, COMPARE, Builder, Primitive, Signature, Sym, declare, known, made_by, prim, select
from dsl.types import BOOL, F32, F64, I64

BB: Signature = ((BOOL, BOOL), BOOL)


# ---------------------------------------------------------------- rewrites


def choice(b: Builder, op: Op) -> Value | None:
    """`select` with equal arms or a constant condition. (Equal as values of the program: the derivative is shared.)"""
    c, x, y = op.args
    k = known(c)
    if k is not None:
        return x if k else y
    return x if x is y else None


def choice_of_bools(b: Builder, op: Op) -> Value | None:
    """`select(c, true, false)` is c."""
    c, x, y = op.args
    return c if x.type == BOOL and known(x) is True and known(y) is False else None


def swapped_choice(b: Builder, op: Op) -> Value | None:
    """`select(not c, x, y)` is `select(c, y, x)`."""
    inner = made_by(op.args[0], "not")
    return b.op("select", (inner.args[0], op.args[2], op.args[1]), (op.result.type,)).result if inner else None


def decided(neutral: bool) -> Callable[[Builder, Op], Value | None]:
    """`and` (neutral true) or `or` (neutral false) with a constant operand, or with twice the same one."""

    def rewrite(b: Builder, op: Op) -> Value | None:
        x, y = op.args
        if x is y:
            return x
        for k, other in ((known(x), y), (known(y), x)):
            if k is not None:
                return other if k == neutral else b.bool(not neutral)
        return None

    return rewrite


# ---------------------------------------------------------------- comparisons


def compare(name: str, doc: str, function: Callable[..., bool], floats: str, ints: str, bools: bool = False) -> None:
    signatures = (*COMPARE, BB) if bools else COMPARE
    table = by_float(f"fcmp {floats} {{t}} {{0}}, {{1}}", f"icmp {ints} i64 {{0}}, {{1}}")
    if bools:
        table[BOOL] = f"icmp {ints} i1 {{0}}, {{1}}"
    declare(Primitive(
        name, signatures, doc, ((-3, 3), (-3, 3)),
        evaluate=function,
        llvm=table,
        derivative=(None, None),
        commutative=bools,
        kinks=True,
    ))  # fmt: skip


compare("eq", "whether equal; -0.0 equals 0.0, NaN nothing", operator.eq, "oeq", "eq", bools=True)
compare("ne", "whether not equal", operator.ne, "une", "ne", bools=True)
compare("lt", "whether less", operator.lt, "olt", "slt")
compare("le", "whether less or equal", operator.le, "ole", "sle")
compare("gt", "whether greater", operator.gt, "ogt", "sgt")
compare("ge", "whether greater or equal", operator.ge, "oge", "sge")


# ---------------------------------------------------------------- logic

declare(Primitive(
    "not", (((BOOL,), BOOL),), "the opposite of a bool", ((0, 1),),
    evaluate=operator.not_,
    llvm={BOOL: "xor i1 {0}, true"},
    derivative=(None,),
    simplify=(("not not", involution),),
))  # fmt: skip

declare(Primitive(
    "and", (BB,), "whether both hold", ((0, 1), (0, 1)),
    evaluate=lambda x, y: x and y,
    llvm={BOOL: "and i1 {0}, {1}"},
    derivative=(None, None),
    commutative=True,
    simplify=(("and of constants", decided(True)),),
))  # fmt: skip

declare(Primitive(
    "or", (BB,), "whether one holds", ((0, 1), (0, 1)),
    evaluate=lambda x, y: x or y,
    llvm={BOOL: "or i1 {0}, {1}"},
    derivative=(None, None),
    commutative=True,
    simplify=(("or of constants", decided(False)),),
))  # fmt: skip

declare(Primitive(
    "xor", (BB,), "whether exactly one holds", ((0, 1), (0, 1)),
    evaluate=operator.ne,
    llvm={BOOL: "xor i1 {0}, {1}"},
    derivative=(None, None),
    commutative=True,
))  # fmt: skip


# ---------------------------------------------------------------- choice

declare(Primitive(
    "select", tuple(((BOOL, t, t), t) for t in (F64, F32, I64, BOOL)),
    "the second operand where the first holds, else the third", ((0, 1), (-3, 3), (-3, 3)),
    evaluate=lambda c, x, y: x if c else y,
    llvm={BOOL: "select i1 {0}, {r} {1}, {r} {2}"},
    derivative=(None, lambda d, c, x, y, out: select(c, d, 0.0), lambda d, c, x, y, out: select(c, 0.0, d)),
    references=True,
    simplify=(
        ("select of one", choice), ("select true, false", choice_of_bools), ("select not", swapped_choice),
    ),
))  # fmt: skip


def _max(x: float, y: float) -> float:
    if x != x or y != y:
        return math.nan
    if x == y:
        return y if math.copysign(1.0, x) < 0 else x
    return x if x > y else y


def _min(x: float, y: float) -> float:
    return -_max(-x, -y)


declare(Primitive(
    "max", BINARY_I, "the greater; NaN where one is NaN; 0.0 is greater than -0.0", ((-3, 3), (-3, 3)),
    evaluate={F64: _max, F32: _max, I64: max},
    llvm=by_float(
        "call {t} @llvm.maximum.{s}({t} {0}, {t} {1})", "call i64 @llvm.smax.i64(i64 {0}, i64 {1})"),
    derivative=(
        lambda d, x, y, out: select(x > y, d, 0.0),
        lambda d, x, y, out: select(x > y, 0.0, d),
    ),
    commutative=False,  # at a tie the derivative tells the operands apart
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "min", BINARY_I, "the smaller; NaN where one is NaN; -0.0 is smaller than 0.0", ((-3, 3), (-3, 3)),
    evaluate={F64: _min, F32: _min, I64: min},
    llvm=by_float(
        "call {t} @llvm.minimum.{s}({t} {0}, {t} {1})", "call i64 @llvm.smin.i64(i64 {0}, i64 {1})"),
    derivative=(
        lambda d, x, y, out: select(x > y, 0.0, d),
        lambda d, x, y, out: select(x > y, d, 0.0),
    ),
    kinks=True,
))  # fmt: skip


def _clamp(x: Sym, lo: Sym, hi: Sym) -> Sym:
    return select(x > hi, hi, select(x < lo, lo, x))


declare(Primitive(
    "clamp", tuple(((t, t, t), t) for t in (F64, F32, I64)), "x moved into lo … hi", ((-3, 3), (-2, 0), (0.5, 2)),
    expand=_clamp,
    derivative=(
        lambda d, x, lo, hi, out: select(prim("or", x > hi, x < lo), 0.0, d),
        lambda d, x, lo, hi, out: select(x > hi, 0.0, select(x < lo, d, 0.0)),
        lambda d, x, lo, hi, out: select(x > hi, d, 0.0),
    ),
    kinks=True,
))  # fmt: skip

declare(Primitive(
    "relu", UNARY_I, "max(x, 0)", ((-3, 3),),
    expand=lambda x: prim("max", x, Sym(x.b, x.b.zero(x.v.type))),
    derivative=(lambda d, x, out: select(x > 0, d, 0.0),),
    kinks=True,
))  # fmt: skip
