"""NumPy arrays and arrays of the language: their types, and both directions of conversion.

Guarantees: an array of float64, float32, int64, bool or complex128 goes in as it lies, in any layout in which each
element has a place of its own, and no element is touched. Anything else that fits without loss is converted to a copy
(a large one with a `PerformanceWarning`), what does not fit is an error that names the argument. What comes out is a
fresh array in the order of its type, or, where it is exactly an array that went in, that object.
NumPy is looked at only where something of its types comes in, and imported only where an array goes out.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from dsl.diagnostics import DslError, PerformanceWarning, error
from dsl.interp import Memory
from dsl.records import dataclass
from dsl.runtime.buffers import Buffer, Flat, Lent, address_of
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    AdjointType,
    ArrayType,
    LangType,
    StructType,
    VectorType,
    leaves,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

Order: TypeAlias = Literal["C", "F", "K"]
LARGE_COPY = 1_000_000  # bytes: what a copy must have for a warning
DTYPES: dict[LangType, str] = {FLOAT64: "float64", FLOAT32: "float32", INT64: "int64", BOOLEAN: "bool"}
# The element type of each dtype, by kind and size. Those with a dtype of their own in DTYPES are used in place.
_ITEMS: dict[str, LangType] = {
    "b1": BOOLEAN, "i1": INT64, "i2": INT64, "i4": INT64, "i8": INT64, "u1": INT64, "u2": INT64, "u4": INT64,
    "u8": INT64, "f2": FLOAT64, "f4": FLOAT32, "f8": FLOAT64,
}  # fmt: skip
_FORMS = {"float64": "f8", "float32": "f4", "int64": "i8", "bool": "b1", "complex128": "c16"}
_COMPLEX = ("c8", "c16")
_REFUSED = {
    "O": "hand over an array of numbers: numpy.array(…, dtype=float)",
    "U": "symbols and strings are handed over one by one, not as arrays",
    "S": "symbols and strings are handed over one by one, not as arrays",
    "M": "dates become numbers by x.astype('int64')",
    "m": "durations become numbers by x.astype('int64')",
    "V": "hand over each field as an array of its own: x['name']",
    "f": "the widest floating-point type here is Float64: x.astype(float)",
    "c": "the widest complex type here is complex128: x.astype(complex)",
}


def is_complex(type: LangType) -> bool:
    """Whether a type is the library's `Complex`, whose numbers lie as NumPy's complex128."""
    return isinstance(type, StructType) and type.name == "Complex" and type.items == (FLOAT64, FLOAT64)


def dtype_of(item: LangType) -> str | None:
    """The dtype whose elements lie as those of an element type; None where there is none."""
    return "complex128" if is_complex(item) else DTYPES.get(item)


# ---------------------------------------------------------------- what comes in


def as_array(value: Any) -> Array | None:
    """An array, or what gives one when asked (`__array__`), as an array; None for everything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if isinstance(value, numpy.ndarray):
        return cast("Array", value)
    if isinstance(value, numpy.generic) or not hasattr(value, "__array__") or isinstance(value, type):
        return None
    found: Array = numpy.asarray(value)
    return found


def described(array: Array, name: str) -> str:
    """How messages call an array."""
    return f"{name}, an array of {array.dtype} of shape {array.shape},"


def item_of(array: Array, name: str, complex_type: LangType | None) -> LangType:
    """The element type of an array."""
    form = f"{array.dtype.kind}{array.dtype.itemsize}"
    found = _ITEMS.get(form)
    if found is None and form in _COMPLEX:
        found = complex_type
    if found is None or type(array).__name__ == "MaskedArray":
        raise refusal(array, name)
    return found


def refusal(array: Array, name: str) -> DslError:
    """The error for an array whose elements have no counterpart."""
    hint = _REFUSED.get(array.dtype.kind, "")
    if type(array).__name__ == "MaskedArray":
        hint = "masked elements have no value: x.filled(0.0) gives them one"
    elif array.dtype.kind == "O" and array.shape == () and hasattr(array[()], "toarray"):
        hint = "a sparse matrix becomes an array by x.toarray()"
    return error("E0602", f"{described(array, name)} has no counterpart in the language", hint=hint)


