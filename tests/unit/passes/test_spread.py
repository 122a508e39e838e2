"""Sums that are added up in lanes: in which order, with which bits, and which sums are not. (What is decided, and what
just not: tests/files/passes/spread_*.ir.)"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

import dsl
from dsl.interp import Memory, run
from dsl.ir.core import Program
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.spread import FEW, STRIP, spread
from dsl.runtime.engine import compile_unit

LENGTHS = [0, 1, FEW - 1, FEW, FEW + 1, 100, STRIP - 1, STRIP, STRIP + 1, 3 * STRIP - 7]

SUM = """
fn @f(%x: mem<TYPE>, %lo: i64, %hi: i64) -> TYPE {
  %one: i64 = const STEP
  %nil: TYPE = const 0.25
  %one.f: TYPE = const 1.0
  %s: TYPE = for %i = %lo, %hi, %one (%t: TYPE = %nil) {
    %v: TYPE = load %x[%i]
    %w: TYPE = WORK %v, %one.f
    %u: TYPE = add %t, %w {loose=True}
    next %u
  }
  return %s
}
"""


def in_lanes(numbers: Sequence[float]) -> float:
    """What the text of the pass says."""
    total = 0.25
    if len(numbers) < FEW:
        for x in numbers:
            total += x
        return total
    for first in range(0, len(numbers), STRIP):
        strip = numbers[first : first + STRIP]
        lanes = [0.0] * 16
        for k, x in enumerate(strip):
            lanes[k % 16] += x
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
        total += lanes[0]
    return total


def summing(type: str = "f64", step: int = 1, work: str = "mul", of: str = "load %x[%i]") -> Program:
    """Sums of numbers times one, or by one: a division takes long."""
    text = SUM.replace("TYPE", type).replace("STEP", str(step)).replace("WORK", work).replace("load %x[%i]", of)
    program = parse_program(text)
    assert spread(program.functions["f"])
    verify(program)
    assert ("for{few}" in print_program(program)) == (work == "div")
    return program


@pytest.mark.parametrize("work", ["mul", "div"])
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("type", ["f64", "f32"])
def test_the_order_is_the_same_everywhere(type: str, step: int, work: str) -> None:
    program = summing(type, step, work)
    units = [compile_unit(program, "f", level) for level in (0, 2, 3)]
    rng = random.Random(step)
    for n in LENGTHS:
        numbers = [float(np.float32(rng.uniform(-1.0, 1.0))) for _ in range(n)]
        bounds = [0, n - 1] if step == 1 else [n - 1, 0]
        expected = run(program, "f", [Memory([[x] for x in numbers]), *bounds])
        assert [unit.call([Memory([[x] for x in numbers]), *bounds]) for unit in units] == [expected] * len(units)
        if type == "f64":
            assert expected == [in_lanes(numbers[::step])]


HUGE = 2**63 - 1


@pytest.mark.parametrize(("low", "high"), [(5, 4), (HUGE, -HUGE), (0, -1), (1, -HUGE), (HUGE - 1, 1)])
def test_loops_that_do_not_run(low: int, high: int) -> None:
    """Also where the distance between the bounds is no i64."""
    program = summing()
    assert run(program, "f", [Memory([]), low, high]) == [0.25]
    assert compile_unit(program, "f", 3).call([Memory([]), low, high]) == [0.25]


@pytest.mark.parametrize("work", ["mul", "div"])
@pytest.mark.parametrize("step", [1, -1])
def test_counters_at_the_end_of_the_range(step: int, work: str) -> None:
    """No index is larger than the last one."""
    program = summing("f64", step, work, "tof64 %i")
    for low, high in ((HUGE - 299, HUGE), (HUGE - 239, HUGE), (HUGE - 39, HUGE), (-HUGE - 1, -HUGE + 298)):
        if step == -1:
            low, high = -1 - low, -1 - high
        expected = [in_lanes([float(k) for k in range(low, high + step, step)])]
        assert run(program, "f", [Memory([]), low, high]) == expected
        assert compile_unit(program, "f", 3).call([Memory([]), low, high]) == expected


PROGRAM = """
function poly(c, x)
  s = 0.0
  for i in 1:length(x)
    s += sin(c * x[i])
  end
  s
end
"""


def test_a_cotangent_is_added_up_in_lanes_and_a_sum_of_the_program_is_not() -> None:
    """The sum of the program itself keeps its order; the cotangent of c has none."""
    module = dsl.loads(PROGRAM)
    gradient, both = (d(module.poly, argnums=(0, 1)) for d in (dsl.grad, dsl.value_and_grad))
    assert "lanesum" in str(gradient.code_typed(0.5, np.zeros(3)))
    assert "lanesum" not in str(both.code_typed(0.5, np.zeros(3)))  # it has to wait for the value's sum anyway
    assert "lanesum" not in str(module.poly.code_typed(0.5, np.zeros(3)))
    for n in LENGTHS:
        x = np.random.default_rng(n).uniform(size=n)
        slope, _ = gradient(0.5, x)
        assert slope == pytest.approx(float(np.sum(x * np.cos(0.5 * x))), rel=1e-13)
