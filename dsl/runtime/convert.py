"""Python values and leaves: both directions of conversion. (`runtime.typeof` says which type a value has.)

Guarantees: nothing is narrowed, rounded or reshaped without being asked (an int that does not fit into 64 bits is an
error); what the language has by reference (mutable structs, `Ref`) stays one object: Python's object and every other
reference see the same fields. A dict is copied in; `write_back` brings the caller's dict to what the call made of it.
NumPy (`runtime.arrays`) is looked at only where a value of its types comes in, imported only where an array goes out.
"""

from __future__ import annotations

import math
from array import array as packed_array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from dsl.diagnostics import DslError, error
from dsl.interp import Memory
from dsl.records import dataclass
from dsl.runtime.arrays import array_from, array_leaves, as_array, dtype_of, is_complex
from dsl.runtime.buffers import Buffer
from dsl.runtime.shape import Items, fields_of, make
from dsl.runtime.text import joined
from dsl.runtime.values import Record, String, find_name
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    AdjointType,
    ArrayType,
    FnType,
    Irrational,
    LangType,
    NamedTupleType,
    OptionalType,
    Prim,
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
    interned,
    is_complex_number,
    leaves,
    round_to_f32,
)

__all__ = ["FunctionLike", "Record", "Ref", "String", "Struct", "from_leaves", "to_leaves", "write_back"]

Wrap: TypeAlias = Callable[[LangType, Sequence[Any]], Any]
MOST_ITEMS = 1 << 28  # of a range of floats that becomes a list
_IRRATIONALS = {"π": math.pi, "ℯ": math.e}


@runtime_checkable
class FunctionLike(Protocol):
    """A function of the language in Python's hands: its type and the leaves of what it captures."""

    type: LangType
    leaves: Sequence[Any]


@dataclass(frozen=True)
class FunctionValue:
    """The plainest such object: it can be handed back, not called."""

    type: LangType
    leaves: Sequence[Any]


# ---------------------------------------------------------------- from Python


def to_leaves(value: Any, type: LangType, name: str = "an argument") -> list[Any]:
    """The leaves of a Python value that has, or is to have, a type of the language; `name` as in `typeof.type_of`."""
    match type:
        case Prim():
            return _number(value, type)
        case FnType() | VariantType():
            return list(value.leaves)
        case OptionalType():
            if value is None:
                return [False, *zeros(type.item)]
            return [True, *to_leaves(value, type.item, name)]
        case TupleType():
            return _leaves_of_each(_items(value, len(type.items), type), type.items, name)
        case NamedTupleType():
            return _leaves_of_each(_named(value, type.names, type), type.items, name)
        case StructType() | RefType() | StaticDictType():
            return _composite(value, type, name)
        case VectorType() | ArrayType():
            return _array(value, type, name)
        case AdjointType():
            return _row(value, type, name)
        case RangeType():
            return [value.start, value.step, len(value)]
    if leaves(type):
        raise error("E0602", f"a Python {value.__class__.__name__} cannot stand for a {type}")
    return []


def zeros(type: LangType) -> list[Any]:
    """Leaves that stand where there is no value."""
    return [{"f64": 0.0, "f32": 0.0, "i64": 0, "bool": False}.get(str(leaf)) for leaf in leaves(type)]


def _leaves_of_each(values: Sequence[Any], types: Sequence[LangType], name: str = "an argument") -> list[Any]:
    return [leaf for value, t in zip(values, types, strict=True) for leaf in to_leaves(value, t, name)]


def _number(value: Any, type: Prim) -> list[Any]:
    if type == NOTHING:
        return []
    if type in (SYMBOL, STRING):
        return [intern(str(value))]
    if isinstance(value, str) or (type == BOOLEAN and value not in (True, False)):
        raise error("E0602", f"{value!r} is no {type}")
    try:
        return [_NUMBERS[type](value)]
    except DslError:
        raise
    except (TypeError, ValueError, OverflowError) as e:
        raise error("E0602", f"{value!r} is no {type}") from e


