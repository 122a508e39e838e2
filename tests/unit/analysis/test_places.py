"""Places that nests of loops touch: what is told of an index, and which indices there are when the nest is run."""

from __future__ import annotations

import itertools

import pytest

from dsl.analysis.places import difference, distinct, line, polynomial, reached
from dsl.interp import Memory, run
from dsl.ir.core import Op
from dsl.ir.text import parse_program

# (what, loops from the outermost one as "counter = first, last, step", index ops that define %x, all different?, how
# many from 0 on without a gap)
CASES = [
    ("one loop", ["i = %0, %n1, %1"], "%x: i64 = add %i, %0", True, "%n"),
    ("counted from 1", ["i = %1, %n, %1"], "%x: i64 = sub %i, %1", True, "%n"),
    ("counted from 1, not moved", ["i = %1, %n, %1"], "%x: i64 = add %i, %0", True, None),
    ("downwards", ["i = %n1, %0, %-1"], "%x: i64 = add %i, %0", True, "%n"),
    ("from the end", ["i = %0, %n1, %1"], "%x: i64 = sub %n1, %i", True, "%n"),
    ("an offset", ["i = %0, %n1, %1"], "%x: i64 = add %i, %m", True, None),
    ("a stride", ["i = %0, %n1, %1"], "%x: i64 = mul %i, %m", False, None),
    ("a step", ["i = %0, %n1, %2"], "%x: i64 = add %i, %0", False, None),
    ("columns", ["j = %0, %m1, %1", "i = %0, %n1, %1"], "%p: i64 = mul %j, %n\n%x: i64 = add %i, %p", True, "%nm"),
    ("rows", ["i = %0, %n1, %1", "j = %0, %m1, %1"], "%p: i64 = mul %i, %m\n%x: i64 = add %p, %j", True, "%nm"),
    ("the wrong size", ["j = %0, %m1, %1", "i = %0, %n1, %1"],
     "%p: i64 = mul %j, %m\n%x: i64 = add %i, %p", False, None),
    ("counted from 1 both", ["j = %1, %m, %1", "i = %1, %n, %1"],
     "%a: i64 = sub %j, %1\n%p: i64 = mul %n, %a\n%b: i64 = sub %i, %1\n%x: i64 = add %p, %b", True, "%nm"),
    ("a counter that is left out", ["j = %0, %m1, %1", "i = %0, %n1, %1"], "%x: i64 = add %i, %0", False, None),
    ("a triangle", ["j = %0, %m1, %1", "i = %0, %j, %1"], "%p: i64 = mul %j, %n\n%x: i64 = add %i, %p", False, None),
    ("a square", ["i = %0, %n1, %1"], "%x: i64 = mul %i, %i", False, None),
    ("a remainder", ["i = %0, %n1, %1"], "%x: i64 = imod %i, %2", False, None),
    ("parts of rows", ["i = %0, %n1, %1", "j = %1, %m2, %1"], "%p: i64 = mul %i, %m\n%x: i64 = add %p, %j", True, None),
    ("parts of rows, at most", ["i = %0, %n1, %1", "j = %0, %p1, %1"],
     "%p: i64 = mul %i, %m\n%x: i64 = add %p, %j", True, None),
    ("rows and more", ["i = %0, %n1, %1", "j = %0, %m, %1"], "%p: i64 = mul %i, %m\n%x: i64 = add %p, %j", False, None),
    ("every second place", ["i = %0, %n1, %1"], "%x: i64 = mul %i, %2", True, None),
    ("three", ["k = %0, %2, %1", "j = %0, %m1, %1", "i = %0, %n1, %1"],
     "%p: i64 = mul %k, %m\n%q: i64 = add %p, %j\n%r: i64 = mul %q, %n\n%x: i64 = add %r, %i", True, "%all"),
]  # fmt: skip


