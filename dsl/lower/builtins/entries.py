"""What a gradient is made of: the entry of each argument, from its type and from what can influence the result.

A number gives a number or `nothing`; structs, named tuples and what a closure captures give named tuples, tuples
tuples, Dicts Dicts, vectors vectors. Where nothing in it has influence, an entry is `nothing` as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dsl.analysis.influence import Path
from dsl.diagnostics import Span, error
from dsl.ir.core import Region, Value
from dsl.lower.frame import Frame
from dsl.lower.values import UNIT, Val, named_val, show_type, tuple_val
from dsl.ops import Builder
from dsl.types import (
    F32,
    FLOAT32,
    FLOAT64,
    I64,
    INT64,
    NOTHING,
    DictType,
    FnType,
    LangType,
    Mem,
    NamedTupleType,
    OptionalType,
    Prim,
    RefType,
    StaticDictType,
    StructType,
    TupleType,
    VariantType,
    VectorType,
    leaves,
)  # fmt: skip

REALS = (FLOAT64, FLOAT32, INT64)



class Source(Protocol):
    """Where the parts of a derivative come from, by leaf number: the cotangent (or tangent) of a scalar leaf, the
    shadow of a reference leaf; None where there is none. `inside(k)` is the source of the records behind leaf k."""

    def leaf(self, k: int) -> Value | None: ...

    def shadow(self, k: int) -> Value | None: ...

    def inside(self, k: int) -> Source: ...


@dataclass
class Entries:
    """Cotangents and shadows of a target's parameters."""

    f: Frame
    cotangents: dict[int, Value]
    shadows: dict[int, Value]
    reach: frozenset[Path]

    def leaf(self, k: int) -> Value | None:
        return self.cotangents.get(k)

    def shadow(self, k: int) -> Value | None:
        return self.shadows.get(k)

    def inside(self, k: int) -> Source:
        return Record(self.f, self.shadows[k], (k,), self.reach)


@dataclass
class Record:
    """The first record of a shadow: what a Ref, a mutable struct or a Dict holds."""

    f: Frame
    memory: Value
    prefix: Path
    reach: frozenset[Path]

    def _load(self, k: int) -> Value:
        assert isinstance(self.memory.type, Mem)
        t = self.memory.type.fields[k]
        return self.f.b.op("load", (self.memory, self.f.b.i64(0)), (t,), first=k).result

    def leaf(self, k: int) -> Value | None:
        return self._load(k) if (*self.prefix, k) in self.reach else None

    def shadow(self, k: int) -> Value | None:
        path = (*self.prefix, k)
        return self._load(k) if any(p[: len(path)] == path for p in self.reach) else None

    def inside(self, k: int) -> Source:
        return Record(self.f, self._load(k), (*self.prefix, k), self.reach)


def entry(f: Frame, t: LangType, first: int, source: Source, given: Sequence[Value]) -> Val:
    """The gradient of a value of type t whose leaves begin at number `first`; `given` are those leaves."""
    match t:
        case Prim():
            d = source.leaf(first) if t in REALS else None
            return UNIT if d is None else number_val(d)
        case TupleType() | NamedTupleType() | FnType() | StructType(mutable=False):
            return _parts(f, t, first, source, given)
        case OptionalType():
            return entry(f, t.item, first + 1, source, given[1:])
        case RefType() | StructType() | StaticDictType():
            return _contents(f, t, first, source)
        case VectorType():
            return _vector(f, t, source.shadow(first), given[0], f.span)
        case DictType():
            return _dictionary(f, t, source.shadow(first), given, f.span)
        case VariantType():
            for k in range(len(leaves(t))):
                if source.leaf(first + k) is not None or source.shadow(first + k) is not None:
                    raise error("E0901", "the gradient with respect to what a function chosen at run time captures is "
                                "not supported yet", f.span)  # fmt: skip
    return UNIT


def number_val(d: Value) -> Val:
    return Val(FLOAT32 if d.type == F32 else FLOAT64, (d,))


