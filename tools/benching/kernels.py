"""The peers in C: a file of `programs/` compiled by gcc, its kernels called with the arguments of a row."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benching.harness import PROGRAMS, Arguments, Row
from benching.native import Repeated, repeated, slots

# Nobody looks at errno or at the flags of exceptions, in the language neither.
# Vectors of 256 bits are better than those of 512 but for elementary functions.
_PLAIN = ("-march=native", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-mprefer-vector-width=256")
FLAGS = {
    "plain": ("-O3", *_PLAIN),
    "fast": ("-Ofast", *_PLAIN),
    "wide": ("-Ofast", *_PLAIN, "-mprefer-vector-width=512"),  # the last one counts
}
NAMES = ("value", "gradient", "both")  # the value; what is wanted; both together


def available() -> bool:
    return shutil.which("gcc") is not None


@cache
def library(program: str, flags: str, defines: tuple[tuple[str, int], ...]) -> ctypes.CDLL:
    """The kernels of a program. It is never unloaded."""
    source = PROGRAMS / f"{program}.c"
    sizes = [f"-D{name}={n}" for name, n in defines]
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        made, target = str(Path(folder) / f"{program}.o"), str(Path(folder) / f"{program}.so")
        command = ["gcc", *FLAGS[flags], *sizes, f"-I{PROGRAMS}", "-fPIC", "-c", str(source), "-o", made]
        subprocess.run(command, check=True)
        # linked by itself: a library that is linked with -Ofast turns subnormal numbers off for the whole process
        subprocess.run(["gcc", "-shared", made, "-o", target, *["-lmvec"] * (flags != "plain"), "-lm"], check=True)
        return ctypes.CDLL(target)


class Kernels:
    """The kernels of a peer in C with a row's arguments. Calling it gives the value and what is wanted; `repeats` has
    what repeats each kernel."""

    def __init__(self, row: Row, peer: str, args: Arguments) -> None:
        names, flags = row.kernels[peer]
        sizes = tuple((name, args[k].shape[d]) for name, (k, d) in row.defines.items())
        lib = library(row.program, flags, sizes)
        given = slots(args, headers=False)
        self._arguments = given.block()
        self._parts = row.parts(args)
        self._places = 1 if row.wanted == "gradient" else 0  # whether the value comes before what is wanted
        self._functions = {k: getattr(lib, name) for k, name in zip(NAMES, names, strict=False)}
        self.repeats: dict[str, Repeated] = {
            k: self._repeat(f, k, given)
            for k, f in self._functions.items()
        }

    def _repeat(self, function: Any, gives: str, given: Any) -> Repeated:
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
        results = ctypes.c_double() if gives == "value" else self._room()
        return repeated(address, ctypes.c_int64(), self._arguments, results, (given, self))

    def _room(self) -> Any:
        """Slots for results, each with one word: an array's is the address of its elements."""
        words = [p.ctypes.data if isinstance(p, np.ndarray) else 0 for p in self._parts]
        return (ctypes.c_int64 * (self._places + len(words)))(*[0] * self._places, *words)

    def __call__(self) -> tuple[Any, ...]:
        value, room = self._room(), self._room()
        self._functions["value"](None, self._arguments, value)
        self._functions["both" if "both" in self._functions else "gradient"](None, self._arguments, room)
        numbers = [ctypes.c_double.from_buffer(room, 8 * k).value for k in range(len(room))]
        whole = [
            p.copy() if isinstance(p, np.ndarray) else number
            for p, number in zip(self._parts, numbers[self._places :], strict=True)
        ]
        return (numbers[0] if self._places else ctypes.c_double.from_buffer(value).value, *whole)
