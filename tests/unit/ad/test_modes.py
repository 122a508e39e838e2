"""Forward mode, reverse mode and differences agree on every form of control flow and memory, to second order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dsl.ad import expand
from dsl.interp import run
from dsl.ir.core import Function, Program, Region
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.ops import Builder
from dsl.passes import pipeline
from dsl.types import F64, LeafType
from tests.unit.ad.programs import CASES, Case

SMOOTH = [c for c in CASES if isinstance(c.args[0], float)]  # an integer has no differences


def with_gradient(program: Program, name: str, wrt: tuple[int, ...], result: str) -> Function:
    """Add a function that gives the gradient of `name` (which has one result) by a `vjp` op."""
    fn = program.functions[name]
    types: list[LeafType] = [p.type for p in fn.params]
    new = program.add(Function(result, Region(types), tuple(F64 for _ in wrt)))
    b = Builder(new.body)
    op = b.op("vjp", [*new.params, b.f64(1.0)], [F64, *(F64 for _ in wrt)], fn=name, wrt=wrt)
    b.return_(*op.results[1:])
    return new


def numbers(case: Case) -> list[float | int]:
    fn = parse_program(case.text).functions["f"]
    return list(case.args[: len(fn.params)])


def gradient(case: Case, mode: str, optimised: bool = True) -> list[float]:
    program = parse_program(case.text)
    with_gradient(program, "f", case.wrt, "main")
    expand(program, mode)  # type: ignore[arg-type]
    verify(program)
    if optimised:
        pipeline.optimise(program, ["main"], "after-ad", verify=True)
    return run(program, "main", numbers(case))


def differences(case: Case) -> list[float]:
    program = parse_program(case.text)
    out = []
    for i in case.wrt:
        args = numbers(case)
        out.append(slope(lambda t, i=i, args=args: run(program, "f", [*args[:i], t, *args[i + 1 :]])[0], args[i]))
    return out


def slope(f: Callable[[float], float], x: float) -> float:
    """Richardson's central difference: the error of order h² taken off."""
    h = 1e-4

    def d(h: float) -> float:
        return (f(x + h) - f(x - h)) / (2 * h)

    return (4 * d(h / 2) - d(h)) / 3


@pytest.mark.parametrize("case", SMOOTH, ids=lambda c: c.name)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_agrees_with_differences(case: Case, mode: str) -> None:
    assert gradient(case, mode) == pytest.approx(differences(case), rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_modes_agree(case: Case) -> None:
    forward = gradient(case, "forward")
    assert gradient(case, "reverse") == pytest.approx(forward, rel=1e-12)
    assert gradient(case, "reverse", optimised=False) == pytest.approx(forward, rel=1e-12)


@pytest.mark.parametrize("case", SMOOTH, ids=lambda c: c.name)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_second_order(case: Case, mode: str) -> None:
    """The derivative of the first component of the gradient, against differences of the gradient."""

    def program() -> Program:
        p = parse_program(case.text)
        with_gradient(p, "f", (0,), "df")
        with_gradient(p, "df", (0,), "main")
        expand(p, mode)  # type: ignore[arg-type]
        verify(p)
        pipeline.optimise(p, ["main", "df"], "after-ad", verify=True)
        return p

    p, args = program(), numbers(case)
    expected = slope(lambda t: run(p, "df", [t, *args[1:]])[0], args[0])
    assert run(p, "main", args)[0] == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_straight_reverse_is_as_written_by_hand() -> None:
    """sin(x²): one multiplication, one cosine, and the chain rule; nothing is kept in memory."""
    program = parse_program("""
fn @f(%x: f64) -> f64 {
  %0: f64 = mul %x, %x
  %1: f64 = sin %0
  return %1
}
""")
    with_gradient(program, "f", (0,), "main")
    expand(program, "reverse")
    pipeline.optimise(program, ["main"], "after-ad")
    assert print_program(program) == """fn @main(%0: f64) -> f64 {
  %1: f64 = mul %0, %0
  %2: f64 = cos %1
  %x: f64 = mul %2, %0
  %x.1: f64 = add %x, %x
  return %x.1
}
"""


def test_integer_tangent() -> None:
    case = next(c for c in CASES if c.name == "integers_carry_tangents")
    # d/dn n·sin(2n²) = sin(2n²) + 4n² cos(2n²) at n = 3
    assert gradient(case, "reverse") == pytest.approx([23.02041425001521], rel=1e-12)
