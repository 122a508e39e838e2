"""One walk over the leaves of a value by its language type, for all that is made of it: Python objects, texts, JSON.

A `Maker` says what to make of each kind of value, given what has been made of its parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from dsl.interp import Memory
from dsl.runtime.arrays import place_of
from dsl.runtime.buffers import unpacked
from dsl.types import (
    INT64,
    AdjointType,
    ArrayType,
    DictType,
    FnType,
    IterType,
    LangType,
    NamedTupleType,
    ObjType,
    OptionalType,
    RangeType,
    RefType,
    StaticDictType,
    StringLit,
    StructType,
    SymbolLit,
    TupleType,
    VariantType,
    VectorType,
    leaves,
    record_leaves,
)

T = TypeVar("T")


class Maker(Protocol[T]):
    def atom(self, type: LangType, leaf: Any) -> T:
        """A number, bool, symbol, string, type, irrational or nothing; `leaf` is None where the type has none."""

    def function(self, type: LangType, leaves: Sequence[Any]) -> T: ...

    def text(self, parts: Sequence[tuple[LangType, Sequence[Any]]]) -> T:
        """Text with values in it; `runtime.text.joined` puts it together."""

    def tuple(self, items: Sequence[T]) -> T: ...

    def named(self, type: NamedTupleType, items: Sequence[T]) -> T: ...

    def struct(self, type: StructType, items: Sequence[T], memory: Memory | None) -> T:
        """`memory` holds the fields of a mutable one."""

    def ref(self, type: RefType, item: T, memory: Memory) -> T: ...

    def array(self, type: LangType, values: Sequence[Any], items: Items[T]) -> T:
        """A vector, an array of any layout, or a row (`v'`), given by its leaves; `items` makes its elements."""

    def dict(self, keys: Sequence[T], values: Sequence[T], memory: Memory) -> T: ...

    def range(self, type: RangeType, start: Any, step: Any, length: int) -> T: ...

    def missing(self, type: LangType) -> T:
        """A reference to nothing: a part of a value that is not in use."""


class Items(Generic[T]):
    """The elements of an array, each made when it is asked for."""

    def __init__(self, type: LangType, values: Sequence[Any], maker: Maker[T]) -> None:
        self.place = place_of(type, values)
        self.sizes = self.place.sizes
        self._item = type.vector.item if isinstance(type, AdjointType) else type.item  # type: ignore[union-attr]
        self._memory = values[0]
        self._rows: list[list[Any]] | None = None
        self._maker = maker

    def at(self, indices: Sequence[int]) -> T:
        """An element, by indices from 0 on."""
        if self._rows is None:
            self._rows = list(unpacked(self._memory))
        at = self.place.offset + sum(i * s for i, s in zip(indices, self.place.strides, strict=True))
        return make(self._rows[at], self._item, self._maker)

    def nested(self, indices: tuple[int, ...] = ()) -> Any:
        """All elements, as lists of lists: a matrix is a list of its rows."""
        if len(indices) == len(self.sizes):
            return self.at(indices)
        return [self.nested((*indices, k)) for k in range(self.sizes[len(indices)])]


def make(values: Sequence[Any], type: LangType, maker: Maker[T]) -> T:
    """What the maker makes of a value, given as the list of its leaves."""
    return _make(iter(values), type, maker)


def _make(source: Iterator[Any], type: LangType, maker: Maker[T]) -> T:
    match type:
        case FnType() | ObjType():
            return maker.function(type, _take(source, type))
        case VariantType():
            return _variant(source, type, maker)
        case IterType(kind="text"):
            return maker.text([(t, _take(source, t)) for t in type.items])
        case TupleType() | IterType():
            return maker.tuple(_each(source, type.items, maker))
        case NamedTupleType():
            return maker.named(type, _each(source, type.items, maker))
        case StructType(mutable=False):
            return maker.struct(type, _each(source, type.items, maker), None)
        case OptionalType():
            there, inner = next(source), _take(source, type.item)
            return make(inner, type.item, maker) if there else maker.atom(type, None)
        case RangeType():
            return maker.range(type, next(source), next(source), next(source))
        case DictType():
            return _dictionary(source, type, maker)
        case VectorType() | ArrayType() | AdjointType():
            parts = _take(source, type)
            return maker.missing(type) if parts[0] is None else maker.array(type, parts, Items(type, parts, maker))
        case StructType() | RefType() | StaticDictType():
            memory = next(source)
            return maker.missing(type) if memory is None else _referred(memory, type, maker)
    return maker.atom(type, next(source) if leaves(type) else None)


def _take(source: Iterator[Any], type: LangType) -> list[Any]:
    return [next(source) for _ in leaves(type)]


def _each(source: Iterator[Any], types: Sequence[LangType], maker: Maker[T]) -> list[T]:
    return [_make(source, t, maker) for t in types]


def _referred(memory: Memory, type: LangType, maker: Maker[T]) -> T:
    """What is behind a reference."""
    match type:
        case RefType():
            return maker.ref(type, make(memory.rows[0], type.item, maker), memory)
        case StructType():
            return maker.struct(type, _each(iter(memory.rows[0]), type.items, maker), memory)
        case StaticDictType():
            keys = [maker.atom(*_key(k)) for k in type.keys]
            return maker.dict(keys, _each(iter(memory.rows[0]), type.items, maker), memory)
    raise AssertionError(type)


def _variant(source: Iterator[Any], type: VariantType, maker: Maker[T]) -> T:
    tag = next(source)
    parts = [_take(source, t) for t in type.alternatives]
    return make(parts[tag], type.alternatives[tag], maker)


def _dictionary(source: Iterator[Any], type: DictType, maker: Maker[T]) -> T:
    entries, _ = next(source), next(source)
    if entries is None:
        return maker.missing(type)
    split = len(leaves(type.key))
    rows = list(unpacked(entries))
    keys = [make(row[:split], type.key, maker) for row in rows]
    values = [make(row[split:], type.value, maker) for row in rows]
    return maker.dict(keys, values, entries)


def _key(key: str | int | StringLit) -> tuple[LangType, Any]:
    """The type and leaf of a key of a static Dict."""
    if isinstance(key, StringLit):
        return key, None
    return (INT64, key) if isinstance(key, int) else (SymbolLit(key), None)


def fields_of(type: StructType | StaticDictType) -> list[slice]:
    """Where the leaves of each field are in the record of a mutable struct or static Dict."""
    places, start = [], 0
    for item in type.items:
        end = start + len(leaves(item))
        places.append(slice(start, end))
        start = end
    assert start == len(record_leaves(type))
    return places
