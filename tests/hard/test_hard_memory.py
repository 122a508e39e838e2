"""Programs that change memory in ways that break a reverse sweep which trusts what it finds there.

Each has its mirror in Python, differentiated at 60 digits, or a closed form beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import pytest

from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
CELL = "mutable struct Cell\n  v::Float64\nend\n"


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-11) -> None:
    assert difference(evaluate(program, expression, way), expected, rel) == ""


def check_function(program: str, mirror: Callable[[Any], Any], x: float, way: Way, order: int = 2) -> None:
    """`f` of the program against its mirror: value and derivatives up to an order."""
    check(program, f"f({x})", oracle.value(mirror, x), way)
    for k in range(1, order + 1):
        check(program, f"f{k * chr(39)}({x})", oracle.derivative(mirror, x, k), way, rel=1e-9)


# ------------------------------------------------------------------ recursion and memory


@each_way
def test_recursive_call_then_overwrite_of_what_it_read(way: Way) -> None:
    program = (
        CELL
        + """
function go!(c, n)
  n == 0 && return c.v
  y = go!(c, n - 1) * c.v
  c.v = c.v * 0.5 + y
  return y
end
function f(x)
  c = Cell(x)
  s = go!(c, 4)
  s + c.v
end
"""
    )

    def mirror(x: Any) -> Any:
        cell = [x]

        def go(n: int) -> Any:
            if n == 0:
                return cell[0]
            y = go(n - 1) * cell[0]
            cell[0] = cell[0] / 2 + y
            return y

        s = go(4)
        return s + cell[0]

    check_function(program, mirror, 1.3, way)


@each_way
def test_two_recursive_calls_around_an_overwrite(way: Way) -> None:
    program = """
function walk(r, n)
  n == 0 && return r[]^2
  a = walk(r, n - 1)
  r[] = sin(a) + r[]
  b = walk(r, n - 1)
  return cos(a * b) + r[]
end
f(x) = walk(Ref(x), 3)
"""

    def mirror(x: Any) -> Any:
        r = [x]

        def walk(n: int) -> Any:
            if n == 0:
                return r[0] ** 2
            a = walk(n - 1)
            r[0] = mpmath.sin(a) + r[0]
            b = walk(n - 1)
            return mpmath.cos(a * b) + r[0]

        return walk(3)

    check_function(program, mirror, 0.4, way)


@each_way
def test_mutual_recursion_that_shares_a_cell(way: Way) -> None:
    program = (
        CELL
        + """
function ping!(c, n)
  n == 0 && return c.v
  c.v = c.v * c.v
  return pong!(c, n - 1) + c.v
end
function pong!(c, n)
  n == 0 && return -c.v
  old = c.v
  c.v = 0.3
  r = ping!(c, n - 1) * old
  c.v = old + r
  return r
end
f(x) = ping!(Cell(x), 6)
"""
    )

    def mirror(x: Any) -> Any:
        c = [x]

        def ping(n: int) -> Any:
            if n == 0:
                return c[0]
            c[0] = c[0] * c[0]
            deeper = pong(n - 1)
            return deeper + c[0]

        def pong(n: int) -> Any:
            if n == 0:
                return -c[0]
            old = c[0]
            c[0] = mpmath.mpf(0.3)
            r = ping(n - 1) * old
            c[0] = old + r
            return r

        return ping(6)

    check_function(program, mirror, 0.9, way)


# ------------------------------------------------------------------ arguments that are changed

MUTATING = (
    CELL
    + """
function h!(c)
  c.v = c.v^2
  c.v = c.v * c.v + c.v
  3c.v
end
c = Cell(2.0)
function twice(x)
  c = Cell(x)
  a = gradient(h!, c)[1].v
  b = gradient(h!, c)[1].v
  (a, b, c.v)
end
f(x) = (t = twice(x); t[1] * t[2] + t[3])
"""
)


@each_way
def test_gradient_of_a_function_that_changes_its_argument(way: Way) -> None:
    """h is 3(v⁴ + v²), so h' is 12v³ + 6v; twice in a row, the argument as it was."""
    check(MUTATING, "gradient(h!, c)", ({"v": 108.0},), way)
    check(MUTATING, "gradient(h!, c)", ({"v": 108.0},), way)
    check(MUTATING, "c.v", 2.0, way)
    check(MUTATING, "twice(1.5)", (49.5, 49.5, 1.5), way)
    check(MUTATING, "f'(1.5)", 2 * 49.5 * (36 * 1.5**2 + 6) + 1, way)


