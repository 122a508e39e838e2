"""Numbers: arithmetic, powers, rounding, conversion, elementary functions.

Operands are brought to their common type first (`values.promote`); functions of floats take integers as floats. What
is outside a function's domain is checked before the operation, by the table's own predicate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dsl.ir.core import Value
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name, caller, select_method
from dsl.lower.convert import as_float, as_int, in_range
from dsl.lower.frame import Frame
from dsl.lower.values import FLOATS, Val, is_number, is_real, promote, tuple_val
from dsl.ops import PRIMITIVES, Sym
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    I64,
    INT64,
    FnType,
    Irrational,
    LangType,
    Prim,
    TypeValue,
    leaves,
)  # fmt: skip

# ---------------------------------------------------------------- bringing operands together


def to_number(f: Frame, v: Val, to: LangType) -> Val:
    """A number or Bool as a number of a type that it promotes to."""
    if v.type == BOOLEAN:
        v = as_int(f, v) if to == INT64 else as_float(f, v)
    return f.number(v, to)


def common(f: Frame, args: list[Val], floating: bool = False) -> tuple[list[Val], Prim] | None:
    """The arguments as numbers of one type; None where one is no number. With `floating`, of a float type."""
    if not all(is_number(a.type) for a in args):
        return None
    t = args[0].type
    for a in args[1:]:
        t = promote(t, a.type)
    if t == BOOLEAN:
        t = INT64
    if isinstance(t, Irrational) or (floating and t == INT64):
        t = FLOAT64
    assert isinstance(t, Prim)
    return [to_number(f, a, t) for a in args], t


def primitive(f: Frame, name: str, args: list[Val], result: LangType | None = None, known: object = None) -> Val:
    """A primitive on values of fitting types, its domain checked."""
    operands = [a.leaf for a in args]
    check_domain(f, name, operands)
    value = f.b.prim(name, *operands)
    return Val(result or args[0].type, (value,), known)  # type: ignore[arg-type]


def check_domain(f: Frame, name: str, operands: list[Value]) -> None:
    domain = PRIMITIVES[name].domain
    if domain is not None:
        predicate, text = domain
        ok = predicate(*(Sym(f.b, x) for x in operands))
        f.check(ok.v, "E0401", text, *operands)


# ---------------------------------------------------------------- arithmetic

_FOLD: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
}  # fmt: skip


def arithmetic(f: Frame, name: str, a: Val, b: Val) -> Val | None:
    both = common(f, [a, b])
    if both is None:
        return None
    args, t = both
    known = None
    if t == INT64 and type(a.known) is int and type(b.known) is int:
        known = _FOLD[name](a.known, b.known)
        if abs(known) >= 2**63:
            known = None
    return primitive(f, name, args, t, known)


def _n_ary(symbol: str, name: str, registered: str = "") -> None:
    @builtin(registered or symbol)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if not args:
            return None
        total: Val | None = args[0] if is_number(args[0].type) else None
        for k, a in enumerate(args[1:], 1):
            if total is None:
                return None
            total = arithmetic(f, name, total, a)
            if total is None and (k > 1 or len(args) > 2):
                return _by_pairs(f, symbol, args)
        if total is None and len(args) > 2:
            return _by_pairs(f, symbol, args)
        return total


def _by_pairs(f: Frame, symbol: str, args: list[Val]) -> Val:
    """A chain of operands that are not all numbers: one pair after the other, so that methods are found."""
    total = call_name(f, symbol, args[:2])
    for a in args[2:]:
        total = call_name(f, symbol, [total, a])
    return total


_n_ary("+", "add")
_n_ary("*", "mul", registered="multiply")


@builtin("-")
def lower_minus(f: Frame, args: list[Val]) -> Val | None:
    if len(args) == 1:
        one = common(f, args)
        if one is None:
            return None
        known = -args[0].known if type(args[0].known) is int else None
        return primitive(f, "neg", one[0], one[1], known)
    return arithmetic(f, "sub", *args) if len(args) == 2 else None


def divide(f: Frame, args: list[Val]) -> Val | None:
    both = common(f, args, floating=True) if len(args) == 2 else None
    return None if both is None else primitive(f, "div", both[0], both[1])


builtin("/")(divide)
builtin("\\")(lambda f, args: divide(f, args[::-1]) if len(args) == 2 else None)


def _quotient(*names: str, integer: str, floating: str) -> None:
    @builtin(*names)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        both = common(f, args) if len(args) == 2 else None
        if both is None:
            return None
        operands, t = both
        if t == INT64:
            nonzero = f.b.prim("ne", operands[1].leaf, f.b.i64(0))
            f.check(nonzero, "E0407", "integer division of {0} by zero", operands[0].leaf)
            return primitive(f, integer, operands, t)
        return primitive(f, floating, operands, t)


_quotient("÷", "div", integer="idiv", floating="quo")
_quotient("%", "rem", integer="irem", floating="rem")
_quotient("mod", integer="imod", floating="mod")
_quotient("fld", integer="ifld", floating="fld_")


@builtin("divrem")
def lower_divrem(f: Frame, args: list[Val]) -> Val:
    return tuple_val([call_name(f, "÷", args), call_name(f, "%", args)])


# ---------------------------------------------------------------- powers


@builtin("literal_pow")
def lower_literal_pow(f: Frame, args: list[Val]) -> Val | None:
    """`x^n` with a literal n: a product; a negative one gives a float."""
    base, n = args
    if not is_number(base.type):
        return _power_of_user(f, base, n)
    user = call_name_if_extended(f, "^", args)
    if user is not None:
        return user
    if isinstance(base.type, Irrational) or (base.type == INT64 and isinstance(n.known, int) and n.known < 0):
        base = f.number(base, FLOAT64)
    elif base.type == BOOLEAN:
        base = as_int(f, base)
    return Val(base.type, (f.b.prim("powi", base.leaf, n.leaf),))


def call_name_if_extended(f: Frame, name: str, args: list[Val]) -> Val | None:
    """The user's method for numbers, where there is one."""
    fn = f.namespace.builtins(name)
    if fn is None or select_method(fn, [a.type for a in args], f.span) is None:
        return None
    return call_name(f, name, args)


