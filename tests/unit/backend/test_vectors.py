"""Loops over arrays with their checks of indices: what LLVM must make of them."""

from __future__ import annotations

import re

import pytest

from dsl.backend.layout import HEADER_SIZE
from dsl.interp import Memory, run
from dsl.ir.text import parse_program
from dsl.runtime.engine import compile_unit
from dsl.runtime.llvm import optimised as module

UPDATE = """
fn @f(%a: f64, %x: mem<f64>, %y: mem<f64>) {
  %0: i64 = const 0
  %1: i64 = const 1
  %n: i64 = len %x
  %k: i64 = len %y
  %last: i64 = sub %n, %1
  for %i = %0, %last, %1 {
    %i1: i64 = add %i, %1
    %good: bool = le %i1, %n
    check %good {E0402 ""}
    %u: f64 = load %x[%i]
    %fine: bool = le %i1, %k
    check %fine {E0402 ""}
    %v: f64 = load %y[%i]
    %w: f64 = mul %a, %u
    %z: f64 = add %w, %v
    store %x[%i], %z
    next
  }
  return
}
"""

SUM = """
fn @f(%x: mem<f64>) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 0.0
  %n: i64 = len %x
  %last: i64 = sub %n, %1
  %s: f64 = for %i = %0, %last, %1 (%t: f64 = %z) {
    %i1: i64 = add %i, %1
    %good: bool = le %i1, %n
    check %good {E0402 ""}
    %u: f64 = load %x[%i]
    %v: f64 = mul %u, %u
    %w: f64 = add %t, %v
    next %w
  }
  return %s
}
"""


def optimised(text: str) -> str:
    return compile_unit(parse_program(text), "f", 3).llvm()


def test_an_update_in_place_is_vectorised_in_spite_of_checks() -> None:
    """Only the check of the other array's length is left; nothing of the headers is read in the loop."""
    text = optimised(UPDATE)
    assert re.search(r"fadd <\d+ x double>", text)
    loops = re.findall(r"^([\w.]+):\n((?:  .*\n)*?)  br i1 .*label %\1\b", text, re.MULTILINE)
    assert loops
    assert not any("load ptr" in body for _, body in loops)


def test_the_only_check_that_a_length_decides_is_dropped() -> None:
    """The sum keeps its order; there is no failure left to report."""
    text = optimised(SUM)
    assert "fmul double" in text
    assert "%ctx, i64" not in text


def test_records_that_may_move_are_looked_up_again() -> None:
    """A push to one reference moves the records that another one refers to."""
    text = """
fn @f(%x: mem<f64>, %y: mem<f64>, %a: f64) -> f64 {
  %0: i64 = const 0
  %n: i64 = len %x
  push %y, %a
  store %y[%0], %a
  %b: f64 = load %x[%0]
  return %b
}
"""
    unit = compile_unit(parse_program(text), "f", 3)
    shared = Memory([[1.0]])
    assert unit.call([shared, shared, 7.0]) == [7.0]


def test_a_sum_is_vectorised_with_its_additions_in_order() -> None:
    text = optimised(SUM.replace("mul %u, %u", "sqrt %u"))
    assert re.search(r"call <\d+ x double> @llvm.sqrt", text)
    assert re.search(r"call double @llvm.vector.reduce.fadd.v\d+f64\(double %", text)


LANES = """
fn @f(%x: mem<f64>, %y: mem<f64>, %a: f64, %j: i64) {
  %0: i64 = const 0
  %15: i64 = const 15
  %1: i64 = const 1
  %16: i64 = const 16
  %first: i64 = mul %j, %16
  WORD %l = %0, %15, %1 {
    %i: i64 = add %first, %l
    %u: f64 = load %x[%l]
    %v: f64 = load %y[%i]
    %w: f64 = mul %a, %u
    %z: f64 = add %w, %v
    store %y[%i], %z
    next
  }
  return
}
"""