def in_place(array: Array, item: LangType) -> bool:
    """Whether the elements can be used where they lie: of a type that the language has, in this machine's byte order,
    on addresses that are multiples of their size, each at a place of its own (a gradient has an entry for each)."""
    dtype, flags = array.dtype, array.flags
    return (
        f"{dtype.kind}{dtype.itemsize}" == _FORMS.get(dtype_of(item) or "")
        and dtype.isnative
        and flags.aligned
        and (flags.forc or (all(s % dtype.itemsize == 0 for s in array.strides) and not overlaps_itself(array)))
    )


def overlaps_itself(array: Array) -> bool:
    """Whether elements of an array may share a place, as in what `numpy.broadcast_to` gives: a dimension, from the
    shortest step on, steps over less than those before it take."""
    taken = array.itemsize
    for step, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if step < taken and array.size:
            return True
        taken += step * (n - 1)
    return False


def type_of_array(array: Array, name: str, complex_type: LangType | None) -> LangType:
    """The type of an array. One that is contiguous both ways (one row, one column, no elements) counts as C; one that
    must be copied as F where it is that alone, else as C."""
    item, flags = item_of(array, name, complex_type), array.flags
    rank = array.ndim
    if rank == 0:
        return item
    if flags.c_contiguous or not in_place(array, item):
        layout = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
        return VectorType(item) if rank == 1 else ArrayType(item, rank, layout)
    return ArrayType(item, rank, "F" if flags.f_contiguous else "S")


def array_leaves(given: Any, array: Array, type: VectorType | ArrayType, name: str) -> list[Any]:
    """The leaves of an array as an array of a type: its memory where that lies as the type says, else a copy."""
    wanted = dtype_of(type.item)
    rank = 1 if isinstance(type, VectorType) else type.rank
    if wanted is None or array.ndim != rank:
        raise error("E0602", f"{described(array, name)} is no {type}")
    layout = "C" if isinstance(type, VectorType) else type.layout
    lost = "" if given is array else f"made of a {given.__class__.__name__}"
    if not in_place(array, type.item):
        array, lost = _converted(array, wanted, layout, name), _why_converted(array, wanted)
    elif not (layout == "S" or (array.flags.f_contiguous if layout == "F" else array.flags.c_contiguous)):
        array, lost = _converted(array, wanted, layout, name), "converted to another layout"
    fields = leaves(type.item)
    if layout != "S":
        place = () if rank == 1 else array.shape
        return [Lent(fields, array, address_of(array), array.size, given, lost, (layout, *place)), *place]
    return _strided(given, array, fields, lost)


def _why_converted(array: Array, wanted: str) -> str:
    """Why an array could not be used where it lies, for messages."""
    if array.dtype != wanted:
        return f"converted from {array.dtype}"
    shared = overlaps_itself(array)
    return f"copied, since its elements {'share places' if shared else 'do not lie at multiples of their size'}"


