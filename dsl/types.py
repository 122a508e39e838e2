"""Types: the leaves that SSA values have, and the language's types, which are split into leaves early.

A *leaf type* is what one SSA value has: `f64 f32 i64 bool`, `mem<…>` (a growable run of records, by reference)
and `obj` (an opaque packed record, by reference). A *language type* is what the user sees; `leaves(t)` lists its
leaf types in order. Functions of the IR take and return flat lists of leaves only.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_float
from typing import TypeAlias

from dsl.records import dataclass, replace

try:  # without the rest of hashlib, which takes long to import
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

# ---------------------------------------------------------------- leaf types


@dataclass(frozen=True, slots=True)
class Scalar:
    """One of the four below; compared and hashed all the time, so by name."""

    name: str

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Scalar and self.name == other.name)

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


F64, F32, I64, BOOL = Scalar("f64"), Scalar("f32"), Scalar("i64"), Scalar("bool")


@dataclass(frozen=True, slots=True)
class Mem:
    """A reference to a growable run of records, each with the given fields. A box is a run of length one."""

    fields: tuple[LeafType, ...]

    def __str__(self) -> str:
        return f"mem<{', '.join(map(str, self.fields))}>"


@dataclass(frozen=True, slots=True)
class Obj:
    """A reference to values packed by `pack`; what they are is known only to the matching `unpack`."""

    def __str__(self) -> str:
        return "obj"


OBJ = Obj()
LeafType: TypeAlias = Scalar | Mem | Obj


def tangent(t: LeafType) -> LeafType | None:
    """The type of a leaf's tangent, cotangent or shadow; None where there is none (bool).

    Integers carry a Float64 tangent. A field of a record keeps its place in the shadow: a bool field stays a bool.
    """
    if t == BOOL:
        return None
    if t == I64:
        return F64
    if isinstance(t, Mem):
        return Mem(tuple(tangent(f) or BOOL for f in t.fields))
    return t


def is_ref(t: LeafType) -> bool:
    return isinstance(t, Mem | Obj)


def round_to_f32(x: float) -> float:
    """The nearest Float32, as a Python float; infinite where it is out of range."""
    return c_float(x).value


# ---------------------------------------------------------------- language types


@dataclass(frozen=True, slots=True)
class Prim:
    """A type without parameters: Float64, Float32, Int64, Bool, Nothing; Symbol and String known at run time only
    (an interned i64 number, see `intern`)."""

    name: str

    def __str__(self) -> str:
        return self.name


FLOAT64, FLOAT32, INT64, BOOLEAN = Prim("Float64"), Prim("Float32"), Prim("Int64"), Prim("Bool")
NOTHING, SYMBOL, STRING = Prim("Nothing"), Prim("Symbol"), Prim("String")


@dataclass(frozen=True, slots=True)
class SymbolLit:
    """The type of a symbol known at compile time. No leaves."""

    name: str

    def __str__(self) -> str:
        return f"Symbol(:{self.name})"


@dataclass(frozen=True, slots=True)
class StringLit:
    """The type of a string known at compile time. No leaves."""

    text: str

    def __str__(self) -> str:
        return "String"


@dataclass(frozen=True, slots=True)
class Irrational:
    """π or ℯ: a constant of a type of its own. No leaves."""

    name: str

    def __str__(self) -> str:
        return f"Irrational(:{self.name})"


@dataclass(frozen=True, slots=True)
class TypeValue:
    """The type of a type used as a value (`Float64` in `zero(Float64)`). No leaves."""

    type: LangType

    def __str__(self) -> str:
        return f"Type{{{self.type}}}"


@dataclass(frozen=True, slots=True)
class FnType:
    """A function value. `key` identifies the code (a name of a builtin, or an object of `lower`, compared by
    identity); `captures` are the captured variables, whose leaves are the function's leaves."""

    key: object
    name: str
    captures: tuple[tuple[str, LangType], ...] = ()

    def __str__(self) -> str:
        return f"typeof({self.name})"


@dataclass(frozen=True, slots=True)
class VariantType:
    """One of several function types, told apart at run time by a tag. Leaves: the tag (i64), then every
    alternative's leaves in order (those not in use hold zeros)."""

    alternatives: tuple[LangType, ...]

    def __str__(self) -> str:
        return "Function"


@dataclass(frozen=True, slots=True)
class TupleType:
    items: tuple[LangType, ...]

    def __str__(self) -> str:
        inner = ", ".join(map(str, self.items))
        return f"Tuple{{{inner}}}"


@dataclass(frozen=True, slots=True)
class NamedTupleType:
    names: tuple[str, ...]
    items: tuple[LangType, ...]

    def __str__(self) -> str:
        inner = ", ".join(f"{n}::{t}" for n, t in zip(self.names, self.items, strict=True))
        return f"@NamedTuple{{{inner}}}"