def test_lanes_are_vectors_whatever_may_overlap() -> None:
    """Nothing is asked at run time, and nothing is left over. A loop that is not said to be one of lanes is asked
    whether the memories overlap, or not vectorised."""
    code = optimised(LANES.replace("WORD", "for{lanes}"))
    assert re.search(r"<\d+ x double>", code) and "br i1" not in code
    other = optimised(LANES.replace("WORD", "for"))
    assert "br i1" in other or "x double>" not in other


TREE = """
fn @f(%x: mem<f64>) -> f64, f64 {
  %1: i64 = const 1
  %a: f64 = treesum %x, %1 {count=16}
  %b: f64 = treesum %x, %1 {count=2}
  return %a, %b
}
"""


@pytest.mark.parametrize("level", [0, 3])
def test_sums_over_lanes_are_put_together_by_halves(level: int) -> None:
    numbers = [3.0, *(float(7**k) * (-1) ** k / 3 for k in range(16))]
    halves = numbers[1:]
    while len(halves) > 1:
        half = len(halves) // 2
        halves = [halves[k] + halves[k + half] for k in range(half)]
    expected = [halves[0], numbers[1] + numbers[2]]
    assert sum(numbers[1:]) != expected[0]  # in another order it is another number
    program = parse_program(TREE)
    assert run(program, "f", [Memory([[x] for x in numbers])]) == expected
    unit = compile_unit(program, "f", level)
    assert unit.call([Memory([[x] for x in numbers])]) == expected


ADDRESSES = """
fn @f(%few: i64, %n: i64) -> i64 {
  %m: mem<f64> = new %few
  %x: mem<f64> = new %n
  %a: i64 = address %x
  return %a
}
"""


def test_memory_of_a_kilobyte_begins_at_a_cache_line() -> None:
    """The records of what is no chunk of its own lie behind the header, whose address is told."""
    unit = compile_unit(parse_program(ADDRESSES), "f", 1)
    for few in range(9):
        for n in (128, 129, 1000, 8000):
            (address,) = unit.call([few, n])
            assert (address + HEADER_SIZE) % 64 == 0


LOOP = """
fn @f(%x: mem<f64>, %y: mem<f64>, %a: f64, %c: bool) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %n: i64 = len %x
  %last: i64 = sub %n, %1
  %r: f64 = for %i = %0, %last, %1 (%s: f64 = %a) {
    %v0: f64 = load %x[%i]
    BODY
    store %y[%i], %v
    next %s
  }
  return %r
}
"""
FUNCTIONS = "%v1: f64 = sin %v0\n%v2: f64 = erf %v1\n%v: f64 = log1p %v2"


def chain(count: int) -> str:
    """So many operations, each of which waits for the one before."""
    return "\n".join(f"%v{k + 1}: f64 = mul %v{k}, %a" for k in range(count)) + f"\n%v: f64 = add %v{count}, %a"


def squares(count: int) -> str:
    """What is the same in all iterations, made in two to the so many ways."""
    return "\n".join(f"%w{k + 1}: f64 = mul %w{k}, %w{k}" for k in range(count))


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (FUNCTIONS, True),
        (chain(100), True),
        (chain(900), True),
        (chain(1000), False),  # too long
        (chain(30), True),
        (chain(20), False),  # short
        ("%v: f64 = sin %v0", True),
        (f"%w: f64 = if %c {{\nyield %a\n}} else {{\nyield %v0\n}}\n{FUNCTIONS}", False),
        (f"check %c {{E0402 \"\"}}\n{FUNCTIONS}", False),
        (f"%w: f64 = load %x[%0]\n%w2: f64 = mul %w, %w\n{FUNCTIONS}", True),
        (f"%w: f64 = load %x[%0]\n%w2: f64 = sin %w\n{FUNCTIONS}", False),
        (f"%w0: f64 = load %x[%0]\n{squares(5)}\n{FUNCTIONS}", True),
        (f"%w0: f64 = load %x[%0]\n{squares(6)}\n{FUNCTIONS}", False),
    ],
    ids=["functions", "long", "longer", "too long", "not short", "short", "a function", "an if", "a check",
         "a little repeats", "a function repeats", "some ways", "many ways"],
)  # fmt: skip
def test_vectors_of_long_bodies_are_done_in_pairs(body: str, pairs: bool) -> None:
    """In a frame that is aligned. Not where LLVM may take a time that is exponential in the length: where much may be
    the same in all iterations."""
    text = compile_unit(parse_program(LOOP.replace("BODY", body)), "f", 3).llvm_raw
    assert ('"llvm.loop.interleave.count", i32 2' in text) is pairs
    assert ("alignstack(64)" in text) is pairs  # else spills cross cache lines, which takes several times as long


