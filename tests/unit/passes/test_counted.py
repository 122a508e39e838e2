"""Loops that count become `for`, those that do not stay."""

from __future__ import annotations

import pytest

import dsl


def typed(text: str, call: str) -> str:
    return str(dsl.loads(text).code_typed(call))


COUNTED = {
    "up to a variable": ("f(x, n) = (k = 0; while k < n; x *= 1.5; k += 1; end; x)", "f(2.0, 3)"),
    "down to a constant": ("f(x, n) = (r = 1.0; while n > 0; n -= 1; r *= x; end; r)", "f(2.0, 3)"),
    "over a vector": ("f(v) = (s = 0.0; for x in v; s += x * x; end; s)", "f(Float64[])"),
    "a loop in a loop": ("f(x, n) = (k = 0; while k < n; j = 0; while j < 5; x *= 1.1; j += 1; end; k += 1; end; x)",
                         "f(2.0, 3)"),
}  # fmt: skip
NOT_COUNTED = {
    "the vector grows": ("f(v) = (s = 0.0; for x in v; s += x; s < 9 && push!(v, s); end; s)", "f(Float64[])"),
    "the bound changes": ("f(x, n) = (k = 0; while k < n; x *= 1.5; k += 1; n -= 1; end; x)", "f(2.0, 3)"),
    "a break": ("f(x, n) = (k = 0; while k < n; x *= 1.5; x > 9 && break; k += 1; end; x)", "f(2.0, 3)"),
    "a continue": ("f(x, n) = (k = 0; while k < n; k += 1; x > 9 && continue; x *= 1.5; end; x)", "f(2.0, 3)"),
    "a step of two": ("f(x, n) = (k = 0; while k < n; x *= 1.5; k += 2; end; x)", "f(2.0, 3)"),
    "a return": ("f(x, n) = (k = 0; while k < n; x *= 1.5; x > 9 && return 0.0; k += 1; end; x)", "f(2.0, 3)"),
    "a bound that may wrap": ("f(x, j, n) = (while j < n; x *= 1.5; j += 1; end; x)", "f(2.0, 1, 3)"),
    "a count that is differentiated": ("f(n) = (r = 1.0; while n > 0; r *= n; n -= 1; end; r)", "f(5)"),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counting_loops_become_for(name: str) -> None:
    text = typed(*COUNTED[name])
    assert " for %" in text and " loop " not in text


@pytest.mark.parametrize("name", NOT_COUNTED)
def test_other_loops_stay(name: str) -> None:
    assert "loop (" in typed(*NOT_COUNTED[name])


def test_the_count_afterwards_is_where_it_stopped() -> None:
    m = dsl.loads("f(n) = (k = 0; while k < n; k += 1; end; k)")
    assert [m.f(n) for n in (3, 0, -2)] == [3, 0, 0]


def test_the_count_afterwards_does_not_depend_on_the_bound() -> None:
    m = dsl.loads("f(x, n) = (k = 0; s = 0.0; while k < n; s += x; k += 1; end; s * k + n)")
    assert dsl.gradient(m.f, 2.0, 3) == (9.0, 1.0)


def test_a_count_that_is_a_factor_has_its_derivative() -> None:
    m = dsl.loads("f(n) = (r = 1.0; while n > 0; r *= n; n -= 1; end; r)")
    assert dsl.gradient(m.f, 3) == (2 * 1 + 3 * 1 + 3 * 2,)
