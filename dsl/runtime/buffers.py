"""Memory without references in Python's hands, as the bytes that native code works on.

`Buffer` is memory of the language: native code uses its bytes where they are, and where it lets the memory grow the
new contents are taken over after the call. `Lent` is the memory of an array that a caller handed in: it is used in
place and cannot grow. For the interpreter both have rows, like every `Memory`, and the arrays see its changes after
`settle`. NumPy is not imported here: bytes are anything with a writable buffer.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol
from weakref import WeakSet

from dsl.backend.layout import record_format, record_size
from dsl.interp import Memory
from dsl.types import LeafType

_DTYPES = {"f64": "float64", "f32": "float32", "i64": "int64", "bool": "bool"}


def block(fields: Sequence[LeafType], count: int) -> Any:
    """Bytes for as many records: an array where NumPy is loaded anyway, since it clears nothing first."""
    size = count * record_size(fields)
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return bytearray(size)
    dtype = numpy.dtype(_dtype(fields))
    return numpy.empty(size // dtype.itemsize, dtype)


def _dtype(fields: Sequence[LeafType]) -> str:
    return _DTYPES.get(str(fields[0]), "uint8") if len(fields) == 1 else "uint8"


def array_on(owner: Any, fields: Sequence[LeafType]) -> Any:
    """The bytes of an owner that NumPy can use, as a flat array of records."""
    return sys.modules["numpy"].asarray(owner).view(_dtype(fields))


def copied_from(address: int, fields: Sequence[LeafType], count: int) -> Any:
    """A copy of records that lie at an address."""
    data = block(fields, count)
    ctypes.memmove(address_of(data), address, count * record_size(fields))
    return data


def address_of(data: Any) -> int:
    """Where the bytes of an array or a bytearray are."""
    found = getattr(data, "__array_interface__", None)
    return int(found["data"][0]) if found is not None else ctypes.addressof((ctypes.c_char * 0).from_buffer(data))


class User(Protocol):
    """What has noted where records lie."""

    def stop(self) -> None:
        """They are somewhere else from now on."""


class Flat(Memory):
    """What native code uses where it lies: `length` records of `fields` at `address`."""

    fields: tuple[LeafType, ...]
    growable: bool

    def __init__(self, fields: Sequence[LeafType]) -> None:
        self.fields = tuple(fields)
        self._rows: list[list[Any]] | None = None  # the contents, while the interpreter works on them
        self._users: WeakSet[User] | None = None

    def __bytes__(self) -> bytes:
        return bytes(memoryview(self.records()).cast("B")) if self.length else b""

    def __reduce__(self) -> Any:
        """A copy belongs to nobody else: an array of a caller that is elsewhere becomes memory of the language."""
        return Buffer, (self.fields, bytearray(bytes(self)), self.length)

    @property
    def length(self) -> int:
        raise NotImplementedError

    @property
    def address(self) -> int:
        raise NotImplementedError

    def records(self) -> Any:
        """The bytes of the records, as anything with a buffer."""
        raise NotImplementedError

    def used_by(self, user: User) -> None:
        """Tell a user when the records will not be where they are now any more."""
        if self._users is None:
            self._users = WeakSet()
        self._users.add(user)

    def leaves_its_place(self) -> None:
        for user in list(self._users or ()):
            user.stop()
        self._users = None

    @property
    def rows(self) -> list[list[Any]]:  # type: ignore[override]
        """The contents as the interpreter changes them."""
        if self._rows is None:
            self.leaves_its_place()
            self._rows = list(self.unpacked())
        return self._rows

    def unpacked(self) -> Iterator[list[Any]]:
        """The contents as they are now."""
        if self._rows is not None:
            yield from self._rows
        elif self.length:
            yield from map(list, struct.iter_unpack(record_format(self.fields), memoryview(self.records()).cast("B")))


class Buffer(Flat):
    """Memory of the language. `fresh`: only the result of the call that made it refers to it."""

    growable = True

    def __init__(self, fields: Sequence[LeafType], data: Any, length: int, fresh: bool = False) -> None:
        super().__init__(fields)
        self._data = data
        self._length = length
        self.fresh = fresh

    @property
    def length(self) -> int:
        return self._length if self._rows is None else len(self._rows)

    @property
    def address(self) -> int:
        return address_of(self.records())

    def records(self) -> Any:
        if self._rows is not None:
            pack = struct.Struct(record_format(self.fields)).pack
            self._data = bytearray(b"".join(pack(*row) for row in self._rows))
            self._length = len(self._rows)
            self._rows = None
        return self._data

    @property
    def rows(self) -> list[list[Any]]:  # type: ignore[override]
        found = super().rows
        self._data = b""
        return found

    def replace(self, address: int, length: int) -> None:
        """Take over contents that lie elsewhere now."""
        self.leaves_its_place()
        self._data = copied_from(address, self.fields, length)
        self._length = length
        self._rows = None


class Lent(Flat):
    """The memory of an array of a caller. `given` is what was handed in, `lost` says why changes would not reach it
    ("": they do), `place` the layout and the leaves behind the memory (sizes and so on)."""

    growable = False

    def __init__(
        self, fields: Sequence[LeafType], array: Any, address: int, length: int, given: Any = None, lost: str = "",
        place: tuple[Any, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(fields)
        self.array = array
        self.given = given
        self.lost = lost
        self.place = place
        self._address = address
        self._length = length

    @property
    def length(self) -> int:
        return self._length

    @property
    def address(self) -> int:
        return self._address

    def records(self) -> Any:
        size = self._length * record_size(self.fields)
        return (ctypes.c_char * size).from_address(self._address) if size else b""

    def private(self) -> Lent:
        """A copy with the contents as they are now, which is nobody else's."""
        data = copied_from(self._address, self.fields, self._length)
        return Lent(self.fields, data, address_of(data), self._length)

    def settle(self) -> None:
        """Bring the array to what the interpreter has made of its rows. Only what has changed is written, since records
        between the elements of a strided array may be anybody's."""
        if self._rows is None:
            return
        pack, size = struct.Struct(record_format(self.fields)).pack, record_size(self.fields)
        rows, self._rows = self._rows, None
        for k, row in enumerate(rows):
            at, packed = self._address + k * size, pack(*row)
            if ctypes.string_at(at, size) != packed:
                ctypes.memmove(at, packed, size)


def unpacked(memory: Memory) -> Iterator[list[Any]]:
    """The contents of any memory as rows, to be read only."""
    return memory.unpacked() if isinstance(memory, Flat) else iter(memory.rows)
