"""Functions of arrays against NumPy, for every layout; their derivatives against central differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import dsl

RNG = np.random.default_rng(7)


def layouts(A: np.ndarray) -> dict[str, np.ndarray]:
    """The same elements, lying column by column, row by row, and in a larger array."""
    large = np.zeros(tuple(2 * n for n in A.shape))
    strided = large[tuple(slice(None, None, 2) for _ in A.shape)]
    strided[...] = A
    return {"F": np.asfortranarray(A), "C": np.ascontiguousarray(A), "S": strided}


MATRIX = RNG.normal(size=(3, 4))
CUBE = RNG.normal(size=(2, 3, 4))
VECTOR = RNG.normal(size=7)
OF = {"A": MATRIX, "T": CUBE, "v": VECTOR}


def _softmax(x: np.ndarray, axis: int) -> Any:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# expression in A (3×4), T (2×3×4) or v (7), what NumPy says
VALUES: list[tuple[str, Callable[[Any], Any]]] = [
    ("sum(A)", np.sum),
    ("prod(A)", np.prod),
    ("maximum(A)", np.max),
    ("sum(A, dims=1)", lambda A: A.sum(0, keepdims=True)),
    ("sum(A, dims=2)", lambda A: A.sum(1, keepdims=True)),
    ("sum(A, dims=(1, 2))", lambda A: A.sum(keepdims=True)),
    ("sum(A, dims=3)", lambda A: A),
    ("sum(abs2, T, dims=2)", lambda T: (T**2).sum(1, keepdims=True)),
    ("sum(T, dims=(1, 3))", lambda T: T.sum((0, 2), keepdims=True)),
    ("prod(T, dims=3)", lambda T: T.prod(2, keepdims=True)),
    ("maximum(A, dims=1)", lambda A: A.max(0, keepdims=True)),
    ("minimum(T, dims=2)", lambda T: T.min(1, keepdims=True)),
    ("mean(A)", np.mean),
    ("mean(A, dims=2)", lambda A: A.mean(1, keepdims=True)),
    ("mean(T, dims=(1, 2))", lambda T: T.mean((0, 1), keepdims=True)),
    ("var(A)", lambda A: A.var(ddof=1)),
    ("var(A, dims=1)", lambda A: A.var(0, ddof=1, keepdims=True)),
    ("std(T, dims=3, corrected=false)", lambda T: T.std(2, keepdims=True)),
    ("median(v)", np.median),
    ("median(A)", np.median),
    ("median(A, dims=2)", lambda A: np.median(A, axis=1, keepdims=True)),
    ("quantile(v, 0.3)", lambda v: np.quantile(v, 0.3)),
    ("cumsum(v)", np.cumsum),
    ("cumsum(A, dims=1)", lambda A: A.cumsum(0)),
    ("cumsum(A, dims=2)", lambda A: A.cumsum(1)),
    ("cumprod(T, dims=2)", lambda T: T.cumprod(1)),
    ("accumulate(max, A, dims=2)", lambda A: np.maximum.accumulate(A, axis=1)),
    ("diff(v)", np.diff),
    ("diff(A, dims=1)", lambda A: np.diff(A, axis=0)),
    ("diff(T, dims=3)", lambda T: np.diff(T, axis=2)),
    ("reverse(A)", lambda A: A[::-1, ::-1]),
    ("reverse(T, dims=2)", lambda T: T[:, ::-1]),
    ("vec(A)", lambda A: A.ravel(order="F")),
    ("reshape(A, 2, 6)", lambda A: A.reshape(2, 6, order="F")),
    ("reshape(T, 6, :)", lambda T: T.reshape(6, 4, order="F")),
    ("permutedims(A)", lambda A: A.T),
    ("permutedims(T, (3, 1, 2))", lambda T: T.transpose(2, 0, 1)),
    ("dropdims(sum(T, dims=2), dims=2)", lambda T: T.sum(1)),
    ("copy(A)", lambda A: A),
    ("vcat(A, A)", lambda A: np.vstack([A, A])),
    ("hcat(A, A[:, 1])", lambda A: np.hstack([A, A[:, :1]])),
    ("cat(A, A, dims=3)", lambda A: np.stack([A, A], axis=2)),
    ("[A; A[1, :]']", lambda A: np.vstack([A, A[:1]])),
    ("sort(v)", np.sort),
    ("sort(v, rev=true)", lambda v: np.sort(v)[::-1]),
    ("sort(v, by=abs)", lambda v: v[np.argsort(np.abs(v), kind="stable")]),
    ("sort(A, dims=1)", lambda A: np.sort(A, axis=0)),
    ("sort(A, dims=2)", lambda A: np.sort(A, axis=1)),
    ("A + A", lambda A: A + A),
    ("2A - A / 3", lambda A: 2 * A - A / 3),
    ("-T", lambda T: -T),
    ("A .* A[:, 1] .+ A[1, :]'", lambda A: A * A[:, :1] + A[:1]),
    ("map((x, y) -> x * y, A, A)", lambda A: A * A),
    ("A[end:-1:1, [1, 3]]", lambda A: A[::-1][:, [0, 2]]),
    ("A[A .> 0]", lambda A: A.ravel(order="F")[A.ravel(order="F") > 0]),
    ("softmax(v)", lambda v: _softmax(v, 0)),
    ("softmax(A)", lambda A: _softmax(A, 0)),
    ("softmax(A, dims=2)", lambda A: _softmax(A, 1)),
    ("logsumexp(A)", lambda A: np.log(np.exp(A).sum())),
    ("logsumexp(A, dims=2)", lambda A: np.log(np.exp(A).sum(1, keepdims=True))),
    ("logsoftmax(A)", lambda A: np.log(_softmax(A, 0))),
    ("repeat(A, 2, 3)", lambda A: np.tile(A, (2, 3))),
    ("repeat(v, inner=2, outer=3)", lambda v: np.tile(np.repeat(v, 2), 3)),
    ("circshift(v, 2)", lambda v: np.roll(v, 2)),
    ("stack([v, 2v])", lambda v: np.stack([v, 2 * v], axis=1)),
    ("[sum(r) for r in eachrow(A)]", lambda A: A.sum(1)),
    ("[maximum(c) for c in eachcol(A)]", lambda A: A.max(0)),
    ("reduce(hcat, [v, v .^ 2])", lambda v: np.stack([v, v**2], axis=1)),
    ("reduce(vcat, [A, A])", lambda A: np.vstack([A, A])),
    ("cross(v[1:3], v[4:6])", lambda v: np.cross(v[:3], v[3:6])),
    ("cov(v, v .^ 2)", lambda v: np.cov(v, v**2)[0, 1]),
    ("cor(v, v .^ 2)", lambda v: np.corrcoef(v, v**2)[0, 1]),
    ("fill!(similar(A), 2.0) + zero(A)", lambda A: np.full(A.shape, 2.0)),
    ("copyto!(similar(A), vec(A))", lambda A: A),
    ("map!(abs, similar(A), A)", np.abs),
]
DISCRETE: list[tuple[str, Callable[[Any], Any]]] = [
    ("argmax(v)", lambda v: int(np.argmax(v)) + 1),
    ("argmin(A)", lambda A: int(np.argmin(A.ravel(order="F"))) + 1),
    ("sortperm(v)", lambda v: np.argsort(v, kind="stable") + 1),
    ("findall(v .> 0)", lambda v: np.flatnonzero(v > 0) + 1),
    ("findfirst(x -> x > 0, v)", lambda v: int(np.flatnonzero(v > 0)[0]) + 1),
    ("findlast(>(0), v)", lambda v: int(np.flatnonzero(v > 0)[-1]) + 1),
    ("searchsortedfirst(sort(v), 0.1)", lambda v: int(np.searchsorted(np.sort(v), 0.1)) + 1),
    ("searchsortedlast(sort(v), 0.1)", lambda v: int(np.searchsorted(np.sort(v), 0.1, side="right"))),
    ("count(A .> 0, dims=1)", lambda A: (A > 0).sum(0, keepdims=True)),
    ("any(x -> x > 1, A, dims=2)", lambda A: (A > 1).any(1, keepdims=True)),
    ("all(A .< 1, dims=1)", lambda A: (A < 1).all(0, keepdims=True)),
    ("size(T)", lambda T: T.shape),
    ("findmax(v)", lambda v: (v.max(), int(np.argmax(v)) + 1)),
    ("(issorted(v), issorted(sort(v)), allunique(v))", lambda v: (False, True, True)),
]


def variable(expression: str) -> str:
    """Which of the arrays an expression is about."""
    return next(name for name in OF if any(part == name for part in _words(expression)))


def _words(text: str) -> list[str]:
    out = "".join(c if c.isalnum() or c == "_" else " " for c in text)
    return [w.lstrip("0123456789") for w in out.split()]


@cache
def module(expression: str, mode: str) -> Any:
    """The functions of the cube at O3: the bits are the same at each level."""
    x = variable(expression)
    level = 3 if x == "T" else 0
    return dsl.loads(f"f({x}) = {expression}\nloss({x}, w) = sum(f({x}) .* w)", mode=mode, opt_level=level)


@pytest.mark.parametrize(("expression", "numpy"), VALUES + DISCRETE, ids=[e for e, _ in VALUES + DISCRETE])
def test_value(expression: str, numpy: Callable[[Any], Any]) -> None:
    x = OF[variable(expression)]
    expected = numpy(x)
    for given in layouts(x).values():
        before = given.copy()
        actual = module(expression, "auto").f(given)
        np.testing.assert_array_equal(given, before)
        assert np.shape(actual) == np.shape(expected)
        np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("mode", "layout"), [("forward", "C"), ("reverse", "F"), ("reverse", "S")])
@pytest.mark.parametrize(("expression", "numpy"), VALUES, ids=[e for e, _ in VALUES])
def test_gradient(expression: str, numpy: Callable[[Any], Any], mode: str, layout: str) -> None:
    """The gradient of a weighted sum of the elements, of NumPy's function by differences."""
    x = OF[variable(expression)].copy()
    shape = np.shape(numpy(x))
    weights = np.sin(1.0 + np.arange(max(1, int(np.prod(shape)))).reshape(shape, order="F"))

    def loss(y: np.ndarray) -> float:
        return float(np.sum(numpy(y) * weights))

    expected, h = np.zeros(x.shape), 1e-5
    for at in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[at] += h
        down[at] -= h
        expected[at] = (loss(up) - loss(down)) / (2 * h)
    m = module(expression, mode)
    gradient = dsl.gradient(m.loss, layouts(x)[layout], weights if shape else float(weights))[0]
    if gradient is None:  # it does not depend on the elements
        assert not expected.any()
    else:
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


