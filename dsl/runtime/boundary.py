"""The call of native code from Python, through ctypes.

A `Boundary` takes leaf values and gives leaf values. Each call has a context of its own, so that calls may overlap, in
threads and by printing that calls back. Memory in Python that is `Flat` is used where it lies, and its new contents are
taken over where native code has let it grow; any other `Memory` is copied in before the call and written back after it.
Identity is kept. An `obj` that comes out keeps the call's memory alive and can be passed in again.
What native code reports as a failure is raised as the `DslError` of the site that failed.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from dsl.backend.layout import (
    WORD,
    Chunk,
    Context,
    Header,
    record_format,
    record_size,
    slots_format,
)
from dsl.backend.memory import FIRST_CHUNK, LARGE, LINKS
from dsl.backend.unit import ENTRY, EmittedUnit
from dsl.diagnostics import DslError, error
from dsl.interp import Memory
from dsl.ir.message import message
from dsl.runtime.buffers import Buffer, Flat, array_on, copied_from
from dsl.runtime.stack import lowest_address
from dsl.types import BOOL, F32, F64, I64, LeafType, Mem, Obj, is_ref

if TYPE_CHECKING:
    from dsl.runtime.llvm import Library

Out: TypeAlias = Callable[[str], Any]
_C_TYPES: dict[LeafType, Any] = {F64: ctypes.c_double, F32: ctypes.c_float, I64: ctypes.c_int64, BOOL: ctypes.c_uint8}
# What runs now, by the address of its context: where its text goes, and what that raised.
Running: TypeAlias = dict[int, tuple[Out, list[BaseException]]]
_PRINTER = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


class Boundary(Protocol):
    def call(self, args: Sequence[Any], out: Out) -> list[Any]:
        """The results for these arguments; `out` gets what is printed."""


def boundary(unit: EmittedUnit, library: Library) -> Boundary:
    return Direct(unit, library) if unit.direct else Through(unit, library)


def exports(unit: EmittedUnit) -> list[str]:
    """The symbols that a boundary needs the addresses of."""
    if unit.direct:
        return [unit.root.symbol]
    return [ENTRY]


class Direct:
    """A function of scalars that cannot fail, called as the C function that it is."""

    def __init__(self, unit: EmittedUnit, library: Library) -> None:
        root = unit.root
        result = _C_TYPES[root.results[0]] if root.results else None
        self.unit = unit
        self.address = library[root.symbol]
        self._function = ctypes.CFUNCTYPE(result, *(_C_TYPES[t] for t in root.params))(self.address)
        self._results = root.results
        self._library = library

    def call(self, args: Sequence[Any], out: Out) -> list[Any]:
        result = self._function(*args)
        if not self._results:
            return []
        # of a bool, only the lowest bit is defined
        return [bool(result & 1)] if self._results[0] == BOOL else [result]


_Pair = ctypes.c_int64 * 2  # the links of a chunk, or a sentinel: PREVIOUS and NEXT


class Chunks:
    """A list of chunks that native code has taken: freed when this object dies. The finaliser, not the object, keeps
    the library that frees them: in a cycle of garbage the library might be closed first."""

    __slots__ = ("__weakref__", "_library", "_release", "address", "keeps", "sentinel")

    def __init__(self, library: Library, release: Callable[[int], None]) -> None:
        self.sentinel = _Pair()
        self.keeps: list[Any] = []  # what else must live as long: the memory of other calls that this one refers to
        self.address = ctypes.addressof(self.sentinel)
        self._release = release
        self._library = library
        weakref.finalize(self, _free, self.sentinel, release, library).atexit = False

    def take(self, data: int) -> Chunks:
        """The chunk that data is all of, taken out of this list, as a list of its own."""
        return Chunks.of(self._library, self._release, data)

    @staticmethod
    def of(library: Library, release: Callable[[int], None], data: int) -> Chunks:
        """The chunk that data is all of, taken out of the list that it is in, as a list of its own."""
        own = Chunks(library, release)
        chunk = data - LINKS
        before, behind = _links(chunk)
        _links(before)[Chunk.NEXT] = behind
        if behind:
            _links(behind)[Chunk.PREVIOUS] = before
        _links(chunk)[:] = (own.address, 0)
        own.sentinel[Chunk.NEXT] = chunk
        return own


def _free(sentinel: Any, release: Callable[[int], None], library: Library) -> None:
    """Free what hangs from a sentinel; the library is handed in to be alive."""
    if sentinel[Chunk.NEXT]:
        release(ctypes.addressof(sentinel))


def _links(address: int) -> Any:
    return _Pair.from_address(address)


class Owned:
    """Bytes in a chunk of their own, for NumPy to use: freed when no array refers to them."""

    __slots__ = ("__array_interface__", "_chunks")

    def __init__(self, chunks: Chunks, data: int, size: int) -> None:
        self._chunks = chunks
        self.__array_interface__ = {"data": (data, False), "shape": (size,), "typestr": "|u1", "version": 3}


class ObjHandle:
    """An `obj` in Python's hands."""

    __slots__ = ("address", "chunks")

    def __init__(self, address: int, chunks: Chunks) -> None:
        self.address = address
        self.chunks = chunks


