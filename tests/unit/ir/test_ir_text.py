"""Printing and parsing of the IR."""

from __future__ import annotations

import math

import pytest

from dsl.diagnostics import DslError, Source, Span
from dsl.ir.core import Function, Program, Region, Rule
from dsl.ir.opset import OPSET
from dsl.ir.text import parse_program, print_function, print_program
from dsl.ir.verifier import verify
from dsl.ops import Builder
from dsl.types import BOOL, F32, F64, I64, OBJ, LeafType, Mem

POW = """\
fn @pow(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: f64 = const 1.0
  %3: f64 = loop (%r: f64 = %2, %k: i64 = %n) {
    %4: bool = gt %k, %0
    if %4 { yield } else { break %r }
    %5: i64 = sub %k, %1
    %6: f64 = mul %r, %x
    next %6, %5
  }
  return %3
}
"""

# Every op at least once (a test below says so), and what is easily lost: nothing carried, nothing given, no field,
# names that need the whole of Unicode.
EVERYTHING = """\
fn @f(%x: f64, %n: i64) -> f64 {
  %0: f64 = tof64 %n
  %1: f64 = mul %x, %0
  return %1
}

fn @nothing() noinline {
  return
}

fn @marked(%n: i64) -> i64 checkpoint {
  %0: i64 = const 1
  %1: i64 = checkpoint for %i = %0, %n, %0 (%k: i64 = %0) {
    %2: i64 = checkpoint loop {
      break %i
    }
    next %2
  }
  return %1
}

fn @ruled(%x: f64, %m: mem<f64, mem<i64>>) -> f64, obj rule(forward=@forward, reverse=@reverse, wrt=(0,)) level=2 {
  %ȳ: obj = pack %x, %m
  return %x, %ȳ
}

fn @forward(%x: f64, %m: mem<f64, mem<i64>>) -> f64, obj {
  %0: obj = pack
  return %x, %0
}

fn @reverse(%x̄: f64) -> f64 {
  return %x̄
}

fn @main(%x: f64, %n: i64, %c: bool, %m: mem<f64, i64>) -> f64 {
  %0: i64 = const -9223372036854775808
  %1: f64 = const -inf
  %2: f64 = const 1e-320
  %3: f64 = const nan
  %4: f64 = const -0.0
  %5: bool = const true
  %6: f32 = const 0.10000000149011612
  %7: mem<> = null
  %8: mem<> = null
  %9: bool = same %7, %8
  %10: mem<f64, i64> = new %n
  store %10[%0], %x, %n
  store %10[%0], %n {1}
  acc %10[%0], %x {0}
  %11: f64, %12: i64 = load %10[%n]
  %13: i64 = load %10[%n] {1}
  push %10, %x, %n
  %14: f64, %15: i64 = pop %10
  %16: i64 = len %10
  %17: mem<f64, f64> = shadow %10
  %18: mem<f64> = global "k\\"é" 3
  %19: f64 = stop %x
  %x.1: f64 = call @f(%x, %n)
  call @nothing()
  %20: f64, %21: f64 = jvp @f(%x, %n; %x, %x) {wrt=(0, 1)}
  %22: f64, %23: f64 = vjp @f(%x, %n; %x) {wrt=(0,)}
  %24: f64, %25: obj = vjp_fwd @f(%x, %n) {wrt=(0,)}
  %26: f64 = vjp_rev @f(%25; %x) {wrt=(0,)}
  %27: f64, %28: i64 = unpack %25
  check %c, %x {E0401 "a \\"quoted\\"\\n{0}" "a hint"}
  check %c {E0404 ""}
  print %x, %n {"// {0} {1}\\n"}
  %free: bool = growable %18
  %home: i64 = address %18
  %info: i64 = kernel %18, %n {kernel="potrf"}
  mark
  %moved: mem<f64> = renew %18
  %kept: mem<f64> = release %moved
  for{lanes} %i = %0, %n, %0 {
    next
  }
  for{few} %j = %0, %n, %0 {
    next
  }
  %halves: f64 = treesum %18, %n {count=16}
  %lanes: f64 = lanesum %18, %n {count=16}
  %sum: f64 = for %i.1 = %0, %n, %0 (%s: f64 = %x) {
    next %s
  }
  %r: f64, %r.1: i64 = if %c {
    %29: i64 = loop {
      loop {
        if %c { break{1} %n } else { unreachable }
        next
      }
      break %n
    }
    yield %x, %29
  } else {
    yield %x, %n
  }
  return %r
}
"""


def test_the_documented_listing() -> None:
    program = parse_program(POW)
    verify(program)
    assert print_program(program) == POW
    assert print_function(program.functions["pow"]) == POW


