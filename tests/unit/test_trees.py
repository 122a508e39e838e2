"""Values of Python as trees of numbers."""

from __future__ import annotations

import pytest

from dsl.runtime.convert import Record
from dsl.trees import central_differences, changed, numbers, with_zeros


@pytest.mark.parametrize(
    ("value", "flat"),
    [
        (1.5, [1.5]),
        ((1, 2.0, True, None, "a"), [1, 2.0]),
        ({"a": 1.0, "b": (2.0, 3.0)}, [1.0, 2.0, 3.0]),
        (Record(("x", "y"), (1.0, (2.0,))), [1.0, 2.0]),
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
