"""One peer of one row, in a process of its own: `python -m benching.worker ROW PEER BUDGET` prints JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np  # noqa: E402 - the number of threads is read when it is imported

from benching.harness import flat, sample, timed  # noqa: E402
from benching.rows import ROWS  # noqa: E402


def main(row_name: str, peer: str, budget: float) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    row = ROWS[row_name]
    data = row.data(np.random.default_rng(1))
    start = time.perf_counter()
    run = row.peers[peer](data)
    first = run()
    cold = time.perf_counter() - start
    numbers = sample(flat(first))
    result = {"cold": cold, "numbers": numbers, **timed(run, budget)}
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
