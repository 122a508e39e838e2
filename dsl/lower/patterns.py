"""Types as the user writes them in signatures and fields: patterns that the type of a value is matched against.

A pattern is a language type (matches itself), or one of the classes here. `matches(t, p, binds)` says whether values
of type t may be given where p is asked for, and binds type variables; `narrower(p, q)` whether everything that p
takes is taken by q. Parameters of types are invariant, those of tuples covariant, as in Julia.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

from dsl.records import dataclass
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    AdjointType,
    ArrayType,
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
)  # fmt: skip


@runtime_checkable
class Declared(Protocol):
    """A declared struct."""

    def plain(self) -> StructType | None:
        """The type, where it has no parameters of any kind."""


@dataclass(frozen=True, eq=False)
class Abstract:
    """An abstract type, built in or declared by the user."""

    name: str
    parent: Abstract | None

    def __str__(self) -> str:
        return self.name

    def within(self, other: Abstract) -> bool:
        here: Abstract | None = self
        while here is not None:
            if here is other:
                return True
            here = here.parent
        return False


@dataclass(frozen=True)
class TypeVarP:
    """`T` of a `where`. Its first match binds it."""

    name: str
    bound: Pattern

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class UnionP:
    options: tuple[Pattern, ...]

    def __str__(self) -> str:
        return f"Union{{{', '.join(map(str, self.options))}}}"


@dataclass(frozen=True)
class TupleP:
    """`Tuple{…}`; with `rest`, any number of further items of that pattern (`Tuple`, `NTuple{N, T}`, `Vararg`)."""

    items: tuple[Pattern, ...]
    rest: Pattern | None = None

    def __str__(self) -> str:
        if self.rest is not None and not self.items:
            return "Tuple"
        return f"Tuple{{{', '.join(map(str, self.items))}}}"


@dataclass(frozen=True)
class GenericP:
    """A built-in parametric type: Vector, Ref, Dict, with some parameters given (`Vector{<:Real}`)."""

    name: str
    params: tuple[Pattern, ...] = ()

    def __str__(self) -> str:
        return self.name + (f"{{{', '.join(map(str, self.params))}}}" if self.params else "")


@dataclass(frozen=True)
class StructP:
    """A struct of the user with some parameters given."""

    decl: Any  # StructDecl
    params: tuple[Pattern, ...] = ()

    def __str__(self) -> str:
        return str(self.decl.name) + (f"{{{', '.join(map(str, self.params))}}}" if self.params else "")


@dataclass(frozen=True)
class TypeP:
    """`Type{T}`: a type used as a value."""

    type: Pattern

    def __str__(self) -> str:
        return f"Type{{{self.type}}}"


@dataclass(frozen=True)
class FunctionP:
    """`typeof(f)`"""

    key: Any
    name: str

    def __str__(self) -> str:
        return f"typeof({self.name})"


Pattern: TypeAlias = LangType | Abstract | TypeVarP | UnionP | TupleP | GenericP | StructP | TypeP | FunctionP

# ---------------------------------------------------------------- the built-in abstract types

ANY = Abstract("Any", None)
NUMBER = Abstract("Number", ANY)
REAL = Abstract("Real", NUMBER)
INTEGER = Abstract("Integer", REAL)
SIGNED = Abstract("Signed", INTEGER)
ABSTRACT_FLOAT = Abstract("AbstractFloat", REAL)
ABSTRACT_IRRATIONAL = Abstract("AbstractIrrational", REAL)
FUNCTION = Abstract("Function", ANY)
ABSTRACT_STRING = Abstract("AbstractString", ANY)
ABSTRACT_ARRAY = Abstract("AbstractArray", ANY)
ABSTRACT_VECTOR = Abstract("AbstractVector", ABSTRACT_ARRAY)
ABSTRACT_MATRIX = Abstract("AbstractMatrix", ABSTRACT_ARRAY)
ABSTRACT_RANGE = Abstract("AbstractRange", ABSTRACT_VECTOR)
ABSTRACT_DICT = Abstract("AbstractDict", ANY)
TYPE = Abstract("Type", ANY)
ABSTRACTS: dict[str, Abstract] = {
    a.name: a
    for a in (
        ANY, NUMBER, REAL, INTEGER, SIGNED, ABSTRACT_FLOAT, ABSTRACT_IRRATIONAL, FUNCTION, ABSTRACT_STRING,
        ABSTRACT_ARRAY, ABSTRACT_VECTOR, ABSTRACT_MATRIX, ABSTRACT_RANGE, ABSTRACT_DICT, TYPE,
    )
} | {"DataType": TYPE, "Irrational": ABSTRACT_IRRATIONAL}  # fmt: skip
CONCRETE: dict[str, LangType] = {
    "Float64": FLOAT64, "Float32": FLOAT32, "Int64": INT64, "Int": INT64, "Bool": BOOLEAN, "Nothing": NOTHING,
    "Symbol": SYMBOL, "String": STRING,
}  # fmt: skip

_SUPER: dict[LangType, Abstract] = {
    FLOAT64: ABSTRACT_FLOAT, FLOAT32: ABSTRACT_FLOAT, INT64: SIGNED, BOOLEAN: INTEGER, STRING: ABSTRACT_STRING,
}  # fmt: skip
_GENERIC_SUPER = {"Vector": ABSTRACT_VECTOR, "Matrix": ABSTRACT_MATRIX, "Dict": ABSTRACT_DICT}


def supertype(t: Pattern) -> Abstract:
    """The abstract type directly above a type."""
    found = _SUPER.get(t)  # type: ignore[arg-type]
    if found is not None:
        return found
    match t:
        case Irrational():
            return ABSTRACT_IRRATIONAL
        case FnType() | VariantType() | FunctionP():
            return FUNCTION
        case StringLit():
            return ABSTRACT_STRING
        case StructType():
            return t.key.supertype  # type: ignore[attr-defined, no-any-return]
        case StructP():
            return t.decl.supertype  # type: ignore[no-any-return]
        case VectorType() | ArrayType(rank=1):
            return ABSTRACT_VECTOR
        case ArrayType(rank=2) | AdjointType():
            return ABSTRACT_MATRIX
        case ArrayType():
            return ABSTRACT_ARRAY
        case RangeType():
            return ABSTRACT_RANGE
        case DictType() | StaticDictType():
            return ABSTRACT_DICT
        case GenericP():
            return _GENERIC_SUPER.get(t.name, ABSTRACT_ARRAY if t.name.startswith("Array") else ANY)
        case TypeValue() | TypeP():
            return TYPE
    return ANY


# ---------------------------------------------------------------- matching


def matches(t: LangType, p: Pattern, binds: dict[str, LangType]) -> bool:
    if t in (p, BOTTOM):
        return True
    match p:
        case Abstract():
            return p is ANY or supertype(t).within(p)
        case TypeVarP():
            bound = binds.get(p.name)
            plain = widen_literal(t)
            if bound is not None:
                return bound == plain
            if not matches(plain, p.bound, binds):
                return False
            binds[p.name] = plain
            return True
        case UnionP():
            return any(matches(t, o, binds) for o in p.options) or (
                isinstance(t, OptionalType) and matches(NOTHING, p, dict(binds)) and matches(t.item, p, binds)
            )
        case TupleP():
            return isinstance(t, TupleType) and _match_items(t.items, p, binds)
        case OptionalType():
            return t == NOTHING or matches(t, p.item, binds)
        case StructP():
            return isinstance(t, StructType) and t.key is p.decl and _match_params(t.params, p.params, binds)
        case GenericP():
            return _match_generic(t, p, binds)
        case TypeP():
            meant = type_meant(t)
            return meant is not None and _match_params((meant,), (p.type,), binds)  # type: ignore[arg-type]
        case FunctionP():
            return isinstance(t, FnType) and t.key == p.key
        case TupleType():
            return isinstance(t, TupleType) and _match_items(t.items, TupleP(p.items), binds)
        case NamedTupleType():
            return isinstance(t, NamedTupleType) and t.names == p.names and _match_params(t.items, p.items, binds)
    return widen_literal(t) == p or _same_memory(t, p)


def type_meant(t: LangType) -> Pattern | None:
    """The type that a value is: constructors and `String`, `Symbol` are values of function types."""
    match t:
        case TypeValue():
            return t.type
        case FnType() if isinstance(t.key, Declared):
            return t.key.plain() or StructP(t.key)
        case FnType(name="String" | "Symbol") if not t.captures and getattr(t.key, "builtin", None) is not None:
            return CONCRETE[t.name]
    return None


def _same_memory(t: LangType, p: Pattern) -> bool:
    """A growing vector, Ref or Dict without a declared type fits a declared one that it may still become; a strided
    vector is a vector."""
    if isinstance(t, ArrayType) and isinstance(p, VectorType):
        return t.rank == 1 and t.item == p.item
    if not getattr(t, "site", 0) or type(t) is not type(p):
        return False
    if isinstance(t, VectorType | RefType) and isinstance(p, VectorType | RefType):
        return t.item in (BOTTOM, p.item)
    if isinstance(t, DictType) and isinstance(p, DictType):
        return t.key in (BOTTOM, p.key) and t.value in (BOTTOM, p.value)
    return False


def widen_literal(t: LangType) -> LangType:
    """Literal symbols and strings as plain ones."""
    if isinstance(t, SymbolLit):
        return SYMBOL
    return STRING if isinstance(t, StringLit) else t


def _match_items(items: tuple[LangType, ...], p: TupleP, binds: dict[str, LangType]) -> bool:
    n = len(p.items)
    if len(items) < n or (len(items) > n and p.rest is None):
        return False
    wanted = (*p.items, *((p.rest,) * (len(items) - n)))
    return all(matches(i, w, binds) for i, w in zip(items, wanted, strict=True))  # type: ignore[arg-type]


def _match_params(have: tuple[LangType, ...], want: tuple[Pattern, ...], binds: dict[str, LangType]) -> bool:
    """Invariant parameters: equal, or a type variable (`<:Real` is a nameless one)."""
    return all(
        h == w or (not isinstance(w, Abstract) and matches(h, w, binds)) for h, w in zip(have, want, strict=False)
    )


def _match_generic(t: LangType, p: GenericP, binds: dict[str, LangType]) -> bool:
    match p.name, t:
        case "Vector", VectorType() | ArrayType(rank=1):
            return _match_params((t.item,), p.params, binds)
        case "Matrix", ArrayType(rank=2):
            return _match_params((t.item,), p.params, binds)
        case "Array", VectorType() | ArrayType():
            return _match_params((t.item,), p.params, binds)
        case _, ArrayType() if p.name == f"Array{t.rank}":
            return _match_params((t.item,), p.params, binds)
        case "Ref", RefType():
            return _match_params((t.item,), p.params, binds)
        case "Dict", DictType():
            return _match_params((t.key, t.value), p.params, binds)
        case "Dict", StaticDictType():
            return not p.params
        case "NamedTuple", NamedTupleType():
            return True
        case "Iterator", IterType():
            return True
    return False


# ---------------------------------------------------------------- specificity


def narrower(p: Pattern, q: Pattern) -> bool:
    """Whether every type that p takes is taken by q (type variables stand for their bounds)."""
    if isinstance(p, TypeVarP):
        return (isinstance(q, TypeVarP) and narrower(p.bound, q.bound)) or narrower(p.bound, q)
    if isinstance(q, TypeVarP):
        return narrower(p, q.bound)
    if p == q or q is ANY:
        return True
    if isinstance(p, UnionP):
        return all(narrower(o, q) for o in p.options)
    if isinstance(q, UnionP):
        return any(narrower(p, o) for o in q.options)
    if isinstance(p, OptionalType):
        return narrower(NOTHING, q) and narrower(p.item, q)
    if isinstance(q, OptionalType):
        return p == NOTHING or narrower(p, q.item)
    match p, q:
        case Abstract(), Abstract():
            return p.within(q)
        case _, Abstract():
            return supertype(p).within(q)
        case TupleType() | TupleP(), TupleP():
            return _narrower_tuple(p, q)
        case StructType() | StructP(), StructP():
            decl = p.key if isinstance(p, StructType) else p.decl
            return decl is q.decl and _narrower_params(p.params, q.params)
        case GenericP(), GenericP():
            return p.name == q.name and _narrower_params(p.params, q.params)
        case TypeP(), TypeP():
            return narrower(p.type, q.type)
    if isinstance(q, GenericP) and not isinstance(p, Abstract | TupleP | StructP | TypeP | FunctionP):
        return _match_generic(p, q, {})  # type: ignore[arg-type]
    return False


def _narrower_params(have: tuple[Pattern, ...], want: tuple[Pattern, ...]) -> bool:
    return len(have) >= len(want) and all(narrower(h, w) for h, w in zip(have, want, strict=False))


def _narrower_tuple(p: TupleType | TupleP, q: TupleP) -> bool:
    if isinstance(p, TupleP) and p.rest is not None:
        if q.rest is None or len(p.items) < len(q.items) or not narrower(p.rest, q.rest):
            return False
    elif len(p.items) < len(q.items) or (len(p.items) > len(q.items) and q.rest is None):
        return False
    wanted: list[Pattern] = list(q.items)
    while len(wanted) < len(p.items):
        assert q.rest is not None
        wanted.append(q.rest)
    return all(narrower(a, b) for a, b in zip(p.items, wanted, strict=True))
