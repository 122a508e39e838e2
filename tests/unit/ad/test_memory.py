"""Derivatives with respect to memory, pullbacks that are kept, arguments that are written, memory met twice."""

from __future__ import annotations

import pytest

from dsl.ad import expand
from dsl.interp import Memory, run
from dsl.ir.core import Program
from dsl.ir.text import parse_program
from dsl.ir.verifier import verify
from dsl.passes import pipeline

MODES = ["forward", "reverse"]


def compiled(text: str, mode: str, *roots: str) -> Program:
    program = parse_program(text)
    verify(program)
    expand(program, mode)  # type: ignore[arg-type]
    verify(program)
    pipeline.optimise(program, list(roots) or ["main"], "after-ad", verify=True)
    return program


def memory(*rows: float) -> Memory:
    return Memory([[r] for r in rows])


PRODUCT = """
fn @f(%m: mem<f64>, %x: f64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %n: i64 = len %m
  %last: i64 = sub %n, %1
  for %i = %0, %last, %1 () {
    %a: f64 = load %m[%i]
    %b: f64 = mul %a, %x
    store %m[%i], %b
    next
  }
  %p: f64 = for %j = %0, %last, %1 (%s: f64 = %x) {
    %c: f64 = load %m[%j]
    %d: f64 = mul %s, %c
    next %d
  }
  return %p
}
fn @main(%m: mem<f64>, %x: f64, %out: mem<f64>) -> f64, f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @f(%m, %x; %1, %out) {wrt=(0, 1)}
  return %y, %d
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_gradient_of_a_function_that_writes_its_argument(mode: str) -> None:
    """y = x·∏(mᵢ x) = x⁴ m₀ m₁ m₂: the gradient at the initial contents, which are there again afterwards."""
    program = compiled(PRODUCT, mode)
    m, out = memory(2.0, 3.0, 5.0), memory(0.0, 0.0, 0.0)
    for _ in range(2):
        out.rows[:] = [[0.0], [0.0], [0.0]]
        y, d = run(program, "main", [m, 1.5, out])
        assert y == pytest.approx(1.5**4 * 30)
        assert d == pytest.approx(4 * 1.5**3 * 30)
        assert [r[0] for r in out.rows] == pytest.approx([1.5**4 * 15, 1.5**4 * 10, 1.5**4 * 6])
        assert [r[0] for r in m.rows] == [2.0, 3.0, 5.0]


TWICE = """
fn @f(%m: mem<f64>, %n: mem<f64>, %x: f64) -> f64 {
  %0: i64 = const 0
  %a: f64 = load %m[%0]
  %ax: f64 = mul %a, %x
  store %n[%0], %ax
  %b: f64 = load %m[%0]
  %r: f64 = mul %b, %a
  return %r
}
fn @main(%m: mem<f64>, %n: mem<f64>, %x: f64, %out: mem<f64>, %out2: mem<f64>) -> f64, f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @f(%m, %n, %x; %1, %out, %out2) {wrt=(0, 1, 2)}
  return %y, %d
}
fn @captured(%m: mem<f64>, %n: mem<f64>, %x: f64) -> f64, f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @f(%m, %n, %x; %1) {wrt=(2,)}
  return %y, %d
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_one_memory_passed_twice(mode: str) -> None:
    """With m = n: y = a·(a x), so dy/da = 2 a x = 2·3·2, dy/dx = a². One object, one gradient."""
    program = compiled(TWICE, mode, "main", "captured")
    m, out, out2 = memory(3.0), memory(0.0), memory(0.0)
    y, d = run(program, "main", [m, m, 2.0, out, out2])
    assert (y, d, out.rows, out2.rows) == (18.0, 9.0, [[12.0]], [[12.0]])
    assert run(program, "captured", [m, m, 2.0]) == [18.0, 9.0]
    other, out, out2 = memory(7.0), memory(0.0), memory(0.0)
    y, d = run(program, "main", [m, other, 2.0, out, out2])
    assert (y, d, out.rows, out2.rows) == (9.0, 0.0, [[6.0]], [[0.0]])


PULLBACK = """
fn @g(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %c: bool = le %n, %0
  if %c { return %x } else { yield }
  %k: i64 = sub %n, %1
  %y: f64 = call @g(%x, %k)
  %m: mem<f64> = new %1
  store %m[%0], %y
  %z: f64 = load %m[%0]
  %w: f64 = mul %z, %x
  store %m[%0], %w
  %v: f64 = load %m[%0]
  return %v
}
fn @forward(%x: f64, %n: i64) -> f64, obj {
  %y: f64, %o: obj = vjp_fwd @g(%x, %n) {wrt=(0,)}
  return %y, %o
}
fn @back(%o: obj, %d: f64) -> f64 {
  %x: f64 = vjp_rev @g(%o; %d) {wrt=(0,)}
  return %x
}
"""