def program_of(loops: list[str], index: str) -> str:
    heads = "".join(f"for %{head} () {{\n" for head in loops)
    return f"""
fn @f(%n: i64, %m: i64, %out: mem<i64>) {{
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %3: i64 = const 3
  %-1: i64 = const -1
  %n1: i64 = sub %n, %1
  %m1: i64 = sub %m, %1
  %m2: i64 = sub %m, %2
  %less: bool = lt %m2, %0
  %part: i64 = select %less, %0, %m2
  %p1: i64 = sub %part, %1
  %nm: i64 = mul %n, %m
  %all: i64 = mul %nm, %3
  {heads}
  {index}
  push %out, %x
  {"next }" * len(loops)}
  return
}}
""".replace("%-1", "%down")


@pytest.mark.parametrize(("what", "loops", "index", "different", "count"), CASES, ids=[c[0] for c in CASES])
def test_answers(what: str, loops: list[str], index: str, different: bool, count: str | None) -> None:
    program = parse_program(program_of(loops, index))
    ops = list(program.functions["f"].body.walk())
    nest = [op for op in ops if op.name == "for"]
    (x,) = (r for op in ops for r in op.results if r.hint == "x")
    named = {r.hint: r for op in ops for r in op.results} | {p.hint: p for p in program.functions["f"].params}
    assert distinct(x, nest) is different
    found = reached(x, nest)
    assert found == (None if count is None else polynomial(named[count[1:]]))
    for n, m in itertools.product((0, 1, 3, 4), (0, 1, 2, 5)):
        places = Memory([])
        run(program, "f", [n, m, places], print)
        touched = [row[0] for row in places.rows]
        if different:
            assert len(set(touched)) == len(touched)
        if count is not None:
            assert sorted(touched) == list(range({"n": n, "nm": n * m, "all": 3 * n * m}[count[1:]]))


def test_what_is_defined_in_the_loop_is_no_stride() -> None:
    text = program_of(["i = %0, %n1, %1"], "%k: i64 = len %out\n%x: i64 = add %i, %k")
    body = parse_program(text).functions["f"].body
    (loop,) = (op for op in body.ops if op.name == "for")
    assert isinstance(loop, Op)
    assert not distinct(loop.regions[0].ops[1].result, [loop])


@pytest.mark.parametrize(
    ("index", "other", "slope", "apart"),
    [
        ("%x: i64 = add %i, %0", "%y: i64 = sub %i, %2", 1, 2),
        ("%x: i64 = mul %i, %3", "%p: i64 = add %i, %1\n%y: i64 = mul %p, %3", 3, -3),
        ("%x: i64 = sub %n, %i", "%y: i64 = sub %m, %i", -1, None),
        ("%p: i64 = mul %j, %n\n%x: i64 = add %p, %i", "%q: i64 = mul %j, %n\n%y: i64 = add %i, %q", 1, 0),
        ("%p: i64 = mul %j, %n\n%x: i64 = add %p, %i",
         "%k: i64 = add %j, %1\n%q: i64 = mul %n, %k\n%y: i64 = add %i, %q", 1, None),
        ("%x: i64 = mul %i, %n", "%y: i64 = mul %i, %m", None, None),
        ("%x: i64 = mul %i, %i", "%y: i64 = mul %i, %i", None, None),
        ("%x: i64 = mul %j, %n", "%y: i64 = mul %n, %j", 0, 0),
    ],
)  # fmt: skip
def test_lines_and_what_they_are_apart(index: str, other: str, slope: int | None, apart: int | None) -> None:
    text = program_of(["j = %0, %m1, %1", "i = %0, %n1, %1"], f"{index}\n{other}")
    _, loop = [op for op in parse_program(text).functions["f"].body.walk() if op.name == "for"]
    values = {r.hint: r for op in loop.regions[0].ops for r in op.results}
    lines = [line(values[name], loop) for name in "xy"]
    if slope is None:
        assert lines == [None, None]
        return
    assert [found and found[0] for found in lines] == [slope, slope]
    (_, first), (_, second) = (found for found in lines if found)
    assert difference(first, second) == apart
