"""Running the peers of a row: each in a process of its own, in rounds that take turns.

All peers of a row are prepared first, one after the other, and then measured in rounds: in each, every peer has its
turn on the same core while the others wait. So what else the machine does meets all of them, and the median over the
rounds of ratios within a round is steady where times are not.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from benching.harness import Row, differs

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {"jax": "jax", "scipy": "scipy", "numpy": "numpy"}  # what a peer in Python imports
PEERS_PYTHON = os.environ.get("DFL_BENCH_PYTHON") or sys.executable
Found = dict[str, Any]


@cache
def importable(name: str) -> bool:
    """Whether the Python of the peers has a package."""
    test = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([PEERS_PYTHON, "-c", test], capture_output=True).returncode == 0


def missing(row: Row, peer: str) -> str:
    """What a peer needs and is not there; "" where nothing is missing."""
    from benching import kernels

    if peer in row.kernels:
        return "" if kernels.available() else "gcc"
    name = NEEDS.get(peer.split("-")[0], "")
    return "" if peer == "dfl" or not name or importable(name) else name


def idle_core() -> int | None:
    """The core that has done least in the last moment."""
    try:
        allowed = os.sched_getaffinity(0)
        before = _idle_times()
        time.sleep(0.1)
        after = _idle_times()
    except (AttributeError, OSError):
        return None
    return max(allowed & set(before), key=lambda core: after[core] - before[core], default=None)


def _idle_times() -> dict[int, int]:
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    return {int(w[0][3:]): int(w[4]) + int(w[5]) for w in lines if w[0].startswith("cpu") and w[0] != "cpu"}


def environment() -> dict[str, str]:
    """For processes that import the benchmarks and the package."""
    paths = [str(ROOT / "tools"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "DFL_CACHE": "0", "PYTHONPATH": os.pathsep.join(paths)}


class Worker:
    """A peer's process. Everything it is asked has to be answered within `limit` seconds."""

    def __init__(self, row: Row, peer: str, core: int | None, limit: float) -> None:
        python = sys.executable if peer == "dfl" or peer in row.kernels else PEERS_PYTHON
        self.limit = limit
        self.process = subprocess.Popen(
            [python, "-m", "benching.worker", row.name, peer, "-" if core is None else str(core)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(),
        )  # fmt: skip

    def answer(self) -> Found:
        assert self.process.stdout is not None and self.process.stderr is not None
        if not select.select([self.process.stdout], [], [], self.limit)[0]:
            self.end()
            return {"failed": f"more than {self.limit:.0f} s"}
        line = self.process.stdout.readline()
        if not line:
            return {"failed": (self.process.stderr.read().strip().splitlines() or ["no answer"])[-1]}
        found: Found = json.loads(line)
        return found

    def ask(self, budget: float) -> Found:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{budget}\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def measure(row: Row, peers: list[str], rounds: int, budget: float, limit: float) -> dict[str, Found]:
    """By peer: what its process has said first, the times of each round under "rounds", and their summary under
    "times"; or {"failed": why}."""
    core = idle_core()
    found: dict[str, Found] = {}
    workers: dict[str, Worker] = {}
    try:
        for peer in peers:
            if lacking := missing(row, peer):
                found[peer] = {"failed": f"{lacking} is not installed", "missing": True}
                continue
            workers[peer] = Worker(row, peer, core, limit)
            found[peer] = workers[peer].answer()
        for _ in range(rounds):
            for peer, worker in workers.items():
                if "failed" not in found[peer]:
                    times = worker.ask(budget)
                    if "failed" in times:
                        found[peer] = times
                    else:
                        found[peer].setdefault("rounds", []).append(times)
    finally:
        for worker in workers.values():
            worker.end()
    for one in found.values():
        if "rounds" in one:
            one["times"] = {name: summary([r[name] for r in one["rounds"]]) for name in one["rounds"][0]}
    compare_numbers(row, found)
    return found


def summary(rounds: list[Found]) -> Found:
    """The least of all rounds, and the median of the rounds' medians."""
    return {"min": min(r["min"] for r in rounds), "median": median(r["median"] for r in rounds)}


def compare_numbers(row: Row, found: dict[str, Found]) -> None:
    """Mark the peers whose numbers are not those of the first one that has any."""
    reference = next((one["numbers"] for one in found.values() if "numbers" in one), None)
    for one in found.values():
        if "numbers" in one and reference is not None and differs(reference, one.pop("numbers"), row.tolerance):
            one["other numbers"] = True


def ratio(found: dict[str, Found], ours: tuple[str, str], theirs: tuple[str, str]) -> float | None:
    """The median over the rounds of one time over another within a round; each is a peer and the name of a time."""
    pairs = [found.get(peer, {}).get("rounds", []) for peer, _ in (ours, theirs)]
    each = [
        a[ours[1]]["min"] / b[theirs[1]]["min"]
        for a, b in zip(*pairs, strict=False)
        if ours[1] in a and theirs[1] in b and b[theirs[1]]["min"] > 0
    ]
    return median(each) if each else None


def ratios(row: Row, found: dict[str, Found]) -> dict[str, float]:
    """What a row comes to: our gradient over that of each peer, our value over C's, our gradient over our value."""
    made: dict[str, float | None] = {}
    for peer in row.kernels:
        for name in ("gradient", "both", "gradient apart"):
            made[f"{name} / {peer}"] = ratio(found, ("dfl", name), (peer, name))
    for peer in row.peers:
        made[f"call / {peer}"] = ratio(found, ("dfl", "call"), (peer, "both"))
    made["value / c"] = ratio(found, ("dfl", "value"), ("c", "value"))
    made["gradient / value"] = ratio(found, ("dfl", "gradient"), ("dfl", "value"))
    made["c: gradient / value"] = ratio(found, ("c", "gradient"), ("c", "value"))
    return {name: x for name, x in made.items() if x is not None}


def target(row: Row, of: dict[str, float]) -> dict[str, tuple[float, float]]:
    """By what is aimed at: the ratio, and what it may be at most."""
    aims = {}
    for peer, most in row.within.items():
        name = {"value": "gradient / value"}.get(peer, f"{'gradient' if peer in row.kernels else 'call'} / {peer}")
        if name in of:
            aims[name] = (of[name], most)
    return aims
