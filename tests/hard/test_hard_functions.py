"""Functions as values: kept pullbacks, functions in dictionaries and vectors, rules, recursion through closures."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import pytest

from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, error_of, evaluate

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-11) -> None:
    assert difference(evaluate(program, expression, way), expected, rel) == ""


# ------------------------------------------------------------------ pullbacks that are kept

LATE = """
mutable struct Cell
  v::Float64
end
function four(x)
  g(a) = a^2 * x
  ya, pa = pullback(g, 2.0)
  yb, pb = pullback(g, 5.0)
  first = pb(1.0)[1]
  second = pa(1.0)[1]
  third = pb(3.0)[1]
  (first, second, third, pa(10.0)[1])
end
f(x) = (t = four(x); t[1] * t[2] + t[3] * t[4])
function power(a, n)
  r = 1.0
  for i in 1:n
    r *= a
  end
  r
end
function loops(x)
  ya, pa = pullback(a -> power(a, 3), x)
  yb, pb = pullback(a -> power(a, 5), x)
  pb(1.0)[1] + pa(1.0)[1] * 10 + pb(100.0)[1]
end
function after(x)
  c = Cell(x)
  y, back = pullback(q -> q.v^3, c)
  c.v = 100.0
  back(1.0)[1].v
end
function rec(a, n)
  n == 0 && return a
  b = rec(a, n - 1)
  return b * a
end
function recs(x)
  ya, pa = pullback(a -> rec(a, 2), x)
  yb, pb = pullback(a -> rec(a, 3), 2x)
  s = pa(1.0)[1]
  s += pb(1.0)[1]
  s + pa(2.0)[1]
end
y, back = pullback((a, b) -> a^2 * b, 3.0, 4.0)
z, back2 = pullback((a, b) -> a * b^2, 3.0, 4.0)
"""


@each_way
def test_two_pullbacks_late_twice_and_out_of_order(way: Way) -> None:
    x = 1.5
    check(LATE, f"four({x})", (10 * x, 4 * x, 30 * x, 40 * x), way)
    check(LATE, f"(f({x}), f'({x}), f''({x}))", (1240 * x**2, 2480 * x, 2480.0), way)
    check(LATE, f"(loops({x}), loops'({x}))", (505 * x**4 + 30 * x**2, 2020 * x**3 + 60 * x), way)
    check(LATE, f"(after({x}), after'({x}))", (3 * x**2, 6 * x), way)
    check(LATE, f"(recs({x}), recs'({x}))", (9 * x**2 + 32 * x**3, 18 * x + 96 * x**2), way)


@each_way
def test_pullbacks_kept_at_top_level(way: Way) -> None:
    for _ in range(2):
        check(LATE, "(back2(1.0), back(1.0), back2(2.0))", ((16.0, 24.0), (24.0, 9.0), (32.0, 48.0)), way)


# ------------------------------------------------------------------ functions in containers


@each_way
def test_functions_in_a_dict_under_run_time_keys(way: Way) -> None:
    program = """
function f(x, n)
  d = Dict()
  for i in 1:4
    d[i] = y -> y^i * x + i
  end
  s = 0.0
  k = 1
  for i in 1:n
    s += d[k](x + i)
    k = k % 4 + 1
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        s = mpmath.mpf(0)
        for i in range(1, 8):
            k = (i - 1) % 4 + 1
            s += (x + i) ** k * x + k
        return s

    for k in range(1, 4):
        expected = oracle.derivative(mirror, 0.6, k)
        check(program, f"(x -> f(x, 7)){k * chr(39)}(0.6)", expected, way)


@each_way
def test_different_functions_in_a_dict_under_run_time_keys(way: Way) -> None:
    program = """
function f(x, n)
  d = Dict(1 => sin, 2 => exp, 3 => y -> y^2 * x)
  s = x
  for i in 1:n
    s = d[i % 3 + 1](s * 0.5) + x
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        table = (mpmath.sin, mpmath.exp, lambda y: y**2 * x)
        s = x
        for i in range(1, 8):
            s = table[i % 3](s / 2) + x
        return s

    check(program, "f(0.6, 7)", oracle.value(mirror, 0.6), way)
    check(program, "(x -> f(x, 7))'(0.6)", oracle.derivative(mirror, 0.6), way)
    check(program, "(x -> f(x, 7))''(0.6)", oracle.derivative(mirror, 0.6, 2), way)


@each_way
def test_closures_pushed_in_a_loop(way: Way) -> None:
    program = """
function f(x)
  fs = Function[]
  c = x
  for i in 1:3
    w = x * i
    push!(fs, y -> y * w + c)
    push!(fs, y -> sin(y) * c)
  end
  c = c^2
  s = x
  for g in fs
    s = g(s)
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        c = x**2
        s = x
        for i in (1, 2, 3):
            s = s * (x * i) + c
            s = mpmath.sin(s) * c
        return s

    check(program, "f(0.9)", oracle.value(mirror, 0.9), way)
    check(program, "f'(0.9)", oracle.derivative(mirror, 0.9), way)
    check(program, "f''(0.9)", oracle.derivative(mirror, 0.9, 2), way)


