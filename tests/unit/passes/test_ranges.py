"""Checks and comparisons that bounds of counters decide are gone, those just beyond stay."""

from __future__ import annotations

import pytest

import dsl

V = "Float64[]"
GONE = {
    "each element": "f(v) = (s = 0.0; for i in 1:length(v); s += v[i]; end; s)",
    "neighbours": "f(v) = (s = 0.0; for i in 2:length(v)-1; s += v[i-1] * v[i+1]; end; s)",
    "downwards": "f(v) = (s = 0.0; for i in length(v):-1:1; s += v[i]; end; s)",
    "pairs": "f(v) = (s = 0.0; for i in 1:length(v), j in i+1:length(v); s += v[i] * v[j]; end; s)",
    "stored": "f(v) = (w = copy(v); for i in 1:length(v)-1; w[i] = w[i+1]; end; sum(w))",
    "checked twice": "f(v) = (s = 0.0; for i in 1:length(v); s += v[i] * v[i]; v[i] = s; end; s)",
}
STAYS = {
    "one too far": "f(v) = (s = 0.0; for i in 1:length(v); s += v[i+1]; end; s)",
    "one too early": "f(v) = (s = 0.0; for i in 0:length(v); s += v[i]; end; s)",
    "another vector": "f(v, w) = (s = 0.0; for i in 1:length(v); s += w[i]; end; s)",
    "any bound": "f(v, n) = (s = 0.0; for i in 1:n; s += v[i]; end; s)",
    "a vector that shrinks": "f(v) = (s = 0.0; for i in 1:length(v); s += v[i]; s > 9 && pop!(v); end; s)",
    "a larger step of the index": "f(v) = (s = 0.0; for i in 1:length(v); s += v[2i]; end; s)",
}


def checks(text: str) -> int:
    args = [V, "3"] if "(v, n)" in text else [V] * (2 if "(v, w)" in text else 1)
    typed = str(dsl.loads(text).code_typed(f"f({', '.join(args)})"))
    return sum(line.strip().startswith("check") and "E0402" in line for line in typed.split("\n"))


@pytest.mark.parametrize("name", GONE)
def test_a_check_that_must_hold_is_gone(name: str) -> None:
    assert checks(GONE[name]) == 0


@pytest.mark.parametrize("name", STAYS)
def test_a_check_that_may_fail_stays(name: str) -> None:
    assert checks(STAYS[name]) >= 1


def test_what_is_out_of_bounds_is_an_error_all_the_same() -> None:
    for name in ("one too far", "one too early"):
        with pytest.raises(dsl.DslError) as caught:
            dsl.loads(STAYS[name]).eval("f([1.0, 2.0])")
        assert caught.value.kind == "BoundsError"


def test_integers_that_wrap_are_no_bounds() -> None:
    m = dsl.loads("f(n) = (k = 0; for i in 1:3; i <= n - 1 && (k += 1); end; k)")
    assert m.f(-(2**63)) == 3  # n - 1 wraps to the largest integer
    assert m.f(3) == 2


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("f(v, w) = sin.(v) .* v", 0),  # one length is that of the other
        ("f(v, w) = v .* w", 1),
        ("f(v, w) = length(v) == length(v) + 1 ? v .* w : v", 0),  # the arm is gone
        ("f(v, w) = length(v) != length(v) ? v .* w : v", 0),
    ],
)
def test_sizes_that_are_equal_or_different_for_sure(text: str, count: int) -> None:
    typed = str(dsl.loads(text).code_typed(f"f({V}, {V})"))
    assert typed.count("E0412") == count and typed.count(" if ") == count


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("f(v, w) = length(v) + length(v) * length(w)", 2),
        ("f(v, w) = (s = 0; length(v) > 3 && (s = length(w)); s + length(w))", 3),  # not where it has not been
        ("f(v, w) = (s = length(v); push!(v, 1.0); s + length(v))", 2),
    ],
)
def test_a_length_is_taken_once(text: str, times: int) -> None:
    m = dsl.loads(text)
    assert str(m.code_typed(f"f({V}, {V})")).count(" = len ") == times


def test_sums_of_constants_are_put_together() -> None:
    m = dsl.loads("f(n) = ((n + 3) - 5) + 1")
    assert str(m.code_typed("f(1)")).count(" = sub") == 1
    assert m.f(2**63 - 1) == 2**63 - 2
    assert dsl.gradient(m.f, 4) == (1.0,)
