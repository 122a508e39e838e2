"""Derivative rules, hooks, checkpoints and pullbacks of functions that take and give arrays: every mode and level,
expected values by NumPy or in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dsl.diagnostics import DslError
from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate

MODES = [w for w in WAYS if w.name in ("interpreter/forward", "interpreter/reverse", "O3/reverse")]
each_way = pytest.mark.parametrize("way", MODES, ids=lambda w: w.name)
reverse_ways = pytest.mark.parametrize("way", MODES[1:], ids=lambda w: w.name)


def plain(value: Any) -> Any:
    """Arrays as lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    fields = value._asdict() if hasattr(value, "_asdict") else value
    if isinstance(fields, dict):
        return {str(k): plain(v) for k, v in fields.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-10) -> None:
    assert difference(plain(evaluate(program, expression, way)), plain(expected), rel, abs_=1e-12) == ""


def code_of(program: str, expression: str, way: Way) -> str:
    with pytest.raises(DslError) as caught:
        evaluate(program, expression, way)
    return caught.value.code


# ---------------------------------------------------------------- a linear system, with ChainRules' rule

SOLVE = """
function solve2(A, b)
  d = A[1, 1] * A[2, 2] - A[1, 2] * A[2, 1]
  [(A[2, 2] * b[1] - A[1, 2] * b[2]) / d, (A[1, 1] * b[2] - A[2, 1] * b[1]) / d]
end
solve(A, b) = solve2(A, b)
function rrule(::typeof(solve), A, b)
  x = solve2(A, b)
  function back(g)
    u = solve2(A', g)
    (NoTangent(), [-u[1] * x[1] -u[1] * x[2]; -u[2] * x[1] -u[2] * x[2]], u)
  end
  x, back
end
plain(A, b) = (x = solve(A, b); x[1]^2 + 3x[2])
function overwriting(A, b)
  x = solve(A, b)
  s = x[1]^2 + 3x[2]
  x[1] = 0.0
  b[1] = 100.0
  A[1, 1] = 55.0
  A[2, 1] = 5.0
  s + x[1]
end
views(A, b) = plain(view(A, 1:2, 2:3), view(b, 2:3))
function repeated(A, b)
  x = b
  for i in 1:3
    x = solve(A, x)
    x[1] = x[1] * 2
  end
  x[1] * x[2]
end
of_first(f, x) = f([x 1.0; 2.0 x], [1.0, 2.0])
"""
A, B = np.array([[4.0, 1.0], [2.0, 3.0]]), np.array([1.0, 2.0])


def solve_gradient(a: Any, b: Any) -> tuple[Any, Any]:
    """Of x₁² + 3x₂ with x = a⁻¹b."""
    x = np.linalg.solve(a, b)
    u = np.linalg.solve(a.T, np.array([2 * x[0], 3.0]))
    return -np.outer(u, x), u


@each_way
@pytest.mark.parametrize("name", ["plain", "overwriting"])
def test_gradient_of_a_linear_system(name: str, way: Way) -> None:
    """What is overwritten after the call is what the pullback captured: its arguments, and the value."""
    check(SOLVE, f"gradient({name}, [4.0 1.0; 2.0 3.0], [1.0, 2.0])", solve_gradient(A, B), way)


@each_way
def test_cotangents_of_views_go_where_the_views_lie(way: Way) -> None:
    ga, gb = solve_gradient(A, B)
    expected = np.hstack([np.zeros((2, 1)), ga]), np.concatenate([[0.0], gb])
    check(SOLVE, "gradient(views, [9.0 4.0 1.0; 8.0 2.0 3.0], [5.0, 1.0, 2.0])", expected, way)


