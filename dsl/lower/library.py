"""Which file of the standard library defines which name, found without parsing, so that a file is read when needed.

A file is taken in when one of its new names is looked up, or when a built-in function that it gives methods to is
called with what it has no method for. Definitions stand at the beginning of a line, with their signature on it:
`function f(…)`, `f(x) = …`, `struct T`, `const T = …`, `abstract type T`. `tests/unit/lower/test_library.py` compares
this with the parser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from dsl.diagnostics import Source

_QUOTED = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""|^"(?:[^"\\\n]|\\.)*"|#=.*?=#', re.MULTILINE | re.DOTALL)
_DEFINITION = re.compile(
    r"^(?:function\s+|mutable\s+struct\s+|struct\s+|abstract\s+type\s+|const\s+|(?=\S+?\())"
    r"(?!@)(?:Base\.)?([<>=!]=+|[^\s({=,;]+)(.*)",
    re.MULTILINE,
)
_TYPE_OF_ARGUMENT = re.compile(r"::(?:Type{)?(\w+)")
_STRUCT = re.compile(r"^(?:mutable\s+)?struct\s+(\w+)", re.MULTILINE)


@cache
def stdlib_sources() -> tuple[Source, ...]:
    """The files of the standard library, in the order of their names."""
    folder = Path(__file__).resolve().parent.parent / "stdlib"
    return tuple(Source(f"<{p.name}>", p.read_text("utf-8")) for p in sorted(folder.glob("*.dfl")))


def defined_names(text: str) -> list[str]:
    """The names that a library file defines or gives methods to, in order. A method that takes a struct of the file
    itself does not count: such a value tells that the file has been read."""
    text = _QUOTED.sub("", text)
    own = frozenset(_STRUCT.findall(text))
    found = _DEFINITION.findall(text)
    return list(dict.fromkeys(name for name, rest in found if own.isdisjoint(_TYPE_OF_ARGUMENT.findall(rest))))


@cache
def _index(sources: tuple[Source, ...]) -> dict[str, tuple[Source, ...]]:
    found: dict[str, tuple[Source, ...]] = {}
    for source in sources:
        for name in defined_names(source.text):
            found[name] = (*found.get(name, ()), source)
    return found


def index(sources: Sequence[Source] | None) -> Mapping[str, tuple[Source, ...]]:
    """The files that define a name; of the standard library for None."""
    return _index(stdlib_sources() if sources is None else tuple(sources))
