"""Object code of LLVM texts: out of the store where an earlier process has made it, else made and kept there."""

from __future__ import annotations

from dsl.store import digest, fingerprint, store

KIND = "object"


def object_key(text: str, level: int) -> str:
    """What the object code of a text at a level is kept under: everything that it depends on."""
    from dsl.runtime.llvm import target

    return digest(fingerprint(), target(), str(level), text)


def known(text: str, level: int) -> bool:
    """Whether the object code of a text has been kept."""
    kept = store()
    return kept is not None and kept.get(KIND, object_key(text, level)) is not None


def object_code(text: str, level: int, cache: bool = True) -> bytes:
    """The object code of a text. `cache` False: it is made, and not kept."""
    from dsl.runtime import llvm

    kept = store() if cache else None
    if kept is None:
        return llvm.object_code(text, level)
    key = object_key(text, level)
    code = kept.get(KIND, key)
    if code is None:
        code = llvm.object_code(text, level)
        kept.put(KIND, key, code)
    return code
