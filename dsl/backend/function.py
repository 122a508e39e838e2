"""One function: structured SSA to basic blocks.

Regions become blocks, what they carry becomes phis; constants are written where they are used. The walk over nested
regions keeps its own stack (`drive`), so nesting is limited by memory only. Code that fails is out of line, behind
everything else: a failing check writes which one it is and its operands into the context and returns the flag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from dsl.backend.debug import quoted
from dsl.backend.kernels import constant
from dsl.backend.layout import (
    INTERRUPTED,
    OUTSIDE_WORDS,
    SLOT_WORDS,
    WORD,
    Context,
    Header,
    access_type,
    memory_type,
    record_size,
    register_type,
)
from dsl.backend.signature import Signature
from dsl.diagnostics import Span
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES, known
from dsl.ops.kernels import KERNELS
from dsl.records import dataclass, field
from dsl.types import BOOL, F32, LeafType, Mem, round_to_f32

if TYPE_CHECKING:
    from dsl.backend.emit import UnitEmitter

Steps: TypeAlias = Iterator["Steps"]


def drive(steps: Steps) -> None:
    """Run generators that yield the generators to run first, with a stack of our own instead of Python's."""
    stack = [steps]
    while stack:
        try:
            stack.append(next(stack[-1]))
        except StopIteration:
            stack.pop()


@dataclass
class Join:
    """A block that control reaches from several places, each with values of its own."""

    label: str
    incoming: list[tuple[str, list[str]]] = field(default_factory=list)  # (block, operands)


@dataclass
class Frame:
    """A loop around the place of the walk: where its `next` and `break` go."""

    outer: Frame | None
    again: Join
    out: Join | None  # None: a `for`, which has no exits


_ONCE = '!{!"llvm.loop.unroll.runtime.disable"}'
_SINGLE = '!{!"llvm.loop.vectorize.width", i32 1}'
_NARROW = '!{!"llvm.loop.vectorize.width", i32 4}'
_NOT_INTERLEAVED = '!{!"llvm.loop.interleave.count", i32 1}'
_PAIRED = '!{!"llvm.loop.interleave.count", i32 2}'
_LANES = (_NOT_INTERLEAVED, '!{!"llvm.loop.unroll.disable"}', '!{!"llvm.loop.vectorize.followup_vectorized"}')
_SUM_WIDTH = 4
_LONG_SUM = 30   # lines of a body that carries something; …
_LONG_BODY = 64  # … that does not; a kernel of numbers counts as …
_KERNEL = 30     # … so many
_LONGEST_PAIRED = 1000
_MOST_WAYS = 100
_WIDEST = 64     # bytes of a vector
LONG_BLOCK = 500  # lines
_PLAIN_NAME = re.compile(r"[-a-zA-Z$_.][-a-zA-Z$_.0-9]*")


def identifier(sigil: str, name: str) -> str:
    """A name as LLVM writes it: `%x`, `@"f'"`."""
    return f"{sigil}{name}" if _PLAIN_NAME.fullmatch(name) else f'{sigil}"{quoted(name)}"'


def _may_repeat(body: Region) -> bool:
    """Whether much of a body may be the same in all iterations: code behind a branch, or what follows from loads whose
    place does not change. LLVM, once it has found that out, asks of each such value of which others it is made, and of
    which these are, one way after the other, and there may be exponentially many."""
    ways: dict[Value, int] = {}
    varying = set(body.params)
    for op in body.ops:
        if op.regions or op.name == "check":
            return True
        if op.name == "const":
            continue
        if not varying.isdisjoint(op.args):
            varying.update(op.results)
            continue
        count = 1 + sum(ways.get(a, 0) for a in op.args)
        p = PRIMITIVES.get(op.name)
        if count > _MOST_WAYS or (p is not None and p.llvm_form(op.args[0].type).startswith("kernel:")):
            return True
        ways.update(dict.fromkeys(op.results, count))
    return False


