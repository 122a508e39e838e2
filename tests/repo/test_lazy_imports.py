"""What starts the command must be light: heavy packages are imported only by the paths that need them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("lark", "numpy", "llvmlite", "scipy", "pygments", "prompt_toolkit", "rich")


def loaded_after(code: str) -> set[str]:
    """The heavy packages that a fresh Python has loaded after some code."""
    probe = f"import sys\n{code}\nsys.stderr.write(' '.join(n for n in {HEAVY!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_importing_leaves_the_collector_as_it_was() -> None:
    """What is frozen stays frozen, what is off stays off."""
    code = "import gc, dsl\n{}\ndsl.loads\nassert (gc.isenabled(), gc.get_freeze_count() > 0) == {}"
    loaded_after(code.format("", (True, False)))
    loaded_after(code.format("gc.freeze()", (True, True)))
    loaded_after(code.format("gc.disable()", (False, False)))


def test_import_dsl_loads_nothing_heavy() -> None:
    assert loaded_after("import dsl; dsl.__version__; dir(dsl)") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["explain", "E0401"]])
def test_help_and_explain_load_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_after(f"from dsl.cli.main import main; main({arguments!r})") == set()


def test_syntax_loads_nothing_heavy() -> None:
    code = "from dsl.syntax import parse_file; from dsl.diagnostics import Source; parse_file(Source('a', 'f(x) = x'))"
    assert loaded_after(code) == set()


@pytest.mark.parametrize("asked", ["m.f(3.0) == 9.0", "dsl.grad(m.f)(3.0) == 6.0", "m.eval('f(3.0)') == 9.0"])
def test_numbers_need_llvm_alone(asked: str) -> None:
    assert loaded_after(f"import dsl; m = dsl.loads('f(x) = x^2'); assert {asked}") <= {"llvmlite"}
