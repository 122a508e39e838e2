"""Wrong programs with their exact messages: each NAME.dfl in a folder here has its rendered error in NAME.txt.

`DFL_ACCEPT=1 pytest tests/errors` writes the texts anew; look at the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsl.diagnostics import DslError, Source
from dsl.syntax import parse_file

HERE = Path(__file__).parent
PROGRAMS = sorted(HERE.glob("*/**/*.dfl"))


def message_of(program: Path) -> str:
    """The error of a program: that of the parser, or else of loading it and evaluating its expressions."""
    text = program.read_text(encoding="utf-8")
    try:
        parse_file(Source(program.name, text))
    except DslError as e:
        return e.render()
    import dsl  # only for programs that can be parsed: those of `syntax/` need no compiler

    with pytest.raises(DslError) as caught:
        dsl.loads(text, name=program.name, print_expressions=True, out=lambda printed: None)
    return caught.value.render()


@pytest.mark.parametrize("program", PROGRAMS, ids=[str(p.relative_to(HERE).with_suffix("")) for p in PROGRAMS])
def test_message(program: Path) -> None:
    expected = program.with_suffix(".txt")
    found = message_of(program) + "\n"
    if os.environ.get("DFL_ACCEPT"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_every_message_has_its_program() -> None:
    assert {p.stem for p in HERE.glob("*/**/*.txt")} == {p.stem for p in PROGRAMS}


def test_the_folder_of_syntax_errors_holds_syntax_errors() -> None:
    texts = [p.read_text(encoding="utf-8") for p in HERE.glob("syntax/*.txt")]
    assert texts and all(text.startswith("SyntaxError[E01") for text in texts)
