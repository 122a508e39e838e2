"""Values as the language writes them (as Julia's compact `repr`), and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dsl.diagnostics.format import show_float
from dsl.interp import Memory
from dsl.runtime.convert import to_leaves
from dsl.runtime.shape import Items, make
from dsl.runtime.text import Text, joined
from dsl.types import (
    STRING,
    SYMBOL,
    FnType,
    Irrational,
    LangType,
    NamedTupleType,
    RangeType,
    RefType,
    StringLit,
    StructType,
    SymbolLit,
    TypeValue,
    interned,
)


def show(value: Any, type: LangType) -> str:
    """A Python value of a language type, in the language's notation."""
    return show_leaves(to_leaves(value, type), type)


def show_leaves(leaves: Sequence[Any], type: LangType, most: int | None = None) -> str:
    """A value, given by its leaves: `36`, `((x = 1.0, y = nothing),)`, `Point(1.0, 2.0)`, `[1.0 2.0; 3.0 4.0]`. Of an
    array of more than `most` elements (None: any) only the beginning and the end are shown."""
    return make(leaves, type, Text(most))


def to_json(leaves: Sequence[Any], type: LangType) -> Any:
    """What `json.dumps` takes: `null` for nothing, "NaN", "Inf" and "-Inf" for these, lists for tuples and arrays
    (a matrix is a list of its rows), objects for structs, named tuples and Dicts. Symbol keys are written ":a"."""
    return make(leaves, type, _Json())


class _Json:
    """A `Maker` of lists, dicts, numbers and texts."""

    def atom(self, type: LangType, leaf: Any) -> Any:
        match type:
            case SymbolLit():
                return f":{type.name}"
            case StringLit():
                return type.text
            case Irrational():
                return math.pi if type.name == "π" else math.e
            case TypeValue():
                return str(type.type)
        if type == SYMBOL:
            return f":{interned(leaf)}"
        if type == STRING:
            return interned(leaf)
        if isinstance(leaf, float) and not math.isfinite(leaf):
            return show_float(leaf)
        return leaf

    def function(self, type: LangType, leaves: Sequence[Any]) -> Any:
        return type.name if isinstance(type, FnType) else str(type)

    def text(self, parts: Sequence[tuple[LangType, Sequence[Any]]]) -> Any:
        return joined(parts)

    def tuple(self, items: Sequence[Any]) -> Any:
        return list(items)

    def named(self, type: NamedTupleType, items: Sequence[Any]) -> Any:
        return dict(zip(type.names, items, strict=True))

    def struct(self, type: StructType, items: Sequence[Any], memory: Memory | None) -> Any:
        return dict(zip(type.names, items, strict=True))

    def ref(self, type: RefType, item: Any, memory: Memory) -> Any:
        return item

    def array(self, type: LangType, values: Sequence[Any], items: Items[Any]) -> Any:
        return items.nested()

    def dict(self, keys: Sequence[Any], values: Sequence[Any], memory: Memory) -> Any:
        return {str(k): v for k, v in zip(keys, values, strict=True)}

    def range(self, type: RangeType, start: Any, step: Any, length: int) -> Any:
        return [start + k * step for k in range(length)]

    def missing(self, type: LangType) -> Any:
        return None
