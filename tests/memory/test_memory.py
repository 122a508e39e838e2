"""The gradients of programs that share, overwrite, swap and grow memory, against differences at 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import dsl
from tests.memory.programs import PROGRAMS, Program
from tests.support.oracle import DIGITS
from tests.support.ways import WAYS, Way, load

ENGINES = tuple(w for w in WAYS if w.opt_level != 0 or w.interpreter)  # O0 is what the fuzzer and the cases look at

LAYOUTS = ("C", "F")


def flat(args: tuple[Any, ...]) -> list[float]:
    return [x for a in args for x in (np.ravel(a) if isinstance(a, list) else [a])]


def shaped(values: list[Any], args: tuple[Any, ...]) -> list[Any]:
    """Numbers in the shape of the arguments, as nested lists."""
    rest = iter(values)

    def like(a: Any) -> Any:
        return [like(x) for x in a] if isinstance(a, list) else next(rest)

    return [like(a) for a in args]


def exact(p: Program) -> list[float]:
    """The gradient of the twin by central differences."""
    point = flat(p.args)
    with mpmath.workdps(DIGITS):
        numbers = [mpmath.mpf(float(x)) for x in point]

        def along(k: int) -> float:
            def moved(t: Any) -> Any:
                return p.twin(*shaped([*numbers[:k], t, *numbers[k + 1 :]], p.args))

            return float(mpmath.diff(moved, numbers[k], h=mpmath.mpf(10) ** -25))

        return [along(k) for k in range(len(point))]


def native(args: tuple[Any, ...], layout: str) -> list[Any]:
    return [np.array(a, order=layout, dtype=float) if isinstance(a, list) else a for a in args]  # type: ignore[call-overload]


ANSWERS: dict[str, list[float]] = {}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("way", ENGINES, ids=lambda w: w.name)
def test_gradient(name: str, way: Way) -> None:
    p = PROGRAMS[name]
    want = ANSWERS.setdefault(name, exact(p))
    for layout in LAYOUTS:
        args = native(p.args, layout)
        before = [np.copy(a) for a in args]
        got = dsl.gradient(load(p.text, way).f, *args, zeros=True)
        have = [x for g, a in zip(got, args, strict=True) for x in np.ravel(g if g is not None else np.zeros_like(a))]
        np.testing.assert_allclose(have, want, rtol=1e-10, atol=1e-12)
        for a, b in zip(args, before, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", PROGRAMS)
def test_value(name: str) -> None:
    p = PROGRAMS[name]
    got = dsl.loads(p.text, opt_level=0).f(*native(p.args, "C"))
    with mpmath.workdps(DIGITS):
        want = float(p.twin(*shaped([mpmath.mpf(float(x)) for x in flat(p.args)], p.args)))
    assert got == pytest.approx(want, rel=1e-12)


def test_there_are_forty_programs() -> None:
    assert len(PROGRAMS) >= 40
