"""Makes a failing program in SSA form small: takes out ops as long as it runs and fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable

from dsl.interp import run
from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ir.verifier import verify
from dsl.ops import Builder
from dsl.types import Mem
from fuzzing.agree import POINTS
from fuzzing.ssa_check import copy


def reduce(source: Program, fails: Callable[[Program], bool], seconds: float = 60.0) -> Program:
    """Takes ops out, last ones first; what used their results uses zeros."""
    end = time.monotonic() + seconds
    best = copy(source)
    improved = True
    while improved:
        improved = False
        count = sum(1 for fn in best.functions.values() for _ in fn.body.walk())
        for number in reversed(range(count)):
            if time.monotonic() > end:
                return best
            for way in ("drop", "inline then", "inline else"):
                candidate = copy(best)
                if change(candidate, number, way) and valid(candidate) and fails(candidate):
                    best = candidate
                    improved = True
                    break
    return best


def valid(p: Program) -> bool:
    try:
        verify(p)
        for point in POINTS:
            run(p, "f", list(point), lambda text: None)
    except Exception:  # a candidate that is no program
        return False
    return True


def change(p: Program, number: int, way: str) -> bool:
    """Take out op `number` in order of printing; False where there is nothing to take out."""
    for fn in p.functions.values():
        for region in (fn.body, *(r for op in fn.body.walk() for r in op.regions)):
            if number < len(region.ops):
                return take_out(fn, region, number, region.ops[number], way)
            number -= len(region.ops)
    return False


def take_out(fn: Function, region: Region, k: int, op: Op, way: str) -> bool:
    if op.name in ("yield", "next", "break", "return", "const", "null"):
        return False
    if way != "drop":
        if op.name != "if":
            return False
        arm = op.regions[0 if way == "inline then" else 1]
        if arm.terminator.name != "yield":
            return False
        replace_uses(fn, dict(zip(op.results, arm.terminator.args, strict=True)))
        region.ops[k : k + 1] = arm.ops[:-1]
        return True
    scratch = Region()
    b = Builder(scratch)
    zeros = {}
    for r in op.results:
        if isinstance(r.type, Mem) and op.name != "new":
            zeros[r] = b.op("new", (b.i64(2),), (r.type,)).result
        elif isinstance(r.type, Mem):
            return False
        else:
            zeros[r] = b.zero(r.type)
    replace_uses(fn, zeros)
    region.ops[k : k + 1] = scratch.ops
    return True


def replace_uses(fn: Function, mapping: dict[Value, Value]) -> None:
    for op in fn.body.walk():
        op.args = [mapping.get(a, a) for a in op.args]