@dataclass(frozen=True, slots=True)
class StructType:
    """A struct with its parameters filled in. `key` identifies the declaration (compared by identity). An immutable
    struct's leaves are its fields'; a mutable one is a reference: one `mem` with those leaves as its record.
    `site` tells apart places that make a mutable struct with untyped fields (0: all field types are declared)."""

    key: object
    name: str
    params: tuple[LangType, ...]
    names: tuple[str, ...]
    items: tuple[LangType, ...]
    mutable: bool = False
    site: int = 0

    def __str__(self) -> str:
        shown = self.params[: len(getattr(self.key, "type_vars", self.params))]  # not those of untyped fields
        return f"{self.name}{{{', '.join(map(str, shown))}}}" if shown else self.name


@dataclass(frozen=True, slots=True)
class RefType:
    """`Ref`, and the box of a captured variable that is assigned again. One `mem` of length one."""

    item: LangType
    site: int = 0

    def __str__(self) -> str:
        return f"Ref{{{self.item}}}"


@dataclass(frozen=True, slots=True)
class VectorType:
    """A vector: contiguous, its length is its memory's. One `mem` with the element's leaves as its record. Vectors made
    in the language can grow; one that is NumPy's memory cannot (the op `growable` tells)."""

    item: LangType
    site: int = 0

    def __str__(self) -> str:
        return f"Vector{{{self.item}}}"


@dataclass(frozen=True, slots=True)
class ArrayType:
    """A dense array of a rank and a layout. Leaves: the memory, then the sizes (i64, one a dimension).

    layout  "F"  column-major and contiguous, from the first record of the memory on (rank at least 2)
            "C"  the same, row-major
            "S"  strided: a further offset (of the first element, in records) before the sizes, and a stride (in
                 records) for each dimension behind them; any rank from 1 on
    A contiguous array of rank 1 is a `VectorType`."""

    item: LangType
    rank: int
    layout: str

    def __str__(self) -> str:
        if self.rank <= 2:
            return f"{'Vector' if self.rank == 1 else 'Matrix'}{{{self.item}}}"
        return f"Array{{{self.item}, {self.rank}}}"


@dataclass(frozen=True, slots=True)
class AdjointType:
    """A vector with a `'` behind it: a row. Leaves: those of the vector (a `VectorType` or an `ArrayType` of rank 1).
    As an operand of `*` it gives scalars and rows; as an array it is a matrix of one row."""

    vector: LangType

    def __str__(self) -> str:
        return f"Adjoint{{{self.vector}}}"


@dataclass(frozen=True, slots=True)
class StaticDictType:
    """A Dict whose keys are all known at compile time (symbols, strings or integers). One `mem` of length one whose
    record has every value's leaves in order."""

    keys: tuple[str | int | StringLit, ...]  # a symbol is a str, a string a StringLit
    items: tuple[LangType, ...]
    site: int = 0

    def __str__(self) -> str:
        return "Dict"


@dataclass(frozen=True, slots=True)
class DictType:
    """A Dict with run-time keys. Leaves: the entries `mem<key…, value…>` in order of insertion, and the open
    addressing table `mem<i64>` (entry number + 1, or 0)."""

    key: LangType
    value: LangType
    site: int = 0

    def __str__(self) -> str:
        return f"Dict{{{self.key}, {self.value}}}"


@dataclass(frozen=True, slots=True)
class OptionalType:
    """`Union{T, Nothing}`. Leaves: a bool (true: there is a value), then T's."""

    item: LangType

    def __str__(self) -> str:
        return f"Union{{Nothing, {self.item}}}"


@dataclass(frozen=True, slots=True)
class RangeType:
    """A range of Int64 or Float64. Leaves: start, step, length (i64)."""

    item: Prim

    def __str__(self) -> str:
        return f"Range{{{self.item}}}"


@dataclass(frozen=True, slots=True)
class IterType:
    """What `enumerate`, `zip`, `keys`, `values`, `pairs`, `reverse` give: iterated only. Leaves: its items' leaves."""

    kind: str
    items: tuple[LangType, ...]

    def __str__(self) -> str:
        return f"{self.kind.capitalize()}{{{', '.join(map(str, self.items))}}}"


@dataclass(frozen=True, slots=True)
class ObjType:
    """What a pullback keeps. One leaf `obj`; never seen by the user but as a captured value."""

    def __str__(self) -> str:
        return "Tape"


@dataclass(frozen=True, slots=True)
class Bottom:
    """The type of an expression that never gives a value (a call that always raises)."""

    def __str__(self) -> str:
        return "Union{}"


