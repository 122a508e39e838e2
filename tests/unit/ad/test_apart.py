"""Different memories have derivatives by themselves; one memory reached by two ways has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsl
from dsl.ad.apart import apart_in
from dsl.ir.text import parse_program

TEXT = """
fn @f(%a: mem<f64>, %b: mem<f64>, %c: mem<f64>, %p: mem<mem<i64>, f64>, %k: mem<i64>, %n: i64) -> f64 {
  %x: mem<f64> = new %n
  %y: mem<f64> = new %n
  %yes: bool = gt %n, %n
  %z: mem<f64> = if %yes { yield %a } else { yield %b }
  call @g(%x, %y, %n, %x)
  call @g(%x, %y, %n, %a)
  call @g(%a, %b, %n, %z)
  call @g(%a, %x, %n, %b)
  call @h(%p, %k, %a)
  %zero: f64 = const 0.0
  return %zero
}
fn @g(%a: mem<f64>, %b: mem<f64>, %n: i64, %c: mem<f64>) {
  return
}
fn @h(%p: mem<mem<i64>, f64>, %k: mem<i64>, %a: mem<f64>) {
  return
}
"""


def test_what_is_known_of_operands() -> None:
    fn = parse_program(TEXT).functions["f"]
    calls = [op for op in fn.body.ops if op.name == "call"]
    nothing, both = frozenset[int](), frozenset({0, 1})
    assert [apart_in(fn, op.args, nothing) for op in calls] == [{1}, set(), set(), set(), set()]
    assert [apart_in(fn, op.args, both) for op in calls] == [{1}, {0, 1, 3}, set(), {0, 1, 3}, {2}]


MODEL = dsl.loads("""
dot2(v, w) = sum(v .* w)
overwrites(v, w) = (v[1] = w[1]^2; sum(v .* w))
same(x) = gradient(dot2, x, x)
same_overwritten(x) = gradient(overwrites, x, x)
other(x, y) = gradient(dot2, x, y)
chosen(x, y, c) = (z = c ? x : y; gradient((a, b) -> dot2(a, b), z, y))
made() = (x = [1.0, 2.0]; y = [3.0, 4.0]; (gradient(dot2, x, y), gradient(dot2, x, x)))
table = [1.0, 2.0]
again = table
of_both(x) = gradient(v -> sum(v .* table .* again), x)[1]
curvature(x, v) = hvp(y -> sum(y .* y .* x), x, v)
curvature(x, v, w) = hvp(y -> sum(y .* y .* w), x, v)
sharing() = (v = [5.0, 7.0]; (x -> v[1]*x, x -> v[1]*v[2]*x))
product(f, g) = f(2.0) * g(3.0)
gradients(f, g) = gradient(product, f, g)
weighted(w, X, y) = sum((X * w - y) .^ 2)
""")


def lists(value: Any) -> Any:
    return [lists(v) for v in value] if isinstance(value, tuple) else value.tolist()


@pytest.mark.parametrize("mode", ["forward", "reverse", "auto"])
def test_arrays_of_python_are_each_by_themselves(mode: Any) -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert lists(dsl.gradient(MODEL.dot2, x, y, mode=mode)) == [[3.0, 4.0], [1.0, 2.0]]
    assert lists(dsl.gradient(MODEL.dot2, x, x, mode=mode)) == [[1.0, 2.0], [1.0, 2.0]]
    assert lists(dsl.gradient(MODEL.dot2, x, x[::-1].copy(), mode=mode)) == [[2.0, 1.0], [1.0, 2.0]]
    # v becomes (w₁², v₂): w₁³ + v₂w₂
    assert lists(dsl.gradient(MODEL.overwrites, x, y, mode=mode)) == [[0.0, 4.0], [27.0, 2.0]]
    assert (x.tolist(), y.tolist()) == ([1.0, 2.0], [3.0, 4.0])


def test_one_memory_in_the_language_has_one_gradient() -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert lists(MODEL.same(x)) == [[2.0, 4.0], [2.0, 4.0]]
    # v = w = (x₁², x₂): x₁⁴ + x₂²
    assert lists(MODEL.same_overwritten(np.array([2.0, 3.0]))) == [[32.0, 6.0], [32.0, 6.0]]
    assert lists(MODEL.other(x, y)) == [[3.0, 4.0], [1.0, 2.0]]
    assert lists(MODEL.chosen(x, y, True)) == [[3.0, 4.0], [1.0, 2.0]]
    assert lists(MODEL.chosen(x, y, False)) == [[6.0, 8.0], [6.0, 8.0]]
    assert lists(MODEL.made()) == [[[3.0, 4.0], [1.0, 2.0]], [[2.0, 4.0], [2.0, 4.0]]]


def test_one_memory_behind_two_names_of_the_top_level() -> None:
    assert lists(MODEL.of_both(np.array([1.0, 1.0]))) == [1.0, 4.0]


def test_one_memory_behind_two_closures_from_python() -> None:
    """f(2) g(3) = 6 v₁² v₂ at (5, 7); the call is compiled for memories that may be one."""
    f, g = MODEL.sharing()
    a, b = MODEL.gradients(f, g)
    assert a.v.tolist() == b.v.tolist() == [420.0, 150.0]
    other, _ = MODEL.sharing()
    a, b = MODEL.gradients(other, g)  # 6 u₁ v₁ v₂
    assert (a.v.tolist(), b.v.tolist()) == ([210.0, 0.0], [210.0, 150.0])


def test_second_order() -> None:
    x, v = np.array([1.0, 2.0]), np.array([1.0, 10.0])
    assert MODEL.curvature(x, v).tolist() == [6.0, 120.0], "y and x are one: the Hessian is 6x"
    assert MODEL.curvature(x, x).tolist() == [6.0, 24.0]
    assert MODEL.curvature(x, v, x).tolist() == [2.0, 40.0], "the Hessian is 2w"


def test_arrays_without_a_gradient_get_no_shadow() -> None:
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=3)
    got = dsl.grad(MODEL.weighted)(w, X, y)
    np.testing.assert_allclose(got, 2 * X.T @ (X @ w - y), rtol=1e-13)
    code = dsl.loads("energy(w, x, y) = (s = 0.0; for i in 1:length(w) s += w[i]*x[i]*y[i] end; s)")
    typed = dsl.grad(code.energy).code_typed(w, w.copy(), w.copy())
    assert sum(" = new " in line for line in typed.splitlines()) == 1, "the gradient of w alone"
    assert " = null" not in typed, "arrays that are given are there"


def test_arrays_that_may_be_nothing() -> None:
    module = dsl.loads("f(v, w) = w === nothing ? sum(v) : sum(v .* w)")
    v = np.array([1.0, 2.0])
    assert lists(dsl.grad(module.f)(v, v)) == [1.0, 2.0]
    assert lists(dsl.grad(module.f)(v, None)) == [1.0, 1.0]
    pair = dsl.loads("g(p) = (w = p[2]; w === nothing ? sum(p[1]) : sum(p[1] .* w))")
    assert pair.g((v, None)) == 3.0 and pair.g((v, v)) == 5.0
