"""Type expressions of the source, as patterns or types."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dsl.diagnostics import error
from dsl.lower.declarations import Namespace, StructDecl
from dsl.lower.patterns import (
    ABSTRACTS,
    ANY,
    CONCRETE,
    FUNCTION,
    REAL,
    Abstract,
    FunctionP,
    GenericP,
    Pattern,
    StructP,
    TupleP,
    TypeP,
    TypeVarP,
    UnionP,
)  # fmt: skip
from dsl.lower.suggest import did_you_mean
from dsl.records import replace
from dsl.syntax import ast
from dsl.types import (
    NOTHING,
    DictType,
    LangType,
    OptionalType,
    RefType,
    TupleType,
    TypeValue,
    VectorType,
)  # fmt: skip

_LATER = frozenset({"Rational"})


def pattern(ns: Namespace, e: ast.Expr | None, names: Mapping[str, Pattern]) -> Pattern:
    """The pattern that an annotation means; `names` are the type variables in sight."""
    match e:
        case None:
            return ANY
        case ast.Name():
            return _name(ns, e, names)
        case ast.Nothing():
            return NOTHING
        case ast.TypeApply():
            return _apply(ns, e, names)
        case ast.SubtypeOf():
            return TypeVarP(f"<:{e.span.start}", pattern(ns, e.bound, names))
        case ast.Call(fn=ast.Name(id="typeof"), args=(ast.Name() as name,)):
            fn = ns.function(name.id)
            if fn is not None:
                return FunctionP(fn, name.id)
            raise error("E0201", f"{name.id} is not defined", name.span)
    raise error("E0205", "this is no type", e.span if e is not None else ns.span)


def _name(ns: Namespace, e: ast.Name, names: Mapping[str, Pattern]) -> Pattern:
    name = e.id.removeprefix("Base.")
    if name in names:
        return names[name]
    declared = ns.type(name)
    if isinstance(declared, StructDecl):
        t = declared.plain()
        return t if t is not None else StructP(declared)
    if declared is not None:
        return declared
    alias = ns.global_(name)
    if alias is not None and isinstance(alias.type, TypeValue):
        return alias.type.type
    if name in CONCRETE:
        return CONCRETE[name]
    if name in ABSTRACTS:
        return ABSTRACTS[name]
    match name:
        case "Tuple" | "NTuple":
            return TupleP((), ANY)
        case "Vector" | "Matrix" | "Array" | "Ref" | "Dict" | "NamedTuple":
            return GenericP(name)
        case "Type":
            return TypeP(ANY)
    if name in _LATER:
        raise error("E0901", f"the type {name} is not supported yet", e.span)
    generic = ("Tuple", "Vector", "Matrix", "Array", "Ref", "Dict", "Union")
    known = [*names, *ns.type_names(), *CONCRETE, *ABSTRACTS, *generic]
    raise error("E0201", f"the type {name} is not defined", e.span, hint=did_you_mean(name, known))


def _apply(ns: Namespace, e: ast.TypeApply, names: Mapping[str, Pattern]) -> Pattern:
    base = e.base.id.removeprefix("Base.") if isinstance(e.base, ast.Name) else ""
    if base == "NTuple" and len(e.params) == 2:
        item = pattern(ns, e.params[1], names)
        count = e.params[0]
        if isinstance(count, ast.Number) and isinstance(count.value, int):
            return tuple_of([item] * count.value)
        return TupleP((), item)
    if base in ("Array", "AbstractArray") and len(e.params) == 2:
        return _array(pattern(ns, e.params[0], names), e.params[1])
    params = [pattern(ns, p, names) for p in e.params]
    declared = ns.type(base)
    if isinstance(declared, StructDecl):
        if len(params) > len(declared.type_vars):
            raise error("E0205", f"{base} has {len(declared.type_vars)} type parameters", e.span)
        return struct_of(declared, params)
    build = _GENERIC.get(base)
    if build is not None:
        return build(params)
    if base in _LATER:
        raise error("E0901", f"the type {base} is not supported yet", e.span)
    raise error("E0205", f"{base or 'this'} takes no type parameters", e.span)


def _array(item: Pattern, rank: ast.Expr) -> Pattern:
    """`Array{T, N}`: with a variable for N, arrays of every rank."""
    n = rank.value if isinstance(rank, ast.Number) else None
    names = {None: "Array", 1: "Vector", 2: "Matrix"}
    return _GENERIC["Vector"]([item]) if n == 1 else GenericP(names.get(n, f"Array{n}"), (item,))  # type: ignore[arg-type]


def concrete(p: Pattern) -> LangType | None:
    """The type that a pattern is, where it is one."""
    return None if isinstance(p, Abstract | TypeVarP | UnionP | TupleP | GenericP | StructP | TypeP | FunctionP) else p


def _all_concrete(params: list[Pattern]) -> list[LangType] | None:
    types = [concrete(p) for p in params]
    return None if None in types else types  # type: ignore[return-value]


def tuple_of(params: list[Pattern]) -> Pattern:
    if params and isinstance(params[-1], GenericP) and params[-1].name == "Vararg":
        return TupleP(tuple(params[:-1]), params[-1].params[0] if params[-1].params else ANY)
    types = _all_concrete(params)
    return TupleType(tuple(types)) if types is not None else TupleP(tuple(params))


def struct_of(decl: StructDecl, params: list[Pattern]) -> Pattern:
    types = _all_concrete(params)
    if types is not None and len(types) == len(decl.type_vars) and not decl.hidden and not decl.site_fields():
        return decl.instantiate(tuple(types))
    return StructP(decl, tuple(params))


def union_of(params: list[Pattern]) -> Pattern:
    others = [p for p in params if p != NOTHING]
    if len(others) == 1 and len(params) == 2 and concrete(others[0]) is not None:
        return OptionalType(others[0])  # type: ignore[arg-type]
    return params[0] if len(params) == 1 else UnionP(tuple(params))


def _generic(name: str, make: Callable[..., LangType]) -> Callable[[list[Pattern]], Pattern]:
    def build(params: list[Pattern]) -> Pattern:
        types = _all_concrete(params)
        return make(*types) if types is not None else GenericP(name, tuple(params))

    return build


_GENERIC: dict[str, Callable[[list[Pattern]], Pattern]] = {
    "Tuple": tuple_of,
    "Union": union_of,
    "Vector": _generic("Vector", VectorType),
    "AbstractVector": _generic("Vector", VectorType),
    "Matrix": lambda params: GenericP("Matrix", tuple(params)),
    "AbstractMatrix": lambda params: GenericP("Matrix", tuple(params)),
    "Array": lambda params: GenericP("Array", tuple(params)),
    "AbstractArray": lambda params: GenericP("Array", tuple(params)),
    "Ref": _generic("Ref", RefType),
    "Dict": _generic("Dict", DictType),
    "Type": lambda params: TypeP(params[0]),
    "Vararg": lambda params: GenericP("Vararg", tuple(params[:1])),
    "Irrational": lambda params: REAL,
}


def substitute(p: Pattern, binds: Mapping[str, LangType]) -> Pattern:
    """The pattern with its type variables replaced by what they are bound to."""
    match p:
        case TypeVarP():
            return binds.get(p.name, p)
        case TupleP():
            if p.rest is not None:
                return p
            return tuple_of([substitute(i, binds) for i in p.items])
        case UnionP():
            return union_of([substitute(o, binds) for o in p.options])
        case StructP():
            return struct_of(p.decl, [substitute(i, binds) for i in p.params])
        case GenericP():
            params = [substitute(i, binds) for i in p.params]
            build = _GENERIC.get(p.name)
            return build(params) if build is not None and params else replace(p, params=tuple(params))
        case TypeP():
            return TypeP(substitute(p.type, binds))
    return p


def is_open(p: Pattern) -> bool:
    """Whether a field of this declared type gets its type from the value it is given."""
    return (isinstance(p, Abstract | UnionP | GenericP | TupleP | StructP) and concrete(p) is None) or p is FUNCTION
