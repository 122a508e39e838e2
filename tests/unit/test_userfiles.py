"""The folder for caches is used only where it is the user's own."""

from __future__ import annotations

import os
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
