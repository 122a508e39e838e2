"""What only a finished statement shows: its depth, numbers beyond Int64, forms that nothing took up; documentation."""

from __future__ import annotations

from typing import cast

from dsl.records import replace
from dsl.syntax import ast
from dsl.syntax.forms import Parameters, Where, refused
from dsl.syntax.lexer import INT64_LIMIT

MAX_DEPTH = 400


def check(statement: ast.Node) -> ast.Node:
    """What only the finished tree shows: its depth, numbers beyond Int64, forms that only a definition could hold."""
    stack: list[tuple[ast.Node, int]] = [(statement, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            hint = "give inner expressions names of their own"
            raise refused(f"expressions are nested more than {MAX_DEPTH} deep", node.span, hint, code="E0109")
        if isinstance(node, ast.Number):
            if isinstance(node.value, int) and node.value >= INT64_LIMIT:
                raise refused("this number is too large for an Int64", node.span, "write it as a Float64", code="E0104")
        elif isinstance(node, ast.Keyword) and _is_typed_keyword(node):
            raise refused("a keyword of a call is `name = value`", node.span, "types belong to definitions")
        elif isinstance(node, Where):
            raise refused(
                "`where` belongs behind the parameters of a method", node.span, "as in `f(x::T) where T<:Real = x`"
            )
        elif isinstance(node, Parameters):
            raise refused("`,` and `;` cannot be mixed here", node.span, "`(a, b)` is a tuple, `(a; b)` a block")
        else:
            for child in children(node):
                stack.append((child, depth + 1))
    return statement


def _is_typed_keyword(keyword: ast.Keyword) -> bool:
    return isinstance(keyword.value, ast.Assign | ast.Typed) and keyword.value.span == keyword.span


def children(node: ast.Node) -> list[ast.Node]:
    """The nodes directly below one, in the order of its fields."""
    found: list[ast.Node] = []
    for name in node.__dataclass_fields__:
        if name == "span":
            continue
        value = getattr(node, name)
        if isinstance(value, ast.Node):
            found.append(value)
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, ast.Node):
                    found.append(item)
                elif isinstance(item, tuple):
                    found += item
    return found


def documented(statements: list[ast.Node]) -> tuple[ast.Node, ...]:
    """Top-level statements, with a string right before a definition taken as its documentation."""
    result: list[ast.Node] = []
    for statement in statements:
        text = _literal(result[-1]) if result else None
        if text is not None and isinstance(statement, ast.FunctionDef | ast.StructDef):
            result[-1] = replace(statement, doc=text.strip("\n"))
        else:
            result.append(statement)
    return tuple(result)


def _literal(node: ast.Node) -> str | None:
    if not isinstance(node, ast.String) or not all(isinstance(p, str) for p in node.parts):
        return None
    return "".join(cast(tuple[str, ...], node.parts))
