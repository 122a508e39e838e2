"""Memory that calls have done with and that is kept for the calls that follow (`backend/pool.py`), seen from Python.

At most `DFL_MEMORY_CACHE` megabytes (an environment variable, 256 where it is not set, 0 for none) are kept.
"""

from __future__ import annotations

import ctypes
import os

from dsl.backend.pool import SYMBOL, WORDS, Pool

DEFAULT_LIMIT = 256  # megabytes


def _limit() -> int:
    """In bytes; what is no number counts as not set."""
    text = os.environ.get("DFL_MEMORY_CACHE", "")
    return (int(text) if text.isdecimal() else DEFAULT_LIMIT) << 20


_pool = (ctypes.c_int64 * WORDS)()
_pool[Pool.LIMIT] = _limit()


def symbols() -> dict[str, int]:
    """What native code calls the pool, and where it is."""
    return {SYMBOL: ctypes.addressof(_pool)}


def held() -> int:
    """How many bytes are kept now."""
    return int(_pool[Pool.HELD])


def release_memory() -> None:
    """Give the memory that is kept for further calls back to the system. What arrays in use occupy stays theirs."""
    if held():
        from dsl.runtime.support import functions

        ctypes.CFUNCTYPE(None)(functions("memory", 0)["dfl.trim"])()
