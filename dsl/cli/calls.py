"""Calls that are read without the parser: a function of the program, with primes or inside of `gradient`, of numbers
as they are written. `f'(2.0)`, `gradient(f, 2.0, -3)`, `f(π)`

What an earlier process has compiled for such a call is found by the types of the numbers, and run. Whatever is not
plain, is not there or goes wrong is left to the usual way, which gives the same and knows what to say.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Sequence
from math import isinf
from typing import Any

from dsl import programs
from dsl.diagnostics import DslError
from dsl.functions import TRANSFORMS, Function, Result
from dsl.options import Options
from dsl.runtime.specialised import Specialised
from dsl.store import store
from dsl.syntax.files import read_source
from dsl.types import FLOAT64, INT64, Irrational, LangType, Origin
from dsl.workspace import Workspace, write

_NUMBER = re.compile(r"\s*(-?)(?:(\d{1,18})|(\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+)|(π))\s*", re.ASCII)
PRIME = "f -> f'"

Arguments = tuple[tuple[LangType, ...], list[Any]]  # types and leaves


class PlainCall:
    """`name` with so many `primes`, or its gradient, at the arguments."""

    def __init__(self, name: str, primes: int, gradient: bool, arguments: Arguments) -> None:
        self.name = name
        self.primes = primes
        self.gradient = gradient
        self.types, self.leaves = arguments

    @staticmethod
    def read(text: str, command: str) -> PlainCall | None:
        """The call that a text is, None where it is anything else. `command`: `grad` asks for a gradient."""
        head, bracket, rest = text.strip().partition("(")
        if not bracket or not rest.endswith(")"):
            return None
        words = rest[:-1].split(",") if rest[:-1].strip() else []
        gradient = command == "grad"
        if not gradient and head == "gradient" and len(words) > 1:
            head, gradient, words = words[0].strip(), True, words[1:]
        name = head if gradient else head.rstrip("'")
        arguments = _arguments(words)
        if arguments is None or not _is_name(name):
            return None
        return PlainCall(name, len(head) - len(name), gradient, arguments)

    def function(self, work: Workspace) -> tuple[Function, tuple[LangType, ...]] | None:
        """What is called, and the types that it is called with; None where the name is no function of the program."""
        if self.name not in work.functions() or (self.gradient and "gradient" in work.names()):
            return None
        transforms = [PRIME] * self.primes + [TRANSFORMS["gradient"]] * self.gradient
        return Function(work, Origin((self.name, *transforms))), self.types


def _is_name(text: str) -> bool:
    return text.removesuffix("!").isidentifier()


def _arguments(words: Sequence[str]) -> Arguments | None:
    types: list[LangType] = []
    leaves: list[Any] = []
    for part in words:
        found = _NUMBER.fullmatch(part)
        if found is None:
            return None
        sign, integer, real, pi = found.groups()
        if (pi and sign) or (real and isinf(float(real))):
            return None
        types.append(INT64 if integer else FLOAT64 if real else Irrational("π"))
        if not pi:
            leaves.append((int if integer else float)(sign + (integer or real)))
    return tuple(types), leaves


def run_kept(words: Sequence[str], command: str) -> bool:
    """Print the value of a plain call from what was kept of it; whether that could be done."""
    call = PlainCall.read(words[1], command) if len(words) == 2 else None
    if call is None or words[0] == "-" or store() is None:
        return False
    try:
        source = read_source(words[0])
        program = programs.find(source, Options(), False, read_source)
        found = None if program is None else _kept(call, Workspace(source, Options(), known=program))
        if program is None or found is None:
            return False
        result = Result(found.result, found.call(call.leaves, write))
        text = result.short() if sys.stdout.isatty() else str(result)
    except (DslError, ArithmeticError, MemoryError):
        return False
    print("".join(program.printed) + text)
    return True


def _kept(call: PlainCall, work: Workspace) -> Specialised | None:
    """The code of a call, if it is there and gives the same bits as the usual way, and nothing but a value."""
    called = call.function(work)
    found = None if called is None else work.compiled_before(*called)
    return None if found is None or not found.exact or found.unit.emitted.prints else found


def keep(work: Workspace, text: str, command: str) -> None:
    """Compile a call that has just been evaluated for arguments of its types, where it is plain, so that the next
    process finds it."""
    if store() is None or work.options != Options() or work.session.warned:
        return
    call = PlainCall.read(text, command)
    called = None if call is None else call.function(work)
    if called is not None:
        with contextlib.suppress(DslError):
            _ = work.compiled(*called).unit
