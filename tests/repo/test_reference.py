"""The reference tells the truth: every ```julia block is a session, run by interpreter and natively, in both modes;
what its comments say is so."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from tests.support.transcript import MARK, run_session, ways
from tests.support.ways import WAYS, Way

REFERENCE = Path(__file__).resolve().parents[2] / "grammar" / "REFERENCE.md"
TEXT = REFERENCE.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
# (line of the file, text) of each session
SESSIONS = [(TEXT.count("\n", 0, m.start()) + 1, m[2]) for m in BLOCK.finditer(TEXT) if m[1] == "julia"]
AMONG = [w for w in WAYS if w.opt_level == 3 or w.interpreter]
RUNS = [pytest.param(text, way, id=f"line {line}-{way.name}") for line, text in SESSIONS for way in ways(text, AMONG)]


@pytest.mark.parametrize(("session", "way"), RUNS)
def test_a_session_gives_what_its_comments_say(session: str, way: Way) -> None:
    wrong = run_session(session, way)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("text", [m[2] for m in BLOCK.finditer(TEXT) if m[1] == "python"])
def test_python_answers_what_its_blocks_say(text: str) -> None:
    example = doctest.DocTestParser().get_doctest(text, {}, "REFERENCE.md", None, None)
    said: list[str] = []
    failed, tried = doctest.DocTestRunner().run(example, out=said.append)
    assert tried > 0 and not failed, "".join(said)


def test_every_session_has_an_answer() -> None:
    assert SESSIONS
    assert [line for line, text in SESSIONS if not re.search(MARK.pattern, text, re.M)] == []
