"""Whether memory stays as it was read: the answer yes, and the case just beyond it."""

from __future__ import annotations

import pytest

from dsl.ad.activity import root_pattern
from dsl.ad.derive import Deriver
from dsl.ir.core import Op, Rule
from dsl.ir.text import parse_program

CONSTANTS = """
  %0: i64 = const 0
  %1: i64 = const 1
  %9: i64 = const 9
"""
HELPERS = """
fn @made(%x: f64) -> mem<f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %r: mem<f64> = new %1
  store %r[%0], %x
  return %r
}
fn @same(%x: f64, %m: mem<f64>) -> mem<f64> {
  return %m
}
fn @put(%x: f64, %m: mem<f64>) {
  %0: i64 = const 0
  store %m[%0], %x
  return
}
"""


def answer(body: str, reusable: bool = False) -> bool:
    """For a function of a number and two memories: does what the load named %q reads stay?"""
    text = f"fn @f(%x: f64, %m: mem<f64>, %n: mem<f64>) -> f64 {{{CONSTANTS}{body}}}{HELPERS}"
    program = parse_program(text)
    deriver = Deriver(program)
    fn = program.functions["f"]
    pattern = root_pattern(fn, deriver.influence, frozenset({0, 1, 2}), reusable)
    (load,) = (op for op in fn.body.walk() if any(r.hint == "q" for r in op.results))
    assert isinstance(load, Op) and load.name == "load"
    return deriver.settled(deriver.activity(fn, pattern)).contents(load, load.args[0])


def loop(body: str) -> str:
    return f"for %i = %0, %9, %1 () {{ {body}\n next }}"


def filled(name: str) -> str:
    return f"%{name}: mem<f64> = new %1\n store %{name}[%0], %x\n"


READ_M, READ_A = "%q: f64 = load %m[%0]\n", "%q: f64 = load %a[%0]\n"
CASES = [
    ("an argument that nobody writes", READ_M, True),
    ("written before", "store %m[%0], %x\n" + READ_M, True),
    ("written after", READ_M + "store %m[%0], %x\n", False),
    ("added to after", READ_M + "acc %m[%0], %x {0}\n", False),
    ("the other argument may be the same memory", READ_M + "store %n[%0], %x\n", False),
    ("what is made here is not", READ_M + filled("a"), True),
    ("pushed after", READ_M + "push %m, %x\n", False),
    ("written after in a loop of its own", READ_M + loop("store %m[%0], %x"), False),
    ("read in a loop, written before", "store %m[%0], %x\n" + loop(READ_M), True),
    ("both in one loop", loop("store %m[%0], %x\n" + READ_M), False),
    ("made and filled before", filled("a") + READ_A, True),
    ("made and filled, then written", filled("a") + READ_A + "store %a[%0], %x\n", False),
    ("made and filled in each iteration", loop(filled("a") + READ_A), True),
    ("made outside, filled in each iteration", filled("a") + loop("store %a[%0], %x\n" + READ_A), False),
    ("made in the outer loop, filled in an inner one with the reading",
     loop(filled("a") + "for %j = %0, %9, %1 () { store %a[%0], %x\n" + READ_A + " next }"), False),
    ("made in the outer loop, filled in an inner one before",
     loop(filled("a") + "for %j = %0, %9, %1 () { store %a[%0], %x\n next }\n" + READ_A), True),
    ("written by a callee after", READ_M + "call @put(%x, %m)\n", False),
    ("written by a callee before", "call @put(%x, %m)\n" + READ_M, True),
    ("made by a callee", loop("%a: mem<f64> = call @made(%x)\n" + READ_A), True),
    ("given back by a callee", loop("%a: mem<f64> = call @same(%x, %m)\n store %a[%0], %x\n" + READ_A), False),
    ("an arm that is not the reader's", "%c: bool = gt %x, %x\n if %c { " + READ_M + " yield } else { yield }\n", True),
]  # fmt: skip
CARRIED = """
  %l: mem<f64> = for %i = %0, %9, %1 (%old: mem<f64> = %m) {
    %a: mem<f64> = new %1
    BEFORE
    %q: f64 = load %old[%0]
    AFTER
    next %a
  }
"""


@pytest.mark.parametrize(("what", "body", "expected"), CASES, ids=[c[0] for c in CASES])
def test_answers(what: str, body: str, expected: bool) -> None:
    assert answer(body + "return %x\n") is expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("store %a[%0], %x", "", True),  # what was made in this iteration, before the last one's is read
        ("", "store %a[%0], %x", False),  # … after: the order within the iteration is all that is looked at
        ("", "store %old[%0], %x", False),
        ("store %old[%0], %x", "", False),
    ],
)
def test_memory_that_a_loop_hands_on(before: str, after: str, expected: bool) -> None:
    assert answer(CARRIED.replace("BEFORE", before).replace("AFTER", after) + "return %x\n") is expected


def test_arguments_of_a_pullback_are_the_callers() -> None:
    assert answer(READ_M + "return %x\n", reusable=False)
    assert not answer(READ_M + "return %x\n", reusable=True)
    assert answer(filled("a") + READ_A + "return %x\n", reusable=True)


RULED = """
fn @h(%m: mem<f64>, %x: f64) -> f64 {
  %0: i64 = const 0
  %a: f64 = load %m[%0]
  %y: f64 = mul %a, %x
  return %y
}
fn @h.f(%m: mem<f64>, %x: f64) -> f64, mem<f64> {
  %y: f64 = call @h(%m, %x)
  return %y, %m
}
fn @h.r(%m: mem<f64>, %d: f64) -> f64 {
  %0: i64 = const 0
  %a: f64 = load %m[%0]
  %x: f64 = mul %a, %d
  WRITE
  return %x
}
fn @f(%x: f64, %m: mem<f64>) -> f64 {
  %0: i64 = const 0
  %q: f64 = load %m[%0]
  %y: f64 = mul %q, %x
  %z: f64 = call @h(%m, %y)
  return %z
}
"""


@pytest.mark.parametrize(("write", "expected"), [("", True), ("store %m[%0], %d", False)])
def test_a_pullback_that_writes_what_it_captured(write: str, expected: bool) -> None:
    """It runs in the middle of the reverse sweep, before the load is come back to."""
    program = parse_program(RULED.replace("WRITE", write))
    program.functions["h"].attrs["rule"] = Rule(forward="h.f", reverse="h.r", wrt=(1,))
    deriver = Deriver(program)
    fn = program.functions["f"]
    activity = deriver.activity(fn, root_pattern(fn, deriver.influence, frozenset({0, 1})))
    load = fn.body.ops[1]
    assert deriver.settled(activity).contents(load, load.args[0]) is expected
