"""The parts of string literals: pieces joined, the shared indentation of triple-quoted ones removed."""

from __future__ import annotations

from typing import Any, cast

from dsl.syntax import ast
from dsl.syntax.tokens import Terminal

Child = Any  # a Terminal, or the node of an interpolated expression


def parts_of(c: list[Child]) -> tuple[str | ast.Expr, ...]:
    """The parts of a string from its terminals, quotes included."""
    return _merged(_dedented(c) if c[0].value == '"""' else [_piece(p) for p in c[1:-1]])


def _piece(part: Child) -> str | ast.Expr:
    if not isinstance(part, Terminal):
        return cast(ast.Expr, part)
    if part.type == "NAME_IN_TEXT":
        return ast.Name(str(part.value), span=part.span)
    return "".join(text for text, _ in cast(list[tuple[str, bool]], part.value))


def _merged(parts: list[str | ast.Expr]) -> tuple[str | ast.Expr, ...]:
    merged: list[str | ast.Expr] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return tuple(merged)


def _dedented(c: list[Child]) -> list[str | ast.Expr]:
    """The parts of a triple-quoted string without the indentation that all its lines share (the last line counts)."""
    # Each part as (text, may hold line starts); the first line starts where the text starts on a line of its own.
    raw: list[tuple[str, bool] | ast.Expr] = []
    for part in c[1:-1]:
        if isinstance(part, Terminal) and part.type == "TEXT":
            raw += cast(list[tuple[str, bool]], part.value)
        else:
            raw.append(cast(ast.Expr, _piece(part)))
    if c[1:-1] and c[1].span.start > c[0].span.end:  # a newline followed the opening quotes
        raw.insert(0, ("\n", False))
    indents: list[str] = []
    for k, piece in enumerate(raw):
        if piece == ("\n", False):
            after = raw[k + 1] if k + 1 < len(raw) else ("", True)
            text = after[0] if isinstance(after, tuple) and not after[1] else ""
            blank = text[: len(text) - len(text.lstrip(" \t"))]
            if text != "\n" and not (blank == text and k + 2 < len(raw) and raw[k + 2] == ("\n", False)):
                indents.append(blank)
    shared = _common_prefix(indents)
    parts: list[str | ast.Expr] = []
    for k, piece in enumerate(raw):
        if not isinstance(piece, tuple):
            parts.append(piece)
        elif k and raw[k - 1] == ("\n", False) and not piece[1]:
            parts.append(piece[0].removeprefix(shared))
        else:
            parts.append(piece[0])
    if c[1:-1] and c[1].span.start > c[0].span.end:
        parts.pop(0)
    return parts


def _common_prefix(texts: list[str]) -> str:
    if not texts:
        return ""
    low, high = min(texts), max(texts)
    return low[: next((k for k in range(len(low)) if low[k] != high[k]), len(low))]
