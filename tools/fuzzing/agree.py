"""When results agree: bit for bit, within rounding, with central differences."""

from __future__ import annotations

import math
import struct
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

POINTS = ((0.37, -0.82, 3), (-1.13, 0.59, 6))


@dataclass(frozen=True)
class Failure:
    """`kind` and `what` say what went wrong; a reduction keeps them. `detail` is for people."""

    kind: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}\n{self.detail}".rstrip()


class Disagreement(Exception):
    def __init__(self, kind: str, what: str, detail: str = "") -> None:
        super().__init__(kind)
        self.failure = Failure(kind, what, detail)


def same_bits(what: str, found: dict[str, Any], point: object) -> None:
    first, *others = found
    for other in others:
        if bits(found[first]) != bits(found[other]):
            raise Disagreement(
                "bits", f"{what}: {first} and {other}", f"{found[first]!r}\n{found[other]!r}\nat {point}"
            )


def bits(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(bits(v) for v in value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("d", value)
    return value


def close(
    what: str,
    forward: Any,
    reverse: Any,
    again: Callable[[Sequence[Any]], Any],
    point: tuple[float, ...],
    rel: float = 1e-10,
) -> None:
    """Within rounding: what the forward derivative itself moves by when the point does, is allowed a thousandfold."""
    detail = f"forward {forward!r}\nreverse {reverse!r}\nat {point}"
    if [e is None for e in forward] != [e is None for e in reverse]:
        raise Disagreement("nothing", what, detail)
    for k, (a, b) in enumerate(zip(forward, reverse, strict=True)):
        if a is None or _near(a, b, rel):
            continue
        nearby = (again([*(x * (1 + s * 2**-46) for x in point[:2]), *point[2:]])[k] for s in (1, -1, 3))
        spread = max(abs(n - a) for n in nearby)
        if not abs(a - b) <= 1e3 * spread:
            raise Disagreement("forward and reverse", what, detail)


def _near(a: float, b: float, rel: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= rel * max(1.0, abs(a), abs(b))


def compare_with_differences(f: Callable[..., float], entry: float | None, point: tuple[float, ...], k: int) -> None:
    """Central differences at two steps; where they, or the two sides, disagree there is a kink or a jump nearby."""

    def at(h: float) -> float:
        moved = list(point)
        moved[k] += h
        return f(*moved)

    derivative = 0.0 if entry is None else entry
    here = f(*point)
    estimates = []
    for h in (1e-5, 3e-6):
        right, left = at(h), at(-h)
        centre = (right - left) / (2 * h)
        sides = (right - here) / h, (here - left) / h
        if not abs(sides[0] - sides[1]) <= 0.02 * (1 + abs(centre)):
            return
        estimates.append(centre)
    if not abs(estimates[0] - estimates[1]) <= 1e-4 * (1 + abs(estimates[0])):
        return
    if not abs(derivative - estimates[1]) <= 1e-3 * (1 + abs(estimates[1])):
        raise Disagreement(
            "differences", f"argument {k + 1}", f"derivative {entry!r}\ndifferences {estimates}\nat {point}"
        )


def internal_error(e: Exception) -> Failure:
    where = traceback.extract_tb(e.__traceback__)[-1]
    place = f"{where.filename.rpartition('/')[2]}:{where.name}"
    return Failure("internal error", f"{type(e).__name__} in {place}", traceback.format_exc(limit=-8))
