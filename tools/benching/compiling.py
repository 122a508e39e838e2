"""`tools/bench compile`: what a user waits for in a running process, from a function's text to its first gradient.

Straight-line models of a line, of 100 and of 1000, ours and JAX's `jit(grad)` of the same statements, each in a process
of its own that has compiled another model before. Every time counted is that of a model not seen before: they differ in
a constant. Times are in milliseconds as they pass, the least and the median, and the least of the processor, which is
what counts while other programs run; the stages of ours are the least of each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from benching.measure import PEERS_PYTHON, environment, importable

LINES = (1, 100, 1000)
STAGES = ("parse", "load", "lower", "passes", "ad", "emit", "llvm")
Times = list[dict[str, float]]


def statements(lines: int, number: int) -> list[str]:
    """Assignments that all depend on each other, in the language and in Python alike; y is the value."""
    if lines == 1:
        return [f"y = log({number}.5 + exp(5.0*sin(x) + 5.0*x + 2.0))"]
    kinds = (
        "y = y * 0.{k}5 + sin(x + {k}.5)", "z = exp(-y) / (1.{k} + x * x)", "y = log(1.{k} + y * y) - z",
        "x = 0.5 * x + {k}.25 * cos(z)",
    )  # fmt: skip
    body = [kinds[k % 4].format(k=k % 9 + 1) for k in range(lines - 3)]
    return [f"y = x * {number}.5", "z = y + 1.0", *body, "y = y + z"]


def ours(lines: int, number: int) -> dict[str, float]:
    """Seconds until the first gradient, as they pass and of the processor, and by stage."""
    import dsl

    text = "\n".join(["function f(x)", *statements(lines, number), "y", "end"])
    start, used = time.perf_counter(), time.process_time()
    module = dsl.loads(text)
    dsl.gradient(module.f, 0.7)
    return {"all": time.perf_counter() - start, "used": time.process_time() - used, **module.timings}


def jax(lines: int, number: int) -> dict[str, float]:
    import jax
    from jax.numpy import cos, exp, log, sin

    space: dict[str, Any] = {"cos": cos, "exp": exp, "log": log, "sin": sin}
    exec("\n    ".join(["def f(x):", *statements(lines, number), "return y"]), space)
    start, used = time.perf_counter(), time.process_time()
    float(jax.jit(jax.grad(space["f"]))(0.7))
    return {"all": time.perf_counter() - start, "used": time.process_time() - used}


MAKERS = {"dfl": ours, "jax": jax}


def run(peer: str, lines: int, models: int) -> Times:
    """In the process of a peer: the times of so many models, after one that is not counted."""
    if peer == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    return [MAKERS[peer](lines, number) for number in range(1, models + 2)][1:]


def measured(peer: str, lines: int, models: int) -> Times | str:
    """The same in a fresh process; what is missing, where something is."""
    if peer != "dfl" and not importable(peer):
        return f"{peer} is not installed"
    text = f"import json; from benching.compiling import run; print(json.dumps(run({peer!r}, {lines}, {models})))"
    python = sys.executable if peer == "dfl" else PEERS_PYTHON
    environ = {**environment(), "DFL_CACHE": "0", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([python, "-c", text], capture_output=True, text=True, env=environ)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    found: Times = json.loads(done.stdout.splitlines()[-1])
    return found


def table(sizes: Sequence[int] = LINES, models: int = 9) -> Iterator[str]:
    """A line a model and peer."""
    yield f"{'':18}{'least':>9}{'median':>9}{'used':>9}" + "".join(f"{stage:>8}" for stage in STAGES)
    for lines in sizes:
        least: dict[str, float] = {}
        for peer in MAKERS:
            found = measured(peer, lines, models if lines < 1000 else max(2, models // 3))
            title = f"{lines:5} lines  {peer:5}"
            if isinstance(found, str):
                yield f"{title} {found}"
                continue
            all_ = [1e3 * one["all"] for one in found]
            least[peer] = 1e3 * min(one["used"] for one in found)
            stages = "".join(f"{1e3 * min(one[s] for one in found):8.1f}" for s in STAGES if s in found[0])
            ratio = f"   {least[peer] / least['dfl']:.1f} times ours" if peer != "dfl" and "dfl" in least else ""
            yield f"{title}{min(all_):9.1f}{median(all_):9.1f}{least[peer]:9.1f}{stages}{ratio}"
