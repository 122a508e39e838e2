"""Reading a file into a Source, with an error that says why it cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

from dsl.diagnostics import NO_SPAN, Source, Span, error

MAX_BYTES = 16 * 2**20


def read_source(path: str | os.PathLike[str]) -> Source:
    """The text of a `.dfl` file (UTF-8, a byte-order mark allowed)."""
    path = Path(path)
    try:
        if path.is_dir():
            raise error("E0601", f"`{path}` is a folder, not a file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error("E0601", f"there is no file `{path}`", hint=_nearby(path)) from None
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise error("E0601", f"`{path}` cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise error("E0601", f"`{path}` is larger than {MAX_BYTES // 2**20} MB", hint="a program is text; is it data?")
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Source:
    """The Source of a file's bytes."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        message = f"`{name}` is not UTF-8 text (line {line}, byte {e.start + 1})"
        raise error("E0603", message, NO_SPAN, "save the file as UTF-8") from None
    source = Source(name, text)
    if "\0" in text:
        at = text.index("\0")
        raise error("E0603", "a zero byte stands in the text", Span(source, at, at + 1), "is this a binary file?")
    return source


def _nearby(path: Path) -> str:
    other = path.with_name(path.name + ".dfl")
    return f"did you mean `{other}`?" if path.suffix != ".dfl" and other.is_file() else ""
