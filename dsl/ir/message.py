"""The texts of `check` and `print` ops filled with run-time values: shared by the interpreter and native code."""

from __future__ import annotations

from collections.abc import Sequence

from dsl.diagnostics.format import fill, quote, show_bool, show_element, show_float, show_float32
from dsl.types import BOOL, F32, F64, I64, LeafType, interned


def message(text: str, values: Sequence[float | int | bool], types: Sequence[LeafType]) -> str:
    """The template with `{k}` replaced by operand k in the language's notation. Styles: `{k:sym}` the text behind an
    interned number, `{k:quoted}` that text as a string literal, `{k:symbol}` as a symbol (`:a`), `{k:plus1}` an index
    counted from 1, `{k:element}` a Bool or Float32 as an element of an array."""
    return fill(text, lambda k, style: _show(values[k], types[k], style))


def _show(value: float | int | bool, type: LeafType, style: str) -> str:
    if style == "element" and type in (BOOL, F32):
        return show_element(value, type == BOOL)
    if type == BOOL:
        return show_bool(bool(value))
    if type == F64:
        return show_float(float(value))
    if type == F32:
        return show_float32(float(value))
    if type != I64:
        return "<reference>"
    number = int(value)
    match style:
        case "sym":
            return interned(number)
        case "quoted":
            return quote(interned(number))
        case "symbol":
            return f":{interned(number)}"
        case "plus1":
            return str(number + 1)
    return str(number)
