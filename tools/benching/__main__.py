"""Benchmarks: the same computation by every tool at hand, in one run.

    tools/bench                       all rows
    tools/bench rosenbrock mlp-small  some (a name, or the beginning of names)
    tools/bench --json out.json --compare earlier.json

Each peer of a row runs in a process of its own on one core with one thread, all with the same data; their numbers are
compared. The table gives the median time of value and gradient together, and how many times longer (or shorter) that is
than ours. Peers that are not installed are left out: the table says so. The machine may be busy with other things, so
only ratios within one run mean something.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {"numpy": "numpy", "jax": "jax", "scipy": "scipy"}


def available(peer: str) -> bool:
    if peer.startswith("c"):
        return shutil.which("gcc") is not None
    return peer not in NEEDS or importlib.util.find_spec(NEEDS[peer]) is not None


def measure(row: str, peer: str, budget: float, limit: float) -> dict[str, Any]:
    """What the worker found, or {"failed": why}."""
    paths = [str(ROOT / "tools"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "benching.worker", row, peer, str(budget)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit:.0f} s"}
    if done.returncode != 0:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def differs(mine: list[float], theirs: list[float], tolerance: float) -> bool:
    scale = max(map(abs, mine[:-1]), default=1.0)
    return len(mine) != len(theirs) or any(
        not abs(a - b) <= tolerance * max(abs(a), abs(b), scale * 1e-3) for a, b in zip(mine, theirs, strict=False)
    )


def duration(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def main() -> int:
    from benching.rows import ROWS

    parser = argparse.ArgumentParser(prog="tools/bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("rows", nargs="*", help="names of rows, or their beginnings; all without")
    parser.add_argument("--peers", default="", help="only these, separated by commas")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds to repeat each peer for")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a peer is given up")
    parser.add_argument("--json", type=Path, help="write everything measured there")
    parser.add_argument("--compare", type=Path, help="an earlier JSON: how our times have changed")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    args = parser.parse_args()
    rows = [r for name, r in ROWS.items() if not args.rows or any(name.startswith(a) for a in args.rows)]
    if not rows:
        parser.error(f"no such row; there are {', '.join(ROWS)}")
    if args.list:
        for row in rows:
            print(f"{row.name:22}{row.title}  ({', '.join(row.peers)})")
        return 0
    before = json.loads(args.compare.read_text()) if args.compare else {}
    found: dict[str, dict[str, Any]] = {}
    wrong = False
    for row in rows:
        print(f"\n{row.name}: {row.title}")
        mine = found.setdefault(row.name, {})
        for peer in row.peers:
            if args.peers and peer != "dfl" and peer not in args.peers.split(","):
                continue
            if not available(peer):
                print(f"  {peer:10} not installed")
                continue
            mine[peer] = result = measure(row.name, peer, args.budget, args.limit)
            wrong |= show(row, peer, result, mine, before)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return 1 if wrong else 0


def show(row: Any, peer: str, result: dict[str, Any], mine: dict[str, Any], before: dict[str, Any]) -> bool:
    """One line of the table; True where the numbers are not those of the first peer, or there are none of ours."""
    if "failed" in result:
        print(f"  {peer:10} failed: {result['failed']}")
        return peer == "dfl"
    line = f"  {peer:10}{duration(result['median']):>10}  (least {duration(result['min'])}, first "
    line += f"{duration(result['cold'])}, {result['memory'] / 1e6:.0f} MB)"
    ours = mine.get("dfl", {})
    if peer != "dfl" and "median" in ours:
        line += f"  ours / this {ours['median'] / result['median']:.2f}"
    earlier = before.get(row.name, {}).get(peer, {}).get("median")
    if earlier:
        line += f"  now / earlier {result['median'] / earlier:.2f}"
    bad = "numbers" in ours and differs(ours["numbers"], result["numbers"], row.tolerance)
    print(line + ("  OTHER NUMBERS" if bad else ""), flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
