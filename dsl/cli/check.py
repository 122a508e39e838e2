"""`dfl check`: reports the errors of files, without printing values."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from dsl.api import open_workspace
from dsl.cli.options import read_program
from dsl.cli.output import error_record, print_json, report_error
from dsl.diagnostics import DslError


def configure(parser: ArgumentParser, command: str) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .dfl file, or - for the standard input")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: Namespace) -> int:
    found: list[DslError] = []
    for file in arguments.files:
        try:
            open_workspace(read_program(file), out=_quiet)
        except DslError as error:
            found.append(error)
    if arguments.json:
        print_json({"errors": [error_record(error) for error in found]})
    else:
        for each in found:
            report_error(each)
        if not found:
            print("no errors")
    return 1 if found else 0


def _quiet(text: str) -> None:
    """What a program prints while it is checked is nobody's concern."""
