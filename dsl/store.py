"""What is kept from one process to the next: a store of bytes under keys, in files that may vanish or be damaged.

An entry is a file of its own, written to a temporary one and renamed, so that readers see all of it or nothing. It
begins with a checksum over its kind, its key and its contents: whatever else lies there (a part of an entry, another
one's contents) counts as nothing. No failure to read or write is an error. Entries are removed in the order of their
last use when they take more than `DFL_CACHE_SIZE` megabytes; how much has been written since that was looked at last
is the length of one small file, to which writers append a byte for each block.
"""

from __future__ import annotations

import contextlib
import os
import sys

from dsl.userfiles import cache_folder, is_own

try:  # without the rest of hashlib, which takes longer to import than a warm start may
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

DEFAULT_LIMIT = 512  # megabytes
BLOCK = 4096         # bytes: an entry takes a multiple of it
STALE = 3600.0       # seconds after which a temporary file is nobody's, and a use is noted anew
_MAGIC = b"dfl store 1\n"
_CHECK = 16          # bytes of a checksum
_TALLY = "tally"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_package = os.path.dirname(os.path.abspath(__file__))


def digest(*parts: bytes | str) -> str:
    """The key of some parts: others have another one, also where these run together alike."""
    found = blake2b(digest_size=20)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


class Store:
    """The store in a folder, which must be the user's own."""

    def __init__(self, folder: str, limit: int) -> None:
        """`limit`: bytes that entries may take."""
        self.folder = folder
        self.limit = limit

    def get(self, kind: str, key: str) -> bytes | None:
        """What was put under a key, None where nothing good is there."""
        path = self._path(kind, key)
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if status.st_size > self.limit:
                    return None
                data = file.read(status.st_size + 1)
        except OSError:
            return None
        head = len(_MAGIC) + _CHECK
        body = data[head:]
        if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : head] != _checksum(kind, key, body):
            return None
        self._used(path, status.st_mtime)
        return body

    def put(self, kind: str, key: str, body: bytes) -> None:
        """Keep this under a key, where there is room. What is there already stays until all of the new is."""
        if len(body) > self.limit // 4:
            return
        path = self._path(kind, key)
        temporary = f"{path}.{os.getpid():x}.{os.urandom(4).hex()}.new"
        try:
            try:
                file = os.open(temporary, _NEW, 0o600)
            except FileNotFoundError:
                os.mkdir(os.path.dirname(path), 0o700)
                file = os.open(temporary, _NEW, 0o600)
            try:
                _write_all(file, _MAGIC + _checksum(kind, key, body) + body)
            finally:
                os.close(file)
            os.replace(temporary, path)
            self._count(len(body))
        except OSError:  # a full disk, a folder that has gone or was made by another process meanwhile
            _remove(temporary)

    def entries(self) -> list[tuple[float, int, str]]:
        """The last use, the size and the path of every file."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as folders:
            for folder in folders:
                if len(folder.name) == 2 and folder.is_dir(follow_symlinks=False):
                    found += _entries_in(folder.path)
        return found

    def clear(self) -> None:
        """Remove all entries."""
        for _, _, path in self.entries():
            _remove(path)
        _remove(os.path.join(self.folder, _TALLY))

    def trim(self) -> None:
        """Remove what was not used for longest, down to three quarters of the limit."""
        import time

        entries = sorted(self.entries())
        room = sum(size for _, size, _ in entries)
        long_ago = time.time() - STALE
        for used, size, path in entries:
            if room > self.limit * 3 // 4 or (path.endswith(".new") and used < long_ago):
                _remove(path)
                room -= size
        _remove(os.path.join(self.folder, _TALLY))

    # -- inside
    def _path(self, kind: str, key: str) -> str:
        return os.path.join(self.folder, key[:2], f"{key}.{kind}")

    def _used(self, path: str, before: float) -> None:
        import time

        if time.time() - before > STALE:
            with contextlib.suppress(OSError):
                os.utime(path)

    def _count(self, size: int) -> None:
        """Note that this much has been written; after an eighth of the limit, look whether there is too much."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        file = os.open(os.path.join(self.folder, _TALLY), flags, 0o600)
        try:
            os.write(file, b"." * (_room(size) // BLOCK))
            written = os.fstat(file).st_size * BLOCK
        finally:
            os.close(file)
        if written > self.limit // 8:
            self.trim()


def _entries_in(folder: str) -> list[tuple[float, int, str]]:
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process removes them, too
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime, _room(status.st_size), entry.path))
    return found


def _checksum(kind: str, key: str, body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK, key=key.encode()[:64], person=kind.encode()[:16]).digest()


def _room(size: int) -> int:
    """What a file of this size takes."""
    return -(-(size or 1) // BLOCK) * BLOCK


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


# ---------------------------------------------------------------- the user's store

_opened: dict[tuple[str | None, ...], Store | None] = {}
_warned = False


def store() -> Store | None:
    """The user's store; None where there is none that can be used, or none is wanted (`DFL_CACHE=0`)."""
    key = tuple(map(os.environ.get, ("DFL_CACHE", "DFL_CACHE_DIR", "DFL_CACHE_SIZE", "XDG_CACHE_HOME", "HOME")))
    if key not in _opened:
        _opened[key] = None if key[0] in ("0", "off", "no") else _open(key[2])
    return _opened[key]


def limit() -> int:
    """How many bytes the user's store may take."""
    text = os.environ.get("DFL_CACHE_SIZE", "")
    return (int(text) if text.isdecimal() else DEFAULT_LIMIT) << 20


def _open(size: str | None) -> Store | None:
    base = cache_folder()
    if base is None:
        _explain()
        return None
    folder = str(base / "store")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return Store(folder, limit()) if is_own(folder) and limit() else None
    except OSError:
        return None


def _explain() -> None:
    """Say once that the folder that was asked for, or that is another's, is not used. A home that cannot be written is
    no mistake of anybody's."""
    global _warned
    named = os.environ.get("DFL_CACHE_DIR")
    if _warned or not named:
        return
    _warned = True
    import warnings

    from dsl.diagnostics import DslWarning

    warnings.warn(f"nothing is kept for the next start: {named} cannot be written, or is open to others",
                  DslWarning, stacklevel=2)  # fmt: skip


_print: list[str] = []


def fingerprint() -> str:
    """Of this package as it lies there, of Python and of the machine: what is kept holds for the same ones only."""
    if not _print:
        grammar = os.path.join(os.path.dirname(_package), "grammar")  # in a checkout it lies beside the package
        try:
            files = _files(_package)
            if os.path.isfile(os.path.join(grammar, "dfl.lark")):
                files += _files(grammar)
        except OSError:  # the package is no folder: nothing is known by which another start would be told apart
            files = [os.urandom(16).hex()]
        _print.append(digest(sys.version, *sorted(files)))
    return _print[0]


def _files(folder: str) -> list[str]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    found += _files(entry.path)
            elif not entry.name.endswith(".md"):
                status = entry.stat()
                found.append(f"{entry.name} {status.st_size} {status.st_mtime_ns}")
    return found