def test_a_row_leaves_the_layout_to_the_matrices() -> None:
    """A bias that is added to a matrix that lies row by row: so does the sum, however it is written."""
    m = dsl.loads("plain(A, b) = A .+ b'\nmixed(A, b, B) = A .+ b' .+ B")
    rows, columns, b = np.ones((3, 2)), np.asfortranarray(np.ones((3, 2))), np.array([1.0, 2.0])
    assert m.plain(rows, b).flags.c_contiguous and m.plain(columns, b).flags.f_contiguous
    assert m.mixed(rows, b, rows).flags.c_contiguous and m.mixed(rows, b, columns).flags.f_contiguous


@pytest.mark.parametrize(
    "items",
    ["[sum(P) for P in p]", "map(sum, p)", "map(P -> sum(P), p)", "[sum(p[i]) for i in 1:length(p)]", "sum.(p)"],
)
def test_items_of_a_vector_that_comes_out_of_an_arm(items: str) -> None:
    """What such a vector holds is known when the arms have been joined only."""
    module = dsl.loads(f"function f(A)\n  p = size(A, 1) == 2 ? [A] : [A, 2A]\n  {items}\nend")
    assert list(module.f(np.array([[1.0, 2.0], [3.0, 4.0]]))) == [10.0]
    assert list(module.f(np.array([[1.0, 2.0, 3.0]]))) == [6.0, 12.0]
