"""`dfl code-…`: a call at every stage, from the syntax tree to the machine code."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from dsl.cli.options import add_options, add_program, open_program, print_timings, split_program
from dsl.cli.output import LANGUAGES, print_code


def configure(parser: ArgumentParser, command: str) -> None:
    add_program(parser, "a call, as in f(2.0, 3) or f'(π); numbers become parameters, π and functions do not")
    add_options(parser)
    if command == "code-llvm":
        parser.add_argument("--raw", action="store_true", help="the whole module, with attributes and line tables")


def execute(arguments: Namespace) -> int:
    stage = arguments.command.removeprefix("code-")
    file, expression = split_program(arguments.program, arguments.command)
    work = open_program(file, arguments)
    raw = stage == "llvm" and arguments.raw
    text = work.code(stage, expression, optimize=not arguments.no_optimize, raw=raw)
    print_code(text, LANGUAGES[stage], arguments.json)
    print_timings(work, arguments.timings)
    return 0