@pytest.mark.parametrize(("body", "pairs"), [(FUNCTIONS, True), ("%v: f64 = sin %v0", False), (chain(40), False)])
def test_where_nothing_is_carried_bodies_are_long_later(body: str, pairs: bool) -> None:
    text = LOOP.replace("BODY", body).replace("%r: f64 = for", "for").replace(" (%s: f64 = %a)", "")
    text = text.replace("next %s", "next").replace("return %r", "return %a")
    assert ('"llvm.loop.interleave.count", i32 2' in compile_unit(parse_program(text), "f", 3).llvm_raw) is pairs


def test_a_pair_of_vectors_comes_to_the_same() -> None:
    """With a sum in its order, whatever is left over."""
    body = FUNCTIONS.replace("erf", "exp_lanes") + "\n%t: f64 = add %s, %v"
    program = parse_program(LOOP.replace("BODY", body).replace("next %s", "next %t"))
    unit = compile_unit(program, "f", 3)
    for n in (0, 1, 7, 8, 9, 16, 31, 40, 50):
        x = Memory([[0.3 * k - 5] for k in range(n)])
        y, z = (Memory([[0.0] for _ in range(n)]) for _ in range(2))
        assert unit.call([x, y, 0.5, True]) == run(program, "f", [x, z, 0.5, True])
        assert y.rows == z.rows


def test_forms_for_vectors_are_inlined_all_but_the_part_for_lanes_that_are_far() -> None:
    """What no loop has become a call of is gone."""
    unit = compile_unit(parse_program(LOOP.replace("BODY", "%v: f64 = sin %v0")), "f", 3)
    assert all(f"@dfl.far_sin.v{n}(" in unit.llvm_raw for n in (2, 4, 8))
    text = module(unit.llvm_raw, 3)
    assert not re.search(r"@dfl.far_sin.v\d", text.replace('"vector-function-abi-variant"="', ""))
    assert 0 < len(re.findall(r"^define .*@dfl.far_sin.each\d+", text, re.M)) < 3
    assert re.search(r"call <(\d+) x double> @dfl.far_sin.each\1\(", text)


OVERWRITTEN = """
fn @f(%m: mem<f64>, %x: mem<f64>, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 0.0
  %own: mem<f64> = new %n
  %other: mem<f64> = new %n
  %s: f64 = for %i = %0, %n, %1 (%t: f64 = %z) {
    %a: f64 = load LOADED[%i]
    %b: f64 = mul %a, %a
    %u: f64 = add %t, TERM
    store STORED[%i], %z
    next %u
  }
  return %s
}
"""


@pytest.mark.parametrize(
    ("loaded", "stored", "term", "single"),
    [
        ("%m", "%m", "%b", False),  # what is loaded is no term
        ("%own", "%other", "%a", False),
        ("%m", "%own", "%a", False),
        ("%m", "%m", "%a", True),
        ("%m", "%x", "%a", True),  # they may be one memory
        ("%own", "%own", "%a", True),
    ],
)  # fmt: skip
def test_no_vectors_where_what_is_added_up_may_be_overwritten(
    loaded: str, stored: str, term: str, single: bool
) -> None:
    text = OVERWRITTEN.replace("LOADED", loaded).replace("STORED", stored).replace("TERM", term)
    assert ('"llvm.loop.vectorize.width", i32 1' in compile_unit(parse_program(text), "f", 3).llvm_raw) is single
