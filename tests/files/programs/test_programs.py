"""Each program gives the answers that stand in its comments, by interpreter and natively.

The programs of this folder are loaded as files are; those in `sessions` are entered step by step, as at a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pytest

from dsl.diagnostics import Source
from tests.support.transcript import file_steps, run_file, run_session, session_steps, ways
from tests.support.ways import WAYS, Way

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.dfl"))
SESSIONS = sorted(HERE.glob("sessions/*.dfl"))


# Each line of a session is compiled by itself, which takes its time: one mode an engine.
SHORT = [w for w in WAYS if w.name in ("interpreter/forward", "O0/forward", "O3/reverse")]


def runs(paths: list[Path], among: Sequence[Way]) -> list[object]:
    return [
        pytest.param(path, way, id=f"{path.stem}-{way.name}", marks=[pytest.mark.slow] if way.opt_level else [])
        for path in paths
        for way in ways(text(path), among)
    ]


@lru_cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "way"), runs(FILES, WAYS))
def test_a_file_gives_its_answers(path: Path, way: Way) -> None:
    wrong = run_file(Source(path.name, text(path)), way)
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore:.*only steers control flow")
@pytest.mark.parametrize(("path", "way"), runs(SESSIONS, SHORT))
def test_a_session_gives_its_answers(path: Path, way: Way) -> None:
    wrong = run_session(text(path), way)
    assert not wrong, "\n".join(wrong)


def test_all_programs_have_answers() -> None:
    assert FILES and SESSIONS
    assert [p.name for p in FILES if len(list(file_steps(text(p)))) < 3] == []
    assert [p.name for p in SESSIONS if sum(bool(step.mark) for step in session_steps(text(p))) < 3] == []
