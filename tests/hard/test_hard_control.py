"""Control flow: exits of every kind out of nested loops, and programs whose compile time naive designs let explode."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import mpmath
import pytest

import dsl
from tests.support import oracle
from tests.support.compare import difference
from tests.support.ways import FAST, WAYS, Way, error_of, evaluate, load

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
fast_way = pytest.mark.parametrize("way", FAST, ids=lambda w: w.name)


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-11) -> None:
    assert difference(evaluate(program, expression, way), expected, rel) == ""


def check_function(program: str, mirror: Callable[[Any], Any], x: float, way: Way) -> None:
    check(program, f"f({x})", oracle.value(mirror, x), way)
    check(program, f"f'({x})", oracle.derivative(mirror, x), way)
    check(program, f"f''({x})", oracle.derivative(mirror, x, 2), way, rel=1e-9)


@each_way
@pytest.mark.parametrize("x", [0.3, 1.1, 2.7])
def test_early_return_out_of_nested_loops(x: float, way: Way) -> None:
    program = """
function f(x)
  s = x
  for i in 1:4
    for j in 1:4
      k = 0
      while k < j
        k += 1
        s = s * 1.1 + x * k
        if s > 40
          return s * i + j
        end
      end
    end
    s = s - sin(s)
  end
  return -s
end
"""

    def mirror(x: Any) -> Any:
        s = x
        for i in range(1, 5):
            for j in range(1, 5):
                for k in range(1, j + 1):
                    s = s * mpmath.mpf(1.1) + x * k
                    if s > 40:
                        return s * i + j
            s = s - mpmath.sin(s)
        return -s

    check_function(program, mirror, x, way)


@each_way
@pytest.mark.parametrize("x", [0.3, 0.8])
def test_continue_and_break_on_values(x: float, way: Way) -> None:
    program = """
function f(x)
  s = x
  i = 0
  while true
    i += 1
    i > 12 && break
    if s > 2
      s = s / 2
      continue
    end
    s = s * x + i * 0.3
    i % 5 == 0 && continue
    s < 0.1 && break
    s = s + sin(s)
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        s = x
        for i in range(1, 13):
            if s > 2:
                s = s / 2
                continue
            s = s * x + i * mpmath.mpf(0.3)
            if i % 5 == 0:
                continue
            if s < 0.1:
                break
            s = s + mpmath.sin(s)
        return s

    check_function(program, mirror, x, way)


@each_way
def test_break_leaves_all_iterators_of_one_for(way: Way) -> None:
    program = """
function f(x)
  s = 0.0
  for i in 1:3, j in i:5
    j == i + 2 && continue
    s += x^i * j
    if i * j > 7
      break
    end
  end
  s * x
end
"""

    def mirror(x: Any) -> Any:
        s = mpmath.mpf(0)
        for i, j in [(a, b) for a in range(1, 4) for b in range(a, 6)]:
            if j == i + 2:
                continue
            s += x**i * j
            if i * j > 7:
                break
        return s * x

    check_function(program, mirror, 1.3, way)


@each_way
def test_loop_over_a_tuple_of_different_types(way: Way) -> None:
    program = """
function f(x)
  s = x
  for (k, v) in enumerate((1, x, 2.5, sin(x)))
    k == 3 && continue
    s = s * v + k
  end
  for (a, b) in zip((x, 2x), 1:2)
    s += a * b
  end
  s
end
"""

    def mirror(x: Any) -> Any:
        s = x
        for k, v in enumerate((1, x, 2.5, mpmath.sin(x)), 1):
            if k != 3:
                s = s * v + k
        return s + x + 4 * x

    check_function(program, mirror, 0.7, way)


@each_way
def test_zero_trips_and_one_trip(way: Way) -> None:
    program = """
function f(x, n)
  s = x
  i = 0
  while i < n
    t = s * x
    for j in 1:i
      t = t + x
    end
    s = t
    i += 1
  end
  s
end
"""
    x = 1.7
    # n = 0: x; 1: x²; 2: x³ + x; 3: x⁴ + x² + 2x
    for n, expected in enumerate((1.0, 2 * x, 3 * x**2 + 1, 4 * x**3 + 2 * x + 2)):
        check(program, f"gradient(x -> f(x, {n}), {x})", (expected,), way)


