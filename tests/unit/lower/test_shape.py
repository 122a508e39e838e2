"""The SSA that lowering makes: which loops, where exits stand, and that its size is in proportion to the program."""

from __future__ import annotations

import pytest

from dsl.types import FLOAT64, INT64, TupleType
from tests.unit.lower.support import Lowered, count

LOOPS = [
    ("over a range", "for i in 1:n\n s += i\n end", "for"),
    ("with continue", "for i in 1:n\n i > 2 && continue\n s += i\n end", "for"),
    ("with break", "for i in 1:n\n i > 2 && break\n s += i\n end", "loop"),
    ("with return", "for i in 1:n\n i > 2 && return s\n s += i\n end", "loop"),
    ("with a break of its own inside", "for i in 1:n\n while true\n break\n end\n s += i\n end", "for"),
    ("while", "while s < n\n s += 1\n end", "loop"),
    ("over a tuple", "for i in (1, 2, n)\n s += i\n end", ""),
]


@pytest.mark.parametrize(("loop", "kind"), [x[1:] for x in LOOPS], ids=[x[0] for x in LOOPS])
def test_the_outermost_loop(loop: str, kind: str) -> None:
    fn = Lowered(f"function f(n)\n s = 0\n {loop}\n s\nend").function("f", [INT64])
    outer = [op.name for op in fn.body.ops if op.name in ("for", "loop")]
    assert outer == ([kind] if kind else [])


def test_guards_are_flat_and_linear() -> None:
    def size(n: int) -> int:
        lines = "\n".join(f" x > {k} && return {k}" for k in range(n, 0, -1))
        fn = Lowered(f"function f(x)\n{lines}\n 0\nend").function("f", [FLOAT64])
        assert count(fn, "return") == n + 1
        assert sum(op.name == "if" for op in fn.body.ops) == n  # none inside another
        return sum(1 for _ in fn.body.walk())

    small, large = size(100), size(1000)
    assert large < 10.5 * small


def test_breaks_in_branches_do_not_multiply() -> None:
    def size(n: int) -> int:
        body = "\n".join(f"  if x > {k}\n   y > {k} && break\n   y += x\n  end" for k in range(n))
        fn = Lowered(f"function f(x)\n y = 0.0\n for i in 1:9\n{body}\n end\n y\nend").function("f", [FLOAT64])
        assert count(fn, "break") == n + 1
        return sum(1 for _ in fn.body.walk())

    assert size(40) < 4.5 * size(10)


def test_an_if_yields_only_what_changes() -> None:
    fn = Lowered("function f(x, y)\n z = y\n if x > 0\n  z = x\n end\n z + y\nend").function("f", [FLOAT64, FLOAT64])
    (branch,) = (op for op in fn.body.ops if op.name == "if")
    assert len(branch.results) == 1


def test_a_loop_carries_only_what_it_assigns() -> None:
    text = "function f(x, y)\n s = 0.0\n for i in 1:3\n  t = x * y\n  s += t\n end\n s\nend"
    fn = Lowered(text).function("f", [FLOAT64, FLOAT64])
    (loop,) = (op for op in fn.body.ops if op.name == "for")
    assert len(loop.results) == 1


def test_tuples_are_split_into_leaves() -> None:
    t = TupleType((FLOAT64, TupleType((INT64, FLOAT64))))
    fn = Lowered("f((a, (n, b))) = (b, (n, a))").function("f", [t])
    assert [str(p.type) for p in fn.params] == ["f64", "i64", "f64"]
    assert [str(t) for t in fn.results] == ["f64", "i64", "f64"]


def test_numbers_are_no_part_of_a_specialisation() -> None:
    entry = Lowered("g(n) = n == 0 ? 0 : g(n - 1)\nf() = g(1) + g(2) + g(3)").session.call_entry("f", [])
    assert len(entry.program.functions) == 2


def test_spans_are_those_of_the_source() -> None:
    fn = Lowered("f(x) = 2x +\n  sqrt(x)").function("f", [FLOAT64])
    check = next(op for op in fn.body.walk() if op.name == "check")
    assert (check.span.text, check.span.line) == ("sqrt(x)", 2)


def test_deep_loops_are_not_lowered_exponentially_often() -> None:
    depth = 14
    heads = "\n".join(f"for i{k} in 1:2" for k in range(depth))
    text = f"function f(x)\n s = 0\n{heads}\n s += x\n{'end ' * depth}\n s\nend"
    fn = Lowered(text).function("f", [FLOAT64])
    assert count(fn, "for") == depth
