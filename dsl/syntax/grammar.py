"""The parser's tables from the grammar, by Lark, as a text that `tables` reads. The only module that knows Lark.

The text lies beside the grammar (`tools/tables` writes it), so that nobody waits for Lark. It is the same whatever
order Lark meets the states in: they are numbered as they are reached from the first one, symbols by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lark import Lark
from lark.lexer import Lexer
from lark.parsers.lalr_analysis import Shift

from dsl.syntax.tables import checksum, grammar_path


class _Terminals(Lexer):
    """Hands Lark what the layout step has made of a statement."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, lexer_state: Any, parser_state: Any = None) -> Iterator[Any]:
        return iter(lexer_state)


def make_lark(text: str | None = None, **options: Any) -> Lark:
    """Lark's parser of the grammar, which has the tables."""
    grammar = grammar_path().read_text(encoding="utf-8") if text is None else text
    return Lark(
        grammar, parser="lalr", lexer=_Terminals, start="statement", keep_all_tokens=True, maybe_placeholders=False,
        **options,
    )  # fmt: skip


def tables_text(grammar: str) -> str:
    """The tables of a grammar: its checksum; the last state (0 is the first); a line a production; a line a state.

    A production is the builder's method, `?` where one value is handed on as it is, its symbol and what that becomes.
    A state has a group of symbols for each action: the state to go to, or the production to reduce by, after a `/`.
    """
    inner: Any = make_lark(grammar).parser
    table = inner.parser.parser.parse_table
    (first,), (last,) = table.start_states.values(), table.end_states.values()
    number = {first: 0}
    order = [first]
    for state in order:
        for _, (action, to) in sorted(table.states[state].items()):
            if action is Shift and to not in number:
                number[to] = len(order)
                order.append(to)
    rules = sorted(
        {to for actions in table.states.values() for action, to in actions.values() if action is not Shift},
        key=lambda rule: (rule.origin.name, rule.order, _names(rule.expansion)),
    )
    place = {rule: k for k, rule in enumerate(rules)}
    states = []
    for state in order:
        groups: dict[str, list[str]] = {}
        for symbol, (action, to) in sorted(table.states[state].items()):
            groups.setdefault(str(number[to]) if action is Shift else f"/{place[to]}", []).append(symbol)
        states.append(" ".join(f"{goal}:{','.join(symbols)}" for goal, symbols in groups.items()))
    lines = [f"grammar {checksum(grammar)}", f"last {number[last]}", "", *map(_production, rules), "", *states]
    return "\n".join(lines) + "\n"


def _production(rule: Any) -> str:
    hands_on = "?" if rule.options.expand1 and not rule.alias and len(rule.expansion) == 1 else "."
    return " ".join([rule.alias or rule.origin.name, hands_on, rule.origin.name, *_names(rule.expansion)])


def _names(expansion: Iterable[Any]) -> list[str]:
    return [symbol.name for symbol in expansion]