@each_way
def test_value_of_the_loop_before_the_last(way: Way) -> None:
    """The reverse sweep must give each iteration its own values, also those of the iteration that leaves."""
    program = """
function f(x)
  prev = x
  cur = x^2
  while true
    prev, cur = cur, cur * prev + 0.2
    cur > 3 && return prev * cur
    cur < 0.05 && break
  end
  prev / cur
end
"""

    def mirror(x: Any) -> Any:
        prev, cur = x, x**2
        while True:
            prev, cur = cur, cur * prev + mpmath.mpf(0.2)
            if cur > 3:
                return prev * cur
            if cur < 0.05:
                break
        return prev / cur

    check_function(program, mirror, 1.4, way)


# ------------------------------------------------------------------ no blow-up


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


@fast_way
def test_a_thousand_guards(way: Way) -> None:
    guards = "\n".join(f"  x > {k} && return {k} * x^2" for k in range(1000, 0, -1))
    program = f"function f(x)\n{guards}\n  -x\nend\n"
    took = seconds(lambda: check(program, "(f(500.5), f'(500.5), f'(0.5))", (500 * 500.5**2, 500 * 1001.0, -1.0), way))
    assert took < 60


def ladder(n: int) -> str:
    steps = "\n".join(
        f"    if x > {1 + k / 100}\n      s > {30 + k}.0 * x && break\n      s += 0.01 * x * {k}\n    end"
        for k in range(n)
    )
    head = "function f(x)\n  s = 0.0\n  i = 0\n  while true\n    i += 1\n    i > 100 && break"
    return f"{head}\n{steps}\n  end\n  s * x\nend\n"


def ladder_mirror(n: int) -> Callable[[Any], Any]:
    def mirror(x: Any) -> Any:
        s, hundredth = mpmath.mpf(0), mpmath.mpf(0.01)
        for _ in range(100):
            for k in range(n):
                if x > 1 + k / 100:
                    if s > (30 + k) * x:
                        return s * x
                    s += hundredth * x * k
        return s * x

    return mirror


@fast_way
def test_forty_breaks_inside_ifs(way: Way) -> None:
    program, mirror = ladder(40), ladder_mirror(40)
    for x in (0.9, 1.205, 1.6):
        check(program, f"(f({x}), f'({x}))", (oracle.value(mirror, x), oracle.derivative(mirror, x)), way)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("expression", ["f(1.5)", "f'(1.5)"])
def test_code_of_breaks_inside_ifs_grows_linearly(expression: str, mode: str) -> None:
    sizes = []
    for n in (10, 20, 40):
        text = str(dsl.loads(ladder(n), mode=mode).code_llvm(expression, optimize=False))
        sizes.append(len(text.splitlines()))
    assert sizes[2] - sizes[1] < 2.5 * (sizes[1] - sizes[0])


@fast_way
def test_long_chain_of_functions(way: Way) -> None:
    chain = "\n".join(f"f{k}(x) = f{k - 1}(x) * 0.5 + x" for k in range(1, 200))
    program = f"f0(x) = x\n{chain}\nf(x) = f199(x)\n"
    assert seconds(lambda: check(program, "f'(3.0)", 2.0, way)) < 60


@fast_way
def test_calls_that_double(way: Way) -> None:
    """Inlining without a budget would make 2^20 copies."""
    chain = "\n".join(f"f{k}(x) = f{k - 1}(x * 0.5) + f{k - 1}(x * 0.5)" for k in range(1, 17))
    program = f"f0(x) = x\n{chain}\n"
    assert seconds(lambda: check(program, "f16'(3.0)", 1.0, way)) < 60


@fast_way
def test_deeply_nested_branches(way: Way) -> None:
    def nest(depth: int) -> str:
        return f"x * {depth}" if depth == 30 else f"(x > {depth} ? {nest(depth + 1)} : x^2 + {depth})"

    program = f"f(x) = {nest(0)}\n"
    check(program, "(f'(12.5), f'(50.0))", (25.0, 30.0), way)


@fast_way
def test_long_expression(way: Way) -> None:
    program = "f(x) = " + " + ".join(f"{k}x" for k in range(1, 1001)) + "\n"
    assert seconds(lambda: check(program, "f'(3.0)", 500500.0, way)) < 60


# ------------------------------------------------------------------ what must not run or grow for ever

