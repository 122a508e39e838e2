"""`dfl eval` and `dfl grad` of plain calls print what they print without the cache, and are warm; `dfl cache`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsl.cli import calls
from dsl.cli.calls import PlainCall
from dsl.cli.main import main
from dsl.types import FLOAT64, INT64, Irrational

ROOT = Path(__file__).resolve().parents[3]
CASES = json.loads((ROOT / "tests" / "cases" / "cases.json").read_text())
PLAIN = [c for c in CASES if PlainCall.read(c["call"], "eval") is not None]
PROGRAM = r'''
for i in 1:1 println("loading") end
f(x) = 5sin(x) + x^2
g(x, n) = x^n / n
h(x) = (a = [x, 2x, 3x]; sum(exp.(a)) + a[2])
sums(x, n) = (s = 0.0; for i in 1:n s += exp(x / i) end; s)
pair(x) = (x > 1, nothing, :symbol, "text $x", (a = x, b = [x, 1.0]))
half(n) = n ÷ 2
root(x) = sqrt(x)
said(x) = (println(x); x)
const k = 2.0
values = [1.0, 2.0]
total(x) = x * sum(values)
'''

Run = Callable[..., tuple[str, str, int, bool]]


@pytest.fixture
def run(own_store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command; gives what it prints, its code, and whether it was warm."""
    warm: list[bool] = []
    run_kept = calls.run_kept
    monkeypatch.setattr(calls, "run_kept", lambda *args: warm.append(run_kept(*args)) or warm[-1])

    def command(*words: str) -> tuple[str, str, int, bool]:
        warm.clear()
        code = main(words)
        out, err = capsys.readouterr()
        return out, err, code, warm == [True]

    return command


def test_plain_calls() -> None:
    found = PlainCall.read(" f''( -2.5, 3,π , 1e3,-7)", "eval")
    assert found is not None
    assert (found.name, found.primes, found.gradient) == ("f", 2, False)
    assert found.types == (FLOAT64, INT64, Irrational("π"), FLOAT64, INT64)
    assert found.leaves == [-2.5, 3, 1e3, -7]
    assert [type(x) for x in found.leaves] == [float, int, float, int]
    found = PlainCall.read("gradient(swap!, 1.0)", "eval")
    assert found is not None and (found.name, found.gradient) == ("swap!", True)
    assert PlainCall.read("f()", "eval") is not None
    others = (
        "f(x)", "f(1.0", "f(1.)", "f(.5)", "f(1f0)", "f(-π)", "f(1,)", "f(,1)", "f (1)", "f(1) + 1", "f.(1)", "2f(1)",
        "f(0x10)", "f(1_000)", "f(--1)", "f(+1)", "f(1234567890123456789)", "f(1)(2)", "gradient(f)",
        "gradient(f', 1.0)", "f(٣)", "f(2;)", "f(1e400)",
    )  # fmt: skip
    assert [text for text in others if PlainCall.read(text, "eval") is not None] == []
    assert PlainCall.read("f'(1.0)", "grad") is None


def _scaled(call: str, scale: float) -> str:
    """The call with other floats."""
    return re.sub(r"\d+\.\d+", lambda m: repr(float(m[0]) * scale), call)


@pytest.mark.parametrize("case", PLAIN, ids=lambda c: c["name"])
def test_cases_print_the_same_when_warm(case: dict[str, str], run: Run, tmp_path: Path) -> None:
    file = tmp_path / "case.dfl"
    file.write_text(case["program"])
    others = [_scaled(case["call"], scale) for scale in (0.5, 1.25)]
    first = run("eval", str(file), case["call"])
    assert first == run("eval", "--no-cache", str(file), case["call"])
    for call in (case["call"], *others):
        *full, _ = run("eval", "--no-cache", str(file), call)
        *kept, _ = run("eval", str(file), call)
        assert kept == full


def test_most_cases_are_warm(run: Run, tmp_path: Path) -> None:
    """A second call of a case runs what the first has kept: of every third case, since there are many."""
    warm: dict[str, bool] = {}
    for case in PLAIN[::3]:
        file = tmp_path / f"{case['name']}.dfl"
        file.write_text(case["program"])
        run("eval", str(file), case["call"])
        *_, warm[case["name"]] = run("eval", str(file), case["call"])
    assert len(warm) > 30 and sum(warm.values()) > 0.7 * len(warm), [name for name, w in warm.items() if not w]


