"""What runs before differentiation keeps derivatives: forward mode of a program as it is, and forward and reverse mode
of what the passes made of it, give the same numbers."""

from __future__ import annotations

import math

import pytest
from random_ir import random_program

from dsl.ad.expand import expand
from dsl.diagnostics import DslError
from dsl.interp import run
from dsl.ir.core import Program
from dsl.ir.text import parse_program
from dsl.passes import pipeline

# `main` as `random_program` makes it, and its partial derivatives by x and y in both modes.
DERIVATIVES = """
fn @main(%x: f64, %y: f64, %n: i64, %c: bool) -> f64, i64 {
  return %x, %n
}
fn @forward(%x: f64, %y: f64, %n: i64, %c: bool) -> f64, f64 {
  %0: f64 = const 0.0
  %1: f64 = const 1.0
  %a: f64, %b: i64, %ax: f64, %bx: f64 = jvp @main(%x, %y, %n, %c; %1, %0) {wrt=(0, 1)}
  %d: f64, %e: i64, %dy: f64, %ey: f64 = jvp @main(%x, %y, %n, %c; %0, %1) {wrt=(0, 1)}
  return %ax, %dy
}
fn @reverse(%x: f64, %y: f64, %n: i64, %c: bool) -> f64, f64 {
  %0: f64 = const 0.0
  %1: f64 = const 1.0
  %a: f64, %b: i64, %ax: f64, %ay: f64 = vjp @main(%x, %y, %n, %c; %1, %0) {wrt=(0, 1)}
  return %ax, %ay
}
"""
ARGUMENTS = [(1.5, -2.0, 2, True), (0.25, 0.75, 1, False), (-3.0, 0.5, -1, True)]


def differentiated(seed: int) -> Program:
    program = random_program(seed)
    derivatives = parse_program(DERIVATIVES).functions
    for name in ("forward", "reverse"):
        program.add(derivatives[name])
    expand(program, "reverse")
    return program


def value(program: Program, name: str, args: tuple[object, ...]) -> list[float] | str:
    try:
        return run(program, name, args)
    except DslError as e:
        return e.code


@pytest.mark.parametrize("seed", range(60))
def test_derivatives_are_kept(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = differentiated(seed)
    monkeypatch.setattr(pipeline, "optimise", lambda *args, **kwargs: None)
    plain = differentiated(seed)
    for args in ARGUMENTS:
        expected = value(plain, "forward", args)
        assert_close(value(made, "forward", args), expected)
        if isinstance(expected, str) or all(map(math.isfinite, expected)):  # 0 times Inf depends on the mode
            assert_close(value(made, "reverse", args), expected)


def assert_close(found: list[float] | str, expected: list[float] | str) -> None:
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    for a, b in zip(found, expected, strict=True):
        assert a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9)
