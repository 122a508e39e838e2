"""Checking derivatives: forward mode, reverse mode and central differences must agree.

The differences are what is not exact: their error falls with the step until rounding makes it grow again
(`error_by_step`), so at a good step they confirm some ten digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from dsl.diagnostics import error
from dsl.functions import Function, as_function
from dsl.options import Mode
from dsl.records import dataclass
from dsl.trees import central_differences, children, is_array, is_number, numbers, with_zeros

STEPS = tuple(10.0 ** (-k / 2) for k in range(31))  # of `error_by_step`


@dataclass(frozen=True)
class Entry:
    """The derivative by one number of the arguments; `name` says by which (`args[0][2]`). `numeric` is None for an
    integer, which cannot be moved."""

    name: str
    exact: dict[str, float]
    numeric: float | None

    def disagrees(self, rtol: float, atol: float) -> bool:
        all_found = [*self.exact.values(), *([] if self.numeric is None else [self.numeric])]
        pairs = [(a, b) for k, a in enumerate(all_found) for b in all_found[:k]]
        return any(not abs(a - b) <= atol + rtol * max(abs(a), abs(b)) for a, b in pairs)


@dataclass(frozen=True)
class Report:
    """What was compared: a table as text."""

    title: str
    entries: tuple[Entry, ...]
    rtol: float
    atol: float
    parts: tuple[Report, ...] = ()  # of the derivatives of the derivatives

    @property
    def wrong(self) -> list[Entry]:
        own = [e for e in self.entries if e.disagrees(self.rtol, self.atol)]
        return own + [e for part in self.parts for e in part.wrong]

    def __str__(self) -> str:
        modes = list(self.entries[0].exact) if self.entries else []
        rows = [["", *modes, "differences", ""]]
        for e in self.entries:
            numeric = "-" if e.numeric is None else f"{e.numeric:.12g}"
            mark = "≠" if e.disagrees(self.rtol, self.atol) else "✓"
            rows.append([e.name, *(f"{e.exact[m]:.12g}" for m in modes), numeric, mark])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self.title, *lines, *map(str, self.parts)])

    __repr__ = __str__


def names(value: Any, prefix: str) -> Iterator[str]:
    """What the numbers in a value are called, in the order of `trees.numbers`."""
    parts = children(value)
    if is_array(value):
        for at in product(*map(range, value.shape)):
            if is_number(value[at].item()):
                yield f"{prefix}[{', '.join(map(str, at))}]"
    elif parts is None:
        if is_number(value):
            yield prefix
    else:
        named = isinstance(value, dict) or hasattr(value, "_asdict")
        for key, part in parts.items():
            yield from names(part, f"{prefix}.{key}" if named else f"{prefix}[{key}]")


def check_grads(
    fn: Function, args: Sequence[Any], order: int = 1, *, mode: Mode | None = None,
    rtol: float = 1e-6, atol: float = 1e-8, step: float = 1e-5,
) -> Report:  # fmt: skip
    """Compare forward mode, reverse mode (only one of them with `mode`) and central differences with this step. What
    was found is returned as a table; where it disagrees by more than atol + rtol·|derivative|, AssertionError names the
    entry. Of a function whose result is an array or a tuple, a weighted sum of its numbers is looked at. `order=2` also
    checks the derivatives of each first derivative."""
    if order not in (1, 2):
        raise error("E0409", f"derivatives are checked to order 1 or 2, not {order!r}")
    report = compared(as_function(fn), args, order, mode, rtol, atol, step)
    for wrong in report.wrong:
        raise AssertionError(f"the derivative by {wrong.name}: the modes or central differences disagree\n{report}")
    return report


def scalar(f: Function, args: Sequence[Any]) -> Function:
    """A function with one real result: f itself, or a weighted sum of the numbers that it gives."""
    value = f(*(a.copy() if is_array(a) else a for a in args))
    return f if is_number(value) else f.transformed("weighted")


def compared(
    f: Function, args: Sequence[Any], order: int, mode: Mode | None, rtol: float, atol: float, step: float,
    title: str = "",
) -> Report:  # fmt: skip
    g = scalar(f, args)
    exact = {m: gradient_numbers(g, args, m) for m in (("forward", "reverse") if mode is None else (mode,))}
    numeric = central_differences(g, args, step)
    entries = tuple(
        Entry(name, {m: found[k] for m, found in exact.items()}, numeric[k])
        for k, name in enumerate(n for j, a in enumerate(args) for n in names(a, f"args[{j}]"))
    )
    parts = []
    if order > 1:
        for k, (arg, entry) in enumerate(zip(args, g.workspace.builtin("gradient", (g, *args), g.mode), strict=True)):
            if isinstance(arg, float) or (is_array(arg) and entry is not None):
                first = g.transformed("grad_sum" if is_array(arg) else "grad", k)
                of = f"the derivative of {f.__name__} by args[{k}]{', weighted' if is_array(arg) else ''}"
                parts.append(compared(first, args, order - 1, mode, rtol * 10, atol * 10, step, of))
    return Report(title or f"{f.__name__}({', '.join(map(str, args))})", entries, rtol, atol, tuple(parts))


def gradient_numbers(f: Function, args: Sequence[Any], mode: Mode) -> list[float]:
    """The gradient as a flat list, zeros where there is no influence."""
    entries = f.workspace.builtin("gradient", (f, *args), mode)
    return numbers(tuple(with_zeros(e, a) for e, a in zip(entries, args, strict=True)))


def error_by_step(f: Function, args: Sequence[Any], steps: Sequence[float] = STEPS) -> list[float]:
    """The largest error of central differences for each step, relative to the larger of 1 and the derivative: it falls
    with the square of the step (truncation) until the rounding of the function's values over the step is more."""
    g = scalar(f, args)
    exact = gradient_numbers(g, args, g.mode or "auto")
    found = []
    for step in steps:
        numeric = central_differences(g, args, step)
        pairs = [(e, n) for e, n in zip(exact, numeric, strict=True) if n is not None]
        found.append(max((abs(e - n) / max(1.0, abs(e)) for e, n in pairs), default=0.0))
    return found
