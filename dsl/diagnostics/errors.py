"""The exception that every error of a user's program becomes, with its source line, carets and hint."""

from __future__ import annotations

from typing import Any

from dsl.diagnostics.codes import CODES
from dsl.diagnostics.source import NO_SPAN, Span


class DslError(Exception):
    """An error in the user's program, file or call.

    `code` is a key of `CODES`, `kind` Julia's name for it, `span` where it points (`NO_SPAN`: nowhere), `hint` says
    what to do ("" if nothing helps), `notes` are further places: (text, span) pairs. The class of the instance also
    inherits the Python exception that people catch for that kind; make instances with `error(…)`.
    """

    def __init__(
        self, code: str, message: str, span: Span = NO_SPAN, hint: str = "", notes: tuple[tuple[str, Span], ...] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.kind = CODES[code].kind
        self.message = message
        self.span = span
        self.hint = hint
        self.notes = notes
        if isinstance(self, SyntaxError):
            shown: Any = self
            shown.msg = self.render()  # what Python shows of a SyntaxError that nobody catches

    def __str__(self) -> str:
        return self.render()

    def __reduce__(self) -> Any:
        return _rebuild, (self.code, self.message, self.span, self.hint, self.notes)

    def render(self) -> str:
        """The text a person reads: one line that says what is wrong, the source line with carets, the hint."""
        lines = [f"{self.kind}[{self.code}]: {self.message}", *_excerpt(self.span)]
        for text, span in self.notes:
            lines += [f"  note: {text}", *_excerpt(span)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class DslErrors(DslError, SyntaxError):
    """Several independent errors of one file (a parse reports all of them). Attributes are the first one's."""

    def __init__(self, errors: list[DslError]) -> None:
        first = errors[0]
        self.errors = errors
        super().__init__(first.code, first.message, first.span, first.hint, first.notes)

    def render(self) -> str:
        return "\n\n".join(e.render() for e in self.errors)

    def __reduce__(self) -> Any:
        return type(self), (self.errors,)


class DslWarning(UserWarning):
    """The program is right, but perhaps not what was meant."""


class PerformanceWarning(UserWarning):
    """Something works but is slower than the user would expect."""


_PYTHON_BASES: dict[str, type[Exception]] = {
    "SyntaxError": SyntaxError, "TypeError": TypeError, "MethodError": TypeError, "UndefVarError": NameError,
    "DomainError": ValueError, "ArgumentError": ValueError, "InexactError": ValueError, "BoundsError": IndexError,
    "KeyError": KeyError, "DivideError": ZeroDivisionError, "StackOverflowError": RecursionError,
    "AssertionError": AssertionError, "FieldError": AttributeError, "DimensionMismatch": ValueError,
    "NonScalarOutput": TypeError, "NonRealOutput": TypeError, "UndefKeywordError": TypeError,
    "OutOfMemoryError": MemoryError,
}  # fmt: skip
_classes: dict[str, type[DslError]] = {}
_SHOWN_WIDTH = 200


def _class_of(kind: str) -> type[DslError]:
    base = _PYTHON_BASES.get(kind)
    if base is None:
        return DslError
    if kind not in _classes:
        _classes[kind] = type(f"Dsl{kind}", (DslError, base), {})
    return _classes[kind]


def error(
    code: str, message: str, span: Span = NO_SPAN, hint: str = "", notes: tuple[tuple[str, Span], ...] = ()
) -> DslError:
    """Make the DslError of a code, of the class that fits its kind."""
    return _class_of(CODES[code].kind)(code, message, span, hint, notes)


def _rebuild(code: str, message: str, span: Span, hint: str, notes: tuple[tuple[str, Span], ...]) -> DslError:
    return error(code, message, span, hint, notes)


def _excerpt(span: Span) -> list[str]:
    if span.source is NO_SPAN.source:
        return []
    line, col = span.source.line_col(span.start)
    text, before = _window(span.source.line_text(line), col - 1)
    text = text.expandtabs(1)
    width = max(1, min(span.end - span.start, len(text) - before))
    number = str(line)
    margin = " " * len(number)
    return [
        f"{margin}--> {span.source.name}:{line}:{col}",
        f"{number} | {text}",
        f"{margin} | {' ' * before}{'^' * width}",
    ]


def _window(text: str, at: int) -> tuple[str, int]:
    """What is shown of a line: all of it, or of a very long one what surrounds a position; and the position there."""
    if len(text) <= _SHOWN_WIDTH:
        return text, at
    start = max(0, min(at - _SHOWN_WIDTH // 2, len(text) - _SHOWN_WIDTH))
    head = "…" if start else ""
    tail = "…" if start + _SHOWN_WIDTH < len(text) else ""
    return head + text[start : start + _SHOWN_WIDTH] + tail, at - start + len(head)