def _strided(given: Any, array: Array, fields: Sequence[Any], lost: str) -> list[Any]:
    """The memory is all that lies between the lowest and the highest element."""
    size = array.dtype.itemsize
    strides = [s // size for s in array.strides]
    steps = [(n - 1) * s for n, s in zip(array.shape, strides, strict=True)]
    offset = -sum(s for s in steps if s < 0) if array.size else 0
    length = offset + sum(s for s in steps if s > 0) + 1 if array.size else 0
    place = (offset, *array.shape, *strides)
    address = address_of(array) - offset * size
    return [Lent(fields, array, address, length, given, lost, ("S", *place)), *place]


def _converted(array: Array, dtype: str, layout: str, name: str) -> Array:
    """A copy with elements of a dtype, in an order. Only what fits without loss is converted."""
    import numpy

    fits = numpy.can_cast(array.dtype, dtype, "safe") or (array.dtype.kind == "u" and dtype == "int64")
    if not fits:
        raise error("E0602", f"{described(array, name)} cannot be converted to {dtype} without loss",
                    hint=f"if that is what you want: x.astype({dtype!r})")  # fmt: skip
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and array.size and array.max() > numpy.iinfo("int64").max:
        raise error("E0602", f"{described(array, name)} has numbers that do not fit into an Int64",
                    hint="x.astype(float) makes them Float64")  # fmt: skip
    try:
        copy = numpy.array(array, dtype, order="F" if layout == "F" else "C", subok=False)
    except MemoryError as e:
        raise error("E0411", f"{described(array, name)} has to be copied, and there is not enough memory") from e
    if copy.nbytes > LARGE_COPY:
        order = "asfortranarray" if layout == "F" else "ascontiguousarray"
        warn(f"{described(array, name)} is copied at every call ({copy.nbytes / 1e6:.1f} MB): convert it once, with "
             f"numpy.{order}(x, {dtype!r})")  # fmt: skip
    return copy


def warn(text: str) -> None:
    """A `PerformanceWarning` where the user's code calls the package."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "dsl":
        depth, frame = depth + 1, frame.f_back
    warnings.warn(text, PerformanceWarning, stacklevel=depth)


# ---------------------------------------------------------------- what goes out


@dataclass(frozen=True)
class Place:
    """Where the elements of an array lie in its memory, in records."""

    sizes: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]
    order: Order  # in which a copy lies: C, F, or K (as they lie now)

    @property
    def count(self) -> int:
        total = 1
        for n in self.sizes:
            total *= n
        return total


def place_of(type: LangType, values: Sequence[Any]) -> Place:
    """Where the elements of an array-like value lie, given its leaves; the first of them is its memory."""
    match type:
        case AdjointType():
            row = place_of(type.vector, values)
            return Place((1, *row.sizes), row.offset, (1, *row.strides), "C")
        case ArrayType(layout="S"):
            _, offset, *rest = values
            return Place(tuple(rest[: type.rank]), offset, tuple(rest[type.rank :]), "K")
        case ArrayType():
            sizes = tuple(values[1:])
            return Place(sizes, 0, _dense(sizes, type.layout), "F" if type.layout == "F" else "C")
    return Place((length_of(values[0]),), 0, (1,), "C")


def length_of(memory: Memory) -> int:
    return memory.length if isinstance(memory, Flat) else len(memory.rows)


def _dense(sizes: Sequence[int], layout: str) -> tuple[int, ...]:
    strides, step = [], 1
    for n in sizes if layout == "F" else reversed(sizes):
        strides.append(step)
        step *= n
    return tuple(strides if layout == "F" else reversed(strides))


def array_from(values: Sequence[Any], type: LangType, dtype: str, own: bool) -> Any:
    """The array of an array-like value. `own`: nobody else has the memory that its call has made."""
    try:
        return _array_from(values, type, dtype, own)
    except (MemoryError, ValueError) as e:  # NumPy refuses sizes, also of what is empty, that no memory could have
        sizes = place_of(type, values).sizes
        raise error("E0411", f"there is not enough memory for the result, an array of shape {sizes}") from e


def _array_from(values: Sequence[Any], type: LangType, dtype: str, own: bool) -> Any:
    import numpy

    memory, place = values[0], place_of(type, values)
    if isinstance(memory, Lent) and memory.given is not None and not memory.lost and memory.place == _of(type, values):
        return memory.given
    flat = _elements(memory, dtype)
    if place.order != "K" and len(flat) == place.count:
        array = flat.reshape(place.sizes, order="F" if place.order == "F" else "C")
        return array if own and isinstance(memory, Buffer) and memory.fresh else array.copy(order=place.order)
    strides = tuple(s * flat.itemsize for s in place.strides)
    view = numpy.lib.stride_tricks.as_strided(flat[place.offset :], place.sizes, strides)
    return view.copy(order=place.order)


def _of(type: LangType, values: Sequence[Any]) -> tuple[Any, ...]:
    """What `Lent.place` is for an array of this type."""
    match type:
        case ArrayType():
            return (type.layout, *values[1:])
        case VectorType():
            return ("C",)
    return ()


def _elements(memory: Memory, dtype: str) -> Array:
    """The records of a memory as an array."""
    import numpy

    if isinstance(memory, Flat):
        records = memory.records()
        if isinstance(records, numpy.ndarray):
            return records.view(dtype)
        return numpy.frombuffer(records, dtype) if memory.length else numpy.empty(0, dtype)
    if dtype == "complex128":
        return numpy.array([complex(*row) for row in memory.rows], dtype)
    return numpy.array([row[0] for row in memory.rows], dtype)


def joined(parts: Sequence[Any]) -> Any:
    """Arrays behind each other along the first axis, lists behind each other; of tuples, each entry."""
    if isinstance(parts[0], tuple):
        return tuple(joined(entries) for entries in zip(*parts, strict=True))
    if isinstance(parts[0], list):
        return [x for part in parts for x in part]
    import numpy

    return numpy.concatenate(parts)
