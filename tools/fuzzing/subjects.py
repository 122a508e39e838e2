"""What can be fuzzed: programs as text, through the whole compiler, and programs in SSA form, below lowering.

Each subject is made from a seed and a number, checked, made small, printed and read back.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from dsl.ir.text import parse_program, print_program
from fuzzing import check, generate, generate_arrays, reduce, ssa_check, ssa_generate, ssa_reduce
from fuzzing.agree import Failure
from fuzzing.tree import Node


class Subject(Protocol):
    suffix: str

    def make(self, seed: int, number: int) -> Any: ...
    def check(self, program: Any, number: int) -> Failure | None: ...
    def reduce(self, program: Any, fails: Callable[[Any], bool], seconds: float) -> Any: ...
    def show(self, program: Any) -> str: ...
    def read(self, text: str) -> Any: ...


def second_order(number: int) -> bool:
    """Second derivatives are compared for one program in four."""
    return number % 4 == 0


class Text:
    """Programs of the language, from text to values."""

    suffix = "dfl"

    def make(self, seed: int, number: int) -> Node:
        return generate.program(Random(f"{seed}/{number}"))

    def check(self, program: Node, number: int) -> Failure | None:
        return check.check(str(program), second_order(number))

    def reduce(self, program: Node, fails: Callable[[Any], bool], seconds: float) -> Node:
        return reduce.reduce(program, fails, seconds)

    def show(self, program: Node) -> str:
        return str(program)

    def read(self, text: str) -> Node:
        return Node("stmt", text.replace("{", "{{").replace("}", "}}"))


class Arrays(Text):
    """The same with arrays in them."""

    def make(self, seed: int, number: int) -> Node:
        return generate_arrays.program(Random(f"{seed}/{number}"))

    def check(self, program: Node, number: int) -> Failure | None:
        """Second derivatives of a quarter of those that the others have: they take longest."""
        return check.check(str(program), number % 16 == 0, ordered=False)


class Ssa:
    """Programs in SSA form: passes, differentiation, interpreter and native code."""

    suffix = "ssa"

    def make(self, seed: int, number: int) -> Any:
        return ssa_generate.program(Random(f"{seed}/{number}"))

    def check(self, program: Any, number: int) -> Failure | None:
        return ssa_check.check(program, second_order(number))

    def reduce(self, program: Any, fails: Callable[[Any], bool], seconds: float) -> Any:
        return ssa_reduce.reduce(program, fails, seconds)

    def show(self, program: Any) -> str:
        return print_program(program)

    def read(self, text: str) -> Any:
        return parse_program(text)


SUBJECTS: dict[str, Subject] = {"text": Text(), "arrays": Arrays(), "ssa": Ssa()}
