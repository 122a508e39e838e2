"""Support code in this process: each piece (`backend/support.py`) is compiled when a unit first needs it, and stays."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from dsl.backend.support import Piece
from dsl.runtime import pool
from dsl.runtime.blas import addresses

LEVEL = 2  # of LLVM, whatever that of the units is
_lock = threading.RLock()
_compiled: dict[Piece, dict[str, int]] = {}


def functions(piece: Piece) -> dict[str, int]:
    """The address of each function of a piece."""
    with _lock:
        if piece not in _compiled:
            from dsl.runtime.llvm import Library, object_code

            names = piece.exports
            wanted = imports(piece.needs) | addresses(piece.blas) | pool.symbols()
            library = Library(object_code(piece.text, LEVEL), names, wanted)
            _compiled[piece] = {name: library[name] for name in names}
            library.keep()
        return _compiled[piece]


def imports(pieces: Iterable[Piece]) -> dict[str, int]:
    """All functions of these pieces."""
    return {name: address for piece in pieces for name, address in functions(piece).items()}
