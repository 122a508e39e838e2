"""Gradients of programs that write what they have read: each beside its twin in Python, whose gradient is taken by
complex steps (no rule of differentiation, no difference is involved). Reverse mode in both plans, forward mode, second
order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import dsl

Vector = np.ndarray[Any, np.dtype[np.complex128]]


class Program(NamedTuple):
    name: str
    text: str
    twin: Callable[[Vector], Any]


def overwritten_in_the_iteration(v: Vector) -> Any:
    s = 1.0
    for i in range(5):
        a = v[i]
        v[i] = a * a * s
        s = s + np.sin(v[i]) * a
    return s


def overwritten_in_a_later_iteration(v: Vector) -> Any:
    s = 0.0
    for _ in range(3):
        for i in range(5):
            s = s + v[i] ** 2 * v[(i + 1) % 5]
            v[(i + 2) % 5] = np.sin(s)
    return s


def prefix_products(v: Vector) -> Any:
    for i in range(1, 5):
        v[i] = v[i] * v[i - 1]
    return np.sum(v * v)


def stencil(v: Vector) -> Any:
    a, b = v.copy(), v * 0
    for _ in range(4):
        for i in range(5):
            b[i] = a[i] * a[(i + 1) % 5] + 0.1 * a[(i + 3) % 5]
        a, b = b, a
    return a[0] + a[3] * b[2]


def bump(w: Vector, k: int) -> Any:
    w[k] = w[k] * w[k + 1]
    return w[k]


def callee_writes(v: Vector) -> Any:
    s = v[0]
    for k in range(4):
        before = v[k]
        s = s * np.cos(bump(v, k)) + before * v[k]
    return s


def one_vector_as_two_arguments(v: Vector) -> Any:
    s = 0.0
    for i in range(5):
        a = v[i]
        v[(i + 1) % 5] = a * v[(i + 1) % 5]  # written as the second argument
        s = s + v[(i + 1) % 5] * a * v[i]    # read as the first
    return s


def overlapping_views(v: Vector) -> Any:
    head, tail = v[:4], v[1:]
    s = 0.0
    for i in range(4):
        tail[i] = head[i] * tail[i] + 0.5
        s = s + head[i] ** 2 * tail[3 - i]
    return s


def grown_and_shrunk(v: Vector) -> Any:
    stack = [v[0]]
    s = 0.0
    for x in v:
        stack.append(stack[-1] * x)
        if len(stack) > 3:
            s = s + stack.pop() * stack.pop()
            stack[-1] = stack[-1] * x
    return s + sum(stack)


def rows_that_are_shared(v: Vector) -> Any:
    rows = [v[:2].copy(), v[2:4].copy()]
    rows.append(rows[0])
    s = 0.0
    for row in rows:
        s = s + row[0] * row[1] ** 2
        row[0] = row[0] * row[1]
    return s * rows[0][0]


def in_place_until_small(v: Vector) -> Any:
    steps = 0
    while np.sum(v * v).real > 0.5 and steps < 50:
        for i in range(5):
            v[i] = v[i] * (1.0 - 0.3 * v[i] ** 2) * 0.9
        steps += 1
    return np.sum(v * v * v) * steps


def mutual(v: Vector, k: int) -> Any:
    if k < 0:
        return v[0] * v[4]
    a = v[k]
    v[k] = np.sin(a) * v[(k + 1) % 5]
    r = mutual(v, k - 1)
    return r * a + v[k]


def a_temporary_each_time(v: Vector) -> Any:
    s = v[0]
    for i in range(5):
        t = np.array([np.cos(v[j] * s) for j in range(5)])
        for j in range(4):
            t[j + 1] = t[j + 1] * t[j]
        s = s + t[4] * t[i]
    return s


def scaled_where_positive(v: Vector) -> Any:
    for i in range(5):
        if v[i].real > 0:
            old = v[i]
            v[i] = old * old
            v[(i + 1) % 5] = v[(i + 1) % 5] - old * v[i]
    return np.sum(v * v)


PROGRAMS = [
    Program("overwritten in the iteration", """
function f(v)
    s = 1.0
    for i in 1:5
        a = v[i]
        v[i] = a*a*s
        s += sin(v[i])*a
    end
    return s
end
""", overwritten_in_the_iteration),
    Program("overwritten in a later iteration", """
function f(v)
    s = 0.0
    for _ in 1:3, i in 0:4
        s += v[i+1]^2*v[mod(i+1, 5)+1]
        v[mod(i+2, 5)+1] = sin(s)
    end
    return s
end
""", overwritten_in_a_later_iteration),
    Program("prefix products", """
function f(v)
    for i in 2:5
        v[i] *= v[i-1]
    end
    s = 0.0
    for x in v
        s += x*x
    end
    return s
end
""", prefix_products),
    Program("a, b = b, a", """
function f(v)
    a = [x for x in v]
    b = [0.0*x for x in v]
    for _ in 1:4
        for i in 0:4
            b[i+1] = a[i+1]*a[mod(i+1, 5)+1] + 0.1*a[mod(i+3, 5)+1]
        end
        a, b = b, a
    end
    return a[1] + a[4]*b[3]
