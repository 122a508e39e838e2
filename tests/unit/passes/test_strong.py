"""Products that keep a zero are plain where no factor is zero: where that is asked, and that nothing changes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dsl.interp import Memory, run
from dsl.ir.core import Program
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.strong import strong
from dsl.runtime.engine import compile_unit

PRODUCT = "%x: f64 = load %m[%j]\n%a: f64 = strongmul %x, %y"


def nest(
    product: str = PRODUCT, more: str = "", made: str = "new %n", kind: str = "f64", loop: str = "for{lanes}",
    around: str = "for %j = %0, %last, %1 {{\n{0}\nnext\n}}",
) -> Program:  # fmt: skip
    """A nest that fills %out with products of records of %m, which has a copy of %given, and numbers of %w."""
    lanes = f"{loop} %l = %0, %last, %1 {{\n%y: f64 = load %w[%l]\n{product}\nacc %out[%l], %a {{0}}\nnext\n}}"
    program = parse_program(f"""
fn @f(%given: mem<f64>, %w: mem<f64>, %n: i64, %many: i64) -> mem<f64> {{
  %0: i64 = const 0
  %1: i64 = const 1
  %nil: f64 = const 0.0
  %last: i64 = sub %n, %1
  %out: mem<f64> = new %n
  %other: mem<f64> = new %n
  %m: mem<{kind}> = {made}
  for %k = %0, %last, %1 {{
    %r: f64 = load %given[%k]
    store %m[%k], %r
    next
  }}
  for %i = %0, %many, %1 {{
    {around.format(lanes)}
    {more}
    next
  }}
  return %out
}}
""")
    verify(program)
    return program


def is_twice(**parts: str) -> bool:
    program = nest(**parts)
    changed = strong(program.functions["f"])
    verify(program)
    assert changed == ("f64 = mul %x" in print_program(program))
    return changed


@pytest.mark.parametrize(
    ("there", "beyond"),
    [
        ({}, {"around": "%j: i64 = add %i, %0\n{0}"}),  # each record is used several times
        ({}, {"loop": "for"}),  # by vectors
        ({"more": "store %other[%i], %nil"}, {"more": "store %m[%i], %nil"}),  # and stays what it is
        ({"more": "%c: i64 = len %other"}, {"more": "print {\"x\"}"}),
        ({}, {"made": "new %n {frame=True}"}),  # in memory anyway
        ({}, {"made": "new %n {blank=True}"}),  # of which each record holds something
        ({}, {"product": PRODUCT.replace("%m", "%given")}),
        # the factor that keeps its zero, as it was loaded
        ({}, {"product": "%x: f64 = load %m[%j]\n%b: f64 = neg %y\n%a: f64 = strongmul %b, %x"}),
        ({}, {"product": "%b: f64 = load %m[%j]\n%x: f64 = neg %b\n%a: f64 = strongmul %x, %y"}),
    ],
)
def test_what_is_there_twice(there: dict[str, str], beyond: dict[str, str]) -> None:
    assert is_twice(**there)
    assert not is_twice(**beyond)


def outcome(program: Program, native: bool, numbers: list[float], many: int) -> list[Any]:
    memories = [Memory([[x] for x in numbers]), Memory([[math.inf], [1.0], [math.nan], [-2.0]])]
    args = [*memories, len(numbers), many]
    (out,) = compile_unit(program, "f", 2).call(args) if native else run(program, "f", args)
    return [str(row[0]) for row in out.rows]


@pytest.mark.parametrize("numbers", [
    [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 0.0], [-0.0, 1.0, 1.0, 1.0], [math.nan, 1.0, 1.0, 1.0], [],
])  # fmt: skip
@pytest.mark.parametrize("many", [-1, 0, 1, 5])
def test_numbers_are_what_they_were(numbers: list[float], many: int) -> None:
    """Zeros times what is not finite among them; memory that is too large for the nest."""
    before, after = nest(), nest()
    assert strong(after.functions["f"])
    known = outcome(before, False, numbers, many)
    assert outcome(after, False, numbers, many) == known
    assert [x.replace("-nan", "nan") for x in outcome(after, True, numbers, many)] == known


def test_memory_that_is_large_for_the_nest_is_not_looked_at() -> None:
    """An iteration is worth 64 records."""
    program = nest()
    assert strong(program.functions["f"])
    lines = [line.strip().partition(" = ")[2] for line in print_program(program).splitlines()]
    at = lines.index("const 64")
    assert lines[at - 1].startswith("add") and lines[at + 1].startswith("mul")  # iterations, times that
    assert any(line.startswith("len") for line in lines[at:]) and any(line.startswith("le ") for line in lines[at:])
    assert outcome(program, True, [1.0] * 4, 0) == outcome(nest(), True, [1.0] * 4, 0)
