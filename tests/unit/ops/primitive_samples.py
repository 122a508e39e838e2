"""Operands for tests that walk the whole primitive table."""

from __future__ import annotations

import itertools
import math
import random
import zlib
from collections.abc import Iterator
from typing import Any

from dsl.ops import PRIMITIVES
from dsl.types import BOOL, F32, F64, I64, LeafType, round_to_f32

TINY = 5e-324
EDGES: dict[LeafType, list[Any]] = {
    F64: [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.0, 1e-310, 1e300, -1e300, math.inf, -math.inf, math.nan, 2.0**63, 1e17],
    F32: [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.0, 2.0**-140, 2.0**100, math.inf, -math.inf, math.nan],
    I64: [0, 1, -1, 2, 3, -7, 63, 64, -64, 2**62, 2**63 - 1, -(2**63), 16777217],
    BOOL: [False, True],
}  # fmt: skip
CASES = [(name, types) for name, p in PRIMITIVES.items() for types, _ in p.signatures]
CASE_IDS = [f"{name}-{'-'.join(map(str, types))}" for name, types in CASES]


def inside(name: str, types: tuple[LeafType, ...], count: int) -> Iterator[list[Any]]:
    """Random operands from a primitive's sample ranges; the same ones every time."""
    rng = random.Random(zlib.crc32(name.encode()))
    for _ in range(count):
        yield [_draw(rng, t, *bounds) for t, bounds in zip(types, PRIMITIVES[name].sample, strict=True)]


def _draw(rng: random.Random, t: LeafType, lo: float, hi: float) -> Any:
    if t == BOOL:
        return rng.random() < 0.5
    if t == I64:
        return rng.randint(math.ceil(lo), math.floor(hi))
    x = rng.uniform(lo, hi)
    return round_to_f32(x) if t == F32 else x


def edges(types: tuple[LeafType, ...], limit: int = 400) -> list[tuple[Any, ...]]:
    """Combinations of special values, thinned out evenly where there are many."""
    everything = list(itertools.product(*(EDGES[t] for t in types)))
    return everything[:: max(1, len(everything) // limit)]
