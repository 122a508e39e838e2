"""What the reverse sweep reads again still holds what it held: random programs that write, share and swap memory.

Forward mode keeps nothing, so it is what the reverse mode of each plan is compared with."""

from __future__ import annotations

import math

import pytest

from dsl.ad import expand
from dsl.interp import Memory, run
from dsl.ir.core import Program
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes import pipeline
from tests.unit.ad.random_memory import SIZE, random_memory_program

FIRST = """
fn @main(%m: mem<f64>, %n: mem<f64>, %x: f64, %m̄: mem<f64>, %n̄: mem<f64>) -> f64, f64, f64 {
  %1: f64 = const 1.0
  %2: f64 = const 0.5
  %y: f64, %z: f64, %d: f64 = vjp @f(%m, %n, %x; %1, %2, %m̄, %n̄) {wrt=(0, 1, 2)}
  return %y, %z, %d
}
"""
# the sum of the squares of a gradient, and its gradient
SECOND = """
fn @g(%m: mem<f64>, %n: mem<f64>, %x: f64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %7: i64 = const 7
  %8: i64 = const 8
  %one: f64 = const 1.0
  %two: f64 = const 0.5
  %m̄: mem<f64> = new %8
  %n̄: mem<f64> = new %8
  %y: f64, %z: f64, %d: f64 = vjp @f(%m, %n, %x; %one, %two, %m̄, %n̄) {wrt=(0, 1, 2)}
  %dd: f64 = mul %d, %d
  %r: f64 = for %i = %0, %7, %1 (%s: f64 = %dd) {
    %a: f64 = load %m̄[%i]
    %b: f64 = load %n̄[%i]
    %ab: f64 = mul %a, %b
    %t: f64 = add %s, %ab
    next %t
  }
  return %r
}
fn @main(%m: mem<f64>, %n: mem<f64>, %x: f64, %m̄: mem<f64>, %n̄: mem<f64>) -> f64, f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @g(%m, %n, %x; %1, %m̄, %n̄) {wrt=(0, 1, 2)}
  return %y, %d
}
"""
PULLBACK = """
fn @forward(%m: mem<f64>, %n: mem<f64>, %x: f64) -> f64, f64, obj {
  %y: f64, %z: f64, %o: obj = vjp_fwd @f(%m, %n, %x) {wrt=(0, 1, 2)}
  return %y, %z, %o
}
fn @back(%o: obj, %m̄: mem<f64>, %n̄: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %2: f64 = const 0.5
  %d: f64 = vjp_rev @f(%o; %1, %2, %m̄, %n̄) {wrt=(0, 1, 2)}
  return %d
}
"""
M, N = [0.3, -0.7, 1.1, 0.6, -0.2, 0.9, 1.4, -1.2], [0.8, 0.5, -0.4, 1.3, 0.1, -0.9, 0.7, 0.2]


def program(seed: int, text: str) -> Program:
    return parse_program(print_program(random_memory_program(seed)) + text)


def memory(numbers: list[float]) -> Memory:
    return Memory([[v] for v in numbers])


def arguments(alias: bool) -> tuple[Memory, Memory]:
    m = memory(M)
    return m, m if alias else memory(N)


def numbers(m: Memory) -> list[float]:
    return [row[0] for row in m.rows]


def gradient(seed: int, text: str, mode: str, alias: bool) -> list[float]:
    p = program(seed, text)
    expand(p, mode)  # type: ignore[arg-type]
    verify(p)
    if seed % 2:
        pipeline.optimise(p, ["main"], "after-ad", verify=True)
    m, n = arguments(alias)
    before = numbers(m), numbers(n)
    out = memory([0.0] * SIZE), memory([0.0] * SIZE)
    results = run(p, "main", [m, n, 0.6, *out])
    assert (numbers(m), numbers(n)) == before, "the arguments are as they were"
    return [*results, *numbers(out[0]), *numbers(out[1])]


def close(a: list[float], b: list[float]) -> bool:
    assert len(a) == len(b)
    scale = max([1.0, *(abs(v) for v in b if math.isfinite(v))])
    return all(abs(v - w) <= 1e-9 * scale for v, w in zip(a, b, strict=True) if math.isfinite(v + w))


@pytest.mark.parametrize("alias", [False, True], ids=["apart", "one memory passed twice"])
@pytest.mark.parametrize(("text", "seeds"), [(FIRST, range(20)), (SECOND, range(4))], ids=["first", "second"])
def test_modes_and_plans_agree(text: str, seeds: range, alias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in seeds:
        forward = gradient(seed, text, "forward", alias)
        for plan in ("", "save"):
            monkeypatch.setenv("DFL_PLAN", plan)
            assert close(gradient(seed, text, "reverse", alias), forward), (seed, plan)


@pytest.mark.parametrize("alias", [False, True], ids=["apart", "one memory passed twice"])
def test_pullbacks_after_the_arguments_have_changed(alias: bool) -> None:
    for seed in range(12):
        expected = gradient(seed, FIRST, "reverse", alias)
        p = program(seed, PULLBACK)
        expand(p, "reverse")
        verify(p)
        m, n = arguments(alias)
        y, z, record = run(p, "forward", [m, n, 0.6])
        m.rows[:] = [[9.0]] * SIZE
        n.rows[:] = [[-9.0]] * SIZE
        for _ in range(2):
            out = memory([0.0] * SIZE), memory([0.0] * SIZE)
            (d,) = run(p, "back", [record, *out])
            assert close([y, z, d, *numbers(out[0]), *numbers(out[1])], expected), seed
