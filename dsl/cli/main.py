"""The command `dfl`: finds the command's module, imports that alone, and turns what it raises into text and exit codes.

Exit codes: 0 good, 1 the user's program is wrong or a check failed, 2 wrong usage, 125 a bug of dfl, 130 interrupted.
Results go to the standard output, diagnostics to the standard error. A Python traceback is shown only for a bug, and
only where DFL_DEBUG is set.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from dsl import __version__, importing
from dsl.diagnostics import DslError

GOOD, WRONG_PROGRAM, WRONG_USAGE, OUR_BUG, INTERRUPTED = 0, 1, 2, 125, 130

# command → (module, one line of help); the module has `configure(parser, command)` and `execute(arguments) -> int`
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("dsl.cli.evaluate", "run a file and print the values of its bare expressions"),
    "eval": ("dsl.cli.evaluate", "print the value of an expression"),
    "grad": ("dsl.cli.evaluate", "print the gradient of a call with respect to its arguments"),
    "gradcheck": ("dsl.cli.gradcheck", "compare the derivatives of a call with differences, and plot their error"),
    "check": ("dsl.cli.check", "report the errors of files"),
    "code-ast": ("dsl.cli.code", "print the syntax tree"),
    "code-lowered": ("dsl.cli.code", "print the SSA as it was lowered"),
    "code-typed": ("dsl.cli.code", "print the SSA after differentiation and all passes"),
    "code-adjoint": ("dsl.cli.code", "print the SSA of the reverse of a call"),
    "code-plan": ("dsl.cli.code", "print what the reverse of a call keeps, recomputes and saves"),
    "code-llvm": ("dsl.cli.code", "print the LLVM IR of a call"),
    "code-native": ("dsl.cli.code", "print the machine code of a call"),
    "cache": ("dsl.cli.cache", "tell or clear what is kept for the next start"),
    "explain": ("dsl.cli.explain", "explain an error code"),
    "repl": ("dsl.cli.interactive", "start an interactive session"),
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())
    return (
        "usage: dfl [COMMAND] [ARGUMENTS]\n\n"
        "Without a command an interactive session starts. FILE is a .dfl file, or - for the standard input.\n\n"
        f"commands:\n{rows}\n\n"
        "dfl COMMAND --help tells more about a command; dfl --version names the version."
    )


def process() -> NoReturn:
    """The command line in a process of its own. The system takes its memory back in no time; Python, object by object,
    needs as long for that as for all of `dfl --version`."""
    code = main()
    if sys.gettrace() or sys.getprofile():  # somebody wants to say what has been seen
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except DslError as error:
        from dsl.cli.output import report_error

        report_error(error, as_json="--json" in arguments)
        return WRONG_PROGRAM
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has gone: nothing is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except SystemExit as stop:  # argparse: 2 for wrong usage, 0 after --help
        return stop.code if isinstance(stop.code, int) else WRONG_USAGE
    except Exception as bug:
        from dsl.diagnostics.bugs import bug_report

        print(bug_report(bug), file=sys.stderr)
        return OUR_BUG


def _dispatch(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("repl", [])
    if command in ("-h", "--help", "help"):
        print(usage())
        return GOOD
    if command in ("-V", "--version"):
        print(f"dfl {__version__}")
        return GOOD
    if command not in COMMANDS:
        print(f"dfl: there is no command {command!r}{_nearest(command)}\n\n{usage()}", file=sys.stderr)
        return WRONG_USAGE
    if command in ("eval", "grad") and len(rest) == 2:
        from dsl.cli.calls import run_kept

        if run_kept(rest, command):
            sys.stdout.flush()
            return GOOD
    import argparse

    module_name, help_text = COMMANDS[command]
    with importing():
        module = import_module(module_name)
    parser = argparse.ArgumentParser(prog=f"dfl {command}", description=f"{help_text[0].upper()}{help_text[1:]}.")
    parser.set_defaults(command=command)
    module.configure(parser, command)
    code: int = module.execute(parser.parse_args(rest))
    sys.stdout.flush()
    return code


def _nearest(command: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(command, COMMANDS, 1)
    return f"; did you mean {near[0]}?" if near else ""
