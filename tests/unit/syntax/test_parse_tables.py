"""The grammar and the parser's tables: without conflicts, exactly those of Lark, and read as Lark reads them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lark.exceptions import UnexpectedToken

from dsl.diagnostics import DslError, Source
from dsl.syntax import ast, parser
from dsl.syntax.build import Builder
from dsl.syntax.grammar import make_lark, tables_text
from dsl.syntax.layout import Layout
from dsl.syntax.lexer import Lexer
from dsl.syntax.reports import Reports
from dsl.syntax.tables import Table, Unexpected, grammar_path, tables_path
from dsl.syntax.tokens import Terminal

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = [*(ROOT / "examples").glob("*.dfl"), *(ROOT / "tests/files/programs").glob("*.dfl")]
PROGRAMS += (ROOT / "dsl/stdlib").glob("*.dfl")
GRAMMAR = grammar_path().read_text(encoding="utf-8")


def test_the_grammar_has_no_conflicts() -> None:
    """Strict mode refuses what LALR(1) would otherwise settle silently, shift/reduce conflicts included."""
    make_lark(strict=True)


def test_every_declared_terminal_is_used() -> None:
    lines = GRAMMAR.splitlines()
    declared = {word for line in lines if line.startswith("%declare") for word in line.split()[1:]}
    rules = " ".join(line for line in lines if not line.startswith(("%declare", "//")))
    assert declared == set(re.findall(r"\b[A-Z][A-Z_]+\b", rules))


def test_the_tables_are_those_of_the_grammar() -> None:
    assert tables_path().read_text(encoding="utf-8") == tables_text(GRAMMAR), "stale: run tools/reference"


def statements() -> Iterator[list[Terminal]]:
    for path in sorted(PROGRAMS):
        source, reports = Source(str(path), path.read_text(encoding="utf-8")), Reports()
        yield from Layout(source, Lexer(source, reports).run(), reports).run()


STATEMENTS = list(statements())


class ForLark(Terminal):
    """With what Lark reads from every token."""

    start_pos = end_pos = line = column = end_line = end_column = 0


def outcome(parse: Any, terminals: list[Terminal]) -> object:
    """A tree with its spans, or what was wrong: where, and what would have been right."""
    try:
        return spans(parse(terminals))
    except Unexpected as e:
        return e.terminal.type, e.terminal.span, e.expected
    except UnexpectedToken as e:
        span = terminals[-1].span if e.token.type == "$END" else e.token.span
        return e.token.type, span, frozenset(e.expected)
    except DslError as e:
        return e.code, e.span


def spans(node: object) -> object:
    if isinstance(node, tuple):
        return tuple(map(spans, node))
    return (type(node), *(spans(getattr(node, name)) for name in slots(node))) if isinstance(node, ast.Node) else node


def slots(node: object) -> list[str]:
    return [name for kind in type(node).__mro__ for name in getattr(kind, "__slots__", ())]


def test_trees_and_mistakes_are_those_of_lark() -> None:
    """Of every statement of the library and of the examples, as it is and with a terminal dropped here and there."""
    lark = make_lark(transformer=Builder())
    table = Table(tables_path().read_text(encoding="utf-8"), Builder())
    assert len(STATEMENTS) > 200
    wrong = 0
    for terminals in STATEMENTS:
        step = max(1, len(terminals) // 3)
        shorter = [[*terminals[:k], *terminals[k + 1 :]] for k in range(0, len(terminals), step) if len(terminals) > 1]
        for given in [terminals, *shorter]:
            mine = outcome(table.parse, given)
            assert mine == outcome(lark.parse, [ForLark(t.type, t.value, t.span) for t in given])
            wrong += isinstance(mine[-1], frozenset) if isinstance(mine, tuple) else False
    assert wrong > 200


def test_long_lists_take_linear_time() -> None:
    source = Source("<test>", "f(" + "1,\n" * 200_000 + "1)")
    tree = parser.parse_expression(source)
    assert isinstance(tree, ast.Call) and len(tree.args) == 200_001


def test_stale_tables_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "dfl.tables"
    monkeypatch.setattr(parser, "tables_path", lambda: stale)
    fresh = parser._table.__wrapped__().rows.states
    assert fresh
    stale.write_text("grammar 00000000\nlast 1\n\nrubbish\n\nrubbish\n", encoding="utf-8")
    assert parser._table.__wrapped__().rows.states == fresh


def test_the_tree_can_be_imported_without_the_parser() -> None:
    program = "import sys, dsl.syntax.ast; assert 'dsl.syntax.parser' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
