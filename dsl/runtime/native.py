"""Functions as objects that Python calls natively: the type, the table of known objects, and entries.

`Callable` is a type with a vectorcall slot. An object without entries is called as any other, by `__call__`; the first
entry puts native code (`backend/stubs.py`) into the slot, which calls `_general` for what no entry takes. Where the
insides of the interpreter are not those that the code was written for (a debug or free-threaded build, another
implementation), or where DFL_NATIVE_CALLS=0 is set, `SUPPORTED` is false, `Callable` is a plain class, and no entries
are made: all calls take the general way.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading
from collections.abc import Callable as Callback
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from dsl.backend.layout import WORD, Header, slots_format
from dsl.backend.shapes import API, KNOWN_WORDS, Dtype, Entry, Flag, Known, Offset, Shape
from dsl.backend.stubs import FIRST, GENERAL, NEXT, REFUSE, STUB, dispatcher, refuser, stub
from dsl.runtime.boundary import Chunks, Direct, Owned, Through
from dsl.runtime.buffers import Flat
from dsl.runtime.lock import LOCK
from dsl.runtime.objects import object_code
from dsl.runtime.stack import lowest_address
from dsl.types import LeafType

_FLAGS_OF_TYPES = 168        # where a type has its flags
_HAS_VECTORCALL = 1 << 11
_word = ctypes.c_int64.from_address
_table = (ctypes.c_int64 * KNOWN_WORDS)()
LEVEL = 2  # of LLVM


# ---------------------------------------------------------------- is this an interpreter that is known


def _insides_are_known() -> bool:
    """Whether this is CPython as built for everybody, with objects laid out as `Offset` says."""
    if os.environ.get("DFL_NATIVE_CALLS") == "0" or sys.implementation.name != "cpython":
        return False
    builds = set(getattr(sys, "abiflags", ""))  # d: for debugging, t: free-threaded
    if builds & {"d", "t"} or struct.calcsize("P") != WORD:
        return False
    number, pair = 1.5, (number_in := 2.5, None)
    return (
        ctypes.c_double.from_address(id(number) + Offset.VALUE).value == number
        and _word(id(number) + Offset.TYPE).value == id(float)
        and _counts(pair)
        and _word(id(pair) + Offset.SIZE).value == 2
        and _word(id(pair) + Offset.ITEMS).value == id(number_in)
        and all(_flags(t).value == t.__flags__ for t in (int, dict, Exception))
        and all(hasattr(ctypes.pythonapi, name) for name in API)
    )


def _counts(thing: object) -> bool:
    """Whether references to an object are counted where they are looked for."""
    count = ctypes.c_int32.from_address(id(thing) + Offset.COUNT)
    before, more = count.value, [thing, thing]
    return count.value == before + len(more)


def _flags(t: type) -> ctypes.c_ulong:
    """The flags of a type, where they lie."""
    return ctypes.c_ulong.from_address(id(t) + _FLAGS_OF_TYPES)


SUPPORTED = _insides_are_known()


# ---------------------------------------------------------------- the type


class _Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("function", ctypes.c_void_p))


class _Member(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("type", ctypes.c_int), ("offset", ctypes.c_ssize_t), ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )  # fmt: skip


class _Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("basicsize", ctypes.c_int), ("itemsize", ctypes.c_int), ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )  # fmt: skip


_keep: list[Any] = []  # what the type refers to


def _native_type() -> type:
    """The type with the slot: two words behind the head of every object."""
    T_PYSSIZET, READONLY, PY_TP_MEMBERS, DEFAULT, BASETYPE = 19, 1, 72, 1 << 18, 1 << 10
    members = (_Member * 2)(_Member(b"__vectorcalloffset__", T_PYSSIZET, Offset.VECTORCALL, READONLY, None))
    slots = (_Slot * 2)(_Slot(PY_TP_MEMBERS, ctypes.cast(members, ctypes.c_void_p)))
    spec = _Spec(b"dsl.runtime.native.Callable", Offset.ENTRIES + WORD, 0, DEFAULT | BASETYPE | _HAS_VECTORCALL, slots)
    _keep.extend((members, slots, spec))
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, (ctypes.POINTER(_Spec),)
    made: type = make(ctypes.byref(spec))
    return made


if SUPPORTED:
    _Base: Any = _native_type()
else:
    _Base = object


class Callable(_Base):  # type: ignore[misc]
    """The base of what can be given entries. A subclass has `__call__` and `_general`, which do the same."""

    __slots__ = ("_entries",)
    _entries: tuple[NativeEntry, ...]

    @property
    def entries(self) -> tuple[NativeEntry, ...]:
        return getattr(self, "_entries", ())

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if SUPPORTED and not cls.__flags__ & _HAS_VECTORCALL:  # not inherited before Python 3.12
            _flags(cls).value |= _HAS_VECTORCALL

    def set_entries(self, entries: Sequence[NativeEntry]) -> None:
        """What takes calls from now on, tried in this order."""
        with LOCK:
            linked = tuple(entries)
            following = 0
            for entry in reversed(linked):
                entry.words[Entry.NEXT], following = following, entry.address
            before = self.entries
            slots = (ctypes.c_int64 * 2).from_address(id(self) + Offset.VECTORCALL)
            slots[:] = [linked[0].first, linked[0].address] if linked else [0, 0]  # at once, for other threads
            self._entries = linked
            del before  # what was called so far may end now


# ---------------------------------------------------------------- known objects


def _fill_table() -> None:
    """The objects of Python that stubs know."""
    for word, thing in (
        (Known.FLOAT, float), (Known.INT, int), (Known.BOOL, bool), (Known.NONE, None), (Known.TRUE, True),
        (Known.FALSE, False), (Known.GENERAL, sys.intern("_general")), (Known.OUT, sys.intern("out")),
    ):  # fmt: skip
        _keep.append(thing)
        _table[word] = id(thing)
    _fill_stack_key()


def _fill_stack_key() -> None:
    """A key under which each thread has the lowest address of its stack, put there by `note_stack`."""
    if sys.platform == "win32":
        return
    libc = ctypes.CDLL(None)
    key = ctypes.c_uint64()  # wide enough for every system
    if not libc.pthread_key_create(ctypes.byref(key), None):
        _table[Known.STACK_KEY] = key.value
        _table[Known.STACK_OF] = ctypes.cast(libc.pthread_getspecific, ctypes.c_void_p).value or 0


def note_stack() -> None:
    """Tell native code where the stack of this thread ends: calls of recursive functions ask for it."""
    if _table[Known.STACK_OF] and getattr(_noted, "done", None) is None:
        _noted.done = True
        key, lowest = ctypes.c_uint64(_table[Known.STACK_KEY]), ctypes.c_void_p(lowest_address())
        ctypes.CDLL(None).pthread_setspecific(key, lowest)


_noted = threading.local()


def numpy_is_known() -> bool:
    """Whether NumPy's objects are where stubs look; they are put into the table then."""
    if _table[Known.ARRAY]:
        return True
    numpy = sys.modules.get("numpy")
    new_array = _array_maker(numpy) if numpy is not None else 0
    if numpy is None or not new_array:
        return False
    for word, kind, read in (
        (Known.FLOAT64, numpy.float64, ctypes.c_double), (Known.FLOAT32, numpy.float32, ctypes.c_float),
        (Known.INT64, numpy.int64, ctypes.c_int64),
    ):  # fmt: skip
        number = kind(3)
        if read.from_address(id(number) + Offset.VALUE).value != 3:
            return False
        _table[word] = id(kind)
    for d in Dtype:
        dtype = numpy.dtype(d.name)
        _keep.append(dtype)
        _table[Known.DTYPES + d] = id(dtype)
    _table[Known.NEW_ARRAY] = new_array
    _table[Known.ARRAY] = id(numpy.ndarray)
    return True