@each_way
def test_arrays_that_a_loop_carries_through_a_rule(way: Way) -> None:
    """M = D A⁻¹ with D = diag(2, 1): x = M³b; the gradient of x₁x₂ is that of a product."""
    d, inverse = np.diag([2.0, 1.0]), np.linalg.inv(A)
    m = d @ inverse
    x = [np.linalg.matrix_power(m, k) @ B for k in range(4)]
    g, ga = np.array([x[3][1], x[3][0]]), np.zeros((2, 2))
    for k in (2, 1, 0):
        u = inverse.T @ d @ g
        ga -= np.outer(u, inverse @ x[k])
        g = u
    check(SOLVE, "gradient(repeated, [4.0 1.0; 2.0 3.0], [1.0, 2.0])", (ga, g), way)


@each_way
@pytest.mark.parametrize("order", [1, 2, 3])
def test_higher_orders_differentiate_the_rule(order: int, way: Way) -> None:
    """With A = [x 1; 2 x], b = [1, 2]: x₁ = (x-2)/(x²-2), x₂ = (2x-2)/(x²-2)."""

    def value(x: Any) -> Any:
        d = x * x - 2
        return ((x - 2) / d) ** 2 + 3 * (2 * x - 2) / d

    expected = oracle.derivative(value, 2.5, order)
    check(SOLVE, f"(x -> of_first(plain, x)){chr(39) * order}(2.5)", expected, way, rel=1e-9)


@each_way
def test_pushforward_transposes_the_pullback(way: Way) -> None:
    da, db = np.array([[1.0, 0.0], [0.0, 0.5]]), np.array([0.0, 1.0])
    expected = np.linalg.solve(A, db - da @ np.linalg.solve(A, B))
    call = "pushforward(solve, [4.0 1.0; 2.0 3.0], [1.0, 2.0])([1.0 0.0; 0.0 0.5], [0.0, 1.0])"
    check(SOLVE, call, expected, way)


# ---------------------------------------------------------------- other rules

RULES = """
square(v) = [v[1]^2, v[2]^2]
@adjoint square(v) = square(v), c -> ([2v[1] * c[1], 2v[2] * c[2]],)
function late(v)
  y, back = pullback(u -> (w = square(u); z = square(w); w[1] = 0.0; z), v)
  v[1] = 100.0
  y[1] = 3.0
  (back([1.0, 1.0])[1], back([10.0, 1.0])[1], back([1.0, 1.0])[1])
end
same(v) = v
@adjoint same(v) = v, c -> (10 .* c,)
aliasing(v) = (w = same(v); w[1] = 5.0; v[1] * w[2] + w[1])
twice(v) = (w = [v[1] * v[2], v[1]]; (w, w))
@adjoint twice(v) = twice(v), c -> ([(c[1][1] + c[2][1]) * v[2] + c[1][2] + c[2][2], (c[1][1] + c[2][1]) * v[1]],)
of_both(v) = (p = twice(v); p[1][1] * p[2][2])
power(v, n) = n == 0 ? [v[1], v[2]] : (w = power(v, n - 1); [w[1] * w[2], w[2]])
@adjoint power(v, n) = power(v, n), c -> ([c[1] * v[2]^n, c[1] * n * v[1] * v[2]^(n - 1) + c[2]], nothing)
recursive(v) = (w = power(v, 3); w[1] + 5w[2])
grown(v) = (w = square(v); push!(w, 7.0 * v[1]); w[1] * w[3])
maybe(v, c) = c > 0 ? square(v) : v
either(v, c) = (w = maybe(v, c); w[1] * w[2])
inactive(x) = (w = square([2.0, 3.0]); w[1] * x)
double(v) = [2v[1], 2v[2]]
frule((_, dv), ::typeof(double), v) = (double(v), 2 .* dv)
doubled(v) = (w = double(v); w[1] * w[2])
first_two(A) = A[1, 1] * A[1, 2]
@adjoint first_two(A) = first_two(A), c -> (nothing,)
struct Layer
  W
  b
end
out(l::Layer, x) = l.W[1, 2] * x + l.b[1]
@adjoint out(l::Layer, x) = out(l, x), c -> ((W = [0.0 c * x; 0.0 0.0], b = [c, 0.0]), c * l.W[1, 2])
mutable struct Cell
  v
  s
end
product(c) = c.v[1] * c.s
@adjoint product(c) = product(c), g -> ((v = [g * c.s, 0.0], s = g * c.v[1]),)
changing(x) = (c = Cell([x, 2.0], x); r = product(c); c.v[1] = 9.0; c.s = 77.0; r)
weights(d) = d[:w][1] * d[:b]
@adjoint weights(d) = weights(d), c -> (Dict(:w => [c * d[:b], 0.0], :b => c * d[:w][1]),)
rows(v) = v[1][1] * v[2][2]
@adjoint rows(v) = rows(v), c -> ([[c * v[2][2], 0.0], [0.0, c * v[1][1]]],)
"""


