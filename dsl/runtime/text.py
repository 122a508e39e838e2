"""A value as text in the language's notation, given by its leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsl.diagnostics.format import quote, show_bool, show_float, show_float32, show_int
from dsl.interp import Memory
from dsl.runtime.shape import make
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    STRING,
    SYMBOL,
    FnType,
    Irrational,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    RefType,
    StringLit,
    StructType,
    SymbolLit,
    TypeValue,
    VectorType,
    interned,
)

_NUMBERS: dict[LangType, Any] = {
    FLOAT64: show_float, FLOAT32: show_float32, INT64: show_int, BOOLEAN: show_bool,
}  # fmt: skip


def joined(parts: Sequence[tuple[LangType, Sequence[Any]]]) -> str:
    """The text of `"x = $x"`: strings and symbols as they are, other values as the language writes them."""
    return "".join(_inside_text(type, leaves) for type, leaves in parts)


def _inside_text(type: LangType, leaves: Sequence[Any]) -> str:
    match type:
        case StringLit():
            return type.text
        case SymbolLit():
            return type.name
        case OptionalType():
            return _inside_text(type.item, leaves[1:]) if leaves[0] else "nothing"
    return interned(leaves[0]) if type in (SYMBOL, STRING) else make(leaves, type, Text())


def _listed(items: Sequence[str]) -> str:
    """Items of a tuple: one alone has a comma behind it."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


class Text:
    """A `Maker` of texts."""

    def atom(self, type: LangType, leaf: Any) -> str:
        match type:
            case SymbolLit():
                return _symbol(type.name)
            case StringLit():
                return quote(type.text)
            case Irrational():
                return type.name
            case TypeValue():
                return str(type.type)
        if type in _NUMBERS:
            return str(_NUMBERS[type](leaf))
        if type in (SYMBOL, STRING):
            return _symbol(interned(leaf)) if type == SYMBOL else quote(interned(leaf))
        return "nothing"

    def function(self, type: LangType, leaves: Sequence[Any]) -> str:
        return type.name if isinstance(type, FnType) else str(type)

    def text(self, parts: Sequence[tuple[LangType, Sequence[Any]]]) -> str:
        return quote(joined(parts))

    def tuple(self, items: Sequence[str]) -> str:
        return _listed(items)

    def named(self, type: NamedTupleType, items: Sequence[str]) -> str:
        return _listed([f"{n} = {i}" for n, i in zip(type.names, items, strict=True)]) if items else "NamedTuple()"

    def struct(self, type: StructType, items: Sequence[str], memory: Memory | None) -> str:
        return f"{type.name}({', '.join(items)})"

    def ref(self, type: RefType, item: str, memory: Memory) -> str:
        return f"Ref({item})"

    def vector(self, type: VectorType, items: Sequence[str]) -> str:
        return f"[{', '.join(items)}]" if items else f"{type.item}[]"

    def dict(self, keys: Sequence[str], values: Sequence[str], memory: Memory) -> str:
        return f"Dict({', '.join(f'{k} => {v}' for k, v in zip(keys, values, strict=True))})"

    def range(self, type: RangeType, start: Any, step: Any, length: int) -> str:
        number = _NUMBERS[type.item]
        stop = start + step * (length - 1)
        middle = "" if step == 1 and type.item == INT64 else f"{number(step)}:"
        return f"{number(start)}:{middle}{number(stop)}"

    def missing(self, type: LangType) -> str:
        return "nothing"


def _symbol(name: str) -> str:
    return f":{name}" if name.isidentifier() or not any(c.isspace() or c in '"()[]{},;' for c in name) else (
        f"Symbol({quote(name)})"
    )
