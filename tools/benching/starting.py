"""`tools/bench start`: fresh processes, from the start of Python to the first line that it prints.

Our gradient of a scalar function with nothing cached, and our commands, beside what Python and LLVM's binding take
alone, and JAX where it is. All are run in turn, in rounds, with bytecode written before: milliseconds, the least and
the median, and the median beyond that of Python alone; and the least of the processor, for the whole process.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benching.measure import PEERS_PYTHON, environment, importable

TEXT = "f(x) = log(1 + exp(5*sin(x) + 5x + 2))\n"
OURS = "import sys, dsl; m = dsl.load(sys.argv[1]); print(dsl.grad(m.f)(2.0))"
JAX = (
    "import jax, jax.numpy as np; jax.config.update('jax_enable_x64', True); "
    "print(jax.jit(jax.grad(lambda x: np.log(1 + np.exp(5 * np.sin(x) + 5 * x + 2))))(2.0))"
)
# By title: what it needs that may be missing, the Python, and its arguments; {file} is the program.
CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Python": ("", sys.executable, ("-c", "print()")),
    "import llvmlite": ("", sys.executable, ("-c", "import llvmlite.binding; print()")),
    "first gradient": ("", sys.executable, ("-c", OURS, "{file}")),
    "dfl --version": ("", sys.executable, ("-m", "dsl", "--version")),
    "dfl eval": ("", sys.executable, ("-m", "dsl", "eval", "{file}", "f'(2.0)")),
    "JAX": ("jax", PEERS_PYTHON, ("-c", JAX)),
}


def until_printed(command: list[str]) -> tuple[float, float]:
    """Seconds from the start of a process to the first line that it prints; of the processor, to its end."""
    environ = {**environment(), "DFL_CACHE": "0", "JAX_PLATFORMS": "cpu"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        spent = time.perf_counter() - start
        process.stdout.read()
    if process.returncode or not line:
        raise RuntimeError(f"{' '.join(command)} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(rounds: int = 15) -> Iterator[str]:
    """A line a case."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scalar.dfl")
        file.write_text(TEXT)
        commands = {
            title: [python, *(part.replace("{file}", os.fspath(file)) for part in parts)]
            for title, (needs, python, parts) in CASES.items()
            if not needs or importable(needs)
        }
        times: dict[str, list[float]] = {title: [] for title in commands}
        used: dict[str, list[float]] = {title: [] for title in commands}
        for k in range(rounds + 1):
            for title, command in commands.items():
                spent, busy = until_printed(command)
                if k:  # in the first round bytecode is written
                    times[title].append(1e3 * spent)
                    used[title].append(1e3 * busy)
    yield f"{'':18}{'least':>9}{'median':>9}{'beyond Python':>16}{'used':>9}"
    alone = median(times["Python"])
    for title, (needs, _, _) in CASES.items():
        if title in times:
            middle = median(times[title])
            yield f"{title:18}{min(times[title]):9.1f}{middle:9.1f}{middle - alone:16.1f}{min(used[title]):9.1f}"
        else:
            yield f"{title:18} {needs} is not installed"
