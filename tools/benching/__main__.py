"""Benchmarks: the same computation by every tool at hand, in one run.

    tools/bench                       all rows
    tools/bench e f-lorenz-1e4        some (names, or their beginnings)
    tools/bench --json out.json --compare earlier.json
    tools/bench --why k-heat          what our gradient keeps, and what its machine code is made of
    tools/bench compile               the first gradient of a new function in a running process, beside JAX
    tools/bench calls                 what a call from Python takes, beside an extension in C
    tools/bench start                 the first gradient of a fresh process, beside what Python alone takes
    tools/bench --growth              the time of compiling gradients of ever longer functions
    tools/bench --stages              where the time of compiling gradients goes, by program

Each peer of a row runs in a process of its own on one core with one thread, all with the same arguments; their numbers
are compared. Times are of: the value; what is wanted (mostly the gradient) alone; both together. Those of ours and of
C are of native code, without a call from Python; "call" is ours from Python, to compare with peers in Python. Peers
that are not there are named. Times are of the processor, without waiting for other programs; these still disturb
caches and clocks, so only ratios within one run mean something.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benching import calling, compiling, growth, report, stages, starting
from benching.harness import Row
from benching.measure import Found, measure
from benching.rows import ROWS

TABLES = {"calls": calling.table, "compile": compiling.table, "start": starting.table}
LONGER = 5  # the limit of rows that run only when they are named, times that of others


def chosen(names: list[str]) -> list[Row]:
    """The rows of these names or beginnings; without any all but those that must be asked for."""
    if not names:
        return [row for row in ROWS.values() if not row.asked]
    return [row for row in ROWS.values() if row.name in names or (not row.asked and row.name.startswith(tuple(names)))]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("rows", nargs="*", help="names of rows, or their beginnings; all without")
    parser.add_argument("--peers", default="", help="only these beside ours, separated by commas")
    parser.add_argument("--rounds", type=int, default=5, help="how often each peer has its turn")
    parser.add_argument("--budget", type=float, default=0.5, help="seconds of each turn")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a peer is given up; "
                        f"{LONGER} times as long for rows that run only when they are named")
    parser.add_argument("--json", type=Path, help="write everything measured there")
    parser.add_argument("--compare", type=Path, help="an earlier JSON: how times have changed")
    parser.add_argument("--why", action="store_true", help="look at our code instead of measuring")
    parser.add_argument("--growth", action="store_true", help="measure how the time of compiling grows instead")
    parser.add_argument("--stages", action="store_true", help="measure the stages of compiling instead")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    args = parser.parse_args()
    if args.rows and args.rows[0] in TABLES:
        for name in args.rows:
            for line in TABLES[name]():
                print(line, flush=True)
        return 0
    rows = chosen(args.rows)
    if not rows:
        parser.error(f"no such row; there are {', '.join(ROWS)}")
    if args.list:
        for row in ROWS.values() if not args.rows else rows:
            print(f"{row.name:22}{row.title}  ({', '.join([*row.kernels, *row.peers])})")
        return 0
    if args.growth or args.stages:
        table = growth.table if args.growth else stages.table
        for line in table():
            print(line, flush=True)
        return 0
    if args.why:
        from benching.why import why

        for row in rows:
            print(why(row))
        return 0
    measured: dict[str, dict[str, Found]] = {}
    for row in rows:
        peers = [p for p in (*row.kernels, *row.peers) if not args.peers or p in args.peers.split(",")]
        limit = args.limit * (LONGER if row.asked else 1)
        measured[row.name] = measure(row, ["dfl", *peers], args.rounds, args.budget, limit)
        print("\n".join(report.table(row, measured[row.name])), flush=True)
        if args.json:
            args.json.write_text(json.dumps(measured, indent=1))
    print("\n".join(report.summary(rows, measured)))
    if args.compare:
        print("\n".join(report.comparison(measured, json.loads(args.compare.read_text()))))
    bad = [one for found in measured.values() for one in found.values() if one.get("other numbers")]
    ours = [found["dfl"] for found in measured.values() if "failed" in found["dfl"]]
    return 1 if bad or ours else 0


if __name__ == "__main__":
    sys.exit(main())
