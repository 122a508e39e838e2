"""Loops that become one: when they do, and that values, errors and derivatives are those of the two."""

from __future__ import annotations

import numpy as np
import pytest

import dsl
from dsl.diagnostics import DslError
from dsl.interp import Memory, run
from dsl.ir.text import parse_program
from dsl.ir.verifier import verify
from dsl.passes.merge import merge

PROGRAM = """
fn @f(%x: mem<f64>, %n: i64, %h: bool) -> f64, mem<f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %z: f64 = const 0.0
  %last: i64 = sub %n, %1
  %m: mem<f64> = new %n
  %o: mem<f64> = new %n
  BEFORE
  %u: f64 = for %i = %0, %last, %1 (%v: f64 = %z) {
    %a: f64 = load %x[%i]
    %b: f64 = mul %a, %a
    FIRST
    next %b
  }
  BETWEEN
  %s: f64 = for %k = LOOP (%t: f64 = %z) {
    SECOND
    %d: f64 = add %t, %c
    next %d
  }
  return %s, RESULT
}
"""
STORE, LOAD = "store %m[%i], %b", "%c: f64 = load %m[%k]"
SAME, LESS = "%0, %last, %1", "%1, %last, %1"
GOOD = "%good{0}: bool = ge %{0}, %z\ncheck %good{0}, %{0} {{E0401 \"bad: {{0}}\"}}\n"


@pytest.mark.parametrize(
    ("what", "changes", "merged"),
    [
        ("what has just been stored", {}, True),
        ("it is given back", {"RESULT": "%m"}, True),
        ("another memory is filled", {"SECOND": LOAD + "\nstore %o[%k], %c", "RESULT": "%o"}, True),
        ("from back to front", {"SECOND": "%p: i64 = sub %last, %k\n%c: f64 = load %o[%p]\nstore %o[%k], %c\n"
                                          "%g: f64 = load %m[%k]"}, True),
        ("other places", {"LOOP": LESS}, False),
        ("the place before", {"LOOP": SAME, "SECOND": "%p: i64 = max %k, %1\n%q: i64 = sub %p, %1\n"
                                                      "%c: f64 = load %m[%q]"}, False),
        ("stored at another place", {"FIRST": "%p: i64 = sub %last, %i\nstore %m[%p], %b"}, False),
        ("stored now and then", {"FIRST": f"if %h {{ {STORE}\nyield }} else {{ yield }}"}, False),
        ("stored twice", {"FIRST": f"{STORE}\n{STORE}"}, False),
        ("added to", {"FIRST": "acc %m[%i], %b {0}"}, False),
        ("stored to before", {"BEFORE": "store %m[%0], %z"}, False),
        ("known by another name", {"BEFORE": "%w: mem<f64> = select %h, %m, %o"}, False),
        ("read between", {"BETWEEN": "%g: f64 = load %m[%0]"}, False),
        ("read between by another name", {"BETWEEN": "%g: f64 = load %x[%0]"}, True),
        ("the result of the first is needed", {"SECOND": LOAD.replace("%c", "%g") + "\n%c: f64 = mul %g, %u"}, False),
        ("the result of the first is needed between", {"BETWEEN": "%g: f64 = mul %u, %u"}, False),
        ("the caller's memory is written", {"SECOND": LOAD + "\nstore %x[%k], %c"}, False),
        ("what the first reads is written", {"FIRST": STORE + "\n%g: f64 = load %o[%i]",
                                             "SECOND": LOAD + "\nstore %o[%k], %c"}, False),
        ("what the second reads is written first", {"FIRST": STORE + "\nstore %o[%i], %a",
                                                    "SECOND": LOAD.replace("%c", "%g") + "\n%c: f64 = load %o[%0]"},
         False),
        ("the first may fail", {"FIRST": GOOD.format("a") + STORE}, True),
        ("the second may fail", {"SECOND": LOAD + "\n" + GOOD.format("c")}, True),
        ("both may fail", {"FIRST": GOOD.format("a") + STORE, "SECOND": LOAD + "\n" + GOOD.format("c")}, False),
        ("the first, and what is between", {"FIRST": GOOD.format("a") + STORE,
                                            "BETWEEN": 'check %h {E0401 "between"}'}, False),
        ("what is between, and the second", {"BETWEEN": 'check %h {E0401 "between"}',
                                             "SECOND": LOAD + "\n" + GOOD.format("c")}, True),
        ("something is printed", {"SECOND": LOAD + '\nprint %c {"{0}"}'}, False),
        ("read in an arm", {"SECOND": "%c: f64 = if %h { " + LOAD.replace("%c", "%g") + "\nyield %g } "
                                      "else { yield %z }"}, True),
    ],
)  # fmt: skip
def test_decisions(what: str, changes: dict[str, str], merged: bool) -> None:
    parts = {"BEFORE": "", "FIRST": STORE, "BETWEEN": "", "LOOP": SAME, "SECOND": LOAD, "RESULT": "%x"} | changes
    text = PROGRAM
    for name, part in parts.items():
        text = text.replace(name, part)
    if "%g" in parts["SECOND"] and "%c:" not in parts["SECOND"]:
        text = text.replace("%g:", "%c:")
    program = parse_program(text)
    assert merge(program.functions["f"]) is merged
    verify(program)
    loops = [op for op in program.functions["f"].body.ops if op.name == "for"]
    assert len(loops) == 2 - merged
    for x in ([1.0, -2.0, 3.0], [2.0, 1.0, 4.0]):
        for h in (True, False):
            assert outcome(program, x, h) == outcome(parse_program(text), x, h)