@each_way
def test_gradient_of_a_function_that_grows_its_argument(way: Way) -> None:
    program = """
function h!(v)
  push!(v, v[1] * v[2])
  v[1] = 7.0
  v[3] * v[2] + v[1]
end
function f(x)
  v = Float64[]
  push!(v, x)
  push!(v, 2x)
  a = gradient(h!, v)[1]
  (length(a), a[1], a[2], length(v), v[1], v[2])
end
"""
    # h is v1·v2² + 7 as a function of the two elements that are there at first
    check(program, "f(3.0)", (2, 36.0, 36.0, 2, 3.0, 6.0), way)


@each_way
def test_arguments_are_restored_after_a_derivative_call_inside(way: Way) -> None:
    program = (
        CELL
        + """
function bump!(c, k)
  for i in 1:k
    c.v = c.v * 1.5 + i
  end
  c.v^2
end
function f(x)
  c = Cell(x)
  before = bump!(c, 1)
  g = gradient(bump!, c, 3)[1].v
  before + g * c.v
end
"""
    )

    def mirror(x: Any) -> Any:
        v = x * 1.5 + 1

        def bump(u: Any) -> Any:
            for i in (1, 2, 3):
                u = u * 1.5 + i
            return u

        g = 2 * bump(v) * mpmath.mpf("3.375")
        return v**2 + g * v

    check_function(program, mirror, 0.7, way)


# ------------------------------------------------------------------ boxes


@each_way
def test_inactive_box_that_becomes_active(way: Way) -> None:
    program = """
function f(x)
  c = 2.0
  add(y) = (c = c + y; c)
  a = add(1.0)
  b = add(x)
  a * b * c
end
"""
    check(program, "(f(1.5), f'(1.5), f''(1.5))", (3 * 4.5**2, 6 * 4.5, 6.0), way)


@each_way
def test_box_that_becomes_active_in_the_third_iteration(way: Way) -> None:
    program = """
function f(x)
  c = 1.0
  step(i) = (i > 2 ? (c = c * x) : (c = c + 1.0); nothing)
  for i in 1:5
    step(i)
  end
  c
end
"""
    check(program, "(f(1.5), f'(1.5), f''(1.5))", (3 * 1.5**3, 9 * 1.5**2, 27.0), way)


@each_way
def test_box_shared_by_two_closures_and_a_loop(way: Way) -> None:
    program = """
function f(x)
  s = x
  k = 0
  inc() = (k += 1; s = s * x + k)
  dec() = (k -= 1; s = sin(s) - k)
  for i in 1:6
    i % 3 == 0 ? dec() : inc()
  end
  s + k
end
"""

    def mirror(x: Any) -> Any:
        s, k = x, 0
        for i in range(1, 7):
            if i % 3 == 0:
                k -= 1
                s = mpmath.sin(s) - k
            else:
                k += 1
                s = s * x + k
        return s + k

    check_function(program, mirror, 0.8, way)


# ------------------------------------------------------------------ aliases


@each_way
def test_one_ref_passed_twice(way: Way) -> None:
    program = """
function mix!(a, b)
  a[] = a[] * b[]
  b[] = a[] + b[]
  a[] * b[]
end
f(x) = (r = Ref(x); mix!(r, r))
g(x) = mix!(Ref(x), Ref(x))
"""
    x = 1.3
    check(program, f"(f({x}), f'({x}), f''({x}))", (4 * x**4, 16 * x**3, 48 * x**2), way)
    # apart: a = x², b = x² + x, so a·b = x⁴ + x³
    check(program, f"(g({x}), g'({x}))", (x**4 + x**3, 4 * x**3 + 3 * x**2), way)


