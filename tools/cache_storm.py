"""The cache under fire: rounds of processes that start at once on an empty cache and share it.

In each round every process loads the same programs and computes values and derivatives; some are killed at a random
moment, and meanwhile files of the cache are cut, changed, exchanged and removed. Each process that was not killed must
give every result right, and say nothing else; so must a last one that finds what the others have left. Results are
compared with formulas in Python. Processes are forked from one that has imported the package and compiled nothing, now
and then (`--fresh`) they are started anew.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import dsl

ROOT = Path(__file__).resolve().parent.parent
FRESH_EVERY = 20  # rounds
SECONDS = 120.0   # that a process may take

MODEL = r"""
include("INNER")
f(x) = 5sin(x) + x^2
g(v) = sum(v .* v) + scale
h(x, n) = (s = 0.0; for i in 1:n s += sqrt(x * i) end; s)
root(x) = sqrt(x)
"""

# What is computed, and what it must be.
JOBS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "value": (lambda m: m.f(2.0), 5 * math.sin(2.0) + 4.0),
    "derivative": (lambda m: m.f.grad(2.0), 5 * math.cos(2.0) + 4.0),
    "second": (lambda m: dsl.derivative(m.f, 2.0, 2), -5 * math.sin(2.0) + 2.0),
    "gradient": (lambda m: dsl.gradient(m.g, [1.0, 2.0])[0].tolist(), [2.0, 4.0]),
    "array": (lambda m: m.g([3.0, 4.0]), 27.5),
    "loop": (lambda m: m.h(4.0, 2), 2.0 + math.sqrt(8.0)),
    "by n": (lambda m: dsl.gradient(m.h, 4.0, 1)[0], 0.25),
    "error": (lambda m: failure(lambda: m.root(-1.0)), "DomainError"),
}


def failure(call: Callable[[], Any]) -> str:
    try:
        return repr(call())
    except dsl.DslError as e:
        return e.kind


def results(file: str, seed: int) -> dict[str, Any]:
    """All jobs in some order."""
    module = dsl.load(file)
    names = list(JOBS)
    Random(seed).shuffle(names)
    return {name: JOBS[name][0](module) for name in names}


def wrong(found: dict[str, Any]) -> list[str]:
    def near(a: Any, b: Any) -> bool:
        if isinstance(b, list):
            return isinstance(a, list) and len(a) == len(b) and all(map(near, a, b))
        return math.isclose(a, b, rel_tol=1e-12) if isinstance(b, float) else bool(a == b)

    expected = {name: value for name, (_, value) in JOBS.items()}
    missed = [name for name, value in expected.items() if name not in found or not near(found[name], value)]
    return [f"{name} is {found.get(name)!r}, not {expected[name]!r}" for name in missed]


# ---------------------------------------------------------------- processes


class Child:
    """A process at work; what it says comes through a pipe."""

    def __init__(self, file: str, seed: int, fresh: bool) -> None:
        self.killed = False
        self.said = b""
        if fresh:
            code = [sys.executable, "-m", "cache_storm", "--work", file, "--seed", str(seed)]
            made = subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert made.stdout is not None
            self.process: subprocess.Popen[bytes] | None = made
            self.pid, self.pipe = made.pid, os.dup(made.stdout.fileno())
            made.stdout.close()
            return
        self.process = None
        self.pipe, out = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.dup2(out, 1)
            os.dup2(out, 2)
            work(file, seed)
        os.close(out)

    def listen(self) -> bool:
        """Read what is there; False when it has ended."""
        data = os.read(self.pipe, 1 << 16)
        self.said += data
        return bool(data)

    def kill(self) -> None:
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        os.close(self.pipe)
        if self.process is not None:
            return self.process.wait()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def work(file: str, seed: int) -> None:
    """The whole life of a process."""
    code = 1
    try:
        warnings.simplefilter("error")
        text = json.dumps(results(file, seed))
        print(text, flush=True)
        code = 0
    except BaseException as e:
        print(f"{type(e).__name__}: {e}", flush=True)
    finally:
        os._exit(code)


def vandalise(folder: Path, random: Random) -> None:
    """Do something to a file of the cache."""
    files = [f for f in folder.glob("store/??/*") if f.is_file()]
    if not files:
        return
    victim = random.choice(files)
    try:
        data = victim.read_bytes()
        match random.randrange(6):
            case 0:
                victim.unlink()
            case 1:
                victim.write_bytes(data[: random.randrange(len(data) + 1)])
            case 2:
                at = random.randrange(len(data) or 1)
                victim.write_bytes(data[:at] + bytes([random.randrange(256)]) + data[at + 1 :])
            case 3:
                os.replace(victim, random.choice(files))
            case 4:
                victim.write_bytes(random.randbytes(random.randrange(2000)))
            case 5:
                os.truncate(victim, random.randrange(len(data) + 1))
    except OSError:  # somebody else was faster
        pass


def round_of(number: int, seed: int, processes: int, folder: Path) -> list[str]:
    """What went wrong in a round."""
    random = Random(f"{seed}/{number}")
    cache = folder / "cache"
    os.environ["DFL_CACHE_DIR"] = str(cache)
    os.environ["DFL_CACHE_SIZE"] = random.choice(["1", "512"])
    (folder / "inner.dfl").write_text(f"scale = 2.5 # {number}\n")
    file = folder / "model.dfl"
    file.write_text(MODEL.replace("INNER", "inner.dfl"))
    fresh = number % FRESH_EVERY == FRESH_EVERY - 1
    children = {c.pipe: c for c in (Child(str(file), random.randrange(99), fresh) for _ in range(processes))}
    doomed = {pipe: time.monotonic() + random.uniform(0, 0.6) for pipe in children if random.random() < 0.25}
    running, found, end = dict(children), [], time.monotonic() + SECONDS
    while running and time.monotonic() < end:
        for pipe in select.select(list(running), [], [], 0.002)[0]:
            if not running[pipe].listen():
                del running[pipe]
        for pipe, when in list(doomed.items()):
            if pipe in running and time.monotonic() > when and not running[pipe].killed:
                running[pipe].kill()
        if random.random() < 0.5:
            vandalise(cache, random)
    for child in running.values():
        child.kill()
        child.killed = False  # it took too long: that is a failure
    for child in children.values():
        found += verdict(child)
    for _ in range(2):  # who comes late finds what is left, and then what the one before has made of it
        last = Child(str(file), random.randrange(99), False)
        while last.listen():
            pass
        found += verdict(last)
    return found


def verdict(child: Child) -> list[str]:
    code, text = child.wait(), child.said.decode("utf-8", "replace")
    if child.killed and code == -signal.SIGKILL:
        return []
    if code:
        return [f"exit code {code}: {text.strip() or 'nothing was said'}"]
    try:
        return wrong(json.loads(text))
    except ValueError:
        return [f"it said {text!r}"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Processes that share a cache while it is damaged.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.pop("DFL_CACHE", None)
    if arguments.work:
        work(arguments.work, arguments.seed)

    failures = 0
    for number in range(arguments.rounds):
        folder = Path(tempfile.mkdtemp(prefix="cachestorm-"))
        found = round_of(number, arguments.seed, arguments.processes, folder)
        failures += bool(found)
        for text in found:
            print(f"round {number}: {text}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        if number % 10 == 9:
            print(f"{number + 1} of {arguments.rounds} rounds, {failures} with failures", file=sys.stderr, flush=True)
    print(f"{arguments.rounds} rounds of {arguments.processes} processes, {failures} with failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
