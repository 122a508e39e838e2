"""Tuples, named tuples and structs: construction, fields, indexing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import Span, error
from dsl.ir.core import Value
from dsl.lower.annotations import concrete, substitute
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import Keywords, call_method, caller, select_method
from dsl.lower.convert import convert_value, try_convert
from dsl.lower.declarations import GenericFunction, StructDecl
from dsl.lower.frame import Frame
from dsl.lower.joins import adapt, join
from dsl.lower.patterns import matches
from dsl.lower.suggest import did_you_mean
from dsl.lower.values import Val, flatten, items_of, show_type, text_of
from dsl.types import (
    BOTTOM,
    INT64,
    FnType,
    LangType,
    NamedTupleType,
    RefType,
    StaticDictType,
    StructType,
    SymbolLit,
    TupleType,
    TypeValue,
    leaves,
)  # fmt: skip

# ---------------------------------------------------------------- construction


@caller(StructDecl)
def construct_struct(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    """`Point(1, 2)`: an outer constructor, an inner one, or the default one."""
    assert isinstance(fn.type, FnType) and isinstance(fn.type.key, StructDecl)
    decl = fn.type.key
    types = [a.type for a in args]
    table = GenericFunction(decl.name, f.namespace, None, [*decl.inner, *(decl.outer.methods if decl.outer else [])])
    method = select_method(table, types, span)
    if method is not None:
        return call_method(f, method, FnType(decl, decl.name), (), args, keywords, span)
    if decl.inner:
        raise _no_constructor(decl, args, span)
    return build(f, decl, args, span)


def build(f: Frame, decl: StructDecl, args: Sequence[Val], span: Span, given: dict[str, LangType] | None = None) -> Val:
    """A struct from its fields' values, as the default constructor and `new` do it."""
    f.b.span = span
    if len(args) != len(decl.names):
        raise _no_constructor(decl, args, span)
    binds: dict[str, LangType] = dict(given or {})
    for a, p, is_open in zip(args, decl.patterns, decl.open_fields, strict=True):
        if concrete(p) is None and not matches(a.type, p, binds):
            bound = substitute(p, binds)
            if is_open or concrete(bound) is None or given is None:
                raise _no_constructor(decl, args, span)
    params = tuple(binds.get(v.name, BOTTOM) for v in decl.type_vars)
    if BOTTOM in params:
        raise error("E0301", f"the type parameters of {decl.name} do not follow from its fields", span)
    for v, t in zip(decl.type_vars, params, strict=True):
        if not matches(t, v.bound, {}):
            raise error("E0205", f"{decl.name}{{{t}}} is not possible: {v.name} must be a {v.bound}", span)
    opened = tuple(a.type for a, o in zip(args, decl.open_fields, strict=True) if o)
    if decl.mutable:
        return _build_mutable(f, decl, args, params, opened, span)
    t = decl.instantiate((*params, *opened))
    return Val(t, flatten(_field(f, decl, k, a, i, span) for k, (a, i) in enumerate(zip(args, t.items, strict=True))))


def _field(f: Frame, decl: StructDecl, k: int, a: Val, t: LangType, span: Span) -> Val:
    converted = try_convert(f, a, t)
    if converted is None:
        raise error("E0206", f"the field {decl.names[k]}::{show_type(t)} of {decl.name} is given a "
                    f"{show_type(a.type)}", span)  # fmt: skip
    return converted


def _build_mutable(
    f: Frame,
    decl: StructDecl,
    args: Sequence[Val],
    params: tuple[LangType, ...],
    opened: tuple[LangType, ...],
    span: Span,
) -> Val:
    site = 0
    if opened:
        site = f.site(("struct", span.start, span.end, decl))
        have = f.contents(site, len(decl.names))
        opened = tuple(have[k] for k in decl.site_fields())
    t = decl.instantiate(params, opened, site)
    for k, a in enumerate(args):
        if not decl.open_fields[k]:
            _field(f, decl, k, a, t.items[k], span)
    if site:
        merged = tuple(
            (join(h, a.type, f.sites) or a.type) if o else i
            for h, a, o, i in zip(t.items, args, decl.open_fields, t.items, strict=True)
        )
        f.sites.set(site, TupleType(merged))
        t = decl.with_items(t, merged, f.sites.find(site))
    (leaf,) = leaves(t)
    mem = f.b.op("new", (f.b.i64(1),), (leaf,)).result
    fields = [_field(f, decl, k, a, i, span) for k, (a, i) in enumerate(zip(args, t.items, strict=True))]
    f.store(mem, 0, Val(TupleType(t.items), flatten(fields)))
    return Val(t, (mem,))


