"""The table of built-in functions.

A built-in gets the frame and its arguments and gives a value, or None where it has no method for these types: the
caller then raises the MethodError. It checks its own domain. Functions written in the language itself are in
`dsl/stdlib`.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.lower.values import Val
from dsl.records import dataclass, replace

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


def extend(*names: str, keywords: tuple[str, ...] = ()) -> Callable[[Lower], Lower]:
    """Declare a further method of built-in functions, which is asked before those declared so far, where it knows all
    keywords that are given."""

    def declare(lower: Lower) -> Lower:
        for name in names:
            before = BUILTINS[name]
            both = tuple(dict.fromkeys((*before.keywords, *keywords)))
            BUILTINS[name] = replace(before, lower=_first_of(lower, keywords, before), keywords=both)
        return lower

    return declare


def _first_of(lower: Lower, own: tuple[str, ...], before: Builtin) -> Lower:
    def either(f: object, args: list[Val], **given: Val) -> Val | None:
        result = lower(f, args, **given) if set(given) <= set(own) else None
        if result is None and set(given) <= set(before.keywords):
            result = before.lower(f, args, **given)
        return result

    return either
