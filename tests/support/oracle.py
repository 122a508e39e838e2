"""Derivatives of Python functions by central differences at 60 digits: answers that no code under test computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath

DIGITS = 60


def derivative(f: Callable[[Any], Any], x: float, order: int = 1) -> float:
    """The derivative of a smooth function of one number, written with `mpmath` functions."""
    with mpmath.workdps(DIGITS):
        return float(mpmath.diff(f, mpmath.mpf(x), order))


def gradient(f: Callable[..., Any], *args: float) -> tuple[float, ...]:
    """The partial derivatives of a smooth function of several numbers."""

    def partial(k: int) -> Callable[[Any], Any]:
        return lambda v: f(*(v if i == k else mpmath.mpf(a) for i, a in enumerate(args)))

    return tuple(derivative(partial(k), a) for k, a in enumerate(args))


def value(f: Callable[..., Any], *args: float) -> float:
    with mpmath.workdps(DIGITS):
        return float(f(*(mpmath.mpf(a) for a in args)))