BOTTOM = Bottom()
LangType: TypeAlias = (
    Prim | SymbolLit | StringLit | Irrational | TypeValue | FnType | VariantType | TupleType | NamedTupleType
    | StructType | RefType | VectorType | ArrayType | AdjointType | StaticDictType | DictType | OptionalType | RangeType
    | IterType | ObjType
    | Bottom
)  # fmt: skip

_PRIM_LEAVES: dict[str, tuple[LeafType, ...]] = {
    "Float64": (F64,), "Float32": (F32,), "Int64": (I64,), "Bool": (BOOL,), "Nothing": (), "Symbol": (I64,),
    "String": (I64,),
}  # fmt: skip


def record_leaves(t: LangType) -> tuple[LeafType, ...]:
    """The fields of the record behind a reference type (Ref, Vector, mutable struct, static Dict)."""
    match t:
        case RefType() | VectorType() | ArrayType():
            return leaves(t.item)
        case StructType() | StaticDictType():
            return tuple(leaf for item in t.items for leaf in leaves(item))
    raise AssertionError(t)


def leaves(t: LangType) -> tuple[LeafType, ...]:
    """The leaf types that a value of a language type is split into."""
    match t:
        case Prim():
            return _PRIM_LEAVES[t.name]
        case FnType():
            return tuple(leaf for _, c in t.captures for leaf in leaves(c))
        case VariantType():
            return (I64, *(leaf for a in t.alternatives for leaf in leaves(a)))
        case StructType(mutable=True) | RefType() | VectorType() | StaticDictType():
            return (Mem(record_leaves(t)),)
        case ArrayType():
            return (Mem(record_leaves(t)), *(I64,) * (2 * t.rank + 1 if t.layout == "S" else t.rank))
        case AdjointType():
            return leaves(t.vector)
        case TupleType() | NamedTupleType() | StructType() | IterType():
            return tuple(leaf for item in t.items for leaf in leaves(item))
        case DictType():
            return (Mem((*leaves(t.key), *leaves(t.value))), Mem((I64,)))
        case OptionalType():
            return (BOOL, *leaves(t.item))
        case RangeType():
            (item,) = leaves(t.item)
            return (item, item, I64)
        case ObjType():
            return (OBJ,)
        case _:
            return ()


def sizes(t: LangType) -> tuple[bool, ...]:
    """Which of the leaves of a value are sizes of arrays (or offsets and strides)."""
    match t:
        case ArrayType():
            return False, *(True for _ in leaves(t)[1:])
        case FnType():
            return tuple(size for _, c in t.captures for size in sizes(c))
        case TupleType() | NamedTupleType() | StructType(mutable=False):
            return tuple(size for item in t.items for size in sizes(item))
        case AdjointType():
            return sizes(t.vector)
    return (False,) * len(leaves(t))


def with_parts(t: LangType, change: Callable[[LangType], LangType]) -> LangType:
    """A composite type with other types for its parts. (What is told apart by identity has no parts to change.)"""
    match t:
        case TupleType() | NamedTupleType() | StaticDictType():
            return replace(t, items=tuple(map(change, t.items)))
        case VectorType() | ArrayType() | OptionalType():
            return replace(t, item=change(t.item))
        case AdjointType():
            return replace(t, vector=change(t.vector))
    return t


def is_complex_number(t: LangType) -> bool:
    """Whether a type is the library's `Complex`, of any kind of number (of Bool: that of `im`)."""
    return isinstance(t, StructType) and t.name == "Complex" and t.names == ("re", "im") and len(t.params) == 1


COMPLEX = StructType("Complex", "Complex", (FLOAT64,), ("re", "im"), (FLOAT64, FLOAT64))
"""Stands for the library's complex number of Float64 where no library has been read: its key is a name."""


class Origin(tuple[str, ...]):
    """How a function that captures nothing is found in its program: its name there, then the texts of the transforms
    that were applied to it, one after the other."""

    __slots__ = ()

    @property
    def type(self) -> FnType:
        """Stands for the function's type, which is known only where the program has been read."""
        return FnType(self, self[0])


# ---------------------------------------------------------------- interned strings

_texts: dict[int, str] = {}


def intern(text: str) -> int:
    """The number by which a symbol or string is known at run time: the same in every process, since it stands in code
    that is kept."""
    number = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") >> 1
    if _texts.setdefault(number, text) != text:  # as likely as that a machine fails
        raise AssertionError(f"{text!r} and {_texts[number]!r} have one number")
    return number


def interned(number: int) -> str:
    """The text behind a number that `intern` gave in this process."""
    return _texts[number]


def all_interned() -> list[str]:
    """Every text that has a number: who keeps numbers keeps these, too."""
    return list(_texts.values())
