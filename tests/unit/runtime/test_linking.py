"""Libraries share engines: code is there as long as its library, and nothing is left of many that have gone."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import pytest

from dsl.runtime.llvm import Library, _Linker, object_code

CODE = object_code("define double @twice(double %x) {\n  %y = fadd double %x, %x\n  ret double %y\n}\n", 2)


def library() -> Library:
    return Library(CODE, ["twice"], {})


def call(made: Library, x: float) -> float:
    twice = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(made["twice"])
    return float(twice(x))


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_each_library_has_code_of_its_own() -> None:
    made = [library() for _ in range(2 * _Linker.MOST + 5)]
    assert len({one["twice"] for one in made}) == len(made)
    last = made[_Linker.MOST + 3]
    del made
    gc.collect()
    assert call(last, 2.5) == 5.0


def test_what_is_kept_stays() -> None:
    made = library()
    made.keep()
    address = made["twice"]
    del made
    for _ in range(2 * _Linker.MOST):
        library()
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(address)(1.5) == 3.0


def test_what_cannot_be_linked_harms_no_other() -> None:
    first = library()
    with pytest.raises(RuntimeError):
        Library(CODE, ["thrice"], {})
    assert call(first, 1.0) == call(library(), 1.0) == 2.0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell the memory of a process")
def test_nothing_is_left_of_many() -> None:
    for _ in range(20 * _Linker.MOST):
        library()
    before = memory()
    for _ in range(100 * _Linker.MOST):
        library()
    assert memory() - before < 1 << 20
