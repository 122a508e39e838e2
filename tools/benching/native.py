"""Native kernels run many times over by a native loop, so that nothing of Python is in the time.

A kernel is a function `int (context, arguments, results)`, arguments and results in slots of eight bytes: the entry of
a unit of the language has this form, and so have the kernels in C. A unit that takes memory gets its context anew in
each round, and what it has taken is released, as in every call.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from benching.harness import Repeat
from dsl.backend.layout import WORD, Chunk, Context, register_type
from dsl.backend.memory import FIRST_CHUNK
from dsl.backend.signature import Signature
from dsl.backend.unit import ENTRY
from dsl.driver import Compiled
from dsl.functions import Function
from dsl.options import Mode
from dsl.runtime.boundary import Direct, Through
from dsl.runtime.llvm import Library, object_code
from dsl.runtime.stack import lowest_address

# Each round's first argument waits for the word at %last (%mask is 0). Where that is the last result of the round
# before, what is measured is how long a call takes that the next one needs; where it is not, several calls run beside
# each other.
LOOPS = """
define i32 @repeat(ptr %entry, ptr %context, ptr %arguments, ptr %results, i64 %n, ptr %last, i64 %mask) {
start:
  br label %round
round:
  %k = phi i64 [ 0, %start ], [ %next, %round ]
  %bad = phi i32 [ 0, %start ], [ %worse, %round ]
  %failed = call i32 %entry(ptr %context, ptr %arguments, ptr %results)
  %worse = or i32 %bad, %failed
  {WAIT}
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %round, label %end
end:
  ret i32 %worse
}

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define i32 @repeat.memory(ptr %entry, ptr %context, ptr %arguments, ptr %results, i64 %n, ptr %last, i64 %mask,
                          ptr %fresh, i64 %bytes, ptr %sentinel, ptr %release) {
start:
  br label %round
round:
  %k = phi i64 [ 0, %start ], [ %next, %done ]
  %bad = phi i32 [ 0, %start ], [ %worse, %done ]
  call void @llvm.memcpy.p0.p0.i64(ptr %context, ptr %fresh, i64 %bytes, i1 false)
  %failed = call i32 %entry(ptr %context, ptr %arguments, ptr %results)
  %worse = or i32 %bad, %failed
  {WAIT}
  %behind = getelementptr i64, ptr %sentinel, i64 {NEXT}
  %first = load ptr, ptr %behind
  %none = icmp eq ptr %first, null
  br i1 %none, label %done, label %free
free:
  call void %release(ptr %sentinel)
  br label %done
done:
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %round, label %end
end:
  ret i32 %worse
}

define i32 @nothing(ptr %context, ptr %arguments, ptr %results) {
  %x = load i64, ptr %arguments
  store i64 %x, ptr %results
  ret i32 0
}
"""
WAIT = """
  %given = load i64, ptr %arguments
  %found = load i64, ptr %last
  %zero = and i64 %found, %mask
  %same = xor i64 %given, %zero
  store i64 %same, ptr %arguments
