"""How far functions may grow by what they take in."""

from __future__ import annotations

import pytest

import dsl
from dsl.interp import run
from dsl.ir.text import parse_program
from dsl.ir.verifier import verify
from dsl.passes.inline import BUDGET, SMALL, inline


def chain(name: str, ops: int, first: str = "%x") -> str:
    """A function of so many additions."""
    values = [first, *(f"%{name}{k}" for k in range(ops))]
    lines = [f"  {values[k + 1]}: f64 = add {values[k]}, %x" for k in range(ops)]
    return "\n".join([f"fn @{name}(%x: f64) -> f64 {{", *lines, f"  return {values[-1]}", "}"])


def calling(name: str, callee: str, ops: int, times: int = 1) -> str:
    text = chain(name, ops, "%c0")
    calls = [f"  %c{times - 1 - k}: f64 = call @{callee}(%{f'c{times - k}' if k else 'x'})" for k in range(times)]
    head, _, rest = text.partition("\n")
    return "\n".join([head, *calls, rest])


@pytest.mark.parametrize(
    ("callee", "caller", "times", "taken"),
    [
        (SMALL - 1, 10, 3, True),                # small
        (SMALL + 1, 10, 3, False),               # not small, and called more than once
        (SMALL + 1, 100, 1, True),               # called once
        (BUDGET - 200, 100, 1, True),
        (BUDGET, 100, 1, False),                 # there is no room for it …
        (BUDGET, SMALL - 2, 1, True),            # … but a function of little more than the call becomes what it calls
        (BUDGET, 10, 2, False),
    ],
)  # fmt: skip
def test_decisions(callee: int, caller: int, times: int, taken: bool) -> None:
    text = f"{chain('f', callee)}\n{calling('main', 'f', caller, times)}\n"
    program = parse_program(text)
    inline(program, ["main"])
    verify(program)
    assert all(op.name != "call" for op in program.functions["main"].body.walk()) is taken
    assert run(program, "main", [1.0]) == run(parse_program(text), "main", [1.0])


def test_the_gradient_of_a_long_function_is_one_function() -> None:
    """Its forward and its reverse sweep are not apart, with a record between them."""
    lines = "\n".join(f"  x = 0.5 * x + sin(x + {k}.0)" for k in range(BUDGET // 3))
    module = dsl.loads(f"function f(x)\n{lines}\n  x\nend")
    text = str(module.code_typed("gradient(f, 0.5)[1]"))
    assert text.count("fn @") == 1 and " call " not in text and "pack" not in text
