"""Long and deep programs: the passes neither blow them up nor run out of stack."""

from __future__ import annotations

import pytest

from dsl.interp import run
from dsl.ir.core import Program
from dsl.ir.text import parse_program
from dsl.ir.verifier import verify
from dsl.passes.pipeline import optimise


def guards(n: int) -> str:
    """`x > k && return k`, for k = 0, 1, …, in a function that is called once."""
    lines = ["fn @guards(%x: f64) -> f64 {"]
    for k in range(n):
        lines += [f"%k{k}: f64 = const {float(k)}", f"%c{k}: bool = lt %x, %k{k}"]
        lines += [f"if %c{k} {{ return %k{k} }} else {{ yield }}"]
    lines += ["return %x", "}", "fn @main(%x: f64) -> f64 {", "%y: f64 = call @guards(%x)", "return %y", "}"]
    return "\n".join(lines)


def nested(n: int) -> str:
    """`if a; b && break; … end`, n deep, in a loop, with a box that is written on every level."""
    lines = ["fn @main(%x: f64) -> f64 {", "%0: i64 = const 0", "%1: i64 = const 1", "%m: mem<f64> = new %1"]
    lines += ["store %m[%0], %x", "%r: f64 = loop (%a: f64 = %x) {"]
    for k in range(n):
        lines += [f"%k{k}: f64 = const {float(k)}", f"%q{k}: f64 = load %m[%0]", f"%s{k}: f64 = add %q{k}, %x"]
        lines += [f"store %m[%0], %s{k}", f"%t{k}: bool = gt %s{k}, %k{k}", f"if %t{k} {{"]
        lines += [f"%l{k}: f64 = const {k + 5.0}", f"%u{k}: bool = gt %a, %l{k}"]
        lines += [f"if %u{k} {{ break %s{k} }} else {{ yield }}"]
    lines += ["yield"] + ["} else { yield }", "yield"] * (n - 1) + ["} else { yield }"]
    lines += ["%b: f64 = load %m[%0]", "next %b", "}", "return %r", "}"]
    return "\n".join(lines)


def nested_value(x: float, n: int) -> float:
    """What `nested` gives."""
    box = a = x
    while True:
        for k in range(n):
            box += x
            if not box > k:
                break
            if a > k + 5:
                return box
        a = box


def straight(n: int) -> str:
    lines = ["fn @main(%x: f64) -> f64 {", "%v0: f64 = mul %x, %x"]
    lines += [f"%v{k + 1}: f64 = add %v{k}, %x" for k in range(n)]
    return "\n".join([*lines, f"return %v{n}", "}"])


def size(program: Program) -> int:
    return sum(1 for fn in program.functions.values() for _ in fn.body.walk())


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        (guards(1000), 997.5, 998.0),
        (nested(40), 1.0, nested_value(1.0, 40)),
        (nested(40), 0.25, nested_value(0.25, 40)),
        (straight(4000), 0.5, 2000.25),
    ],
    ids=["guards", "nested", "nested deeper", "straight"],
)
def test_size_and_meaning_are_kept(text: str, x: float, expected: float) -> None:
    program = parse_program(text)
    verify(program)
    before = size(program)
    for stage in ("before-ad", "after-ad"):
        optimise(program, ["main"], stage, verify=True)  # type: ignore[arg-type]
        assert size(program) <= 1.1 * before
        assert run(program, "main", [x]) == [expected]
