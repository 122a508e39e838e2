"""Timing one peer at one row: warm repetitions, the first call, and what it gave.

A *row* is a computation with its data; a *peer* is a way to do it. Each peer's builder gets the data and gives a
function without arguments that returns a tuple of arrays and numbers (the value first, then the derivatives). All peers
of a row get the same data and have to give the same numbers.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], tuple[Any, ...]]
Data = Mapping[str, Any]
FLAGS = ("-O3", "-march=native")


@dataclass(frozen=True)
class Row:
    """`data(random)` makes the arrays. `tolerance` is relative, for the agreement of the peers. `matrix`: the work is
    that of matrix products and factorisations."""

    name: str
    title: str
    data: Callable[[np.random.Generator], Data]
    peers: Mapping[str, Callable[[Data], Run]]
    tolerance: float = 1e-9
    matrix: bool = False


def timed(run: Run, budget: float) -> dict[str, float]:
    """Seconds for one call: minimum and median over repetitions that fill the budget, at least five."""
    clock = time.perf_counter
    start = clock()
    run()
    once = clock() - start
    inner = max(1, int(2e-4 / max(once, 1e-7)))
    samples: list[float] = []
    end = clock() + budget
    while len(samples) < 5 or clock() < end:
        start = clock()
        for _ in range(inner):
            run()
        samples.append((clock() - start) / inner)
    samples.sort()
    return {"min": samples[0], "median": samples[len(samples) // 2], "repetitions": len(samples) * inner}


def flat(result: tuple[Any, ...]) -> np.ndarray:
    """All numbers of a result in one array."""
    return np.concatenate([np.ravel(np.asarray(r, dtype=float)) for r in result])


def sample(numbers: np.ndarray, most: int = 2000) -> list[float]:
    """Enough of the numbers to compare peers by, and their sum."""
    step = max(1, len(numbers) // most)
    return [float(x) for x in numbers[::step]] + [float(np.abs(numbers).sum())]


def compile_c(source: str, *flags: str) -> ctypes.CDLL:
    """A library made of C source by gcc."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    name = hashlib.sha256(source.encode()).hexdigest()[:12]
    (folder / f"{name}.c").write_text(source)
    target = folder / f"{name}.so"
    command = ["gcc", *FLAGS, *flags, "-shared", "-fPIC", str(folder / f"{name}.c"), "-o", str(target), "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(target))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def jax_run(f: Callable[..., Any], argnums: tuple[int, ...], *args: Any) -> Run:
    """Value and gradient of a function of JAX, compiled, on arguments that are its own arrays already."""
    import jax

    jax.config.update("jax_enable_x64", True)
    compiled = jax.jit(jax.value_and_grad(f, argnums))
    given = [jax.numpy.asarray(a) for a in args]

    def run() -> tuple[Any, ...]:
        value, gradients = jax.block_until_ready(compiled(*given))
        return (value, *gradients)

    return run


def dfl_run(text: str, name: str, argnums: tuple[int, ...], *args: Any) -> Run:
    """Value and gradient of a function of the language."""
    import dsl

    f = dsl.value_and_grad(dsl.loads(text)[name], argnums=argnums)

    def run() -> tuple[Any, ...]:
        value, gradients = f(*args)
        return (value, *gradients)

    return run
