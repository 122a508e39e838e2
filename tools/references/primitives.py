"""The reference page of the primitives, made from their table: what each computes, and its derivative as a formula."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dsl.diagnostics.format import show_float
from dsl.ir.core import Region, Value
from dsl.ops import PRIMITIVES, Builder, Primitive, Sym, elementary, result_type, special
from dsl.types import F64, I64, LeafType, Scalar

LONGEST = 90  # characters of a formula that is shown as one
OPERATORS = {"add": (1, "+"), "sub": (1, "-"), "mul": (2, "*"), "div": (2, "/"),
             "eq": (0, "=="), "lt": (0, "<"), "le": (0, "<="), "gt": (0, ">"), "ge": (0, ">=")}  # fmt: skip
CONSTANTS = {math.pi: "π", math.log(2.0): "log(2)", math.log(10.0): "log(10)", special.TWO_OVER_SQRT_PI: "2/√π",
             elementary.DEGREE: "π/180", 180.0 / math.pi: "180/π", math.inf: "Inf"}  # fmt: skip
ATOM = 9

INTRODUCTION = """\
# Scalar primitives

Made by `tools/reference` from the tables in `dsl/ops/`; do not edit. Integers wrap to 64 bits; the operands of
derivative formulas are `x`, `y`, `z` (`n` where it is an integer), `out` is the result, and `d` what is scaled: the
operand's tangent in forward mode, the result's cotangent in reverse mode. `0` means: passes no derivative.
"""


class _Text(Value):
    """A value that is a formula, and how tightly it binds."""

    __slots__ = ("binding", "text")

    def __init__(self, type: LeafType, text: str, binding: int = ATOM) -> None:
        super().__init__(type)
        self.text = text
        self.binding = binding


class _Formulas(Builder):
    """A builder that writes formulas where others append ops."""

    def __init__(self) -> None:
        super().__init__(Region())

    def const(self, value: float | int | bool, type: LeafType) -> Value:
        if isinstance(value, float):
            return _Text(type, CONSTANTS.get(value) or show_float(value).removesuffix(".0"))
        return _Text(type, str(value))

    def prim(self, name: str, *args: Value) -> Value:
        operands = [a for a in args if isinstance(a, _Text)]
        return _Text(result_type(name, [a.type for a in args]), *_written(name, operands))


def _written(name: str, operands: list[_Text]) -> tuple[str, int]:
    """A primitive's formula from its operands', and how tightly it binds."""
    if name in OPERATORS:
        level, sign = OPERATORS[name]
        left, right = operands
        return f"{_inside(left, level)} {sign} {_inside(right, level + (name != 'add'))}", level
    if name == "neg":
        return f"-{_inside(operands[0], 2)}", 1
    if name in ("tof64", "tof32"):
        return operands[0].text, operands[0].binding
    if name == "select":
        return "ifelse({}, {}, {})".format(*(o.text for o in operands)), ATOM
    return f"{name}({', '.join(o.text for o in operands)})", ATOM


def _inside(operand: _Text, level: int) -> str:
    return operand.text if operand.binding >= level else f"({operand.text})"


def operand_names(types: Iterable[Scalar]) -> list[str]:
    """x, y, z for numbers; n for an integer beside floats; c for a condition."""
    kinds = [str(t) for t in types]
    mixed = len(set(kinds)) > 1
    letters = iter("xyz")
    return ["n" if k == "i64" and mixed else "c" if k == "bool" and mixed else next(letters) for k in kinds]


def derivative_formulas(p: Primitive) -> list[str]:
    """One formula an operand; `0` for None, "a series" where it is too long to be read."""
    types, result = next((s for s in p.signatures if F64 in s[0]), p.signatures[0])
    b = _Formulas()
    operands = [Sym(b, _Text(t, name)) for t, name in zip(types, operand_names(types), strict=True)]
    out, d = Sym(b, _Text(result, "out")), Sym(b, _Text(F64 if result == I64 else result, "d"))
    formulas = []
    for entry in p.derivative:
        value = entry(d, *operands, out).v if entry else _Text(F64, "0")
        assert isinstance(value, _Text)
        formulas.append(f"`{value.text}`" if len(value.text) <= LONGEST else "a series")
    return formulas


def _signatures(p: Primitive) -> str:
    return "; ".join(f"{', '.join(map(str, o))} → {r}" for o, r in p.signatures)


def _entry(p: Primitive) -> list[str]:
    names = operand_names(next((o for o, _ in p.signatures if F64 in o), p.signatures[0][0]))
    lines = [f"**`{p.name}({', '.join(names)})`** {p.doc}  ", f"{_signatures(p)}  "]
    formulas = derivative_formulas(p)
    if any(f != "`0`" for f in formulas):
        by = (f"by {n}: {f}" for n, f in zip(names, formulas, strict=True))
        lines.append("derivative " + ", ".join(by) + "  ")
    if p.domain:
        lines.append(f"outside its domain: “{p.domain[1].format(*names)}”  ")
    return [*lines, ""]


def page() -> str:
    """The whole page, in the order of the tables."""
    return "\n".join([INTRODUCTION, *(line for p in PRIMITIVES.values() for line in _entry(p))])
