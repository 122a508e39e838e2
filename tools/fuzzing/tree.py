"""The programs of the fuzzer: trees of text templates, each with a type, that a reducer can take apart.

A node's text is its template with its children's texts in the places {0}, {1}, …; the children of a block stand one
under the other, indented. Nothing here knows the language: what a reduction makes of a program is judged by running it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(eq=False)
class Node:
    """`type` is F, I or B for an expression of that type, "block" for a list of statements, "stmt" for the rest."""

    type: str
    template: str
    children: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        if self.type == "block":
            return "\n".join(str(c) for c in self.children)
        texts = [_indented(str(c)) if c.type == "block" else str(c) for c in self.children]
        return self.template.format(*texts)

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()

    def size(self) -> int:
        return sum(1 for _ in self.walk())

    def copy(self) -> Node:
        return Node(self.type, self.template, [c.copy() for c in self.children])


def block(statements: list[Node]) -> Node:
    return Node("block", "", statements)


def stmt(template: str, *children: Node) -> Node:
    return Node("stmt", template, list(children))


def leaf(type: str, text: str) -> Node:
    return Node(type, text.replace("{", "{{").replace("}", "}}"))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
