"""Loops over arrays with their checks of indices: what LLVM must make of them."""

from __future__ import annotations

import re

from dsl.interp import Memory
from dsl.ir.text import parse_program
from dsl.runtime.engine import compile_unit

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
