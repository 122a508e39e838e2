"""The benchmark of calls from Python: what it compares gives the same numbers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from benching import calling  # noqa: E402


def flat(value: Any) -> list[float]:
    if isinstance(value, tuple):
        return [x for item in value for x in flat(item)]
    return np.ravel(value).tolist()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_extension_gives_the_same_numbers() -> None:
    ours, theirs = calling.of_dfl(np.empty(10)), calling.of_c(np.empty(10))
    assert {name.removesuffix("_object") for name in theirs} == set(ours)
    assert sorted(ours) == sorted(calling.ROWS.values()) == sorted(calling.LIMITS)
    for name, (fn, args, keywords) in theirs.items():
        mine, its_args, its_keywords = ours[name.removesuffix("_object")]
        found = [flat(mine(*its_args, **its_keywords)) for _ in range(4)]
        assert found == [pytest.approx(flat(fn(*args, **keywords)), rel=1e-13)] * 4, name


def test_times_are_those_of_a_call() -> None:
    calls = 0

    def counted(x: float, *, k: int) -> None:
        nonlocal calls
        calls += 1

    assert calling.nanoseconds(counted, (1.0,), {"k": 2}, seconds=0.002) > 0.0
    assert calls > 100
