"""Joins of types, and the conversion of values to a joined or declared type.

`join(a, b, sites)` is the type of a variable that is `a` on one way and `b` on the other; None where there is none.
It is commutative up to the order of function alternatives, associative, and never forgets a number's kind: Int64 and
Float64 give Float64, Bool joins no number. `adapt` converts a value to a type that its own type joins into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.diagnostics import Span, error
from dsl.ir.core import Value
from dsl.lower.arrays import rank_of, to_strided
from dsl.lower.sites import Sites
from dsl.lower.values import Val, depth, flatten, is_real, items_of, promote, show_type, split
from dsl.records import replace
from dsl.types import (
    BOOLEAN,
    F32,
    F64,
    FLOAT32,
    FLOAT64,
    I64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    AdjointType,
    ArrayType,
    Bottom,
    DictType,
    FnType,
    Irrational,
    IterType,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    RefType,
    StaticDictType,
    StringLit,
    StructType,
    SymbolLit,
    TupleType,
    TypeValue,
    VariantType,
    VectorType,
    intern,
    is_complex_number,
    leaves,
)  # fmt: skip

if TYPE_CHECKING:
    from dsl.lower.frame import Frame

MAX_DEPTH = 8
PI = {"π": 3.141592653589793, "ℯ": 2.718281828459045}

# ---------------------------------------------------------------- joining types


def join(a: LangType, b: LangType, sites: Sites) -> LangType | None:
    if a == b or isinstance(b, Bottom):
        return a
    if isinstance(a, Bottom):
        return b
    if is_real(a) and is_real(b):  # a constant is a Float64 as soon as it meets another number: joins associate
        return FLOAT64 if isinstance(a, Irrational) or isinstance(b, Irrational) else promote(a, b)
    if all(is_complex_number(t) or is_real(t) for t in (a, b)):
        return _join_complex(a, b)
    if NOTHING in (a, b) or isinstance(a, OptionalType) or isinstance(b, OptionalType):
        return _join_optional(a, b, sites)
    if isinstance(a, FnType | VariantType | TypeValue) and isinstance(b, FnType | VariantType | TypeValue):
        return _join_functions(a, b, sites)
    if isinstance(a, SymbolLit) or isinstance(b, SymbolLit):
        return SYMBOL if all(isinstance(t, SymbolLit) or t == SYMBOL for t in (a, b)) else None
    if isinstance(a, StringLit) or isinstance(b, StringLit):
        return STRING if all(isinstance(t, StringLit) or t == STRING for t in (a, b)) else None
    if isinstance(a, ArrayType) or isinstance(b, ArrayType):
        return _join_arrays(a, b)
    if type(a) is not type(b):
        return None
    return _join_composite(a, b, sites)


def _join_complex(a: LangType, b: LangType) -> LangType:
    """A complex number and a number: a complex number with parts for both."""
    parts = [t.items[0] if isinstance(t, StructType) else t for t in (a, b)]
    like = a if isinstance(a, StructType) else b
    return like.key.instantiate((promote(*parts),))  # type: ignore[union-attr, no-any-return]


def _join_optional(a: LangType, b: LangType, sites: Sites) -> LangType | None:
    inner = [t.item if isinstance(t, OptionalType) else t for t in (a, b) if t != NOTHING]
    item = join(inner[0], inner[-1], sites)
    return None if item is None else OptionalType(item)


def _join_all(xs: tuple[LangType, ...], ys: tuple[LangType, ...], sites: Sites) -> tuple[LangType, ...] | None:
    joined = [join(x, y, sites) for x, y in zip(xs, ys, strict=True)]
    return None if None in joined else tuple(joined)  # type: ignore[arg-type]


def _join_composite(a: LangType, b: LangType, sites: Sites) -> LangType | None:
    match a, b:
        case TupleType(), TupleType() if len(a.items) == len(b.items):
            items = _join_all(a.items, b.items, sites)
            return None if items is None else TupleType(items)
        case NamedTupleType(), NamedTupleType() if a.names == b.names:
            items = _join_all(a.items, b.items, sites)
            return None if items is None else NamedTupleType(a.names, items)
        case IterType(), IterType() if a.kind == b.kind:
            items = _join_all(a.items, b.items, sites)
            return None if items is None else IterType(a.kind, items)
        case AdjointType(), AdjointType():
            vector = join(a.vector, b.vector, sites)
            return None if vector is None else AdjointType(vector)
        case RangeType(), RangeType():
            return RangeType(promote(a.item, b.item))
        case StructType(mutable=False), StructType() if a.key is b.key:
            params = _join_all(a.params, b.params, sites)
            return None if params is None else a.key.instantiate(params)  # type: ignore[attr-defined]
        case _:
            return _join_memory(a, b, sites)


def _join_arrays(a: LangType, b: LangType) -> LangType | None:
    """Arrays of one rank and element type that lie in different ways: a strided one."""
    if not (isinstance(a, ArrayType | VectorType) and isinstance(b, ArrayType | VectorType)):
        return None
    if a.item != b.item or rank_of(a) != rank_of(b):
        return None
    return ArrayType(a.item, rank_of(a), "S")


def _join_memory(a: LangType, b: LangType, sites: Sites) -> LangType | None:
    """References to memory: the same declared type, or sites that are made one."""
    if not _same_kind(a, b):
        return None
    sa, sb = getattr(a, "site", 0), getattr(b, "site", 0)
    if not sa and not sb:
        return None
    contents = _join_all(contents_of(a), contents_of(b), sites)
    if contents is None:
        return None
    if sa and sb:
        site = sites.merge(sa, sb)
        sites.set(site, TupleType(contents))
        return with_contents(a, contents, site)
    declared, site = (b, sa) if sa else (a, sb)
    if contents != contents_of(declared):
        return None
    sites.set(site, TupleType(contents))
    sites.fix(site)
    return declared


def _same_kind(a: LangType, b: LangType) -> bool:
    match a, b:
        case (RefType(), RefType()) | (VectorType(), VectorType()) | (DictType(), DictType()):
            return True
        case StaticDictType(), StaticDictType():
            return a.keys == b.keys
        case StructType(mutable=True), StructType(mutable=True):
            return a.key is b.key
    return False


def contents_of(t: LangType) -> tuple[LangType, ...]:
    match t:
        case RefType() | VectorType() | ArrayType():
            return (t.item,)
        case DictType():
            return (t.key, t.value)
        case StructType() | StaticDictType():
            return t.items
    raise AssertionError(t)


def with_contents(t: LangType, contents: tuple[LangType, ...], site: int) -> LangType:
    """A memory type with other element types."""
    match t:
        case RefType() | VectorType():
            return replace(t, item=contents[0], site=site)
        case DictType():
            return DictType(contents[0], contents[1], site)
        case StaticDictType():
            return StaticDictType(t.keys, contents, site)
        case StructType():
            return t.key.with_items(t, contents, site)  # type: ignore[attr-defined, no-any-return]
    raise AssertionError(t)


def _join_functions(a: LangType, b: LangType, sites: Sites) -> LangType | None:
    """Function values: the same code with captures joined, or a tagged variant of several."""
    alternatives: list[LangType] = list(a.alternatives if isinstance(a, VariantType) else (a,))
    for t in b.alternatives if isinstance(b, VariantType) else (b,):
        for k, known in enumerate(alternatives):
            merged = _same_code(known, t, sites)
            if merged is not None:
                alternatives[k] = merged
                break
        else:
            alternatives.append(t)
    return alternatives[0] if len(alternatives) == 1 else VariantType(tuple(alternatives))


def _same_code(a: LangType, b: LangType, sites: Sites) -> LangType | None:
    if a == b:
        return a
    if isinstance(a, FnType) and isinstance(b, FnType) and a.key == b.key:
        types = _join_all(tuple(t for _, t in a.captures), tuple(t for _, t in b.captures), sites)
        if types is not None:
            return replace(a, captures=tuple(zip((n for n, _ in a.captures), types, strict=True)))
    return None


def join_or_fail(
    a: LangType, b: LangType, sites: Sites, what: str, span: Span, first: Span, second: Span
) -> LangType:
    """The join of two types that met; an error with both lines where there is none or it is nested too deep."""
    joined = join(a, b, sites)
    if joined is None:
        x, y = show_type(a), show_type(b)
        if x == y == "String":
            raise error("E0901", f"{what} is text that is made at run time, which cannot be chosen yet", span,
                        hint="print it where it is made",
                        notes=(("one text here", first), ("another here", second)))  # fmt: skip
        raise error(
            "E0202",
            f"{what} is {x} on one way and {y} on another",
            span,
            hint="give it one type on all ways" if "Bool" not in (x, y) else "a Bool is no number here: write 0 or 1",
            notes=((f"{x} here", first), (f"{y} here", second)),
        )
    if depth(joined) > MAX_DEPTH:
        raise too_deep(joined, span)
    return joined


def too_deep(t: LangType, span: Span) -> Exception:
    text = show_type(t)
    return error(
        "E0204",
        f"types grow without bound: {text if len(text) < 60 else text[:57] + '…'}",
        span,
        hint=f"a type may be nested {MAX_DEPTH} deep; here each step wraps the one before",
    )


# ---------------------------------------------------------------- converting values


def adapt(f: Frame, v: Val, to: LangType) -> Val:
    """The value as one of type `to`, which its own type must join into."""
    if v.type == to:
        return v
    if is_real(v.type) and is_real(to):
        return f.number(v, to)
    if isinstance(to, StructType) and (is_real(v.type) or is_complex_number(v.type)):
        parts = items_of(v) if is_complex_number(v.type) else [v, Val(INT64, (f.b.i64(0),), 0)]
        return Val(to, flatten(number(f, x, t) for x, t in zip(parts, to.items, strict=True)))
    match to:
        case OptionalType():
            return _to_optional(f, v, to)
        case VariantType():
            return _to_variant(f, v, to)
        case ArrayType():
            return to_strided(f, v)
        case AdjointType():
            assert isinstance(v.type, AdjointType)
            return Val(to, adapt(f, Val(v.type.vector, v.leaves), to.vector).leaves)
        case RangeType():
            start, step = (f.number(Val(v.type.item, (x,)), to.item) for x in v.leaves[:2])  # type: ignore[union-attr]
            return Val(to, (start.leaf, step.leaf, v.leaves[2]))
    if isinstance(v.type, SymbolLit | StringLit):
        text = v.type.name if isinstance(v.type, SymbolLit) else v.type.text
        return Val(to, (f.b.i64(intern(text)),))
    if isinstance(v.type, TupleType | NamedTupleType | IterType | FnType) or (
        isinstance(v.type, StructType) and not v.type.mutable
    ):
        return _adapt_items(f, v, to)
    # memory whose site has been widened or merged: this lowering is dirty, and only types matter until it is redone
    return Val(to, placeholder(f, v, to))


def placeholder(f: Frame, v: Val, to: LangType) -> tuple[Value, ...]:
    wanted = leaves(to)
    if tuple(leaf.type for leaf in v.leaves) == wanted:
        return v.leaves
    f.sites.dirty = True
    return tuple(f.b.zero(t) for t in wanted)


def _adapt_items(f: Frame, v: Val, to: LangType) -> Val:
    match to:
        case TupleType() | NamedTupleType() | StructType() | IterType():
            targets = to.items
        case FnType():
            targets = tuple(t for _, t in to.captures)
        case _:
            raise AssertionError((v.type, to))
    items = list(split(v.leaves, v.type.items)) if isinstance(v.type, IterType) else items_of(v)
    return Val(to, flatten(adapt(f, x, t) for x, t in zip(items, targets, strict=True)))


def _to_optional(f: Frame, v: Val, to: OptionalType) -> Val:
    if v.type == NOTHING:
        return Val(to, (f.b.bool(False), *(f.b.zero(t) for t in leaves(to.item))))
    if isinstance(v.type, OptionalType):
        return Val(to, (v.leaves[0], *adapt(f, Val(v.type.item, v.leaves[1:]), to.item).leaves))
    return Val(to, (f.b.bool(True), *adapt(f, v, to.item).leaves))


def _to_variant(f: Frame, v: Val, to: VariantType) -> Val:
    if not isinstance(v.type, VariantType):
        k = alternative(v.type, to)
        groups = [[f.b.zero(t) for t in leaves(a)] for a in to.alternatives]
        groups[k] = list(adapt(f, v, to.alternatives[k]).leaves)
        return Val(to, (f.b.i64(k), *(leaf for g in groups for leaf in g)))
    tag, groups = f.b.i64(0), [[f.b.zero(t) for t in leaves(a)] for a in to.alternatives]
    for j, part in enumerate(split(v.leaves[1:], v.type.alternatives)):
        k = alternative(part.type, to)
        here = f.b.prim("eq", v.leaves[0], f.b.i64(j))
        tag = f.b.prim("select", here, f.b.i64(k), tag)
        groups[k] = list(adapt(f, part, to.alternatives[k]).leaves)
    return Val(to, (tag, *(leaf for g in groups for leaf in g)))


def alternative(t: LangType, variant: VariantType) -> int:
    """Which alternative of a variant a function type is."""
    for k, a in enumerate(variant.alternatives):
        if a == t or (isinstance(a, FnType) and isinstance(t, FnType) and a.key == t.key):
            return k
    raise AssertionError((t, variant))


def number(f: Frame, v: Val, to: LangType) -> Val:
    """A number as one of another kind; widening, or to Float32."""
    if v.type == to:
        return v
    if isinstance(v.type, Irrational):
        return Val(to, (f.b.const(PI[v.type.name], F64 if to == FLOAT64 else F32),))
    if v.type == BOOLEAN:
        if to == FLOAT32:
            return number(f, number(f, v, FLOAT64), to)
        return Val(to, (f.b.prim("booltof64" if to == FLOAT64 else "booltoi64", v.leaf),))
    known = None if v.known is None else float(v.known)
    if v.type == INT64 and to in (FLOAT64, FLOAT32) and v.known is not None and v.leaf.owner is not None:
        return Val(to, (f.b.const(float(v.known), F64 if to == FLOAT64 else F32),), known)
    name = {FLOAT64: "tof64", FLOAT32: "tof32"}[to]  # type: ignore[index]
    assert leaves(v.type)[0] in (F64, F32, I64)
    return Val(to, (f.b.prim(name, v.leaf),), known)
