"""Tokens of the two stages before the parser, and the tables of operators and keywords.

`Raw` is what the lexer cuts from the text, `Terminal` what the layout step hands to the grammar.
"""

from __future__ import annotations

from typing import NamedTuple

from dsl.diagnostics import Span
from dsl.records import dataclass
from dsl.syntax.reports import FOREIGN_OPERATORS


class Raw(NamedTuple):
    """A piece of text. `gap`: something blank stands before it (a blank, a comment, a newline)."""

    kind: str  # number name keyword op macro prime newline eof, text_start text name_in_text open_in_text … text_end
    text: str
    start: int
    end: int
    gap: bool
    value: object = None


@dataclass(slots=True)
class Terminal:
    """A token of the grammar. Words of the layout step alone (`ARROW_END`, …) have an empty span."""

    type: str
    value: object
    span: Span


# What different spellings of one operator become.
ALIASES = {"≤": "<=", "≥": ">=", "≠": "!=", "≡": "===", "∈": "in", "−": "-", "·": "⋅"}

_ADD = ("+", "-")
_MUL = ("*", "/", "÷", "%", "\\", "⋅", "×", "∘")
_COMPARE = ("<", ">", "<=", ">=", "==", "!=", "===", "!==", "≤", "≥", "≠", "≡", "≈", "∈")
_ASSIGNING = ("+", "-", "*", "/", "÷", "%", "\\", "//", "^")


def _with_dots(operators: tuple[str, ...]) -> list[str]:
    return [dot + op for op in operators for dot in ("", ".")]


# Binary operators and the terminals they become, by level.
BINARY: dict[str, str] = {
    **dict.fromkeys(_with_dots((*_ADD, "−")), "ADD"),
    **dict.fromkeys(_with_dots((*_MUL, "·")), "MUL"),
    **dict.fromkeys(_with_dots(_COMPARE), "COMPARE"),
    **dict.fromkeys(_with_dots(("//",)), "RATIONAL"),
    **dict.fromkeys(_with_dots(("^",)), "POW"),
    **dict.fromkeys(_with_dots(("|>",)), "PIPE"),
}
ASSIGNMENTS = frozenset(["=", ".=", *(op + "=" for op in _with_dots(_ASSIGNING))])
UNARY = frozenset(["+", "-", "−", "!", ".+", ".-", ".!"])
ROOTS = frozenset(["√", ".√"])
SIMPLE = {"&&": "AND", "||": "OR", "=>": "PAIR", "<:": "SUBTYPE", "::": "DCOLON", "...": "SPLAT"}
BRACKETS = {"(": ")", "[": "]", "{": "}"}
CLOSERS = frozenset(BRACKETS.values())
# Those of other languages are tokens, too, so that the error names them.
OPERATORS = sorted(
    {*BINARY, *ASSIGNMENTS, *UNARY, *ROOTS, *SIMPLE, *FOREIGN_OPERATORS, "(", ")", "[", "]", "{", "}"}
    | {",", ";", ":", "?", "->", "."},
    key=len,
    reverse=True,
)

KEYWORDS = frozenset({
    "begin", "while", "if", "for", "try", "return", "break", "continue", "function", "macro", "quote", "let", "local",
    "global", "const", "do", "struct", "module", "baremodule", "using", "import", "export", "end", "else", "elseif",
    "catch", "finally", "true", "false", "nothing",
})  # fmt: skip


def nameable(text: str) -> bool:
    """Whether an operator can be used as a function: `+`, `<=`, `!`; not `=` or `&&`."""
    return text in BINARY or text in UNARY or text in ROOTS


def plain(text: str) -> str:
    """The one spelling of an operator: `≤` is `<=`, `.≤` is `.<=`."""
    if text.startswith(".") and len(text) > 1:
        return "." + ALIASES.get(text[1:], text[1:])
    return ALIASES.get(text, text)
