"""The way from a call in Python to native code, as LLVM IR: one *stub* for each shape of a call.

A function of Python is an object with a vectorcall slot (`runtime/native.py`) and *entries*. An entry is a block of
words: its stub, the native function, what that needs beside its arguments. A stub knows the shape of a call alone
(`backend/shapes.py`), so all functions of one shape share one. It takes what the slot takes, and the entry; it gives
what the slot gives: the result (a new reference), or null where an exception has been raised. Where the arguments are
not of its shape, nothing has happened yet, and it jumps to the stub of the next entry, by `dfl.next`; behind the last
one, `dfl.general` hands them to the method `_general` of the object as they are. The slot's code, `dfl.first`, jumps to
the stub of the first entry. Nothing has to be kept in mind over these jumps, so a call costs what its checks cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsl.backend.layout import WORD, Context, Header, register_type
from dsl.backend.memory import FIRST_CHUNK, LARGE
from dsl.backend.shapes import (
    API,
    NUMPY,
    Argument,
    Dense,
    Dtype,
    Entry,
    Flag,
    Known,
    Named,
    Nothing,
    Number,
    Offset,
    Part,
    Shape,
    Tuple,
    leaves_of,
)
from dsl.backend.unit import STRAIGHT
from dsl.types import BOOL, F32, F64, I64, LeafType, Mem

FIRST, NEXT, GENERAL, STUB, REFUSE = "dfl.first", "dfl.next", "dfl.general", "dfl.stub", "dfl.refuse"
_SLOT = "ptr %self, ptr %args, i64 %flagged, ptr %names"  # what the slot's code takes
ARENA = 2048         # bytes on the stack with which the arena of a call begins


def _declarations() -> list[str]:
    lines = ["@dfl.python = external global i64"]
    for name, type in API.items():
        result, _, operands = type.partition(" ")
        lines.append(f"declare {result} @{name}{operands} nonlazybind")
    return lines


def dispatcher() -> str:
    """The module of what all stubs share: `dfl.first`, `dfl.next` and `dfl.general`."""
    return STRAIGHT + "\n".join(_declarations()) + _DISPATCHER.format(
        slot=_SLOT, first=FIRST, next=NEXT, general=GENERAL, entries=int(Offset.ENTRIES), place=WORD * Entry.NEXT,
        size=int(Offset.SIZE), name=WORD * Known.GENERAL,
    )  # fmt: skip


_DISPATCHER = """
define ptr @{first}({slot}) nounwind {{
  %place = getelementptr i8, ptr %self, i64 {entries}
  %e = load ptr, ptr %place
  %stub = load ptr, ptr %e
  %made = tail call ptr %stub({slot}, ptr %e)
  ret ptr %made
}}

define ptr @{next}({slot}, ptr %e) nounwind {{
  %place = getelementptr i8, ptr %e, i64 {place}
  %following = load ptr, ptr %place
  %none = icmp eq ptr %following, null
  br i1 %none, label %general, label %try
try:
  %stub = load ptr, ptr %following
  %made = tail call ptr %stub({slot}, ptr %following)
  ret ptr %made
general:
  %result = tail call ptr @{general}({slot})
  ret ptr %result
}}

