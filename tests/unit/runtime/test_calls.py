"""Calls of native code: failures become errors at their place, printing keeps its order, nothing ends the process."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dsl.diagnostics import DslError, Source, Span
from dsl.interp import run
from dsl.ir.core import Function, Program, Region
from dsl.ops import Builder
from dsl.runtime.engine import compile_unit
from dsl.types import F64, I64
from tests.unit.runtime.programs import everywhere, parsed

LEVELS = pytest.mark.parametrize("level", [0, 3])

CHECKS = """
fn @root(%x: f64, %n: i64, %b: bool) -> f64, i64 {
  %zero: f64 = const 0.0
  %good: bool = ge %x, %zero
  check %good, %x, %n {E0401 "sqrt of {0}, at {1:plus1}"}
  %y: f64 = sqrt %x
  check %b, %b, %y {E0404 "flag {0} after {1}"}
  return %y, %n
}
fn @outer(%x: f64, %b: bool) -> f64 {
  %n: i64 = const 6
  print %x {"x = {0}\\n"}
  %y: f64, %k: i64 = call @root(%x, %n, %b)
  print %y, %k, %b {"y = {0}, k = {1}, b = {2}\\n"}
  return %y
}
"""


@LEVELS
def test_a_failing_check_says_what_and_stops_the_call(level: int) -> None:
    unit = compile_unit(parsed(CHECKS), "outer", level)
    text: list[str] = []
    assert unit.call([6.25, True], text.append) == [2.5]
    assert "".join(text) == "x = 6.25\ny = 2.5, k = 6, b = true\n"
    for args, code, said in (
        ([-4.0, True], "E0401", "sqrt of -4.0, at 7"),
        ([float("-inf"), True], "E0401", "sqrt of -Inf, at 7"),
        ([9.0, False], "E0404", "flag false after 3.0"),
    ):
        text.clear()
        with pytest.raises(DslError) as native:
            unit.call(args, text.append)
        with pytest.raises(DslError) as meant:
            run(parsed(CHECKS), "outer", args, lambda _: None)
        assert (native.value.code, native.value.message) == (code, said)
        assert native.value.message == meant.value.message
        assert type(native.value) is type(meant.value)
        assert len(text) == 1


def test_the_error_points_at_the_line() -> None:
    source = Source("model.dfl", "f(x) = begin\n  g(x)\n  h(x)\nend\n")
    fn = Function("f", Region([F64]), (F64,), "f(x)", Span(source, 0, 4))
    b = Builder(fn.body, Span(source, 22, 26))
    b.op("check", [b.bool(False), fn.params[0]], code="E0401", text="bad {0}", hint="do better")
    b.return_(fn.params[0])
    program = Program()
    program.add(fn)
    for level in (0, 3):
        with pytest.raises(ValueError) as caught:
            compile_unit(program, "f", level).call([1.0])
        error: Any = caught.value
        assert (error.span.line, error.hint) == (3, "do better")
        assert "model.dfl:3:3" in str(error)


ENDLESS = """
fn @down(%n: i64) -> i64 {
  %one: i64 = const 1
  %m: i64 = add %n, %one
  %r: i64 = call @other(%m)
  return %r
}
fn @other(%n: i64) -> i64 {
  %r: i64 = call @down(%n)
  return %r
}
fn @plus(%n: i64) -> i64 {
  %one: i64 = const 1
  %m: i64 = sub %n, %one
  %r: i64 = call @plus(%m)
  %s: i64 = add %r, %one
  return %s
}
"""


@LEVELS
@pytest.mark.parametrize("root", ["down", "plus"])
def test_endless_recursion_is_an_error(level: int, root: str) -> None:
    unit = compile_unit(parsed(ENDLESS), root, level)
    caught: list[BaseException] = []

    def call() -> None:
        try:
            unit.call([0])
        except BaseException as e:
            caught.append(e)

    call()
    thread = threading.Thread(target=call)  # whose stack is another one, and smaller
    thread.start()
    thread.join()
    assert [getattr(e, "code", e) for e in caught] == ["E0406", "E0406"]
    assert all(isinstance(e, RecursionError) for e in caught)


FIB = """
fn @fib(%n: i64) -> i64 {
  %two: i64 = const 2
  %small: bool = lt %n, %two
  if %small { return %n } else { yield }
  %one: i64 = const 1
  %a: i64 = sub %n, %one
  %b: i64 = sub %n, %two
  %x: i64 = call @fib(%a)
  %y: i64 = call @fib(%b)
  %z: i64 = add %x, %y
  return %z
}
fn @depth(%n: i64) -> f64 {
  %zero: i64 = const 0
  %done: bool = le %n, %zero
  %x: f64 = const 0.5
  if %done { return %x } else { yield }
  %one: i64 = const 1
  %m: i64 = sub %n, %one
  %y: f64 = call @depth(%m)
  %z: f64 = add %x, %y
  return %z
}
"""


def test_recursion() -> None:
    assert everywhere(FIB, "fib", lambda: [15]) == [[610]] * 3
    for level in (0, 3):
        assert compile_unit(parsed(FIB), "depth", level).call([20_000]) == [10_000.5]


SEARCH = """
fn @search(%n: i64, %m: i64) -> i64, i64 {
  %one: i64 = const 1
  %zero: i64 = const 0
  %a: i64, %b: i64 = loop (%i: i64 = %one) {
    %past: bool = gt %i, %n
    if %past { break %zero, %zero } else { yield }
    loop (%j: i64 = %one) {
      %p: i64 = mul %i, %j
      %found: bool = eq %p, %m
      if %found { break{1} %i, %j } else { yield }
      %out: bool = gt %p, %m
      if %out { break } else { yield }
      %k: i64 = add %j, %one
      %thousand: i64 = const 1000
      %odd: bool = gt %k, %thousand
      if %odd { return %k, %i } else { next %k }
      unreachable
    }
    %l: i64 = add %i, %one
    next %l
  }
  return %a, %b
}
"""


@pytest.mark.parametrize("args", [[5, 35], [40, 35], [3, 2000], [1, 5000]])
def test_exits_of_loops(args: list[int]) -> None:
    meant, *native = everywhere(SEARCH, "search", lambda: args)
    assert native == [meant, meant]


COUNT = """
fn @count(%lo: i64, %hi: i64, %step: i64) -> i64, i64 {
  %zero: i64 = const 0
  %one: i64 = const 1
  %count: i64, %last: i64 = for %i = %lo, %hi, %step (%n: i64 = %zero, %l: i64 = %zero) {
    %m: i64 = add %n, %one
    next %m, %i
  }
  return %count, %last
}
"""
TOP = (1 << 63) - 1


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([1, 3, 1], [3, 3]), ([3, 1, 1], [0, 0]), ([3, 1, -1], [3, 1]), ([1, 10, 4], [3, 9]), ([10, 1, -4], [3, 2]),
        ([TOP - 2, TOP, 1], [3, TOP]), ([TOP - 3, TOP, 2], [2, TOP - 1]), ([-TOP, -TOP - 1, -1], [2, -TOP - 1]),
        ([-TOP - 1, TOP, TOP], [3, TOP - 1]), ([5, 5, -7], [1, 5]), ([0, -1, 3], [0, 0]),
    ],
)  # fmt: skip
def test_counting_never_overflows(args: list[int], expected: list[int]) -> None:
    assert everywhere(COUNT, "count", lambda: args) == [expected] * 3


@LEVELS
def test_an_exception_while_printing_comes_through(level: int) -> None:
    unit = compile_unit(parsed(CHECKS), "outer", level)

    def broken(text: str) -> None:
        raise BrokenPipeError(text)

    with pytest.raises(BrokenPipeError, match=r"x = 1\.0"):
        unit.call([1.0, True], broken)
    assert unit.call([1.0, True], lambda _: None) == [1.0]


def test_printing_may_call_back() -> None:
    unit = compile_unit(parsed(CHECKS), "outer", 3)
    seen: list[str] = []

    def out(text: str) -> None:
        seen.append(text)
        if len(seen) < 4:
            assert unit.call([4.0, True], out) == [2.0]

    assert unit.call([1.0, True], out) == [1.0]
    assert seen.count("x = 4.0\n") == 3


def test_threads_do_not_share_a_call() -> None:
    unit = compile_unit(parsed(CHECKS), "outer", 3)
    wrong: list[Any] = []

    def work(k: int) -> None:
        for n in range(60):
            text: list[str] = []
            result = unit.call([float(k * k), True], text.append)
            if result != [float(k)] or text[0] != f"x = {float(k * k)}\n":
                wrong.append((k, n, result, text))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_many_results_and_none() -> None:
    names = ", ".join(f"%r{k}" for k in range(40))
    types = ", ".join(["f64", "bool", "i64", "f64"] * 10)
    ops = "\n".join(
        f"  %r{k}: f64 = mul %x, %x\n  %r{k + 1}: bool = gt %x, %r{k}\n"
        f"  %r{k + 2}: i64 = const {k}\n  %r{k + 3}: f64 = sin %x"
        for k in range(0, 40, 4)
    )
    text = f"""
