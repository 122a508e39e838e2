"""Memory in native code: what the interpreter does, with identity and growth; and nothing is left behind."""

from __future__ import annotations

import gc
import random
import resource
from typing import Any

import pytest

from dsl.interp import Memory, run
from dsl.ir.core import Function, Program, Region, Value
from dsl.ir.verifier import verify
from dsl.ops import Builder
from dsl.runtime.engine import Unit, compile_unit
from dsl.types import BOOL, F32, F64, I64, LeafType, Mem
from tests.unit.runtime.programs import everywhere, parsed

GROW = """
fn @grow(%n: i64) -> f64, mem<bool, f64, i64> {
  %zero: i64 = const 0
  %one: i64 = const 1
  %m: mem<bool, f64, i64> = new %zero
  for %i = %one, %n, %one () {
    %x: f64 = tof64 %i
    %odd: bool = gt %i, %one
    push %m, %odd, %x, %i
    next
  }
  %b: bool, %last: f64, %k: i64 = pop %m
  return %last, %m
}
"""


def rows_of(value: Any) -> Any:
    """Contents instead of identity, for comparing."""
    return [[rows_of(v) for v in row] for row in value.rows] if isinstance(value, Memory) else value


@pytest.mark.parametrize("n", [1, 7, 9, 1000, 60_000])
def test_growth_keeps_contents(n: int) -> None:
    for last, memory in everywhere(GROW, "grow", lambda: [n]):
        assert last == float(n)
        assert memory.rows == [[k > 1, float(k), k] for k in range(1, n)]


WIDE = """
fn @wide(%n: i64) -> mem<f32, i64, bool, f64, bool> {
  %m: mem<f32, i64, bool, f64, bool> = new %n
  %two: i64 = const 2
  %x: f32 = const 1.5
  %y: f64 = const -0.0
  %yes: bool = const true
  store %m[%two], %x, %n, %yes, %y, %yes
  acc %m[%two], %x {0}
  %one: i64 = const 1
  store %m[%one], %yes {2}
  return %m
}
"""


def test_records_of_mixed_fields_start_zeroed() -> None:
    for (memory,) in everywhere(WIDE, "wide", lambda: [4]):
        zero = [0.0, 0, False, 0.0, False]
        assert memory.rows == [zero, [0.0, 0, True, 0.0, False], [3.0, 4, True, -0.0, True], zero]


SHARED = """
fn @shared(%a: mem<f64>, %b: mem<f64>, %link: mem<mem<f64>, i64>) -> bool, bool, f64, mem<f64>, mem<f64> {
  %zero: i64 = const 0
  %x: f64 = load %a[%zero]
  %y: f64 = add %x, %x
  store %b[%zero], %y
  %inner: mem<f64> = load %link[%zero]
  push %inner, %x
  %fresh: mem<f64> = new %zero
  push %fresh, %y
  store %link[%zero], %fresh {0}
  %ab: bool = same %a, %b
  %ai: bool = same %a, %inner
  %z: f64 = load %a[%zero]
  return %ab, %ai, %z, %inner, %fresh
}
"""


def test_arguments_are_shared_and_written_back() -> None:
    program = parsed(SHARED)
    for call in (
        lambda args: run(program, "shared", args),
        compile_unit(program, "shared", 0).call,
        compile_unit(program, "shared", 3).call,
    ):
        a, c = Memory([[1.5]]), Memory([[9.0], [8.0]])
        link = Memory([[c, 4]])
        ab, ai, z, inner, fresh = call([a, a, link])
        assert (ab, ai, z) == (True, False, 3.0)
        assert inner is c, "a result that is an argument is the same object"
        assert c.rows == [[9.0], [8.0], [1.5]]
        assert a.rows == [[3.0]]
        assert link.rows == [[fresh, 4]], "what memory refers to afterwards is the object that came out"
        assert fresh.rows == [[3.0]]


def test_a_chain_of_references_may_be_long() -> None:
    program = parsed("""
fn @f(%m: mem<mem<i64>, i64>) -> i64 {
  %zero: i64 = const 0
  %n: i64 = load %m[%zero] {1}
  return %n
}
""")
    text = "mem<i64>"
    memory = Memory([[1]])
    for _ in range(60):
        memory, text = Memory([[memory]]), f"mem<{text}>"
    program = parsed(f"fn @f(%m: {text}) -> {text} {{\n  return %m\n}}\n")
    (back,) = compile_unit(program, "f", 0).call([memory])
    assert back is memory


PACK = """
fn @keep(%x: f64, %m: mem<f64>) -> obj, f64 {
  %zero: i64 = const 0
  %y: f64 = load %m[%zero]
  %copy: mem<f64> = new %zero
  push %copy, %y
  %yes: bool = const true
  %o: obj = pack %yes, %x, %copy
  return %o, %y
}
fn @use(%o: obj, %z: f64) -> f64, f64, bool, obj {
  %yes: bool, %x: f64, %copy: mem<f64> = unpack %o
  %zero: i64 = const 0
  %y: f64 = load %copy[%zero]
  %s: f64 = mul %x, %z
  %p: obj = pack %o, %s
  return %s, %y, %yes, %p
}
fn @again(%p: obj) -> f64, f64 {
  %o: obj, %s: f64 = unpack %p
  %yes: bool, %x: f64, %copy: mem<f64> = unpack %o
  return %x, %s
}
"""