; calls the method _general of the object with the same arguments
define ptr @{general}({slot}) noinline nounwind {{
start:
  %n = and i64 %flagged, 9223372036854775807
  %positional = icmp eq ptr %names, null
  br i1 %positional, label %all, label %keywords
keywords:
  %psize = getelementptr i8, ptr %names, i64 {size}
  %size = load i64, ptr %psize
  br label %all
all:
  %more = phi i64 [ 0, %start ], [ %size, %keywords ]
  %count = add i64 %n, %more
  %room = add i64 %count, 2
  %block = alloca ptr, i64 %room
  %first = getelementptr ptr, ptr %block, i64 1
  store ptr %self, ptr %first
  %rest = getelementptr ptr, ptr %block, i64 2
  %bytes = shl i64 %count, 3
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %rest, ptr align 8 %args, i64 %bytes, i1 false)
  %with.self = add i64 %n, 1
  %again = or i64 %with.self, -9223372036854775808
  %pname = getelementptr i8, ptr @dfl.python, i64 {name}
  %name = load ptr, ptr %pname
  %result = call ptr @PyObject_VectorcallMethod(ptr %name, ptr %first, i64 %again, ptr %names)
  ret ptr %result
}}
"""


def refuser() -> str:
    """The module of a stub that takes no call."""
    jump = f"  %made = tail call ptr @{NEXT}({_SLOT}, ptr %e)\n  ret ptr %made"
    return f"declare ptr @{NEXT}(ptr, ptr, i64, ptr, ptr)\n\ndefine ptr @{REFUSE}({_SLOT}, ptr %e) {{\n{jump}\n}}\n"


def stub(shape: Shape) -> str:
    """The module of the stub for a shape. With that of a plain function, whose whole call takes as long as some jumps,
    is a slot's code that has the stub in it."""
    lines = [*_declarations(), _REST, *_Stub(shape).lines(), ""]
    return STRAIGHT + "\n".join(lines) + (_DIRECT if shape.plain else "")


_REST = f"""declare ptr @memmove(ptr, ptr, i64) nonlazybind
declare ptr @{NEXT}(ptr, ptr, i64, ptr, ptr)
declare ptr @{GENERAL}(ptr, ptr, i64, ptr)
"""

_DIRECT = f"""
define ptr @{FIRST}({_SLOT}) nounwind {{
  %place = getelementptr i8, ptr %self, i64 {int(Offset.ENTRIES)}
  %e = load ptr, ptr %place
  %made = tail call ptr @{STUB}({_SLOT}, ptr %e) alwaysinline
  ret ptr %made
}}
"""


