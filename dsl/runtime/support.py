"""Support code in this process: each piece (`backend/support.py`) is linked when a unit first needs it, and stays. It
is compiled where no earlier process has done that; what is kept of it is all that linking needs."""

from __future__ import annotations

import marshal
from collections.abc import Iterable

from dsl.runtime import pool
from dsl.runtime.blas import addresses
from dsl.runtime.lock import LOCK
from dsl.store import digest, fingerprint, store

LEVEL = 2  # of LLVM; 0 for code that is provisional
KIND = "support"
_linked: dict[tuple[str, int], dict[str, int]] = {}


def functions(symbol: str, level: int = LEVEL) -> dict[str, int]:
    """The address of each function of a piece, given by what units call it."""
    with LOCK:
        if (symbol, level) not in _linked:
            from dsl.runtime.llvm import Library

            exports, needs, blas, code = _kept(symbol, level) or _made(symbol, level)
            wanted = imports(needs, level) | addresses(blas) | pool.symbols()
            library = Library(code, exports, wanted)
            _linked[symbol, level] = {name: library[name] for name in exports}
            library.keep()
        return _linked[symbol, level]


def imports(symbols: Iterable[str], level: int = LEVEL) -> dict[str, int]:
    """All functions of these pieces."""
    return {name: address for symbol in symbols for name, address in functions(symbol, level).items()}


def missing(symbols: Iterable[str]) -> int:
    """How many lines of these pieces are still to be optimised."""
    from dsl.backend.support import piece

    new = [symbol for symbol in symbols if (symbol, LEVEL) not in _linked and _kept(symbol, LEVEL) is None]
    return sum(piece(symbol).source.count("\n") for symbol in new)


# ---------------------------------------------------------------- made and kept

Linkable = tuple[list[str], list[str], list[str], bytes]  # exports, pieces and functions of BLAS it needs, object code


def _made(symbol: str, level: int) -> Linkable:
    from dsl.backend.support import piece
    from dsl.runtime import llvm

    found = piece(symbol)
    made = found.exports, [p.symbol for p in found.needs], list(found.blas), llvm.object_code(found.text, level)
    kept = store()
    if kept is not None:
        kept.put(KIND, _key(symbol, level), marshal.dumps(made))
    return made


def _kept(symbol: str, level: int) -> Linkable | None:
    kept = store()
    found = kept.get(KIND, _key(symbol, level)) if kept is not None else None
    return None if found is None else marshal.loads(found)


def _key(symbol: str, level: int) -> str:
    from dsl.runtime.llvm import target

    return digest(fingerprint(), target(), symbol, str(level))
