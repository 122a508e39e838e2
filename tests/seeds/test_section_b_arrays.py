"""The seed programs of arrays: a network, the primitives, a throw that is aimed, gradients handed to other tools."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

import dsl
from tests.support.ways import WAYS, Way, load

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)


def central(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Central differences in each element, of fourth order."""
    out = np.zeros_like(x)
    for k in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[k] = h
        out[k] = (8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h)
    return out


# ---------------------------------------------------------------- mlp

MLP = """
function predict(params, inputs)
  for (W, b) in params
    inputs = tanh.(inputs * W .+ b')
  end
  inputs
end
loss_fun(params, inputs, targets) = mean((predict(params, inputs) .- targets) .^ 2)
"""


def mlp_loss(params: list[tuple[np.ndarray, np.ndarray]], x: np.ndarray, y: np.ndarray) -> float:
    for w, b in params:
        x = np.tanh(x @ w + b)
    return float(np.mean((x - y) ** 2))


@each_way
def test_mlp(way: Way) -> None:
    random = np.random.default_rng(3)
    sizes = ((3, 4), (4, 2))
    params = [(random.normal(size=s), random.normal(size=s[1])) for s in sizes]
    x, y = random.normal(size=(5, 3)), random.normal(size=(5, 2))
    value, gradient = dsl.value_and_grad(load(MLP, way)["loss_fun"])(params, x, y)
    assert value == pytest.approx(mlp_loss(params, x, y), rel=1e-13)
    assert isinstance(gradient, list)
    assert len(gradient) == len(params)
    for layer, parts in enumerate(params):
        assert isinstance(gradient[layer], tuple)
        for part, given in enumerate(parts):

            def moved(a: np.ndarray, layer: int = layer, part: int = part) -> float:
                changed = [list(p) for p in params]
                changed[layer][part] = a
                return mlp_loss([(w, b) for w, b in changed], x, y)

            assert gradient[layer][part].shape == given.shape
            np.testing.assert_allclose(gradient[layer][part], central(moved, given), rtol=1e-8, atol=1e-11)


# ---------------------------------------------------------------- primitives

# text of the function of x, the same with mpmath, where
UNARY: dict[str, tuple[str, Callable[[Any], Any], float]] = {
    "abs": ("abs(x)", abs, -0.7),
    "neg": ("-x", lambda x: -x, 0.7),
    "exp": ("exp(x)", mpmath.exp, 0.7),
    "log": ("log(x)", mpmath.log, 0.7),
    "log1p": ("log1p(x)", mpmath.log1p, 0.7),
    "expm1": ("expm1(x)", mpmath.expm1, 0.7),
    "sqrt": ("sqrt(x)", mpmath.sqrt, 0.7),
    "cbrt": ("cbrt(x)", mpmath.cbrt, 0.7),
    "sin": ("sin(x)", mpmath.sin, 0.7),
    "cos": ("cos(x)", mpmath.cos, 0.7),
    "tan": ("tan(x)", mpmath.tan, 0.7),
    "asin": ("asin(x)", mpmath.asin, 0.7),
    "acos": ("acos(x)", mpmath.acos, 0.7),
    "atan": ("atan(x)", mpmath.atan, 0.7),
    "sinh": ("sinh(x)", mpmath.sinh, 0.7),
    "cosh": ("cosh(x)", mpmath.cosh, 0.7),
    "tanh": ("tanh(x)", mpmath.tanh, 0.7),
    "asinh": ("asinh(x)", mpmath.asinh, 0.7),
    "acosh": ("acosh(x)", mpmath.acosh, 1.7),
    "atanh": ("atanh(x)", mpmath.atanh, 0.7),
    "floor": ("floor(x)", mpmath.floor, 1.7),
    "ceil": ("ceil(x)", mpmath.ceil, 1.7),
    "round": ("round(x)", mpmath.nint, 1.7),
    "sign": ("sign(x)", mpmath.sign, -1.7),
}
BINARY: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("x + y", lambda x, y: x + y),
    "sub": ("x - y", lambda x, y: x - y),
    "mul": ("x * y", lambda x, y: x * y),
    "div": ("x / y", lambda x, y: x / y),
    "pow": ("x^y", lambda x, y: x**y),
    "atan2": ("atan(x, y)", mpmath.atan2),
    "min": ("min(x, y)", min),
    "max": ("max(x, y)", max),
}


