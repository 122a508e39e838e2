"""Random programs mean the same before and after every pass, and survive printing and parsing."""

from __future__ import annotations

import struct

import pytest
from by_name import PASSES
from random_ir import random_program

from dsl.diagnostics import DslError
from dsl.interp import run
from dsl.ir.core import Program
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.pipeline import optimise

ARGUMENTS = [(1.5, -2.0, 2, True), (-0.0, 3.0, 0, False), (float("inf"), 0.0, -1, True), (0.5, 0.5, 1, False)]


def bits(value: object) -> object:
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value)
    return value


def meaning(program: Program) -> list[object]:
    """What `main` gives for some arguments: the bits of its results, or the code of its error."""
    found: list[object] = []
    for args in ARGUMENTS:
        try:
            found.append([bits(v) for v in run(program, "main", args)])
        except DslError as e:
            found.append(e.code)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_pass_keeps_the_meaning(seed: int) -> None:
    expected = meaning(random_program(seed))
    for name, transform in PASSES.items():
        program = random_program(seed)
        transform(program)
        verify(program)
        assert meaning(program) == expected, name


@pytest.mark.parametrize("seed", range(40, 100))
def test_the_pipelines_keep_the_meaning(seed: int) -> None:
    program = random_program(seed)
    expected = meaning(program)

    def look(name: str, program: Program) -> None:
        assert meaning(program) == expected, name

    optimise(program, ["main"], "before-ad", verify=True, trace=look)
    optimise(program, ["main"], "after-ad", verify=True, trace=look)


@pytest.mark.parametrize("seed", range(100, 130))
def test_print_parse_print_is_the_identity(seed: int) -> None:
    program = random_program(seed)
    verify(program)
    text = print_program(program)
    again = parse_program(text)
    verify(again)
    assert print_program(again) == text
    assert meaning(again) == meaning(program)
