"""From a source to its tree: lexer, layout step, grammar, builder; statement by statement, with recovery.

The only module that knows Lark. A statement that cannot be read does not keep the others from being read; inside a
block the innermost statement is cut out and the rest read again, so that one parse reports all independent errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark
from lark import __version__ as lark_version
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer as LarkLexer
from lark.parse_tree_builder import ExpandSingleChild
from lark.parsers.lalr_analysis import Shift

from dsl.diagnostics import DslError, Source, Span, error
from dsl.syntax import ast
from dsl.syntax.build import Builder
from dsl.syntax.finish import check, documented
from dsl.syntax.layout import Layout
from dsl.syntax.lexer import Lexer
from dsl.syntax.reports import Reports
from dsl.syntax.tokens import Terminal
from dsl.userfiles import cache_folder

# A virtual terminal that ends something is shown to people as what it mostly is.
_SHOWN = {
    "NL": "the end of the line", "THEN": "the end of the line", "$END": "the end of the statement",
    "ARROW_END": "the end of the function", "RETURN_END": "the end of the line", "MACRO_END": "the end of the line",
    "ROWSEP": "a new row", "COLSEP": "a new element", "ARGSEP": "a new argument", "JUXT": "this factor",
}  # fmt: skip
_BLOCK_WORDS = frozenset({
    "IF", "WHILE", "FOR", "FUNCTION", "ANON_FUNCTION", "STRUCT", "MUTABLE", "ABSTRACT", "LET", "BEGIN", "DO",
})  # fmt: skip
# Where these were found before, what the grammar would say is mostly a consequence.
_DERAILING = frozenset(["E0103", "E0105", "E0106", "E0109", "E0111"])


def grammar_path() -> Path:
    """Where the grammar lies: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_grammar" / "dfl.lark"
    return inside if inside.exists() else package.parent / "grammar" / "dfl.lark"


class _Terminals(LarkLexer):
    """Hands Lark the terminals of one statement."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, data: Any, parser_state: Any = None) -> Iterator[Any]:
        return iter(data)


def make_lark(**options: Any) -> Lark:
    text = grammar_path().read_text(encoding="utf-8")
    return Lark(
        text, parser="lalr", lexer=_Terminals, start="statement", keep_all_tokens=True, maybe_placeholders=False,
        **options,
    )  # fmt: skip


class _Reduction:
    """Replace the last `size` values by one, which leads from the state below to `goto[state]`."""

    __slots__ = ("build", "goto", "hands_on", "size")

    def __init__(self, size: int, build: Callable[[list[Any]], Any], goto: dict[int, int]) -> None:
        self.size = size
        self.build = build
        self.goto = goto
        self.hands_on = size == 1 and isinstance(build, ExpandSingleChild)  # the value stays what it is


class _Table:
    """Lark's table for statements, gone through without its generality: an operand passes through every level of
    operators that does not apply to it in one step, once it has been seen between the same states."""

    def __init__(self, lark: Lark) -> None:
        inner: Any = lark.parser
        table, self.build = inner.parser.parser.parse_table, inner.parser.parser.callbacks
        self.lark: Any = lark
        (self.first,), (self.last,) = table.start_states.values(), table.end_states.values()
        gotos: dict[str, dict[int, int]] = {}
        for state, actions in table.states.items():
            for symbol, (action, to) in actions.items():
                if action is Shift:
                    gotos.setdefault(symbol, {})[state] = to
        reductions: dict[Any, _Reduction] = {}
        self.actions: dict[int, dict[str, int | _Reduction]] = {}
        for state, actions in table.states.items():
            mine = self.actions[state] = {}
            for symbol, (action, to) in actions.items():
                if action is not Shift and to not in reductions:
                    reductions[to] = _Reduction(len(to.expansion), self.build[to], gotos.get(to.origin.name, {}))
                mine[symbol] = to if action is Shift else reductions[to]
        self.passed: dict[tuple[int, int, str], int] = {}  # state below, state, terminal → state

    def parse(self, terminals: list[Terminal]) -> Any:
        """The tree. What is no statement Lark reads again, to say what is wrong."""
        states: list[int] = [self.first]
        values: list[Any] = []
        for terminal in terminals:
            if not self.feed(states, values, terminal.type):
                return self.lark.parse(terminals)
            values.append(terminal)
        if not self.feed(states, values, "$END"):
            return self.lark.parse(terminals)
        return values[-1]

    def feed(self, states: list[int], values: list[Any], kind: str) -> bool:
        """Reduce until the terminal has been shifted, or all has become a statement; False: it is not expected."""
        while True:
            state = states[-1]
            action = self.actions[state].get(kind)
            if isinstance(action, int):
                states.append(action)
                return True
            if action is None:
                return False
            if action.hands_on:
                states[-1] = self.through(states[-2], state, kind)
            else:
                first = len(values) - action.size
                value = action.build(values[first:])
                del values[first:], states[first + 1 :]
                states.append(action.goto[states[-1]])
                values.append(value)
            if kind == "$END" and states[-1] == self.last:
                return True

    def through(self, below: int, state: int, kind: str) -> int:
        """The state after all reductions that hand a value on."""
        key = below, state, kind
        found = self.passed.get(key)
        if found is None:
            found = state
            action = self.actions[found].get(kind)
            while isinstance(action, _Reduction) and action.hands_on and found != self.last:
                found = action.goto[below]
                action = self.actions[found].get(kind)
            self.passed[key] = found
        return found


@cache
def _table() -> _Table:
    return _Table(_lark())


@cache
def _lark() -> Lark:
    """The parser; its tables, which take a third of a second to make, are kept in the user's cache."""
    folder = cache_folder()
    if folder is None:
        return make_lark(transformer=Builder())
    # the file is checked by Lark against the grammar, the options and the versions, and made again if it is bad
    return make_lark(transformer=Builder(), cache=str(folder / f"grammar-{lark_version}.tables"))


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
        except UnexpectedToken as e:
            found = _unexpected(e.token, frozenset(e.expected), terminals)
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


def _unexpected(token: Any, expected: frozenset[str], terminals: list[Terminal]) -> DslError:
    """Say what the grammar did not expect, in terms of the text."""
    last = terminals[-1].span
    span = Span(last.source, last.end, last.end) if token.type == "$END" else token.span
    shown = _SHOWN.get(token.type) or f"`{span.text or token.value}`"
    if "NUMBER" in expected and token.type != "$END":
        return error("E0101", f"an expression is missing before {shown}", span)
    if "FOR_IN" in expected:
        return error("E0101", "an `in` is missing", span, "as in `for i in 1:n`")
    if expected <= {"NAME", "LBRACE"}:
        return error("E0101", f"a name is missing before {shown}", span)
    if token.type == "$END":
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
