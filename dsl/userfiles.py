"""Where the user's own files lie: the folder for what can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """The folder for caches, made if need be; None where there is none that can be trusted and written.

    What lies there is loaded as it is, so the folder must be the user's own and closed to others.
    DFL_CACHE_DIR names another one; empty, it means that nothing is to be kept.
    """
    named = os.environ.get("DFL_CACHE_DIR")
    if named == "":
        return None
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = Path(named) if named else base / "dfl"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trusted = is_own(folder)
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return None
    return folder if trusted and os.access(folder, os.W_OK) else None


def is_own(folder: str | Path) -> bool:
    """Whether a folder is the user's and closed to the writing of others, where the system knows of users."""
    status = os.stat(folder)
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
