"""A store of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's store is in a folder of the test's."""
    monkeypatch.delenv("DFL_CACHE", raising=False)
    monkeypatch.setenv("DFL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"