class FunctionEmitter:
    """Writes one function; `lines` is its text so far."""

    def __init__(self, unit: UnitEmitter, fn: Function, signature: Signature) -> None:
        self.unit = unit
        self.fn = fn
        self.signature = signature
        self.scope = unit.debug.subprogram(fn, signature.symbol) if unit.lines else ""
        self.lines: list[str] = []
        self.cold: list[str] = []
        self.names: dict[Value, str] = {}
        self.taken: set[str] = {"ctx", "out", "entry", "failed", "scratch", "inside"}
        self.count = 0
        self.block = "entry"
        self.begun = 0        # the line with which the block begins
        self.loops = 0        # how many are around the place of the walk
        self.where = ""       # the suffix that gives an instruction its place in the source
        self.span: Span = fn.span
        self.goes_out = False  # memory is made outside of regions
        self.scratch = 0      # slots of the buffer that operands and many results go through
        self.grown = unit.grown[fn.name]      # types of memory whose records may move while the function runs
        self.data: dict[Value, str] = {}      # where the records of memories are, as far as that is known here
        self.frame: list[str] = []  # what is there beside it, by instructions
        self.group = ""       # a suffix of memory accesses that are independent in all iterations of the loop
        self.failing = False  # some code jumps to the shared failing return
        self.spills = False   # vectors, probably

    # ------------------------------------------------------------ names and lines
    def fresh(self, stem: str) -> str:
        """A label or register name that is used nowhere else in the function."""
        self.count += 1
        return f"{stem}.{self.count}"

    def name(self, value: Value) -> str:
        """Give a value its register."""
        stem = value.hint.replace(".", "_") or "v"
        text = stem if value.hint and stem not in self.taken else self.fresh(stem)
        self.taken.add(text)
        register = self.names[value] = identifier("%", text)
        return register

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}{self.where}")

    def let(self, text: str, stem: str = "v") -> str:
        """An instruction whose result gets a name of its own."""
        register = identifier("%", self.fresh(stem))
        self.line(f"{register} = {text}")
        return register

    def define(self, value: Value, text: str) -> None:
        self.line(f"{self.name(value)} = {text}")

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label
        self.begun = len(self.lines)

    def jump(self, label: str) -> None:
        self.line(f"br label %{label}")

    def enter(self, join: Join, values: Iterable[Value]) -> None:
        """Go from here to a join, with values."""
        join.incoming.append((self.block, [self.names[v] for v in values]))
        self.jump(join.label)

    def phi(self, register: str, type: LeafType, join: Join, k: int) -> str:
        ways = ", ".join(f"[ {operands[k]}, %{block} ]" for block, operands in join.incoming)
        return f"  {register} = phi {register_type(type)} {ways}{self.where}"

    def meet(self, join: Join, results: Sequence[Value]) -> None:
        """Start a join; its values become these results. What nothing reaches has no value."""
        self.start(join.label)
        for k, value in enumerate(results):
            if join.incoming:
                self.lines.append(self.phi(self.name(value), value.type, join, k))
            else:
                self.names[value] = "poison"

    def typed(self, value: Value) -> str:
        return f"{register_type(value.type)} {self.names[value]}"

    # ------------------------------------------------------------ the whole
    def text(self) -> str:
        s = self.signature
        self.place(self.fn.span)
        for p in self.fn.params:
            self.name(p)
        params = [self.typed(p) for p in self.fn.params]
        params = ["ptr %ctx"] * s.context + params + ["ptr %out"] * s.indirect
        linkage = "" if self.fn is self.unit.root else "internal "
        attributes = ' "disable-tail-calls"="true"' if s.recursive else ""
        if s.recursive:
            self.guard()
        drive(self.region(self.fn.body, None, None))
        attributes += f" alignstack({_WIDEST})" if self.spills else ""
        attributes += f" !dbg {self.scope}" if self.scope else ""
        head = f"define {linkage}{s.gives} {identifier('@', s.symbol)}({', '.join(params)}) nounwind{attributes} {{"
        if self.failing:
            self.cold += ["failed:", f"  ret {self.failure()}{self.where}"]
        entry = ["entry:"]
        if self.scratch:
            entry.append(f"  %scratch = alloca [{self.scratch} x i64], align 8")
        entry += self.frame
        if self.goes_out:
            entry.append(f"  %inside = alloca [{OUTSIDE_WORDS} x i64], align 8")
        return "\n".join([head, *entry, *self.lines, *self.cold, "}"])

    def place(self, span: Span) -> None:
        self.span = span
        self.where = self.unit.debug.location(span, self.scope, self.fn.span)

    def failure(self) -> str:
        """What a failing function returns."""
        s = self.signature
        if len(s.parts) == 1:
            return "i1 true"
        return f"{s.gives} {{ {', '.join(['i1 true', *(f'{t} poison' for t in s.parts[1:])])} }}"

    def guard(self) -> None:
        """Fail where the stack is nearly used up."""
        site = self.unit.site("E0406", "the recursion is too deep", "", self.fn.span, ())
        limit = self.let(f"load ptr, ptr {self.word(Context.STACK_LIMIT)}")
        here = self.let("call ptr @llvm.stacksave.p0()")
        self.expect(self.let(f"icmp uge ptr {here}, {limit}"), site, ())

    # ------------------------------------------------------------ control flow
    def region(self, region: Region, frame: Frame | None, after: Join | None) -> Steps:
        """The ops of a region; `after` is where its `yield` goes."""
        outside = dict(self.data)
        for op in region.ops:
            self.place(op.span)
            match op.name:
                case "if":
                    yield self.emit_if(op, frame)
                case "for":
                    yield self.emit_for(op, frame)
                case "loop":
                    yield self.emit_loop(op, frame)
                case "yield":
                    assert after is not None
                    self.enter(after, op.args)
                case "next":
                    assert frame is not None
                    self.enter(frame.again, op.args)
                case "break":
                    self.enter(self.exit(op, frame), op.args)
                case "return":
                    self.give(op.args)
                case "unreachable":
                    self.line("unreachable")
                case _:
                    self.simple(op)
                    self.divide()
        self.data = outside

    def divide(self) -> None:
        """End a block that has become long: at its lowest level, LLVM needs time that is quadratic in the length."""
        if len(self.lines) - self.begun > LONG_BLOCK:
            label = self.fresh("on")
            self.jump(label)
            self.start(label)

    @staticmethod
    def exit(op: Op, frame: Frame | None) -> Join:
        for _ in range(op.attrs.get("depth", 0)):
            assert frame is not None
            frame = frame.outer
        assert frame is not None and frame.out is not None, "a break may not leave a for"
        return frame.out

    def emit_if(self, op: Op, frame: Frame | None) -> Steps:
        labels = [self.fresh("then"), self.fresh("else")]
        join = Join(self.fresh("end"))
        self.line(f"br i1 {self.names[op.args[0]]}, label %{labels[0]}, label %{labels[1]}")
        for label, arm in zip(labels, op.regions, strict=True):
            self.start(label)
            yield self.region(arm, frame, join)
        self.meet(join, op.results)

    def emit_loop(self, op: Op, frame: Frame | None) -> Steps:
        again, out = Join(self.fresh("loop")), Join(self.fresh("exit"))
        (body,) = op.regions
        self.enter(again, op.args)
        self.start(again.label)
        complete = self.phis_later(again, body.params)
        self.loops += 1
        yield self.region(body, Frame(frame, again, out), None)
        self.loops -= 1
        self.place(op.span)
        complete()
        self.meet(out, op.results)

    def emit_for(self, op: Op, frame: Frame | None) -> Steps:
        """Counts to the last index by equality, so that nothing overflows; tested at the end of the body. No copies
        of the body are made beyond what vectors need, but for sums in short bodies, and long bodies: the processor
        begins what follows while it waits for results, but not what is hundreds of instructions away. Elsewhere they
        are code to go through, and no faster."""
        lo, hi, step, *inits = (self.names[a] for a in op.args)
        (body,) = op.regions
        index, *carried = body.params
        top, latch, out = Join(self.fresh("for")), Join(self.fresh("latch")), Join(self.fresh("exit"))
        some, last = self.last_index(lo, hi, step)
        top.incoming.append((self.block, [lo, *inits]))
        out.incoming.append((self.block, inits))
        self.line(f"br i1 {some}, label %{top.label}, label %{out.label}")
        self.start(top.label)
        complete = self.phis_later(top, body.params)
        self.loops += 1
        begin = len(self.lines)
        if op.attrs.get("lanes"):
            group = self.unit.metadata.group()
            self.group = f", !llvm.access.group {group}"
        yield self.region(body, Frame(frame, latch, None), None)
        size = sum(1 + _KERNEL * (" call " in line and "@dfl." in line) for line in self.lines[begin:])
        self.loops -= 1
        self.place(op.span)
        following = [Value(p.type) for p in carried]
        self.meet(latch, following)
        values = [self.names[v] for v in following]
        done = self.let(f"icmp eq i64 {self.names[index]}, {last}")
        after = self.let(f"add i64 {self.names[index]}, {step}")
        top.incoming.append((self.block, [after, *values]))
        out.incoming.append((self.block, values))
        if op.attrs.get("lanes"):
            self.group = ""
            properties = [*_LANES, f'!{{!"llvm.loop.parallel_accesses", {group}}}']
        elif carried and adds_what_is_overwritten(body, self.fn.params):
            properties = [_ONCE, _NOT_INTERLEAVED, _SINGLE]
        elif op.attrs.get("few"):
            properties = [_ONCE, _NOT_INTERLEAVED, _NARROW]
        else:
            properties = [_ONCE, *self.beside(body, size)]
        loop = self.unit.metadata.loop(*properties)
        self.line(f"br i1 {done}, label %{out.label}, label %{top.label}, !llvm.loop {loop}")
        complete()
        self.meet(out, op.results)

    def beside(self, body: Region, size: int) -> list[str]:
        """How many vectors of iterations are put side by side: two where the code of one is long. (LLVM, asked about
        bodies that carry something, makes copies of short ones alone.)"""
        carries = len(body.params) > 1
        if size <= (_LONG_SUM if carries else _LONG_BODY):
            return [] if carries else [_NOT_INTERLEAVED]
        if size > _LONGEST_PAIRED or _may_repeat(body):
            return [_NOT_INTERLEAVED]
        self.spills = True
        return [_PAIRED]

    def phis_later(self, join: Join, values: Sequence[Value]) -> Callable[[], None]:
        """Keeps a place for the phis of a loop, which are known when all of its body is; call the result then."""
        registers = [self.name(v) for v in values]
        slot = len(self.lines)
        self.lines.append("")

        def complete() -> None:
            pairs = enumerate(zip(registers, values, strict=True))
            self.lines[slot] = "\n".join(self.phi(register, v.type, join, k) for k, (register, v) in pairs)

        return complete

    def last_index(self, lo: str, hi: str, step: str) -> tuple[str, str]:
        """Whether a `for` has an iteration, and the index of its last one."""
        if step in ("1", "-1"):
            return self.let(f"icmp {'sle' if step == '1' else 'sge'} i64 {lo}, {hi}"), hi
        up = self.let(f"icmp sgt i64 {step}, 0")
        rising, falling = self.let(f"icmp sle i64 {lo}, {hi}"), self.let(f"icmp sge i64 {lo}, {hi}")
        some = self.let(f"select i1 {up}, i1 {rising}, i1 {falling}")
        forward, backward = self.let(f"sub i64 {hi}, {lo}"), self.let(f"sub i64 {lo}, {hi}")
        way = self.let(f"select i1 {up}, i64 {forward}, i64 {backward}")
        negated = self.let(f"sub i64 0, {step}")
        stride = self.let(f"select i1 {up}, i64 {step}, i64 {negated}")
        count = self.let(f"udiv i64 {way}, {stride}")
        distance = self.let(f"mul i64 {count}, {step}")
        return some, self.let(f"add i64 {lo}, {distance}")

    def give(self, values: Sequence[Value]) -> None:
        """Return from the function."""
        s = self.signature
        if s.indirect:
            for k, v in enumerate(values):
                self.put("%out", k, v)
            self.line("ret i1 false" if s.context else "ret void")
            return
        operands = ["false"] * s.context + [self.names[v] for v in values]
        if len(operands) < 2:
            self.line(f"ret {s.gives} {operands[0]}" if operands else "ret void")
            return
        whole = "poison"
        for k, (type, operand) in enumerate(zip(s.parts, operands, strict=True)):
            whole = self.let(f"insertvalue {s.gives} {whole}, {type} {operand}, {k}")
        self.line(f"ret {s.gives} {whole}")

    # ------------------------------------------------------------ failing
    def word(self, number: int) -> str:
        """The address of a word of the context."""
        return self.let(f"getelementptr i8, ptr %ctx, i64 {WORD * number}") if number else "%ctx"

    def expect(self, good: str, site: int, operands: Sequence[Value]) -> None:
        """Go on where a bool is true, else fail with a site's number and operands."""
        ok, bad = self.fresh("ok"), self.fresh("bad")
        self.line(f"br i1 {good}, label %{ok}, label %{bad}{self.unit.likely}")
        main, self.lines = self.lines, self.cold
        self.start(bad)
        self.line(f"store i64 {site}, ptr {self.word(Context.FAILURE)}")
        for k, v in enumerate(operands):
            self.put(self.word(Context.OPERANDS + k), 0, v)
        self.jump("failed")
        self.failing = True
        self.lines = main
        self.start(ok)

    def put(self, base: str, slot: int, value: Value) -> None:
        """Write a value into a slot of eight bytes."""
        at = self.let(f"getelementptr i8, ptr {base}, i64 {WORD * slot}") if slot else base
        self.line(f"store {self.wide(value)}, ptr {at}, align 8")

    def wide(self, value: Value) -> str:
        """A value as it stands in memory: a bool takes a byte."""
        if value.type != BOOL:
            return self.typed(value)
        return f"i8 {self.let(f'zext i1 {self.names[value]} to i8')}"

    def take(self, value: Value, address: str, suffix: str = "") -> None:
        """Define a value as what is at an address."""
        if value.type == BOOL:
            byte = self.let(f"load i8, ptr {address}{suffix}{self.group}")
            self.define(value, f"trunc i8 {byte} to i1")
        else:
            self.define(value, f"load {register_type(value.type)}, ptr {address}{suffix}{self.group}")

    def slots(self, count: int) -> str:
        """The function's buffer, with at least so many slots."""
        self.scratch = max(self.scratch, count)
        return "%scratch"

    # ------------------------------------------------------------ straight-line ops
    def simple(self, op: Op) -> None:
        if op.name in PRIMITIVES:
            self.primitive(op)
        else:
            _EMIT[op.name](self, op)

    def primitive(self, op: Op) -> None:
        operands = [self.names[a] for a in op.args]
        register, prefix = self.name(op.result), self.fresh("p")
        for text in self.unit.instructions(op, operands, register, prefix, once=self.loops == 0):
            self.line(text)

    def emit_const(self, op: Op) -> None:
        value, type = op.attrs["value"], op.result.type
        self.names[op.result] = constant(round_to_f32(value) if type == F32 else value, type)

    def emit_null(self, op: Op) -> None:
        self.names[op.result] = "null"

    def emit_stop(self, op: Op) -> None:
        self.names[op.result] = self.names[op.args[0]]

    def emit_check(self, op: Op) -> None:
        operands = op.args[1:]
        text, hint = op.attrs["text"], op.attrs.get("hint", "")
        site = self.unit.site(op.attrs["code"], text, hint, op.span, tuple(v.type for v in operands))
        self.expect(self.names[op.args[0]], site, operands)

    def emit_print(self, op: Op) -> None:
        """Python prints: it gets the number of the op and its operands."""
        number = self.unit.printing(op.attrs["text"], tuple(v.type for v in op.args))
        buffer = self.slots(max(1, len(op.args)))
        for k, v in enumerate(op.args):
            self.put(buffer, k, v)
        printer = self.let(f"load ptr, ptr {self.word(Context.PRINT)}")
        status = self.let(f"call i32 {printer}(ptr %ctx, i64 {number}, ptr {buffer})")
        self.expect(self.let(f"icmp eq i32 {status}, 0"), INTERRUPTED, ())

    def emit_call(self, op: Op) -> None:
        s = self.unit.signatures[op.attrs["fn"]]
        args = ["ptr %ctx"] * s.context + [self.typed(a) for a in op.args]
        buffer = self.slots(len(s.results)) if s.indirect else ""
        if buffer:
            args.append(f"ptr {buffer}")
        call = f"call {s.gives} {identifier('@', s.symbol)}({', '.join(args)})"
        parts = s.parts
        with self.outside(op):
            if not parts:
                self.line(call)
            elif len(parts) == 1 and not s.context:
                self.define(op.result, call)
                return
            else:
                whole = self.let(call)
        if parts == ["i1"]:
            self.succeed(whole)
        elif parts:
            self.unpack_call(op, whole, s)
        if buffer:
            for k, r in enumerate(op.results):
                self.take(r, self.let(f"getelementptr i8, ptr {buffer}, i64 {WORD * k}"))

    def unpack_call(self, op: Op, whole: str, s: Signature) -> None:
        if s.context:
            self.succeed(self.let(f"extractvalue {s.gives} {whole}, 0"))
        for k, r in enumerate(op.results, start=int(s.context)):
            self.define(r, f"extractvalue {s.gives} {whole}, {k}")

    def succeed(self, failed: str) -> None:
        """Go on where a call did not fail, else fail, too."""
        ok = self.fresh("ok")
        self.line(f"br i1 {failed}, label %failed, label %{ok}{self.unit.unlikely}")
        self.failing = True
        self.start(ok)

    # ------------------------------------------------------------ memory
    def memory_site(self) -> int:
        return self.unit.site("E0411", "there is not enough memory", "", self.span, ())

    def header(self, mem: Value, word: Header, type: str) -> tuple[str, str, str]:
        """The address, value and access suffix of a word of a header."""
        base = self.names[mem]
        address = self.let(f"getelementptr i8, ptr {base}, i64 {WORD * word}") if word else base
        suffix = self.unit.access(word.name)
        return address, self.let(f"load {type}, ptr {address}{suffix}"), suffix

    def fix(self, mem: Value) -> None:
        """Read where a memory's records are, once for all that follows in this region, if nothing here moves them."""
        if mem not in self.data and mem.type not in self.grown:
            self.data[mem] = self.header(mem, Header.DATA, "ptr")[1]

    def record(self, mem: Value, index: str) -> Callable[[int], str]:
        """A function from the number of a field to its address in a record."""
        assert isinstance(mem.type, Mem)
        type = self.unit.record(mem.type.fields)
        base = self.data.get(mem) or self.header(mem, Header.DATA, "ptr")[1]
        return lambda k: self.let(f"getelementptr {type}, ptr {base}, i64 {index}, i32 {k}")

    def save(self, value: Value, address: str) -> None:
        self.line(f"store {self.wide(value)}, ptr {address}{self.unit.access(access_type(value.type))}{self.group}")

    def emit_new(self, op: Op) -> None:
        fields = self.fields(op.result)
        if op.attrs.get("frame"):
            self.data[op.result] = self.names[op.result] = self.in_frame(op, fields)
            return
        size = record_size(fields)
        make = "dfl.blank" if op.attrs.get("blank") else "dfl.new"
        with self.outside(op):
            self.define(op.result, f"call ptr @{make}(ptr %ctx, {self.typed(op.args[0])}, i64 {size})")
        self.expect(self.let(f"icmp ne ptr {self.names[op.result]}, null"), self.memory_site(), ())
        self.unit.uses_memory = True
        self.fix(op.result)

    def in_frame(self, op: Op, fields: Sequence[LeafType]) -> str:
        """Room for records of a constant number in the function's frame. Nothing else refers to it."""
        register = identifier("%", self.fresh("frame"))
        count = known(op.args[0])
        self.frame.append(f"  {register} = alloca [{count} x {self.unit.record(tuple(fields))}], align 64")
        return register

    @staticmethod
    def fields(mem: Value) -> tuple[LeafType, ...]:
        assert isinstance(mem.type, Mem)
        return mem.type.fields

    def emit_len(self, op: Op) -> None:
        """That a length is no large number lets LLVM drop checks of indices. Behind it comes a loop, often: the address
        of the data is read here, too, since in the loop, behind a check, LLVM could not move it out."""
        (mem,) = op.args
        base, suffix = self.names[mem], self.unit.access(Header.LENGTH.name)
        address = self.let(f"getelementptr i8, ptr {base}, i64 {WORD * Header.LENGTH}")
        self.define(op.result, f"load i64, ptr {address}{suffix}{self.unit.length_range}")
        self.fix(mem)

    def emit_load(self, op: Op) -> None:
        mem, index = op.args
        address, first = self.record(mem, self.names[index]), op.attrs.get("first", 0)
        for k, r in enumerate(op.results, start=first):
            self.take(r, address(k), self.unit.access(access_type(r.type)))

    def emit_store(self, op: Op) -> None:
        mem, index, *values = op.args
        address, first = self.record(mem, self.names[index]), op.attrs.get("first", 0)
        for k, v in enumerate(values, start=first):
            self.save(v, address(k))

    def emit_acc(self, op: Op) -> None:
        mem, index, *values = op.args
        address, first = self.record(mem, self.names[index]), op.attrs.get("first", 0)
        for k, v in enumerate(values, start=first):
            at, type, suffix = address(k), register_type(v.type), self.unit.access(access_type(v.type)) + self.group
            old = self.let(f"load {type}, ptr {at}{suffix}")
            new = self.let(f"fadd {type} {old}, {self.names[v]}")
            self.line(f"store {type} {new}, ptr {at}{suffix}")

    def emit_treesum(self, op: Op) -> None:
        """In vectors of which all machines have some as wide: what LLVM keeps in such ones need not be put together."""
        mem, index = op.args
        type, count = register_type(op.result.type), op.attrs["count"]
        access, size = self.unit.access(access_type(op.result.type)), record_size(self.fields(mem))
        width = min(count, _SUM_WIDTH)
        base = self.record(mem, self.names[index])(0)
        sums = []
        for k in range(0, count, width):
            at = self.let(f"getelementptr i8, ptr {base}, i64 {k * size}") if k else base
            sums.append(self.let(f"load <{width} x {type}>, ptr {at}, align {size}{access}"))
        self.define(op.result, self.by_halves(sums, width, type))

    def emit_lanesum(self, op: Op) -> None:
        """A loop over the groups, of which each is as many vectors."""
        mem, groups = op.args
        type, count = register_type(op.result.type), op.attrs["count"]
        access, size = self.unit.access(access_type(op.result.type)), record_size(self.fields(mem))
        width = min(count, _SUM_WIDTH)
        vector = f"<{width} x {type}>"
        base = self.record(mem, "0")(0)
        before, again, behind = self.block, self.fresh("sums"), self.fresh("summed")
        some = self.let(f"icmp sgt i64 {self.names[groups]}, 0")
        self.line(f"br i1 {some}, label %{again}, label %{behind}")
        self.start(again)
        group, following = self.fresh("%g"), self.fresh("%g")
        old, new = ([self.fresh("%s") for _ in range(0, count, width)] for _ in range(2))
        for register, more, t, zero in [(group, following, "i64", "0"),
                                        *((x, y, vector, "zeroinitializer") for x, y in zip(old, new, strict=True))]:
            self.line(f"{register} = phi {t} [ {zero}, %{before} ], [ {more}, %{again} ]")
        start = self.let(f"mul i64 {group}, {count * size}")
        for k, (x, y) in enumerate(zip(old, new, strict=True)):
            place = self.let(f"add i64 {start}, {k * width * size}")
            at = self.let(f"getelementptr i8, ptr {base}, i64 {place}")
            here = self.let(f"load {vector}, ptr {at}, align {size}{access}")
            self.line(f"{y} = fadd {vector} {x}, {here}")
        self.line(f"{following} = add i64 {group}, 1")
        more = self.let(f"icmp slt i64 {following}, {self.names[groups]}")
        self.line(f"br i1 {more}, label %{again}, label %{behind}")
        self.start(behind)
        sums = []
        for y in new:
            sums.append(self.let(f"phi {vector} [ zeroinitializer, %{before} ], [ {y}, %{again} ]"))
        self.define(op.result, self.by_halves(sums, width, type))

    def by_halves(self, sums: list[str], width: int, type: str) -> str:
        """What defines the sum of all elements of vectors, the first half added to the second one, and so on."""
        while len(sums) > 1:
            half = len(sums) // 2
            pairs = zip(sums[:half], sums[half:], strict=True)
            sums = [self.let(f"fadd <{width} x {type}> {x}, {y}") for x, y in pairs]
        (whole,) = sums
        while width > 1:
            x, y = (self.part(whole, f"<{width} x {type}>", range(k, k + width // 2)) for k in (0, width // 2))
            width //= 2
            whole = self.let(f"fadd <{width} x {type}> {x}, {y}")
        return f"extractelement <1 x {type}> {whole}, i64 0"

    def part(self, vector: str, type: str, elements: range) -> str:
        """Some elements of a vector, as a vector."""
        mask = ", ".join(f"i32 {k}" for k in elements)
        return self.let(f"shufflevector {type} {vector}, {type} poison, <{len(elements)} x i32> <{mask}>")

    def emit_push(self, op: Op) -> None:
        """A test, the stores and the new length; growing is out of line."""
        mem, *values = op.args
        at, length, suffix = self.header(mem, Header.LENGTH, "i64")
        _, capacity, _ = self.header(mem, Header.CAPACITY, "i64")
        room = self.let(f"icmp slt i64 {length}, {capacity}")  # memory that cannot grow has capacity -1
        grow, ready = self.fresh("grow"), self.fresh("ready")
        self.line(f"br i1 {room}, label %{ready}, label %{grow}{self.unit.likely}")
        self.start(grow)
        size = record_size(self.fields(mem))
        grown = self.let(f"call i1 @dfl.grow(ptr %ctx, ptr {self.names[mem]}, i64 {size})")
        self.expect(grown, self.memory_site(), ())
        self.jump(ready)
        self.start(ready)
        address = self.record(mem, length)
        for k, v in enumerate(values):
            self.save(v, address(k))
        self.line(f"store i64 {self.let(f'add i64 {length}, 1')}, ptr {at}{suffix}")
        self.unit.uses_memory = True

    def emit_pop(self, op: Op) -> None:
        (mem,) = op.args
        at, length, suffix = self.header(mem, Header.LENGTH, "i64")
        last = self.let(f"add i64 {length}, -1")
        address = self.record(mem, last)
        for k, r in enumerate(op.results):
            self.take(r, address(k), self.unit.access(access_type(r.type)))
        self.line(f"store i64 {last}, ptr {at}{suffix}")

    def emit_same(self, op: Op) -> None:
        left, right = (self.names[a] for a in op.args)
        self.define(op.result, f"icmp eq ptr {left}, {right}")

    def emit_mark(self, op: Op) -> None:
        self.unit.uses_regions = self.unit.uses_memory = True
        begin = "dfl.mark.apart" if op.attrs.get("apart") else "dfl.mark"
        self.expect(self.let(f"call i1 @{begin}(ptr %ctx)"), self.memory_site(), ())

    @contextmanager
    def outside(self, op: Op) -> Iterator[None]:
        """What is emitted here makes memory so many regions out as an op says."""
        out = op.attrs.get("out", 0)
        if out:
            self.line(f"call void @dfl.outside(ptr %ctx, ptr %inside, i64 {out})")
            self.goes_out = True
        yield
        if out:
            self.line("call void @dfl.inside(ptr %ctx, ptr %inside)")

    def emit_renew(self, op: Op) -> None:
        self.end_region(op, "dfl.restart", "dfl.renew")

    def emit_release(self, op: Op) -> None:
        self.end_region(op, "dfl.end", "dfl.survive")

    def end_region(self, op: Op, alone: str, surviving: str) -> None:
        """Memories that survive go through slots, where they are found again."""
        self.unit.uses_regions = self.unit.uses_memory = True
        if not op.args:
            self.line(f"call void @{alone}(ptr %ctx)")
            return
        slots = self.slots(SLOT_WORDS * len(op.args))
        for k, m in enumerate(op.args):
            self.put(slots, SLOT_WORDS * k, m)
            size = self.let(f"getelementptr i8, ptr {slots}, i64 {WORD * (SLOT_WORDS * k + 1)}")
            self.line(f"store i64 {record_size(self.fields(m))}, ptr {size}")
        good = self.let(f"call i1 @{surviving}(ptr %ctx, ptr {slots}, i64 {len(op.args)})")
        self.expect(good, self.memory_site(), ())
        for k, r in enumerate(op.results):
            self.take(r, self.let(f"getelementptr i8, ptr {slots}, i64 {WORD * SLOT_WORDS * k}"))

    def emit_address(self, op: Op) -> None:
        self.define(op.result, f"ptrtoint ptr {self.names[op.args[0]]} to i64")

    def emit_growable(self, op: Op) -> None:
        """The capacity of memory that Python owns is negative."""
        _, capacity, _ = self.header(op.args[0], Header.CAPACITY, "i64")
        self.define(op.result, f"icmp sge i64 {capacity}, 0")

    def emit_kernel(self, op: Op) -> None:
        name = op.attrs["kernel"]
        count = len(KERNELS[name].roles)
        operands = [f"ptr {self.header(m, Header.DATA, 'ptr')[1]}" for m in op.args[:count]]
        operands += [self.typed(number) for number in op.args[count:]]
        if name == "gemm":
            operands = self.gemm_operands(op, operands)
        symbol = self.unit.array_kernel(name, [self.fields(m)[0] for m in op.args[:count]])
        info = self.let(f"call i64 {symbol}({', '.join(operands)})")
        self.expect(self.let(f"icmp sge i64 {info}, 0"), self.memory_site(), ())
        for result in op.results:
            self.names[result] = info

    def gemm_operands(self, op: Op, operands: list[str]) -> list[str]:
        """With the addresses of the first elements in the place of offsets."""
        c, a, b, m, n, k, c0, ci, cj, a0, ai, ak, b0, bk, bj = operands
        type = memory_type(self.fields(op.args[0])[0])

        def from_first(memory: str, offset: str) -> str:
            return f"ptr {self.let(f'getelementptr {type}, {memory}, {offset}')}"

        return [m, n, k, from_first(c, c0), ci, cj, from_first(a, a0), ai, ak, from_first(b, b0), bk, bj]

    def emit_pack(self, op: Op) -> None:
        fields = tuple(a.type for a in op.args)
        size = max(WORD, -(-record_size(fields) // WORD) * WORD)
        with self.outside(op):
            self.define(op.result, f"call ptr @dfl.alloc(ptr %ctx, i64 {size})")
        packed, type = self.names[op.result], self.unit.record(fields)
        self.expect(self.let(f"icmp ne ptr {packed}, null"), self.memory_site(), ())
        for k, a in enumerate(op.args):
            self.save(a, self.let(f"getelementptr {type}, ptr {packed}, i64 0, i32 {k}"))
        self.unit.uses_memory = True

    def emit_unpack(self, op: Op) -> None:
        type = self.unit.record(tuple(r.type for r in op.results))
        packed = self.names[op.args[0]]
        for k, r in enumerate(op.results):
            at = self.let(f"getelementptr {type}, ptr {packed}, i64 0, i32 {k}")
            self.take(r, at, self.unit.access(access_type(r.type)))


_EMIT: dict[str, Callable[[FunctionEmitter, Op], Any]] = {
    name.removeprefix("emit_"): method
    for name, method in vars(FunctionEmitter).items()
    if name.startswith("emit_") and name not in ("emit_if", "emit_for", "emit_loop")
}


def adds_what_is_overwritten(body: Region, params: Sequence[Value]) -> bool:
    """Whether what a loop carries is added up as it is loaded from memory that the loop may write. LLVM must not make
    vectors of it: where it masks a few iterations, it loads behind the store (LLVM 22 puts a masked load where the
    choice is that takes what is loaded or nothing, past what is between). `params`: those of the function."""
    written = {op.args[0] for op in body.walk() if op.name in ("store", "acc")}
    sums = set(body.params[1:]) if written else set()
    for op in body.walk() if sums else ():
        if op.name in ("add", "sub") and not sums.isdisjoint(op.args):
            sums.add(op.result)
            loads = [a.owner for a in op.args if isinstance(a.owner, Op) and a.owner.name == "load"]
            if any(_may_be_one(load.args[0], m, params) for load in loads for m in written):
                return True
    return False


def _may_be_one(m: Value, x: Value, params: Sequence[Value]) -> bool:
    """Whether two names may be of one memory, as far as that can be told by what they are."""
    if m is x or m.type != x.type:
        return m is x
    made = [isinstance(v.owner, Op) and v.owner.name == "new" for v in (m, x)]
    return not (all(made) or (any(made) and any(v in params for v in (m, x))))
