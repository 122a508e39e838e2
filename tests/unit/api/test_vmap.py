"""A function at many points: the bits are those of calls one by one, whatever the shapes, the threads and the order."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dsl
from dsl import points

MODEL = """
struct Pair
  a
  b
end
scale = 2.0
wave(x, y) = sin(x) * y + tanh(x * y)
count(n) = n % 3
positive(x) = x > 0
root3(x) = exp(log(x) / 3)
norm2(v, a) = a * sum(v .^ 2)
both(v, a) = (sum(v), a * v, (v[1] > 0, a))
both3(v) = [v[1] * v[2], v[2] * v[3]]
twice(A) = scale * A
pair(x) = Pair(x, 2x)
named(x) = (a=x, b=2x)
mixed(p, q) = p[1] * q + sum(p[2])
grow(n) = [1.0 for i in 1:n]
root(x) = sqrt(x)
first!(v, x) = (v[1] = x; 2x)
function orbit(x, a, n)
  z = x
  for k in 1:n
    z = z > 0.5 ? a * z * (1 - z) : z + 0.1sin(z)
  end
  z
end
"""


@pytest.fixture(scope="module")
def m() -> Any:
    return dsl.loads(MODEL)


X = np.linspace(-1.0, 2.0, 37)
V = np.sin(np.arange(111.0)).reshape(37, 3)
A = np.cos(np.arange(444.0)).reshape(37, 3, 4)


def one_by_one(f: Callable[..., Any], *points: Any) -> Any:
    """The results of calls, stacked."""

    def stacked(results: list[Any]) -> Any:
        if isinstance(results[0], tuple):
            return tuple(stacked(list(r)) for r in zip(*results, strict=True))
        return np.stack([np.asarray(r) for r in results])

    return stacked([f(*p) for p in zip(*points, strict=True)])


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert isinstance(found, tuple) and len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            same(f, e)
    else:
        assert found.dtype == expected.dtype and found.shape == expected.shape
        assert np.array_equal(found, expected)


def test_numbers(m: Any) -> None:
    same(dsl.vmap(m.wave)(X, 2 * X), one_by_one(m.wave, X.tolist(), (2 * X).tolist()))
    same(dsl.vmap(m.count)(np.arange(9)), np.arange(9) % 3)
    same(dsl.vmap(m.positive)(X), X > 0)


def test_exponentials_are_those_of_loops(m: Any) -> None:
    """Another one than that of a single call: both are within a unit in the last place."""
    np.testing.assert_allclose(dsl.vmap(m.root3)(X + 2), np.cbrt(X + 2), rtol=2e-15)


def test_what_is_the_same_at_all_points(m: Any) -> None:
    same(dsl.vmap(m.wave, (0, None))(X, 3.0), one_by_one(lambda x: m.wave(x, 3.0), X.tolist()))
    same(dsl.vmap(m.norm2, (None, 0))(V[0], X), one_by_one(lambda a: m.norm2(V[0], a), X.tolist()))


def test_rows_columns_and_slabs(m: Any) -> None:
    expected = one_by_one(lambda v: m.norm2(v, 0.5), V)
    same(dsl.vmap(m.norm2, (0, None))(V, 0.5), expected)
    for axis in (1, -1):
        same(dsl.vmap(m.norm2, (axis, None))(V.T, 0.5), expected)
        same(dsl.vmap(m.norm2, (axis, None))(np.ascontiguousarray(V.T), 0.5), expected)
    same(dsl.vmap(m.twice)(A), 2 * A)
    same(dsl.vmap(m.twice, 1)(A), np.moveaxis(2 * A, 1, 0))
    same(dsl.vmap(m.twice, -1)(A), np.moveaxis(2 * A, 2, 0))


def test_tuples_of_results_and_of_arguments(m: Any) -> None:
    same(dsl.vmap(m.both)(V, X), one_by_one(m.both, V, X.tolist()))
    same(dsl.vmap(m.mixed, (0, None))((X, V), 2.0), one_by_one(lambda x, v: m.mixed((x, v), 2.0), X.tolist(), V))


def test_structs_are_a_list(m: Any) -> None:
    found = dsl.vmap(m.pair)(X[:3])
    assert [(p.a, p.b) for p in found] == [(x, 2 * x) for x in X[:3]]
    assert [r.b for r in dsl.vmap(m.named)(X[:3])] == [2 * x for x in X[:3]]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_derivatives_at_points(m: Any, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "ENOUGH", 1e-9)
    for f, axes, args in (
        (dsl.grad(m.wave), 0, (X, 2 * X)),
        (dsl.value_and_grad(m.norm2, (0, 1)), 0, (V, X)),
        (dsl.grad(dsl.grad(m.orbit, 1), 1), (0, None, None), (X, 3.1, 7)),
        (dsl.grad(m.orbit), (0, None, None), (X, 3.1, 7)),
        (dsl.jacobian(m.both3), 0, (V,)),
    ):
        along = axes if isinstance(axes, tuple) else (axes,) * len(args)
        at = [list(a) if k == 0 else [a] * len(args[0]) for a, k in zip(args, along, strict=True)]
        at = [[x.item() if np.ndim(x) == 0 and hasattr(x, "item") else x for x in values] for values in at]
        mapped = dsl.vmap(f, axes, threads=threads)
        for _ in range(3):
            same(mapped(*args), one_by_one(f, *at))


def test_it_is_a_function_as_any_other(m: Any) -> None:
    """Differentiated, nested, listed, pickled, and with `out`."""
    diagonal = dsl.jacobian(dsl.vmap(m.wave, (0, None)))(X, 3.0)
    same(np.diag(np.diag(diagonal)), diagonal)
    np.testing.assert_allclose(np.diag(diagonal), dsl.vmap(dsl.grad(m.wave), (0, None))(X, 3.0), rtol=1e-14)
    table = dsl.vmap(dsl.vmap(m.wave, (None, 0)), (0, None))(X, V[0])
    same(table, np.array([[m.wave(x, y) for y in V[0].tolist()] for x in X.tolist()]))
    assert "for" in dsl.vmap(m.wave).code_typed(X, X)
    out = np.empty_like(X)
    assert dsl.vmap(m.wave)(X, X, out=out) is out
    same(out, dsl.vmap(m.wave)(X, X))
    for threads in (1, 2):
        again = pickle.loads(pickle.dumps(dsl.vmap(m.wave, threads=threads)))
        same(again(X, X), out)


def test_no_points(m: Any) -> None:
    empty = np.empty(0)
    same(dsl.vmap(m.wave)(empty, empty), empty)
    same(dsl.vmap(m.wave, threads=2)(empty, empty), empty)
    with pytest.raises(dsl.DslError, match="their shape is not known"):
        dsl.vmap(m.twice)(np.empty((0, 2)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("name", "axes", "args", "code", "message"),
    [
        ("norm2", 2, (V, X), "E0409", "axis 2 of an array that has 2"),
        ("norm2", (-3, None), (V, 1.0), "E0409", "axis -3"),
        ("norm2", 0, (V, X[:5]), "E0412", "5 and 37"),
        ("norm2", 0, (V, 1.0), "E0409", "in_axes is None for others"),
        ("norm2", (0,), (V, 1.0), "E0409", "in_axes is for 1 arguments, not for 2"),
        ("norm2", (None, None), (V[0], 1.0), "E0409", "an argument with an axis"),
        ("norm2", 0, (), "E0301", "no method matching norm2()"),
        ("twice", 0, (np.zeros((2, 2, 2, 2)),), "E0409", "at most 3 dimensions"),
        ("grow", 0, (np.array([2, 3]),), "E0412", ""),
        ("root", 0, (np.array([4.0, -1.0, -2.0]),), "E0401", "-1"),
    ],
)  # fmt: skip
def test_errors(m: Any, name: str, axes: Any, args: Any, code: str, message: str, threads: int) -> None:
    with pytest.raises(dsl.DslError) as caught:
        dsl.vmap(m[name], axes, threads=threads)(*args)
    assert caught.value.code == code and message in str(caught.value)


@pytest.mark.parametrize("axes", [1.5, "0", [0, 1], (), (0, "x"), True, None, (True,)])
def test_axes_that_are_none(m: Any, axes: Any) -> None:
    with pytest.raises(dsl.DslError, match="in_axes"):
        dsl.vmap(m.wave, axes)


@pytest.mark.parametrize("threads", [0, -1, 1.0, "2", True, None])
def test_threads_that_are_none(m: Any, threads: Any) -> None:
    with pytest.raises(dsl.DslError, match="threads"):
        dsl.vmap(m.wave, threads=threads)


def test_the_points_are_shared(m: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second call on, and where there is enough to do: each thread has points that lie beside each other."""
    monkeypatch.setattr(points, "ENOUGH", 1e-12)
    cut: list[tuple[int, int]] = []

    def noted(x: Any, axis: Any, first: int, last: int, cut_: Any = points._cut) -> Any:
        cut.append((first, last))
        return cut_(x, axis, first, last)

    monkeypatch.setattr(points, "_cut", noted)
    mapped = dsl.vmap(m.positive, threads=3)
    mapped(X)
    assert cut == []
    same(mapped(X), X > 0)
    assert sorted(cut) == [(0, 12), (12, 24), (24, 37)]
    monkeypatch.setattr(points, "ENOUGH", 1e9)
    same(mapped(X), X > 0)
    assert len(cut) == 3


def test_the_first_error_is_told_with_threads_too(m: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "ENOUGH", 1e-12)
    mapped = dsl.vmap(m.root, threads=3)
    mapped(np.ones(9))
    with pytest.raises(dsl.DslError, match="-5"):
        mapped(np.array([1.0, 1.0, 1.0, 1.0, -5.0, 1.0, 1.0, -6.0, 1.0]))
    same(mapped(np.full(9, 4.0)), np.full(9, 2.0))


def test_what_writes_to_its_arguments_is_done_by_one_thread(m: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "ENOUGH", 1e-12)
    mapped = dsl.vmap(m["first!"], (None, 0), threads=3)
    for _ in range(3):
        v = np.zeros(2)
        same(mapped(v, X), 2 * X)
        assert v.tolist() == [X[-1], 0.0]
