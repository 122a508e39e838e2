"""What the builder passes upwards besides nodes of the tree, and how it refuses a form."""

from __future__ import annotations

from dsl.diagnostics import DslError, Span, error
from dsl.records import dataclass
from dsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Where(ast.Node):
    """A signature with its `where`; no part of a finished tree."""

    signature: ast.Expr
    variables: tuple[ast.TypeVar, ...]


@dataclass(frozen=True, slots=True)
class Parameters(ast.Node):
    """`(a, b; k = 1)`: only parameters can look so; no part of a finished tree."""

    items: tuple[ast.Expr, ...]
    keywords: tuple[ast.Expr, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """What stands between the `;` of a parenthesis."""

    items: tuple[ast.Expr, ...]
    comma: bool  # after the last item


@dataclass(frozen=True, slots=True)
class Cells:
    """The inside of square brackets: elements with commas, or rows."""

    items: tuple[ast.Expr, ...]
    rows: tuple[tuple[ast.Expr, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """`Name{T} <: Super` of a type definition."""

    name: str
    variables: tuple[ast.TypeVar, ...]
    supertype: ast.Expr | None


def refused(message: str, span: Span, hint: str = "", code: str = "E0114") -> DslError:
    """The error of a form that the language does not have."""
    return error(code, message, span, hint)


def in_parentheses(node: ast.Expr) -> bool:
    """Whether a list or generator was written in parentheses of its own (its span holds them, as that of its first
    part holds its own)."""
    match node:
        case ast.Comprehension():
            return node.span.start < node.body.span.start
        case ast.Tuple() if node.items:
            return node.span.start < node.items[0].span.start
    return node.span.text.startswith("(")
