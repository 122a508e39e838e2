"""Each case of `cases.json` that `left_out.json` does not name, in every way that a program can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import dsl
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate

HERE = Path(__file__).parent
CASES: dict[str, dict[str, Any]] = {c["name"]: c for c in json.loads((HERE / "cases.json").read_text())}
LEFT_OUT: dict[str, str] = json.loads((HERE / "left_out.json").read_text())
RUN = [name for name in CASES if name not in LEFT_OUT]
SPECIAL = {"NaN": float("nan"), "Inf": float("inf"), "-Inf": float("-inf")}
# what a result of an integer program prints as is not told from a float by JSON alone; these kinds are always floats
FLOAT_KINDS = {"derivative", "gradient", "hessian", "jacobian"}


def decode(expected: Any, floats: bool) -> Any:
    """An expectation of the file as the Python value it stands for."""
    if isinstance(expected, list):
        return [decode(e, floats) for e in expected]
    if isinstance(expected, dict):
        return {k.removeprefix(":"): decode(v, floats) for k, v in expected.items()}
    if isinstance(expected, str):
        return SPECIAL[expected]
    if floats and isinstance(expected, int) and not isinstance(expected, bool):
        return float(expected)
    return expected


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)
def test_case(name: str, way: Way) -> None:
    case = CASES[name]
    program, call = case["program"], case["call"]
    if case["kind"] == "error":
        with pytest.raises(dsl.DslError) as caught:
            evaluate(program, call, way)
        assert caught.value.kind == case["expected"]["error"]
        return
    accepted = [case["expected"], *case.get("also_accept", [])]
    actual = evaluate(program, call, way)
    found = [
        difference(actual, decode(e, case["kind"] in FLOAT_KINDS), case["tolerance"], case.get("abs_tolerance", 1e-14))
        for e in accepted
    ]
    assert "" in found, f"{found[0]}\n{program}\n{call}"


def test_every_case_is_run_or_left_out_for_a_reason() -> None:
    assert set(LEFT_OUT) <= set(CASES)
    assert all(LEFT_OUT.values())
    core = [name for name in RUN if CASES[name]["tier"] <= 2]
    assert len(CASES) == 211
    assert len(core) >= 139