def _int64(value: Any) -> int:
    number = int(value)
    if number != value:
        raise error("E0408", f"{value!r} is no Int64")
    if not -(1 << 63) <= number < 1 << 63:
        raise error("E0408", f"{number} does not fit into an Int64")
    return number


_NUMBERS: dict[Prim, Callable[[Any], Any]] = {
    FLOAT64: float, FLOAT32: lambda x: round_to_f32(float(x)), INT64: _int64, BOOLEAN: bool,
}  # fmt: skip


def _items(value: Any, count: int, type: LangType) -> Sequence[Any]:
    if not isinstance(value, tuple | list) or len(value) != count:
        raise error("E0602", f"{value!r} is no {type}")
    return value


def _named(value: Any, names: Sequence[str], type: LangType) -> list[Any]:
    """The fields of a record, struct, named tuple or dict, in the order of the type."""
    fields = value if isinstance(value, Mapping) else value._asdict() if hasattr(value, "_asdict") else None
    if fields is None:
        return list(_items(value, len(names), type))
    places = [find_name(list(fields), n) for n in names]
    if len(fields) != len(names) or -1 in places:
        raise error("E0602", f"the fields of {value!r} are not those of a {type} ({', '.join(names)})")
    items = list(fields.values())
    return [items[k] for k in places]


def _composite(value: Any, type: StructType | RefType | StaticDictType, name: str) -> list[Any]:
    memory = getattr(value, "_memory", None)
    if memory is not None and leaves(value._type) == leaves(type):
        return [memory]
    match type:
        case StructType():
            if is_complex(type) and not isinstance(value, Struct):
                return _complex(value, type)
            record = _leaves_of_each(_named(value, type.names, type), type.items, name)
            return [Memory([record])] if type.mutable else record
        case RefType():
            return [Memory([to_leaves(value, type.item, name)])]
        case StaticDictType():
            return [Memory([_leaves_of_each(list(value.values()), type.items, name)])]


def _complex(value: Any, type: LangType) -> list[Any]:
    try:
        number = complex(value)
    except (TypeError, ValueError, OverflowError) as e:
        raise error("E0602", f"{value!r} is no {type}") from e
    return [number.real, number.imag]


# The code of `array.array` for lists of numbers; of a Bool the bytes are made of.
_PACKED: dict[LangType, Callable[[Any], Any]] = {
    FLOAT64: lambda items: packed_array("d", items), FLOAT32: lambda items: packed_array("f", items),
    INT64: lambda items: packed_array("q", items), BOOLEAN: lambda items: bytearray(map((False, True).index, items)),
}  # fmt: skip


def _array(value: Any, type: VectorType | ArrayType, name: str) -> list[Any]:
    """An array where it lies, or a list, copied."""
    array = as_array(value)
    if array is not None:
        return array_leaves(value, array, type, name)
    if isinstance(type, ArrayType) or not isinstance(value, list | tuple | range):
        raise error("E0602", f"{name}, a Python {value.__class__.__name__}, is no {type}",
                    hint="numpy.array(…) makes an array of nested lists")  # fmt: skip
    if type.item in _PACKED:
        try:
            return [Buffer(leaves(type.item), _PACKED[type.item](value), len(value))]
        except (TypeError, ValueError, OverflowError):  # what does not fit is named below, by itself
            pass
    return [Memory([to_leaves(v, type.item, f"item {k} of {name}") for k, v in enumerate(value)])]


def _row(value: Any, type: AdjointType, name: str) -> list[Any]:
    """A matrix of one row as that row."""
    array = as_array(value)
    if array is None or array.shape[:1] != (1,) or array.ndim != 2:
        raise error("E0602", f"{name}, a Python {value.__class__.__name__}, is no matrix of one row")
    return to_leaves(array[0], type.vector, name)


