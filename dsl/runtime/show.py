"""Values as the language writes them (as Julia's compact `repr`), and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dsl.diagnostics.format import quote, show_bool, show_float, show_float32, show_int
from dsl.interp import Memory
from dsl.runtime.convert import to_leaves
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


def show(value: Any, type: LangType) -> str:
    """A Python value of a language type, in the language's notation."""
    return show_leaves(to_leaves(value, type), type)


def show_leaves(leaves: Sequence[Any], type: LangType) -> str:
    """A value, given by its leaves: `36`, `((x = 1.0, y = nothing),)`, `Point(1.0, 2.0)`, `Dict(:a => 1.0)`."""
    return make(leaves, type, _Text())


def to_json(leaves: Sequence[Any], type: LangType) -> Any:
    """What `json.dumps` takes: `null` for nothing, "NaN", "Inf" and "-Inf" for these, lists for tuples and vectors,
    objects for structs, named tuples and Dicts, whose symbol keys are written ":a"."""
    return make(leaves, type, _Json())


def _listed(items: Sequence[str]) -> str:
    """Items of a tuple: one alone has a comma behind it."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


class _Text:
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

    def tuple(self, items: Sequence[Any]) -> Any:
        return list(items)

    def named(self, type: NamedTupleType, items: Sequence[Any]) -> Any:
        return dict(zip(type.names, items, strict=True))

    def struct(self, type: StructType, items: Sequence[Any], memory: Memory | None) -> Any:
        return dict(zip(type.names, items, strict=True))

    def ref(self, type: RefType, item: Any, memory: Memory) -> Any:
        return item

    def vector(self, type: VectorType, items: Sequence[Any]) -> Any:
        return list(items)

    def dict(self, keys: Sequence[Any], values: Sequence[Any], memory: Memory) -> Any:
        return {str(k): v for k, v in zip(keys, values, strict=True)}

    def range(self, type: RangeType, start: Any, step: Any, length: int) -> Any:
        return [start + k * step for k in range(length)]

    def missing(self, type: LangType) -> Any:
        return None
