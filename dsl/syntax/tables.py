"""The loop of an LALR(1) parser over tables that Lark has made of the grammar (`grammar`), read from a text.

An operand passes through every level of operators that does not apply to it in one step, once it has been seen between
the same states.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

from dsl.syntax.tokens import Terminal

END = "$END"
_Values = list[Any]


class Unexpected(Exception):
    """A terminal that the grammar does not expect, and those that it would."""

    def __init__(self, terminal: Terminal, expected: frozenset[str]) -> None:
        super().__init__(terminal, expected)
        self.terminal = terminal
        self.expected = expected


@cache
def grammar_path() -> Path:
    """Where the grammar lies: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_grammar" / "dfl.lark"
    return inside if inside.exists() else package.parent / "grammar" / "dfl.lark"


def tables_path() -> Path:
    return grammar_path().with_suffix(".tables")


def checksum(grammar: str) -> str:
    """By which tables are known to be of a grammar."""
    return f"{crc32(grammar.encode()):08x}"


class Reduction:
    """Replace the last values by one, which leads on by `origin` from the state below. `build` makes it of the values,
    once those at the places `lists` have become part of the list of all."""

    __slots__ = ("build", "hands_on", "lists", "origin", "size")

    def __init__(self, production: str, builder: object) -> None:
        method, mark, self.origin, *symbols = production.split(" ")
        self.size = len(symbols)
        self.hands_on = mark == "?"  # the value stays what it is
        self.lists = [k for k, symbol in enumerate(symbols) if _is_list(symbol)]
        finished = self.hands_on or _is_list(self.origin)
        self.build: Callable[[_Values], Any] | None = None if finished else getattr(builder, method)

    def __call__(self, values: _Values) -> Any:
        if self.lists:
            start, *others = values
            values = start if self.lists[0] == 0 else [start]  # a long list grows, it is not copied
            for k, value in enumerate(others, 1):
                if k in self.lists:
                    values += value
                else:
                    values.append(value)
        return self.build(values) if self.build else values


def _is_list(symbol: str) -> bool:
    """Whether Lark has made a symbol, for what is repeated."""
    return symbol.startswith("__")


class _Rows(dict[int, dict[str, "int | Reduction"]]):
    """By state, the actions by symbol: read when the state is first reached, most never are."""

    def __init__(self, states: list[str], productions: list[str], builder: object) -> None:
        super().__init__()
        self.states = states
        self.productions = productions
        self.builder = builder
        self.reductions: dict[int, Reduction] = {}

    def __missing__(self, state: int) -> dict[str, int | Reduction]:
        row: dict[str, int | Reduction] = {}
        for group in self.states[state].split():
            goal, _, symbols = group.partition(":")
            action = self.reduction(int(goal[1:])) if goal[0] == "/" else int(goal)
            row |= dict.fromkeys(symbols.split(","), action)
        self[state] = row
        return row

    def reduction(self, number: int) -> Reduction:
        if number not in self.reductions:
            self.reductions[number] = Reduction(self.productions[number], self.builder)
        return self.reductions[number]


class Table:
    """The parser of one statement; `builder` has the methods that make its tree."""

    def __init__(self, text: str, builder: object) -> None:
        head, productions, states = text.removesuffix("\n").split("\n\n", 2)
        self.last = int(head.split()[-1])
        self.rows = _Rows(states.split("\n"), productions.split("\n"), builder)
        self.passed: dict[tuple[int, int, str], int] = {}  # state below, state, terminal → state

    def parse(self, terminals: list[Terminal]) -> Any:
        """The tree of a statement. Raises Unexpected."""
        states: list[int] = [0]
        values: _Values = []
        for terminal in terminals:
            self.feed(states, values, terminal)
            values.append(terminal)
        self.feed(states, values, Terminal(END, "", terminals[-1].span))
        return values[-1]

    def feed(self, states: list[int], values: _Values, terminal: Terminal) -> None:
        """Reduce until the terminal has been shifted, or all has become a statement."""
        kind = terminal.type
        rows = self.rows
        while True:
            state = states[-1]
            action = rows[state].get(kind)
            if isinstance(action, int):
                states.append(action)
                return
            if action is None:
                raise Unexpected(terminal, frozenset(filter(str.isupper, rows[state])))
            if action.hands_on:
                states[-1] = self.through(states[-2], state, kind)
            else:
                first = len(values) - action.size
                value = action(values[first:])
                del values[first:], states[first + 1 :]
                states.append(self.goto(states[-1], action))
                values.append(value)
            if kind == END and states[-1] == self.last:
                return

    def goto(self, below: int, reduction: Reduction) -> int:
        state = self.rows[below][reduction.origin]
        assert isinstance(state, int)
        return state

    def through(self, below: int, state: int, kind: str) -> int:
        """The state after all reductions that hand a value on."""
        key = below, state, kind
        found = self.passed.get(key)
        if found is None:
            found = state
            action = self.rows[found].get(kind)
            while isinstance(action, Reduction) and action.hands_on and found != self.last:
                found = self.goto(below, action)
                action = self.rows[found].get(kind)
            self.passed[key] = found
        return found