class Through:
    """Any other function, called through the module's entry."""

    def __init__(self, unit: EmittedUnit, library: Library) -> None:
        root = unit.root
        self.unit = unit
        self.library = library
        self.address = library[ENTRY]
        self._entry = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3)(self.address)
        self._params = struct.Struct(slots_format(root.params))
        self._results = struct.Struct(slots_format(root.results))
        self._refs = any(is_ref(t) for t in (*root.params, *root.results))
        self.gives_records = any(map(_may_hold_obj, (*root.params, *root.results)))  # an `obj` comes in or out
        self.context_words = Context.OPERANDS + unit.operands
        self._context = ctypes.c_int64 * self.context_words
        self._running: Running = {}
        self._printer = _printer(unit.prints, self._running) if unit.prints else None
        self.release_address = library["dfl.release"] if unit.allocates else 0
        if unit.allocates:
            self.release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.release_address)
        if any(isinstance(t, Mem) for t in root.params):
            new = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
            self.new = new(library["dfl.new"])

    def call(self, args: Sequence[Any], out: Out) -> list[Any]:
        context = self._context()
        here = ctypes.addressof(context)
        context[Context.STACK_LIMIT] = lowest_address() + self.unit.stack_reserve
        copies: Copies | None = None
        if self.unit.allocates:
            chunks = Chunks(self.library, self.release)
            context[Context.CHUNKS] = chunks.address
            context[Context.CHUNK_SIZE] = FIRST_CHUNK
        if self._refs:
            copies = Copies(self, here, chunks if self.unit.allocates else None)
            args = [copies.enter(a, t) for a, t in zip(args, self.unit.root.params, strict=True)]
            copies.fill()
        results = ctypes.create_string_buffer(self._results.size)
        self.run(context, here, self._params.pack(*args), results, out)
        values: list[Any] = list(self._results.unpack(results.raw[: self._results.size]))
        if copies is not None:
            values = [copies.leave(v, t) for v, t in zip(values, self.unit.root.results, strict=True)]
            copies.write_back()
        return values

    def run(self, context: Any, here: int, args: bytes, results: Any, out: Out | None = None) -> None:
        """Run the native code in a context; where it prints, to `out`."""
        raised: list[BaseException] = []
        if self._printer is not None and out is not None:
            context[Context.PRINT] = ctypes.cast(self._printer, ctypes.c_void_p).value
            self._running[here] = (out, raised)
        try:
            failed = self._entry(here, args, results)
        finally:
            if self._printer is not None:
                self._running.pop(here, None)
        if raised:
            raise raised[0]
        if failed:
            raise self.failure(context)

    def failure(self, context: Any) -> DslError:
        """The error that a context records."""
        site = self.unit.sites[context[Context.FAILURE]]
        words = bytes(context)[WORD * Context.OPERANDS :]
        operands = struct.unpack_from(slots_format(site.types), words)
        return error(site.code, message(site.text, operands, site.types), site.span, site.hint)


def _may_hold_obj(t: LeafType) -> bool:
    return isinstance(t, Obj) or (isinstance(t, Mem) and any(map(_may_hold_obj, t.fields)))


def _printer(prints: Sequence[tuple[str, tuple[LeafType, ...]]], running: Running) -> Any:
    """The function that native code calls to print. (It does not refer to the boundary, which is dropped at once.)"""

    def write(context: int, number: int, operands: int) -> int:
        out, raised = running[context]
        try:
            text, types = prints[number]
            format = slots_format(types)
            out(message(text, struct.unpack(format, ctypes.string_at(operands, struct.calcsize(format))), types))
        except BaseException as e:  # it must not be lost in the callback
            raised.append(e)
            return 1
        return 0

    return _PRINTER(write)


