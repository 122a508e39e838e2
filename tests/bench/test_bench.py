"""The benchmarks measure what they say: every row's programs agree, and the parts of the harness do their work."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from benching import compiling, growth, report, starting, why  # noqa: E402
from benching.harness import Row, differs, flat, sample, timed  # noqa: E402
from benching.kernels import Kernels  # noqa: E402
from benching.measure import ratios, summary, target  # noqa: E402
from benching.native import compiled, of_unit  # noqa: E402
from benching.own import Own  # noqa: E402
from benching.rows import ROWS  # noqa: E402

import dsl  # noqa: E402

# one row for each program and what is wanted of it: others differ in size
DISTINCT = {(row.program, row.function, row.wanted): row for row in ROWS.values() if row.kernels}.values()
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def small(row: Row) -> tuple[Any, ...]:
    return row.small(np.random.default_rng(3))


def agree(theirs: Any, mine: Any) -> bool:
    a, b = flat(theirs), flat(mine)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12 * np.abs(b).max())


@needs_gcc
@pytest.mark.parametrize("row", DISTINCT, ids=lambda row: row.name)
def test_kernels_in_c_give_the_same_numbers(row: Row) -> None:
    args = small(row)
    mine = Own(row, args, opt_level=0).numbers()
    assert [peer for peer in row.kernels if not agree(Kernels(row, peer, args)(), mine)] == []


FEW_INPUTS = [row for row in DISTINCT if row.wanted == "gradient" and row.name != "m-points"]


@pytest.mark.parametrize("row", FEW_INPUTS, ids=lambda row: row.name)
def test_both_modes_give_the_same_gradient(row: Row) -> None:
    """By the interpreter, which needs no time for LLVM."""
    forward, reverse = (Own(row, small(row), mode=mode, interpreter=True).call() for mode in ("forward", "reverse"))
    assert agree(forward, reverse)


def test_native_code_can_be_repeated_and_takes_no_memory_with_it() -> None:
    for name in ("b-logistic-3", "f-lorenz-1e4", "e-rosenbrock-1e3"):
        own = Own(ROWS[name], small(ROWS[name]))
        native = of_unit(own.both, own.args)
        native.in_turn(3)
        before = memory()
        native.in_turn(20_000)
        native.apart(20_000)
        assert memory() - before < 4 << 20
        assert math.isfinite(flat(own.numbers()).sum())


def test_provisional_code_is_not_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsl.runtime.engine.AT_ONCE", 0)
    own = Own(ROWS["f-lorenz-1e4"], small(ROWS["f-lorenz-1e4"]))
    own.call()
    unit = compiled(own.both, own.args).unit
    assert unit.provisional
    of_unit(own.both, own.args).in_turn(1)
    assert not unit.provisional


def memory() -> int:
    """Bytes that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_times_are_of_one_run() -> None:
    calls: list[int] = []

    def repeat(n: int) -> None:
        calls.append(n)
        for _ in range(n):
            math.sqrt(2.0)

    found = timed(repeat, 0.01)
    assert 0 < found["min"] <= found["median"] < 1e-4
    assert calls[0] == 1 and len(set(calls[-3:])) == 1  # it is tried first, then measured with the same count


def test_waiting_is_no_time() -> None:
    found = timed(lambda n: time.sleep(0.002), 0.02)
    assert found["median"] < 1e-3


def test_other_numbers_are_found_and_rounding_is_not() -> None:
    numbers = sample(np.array([1.0, -2.0, 1e-9]))
    assert numbers == [1.0, -2.0, 1e-9, 3.000000001]
    assert not differs(numbers, sample(np.array([1.0 + 1e-11, -2.0, 1e-9 + 1e-13])), 1e-9)
    assert differs(numbers, sample(np.array([1.0, -2.00001, 1e-9])), 1e-9)
    assert differs(numbers, sample(np.array([1.0, -2.0, math.nan])), 1e-9)
    assert differs(numbers, sample(np.array([1.0, -2.0])), 1e-9)


def rounds(*times: dict[str, float]) -> dict[str, Any]:
    made = [{name: {"min": t, "median": 2 * t} for name, t in one.items()} for one in times]
    return {"rounds": made, "times": {name: summary([r[name] for r in made]) for name in made[0]},
            "memory": {"value": 10**6, "gradient": 3 * 10**6}, "cold": 0.5}  # fmt: skip


FOUND = {
    "dfl": rounds(*({"value": v, "gradient": 3.0, "both": 4.0, "call": 5.0} for v in (1.0, 2.0, 9.0))),
    "c": rounds(*({"value": 1.0, "gradient": g, "both": 2.0} for g in (2.0, 3.0, 30.0))),
    "jax": {"failed": "jax is not installed", "missing": True},
}