def write_back(value: Any, type: LangType, values: Sequence[Any], wrap: Wrap | None = None) -> None:
    """Bring the dicts in an argument to what is now in the leaves that were made of it."""
    match type:
        case TupleType() | NamedTupleType() | StructType(mutable=False):
            source = iter(values)
            items = value if isinstance(value, tuple) else list(_named(value, type.names, type))  # type: ignore[union-attr]
            for item, t in zip(items, type.items, strict=True):
                write_back(item, t, [next(source) for _ in leaves(t)], wrap)
        case StaticDictType() if isinstance(value, dict):
            (row,) = values[0].rows
            for key, place, t in zip(list(value), fields_of(type), type.items, strict=True):
                if isinstance(t, Prim | ArrayType) or (isinstance(t, VectorType) and dtype_of(t.item)):
                    new = from_leaves(row[place], t, wrap)
                    value[key] = new.tolist() if isinstance(value[key], list) else new
                else:
                    write_back(value[key], t, row[place], wrap)


# ---------------------------------------------------------------- to Python


def from_leaves(values: Sequence[Any], type: LangType, wrap: Wrap | None = None, own: bool = False) -> Any:
    """The Python value of leaves. `wrap` makes Python's object for a function, given its type and leaves; `own`: nobody
    else has the arrays that the call has just made, so they need not be copied."""
    return make(values, type, _ToPython(wrap or FunctionValue, own))


class _ToPython:
    """A `Maker` of Python values."""

    def __init__(self, wrap: Wrap, own: bool) -> None:
        self.wrap = wrap
        self.own = own

    def atom(self, type: LangType, leaf: Any) -> Any:
        match type:
            case SymbolLit():
                return type.name
            case StringLit():
                return String(type.text)
            case Irrational():
                return _IRRATIONALS[type.name]
            case TypeValue():
                return self.wrap(type, ())
        if type == SYMBOL:
            return interned(leaf)
        return String(interned(leaf)) if type == STRING else leaf

    def function(self, type: LangType, leaves: Sequence[Any]) -> Any:
        return self.wrap(type, leaves)

    def text(self, parts: Sequence[tuple[LangType, Sequence[Any]]]) -> Any:
        return String(joined(parts))

    def tuple(self, items: Sequence[Any]) -> Any:
        return tuple(items)

    def named(self, type: NamedTupleType, items: Sequence[Any]) -> Any:
        return Record(type.names, items)

    def struct(self, type: StructType, items: Sequence[Any], memory: Memory | None) -> Any:
        if is_complex_number(type):
            return complex(*items)
        made = object.__new__(struct_class(type))
        object.__setattr__(made, "_items", tuple(items))
        object.__setattr__(made, "_memory", memory)
        object.__setattr__(made, "_wrap", self.wrap)
        return made

    def ref(self, type: RefType, item: Any, memory: Memory) -> Any:
        return Ref(type, memory, self.wrap)

    def array(self, type: LangType, values: Sequence[Any], items: Items[Any]) -> Any:
        """An ndarray of numbers; a list (a matrix: of its rows) of anything else."""
        item = type.vector.item if isinstance(type, AdjointType) else type.item  # type: ignore[union-attr]
        dtype = dtype_of(item)
        return items.nested() if dtype is None else array_from(values, type, dtype, self.own)

    def dict(self, keys: Sequence[Any], values: Sequence[Any], memory: Memory) -> Any:
        return dict(zip(keys, values, strict=True))

    def range(self, type: RangeType, start: Any, step: Any, length: int) -> Any:
        if type.item == INT64:
            return range(start, start + step * length, step)
        if length > MOST_ITEMS:
            raise error("E0411", f"there is not enough memory for the result, a range of {length} floats, as a list")
        return [start + k * step for k in range(length)]

    def missing(self, type: LangType) -> Any:
        return None


# ---------------------------------------------------------------- structs and references in Python's hands


