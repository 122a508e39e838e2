"""Memory that a loop is the first to put something into: when it is not zeroed, and that it holds the same then."""

from __future__ import annotations

import re

import pytest

import dsl
from dsl.diagnostics import DslError
from dsl.interp import run
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.fresh import fresh

PROGRAM = """
fn @f(%n: i64, %lo: i64, %hi: i64, %c: bool) -> mem<f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %down: i64 = const -1
  %z: f64 = const 1.5
  %a: mem<f64> = new %n
  BEFORE
  for %i = LOOP () {
    %x: f64 = tof64 %i
    %back: i64 = sub %hi, %i
    %p: i64 = add %back, %lo
    %far: i64 = mul %i, %2
    BODY
    next
  }
  return %a
}
"""
UP, DOWN = "%lo, %hi, %1", "%hi, %lo, %down"
ADD = "acc %a[%i], %x {0}"


@pytest.mark.parametrize(
    ("what", "before", "loop", "body", "expected"),
    [
        ("added to once", "", UP, ADD, True),
        ("downwards", "", DOWN, ADD, True),
        ("from the end", "", UP, "acc %a[%p], %x {0}", True),
        ("from the end downwards", "", DOWN, "acc %a[%p], %x {0}", True),
        ("stored to", "", UP, "store %a[%i], %x", True),
        ("its length is asked for", "%l: i64 = len %a", UP, ADD, True),
        ("added to twice", "", UP, ADD + "\nacc %a[%lo], %x {0}", False),
        ("read", "", UP, "%y: f64 = load %a[%i]\n" + ADD, False),
        ("added to sometimes", "", UP, f"if %c {{ {ADD}\nyield }} else {{ yield }}", False),
        ("every other place", "", UP, "acc %a[%far], %x {0}", False),
        ("one place", "", UP, "acc %a[%lo], %x {0}", False),
        ("every other iteration", "", "%lo, %hi, %2", ADD, False),
        ("stored to before", "store %a[%1], %z", UP, ADD, False),
        ("in an arm", "", UP, "CUT " + ADD, True),
        ("in both arms", "", UP, "BOTH " + ADD, True),
        ("in an arm, stored to in the other one", "", UP, "STORED " + ADD, True),
        ("in an arm, read before", "", UP, "READ " + ADD, False),
        ("another name", "%b: mem<f64> = select %c, %a, %a", UP, "acc %b[%i], %x {0}", False),
    ],
)
def test_decisions(what: str, before: str, loop: str, body: str, expected: bool) -> None:
    text = in_arms(PROGRAM.replace("BEFORE", before).replace("LOOP", loop).replace("BODY", body))
    program = parse_program(text)
    assert fresh(program.functions["f"]) is expected
    verify(program)
    assert ("blank=True" in print_program(program)) is expected
    for low, high, c in ((0, 4, True), (1, 3, False), (2, 2, True), (3, 1, True), (0, 9, False)):
        made, zeroed = (run(p, "f", [20, low, high, c])[0] for p in (program, parse_program(text)))
        assert made.rows == zeroed.rows


def in_arms(text: str) -> str:
    """The loop of a program in an arm, where its body begins with a word that says what the other one does."""
    start, end = text.index("  for %i"), text.index("  return")
    found = re.search(r"^ +(CUT|BOTH|STORED|READ) ", text, re.M)
    if found is None:
        return text
    word = found[1]
    loop = text[start:end].replace(word + " ", "")
    again = re.sub(r"%(i|x|back|p|far)\b", r"%\1.2", loop)
    first, other = {
        "CUT": ("", ""), "BOTH": ("", again), "STORED": ("", "store %a[%1], %z\n"),
        "READ": ("%q: f64 = load %a[%0]\n", ""),
    }[word]  # fmt: skip
    return text[:start] + f"  if %c {{\n{first}{loop}\nyield\n}} else {{\n{other}\nyield\n}}\n" + text[end:]


@pytest.mark.parametrize("loop", [UP, DOWN])
@pytest.mark.parametrize(("low", "high"), [(-3, 2), (4, 9), (9, 12), (-9, -3), (1 << 62, (1 << 62) + 3)])
def test_a_loop_that_fails_has_written_nothing_outside(loop: str, low: int, high: int) -> None:
    """What the loop leaves out is zeroed before it has shown that its places are some of the memory."""
    body = f"%u: bool = ge %i, %0\n%v: bool = lt %i, %n\n%w: bool = and %u, %v\ncheck %w {{E0402 \"no\"}}\n{ADD}"
    program = parse_program(PROGRAM.replace("BEFORE", "").replace("LOOP", loop).replace("BODY", body))
    assert fresh(program.functions["f"])
    with pytest.raises(DslError) as caught:
        run(program, "f", [5, low, high, True])
    assert caught.value.code == "E0402"


def test_minus_zero_is_added_to_zero() -> None:
    text = PROGRAM.replace("BEFORE", "").replace("LOOP", UP).replace("BODY", "%y: f64 = neg %x\nacc %a[%i], %y {0}")
    program = parse_program(text)
    assert fresh(program.functions["f"])
    (memory,) = run(program, "f", [1, 0, 0, True])
    assert str(memory.rows[0][0]) == "0.0"


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_a_gradient_in_native_code(n: int) -> None:
    """The gradient of a sum of squares of differences, whose memory is made for it."""
    text = "function f(v)\n s = 0.0\n for i in 2:length(v)-1\n s += (v[i] - v[i+1])^2\n end\n s\nend"
    x = [float(k * k % 7) for k in range(n)]
    expected = [0.0] * n
    for i in range(1, n - 1):
        expected[i] += 2 * (x[i] - x[i + 1])
        expected[i + 1] -= 2 * (x[i] - x[i + 1])
    module = dsl.loads(text, interpreter=False)
    for _ in range(2):
        found = dsl.grad(module.f)(x)
        assert [float(g) for g in found] == expected
