"""Functions with rules in programs that are hard on memory: what they gave, or took, is overwritten, swapped, grown,
viewed and captured. Each program has its mirror in Python, differentiated at high precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate

MODES = [w for w in WAYS if w.name in ("interpreter/forward", "interpreter/reverse", "O3/reverse")]
each_way = pytest.mark.parametrize("way", MODES, ids=lambda w: w.name)
ADJOINT = """
mix(a, b) = [a[1] * b[2], a[2] * b[1] + a[1]]
@adjoint mix(a, b) = mix(a, b), c -> ([c[1] * b[2] + c[2], c[2] * b[1]], [c[2] * a[2], c[1] * a[1]])
"""
BOTH = ADJOINT + """
frule((_, da, db), ::typeof(mix), a, b) =
  (mix(a, b), [da[1] * b[2] + a[1] * db[2], da[2] * b[1] + a[2] * db[1] + da[1]])
"""


def mix(a: list[Any], b: list[Any]) -> list[Any]:
    return [a[0] * b[1], a[1] * b[0] + a[0]]


# ---------------------------------------------------------------- programs and their mirrors

SWAP = """
function f(v)
  a = v
  b = [1.5, 2.5]
  for i in 1:4
    c = mix(a, b)
    a, b = b, c
    b[1] = b[1] * 0.5
  end
  a[1] * b[2] + b[1]
end
"""


def swap(v: list[Any]) -> Any:
    a, b = v, [1.5, 2.5]
    for _ in range(4):
        c = mix(a, b)
        a, b = b, c
        b[0] = b[0] * 0.5
    return a[0] * b[1] + b[0]


EXITS = """
function f(v)
  a = copy(v)
  n = 0
  while true
    a = mix(a, [0.5, 0.6])
    a[2] > 1.0 && (a[1] = 2a[1])
    n += 1
    a[1] < 0.5 && break
    n > 5 && break
  end
  a[1] + a[2]
end
"""


def exits(v: list[Any]) -> Any:
    a, n = list(v), 0
    while True:
        a = mix(a, [0.5, 0.6])
        if a[1] > 1.0:
            a[0] = 2 * a[0]
        n += 1
        if a[0] < 0.5 or n > 5:
            return a[0] + a[1]


RECURSION = """
down(a, n) = n == 0 ? a[1] * a[2] : (b = mix(a, [0.5, 1.2]); b[1] += a[1]; down(b, n - 1) + b[1])
f(v) = down(v, 3)
"""


def recursion(a: list[Any], n: int = 3) -> Any:
    if n == 0:
        return a[0] * a[1]
    b = mix(a, [0.5, 1.2])
    b[0] += a[0]
    return recursion(b, n - 1) + b[0]


GROWTH = """
function f(v)
  xs = [v]
  for i in 1:3
    push!(xs, mix(xs[i], xs[1]))
    xs[i][1] = xs[i][1] * 0.3
  end
  s = 0.0
  for x in xs
    s += x[1] * x[2]
  end
  w = xs[4]
  push!(w, w[1])
  pop!(w)
  push!(w, w[1] * w[2])
  s * w[3]
end
"""


def growth(v: list[Any]) -> Any:
    xs = [list(v)]
    for i in range(3):
        xs.append(mix(xs[i], xs[0]))
        xs[i][0] = xs[i][0] * 0.3
    return sum(x[0] * x[1] for x in xs) * xs[3][0] * xs[3][1]


CAPTURED = """
function f(v)
  w = mix(v, v)
  h = x -> (w[1] = w[1] * x; w[1] + w[2])
  h(2.0) * h(v[1])
