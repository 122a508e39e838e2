"""Where the functions of BLAS and LAPACK are: SciPy has their addresses for compiled code.

SciPy is imported when a unit that needs one of them is linked, never before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import Any


def addresses(names: Iterable[str]) -> dict[str, int]:
    """The address of each function, under the name that native code calls it by (`dfl.blas.dgemm`). They take the
    addresses of their operands only; an integer is a C int."""
    return {f"dfl.blas.{name}": _address(name) for name in names}


@cache
def _address(name: str) -> int:
    from scipy.linalg import cython_blas, cython_lapack

    capsule: Any = next(m.__pyx_capi__[name] for m in (cython_blas, cython_lapack) if name in m.__pyx_capi__)
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))