def test_pullbacks_called_late_twice_and_out_of_order() -> None:
    """g(x, n) = xⁿ⁺¹."""
    program = compiled(PULLBACK, "reverse", "forward", "back")
    y3, o3 = run(program, "forward", [2.0, 2])
    y5, o5 = run(program, "forward", [3.0, 4])
    assert (y3, y5) == (8.0, 243.0)
    for _ in range(2):
        assert run(program, "back", [o5, 1.0]) == [5 * 81.0]
        assert run(program, "back", [o3, 10.0]) == [10 * 3 * 4.0]


NESTED = """
fn @f(%h: mem<mem<f64>>, %m: mem<f64>) -> f64 {
  %0: i64 = const 0
  %a: mem<f64> = load %h[%0]
  %x: f64 = load %a[%0]
  %y: f64 = load %m[%0]
  %r: f64 = mul %x, %y
  store %a[%0], %r
  %s: f64 = load %m[%0]
  %t: f64 = mul %s, %x
  return %t
}
fn @main(%h: mem<mem<f64>>, %m: mem<f64>, %out: mem<mem<f64>>, %out2: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @f(%h, %m; %1, %out, %out2) {wrt=(0, 1)}
  return %y
}
"""


def test_one_memory_reached_by_two_ways() -> None:
    """With h = [m]: y = x·x·x. Each way shows the whole gradient 3x²; apart, y = x·m is bilinear."""
    program = compiled(NESTED, "reverse")
    m = memory(2.0)
    inner, out2 = memory(0.0), memory(0.0)
    (y,) = run(program, "main", [Memory([[m]]), m, Memory([[inner]]), out2])
    assert (y, inner.rows, out2.rows) == (8.0, [[12.0]], [[12.0]])
    other, inner, out2 = memory(5.0), memory(0.0), memory(0.0)
    (y,) = run(program, "main", [Memory([[other]]), m, Memory([[inner]]), out2])
    assert (y, inner.rows, out2.rows) == (10.0, [[2.0]], [[5.0]])
    assert (m.rows, other.rows) == ([[2.0]], [[5.0]])


def test_memory_that_becomes_active_late() -> None:
    program = compiled("""
fn @make(%v: f64) -> mem<f64> {
  %0: i64 = const 0
  %1: i64 = const 1
  %m: mem<f64> = new %1
  store %m[%0], %v
  %c: f64 = const 3.0
  %t: bool = gt %v, %c
  if %t {
    %u: mem<f64> = call @make(%c)
    return %u
  } else { yield }
  return %m
}
fn @put(%m: mem<f64>, %x: f64, %n: i64) {
  %0: i64 = const 0
  %1: i64 = const 1
  %c: bool = le %n, %0
  if %c {
    %a: f64 = load %m[%0]
    %b: f64 = mul %a, %x
    store %m[%0], %b
    return
  } else { yield }
  %k: i64 = sub %n, %1
  call @put(%m, %x, %k)
  return
}
fn @f(%x: f64) -> f64 {
  %0: i64 = const 0
  %2: f64 = const 2.0
  %3: i64 = const 3
  %m: mem<f64> = call @make(%2)
  call @put(%m, %x, %3)
  call @put(%m, %x, %0)
  %r: f64 = load %m[%0]
  return %r
}
fn @main(%x: f64) -> f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @f(%x; %1) {wrt=(0,)}
  return %d
}
""", "reverse")
    assert run(program, "main", [5.0]) == [20.0]  # 2x²




