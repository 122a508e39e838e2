"""The last iteration of a loop, gone back through by itself, and the loops for which it is not."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

import dsl

SYSTEM = """
function f(x, y, z, n)
  for k in 1:n
    x, y, z = STEP
  end
  RESULT
end
"""
STEP = "x + 0.1y * z, y - 0.2x * z, z + 0.3x * y * y * z"


def module(step: str = STEP, result: str = "x", **options: Any) -> Any:
    return dsl.loads(SYSTEM.replace("STEP", step).replace("RESULT", result), mode="reverse", **options)


def reverse(m: Any) -> str:
    """What comes behind the loop that goes forward."""
    text: str = m.code_typed("gradient(f, 0.5, 0.6, 0.7, 5)")
    return text[text.index("next ") :]


def gradient(m: Any, *point: float) -> list[float]:
    return [d for d in dsl.gradient(m.f, *point) if d is not None]


def peeled(text: str) -> bool:
    """Whether something is done before the reverse loop if there are iterations, and not inside of loops only."""
    return re.search(r"^  %.* = if ", text, re.MULTILINE) is not None


def guarded(text: str) -> int:
    return text.count("strongmul")


def test_after_one_step_back_all_cotangents_are_certain() -> None:
    text = reverse(module())
    assert peeled(text)
    assert guarded(text) == 0  # of the products with zero in the last iteration, nothing is left


@pytest.mark.parametrize(
    ("step", "result"),
    [
        ("x + y * z, y + z * z * y, z + sin(z)", "y"),  # y is made of no x: that cotangent is zero to the end
        ("x + y * z, y + 0.5x, z", "x"),  # too few products that are guarded
        ("x + sum([y * z * j for j in 1:k]), y - 0.2x * z * y, z + 0.3x * y * y * z", "x"),  # a loop in it
        (STEP, "x + y + z"),  # all count from the beginning
    ],
)
def test_just_beyond(step: str, result: str) -> None:
    assert not peeled(reverse(module(step, result)))


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_derivatives(steps: int) -> None:
    """As by forward mode, and by the interpreter."""
    found = gradient(module(), 0.5, 0.6, 0.7, steps)
    assert found == gradient(module(interpreter=True), 0.5, 0.6, 0.7, steps)
    forward = dsl.loads(SYSTEM.replace("STEP", STEP).replace("RESULT", "x"), mode="forward")
    assert found == pytest.approx(gradient(forward, 0.5, 0.6, 0.7, steps), rel=1e-13)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_is_not_used_contributes_nothing(steps: int) -> None:
    """In the last step, y and z come to nothing, although their derivatives there are infinite; in the one before,
    they count."""
    m = module("x + y + z, y + 0x + sqrt(z - z), z + 0x + sqrt(y - y)")
    found = gradient(m, 1.0, 2.0, 3.0, steps)
    if steps < 2:
        assert found == [1.0, steps, steps]
    else:
        assert all(map(math.isnan, found[1:]))