end
""", stencil),
    Program("a callee writes", """
function bump(w, k)
    w[k] = w[k]*w[k+1]
    return w[k]
end
function f(v)
    s = v[1]
    for k in 1:4
        before = v[k]
        s = s*cos(bump(v, k)) + before*v[k]
    end
    return s
end
""", callee_writes),
    Program("one vector as two arguments", """
function g(p, q)
    s = 0.0
    for i in 0:4
        a = p[i+1]
        k = mod(i+1, 5)+1
        q[k] = a*q[k]
        s += p[k]*a*p[i+1]
    end
    return s
end
f(v) = g(v, v)
""", one_vector_as_two_arguments),
    Program("overlapping views", """
function f(v)
    head, tail = view(v, 1:4), view(v, 2:5)
    s = 0.0
    for i in 1:4
        tail[i] = head[i]*tail[i] + 0.5
        s += head[i]^2*tail[5-i]
    end
    return s
end
""", overlapping_views),
    Program("grown and shrunk", """
function f(v)
    stack = [v[1]]
    s = 0.0
    for x in v
        push!(stack, stack[end]*x)
        if length(stack) > 3
            a = pop!(stack)
            s += a*pop!(stack)
            stack[end] *= x
        end
    end
    for x in stack
        s += x
    end
    return s
end
""", grown_and_shrunk),
    Program("rows that are shared", """
function f(v)
    rows = [[v[1], v[2]], [v[3], v[4]]]
    push!(rows, rows[1])
    s = 0.0
    for row in rows
        s += row[1]*row[2]^2
        row[1] *= row[2]
    end
    return s*rows[1][1]
end
""", rows_that_are_shared),
    Program("in place until small", """
function f(v)
    steps = 0
    while sum(x -> x*x, v) > 0.5 && steps < 50
        for i in 1:5
            v[i] = v[i]*(1.0 - 0.3*v[i]^2)*0.9
        end
        steps += 1
    end
    return sum(x -> x*x*x, v)*steps
end
""", in_place_until_small),
    Program("recursion that writes on its way down", """
function g(v, k)
    k < 0 && return v[1]*v[5]
    a = v[k+1]
    v[k+1] = sin(a)*v[mod(k+1, 5)+1]
    r = g(v, k-1)
    return r*a + v[k+1]
end
f(v) = g(v, 4)
""", lambda v: mutual(v, 4)),
    Program("a temporary each time", """
function f(v)
    s = v[1]
    for i in 1:5
        t = [cos(x*s) for x in v]
        for j in 1:4
            t[j+1] *= t[j]
        end
        s += t[5]*t[i]
    end
    return s
end
""", a_temporary_each_time),
    Program("scaled where positive", """
function f(v)
    for i in 0:4
        if v[i+1] > 0
            old = v[i+1]
            v[i+1] = old*old
            v[mod(i+1, 5)+1] -= old*v[i+1]
        end
    end
    return sum(x -> x*x, v)
end
""", scaled_where_positive),
]  # fmt: skip
POINT = np.array([0.7, -0.4, 1.1, 0.9, -1.3])


def expected(twin: Callable[[Vector], Any]) -> list[float]:
    h = 1e-200
    out = []
    for k in range(5):
        v = POINT.astype(complex)
        v[k] += h * 1j
        out.append(float(np.imag(twin(v)) / h))
    return out


@pytest.mark.parametrize("plan", ["", "save"], ids=["decided", "save all"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_gradient(program: Program, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_PLAN", plan)
    m = dsl.loads(program.text, opt_level=0 if plan else 3)
    want = expected(program.twin)
    for mode in ("reverse",) if plan else ("reverse", "forward"):  # forward mode has no plan
        v = POINT.copy()
        got = dsl.gradient(m.f, v, mode=mode)
        assert np.asarray(got).ravel() == pytest.approx(want, rel=1e-11, abs=1e-12), mode
        assert (v == POINT).all(), "the argument is as it was"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_second_order(program: Program) -> None:
    """The Hessian by reverse over reverse: its product with a vector against the slope of the twin's gradient."""
    m = dsl.loads(program.text + """
function slope(v, d)
    g = gradient(f, v)[1]
    s = 0.0
    for i in 1:5
        s += g[i]*d[i]
    end
    return s
end
product(v, d) = gradient(w -> slope(w, d), v)[1]
""", opt_level=0)
    d = np.array([0.3, -0.8, 0.5, 1.0, 0.2])
    got = np.asarray(m.product(POINT.copy(), d))

    def along(t: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([np.imag(program.twin(POINT + t * d + 1e-200j * e)) / 1e-200 for e in np.eye(5)])

    h = 1e-4
    wide, narrow = ((along(k) - along(-k)) / (2 * k) for k in (h, h / 2))
    want = (4 * narrow - wide) / 3
    assert got == pytest.approx(want, rel=1e-6, abs=1e-6 * max(1.0, float(abs(want).max())))
