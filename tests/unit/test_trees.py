"""Values of Python as trees of numbers."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import dsl
from dsl.runtime.convert import Record
from dsl.trees import central_differences, changed, numbers, with_zeros


@pytest.mark.parametrize(
    ("value", "flat"),
    [
        (1.5, [1.5]),
        ((1, 2.0, True, None, "a"), [1, 2.0]),
        ({"a": 1.0, "b": (2.0, 3.0)}, [1.0, 2.0, 3.0]),
        (Record(("x", "y"), (1.0, (2.0,))), [1.0, 2.0]),
        ([1.0, [2, 3.0]], [1.0, 2, 3.0]),
        (numpy.array([[1.0, 2.0], [3.0, 4.0]], order="F"), [1.0, 2.0, 3.0, 4.0]),
        ((numpy.array([1, 2]), numpy.array([True])), [1, 2]),
    ],
)
def test_numbers_in_order(value: object, flat: list[float]) -> None:
    assert numbers(value) == flat


def test_zeros_stand_for_none() -> None:
    assert with_zeros(None, 3) == 0.0
    assert with_zeros(2.5, 3) == 2.5
    assert with_zeros(None, (1.0, {"a": 2.0})) == (0.0, {"a": 0.0})
    assert with_zeros((1.5, None), (1.0, 2.0)) == (1.5, 0.0)
    assert with_zeros(None, True) is None


def test_zeros_of_a_record_are_a_record() -> None:
    filled = with_zeros(Record(("x", "y"), (1.0, None)), Record(("x", "y"), (3.0, 4.0)))
    assert isinstance(filled, Record) and (filled.x, filled.y) == (1.0, 0.0)


def test_changing_every_number() -> None:
    value = (1, {"a": 2.5}, Record(("x",), (4.0,)), "text", True)
    assert changed(value, lambda x: x * 2) == (2, {"a": 5.0}, (8.0,), "text", True)


def test_central_differences() -> None:
    def f(p: tuple[float, float], n: int, d: dict[str, float]) -> float:
        x, y = p
        return float(x * x * y + n * d["k"])

    found = central_differences(f, ((3.0, 4.0), 5, {"k": 2.0}), 1e-5)
    assert found[2] is None
    assert [found[0], found[1], found[3]] == pytest.approx([24.0, 9.0, 5.0], rel=1e-8)


def test_zeros_of_arrays() -> None:
    filled = with_zeros((None, numpy.array([5.0])), (numpy.ones((2, 3), order="F"), numpy.array([1.0])))
    assert filled[0].tolist() == [[0.0] * 3] * 2 and filled[0].flags.f_contiguous
    assert filled[1].tolist() == [5.0]
    assert with_zeros(None, numpy.array([1, 2])).dtype == numpy.float64
    assert with_zeros(None, numpy.array([1, 2], "f4")).dtype == numpy.float32
    assert with_zeros(None, numpy.array([True])) is None
    assert with_zeros(None, [1.0, 2.0]) == [0.0, 0.0]


def test_changing_every_number_of_arrays() -> None:
    array = numpy.array([[1.0, 2.0], [3.0, 4.0]], order="F")
    made = changed([array, 2.5], lambda x: x * 10)
    assert made[0].tolist() == [[10.0, 20.0], [30.0, 40.0]] and made[1] == 25.0
    assert made[0].flags.f_contiguous and array[0, 0] == 1.0


def test_central_differences_of_arrays() -> None:
    def f(A: Any, n: Any) -> float:
        return float(A[0, 0] * A[1, 1] ** 2 + n.sum() * A[0, 1])

    found = central_differences(f, (numpy.array([[2.0, 3.0], [4.0, 5.0]]), numpy.array([1, 2])), 1e-5)
    assert found[:4] == pytest.approx([25.0, 3.0, 0.0, 20.0], rel=1e-8)
    assert found[4:] == [None, None]


PROGRAM = """
quadratic(v) = v[1]^2 * v[2] + sin(v[2])
function wrong(v)
    stop_gradient(v[1]) * v[2]
end
"""


def test_gradients_of_arrays_are_checked() -> None:
    m = dsl.loads(PROGRAM)
    dsl.check_grads(m.quadratic, (numpy.array([1.5, 2.0]),), order=2)
    dsl.check_grads(m.quadratic, ([1.5, 2.0],))
    with pytest.raises(AssertionError, match=r"args\[0\]\[0\]"):
        dsl.check_grads(m.wrong, (numpy.array([1.5, 2.0]),))


def test_zeros_in_place_of_none() -> None:
    m = dsl.loads("f(v, w, p) = v[1]")
    v, w, p = dsl.gradient(m.f, numpy.ones(2), numpy.ones(3), [(1.0, 2.0)], zeros=True)
    assert (v.tolist(), w.tolist(), p) == ([1.0, 0.0], [0.0] * 3, [(0.0, 0.0)])
