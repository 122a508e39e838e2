"""Evaluation of primitives on Python numbers, for the interpreter and for constant folding.

Guarantees the bits of the native code: i64 wraps, f32 is rounded after every operation, the C library is called for
what native code calls it for, and a formula (`Primitive.expand`) is evaluated operation by operation as its kernel is.
Never raises. NaNs are one value: their sign and payload are not specified.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float
from typing import Any, Protocol

from dsl.ir.core import Region, Value
from dsl.ops.core import PRIMITIVES, Builder, Sym, result_type
from dsl.types import BOOL, F32, F64, I64, LeafType, is_ref


class Arithmetic(Protocol):
    """What numbers are: the interpreter takes one as a parameter, so that tests can run it in higher precision."""

    def constant(self, value: float | int | bool, type: LeafType) -> Any:
        """A constant of a leaf type."""

    def primitive(self, name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
        """A primitive's result on operands of the given types."""


def wrap(n: int) -> int:
    """An integer reduced to 64 bits, two's complement."""
    return ((n + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


def round_to_f32(x: float) -> float:
    """The nearest Float32, as a Python float; infinite where it is out of range."""
    return c_float(x).value


def of_type(value: Any, type: LeafType) -> Any:
    """A raw result brought to its leaf type."""
    if type == F64:
        return value
    if type == I64:
        return wrap(value)
    if type == F32:
        return round_to_f32(value)
    return bool(value) if type == BOOL else value


class FloatArithmetic:
    """IEEE double and single, 64-bit integers: the bits of native code."""

    def constant(self, value: float | int | bool, type: LeafType) -> Any:
        return of_type(float(value) if type in (F64, F32) else value, type)

    def primitive(self, name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
        p = PRIMITIVES[name]
        if p.expand is not None:
            return expanded(self, name, types, values)
        form = p.evaluate[types[0]] if isinstance(p.evaluate, dict) else p.evaluate
        assert form is not None
        return of_type(form(*values), result_type(name, types))


FLOAT = FloatArithmetic()


def evaluate(name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
    """A primitive's result for operands of the given leaf types: a float, int or bool."""
    return FLOAT.primitive(name, types, values)


class Known(Value):
    """A value that is there: a number beside its type."""

    __slots__ = ("value",)

    def __init__(self, type: LeafType, value: Any) -> None:
        super().__init__(type)
        self.value = value


class Evaluator(Builder):
    """A builder that computes at once where others append ops, so that a formula on Syms can be evaluated."""

    def __init__(self, arithmetic: Arithmetic = FLOAT) -> None:
        super().__init__(Region())
        self.arithmetic = arithmetic

    def const(self, value: float | int | bool, type: LeafType) -> Value:
        return Known(type, self.arithmetic.constant(value, type))

    def prim(self, name: str, *args: Value) -> Value:
        types = [a.type for a in args]
        values = [a.value for a in args if isinstance(a, Known)]
        return Known(result_type(name, types), self.arithmetic.primitive(name, types, values))

    def sym(self, value: Any, type: LeafType) -> Sym:
        """A number as an operand of formulas."""
        return Sym(self, Known(type, value))


def number(s: Sym) -> Any:
    """The number behind a Sym of an Evaluator."""
    assert isinstance(s.v, Known)
    return s.v.value


def expanded(arithmetic: Arithmetic, name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
    """A primitive evaluated through its formula."""
    formula = PRIMITIVES[name].expand
    assert formula is not None and not any(map(is_ref, types))
    e = Evaluator(arithmetic)
    return number(formula(*(e.sym(v, t) for v, t in zip(values, types, strict=True))))
