"""Regions: programs mean the same with them, natively, too, and memory does not grow.

The interpreter ends what belongs to a region for good: a use of it afterwards fails.
"""

from __future__ import annotations

import resource

import pytest
from memory_ir import memory_program
from test_random_programs import ARGUMENTS, bits, meaning

import dsl
from dsl.diagnostics import DslError
from dsl.ir.core import Program
from dsl.ir.text import parse_program
from dsl.ir.verifier import verify
from dsl.passes.release import release
from dsl.runtime.engine import compile_unit


def native_meaning(program: Program, level: int) -> list[object]:
    unit = compile_unit(program, "main", level)
    found: list[object] = []
    for args in ARGUMENTS:
        try:
            found.append([bits(v) for v in unit.call(args)])
        except DslError as e:
            found.append(e.code)
    return found


@pytest.mark.parametrize("seed", range(120))
def test_nothing_is_used_after_its_end(seed: int) -> None:
    program = memory_program(seed)
    verify(program)
    expected = meaning(program)
    release(program, ["main"])
    verify(program)
    assert meaning(program) == expected


@pytest.mark.parametrize("seed", range(0, 120, 8))
def test_native_code_means_the_same(seed: int) -> None:
    program = memory_program(seed)
    expected = meaning(program)
    release(program, ["main"])
    for level in (0, 3):
        assert native_meaning(program, level) == expected


def test_there_are_regions_in_random_programs() -> None:
    """Otherwise the tests above would show nothing."""
    counts: dict[str, int] = {}
    for seed in range(120):
        program = memory_program(seed)
        release(program, ["main"])
        for fn in program.functions.values():
            for op in fn.body.walk():
                name = op.name + (" with survivors" if op.args and op.name in ("renew", "release") else "")
                name += " outside" if op.attrs.get("out") else ""
                counts[name] = counts.get(name, 0) + 1
    names = ("mark", "renew", "release", "renew with survivors", "release with survivors")
    assert min(counts[n] for n in (*names, "new outside", "call outside")) > 20


# ---------------------------------------------------------------- memory does not grow

TEMPORARY = """
fn @main(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %size: i64 = const SIZE
  %a: f64 = for %i = %1, %n, %1 (%s: f64 = %x) {
    %m: mem<f64> = new %size
    store %m[%0], %s
    push %m, %x
    %u: f64 = load %m[%0]
    %v: f64 = load %m[%size]
    %w: f64 = add %u, %v
    next %w
  }
  return %a
}
"""

CARRIED = """
fn @main(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %size: i64 = const SIZE
  %first: mem<f64> = new %size
  %last: mem<f64> = for %i = %1, %n, %1 (%m: mem<f64> = %first) {
    %next: mem<f64> = new %size
    %u: f64 = load %m[%0]
    %v: f64 = add %u, %x
    store %next[%0], %v
    next %next
  }
  %a: f64 = load %last[%0]
  return %a
}
"""

FAILING = """
fn @main(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %size: i64 = const 50000
  loop (%k: i64 = %0) {
    %m: mem<f64> = new %size
    %good: bool = lt %k, %n
    check %good {E0404 "no"}
    %next: i64 = add %k, %1
    next %next
  }
  return %x
}
"""


KEEPING = """
fn @main(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %size: i64 = const SIZE
  %kept: mem<mem<f64>> = new %0
  for %i = %1, %n, %1 {
    %t: mem<f64> = new %size
    %u: mem<f64> = new %size
    push %t, %x
    %k: mem<f64> = call @made(%x)
    push %kept, %k
    next
  }
  %a: f64 = for %i.1 = %1, %n, %1 (%s: f64 = %x) {
    %place: i64 = sub %i.1, %1
    %k.1: mem<f64> = load %kept[%place]
    %v: f64 = load %k.1[%0]
    %w: f64 = add %s, %v
    next %w
  }
  return %a
}
fn @made(%x: f64) -> mem<f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %m: mem<f64> = new %1
  store %m[%0], %x
  return %m
}
"""


@pytest.mark.parametrize(("size", "n"), [(100, 1 << 17), (5_000, 1 << 13), (50_000, 1 << 10)])
def test_what_ends_beside_what_is_kept(size: int, n: int) -> None:
    """Each of these loops makes 200 MB or more; what is kept takes 6 MB at most."""
    program = parse_program(KEEPING.replace("SIZE", str(size)))
    release(program, ["main"])
    unit = compile_unit(program, "main", 3)
    unit.call([1.0, 10])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = unit.call([1.0, n])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB
    assert result == [float(n + 1)]


@pytest.mark.parametrize(("size", "n"), [(1, 1 << 20), (100, 1 << 20), (5_000, 1 << 14), (50_000, 1 << 11)])
@pytest.mark.parametrize("text", [TEMPORARY, CARRIED])
def test_memory_does_not_grow(text: str, size: int, n: int) -> None:
    """Each of these loops makes 400 MB or more, if nothing is used again."""
    program = parse_program(text.replace("SIZE", str(size)))
    release(program, ["main"])
    unit = compile_unit(program, "main", 3)
    unit.call([1.0, 10])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = unit.call([1.0, n])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
    assert result == [float(n + 1) if text == TEMPORARY else float(n)]


LANGUAGE = """
function step(u, h)
  k = [-a for a in u]
  v = [u[i] + h * k[i] for i in 1:length(u)]
  l = [-a for a in v]
  return [u[i] + h / 2 * (k[i] + l[i]) for i in 1:length(u)]
end
function steps(u, n)
  for i in 1:n
    u = step(u, 0.0)
  end
  return u
end
"""


def test_arrays_that_a_step_makes_and_a_loop_carries() -> None:
    """Five arrays of 800 bytes in each of 2^18 iterations: a gigabyte, if nothing is used again."""
    module = dsl.loads(LANGUAGE)
    start = [float(k) for k in range(100)]
    module.steps(start, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert list(module.steps(start, 1 << 18)) == start
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


FAILING_OUTSIDE = """
fn @main(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %size: i64 = const 50000
  %kept: mem<mem<f64>> = new %0
  loop (%k: i64 = %0) {
    %m: mem<f64> = new %size
    push %m, %x
    %made: mem<f64> = call @made(%k, %n)
    push %kept, %made
    %next: i64 = add %k, %1
    next %next
  }
  return %x
}
fn @made(%k: i64, %n: i64) -> mem<f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %size: i64 = const 50000
  %result: mem<f64> = new %1
  for %i = %1, %n, %1 {
    %m: mem<f64> = new %size
    %good: bool = lt %k, %n
    check %good {E0404 "no"}
    next
  }
  return %result
}
"""


@pytest.mark.parametrize("text", [FAILING, FAILING_OUTSIDE], ids=["inside", "outside"])
def test_a_failure_leaves_no_region_open(text: str) -> None:
    program = parse_program(text)
    release(program, ["main"])
    unit = compile_unit(program, "main", 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        with pytest.raises(DslError):
            unit.call([1.0, 3])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
