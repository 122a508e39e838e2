"""`dfl gradcheck`: are the derivatives of a call right, and how far can differences confirm it?

Prints forward mode, reverse mode and central differences side by side, then the error of the differences against their
step: the V whose left side is rounding and whose right side is truncation.
"""

from __future__ import annotations

import math
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

from dsl.check import STEPS, Report, compared, error_by_step
from dsl.cli.options import add_options, add_program, open_program, split_program
from dsl.cli.output import print_json
from dsl.diagnostics import error
from dsl.functions import Function
from dsl.syntax.ast import Call
from dsl.workspace import Workspace


def configure(parser: ArgumentParser, command: str) -> None:
    add_program(parser, "a call, as in f(2.0, 3)")
    add_options(parser)
    parser.add_argument("--order", type=int, choices=(1, 2), default=1, help="check second derivatives, too")
    parser.add_argument("--png", metavar="FILE", help="save the plot as a picture (needs matplotlib)")


def execute(arguments: Namespace) -> int:
    file, text = split_program(arguments.program, arguments.command)
    work = open_program(file, arguments)
    f, args = function_and_arguments(work, text)
    mode = None if arguments.mode == "auto" else arguments.mode
    report = compared(f, args, arguments.order, mode, rtol=1e-6, atol=1e-8, step=1e-5)
    errors = error_by_step(f, args)
    if arguments.json:
        print_json(as_data(report, errors))
    else:
        print(report)
        print("\nerror of central differences against the step h")
        print(plot(STEPS, errors, shutil.get_terminal_size().columns, sys.stdout.isatty()))
    if arguments.png:
        save_picture(arguments.png, errors)
    return 1 if report.wrong else 0


def function_and_arguments(work: Workspace, text: str) -> tuple[Function, list[Any]]:
    """The function and the arguments of a call, as values."""
    call = work.expression(text)
    if not isinstance(call, Call) or call.keywords:
        raise error("E0409", "what is checked is a call without keywords, as in f(2.0, 3)", call.span)
    f, *args = (work.value(work.evaluate(e, once=True)) for e in (call.fn, *call.args))
    if not isinstance(f, Function):
        raise error("E0409", "what is called is no function", call.span)
    return f, args


def as_data(report: Report, errors: Sequence[float]) -> dict[str, Any]:
    def entries(r: Report) -> list[dict[str, Any]]:
        own = [{"name": e.name, **e.exact, "differences": e.numeric} for e in r.entries]
        return own + [x for part in r.parts for x in entries(part)]

    return {"agrees": not report.wrong, "entries": entries(report), "steps": list(STEPS), "errors": list(errors)}


# ---------------------------------------------------------------- the plot

MARGIN = 9  # of the labels at the left


def plot(steps: Sequence[float], errors: Sequence[float], columns: int, terminal: bool) -> str:
    """Errors against steps, both by powers of ten: one row a decade of the error, large errors above. A terminal gets
    points and lines, anything else plain ASCII."""
    point, side, floor, corner = ("●", "│", "─", "└") if terminal else ("*", "|", "-", "+")
    shown = sorted((math.log10(h), math.log10(e)) for h, e in zip(steps, errors, strict=True) if 0 < e < math.inf)
    if not shown:
        return "the differences are exact at every step"
    top, bottom = math.ceil(max(e for _, e in shown)), math.floor(min(e for _, e in shown))
    left, right = math.log10(min(steps)), math.log10(max(steps))
    width = max(16, min(columns - MARGIN - 2, 2 * len(steps)))
    grid = [[" "] * width for _ in range(top - bottom + 1)]
    for h, e in shown:
        grid[min(top - round(e), top - bottom)][round((h - left) / (right - left) * (width - 1))] = point
    rows = [f"{f'1e{top - k:+03d}':>{MARGIN - 1}} {side}{''.join(row).rstrip()}" for k, row in enumerate(grid)]
    ticks = [" "] * (width + 8)
    for decade in range(math.ceil(left), math.floor(right) + 1, 5):
        label, at = f"1e{decade:+03d}", round((decade - left) / (right - left) * (width - 1))
        ticks[at : at + len(label)] = label
    axis = " " * MARGIN + corner + floor * width
    return "\n".join([*rows, axis, (" " * (MARGIN + 1) + "".join(ticks)).rstrip() + "  h"])


def save_picture(path: str, errors: Sequence[float]) -> None:
    try:
        import matplotlib  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise error("E0602", "a picture needs matplotlib, which is not installed",
                    hint="pip install matplotlib, or look at the plot in the terminal") from None  # fmt: skip
    matplotlib.use("Agg")
    from matplotlib import pyplot  # type: ignore[import-not-found, import-untyped, unused-ignore]

    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.loglog(STEPS, errors, "o-", markersize=4)
    axes.set_xlabel("step h")
    axes.set_ylabel("error of central differences")
    axes.grid(True, alpha=0.3)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
