"""Where exponentials and logarithms are polynomials: in loops whose iterations do not wait for each other."""

from __future__ import annotations

import pytest

from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.lanes import lanes


def after(body: str) -> str:
    program = parse_program(f"""
fn @g(%a: f64) -> f64 {{
  return %a
}}

fn @f(%x: mem<f64>, %y: mem<f64>, %n: i64, %a: f64) -> f64 {{
  %0: i64 = const 0
  %1: i64 = const 1
{body}
}}
""")
    lanes(program.functions["f"])
    verify(program)
    return print_program(program)


def loop(body: str) -> str:
    return after(f"""
  %s: f64 = for %i = %0, %n, %1 (%t: f64 = %a) {{
    {body}
  }}
  return %s""")


def test_what_is_loaded_is_computed_many_at_once() -> None:
    text = loop("%u: f64 = load %x[%i]\n%v: f64 = exp %u\n%w: f64 = log %v\nstore %y[%i], %w\nnext %t")
    assert "exp_lanes" in text and "log_lanes" in text


def test_in_place_and_added_up() -> None:
    text = loop("%u: f64 = load %x[%i]\n%v: f64 = exp %u\nstore %x[%i], %v\n%w: f64 = add %t, %v\nnext %w")
    assert "exp_lanes" in text


def test_of_what_is_carried_it_is_one_at_a_time() -> None:
    text = loop("%u: f64 = load %x[%i]\n%v: f64 = mul %t, %u\n%w: f64 = exp %v\nnext %w")
    assert "exp_lanes" not in text


def test_of_what_was_stored_before_it_is_one_at_a_time() -> None:
    text = loop("%j: i64 = add %i, %1\n%u: f64 = load %x[%i]\n%v: f64 = exp %u\nstore %x[%j], %v\nnext %t")
    assert "exp_lanes" not in text


def test_an_if_waits_for_its_condition_and_its_arms() -> None:
    choice = "%c: bool = gt {0}, %a\n%u: f64 = if %c {{\nyield %a\n}} else {{\nyield {1}\n}}\n"
    for condition, arm, free in (("%b", "%b", True), ("%t", "%b", False), ("%b", "%t", False)):
        text = loop("%b: f64 = load %x[%i]\n" + choice.format(condition, arm) + "%v: f64 = exp %u\nnext %v")
        assert ("exp_lanes" in text) is free, (condition, arm)


@pytest.mark.parametrize("other", ["%z: f64 = call @g(%u)", "for %k = %0, %n, %1 {\nnext\n}"])
def test_loops_that_call_or_contain_loops_are_left_alone(other: str) -> None:
    assert "exp_lanes" not in loop(f"%u: f64 = load %x[%i]\n%v: f64 = exp %u\n{other}\nnext %v")


def test_outside_of_loops_nothing_changes() -> None:
    assert "exp_lanes" not in after("%v: f64 = exp %a\nreturn %v")
