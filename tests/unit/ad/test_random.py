"""Forward and reverse mode agree on random programs with every form of control flow, memory and calls."""

from __future__ import annotations

import math
from itertools import chain

import pytest

from dsl.ad import expand
from dsl.diagnostics import DslError
from dsl.interp import run
from dsl.ir.core import Function, Program, Region
from dsl.ir.verifier import verify
from dsl.ops import Builder
from dsl.passes import pipeline
from dsl.types import F64, LeafType, is_ref
from tests.unit.passes.random_ir import random_program


def with_gradients(seed: int, order: int) -> tuple[Program, str]:
    """A random program and the gradient of the sum of its results, `order` times over."""
    program, name = random_program(seed), "main"
    for k in range(order):
        fn = program.functions[name]
        types: list[LeafType] = [p.type for p in fn.params]
        new = program.add(Function(f"d{k}", Region(types), (F64, F64)))
        b = Builder(new.body)
        seeds = [b.f64(1.0) for t in fn.results if not is_ref(t)]
        op = b.op("vjp", [*new.params, *seeds], [*fn.results, F64, F64], fn=name, wrt=(0, 1))
        b.return_(*op.results[-2:])
        name = new.name
    return program, name


def gradients(seed: int, order: int, mode: str) -> list[list[float]]:
    program, name = with_gradients(seed, order)
    expand(program, mode)  # type: ignore[arg-type]
    verify(program)
    if seed % 2:
        pipeline.optimise(program, [name], "after-ad", verify=True)
    return [run(program, name, [0.7, -1.3, 2, c]) for c in (True, False)]


@pytest.mark.parametrize(("order", "seeds"), [(1, range(120)), (2, range(40))])
def test_modes_agree(order: int, seeds: range) -> None:
    compared = 0
    for seed in seeds:
        try:
            forward, reverse = (gradients(seed, order, mode) for mode in ("forward", "reverse"))
        except DslError:
            continue  # the program itself raises
        for f, r in zip(chain(*forward), chain(*reverse), strict=True):
            if math.isfinite(f) and math.isfinite(r):
                assert f == pytest.approx(r, rel=1e-9), (seed, order)
                compared += 1
    assert compared > 2 * len(seeds)
