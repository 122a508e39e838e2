"""Memory that is not zeroed: where it is overwritten entirely at first, and the cases just beyond."""

from __future__ import annotations

import numpy as np
import pytest

import dsl
from dsl.interp import Memory, run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.blank import blank

PROGRAM = """
fn @f(%x: mem<f64>, %m: i64, %n: i64) -> mem<f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 1.5
  %m1: i64 = sub %m, %1
  %n1: i64 = sub %n, %1
  %size: i64 = mul %m, %n
  %a: mem<f64> = new %size {filled=True}
  BEFORE
  for %j = %0, %n1, %1 () {
    %jm: i64 = mul %j, %m
    for %i = %0, %m1, %1 () {
      %p: i64 = add %i, %jm
      %u: f64 = load %x[%p]
      BODY
      next
    }
    next
  }
  return %a
}
"""
STORE = "store %a[%p], %u"


@pytest.mark.parametrize(
    ("what", "before", "body", "expected"),
    [
        ("each record once", "", STORE, True),
        ("its length is asked for", "%l: i64 = len %a", STORE, True),
        ("it is read in the nest", "", "%v: f64 = load %a[%p]\n" + STORE, False),
        ("it is read before", "%v: f64 = load %a[%0]", STORE, False),
        ("a first store elsewhere", "store %a[%0], %z", STORE, False),
        ("it gets another name", "%b: mem<f64> = if %s { yield %a } else { yield %x }", STORE, False),
        ("a column over and over", "", "store %a[%i], %u", False),
        ("the transpose's places", "", "%q: i64 = mul %i, %n\n%r: i64 = add %q, %j\nstore %a[%r], %u", True),
        ("some of them", "", "%c: bool = lt %u, %z\nif %c { " + STORE + " yield } else { yield }", False),
        ("added to", "", "acc %a[%p], %u {0}", False),
    ],
)
def test_decisions(what: str, before: str, body: str, expected: bool) -> None:
    text = PROGRAM.replace("BEFORE", before).replace("BODY", body)
    if "%s" in before:
        text = text.replace("%size: i64", "%s: bool = lt %m, %n\n  %size: i64")
    program = parse_program(text)
    blank(program.functions["f"])
    verify(program)
    assert ("blank=True" in print_program(program)) is expected
    x = Memory([[float(k)] for k in range(6)])
    made, before_it = run(program, "f", [x, 2, 3], print), run(parse_program(text), "f", [x, 2, 3], print)
    assert made[0].rows == before_it[0].rows


def test_sizes_that_may_both_be_negative() -> None:
    """Nothing says that they are not: a memory of 6 records, and no iteration."""
    text = PROGRAM.replace(" {filled=True}", "").replace("BEFORE", "").replace("BODY", STORE)
    program = parse_program(text)
    assert not blank(program.functions["f"])
    (memory,) = run(program, "f", [Memory([]), -2, -3], print)
    assert memory.rows == [[0.0]] * 6


def test_a_part_of_each_record() -> None:
    text = """
fn @f(%n: i64) -> mem<f64, f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 1.5
  %n1: i64 = sub %n, %1
  %a: mem<f64, f64> = new %n
  for %i = %0, %n1, %1 () {
    store %a[%i], VALUES
    next
  }
  return %a
}
"""
    assert not blank(parse_program(text.replace("VALUES", "%z {1}")).functions["f"])
    assert blank(parse_program(text.replace("VALUES", "%z, %z")).functions["f"])


def test_reading_what_is_blank_fails_in_the_interpreter() -> None:
    text = """
fn @f(%n: i64) -> f64 {
  %0: i64 = const 0
  %one: f64 = const 1.0
  %a: mem<f64> = new %n {blank=True}
  %b: f64 = load %a[%0]
  %c: f64 = add %b, %one
  return %c
}
"""
    with pytest.raises(TypeError):
        run(parse_program(text), "f", [2], print)


def test_memory_that_was_used_before_holds_nothing_old() -> None:
    """Large memory comes back from the pool as it was left."""
    m = dsl.loads("f(A, b) = A .+ b'\ng(x) = map(v -> 2v, x)\nl(A, b) = sum((A .+ b') .^ 2)")
    a, b = np.arange(90000.0).reshape(300, 300), np.arange(300.0)
    for scale in (1.0, -3.0, 0.0):
        assert np.array_equal(m.f(scale * a, b), scale * a + b)
        assert np.array_equal(m.g(scale * a), 2 * scale * a)
        da, db = dsl.gradient(m.l, scale * a, b)
        assert np.array_equal(da, 2 * (scale * a + b))
        assert np.allclose(db, 2 * (scale * a + b).sum(axis=0), rtol=1e-12)
