"""`dfl repl`: starts the interactive session."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from dsl.cli.options import add_options, open_program
from dsl.cli.output import LANGUAGES, print_code, report_error
from dsl.repl import Repl


def configure(parser: ArgumentParser, command: str) -> None:
    parser.add_argument("file", nargs="?", help="a .dfl file to load first")
    add_options(parser)


def execute(arguments: Namespace) -> int:
    work = open_program(arguments.file, arguments)
    return Repl(work, show_error=report_error, show_code=lambda text, stage: print_code(text, LANGUAGES[stage])).run()
