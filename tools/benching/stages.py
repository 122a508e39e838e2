"""What a user waits for: the stages from a program's text to its first gradient, for programs of several shapes.

Each program has a process of its own, which compiles it twice, as two modules: the first time with all that a process
loads and compiles once (the parser's tables, the library, NumPy, BLAS, support code), the second time without. The
whole is in milliseconds of the processor, the stages in the time that passes: also while other programs run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benching.measure import environment

STAGES = ("parse", "load", "lower", "passes", "ad", "emit", "llvm")
WIDTHS = {"all": 9, **dict.fromkeys(STAGES, 8)}


def loops(lines: int) -> str:
    """A function of loops one after the other, four lines each."""
    body = "\n".join(
        f"  for i in 1:{k + 3}\n    t = y * 0.9 + x\n    y = t / (1.0 + t * t)\n  end" for k in range(lines // 4)
    )
    return f"function f(x)\n  y = x\n{body}\n  y\nend"


def functions(lines: int) -> str:
    """Functions of five lines, each of which calls the one before."""
    parts = []
    for k in range(lines // 5):
        last = f"g{k - 1}(b, a)" if k else "a * b"
        body = f"  a = exp(-x) * {k + 1}.5\n  b = a > y ? a - y : y * {k}.0\n  {last} + a"
        parts.append(f"function g{k}(x, y)\n{body}\nend")
    return "\n".join([*parts, f"f(x) = g{lines // 5 - 1}(x, 2x)"])


def vector(size: int) -> Any:
    import numpy as np

    return np.linspace(0.5, 1.5, size)


def matrix(size: int) -> Any:
    import numpy as np

    return np.eye(size) + 0.1 * np.sin(np.arange(size * size)).reshape(size, size)


# By name: the text of a program with a function f, and what makes its arguments.
PROGRAMS: dict[str, tuple[str, Any]] = {
    "scalar": ("f(x) = 5sin(x)^2 + x * exp(-x)", lambda: (2.0,)),
    "loops-100": (loops(100), lambda: (0.5,)),
    "loops-1000": (loops(1000), lambda: (0.5,)),
    "functions-100": (functions(100), lambda: (0.5,)),
    "functions-1000": (functions(1000), lambda: (0.5,)),
    "rosenbrock": (
        "f(x) = sum(100 * (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 for i in 1:length(x)-1)", lambda: (vector(10),)
    ),
    "network": (
        "f(W, b, X, Y) = sum((tanh.(W * X .+ b) .- Y) .^ 2)", lambda: (matrix(5), vector(5), matrix(5), matrix(5))
    ),
    "solve": ("f(A, b) = sum(A \\ b)", lambda: (matrix(4), vector(4))),
    "exponential": ("f(A) = sum(exp(A))", lambda: (matrix(4),)),
}  # fmt: skip


def compiled(name: str) -> dict[str, float]:
    """Seconds of the processor until the first gradient, and seconds by stage."""
    import dsl

    text, arguments = PROGRAMS[name]
    given = arguments()
    start = time.process_time()
    module = dsl.loads(text)
    dsl.gradient(module.f, *given)
    return {"all": time.process_time() - start, **module.timings}


def measured(name: str) -> list[dict[str, float]]:
    """Of the first and the second time in a fresh process."""
    twice = f"[compiled({name!r}) for _ in range(2)]"
    text = f"import json; from benching.stages import compiled; print(json.dumps({twice}))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, env=environment())
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def table(names: Iterable[str] | None = None) -> Iterator[str]:
    """Two lines a program."""
    yield " " * 24 + "".join(f"{title:>{width}}" for title, width in WIDTHS.items())
    for name in names or PROGRAMS:
        for title, found in zip((name, "  again"), measured(name), strict=True):
            yield f"{title:24}{line(found)}"


def line(found: Mapping[str, float]) -> str:
    return "".join(f"{1e3 * found.get(stage, 0.0):{width}.1f}" for stage, width in WIDTHS.items())