def outcome(program, x, h):
    printed: list[str] = []
    memory = Memory([[v] for v in x])
    try:
        value, other = run(program, "f", [memory, len(x), h], printed.append)
    except DslError as e:
        return e.code, e.message, memory.rows, printed
    return value, other.rows, memory.rows, printed


@pytest.mark.parametrize("options", [{"interpreter": True}, {"opt_level": 0}, {"opt_level": 3}])
def test_a_sum_of_a_broadcast(options: dict[str, object]) -> None:
    text = """
    f(x, y) = sum((x .- y) .^ 2 .* log.(x))
    g(x) = (e = exp.(x .- maximum(x)); s = sum(e); sum(e ./ s .* x))
    """
    m = dsl.loads(text, verify=True, **options)
    x, y = np.array([0.5, 1.25, 2.0]), np.array([1.0, -0.5, 3.0])
    assert m.f(x, y) == pytest.approx(np.sum((x - y) ** 2 * np.log(x)), rel=1e-14)
    dx, dy = dsl.gradient(m.f, x, y)
    assert dx == pytest.approx(2 * (x - y) * np.log(x) + (x - y) ** 2 / x, rel=1e-14)
    assert dy == pytest.approx(-2 * (x - y) * np.log(x), rel=1e-14)
    assert dsl.gradient(m.f, x, 2.0)[1] == pytest.approx(np.sum(-2 * (x - 2.0) * np.log(x)), rel=1e-14)
    p = np.exp(x) / np.sum(np.exp(x))
    assert m.g(x) == pytest.approx(p @ x, rel=1e-14)
    assert dsl.gradient(m.g, x)[0] == pytest.approx(p + p * (x - p @ x), rel=1e-13)
    with pytest.raises(dsl.DslError, match=r"log of a negative number: -1\.0"):
        m.f(np.array([1.0, -1.0, -2.0]), y)


def test_the_gradient_of_a_sum_keeps_nothing() -> None:
    m = dsl.loads("f(x) = sum(exp.(sin.(x)) .* x)\ng(x) = gradient(f, x)[1]")
    assert "keeps 0 bytes in all" in str(m.code_plan("f(Float64[])"))
    typed = str(m.code_typed("g(Float64[])"))
    assert typed.count("new ") == 1 and typed.count("blank=True") == 1  # the gradient itself
