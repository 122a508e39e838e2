"""Trees as indented text, one node a line: what `code_ast` prints. Deterministic; nothing is left out but positions."""

from __future__ import annotations

from dsl.syntax import ast


def show(node: ast.Node) -> str:
    """The tree of a node. A field's name stands before the node it holds; plain values stand behind the node's name."""
    lines: list[str] = []
    stack: list[tuple[int, str, object]] = [(0, "", node)]
    while stack:
        depth, label, value = stack.pop()
        prefix = "  " * depth + (f"{label}: " if label else "")
        if isinstance(value, ast.Node):
            scalars, below = _split(value)
            lines.append(prefix + " ".join([type(value).__name__.rstrip("_"), *scalars]))
            stack += [(depth + 1, name, item) for name, item in reversed(below)]
        elif isinstance(value, tuple):
            lines.append(prefix.rstrip(": ") + ":" if label else prefix + "row:")
            stack += [(depth + 1, "", item) for item in reversed(value)]
        else:
            lines.append(prefix + repr(value))
    return "\n".join(lines)


def _split(node: ast.Node) -> tuple[list[str], list[tuple[str, object]]]:
    """The plain values of a node, and its fields that hold nodes, empty and absent ones left out."""
    scalars: list[str] = []
    below: list[tuple[str, object]] = []
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        if name in ("span", "among") or value is None or value is False or value == ():
            continue
        if value is True and name != "value":
            scalars.append(name)
        elif isinstance(value, str):
            if value or name != "doc":
                scalars.append(repr(value) if name in ("doc", "path") else value or '""')
        elif isinstance(value, int | float):
            scalars.append(repr(value))
        elif isinstance(value, tuple) and all(isinstance(v, str) for v in value) and not isinstance(node, ast.String):
            scalars.append(" ".join(value))
        else:
            below.append((name, value))
    return scalars, below