@pytest.mark.parametrize("level", [0, 3])
def test_what_was_packed_outlives_its_unit(level: int) -> None:
    program = parsed(PACK)
    memory = Memory([[2.5]])
    handle, y = compile_unit(program, "keep", level).call([3.0, memory])
    memory.rows[0][0] = -1.0
    gc.collect()
    use = compile_unit(program, "use", level)
    for z in (2.0, 4.0, 2.0):
        s, kept, yes, inner = use.call([handle, z])
        assert (s, kept, yes, y) == (3.0 * z, 2.5, True, 2.5)
    del handle, use
    gc.collect()
    assert compile_unit(program, "again", level).call([inner]) == [3.0, 6.0]


def test_too_much_memory_is_an_error() -> None:
    program = parsed("fn @f(%n: i64) -> i64 {\n  %m: mem<f64, f64> = new %n\n  %k: i64 = len %m\n  return %k\n}\n")
    for level in (0, 3):
        unit = compile_unit(program, "f", level)
        for n in (1 << 45, 1 << 60, (1 << 63) - 1, -1):
            with pytest.raises(MemoryError, match="E0411"):
                unit.call([n])
        assert unit.call([5]) == [5]


BOXES = """
fn @boxes(%n: i64) -> f64 {
  %one: i64 = const 1
  %zero: i64 = const 0
  %start: f64 = const 0.0
  %s: f64 = for %i = %one, %n, %one (%a: f64 = %start) {
    %box: mem<f64> = new %one
    %x: f64 = tof64 %i
    store %box[%zero], %x
    %y: f64 = load %box[%zero]
    %b: f64 = add %a, %y
    next %b
  }
  return %s
}
"""


def test_many_boxes_are_freed_after_the_call() -> None:
    unit = compile_unit(parsed(BOXES), "boxes", 3)
    before = None
    for k in range(12):
        assert unit.call([200_000]) == [200_000 * 200_001 / 2]
        if k == 1:
            before = resident()
    assert before is not None
    assert resident() - before < 4_000, "kilobytes"


def resident() -> int:
    """Kilobytes of memory that the process has."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize() // 1024


class MemoryPrograms:
    """Random straight programs on a few memories of several record types, growing, shrinking and linked."""

    RECORDS: tuple[tuple[LeafType, ...], ...] = ((F64,), (I64, BOOL), (F32, F64, BOOL), (Mem((F64,)), I64))

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.memories: dict[Value, int] = {}  # with the lengths they have
        fn = Function("f", Region([F64, I64]), ())
        self.x, self.n = fn.params
        self.b = Builder(fn.body)
        for fields in self.RECORDS:
            for length in (0, self.rng.randint(1, 3)):
                made = self.b.op("new", [self.b.i64(length)], [Mem(fields)]).result
                self.memories[made] = length
        for _ in range(60):
            self.step()
        for memory in self.memories:
            self.b.op("len", [memory], [I64])
        shown = list(self.memories)
        self.b.return_(*shown)
        fn.results = tuple(v.type for v in shown)
        self.program = Program()
        self.program.add(fn)

    def value(self, t: LeafType) -> Value:
        if t == BOOL:
            return self.b.bool(self.rng.random() < 0.5)
        if t == I64:
            return self.n if self.rng.random() < 0.5 else self.b.i64(self.rng.randint(-5, 5))
        if isinstance(t, Mem):
            return self.rng.choice([m for m in self.memories if m.type == t])
        return self.x if t == F64 and self.rng.random() < 0.5 else self.b.const(self.rng.randint(-8, 8) / 4, t)

    def step(self) -> None:
        memory = self.rng.choice(list(self.memories))
        fields, length = memory.type.fields, self.memories[memory]  # type: ignore[union-attr]
        what = self.rng.choice(["push", "push", "push", "pop", "store", "load", "acc"])
        if what == "push":
            self.b.op("push", [memory, *(self.value(t) for t in fields)])
            self.memories[memory] += 1
        elif not length:
            return
        elif what == "pop":
            self.b.op("pop", [memory], fields)
            self.memories[memory] -= 1
        else:
            index = self.b.i64(self.rng.randrange(length))
            first = self.rng.randrange(len(fields))
            last = self.rng.randint(first + 1, len(fields))
            if what == "load":
                self.b.op("load", [memory, index], fields[first:last], first=first)
            elif what == "store":
                self.b.op("store", [memory, index, *(self.value(t) for t in fields[first:last])], first=first)
            elif fields[first] in (F64, F32):
                self.b.op("acc", [memory, index, self.value(fields[first])], first=first)


def test_random_memory_programs() -> None:
    for seed in range(25):
        program = MemoryPrograms(seed).program
        verify(program)
        expected = [rows_of(m) for m in run(program, "f", [0.25, 3])]
        for level in (0, 3):
            got = [rows_of(m) for m in compile_unit(program, "f", level).call([0.25, 3])]
            assert got == expected, f"seed {seed}, level {level}"


@pytest.mark.slow
def test_units_leave_nothing_behind() -> None:
    """Compiling and dropping: the code, the memory and LLVM's own objects go."""
    program = parsed(GROW)

    def cycle() -> None:
        unit: Unit = compile_unit(program, "grow", 1)
        assert unit.call([20])[0] == 20.0

    for _ in range(60):
        cycle()
    before = resident()
    for _ in range(300):
        cycle()
    assert resident() - before < 6_000, "kilobytes"
