"""The programs under tests/files/passes: what a pass makes of each.

Comments in a file say which pass (`// pass: name`; several run in order), which lines the result has, in this order
(`// expect: line`), which text it has not (`// without: text`), and arguments for which `@main` must give the same
values before and after (`// call: 1.0, 2`).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from by_name import OTHERS, PASSES

from dsl.interp import run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify

FILES = sorted((Path(__file__).parents[2] / "files" / "passes").glob("*.ir"))


def comments(text: str, key: str) -> list[str]:
    start = f"// {key}: "
    return [line.strip()[len(start) :] for line in text.splitlines() if line.strip().startswith(start)]


def test_there_is_a_file_for_every_pass() -> None:
    covered = {name for file in FILES for name in comments(file.read_text(encoding="utf-8"), "pass")}
    assert covered == PASSES.keys() | OTHERS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_what_a_pass_makes(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    program = parse_program(text, file.name)
    verify(program)
    calls = [ast.literal_eval(f"({c},)") for c in comments(text, "call")]
    before = [run(program, "main", args) for args in calls]
    for name in comments(text, "pass"):
        (PASSES | OTHERS)[name](program)
        verify(program)
    result = print_program(program)
    lines = iter([line.strip() for line in result.splitlines()])
    for expected in comments(text, "expect"):
        assert expected in lines, f"no line {expected!r} (in this order) in\n{result}"
    for absent in comments(text, "without"):
        assert absent not in result, result
    assert [run(program, "main", args) for args in calls] == before
