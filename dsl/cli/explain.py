"""`dfl explain E0401`: the page of an error code, or the list of all codes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from dsl.diagnostics.codes import CODES


def configure(parser: ArgumentParser, command: str) -> None:
    parser.add_argument("code", nargs="?", help="an error code as in E0401; without one, all are listed")


def execute(arguments: Namespace) -> int:
    if arguments.code is None:
        for code in CODES.values():
            print(f"{code.code}  {code.kind:<20} {code.title}")
        return 0
    known = CODES.get(arguments.code.upper())
    if known is None:
        print(f"there is no error code {arguments.code!r}; dfl explain lists all of them", file=sys.stderr)
        return 2
    print(known.explain())
    return 0
