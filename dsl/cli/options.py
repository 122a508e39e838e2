"""The arguments that several commands share, and how they open a program."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dsl.api import open_workspace
from dsl.diagnostics import Source
from dsl.syntax.files import decode, read_source
from dsl.workspace import Workspace


def add_program(parser: ArgumentParser, expression: str) -> None:
    """FILE EXPR, or EXPR alone for an expression that needs no file."""
    parser.add_argument("program", nargs="+", metavar="[FILE] EXPR", help=f"a file (- reads stdin), then {expression}")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--mode", choices=("auto", "forward", "reverse"), default="auto", help="how to differentiate")
    parser.add_argument("-O", dest="opt_level", type=int, choices=range(4), help="LLVM's level (default 2)")
    parser.add_argument("--no-optimize", action="store_true", help="no passes of ours and none of LLVM's")
    parser.add_argument("--no-checks", action="store_true", help="NaN instead of a DomainError")
    parser.add_argument("--interp", action="store_true", help="run by the reference interpreter")
    parser.add_argument("--verify", action="store_true", help="check the SSA after every pass")
    parser.add_argument("--no-cache", action="store_true", help="take nothing from the cache and keep nothing there")
    parser.add_argument("--timings", action="store_true", help="print the time of every stage on stderr")


def split_program(words: list[str], command: str) -> tuple[str | None, str]:
    """(FILE, EXPR) of the positional words."""
    if len(words) > 2 or (len(words) == 1 and _is_file(words[0])):
        print(f"usage: dfl {command} [FILE] EXPR (quote the expression)", file=sys.stderr)
        raise SystemExit(2)
    return (None, words[0]) if len(words) == 1 else (words[0], words[1])


def _is_file(word: str) -> bool:
    return word == "-" or word.endswith(".dfl") or Path(word).is_file()


def read_program(file: str) -> Source:
    """The program of a file, or of the standard input."""
    return decode(sys.stdin.buffer.read(), "<stdin>") if file == "-" else read_source(file)


def open_program(file: str | None, arguments: Namespace, print_expressions: bool = False) -> Workspace:
    """The workspace of a file (None: an empty program) with the options of the command line."""
    return open_workspace(
        Source("<nothing>", "") if file is None else read_program(file),
        print_expressions=print_expressions,
        mode=arguments.mode,
        opt_level=0 if arguments.no_optimize else arguments.opt_level,
        optimize=not arguments.no_optimize,
        checks=not arguments.no_checks,
        interpreter=True if arguments.interp else None,
        verify=arguments.verify,
        cache=not arguments.no_cache,
    )


def print_timings(work: Workspace, wanted: bool) -> None:
    if wanted:
        for stage, seconds in work.timings.items():
            print(f"{stage:<12} {seconds * 1e3:9.3f} ms", file=sys.stderr)