def _array_maker(numpy: Any) -> int:
    """The address of PyArray_New; 0 where the array object is not laid out as it is known."""
    core = sys.modules.get("numpy._core._multiarray_umath") or sys.modules.get("numpy.core._multiarray_umath")
    capsule = getattr(core, "_ARRAY_API", None)
    if capsule is None:
        return 0
    of_capsule = ctypes.pythonapi.PyCapsule_GetPointer
    of_capsule.restype, of_capsule.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = of_capsule(capsule, None)
    array = numpy.zeros((2, 3), order="F")
    at = id(array)
    shape = _word(at + Offset.SHAPE).value
    orders = ctypes.c_int32.from_address(at + Offset.FLAGS).value & (Flag.C_CONTIGUOUS | Flag.F_CONTIGUOUS)
    fits = (
        _word(table + 2 * WORD).value == id(numpy.ndarray)
        and _word(at + Offset.DATA).value == array.ctypes.data
        and ctypes.c_int32.from_address(at + Offset.RANK).value == 2
        and (_word(shape).value, _word(shape + WORD).value) == (2, 3)
        and _word(at + Offset.DTYPE).value == id(numpy.dtype("float64"))
        and orders == Flag.F_CONTIGUOUS
    )
    return _word(table + 93 * WORD).value if fits else 0


# ---------------------------------------------------------------- code