def _no_constructor(decl: StructDecl, args: Sequence[Val], span: Span) -> Exception:
    shown = ", ".join(show_type(a.type) for a in args)
    fields = ", ".join(f"{n}::{p}" for n, p in zip(decl.names, decl.patterns, strict=True))
    return error("E0301", f"no method matching {decl.name}({shown})", span, hint=f"the fields are {fields}",
                 notes=((f"{decl.name} is declared here", decl.node.span),))  # fmt: skip


@builtin("new")
def lower_new(f: Frame, args: list[Val]) -> Val:
    """`new(…)` in an inner constructor."""
    decl = f.constructing
    if not isinstance(decl, StructDecl):
        raise error("E0201", "`new` is known in inner constructors only", f.span)
    given = {v.name: f.types[v.name] for v in decl.type_vars if v.name in f.types}
    return build(f, decl, args, f.span, given or None)


# ---------------------------------------------------------------- fields


@builtin("getproperty")
def lower_getproperty(f: Frame, args: list[Val]) -> Val | None:
    v, name = args[0], text_of(args[1].type)
    if name is None:
        return None
    match v.type:
        case StructType():
            k = _field_index(f, v.type.names, name, show_type(v.type))
            return field_value(f, v, k)
        case NamedTupleType():
            return items_of(v)[_field_index(f, v.type.names, name, "a named tuple")]
        case RefType() if name in ("x", "[]"):
            return f.load_box(v, name)
        case FnType():
            captured = [n for n, _ in v.type.captures]
            if name in captured:
                return items_of(v)[captured.index(name)]
        case StaticDictType():
            raise error("E0207", f"a Dict has no fields: write d[:{name}]", f.span)
    raise error("E0207", f"a value of type {show_type(v.type)} has no field {name}", f.span)


def field_value(f: Frame, v: Val, k: int) -> Val:
    """Field k of a struct."""
    assert isinstance(v.type, StructType)
    if not v.type.mutable:
        return items_of(v)[k]
    items = f.current(v.type)
    first = sum(len(leaves(t)) for t in items[:k])
    if items[k] == BOTTOM:
        f.fail("E0410", f"the field {v.type.names[k]} has no value")
    return f.load(v.leaf, 0, items[k], first)


def _field_index(f: Frame, names: Sequence[str], name: str, what: str) -> int:
    if name in names:
        return list(names).index(name)
    hint = did_you_mean(name, names) or (f"the fields are {', '.join(names)}" if names else "")
    raise error("E0207", f"{what} has no field {name}", f.span, hint=hint)


@builtin("setproperty!")
def lower_setproperty(f: Frame, args: list[Val]) -> Val | None:
    v, name, value = args[0], text_of(args[1].type), args[2]
    if name is None:
        return None
    if isinstance(v.type, RefType) and name in ("x", "[]"):
        f.store_box(v, value, "Ref", f.span)
        return value
    if not isinstance(v.type, StructType):
        what = "named tuples" if isinstance(v.type, NamedTupleType) else f"values of type {show_type(v.type)}"
        raise error("E0208", f"{what} cannot be changed", f.span)
    k = _field_index(f, v.type.names, name, show_type(v.type))
    if not v.type.mutable:
        raise error("E0208", f"{v.type.name} is immutable: its field {name} cannot be assigned", f.span,
                    hint=f"declare it `mutable struct {v.type.name}`, or make a new value")  # fmt: skip
    set_field(f, v, k, value)
    return value


