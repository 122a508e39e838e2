"""Large code is compiled quickly at first, and optimised when it has run for as long as that takes; straight code, when
it is called again."""

from __future__ import annotations

import numpy as np
import pytest

import dsl
from dsl.backend.support import kernel
from dsl.runtime import engine, llvm, support
from dsl.runtime.native import SUPPORTED
from dsl.runtime.support import functions, missing

LOOPS = "\n".join(f"  for i in 1:{k + 3}\n    t = y * 0.9 + x\n    y = t / (1.0 + t * t)\n  end" for k in range(150))
SCALAR = f"function f(x)\n  y = x\n{LOOPS}\n  y\nend\n"
STRAIGHT = "f(x) = sqrt(x) + 1.5x"
ARRAY = f"function f(v)\n  x = sum(v)\n  y = x\n{LOOPS}\n  v .* y\nend\n"


@pytest.fixture
def levels(monkeypatch):
    """The levels at which units are compiled from now on."""
    found = []
    compile = llvm.object_code
    for piece in ("memory", "regions"):
        functions(piece, 0), functions(piece)

    def noted(text: str, level: int) -> bytes:
        if "@dfl.python" not in text:  # the way from Python is no part of a unit
            found.append(level)
        return compile(text, level)

    monkeypatch.setattr(llvm, "object_code", noted)
    return found


def test_large_code_is_optimised_when_it_has_run_for_long(levels, monkeypatch):
    f = dsl.loads(SCALAR).f
    first = f(0.5)
    assert [f(0.5) for _ in range(3)] == [first] * 3
    assert levels == [0]
    monkeypatch.setattr(engine, "WORTH_AN_OP", 0.0)
    assert [f(0.5) for _ in range(3)] == [first] * 3
    assert levels == [0, engine.BEST]


def test_a_call_that_would_take_long_is_of_optimised_code(levels):
    f = dsl.loads(SCALAR.replace("f(x)", "f(x, n)").replace("1:3\n", "1:n\n")).f
    f(0.5, 10)
    assert levels == [0]
    f(0.5, 100_000)
    assert levels == [0, engine.BEST]
    g = dsl.loads(ARRAY).f
    g(np.full(100_000, 0.5))
    assert levels == [0, engine.BEST, 0, engine.BEST]


def test_calls_with_arrays_go_over_to_the_new_code(levels, monkeypatch):
    f = dsl.loads(ARRAY).f
    v = np.array([0.25, 0.5])
    first = f(v)
    assert np.array_equal(f(v), first)
    monkeypatch.setattr(engine, "WORTH_AN_OP", 0.0)
    for _ in range(4):
        assert np.array_equal(f(v), first)
    assert levels == [0, engine.BEST]
    assert bool(f.entries) == SUPPORTED


def test_small_code_with_loops_and_a_level_that_is_asked_for_are_compiled_at_once(levels):
    dsl.loads("f(x) = (for i in 1:9; x = x^2 + 1.5x; end; x)").f(0.5)
    dsl.loads(SCALAR, opt_level=3).f(0.5)
    dsl.loads(SCALAR, opt_level=0).f(0.5)
    dsl.loads(STRAIGHT, opt_level=3).f(0.5)
    assert levels == [engine.BEST, 3, 0, 3]


def test_straight_code_is_optimised_when_it_is_called_again(levels):
    f = dsl.loads(STRAIGHT).f
    first = f(0.5)
    assert levels == [0]
    assert [f(0.5) for _ in range(3)] == [first] * 3
    assert levels == [0, engine.BEST]
    assert bool(f.entries) == SUPPORTED
    with pytest.raises(dsl.DslError, match="sqrt"):
        f(-0.5)


def test_support_code_that_is_missing_counts(levels, monkeypatch):
    monkeypatch.delitem(support._linked, ("svd", support.LEVEL), raising=False)
    assert missing(["memory", "regions"]) == 0
    assert missing(["memory", "svd"]) == kernel("svd").source.count("\n") > 100


def test_errors_and_values_that_are_kept_survive_the_change(monkeypatch):
    monkeypatch.setattr(engine, "AT_ONCE", 0)
    module = dsl.loads("f(v, k) = v[k] * v\ng(v) = pullback(w -> sum(w .* w .* w), v)[2]")
    v = np.array([1.0, 2.0])
    back = module.g(v)
    with pytest.raises(dsl.DslError, match="index 3"):
        module.f(v, 3)
    monkeypatch.setattr(engine, "WORTH_AN_OP", 0.0)
    for _ in range(3):
        with pytest.raises(dsl.DslError, match="index 3"):
            module.f(v, 3)
        assert np.array_equal(module.f(v, 2), [2.0, 4.0])
        assert np.array_equal(module.g(v)(1.0)[0], [3.0, 12.0])
        assert np.array_equal(back(1.0)[0], [3.0, 12.0])