@each_way
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # v⁴ elementwise: 4v³
        ("late([2.0, 3.0])", ([32.0, 108.0], [320.0, 108.0], [32.0, 108.0])),
        ("gradient(of_both, [2.0, 3.0])", ([12.0, 4.0],)),  # v₁²v₂
        ("gradient(recursive, [2.0, 3.0])", ([27.0, 59.0],)),  # v₁v₂³ + 5v₂
        ("gradient(grown, [2.0, 3.0])", ([84.0, 0.0],)),  # 7v₁³
        ("gradient(either, [2.0, 3.0], 1)", ([36.0, 24.0], None)),  # v₁²v₂²
        ("gradient(either, [2.0, 3.0], -1)", ([3.0, 2.0], None)),
        ("inactive'(2.0)", 4.0),
        ("gradient(first_two, [2.0 3.0; 4.0 5.0])", ([[0.0, 0.0], [0.0, 0.0]],)),
        ("aliasing([2.0, 3.0])", 11.0),  # what a function with a rule gives is its own
        ("gradient(aliasing, [2.0, 3.0])", ([3.0, 20.0],)),
        ("gradient(out, Layer([1.0 2.0; 3.0 4.0], [5.0, 6.0]), 7.0)",
         ({"W": [[0.0, 7.0], [0.0, 0.0]], "b": [1.0, 0.0]}, 2.0)),
        ("gradient(weights, Dict(:w => [1.0, 2.0], :b => 3.0))", ({"w": [3.0, 0.0], "b": 1.0},)),
        ("gradient(rows, [[1.0, 2.0], [3.0, 4.0]])", ([[4.0, 0.0], [0.0, 1.0]],)),
        ("pushforward(doubled, [2.0, 3.0])([1.0, 0.5])", 16.0),  # 4v₁v₂
        ("gradient(v -> gradient(of_both, v)[1][2], [2.0, 3.0])", ([4.0, 0.0],)),
        ("gradient(v -> pushforward(of_both, v)([1.0, 0.0]), [2.0, 3.0])", ([6.0, 4.0],)),
    ],
)  # fmt: skip
def test_rules(call: str, expected: object, way: Way) -> None:
    check(RULES, call, expected, way)


@reverse_ways
def test_rule_of_a_mutable_struct(way: Way) -> None:
    check(RULES, "changing'(3.0)", 6.0, way)
    check(RULES, "changing''(3.0)", 2.0, way)


# ---------------------------------------------------------------- rules that are wrong

WRONG = """
longer(v) = [v[1], v[2], v[1]]
@adjoint longer(v) = longer(v), c -> (c,)
number(v) = v[1] * v[2]
@adjoint number(v) = number(v), c -> (c,)
matrix(v) = v[1] * v[2]
@adjoint matrix(v) = matrix(v), c -> ([c c; c c],)
writing(v) = (v[1] = 2.0; v[2])
@adjoint writing(v) = writing(v), c -> (nothing,)
clipped(v) = v
@adjoint clipped(v) = v, c -> (clamp.(c, -1.0, 1.0),)
double(v) = [2v[1], 2v[2]]
frule((_, dv), ::typeof(double), v) = (double(v), 2 .* dv)
total(f, v) = (w = f(v); 5w[1] + w[2])
"""


