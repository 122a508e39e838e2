"""Copies in other processes: a program is pickled by its text with all that it includes, a function by how it is made
again there, a struct or a reference by its contents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from os import urandom
from typing import Any
from weakref import WeakValueDictionary

from dsl.diagnostics import Source
from dsl.options import Mode, Options
from dsl.programs import Program
from dsl.runtime import kept
from dsl.runtime.convert import remade
from dsl.runtime.lock import LOCK
from dsl.syntax.files import read_source
from dsl.types import LangType, Origin, all_interned, intern

_at_hand: WeakValueDictionary[str, Any] = WeakValueDictionary()  # the programs that have been pickled, by their tokens
_copies: deque[Any] = deque(maxlen=16)  # the last ones that came stay, for the next function of theirs


class Copied:
    """What a workspace needs to be pickled."""

    source: Source
    options: Options
    program: Program
    shown: bool
    extended: bool  # it is more than its source says
    token: str = ""  # tells it from all others, where copies of it are about

    def declared(self, name: str) -> object:
        """What declares a struct."""
        raise NotImplementedError

    def __reduce__(self) -> Any:
        if self.extended:
            raise TypeError("the program is more than its text says by now: it cannot be pickled")
        if not self.token:
            self.token = urandom(16).hex()
            _at_hand[self.token] = self
        included = {path: source.text for path, source in self.program.included.items()}
        own = self.source.name, self.source.text, included, self.options.told(), self.shown
        return _workspace_of, (type(self), self.token, *own)

    def reduced(self, type: LangType, items: Sequence[Any], memory: Any) -> Any:
        """How a struct or a reference of the program is pickled."""
        try:
            written = kept.written_type(type, named=True)
        except kept.Unkeepable:
            raise TypeError(f"a {type} cannot be pickled: what it is depends on the place that made it") from None
        return _value_of, (self, written, items, memory, all_interned() if memory is not None else [])


def reduced_function(workspace: Copied, path: Origin | None, mode: Mode | None, shown: str) -> Any:
    """How a function is pickled."""
    if path is None:
        raise TypeError(f"{shown} holds what a call has computed, so it cannot be pickled: pickle what gave it")
    return _function_of, (workspace, tuple(path), mode)


# ---------------------------------------------------------------- in the other process


def _workspace_of(
    make: Callable[..., Any], token: str, name: str, text: str, included: dict[str, str], told: Sequence[Any],
    shown: bool,
) -> Any:  # fmt: skip
    """The workspace that was pickled: itself, where it is of this process or was when it was forked, or its copy."""
    with LOCK:
        found = _at_hand.get(token)
        if found is None:
            texts = {path: Source(path, text) for path, text in included.items()}

            def read(path: str) -> Source:
                return texts[path] if path in texts else read_source(path)

            found = make(Source(name, text), Options(*told), print_expressions=shown, read=read, quiet=True)
            found.token = token
            _at_hand[token] = found
            _copies.append(found)
        return found


def _function_of(workspace: Any, path: Sequence[str], mode: Mode | None) -> Any:
    name, *transforms = path
    made = workspace.lookup(name) if name in workspace.names() else workspace.function(name)
    for text in transforms:
        made = workspace.transform(text, made, None)
    return made if made.mode == mode else made.in_mode(mode)


def _value_of(workspace: Any, written: Any, items: Sequence[Any], memory: Any, texts: Sequence[str]) -> Any:
    for text in texts:
        intern(text)
    return remade(kept.read_type(written, workspace.declared), items, memory, workspace.wrap)
