"""What a row of the benchmarks is, and the timing of a function.

A *row* is a function of the language in a file of `programs/`, with its arguments and what is wanted of it; a *peer* is
another way to compute the same: the C file of the same name, or Python that is given the same arguments. All peers of a
row have to give the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PROGRAMS = Path(__file__).parent / "programs"
Run = Callable[[], tuple[Any, ...]]      # gives the value, or the value and what is wanted
Repeat = Callable[[int], None]           # runs something so many times
Arguments = tuple[Any, ...]
Peer = Callable[["Row", Arguments], tuple[Run, Run]]  # the value; what is wanted, after the value where it has one


@dataclass(frozen=True)
class Row:
    """`wanted` is "gradient", with respect to the arguments `wrt`; "hvp", a product of the Hessian with the second
    argument; or the name of a function of the program.
    `kernels`: by peer, the kernels in C for the value, for what is wanted, and for both (or less), and the set of
    flags (`kernels.FLAGS`); `defines`: sizes that they are compiled for, each by an argument's number and the
    dimension. `within`: how many times longer ours may take than the peer named. `small` makes
    arguments for a test. `asked`: it runs only when it is named. `tiny`: calls are so short
    that several of them run beside each other, which is measured as well."""

    name: str
    title: str
    program: str
    function: str
    arguments: Callable[[np.random.Generator], Arguments]
    small: Callable[[np.random.Generator], Arguments]
    wrt: tuple[int, ...] = (0,)
    wanted: str = "gradient"
    kernels: Mapping[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    defines: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    peers: Mapping[str, Peer] = field(default_factory=dict)
    within: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 1e-9
    asked: bool = False
    tiny: bool = False

    def parts(self, args: Arguments) -> list[Any]:
        """Zeros in the shape of what is wanted."""
        if self.wanted == "gradient":
            return [np.zeros_like(args[k]) if isinstance(args[k], np.ndarray) else 0.0 for k in self.wrt]
        return [np.zeros_like(args[0])] if self.wanted == "hvp" else [0.0]


def timed(repeat: Repeat, budget: float, overhead: float = 0.0) -> dict[str, float]:
    """Seconds of the processor for one run: the least and the median over samples that fill the budget, at least three.
    `overhead` is taken off each. Time that passes would not do: where other programs want the core, a run that is
    longer than a slice of the scheduler waits for them, and a short one does not."""
    clock = time.process_time
    count, spent = 1, 0.0
    end = time.perf_counter() + budget
    while spent < 2e-4 and time.perf_counter() < end:
        count *= 4 if spent else 1
        start = clock()
        repeat(count)
        spent = clock() - start
    samples: list[float] = []
    end = time.perf_counter() + budget
    while len(samples) < 3 or time.perf_counter() < end:
        start = clock()
        repeat(count)
        samples.append((clock() - start) / count - overhead)
    samples.sort()
    return {"min": samples[0], "median": samples[len(samples) // 2]}


def repeated(run: Callable[[], Any]) -> Repeat:
    """A function of Python, called in a loop."""

    def repeat(n: int) -> None:
        for _ in range(n):
            run()

    return repeat


def flat(result: Any) -> np.ndarray:
    """All numbers of a result, however it is nested, in one array."""
    if isinstance(result, tuple | list):
        return np.concatenate([flat(r) for r in result]) if result else np.zeros(0)
    return np.ravel(np.asarray(result, dtype=float))


def sample(numbers: np.ndarray, most: int = 2000) -> list[float]:
    """Enough of the numbers to compare peers by, and their sum."""
    step = max(1, len(numbers) // most)
    return [float(x) for x in numbers[::step]] + [float(np.abs(numbers).sum())]


def differs(mine: list[float], theirs: list[float], tolerance: float) -> bool:
    """Whether samples of two peers are not the same numbers, but for rounding."""
    scale = max(map(abs, mine[:-1]), default=1.0)
    return len(mine) != len(theirs) or any(
        not abs(a - b) <= tolerance * max(abs(a), abs(b), scale * 1e-3) for a, b in zip(mine, theirs, strict=False)
    )
