"""What a gradient is made of: the entry of each argument, from its type and from what can influence the result.

A number gives a number or `nothing`; structs, named tuples and what a closure captures give named tuples, tuples
tuples, Dicts Dicts, arrays arrays of the same layout. Where nothing in it has influence, an entry is `nothing` as a
whole; an array of numbers then gives zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dsl.analysis.influence import Path
from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.builtins.duals import REALS, carried, combine, dual_value, items_behind, number_val, parts_of, shape_of
from dsl.lower.frame import Frame
from dsl.lower.values import UNIT, Val
from dsl.records import dataclass
from dsl.types import (
    NOTHING,
    AdjointType,
    ArrayType,
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
    tangent,
)  # fmt: skip


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
            return _contents(f, t, first, source, given)
        case VectorType() | ArrayType() | AdjointType() | DictType():
            return _collection(f, t, source.shadow(first), given)
        case VariantType():
            for k in range(len(leaves(t))):
                if source.leaf(first + k) is not None or source.shadow(first + k) is not None:
                    raise error("E0901", "the gradient with respect to what a function chosen at run time captures is "
                                "not supported yet", f.span)  # fmt: skip
    return UNIT


def _combine(f: Frame, t: LangType, parts: list[Val]) -> Val:
    return UNIT if all(p.type == NOTHING for p in parts) else combine(f, t, parts)


def _parts(f: Frame, t: LangType, first: int, source: Source, given: Sequence[Value]) -> Val:
    parts, at = [], 0
    for item in parts_of(t):
        n = len(leaves(item))
        parts.append(entry(f, item, first + at, source, given[at : at + n]))
        at += n
    return _combine(f, t, parts)


def _contents(f: Frame, t: LangType, first: int, source: Source, given: Sequence[Value]) -> Val:
    """The gradient of what is behind a reference, with the names of its fields."""
    if source.shadow(first) is None:
        return UNIT
    inner, parts, at = source.inside(first), [], 0
    items = items_behind(t)
    fields = [leaf for item in items for leaf in leaves(item)]
    record = f.b.op("load", (given[0], f.b.i64(0)), fields, first=0).results if fields else []
    for item in items:
        n = len(leaves(item))
        parts.append(entry(f, item, at, inner, record[at : at + n]))
        at += n
    return _combine(f, t, parts)


def _collection(f: Frame, t: LangType, shadow: Value | None, given: Sequence[Value]) -> Val:
    """The gradient of an array or Dict: numbers are 0.0 where they have no influence, `nothing` where it has none."""
    if not any(carried(t)):
        return UNIT
    if shadow is None:
        d = tangent(given[0].type)
        assert d is not None
        shadow = f.b.op("shadow", (given[0],), (d,)).result
    return dual_value(f, t, shape_of(f, Val(t, tuple(given))), [shadow])
