"""Calls that have numbers and dense arrays of numbers only, without the general conversion of values.

What such a call needs is worked out once for the forms of its arguments (`forms` tells apart what is compiled apart). A
`Quick` does what `runtime.convert`, `lending` and `boundary` do together, in a fraction of the time. It is made only
where nothing can differ: the code changes no array, prints nothing, keeps no record, and takes no other memory. What it
cannot do after all it leaves to the general way by giving `GENERAL`, before anything has happened.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from dsl.backend.layout import WORD, Chunk, Context, Header, slots_format
from dsl.backend.memory import FIRST_CHUNK, LARGE
from dsl.diagnostics import DslError
from dsl.runtime.arrays import DTYPES
from dsl.runtime.boundary import Chunks, Owned, Through
from dsl.runtime.stack import lowest_address
from dsl.types import BOOLEAN, FLOAT64, INT64, NOTHING, ArrayType, LangType, Prim, TupleType, VectorType, leaves

if TYPE_CHECKING:
    from dsl.runtime.engine import Unit
    from dsl.runtime.specialised import Specialised

GENERAL = object()  # the call is one for the general way
Make: TypeAlias = Callable[["_Call", Sequence[Any]], Any]
_PLAIN: dict[type, LangType] = {float: FLOAT64, int: INT64, bool: BOOLEAN}
_CONTIGUOUS, _ALIGNED = 0x3, 0x100  # NumPy's flags: C and F order, alignment
_DATA = 2 * WORD  # where an ndarray has the address of its elements: behind the head that every object has
_Words = ctypes.c_int64 * len(Header)
_word = ctypes.c_int64.from_address


def forms(args: Sequence[Any]) -> tuple[Any, ...] | None:
    """What the types of the arguments depend on; None where one of them is neither a plain number nor an array."""
    numpy = sys.modules.get("numpy")
    array = None if numpy is None else numpy.ndarray
    found: list[Any] = []
    for a in args:
        t = type(a)
        if t is array:
            flags = a.flags.num
            if not flags & _CONTIGUOUS or not flags & _ALIGNED:
                return None
            found.append((a.dtype, a.ndim, flags & _CONTIGUOUS))
        elif t in _PLAIN:
            found.append(t)
        else:
            return None
    return tuple(found)


@cache
def _addresses_are_known() -> bool:
    """Whether the address of an array's elements is where it is looked for."""
    import numpy

    array = numpy.zeros(3)
    return bool(_word(id(array) + _DATA).value == array.__array_interface__["data"][0])


class _Call:
    """The arrays of one call by the address of their header: those that went in, and those that have come out."""

    __slots__ = ("given", "made", "sentinel", "through")

    def __init__(self, through: Through, sentinel: int) -> None:
        self.through = through
        self.sentinel = sentinel
        self.given: dict[int, Any] = {}
        self.made: dict[int, Any] = {}

    def array(self, address: int, shape: tuple[int, ...] | None, dtype: Any, order: Any) -> Any:
        """The array of a memory that the call gives; `shape` is None for a vector. What is exactly an array that went
        in is that object."""
        if not address:
            return None
        given = self.given.get(address)
        if given is not None and given.shape == (shape or given.shape) and given.flags[f"{order}_CONTIGUOUS"]:
            return given
        numpy = sys.modules["numpy"]
        data, length, capacity, region = _Words.from_address(address)
        shape, size = shape or (length,), length * dtype.itemsize
        if address not in self.made and capacity * dtype.itemsize >= LARGE and region == self.sentinel:
            own = Chunks.of(self.through.library, self.through.release, data)
            found = numpy.asarray(Owned(own, data, size)).view(dtype).reshape(shape, order=order)
            self.made[address] = found
        else:  # of an array that has come out the elements are still there
            found = numpy.empty(shape, dtype, order)
            ctypes.memmove(_word(id(found) + _DATA).value, data, size)
        return found


