"""Evaluation of primitives on Python numbers, for the interpreter and for constant folding.

Guarantees the bits of the native code: i64 wraps, f32 is rounded after every operation, the C library is called for
what native code calls it for, and a formula (`Primitive.expand`) is evaluated operation by operation as its kernel is.
Never raises. NaNs are one value: their sign and payload are not specified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Protocol

from dsl.ir.core import Region, Value
from dsl.ops.core import PRIMITIVES, Builder, Sym, result_type
from dsl.types import BOOL, F32, F64, I64, LeafType, is_ref, round_to_f32


class Arithmetic(Protocol):
    """What numbers are: the interpreter takes one as a parameter, so that tests can run it in higher precision."""

    def constant(self, value: float | int | bool, type: LeafType) -> Any:
        """A constant of a leaf type."""

    def primitive(self, name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
        """A primitive's result on operands of the given types."""


def wrap(n: int) -> int:
    """An integer reduced to 64 bits, two's complement."""
    return ((n + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


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
            return _formula(name, tuple(types))(*values)
        return of_type(_evaluation(name, types[0])(*values), result_type(name, types))


FLOAT = FloatArithmetic()


def evaluate(name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
    """A primitive's result for operands of the given leaf types: a float, int or bool."""
    return FLOAT.primitive(name, types, values)


def _evaluation(name: str, first: LeafType) -> Callable[..., Any]:
    """The Python function of a primitive without a formula."""
    form = PRIMITIVES[name].evaluate
    function = form[first] if isinstance(form, dict) else form
    assert function is not None
    return function


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


# ---------------------------------------------------------------- formulas as Python functions

# Primitives of doubles, bools and choices whose Python spelling has the bits as it stands.
_SPELLED = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "neg": "-{0}", "abs": "abs({0})", "tof64": "{0}",
    "lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}", "ge": "{0} >= {1}", "eq": "{0} == {1}",
    "ne": "{0} != {1}", "select": "{1} if {0} else {2}", "not": "not {0}", "and": "{0} and {1}", "or": "{0} or {1}",
}  # fmt: skip


class _Spelled(Value):
    """A value that is a name of Python."""

    __slots__ = ("text",)

    def __init__(self, type: LeafType, text: str) -> None:
        super().__init__(type)
        self.text = text


class _Speller(Builder):
    """A builder that writes a line of Python where others append ops; `names` are what the lines refer to."""

    def __init__(self) -> None:
        super().__init__(Region())
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}

    def const(self, value: float | int | bool, type: LeafType) -> Value:
        return _Spelled(type, self._named("c", FLOAT.constant(value, type)))

    def prim(self, name: str, *args: Value) -> Value:
        types = [a.type for a in args]
        result = result_type(name, types)
        operands = [a.text for a in args if isinstance(a, _Spelled)]
        if name in _SPELLED and (*types, result) == tuple(t if t == BOOL else F64 for t in (*types, result)):
            text = _SPELLED[name].format(*operands)
        elif PRIMITIVES[name].expand is None and result == F64:
            text = f"{self._named('f', _evaluation(name, types[0]))}({', '.join(operands)})"
        else:
            text = f"{self._named('f', partial(_on_operands, name, types))}({', '.join(operands)})"
        self.lines.append(f"v{len(self.lines)} = {text}")
        return _Spelled(result, f"v{len(self.lines) - 1}")

    def _named(self, stem: str, thing: Any) -> str:
        name = f"{stem}{len(self.names)}"
        self.names[name] = thing
        return name


def _on_operands(name: str, types: Sequence[LeafType], *values: Any) -> Any:
    return FLOAT.primitive(name, types, values)


@cache
def _formula(name: str, types: tuple[LeafType, ...]) -> Callable[..., Any]:
    """A primitive's formula as one function: the interpreter calls the elementary functions so often that walking
    over their some thirty operations each time would take most of its time."""
    expand = PRIMITIVES[name].expand
    assert expand is not None and not any(map(is_ref, types))
    speller = _Speller()
    result = expand(*(Sym(speller, _Spelled(t, f"x{k}")) for k, t in enumerate(types))).v
    assert isinstance(result, _Spelled)
    head = f"def function({', '.join(f'x{k}' for k in range(len(types)))}):"
    text = "\n    ".join([head, *speller.lines, f"return {result.text}"])
    exec(compile(text, f"<formula of {name}>", "exec"), speller.names)
    function: Callable[..., Any] = speller.names["function"]
    return function
