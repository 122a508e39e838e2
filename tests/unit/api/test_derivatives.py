"""The family of derivatives. Expected values are closed forms, computed by Python's math."""

from __future__ import annotations

import math

import pytest

import dsl

PROGRAM = """\
f(x) = x^3
g(a, b) = a^2 * b
wave(x) = 5*sin(x)
linear(x) = 2x
struct Point
  x::Float64
  y::Float64
end
area(p::Point, q) = p.x * q
pair(x) = (x, x^2)
weights(d) = d[:a] * d[:b]
function pow(x, n)
  r = 1
  while n > 0
    n -= 1
    r *= x
  end
  return r
end
kink(x) = abs(x)
"""
MODES = ["auto", "forward", "reverse"]


@pytest.fixture(scope="module")
def m() -> dsl.Module:
    return dsl.loads(PROGRAM)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_is_a_tuple(m: dsl.Module, mode: str) -> None:
    assert dsl.gradient(m.f, 2.0, mode=mode) == (12.0,)
    assert dsl.gradient(m.g, 3.0, 4.0, mode=mode) == (24.0, 9.0)
    assert dsl.gradient(m.pow, 2, 3, mode=mode) == (12.0, None)


def test_zeros_instead_of_none(m: dsl.Module) -> None:
    assert dsl.gradient(m.pow, 2, 3, zeros=True) == (12.0, 0.0)
    p = m.Point(3.0, 4.0)
    assert dsl.gradient(m.area, p, 2.0) == ((2.0, None), 3.0)
    assert dsl.gradient(m.area, p, 2.0, zeros=True) == ((2.0, 0.0), 3.0)


def test_the_gradient_of_a_struct_is_a_record(m: dsl.Module) -> None:
    (of_point, _) = dsl.gradient(m.area, m.Point(3.0, 4.0), 2.0)
    assert of_point.x == 2.0 and of_point["y"] is None


def test_the_gradient_of_a_dict_is_a_dict(m: dsl.Module) -> None:
    assert dsl.gradient(m.weights, {"a": 2.0, "b": 3.0}) == ({"a": 3.0, "b": 2.0},)


@pytest.mark.parametrize("mode", MODES)
def test_grad_is_unwrapped_and_nests(m: dsl.Module, mode: str) -> None:
    first = dsl.grad(m.f, mode=mode)
    assert first(2.0) == 12.0
    assert dsl.grad(first)(2.0) == 12.0
    assert dsl.grad(dsl.grad(first))(2.0) == 6.0


def test_argnums(m: dsl.Module) -> None:
    assert dsl.grad(m.g, 1)(3.0, 4.0) == 9.0
    assert dsl.grad(m.g, (0, 1))(3.0, 4.0) == (24.0, 9.0)
    assert dsl.grad(m.g, -1)(3.0, 4.0) == 9.0
    assert dsl.grad(dsl.grad(m.g, 0), 1)(3.0, 4.0) == 6.0


def test_derivatives_of_numbers_are_numbers(m: dsl.Module) -> None:
    second = dsl.grad(dsl.grad(m.linear))
    assert second(3.0) == 0.0


def test_value_and_grad(m: dsl.Module) -> None:
    assert dsl.value_and_grad(m.f)(2.0) == (8.0, 12.0)
    assert m.f.value_and_grad(2.0) == (8.0, 12.0)
    assert dsl.value_and_grad(m.g, (0, 1))(3.0, 4.0) == (36.0, (24.0, 9.0))


def test_second_derivatives(m: dsl.Module) -> None:
    assert dsl.hessian(m.f)(2.0) == 12.0
    assert dsl.hvp(m.f, 2.0, 0.5) == 6.0
    assert m.f.hvp(2.0, 0.5) == 6.0
    assert dsl.jacfwd(dsl.jacrev(m.f))(2.0) == 12.0
    assert dsl.jacrev(dsl.jacfwd(m.wave))(1.0) == pytest.approx(-5 * math.sin(1.0), rel=1e-15)


def test_jvp(m: dsl.Module) -> None:
    value, tangent = dsl.jvp(m.g, (3.0, 4.0), (1.0, 0.5))
    assert (value, tangent) == (36.0, 24.0 + 4.5)


def test_vjp_may_be_kept_and_called_again(m: dsl.Module) -> None:
    value, back = dsl.vjp(m.g, 3.0, 4.0)
    _, other = dsl.vjp(m.g, 1.0, 2.0)
    assert value == 36.0
    assert back(1.0) == (24.0, 9.0)
    assert other(2.0) == (8.0, 2.0)
    assert back(0.5) == (12.0, 4.5)


def test_attributes(m: dsl.Module) -> None:
    assert m.f.grad(2.0) == 12.0
    assert m.wave.grad(0.0) == 5.0


def test_a_result_that_is_no_number_is_an_error(m: dsl.Module) -> None:
    with pytest.raises(dsl.DslError) as caught:
        dsl.gradient(m.pair, 2.0)
    assert caught.value.kind == "NonScalarOutput"


def test_functions_of_python_are_refused() -> None:
    with pytest.raises(dsl.DslError, match="written in the language") as caught:
        dsl.gradient(lambda x: x, 2.0)  # type: ignore[arg-type]
    assert caught.value.code == "E0602"


def test_check_grads(m: dsl.Module) -> None:
    dsl.check_grads(m.g, (1.5, 2.5), order=2)
    dsl.check_grads(m.area, (m.Point(1.0, 2.0), 3.0))
    dsl.check_grads(m.pow, (1.25, 3))
    with pytest.raises(AssertionError, match="central differences"):
        dsl.check_grads(m.kink, (1e-7,))


def test_mode_of_a_module() -> None:
    for mode in MODES:
        m = dsl.loads(PROGRAM, mode=mode)
        assert dsl.grad(m.wave)(0.0) == 5.0
