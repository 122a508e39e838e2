"""The arguments that several commands share, and how they open a module."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dsl.api import Module, load, loads
from dsl.syntax.files import decode


def add_program(parser: ArgumentParser, expression: str) -> None:
    """FILE EXPR, or EXPR alone for an expression that needs no file."""
    parser.add_argument("program", nargs="+", metavar="[FILE] EXPR", help=f"a file (- reads stdin), then {expression}")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--mode", choices=("auto", "forward", "reverse"), default="auto", help="how to differentiate")
    parser.add_argument("-O", dest="opt_level", type=int, choices=range(4), default=3, help="LLVM's level (default 3)")
    parser.add_argument("--no-optimize", action="store_true", help="no passes of ours and none of LLVM's")
    parser.add_argument("--no-checks", action="store_true", help="NaN instead of a DomainError")
    parser.add_argument("--interp", action="store_true", help="run by the reference interpreter")
    parser.add_argument("--verify", action="store_true", help="check the SSA after every pass")
    parser.add_argument("--timings", action="store_true", help="print the time of every stage on stderr")


def split_program(words: list[str], command: str) -> tuple[str | None, str]:
    """(FILE, EXPR) of the positional words."""
    if len(words) > 2 or (len(words) == 1 and _is_file(words[0])):
        print(f"usage: dfl {command} [FILE] EXPR (quote the expression)", file=sys.stderr)
        raise SystemExit(2)
    return (None, words[0]) if len(words) == 1 else (words[0], words[1])


def _is_file(word: str) -> bool:
    return word == "-" or word.endswith(".dfl") or Path(word).is_file()


def read_standard_input() -> str:
    """The text of the standard input; it must be UTF-8."""
    return decode(sys.stdin.buffer.read(), "<stdin>").text


def open_module(file: str | None, arguments: Namespace, print_expressions: bool = False) -> Module:
    options = {
        "mode": arguments.mode,
        "opt_level": 0 if arguments.no_optimize else arguments.opt_level,
        "optimize": not arguments.no_optimize,
        "checks": not arguments.no_checks,
        "interpreter": arguments.interp,
        "verify": arguments.verify,
        "print_expressions": print_expressions,
    }
    if file is None:
        return loads("", **options)
    if file == "-":
        return loads(read_standard_input(), name="<stdin>", **options)
    return load(file, **options)


def print_timings(module: Module, wanted: bool) -> None:
    if wanted:
        for stage, seconds in module.timings.items():
            print(f"{stage:<12} {seconds * 1e3:9.3f} ms", file=sys.stderr)
