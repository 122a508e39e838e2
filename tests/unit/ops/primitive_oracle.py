"""What primitives mean, in mpmath: written down independently of the tables, for any precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mpmath import mp, mpf

from dsl.ops import FLOAT, PRIMITIVES, Builder, Evaluator, Sym, result_type
from dsl.ops.core import IN_LANES
from dsl.ops.evaluation import Known, number
from dsl.ops.polynomials import FAR, WHOLE
from dsl.types import BOOL, F32, F64, I64, LeafType

mp.dps = 50


def _rem(x: Any, y: Any) -> Any:
    return x - y * (mp.floor(x / y) if x / y > 0 else mp.ceil(x / y))


def _truncate(x: Any) -> Any:
    return mp.floor(x) if x >= 0 else mp.ceil(x)


def _far(f: Callable[..., Any], near: Sequence[tuple[float, float]], *operands: Any) -> Any:
    *x, value = operands
    return value if all(first <= v <= last for v, (first, last) in zip(x, near, strict=True)) else f(*x)


MP: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y,
    "neg": lambda x: -x, "strongmul": lambda x, y: x * y if x else mp.mpf(0),
    "strongdiv": lambda x, y: x / y if x else mp.mpf(0),
    "muladd": lambda x, y, z: x * y + z, "fma": lambda x, y, z: x * y + z,
    "rem": _rem, "mod": lambda x, y: x - y * mp.floor(x / y),
    "quo": lambda x, y: _truncate(x / y), "fld_": lambda x, y: mp.floor(x / y),
    "powi": lambda x, n: x**n, "pow": lambda x, y: x**y,
    "eq": lambda x, y: x == y, "ne": lambda x, y: x != y, "lt": lambda x, y: x < y, "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y, "ge": lambda x, y: x >= y,
    "not": lambda x: not x, "and": lambda x, y: x and y, "or": lambda x, y: x or y, "xor": lambda x, y: x != y,
    "select": lambda c, x, y: x if c else y,
    "max": lambda x, y: max(x, y), "min": lambda x, y: min(x, y),
    "clamp": lambda x, lo, hi: min(max(x, lo), hi), "relu": lambda x: max(x, 0 * x),
    "abs": abs, "sign": mp.sign, "copysign": lambda x, y: abs(x) * (1 if y >= 0 else -1),
    "flipsign": lambda x, y: x * (1 if y >= 0 else -1),
    "floor": mp.floor, "ceil": mp.ceil, "trunc": _truncate, "round": mp.nint,
    "tof64": lambda x: x, "tof32": lambda x: x, "toi64": lambda x: int(_truncate(x)), "booltof64": mpf,
    "booltoi64": int,
    "sqrt": mp.sqrt, "cbrt": lambda x: mp.root(x, 3), "hypot": mp.hypot,
    "exp": mp.exp, "exp2": lambda x: mpf(2) ** x, "exp10": lambda x: mpf(10) ** x, "expm1": mp.expm1,
    "log": mp.log, "log2": lambda x: mp.log(x, 2), "log10": lambda x: mp.log(x, 10), "log1p": mp.log1p,
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "asin": mp.asin, "acos": mp.acos, "atan": mp.atan,
    "atan2": mp.atan2, "sinpi": mp.sinpi, "cospi": mp.cospi, "sinc": mp.sincpi,
    "sind": lambda x: mp.sin(mp.radians(x)), "cosd": lambda x: mp.cos(mp.radians(x)),
    "tand": lambda x: mp.tan(mp.radians(x)), "deg2rad": mp.radians, "rad2deg": mp.degrees,
    "sec": mp.sec, "csc": mp.csc, "cot": mp.cot, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh,
    "asinh": mp.asinh, "acosh": mp.acosh, "atanh": mp.atanh, "sech": mp.sech, "csch": mp.csch, "coth": mp.coth,
    "asec": mp.asec, "acsc": mp.acsc, "acot": mp.acot, "asech": mp.asech, "acsch": mp.acsch, "acoth": mp.acoth,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
    "gaussian": lambda x: mp.exp(-x * x), "erf": mp.erf, "erfc": mp.erfc, "erfinv": mp.erfinv,
    "gamma": mp.gamma, "loggamma": mp.loggamma, "digamma": mp.digamma, "trigamma": lambda x: mp.polygamma(1, x),
    "beta": mp.beta, "logbeta": lambda x, y: mp.log(mp.beta(x, y)),
    "besselj": mp.besselj, "bessely": mp.bessely,
    "pow2": lambda t: mp.ldexp(1, int(mp.nint(t - WHOLE - 1023))), "odd": lambda t: int(mp.nint(t)) % 2 == 1,
    "exponent": lambda x: mp.floor(mp.log(x, 2) + 0.5), "mantissa": lambda x: x / 2 ** mp.floor(mp.log(x, 2) + 0.5),
    "halfturns": lambda x, t: -x if int(mp.nint(t)) & 2 else x,
    "besselj0": lambda x: mp.besselj(0, x), "besselj1": lambda x: mp.besselj(1, x),
    "bessely0": lambda x: mp.bessely(0, x), "bessely1": lambda x: mp.bessely(1, x),
}  # fmt: skip

MP |= {other: MP[name] for name, other in IN_LANES.items()}
MP |= {name: partial(_far, MP[c], near) for name, (c, near) in FAR.items()}


class MpArithmetic:
    """Floats as numbers of 50 digits; integers and bools as they are. What has no entry above is evaluated through its
    formula, or exactly on integers."""

    def constant(self, value: float | int | bool, type: LeafType) -> Any:
        return mpf(value) if type in (F64, F32) else FLOAT.constant(value, type)

    def primitive(self, name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
        if all(t in (I64, BOOL) for t in types) and result_type(name, types) in (I64, BOOL):
            return FLOAT.primitive(name, types, values)
        if name in MP:
            value = MP[name](*values)
            return mpf(value) if result_type(name, types) == F64 else value
        formula = PRIMITIVES[name].expand
        assert formula is not None, name
        e = Evaluator(self)
        return number(formula(*(e.sym(v, t) for v, t in zip(values, types, strict=True))))


class Paired(Known):
    """A value with its tangent, both values of the builder below; no tangent stands for zero."""

    __slots__ = ("tangent",)

    def __init__(self, value: Known, tangent: Known | None) -> None:
        super().__init__(value.type, value)
        self.tangent = tangent


class Forward(Builder):
    """Forward mode by the table alone: a builder whose values carry tangents, on top of another builder, which may be
    of this kind again for higher orders."""

    def __init__(self, below: Builder) -> None:
        super().__init__(below.region)
        self.below = below

    def const(self, value: float | int | bool, type: LeafType) -> Paired:
        return Paired(self.below.const(value, type), None)  # type: ignore[arg-type]

    def prim(self, name: str, *args: Any) -> Paired:
        primals = [a.value for a in args]
        result = self.below.prim(name, *primals)
        operands = [Sym(self.below, v) for v in (*primals, result)]
        total: Sym | None = None
        for entry, arg in zip(PRIMITIVES[name].derivative, args, strict=True):
            if entry is not None and arg.tangent is not None:
                term = entry(Sym(self.below, arg.tangent), *operands).to(F64 if result.type == I64 else result.type)
                total = term if total is None else total + term
        return Paired(result, None if total is None else total.v)  # type: ignore[arg-type]


def derivatives(name: str, types: Sequence[LeafType], values: Sequence[Any], *order: int) -> float:
    """The partial derivative of a primitive by the operands numbered in `order` (one number for each time), from the
    entries of the table, in double precision."""
    builders: list[Builder] = [Evaluator()]
    for _ in order:
        builders.append(Forward(builders[-1]))

    def lift(k: int, level: int) -> Any:
        """Operand k at a level: differentiated there where the order says so."""
        if level == 0:
            return Known(types[k], values[k])
        below = builders[level - 1]
        seed = below.const(1.0, F64 if types[k] == I64 else types[k]) if order[level - 1] == k else None
        return Paired(lift(k, level - 1), seed)  # type: ignore[arg-type]

    top = builders[-1].prim(name, *(lift(k, len(order)) for k in range(len(types))))
    for _ in order:
        assert isinstance(top, Paired)
        if top.tangent is None:
            return 0.0
        top = top.tangent
    assert isinstance(top, Known)
    return float(top.value)
