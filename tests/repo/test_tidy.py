"""The tree is tidy: linter and type checker are content, and no text holds what belongs to one machine or one day."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = (".py", ".dfl", ".lark", ".md", ".toml", ".txt", ".json", ".sh", "")


def tracked() -> list[Path]:
    """The files under version control; without a repository all files outside of hidden and built folders."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [p for p in ROOT.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.parts)]


FILES = [p for p in tracked() if p.suffix in TEXTS]
# The patterns are written so that this file does not match itself.
FORBIDDEN = {
    "an absolute path of somebody's machine": re.compile(r"(?<![\w.])/(?:home|work|Users|root)/\w"),
    "a note that something is not done": re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b"),
    "a conflict marker": re.compile(r"^(?:<{7}|>{7}) ", re.M),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = []
    for path in FILES:
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m.group()!r}" for m in FORBIDDEN[what].finditer(text)]
    assert found == []


def test_modules_say_what_they_are() -> None:
    bare = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "dsl").rglob("*.py")
        if (text := path.read_text(encoding="utf-8").strip()) and not text.startswith(('"""', "#!"))
    ]
    assert bare == []


def test_modules_keep_to_one_subject() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "dsl").rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 900
    }
    assert long == {}


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["ruff check --quiet dsl tests tools", "mypy --no-error-summary"])
def test_linter_and_type_checker_are_content(tool: str) -> None:
    done = subprocess.run([sys.executable, "-m", *tool.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
