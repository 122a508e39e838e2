"""Support code in this process: each piece (`backend/support.py`) is compiled when a unit first needs it, and stays."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from dsl.backend.support import Piece
from dsl.runtime import pool
from dsl.runtime.blas import addresses

LEVEL = 2  # of LLVM; 0 for code that is provisional
_lock = threading.RLock()
_compiled: dict[tuple[Piece, int], dict[str, int]] = {}


def functions(piece: Piece, level: int = LEVEL, symbols: Mapping[str, int] | None = None) -> dict[str, int]:
    """The address of each function of a piece. `symbols`: what else it needs, by name."""
    with _lock:
        if (piece, level) not in _compiled:
            from dsl.runtime.llvm import Library, object_code

            names = piece.exports
            wanted = imports(piece.needs, level) | addresses(piece.blas) | pool.symbols() | dict(symbols or {})
            library = Library(object_code(piece.text, level), names, wanted)
            _compiled[piece, level] = {name: library[name] for name in names}
            library.keep()
        return _compiled[piece, level]


def imports(pieces: Iterable[Piece], level: int = LEVEL) -> dict[str, int]:
    """All functions of these pieces."""
    return {name: address for piece in pieces for name, address in functions(piece, level).items()}


def missing(pieces: Iterable[Piece]) -> int:
    """How many lines of these pieces have not been optimised yet."""
    return sum(piece.source.count("\n") for piece in pieces if (piece, LEVEL) not in _compiled)