"""


@cache
def _loops() -> Library:
    text = LOOPS.replace("{WAIT}", WAIT.strip()).replace("{NEXT}", str(int(Chunk.NEXT)))
    return Library(object_code(text, 2), ["repeat", "repeat.memory", "nothing"], {})


@dataclass(frozen=True)
class Repeated:
    """A kernel, repeated: `in_turn`, where each call waits for the one before, and `apart`, where none does."""

    in_turn: Repeat
    apart: Repeat


def repeated(
    entry: int, context: Any, arguments: Any, results: Any, keeps: Any, memory: Sequence[Any] = ()
) -> Repeated:
    """A kernel at an address. `memory`: where the context is taken from anew in each round, how many bytes it has, the
    sentinel of what the kernel has taken, and what releases that. `keeps` stays alive as long."""
    types = [*[ctypes.c_void_p] * 4, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
    if memory:
        types += [ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_void_p] * 2]
    loop = ctypes.CFUNCTYPE(ctypes.c_int32, *types)(_loops()["repeat.memory" if memory else "repeat"])
    held = (context, arguments, results, keeps)
    places = [ctypes.addressof(x) for x in (context, arguments, results)]
    nowhere = ctypes.c_int64()

    def run(n: int, last: int) -> None:
        assert held
        if loop(entry, *places, n, last, 0, *memory):
            raise RuntimeError("the kernel has failed")

    last = places[2] + ctypes.sizeof(results) - WORD
    return Repeated(lambda n: run(n, last), lambda n: run(n, ctypes.addressof(nowhere)))


def nothing() -> Repeated:
    """A kernel that does nothing: what the loop and the form of a kernel take."""
    return repeated(_loops()["nothing"], ctypes.c_int64(), ctypes.c_int64(), ctypes.c_int64(), None)


@dataclass
class Slots:
    """Arguments in slots: numbers as they are, an array as its address (of the elements for C, of a header for units
    of the language) and its sizes, which for C are those of vectors, too."""

    headers: bool
    words: list[Any] = field(default_factory=list)
    format: str = "="
    keeps: list[Any] = field(default_factory=list)

    def add(self, value: Any) -> None:
        if isinstance(value, np.ndarray):
            address = value.ctypes.data
            if self.headers:
                self.keeps.append((ctypes.c_int64 * 4)(address, value.size, -1, 0))
                address = ctypes.addressof(self.keeps[-1])
            self.words += [address, *(value.shape if value.ndim > 1 or not self.headers else ())]
            self.format += "q" * (len(self.words) - len(self.format) + 1)
            self.keeps.append(value)
        else:
            self.words.append(value)
            self.format += "q" if isinstance(value, int) else "d"

    def block(self) -> Any:
        packed = struct.pack(self.format, *self.words)
        return ctypes.create_string_buffer(packed, max(len(packed), WORD))


def slots(values: Sequence[Any], headers: bool) -> Slots:
    made = Slots(headers)
    for value in values:
        made.add(value)
    return made


# ---------------------------------------------------------------- units of the language


def compiled(f: Function, args: Sequence[Any], mode: Mode | None = None) -> Compiled:
    """What a call of a function of the language with these arguments runs."""
    names = [f"argument {k}" for k in range(len(args))]
    return f.workspace.compiled_here(f, f.workspace.types_of(args, names), mode=mode)


def of_unit(f: Function, args: Sequence[Any]) -> Repeated:
    """The native code of a call, optimised. It must not need top-level variables."""
    code = compiled(f, args)
    assert not code.globals
    if code.unit.provisional:
        code.unit.optimise()
    code.unit.link()
    boundary = code.unit.boundary
    given = slots([*f.leaves, *args], headers=True)
    root = code.unit.emitted.root
    results = (ctypes.c_int64 * max(len(root.results), 1))()
    if isinstance(boundary, Direct):
        address = ctypes.cast(boundary._function, ctypes.c_void_p).value or 0
        library = Library(object_code(_entry_of(root), 2), [ENTRY], {"kernel": address})
        return repeated(library[ENTRY], ctypes.c_int64(), given.block(), results, (library, boundary))
    assert isinstance(boundary, Through)
    unit = boundary.unit
    words = Context.OPERANDS + unit.operands
    context = (ctypes.c_int64 * (words + 2))()  # two for the sentinel
    here = ctypes.addressof(context)
    sentinel = here + WORD * words
    context[Context.STACK_LIMIT] = lowest_address() + unit.stack_reserve
    context[Context.CHUNKS] = sentinel
    context[Context.CHUNK_SIZE] = FIRST_CHUNK
    fresh = type(context)(*context)
    memory: tuple[int, ...] = ()
    if unit.allocates:
        memory = (ctypes.addressof(fresh), ctypes.sizeof(fresh), sentinel, boundary.library["dfl.release"])
    return repeated(boundary.library[ENTRY], context, given.block(), results, (code, given, fresh), memory)


def _entry_of(root: Signature) -> str:
    """A function of scalars that cannot fail, behind the form of a kernel."""
    types = [register_type(t) for t in root.params]
    lines = [f"declare {root.gives} @kernel({', '.join(types)})"]
    lines.append(f"define i32 @{ENTRY}(ptr %context, ptr %arguments, ptr %results) {{")
    for k, t in enumerate(types):
        lines.append(f"  %p{k} = getelementptr i64, ptr %arguments, i64 {k}")
        lines.append(f"  %a{k} = load {t}, ptr %p{k}")
    operands = ", ".join(f"{t} %a{k}" for k, t in enumerate(types))
    lines += [f"  %r = call {root.gives} @kernel({operands})", f"  store {root.gives} %r, ptr %results"]
    return "\n".join([*lines, "  ret i32 0", "}"])
