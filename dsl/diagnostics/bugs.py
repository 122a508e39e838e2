"""What is said of an exception that is no DslError: a bug of dfl itself, never of the user's program."""

from __future__ import annotations

import os
import traceback


def bug_report(bug: BaseException) -> str:
    """One line, after the traceback where DFL_DEBUG is set."""
    debug = bool(os.environ.get("DFL_DEBUG"))
    trace = "".join(traceback.format_exception(bug)) if debug else ""
    more = "" if debug else " (DFL_DEBUG=1 shows more)"
    text = " ".join(str(bug).split())
    return f"{trace}internal error, please report: {type(bug).__name__}: {text}{more}"