def set_field(f: Frame, v: Val, k: int, value: Val) -> None:
    assert isinstance(v.type, StructType)
    items = f.current(v.type)
    decl = v.type.key
    assert isinstance(decl, StructDecl)
    if decl.open_fields[k]:
        value = f.fit(value, v.type, k, f"the field {v.type.names[k]}", f.span)
    else:
        value = convert_value(f, value, items[k], f.span)
    first = sum(len(leaves(t)) for t in items[:k])
    f.store(v.leaf, 0, value, first)


@builtin("fieldnames", "propertynames")
def lower_fieldnames(f: Frame, args: list[Val]) -> Val | None:
    t = args[0].type.type if isinstance(args[0].type, TypeValue) else args[0].type
    if isinstance(t, FnType) and isinstance(t.key, StructDecl):
        return Val(TupleType(tuple(SymbolLit(n) for n in t.key.names)))
    names = getattr(t, "names", None)
    return None if names is None else Val(TupleType(tuple(SymbolLit(n) for n in names)))


# ---------------------------------------------------------------- tuples


def tuple_item(f: Frame, v: Val, index: Val) -> Val | None:
    """`t[i]`: the item itself for a known index, else one of several by comparisons."""
    items = items_of(v)
    if isinstance(v.type, NamedTupleType) and isinstance(index.type, SymbolLit):
        return items[_field_index(f, v.type.names, index.type.name, "a named tuple")]
    if index.type != INT64:
        return None
    n = len(items)
    if isinstance(index.known, int):
        if 1 <= index.known <= n:
            return items[index.known - 1]
        bounds_error(f, index.leaf, n)
    if not items:
        bounds_error(f, index.leaf, 0)
    check_bounds(f, index.leaf, f.b.i64(n))
    t: LangType | None = items[0].type
    for item in items[1:]:
        t = None if t is None else join(t, item.type, f.sites)
    if t is None:
        raise error("E0202", "the items of this tuple have different types: it can be indexed by known numbers only",
                    f.span, hint="loop over the tuple instead")  # fmt: skip
    return choose(f, [adapt(f, i, t) for i in items], lambda k: f.b.prim("eq", index.leaf, f.b.i64(k + 1)))


def choose(f: Frame, items: Sequence[Val], here: Callable[[int], Value]) -> Val:
    """One of several values of one type; the last where no test holds."""
    chosen = items[-1]
    for k in range(len(items) - 2, -1, -1):
        chosen = select(f, here(k), items[k], chosen)
    return Val(chosen.type, chosen.leaves)


def select(f: Frame, cond: Value, x: Val, y: Val) -> Val:
    """`cond ? x : y` of values that are at hand."""
    picked = []
    for p, q in zip(x.leaves, y.leaves, strict=True):
        if p is q:
            picked.append(p)
        else:
            picked.append(f.b.op("select", (cond, p, q), (p.type,)).result)
    return Val(x.type, tuple(picked))


def check_bounds(f: Frame, index: Value, n: Value) -> None:
    low, high = f.b.prim("ge", index, f.b.i64(1)), f.b.prim("le", index, n)
    f.check(f.b.prim("and", low, high), "E0402", "index {0} is out of bounds for length {1}", index, n,
            hint="indices start at 1")  # fmt: skip


def bounds_error(f: Frame, index: Value, n: int) -> None:
    f.fail("E0402", "index {0} is out of bounds for length {1}", index, f.b.i64(n), hint="indices start at 1")


@builtin("tuple")
def lower_make_tuple(f: Frame, args: list[Val]) -> Val:
    return Val(TupleType(tuple(a.type for a in args)), flatten(args))


@builtin("merge")
def lower_merge(f: Frame, args: list[Val]) -> Val | None:
    if not args or not all(isinstance(a.type, NamedTupleType) for a in args):
        return None
    merged: dict[str, Val] = {}
    for a in args:
        assert isinstance(a.type, NamedTupleType)
        merged.update(zip(a.type.names, items_of(a), strict=True))
    return Val(NamedTupleType(tuple(merged), tuple(v.type for v in merged.values())), flatten(merged.values()))


@builtin("identity")
def lower_identity(f: Frame, args: list[Val]) -> Val | None:
    return args[0] if len(args) == 1 else None
