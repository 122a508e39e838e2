"""Checks of domains behind a loop: the same failure, and vector code."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dsl
from dsl.diagnostics import DslError
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.late import late_checks

ROOTS = "roots(x) = sqrt.(x) .+ log.(x)"


def late(body: str, memory: str = "%y: mem<f64> = new %n") -> bool:
    """Whether a loop is changed."""
    program = parse_program(f"""
fn @f(%x: mem<f64>, %z: mem<f64>, %w: mem<mem<f64>>, %n: i64, %a: f64) -> f64 {{
  %0: i64 = const 0
  %1: i64 = const 1
  {memory}
  %s: f64 = for %i = %0, %n, %1 (%t: f64 = %a) {{
    %u: f64 = load %x[%i]
    %c: bool = ge %u, %t
    {body}
    next %u
  }}
  return %s
}}
""")
    before = print_program(program)
    changed = late_checks(program.functions["f"])
    verify(program)
    assert changed == (print_program(program) != before)
    return changed


CHECK = 'check %c, %u {E0401 "{0}"}\n'


def test_a_loop_that_fills_memory_of_its_own() -> None:
    assert late(CHECK + "store %y[%i], %u")
    assert late(CHECK + "acc %y[%i], %u {0}")  # or adds to it
    assert late(CHECK)  # or nothing


@pytest.mark.parametrize(
    ("body", "memory"),
    [
        ("store %y[%i], %u", "%y: mem<f64> = new %n"),                                  # nothing to be late
        (CHECK + "store %z[%i], %u", ""),                                               # the caller's memory
        (CHECK + "%v: f64 = load %y[%i]\nstore %y[%i], %v", "%y: mem<f64> = new %n"),   # what it stored is loaded
        (CHECK + "acc %y[%i], %u {0}\n%v: f64 = load %y[%i]", "%y: mem<f64> = new %n"),
        (CHECK + "store %y[%i], %u", "%y: mem<f64> = new %n\nstore %w[%0], %y"),        # others know it
        (CHECK + 'check %c {E0402 ""}\nstore %y[%i], %u', "%y: mem<f64> = new %n"),     # guards memory
        (CHECK + 'print %u {"{0}"}', ""),                                               # is seen outside
        (CHECK + "push %y, %u", "%y: mem<f64> = new %0"),
        ("if %c {\n" + CHECK + "yield\n} else {\nyield\n}", ""),
    ],
)  # fmt: skip
def test_loops_that_stay(body: str, memory: str) -> None:
    assert not late(body, memory)


@pytest.mark.parametrize("options", [{"interpreter": True}, {"opt_level": 0}, {"opt_level": 3}])
def test_the_failure_is_that_of_the_first_bad_element(options: dict[str, object]) -> None:
    m = dsl.loads(ROOTS, verify=True, **options)
    x = np.linspace(1.0, 2.0, 37)
    assert np.allclose(m.roots(x), np.sqrt(x) + np.log(x), rtol=1e-15)
    x[[11, 30]] = -3.0, -4.0
    with pytest.raises(DslError, match=r"sqrt of a negative number: -3\.0") as caught:
        m.roots(x)
    assert caught.value.code == "E0401"


def test_the_loop_is_vector_code() -> None:
    text = str(dsl.loads(ROOTS).roots.code_llvm(np.ones(8)))
    assert re.search(r"call <\d+ x double> @llvm.sqrt", text)