class _Stub:
    """The text of one stub. Arguments are checked first; from the call on nothing can be found to be other."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.text: list[str] = []
        self.count = 0
        self.given: list[tuple[Dense, str, str, list[str]]] = []  # of each array: its header, object, sizes
        self.room: list[str] = []  # allocas, at the top
        self.root = self.alloca("ptr")  # the result, as far as it has been made
        self.out = "null"  # what `out` is …
        self.filled: Dense | None = None  # … and what it may take
        self.lent: list[str] = []  # headers of arrays that are captured
        self.targets: set[str] = set()  # where checks lead to

    # ------------------------------------------------------------ writing
    def line(self, text: str) -> None:
        self.text.append(f"  {text}")

    def let(self, text: str) -> str:
        self.count += 1
        self.line(f"%v{self.count} = {text}")
        return f"%v{self.count}"

    def label(self) -> str:
        self.count += 1
        return f"b{self.count}"

    def start(self, label: str) -> None:
        self.text.append(f"{label}:")

    def here(self) -> str:
        """The label of the block that is being written."""
        return next((line[:-1] for line in reversed(self.text) if not line.startswith(" ")), "entry")

    def alloca(self, type: str) -> str:
        self.count += 1
        self.room.append(f"  %v{self.count} = alloca {type}, align 16")
        return f"%v{self.count}"

    def at(self, base: str, offset: int) -> str:
        return self.let(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base

    def load(self, base: str, offset: int, type: str = "ptr") -> str:
        return self.let(f"load {type}, ptr {self.at(base, offset)}")

    def store(self, value: str, base: str, offset: int, type: str = "i64") -> None:
        self.line(f"store {type} {value}, ptr {self.at(base, offset)}")

    def known(self, word: int) -> str:
        return self.load("@dfl.python", WORD * word)

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.line(f"br i1 {condition}, label %{yes}, label %{no}")

    def must(self, comparison: str, otherwise: str = "other") -> None:
        """Goes on where a comparison holds, else elsewhere."""
        on = self.label()
        self.targets.add(otherwise)
        self.branch(self.let(f"icmp {comparison}"), on, otherwise)
        self.start(on)

    # ------------------------------------------------------------ the whole
    def lines(self) -> list[str]:
        shape = self.shape
        count = self.let("shl i64 %flagged, 1")  # without the flag, which is the highest bit
        self.must(f"eq i64 {count}, {2 * len(shape.arguments)}")
        values, work = [], ["1"]
        for k, argument in enumerate(shape.arguments):
            values += self.argument(argument, self.load("%args", WORD * k), work)
        self.apart()
        self.output()
        before, behind = self.fixed(0, shape.before), self.fixed(len(shape.before), shape.behind)
        if shape.lent:
            self.lent = [v for t, v in zip(shape.before, before, strict=True) if isinstance(t, Mem)]
        operands = [*before, *values, *behind]
        (self.call_plain if shape.plain else self.call_entry)(operands, work)
        self.start("other")
        self.line(f"ret ptr {self.let(f'tail call ptr @{NEXT}({_SLOT}, ptr %e)')}")
        head = f"define ptr @{STUB}({_SLOT}, ptr %e) nounwind {{"
        return [head, "entry:", *self.room, f"  store ptr null, ptr {self.root}", *self.text, "}"]

    def fixed(self, first: int, leaves: Sequence[LeafType]) -> list[str]:
        """Values that the entry holds."""
        return [self.slot("%e", Entry.FIXED + k, leaf) for k, leaf in enumerate(leaves, first)]

    def slot(self, base: str, place: int, leaf: LeafType) -> str:
        """The value in a slot of eight bytes."""
        if leaf == BOOL:
            return self.let(f"trunc i8 {self.load(base, WORD * place, 'i8')} to i1")
        return self.load(base, WORD * place, register_type(leaf))

    # ------------------------------------------------------------ what comes in
    def argument(self, argument: Argument, object: str, work: list[str]) -> list[str]:
        """The leaves of an argument."""
        match argument:
            case Nothing():
                self.must(f"eq ptr {object}, {self.known(Known.NONE)}")
                return []
            case Number():
                return [self.number(argument.leaf, object, work)]
            case Dense():
                return self.array(argument, object, work)

    def number(self, leaf: LeafType, object: str, work: list[str]) -> str:
        type = self.load(object, Offset.TYPE)
        if leaf == F64:
            self.one_of(type, Known.FLOAT, Known.FLOAT64)
            return self.load(object, Offset.VALUE, "double")
        if leaf == F32:
            self.must(f"eq ptr {type}, {self.known(Known.FLOAT32)}")
            return self.load(object, Offset.VALUE, "float")
        if leaf == BOOL:
            self.must(f"eq ptr {type}, {self.known(Known.BOOL)}")
            return self.let(f"icmp eq ptr {object}, {self.known(Known.TRUE)}")
        number = self.integer(type, object)
        if self.shape.loops:
            work.append(self.let(f"call i64 @llvm.abs.i64(i64 {number}, i1 false)"))
        return number

    def integer(self, type: str, object: str) -> str:
        """The value of an int that fits into 64 bits, or of NumPy's int64."""
        plain, fits, more, numpy, on = (self.label() for _ in range(5))
        self.branch(self.let(f"icmp eq ptr {type}, {self.known(Known.INT)}"), plain, more)
        self.start(more)
        self.branch(self.let(f"icmp eq ptr {type}, {self.known(Known.INT64)}"), numpy, "other")
        self.start(numpy)
        direct = self.load(object, Offset.VALUE, "i64")
        self.line(f"br label %{on}")
        self.start(plain)
        overflow = self.alloca("i32")
        number = self.let(f"call i64 @PyLong_AsLongLongAndOverflow(ptr {object}, ptr {overflow})")
        self.branch(self.let(f"icmp eq i32 {self.let(f'load i32, ptr {overflow}')}, 0"), fits, "other")
        self.start(fits)
        self.line(f"br label %{on}")
        self.start(on)
        return self.let(f"phi i64 [ {direct}, %{numpy} ], [ {number}, %{fits} ]")

    def one_of(self, type: str, first: Known, second: Known) -> None:
        """Goes on where a type is one of two known ones."""
        more, on = self.label(), self.label()
        self.branch(self.let(f"icmp eq ptr {type}, {self.known(first)}"), on, more)
        self.start(more)
        self.branch(self.let(f"icmp eq ptr {type}, {self.known(second)}"), on, "other")
        self.start(on)

    def dense(self, array: Dense, object: str, written: bool) -> list[str]:
        """Goes on where an object is a dense array of a form; gives its sizes."""
        self.must(f"eq ptr {self.load(object, Offset.TYPE)}, {self.known(Known.ARRAY)}")
        self.must(f"eq ptr {self.load(object, Offset.DTYPE)}, {self.known(Known.DTYPES + Dtype[array.dtype])}")
        self.must(f"eq i32 {self.load(object, Offset.RANK, 'i32')}, {array.rank}")
        order = Flag.F_CONTIGUOUS if array.layout == "F" else Flag.C_CONTIGUOUS
        wanted = order | Flag.ALIGNED | (Flag.WRITEABLE if written else 0)
        looked_at = wanted | (Flag.C_CONTIGUOUS if array.layout == "F" else 0)  # contiguous both ways counts as C
        flags = self.load(object, Offset.FLAGS, "i32")
        self.must(f"eq i32 {self.let(f'and i32 {flags}, {int(looked_at)}')}, {int(wanted)}")
        shape = self.load(object, Offset.SHAPE)
        return [self.load(shape, WORD * d, "i64") for d in range(array.rank)]

    def array(self, array: Dense, object: str, work: list[str]) -> list[str]:
        sizes = self.dense(array, object, array.written)
        count = self.product(sizes)
        header = self.alloca(f"[{len(Header)} x i64]")
        self.store(self.load(object, Offset.DATA), header, WORD * Header.DATA, "ptr")
        self.store(count, header, WORD * Header.LENGTH)
        self.store("-1", header, WORD * Header.CAPACITY)
        self.store("0", header, WORD * Header.REGION)
        self.given.append((array, header, object, sizes))
        work.append(count)
        return [header, *(sizes if array.rank > 1 else [])]

    def product(self, sizes: Sequence[str]) -> str:
        count = sizes[0]
        for size in sizes[1:]:
            count = self.let(f"mul i64 {count}, {size}")
        return count

    def apart(self) -> None:
        """What is written must lie apart from every other array."""
        ends: dict[str, tuple[str, str]] = {}
        for array, header, _, _ in self.given if any(a.written for a, *_ in self.given) else ():
            first = self.load(header, WORD * Header.DATA, "i64")
            size = self.let(f"mul i64 {self.load(header, WORD * Header.LENGTH, 'i64')}, {array.itemsize}")
            ends[header] = first, self.let(f"add i64 {first}, {size}")
        for k, (array, header, _, _) in enumerate(self.given):
            for other, header2, _, _ in self.given[:k]:
                if array.written or other.written:
                    (first, end), (first2, end2) = ends[header], ends[header2]
                    before = self.let(f"icmp ule i64 {end}, {first2}")
                    behind = self.let(f"icmp ule i64 {end2}, {first}")
                    self.must(f"ne i1 {self.let(f'or i1 {before}, {behind}')}, false")

    def output(self) -> None:
        """Goes on without `out`, or where it is an array that can take the one array of the result. (Whether it has the
        right sizes is known when there are some: the call may have to be made again, so it must change nothing.)"""
        self.filled = _filled(self.shape.result) if not any(array.written for array, *_ in self.given) else None
        if self.filled is None:
            self.must("eq ptr %names, null")
            return
        named, on, before = self.label(), self.label(), self.here()
        self.branch(self.let("icmp eq ptr %names, null"), on, named)
        self.start(named)
        self.must(f"eq i64 {self.load('%names', Offset.SIZE, 'i64')}, 1")
        self.must(f"eq ptr {self.load('%names', Offset.ITEMS)}, {self.known(Known.OUT)}")
        out = self.load("%args", WORD * len(self.shape.arguments))
        self.dense(self.filled, out, written=True)
        behind = self.here()
        self.line(f"br label %{on}")
        self.start(on)
        self.out = self.let(f"phi ptr [ null, %{before} ], [ {out}, %{behind} ]")

    # ------------------------------------------------------------ the call
    def typed(self, operands: Sequence[str]) -> list[tuple[LeafType, str]]:
        shape = self.shape
        leaves = [*shape.before, *(t for a in shape.arguments for t in leaves_of(a)), *shape.behind]
        return list(zip(leaves, operands, strict=True))

    def call_plain(self, operands: list[str], work: list[str]) -> None:
        """Calls a function of numbers as it is."""
        kernel = self.load("%e", WORD * Entry.KERNEL)
        results = leaves_of(self.shape.result)
        call = f"{kernel}({', '.join(f'{register_type(t)} {v}' for t, v in self.typed(operands))})"
        if results:
            values = [self.let(f"call {register_type(results[0])} {call}")]
        else:
            self.line(f"call void {call}")
            values = []
        self.build(self.shape.result, iter(values), self.root, 0, "")
        self.line(f"ret ptr {self.load(self.root, 0)}")
        if "fail" in self.targets:
            self.start("fail")
            self.line("ret ptr null")

    def call_entry(self, operands: list[str], work: list[str]) -> None:
        """Calls through the unit's entry: arguments and results in slots, a context on the stack."""
        results = leaves_of(self.shape.result)
        slots = self.alloca(f"[{max(len(operands), 1)} x i64]")
        made = self.alloca(f"[{max(len(results), 1)} x i64]")
        for k, (leaf, value) in enumerate(self.typed(operands)):
            if leaf == BOOL:
                self.store(self.let(f"zext i1 {value} to i8"), slots, WORD * k, "i8")
            else:
                self.store(value, slots, WORD * k, register_type(leaf))
        context, sentinel = self.context()
        owner = self.held()
        failed = self.called(f"ptr {context}, ptr {slots}, ptr {made}", work)
        bad, good = self.label(), self.label()
        self.branch(self.let(f"icmp ne i32 {failed}, 0"), bad, good)
        self.start(bad)
        self.asked(Entry.FAILED, context)
        self.line("br label %fail")
        self.start(good)
        values = iter([self.slot(made, k, leaf) for k, leaf in enumerate(results)])
        self.build(self.shape.result, values, self.root, 0, sentinel)
        whole = self.load(self.root, 0)
        if _has_records(self.shape.result):
            record = self.given_one(self.load("%e", WORD * Entry.NAMED), whole)
            self.store(record, self.root, 0, "ptr")
            whole = record
        self.line("br label %good")
        self.start("good")
        self.line("br label %end")
        found = [f"[ {whole}, %good ]"]
        if "again" in self.targets:  # memory is missing, or `out` is no match: the general way says so
            self.start("again")
            self.line("call void @PyErr_Clear()")
            self.drop()
            self.let_go_all(sentinel, owner)
            self.line(f"ret ptr {self.let(f'tail call ptr @{GENERAL}({_SLOT})')}")
        self.start("fail")
        self.drop()
        self.line("br label %end")
        found.append(f"[ null, %{self.here()} ]")
        self.start("end")
        final = self.let(f"phi ptr {', '.join(found)}")
        self.let_go_all(sentinel, owner)
        self.line(f"ret ptr {final}")

    def let_go_all(self, sentinel: str, owner: str) -> None:
        self.free(sentinel)
        self.let_go(owner)

    def held(self) -> str:
        """The entry's owner, which lives until it is let go. (It is none of the objects that are not counted.)"""
        owner = self.load("%e", WORD * Entry.OWNER)
        more = self.let(f"add i32 {self.load(owner, Offset.COUNT, 'i32')}, 1")
        self.store(more, owner, Offset.COUNT, "i32")
        return owner

    def let_go(self, owner: str) -> None:
        last, more, on = self.label(), self.label(), self.label()
        count = self.load(owner, Offset.COUNT, "i32")
        self.branch(self.let(f"icmp eq i32 {count}, 1"), last, more)
        self.start(last)
        self.line(f"call void @Py_DecRef(ptr {owner})")
        self.line(f"br label %{on}")
        self.start(more)
        self.store(self.let(f"sub i32 {count}, 1"), owner, Offset.COUNT, "i32")
        self.line(f"br label %{on}")
        self.start(on)

    def drop(self) -> None:
        """Gives up what there is of the result."""
        some, on = self.label(), self.label()
        whole = self.load(self.root, 0)
        self.branch(self.let(f"icmp ne ptr {whole}, null"), some, on)
        self.start(some)
        self.line(f"call void @Py_DecRef(ptr {whole})")
        self.line(f"br label %{on}")
        self.start(on)

    def context(self) -> tuple[str, str]:
        """The context of a call and its sentinel."""
        words = Context.OPERANDS + self.shape.operands
        context, arena = self.alloca(f"[{words + 2} x i64]"), self.alloca(f"[{ARENA} x i8]")
        sentinel = self.at(context, WORD * words)
        if self.shape.recursive:
            key = self.load("@dfl.python", WORD * Known.STACK_KEY, "i64")
            lowest = self.let(f"call ptr {self.known(Known.STACK_OF)}(i64 {key})")
            self.must(f"ne ptr {lowest}, null")
            reserve = self.load("%e", WORD * Entry.RESERVE, "i64")
            self.store(self.let(f"getelementptr i8, ptr {lowest}, i64 {reserve}"), context, 0, "ptr")
        else:
            self.store("0", context, WORD * Context.STACK_LIMIT)
        self.store(sentinel, context, WORD * Context.CHUNKS, "ptr")
        self.store(arena, context, WORD * Context.FREE, "ptr")
        self.store(self.at(arena, ARENA), context, WORD * Context.END, "ptr")
        self.store(str(FIRST_CHUNK), context, WORD * Context.CHUNK_SIZE)
        for word in (Context.CURRENT, Context.SPARE, words, words + 1):
            self.store("0", context, WORD * word)
        return context, sentinel

    def called(self, operands: str, work: list[str]) -> str:
        """Calls the unit's entry, without the interpreter's lock where the call may take long."""
        kernel = self.load("%e", WORD * Entry.KERNEL)
        if not self.shape.loops:
            return self.let(f"call i32 {kernel}({operands})")
        total = work[0]
        for more in work[1:]:
            total = self.let(f"call i64 @llvm.uadd.sat.i64(i64 {total}, i64 {more})")
        long, short, on = self.label(), self.label(), self.label()
        limit = self.load("%e", WORD * Entry.LIMIT, "i64")
        self.branch(self.let(f"icmp ugt i64 {total}, {limit}"), long, short)
        self.start(long)
        state = self.let("call ptr @PyEval_SaveThread()")
        slow = self.let(f"call i32 {kernel}({operands})")
        self.line(f"call void @PyEval_RestoreThread(ptr {state})")
        self.line(f"br label %{on}")
        self.start(short)
        fast = self.let(f"call i32 {kernel}({operands})")
        self.line(f"br label %{on}")
        self.start(on)
        return self.let(f"phi i32 [ {slow}, %{long} ], [ {fast}, %{short} ]")

    def free(self, sentinel: str) -> None:
        """Frees the chunks of a call."""
        some, on = self.label(), self.label()
        self.branch(self.let(f"icmp ne ptr {self.load(sentinel, WORD)}, null"), some, on)
        self.start(some)
        self.line(f"call void {self.load('%e', WORD * Entry.RELEASE)}(ptr {sentinel})")
        self.line(f"br label %{on}")
        self.start(on)

    def asked(self, whom: Entry, pointer: str) -> str:
        """What a callable of the entry gives for an address."""
        number = self.let(f"call ptr @PyLong_FromLongLong(i64 {self.let(f'ptrtoint ptr {pointer} to i64')})")
        return self.given_one(self.load("%e", WORD * whom), number)

    def given_one(self, callable: str, argument: str) -> str:
        """What a callable gives for an object, which is taken; null where it raises."""
        block = self.alloca("[2 x ptr]")
        second = self.at(block, WORD)
        self.line(f"store ptr {argument}, ptr {second}")
        flagged = 1 - (1 << 63)  # the place before the arguments may be used
        found = self.let(f"call ptr @PyObject_Vectorcall(ptr {callable}, ptr {second}, i64 {flagged}, ptr null)")
        self.line(f"call void @Py_DecRef(ptr {argument})")
        return found

    # ------------------------------------------------------------ what goes out
    def build(self, part: Part, values: Iterator[str], base: str, offset: int, sentinel: str) -> None:
        """Makes the object of a part of the result and puts it where it belongs: all there is hangs from `root`."""
        match part:
            case Number():
                self.put(self.number_out(part.leaf, next(values)), base, offset)
            case Nothing():
                self.store(self.shared(self.known(Known.NONE)), base, offset, "ptr")
            case Dense():
                self.array_out(part, values, base, offset, sentinel)
            case Tuple() | Named():
                items = self.let(f"call ptr @PyTuple_New(i64 {len(part.items)})")
                self.put(items, base, offset)
                for k, item in enumerate(part.items):
                    self.build(item, values, items, Offset.ITEMS + WORD * k, sentinel)

    def put(self, object: str, base: str, offset: int) -> None:
        """Puts an object where it belongs, if there is one."""
        self.must(f"ne ptr {object}, null", "fail")
        self.store(object, base, offset, "ptr")

    def shared(self, object: str) -> str:
        self.line(f"call void @Py_IncRef(ptr {object})")
        return object

    def number_out(self, leaf: LeafType, value: str) -> str:
        if leaf == I64:
            return self.let(f"call ptr @PyLong_FromLongLong(i64 {value})")
        if leaf == BOOL:
            yes, no = self.known(Known.TRUE), self.known(Known.FALSE)
            return self.shared(self.let(f"select i1 {value}, ptr {yes}, ptr {no}"))
        if leaf == F32:
            value = self.let(f"fpext float {value} to double")
        return self.let(f"call ptr @PyFloat_FromDouble(double {value})")

    def array_out(self, array: Dense, values: Iterator[str], base: str, offset: int, sentinel: str) -> None:
        """An array: the one that went in where it is that, `out`, or a new one with the elements."""
        header = next(values)
        length = self.load(header, WORD * Header.LENGTH, "i64")
        sizes = [next(values) for _ in range(array.rank)] if array.rank > 1 else [length]
        on = self.label()
        if self.filled is not None:
            there, absent = self.label(), self.label()
            self.branch(self.let(f"icmp eq ptr {self.out}, null"), absent, there)
            self.start(there)
            shape = self.load(self.out, Offset.SHAPE)
            for d, size in enumerate(sizes):
                self.must(f"eq i64 {self.load(shape, WORD * d, 'i64')}, {size}", "again")
            self.copy(header, self.out, self.product(sizes), array.itemsize)
            self.store(self.shared(self.out), base, offset, "ptr")
            self.line(f"br label %{on}")
            self.start(absent)
        for given, address, object, others in self.given:
            if (given.dtype, given.rank, given.layout) == (array.dtype, array.rank, array.layout):
                same, next_ = self.label(), self.label()
                equal = self.let(f"icmp eq ptr {header}, {address}")
                for size, other in zip(sizes, others, strict=True):
                    equal = self.let(f"and i1 {equal}, {self.let(f'icmp eq i64 {size}, {other}')}")
                self.branch(equal, same, next_)
                self.start(same)
                self.store(self.shared(object), base, offset, "ptr")
                self.line(f"br label %{on}")
                self.start(next_)
        for lent in self.lent:
            self.must(f"ne ptr {header}, {lent}", "again")
        self.new_array(array, header, sizes, base, offset, sentinel)
        self.line(f"br label %{on}")
        self.start(on)

    def new_array(
        self, array: Dense, header: str, sizes: Sequence[str], base: str, offset: int, sentinel: str
    ) -> None:
        """A new array: of a chunk that is all its own, or with a copy of the elements."""
        number, itemsize = NUMPY[array.dtype]
        shape = self.alloca(f"[{array.rank} x i64]")
        for d, size in enumerate(sizes):
            self.store(size, shape, WORD * d)
        own, look, copy, on = self.label(), self.label(), self.label(), self.label()
        capacity = self.load(header, WORD * Header.CAPACITY, "i64")
        self.branch(self.let(f"icmp sge i64 {capacity}, {LARGE // itemsize}"), look, copy)
        self.start(look)
        region = self.load(header, WORD * Header.REGION)
        self.branch(self.let(f"icmp eq ptr {region}, {sentinel}"), own, copy)
        self.start(own)
        request = self.alloca("[4 x i64]")
        for k, word in enumerate((f"ptr {header}", f"ptr {shape}", f"i64 {array.rank}", f"i64 {_code(array)}")):
            type, _, value = word.partition(" ")
            self.store(value, request, WORD * k, type)
        self.put(self.asked(Entry.HAND_OVER, request), base, offset)
        self.store("0", header, WORD * Header.REGION)  # a second array of the same memory is a copy
        self.line(f"br label %{on}")
        self.start(copy)
        operands = (
            f"ptr {self.known(Known.ARRAY)}", f"i32 {array.rank}", f"ptr {shape}", f"i32 {number}", "ptr null",
            "ptr null", "i32 0", f"i32 {int(array.layout == 'F')}", "ptr null",
        )  # fmt: skip
        made = self.let(f"call ptr {self.known(Known.NEW_ARRAY)}({', '.join(operands)})")
        written = any(given.written for given, *_ in self.given)
        self.must(f"ne ptr {made}, null", "fail" if written else "again")
        self.copy(header, made, self.product(sizes), itemsize)
        self.store(made, base, offset, "ptr")
        self.line(f"br label %{on}")
        self.start(on)

    def copy(self, header: str, array: str, count: str, itemsize: int) -> None:
        source, to = self.load(header, WORD * Header.DATA), self.load(array, Offset.DATA)
        size = self.let(f"mul i64 {count}, {itemsize}")
        self.line(f"call void @llvm.memmove.p0.p0.i64(ptr {to}, ptr {source}, i64 {size}, i1 false)")


def _code(array: Dense) -> int:
    """The dtype and the order in one number."""
    return 2 * Dtype[array.dtype] + (array.layout == "F")


def _filled(result: Part) -> Dense | None:
    """What `out` takes of a result: the result itself, or the gradient of a value and a gradient."""
    match result:
        case Dense():
            return result
        case Tuple(items=(Number(), Dense() as array)):
            return array
    return None


def _has_records(part: Part) -> bool:
    return isinstance(part, Named) or (isinstance(part, Tuple) and any(map(_has_records, part.items)))
