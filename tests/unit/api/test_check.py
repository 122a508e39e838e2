"""Checking derivatives: what agrees is a table, what does not is named."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dsl
from dsl.check import STEPS, error_by_step

PROGRAM = """\
f(v, a) = a*v[1]^2*v[2] + sin(v[3])
g(v) = [v[1]*v[2], v[2]^2]
pair(p) = p[:x] * p[:y][1]
wrong(x) = x^2
@adjoint wrong(x) = wrong(x), ȳ -> (3ȳ*x,)
uses(v, n) = wrong(v[2])*n + v[1]
cube(x) = x^3
wave(x) = 5*sin(x)
"""


@pytest.fixture(scope="module")
def m() -> dsl.Module:
    return dsl.loads(PROGRAM, opt_level=0)


def test_what_agrees_is_a_table(m: dsl.Module) -> None:
    v = np.array([1.0, 2.0, 3.0])
    report = dsl.check_grads(m.f, (v, 2.0), order=2)
    assert [e.name for e in report.entries] == ["args[0][0]", "args[0][1]", "args[0][2]", "args[1]"]
    assert report.entries[0].exact == {"forward": 8.0, "reverse": 8.0}
    assert "args[0][2]" in str(report) and "≠" not in str(report)
    assert len(report.parts) == 2
    assert v.tolist() == [1.0, 2.0, 3.0]


def test_one_mode_and_results_that_are_arrays(m: dsl.Module) -> None:
    report = dsl.check_grads(m.g, (np.array([2.0, 3.0]),), mode="forward")
    # the weights are 1, 2: v₁v₂ + 2v₂²
    assert [e.exact for e in report.entries] == [{"forward": 3.0}, {"forward": 14.0}]


def test_names_say_where_in_an_argument(m: dsl.Module) -> None:
    report = dsl.check_grads(m.pair, ({"x": 2.0, "y": (3.0, 4.0)},))
    assert [e.name for e in report.entries] == ["args[0].x", "args[0].y[0]", "args[0].y[1]"]


def test_what_disagrees_is_named(m: dsl.Module) -> None:
    with pytest.raises(AssertionError, match=r"by args\[0\]\[1\]:"):
        dsl.check_grads(m.uses, (np.array([1.0, 2.0]), 3))
    with pytest.raises(dsl.DslError):
        dsl.check_grads(m.cube, (2.0,), order=3)


def test_the_error_of_differences_is_a_v(m: dsl.Module) -> None:
    """Truncation is h²/6·f''' on one side, rounding about 1e-16/h on the other."""
    errors = dict(zip(STEPS, error_by_step(m.wave, (1.0,)), strict=True))
    exact = 5 * math.cos(1.0)
    for h in (1e-1, 1e-2, 1e-3):
        assert errors[h] == pytest.approx(exact * h * h / 6 / max(1.0, exact), rel=1e-2)
    best = min(errors, key=lambda h: errors[h] or 1.0)
    assert 1e-8 < best < 1e-3
    assert errors[1e-15] > 1e4 * errors[best]
    assert errors[1.0] > 1e4 * errors[best]
