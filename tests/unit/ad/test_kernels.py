"""Derivatives of products of matrices as one operation: in every mode and order, of views, of what is overwritten."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dsl.ad import expand
from dsl.diagnostics import DslError
from dsl.interp import Memory, run
from dsl.ir.core import Program
from dsl.ir.text import parse_program
from dsl.ir.verifier import verify
from dsl.passes import pipeline

MODES = ["forward", "reverse"]
PLANS = ["", "save"]


def compiled(text: str, mode: str, *roots: str) -> Program:
    program = parse_program(text)
    verify(program)
    expand(program, mode)  # type: ignore[arg-type]
    verify(program)
    pipeline.optimise(program, list(roots) or ["main"], "after-ad", verify=True)
    return program


def memory(numbers: Sequence[float]) -> Memory:
    return Memory([[x] for x in numbers])


def numbers(m: Memory) -> list[float]:
    return [row[0] for row in m.rows]


@pytest.fixture(params=PLANS, ids=["decided", "save all"], autouse=True)
def _plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_PLAN", request.param)


# y = Σ wᵢⱼ Cᵢⱼ with C = A B, all column by column: A 2×3, B 3×2, w 2×2
WEIGHED = """
fn @f(%a: mem<f64>, %b: mem<f64>, %w: mem<f64>) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %3: i64 = const 3
  %4: i64 = const 4
  %c: mem<f64> = new %4
  kernel %c, %a, %b, %2, %2, %3, %0, %1, %2, %0, %1, %2, %0, %1, %3 {kernel="gemm"}
  AFTER
  %zero: f64 = const 0.0
  %y: f64 = for %i = %0, %3, %1 (%s: f64 = %zero) {
    %u: f64 = load %c[%i]
    %v: f64 = load %w[%i]
    %uv: f64 = mul %u, %v
    %t: f64 = add %s, %uv
    next %t
  }
  return %y
}
fn @main(%a: mem<f64>, %b: mem<f64>, %w: mem<f64>, %ā: mem<f64>, %b̄: mem<f64>, %w̄: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @f(%a, %b, %w; %1, %ā, %b̄, %w̄) {wrt=(0, 1, 2)}
  return %y
}
"""
A, B, W = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0], [7.0, 9.0, 11.0, 8.0, 10.0, 12.0], [1.0, 2.0, 3.0, 5.0]
PRODUCT = [58.0, 139.0, 64.0, 154.0]
A_BAR = [7 + 24.0, 14 + 40.0, 9 + 30.0, 18 + 50.0, 11 + 36.0, 22 + 60.0]  # W B'
B_BAR = [1 + 8.0, 2 + 10.0, 3 + 12.0, 3 + 20.0, 6 + 25.0, 9 + 30.0]  # A' W

OVERWRITTEN = """
  %big: f64 = const 100.0
  for %k = %0, %3, %1 () {
    store %a[%k], %big
    store %b[%k], %big
    next
  }
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after", ["", OVERWRITTEN], ids=["kept", "overwritten"])
def test_gradient_of_a_product(mode: str, after: str) -> None:
    """The factors count as they were, also where they are overwritten behind the product."""
    program = compiled(WEIGHED.replace("AFTER", after), mode)
    given = [memory(x) for x in (A, B, W)]
    out = [memory([0.0] * len(x)) for x in (A, B, W)]
    (y,) = run(program, "main", [*given, *out])
    assert y == sum(w * c for w, c in zip(W, PRODUCT, strict=True))
    assert [numbers(m) for m in out] == [A_BAR, B_BAR, PRODUCT]
    assert [numbers(m) for m in given] == [A, B, W]


