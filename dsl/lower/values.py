"""Abstract values: what lowering knows of a value while it emits the code that computes it.

A `Val` is a language type with the SSA values of its leaves. Functions, types, literal symbols and strings, π and
`nothing` are all type and have no leaves. `known` is a number that is known while compiling (a literal, the length of
a tuple, the outcome of a question about types). It serves tuple indices, keys of static Dicts and the choice of
branches; it never enters the key of a specialisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from dsl.ir.core import Value
from dsl.records import dataclass
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    F32,
    F64,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    FnType,
    Irrational,
    IterType,
    LangType,
    NamedTupleType,
    Prim,
    StringLit,
    StructType,
    SymbolLit,
    TupleType,
    TypeValue,
    leaves,
)  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, eq=False, slots=True)
class Val:
    type: LangType
    leaves: tuple[Value, ...] = ()
    known: int | float | bool | None = None

    @property
    def leaf(self) -> Value:
        (value,) = self.leaves
        return value


class Diverged(Exception):
    """The expression being lowered never gives a value: control left (`return`, `break`, an error that is always
    raised). The current region has its terminator, or will get it where the exit is completed."""


UNIT = Val(NOTHING)

FLOATS = (FLOAT64, FLOAT32)
_RANK: dict[LangType, int] = {INT64: 0, FLOAT32: 1, FLOAT64: 2}


def is_real(t: LangType) -> bool:
    """Whether values of this type are real numbers with arithmetic (not Bool)."""
    return t in _RANK or isinstance(t, Irrational)


def is_number(t: LangType) -> bool:
    return t == BOOLEAN or is_real(t)


def promote(a: LangType, b: LangType) -> Prim:
    """The common type of two numbers under arithmetic."""
    ranked = [t for t in (a, b) if t in _RANK]
    if not ranked:
        return INT64 if a == b == BOOLEAN else FLOAT64
    best = max(ranked, key=_RANK.__getitem__)
    if best == INT64 and (isinstance(a, Irrational) or isinstance(b, Irrational)):
        return FLOAT64
    assert isinstance(best, Prim)
    return best


def leaf_of(t: LangType) -> object:
    (leaf,) = leaves(t)
    return leaf


def float_of(leaf: object) -> Prim:
    """The language type of a float leaf."""
    return {F64: FLOAT64, F32: FLOAT32}[leaf]  # type: ignore[index]


# ---------------------------------------------------------------- composite values


def items_of(v: Val) -> list[Val]:
    """The parts of a tuple, named tuple, immutable struct or function value (its captures)."""
    return list(split(v.leaves, part_types(v.type)))


def part_types(t: LangType) -> tuple[LangType, ...]:
    match t:
        case TupleType() | NamedTupleType() | StructType():
            return t.items
        case FnType():
            return tuple(c for _, c in t.captures)
    raise AssertionError(t)


def split(values: Iterable[Value], types: Iterable[LangType]) -> Iterator[Val]:
    """Cut a flat list of leaves into values of the given types."""
    types = list(types)
    for t, part in zip(types, split_at(list(values), types), strict=True):
        yield Val(t, tuple(part))


def split_at(values: Sequence[T], types: Iterable[LangType]) -> Iterator[Sequence[T]]:
    """Cut a flat list of anything that stands for leaves into the parts of each type."""
    at = 0
    for t in types:
        n = len(leaves(t))
        yield values[at : at + n]
        at += n
    assert at == len(values), "leaves left over"


def flatten(values: Iterable[Val]) -> tuple[Value, ...]:
    return tuple(leaf for v in values for leaf in v.leaves)


def tuple_val(items: Iterable[Val]) -> Val:
    items = list(items)
    return Val(TupleType(tuple(v.type for v in items)), flatten(items))


def named_val(names: Iterable[str], items: Iterable[Val]) -> Val:
    items = list(items)
    return Val(NamedTupleType(tuple(names), tuple(v.type for v in items)), flatten(items))


def fn_val(key: object, name: str, captures: Iterable[tuple[str, Val]] = ()) -> Val:
    captures = list(captures)
    return Val(FnType(key, name, tuple((n, v.type) for n, v in captures)), flatten(v for _, v in captures))


def type_val(t: LangType) -> Val:
    return Val(TypeValue(t))


def text_of(t: LangType) -> str | None:
    """The text of a literal string or symbol."""
    match t:
        case StringLit():
            return t.text
        case SymbolLit():
            return t.name
    return None


# ---------------------------------------------------------------- how types are shown


def show_type(t: LangType) -> str:
    """A type as a person writes it: literal symbols and strings are Symbol and String."""
    match t:
        case SymbolLit():
            return "Symbol"
        case Irrational():
            return "Irrational"
        case TupleType():
            return f"Tuple{{{', '.join(map(show_type, t.items))}}}"
        case FnType():
            return f"typeof({t.name})"
        case IterType(kind="text"):
            return "String"
    return str(t)


def depth(t: LangType) -> int:
    """How deep a type is nested."""
    match t:
        case TupleType() | NamedTupleType() | StructType():
            return 1 + max(map(depth, t.items), default=0)
        case FnType():
            return 1 + max((depth(c) for _, c in t.captures), default=0)
    item = getattr(t, "item", None)
    return 0 if item is None or t == BOTTOM else 1 + depth(item)