class Struct:
    """The base of the classes of structs: one class a struct type. A struct of an immutable type keeps its fields."""

    __slots__ = ("_items", "_memory", "_wrap")
    _type: StructType
    _items: tuple[Any, ...]
    _memory: Memory | None
    _wrap: Wrap

    def __init__(self, *items: Any) -> None:
        type = self._type
        record = _leaves_of_each(_items(items, len(type.items), type), type.items)
        object.__setattr__(self, "_items", items)
        object.__setattr__(self, "_memory", Memory([record]) if type.mutable else None)
        object.__setattr__(self, "_wrap", FunctionValue)

    def _now(self) -> tuple[Any, ...]:
        """The values of the fields."""
        return self._items

    def _place(self, name: str) -> int:
        names = self._type.names
        place = -1 if name.startswith("__") else find_name(names, name)
        if place < 0:
            raise AttributeError(f"{self._type.name} has no field {name}, only {', '.join(names) or 'none'}")
        return place

    def __getattr__(self, name: str) -> Any:
        return self._now()[self._place(name)]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._type.name} is no mutable struct: its field {name} cannot be changed")

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._type.names, self._now(), strict=True))

    def __repr__(self) -> str:
        return f"{self._type.name}({', '.join(map(repr, self._now()))})"

    def __dir__(self) -> Iterator[str]:
        yield from object.__dir__(self)
        yield from self._type.names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Struct) and self._type == other._type and self._now() == other._now()

    def __hash__(self) -> int:
        return hash((self._type, self._now()))

    def __reduce__(self) -> Any:
        return _owner_of(self).reduced(self._type, self._items, self._memory)


def _owner_of(value: Struct | Ref) -> Any:
    """The program that a value belongs to, which knows how it is copied to another process."""
    owner = getattr(value._wrap, "__self__", None)
    if owner is None:
        raise TypeError(f"{value!r} belongs to no program that could be read again elsewhere: it cannot be pickled")
    return owner


class MutableStruct(Struct):
    """Its fields are in a memory that other references share. Equal only to itself, as in the language."""

    __slots__ = ()

    def _now(self) -> tuple[Any, ...]:
        assert self._memory is not None
        row = self._memory.rows[0]
        pairs = zip(fields_of(self._type), self._type.items, strict=True)
        return tuple(from_leaves(row[place], t, self._wrap) for place, t in pairs)

    def __setattr__(self, name: str, value: Any) -> None:
        assert self._memory is not None
        k = self._place(name)
        self._memory.rows[0][fields_of(self._type)[k]] = to_leaves(value, self._type.items[k])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MutableStruct) and self._memory is other._memory

    def __hash__(self) -> int:
        return id(self._memory)


_classes: dict[StructType, type[Struct]] = {}


def struct_class(type_: StructType) -> type[Struct]:
    """The class of a struct type."""
    if type_ not in _classes:
        base = MutableStruct if type_.mutable else Struct
        _classes[type_] = type(type_.name, (base,), {"__slots__": (), "_type": type_})
    return _classes[type_]


def remade(type: LangType, items: Sequence[Any], memory: Memory | None, wrap: Wrap) -> Struct | Ref:
    """A value that has been copied from another process."""
    if isinstance(type, RefType):
        assert memory is not None
        return Ref(type, memory, wrap)
    assert isinstance(type, StructType)
    made = object.__new__(struct_class(type))
    for name, value in (("_items", tuple(items)), ("_memory", memory), ("_wrap", wrap)):
        object.__setattr__(made, name, value)
    return made


class Ref:
    """A `Ref` of the language: `r[()]`, or `r.value`, is what it refers to."""

    __slots__ = ("_memory", "_type", "_wrap")

    def __init__(self, type: RefType, memory: Memory, wrap: Wrap) -> None:
        self._type, self._memory, self._wrap = type, memory, wrap

    @property
    def value(self) -> Any:
        return from_leaves(self._memory.rows[0], self._type.item, self._wrap)

    @value.setter
    def value(self, value: Any) -> None:
        self._memory.rows[0][:] = to_leaves(value, self._type.item)

    def __getitem__(self, key: tuple[()]) -> Any:
        return self.value

    def __setitem__(self, key: tuple[()], value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Ref({self.value!r})"

    def __reduce__(self) -> Any:
        return _owner_of(self).reduced(self._type, (), self._memory)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self._memory is other._memory

    def __hash__(self) -> int:
        return id(self._memory)
