"""Memory that the program sees: growable vectors and `Ref`; indexing of anything by number.

Every index is checked before it is used. What is stored is converted to the element type; where that was not declared,
it is widened instead (see `lower.sites`).
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.annotations import concrete
from dsl.lower.arrays import is_array, new_array
from dsl.lower.builtins.dicts import dict_of, get_item, is_dict, set_item
from dsl.lower.builtins.indexing import get_part, set_part
from dsl.lower.builtins.records import build, check_bounds, tuple_item
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_function, call_name
from dsl.lower.convert import convert_value, try_convert
from dsl.lower.declarations import GenericFunction, StructDecl
from dsl.lower.frame import Frame
from dsl.lower.joins import join
from dsl.lower.loops import Plan, count_up, for_each, range_item
from dsl.lower.patterns import Abstract, GenericP, Pattern, StructP, TupleP
from dsl.lower.values import Val, items_of, show_type, text_of, tuple_val
from dsl.types import (
    BOOL,
    BOTTOM,
    I64,
    INT64,
    STRING,
    SYMBOL,
    DictType,
    IterType,
    LangType,
    NamedTupleType,
    RangeType,
    RefType,
    StructType,
    TupleType,
    TypeValue,
    VectorType,
    leaves,
)  # fmt: skip

# ---------------------------------------------------------------- vectors


def length_of(f: Frame, v: Val) -> Value:
    return f.b.op("len", (v.leaves[0],), (I64,)).result


def new_vector(f: Frame, item: LangType | None, name: str = "vector") -> Val:
    """An empty vector; without a declared item type one whose type its insertions decide."""
    if item is None:
        site = f.site((name, f.span.source, f.span.start, f.span.end))
        t = VectorType(f.contents(site, 1)[0], site)
    else:
        t = VectorType(item)
    return Val(t, (f.b.op("new", (f.b.i64(0),), leaves(t)).result,))


def element(f: Frame, v: Val, value: Val) -> Val:
    """A value as an element of a vector."""
    assert isinstance(v.type, VectorType)
    if v.type.site:
        return f.fit(value, v.type, 0, "this vector", f.span)
    return convert_value(f, value, v.type.item, f.span)


def must_grow(f: Frame, v: Val) -> None:
    """A check that a vector can change its length."""
    if getattr(v.leaf.owner, "name", "") != "new":
        text = "the length of an array that was handed over by Python cannot be changed"
        f.check(f.b.op("growable", (v.leaf,), (BOOL,)).result, "E0409", text, hint="copy(v) is a vector that can grow")


def append(f: Frame, v: Val, value: Val) -> None:
    value = element(f, v, value)
    must_grow(f, v)
    if f.layout_fits(v.leaf, 0, leaves(value.type)):
        f.b.op("push", (v.leaf, *value.leaves))


@builtin("__must_grow")
def lower_must_grow(f: Frame, args: list[Val]) -> Val | None:
    """An error where a vector cannot change its length."""
    if len(args) != 1 or not isinstance(args[0].type, VectorType):
        return None
    must_grow(f, args[0])
    return args[0]


@builtin("empty_vector")
def lower_empty_vector(f: Frame, args: list[Val]) -> Val:
    """`[]`, `T[]`: of an abstract T the elements decide."""
    return new_vector(f, None if not args else _item_type(args[0]))


def _item_type(v: Val) -> LangType | None:
    return concrete(v.type.type) if isinstance(v.type, TypeValue) else None


@builtin("vector_of")
def lower_vector_of(f: Frame, args: list[Val]) -> Val:
    """`["a", "b"]`, `T[x, y]`"""
    v = new_vector(f, _item_type(args[0]))
    for a in args[1:]:
        append(f, v, a)
    return v


@builtin("push!")
def lower_push(f: Frame, args: list[Val]) -> Val | None:
    if not args or not isinstance(args[0].type, VectorType):
        return None
    for a in args[1:]:
        append(f, args[0], a)
    return args[0]


@builtin("append!")
def lower_append(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not isinstance(args[0].type, VectorType):
        return None
    v, other = args
    if isinstance(other.type, VectorType):
        n = length_of(f, other)  # fixed before the first push: `append!(v, v)` doubles v
        other = Val(IterType("prefix", (other.type, INT64)), (*other.leaves, n))
    key = f.unit.fresh_key(f, "append")
    for_each(f, other, Plan(key, (), key, False), lambda item: append(f, v, item))
    return v


@builtin("pop!")
def lower_pop(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1 or not isinstance(args[0].type, VectorType):
        return None
    (item,) = f.current(args[0].type)
    must_grow(f, args[0])
    n = length_of(f, args[0])
    f.check(f.b.prim("gt", n, f.b.i64(0)), "E0409", "pop! of an empty vector")
    if item == BOTTOM:
        f.unreachable()
    wanted = leaves(item)
    if not f.layout_fits(args[0].leaf, 0, wanted):
        return Val(item, tuple(f.b.zero(t) for t in wanted))
    return Val(item, tuple(f.b.op("pop", args[0].leaves, wanted).results))


@builtin("empty!")
def lower_empty(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1 or not isinstance(args[0].type, VectorType):
        return None
    must_grow(f, args[0])
    key = f.unit.fresh_key(f, "empty")
    over = Val(IterType("counted", (INT64,) * 3), (f.b.i64(1), length_of(f, args[0]), f.b.i64(1)))
    wanted = leaves(f.current(args[0].type)[0])

    def drop(_: Val) -> None:
        f.b.op("pop", args[0].leaves, wanted)

    for_each(f, over, Plan(key, (), key, False), drop)
    return args[0]


def collected(f: Frame, r: Val) -> Val:
    """The items of a range as a vector."""
    assert isinstance(r.type, RangeType)
    out = new_array(f, r.type.item, r.leaves[2:])
    key = f.unit.fresh_key(f, "collect")
    count_up(f, r.leaves[2], Plan(key, (), key, False), lambda k: f.store(out.leaf, k, range_item(f, r, k)))
    return out


# ---------------------------------------------------------------- indexing


@builtin("getindex")
def lower_getindex(f: Frame, args: list[Val]) -> Val | None:
    v, *indices = args
    if isinstance(v.type, RefType) and not indices:
        return f.load_box(v, "this Ref")
    if is_array(v.type) and not (isinstance(v.type, VectorType) and [i.type for i in indices] == [INT64]):
        return get_part(f, v, indices) if indices else None
    if isinstance(v.type, RangeType | TupleType) and len(indices) > 1:
        return None
    if is_dict(v.type) and len(indices) == 1:
        return get_item(f, v, indices[0])
    if len(indices) != 1:
        return None
    index = indices[0]
    match v.type:
        case RangeType() if index.type != INT64:
            return get_part(f, collected(f, v), indices)
        case TupleType() | NamedTupleType():
            return tuple_item(f, v, index)
        case VectorType():
            return _vector_item(f, v, index)
        case RangeType() if index.type == INT64:
            check_bounds(f, index.leaf, v.leaves[2])
            return range_item(f, v, f.b.prim("sub", index.leaf, f.b.i64(1)))
    if text_of(v.type) is not None or v.type in (STRING, SYMBOL):
        raise error("E0901", "characters of strings are not supported", f.span)
    return None


def _vector_item(f: Frame, v: Val, index: Val) -> Val | None:
    if index.type != INT64:
        return None
    (item,) = f.current(v.type)
    check_bounds(f, index.leaf, length_of(f, v))
    if item == BOTTOM:
        f.unreachable()
    return f.load(v.leaf, f.b.prim("sub", index.leaf, f.b.i64(1)), item)


@builtin("setindex!")
def lower_setindex(f: Frame, args: list[Val]) -> Val | None:
    v, value, *indices = args
    if isinstance(v.type, RefType) and not indices:
        store_ref(f, v, value)
        return value
    if is_dict(v.type) and len(indices) == 1:
        set_item(f, v, indices[0], value)
        return value
    if isinstance(v.type, VectorType) and len(indices) == 1 and indices[0].type == INT64:
        check_bounds(f, indices[0].leaf, length_of(f, v))
        f.store(v.leaf, f.b.prim("sub", indices[0].leaf, f.b.i64(1)), element(f, v, value))
        return value
    if is_array(v.type) and indices:
        set_part(f, v, value, indices)
        return value
    if isinstance(v.type, TupleType | NamedTupleType | StructType | RangeType):
        raise error("E0208", f"a {show_type(v.type)} cannot be changed", f.span, hint="make a new one")
    return None


# ---------------------------------------------------------------- Ref


def new_ref(f: Frame, item: LangType | None, value: Val | None) -> Val:
    if item is None:
        site = f.site(("ref", f.span.source, f.span.start, f.span.end))
        have = f.contents(site, 1)[0]
        if value is not None:
            have = join(have, value.type, f.sites) or have
            f.sites.set(site, TupleType((have,)))
        t = RefType(have, f.sites.find(site))
    else:
        t = RefType(item)
    made = Val(t, (f.b.op("new", (f.b.i64(1),), leaves(t)).result,))
    if value is not None:
        store_ref(f, made, value)
    return made


def store_ref(f: Frame, ref: Val, value: Val) -> None:
    assert isinstance(ref.type, RefType)
    if ref.type.site:
        f.store_box(ref, value, "Ref", f.span)
    else:
        f.store(ref.leaf, 0, convert_value(f, value, ref.type.item, f.span))


# ---------------------------------------------------------------- types that are called


@builtin("construct")
def lower_construct(f: Frame, args: list[Val]) -> Val | None:
    """`T(args…)` for a type T that is a value."""
    fn, *rest = args
    assert isinstance(fn.type, TypeValue)
    p: Pattern = fn.type.type
    match p:
        case GenericP(name="Ref") | RefType():
            item = concrete(p.params[0]) if isinstance(p, GenericP) and p.params else getattr(p, "item", None)
            return new_ref(f, item, rest[0] if rest else None) if len(rest) <= 1 else None
        case GenericP(name="Vector") | VectorType() if not rest:
            return new_vector(f, getattr(p, "item", None))
        case GenericP() | VectorType() if isinstance(p, VectorType) or p.name.startswith(("Vector", "Matrix", "Array")):
            return call_name(f, "__array", args)
        case GenericP(name="Dict"):
            return dict_of(f, rest, None)
        case DictType():
            return dict_of(f, rest, p)
        case StructP() | StructType():
            return _construct_struct(f, p, rest)
        case TupleP() | TupleType() if len(rest) == 1:
            return tuple_val(items_of(rest[0])) if isinstance(rest[0].type, TupleType) else None
    if len(rest) != 1:
        return None
    if p in (STRING, SYMBOL):
        return call_name(f, str(p), rest)
    if isinstance(p, Abstract):
        return call_name(f, "float", rest) if p.name == "AbstractFloat" else None
    converted = try_convert(f, rest[0], p)  # type: ignore[arg-type]
    if converted is None:
        raise error("E0301", f"no method matching {show_type(p)}({show_type(rest[0].type)})", f.span)  # type: ignore[arg-type]
    return converted


def _construct_struct(f: Frame, p: StructP | StructType, args: Sequence[Val]) -> Val:
    """`Point{Float64}(1, 2)`: the parameters are given, the fields are converted."""
    decl = p.decl if isinstance(p, StructP) else p.key
    assert isinstance(decl, StructDecl)
    given = {v.name: t for v, t in zip(decl.type_vars, p.params, strict=False) if concrete(t) is not None}
    own = decl.inner if f.constructing is not decl else []
    if not own and len(args) != len(decl.names) and decl.outer is not None:
        own = decl.outer.methods
    if own:
        return call_function(f, GenericFunction(decl.name, f.namespace, None, own), list(args), {}, f.span)
    return build(f, decl, args, f.span, given or None)  # type: ignore[arg-type]
