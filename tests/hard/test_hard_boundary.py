"""Arrays that Python hands over or gets back, where they are no ordinary ones: elements that share places, sizes that
no memory has, memory that cannot be changed."""

from __future__ import annotations

import gc
from typing import Any

import numpy
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import dsl

PROGRAM = """
squares(A) = sum(A .* A)
add!(A) = (A .+= 1; A)
scale(v, s) = v .* s
counted(n) = [Float64(i) for i in 1:n]
same(A) = A
put(n) = (A = zeros(n, n); A[5, 5] = 1.0; A[5, 5])
table(m, n) = zeros(m, n)
steps(n) = range(1, 2, length=n)
"""


@pytest.fixture(scope="module")
def module() -> Any:
    return dsl.loads(PROGRAM)


SHARED = {
    "rows": numpy.broadcast_to(numpy.arange(3.0), (4, 3)),
    "columns": numpy.broadcast_to(numpy.arange(4.0)[:, None], (4, 3)),
    "one": numpy.broadcast_to(2.0, (5,)),
    "windows": sliding_window_view(numpy.arange(6.0), 3),
    "windows turned": sliding_window_view(numpy.arange(6.0), 3)[::-1, ::2],
}


@pytest.mark.parametrize("name", SHARED)
def test_elements_that_share_places_have_gradients_of_their_own(module: Any, name: str) -> None:
    x = SHARED[name]
    assert module.squares(x) == (x * x).sum()
    for mode in ("forward", "reverse"):
        m = dsl.loads(PROGRAM, mode=mode)
        (g,) = dsl.gradient(m.squares, x)
        numpy.testing.assert_array_equal(g, 2 * x)


def test_elements_that_share_places_cannot_be_changed(module: Any) -> None:
    base = numpy.zeros(3)
    with pytest.raises(dsl.DslError, match="share places") as e:
        getattr(module, "add!")(as_strided(base, (4, 3), (0, 8)))
    assert e.value.code == "E0604"
    assert not base.any()


def test_interleaved_elements_are_changed_where_they_lie(module: Any) -> None:
    base = numpy.zeros(12)
    getattr(module, "add!")(as_strided(base, (3, 2), (32, 16)))  # every second one, without overlap
    assert base.tolist() == [1.0, 0.0] * 6


@pytest.mark.parametrize("n", [2**31, 2**32, 2**40, 2**62])
def test_a_number_of_elements_that_wraps_around(module: Any, n: int) -> None:
    """2^32 times 2^32 is 0 in Int64: the indices would be right, and the memory empty."""
    with pytest.raises(dsl.DslError, match="not enough memory") as e:
        module.put(n)
    assert e.value.code == "E0411"
    assert e.value.span is not None


def test_empty_arrays_of_sizes_that_numpy_refuses(module: Any) -> None:
    assert module.table(0, 7).shape == (0, 7)
    with pytest.raises(dsl.DslError, match="not enough memory"):
        module.table(0, 2**62)


def test_a_range_too_long_for_a_list(module: Any) -> None:
    assert module.steps(3) == [1.0, 1.5, 2.0]
    with pytest.raises(dsl.DslError, match="not enough memory"):
        module.steps(10**13)


def test_elements_of_integers_and_of_imaginary_units(module: Any) -> None:
    assert module.eval("[1 im]") == [[1 + 0j, 1j]]
    assert module.eval("[im, 2im]") == [1j, 2j]
    assert module.eval("tr([1 im; 3 4im])") == 1 + 4j


@pytest.mark.parametrize(("text", "value"), [
    ("norm([NaN, 1.0], Inf)", numpy.nan), ("norm([1.0, NaN, 0.5], -Inf)", numpy.nan),
    ("logdet([NaN 1.0; 1.0 2.0])", numpy.nan), ("tr(zeros(0, 0))", 0.0), ("tr(zeros(Int, 0, 0))", 0),
])  # fmt: skip
def test_matrices_without_numbers(module: Any, text: str, value: float) -> None:
    numpy.testing.assert_equal(module.eval(text), value)


def test_columns_of_different_lengths_are_not_stacked(module: Any) -> None:
    with pytest.raises(dsl.DslError, match="sizes") as e:
        module.eval("stack([[1], [2, 3]])")
    assert e.value.code == "E0412"


def test_an_array_too_large_to_copy(module: Any) -> None:
    huge = as_strided(numpy.ones(1), (2**44,), (0,))
    with pytest.raises(dsl.DslError, match="not enough memory") as e:
        module.squares(huge)
    assert "argument 1" in e.value.message


@pytest.mark.parametrize("n", [3, 200_000])
def test_results_that_are_kept_stay_as_they_were(module: Any, n: int) -> None:
    kept = []
    for k in range(40):
        v = module.counted(n)
        kept.append((k, v, module.scale(v, float(k)), v[n // 2 :]))
        if k % 3 == 0:
            del kept[k // 2]
            gc.collect()
    for k, v, w, part in kept:
        assert (v[0], v[-1], w[0], w[-1], part[-1]) == (1.0, n, k, float(n * k), n)


def test_a_list_that_contains_itself(module: Any) -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(dsl.DslError, match="nested") as e:
        module.same(knot)
    assert e.value.code == "E0602"
