"""Native code gives the bits of the interpreter, at the lowest and the highest optimisation level."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from dsl.interp import run
from dsl.ir.core import Function, Program, Region
from dsl.ir.verifier import verify
from dsl.ops import PRIMITIVES, Builder
from dsl.runtime.engine import compile_unit
from dsl.types import BOOL, F32, F64, I64
from tests.unit.backend.random_programs import random_program


def bits(values: list[Any]) -> list[Any]:
    """Floats by their bits; NaNs are one value."""
    return ["NaN" if v != v else struct.pack("d", v) if isinstance(v, float) else v for v in values]


@pytest.mark.parametrize("level", [0, 3])
def test_every_primitive(level: int) -> None:
    """One function with all primitives, on ordinary and on extreme operands."""
    kinds = {F64: "abc", F32: "abc", I64: "abc", BOOL: "abc"}
    fn = Function("f", Region([t for t in kinds for _ in range(3)]), ())
    operands = {t: fn.params[3 * k : 3 * k + 3] for k, t in enumerate(kinds)}
    b = Builder(fn.body)
    made = [
        (p.name, b.prim(p.name, *(operands[t][k] for k, t in enumerate(signature))))
        for p in PRIMITIVES.values()
        for signature, _ in p.signatures
    ]
    b.return_(*(v for _, v in made))
    fn.results = tuple(v.type for _, v in made)
    program = Program()
    program.add(fn)
    unit = compile_unit(program, "f", level)
    big, small, lowest = 1.7e308, 5e-324, -(1 << 63)
    rows = [
        ((0.3, 0.7, 1.9), (2, 3, 4)), ((-0.4, 2.5, -3.5), (-7, 2, 1)), ((2.0, -3.0, 0.5), (0, 5, -1)),
        ((0.0, -0.0, 1.0), (1, 0, 0)), ((float("inf"), 2.0, -float("inf")), (lowest, -1, 3)),
        ((float("nan"), 1.0, 2.0), (-1, lowest, 9)), ((big, big, -big), (lowest, lowest, 2)),
        ((small, -small, big), (1 << 62, 1 << 62, 64)), ((-7.0, 3.0, 1e9), (13, -4, 200)),
        ((1e6, 20.5, 0.1), (-9, -2, -3)),
    ]  # fmt: skip
    for floats, integers in rows:
        f32s = [struct.unpack("f", struct.pack("f", x))[0] if abs(x) < 1e38 else x / 1e300 for x in floats]
        f32s = [struct.unpack("f", struct.pack("f", x))[0] for x in f32s]
        args = [*floats, *f32s, *integers, integers[0] > 0, integers[1] > 0, True]
        expected, got = bits(run(program, "f", args)), bits(unit.call(args))
        assert [n for (n, _), e, g in zip(made, expected, got, strict=True) if e != g] == []


@pytest.mark.parametrize("block", range(4))
def test_random_programs(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        program, root, cases = random_program(seed)
        verify(program)
        units = [compile_unit(program, root, level) for level in (0, 3)]
        for args in cases:
            expected = bits(run(program, root, args))
            for unit in units:
                assert bits(unit.call(args)) == expected, f"seed {seed}, level {unit.opt_level}, {args}"
