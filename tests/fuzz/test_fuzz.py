"""A slice of the fuzzer's campaign with a fixed seed, and the fuzzer's own parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from fuzzing import generate_arrays  # noqa: E402
from fuzzing.check import PLANS, Compiled, check  # noqa: E402
from fuzzing.generate import program  # noqa: E402
from fuzzing.reduce import reduce  # noqa: E402
from fuzzing.tree import Node  # noqa: E402

import dsl  # noqa: E402
from dsl.ir.text import print_program  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("subject", [[], ["--arrays"], ["--ssa"]], ids=["text", "arrays", "ssa"])
def test_slice_of_the_campaign(subject: list[str], tmp_path: Path) -> None:
    fuzz = str(ROOT / "tools" / "fuzz")
    command = [fuzz, *subject, "--programs", "40", "--seed", "1", "--time", "12", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = "\n".join(p.read_text() for p in sorted(tmp_path.iterdir())[:2])
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{found}"


def test_a_seed_always_gives_the_same_programs() -> None:
    assert str(program(Random("1/7"))) == str(program(Random("1/7")))
    assert len({str(program(Random(f"1/{k}"))) for k in range(50)}) == 50


def test_programs_use_the_whole_language() -> None:
    everything = "\n".join(str(program(Random(f"1/{k}"))) for k in range(300))
    for part in (
        "while true", "break", "continue", "return", "elseif", "push!", "pop!", "Ref(", "Dict(", "Function[]",
        "enumerate", "derivative(", "gradient(", "pullback(", "M(", "-> ", "=== nothing", " - 1, c", "for i", "let z",
    ):  # fmt: skip
        assert part in everything, part


def test_programs_of_arrays_have_products_in_them() -> None:
    everything = "\n".join(str(generate_arrays.program(Random(f"1/{k}"))) for k in range(300))
    for part in ("dot(", "norm(", "' * (", "transpose(", "det(", "inv(", "\\ ", "batched_mul(", "(view(", "z * z'"):
        assert part in everything, part


def test_reduction_keeps_what_matters() -> None:
    whole = program(Random("1/3"))
    assert "sin(" in str(whole)

    def fails(candidate: Node) -> bool:
        return "sin(" in str(candidate) and "function f(x, y, n)" in str(candidate)

    small = str(reduce(whole, fails, seconds=20))
    assert "sin(" in small
    assert len(small.splitlines()) <= 5
    assert str(whole) == str(program(Random("1/3")))  # the original is as it was


def test_plans_are_what_they_are_called() -> None:
    """Each is another program than the usual one, where there is something to decide."""
    text = "function f(x, y, n)\n  z = x\n  for k in 1:n\n    z = sin(z) * y + k\n  end\n  z\nend\n"
    gradient = Compiled(dsl.loads(text)["f"], "reverse")
    for plan in PLANS:
        gradient.plan(plan)
    assert len({print_program(gradient.engines[name].program) for name in ("O0", *PLANS)}) == 4
    assert not {"DFL_PLAN", "DFL_CHECKPOINT"} & os.environ.keys()


@pytest.mark.parametrize("path", sorted((ROOT / "tests/fuzz/found").glob("*.dfl")), ids=lambda path: path.stem)
def test_programs_that_were_found(path: Path) -> None:
    assert check(path.read_text(encoding="utf-8"), ordered=False) is None
