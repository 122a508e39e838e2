"""How leaves lie in registers and in memory: the one place that native code and the Python side both read.

A `mem` is a pointer to a header of three words (data, length, capacity); its records lie in `data`, each with the
natural alignment of its fields, so that `struct.Struct` with native alignment and LLVM's literal struct types agree.
An `obj` is a pointer to one such record. Arguments, results, operands of checks and of prints travel in slots of eight
bytes. The context is a block of words that Python makes for a call and native code reads and fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from dsl.types import BOOL, F32, F64, I64, LeafType

WORD = 8

# in a register | in memory | `struct` format in a record | in a slot of eight bytes | access type for alias analysis
_FORMS: dict[LeafType, tuple[str, str, str, str, str]] = {
    F64: ("double", "double", "d", "d", "f64"),
    F32: ("float", "float", "f", "f4x", "f32"),
    I64: ("i64", "i64", "q", "q", "i64"),
    BOOL: ("i1", "i8", "?", "?7x", "bool"),
}
_REFERENCE = ("ptr", "ptr", "Q", "Q", "ref")
_SIZES = {"d": 8, "f": 4, "q": 8, "?": 1, "Q": 8}


def register_type(t: LeafType) -> str:
    """The LLVM type of an SSA value."""
    return _FORMS.get(t, _REFERENCE)[0]


def memory_type(t: LeafType) -> str:
    """The LLVM type of a field of a record (a bool takes a byte)."""
    return _FORMS.get(t, _REFERENCE)[1]


def access_type(t: LeafType) -> str:
    """The name of the field's type in the alias metadata."""
    return _FORMS.get(t, _REFERENCE)[4]


def record_type(fields: Sequence[LeafType]) -> str:
    return "{ " + ", ".join(memory_type(f) for f in fields) + " }" if fields else "{}"


def record_format(fields: Sequence[LeafType]) -> str:
    """The `struct` format of a record, padded to its alignment."""
    codes = [_FORMS.get(f, _REFERENCE)[2] for f in fields]
    widest = max(codes, key=_SIZES.__getitem__, default="d")
    return "@" + "".join(codes) + f"0{widest}"


def record_size(fields: Sequence[LeafType]) -> int:
    """Bytes of a record, the padding at its end included."""
    offset, align = 0, 1
    for f in fields:
        size = _SIZES[_FORMS.get(f, _REFERENCE)[2]]
        offset = -(-offset // size) * size + size
        align = max(align, size)
    return -(-offset // align) * align


def slots_format(types: Sequence[LeafType]) -> str:
    """The `struct` format of values in slots of eight bytes."""
    return "=" + "".join(_FORMS.get(t, _REFERENCE)[3] for t in types)


class Context(IntEnum):
    """Words of the context, by number."""

    STACK_LIMIT = 0  # the lowest address that a frame of a recursive function may reach
    CHUNKS = 1       # the sentinel of the list of chunks: two words, previous and next; or the innermost region
    FREE = 2         # the arena: where the free part of the current chunk begins …
    END = 3          # … and ends
    CHUNK_SIZE = 4   # the size of the next chunk
    PRINT = 5        # the function that prints
    FAILURE = 6      # which of the unit's failure sites ended the call
    CURRENT = 7      # the chunk that FREE and END are in, 0 at first (and where it is no matter of regions)
    ROOT = 8         # what CHUNKS was when the call began
    SPARE = 9        # a block for the next region apart, or 0
    OPERANDS = 10    # the first of its operands; as many words as the unit needs


class Header(IntEnum):
    """Words of a header, by number."""

    DATA = 0
    LENGTH = 1
    CAPACITY = 2  # in records; negative: the memory is Python's and cannot grow
    REGION = 3    # what CHUNKS was when it was made, where it grows; 0: ROOT


class Chunk(IntEnum):
    """Words at the start of a chunk, by number. There are as many as bring what follows to a multiple of 64 bytes where
    the system gives pages."""

    PREVIOUS = 0  # in its list, or the sentinel
    NEXT = 1
    BYTES = 2     # of the whole chunk
    SPARE = 3
    SPARE2 = 4
    SPARE3 = 5


class Region(IntEnum):
    """Words of a region, by number. The first two are the sentinel of its list of chunks."""

    PREVIOUS = 0
    FIRST = 1
    OUTER = 2          # the region around it, or the sentinel of the call
    BASE = 3           # where it begins again: FREE then, …
    BASE_END = 4       # … END then
    KEPT = 5           # the one chunk of its list that is kept then, or 0: the one that BASE is in
    OUTER_CURRENT = 6  # CURRENT outside
    OUTER_END = 7      # END outside; FREE is where the region itself lies
    SAVED = 8          # a block for what is moved, and its size
    SAVED_SIZE = 9
    APART = 10         # 1: it lies in a block of its own, and what is outside goes on meanwhile from OUTER_FREE
    OUTER_FREE = 11    # FREE outside, of a region apart


REGION_SIZE = WORD * len(Region)
APART_SIZE = 1 << 13  # bytes of the block of a region apart
OUTSIDE_WORDS = 5  # kept while memory is made outside: CHUNKS, FREE, END, CURRENT, and the outermost region gone out of
SLOT_WORDS = 3  # of what is moved: the memory, the size of its records, what has become of it


HEADER_SIZE = WORD * len(Header)
INTERRUPTED = -1  # in FAILURE: Python raised an exception while it printed
