"""Parts of the language that meet differentiation: arguments of every kind, printing, nested references, Float32."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import pytest

import dsl
from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import FAST, WAYS, Way, evaluate, load

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
fast_way = pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-12) -> None:
    assert difference(evaluate(program, expression, way), expected, rel) == ""


@each_way
def test_defaults_keywords_and_splats(way: Way) -> None:
    program = """
f(x, y=2x; k=3, w=x*k) = x * y + k * w
add(xs...) = sum(xs)
last(a, rest...) = a * rest[end]
h(x) = add(x, 2x, x^2)
g(x) = last((x, 3.0, x^2)...)
"""
    # f(x) is 2x² + 9x; with y given xy + 9x; with k = 2 it is 2x² + 4x; with w given 2x² + 3w
    check(program, "gradient(f, 2.0)", (17.0,), way)
    check(program, "gradient(f, 2.0, 5.0)", (14.0, 2.0), way)
    check(program, "gradient(x -> f(x; k=2), 2.0)", (12.0,), way)
    check(program, "gradient((x, w) -> f(x; w), 2.0, 7.0)", (8.0, 3.0), way)
    check(program, "(h'(3.0), g'(2.0))", (9.0, 12.0), way)


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
def test_printing_happens_once(way: Way) -> None:
    printed: list[str] = []
    program = """
function f(x)
  s = x
  for i in 1:2
    println("step $i")
    s = s * x
  end
  s
end
"""
    module = dsl.loads(program, mode=way.mode, opt_level=way.opt_level, interpreter=way.interpreter, out=printed.append)
    assert module.eval("gradient(f, 2.0)") == (12.0,)
    assert "".join(printed) == "step 1\nstep 2\n"
    printed.clear()
    assert module.eval("f''(2.0)") == 12.0
    assert "".join(printed) == "step 1\nstep 2\n"


@each_way
def test_checkpointed_loop(way: Way) -> None:
    program = """
function f(x)
  s = x
  @checkpoint for i in 1:40
    s = sin(s) + 0.1x * i / 40
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        s = x
        for i in range(1, 41):
            s = mpmath.sin(s) + mpmath.mpf(0.1) * x * i / 40
        return s

    check(program, "f(0.7)", oracle.value(mirror, 0.7), way)
    check(program, "f'(0.7)", oracle.derivative(mirror, 0.7), way)
    check(program, "f''(0.7)", oracle.derivative(mirror, 0.7, 2), way, rel=1e-10)


NESTED = """
mutable struct Inner
  v::Float64
end
mutable struct Outer
  a::Inner
  b::Inner
  w::Float64
end
function h!(o)
  o.a.v = o.a.v * o.w
  o.b = o.a
  o.b.v = o.b.v + 1.0
  o.a.v * o.b.v
end
o = Outer(Inner(2.0), Inner(7.0), 3.0)
shared = Inner(2.0)
twice = Outer(shared, shared, 3.0)
k!(o) = (o.a.v = o.a.v^2; o.b.v * o.w)
"""


@each_way
def test_nested_references(way: Way) -> None:
    """h is (a·w + 1)², whatever b was; the arguments are as they were afterwards."""
    check(NESTED, "gradient(h!, o)[1].a.v", 42.0, way)
    check(NESTED, "gradient(h!, o)[1].w", 28.0, way)
    check(NESTED, "(o.a.v, o.b.v, o.w)", (2.0, 7.0, 3.0), way)
    # one inner object reached by two fields: k is v²·w
    check(NESTED, "gradient(k!, twice)[1].a.v", 12.0, way)
    check(NESTED, "gradient(k!, twice)[1].w", 4.0, way)
    check(NESTED, "shared.v", 2.0, way)


@each_way
def test_dict_arguments_that_are_changed(way: Way) -> None:
    program = """
function f!(d, x)
  d[:a] = d[:a] * x
  d[:b] = d[:a] + d[:b]
  d[:b]^2
end
d = Dict(:a => 2.0, :b => 1.0)
"""
    # (a x + b)²: by a 2(ax + b)x, by b 2(ax + b), by x 2(ax + b)a; a = 2, b = 1, x = 3
    expected = ({"a": 42.0, "b": 14.0}, 28.0)
    check(program, "gradient(f!, d, 3.0)", expected, way)
    check(program, "gradient(f!, d, 3.0)", expected, way)
    check(program, "(d[:a], d[:b])", (2.0, 1.0), way)


@fast_way
def test_arguments_from_python(way: Way) -> None:
    module = load(
        "struct P\n  x\n  y\nend\nf(p) = p.x^2 * p.y\ng(d) = d[:a] * sin(d[:b])\nh(t) = t[1] * t[2][1]\n", way
    )
    assert difference(dsl.gradient(module.f, module.P(2.0, 3.0)), ({"x": 12.0, "y": 4.0},)) == ""
    assert difference(dsl.gradient(module.g, {"a": 2.0, "b": 0.0}), ({"a": 0.0, "b": 2.0},)) == ""
    assert difference(dsl.gradient(module.h, (2.0, (5.0, 1.0))), ((5.0, (2.0, None)),)) == ""
    assert difference(dsl.gradient(module.f, module.P(2.0, 3.0), zeros=True), ({"x": 12.0, "y": 4.0},)) == ""
    assert dsl.gradient(module.h, (2.0, (5.0, 1.0)), zeros=True) == ((5.0, (2.0, 0.0)),)


