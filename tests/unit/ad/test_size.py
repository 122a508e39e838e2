"""Derivatives grow with the program only: long chains of guards, many exits of one loop, trip counts."""

from __future__ import annotations

import pytest

from dsl.ad import expand
from dsl.interp import run
from dsl.ir.core import Program
from dsl.ir.text import parse_program
from dsl.passes import pipeline
from tests.unit.ad.test_modes import with_gradient


def guards(n: int) -> str:
    """`x > k && return k*x`, n times, then sin(x)."""
    lines = ["fn @f(%x: f64) -> f64 {"]
    for i in range(n):
        lines += [
            f"  %k{i}: f64 = const {float(n - i)}",
            f"  %c{i}: bool = gt %x, %k{i}",
            f"  if %c{i} {{ %r{i}: f64 = mul %x, %k{i}\n return %r{i} }} else {{ yield }}",
        ]
    return "\n".join([*lines, "  %z: f64 = sin %x", "  return %z", "}"])


def breaks(n: int) -> str:
    """A loop of five iterations with n statements `if s > 0; s *= k; s > k && break; s = sin(s) end`."""
    lines = [
        "fn @f(%x: f64) -> f64 {", "  %one: i64 = const 1", "  %m: i64 = const 5", "  %i0: i64 = const 0",
        "  %z: f64 = const 0.0", "  %r: f64 = loop (%s0: f64 = %x, %i: i64 = %i0) {",
        "  %cc: bool = ge %i, %m", "  if %cc { break %s0 } else { yield }",
    ]  # fmt: skip
    for i in range(n):
        lines += [
            f"  %a{i}: bool = gt %s{i}, %z",
            f"  %k{i}: f64 = const {1.0 + i / 100}",
            f"  %s{i + 1}: f64 = if %a{i} {{ %t{i}: f64 = mul %s{i}, %k{i}\n %b{i}: bool = gt %t{i}, %k{i}",
            f"  if %b{i} {{ break %t{i} }} else {{ yield }}",
            f"  %u{i}: f64 = sin %t{i}\n yield %u{i} }} else {{ yield %s{i} }}",
        ]
    return "\n".join([*lines, "  %i1: i64 = add %i, %one", f"  next %s{n}, %i1", "  }", "  return %r", "}"])


def gradient_program(text: str, mode: str) -> Program:
    program = parse_program(text)
    with_gradient(program, "f", (0,), "main")
    expand(program, mode)  # type: ignore[arg-type]
    pipeline.optimise(program, ["main"], "after-ad")
    return program


def size(program: Program) -> int:
    return sum(1 for fn in program.functions.values() for _ in fn.body.walk())


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("make", [guards, breaks])
def test_linear_in_the_number_of_exits(make: object, mode: str) -> None:
    small, large = (size(gradient_program(make(n), mode)) for n in (20, 80))  # type: ignore[operator]
    assert large < 4.6 * small


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_the_right_exit_is_replayed(mode: str) -> None:
    program = gradient_program(guards(50), mode)
    assert run(program, "main", [20.5]) == [20.0]  # the guard x > 20 returned 20x
    assert run(program, "main", [0.0]) == [1.0]
