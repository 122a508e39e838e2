"""How the time of compiling a gradient grows with the size of a program of straight-line statements.

It is counted in seconds of the processor, by stages, from the text to the first gradient, each size in a process of its
own. What there is to do for any program is taken off: the time of a program of one statement, by a process that has
compiled another one before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from benching.measure import environment

SIZES = (100, 1000, 4000, 16_000)


def program(statements: int) -> str:
    """A function whose statements all depend on each other and are all different."""
    names = ["xyz", "yzx", "zxy"]
    lines = [f"  {a} = {b} * {c} + sin({a} + {k}.0)" for k in range(statements) for a, b, c in [names[k % 3]]]
    return "\n".join(["function f(x, y, z)", *lines, "  x + y + z", "end"])


def compiled(statements: int) -> dict[str, float]:
    """Seconds of the processor until the first gradient, and seconds by stage."""
    import dsl

    start = time.process_time()
    module = dsl.loads(program(statements), mode="reverse")
    dsl.gradient(module.f, 0.1, 0.2, 0.3)
    return {"all": time.process_time() - start, **module.timings}


def measured(statements: int) -> dict[str, float]:
    """The same in a fresh process, without what any program takes."""
    text = (
        "import json; from benching.growth import compiled; compiled(1); least = compiled(1); "
        f"found = compiled({statements}); print(json.dumps({{k: t - least.get(k, 0.0) for k, t in found.items()}}))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, env=environment())
    found: dict[str, float] = json.loads(done.stdout)
    return found


def table(sizes: Sequence[int] = SIZES) -> Iterator[str]:
    """One line a size: milliseconds for a statement, as a ratio to the smallest size, and where they go."""
    first = 0.0
    for size in sizes:
        found = measured(size)
        each = found["all"] / size
        first = first or each
        yield f"{size:7} statements: {1e3 * each:.3f} ms each, {each / first:.2f} of the first  ({shares(found)})"


def shares(found: Mapping[str, float]) -> str:
    """The parts of the stages in the time that passes (not only on the processor)."""
    stages = {name: max(t, 0.0) for name, t in found.items() if name not in ("all", "run")}
    whole = sum(stages.values()) or 1.0
    return ", ".join(f"{name} {t / whole:.0%}" for name, t in stages.items())
