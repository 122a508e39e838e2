"""The family of derivatives on NumPy arrays: shapes, modes, argnums, SciPy. Expected values are closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import dsl

PROGRAM = """\
cube(x) = x^3
g(v) = [v[1]*v[2], v[2]^2, v[3]]
s(v) = v[1]^2*v[2] + sin(v[3])
scaled(v, a, b) = a*v[1]^2*v[2] + sin(v[3])*b
cross(A) = A .* A'
wave(t) = [sin(t), cos(t)]
function changes(v)
  v[1] = v[1]*v[2]
  v[1] + v[2]
end
function rosenbrock(x)
  s = 0.0
  for i in 1:length(x)-1
    s += 100*(x[i+1] - x[i]^2)^2 + (1 - x[i])^2
  end
  s
end
layers(params, x) = (for (W, b) in params
  x = [tanh(W[1, 1]*x[1] + W[1, 2]*x[2] + b[1]), tanh(W[2, 1]*x[1] + W[2, 2]*x[2] + b[2])]
end; x[1] + 2x[2])
"""
MODES: list[Any] = [None, "forward", "reverse"]
V = np.array([1.0, 2.0, 3.0])
JACOBIAN_OF_G = [[2, 1, 0], [0, 4, 0], [0, 0, 1]]
HESSIAN_OF_S = np.array([[4, 2, 0], [2, 0, 0], [0, 0, -math.sin(3.0)]])


@pytest.fixture(scope="module")
def m() -> dsl.Module:
    return dsl.loads(PROGRAM, opt_level=0)


def near(found: Any, expected: Any, rtol: float = 1e-13) -> None:
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_jacobians_have_the_shape_of_the_result_then_of_the_argument(m: dsl.Module, mode: Any) -> None:
    near(dsl.jacobian(m.g, mode=mode)(V), JACOBIAN_OF_G)
    near(dsl.jacobian(m.s, mode=mode)(V), [4, 1, math.cos(3.0)])
    near(dsl.jacobian(m.wave, mode=mode)(0.5), [math.cos(0.5), -math.sin(0.5)])
    assert dsl.jacobian(m.cube, mode=mode)(2.0) == 12.0
    j = dsl.jacobian(m.cross, mode=mode)(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert j.shape == (2, 2, 2, 2)
    near(j[1, 0], [[0, 3], [2, 0]])  # element (2, 1) is A₂₁ A₁₂
    near(j[1, 1], [[0, 0], [0, 8]])


def test_jacfwd_and_jacrev_nest(m: dsl.Module) -> None:
    near(dsl.jacfwd(m.g)(V), JACOBIAN_OF_G)
    near(dsl.jacrev(m.g)(V), JACOBIAN_OF_G)
    near(dsl.jacfwd(dsl.jacrev(m.s))(V), HESSIAN_OF_S)
    assert dsl.jacobian(dsl.jacobian(m.g))(V).shape == (3, 3, 3)


def test_argnums(m: dsl.Module) -> None:
    of_v, of_b = dsl.jacobian(m.scaled, (0, -1))(V, 2.0, 5.0)
    near(of_v, [8, 2, 5 * math.cos(3.0)])
    assert of_b == pytest.approx(math.sin(3.0))
    near(dsl.hessian(m.scaled)(V, 2.0, 1.0), [[8, 4, 0], [4, 0, 0], [0, 0, -math.sin(3.0)]])
    assert dsl.hessian(m.scaled, 1)(V, 2.0, 1.0) == 0.0
    with pytest.raises(dsl.DslError):
        dsl.hessian(m.scaled, 3)(V, 2.0, 1.0)


@pytest.mark.parametrize("mode", MODES)
def test_hessians_and_their_products(m: dsl.Module, mode: Any) -> None:
    near(dsl.hessian(m.s, mode=mode)(V), HESSIAN_OF_S)
    near(dsl.hvp(m.s, V, np.array([1.0, -1.0, 2.0]), mode=mode), HESSIAN_OF_S @ [1, -1, 2])
    near(m.scaled.hvp(V, V, 1.0, 1.0), HESSIAN_OF_S @ V)


def test_directional_derivatives(m: dsl.Module) -> None:
    value, tangent = dsl.jvp(m.g, (V,), (np.array([1.0, 0.0, 2.0]),))
    near(value, [2, 4, 3])
    near(tangent, [2, 0, 2])
    near(dsl.pushforward(m.g, V)(np.array([0.0, 1.0, 0.0])), [1, 4, 0])
    value, back = dsl.vjp(m.g, V)
    near(value, [2, 4, 3])
    near(back(np.array([1.0, 1.0, 0.0]))[0], [2, 5, 0])


def test_arguments_stay_as_they_were(m: dsl.Module) -> None:
    v = np.array([2.0, 3.0])
    v.flags.writeable = False
    near(dsl.jacobian(m.changes)(v), [3, 3])
    assert dsl.jvp(m.changes, (v,), (np.array([1.0, 1.0]),)) == (9.0, 6.0)
    near(dsl.hessian(m.changes)(v), [[0, 1], [1, 0]])
    near(v, [2, 3])


def test_series_and_high_orders(m: dsl.Module) -> None:
    near(dsl.taylor(m.cube, 2.0, 4), [8, 12, 6, 1, 0])
    assert [dsl.derivative(m.cube, 2.0, order=k) for k in range(5)] == [8, 12, 12, 6, 0]
    tenth = dsl.derivative(dsl.loads("f(x) = exp(-x^2/2)").f, 0.0, order=10)
    assert tenth == pytest.approx(-945.0, rel=1e-13)


def test_results_go_where_they_are_wanted(m: dsl.Module) -> None:
    out = np.empty(3)
    assert dsl.hvp(m.s, V, V, out=out) is out
    near(out, HESSIAN_OF_S @ V)
    assert m.s.grad(V, out=out) is out
    near(out, [4, 1, math.cos(3.0)])
    for wrong in (np.empty(4), np.empty(3, dtype=int), np.empty(3, dtype="float32")):
        with pytest.raises(dsl.DslError) as caught:
            m.s.grad(V, out=wrong)
        assert caught.value.code == "E0602"


def test_gradients_keep_the_shape_of_parameters(m: dsl.Module) -> None:
    params = [(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([0.5, 0.6])), (np.eye(2), np.zeros(2))]
    x = np.array([1.0, -1.0])
    (found, _) = dsl.gradient(m.layers, params, x)
    assert [tuple(part.shape for part in layer) for layer in found] == [((2, 2), (2,)), ((2, 2), (2,))]

    def loss(ps: Any) -> float:
        y = x
        for w, b in ps:
            y = np.tanh(w @ y + b)
        return float(y[0] + 2 * y[1])

    for k, layer in enumerate(params):
        for j, part in enumerate(layer):
            for at in np.ndindex(part.shape):
                values = []
                for sign in (1, -1):
                    moved = [tuple(p.copy() for p in each) for each in params]
                    moved[k][j][at] += sign * 1e-6
                    values.append(loss(moved))
                assert found[k][j][at] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


def test_scipy_takes_them_as_they_are(m: dsl.Module) -> None:
    start = np.array([-1.2, 1.0, 0.5])
    done = scipy.optimize.minimize(m.rosenbrock.value_and_grad, start, jac=True, method="BFGS")
    near(done.x, np.ones(3), rtol=1e-4)
    done = scipy.optimize.minimize(
        m.rosenbrock.value_and_grad, start, jac=True, hessp=m.rosenbrock.hvp, method="trust-ncg"
    )
    near(done.x, np.ones(3), rtol=1e-6)
    near(start, [-1.2, 1.0, 0.5])
    solved = scipy.optimize.root(m.g, np.array([1.0, 1.0, 1.0]), jac=m.g.jacobian)
    near(m.g(solved.x), np.zeros(3))
