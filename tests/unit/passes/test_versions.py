"""Nests of loops in two versions: which nests, what LLVM makes of them, and that the results are the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dsl
from dsl.interp import Memory, run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.versions import versions

NEST = """
fn @f(%a: mem<f64>, %b: mem<f64>, %out: mem<f64>, %m: i64, %n: i64, %k: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 0.0
  %same: bool = eq %k, %n
  %factor: i64 = select %same, %1, %0
  %m1: i64 = sub %m, %1
  %n1: i64 = sub %n, %1
  %total: f64 = for %i = %0, %m1, %1 (%s: f64 = %z) {
    %row: i64 = mul %i, %n
    %more: f64 = for %j = %0, %n1, %1 (%t: f64 = %s) {
      %p: i64 = add %row, %j
      %u: f64 = load %a[%p]
      %q: i64 = mul %j, %factor
      %v: f64 = load %b[%q]
      %w: f64 = add %u, %v
      store %out[%p], %w
      %t1: f64 = add %t, %w
      next %t1
    }
    next %more
  }
  return %total
}
"""


@pytest.mark.parametrize("k", [1, 3])
def test_both_versions_do_what_the_nest_does(k: int) -> None:
    program = parse_program(NEST)
    versions(program.functions["f"])
    verify(program)
    text = print_program(program)
    assert text.count("for %") == 4 and "if %same" in text
    assert text.count("mul %j") == 2  # the first with 1
    out, before = Memory([[0.0] for _ in range(6)]), Memory([[0.0] for _ in range(6)])
    a, b = Memory([[float(x)] for x in range(6)]), Memory([[10.0 * x] for x in range(1, k + 1)])
    made = run(program, "f", [a, b, out, 2, 3, k], print)
    assert made == run(parse_program(NEST), "f", [a, b, before, 2, 3, k], print)
    assert out.rows == before.rows == [[x + (10.0 * (x % 3 + 1) if k == 3 else 10.0)] for x in range(6)]


def test_other_factors_and_no_factors() -> None:
    for changed in (NEST.replace("mul %j, %factor", "add %j, %factor"), NEST.replace("%same, %1, %0", "%same, %1, %m")):
        program = parse_program(changed)
        assert not versions(program.functions["f"])


def test_a_broadcast_with_a_row_loads_neighbours_together() -> None:
    """In the version for equal sizes no element is gathered, in the other one some may be."""
    m = dsl.loads("f(A, b) = A .* b'")
    a, b = np.arange(12.0).reshape(4, 3), np.array([1.0, 2.0, 3.0])
    text = str(m.f.code_llvm(a, b))
    assert re.search(r"load <\d+ x double>", text)
    assert np.array_equal(m.f(a, b), a * b)
    assert np.array_equal(m.f(a, b[:1]), a * b[:1])
    assert np.array_equal(m.f(a[:, :1], b), a[:, :1] * b)