@each_way
def test_closures_have_gradients(way: Way) -> None:
    program = """
scale(a, b) = x -> a * x + b
g = scale(3.0, 1.0)
"""
    check(program, "gradient(f -> f(2.0)^2, g)", ({"a": 28.0, "b": 14.0},), way)


@each_way
def test_single_precision(way: Way) -> None:
    program = "f(x) = x^2 * 3.0f0 + sin(x)\n"
    slope = 6 * 1.5 + math.cos(1.5)
    check(program, "f'(1.5f0)", slope, way, rel=1e-6)
    check(program, "gradient(f, 1.5f0)", (slope,), way, rel=1e-6)


@each_way
def test_integers_wrap_and_keep_their_type(way: Way) -> None:
    program = """
power(x, n) = x^n
function count(x, n)
  k = 0
  for i in 1:n
    k = k * 3 + i
  end
  k % 1000 * x
end
"""
    check(program, "power(3, 41)", (3**41 + 2**63) % 2**64 - 2**63, way)
    check(program, "9223372036854775807 + 1", -(2**63), way)
    k = 0
    for i in range(1, 61):
        k = (k * 3 + i + 2**63) % 2**64 - 2**63
    check(program, "gradient(count, 2.0, 60)", (math.copysign(abs(k) % 1000, k), None), way)


@each_way
def test_user_numbers_in_generic_code(way: Way) -> None:
    """A second-order dual number of the user, inside a function that is differentiated."""
    program = """
import Base: +, -, *
struct Jet{T<:Real} <: Real
  a::T
  b::T
  c::T
end
p::Jet + q::Jet = Jet(p.a + q.a, p.b + q.b, p.c + q.c)
p::Jet - q::Jet = Jet(p.a - q.a, p.b - q.b, p.c - q.c)
p::Jet * q::Jet = Jet(p.a*q.a, p.a*q.b + p.b*q.a, p.a*q.c + 2p.b*q.b + p.c*q.a)
s::Real * p::Jet = Jet(s*p.a, s*p.b, s*p.c)
function poly(x)
  y = x
  for i in 1:3
    y = y * x - 2 * x
  end
  y
end
second(x) = poly(Jet(x, one(x), zero(x))).c
"""
    # poly is x⁴ - 2x³ - 2x² - 2x: y ↦ yx - 2x thrice from x
    x = 1.3
    check(program, f"poly({x})", x**4 - 2 * x**3 - 2 * x**2 - 2 * x, way)
    check(program, f"second({x})", 12 * x**2 - 12 * x - 4, way)
    check(program, f"second'({x})", 24 * x - 12, way)
    check(program, f"poly'''({x})", 24 * x - 12, way)


@each_way
def test_optional_values(way: Way) -> None:
    program = """
find(x, k) = x > k ? x * k : nothing
function f(x)
  s = x
  for k in 1:4
    v = find(s, k / 2)
    if v === nothing
      s = s + 0.7
    else
      s = v / 1.5 + x
    end
  end
  w = find(s, 100.0)
  w === nothing ? s^2 : w
end
"""

    def mirror(x: Any) -> Any:
        s = x
        for k in range(1, 5):
            if s > mpmath.mpf(k) / 2:
                s = s * k / 2 / mpmath.mpf(1.5) + x
            else:
                s = s + mpmath.mpf(0.7)
        return s**2

    for x in (0.2, 0.9, 1.4):
        check(program, f"f({x})", oracle.value(mirror, x), way)
        check(program, f"f'({x})", oracle.derivative(mirror, x), way)


@each_way
def test_let_begin_and_do_blocks(way: Way) -> None:
    program = """
apply(g, a, b) = g(a) + g(b)
function f(x)
  r = let t = x^2, u = t + 1
    t * u
  end
  q = begin
    z = r + x
    z * 2
  end
  q + apply(x, 2x) do v
    w = v * r
    w + z
  end
end
"""
    # r = x⁴ + x²; z = r + x; f = 2z + 3xr + 2z = 4x⁴ + 4x² + 4x + 3x⁵ + 3x³
    x = 1.1
    check(program, f"f({x})", 4 * x**4 + 4 * x**2 + 4 * x + 3 * x**5 + 3 * x**3, way)
    check(program, f"f'({x})", 16 * x**3 + 8 * x + 4 + 15 * x**4 + 9 * x**2, way)
    check(program, f"f''({x})", 48 * x**2 + 8 + 60 * x**3 + 18 * x, way)
