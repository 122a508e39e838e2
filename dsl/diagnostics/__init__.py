"""Errors, their codes and where they point: the lowest layer, known to all others."""

from dsl.diagnostics.codes import CODES, Code
from dsl.diagnostics.errors import DslError, DslErrors, DslWarning, PerformanceWarning, error
from dsl.diagnostics.source import NO_SPAN, Source, Span

__all__ = [
    "CODES",
    "NO_SPAN",
    "Code",
    "DslError",
    "DslErrors",
    "DslWarning",
    "PerformanceWarning",
    "Source",
    "Span",
    "error",
]