class Quick:
    """A compiled function, for one choice of forms of its arguments."""

    __slots__ = (
        "_captured", "_context", "_make", "_params", "_results", "_room", "_sentinel", "_timings", "_unit", "through"
    )  # fmt: skip

    def __init__(
        self, compiled: Specialised, captured: Sequence[Any], unit: Unit, through: Through, make: Make
    ) -> None:
        root = through.unit.root
        self.through = through
        self._captured = tuple(captured)
        self._make = make
        self._params = struct.Struct(slots_format(root.params))
        self._results = struct.Struct(slots_format(root.results))
        self._room = ctypes.c_char * max(self._results.size, 1)
        words = Context.OPERANDS + through.unit.operands
        self._sentinel = WORD * words
        self._context = ctypes.c_int64 * (words + 2)
        self._timings = compiled.timings
        self._unit = unit

    def call(self, args: Sequence[Any]) -> Any:
        """The value for arguments of these forms, or `GENERAL`."""
        if not self.current:
            return GENERAL
        context = self._context()
        here = ctypes.addressof(context)
        call = _Call(self.through, here + self._sentinel)
        values = list(self._captured)
        headers = []  # alive until the end
        for a in args:
            if type(a) in _PLAIN:
                values.append(a)
                continue
            header = _Words(_word(id(a) + _DATA).value, a.size, -1, 0)
            headers.append(header)
            address = ctypes.addressof(header)
            call.given[address] = a
            values.append(address)
            if a.ndim > 1:
                values += a.shape
        try:
            slots = self._params.pack(*values)
        except struct.error:  # an integer that does not fit
            return GENERAL
        results = self._room()
        context[Context.STACK_LIMIT] = lowest_address() + self.through.unit.stack_reserve
        context[Context.CHUNKS] = call.sentinel
        context[Context.CHUNK_SIZE] = FIRST_CHUNK
        start = perf_counter()
        try:
            self.through.run(context, here, slots, results)
            seconds = perf_counter() - start
            self._unit.spent += seconds
            self._timings["run"] = self._timings.get("run", 0.0) + seconds
            return self._make(call, self._results.unpack_from(results))
        except DslError:
            raise
        except (MemoryError, ValueError):  # an array that NumPy refuses to make: the general way says so
            return GENERAL
        finally:
            if context[len(context) - 2 + Chunk.NEXT]:
                self.through.release(call.sentinel)

    @property
    def current(self) -> bool:
        """Whether this is the code to be called: not when it is to be replaced, or has been."""
        return self._unit.boundary is self.through and not self._unit.outgrown

    @staticmethod
    def of(
        compiled: Specialised, captured: Sequence[Any], args: Sequence[Any], types: Sequence[LangType]
    ) -> Quick | None:
        """None where the call needs the general way."""
        native = compiled.native
        boundary = native.boundary if native is not None else None
        if native is None or not isinstance(boundary, Through) or compiled.options.interpreter or compiled.globals:
            return None
        unit = boundary.unit
        access = compiled.access if compiled.takes_memory else None
        if unit.prints or not unit.allocates or (access is not None and (access.changed or access.touched)):
            return None
        if not all(isinstance(x, float | int) for x in captured) or not all(map(_goes_in, args, types)):
            return None
        make = _maker(compiled.result, iter(range(len(unit.root.results))))
        return None if make is None or not _addresses_are_known() else Quick(compiled, captured, native, boundary, make)


def _goes_in(value: Any, t: LangType) -> bool:
    """Whether an argument is handed over as it is."""
    if isinstance(t, VectorType) or (isinstance(t, ArrayType) and t.layout != "S"):
        return bool(value.dtype.isnative) and value.dtype.name == DTYPES.get(t.item)
    return type(value) in _PLAIN


def _maker(type: LangType, places: Iterator[int]) -> Make | None:
    """What makes the value of a type out of the leaves of a result, taken from these places; None: the general way."""
    match type:
        case Prim() if type == NOTHING:
            return lambda call, values: None
        case Prim() if type in DTYPES:
            place = next(places)
            return lambda call, values: values[place]
        case TupleType():
            made = [_maker(t, places) for t in type.items]
            if any(m is None for m in made):
                return None
            return lambda call, values: tuple([make(call, values) for make in made if make is not None])
        case VectorType() if type.item in DTYPES:
            place = next(places)
            dtype = _dtype(type.item)
            return lambda call, values: call.array(values[place], None, dtype, "C")
        case ArrayType() if type.item in DTYPES and type.layout != "S":
            place, *sizes = (next(places) for _ in leaves(type))
            dtype, order = _dtype(type.item), type.layout
            first, last = sizes[0], sizes[-1] + 1
            return lambda call, values: call.array(values[place], tuple(values[first:last]), dtype, order)
    return None


def _dtype(item: LangType) -> Any:
    import numpy

    return numpy.dtype(DTYPES[item])
