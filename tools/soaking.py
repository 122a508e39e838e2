"""Long use of one process: `tools/soak --calls N --cycles M`.

N calls of every kind from Python, with every kind of error, and M programs that are compiled, differentiated, called
and dropped. Memory must stay flat once everything has been used, and no reference may be lost or kept: exit status 1
where that does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROGRAM = """
const TABLE = [1.0, 2.0, 4.0]
struct Point
  x::Float64
  y::Float64
end
square(x) = x^2
root(x) = sqrt(x)
at(v, i) = v[i]
weighted(v) = sum(TABLE .* v)
scaled(v, a) = a .* v
shift!(v, w) = (v .= v .+ w; nothing)
rosen(x) = (s = 0.0; for i in 1:length(x)-1; s += 100*(x[i+1]-x[i]^2)^2 + (1-x[i])^2; end; s)
kinds(a, b, c) = (a, (b, c), nothing, (x = a, y = (z = b,)))
turned(A) = copy(A')
depth(n) = n == 0 ? 0 : 1 + depth(n - 1)
height(p::Point, s) = s * p.y
stop(x) = x > 0 ? x : error("not positive: $x")
"""
FLAT = 4 << 20  # bytes that memory may grow by: what the allocators of Python and C round up to
FEW = 200       # references and blocks that may come and go


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def calls() -> list[Callable[[], Any]]:
    """One of each kind; those that go wrong among them."""
    import numpy as np

    import dsl

    m = dsl.loads(PROGRAM, opt_level=3, cache=False)
    v, w, out, A = np.arange(3.0), np.ones(3), np.empty(3), np.ones((2, 3), order="F")
    large, fixed, p = np.ones(20_000), np.ones(3), m.Point(1.0, 2.0)
    fixed.flags.writeable = False
    both, slope = dsl.value_and_grad(m.rosen), dsl.grad(m.square)
    shift = m["shift!"]
    return [
        lambda: m.square(2.5), lambda: m.square(3), lambda: m.square(np.float64(2.0)), lambda: slope(2.0),
        lambda: m.weighted(v), lambda: m.scaled(v, 2.0), lambda: m.scaled(v, 2.0, out=out), lambda: both(v),
        lambda: both(v, out=out), lambda: m.kinds(1.5, 1 << 40, True), lambda: m.turned(A), lambda: shift(v, fixed),
        lambda: m.height(p, 2.0), lambda: dsl.gradient(m.rosen, v), lambda: m.scaled(large, 2.0),
        lambda: m.scaled([1.0, 2.0], 2.0), lambda: m.scaled(v[::2], 2.0),
        # wrong
        lambda: m.root(-1.0), lambda: m.at(v, 4), lambda: m.at(v, 1 << 70), lambda: m.stop(-1.0), lambda: m.square("a"),
        lambda: m.square(), lambda: m.square(1.0, 2.0), lambda: m.square(1.0, k=2), lambda: m.scaled(v, 2.0, out=A),
        lambda: shift(fixed, v), lambda: shift(v, v), lambda: shift(v, w[:2]), lambda: m.square(object()),
        lambda: m.depth(200), lambda: both(v, out=fixed),
    ]  # fmt: skip


def used_up(name: str, rounds: int, each: Callable[[int], None], every: int) -> Iterator[str]:
    """Runs `each` so many times. What has changed then is told: nothing, where all is well."""
    warm = max(rounds // 10, 20)
    for k in range(warm):
        each(k)
    gc.collect()
    before, blocks = resident(), sys.getallocatedblocks()
    most = before
    for k in range(warm, rounds):
        each(k)
        if k % every == 0:
            most = max(most, resident())
            print(f"{name}: {k} of {rounds}, {resident() / 2**20:.1f} MB", file=sys.stderr, flush=True)
    gc.collect()
    if resident() - before > FLAT:
        yield f"{name}: {(resident() - before) / 2**20:.1f} MB more in memory after {rounds} rounds"
    if sys.getallocatedblocks() - blocks > 5 * FEW:
        yield f"{name}: {sys.getallocatedblocks() - blocks} more blocks of Python"


def soak_calls(count: int) -> Iterator[str]:
    import dsl

    made = calls()
    watched: list[Any] = [None, True, False, 1.0, dsl]
    for call in made:
        watched += [cell.cell_contents for cell in call.__closure__ or ()]

    def each(k: int) -> None:
        for call in made:
            with contextlib.suppress(dsl.DslError):
                call()

    for k in range(5):
        each(k)
    gc.collect()
    counts = [sys.getrefcount(x) for x in watched]
    rounds = max(count // len(made), 1)
    yield from used_up("calls", rounds, each, max(rounds // 10, 1))
    after = [sys.getrefcount(x) for x in watched]
    few = max(FEW, rounds // 4)
    wrong = [type(x).__name__ for x, a, b in zip(watched, counts, after, strict=True) if abs(a - b) > few]
    if wrong:
        yield f"calls: references of {', '.join(wrong)} were lost or kept"


def soak_cycles(count: int) -> Iterator[str]:
    import dsl

    def each(k: int) -> None:
        m = dsl.loads(f"f(x) = sin(x) * {k}.5 + x^2\ng(v) = sum(v) * {k}.5", cache=False)
        for _ in range(3):
            value = m.f(2.0)
        assert dsl.grad(m.f)(2.0) < value + 10.0 * (k + 1)
        if k % 20 == 0:
            m.g([1.0, 2.0])
            gc.collect()

    yield from used_up("cycles", count, each, max(count // 10, 1))


def in_threads(count: int) -> Iterator[str]:
    """The calls by four threads at once."""
    import dsl

    made, failed = calls(), []

    def work() -> None:
        try:
            for _ in range(count // len(made) // 4):
                for call in made:
                    with contextlib.suppress(dsl.DslError):
                        call()
        except BaseException as e:
            failed.append(repr(e))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    yield from failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/soak", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--cycles", type=int, default=10_000)
    args = parser.parse_args()
    findings = [*soak_calls(args.calls), *in_threads(args.calls // 10), *soak_cycles(args.cycles)]
    for finding in findings:
        print(finding)
    print(f"{args.calls} calls, {args.cycles} cycles, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
