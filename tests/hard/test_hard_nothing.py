"""`nothing` is static: it stands for what cannot influence the result by data flow, as the program is written."""

from __future__ import annotations

import math

import pytest

from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)

PROGRAM = """
struct P
  x
  y
end
mutable struct M
  u::Float64
  w::Float64
end
function repeat(x, n)
  s = 0.0
  for i in 1:n
    s += x
  end
  s
end
function weighted(x, n)
  s = 0.0
  for i in 1:n
    s += i * x
  end
  s
end
function overwritten(x, y)
  z = y
  z = x
  z
end
function early(x, y)
  x > 0 && return x^2
  return y
end
function pow(x, n)
  r = 1
  while n > 0
    n -= 1
    r *= x
  end
  return r
end
function through(a, b)
  r = Ref(a)
  r[] = r[] * b
  r[]
end
second(a, b) = b
scale(a) = b -> a * b
kept = scale(3.0)
keep_x(p) = P(p.x, 1.0)
count_up(x, k) = k == 0 ? x : count_up(x * 2, k - 1)
"""

TABLE = {
    "gradient((x, y) -> x^2, 2.0, 3.0)": (4.0, None),
    "gradient((x, y) -> second(y, x), 2.0, 3.0)": (1.0, None),
    "gradient(x -> 3.0, 2.0)": (None,),
    # the influence is there, the executed path does not use it
    "gradient((x, y) -> x > 0 ? x : y, 2.0, 3.0)": (1.0, 0.0),
    "gradient((x, y) -> x > 0 ? x : y, -2.0, 3.0)": (0.0, 1.0),
    "gradient((x, y) -> false ? y : x, 2.0, 3.0)": (1.0, 0.0),
    "gradient(early, 2.0, 3.0)": (4.0, 0.0),
    "gradient(early, -2.0, 3.0)": (0.0, 1.0),
    "gradient(pow, 2.0, 0)": (0.0, None),
    "gradient(pow, 2, 3)": (12.0, None),
    # as written, before any simplification
    "gradient((x, y) -> x + (y - y), 2.0, 3.0)": (1.0, 0.0),
    "gradient((x, y) -> x + 0 * y, 2.0, 3.0)": (1.0, 0.0),
    "gradient((x, y) -> x * y^0, 2.0, 3.0)": (1.0, 0.0),
    "gradient(overwritten, 2.0, 3.0)": (1.0, None),
    # comparisons, counts, keys and flags steer, they do not flow
    "gradient((x, a) -> x < a ? x : 2x, 1.0, 2.0)": (1.0, None),
    "gradient((x, a) -> x < a ? x : 2x, 3.0, 2.0)": (2.0, None),
    "gradient(repeat, 2.0, 3)": (3.0, None),
    "gradient(weighted, 2.0, 3)": (6.0, None),
    "gradient(count_up, 2.0, 3)": (8.0, None),
    "gradient((x, flag) -> flag ? x^2 : x, 3.0, true)": (6.0, None),
    "gradient((x, k) -> k == :a ? x : 2x, 3.0, :a)": (1.0, None),
    'gradient((x, k) -> k == "a" ? x : 2x, 3.0, "b")': (2.0, None),
    # integers carry a tangent through + - * / ^ and functions of floats
    "gradient((x, n) -> x * n, 2.0, 3)": (3.0, 2.0),
    "gradient((x, n) -> x^n, 2.0, 3)": (12.0, 8 * math.log(2)),
    "gradient((x, n) -> sin(n) + x, 2.0, 3)": (1.0, math.cos(3)),
    "gradient((x, n) -> (n ÷ 2) * x, 2.0, 7)": (3.0, None),
    "gradient((x, n) -> (n % 4) * x, 2.0, 7)": (3.0, None),
    "gradient((m, n) -> m / n, 3, 4)": (0.25, -3 / 16),
    # fields, entries, keys, captures
    "gradient(p -> p.x^2, P(3.0, 4.0))": ({"x": 6.0, "y": None},),
    "gradient(p -> keep_x(p).x, P(3.0, 4.0))": ({"x": 1.0, "y": None},),
    "gradient(p -> keep_x(p).y * p.x, P(3.0, 4.0))": ({"x": 1.0, "y": None},),
    "gradient(m -> m.u * 2, M(3.0, 4.0))": ({"u": 2.0, "w": None},),
    "gradient(t -> t[1]^2, (3.0, 4.0))": ((6.0, None),),
    "gradient(t -> t[2][1], (3.0, (4.0, 5.0)))": ((None, (1.0, None)),),
    "gradient(t -> t.b^2, (a = 1.0, b = 2.0))": ({"a": None, "b": 4.0},),
    "gradient(d -> d[:a]^2, Dict(:a => 3.0, :b => 1.0))": ({"a": 6.0, "b": None},),
    "gradient(g -> g(2.0), kept)": ({"a": 2.0},),
    "gradient((g, x) -> g(x), sin, 0.0)": (None, 1.0),
    # through memory
    "gradient(through, 2.0, 3.0)": (3.0, 2.0),
    "gradient((x, y) -> (r = Ref(x); r[]), 2.0, 3.0)": (1.0, None),
    # derivatives are always numbers
    "derivative(x -> 3.0, 2.0)": 0.0,
    "(x -> 3.0)'(2.0)": 0.0,
    "(x -> 3)'(2)": 0.0,
    "hessian(x -> 2x, 2.0)": 0.0,
    "hessian(x -> 3.0, 2.0)": 0.0,
    "withgradient((x, y) -> x^2, 3.0, 1.0)": {"val": 9.0, "grad": (6.0, None)},
    "pullback((x, y) -> x^2, 3.0, 1.0)[2](2.0)": (12.0, None),
}


@each_way
@pytest.mark.parametrize("expression", TABLE)
def test_nothing_or_zero(expression: str, way: Way) -> None:
    assert difference(evaluate(PROGRAM, expression, way), TABLE[expression]) == ""