@reverse_ways
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("gradient(v -> total(longer, v), [1.0, 2.0])", "E0505"),
        ("gradient(number, [1.0, 2.0])", "E0505"),
        ("gradient(matrix, [1.0, 2.0])", "E0505"),
        ("gradient(writing, [1.0, 2.0])", "E0505"),
        ("pushforward(v -> total(clipped, v), [1.0, 2.0])([1.0, 1.0])", "E0503"),
    ],
)
def test_a_rule_that_does_not_fit_is_an_error(call: str, code: str, way: Way) -> None:
    assert code_of(WRONG, call, way) == code


@reverse_ways
def test_a_pullback_that_is_not_linear_serves_reverse_mode(way: Way) -> None:
    check(WRONG, "gradient(v -> total(clipped, v), [1.0, 2.0])", ([1.0, 1.0],), way)


@reverse_ways
def test_forward_rule_alone_in_reverse_mode(way: Way) -> None:
    """Of an array it would take one run for each element; asked for explicitly, it is an error."""
    assert code_of(WRONG, "pullback(double, [1.0, 2.0])[2]([1.0, 1.0])", way) == "E0503"


# ---------------------------------------------------------------- hooks, checkpoints, constants

STEERED = """
hooked(v) = (w = hook(c -> 10 .* c, v); w[1] * w[2])
function watched(v)
  seen = Ref(0.0)
  g = gradient(u -> (w = hook(c -> (seen[] = c[1]; c), u); w[1] * w[2]), v)[1]
  (g, seen[])
end
step(w) = [sin(w[1]) * w[2], w[2]^2]
function kept(v)
  w = v
  for i in 1:3
    w = checkpointed(step, w)
    w[1] = w[1] * 1.5
  end
  w[1] * w[2]
end
capturing(a, v) = checkpointed(w -> a[1] * w[1]^2 * w[2] + a[2], v)
overwritten(v) = (y = checkpointed(w -> w[1]^2 * w[2], v); v[1] = 50.0; y)
changing(v) = checkpointed(w -> (w[1] = w[1] * 3.0; w[1] * w[2]), v)
column(A) = checkpointed(w -> w[1]^2 * w[2], view(A, :, 2))
constant(v) = (w = stop_gradient(v); v[1] * w[2])
changed(v) = (w = stop_gradient(v); w[1] = v[2]; v[1] * w[1] * w[2])
"""


def kept_mirror(v: Any) -> Any:
    a, b = v
    for _ in range(3):
        a, b = 1.5 * np.sin(a) * b, b * b
    return a * b


@each_way
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("gradient(hooked, [2.0, 3.0])", ([30.0, 20.0],)),
        ("pushforward(hooked, [2.0, 3.0])([1.0, 0.5])", 40.0),
        ("gradient(capturing, [2.0, 3.0], [5.0, 7.0])", ([175.0, 1.0], [140.0, 50.0])),
        ("gradient(overwritten, [2.0, 3.0])", ([12.0, 4.0],)),
        ("gradient(changing, [2.0, 3.0])", ([9.0, 6.0],)),
        ("gradient(column, [1.0 2.0; 3.0 4.0])", ([[0.0, 16.0], [0.0, 4.0]],)),
        ("pushforward(column, [1.0 2.0; 3.0 4.0])([1.0 2.0; 3.0 4.0])", 48.0),
        ("gradient(constant, [2.0, 3.0])", ([3.0, 0.0],)),
        ("gradient(changed, [2.0, 3.0])", ([9.0, 6.0],)),  # v₁v₂·stop(v₂)
    ],
)
def test_hooks_checkpoints_and_constants(call: str, expected: object, way: Way) -> None:
    check(STEERED, call, expected, way)


@each_way
def test_checkpoints_in_a_loop(way: Way) -> None:
    at, h = np.array([0.4, 1.1]), 1e-5
    grad = [(kept_mirror(at + h * e) - kept_mirror(at - h * e)) / (2 * h) for e in np.eye(2)]
    check(STEERED, "gradient(kept, [0.4, 1.1])", (grad,), way, rel=1e-7)
    second = (kept_mirror([0.4 + 1e-4, 1.1]) - 2 * kept_mirror(at) + kept_mirror([0.4 - 1e-4, 1.1])) / 1e-8
    check(STEERED, "(x -> kept([x, 1.1]))''(0.4)", second, way, rel=1e-5)


