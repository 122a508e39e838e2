"""Top-level values whose memory has found wider element types since it was made: `v = []`, then `push!(v, 2.5)`.

The driver's leaves are converted in place, record by record, so that two names for one memory stay that. (Memory is
known here by its `rows` alone.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsl.lower.joins import PI, alternative, contents_of
from dsl.lower.values import split_at
from dsl.types import (
    BOTTOM,
    F32,
    F64,
    FLOAT32,
    FLOAT64,
    NOTHING,
    STRING,
    SYMBOL,
    DictType,
    FnType,
    Irrational,
    IterType,
    LangType,
    LeafType,
    NamedTupleType,
    OptionalType,
    RefType,
    StaticDictType,
    StringLit,
    StructType,
    SymbolLit,
    TupleType,
    VariantType,
    VectorType,
    intern,
    leaves,
)


def widen_leaves(old: LangType, new: LangType, values: Sequence[Any], seen: set[int]) -> list[Any]:
    """The leaves of a value of type `old` as those of type `new`, into which it joins."""
    if old in (new, BOTTOM):
        return list(values) if old == new else zeros(new)
    if new in (FLOAT64, FLOAT32):
        return [PI[old.name]] if isinstance(old, Irrational) else [float(values[0])]
    if new in (SYMBOL, STRING) and isinstance(old, SymbolLit | StringLit):
        return [intern(old.name if isinstance(old, SymbolLit) else old.text)]
    match new:
        case OptionalType():
            return _optional(old, new, values, seen)
        case VariantType():
            return _variant(old, new, values, seen)
        case VectorType() | RefType() | StaticDictType() | StructType(mutable=True):
            _widen_rows(values[0], contents_of(old), contents_of(new), seen)
            return list(values)
        case DictType() if isinstance(old, DictType):
            _widen_rows(values[0], contents_of(old), contents_of(new), seen)
            return list(values)
    return _items(_parts(old), _parts(new), values, seen)


def widen_scalars(old: LangType, new: LangType, values: Sequence[Any]) -> list[Any]:
    """The same for a look at the scalar leaves: memory is left as it is."""
    return widen_leaves(old, new, [None if hasattr(v, "rows") else v for v in values], {id(None)})


def zeros(t: LangType) -> list[Any]:
    """The leaves of a value that is never looked at."""
    return [_zero(leaf) for leaf in leaves(t)]


def _zero(leaf: LeafType) -> Any:
    if leaf in (F64, F32):
        return 0.0
    return {"i64": 0, "bool": False}.get(str(leaf))


def _parts(t: LangType) -> tuple[LangType, ...]:
    match t:
        case TupleType() | NamedTupleType() | StructType() | IterType():
            return t.items
        case FnType():
            return tuple(c for _, c in t.captures)
    raise AssertionError(t)


def _items(
    old: Sequence[LangType], new: Sequence[LangType], values: Sequence[Any], seen: set[int]
) -> list[Any]:
    out: list[Any] = []
    for o, n, part in zip(old, new, split_at(values, old), strict=True):
        out += widen_leaves(o, n, part, seen)
    return out


def _optional(old: LangType, new: OptionalType, values: Sequence[Any], seen: set[int]) -> list[Any]:
    if old == NOTHING:
        return [False, *zeros(new.item)]
    if isinstance(old, OptionalType):
        return [values[0], *widen_leaves(old.item, new.item, values[1:], seen)]
    return [True, *widen_leaves(old, new.item, values, seen)]


def _variant(old: LangType, new: VariantType, values: Sequence[Any], seen: set[int]) -> list[Any]:
    groups = [zeros(a) for a in new.alternatives]
    if not isinstance(old, VariantType):
        k = alternative(old, new)
        groups[k] = widen_leaves(old, new.alternatives[k], values, seen)
        return [k, *(v for g in groups for v in g)]
    tags = [alternative(a, new) for a in old.alternatives]
    for k, a, part in zip(tags, old.alternatives, split_at(values[1:], old.alternatives), strict=True):
        groups[k] = widen_leaves(a, new.alternatives[k], part, seen)
    return [tags[values[0]], *(v for g in groups for v in g)]


def _widen_rows(memory: Any, old: Sequence[LangType], new: Sequence[LangType], seen: set[int]) -> None:
    if id(memory) in seen or tuple(old) == tuple(new):
        return
    seen.add(id(memory))
    for row in memory.rows:
        row[:] = _items(old, new, row, seen)