def _names(t: LangType) -> tuple[str, ...] | None:
    """The names of the parts in a gradient; None for a tuple."""
    match t:
        case NamedTupleType() | StructType():
            return t.names
        case FnType():
            return tuple(name for name, _ in t.captures)
    return None


def _combine(t: LangType, parts: list[Val]) -> Val:
    if all(p.type == NOTHING for p in parts):
        return UNIT
    names = _names(t)
    return tuple_val(parts) if names is None else named_val(names, parts)


def _parts(f: Frame, t: LangType, first: int, source: Source, given: Sequence[Value]) -> Val:
    types = tuple(c for _, c in t.captures) if isinstance(t, FnType) else t.items  # type: ignore[union-attr]
    parts, at = [], 0
    for item in types:
        n = len(leaves(item))
        parts.append(entry(f, item, first + at, source, given[at : at + n]))
        at += n
    return _combine(t, parts)


def _contents(f: Frame, t: LangType, first: int, source: Source) -> Val:
    """The gradient of what is behind a reference, with the names of its fields."""
    if source.shadow(first) is None:
        return UNIT
    inner, parts, at = source.inside(first), [], 0
    items = (t.item,) if isinstance(t, RefType) else t.items  # type: ignore[union-attr]
    for item in items:
        n = len(leaves(item))
        nulls = [f.b.zero(leaf) for leaf in leaves(item)]
        parts.append(entry(f, item, at, inner, nulls))
        at += n
    if isinstance(t, RefType):
        return UNIT if parts[0].type == NOTHING else named_val(("x",), parts)
    if not isinstance(t, StaticDictType):
        return _combine(t, parts)
    if all(p.type == NOTHING for p in parts):
        return UNIT
    made = StaticDictType(t.keys, tuple(p.type for p in parts))
    m = f.b.op("new", (f.b.i64(1),), leaves(made)).result
    values = [leaf for p in parts for leaf in p.leaves]
    f.b.op("store", (m, f.b.i64(0), *values), first=0)
    return Val(made, (m,))


def tangent_item(t: LangType, span: Span) -> LangType:
    """The type of an element's gradient in a vector or Dict: numbers are 0.0 where they have no influence."""
    match t:
        case Prim() if t in REALS:
            return FLOAT32 if t == FLOAT32 else FLOAT64
        case TupleType():
            return TupleType(tuple(tangent_item(i, span) for i in t.items))
        case NamedTupleType() | StructType(mutable=False):
            return NamedTupleType(t.names, tuple(tangent_item(i, span) for i in t.items))
    if not leaves(t):
        return NOTHING
    raise error("E0901", f"the gradient of a collection of {show_type(t)} is not supported yet", span)


def _vector(f: Frame, t: VectorType, shadow: Value | None, given: Value, span: Span) -> Val:
    item = tangent_item(t.item, span)
    if shadow is None:
        shadow = f.b.op("shadow", (given,), leaves(VectorType(item))).result
    return Val(VectorType(item), (shadow,))


def _dictionary(f: Frame, t: DictType, shadow: Value | None, given: Sequence[Value], span: Span) -> Val:
    """A Dict of the same keys: its entries are the keys with what the shadow has for the values."""
    made = DictType(t.key, tangent_item(t.value, span))
    b, keys = f.b, leaves(t.key)
    entries = b.op("new", (b.i64(0),), leaves(made)[:1]).result
    region = Region([I64])
    body = Builder(region, b.span)
    key = body.op("load", (given[0], region.params[0]), keys, first=0).results
    types = leaves(made.value)
    if shadow is None:
        values = [body.zero(x) for x in types]
    else:
        values = body.op("load", (shadow, region.params[0]), types, first=len(keys)).results
    body.op("push", (entries, *key, *values))
    body.next_()
    last = b.prim("sub", b.op("len", (given[0],), (I64,)).result, b.i64(1))
    b.op("for", (b.i64(0), last, b.i64(1)), (), (region,))
    return Val(made, (entries, given[1]))
