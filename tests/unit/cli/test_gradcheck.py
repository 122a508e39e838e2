"""`dfl gradcheck`: the table, the plot, JSON, and what is wrong with a call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsl.check import STEPS
from dsl.cli.gradcheck import plot
from dsl.cli.main import main

MODEL = """\
f(x, y) = x^2*y + sin(y)
g(v) = v[1]*v[2]^3
wrong(x) = x^2
@adjoint wrong(x) = wrong(x), ȳ -> (3ȳ*x,)
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.dfl"
    path.write_text(MODEL, encoding="utf-8")
    return str(path)


def test_the_table_and_the_plot(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", model, "f(2.0, 3.0)"]) == 0
    out = capsys.readouterr().out
    assert "args[0]" in out and "args[1]" in out and "≠" not in out
    rows = [line for line in out.splitlines() if line.startswith("   1e") and "|" in line]
    assert len(rows) > 5 and all("*" in row or row.endswith("|") for row in rows)


def test_json_and_second_order(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", model, "g([2.0, 3.0])", "--json", "--order", "2"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["agrees"] is True
    assert data["steps"] == list(STEPS) and len(data["errors"]) == len(STEPS)
    first = {e["name"]: (e["forward"], e["reverse"]) for e in data["entries"][:2]}
    assert first == {"args[0][0]": (27.0, 27.0), "args[0][1]": (54.0, 54.0)}
    # the weighted gradient is v₂³ + 2·3v₁v₂²
    assert [e["forward"] for e in data["entries"][2:]] == [54.0, 27.0 + 72.0]


def test_a_wrong_rule_is_found(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", model, "wrong(2.0)"]) == 1
    assert "≠" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["1.0", "f", "f(2.0; a=1)"])
def test_what_is_no_plain_call(model: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", model, what]) == 1
    assert "E0" in capsys.readouterr().err


def test_the_plot_is_as_wide_as_there_is_room() -> None:
    steps = [10.0**-k for k in range(13)]
    errors = [max(h * h, 1e-16 / h) for h in steps]
    for columns in (40, 100):
        lines = plot(steps, errors, columns, terminal=True).splitlines()
        assert max(map(len, lines)) <= columns
    lines = plot(steps, errors, 80, terminal=True).splitlines()
    body = [line.split("│")[1] for line in lines if "│" in line]
    places = [line.index("●") for line in body if "●" in line]
    assert body[-1].count("●") >= 1 and places  # the best step is at the bottom
    assert plot(steps, [0.0] * 13, 80, terminal=False) == "the differences are exact at every step"
