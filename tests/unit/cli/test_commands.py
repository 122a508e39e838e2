"""The commands on real programs: results on the standard output, diagnostics on the standard error."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from dsl.cli.main import main

MODEL = """\
import Base: +
struct Point
  x::Float64
  y::Float64
end
a::Point + b::Point = Point(a.x + b.x, a.y + b.y)
a = Point(1, 2)
b = Point(3, 4)
f(x) = x^2 + 2x + 1
wave(x) = 5*sin(x)
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.dfl"
    path.write_text(MODEL, encoding="utf-8")
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command prints on the standard output; it must end with the code."""
    assert main(words) == code, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("f(5)", "36"),
        ("f(5.0)", "36.0"),
        ("f'(5)", "12.0"),
        ("gradient(f, 5)", "(12.0,)"),
        ("gradient(x -> (x + b).x, a)", "((x = 1.0, y = nothing),)"),
        ("a + b", "Point(4.0, 6.0)"),
        ("(1, :a, true, nothing)", "(1, :a, true, nothing)"),
        ("1e-5", "1.0e-5"),
    ],
)
@pytest.mark.parametrize("option", [(), ("--interp",), ("-O0",), ("--no-optimize",)])
def test_eval(
    capsys: pytest.CaptureFixture[str], model: str, expression: str, value: str, option: tuple[str, ...]
) -> None:
    assert printed(capsys, "eval", model, expression, *option) == value + "\n"


def test_eval_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "eval", "gradient(log, 2)") == "(0.5,)\n"


def test_eval_as_json(capsys: pytest.CaptureFixture[str], model: str) -> None:
    out = printed(capsys, "eval", model, "gradient(x -> (x + b).x, a)", "--json")
    assert json.loads(out) == {"value": [{"x": 1.0, "y": None}]}


def test_grad_of_a_call(capsys: pytest.CaptureFixture[str], model: str) -> None:
    assert printed(capsys, "grad", model, "f(5.0)") == "(12.0,)\n"


def test_grad_needs_a_call(capsys: pytest.CaptureFixture[str], model: str) -> None:
    assert main(["grad", model, "3.0"]) == 1
    assert "E0409" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_modes_agree(capsys: pytest.CaptureFixture[str], model: str, mode: str) -> None:
    assert printed(capsys, "eval", model, "wave'(0.0)", "--mode", mode) == "5.0\n"


def test_run_prints_bare_expressions_in_order(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "book.dfl"
    path.write_text('f(x) = 3x\nf(2)\nprintln("between")\nf(2.0)\n', encoding="utf-8")
    assert printed(capsys, "run", str(path)) == "6\nbetween\n6.0\n"


def test_a_program_from_the_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"g(x) = 2x\n")))
    assert printed(capsys, "eval", "-", "g(4)") == "8\n"


def test_a_standard_input_that_is_not_utf_8(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"f(x) = \xff\n")))
    assert main(["eval", "-", "f(4)"]) == 1
    assert "E06" in capsys.readouterr().err


def test_no_checks_gives_nan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "sqrt(-1.0)"]) == 1
    assert "DomainError[E0401]" in capsys.readouterr().err
    assert printed(capsys, "eval", "sqrt(-1.0)", "--no-checks") == "NaN\n"


def test_check_reports_every_file(capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path) -> None:
    assert printed(capsys, "check", model) == "no errors\n"
    bad = tmp_path / "bad.dfl"
    bad.write_text("f(x) = (x + \n", encoding="utf-8")
    assert main(["check", str(bad), model, str(tmp_path / "missing.dfl")]) == 1
    err = capsys.readouterr().err
    assert "bad.dfl:1" in err and "missing.dfl" in err and err.count("[E") == 2


def test_check_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.dfl"
    bad.write_text("f(x) = (x + \n", encoding="utf-8")
    (record,) = json.loads(printed(capsys, "check", str(bad), "--json", code=1))["errors"]
    assert record["kind"] == "SyntaxError" and record["line"] == 1 and record["file"].endswith("bad.dfl")


def test_code_llvm_of_a_constant_derivative(capsys: pytest.CaptureFixture[str], model: str) -> None:
    lines = printed(capsys, "code-llvm", model, "wave'(π)").splitlines()
    assert lines[0].startswith("define double @") and lines[0].endswith("{")
    assert [line.strip() for line in lines[1:]] == ["ret double -5.000000e+00", "}"]


def test_code_llvm_of_a_number_has_a_parameter(capsys: pytest.CaptureFixture[str], model: str) -> None:
    text = printed(capsys, "code-llvm", model, "wave'(2.0)")
    assert "(double %" in text.splitlines()[0]
    assert "@dfl.shared.cos.f64(double %" in text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("code-ast", "Prime"),
        ("code-lowered", "vjp"),
        ("code-typed", "cos"),
        ("code-adjoint", "cos"),
        ("code-native", "cos"),
    ],
)
def test_every_stage_can_be_seen(capsys: pytest.CaptureFixture[str], model: str, command: str, shown: str) -> None:
    expression = "wave(2.0)" if command == "code-adjoint" else "wave'(2.0)"
    assert shown in printed(capsys, command, model, expression)


def test_code_plan(capsys: pytest.CaptureFixture[str], model: str) -> None:
    assert printed(capsys, "code-plan", model, "wave(2.0)").strip()


def test_timings_name_the_stages(capsys: pytest.CaptureFixture[str], model: str) -> None:
    assert main(["code-native", model, "f(2.0)", "--timings"]) == 0
    stages = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert {"parse", "lower", "passes", "ad", "llvm"} <= set(stages)


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "explain", "e0401").startswith("E0401 (DomainError): ")
    assert "E0901" in printed(capsys, "explain")
    assert main(["explain", "E9999"]) == 2


@pytest.mark.parametrize("command", ["eval", "code-llvm"])
def test_a_file_without_an_expression_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], model: str, command: str
) -> None:
    assert main([command, model]) == 2
    assert capsys.readouterr().err.startswith(f"usage: dfl {command}")
