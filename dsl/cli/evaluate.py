"""`dfl run`, `dfl eval` and `dfl grad`: values, in the language's own notation or as JSON."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from dsl.cli.calls import keep
from dsl.cli.options import add_options, add_program, open_program, print_timings, split_program
from dsl.cli.output import print_json


def configure(parser: ArgumentParser, command: str) -> None:
    if command == "run":
        parser.add_argument("file", help="a .dfl file, or - for the standard input")
    else:
        add_program(parser, "an expression" if command == "eval" else "a call, as in f(2.0, 3)")
    add_options(parser)


def execute(arguments: Namespace) -> int:
    if arguments.command == "run":
        work = open_program(arguments.file, arguments, print_expressions=True)
        print_timings(work, arguments.timings)
        return 0
    file, text = split_program(arguments.program, arguments.command)
    work = open_program(file, arguments)
    expression = work.expression(text)
    if arguments.command == "grad":
        expression = work.gradient_call(expression)
    result = work.evaluate(expression, once=True)
    if arguments.json:
        print_json({"value": result.json()})
    else:
        print(result.short() if sys.stdout.isatty() else result)
    print_timings(work, arguments.timings)
    if file is not None:
        sys.stdout.flush()  # the answer first
        keep(work, text, arguments.command)
    return 0
