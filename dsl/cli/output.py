"""What commands print: values, errors, code; with colours only where a terminal shows them and NO_COLOR is not set."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

from dsl.diagnostics import NO_SPAN, DslError, DslErrors

# what Pygments calls the language of a stage's listing
LANGUAGES = dict.fromkeys(("ast", "lowered", "typed", "adjoint", "plan"), "text") | {"llvm": "llvm", "native": "gas"}

BOLD_RED, BOLD, BLUE, CYAN, PLAIN = "\x1b[1;31m", "\x1b[1m", "\x1b[34m", "\x1b[36m", "\x1b[0m"


def colours(stream: TextIO) -> bool:
    """Whether colours belong on a stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def error_record(error: DslError) -> dict[str, Any]:
    """An error as the data of `--json`."""
    known = error.span.source is not NO_SPAN.source
    record: dict[str, Any] = {
        "code": error.code,
        "kind": error.kind,
        "file": error.span.source.name if known else None,
        "line": error.span.line if known else None,
        "column": error.span.column if known else None,
        "message": error.message,
        "hint": error.hint,
    }
    if isinstance(error, DslErrors):
        record["all"] = [error_record(e) for e in error.errors]
    return record


def report_error(error: DslError, as_json: bool = False) -> None:
    if as_json:
        print_json({"error": error_record(error)})
        return
    text = error.render()
    print(colour_error(text) if colours(sys.stderr) else text, file=sys.stderr)


def colour_error(text: str) -> str:
    """The rendered text of an error with its kind, carets and hint picked out."""
    text = re.sub(r"^(\w+\[E\d+\]): (.*)$", rf"{BOLD_RED}\1{PLAIN}: {BOLD}\2{PLAIN}", text, flags=re.M)
    text = re.sub(r"^( *\| *)(\^+)$", rf"\1{BOLD_RED}\2{PLAIN}", text, flags=re.M)
    return re.sub(r"^(  (?:hint|note):)", rf"{CYAN}\1{PLAIN}", text, flags=re.M)


def print_json(value: Any) -> None:
    import json

    print(json.dumps(value, ensure_ascii=False))


def print_code(text: str, language: str, as_json: bool = False) -> None:
    """A listing: plain, as JSON, or highlighted (`language` is a lexer's name of Pygments, where that is installed)."""
    if as_json:
        print_json({"code": text})
    else:
        print(highlight(text, language) if colours(sys.stdout) else text)


def highlight(text: str, language: str) -> str:
    try:
        import pygments
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import get_lexer_by_name
    except ImportError:
        return text
    return str(pygments.highlight(text, get_lexer_by_name(language), TerminalFormatter())).rstrip("\n")
