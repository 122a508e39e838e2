"""The examples run, and print what the text beside them says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*/*.py"))
PROGRAMS = sorted((ROOT / "examples").glob("*/*.dfl"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def test_there_are_examples() -> None:
    assert SCRIPTS and PROGRAMS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_a_script_prints_its_transcript(script: Path) -> None:
    done = subprocess.run([sys.executable, str(script)], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == script.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.parent.name)
def test_a_program_has_no_errors(program: Path) -> None:
    command = [sys.executable, "-m", "dsl", "check", str(program)]
    subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)


def test_the_readme_has_each_transcript_and_each_picture() -> None:
    readme = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for script in SCRIPTS:
        assert script.with_suffix(".txt").read_text(encoding="utf-8") in readme
    for picture in (ROOT / "examples").glob("*/*.png"):
        assert f"({picture.parent.name}/{picture.name})" in readme
        assert picture.stat().st_size < 60_000
