"""What reverse mode keeps, as its printed plan."""

from __future__ import annotations

import re

import pytest

from dsl.ad import reverse_plan
from dsl.ir.text import parse_program


def plan_of(text: str, *wrt: int) -> str:
    """The plan, without the places in the source."""
    shown = reverse_plan(parse_program(text), "f", wrt or (0,)).show()
    return re.sub(r" = %.*(?=: )| \(line \d+\)", "", shown)


def test_a_linear_function_keeps_nothing() -> None:
    text = plan_of("""
fn @f(%x: f64) -> f64 {
  %0: f64 = const 3.0
  %1: f64 = mul %0, %x
  %2: f64 = sub %1, %x
  return %2
}
""")
    assert text == "reverse of @f\n  body: keeps 0 bytes in all\n"


def test_a_result_that_serves_its_own_derivative() -> None:
    """exp keeps its result, not its argument."""
    text = plan_of("""
fn @f(%x: f64) -> f64 {
  %a: f64 = add %x, %x
  %e: f64 = exp %a
  return %e
}
""")
    assert text == "reverse of @f\n  body: keeps 0 bytes in all\n    in scope %e: f64\n"


@pytest.mark.parametrize(("op", "kept"), [("add", 0), ("mul", 8)])
def test_a_loop_keeps_what_its_rules_mention(op: str, kept: int) -> None:
    text = plan_of(f"""
fn @f(%x: f64, %n: i64) -> f64 {{
  %1: i64 = const 1
  %r: f64 = for %i = %1, %n, %1 (%s: f64 = %x) {{
    %t: f64 = {op} %s, %x
    next %t
  }}
  return %r
}}
""")
    assert f"for loop: keeps {kept} bytes an iteration" in text


def test_one_exit_code_for_a_run_of_a_while_loop() -> None:
    """A loop with one `next` keeps no code for each iteration, one with `continue` does."""
    loop = """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %r: f64 = loop (%s: f64 = %x, %k: i64 = %n) {
    %c: bool = gt %k, %0
    if %c { yield } else { break %s }
    %k1: i64 = sub %k, %1
    GUARD
    %t: f64 = mul %s, %x
    next %t, %k1
  }
  return %r
}
"""
    plain = plan_of(loop.replace("GUARD", ""))
    assert "exit of the iteration" not in plain and "loop: keeps 8 bytes an iteration, 2 exits" in plain
    guard = "%d: bool = eq %k, %1\n if %d { next %x, %k1 } else { yield }"
    assert "save exit of the iteration: i64" in plan_of(loop.replace("GUARD", guard))