def ruled(pushforward: bool) -> Program:
    """h(x) = 3·sq(x)·x where sq has the (wrong, hence visible) rule 10x."""
    from dsl.ir.core import Rule

    program = parse_program("""
fn @sq(%x: f64) -> f64 {
  %0: f64 = mul %x, %x
  return %0
}
fn @sq.f(%x: f64) -> f64, f64 {
  %0: f64 = call @sq(%x)
  return %0, %x
}
fn @sq.r(%x: f64, %d: f64) -> f64 {
  %0: f64 = const 10.0
  %1: f64 = mul %x, %0
  %2: f64 = mul %1, %d
  return %2
}
fn @sq.p(%x: f64, %t: f64) -> f64, f64 {
  %0: f64 = call @sq(%x)
  %1: f64 = call @sq.r(%x, %t)
  return %0, %1
}
fn @h(%x: f64) -> f64 {
  %0: f64 = call @sq(%x)
  %1: f64 = const 3.0
  %2: f64 = mul %0, %1
  %3: f64 = mul %2, %x
  return %3
}
fn @dh(%x: f64) -> f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @h(%x; %1) {wrt=(0,)}
  return %d
}
fn @ddh(%x: f64) -> f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @dh(%x; %1) {wrt=(0,)}
  return %d
}
""")
    rule = Rule(pushforward="sq.p", wrt=(0,)) if pushforward else Rule(forward="sq.f", reverse="sq.r", wrt=(0,))
    program.functions["sq"].attrs["rule"] = rule
    return program


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pushforward", [False, True], ids=["pullback", "pushforward"])
def test_a_rule_serves_every_mode_and_order(mode: str, pushforward: bool) -> None:
    """h' = 3 sq + 3x·10x = 33x²; (h')' = 3·10x + 30·2x = 90x where sq' is 10x again."""
    program = ruled(pushforward)
    expand(program, mode)  # type: ignore[arg-type]
    verify(program)
    pipeline.optimise(program, ["dh", "ddh"], "after-ad", verify=True)
    assert run(program, "dh", [2.0]) == [132.0]
    assert run(program, "ddh", [2.0]) == [180.0]


@pytest.mark.parametrize("mode", MODES)
def test_derivative_through_a_pullback_called_twice(mode: str) -> None:
    """f(m) = v³w writes v; the second call of its pullback gives 10·3x²w, whose derivative is 60x."""
    program = parse_program("""
fn @f(%m: mem<f64, f64>) -> f64 {
  %0: i64 = const 0
  %a: f64 = load %m[%0]
  %b: f64 = mul %a, %a
  %c: f64 = mul %b, %a
  store %m[%0], %c
  %d: f64 = load %m[%0]
  %e: f64 = load %m[%0] {1}
  %r: f64 = mul %d, %e
  return %r
}
fn @g(%x: f64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %one: f64 = const 1.0
  %ten: f64 = const 10.0
  %m: mem<f64, f64> = new %1
  store %m[%0], %x, %one
  %y: f64, %o: obj = vjp_fwd @f(%m) {wrt=(0,)}
  %s: mem<f64, f64> = new %1
  vjp_rev @f(%o; %one, %s) {wrt=(0,)}
  %s2: mem<f64, f64> = new %1
  vjp_rev @f(%o; %ten, %s2) {wrt=(0,)}
  %r: f64 = load %s2[%0]
  return %r
}
fn @main(%x: f64) -> f64, f64 {
  %1: f64 = const 1.0
  %y: f64, %d: f64 = vjp @g(%x; %1) {wrt=(0,)}
  return %y, %d
}
""")
    expand(program, mode)  # type: ignore[arg-type]
    verify(program)
    assert run(program, "main", [2.0]) == [120.0, 120.0]
    pipeline.optimise(program, ["main"], "after-ad", verify=True)
    assert run(program, "main", [2.0]) == [120.0, 120.0]


def test_many_references_to_few_memories() -> None:
    """Σ over 3000 rows, each the square of one of 1000 numbers: one shadow for each number, found in constant time."""
    program = compiled("""
fn @f(%h: mem<mem<f64>>) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %zero: f64 = const 0.0
  %n: i64 = len %h
  %last: i64 = sub %n, %1
  %r: f64 = for %i = %0, %last, %1 (%s: f64 = %zero) {
    %row: mem<f64> = load %h[%i]
    %a: f64 = load %row[%0]
    %aa: f64 = mul %a, %a
    %t: f64 = add %s, %aa
    next %t
  }
  return %r
}
fn @main(%h: mem<mem<f64>>, %out: mem<mem<f64>>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @f(%h; %1, %out) {wrt=(0,)}
  return %y
}
""", "reverse")
    cells, shadows = [memory(float(k)) for k in range(1000)], [memory(0.0) for _ in range(1000)]
    order = [(7 * k * k + k // 1000) % 1000 for k in range(3000)]
    (y,) = run(program, "main", [Memory([[cells[k]] for k in order]), Memory([[shadows[k]] for k in order])])
    assert y == sum(float(k) ** 2 for k in order)
    assert [s.rows[0][0] for s in shadows] == [2.0 * k * order.count(k) for k in range(1000)]
