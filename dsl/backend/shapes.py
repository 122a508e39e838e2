"""Calls from Python as data: the shape of a call, and where stubs (`backend/stubs.py`) find what they read.

Objects of CPython and NumPy are read where they lie, by the offsets in `Offset`, which `runtime/native.py` has compared
with the running interpreter. Everything else goes through the C interface of CPython: `API` names the functions.
"""


from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from dsl.records import dataclass
from dsl.types import I64, LeafType, Mem

# What the C interface offers, with its types in LLVM.
API = {
    "PyFloat_FromDouble": "ptr (double)",
    "PyLong_FromLongLong": "ptr (i64)",
    "PyLong_AsLongLongAndOverflow": "i64 (ptr, ptr)",
    "PyTuple_New": "ptr (i64)",
    "PyObject_Vectorcall": "ptr (ptr, ptr, i64, ptr)",
    "PyObject_VectorcallMethod": "ptr (ptr, ptr, i64, ptr)",
    "PyEval_SaveThread": "ptr ()",
    "PyEval_RestoreThread": "void (ptr)",
    "PyErr_Clear": "void ()",
    "Py_IncRef": "void (ptr)",
    "Py_DecRef": "void (ptr)",
}


class Offset(IntEnum):
    """Where objects have what is read of them, in bytes."""

    COUNT = 0         # every object: how often it is referred to (the lower half) …
    TYPE = 8          # … and its type
    VALUE = 16        # the number of a float, and of NumPy's scalars
    SIZE = 16         # the length of a tuple …
    ITEMS = 24        # … and its items
    VECTORCALL = 16   # a callable of ours: the slot …
    ENTRIES = 24      # … and its first entry
    DATA = 16         # an array of NumPy
    RANK = 24
    SHAPE = 32
    DTYPE = 56
    FLAGS = 64


class Flag(IntEnum):
    """Flags of an array of NumPy."""

    C_CONTIGUOUS = 0x1
    F_CONTIGUOUS = 0x2
    ALIGNED = 0x100
    WRITEABLE = 0x400


class Known(IntEnum):
    """Words of the table `dfl.python`: objects and functions that stubs compare with or use. 0: not there (yet)."""

    FLOAT = 0      # types
    INT = 1
    BOOL = 2
    FLOAT64 = 3    # types of NumPy's numbers
    FLOAT32 = 4
    INT64 = 5
    ARRAY = 6
    NONE = 7       # objects
    TRUE = 8
    FALSE = 9
    GENERAL = 10   # the name of the method `_general`
    OUT = 11       # the name of the keyword `out`
    NEW_ARRAY = 12  # PyArray_New
    STACK_KEY = 13  # the key of `pthread_getspecific` for the lowest address of a thread's stack
    STACK_OF = 14   # pthread_getspecific
    DTYPES = 16     # the dtypes, in the order of `Dtype`


class Dtype(IntEnum):
    """The element types of arrays, in the order of the table."""

    float64 = 0
    float32 = 1
    int64 = 2
    bool = 3
    complex128 = 4


KNOWN_WORDS = Known.DTYPES + len(Dtype)
# By dtype: NumPy's number of the type, the size of an element.
NUMPY: dict[str, tuple[int, int]] = {
    "float64": (12, 8), "float32": (11, 4), "int64": (7, 8), "bool": (0, 1), "complex128": (15, 16),
}  # fmt: skip


class Entry(IntEnum):
    """Words of an entry."""

    STUB = 0
    NEXT = 1      # another entry, or 0
    KERNEL = 2    # the native function: the root itself, where it is plain, or the unit's entry
    RELEASE = 3   # `dfl.release`, or 0
    OWNER = 4     # the object that all this belongs to: alive while the call lasts
    FAILED = 5    # called with the address of the context: raises
    HAND_OVER = 6  # called with the address of four words: makes an array of a chunk that is the result's alone
    NAMED = 7     # called with the result, tuples for records: gives it with records
    RESERVE = 8   # bytes of the stack that are left free
    LIMIT = 9     # how much work (`work` below) a call must have for the interpreter's lock to be released
    FIXED = 10    # what the native function takes beside the arguments: captured first, then top-level values


# ---------------------------------------------------------------- shapes


@dataclass(frozen=True)
class Number:
    """A number: an argument, or a part of the result."""

    leaf: LeafType


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Dense:
    """A dense array. `layout`: C or F; `written`: the call changes it for its caller."""

    dtype: str
    rank: int
    layout: str
    written: bool = False

    @property
    def itemsize(self) -> int:
        return NUMPY[self.dtype][1]


@dataclass(frozen=True)
class Tuple:
    items: tuple[Part, ...]


@dataclass(frozen=True)
class Named:
    """A record."""

    items: tuple[Part, ...]


Argument: TypeAlias = Number | Nothing | Dense
Part: TypeAlias = Number | Nothing | Dense | Tuple | Named


@dataclass(frozen=True)
class Shape:
    """What a stub depends on. `fixed`: the leaves before and behind those of the arguments; `operands`: words for these
    in the context; `loops`: a call may take long; `plain`: the native function is called as it is; `lent`: some of what
    is captured is an array of Python, which has to come out as that object."""

    before: tuple[LeafType, ...]
    arguments: tuple[Argument, ...]
    behind: tuple[LeafType, ...]
    result: Part
    plain: bool
    recursive: bool
    loops: bool
    operands: int
    lent: bool = False


def leaves_of(part: Part) -> list[LeafType]:
    """The leaves that a part of a call is made of. (The fields of a memory do not matter here.)"""
    match part:
        case Number():
            return [part.leaf]
        case Dense():
            return [Mem(()), *([I64] * part.rank if part.rank > 1 else [])]
        case Tuple() | Named():
            return [leaf for item in part.items for leaf in leaves_of(item)]
    return []