ENDLESS = {
    "infinite recursion": ("g(n) = g(n+1)", "g(1)", {"StackOverflowError", "TypeError"}),
    "infinite recursion, floats": ("g(x) = x > 1e300 ? x : sin(g(x)) + 1", "g(1.0)", {"StackOverflowError"}),
    "its derivative": ("g(x) = x > 1e300 ? x : sin(g(x)) + 1", "g'(1.0)", {"StackOverflowError"}),
    "mutual": ("a(n) = n < 0 ? 0 : b(n + 1)\nb(n) = a(n) + 1", "a(1)", {"StackOverflowError"}),
    "tuples that double": ("f(x, n) = n == 0 ? 1.0 : f((x, x), n-1)", "f(1.0, 30)", {"TypeError"}),
    "tuples that nest": ("f(x, n) = n == 0 ? 1.0 : f((x, 1), n-1)", "f(1.0, 300)", {"TypeError"}),
    "tuples in a loop": (
        "function f(n)\n  t = (1.0, 2.0)\n  for i in 1:n\n    t = (t, 1.0)\n  end\n  1.0\nend", "f(3)", {"TypeError"},
    ),
    "closures that nest": ("f(g, n) = n == 0 ? g(1.0) : f(x -> g(x) + 1, n - 1)", "f(sin, 5)", {"TypeError"}),
    "orders that grow": ("d(f, n) = n == 0 ? f(1.0) : d(f', n - 1)", "d(sin, 3)", {"TypeError", "ArgumentError"}),
    "orders that grow inside": (
        "h(x, n) = n == 0 ? x^3 : derivative(y -> h(y, n - 1), x)", "h(2.0, 2)", {"TypeError", "ArgumentError"},
    ),
    "structs that nest": ("struct B\n  v\nend\nf(b, n) = n == 0 ? 1.0 : f(B(b), n - 1)", "f(1.0, 40)", {"TypeError"}),
}  # fmt: skip


@pytest.mark.parametrize("way", (WAYS[0], *FAST), ids=lambda w: w.name)
@pytest.mark.parametrize("name", ENDLESS)
def test_endless(name: str, way: Way) -> None:
    program, call, kinds = ENDLESS[name]
    start = time.perf_counter()
    assert error_of(program, call, way) in kinds
    assert time.perf_counter() - start < 20


# ------------------------------------------------------------------ sizes

LOGISTIC = "function f(x)\n  v = x\n  for i = 1:{}\n    v = 4v*(1 - v)\n  end\n  v\nend\n"


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_size_of_a_derivative_does_not_depend_on_the_trip_count(mode: str) -> None:
    def size(trips: int, optimize: bool) -> int:
        module = dsl.loads(LOGISTIC.format(trips), mode=mode)
        return len(str(module.code_llvm("f'(0.3)", optimize=optimize)).splitlines())

    assert size(100, False) == size(1000, False)
    assert size(1000, True) == size(100_000, True)
    assert size(3, False) <= size(1000, False)  # three trips are few: their records need no memory
    assert size(3, True) <= size(1000, True) + 100  # LLVM may unroll three trips, not more than that


POW = "function pow(x, n)\n  r = 1\n  while n > 0\n    n -= 1\n    r *= x\n  end\n  return r\nend\n"


@pytest.mark.slow
@fast_way
def test_gradient_of_ten_million_iterations(way: Way) -> None:
    n, x = 10_000_000, 1.0000001
    with mpmath.workdps(50):
        expected = float(n * mpmath.mpf(x) ** (n - 1))
    start = time.perf_counter()
    check(POW, f"gradient(pow, {x}, {n})", (expected, None), way, rel=1e-8)
    assert time.perf_counter() - start < 60


@fast_way
def test_reverse_of_a_deep_recursion(way: Way) -> None:
    program = "f(x, n) = n == 0 ? x : f(x, n - 1) + x * n\n"
    check(program, "gradient(x -> f(x, 10000), 2.0)", (1.0 + 10000 * 10001 / 2,), way)


@fast_way
def test_a_unit_is_compiled_in_reasonable_time(way: Way) -> None:
    """A dozen small functions of ordinary code, with second derivatives."""
    parts = []
    for k in range(12):
        parts.append(
            f"function f{k}(x)\n  s = x\n  for i in 1:{k + 2}\n    if s > {k}.5\n      s = s / 2\n    else\n"
            f"      s = s * x + sin(s)\n    end\n  end\n  s\nend"
        )
    program = "\n".join(parts)
    load(program, way)
    assert seconds(lambda: [evaluate(program, f"f{k}''(0.7)", way) for k in range(12)]) < 60
