"""The folder for caches is used only where it is the user's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsl.userfiles import cache_folder


def test_the_folder_is_made_and_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFL_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache_folder()
    assert folder == tmp_path / "cache" / "dfl"
    assert folder.is_dir() and not folder.stat().st_mode & 0o077


def test_a_folder_can_be_named_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("DFL_CACHE_DIR", "")
    assert cache_folder() is None


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    os.chmod(folder, 0o777)
    monkeypatch.setenv("DFL_CACHE_DIR", str(folder))
    assert cache_folder() is None


def test_a_file_in_the_way_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DFL_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert cache_folder() is None


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"\x80\x04\x95" * 50])
def test_a_bad_file_of_parser_tables_is_made_again(tmp_path: Path, rubbish: bytes) -> None:
    code = (
        "from dsl.syntax import parse_file\nfrom dsl.diagnostics import Source\n"
        "print(len(parse_file(Source('a', 'f(x) = x\\ng(x) = 2x')).statements))"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "DFL_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}

    def parse() -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert parse() == "2\n"
    (tables,) = tmp_path.iterdir()
    good = tables.read_bytes()
    first_line = good[: good.index(b"\n") + 1]  # what Lark compares, so that the rest is read
    tables.write_bytes(first_line + rubbish)
    assert parse() == "2\n"
    assert len(tables.read_bytes()) > len(good) / 2