def test_ratios_are_medians_over_rounds_of_ratios_within_a_round() -> None:
    row = ROWS["e-rosenbrock-1e3"]
    found = ratios(row, FOUND)
    assert found["gradient / c"] == 1.0  # 1.5, 1.0, 0.1
    assert found["both / c"] == 2.0
    assert found["gradient / value"] == 1.5
    assert not any("jax" in name for name in found)
    assert target(row, found) == {"gradient / c": (1.0, 1.0)}


def test_the_report_names_what_is_missing_and_what_is_met() -> None:
    row = ROWS["e-rosenbrock-1e3"]
    text = "\n".join(report.table(row, FOUND))
    assert "jax is not installed" in text.replace("  ", " ")
    assert "met: gradient / c 1.00, at most 1.0" in text
    assert "3 MB (+2.0)" in text
    changed = "\n".join(report.comparison({row.name: FOUND}, {row.name: {"dfl": {"times": {"both": {"min": 2.0}}}}}))
    assert "dfl both 2.00" in changed


ASSEMBLY = """
f:
\tvaddsd\t%xmm0, %xmm1, %xmm0
.LBB0_1:
\t.loc\t1 3 5
\tcallq\tsin@PLT
.LBB0_2:
\t.loc\t1 4 5
\tvmovupd\t(%rdi), %zmm0
\tvdivsd\t%xmm0, %xmm1, %xmm0
\tvmovupd\t%zmm0, 8(%rsp)
\tjne\t.LBB0_2
\tjne\t.LBB0_1
.Lfunc_end0:
dfl.alloc:
\tretq
.Lfunc_end1:
"""


def test_innermost_loops_and_what_they_are_made_of() -> None:
    [(name, code)] = why.functions(ASSEMBLY)
    [loop] = why.innermost(name, code)
    assert (name, loop.source, len(loop.code)) == ("f", "line 4", 4)
    assert why.shown(why.mix(loop.code)) == (
        "4 instructions, 1 loads, 1 scalar divides and roots, 1 stores, 1 of these in the frame, 1 jumps"
    )
    assert why.mix([line for line in code if why.instruction(line)])["calls of sin"] == 1


@pytest.mark.parametrize("lines", compiling.LINES)
def test_the_models_that_are_compiled_have_these_lines_and_mean_the_same_in_python(lines: int) -> None:
    body = compiling.statements(lines, 3)
    assert len(body) == lines
    space: dict[str, Any] = {**vars(math)}
    exec("\n    ".join(["def f(x):", *body, "return y"]), space)
    module = dsl.loads("\n".join(["function f(x)", *body, "y", "end"]), opt_level=0)
    assert module.f(0.7) == pytest.approx(space["f"](0.7), rel=1e-12)


def test_compiling_is_told_by_stages() -> None:
    [head, mine, theirs] = compiling.table([1], 2)
    assert head.split()[-1] == "llvm"
    assert re.match(r" +1 lines  dfl( +[\d.]+){10}$", mine)
    assert re.match(r" +1 lines  jax +([\d.]+ .* times ours|jax is not installed)", theirs)


@pytest.mark.slow
def test_starting_is_told_beyond_python_alone() -> None:
    found = {line[:18].strip(): line.split()[-2:] for line in starting.table(rounds=1)}
    assert found["Python"][0] == "0.0"
    assert float(found["first gradient"][1]) > float(found["import llvmlite"][1])


def test_growth_is_told_by_stages() -> None:
    [one, two] = growth.table((5, 40))
    assert re.fullmatch(r" +5 statements: [\d.]+ ms each, 1.00 of the first  \(.*lower .*, llvm .*\)", one)
    assert re.match(r" +40 statements: ", two)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    """One row, measured; then why it takes that long."""
    out = tmp_path / "out.json"
    command = [ROOT / "tools" / "bench", "b-logistic-3"]
    done = subprocess.run([*command, "--peers", "none", "--rounds", "2", "--budget", "0.05", "--json", out],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = json.loads(out.read_text()).values()
    assert len(found["dfl"]["rounds"]) == 2 and found["dfl"]["times"]["gradient"]["min"] > 0
    looked = subprocess.run([*command, "--why"], capture_output=True, text=True)
    assert "machine code:" in looked.stdout and looked.stderr == ""


@needs_gcc
def test_a_peer_leaves_the_arithmetic_of_the_process_alone() -> None:
    """Subnormal numbers stay, in this process too, where fast-math code has been loaded."""
    program = "from benching.kernels import library; library('scalar', 'fast', ()); print(5e-324 / 1.0)"
    shown = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT / "tools", text=True)
    assert shown == "5e-324\n"
