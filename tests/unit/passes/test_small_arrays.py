"""Small arrays become values: the programs mean the same, and so do their derivatives."""

from __future__ import annotations

import pytest
import test_derivatives_kept as kept
from small_ir import ARRAY, small_program
from test_random_programs import meaning

from dsl.ir.core import Program
from dsl.ir.verifier import verify
from dsl.passes import pipeline


@pytest.mark.parametrize("seed", range(60))
def test_the_pipelines_keep_the_meaning(seed: int) -> None:
    program = small_program(seed)
    verify(program)
    expected = meaning(program)

    def look(name: str, program: Program) -> None:
        assert meaning(program) == expected, name

    pipeline.optimise(program, ["main"], "before-ad", verify=True, trace=look)
    pipeline.optimise(program, ["main"], "after-ad", verify=True, trace=look)


@pytest.mark.parametrize("seed", range(60, 110))
def test_derivatives_are_kept(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "random_program", small_program)
    kept.test_derivatives_are_kept(seed, monkeypatch)


def test_most_of_these_arrays_become_values() -> None:
    def arrays(program: Program) -> int:
        ops = [op for fn in program.functions.values() for op in fn.body.walk()]
        return sum(op.name == "new" and op.result.type == ARRAY for op in ops)

    before = after = 0
    for seed in range(60):
        program = small_program(seed)
        before += arrays(program)
        pipeline.optimise(program, ["main"], "before-ad")
        after += arrays(program)
    assert before > 150
    assert after < before / 3
