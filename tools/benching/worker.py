"""One peer of one row, in a process of its own: `python -m benching.worker ROW PEER CORE`.

It says in a line of JSON what the first call took, what the numbers are, and how much memory a call takes. Then it
measures for a while whenever it is told to: each line `SECONDS` of its input is answered by a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np  # noqa: E402 - the number of threads is read when it is imported

from benching.harness import Arguments, Repeat, Row, flat, repeated, sample, timed  # noqa: E402
from benching.rows import ROWS  # noqa: E402

Call = Callable[[], Any]


class Prepared:
    """A peer that has been called once. `cold`: seconds of the processor from the definition to the first
    result."""

    def __init__(self, row: Row, peer: str) -> None:
        self.tiny = row.tiny
        self.native: Mapping[str, Any] = {}
        self.python: dict[str, Repeat] = {}
        self.cold: float | None = None
        args = row.arguments(np.random.default_rng(1))
        prepare = self._own if peer == "dfl" else self._kernels if peer in row.kernels else self._library
        self.memory = prepare(row, peer, args)
        if self.native:
            from benching.native import nothing

            self.nothing = nothing()

    def _own(self, row: Row, peer: str, args: Arguments) -> dict[str, int]:
        import dsl
        from benching.own import Own

        start = time.process_time()
        own = Own(row, args)
        own.call()
        self.cold = time.process_time() - start
        self.numbers = own.numbers()
        self.native = own.repeats()
        self.python = {"call": repeated(own.call), "call value": repeated(own.value)}
        return peaks(own.value, own.call, dsl.release_memory)

    def _kernels(self, row: Row, peer: str, args: Arguments) -> dict[str, int]:
        from benching.kernels import Kernels

        kernels = Kernels(row, peer, args)
        self.native = kernels.repeats
        memory = peaks(*(lambda name=name: self.native[name].in_turn(1) for name in ("value", "gradient")))
        self.numbers = kernels()
        return memory

    def _library(self, row: Row, peer: str, args: Arguments) -> dict[str, int]:
        if peer.startswith("jax"):
            import jax

            jax.config.update("jax_enable_x64", True)
            jax.devices()
        start = time.process_time()
        value, both = row.peers[peer](row, args)
        first = both()
        self.cold = time.process_time() - start
        self.numbers = first if row.wanted == "gradient" else (value(), first)
        self.python = {"value": repeated(value), "both": repeated(both)}
        return peaks(value, both)

    def round(self, budget: float) -> dict[str, dict[str, float]]:
        """Times of everything there is, in so many seconds altogether."""
        each = budget / (len(self.native) * (1 + self.tiny) + len(self.python))
        found = {name: timed(repeat, each) for name, repeat in self.python.items()}
        if self.native:
            overhead = timed(self.nothing.in_turn, 0.01)["min"]
            found |= {name: timed(repeat.in_turn, each, overhead) for name, repeat in self.native.items()}
        if self.tiny and self.native:
            found |= {f"{name} apart": timed(repeat.apart, each) for name, repeat in self.native.items()}
        return found


def peaks(value: Call, both: Call, release: Call | None = None) -> dict[str, int]:
    """Bytes that the process has at most while the value is computed, and while what is wanted is."""
    value()  # it may have to be compiled
    return {"value": peak(value, release), "gradient": peak(both, release)}


def peak(run: Call, release: Call | None) -> int:
    """Bytes that the process has at most during a call, what it had before included."""
    if release is not None:
        release()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        run()
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except OSError:
        run()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(row: str, peer: str, core: str) -> None:
    if core != "-":
        os.sched_setaffinity(0, {int(core)})
    prepared = Prepared(ROWS[row], peer)
    first = {"cold": prepared.cold, "memory": prepared.memory, "numbers": sample(flat(prepared.numbers))}
    print(json.dumps(first), flush=True)
    for line in sys.stdin:
        print(json.dumps(prepared.round(float(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
