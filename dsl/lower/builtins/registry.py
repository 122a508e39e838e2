"""The table of built-in functions.

A built-in gets the frame and its arguments and gives a value, or None where it has no method for these types: the
caller then raises the MethodError. It checks its own domain. Functions written in the language itself are in
`dsl/stdlib`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsl.lower.values import Val

Lower = Callable[..., Val | None]


@dataclass(frozen=True, eq=False, slots=True)
class Builtin:
    """`lower(frame, args, **keywords)`. `forms` are what it may be called with, for messages."""

    name: str
    lower: Lower
    keywords: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()


BUILTINS: dict[str, Builtin] = {}


def builtin(*names: str, keywords: tuple[str, ...] = (), forms: tuple[str, ...] = ()) -> Callable[[Lower], Lower]:
    """Declare a built-in function under one or more names."""

    def declare(lower: Lower) -> Lower:
        for name in names:
            assert name not in BUILTINS, f"{name} is declared twice"
            BUILTINS[name] = Builtin(name, lower, keywords, forms)
        return lower

    return declare