def _power_of_user(f: Frame, base: Val, n: Val) -> Val | None:
    """A power of a user's number: its own `^`, or repeated `*`."""
    power = f.namespace.builtins("^")
    assert power is not None
    if select_method(power, [base.type, n.type], f.span) is not None or not isinstance(n.known, int) or n.known < 1:
        return call_name(f, "^", [base, n])
    if isinstance(base.type, FnType) and n.known > 1:
        return call_name(f, "^", [base, n])
    result: Val | None = None
    square, k = base, n.known
    while k:
        if k & 1:
            result = square if result is None else call_name(f, "*", [result, square])
        k >>= 1
        if k:
            square = call_name(f, "*", [square, square])
    return result


@builtin("^")
def lower_power(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not all(is_number(a.type) for a in args):
        return None
    base, n = args
    if base.type in (INT64, BOOLEAN) and n.type in (INT64, BOOLEAN):
        x, k = as_int(f, base), as_int(f, n)
        ok = f.b.prim("ge", k.leaf, f.b.i64(0))
        f.check(ok, "E0401", "an integer to a negative power: {0}^{1}", x.leaf, k.leaf,
                hint="write a float: `2.0^n`")  # fmt: skip
        return primitive(f, "ipow", [x, k], INT64)
    if isinstance(base.type, Irrational) and base.type.name == "ℯ":
        return call_name(f, "exp", [n])
    both = common(f, args, floating=True)
    assert both is not None
    operands, t = both
    if n.type in (INT64, BOOLEAN):
        return Val(t, (f.b.prim("pow", *(v.leaf for v in operands)),))
    return primitive(f, "pow", operands, t)


# ---------------------------------------------------------------- functions of floats

_OWN = {
    "add", "sub", "mul", "div", "neg", "idiv", "irem", "imod", "ifld", "rem", "mod", "quo", "fld_", "powi", "ipow",
    "pow", "eq", "ne", "lt", "le", "gt", "ge", "not", "and", "or", "xor", "select", "max", "min", "clamp", "tof64",
    "tof32", "toi64", "booltof64", "booltoi64", "iand", "ior", "ixor", "shl", "shr", "ushr", "inot", "floor", "ceil",
    "trunc", "round", "log", "atan", "atan2", "besselj", "bessely",
}  # fmt: skip
KEEPS_INTEGERS = {"abs", "sign", "copysign", "flipsign", "muladd", "relu"}


def _function(name: str) -> None:
    arity = len(PRIMITIVES[name].signatures[0][0])

    @builtin(name, forms=(f"{name}({', '.join('xyz'[:arity])})",))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != arity:
            return None
        both = common(f, args, floating=name not in KEEPS_INTEGERS)
        return None if both is None else primitive(f, name, both[0], both[1])


for _name in PRIMITIVES:
    if _name not in _OWN:
        _function(_name)


@builtin("log", forms=("log(x)", "log(base, x)"))
def lower_log(f: Frame, args: list[Val]) -> Val | None:
    if len(args) == 2:
        return call_name(f, "/", [call_name(f, "log", [args[1]]), call_name(f, "log", [args[0]])])
    one = common(f, args, floating=True) if len(args) == 1 else None
    return None if one is None else primitive(f, "log", one[0], one[1])


@builtin("atan", forms=("atan(x)", "atan(y, x)"))
def lower_atan(f: Frame, args: list[Val]) -> Val | None:
    both = common(f, args, floating=True) if len(args) in (1, 2) else None
    return None if both is None else primitive(f, "atan" if len(args) == 1 else "atan2", both[0], both[1])


def _bessel(name: str) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 2 or args[0].type != INT64 or not is_number(args[1].type):
            return None
        return primitive(f, name, [args[0], to_number(f, args[1], FLOAT64)], FLOAT64)


_bessel("besselj")
_bessel("bessely")
builtin("√")(lambda f, args: call_name(f, "sqrt", args))
builtin("∛")(lambda f, args: call_name(f, "cbrt", args))


@builtin("sincos")
def lower_sincos(f: Frame, args: list[Val]) -> Val:
    return tuple_val([call_name(f, "sin", args), call_name(f, "cos", args)])


@builtin("abs2")
def lower_abs2(f: Frame, args: list[Val]) -> Val | None:
    return arithmetic(f, "mul", args[0], args[0]) if len(args) == 1 else None


@builtin("inv")
def lower_inv(f: Frame, args: list[Val]) -> Val | None:
    one = common(f, args, floating=True) if len(args) == 1 else None
    if one is None:
        return None
    (x,), t = one
    return Val(t, (f.b.prim("div", f.b.const(1.0, x.leaf.type), x.leaf),))


# ---------------------------------------------------------------- order


def _extreme(name: str) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if not args:
            return None
        if len(args) == 1:
            return args[0] if is_real(args[0].type) else None
        best = args[0]
        for a in args[1:]:
            both = common(f, [best, a])
            if both is None:
                return None
            best = primitive(f, name, both[0], both[1])
        return best


_extreme("max")
_extreme("min")


@builtin("minmax")
def lower_minmax(f: Frame, args: list[Val]) -> Val:
    return tuple_val([call_name(f, "min", args), call_name(f, "max", args)])


@builtin("clamp")
def lower_clamp(f: Frame, args: list[Val]) -> Val | None:
    both = common(f, args) if len(args) == 3 else None
    return None if both is None else primitive(f, "clamp", both[0], both[1])


# ---------------------------------------------------------------- rounding and conversion


def _rounding(name: str) -> None:
    @builtin(name, keywords=("digits",), forms=(f"{name}(x)", f"{name}(Int, x)"))
    def lower(f: Frame, args: list[Val], digits: Val | None = None) -> Val | None:
        if len(args) == 2 and isinstance(args[0].type, TypeValue):
            rounded = lower(f, args[1:])
            return None if rounded is None else _rounded_to(f, name, rounded, args[0].type.type)
        if len(args) != 1 or not is_number(args[0].type):
            return None
        if args[0].type in (INT64, BOOLEAN):
            return as_int(f, args[0])
        x = args[0] if args[0].type in FLOATS else f.number(args[0], FLOAT64)
        if digits is None:
            return primitive(f, name, [x])
        scale = call_name(f, "^", [Val(FLOAT64, (f.b.f64(10.0),)), digits])
        return call_name(f, "/", [call_name(f, name, [call_name(f, "*", [x, scale])]), scale])


def _rounded_to(f: Frame, name: str, rounded: Val, to: LangType) -> Val | None:
    if to != INT64:
        return as_float(f, rounded, to) if to in FLOATS else None
    if rounded.type == INT64:
        return rounded
    f.check(in_range(f, rounded.leaf), "E0408", f"{name}(Int, {{0}}) is not an Int64", rounded.leaf)
    return Val(INT64, (f.b.prim("toi64", rounded.leaf),))


for _name in ("floor", "ceil", "trunc", "round"):
    _rounding(_name)


@builtin("float")
def lower_float(f: Frame, args: list[Val]) -> Val | None:
    one = common(f, args, floating=True) if len(args) == 1 else None
    return None if one is None else one[0][0]


def type_of(v: Val) -> LangType:
    """The type meant by `zero(x)` and its like: of a value, or a type itself."""
    return v.type.type if isinstance(v.type, TypeValue) else v.type


def _unit(names: tuple[str, ...], value: int) -> None:
    @builtin(*names)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 1:
            return None
        t = type_of(args[0])
        if isinstance(t, Irrational):
            t = FLOAT64
        if t == INT64:
            return Val(INT64, (f.b.i64(value),), value)
        if t in FLOATS:
            return Val(t, (f.b.const(float(value), leaves(t)[0]),))
        return Val(BOOLEAN, (f.b.bool(bool(value)),)) if t == BOOLEAN else None


_unit(("zero",), 0)
_unit(("one", "oneunit"), 1)

_LIMITS: dict[str, dict[LangType, float]] = {
    "typemax": {INT64: 2**63 - 1, FLOAT64: math.inf, FLOAT32: math.inf},
    "typemin": {INT64: -(2**63), FLOAT64: -math.inf, FLOAT32: -math.inf},
    "floatmax": {FLOAT64: 1.7976931348623157e308, FLOAT32: 3.4028234663852886e38},
    "floatmin": {FLOAT64: 2.2250738585072014e-308, FLOAT32: 1.1754943508222875e-38},
    "eps": {FLOAT64: 2.0**-52, FLOAT32: 2.0**-23},
}


def _limit(name: str) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        t = args[0].type.type if args and isinstance(args[0].type, TypeValue) else FLOAT64
        value = _LIMITS[name].get(t)
        if value is None or len(args) > 1 or (args and not isinstance(args[0].type, TypeValue)):
            return None
        return Val(t, (f.b.const(value, leaves(t)[0]),))


for _name in _LIMITS:
    _limit(_name)


@caller(TypeValue)
def call_type(f: Frame, fn: Val, args: list[Val], keywords: object, span: object) -> Val:
    """`Float64(x)`, `Int(x)`, `Dict{K, V}()`: a type called as a function."""
    return call_name(f, "construct", [fn, *args])


# ---------------------------------------------------------------- questions about numbers


def _question(name: str, ask: Callable[[Frame, Value], Value], integer: bool | None) -> None:
    """A predicate of floats; `integer` is the answer for integers (None: ask as well)."""

    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        one = common(f, args) if len(args) == 1 else None
        if one is None:
            return None
        (x,), t = one
        if t == INT64 and integer is not None:
            return Val(BOOLEAN, (f.b.bool(integer),))
        return Val(BOOLEAN, (ask(f, x.leaf),))


def _constant_like(f: Frame, x: Value, value: float) -> Value:
    return f.b.const(int(value) if x.type == I64 else value, x.type)


def _finite(f: Frame, x: Value) -> Value:
    return f.b.prim("lt", f.b.prim("abs", x), _constant_like(f, x, math.inf))


_question("isnan", lambda f, x: f.b.prim("ne", x, x), False)
_question("isinf", lambda f, x: f.b.prim("eq", f.b.prim("abs", x), _constant_like(f, x, math.inf)), False)
_question("isfinite", lambda f, x: _finite(f, x), True)
_question("isinteger", lambda f, x: f.b.prim("and", f.b.prim("eq", x, f.b.prim("trunc", x)), _finite(f, x)), True)
_question("iszero", lambda f, x: f.b.prim("eq", x, _constant_like(f, x, 0.0)), None)
_question("isone", lambda f, x: f.b.prim("eq", x, _constant_like(f, x, 1.0)), None)
_question("signbit", lambda f, x: f.b.prim("lt", _sign_source(f, x), _constant_like(f, x, 0.0)), None)


def _sign_source(f: Frame, x: Value) -> Value:
    """A number with the sign of x that shows in a comparison (also for -0.0)."""
    return x if x.type == I64 else f.b.prim("copysign", f.b.const(1.0, x.type), x)


def _parity(name: str, remainder: int) -> None:
    @builtin(name)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 1 or args[0].type not in (INT64, BOOLEAN):
            return None
        rest = f.b.prim("iand", as_int(f, args[0]).leaf, f.b.i64(1))
        return Val(BOOLEAN, (f.b.prim("eq", rest, f.b.i64(remainder)),))


_parity("iseven", 0)
_parity("isodd", 1)

# ---------------------------------------------------------------- bits, and numbers as complex ones


def _bits(names: tuple[str, ...], integer: str, boolean: str | None) -> None:
    @builtin(*names)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 2 or any(a.type not in (INT64, BOOLEAN) for a in args):
            return None
        if boolean is not None and all(a.type == BOOLEAN for a in args):
            return Val(BOOLEAN, (f.b.prim(boolean, args[0].leaf, args[1].leaf),))
        return primitive(f, integer, [as_int(f, a) for a in args], INT64)


_bits(("&",), "iand", "and")
_bits(("|",), "ior", "or")
_bits(("xor", "⊻"), "ixor", "xor")
_bits(("<<",), "shl", None)
_bits((">>",), "shr", None)
_bits((">>>",), "ushr", None)


@builtin("~")
def lower_complement(f: Frame, args: list[Val]) -> Val | None:
    return primitive(f, "inot", args, INT64) if len(args) == 1 and args[0].type == INT64 else None


@builtin("!")
def lower_not(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1 or args[0].type != BOOLEAN:
        return None
    known = None if args[0].known is None else not args[0].known
    return Val(BOOLEAN, (f.b.prim("not", args[0].leaf),), known)


@builtin("real", "conj", "adjoint_number")
def lower_real(f: Frame, args: list[Val]) -> Val | None:
    return args[0] if len(args) == 1 and is_number(args[0].type) else None


@builtin("imag")
def lower_imag(f: Frame, args: list[Val]) -> Val | None:
    return call_name(f, "zero", args) if len(args) == 1 and is_number(args[0].type) else None


@builtin("ifelse")
def lower_ifelse(f: Frame, args: list[Val]) -> Val | None:
    """Both arms are computed; the one not chosen leaves no trace in a derivative."""
    if len(args) != 3 or args[0].type != BOOLEAN:
        return None
    c, x, y = args
    if is_real(x.type) and is_real(y.type):
        both = common(f, [x, y])
        assert both is not None
        (x, y), t = both
    elif x.type == y.type:
        t = x.type  # type: ignore[assignment]
    else:
        return None
    return Val(t, tuple(f.b.prim("select", c.leaf, p, q) for p, q in zip(x.leaves, y.leaves, strict=True)))
