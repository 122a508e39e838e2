"""Programs in the IR's text form that the tests of the runtime share."""

from __future__ import annotations

from typing import Any

from dsl.interp import run
from dsl.ir.core import Program
from dsl.ir.text import parse_program
from dsl.ir.verifier import verify
from dsl.runtime.engine import compile_unit


def parsed(text: str) -> Program:
    program = parse_program(text)
    verify(program)
    return program


def everywhere(text: str, root: str, make_args: Any) -> list[list[Any]]:
    """The results of the interpreter and of native code at levels 0 and 3, each for arguments of its own."""
    program = parsed(text)
    results = [run(program, root, make_args())]
    return results + [compile_unit(program, root, level).call(make_args()) for level in (0, 3)]