@reverse_ways
def test_a_hook_sees_the_cotangent(way: Way) -> None:
    check(STEERED, "watched([2.0, 3.0])", ([3.0, 2.0], 3.0), way)


# ---------------------------------------------------------------- pullbacks and pushforwards of arrays

ARRAYS = """
two(v) = [v[1] * v[2], v[1]^2]
function kept(v, c)
  y, back = pullback(two, v)
  v[1] = 50.0
  y[2] = 7.0
  (y, back(c), back(c))
end
grow(v) = (w = copy(v); push!(w, 2v[1]); w)
bump!(v) = (v[1] = 2.0 * v[1]; v)
mixed(A, x) = (A, x .* A[:, 1])
early(v) = (v[1] > 0 && return [v[1]^2]; [v[2]])
"""


@each_way
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("kept([2.0, 3.0], [1.0, 10.0])", ([6.0, 7.0], ([43.0, 2.0],), ([43.0, 2.0],))),
        ("pullback(grow, [1.0, 2.0])[2]([1.0, 1.0, 1.0])", ([3.0, 1.0],)),
        ("pullback(bump!, [1.0, 2.0])[1]", [2.0, 2.0]),
        ("pullback(bump!, [1.0, 2.0])[2]([1.0, 1.0])", ([2.0, 1.0],)),
        ("pushforward(bump!, [1.0, 2.0])([1.0, 1.0])", [2.0, 1.0]),
        ("pullback(A -> A', [1.0 2.0; 3.0 4.0])[2]([1.0 10.0; 100.0 1000.0])", ([[1.0, 100.0], [10.0, 1000.0]],)),
        ("pullback(A -> view(A, :, 2), [1.0 2.0; 3.0 4.0])[2]([5.0, 6.0])", ([[0.0, 5.0], [0.0, 6.0]],)),
        ("pushforward(A -> view(A, :, 2), [1.0 2.0; 3.0 4.0])([1.0 5.0; 6.0 7.0])", [5.0, 7.0]),
        ("pullback(v -> v', [1.0, 2.0])[2]([1.0 2.0])", ([1.0, 2.0],)),
        ("pullback(mixed, [1.0 2.0; 3.0 4.0], 5.0)[2](([1.0 0.0; 0.0 0.0], [1.0, 1.0]))",
         ([[6.0, 0.0], [5.0, 0.0]], 4.0)),
        ("pullback(mixed, [1.0 2.0; 3.0 4.0], 5.0)[2]((nothing, [1.0, 1.0]))", ([[5.0, 0.0], [5.0, 0.0]], 4.0)),
        ("pullback(early, [3.0, 4.0])[2]([1.0])", ([6.0, 0.0],)),
        ("pullback(early, [-3.0, 4.0])[2]([1.0])", ([0.0, 1.0],)),
        ("pullback(v -> [v, v], [1.0, 2.0])[2]([[1.0, 2.0], [3.0, 4.0]])", ([4.0, 6.0],)),
        ("pushforward(two, [2.0, 3.0])([1.0, 0.0])", [3.0, 4.0]),
    ],
)  # fmt: skip
def test_pullbacks_and_pushforwards(call: str, expected: object, way: Way) -> None:
    check(ARRAYS, call, expected, way)


@reverse_ways
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("pullback(two, [2.0, 3.0])[2]([1.0])", "E0409"),
        ("pullback(two, [2.0, 3.0])[2](1.0)", "E0301"),
        ("pushforward(two, [2.0, 3.0])([1.0, 2.0, 3.0])", "E0409"),
        ("gradient(two, [2.0, 3.0])", "E0501"),
        ("gradient(A -> A', [2.0 3.0; 1.0 1.0])", "E0501"),
    ],
)
def test_cotangents_that_do_not_fit(call: str, code: str, way: Way) -> None:
    assert code_of(ARRAYS, call, way) == code


