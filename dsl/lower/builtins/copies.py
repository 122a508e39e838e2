"""Copies of values that share no memory with them: what pullbacks keep aside, constants to differentiation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.ir.core import Value
from dsl.lower.arrays import geometry, load_at, new_array, record_at
from dsl.lower.frame import Frame
from dsl.lower.nests import choose, each, is_null, over
from dsl.lower.values import Val, part_types, split_at
from dsl.records import replace
from dsl.types import (
    I64,
    INT64,
    AdjointType,
    ArrayType,
    DictType,
    FnType,
    LangType,
    Mem,
    NamedTupleType,
    OptionalType,
    RefType,
    StaticDictType,
    StructType,
    TupleType,
    VariantType,
    VectorType,
    is_ref,
    leaves,
)  # fmt: skip

Leaf = Callable[[Value], Value]


def item_in(t: LangType) -> LangType:
    """The element type of an array type as its memory has it."""
    return t.vector.item if isinstance(t, AdjointType) else t.item  # type: ignore[union-attr]


def with_parts(t: LangType, items: list[LangType]) -> LangType:
    if isinstance(t, FnType):
        return replace(t, captures=tuple((n, i) for (n, _), i in zip(t.captures, items, strict=True)))
    assert isinstance(t, TupleType | NamedTupleType | StructType)
    return replace(t, items=tuple(items))


def load_record(f: Frame, m: Value, at: Value) -> list[Value]:
    assert isinstance(m.type, Mem)
    return f.b.op("load", (m, at), m.type.fields, first=0).results if m.type.fields else []


def own_type(t: LangType) -> LangType:
    """The type of a value's own copy: strided arrays become contiguous."""
    match t:
        case ArrayType():
            item = own_type(item_in(t))
            if t.layout != "S":
                return replace(t, item=item)
            return VectorType(item) if t.rank == 1 else ArrayType(item, t.rank, "F")
        case VectorType():
            item = item_in(t)
            own = own_type(item)
            return t if own == item else VectorType(own)
        case AdjointType():
            return AdjointType(own_type(t.vector))
        case TupleType() | NamedTupleType() | FnType() | StructType(mutable=False):
            return with_parts(t, [own_type(i) for i in part_types(t)])
        case OptionalType():
            return replace(t, item=own_type(t.item))
    return t


def own(f: Frame, v: Val, leaf: Leaf = lambda x: x) -> Val:
    """A copy of a value that shares no memory with it (what pullbacks keep aside); `leaf` is applied to each number.
    Memory met by two ways is copied twice."""
    t = v.type
    if not any(map(is_ref, leaves(t))):
        return Val(t, tuple(map(leaf, v.leaves)), v.known)
    match t:
        case VectorType() | ArrayType():
            return _own_array(f, v, leaf)
        case AdjointType():
            vector = own(f, Val(t.vector, v.leaves), leaf)
            return Val(AdjointType(vector.type), vector.leaves)
        case TupleType() | NamedTupleType() | FnType() | StructType(mutable=False):
            types = part_types(t)
            parts = [own(f, Val(i, tuple(p)), leaf) for i, p in zip(types, split_at(v.leaves, types), strict=True)]
            return Val(with_parts(t, [p.type for p in parts]), tuple(x for p in parts for x in p.leaves))
        case RefType() | StructType() | StaticDictType():
            return Val(t, (_own_memory(f, f.current(t), v.leaf, leaf),))
        case DictType():
            entries = _own_memory(f, f.current(t), v.leaves[0], leaf)
            return Val(t, (entries, _own_memory(f, (INT64,), v.leaves[1], lambda x: x)))
        case OptionalType():
            inner = own(f, Val(t.item, v.leaves[1:]), leaf)
            return Val(replace(t, item=inner.type), (v.leaves[0], *inner.leaves))
        case VariantType():
            parts = [own(f, Val(a, tuple(p)), leaf) for a, p in
                     zip(t.alternatives, split_at(v.leaves[1:], t.alternatives), strict=True)]  # fmt: skip
            return Val(VariantType(tuple(p.type for p in parts)), (v.leaves[0], *(x for p in parts for x in p.leaves)))
    return v


def _own_array(f: Frame, v: Val, leaf: Leaf) -> Val:
    item = item_in(v.type)
    made = own_type(v.type)
    if not isinstance(v.type, ArrayType) or v.type.layout != "S":
        return Val(made, (_own_memory(f, (item,), v.leaves[0], leaf), *v.leaves[1:]))
    g = geometry(f, v)
    out = new_array(f, made.item, g.sizes)  # type: ignore[union-attr]
    to = geometry(f, out)
    over(f, g.sizes, lambda at: f.store(to.mem, record_at(f, to, at), own(f, load_at(f, g, at), leaf)))
    return out


def _own_memory(f: Frame, items: Sequence[LangType], m: Value, leaf: Leaf) -> Value:
    """A copy of all records of a memory; null of null."""
    owned = [own_type(i) for i in items]
    t = Mem(tuple(x for i in owned for x in leaves(i)))

    def copy() -> Value:
        n = f.b.op("len", (m,), (I64,)).result
        out = f.b.op("new", (n,), (t,)).result

        def one(k: Value) -> None:
            fields = load_record(f, m, k)
            parts = [own(f, Val(i, tuple(p)), leaf) for i, p in zip(items, split_at(fields, items), strict=True)]
            values = [x for p in parts for x in p.leaves]
            if values:
                f.b.op("store", (out, k, *values), first=0)

        each(f, n, one)
        return out

    if not t.fields:
        return m
    return choose(f, is_null(f, m), t, lambda: f.b.zero(t), copy)