end
"""


def captured(v: list[Any]) -> Any:
    w = mix(v, v)

    def h(x: Any) -> Any:
        w[0] = w[0] * x
        return w[0] + w[1]

    return h(2.0) * h(v[0])


VIEWS = """
function f(v)
  A = [v[1] v[2]; 2v[1] 3v[2]]
  w = mix(view(A, 1:2, 1), view(A, 2, 1:2))
  A[1, 1] = 100.0
  u = view(A, 1:2, 2)
  u[1] = w[1]
  mix(u, w)[2] * cross(A', A)[1]
end
cross(A, B) = [A[2, 1] * B[2, 2], A[1, 2]]
@adjoint cross(A, B) = cross(A, B), c -> ([0.0 c[2]; c[1] * B[2, 2] 0.0], [0.0 0.0; 0.0 c[1] * A[2, 1]])
"""


def views(v: list[Any]) -> Any:
    w = mix([v[0], 2 * v[0]], [2 * v[0], 3 * v[1]])
    u = [w[0], 3 * v[1]]
    return mix(u, w)[1] * (w[0] * 3 * v[1])  # (A')₂₁ = A₁₂, which is u₁ = w₁ by now


FIELDS = """
mutable struct Holder
  w
end
function f(v)
  s = Holder(mix(v, [1.0, 2.0]))
  t = s.w
  s.w = mix(s.w, v)
  t[1] = 7.0 * v[2]
  s.w[1] * t[2] * t[1]
end
"""


def fields(v: list[Any]) -> Any:
    t = mix(v, [1.0, 2.0])
    w = mix(t, v)
    return w[0] * t[1] * 7.0 * v[1]


ARMS = """
function f(v)
  w = v[1] > 1.0 ? mix(v, v) : v
  u = v[2] > 100.0 ? mix(w, v) : w
  u[1] = u[1]^2
  u[1] * w[2]
end
"""


def arms(v: list[Any]) -> Any:
    w = mix(v, v) if v[0] > 1.0 else list(v)
    return w[0] ** 2 * w[1]


INNER = """
function f(v)
  y, back = pullback(u -> mix(u, u), v)
  z = back(y)[1]
  t = pushforward(u -> mix(u, u), v)(z)
  t[1] * t[2]
end
"""


def inner(v: list[Any]) -> Any:
    """mix(u, u) = (u₁u₂, u₁u₂ + u₁), with the Jacobian [u₂ u₁; u₂+1 u₁]."""
    y = mix(v, v)
    z = [v[1] * y[0] + (v[1] + 1) * y[1], v[0] * y[0] + v[0] * y[1]]
    return (v[1] * z[0] + v[0] * z[1]) * ((v[1] + 1) * z[0] + v[0] * z[1])


PROGRAMS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "swapped": (SWAP, swap), "exits": (EXITS, exits), "recursion": (RECURSION, recursion), "growth": (GROWTH, growth),
    "captured": (CAPTURED, captured), "views": (VIEWS, views), "fields": (FIELDS, fields), "arms": (ARMS, arms),
    "inner": (INNER, inner),
}  # fmt: skip


@pytest.mark.parametrize("way", MODES[:2], ids=lambda w: w.name)
@pytest.mark.parametrize("rules", [ADJOINT, BOTH], ids=["adjoint", "frule"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_along_a_line(name: str, rules: str, way: Way) -> None:
    """Value, first and second derivative at v = (x, 1.5x)."""
    program, mirror = PROGRAMS[name]
    for order, expected in enumerate(
        [oracle.value(lambda x: mirror([x, 1.5 * x]), 1.3)]
        + [oracle.derivative(lambda x: mirror([x, 1.5 * x]), 1.3, k) for k in (1, 2)]
    ):
        got = evaluate(rules + program, f"(x -> f([x, 1.5 * x])){chr(39) * order}(1.3)", way)
        assert difference(got, expected, 1e-9) == ""


@each_way
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradient(name: str, way: Way) -> None:
    program, mirror = PROGRAMS[name]
    (got,) = evaluate(ADJOINT + program, "gradient(f, [1.3, 1.95])", way)
    expected = oracle.gradient(lambda x, y: mirror([x, y]), 1.3, 1.95)
    assert difference(got.tolist(), list(expected), 1e-9) == ""
