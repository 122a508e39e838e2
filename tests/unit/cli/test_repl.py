"""The interactive session, with the input given by a list of lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dsl.api import open_workspace
from dsl.diagnostics import Source
from dsl.repl import Repl


def session(lines: list[str], program: str = "") -> tuple[int, list[str]]:
    """Run a session over lines of input; gives its exit code and the errors shown."""
    waiting = iter(lines)

    def read(prompt: str) -> str:
        try:
            line = next(waiting)
        except StopIteration:
            raise EOFError from None
        if line == "^C":
            raise KeyboardInterrupt
        return line

    errors: list[str] = []
    repl = Repl(open_workspace(Source("program", program)), read, lambda error: errors.append(error.kind))
    return repl.run(), errors


@pytest.mark.parametrize(
    ("lines", "printed"),
    [
        (["1 + 2"], "3\n"),
        (["f(x) = 5*sin(x)", "f'(π)"], "-5.0\n"),
        (["function g(x)", "  return 2x", "end", "g(4)"], "8\n"),
        (["x = 3", "x + 1"], "4\n"),
        (["1 + 1;", "2 + 2"], "4\n"),
        (["f(x) = x", "f(x) = 2x", "f(3)"], "6\n"),
        (["f(x) = x", "f(3)", "f(x) = 2x", "f(3)"], "3\n6\n"),
        (["1 + 2", "exit", "3 + 4"], "3\n"),
        (["1 +", "^C", "3 + 4"], "\n7\n"),
        (["", "   ", "# nothing", "1"], "1\n"),
    ],
)
def test_what_is_typed_is_evaluated(lines: list[str], printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, errors = session(lines)
    assert errors == []
    assert capsys.readouterr().out == printed
    assert code == 0


def test_an_error_does_not_end_the_session(capsys: pytest.CaptureFixture[str]) -> None:
    code, errors = session(["nothing_of_that_name", "f(x) = (1", "2 +", "2)", "1 + 1"])
    assert errors[0] == "UndefVarError" and code == 0
    assert capsys.readouterr().out.endswith("2\n")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("@code_llvm wave'(π)", "ret double -5.000000e+00"),
        ("@code_typed wave(2.0)", "sin"),
        ("@code_warntype wave(2.0)", "f64"),
        ("@code_lowered wave'(2.0)", "vjp"),
        ("@code_ast 1 + 2", "Call"),
        ("@code_native wave(2.0)", "sin"),
        ("@code_adjoint wave(2.0)", "cos"),
        ("?wave", "Five times the sine."),
        ("?E0401", "DomainError"),
        ("?", "@code_llvm"),
        ("?hypot", "without overflow"),
        ("?nobody", "no documentation"),
    ],
)
def test_looking(line: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    session([line], '"Five times the sine."\nwave(x) = 5*sin(x)\n')
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (KeyboardInterrupt(), "interrupted\n"),
        (AssertionError("odd"), "internal error, please report: AssertionError: odd (DFL_DEBUG=1 shows more)\n"),
    ],
)
def test_nothing_that_happens_ends_the_session(
    raised: BaseException, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DFL_DEBUG", raising=False)
    work = open_workspace(Source("nothing", ""))
    inputs = iter(["1", "2"])

    def define(text: str, name: str, print_expressions: bool) -> None:
        if text == "1":
            raise raised
        print("done", text)

    def read(prompt: str) -> str:
        text = next(inputs, None)
        if text is None:
            raise EOFError
        return text

    monkeypatch.setattr(work, "define", define)
    reader: Callable[[str], str] = read
    assert Repl(work, reader).run() == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("done 2\n", said)
