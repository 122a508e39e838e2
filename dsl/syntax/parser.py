"""From a source to its tree: lexer, layout step, grammar, builder; statement by statement, with recovery.

A statement that cannot be read does not keep the others from being read; inside a block the innermost statement is cut
out and the rest read again, so that one parse reports all independent errors.
"""

from __future__ import annotations

from functools import cache

from dsl.diagnostics import DslError, Source, Span, error
from dsl.syntax import ast
from dsl.syntax.build import Builder
from dsl.syntax.finish import check, documented
from dsl.syntax.layout import Layout
from dsl.syntax.lexer import Lexer
from dsl.syntax.reports import Reports
from dsl.syntax.tables import END, Table, Unexpected, checksum, grammar_path, tables_path
from dsl.syntax.tokens import Terminal

# A virtual terminal that ends something is shown to people as what it mostly is.
_SHOWN = {
    "NL": "the end of the line", "THEN": "the end of the line", END: "the end of the statement",
    "ARROW_END": "the end of the function", "RETURN_END": "the end of the line", "MACRO_END": "the end of the line",
    "ROWSEP": "a new row", "COLSEP": "a new element", "ARGSEP": "a new argument", "JUXT": "this factor",
}  # fmt: skip
_BLOCK_WORDS = frozenset({
    "IF", "WHILE", "FOR", "FUNCTION", "ANON_FUNCTION", "STRUCT", "MUTABLE", "ABSTRACT", "LET", "BEGIN", "DO",
})  # fmt: skip
# Where these were found before, what the grammar would say is mostly a consequence.
_DERAILING = frozenset(["E0103", "E0105", "E0106", "E0109", "E0111"])


@cache
def _table() -> Table:
    """The parser's tables: those that lie beside the grammar, or, where this has changed since, made of it."""
    grammar = grammar_path().read_text(encoding="utf-8")
    path = tables_path()
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.startswith(f"grammar {checksum(grammar)}\n"):
        from dsl.syntax.grammar import tables_text

        text = tables_text(grammar)
    return Table(text, Builder())


# ---------------------------------------------------------------- public


def parse_file(source: Source) -> ast.File:
    """The tree of a whole file. Raises a DslError, or DslErrors with all of them."""
    statements, reports = _read(source)
    reports.raise_all()
    return ast.File(documented(statements), span=Span(source, 0, len(source.text)))


def parse_expression(source: Source) -> ast.Expr:
    """The tree of what is typed at a prompt: one expression or statement, or a Block of several."""
    statements, reports = _read(source)
    reports.raise_all()
    span = Span(source, 0, len(source.text))
    if not statements:
        raise error("E0101", "there is no expression here", span)
    found = documented(statements)
    return found[0] if len(found) == 1 else ast.Block(found, span=span)


def is_incomplete(text: str) -> bool:
    """Whether a bracket, block or string is open at the end of a text, or its last operator lacks its operand."""
    source = Source("<prompt>", text)
    reports = Reports()
    lexer = Lexer(source, reports)
    try:
        tokens = lexer.run()
        layout = Layout(source, tokens, reports)
        layout.run()
    except DslError:
        return False
    return lexer.incomplete or layout.incomplete


# ---------------------------------------------------------------- statements


def _read(source: Source) -> tuple[list[ast.Node], Reports]:
    reports = Reports()
    statements: list[ast.Node] = []
    try:
        tokens = Lexer(source, reports).run()
        layout = Layout(source, tokens, reports)
        for terminals in layout.run():
            if reports.full:
                break
            if not reports.has_between(terminals[0].span.start, terminals[-1].span.end, _DERAILING):
                statements += _parse_statement(terminals, reports)
    except DslError as e:
        reports.take(e)
        return [], reports
    return statements, reports


def _parse_statement(terminals: list[Terminal], reports: Reports) -> list[ast.Node]:
    broken = False
    while not reports.full:
        try:
            statement = check(_table().parse(terminals))
            return [] if broken else [statement]
        except Unexpected as e:
            found = _unexpected(e.terminal, e.expected, terminals)
        except DslError as e:
            found = e
        broken = True
        if not reports.take(found) or found.code == "E0109":
            return []
        shorter = _without_statement(terminals, found.span.start)
        if shorter is None:
            return []
        terminals = shorter
    return []


def _unexpected(token: Terminal, expected: frozenset[str], terminals: list[Terminal]) -> DslError:
    """Say what the grammar did not expect, in terms of the text."""
    last = terminals[-1].span
    span = Span(last.source, last.end, last.end) if token.type == END else token.span
    shown = _SHOWN.get(token.type) or f"`{span.text or token.value}`"
    if "NUMBER" in expected and token.type != END:
        return error("E0101", f"an expression is missing before {shown}", span)
    if "FOR_IN" in expected:
        return error("E0101", "an `in` is missing", span, "as in `for i in 1:n`")
    if expected <= {"NAME", "LBRACE"}:
        return error("E0101", f"a name is missing before {shown}", span)
    if token.type == END:
        return error("E0101", "the statement is not complete", _before(span), "an expression is missing at its end")
    if token.type == "ASSIGN":
        return error("E0113", "this cannot be assigned to here", span, "`=` assigns a variable; `==` compares")
    if token.type in ("IMPORT", "CONST", "LOCAL", "GLOBAL"):
        return error("E0101", f"{shown} must begin a statement", span)
    return error("E0101", f"{shown} is not expected here", span)


def _before(span: Span) -> Span:
    return Span(span.source, max(span.start - 1, 0), span.end)


def _without_statement(terminals: list[Terminal], offset: int) -> list[Terminal] | None:
    """The terminals with the innermost statement around an offset replaced by a name; None if it is the whole."""
    at = next((k for k, t in enumerate(terminals) if t.span.end > offset), len(terminals) - 1)
    start, depth, inside = at, 0, 0
    while start > 0:
        kind = terminals[start - 1].type
        if kind in ("NL", "THEN") and depth == 0:
            break
        if kind == "END":
            depth += 1
        elif kind in _BLOCK_WORDS:
            inside += depth == 0
            depth = max(0, depth - 1)
        start -= 1
    if start == 0:
        return None
    end, depth = start, 0
    while end < len(terminals):
        kind = terminals[end].type
        if depth == 0 and kind in ("NL", "END", "ELSE", "ELSEIF"):
            break
        depth += (kind in _BLOCK_WORDS) - (kind == "END")
        end += 1
    if not start <= at <= end or end == start:
        return None
    first = terminals[start].span
    return [*terminals[:start], Terminal("NAME", "_", first), *terminals[end:]]