fn @many(%x: f64) -> {types} {{
{ops}
  return {names}
}}
fn @root(%x: f64) -> {types} {{
  {', '.join(f'%r{k}: {t}' for k, t in enumerate(types.split(', ')))} = call @many(%x)
  %yes: bool = const true
  check %yes {{E0404 "never"}}
  return {names}
}}
fn @nothing(%x: f64) {{
  return
}}
"""
    for root in ("many", "root"):
        meant, *native = everywhere(text, root, lambda: [0.7])
        assert native == [meant, meant]
    assert everywhere(text, "nothing", lambda: [0.7]) == [[], [], []]


def test_names_of_the_c_library_are_free_for_users() -> None:
    text = """
fn @sin(%x: f64) -> f64 {
  %y: f64 = sin %x
  %z: f64 = add %y, %x
  return %z
}
fn @malloc(%n: i64) -> mem<i64> {
  %m: mem<i64> = new %n
  return %m
}
fn @f'.α(%x: f64) -> f64 {
  %α: f64 = call @sin(%x)
  return %α
}
"""
    meant, *native = everywhere(text, "f'.α", lambda: [0.7])
    assert native == [meant, meant]
    assert [len(m.rows) for (m,) in everywhere(text, "malloc", lambda: [3])] == [3, 3, 3]


def test_deep_nesting_of_regions() -> None:
    """Ten thousand `if`s inside each other: the emitter has no recursion of its own."""
    fn = Function("f", Region([I64]), (I64,))
    b = Builder(fn.body)
    region, results = fn.body, []
    depth = 10_000
    for k in range(depth):
        inner = Builder(region)
        cond = inner.prim("gt", fn.params[0], inner.i64(k))
        then, orelse = Region(), Region()
        Builder(orelse).op("return", [Builder(orelse).i64(k)])
        op = inner.op("if", [cond], [], [then, orelse])
        results.append((op, region))
        region = then
    Builder(region).yield_()
    for k in range(depth - 1, 0, -1):
        Builder(results[k][1]).yield_()
    b.return_(fn.params[0])
    program = Program()
    program.add(fn)
    from dsl.backend.emit import emit

    text = emit(program, "f").text
    assert text.count("icmp sgt") == depth