@pytest.mark.parametrize("name", UNARY)
def test_primitives_of_one_number(name: str) -> None:
    text, exact, at = UNARY[name]
    m = dsl.loads(f"f(x) = {text}")
    with mpmath.workdps(50):
        value, slope = float(exact(mpmath.mpf(at))), float(mpmath.diff(exact, mpmath.mpf(at), h=mpmath.mpf(10) ** -20))
    assert m.f(at) == pytest.approx(value, rel=1e-15)
    for mode in ("forward", "reverse"):
        slopes = dsl.loads(f"f(x) = {text}\nslope(x) = f'(x)", mode=mode)
        assert slopes.slope(at) == pytest.approx(slope, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("name", BINARY)
def test_primitives_of_two_numbers(name: str) -> None:
    text, exact = BINARY[name]
    f = dsl.loads(f"f(x, y) = {text}").f
    x, y = 1.3, 2.4
    with mpmath.workdps(50):
        a, b = mpmath.mpf(x), mpmath.mpf(y)
        slopes = [float(mpmath.diff(lambda t: exact(t, b), a)), float(mpmath.diff(lambda t: exact(a, t), b))]
        value = float(exact(a, b))
    assert f(x, y) == pytest.approx(value, rel=1e-15)
    for mode in ("forward", "reverse"):
        assert dsl.gradient(f, x, y, mode=mode) == pytest.approx(slopes, rel=1e-14)


V, W = np.array([0.5, -1.25, 2.0]), np.array([1.5, 0.25, -3.0])
A, B = np.array([[1.0, 2.0], [-0.5, 0.75]]), np.array([[0.25, -1.0], [3.0, 1.5]])
STACK = np.stack([A, B, A @ B], axis=2)
ONE = np.ones((2, 2))
# text, arguments, value, gradients: all by hand
OF_ARRAYS: dict[str, tuple[str, tuple[np.ndarray, ...], Any, tuple[np.ndarray | None, ...]]] = {
    "argmax": ("f(v) = v[argmax(v)]", (V,), 2.0, (np.array([0.0, 0.0, 1.0]),)),
    "argmin": ("f(v) = v[argmin(v)]", (V,), -1.25, (np.array([0.0, 1.0, 0.0]),)),
    "dot": ("f(v, w) = dot(v, w)", (V, W), float(V @ W), (W, V)),
    "sum": ("f(v) = sum(v)", (V,), 1.25, (np.ones(3),)),
    "mean": ("f(v) = mean(v)", (V,), 1.25 / 3, (np.ones(3) / 3,)),
    "matmul": ("f(A, B) = sum(A * B)", (A, B), float((A @ B).sum()), (ONE @ B.T, A.T @ ONE)),
    "batched matmul": (
        "f(A, B) = sum(batched_mul(A, B))", (STACK, STACK[:, :, ::-1].copy()),
        float(sum((STACK[:, :, k] @ STACK[:, :, 2 - k]).sum() for k in range(3))),
        (np.stack([ONE @ STACK[:, :, 2 - k].T for k in range(3)], axis=2),
         np.stack([STACK[:, :, k].T @ ONE for k in range(3)], axis=2)),
    ),
}  # fmt: skip


@each_way
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_primitives_of_arrays(name: str, way: Way) -> None:
    text, args, value, gradients = OF_ARRAYS[name]
    f = load(text, way).f
    assert f(*args) == pytest.approx(value, rel=1e-14)
    for got, want in zip(dsl.gradient(f, *args), gradients, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


# ---------------------------------------------------------------- trebuchet

THROW = """
drag(u) = (s = sqrt(u[3]^2 + u[4]^2); (u[3], u[4], -0.02 * s * u[3], -9.81 - 0.02 * s * u[4]))
function distance(angle, speed)
  u = (0.0, 1.5, speed * cos(angle), speed * sin(angle))
  h = 0.005
  while true
    k1 = drag(u)
    k2 = drag(u .+ h / 2 .* k1)
    k3 = drag(u .+ h / 2 .* k2)
    k4 = drag(u .+ h .* k3)
    next = u .+ h / 6 .* (k1 .+ 2 .* k2 .+ 2 .* k3 .+ k4)
    if next[2] < 0
      part = u[2] / (u[2] - next[2])
      return u[1] + part * (next[1] - u[1])
    end
    u = next
  end
end
miss(angle, speed, target) = (distance(angle, speed) - target)^2
"""


def flown(angle: float, speed: float) -> float:
    """The same flight by SciPy's solver, to where it meets the ground."""
    from scipy.integrate import solve_ivp

    def rate(t: float, u: Any) -> list[float]:
        s = math.hypot(u[2], u[3])
        return [u[2], u[3], -0.02 * s * u[2], -9.81 - 0.02 * s * u[3]]

    def ground(t: float, u: Any) -> float:
        return float(u[1])

    ground.terminal, ground.direction = True, -1  # type: ignore[attr-defined]
    start = [0.0, 1.5, speed * math.cos(angle), speed * math.sin(angle)]
    solved = solve_ivp(rate, (0, 20), start, events=ground, rtol=1e-9, atol=1e-10)
    return float(solved.y_events[0][0][0])


def test_trebuchet() -> None:
    """Gradient descent on the squared miss aims the throw; SciPy's flight confirms the hit."""
    m = dsl.loads(THROW)
    step = dsl.value_and_grad(m.miss, argnums=(0, 1))
    angle, speed, target = 0.5, 15.0, 18.0
    assert abs(m.distance(angle, speed) - target) > 0.5
    for _ in range(300):
        value, (by_angle, by_speed) = step(angle, speed, target)
        size = value / (by_angle**2 + by_speed**2 + 1e-30)  # of a linear miss, half of the way to zero
        angle, speed = angle - size * by_angle, speed - size * by_speed
    assert abs(m.distance(angle, speed) - target) < 1e-6
    assert flown(angle, speed) == pytest.approx(target, abs=1e-3)


# ---------------------------------------------------------------- frameworks

ROSENBROCK = "f(x) = sum(100 * (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 for i in 1:length(x)-1)"


def test_frameworks_scipy() -> None:
    f = dsl.loads(ROSENBROCK).f
    start = np.array([1.3, 0.7, 0.8, 1.9, 1.2])
    kept = start.copy()
    np.testing.assert_allclose(f.value_and_grad(start)[0], rosen(start), rtol=1e-14)
    np.testing.assert_allclose(f.value_and_grad(start)[1], rosen_der(start), rtol=1e-13)
    for method in ("L-BFGS-B", "BFGS"):
        np.testing.assert_allclose(minimize(f.value_and_grad, start, jac=True, method=method).x, 1.0, atol=1e-3)
    newton = minimize(f.value_and_grad, start, jac=True, hessp=f.hvp, method="Newton-CG")
    np.testing.assert_allclose(newton.x, 1.0, atol=1e-3)
    np.testing.assert_array_equal(start, kept)


def test_frameworks_by_a_plain_callable() -> None:
    """What a function of another framework's tape needs: forward gives a value and a callable for the way back, both on
    NumPy arrays, read-only ones too (as other tools hand out), called when the tape is run, in any order."""
    m = dsl.loads("f(x, W) = tanh.(W * x)\ng(y) = sum(y .^ 2)")
    x, w = np.array([0.3, -1.2]), np.array([[0.5, 1.0], [-0.25, 2.0], [1.5, 0.1]])
    for a in (x, w):
        a.flags.writeable = False
    y, back_f = dsl.vjp(m.f, x, w)
    value, back_g = dsl.vjp(m.g, y)
    (dy,) = back_g(1.0)
    dx, dw = back_f(dy)
    inner = np.tanh(w @ x)
    assert value == pytest.approx(float((inner**2).sum()), rel=1e-14)
    slope = 2 * inner * (1 - inner**2)
    np.testing.assert_allclose(dx, w.T @ slope, rtol=1e-13)
    np.testing.assert_allclose(dw, np.outer(slope, x), rtol=1e-13)
