"""Comparing a Python result with an expectation, field by field.

Numbers agree within a relative tolerance or an absolute one; an Int64 and a Float64 are different answers, and so are
`None` and 0.0. An ndarray is a list of its elements. A record (named tuple, struct) and a dict are compared by keys;
a symbol key of a dict is a plain `str`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def difference(actual: Any, expected: Any, rel: float = 1e-12, abs_: float = 1e-14, where: str = "") -> str:
    """ "" where they agree, else one line that says where and how they differ."""
    if isinstance(actual, np.ndarray) and isinstance(expected, list):
        actual = actual.tolist()
    if isinstance(expected, dict):
        fields = _fields(actual)
        if fields is None or set(fields) != set(expected):
            return f"{where or 'result'}: {actual!r} is no record of {sorted(expected)}"
        pairs = [(fields[k], expected[k], f"{where}.{k}") for k in expected]
    elif isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            return f"{where or 'result'}: {actual!r} is no list of {len(expected)}"
        pairs = [(a, e, f"{where}[{i}]") for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        return "" if _same(actual, expected, rel, abs_) else f"{where or 'result'}: {actual!r} is not {expected!r}"
    return next((d for a, e, w in pairs if (d := difference(a, e, rel, abs_, w))), "")


def _fields(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return {str(k): v for k, v in value.items()}
    as_dict = getattr(value, "_asdict", None)
    return dict(as_dict()) if as_dict else None


def _same(actual: Any, expected: Any, rel: float, abs_: float) -> bool:
    if expected is None or isinstance(expected, bool | str):
        return type(actual) is type(expected) and bool(actual == expected)
    if isinstance(actual, bool) or not isinstance(actual, int if isinstance(expected, int) else float):
        return False
    if math.isnan(expected):
        return math.isnan(actual)
    if math.isinf(expected) or isinstance(expected, int):
        return bool(actual == expected)
    return math.isfinite(actual) and abs(actual - expected) <= max(rel * abs(expected), abs_)
