"""Values, first and second derivatives of every function of floats, against 50-digit arithmetic."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from mpmath import mp, mpf
from primitive_oracle import MP, derivatives
from primitive_samples import inside

from dsl.ad.rules import contribution
from dsl.ir.core import Region, Value
from dsl.ops import PRIMITIVES, Builder, evaluate
from dsl.types import F32, F64, LeafType

FUNCTIONS = [
    (p.name, types)
    for p in PRIMITIVES.values()
    for types, result in p.signatures
    if p.name in MP and F64 in types and result == F64
]
IDS = [name for name, _ in FUNCTIONS]
NARROW = [(p.name, o) for p in PRIMITIVES.values() for o, r in p.signatures if p.name in MP and r == F32 and F32 in o]


def exact(values: list[Any]) -> list[Any]:
    return [mpf(v) if isinstance(v, float) else v for v in values]


def close(got: float, expected: Any, tolerance: float, scale: Any = 0) -> bool:
    return abs(got - expected) <= tolerance * max(abs(expected), abs(scale))


@pytest.mark.parametrize(("name", "types"), FUNCTIONS, ids=IDS)
def test_value(name: str, types: tuple[LeafType, ...]) -> None:
    # A rounding of an operand moves a result by at most its derivative times the operand: that is the scale, where
    # the result is small beside it (near a zero of the function).
    for values in inside(name, types, 25):
        expected = MP[name](*exact(values))
        assert close(evaluate(name, types, values), expected, 4e-15, 1), (values, expected)


@pytest.mark.parametrize(("name", "types"), NARROW, ids=[n for n, _ in NARROW])
def test_value_in_single_precision(name: str, types: tuple[LeafType, ...]) -> None:
    for values in inside(name, types, 25):
        expected = MP[name](*exact(values))
        assert close(evaluate(name, types, values), expected, 2e-6, 1), (values, expected)


def partial(name: str, values: list[Any], order: tuple[int, ...]) -> Any:
    """By 50-digit differences; operands that are not real are held fixed."""
    counts = [order.count(k) for k in range(len(values))]
    real = [k for k, v in enumerate(values) if isinstance(v, float)]

    def f(*moving: Any) -> Any:
        operands = list(values)
        for k, x in zip(real, moving, strict=True):
            operands[k] = x
        return MP[name](*operands)

    point = tuple(mpf(values[k]) for k in real)
    if len(real) == 1:
        return mp.diff(f, point[0], counts[real[0]])
    return mp.diff(f, point, tuple(counts[k] for k in real))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(("name", "types"), FUNCTIONS, ids=IDS)
def test_derivative(name: str, types: tuple[LeafType, ...], n: int) -> None:
    real = [k for k, t in enumerate(types) if t == F64]
    for values in inside(name, types, 6):
        for order in itertools.product(real, repeat=n):
            expected = partial(name, values, order)
            got = derivatives(name, types, values, *order)
            assert close(got, expected, 2e-12, 1e-1), f"{name}{tuple(values)} by {order}: {got}, {expected}"


@pytest.mark.parametrize("name", ["sin", "sinc", "digamma", "trigamma", "tanh", "sinpi", "softplus", "erf", "besselj0"])
def test_fourth_derivative(name: str) -> None:
    for values in inside(name, (F64,), 4):
        expected = mp.diff(MP[name], mpf(values[0]), 4)
        assert close(derivatives(name, (F64,), values, 0, 0, 0, 0), expected, 1e-8, 1), (values, expected)


@pytest.mark.parametrize(("name", "types"), NARROW, ids=[n for n, _ in NARROW])
def test_derivative_in_single_precision(name: str, types: tuple[LeafType, ...]) -> None:
    for values in inside(name, types, 6):
        for k in [k for k, t in enumerate(types) if t == F32]:
            expected = partial(name, values, (k,))
            assert close(derivatives(name, types, values, k), expected, 1e-5, 1e-1), (values, k, expected)


@pytest.mark.parametrize(
    ("divisor", "type", "taken"),
    [(3.0, F64, "mul"), (-1e200, F64, "mul"), (3.0, F32, "div"), (None, F64, "div"), (0.0, F64, "div"),
     (1e-305, F64, "div"), (mp.inf, F64, "div")],
)  # fmt: skip
def test_derivatives_of_quotients_by_known_numbers_are_products(
    divisor: float | None, type: LeafType, taken: str
) -> None:
    """Unless there is no inverse with all digits."""
    b = Builder(Region())
    y = Value(type) if divisor is None else b.const(float(divisor), type)
    contribution(b, "div", 0, Value(type), [Value(type), y], Value(type), type, False)
    assert b.region.ops[-1].name == taken
