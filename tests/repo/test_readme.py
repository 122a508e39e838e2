"""The README tells the truth: every block that shows a command or a Python session is run and its output compared.

A ```console block holds `$ command` lines, each followed by what it prints; a ```pycon block is a Python session.
The files that these need are given by the ```dfl blocks, each saved under the name that the comment on its first line
gives.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
BLOCKS = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
# The two commands that set everything up are run by continuous integration; here they would run this very test.
SET_UP = ("./tools/run", "./tools/test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's programs and the examples."""
    path = tmp_path_factory.mktemp("readme")
    for language, text in BLOCKS:
        if language == "dfl":
            name = re.match(r"# (\S+\.dfl)\n", text)
            assert name, f"a dfl block does not begin with the name of its file:\n{text}"
            (path / name[1]).write_text(text, encoding="utf-8")
    (path / "examples").symlink_to(ROOT / "examples")
    return path


def commands(block: str) -> list[tuple[str, str]]:
    """(command, expected output) pairs of a console block."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
    assert parts[0] == "", "a console block begins with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


CONSOLE = [pair for language, text in BLOCKS if language == "console" for pair in commands(text)]


def test_the_two_commands_come_first() -> None:
    assert [command for command, _ in CONSOLE][:2] == list(SET_UP)


@pytest.mark.parametrize(("command", "expected"), [pair for pair in CONSOLE if pair[0] not in SET_UP])
def test_a_command_prints_what_the_readme_shows(command: str, expected: str, folder: Path) -> None:
    assert command.startswith("dfl "), "only dfl commands can be shown"
    shell = f"{sys.executable} -m dsl {command.removeprefix('dfl ')}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    done = subprocess.run(shell, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.stdout + done.stderr).rstrip() == expected.rstrip()


@pytest.mark.parametrize("session", [text for language, text in BLOCKS if language == "pycon"])
def test_a_python_session_prints_what_the_readme_shows(
    session: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", "README.md", 0)
    told: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert tried > 0
    assert failed == 0, "".join(told)
