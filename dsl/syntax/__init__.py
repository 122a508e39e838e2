"""Text → syntax tree. The names here are loaded when first used: `dsl.syntax.ast` alone does not load the parser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsl.syntax.files import read_source as read_source
    from dsl.syntax.parser import is_incomplete as is_incomplete
    from dsl.syntax.parser import parse_expression as parse_expression
    from dsl.syntax.parser import parse_file as parse_file
    from dsl.syntax.show import show as show

_HOMES = {
    "is_incomplete": "dsl.syntax.parser",
    "parse_expression": "dsl.syntax.parser",
    "parse_file": "dsl.syntax.parser",
    "read_source": "dsl.syntax.files",
    "show": "dsl.syntax.show",
}
__all__ = ["is_incomplete", "parse_expression", "parse_file", "read_source", "show"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dsl.syntax' has no attribute {name!r}")
    from importlib import import_module

    # `show` is also the name of its module: set the attribute, so that the function wins from now on.
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