class Copies:
    """The memory that Python and native code both have during a call, and how one is found from the other."""

    def __init__(self, through: Through, context: int, chunks: Chunks | None) -> None:
        self._through = through
        self._context = context
        self._chunks = chunks
        self._known: dict[int, tuple[Memory, Mem]] = {}    # by address
        self._addresses: dict[int, int] = {}               # by identity of the Memory
        self._contents: dict[int, bytes] = {}              # what was copied in, by address
        self._flat: dict[int, tuple[Flat, Any, int]] = {}  # what is used in place: its header and where it was
        self._unfilled: list[int] = []
        self._unread: list[int] = []

    # -- in
    def enter(self, value: Any, type: LeafType) -> Any:
        """A leaf as native code takes it; its contents follow with `fill`."""
        if isinstance(type, Mem):
            if isinstance(value, Flat):
                return self._lend(value)
            return self._place(value, type) if value is not None else 0
        if isinstance(type, Obj):
            if value is None:
                return 0
            if self._chunks is not None:
                self._chunks.keeps.append(value.chunks)
            return value.address
        return value

    def _lend(self, memory: Flat) -> int:
        """A header for memory where it lies. Without capacity it is moved when it grows; with one below 0 it cannot."""
        if id(memory) not in self._addresses:
            data = memory.records()  # kept alive below
            address = memory.address
            header = (ctypes.c_int64 * len(Header))(address, memory.length, 0 if memory.growable else -1)
            here = ctypes.addressof(header)
            if isinstance(memory, Buffer):
                memory.fresh = False
            if self._chunks is not None:  # an `obj` may refer to it
                self._chunks.keeps.append((header, memory, data))
            self._addresses[id(memory)] = here
            self._known[here] = (memory, Mem(memory.fields))
            self._flat[here] = (memory, header, address)
        return self._addresses[id(memory)]

    def _place(self, memory: Memory, type: Mem) -> int:
        if id(memory) not in self._addresses:
            record = struct.Struct(record_format(type.fields))
            address = self._through.new(self._context, len(memory.rows), record.size)
            if not address:
                raise error("E0411", "there is not enough memory")
            self._addresses[id(memory)] = address
            self._known[address] = (memory, type)
            self._unfilled.append(address)
        return self._addresses[id(memory)]

    def fill(self) -> None:
        """Copy the contents of everything that has been entered, and of what that refers to."""
        while self._unfilled:
            address = self._unfilled.pop()
            memory, type = self._known[address]
            pack = struct.Struct(record_format(type.fields)).pack
            if any(is_ref(f) for f in type.fields):
                rows = ([self.enter(v, f) for v, f in zip(row, type.fields, strict=True)] for row in memory.rows)
                content = b"".join(pack(*row) for row in rows)
            else:
                content = b"".join(pack(*row) for row in memory.rows)
            ctypes.memmove(_word(address, Header.DATA), content, len(content))
            self._contents[address] = content

    # -- out
    def leave(self, value: Any, type: LeafType) -> Any:
        """A leaf as Python takes it; its contents follow with `write_back`."""
        if isinstance(type, Mem):
            return self._found(value, type) if value else None
        if isinstance(type, Obj):
            assert self._chunks is not None or not value
            return ObjHandle(value, self._chunks) if value and self._chunks is not None else None
        return value

    def _found(self, address: int, type: Mem) -> Memory:
        if address not in self._known:
            self._known[address] = (self._made(address, type), type)
        elif isinstance(found := self._known[address][0], Buffer):
            found.fresh = False
        return self._known[address][0]

    def _made(self, address: int, type: Mem) -> Memory:
        """The memory for what native code has made: its bytes, if it is a longer run of plain records."""
        length = _word(address, Header.LENGTH)
        if length != 1 and type.fields and not any(is_ref(f) for f in type.fields):
            data = self._handed_over(address, type)
            if data is None:
                data = copied_from(_word(address, Header.DATA), type.fields, length)
            return Buffer(type.fields, data, length, fresh=True)
        self._unread.append(address)
        return Memory([])

    def _handed_over(self, address: int, type: Mem) -> Any:
        """The records where they lie, if they are a chunk of this call's and no `obj` can refer to them; else None."""
        size, capacity = record_size(type.fields), _word(address, Header.CAPACITY)
        if capacity * size < LARGE or self._chunks is None or self._through.gives_records:
            return None
        if _word(address, Header.REGION) != self._chunks.address or "numpy" not in sys.modules:
            return None
        data = _word(address, Header.DATA)
        owned = Owned(self._chunks.take(data), data, _word(address, Header.LENGTH) * size)
        return array_on(owned, type.fields)

    def write_back(self) -> None:
        """Bring every Memory to the contents that native code has left."""
        for flat, header, address in self._flat.values():
            data, length = header[Header.DATA], header[Header.LENGTH]
            if isinstance(flat, Buffer) and (data != address or length != flat.length):
                flat.replace(data, length)
        self._unread.extend(self._contents)
        while self._unread:
            address = self._unread.pop()
            memory, type = self._known[address]
            record = struct.Struct(record_format(type.fields))
            length = _word(address, Header.LENGTH)
            content = ctypes.string_at(_word(address, Header.DATA), length * record.size)
            if content == self._contents.get(address) and length == len(memory.rows):  # a record may be empty
                continue
            if not record.size:
                memory.rows[:] = [[] for _ in range(length)]
            elif any(is_ref(f) for f in type.fields):
                memory.rows[:] = [
                    [self.leave(v, f) for v, f in zip(row, type.fields, strict=True)]
                    for row in record.iter_unpack(content)
                ]
            else:
                memory.rows[:] = map(list, record.iter_unpack(content))


def _word(address: int, word: Header) -> int:
    return int(ctypes.c_int64.from_address(address + WORD * word).value)