def test_everything_survives() -> None:
    program = parse_program(EVERYTHING)
    verify(program)
    assert print_program(program) == EVERYTHING
    used = {op.name for fn in program.functions.values() for op in fn.body.walk()}
    assert used >= OPSET.keys()


def test_what_is_parsed() -> None:
    program = parse_program(EVERYTHING)
    assert program.functions["ruled"].attrs == {"rule": Rule("forward", "reverse", "", (0,)), "level": 2}
    assert program.functions["ruled"].results == (F64, OBJ)
    assert program.functions["nothing"].attrs == {"noinline": True}
    assert [p.type for p in program.functions["main"].params] == [F64, I64, BOOL, Mem((F64, I64))]
    checks = [op.attrs for op in program.functions["main"].body.walk() if op.name == "check"]
    assert checks[0] == {"code": "E0401", "text": 'a "quoted"\n{0}', "hint": "a hint"}


@pytest.mark.parametrize(
    ("type", "value", "text"),
    [
        (F64, 0.1, "0.1"), (F64, -0.0, "-0.0"), (F64, 5e-324, "5e-324"), (F64, math.inf, "inf"), (F64, 1e22, "1e+22"),
        (F64, math.nan, "nan"), (F64, -math.nan, "-nan"), (F32, 0.10000000149011612, "0.10000000149011612"),
        (I64, 2**63 - 1, "9223372036854775807"), (BOOL, False, "false"),
    ],
)  # fmt: skip
def test_constants_keep_their_bits(type: LeafType, value: float, text: str) -> None:
    body = Region()
    b = Builder(body)
    b.return_(b.const(value, type))
    program = Program({"f": Function("f", body, (type,))})
    printed = print_program(program)
    assert f"%0: {type} = const {text}\n" in printed
    (op, _) = parse_program(printed).functions["f"].body.ops
    again = op.attrs["value"]
    assert repr(again) == repr(value)
    assert math.copysign(1.0, again) == math.copysign(1.0, value)


def test_names_are_made_unique_and_fit() -> None:
    body = Region([F64, F64, F64], ["x", "x.1", "x"])
    b = Builder(body)
    odd = b.prim("add", body.params[0], body.params[1])
    odd.hint = "a b%"
    number = b.prim("add", odd, odd)
    number.hint = "7"
    b.return_(number)
    text = print_function(Function("f", body, (F64,)))
    assert text.splitlines()[:3] == [
        "fn @f(%x: f64, %x.1: f64, %x.2: f64) -> f64 {",
        "  %a_b_: f64 = add %x, %x.1",
        "  %0: f64 = add %a_b_, %a_b_",
    ]
    assert print_program(parse_program(text)) == text


def test_positions_are_comments() -> None:
    source = Source("model.dfl", "f(x) =\n  x * x")
    body = Region([F64], ["x"])
    b = Builder(body, Span(source, 9, 14))
    b.return_(b.prim("mul", body.params[0], body.params[0]))
    fn = Function("f", body, (F64,), "f(x::Float64)", Span(source, 0, 4))
    text = print_function(fn, positions=True)
    assert text.splitlines() == [
        "// f(x::Float64)",
        "fn @f(%x: f64) -> f64 {  // model.dfl:1:1",
        "  %0: f64 = mul %x, %x  // model.dfl:2:3",
        "  return %0  // model.dfl:2:3",
        "}",
    ]
    assert print_program(parse_program(text)) == print_function(fn)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("fn @f() -> f64 {\n  return %x\n}", 2, "%x is not defined here"),
        ("fn @f(%x: f65) {\n  return\n}", 1, "there is no type 'f65'"),
        ("fn @f(%x: f64, %x: f64) {\n  return\n}", 1, "%x is defined twice"),
        ("fn @f() {\n  return\n}\nfn @f() {\n  return\n}", 4, "@f is defined twice"),
        ("fn @f() {\n  %a: f64 = const x\n}", 2, "expected a number, found 'x'"),
        ("fn @f(%m: mem<f64>) {\n  %a: f64 = load %m[%m\n  return\n}", 3, "expected ']', found 'return'"),
        ("fn @f() {\n  return", 2, "expected an op, found 'the end'"),
        ("fn @f() {\n  %a: i64 = const 1.2.3\n}", 2, "1.2.3 is no number"),
        ("fn @f() {\n  break{x}\n}", 2, "expected an integer, found 'x'"),
    ],
)
def test_errors_name_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(DslError) as caught:
        parse_program(text)
    assert caught.value.message == f"line {line}: {message}"
    assert caught.value.span.line == line


@pytest.mark.parametrize("text", ["\x00", "fn @f() { ^ }", '"', 'fn @f() { print {"\\q"} }', "fn", "}", "fn @f("])
def test_what_is_no_ir_is_an_error(text: str) -> None:
    with pytest.raises(DslError):
        parse_program(text)
