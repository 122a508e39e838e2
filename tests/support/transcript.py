"""Programs with their answers in comments beside them, and the running of them.

In a session the answer stands behind the statement that ends on its line; in a file it stands on a line of its own:

    f(5)      # => 36              # f(5) => 36              the value, as the language writes it
    f(:a)     # !! MethodError     # f(:a) !! MethodError    an error of this kind

Integers and all other text must be equal; a float may differ in its last digits (in those that `…` leaves out, where
it ends in that); what is printed stands before the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsl.api import open_workspace
from dsl.diagnostics import DslError, Source
from dsl.syntax import parse_file
from dsl.syntax.ast import Assign, Expr, OpAssign
from dsl.workspace import Workspace
from tests.support.ways import WAYS, Way

MARK = re.compile(r"(?:^|\s)#\s+(=>|!!)\s+(.*)$")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[ef][+-]?\d+)?…?")
DIFFERENTIATES = re.compile(
    r"\w'|grad|deriv|jacobian|hessian|hvp|taylor|pullback|pushforward|adjoint|rule|hook|checkpoint"
)
RELATIVE, ABSOLUTE = 1e-11, 1e-13


@dataclass(frozen=True, slots=True)
class Step:
    """Some lines, of which the last statement has an answer; without a mark they are run only."""

    text: str
    mark: str
    expected: str
    line: int


def ways(text: str, among: Sequence[Way] = WAYS) -> list[Way]:
    """The ways in which a text is run: where it does not differentiate, the mode makes no difference."""
    if DIFFERENTIATES.search(text):
        return list(among)
    return list({way.name.partition("/")[0]: way for way in among}.values())


def session_steps(text: str) -> Iterator[Step]:
    """The steps of a session."""
    lines: list[str] = []
    number = 0
    for number, line in enumerate(text.splitlines(), 1):
        mark = MARK.search(line)
        lines.append(line[: mark.start()] if mark else line)
        if mark:
            yield Step("\n".join(lines), mark[1], mark[2].strip(), number)
            lines = []
    if any(line.strip() for line in lines):
        yield Step("\n".join(lines), "", "", number)


def file_steps(text: str) -> Iterator[Step]:
    """The expressions in the comments of a file."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# ") and (at := _last_mark(line)):
            yield Step(line[2 : at.start()].strip(), at[0].strip(), line[at.end() :].strip(), number)


def _last_mark(line: str) -> re.Match[str] | None:
    """The last mark outside of brackets: a Dict has arrows, too."""
    found = [m for m in re.finditer(r" (?:=>|!!) ", line) if _depth(line[: m.start()]) == 0]
    return found[-1] if found else None


def _depth(text: str) -> int:
    return sum(text.count(c) for c in "([") - sum(text.count(c) for c in ")]")


def run_session(text: str, way: Way) -> list[str]:
    """What is wrong in a session, a line each."""
    printed: list[str] = []
    work = _open(Source("<session>", ""), way, printed)
    wrong: list[str] = []
    for step in session_steps(text):
        printed.clear()
        try:
            _define(work, step, printed)
            wrong += _judge(step, "".join(printed).rstrip("\n"))
        except DslError as error:
            wrong += _judge_error(step, error)
    return wrong


def run_file(source: Source, way: Way) -> list[str]:
    """What is wrong in a file, a line each."""
    printed: list[str] = []
    work = _open(source, way, printed)
    wrong: list[str] = []
    for step in file_steps(source.text):
        printed.clear()
        try:
            value = str(work.evaluate(work.expression(step.text)))
            shown = "".join(printed) + ("" if printed and value == "nothing" else value)
            wrong += _judge(step, shown.rstrip("\n"))
        except DslError as error:
            wrong += _judge_error(step, error)
    return wrong


def _open(source: Source, way: Way, printed: list[str]) -> Workspace:
    return open_workspace(
        source, out=printed.append, opt_level=way.opt_level, mode=way.mode, interpreter=way.interpreter
    )


def _define(work: Workspace, step: Step, printed: list[str]) -> None:
    """Run a step; only the value of its last statement is shown, for an assignment that of its left side."""
    name = f"<line {step.line}>"
    last = _last_statement(step.text)
    if last is None:
        work.define(step.text, name, print_expressions=True)
        return
    before = step.text[: last.span.start]
    if before.strip():
        work.define(before, name, print_expressions=True)
        printed.clear()
    work.define(last.span.text, name, print_expressions=True)
    if isinstance(last, Assign | OpAssign) and step.mark == "=>":
        work.define(last.target.span.text, name, print_expressions=True)


def _last_statement(text: str) -> Expr | None:
    """The last statement of a text; None where it cannot be read."""
    try:
        return parse_file(Source("<session>", text)).statements[-1]
    except DslError:
        return None


def _judge(step: Step, actual: str) -> list[str]:
    if not step.mark or (step.mark == "=>" and agree(actual or "nothing", step.expected)):
        return []
    return [f"line {step.line}: {_shown(step)} is {actual or 'nothing'}, not {step.mark} {step.expected}"]


def _judge_error(step: Step, error: DslError) -> list[str]:
    if step.mark == "!!" and step.expected.split(":")[0] == error.kind:
        return []
    return [f"line {step.line}: {_shown(step)}, not {step.mark} {step.expected}:\n{error.render()}"]


def _shown(step: Step) -> str:
    return step.text.strip().rsplit("\n", 1)[-1].strip()


def agree(actual: str, expected: str) -> bool:
    """Whether two texts are equal, floats up to rounding."""
    if NUMBER.sub("#", actual) != NUMBER.sub("#", expected):
        return False
    pairs = zip(NUMBER.findall(actual), NUMBER.findall(expected), strict=True)
    return all(_same(a, e) for a, e in pairs)


def _same(actual: str, expected: str) -> bool:
    if expected.endswith("…"):
        digits = expected[:-1]
        unit = 10.0 ** -len(digits.partition(".")[2])
        return "." in actual and abs(_float(actual) - _float(digits)) <= unit
    if "." not in expected or "." not in actual:
        return actual == expected
    a, e = _float(actual), _float(expected)
    return abs(a - e) <= max(RELATIVE * abs(e), ABSOLUTE)


def _float(text: str) -> float:
    return float(text.replace("f", "e"))