@pytest.mark.parametrize(
    ("cold", "others", "warm"),
    [
        ("f(2.0)", ["f(3.0)", "f(-0.0)", "f(1e300)", "f(1e-7)", "f(1e-400)", "f(5e-324)"], True),
        ("f'(2.0)", ["f'(3.25)", "f'(-3.25)", "f'(0.0)"], True),
        ("f''(2)", ["f''(3)", "f''(-3)"], True),
        ("f'(π)", ["f'(π)"], True),
        ("gradient(g, 2.0, 3)", ["gradient(g, 3.5, 2)", "gradient(g, -3.5, 2)", "gradient(g, 2.0, 0)"], True),
        ("h(1.0)", ["h(2.0)"], True),
        ("pair(1.0)", ["pair(2.0)"], True),
        ("half(3)", ["half(-3)", "half(0)"], True),
        ("root(3.0)", ["root(2.0)"], True),
        ("sums(1.0, 3)", ["sums(1.5, 4)", "sums(1.5, 1000)"], False),  # its exponential is chosen by the loop
        ("said(1.0)", ["said(2.0)"], False),
        ("total(1.0)", ["total(2.0)"], True),
        ("k", ["k"], False),
        ("f(1, 2)", ["f(2, 3)"], False),
        ("gradient(nothing_there, 1.0)", ["gradient(nothing_there, 2.0)"], False),
    ],
)
def test_other_arguments(cold: str, others: list[str], warm: bool, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "program.dfl"
    file.write_text(PROGRAM)
    assert not run("eval", str(file), cold)[-1]
    for call in others:
        *full, never = run("eval", "--no-cache", str(file), call)
        *kept, is_warm = run("eval", str(file), call)
        assert kept == full
        assert (never, is_warm) == (False, warm)


def test_errors_are_those_of_the_usual_way(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "program.dfl"
    file.write_text(PROGRAM)
    assert run("eval", str(file), "root(2.0)")[2] == 0
    out, err, code, warm = run("eval", str(file), "root(-2.0)")
    assert (out, code, warm) == ("loading\n", 1, False)
    assert "root(x) = sqrt(x)" in err


def test_grad(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "program.dfl"
    file.write_text(PROGRAM)
    assert run("grad", str(file), "g(2.0, 3)")[0].startswith("loading\n(4.0, ")
    first = run("grad", "--no-cache", str(file), "g(4.0, 3)")
    assert run("grad", str(file), "g(4.0, 3)") == (*first[:3], True)
    assert run("eval", str(file), "gradient(g, 4.0, 3)") == (*first[:3], True)


def test_a_function_that_hides_gradient(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "program.dfl"
    file.write_text("f(x) = x^2\ngradient(f, x) = 7.0\n")
    for _ in range(2):
        assert run("eval", str(file), "gradient(f, 2.0)") == ("7.0\n", "", 0, False)


def test_a_program_that_changes(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "program.dfl"
    for k in (1, 2):
        file.write_text(f"f(x) = {k}x\n")
        assert run("eval", str(file), "f(2.0)") == (f"{2.0 * k}\n", "", 0, False)
        assert run("eval", str(file), "f(3.0)") == (f"{3.0 * k}\n", "", 0, True)


def test_a_whole_process_imports_little(own_store: Path, tmp_path: Path) -> None:
    file = tmp_path / "program.dfl"
    file.write_text("f(x) = 5sin(x)\n")
    code = "import sys\nfrom dsl.cli.main import main\nmain(sys.argv[1:])\nprint(*sys.modules, file=sys.stderr)"

    def command(call: str) -> tuple[str, set[str]]:
        words = [sys.executable, "-c", code, "eval", str(file), call]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout, set(done.stderr.split())

    assert "dsl.driver" in command("f'(2.0)")[1]
    out, modules = command("f'(0.0)")
    assert out == "5.0\n"
    heavy = {"lark", "numpy", "argparse", "dsl.driver", "dsl.lower", "dsl.ad", "dsl.passes", "dsl.ops"}
    assert not modules & heavy
    assert "dsl.runtime.kept" in modules


# ---------------------------------------------------------------- dfl cache


def test_cache_info_clear_and_dir(run: Run, own_store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "program.dfl"
    file.write_text("f(x, n) = x^n\n")
    run("eval", str(file), "f(2.0, 3)")
    assert run("cache", "dir")[0] == f"{own_store / 'store'}\n"
    told = json.loads(run("cache", "info", "--json")[0])
    assert told["folder"] == str(own_store / "store")
    assert told["entries"]["program"] == told["entries"]["code"] == 1
    assert 0 < told["bytes"] < told["limit"] == 512 << 20
    text = run("cache", "info")[0]
    assert text.splitlines()[0] == told["folder"] and "1  program" in text
    assert run("cache", "clear")[:3] == ("", "", 0)
    assert json.loads(run("cache", "info", "--json")[0])["entries"] == {}
    assert not run("eval", str(file), "f(2.0, 3)")[-1]
    monkeypatch.setenv("DFL_CACHE", "0")
    assert run("cache", "dir")[0] == run("cache", "info")[0] == "nothing is kept\n"
    assert json.loads(run("cache", "dir", "--json")[0]) == {"folder": None}
    assert os.environ["DFL_CACHE_DIR"]
