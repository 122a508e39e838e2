"""The C library's mathematical functions, called from Python with the bits that native code gets.

`scalar(name)` is loaded on first use. No function here raises: errors are NaN or infinities, as in C.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def _library() -> ctypes.CDLL:
    """glibc's library of its own, else the C library of the process, which has these functions elsewhere."""
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:
        return ctypes.CDLL(None)


@cache
def has(name: str) -> bool:
    return hasattr(_library(), name)


@cache
def scalar(name: str, *kinds: Any) -> Callable[..., float]:
    """The function `name`; `kinds` are the C types of its operands and, last, of its result."""
    function = getattr(_library(), name)
    *operands, result = kinds
    function.argtypes = operands
    function.restype = result
    return function  # type: ignore[no-any-return]


def f64(name: str, arity: int = 1) -> Callable[..., float]:
    """An evaluation entry: the function on doubles, looked up when it is first called."""
    kinds = (ctypes.c_double,) * (arity + 1)
    return lambda *x: scalar(name, *kinds)(*x)


def f32(name: str, arity: int = 1) -> Callable[..., float]:
    """The same on floats."""
    kinds = (ctypes.c_float,) * (arity + 1)
    return lambda *x: scalar(name, *kinds)(*x)


def indexed(name: str) -> Callable[[int, float], float]:
    """A function of a C int and a double (`jn`, `yn`); the index is cut to 32 bits, as native code does."""
    kinds = (ctypes.c_int32, ctypes.c_double, ctypes.c_double)
    return lambda n, x: scalar(name, *kinds)(ctypes.c_int32(n).value, x)
