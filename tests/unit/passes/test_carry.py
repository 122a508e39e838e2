"""Accumulations that are carried, on random loops: the same numbers, which are integers, so that no order of additions
shows. (What is decided, and what just not: tests/files/passes/carry_*.ir.)"""

from __future__ import annotations

import random

import pytest

from dsl.interp import run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.carry import carry

SIZE = 80  # of each memory; places are near its middle

PROGRAM = """
fn @main(%n: i64, %alias: bool) -> f64, f64 {{
  %size: i64 = const {size}
  %one: i64 = const 1
  %zero: i64 = const 0
  %nil: f64 = const 0.0
  %m0: mem<f64> = new %size
  %m1: mem<f64> = new %size
  %fresh: mem<f64> = new %size
  %m2: mem<f64> = select %alias, %m0, %fresh
  %last: i64 = sub %size, %one
  for %k = %zero, %last, %one {{
    %kf: f64 = tof64 %k
    store %m0[%k], %kf
    store %m1[%k], %kf
    next
  }}
  call @f(%m0, %m1, %m2, %n)
  %a: f64, %b: f64 = for %j = %zero, %last, %one (%s: f64 = %nil, %t: f64 = %nil) {{
    %jf: f64 = tof64 %j
    %u: f64 = load %m0[%j]
    %v: f64 = load %m1[%j]
    %w: f64 = load %fresh[%j]
    %ju: f64 = mul %jf, %u
    %jv: f64 = mul %jf, %v
    %s1: f64 = add %s, %ju
    %t1: f64 = add %t, %jv
    %t2: f64 = add %t1, %w
    next %s1, %t2
  }}
  return %a, %b
}}
fn @f(%m0: mem<f64>, %m1: mem<f64>, %m2: mem<f64>, %n: i64) {{
  %c: i64 = const {middle}
  %low: i64 = const {low}
  %step: i64 = const {step}
  %slope: i64 = const {slope}
  %yes: bool = const true
  %zero: i64 = const 0
  %one: i64 = const 1
  for %o = %zero, %one, %one {{
    %high: i64 = mul %n, %step
    for %i = %low, %high, %step {{
      %x: f64 = tof64 %i
      %si: i64 = mul %i, %slope
      %p: i64 = add %c, %si
      %q: i64 = add %p, %o
{body}
      next
    }}
    next
  }}
  return
}}
"""


def program(seed: int) -> str:
    rng = random.Random(seed)
    lines = []
    memories = rng.choice([["%m0"], ["%m0", "%m1"], ["%m0", "%m1", "%m2"]])
    others = rng.choice([memories, ["%m1", "%m2"], ["%m2"]])
    lines.append("%y: f64 = neg %x")
    value = rng.choice(["%x", "%x", "%y"])
    for k in range(rng.randint(2, 7)):
        offset = rng.randint(-4, 4)
        lines += [f"%o{k}: i64 = const {abs(offset)}",
                  f"%p{k}: i64 = {'add' if offset >= 0 else 'sub'} {rng.choice(['%p', '%p', '%p', '%q', '%c'])}, %o{k}"]
        kind = rng.random()
        if kind < 0.75:
            lines.append(f"acc {rng.choice(memories)}[%p{k}], {value} {{0}}")
        elif kind < 0.85:
            lines.append(f"if %yes {{ acc {rng.choice(memories)}[%p{k}], {value} {{0}}\nyield }} else {{ yield }}")
        elif kind < 0.95:
            lines.append(f"%x{k}: f64 = load {rng.choice(others)}[%p{k}]")
            value = f"%x{k}"
        else:
            lines.append(f"store {rng.choice(others)}[%p{k}], %x")
    return PROGRAM.format(
        size=SIZE, middle=SIZE // 2, low=rng.randint(-2, 3), step=rng.choice([1, 1, 1, -1, -1, 2, -2, 3]),
        slope=rng.choice([1, 1, -1, 2, 0]), body="\n".join(lines),
    )  # fmt: skip


@pytest.mark.parametrize("first", range(0, 300, 20))
def test_the_same_is_added_to_every_place(first: int) -> None:
    carried = 0
    for seed in range(first, first + 20):
        text = program(seed)
        before, after = parse_program(text), parse_program(text)
        carried += sum([carry(fn) for fn in after.functions.values()])
        verify(after)
        for n in (0, 1, 6):
            for alias in (False, True):
                expected = run(before, "main", [n, alias])
                assert run(after, "main", [n, alias]) == expected, print_program(after)
    assert carried > 5