# y = Σ (P Q)₁ⱼ² where P and Q are views of one memory m: P = 2×2 from 1 on by rows, Q = the same transposed
VIEWS = """
fn @f(%m: mem<f64>) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %4: i64 = const 4
  %c: mem<f64> = new %4
  kernel %c, %m, %m, %2, %2, %2, %0, %1, %2, %1, %2, %1, %1, %1, %2 {kernel="gemm"}
  %u: f64 = load %c[%0]
  %v: f64 = load %c[%2]
  %uu: f64 = mul %u, %u
  %vv: f64 = mul %v, %v
  %y: f64 = add %uu, %vv
  return %y
}
fn @main(%m: mem<f64>, %out: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @f(%m; %1, %out) {wrt=(0,)}
  return %y
}
fn @slope(%m: mem<f64>, %d: mem<f64>) -> f64 {
  %y: f64, %t: f64 = jvp @f(%m; %d) {wrt=(0,)}
  return %t
}
fn @curve(%m: mem<f64>, %d: mem<f64>, %out: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @slope(%m, %d; %1, %out) {wrt=(0,)}
  return %y
}
fn @norm(%m: mem<f64>) -> f64 {
  %0: i64 = const 0
  %2: i64 = const 2
  %1: f64 = const 1.0
  %n: i64 = len %m
  %g: mem<f64> = new %n
  %y: f64 = vjp @f(%m; %1, %g) {wrt=(0,)}
  %r: f64 = load %g[%2]
  return %r
}
fn @again(%m: mem<f64>, %out: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @norm(%m; %1, %out) {wrt=(0,)}
  return %y
}
"""


def gradient_of_views(p: float, q: float, r: float, s: float) -> list[float]:
    """P = [p q; r s]: y = (p² + q²)² + (p r + q s)²."""
    n, t = p * p + q * q, p * r + q * s
    return [4 * n * p + 2 * t * r, 4 * n * q + 2 * t * s, 2 * t * p, 2 * t * q]


@pytest.mark.parametrize("mode", MODES)
def test_views_of_one_memory_in_every_order(mode: str) -> None:
    program = compiled(VIEWS, mode, "main", "slope", "curve", "again")
    point, d = [2.0, 3.0, 5.0, 7.0], [1.0, -2.0, 0.5, 3.0]
    m = memory([9.0, *point])
    out = memory([0.0] * 5)
    run(program, "main", [m, out])
    expected = gradient_of_views(*point)
    assert numbers(out) == [0.0, *expected]
    assert run(program, "slope", [m, memory([9.0, *d])]) == [sum(a * b for a, b in zip(expected, d, strict=True))]
    out = memory([0.0] * 5)
    run(program, "curve", [m, memory([9.0, *d]), out])
    hessian = hessian_of_views(*point)
    assert numbers(out) == [0.0, *(sum(a * b for a, b in zip(row, d, strict=True)) for row in hessian)]
    out = memory([0.0] * 5)
    assert run(program, "again", [m, out]) == [expected[1]]
    assert numbers(out) == [0.0, *hessian[1]]


def hessian_of_views(p: float, q: float, r: float, s: float) -> list[list[float]]:
    n, t = p * p + q * q, p * r + q * s
    return [
        [4 * n + 8 * p * p + 2 * r * r, 8 * p * q + 2 * r * s, 2 * t + 2 * p * r, 2 * q * r],
        [8 * p * q + 2 * r * s, 4 * n + 8 * q * q + 2 * s * s, 2 * p * s, 2 * t + 2 * q * s],
        [2 * t + 2 * p * r, 2 * p * s, 2 * p * p, 2 * p * q],
        [2 * q * r, 2 * t + 2 * q * s, 2 * p * q, 2 * q * q],
    ]


# h ← W h three times, in a memory that is made each time; the result is Σ h
CHAIN = """
fn @f(%w: mem<f64>, %x: mem<f64>) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  %3: i64 = const 3
  %h: mem<f64> = for %k = %1, %3, %1 (%old: mem<f64> = %x) {
    %new: mem<f64> = new %2
    kernel %new, %w, %old, %2, %1, %2, %0, %1, %2, %0, %1, %2, %0, %1, %2 {kernel="gemm"}
    next %new
  }
  %u: f64 = load %h[%0]
  %v: f64 = load %h[%1]
  %y: f64 = add %u, %v
  return %y
}
fn @main(%w: mem<f64>, %x: mem<f64>, %w̄: mem<f64>, %x̄: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @f(%w, %x; %1, %w̄, %x̄) {wrt=(0, 1)}
  return %y
}
fn @forward(%w: mem<f64>, %x: mem<f64>) -> f64, obj {
  %y: f64, %o: obj = vjp_fwd @f(%w, %x) {wrt=(0, 1)}
  return %y, %o
}
fn @back(%o: obj, %d: f64, %w̄: mem<f64>, %x̄: mem<f64>) {
  vjp_rev @f(%o; %d, %w̄, %x̄) {wrt=(0, 1)}
  return
}
"""


