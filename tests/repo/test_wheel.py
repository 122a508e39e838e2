"""The wheel is complete: built, unpacked somewhere else and used there, without this checkout in sight."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (made,) = folder.glob("dfl_lang-*.whl")
    return made


@pytest.mark.slow
def test_the_wheel_carries_the_grammar_and_the_library(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"dsl/_grammar/dfl.lark", "dsl/_grammar/dfl.tables"} <= names
    library = {f"dsl/stdlib/{path.name}" for path in (ROOT / "dsl" / "stdlib").glob("*.dfl")}
    assert library <= names
    assert not [name for name in names if name.startswith(("tests/", "grammar/")) or "__pycache__" in name]


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """What a wheel of pure Python is when installed: its files, unpacked on the path."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = "import dsl; print(dsl.__file__); print(dsl.loads('f(x) = 5sin(x)').eval(\"f'(π)\"))"
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    place, value = done.stdout.split("\n")[:2]
    assert place.startswith(str(site))
    assert value == "-5.0"