@each_way
def test_function_chosen_at_run_time(way: Way) -> None:
    program = """
function f(x, n)
  g = n > 2 ? (y -> y^2 * x) : sin
  h = g
  for i in 1:n
    h = i % 2 == 0 ? g : cos
  end
  g(h(x))
end
"""
    x = 0.7
    # n = 4: g is y²x, h is g: f = (x³)²·x = x⁷; n = 1: sin(cos x)
    check(program, f"(x -> f(x, 4))'({x})", 7 * x**6, way)
    check(program, f"(x -> f(x, 1))'({x})", -math.cos(math.cos(x)) * math.sin(x), way)


# ------------------------------------------------------------------ rules

SQUARE = "sq(x) = x^2\nf(x) = 3sq(x)\n"


@each_way
def test_rule_that_inlining_would_lose_in_second_order(way: Way) -> None:
    """The rules are wrong on purpose, so that the numbers show which of them was used how often."""
    plain = SQUARE + "@adjoint sq(x) = sq(x), ȳ -> (10 * ȳ * x^2,)\n"
    check(plain, "(f'(2.0), f''(2.0), f'''(2.0))", (120.0, 120.0, 60.0), way)
    itself = SQUARE + "@adjoint sq(x) = sq(x), ȳ -> (10 * ȳ * sq(x),)\n"
    check(itself, "(f'(2.0), f''(2.0), f'''(2.0))", (120.0, 1200.0, 12000.0), way)


@each_way
def test_rule_inside_loop_branch_and_recursion(way: Way) -> None:
    program = """
tw(x) = 2x
@adjoint tw(x) = tw(x), ȳ -> (3 * ȳ,)
function f(x)
  s = x
  for i in 1:4
    if i > 1
      s = tw(s)
    end
  end
  s
end
g(x, n) = n == 0 ? x : tw(g(x, n - 1))
"""
    check(program, "(f(1.5), f'(1.5), f''(1.5))", (12.0, 27.0, 0.0), way)
    check(program, "gradient(x -> g(x, 3), 1.5)", (27.0,), way)


@each_way
def test_hook_and_stop_gradient(way: Way) -> None:
    program = """
f(x) = x^2 * stop_gradient(x)
g(x) = (y = x^2; hook(d -> 5d, y) * x)
"""
    check(program, "(f(3.0), f'(3.0))", (27.0, 18.0), way)
    check(program, "(g(2.0), g'(2.0))", (8.0, 5 * 2 * 2.0 * 2.0 + 4.0), way)


@each_way
def test_hook_that_clips_is_an_error_in_forward_mode(way: Way) -> None:
    program = "f(x) = hook(d -> clamp(d, -1.0, 1.0), x^3)\n"
    if way.mode == "forward":
        assert error_of(program, "f'(2.0)", way) == "ArgumentError"
    else:
        check(program, "f'(2.0)", 12.0, way)
        check(program, "gradient(x -> 7f(x), 2.0)", (12.0,), way)


@each_way
def test_checkpointed(way: Way) -> None:
    program = """
function g(x, n)
  y = x
  for i in 1:n
    y = sin(y) + x * y
  end
  y
end
f(x) = checkpointed(g, x, 6)^2
h(x) = g(x, 6)^2
"""

    def mirror(x: Any) -> Any:
        y = x
        for _ in range(6):
            y = mpmath.sin(y) + x * y
        return y**2

    for primes in (1, 2):
        expected = oracle.derivative(mirror, 0.4, primes)
        check(program, f"(f{primes * chr(39)}(0.4), h{primes * chr(39)}(0.4))", (expected, expected), way)


# ------------------------------------------------------------------ recursion and closures


@each_way
def test_local_recursion_that_writes_a_captured_variable(way: Way) -> None:
    program = """
function f(x)
  acc = 0.0
  function visit(n, v)
    n <= 0 && return nothing
    acc += v * x
    visit(n - 1, sin(v))
    visit(n - 2, v^2 + acc)
    return nothing
  end
  visit(5, x)
  acc
end
"""

    def mirror(x: Any) -> Any:
        acc = mpmath.mpf(0)

        def visit(n: int, v: Any) -> None:
            nonlocal acc
            if n <= 0:
                return
            acc += v * x
            visit(n - 1, mpmath.sin(v))
            visit(n - 2, v**2 + acc)

        visit(5, x)
        return acc

    check(program, "f(0.5)", oracle.value(mirror, 0.5), way)
    check(program, "f'(0.5)", oracle.derivative(mirror, 0.5), way)
    check(program, "f''(0.5)", oracle.derivative(mirror, 0.5, 2), way)


@each_way
def test_higher_order_recursion(way: Way) -> None:
    program = """
iterate(g, n, x) = n == 0 ? x : g(iterate(g, n - 1, x))
function f(x)
  k = 0
  y = iterate(v -> (k += 1; v * x + k), 5, x)
  y + iterate(sin, 3, y) * k
end
"""

    def mirror(x: Any) -> Any:
        y = x
        for k in range(1, 6):
            y = y * x + k
        return y + mpmath.sin(mpmath.sin(mpmath.sin(y))) * 5

    check(program, "f(0.6)", oracle.value(mirror, 0.6), way)
    check(program, "f'(0.6)", oracle.derivative(mirror, 0.6), way)
    check(program, "f''(0.6)", oracle.derivative(mirror, 0.6, 2), way)
