"""Makes a failing program small: takes out definitions, statements, expressions, while it fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from fuzzing.tree import Node

CONSTANTS = {"F": ("0.5",), "I": ("1", "0"), "B": ("true", "false")}


def reduce(program: Node, fails: Callable[[Node], bool], seconds: float = 120.0) -> Node:
    """The smallest program found in the time given. Repeats until no single change helps."""
    end = time.monotonic() + seconds
    best = program.copy()
    length = len(str(best))
    improved = True
    while improved:
        improved = False
        for change in _changes(best):
            if time.monotonic() > end:
                return best
            undo = change()
            shorter = len(str(best))
            if shorter < length and fails(best):
                improved = True
                length = shorter
            else:
                undo()
    return best


Undo = Callable[[], None]


def _changes(root: Node) -> Iterator[Callable[[], Undo]]:
    """Changes to try, large ones first. Each, when called, changes the tree and gives its undoing."""
    nodes = sorted(root.walk(), key=lambda n: -n.size())
    for node in nodes:
        if node.type == "block":
            yield from _cuts(node)
    for node in nodes:
        if node.type == "stmt":
            yield from (_becoming(node, child) for child in node.children if child.type == "block")
        if node.type in CONSTANTS:
            yield from (_becoming(node, Node(node.type, text)) for text in CONSTANTS[node.type])
            inside = [n for n in node.walk() if n is not node and n.type == node.type]
            yield from (_becoming(node, n) for n in inside[:6])


def _cuts(block: Node) -> Iterator[Callable[[], Undo]]:
    """Half of the statements of a block, a quarter, … one."""
    count = len(block.children)
    size = max(count // 2, 1)
    while size >= 1 and count:
        for start in range(0, count, size):
            yield _cutting(block, set(block.children[start : start + size]))
        size //= 2


def _cutting(block: Node, gone: set[Node]) -> Callable[[], Undo]:
    def change() -> Undo:
        old = block.children
        block.children = [c for c in old if c not in gone]

        def undo() -> None:
            block.children = old

        return undo

    return change


def _becoming(node: Node, other: Node) -> Callable[[], Undo]:
    def change() -> Undo:
        old = node.type, node.template, node.children
        node.type, node.template, node.children = other.type, other.template, other.children

        def undo() -> None:
            node.type, node.template, node.children = old

        return undo

    return change
