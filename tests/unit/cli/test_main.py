"""Exit codes and diagnostics: what the command makes of good programs, wrong ones, wrong usage and our own bugs."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import NoReturn

import pytest

from dsl.cli.main import COMMANDS, main
from dsl.diagnostics import Source, Span, error


def install(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    """A command `probe` whose execution raises."""

    def execute(arguments: object) -> NoReturn:
        raise raised

    module = ModuleType("probe")
    module.configure = lambda parser, command: parser.add_argument("--json", action="store_true")  # type: ignore[attr-defined]
    module.execute = execute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "probe", module)
    monkeypatch.setitem(COMMANDS, "probe", ("probe", "fails"))


def an_error() -> Exception:
    source = Source("a.dfl", "f(x) = y\n")
    return error("E0201", "y is not defined", Span(source, 7, 8), "did you mean x?")


def test_an_error_of_the_program_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, an_error())
    assert main(["probe"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "UndefVarError[E0201]: y is not defined\n --> a.dfl:1:8\n1 | f(x) = y\n  |        ^\n  hint: did you mean x?\n"
    )


def test_an_error_as_json_goes_to_the_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, an_error())
    assert main(["probe", "--json"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "error": {
            "code": "E0201",
            "kind": "UndefVarError",
            "file": "a.dfl",
            "line": 1,
            "column": 8,
            "message": "y is not defined",
            "hint": "did you mean x?",
        }
    }


def test_a_bug_of_ours_is_one_line_and_exit_code_125(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DFL_DEBUG", raising=False)
    install(monkeypatch, AssertionError("impossible"))
    assert main(["probe"]) == 125
    assert capsys.readouterr().err == (
        "internal error, please report: AssertionError: impossible (DFL_DEBUG=1 shows more)\n"
    )


def test_a_bug_shows_its_traceback_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DFL_DEBUG", "1")
    install(monkeypatch, AssertionError("impossible"))
    assert main(["probe"]) == 125
    err = capsys.readouterr().err
    assert "Traceback" in err and "internal error, please report" in err


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, KeyboardInterrupt())
    assert main(["probe"]) == 130


def test_wrong_usage_is_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    install(monkeypatch, AssertionError("never reached"))
    assert main(["probe", "--no-such-option"]) == 2
    assert "--no-such-option" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evl"]) == 2
    assert capsys.readouterr().err.startswith("dfl: there is no command 'evl'; did you mean eval?\n")


@pytest.mark.parametrize("words", [["--help"], ["help"], ["-h"]])
def test_help_lists_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: dfl {command}")
