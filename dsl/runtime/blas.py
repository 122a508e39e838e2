"""Where the functions of BLAS and LAPACK are: SciPy has their addresses for compiled code.

Its two modules that do are imported when a unit that needs one of them is linked, never before.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


def addresses(names: Iterable[str]) -> dict[str, int]:
    """The address of each function, under the name that native code calls it by (`dfl.blas.dgemm`). They take the
    addresses of their operands only; an integer is a C int."""
    return {f"dfl.blas.{name}": _address(name) for name in names}


@cache
def _address(name: str) -> int:
    tables = (_module(m).__pyx_capi__ for m in ("cython_blas", "cython_lapack"))
    capsule: Any = next(table[name] for table in tables if name in table)
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))


@cache
def _module(name: str) -> ModuleType:
    """A module of `scipy.linalg` by itself: all of that package takes five times as long to import. Where it cannot be
    found like this, it is imported as usual."""
    full = f"scipy.linalg.{name}"
    if "scipy.linalg" not in sys.modules and full not in sys.modules:
        package = find_spec("scipy")
        folders = package.submodule_search_locations if package is not None else None
        paths = (Path(f) / "linalg" / f"{name}{suffix}" for f in folders or () for suffix in EXTENSION_SUFFIXES)
        path = next(filter(Path.is_file, paths), None)
        spec = spec_from_file_location(full, path) if path is not None else None
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules.pop(full, None)  # who imports it gives its package the name; it is the same module then
            return module
    return import_module(full)