def chain_gradient(w: Sequence[float], x: Sequence[float]) -> tuple[list[float], list[float]]:
    """By hand: λ ← Wᵀλ from (1, 1) backwards, W̄ += λ hᵀ."""
    a, b, c, d = w[0], w[2], w[1], w[3]  # rows (a b; c d)
    states = [tuple(x)]
    for _ in range(3):
        u, v = states[-1]
        states.append((a * u + b * v, c * u + d * v))
    adjoint, w_bar = (1.0, 1.0), [0.0] * 4
    for u, v in reversed(states[:3]):
        p, q = adjoint
        w_bar = [w_bar[0] + p * u, w_bar[1] + q * u, w_bar[2] + p * v, w_bar[3] + q * v]
        adjoint = (a * p + c * q, b * p + d * q)
    return w_bar, list(adjoint)


@pytest.mark.parametrize("mode", MODES)
def test_a_chain_of_products(mode: str) -> None:
    w, x = [1.0, 3.0, 2.0, 4.0], [5.0, 6.0]
    program = compiled(CHAIN, mode)
    out = memory([0.0] * 4), memory([0.0] * 2)
    (y,) = run(program, "main", [memory(w), memory(x), *out])
    assert y == 509 + 1113
    assert (numbers(out[0]), numbers(out[1])) == chain_gradient(w, x)


def test_a_pullback_after_its_arguments_have_changed() -> None:
    w, x = [1.0, 3.0, 2.0, 4.0], [5.0, 6.0]
    program = compiled(CHAIN, "reverse", "forward", "back")
    given = memory(w), memory(x)
    _, record = run(program, "forward", given)
    for m in given:
        m.rows[:] = [[-1.0] for _ in m.rows]
    for _ in range(2):
        out = memory([0.0] * 4), memory([0.0] * 2)
        run(program, "back", [record, 1.0, *out])
        assert (numbers(out[0]), numbers(out[1])) == chain_gradient(w, x)


# c += A x with integers in A, into an argument; y = c₁ c₂
INTEGERS = """
fn @f(%a: mem<i64>, %x: mem<i64>, %c: mem<i64>) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %2: i64 = const 2
  kernel %c, %a, %x, %2, %1, %2, %0, %1, %2, %0, %1, %2, %0, %1, %2 {kernel="gemm"}
  %u: i64 = load %c[%0]
  %v: i64 = load %c[%1]
  %i: i64 = mul %u, %v
  %y: f64 = tof64 %i
  return %y
}
fn @main(%a: mem<i64>, %x: mem<i64>, %c: mem<i64>, %ā: mem<f64>, %x̄: mem<f64>, %c̄: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @f(%a, %x, %c; %1, %ā, %x̄, %c̄) {wrt=(0, 1, 2)}
  return %y
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_integers_and_a_target_that_is_an_argument(mode: str) -> None:
    """A = [1 2; 3 4], x = (5, 6), c = (1, 2): c + A x = (18, 41). The argument holds (1, 2) again afterwards."""
    program = compiled(INTEGERS, mode)
    a, x, c = (memory(v) for v in ([1, 3, 2, 4], [5, 6], [1, 2]))
    out = [memory([0.0] * n) for n in (4, 2, 2)]
    assert run(program, "main", [a, x, c, *out]) == [18.0 * 41.0]
    assert [numbers(m) for m in out] == [
        [41 * 5.0, 18 * 5.0, 41 * 6.0, 18 * 6.0], [41 * 1.0 + 18 * 3.0, 41 * 2.0 + 18 * 4.0], [41.0, 18.0],
    ]  # fmt: skip
    assert [numbers(m) for m in (a, x, c)] == [[1, 3, 2, 4], [5, 6], [1, 2]]


@pytest.mark.parametrize("mode", MODES)
def test_a_kernel_without_a_derivative_is_an_error(mode: str) -> None:
    program = parse_program("""
fn @f(%a: mem<f64>) -> f64 {
  %0: i64 = const 0
  %2: i64 = const 2
  %info: i64 = kernel %a, %2 {kernel="potrf"}
  %y: f64 = load %a[%0]
  return %y
}
fn @main(%a: mem<f64>, %ā: mem<f64>) -> f64 {
  %1: f64 = const 1.0
  %y: f64 = vjp @f(%a; %1, %ā) {wrt=(0,)}
  return %y
}
""")
    with pytest.raises(DslError, match=r"potrf.*no derivative"):
        expand(program, mode)  # type: ignore[arg-type]
