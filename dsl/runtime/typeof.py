"""The type that a Python value has in the language, decided by the value alone.

A list is a vector whose items have one type: that of all of them, or one that holds them without loss (Int64 and
Float64 give Float64, None and a type its optional type). An empty list is a vector of Float64. Nothing is converted
here; a value without a counterpart is an error that names it.
"""

from __future__ import annotations

from typing import Any

from dsl.diagnostics import DslError, error
from dsl.runtime.arrays import as_array, type_of_array
from dsl.runtime.convert import FunctionLike, Ref, Struct
from dsl.runtime.values import String
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    ArrayType,
    FnType,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    StaticDictType,
    StringLit,
    SymbolLit,
    TupleType,
    TypeValue,
    VariantType,
    VectorType,
)

MOST_NESTED = 64  # lists in lists


def type_of(value: Any, name: str = "an argument", complex_type: LangType | None = None) -> LangType:
    """The type of a Python value in the language; `name` is what an error message calls the value, `complex_type` the
    type of complex numbers."""
    match value:
        case bool():
            return BOOLEAN
        case int():
            return INT64
        case float():
            return FLOAT64
        case None:
            return NOTHING
        case String():
            return StringLit(str(value))
        case str():
            return SymbolLit(value)
        case Struct() | Ref():
            return value._type
        case tuple():
            items = tuple(type_of(v, name, complex_type) for v in value)
            names = getattr(value, "_fields", None)
            return TupleType(items) if names is None else NamedTupleType(tuple(names), items)
        case dict():
            return StaticDictType(
                tuple(_key(k, name) for k in value), tuple(type_of(v, name, complex_type) for v in value.values())
            )
        case range():
            return RangeType(INT64)
        case list():
            return VectorType(_item_type(value, name, complex_type))
    array = as_array(value)
    if array is not None:
        return type_of_array(array, name, complex_type)
    if isinstance(value, FunctionLike) and isinstance(value.type, FnType | VariantType | TypeValue):
        return value.type
    return _number_type(value, name, complex_type)


def _key(key: Any, name: str) -> str | int | StringLit:
    if isinstance(key, String):
        return StringLit(str(key))
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return key
    raise error(
        "E0602", f"{name} is a dict with the key {key!r}, and keys are symbols (str), strings or integers",
        hint='symbols are plain str, strings dsl.String("…")',
    )  # fmt: skip


def _number_type(value: Any, name: str, complex_type: LangType | None) -> LangType:
    """The type of a complex number or a NumPy scalar; anything else is an error."""
    kind = getattr(getattr(value, "dtype", None), "kind", "") if getattr(value, "shape", None) == () else ""
    if isinstance(value, complex) or kind == "c":
        if complex_type is not None:
            return complex_type
    elif kind == "b":
        return BOOLEAN
    elif kind in ("i", "u"):
        return INT64
    elif kind == "f" and value.dtype.itemsize <= 8:
        return FLOAT32 if value.dtype.itemsize == 4 else FLOAT64
    raise _refusal(value, name)


def _refusal(value: Any, name: str) -> DslError:
    sparse = hasattr(value, "toarray")
    return error(
        "E0602", f"{name} is a Python {type(value).__name__}, which has no counterpart in the language",
        hint="a sparse matrix becomes an array by x.toarray()" if sparse else
        "numbers, bools, None, str (symbols), dsl.String, tuples, dicts, lists, arrays, structs and functions have one",
    )  # fmt: skip


# ---------------------------------------------------------------- lists

# What lists of numbers become, by the Python types in them; an empty one is taken for numbers, too.
_LISTS: dict[frozenset[type], LangType] = {
    frozenset(): FLOAT64, frozenset({float}): FLOAT64, frozenset({float, int}): FLOAT64, frozenset({int}): INT64,
    frozenset({bool}): BOOLEAN,
}  # fmt: skip


def _item_type(items: list[Any], name: str, complex_type: LangType | None) -> LangType:
    """The element type of a list: the one type that all its items have, or can be given without loss."""
    found = _LISTS.get(frozenset(map(type, items)))
    if found is not None:
        return found
    if name.count("item ") > MOST_NESTED:
        raise error("E0602", f"{name.split(' of ')[-1]} is a list that is nested too deeply, or contains itself")
    found = _of_any(type_of(items[0], f"item 0 of {name}", complex_type))
    for k, item in enumerate(items[1:], 1):
        other = _of_any(type_of(item, f"item {k} of {name}", complex_type))
        common = _joined(found, other)
        if common is None:
            raise error("E0602", f"{name} is a list of different types: {found}, and item {k} is of type {other}",
                        hint="the items of a list have one type; a tuple may have several")  # fmt: skip
        found = common
    return found


def _of_any(type: LangType) -> LangType:
    """The type of an item whose symbols and strings may be others in the next item."""
    match type:
        case SymbolLit():
            return SYMBOL
        case StringLit():
            return STRING
        case TupleType():
            return TupleType(tuple(map(_of_any, type.items)))
        case NamedTupleType():
            return NamedTupleType(type.names, tuple(map(_of_any, type.items)))
    return type


_WIDTHS = (INT64, FLOAT32, FLOAT64)


def _joined(a: LangType, b: LangType) -> LangType | None:
    """The type that holds the values of two types, None where there is none."""
    if a == b:
        return a
    if a in _WIDTHS and b in _WIDTHS:
        return max(a, b, key=_WIDTHS.index)
    if NOTHING in (a, b):
        other = b if a == NOTHING else a
        return other if isinstance(other, OptionalType) else OptionalType(other)
    match a, b:
        case OptionalType(), _:
            inner = _joined(a.item, b.item if isinstance(b, OptionalType) else b)
            return None if inner is None else OptionalType(inner)
        case _, OptionalType():
            return _joined(b, a)
        case VectorType(), VectorType():
            inner = _joined(a.item, b.item)
            return None if inner is None else VectorType(inner)
        case TupleType(), TupleType() if len(a.items) == len(b.items):
            items = tuple(i for x, y in zip(a.items, b.items, strict=True) if (i := _joined(x, y)) is not None)
            return TupleType(items) if len(items) == len(a.items) else None
        case NamedTupleType(), NamedTupleType() if a.names == b.names:
            items = tuple(i for x, y in zip(a.items, b.items, strict=True) if (i := _joined(x, y)) is not None)
            return NamedTupleType(a.names, items) if len(items) == len(a.names) else None
        case VectorType() | ArrayType(), VectorType() | ArrayType():
            ranks = [1 if isinstance(t, VectorType) else t.rank for t in (a, b)]
            return ArrayType(a.item, ranks[0], "S") if a.item == b.item and ranks[0] == ranks[1] else None
    return None