@cache
def _symbols() -> dict[str, int]:
    """The addresses that this code needs of the process."""
    _fill_table()
    found = {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in API}
    return {**found, "dfl.python": ctypes.addressof(_table)}


def _addresses(text: str, *names: str, **further: int) -> list[int]:
    """Where functions are: compiled when they are first asked for, there until the process ends. `further`: addresses
    of others that they call."""
    from dsl.runtime.llvm import Library

    with LOCK:
        library = Library(object_code(text, LEVEL), names, _symbols() | further)
        library.keep()
        return [library[name] for name in names]


@cache
def _shared() -> dict[str, int]:
    """The addresses of what is in the slot of objects with entries, and of what stubs jump to."""
    names = (FIRST, NEXT, GENERAL)
    return dict(zip(names, _addresses(dispatcher(), *names), strict=True))


@cache
def _stub_addresses(shape: Shape) -> tuple[int, int]:
    """A stub, and what is in the slot of an object whose first entry has it."""
    shared = _shared()
    rest = {name: shared[name] for name in (NEXT, GENERAL)}
    if not shape.plain:
        return _addresses(stub(shape), STUB, **rest)[0], shared[FIRST]
    found, first = _addresses(stub(shape), STUB, FIRST, **rest)
    return found, first


class NativeEntry:
    """A function of a unit for one shape of calls: the words that its stub reads, and all that these refer to."""

    def __init__(
        self, boundary: Direct | Through, shape: Shape, fixed: Sequence[Any], limit: int,
        records: Callback[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        """`fixed`: the leaves of what is captured and of top-level values, numbers and `Flat` memories; `limit`: how
        much work a call has at least that gives the interpreter to other threads; `records` makes records out of the
        tuples of a result."""
        types: tuple[LeafType, ...] = (*shape.before, *shape.behind)
        self.words = (ctypes.c_int64 * (Entry.FIXED + len(types)))()
        self.address = ctypes.addressof(self.words)
        self.owner = _Owner(self.words, boundary, records)
        packed = struct.pack(slots_format(types), *map(self._fixed, fixed))
        ctypes.memmove(self.address + WORD * Entry.FIXED, packed, len(packed))
        self.words[Entry.STUB], self.first = _stub_addresses(shape)
        self.words[Entry.OWNER] = id(self.owner)
        self.words[Entry.LIMIT] = limit
        self.words[Entry.KERNEL] = boundary.address
        if isinstance(boundary, Through):
            self.words[Entry.RELEASE] = boundary.release_address
            self.words[Entry.RESERVE] = boundary.unit.stack_reserve
            self.words[Entry.FAILED] = id(self.owner.failed)
            self.words[Entry.HAND_OVER] = id(self.owner.hand_over)
            self.words[Entry.NAMED] = id(self.owner.records)

    def _fixed(self, value: Any) -> Any:
        """What native code gets for a leaf that stays the same: of memory, a header."""
        if not isinstance(value, Flat):
            return value
        header = (ctypes.c_int64 * len(Header))(value.address, value.length, -1)
        self.owner.memories.append((header, value, value.records()))
        value.used_by(self)
        return ctypes.addressof(header)

    def stop(self) -> None:
        """Take no calls any more: memory that was noted has moved."""
        self.words[Entry.STUB] = _addresses(refuser(), REFUSE, **_shared())[0]


class _Owner:
    """What must live as long as a call: the words, the code, and what native code asks Python to do."""

    __slots__ = ("boundary", "failed", "hand_over", "memories", "records", "words")

    def __init__(self, words: Any, boundary: Direct | Through, records: Callback[[Any], Any] | None) -> None:
        self.words = words
        self.boundary = boundary
        self.failed = partial(_fail, boundary) if isinstance(boundary, Through) else None
        self.hand_over = partial(_hand_over, boundary) if isinstance(boundary, Through) else None
        self.records = records
        self.memories: list[Any] = []


def _fail(through: Through, context: int) -> None:
    """Raise the failure that a context records."""
    raise through.failure((ctypes.c_int64 * through.context_words).from_address(context))


def _hand_over(through: Through, request: int) -> Any:
    """An array of the chunk that the memory of a result is, without a copy."""
    import numpy

    header, shape, rank, code = (ctypes.c_int64 * 4).from_address(request)
    sizes = tuple((ctypes.c_int64 * rank).from_address(shape))
    dtype = numpy.dtype(Dtype(code // 2).name)
    data, length = _word(header + WORD * Header.DATA).value, _word(header + WORD * Header.LENGTH).value
    chunks = Chunks.of(through.library, through.release, data)
    flat = numpy.asarray(Owned(chunks, data, length * dtype.itemsize)).view(dtype)
    return flat.reshape(sizes, order="F" if code % 2 else "C")