@each_way
def test_ref_reached_by_two_ways(way: Way) -> None:
    program = """
struct Holder
  r
  other
end
function f(x)
  r = Ref(x)
  h = Holder(r, r)
  h.r[] = h.other[]^2
  r[] * h.r[] * h.other[]
end
"""
    x = 1.2
    check(program, f"(f({x}), f'({x}), f''({x}))", (x**6, 6 * x**5, 30 * x**4), way)


@each_way
def test_one_object_given_twice_has_one_gradient(way: Way) -> None:
    program = CELL + "c = Cell(3.0)\nd = Cell(5.0)\nh(a, b) = a.v * b.v^2\n"
    check(program, "gradient(h, c, d)", ({"v": 25.0}, {"v": 30.0}), way)
    check(program, "gradient(h, c, c)", ({"v": 27.0}, {"v": 27.0}), way)
    check(program, "gradient(a -> h(a, a), c)", ({"v": 27.0},), way)


@each_way
def test_reference_that_changes_hands_in_a_loop(way: Way) -> None:
    program = """
function f(x)
  a = Ref(x)
  b = Ref(2.0)
  for i in 1:5
    a[] = a[] * b[] + 0.1
    if i % 2 == 0
      a, b = b, a
    end
  end
  a[] + 3b[]
end
"""

    def mirror(x: Any) -> Any:
        a, b = [x], [mpmath.mpf(2)]
        for i in range(1, 6):
            a[0] = a[0] * b[0] + mpmath.mpf(0.1)
            if i % 2 == 0:
                a, b = b, a
        return a[0] + 3 * b[0]

    check_function(program, mirror, 0.6, way)


# ------------------------------------------------------------------ growable vectors and dictionaries


@each_way
def test_stack_machine(way: Way) -> None:
    program = """
function f(x)
  st = Float64[]
  for i in 1:9
    push!(st, x * i)
    if i % 3 == 0
      a = pop!(st)
      b = pop!(st)
      st[1] = sin(a * b) + st[1] * x
    end
  end
  s = 0.0
  for v in st
    s = s * x + v
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        st: list[Any] = []
        for i in range(1, 10):
            st.append(x * i)
            if i % 3 == 0:
                a, b = st.pop(), st.pop()
                st[0] = mpmath.sin(a * b) + st[0] * x
        s = mpmath.mpf(0)
        for v in st:
            s = s * x + v
        return s

    check_function(program, mirror, 0.7, way)


@each_way
def test_dict_with_run_time_keys_overwritten_in_a_loop(way: Way) -> None:
    program = """
function f(x)
  d = Dict{Int, Float64}()
  for i in 1:12
    k = (i * i) % 5
    d[k] = haskey(d, k) ? d[k] * x + i : sin(x * i)
  end
  s = 0.0
  for k in 0:4
    s += get(d, k, x) * (k + 1)
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        d: dict[int, Any] = {}
        for i in range(1, 13):
            k = (i * i) % 5
            d[k] = d[k] * x + i if k in d else mpmath.sin(x * i)
        return sum(d.get(k, x) * (k + 1) for k in range(5))

    check_function(program, mirror, 0.9, way)


@each_way
def test_mutable_structs_in_a_growable_vector(way: Way) -> None:
    program = (
        CELL
        + """
function f(x)
  cells = Cell[]
  shared = Cell(x)
  for i in 1:3
    push!(cells, Cell(x * i))
    push!(cells, shared)
  end
  for c in cells
    c.v = c.v^2 * 0.5 + x
  end
  s = 0.0
  for c in cells
    s += c.v
  end
  s
end
"""
    )

    def mirror(x: Any) -> Any:
        shared = [x]
        cells = [c for i in (1, 2, 3) for c in ([x * i], shared)]
        for c in cells:
            c[0] = c[0] ** 2 / 2 + x
        return sum(c[0] for c in cells)

    check_function(program, mirror, 0.8, way)


@each_way
def test_restored_although_nothing_flows(way: Way) -> None:
    """The derivative with respect to z is 0; what the call doubles is as it was all the same."""
    program = """
h(r, z) = (r[] = 2r[]; r[])
function f(x)
  r = Ref(x)
  d = derivative(z -> h(r, z), 0.5)
  g = gradient(z -> h(r, z), 0.5)
  r[] + d
end
"""
    check(program, "(f(3.0), f'(3.0))", (3.0, 1.0), way)