# ---------------------------------------------------------------- what a gradient is made of

RECORDS = """
struct P
  x::Float64
  k::Int
  b::Bool
end
"""


@each_way
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("gradient(v -> v[1].x * v[2].k, [P(2.0, 3, true), P(4.0, 5, false)])",
         ([{"x": 5.0, "k": 0.0, "b": None}, {"x": 0.0, "k": 2.0, "b": None}],)),
        ("gradient(v -> v[1] * 2.5, [1, 2])", ([2.5, 0.0],)),
        ("gradient(v -> v[1] ? 2.5 : 1.0, [true, false])", (None,)),
        ("gradient((v, x) -> x * length(v), [1.0, 2.0], 3.0)", ([0.0, 0.0], 2.0)),
        ("gradient((A, x) -> x * size(A, 1), [1.0 2.0; 3.0 4.0], 3.0)", ([[0.0, 0.0], [0.0, 0.0]], 2.0)),
        ("gradient(t -> t[1][1] * t[2][1, 2], ([1.0, 2.0], [1.0 2.0; 3.0 4.0]))",
         (([2.0, 0.0], [[0.0, 1.0], [0.0, 0.0]]),)),
        ("gradient(v -> v[1][2, 1] * v[2][1, 1], [[1.0 2.0; 5.0 6.0], [3.0 4.0; 7.0 8.0]])",
         ([[[0.0, 0.0], [3.0, 0.0]], [[5.0, 0.0], [0.0, 0.0]]],)),
        ("gradient(d -> d[:a][1] * d[:b][1, 2], Dict(:a => [1.0, 2.0], :b => [1.0 2.0; 3.0 4.0], :c => [1.0]))",
         ({"a": [2.0, 0.0], "b": [[0.0, 1.0], [0.0, 0.0]], "c": [0.0]},)),
        ("gradient(w -> w[1, 2]^2, [1.0, 2.0]')", ([[0.0, 4.0]],)),
    ],
)  # fmt: skip
def test_entries(call: str, expected: object, way: Way) -> None:
    check(RECORDS, call, expected, way)


# ---------------------------------------------------------------- is a pullback linear?


@pytest.mark.parametrize(
    ("pullback", "expected"),
    [
        ("10 .* c", [10.0, 20.0]),
        ("(u = zeros(2); u[1] = 2c[2]; u[2] += v[1] * c[1]; u)", [0.4, 2.0]),
        ("v[1] > 0 ? c : [c[2], c[1]]", [1.0, 2.0]),
        ("(u = copy(c); for i in 1:3 u[1] += u[2] * v[i % 2 + 1] end; u)", [1.0, 2.8]),
        ("[v[1] * c[1] + c[2], c[2] - 2v[2] * c[1]]", [-1.0, 3.0]),
        ("[fma(c[1], 3.0, v[1] * c[2]), -fma(v[2], c[2], 0.0)]", [3.0, -0.4]),
        ("[c[1] * v[1] + 1.0, c[2]]", None),
        ("[c[1] * c[2] + c[1], c[2]]", None),
        ("c .* c", None),
        ("c .+ 1.0", None),
        ("c[1] > 0 ? c : 2 .* c", None),
        ("(u = zeros(2); c[1] > 0 && (u[1] = c[1]); u)", None),
        ("(u = copy(c); while u[1] > 1.0 u[1] = u[1] / 2 end; u)", None),
        ("[c[1], v[round(Int, c[1]) + 1]]", None),
    ],
)
def test_only_linear_pullbacks_are_transposed(pullback: str, expected: list[float] | None) -> None:
    """Forward mode of a rule c -> P(c) is Pᵀ; where P is not linear it is refused, never wrong."""
    program = f"f(v) = v\n@adjoint f(v) = v, c -> ({pullback},)\n"
    call = "pushforward(f, [0.2, 0.3])([1.0, 2.0])"
    if expected is None:
        assert code_of(program, call, MODES[0]) == "E0503"
    else:
        check(program, call, expected, MODES[0])
