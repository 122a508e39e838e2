"""The interpreter, on programs in IR text."""

from __future__ import annotations

import math

import pytest

from dsl.diagnostics import DslError
from dsl.interp import Memory, run
from dsl.ir.text import parse_program


def results(text: str, *args: object, name: str = "f") -> list[object]:
    return run(parse_program(text), name, args)


POW = """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: f64 = const 1.0
  %3: f64 = loop (%r: f64 = %2, %k: i64 = %n) {
    %4: bool = gt %k, %0
    if %4 { yield } else { break %r }
    %5: i64 = sub %k, %1
    %6: f64 = mul %r, %x
    next %6, %5
  }
  return %3
}
"""


def test_loop_with_exit() -> None:
    assert results(POW, 3.0, 4) == [81.0]
    assert results(POW, 3.0, 0) == [1.0]


def test_for_counts_in_both_directions_and_not_at_all() -> None:
    text = """
fn @f(%lo: i64, %hi: i64, %step: i64) -> i64 {
  %0: i64 = const 0
  %1: i64 = const 10
  %2: i64 = for %i = %lo, %hi, %step (%s: i64 = %0) {
    %3: i64 = mul %s, %1
    %4: i64 = add %3, %i
    next %4
  }
  return %2
}
"""
    assert results(text, 1, 3, 1) == [123]
    assert results(text, 3, 1, -1) == [321]
    assert results(text, 1, 4, 2) == [13]
    assert results(text, 3, 1, 1) == [0]


def test_break_out_of_two_loops() -> None:
    text = """
fn @f(%limit: i64) -> i64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = loop (%a: i64 = %0) {
    %3: i64 = loop (%b: i64 = %0) {
      %4: i64 = mul %a, %b
      %5: bool = gt %4, %limit
      if %5 { break{1} %4 } else { yield }
      %6: bool = gt %b, %a
      if %6 { break %b } else { yield }
      %7: i64 = add %b, %1
      next %7
    }
    %8: i64 = add %a, %1
    next %8
  }
  return %2
}
"""
    # a = 0, 1, 2, … with b up to a + 1: the first product above 10 is 3 * 4.
    assert results(text, 10) == [12]


def test_return_from_inside_loops() -> None:
    text = """
fn @f(%x: f64) -> f64 {
  %0: f64 = const 100.0
  %1: f64 = loop (%y: f64 = %x) {
    %2: bool = gt %y, %0
    if %2 { return %y } else { yield }
    %3: f64 = add %y, %y
    next %3
  }
  return %1
}
"""
    assert results(text, 3.0) == [192.0]


def test_memory_grows_and_aliases() -> None:
    text = """
fn @f(%m: mem<f64, i64>) -> f64, i64, i64, bool {
  %0: f64 = const 2.5
  %1: i64 = const 7
  %2: i64 = const 0
  push %m, %0, %1
  acc %m[%2], %0 {0}
  store %m[%2], %1 {1}
  %3: f64 = load %m[%2]
  %4: i64 = load %m[%2] {1}
  %5: f64, %6: i64 = pop %m
  %7: i64 = len %m
  %8: bool = same %m, %m
  return %3, %4, %7, %8
}
"""
    memory = Memory([[1.0, 3]])
    assert results(text, memory) == [3.5, 7, 1, True]
    assert memory.rows == [[3.5, 7]]


def test_shadow_keeps_sharing_and_tangent_types() -> None:
    text = """
fn @f(%m: mem<mem<f64, i64, bool>, mem<f64, i64, bool>>) -> mem<mem<f64, f64, bool>, mem<f64, f64, bool>> {
  %0: mem<mem<f64, f64, bool>, mem<f64, f64, bool>> = shadow %m
  return %0
}
"""
    inner = Memory([[1.0, 2, True]])
    (shadow,) = results(text, Memory([[inner, inner]]))
    assert isinstance(shadow, Memory)
    left, right = shadow.rows[0]
    assert left is right and left is not inner
    assert left.rows == [[0.0, 0.0, False]] and isinstance(left.rows[0][1], float)


def test_pack_and_unpack() -> None:
    text = """
fn @f(%x: f64, %n: i64) -> i64, f64 {
  %0: obj = pack %x, %n
  %1: f64, %2: i64 = unpack %0
  return %2, %1
}
"""
    assert results(text, 1.5, 2) == [2, 1.5]


def test_check_fills_its_text_in_the_languages_notation() -> None:
    text = """
fn @f(%x: f64, %i: i64) -> f64 {
  %0: f64 = const 0.0
  %1: bool = ge %x, %0
  check %1, %x, %i {E0401 "sqrt of {0} at {1:plus1}"}
  %2: f64 = sqrt %x
  return %2
}
"""
    assert results(text, 4.0, 0) == [2.0]
    with pytest.raises(DslError) as caught:
        results(text, -1e-5, 4)
    assert caught.value.code == "E0401"
    assert caught.value.message == "sqrt of -1.0e-5 at 5"


def test_printing_goes_where_it_is_told() -> None:
    text = 'fn @f(%x: f64) {\n  print %x {"x = {0}, {{}}\\n"}\n  return\n}\n'
    printed: list[str] = []
    assert run(parse_program(text), "f", [math.inf], printed.append) == []
    assert printed == ["x = Inf, {}\n"]


RECURSION = """
fn @f(%n: i64) -> i64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: bool = le %n, %0
  %3: i64 = if %2 { yield %0 } else {
    %4: i64 = sub %n, %1
    %5: i64 = call @f(%4)
    %6: i64 = add %5, %1
    yield %6
  }
  return %3
}
"""


def test_deep_recursion_is_fine_and_endless_recursion_an_error() -> None:
    assert results(RECURSION, 10_000) == [10_000]
    with pytest.raises(DslError) as caught:
        results(RECURSION, 10**9)
    assert caught.value.code == "E0406"
    assert isinstance(caught.value, RecursionError)


def test_float32_is_rounded_after_every_operation() -> None:
    text = "fn @f(%x: f32, %y: f32) -> f32 {\n  %0: f32 = add %x, %y\n  %1: f32 = sub %0, %x\n  return %1\n}\n"
    assert results(text, 16777216.0, 1.0) == [0.0]


def test_integers_wrap() -> None:
    text = "fn @f(%x: i64, %y: i64) -> i64 {\n  %0: i64 = mul %x, %y\n  return %0\n}\n"
    assert results(text, 2**62, 2) == [-(2**63)]


def test_select_hands_references_on() -> None:
    text = """
fn @f(%c: bool, %m: mem<f64>, %n: mem<f64>) -> mem<f64>, bool {
  %0: mem<f64> = select %c, %m, %n
  %1: bool = same %0, %m
  return %0, %1
}
"""
    left, right = Memory([[1.0]]), Memory([[1.0]])
    assert results(text, True, left, right) == [left, True]
    assert results(text, False, left, right) == [right, False]
