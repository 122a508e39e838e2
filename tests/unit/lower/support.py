"""Programs lowered, checked by the verifier and interpreted, without any pass in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsl.ad import expand
from dsl.diagnostics import DslError, Source
from dsl.driver import compiling
from dsl.interp import run
from dsl.ir.core import Function, Program, clone_function
from dsl.ir.verifier import verify
from dsl.lower import Entry, Session
from dsl.passes.globals import bind_globals
from dsl.syntax import parse_expression, parse_file


class Lowered:
    """A session with its output; `value` gives the leaves of an expression."""

    def __init__(self, text: str, print_expressions: bool = False) -> None:
        self.out: list[str] = []
        self.session = Session(Source("test", text), parse_file, self.evaluate)
        with compiling():
            self.session.load(print_expressions)

    def evaluate(self, entry: Entry) -> list[Any]:
        verify(entry.program)
        program = Program({name: clone_function(fn, name) for name, fn in entry.program.functions.items()})
        extra = [entry.globals[name][index] for name, index in bind_globals(program, entry.name)]
        expand(program, "auto")
        return run(program, entry.name, extra, self.out.append)

    def entry(self, expression: str) -> Entry:
        return self.session.eval_entry(parse_expression(Source("call", expression)))

    def value(self, expression: str) -> Any:
        """The leaves of an expression's value; a single one by itself."""
        with compiling():
            leaves = self.evaluate(self.entry(expression))
        return leaves[0] if len(leaves) == 1 else tuple(leaves)

    def type(self, expression: str) -> str:
        return str(self.entry(expression).result)

    def function(self, name: str, types: Sequence[Any]) -> Function:
        """The SSA of a function of the program for argument types."""
        entry = self.session.call_entry(name, types)
        verify(entry.program)
        return entry.program.functions[entry.name]


def value_of(program: str, expression: str) -> Any:
    return Lowered(program).value(expression)


def error_of(program: str, expression: str = "") -> DslError:
    """The error that loading a program, or evaluating an expression in it, raises."""
    try:
        lowered = Lowered(program)
        if expression:
            lowered.value(expression)
    except DslError as e:
        return e
    raise AssertionError(f"no error: {expression}")


def count(fn: Function, name: str) -> int:
    return sum(op.name == name for op in fn.body.walk())
