"""Loops that read, write and add up arrays, in the ways in which the plan of reverse mode tells them apart: what is
read again where it was stored, loops done with their reverse, places by number, arrays that are changed behind.

Forward mode knows none of these, and agrees; so does the interpreter, and the second derivative.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import dsl

LINES = Path(__file__).with_name("loops_and_memory.txt").read_text(encoding="utf-8").splitlines()
PROGRAMS = [line for line in LINES if not line.startswith("#")]
POINT = "[0.3, 0.4, 0.7]"


def numbers(program: str, call: str, **options: object) -> list[float]:
    *statements, last = program.split("; ")
    module = dsl.loads("\n".join(["function f(x)", *statements, last, "end"]), **options)
    found = module.eval(call)
    return [float(d) for d in (found[0] if isinstance(found, tuple) else found).ravel()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_gradient(program: str) -> None:
    call = f"gradient(f, {POINT})"
    forward = numbers(program, call, mode="forward", opt_level=0)
    for interpreter in (False, True):
        reverse = numbers(program, call, mode="reverse", interpreter=interpreter)
        assert reverse == pytest.approx(forward, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("program", PROGRAMS)
def test_hessian(program: str) -> None:
    call = f"hessian(f, {POINT})"
    forward, reverse = (numbers(program, call, mode=mode, opt_level=0) for mode in ("forward", "reverse"))
    assert reverse == pytest.approx(forward, rel=1e-9, abs=1e-11)
