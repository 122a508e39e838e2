"""What the text of native code looks like, and that line tables are there and change nothing."""

from __future__ import annotations

import re

import pytest

from dsl.backend.emit import emit
from dsl.diagnostics import Source, Span
from dsl.ir.core import Function, Program, Region
from dsl.ops import Builder
from dsl.runtime.engine import compile_unit
from dsl.types import F64, I64
from tests.unit.runtime.programs import parsed

CONSTANT = "fn @f'() -> f64 {\n  %c: f64 = const -5.0\n  return %c\n}\n"


def test_a_constant_is_one_line() -> None:
    unit = compile_unit(parsed(CONSTANT), "f'", 3)
    assert unit.llvm() == 'define double @"f\'"() {\n  ret double -5.000000e+00\n}\n'
    assert unit.llvm(optimize=False) == unit.llvm()


ROOT = """
fn @f(%x: f64) -> f64 {
  %five: f64 = const 5.0
  %s: f64 = cbrt %x
  %y: f64 = mul %five, %s
  return %y
}
"""


def test_a_plain_function_has_a_plain_signature() -> None:
    unit = compile_unit(parsed(ROOT), "f", 3)
    head, *body, last = unit.llvm().splitlines()
    assert head == "define double @f(double %x) {"
    assert [line.split("=")[-1].strip() for line in body] == [
        "tail call double @cbrt(double %x)", "fmul double %s, 5.000000e+00", "ret double %y",
    ]  # fmt: skip
    assert last == "}"
    assert "attributes" in unit.llvm(raw=True)
    assert "call double @cbrt(double %x) nobuiltin nounwind willreturn memory(none)" in unit.llvm_raw


@pytest.mark.parametrize(("name", "label"), [("f", "f:\n"), ("λ", '"λ":\n'), ("f'", '"f\'":\n')])
def test_machine_code_is_that_of_the_function_alone(name: str, label: str) -> None:
    text = compile_unit(parsed(ROOT.replace("@f", f"@{name}")), name, 3).assembly
    assert text.startswith(label)
    assert "cbrt" in text and "ret" in text
    assert not re.search(r"^\s*\.(cfi|loc|section|globl)", text, re.M)


@pytest.mark.parametrize(
    ("op", "head"),
    [
        ("print %x {\"{0}\"}", "define i1 @f(ptr %ctx, double %x) {"),
        ("%n: i64 = const 1\n  %m: mem<f64> = new %n", "define i1 @f(ptr %ctx, double %x) {"),
        ("%y: f64 = exp %x", "define void @f(double %x) {"),
    ],
)
def test_what_can_fail_takes_the_context(op: str, head: str) -> None:
    unit = compile_unit(parsed(f"fn @f(%x: f64) {{\n  {op}\n  return\n}}\n"), "f", 0)
    assert unit.llvm().splitlines()[0] == head


def located(lines: bool) -> str:
    """A loop with a check, from a source; its optimised text without metadata."""
    program = Program()
    program.add(loop())
    return compile_unit(program, "f", 3, lines=lines).llvm()


def loop() -> Function:
    source = Source('dir/a "b".dfl', "f(x, n) =\n  loop\n  check\n  done\n")
    fn = Function("f", Region([F64, I64]), (F64,), "f(x)", Span(source, 0, 4))
    x, n = fn.params
    b = Builder(fn.body, Span(source, 12, 16))
    body = Region([I64, F64])
    inner = Builder(body, Span(source, 19, 24))
    inner.op("check", [inner.prim("ge", body.params[1], inner.f64(0.0))], code="E0401", text="negative", hint="")
    inner.next_(inner.prim("mul", body.params[1], x))
    one = b.i64(1)
    total = b.op("for", [one, n, one, x], [F64], [body]).result
    b.span = Span(source, 27, 31)
    b.return_(total)
    return fn


def test_line_tables_change_nothing() -> None:
    with_lines, without = located(True), located(False)
    assert with_lines == without
    assert "!dbg" not in with_lines


def test_line_tables_name_the_lines() -> None:
    program = Program()
    program.add(loop())
    text = emit(program, "f").text
    assert r'filename: "dir/a \22b\22.dfl"' in text
    scope = re.search(r"@f\(.*!dbg (!\d+) \{", text)
    assert scope is not None
    lines = {int(n) for n in re.findall(rf"DILocation\(line: (\d+), column: 3, scope: {scope[1]}\)", text)}
    assert lines == {2, 3, 4}
    assert "!dbg" not in emit(program, "f", lines=False).text
