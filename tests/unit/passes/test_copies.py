"""Copies that are not made: what they are of is read itself, and the cases just beyond."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import dsl
from dsl.interp import Memory, run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.copies import copies

PROGRAM = """
fn @g(%m: mem<f64>) {
  return
}
fn @f(%v: mem<f64>, %w: mem<f64>, %k: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %two: f64 = const 2.0
  %n: i64 = len %v
  %last: i64 = sub %n, %1
  %c: mem<f64> = new %n
  BEFORE
  for %i = LOW, %last, %1 {
    %x: f64 = load FROM[%i]
    BODY
    next
  }
  AFTER
  %q: f64 = load %c[%k]
  return %q
}
"""
STORE = "store %c[%i], %x"
ADD = "acc %c[%i], %x {0}"


@pytest.mark.parametrize(
    ("what", "changes", "expected"),
    [
        ("stored", {}, True),
        ("added", {"BODY": ADD}, True),
        ("its length is asked for", {"BEFORE": "%l: i64 = len %c", "AFTER": "%l2: i64 = len %c"}, True),
        ("read in loops", {"AFTER": "for %j = %0, %last, %1 {\n%y: f64 = load %c[%j]\nnext\n}"}, True),
        ("something else happens, too", {"BODY": STORE + "\n%y: f64 = mul %x, %x\nacc %d[%0], %y {0}",
                                         "BEFORE": "%d: mem<f64> = new %1"}, True),
        ("not all of it", {"LOW": "%1"}, False),
        ("twice as much", {"BODY": "%y: f64 = add %x, %x\nstore %c[%i], %y"}, False),
        ("from elsewhere", {"BODY": "%j: i64 = sub %last, %i\n%y: f64 = load %v[%j]\nstore %c[%i], %y"}, False),
        ("some of it", {"BODY": f"%y: bool = lt %x, %two\nif %y {{\n{STORE}\nyield\n}} else {{\nyield\n}}"}, False),
        ("the copy is changed later", {"AFTER": "store %c[%0], %two"}, False),
        ("the copy is added to later", {"AFTER": "acc %c[%0], %two {0}"}, False),
        ("it is read before", {"BEFORE": "%y: f64 = load %c[%0]"}, False),
        ("it was changed before", {"BEFORE": "store %c[%0], %two"}, False),
        ("what was copied is changed", {"AFTER": "store %v[%0], %two"}, False),
        ("another parameter is, which may be the same", {"AFTER": "store %w[%0], %two"}, False),
        ("somebody else gets it", {"AFTER": "call @g(%c)"}, False),
        ("somebody else may change what was copied", {"AFTER": "call @g(%v)"}, False),
        ("it is of what was made here", {"FROM": "%d", "BEFORE": "%d: mem<f64> = new %n"}, False),
        ("it has another name", {"AFTER": "%y: bool = lt %k, %0\n%d: mem<f64> = select %y, %c, %v"}, False),
    ],
)  # fmt: skip
def test_decisions(what: str, changes: dict[str, str], expected: bool) -> None:
    text = PROGRAM
    for word, by in ({"LOW": "%0", "FROM": "%v", "BODY": STORE, "BEFORE": "", "AFTER": ""} | changes).items():
        text = text.replace(word, by)
    program = parse_program(text)
    verify(program)
    before = run(program, "f", [Memory([[1.0], [-0.0], [3.0]]), Memory([[5.0]]), 1])
    copies(program.functions["f"])
    verify(program)
    assert ("load %v[%k]" in print_program(program)) is expected, what
    after = run(program, "f", [Memory([[1.0], [-0.0], [3.0]]), Memory([[5.0]]), 1])
    assert struct.pack("d", *after) == struct.pack("d", *before)


PRODUCT = "f(x) = x[1]^2 * x[2] + x[2] * x[3]\nh(x, v) = hvp(f, x, v)\nmut(x) = (x[1] = 2x[1]; x[1] * x[2])"


def test_a_direction_is_not_copied() -> None:
    m = dsl.loads(PRODUCT)
    x, v = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    assert str(m.code_typed("h([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])")).count(" new ") == 1  # the result
    hessian = np.array([[2 * x[1], 2 * x[0], 0.0], [2 * x[0], 0.0, 1.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(m.h(x, v), hessian @ v, rtol=1e-15)
    np.testing.assert_allclose(m.h(x, x), hessian @ x, rtol=1e-15)  # one memory as both
    assert v.tolist() == [0.5, -1.0, 2.0] and x.tolist() == [1.0, 2.0, 3.0]


def test_a_direction_stays_as_it_was_where_the_function_writes_its_argument() -> None:
    m = dsl.loads(PRODUCT)
    x, v = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    value, tangent = dsl.jvp(m.mut, (x,), (v,))
    assert (value, tangent) == (4.0, 0.0)
    assert v.tolist() == [0.5, -1.0, 2.0]
