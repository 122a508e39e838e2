"""Each program of this folder gives the answers that stand in its comments, by interpreter and natively."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from dsl.diagnostics import Source
from tests.support.transcript import file_steps, run_file, ways
from tests.support.ways import Way

PROGRAMS = sorted(Path(__file__).parent.glob("*.dfl"))
RUNS = [pytest.param(p, way, id=f"{p.stem}-{way.name}") for p in PROGRAMS for way in ways(p.read_text("utf-8"))]


@lru_cache
def source(path: Path) -> Source:
    return Source(path.name, path.read_text("utf-8"))


@pytest.mark.parametrize(("path", "way"), RUNS)
def test_a_program_gives_its_answers(path: Path, way: Way) -> None:
    wrong = run_file(source(path), way)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_a_program_has_answers(path: Path) -> None:
    assert len(list(file_steps(source(path).text))) >= 3
