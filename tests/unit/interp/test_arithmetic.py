"""The interpreter in 50-digit arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpmath import mp, mpf

from dsl.interp import run
from dsl.ir.text import parse_program
from dsl.ops import FLOAT
from dsl.types import F64, LeafType

LOGISTIC = """
fn @f(%x: f64) -> f64 {
  %0: i64 = const 1
  %1: i64 = const 3
  %2: f64 = const 1.0
  %3: f64 = const 4.0
  %4: f64 = for %i = %0, %1, %0 (%v: f64 = %x) {
    %5: f64 = sub %2, %v
    %6: f64 = mul %3, %v
    %7: f64 = mul %6, %5
    next %7
  }
  return %4
}
"""


class Digits50:
    """The few operations that the program has, on mpmath's numbers."""

    def constant(self, value: float | int | bool, type: LeafType) -> Any:
        return mpf(value) if type == F64 else value

    def primitive(self, name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
        if types[0] != F64:
            return FLOAT.primitive(name, types, values)
        x, y = values
        return {"sub": x - y, "mul": x * y}[name]


def test_a_loop_in_high_precision() -> None:
    with mp.workdps(50):
        x = mpf("0.3")
        (got,) = run(parse_program(LOGISTIC), "f", [x], arithmetic=Digits50())
        closed = 64 * x * (1 - x) * (1 - 2 * x) ** 2 * (1 - 8 * x + 8 * x**2) ** 2
        assert abs(got - closed) < mpf(10) ** -48
    (rounded,) = run(parse_program(LOGISTIC), "f", [0.3])
    assert abs(rounded - float(closed)) < 1e-15
