"""The table from syntax nodes to what lowers them, filled by `expressions`, `statements` and `loops`.

`expr(f, node)` gives the value of an expression or statement; with `want=False` the value is not used, so the arms of
an `if` need not agree on one. It raises `Diverged` where control does not get past the node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsl.diagnostics import Span, error
from dsl.lower.frame import Frame
from dsl.lower.values import Val
from dsl.syntax import ast

Handler = Callable[[Frame, Any, bool], Val]
HANDLERS: dict[type, Handler] = {}
_TARGETS: list[Callable[[Frame, ast.Node, Val, Span], None]] = []


def handles(*types: type) -> Callable[[Handler], Handler]:
    def register(fn: Handler) -> Handler:
        for t in types:
            HANDLERS[t] = fn
        return fn

    return register


def expr(f: Frame, node: ast.Node, want: bool = True) -> Val:
    handler = HANDLERS.get(type(node))
    if handler is None:
        raise error("E0901", f"{type(node).__name__} is not supported here yet", node.span)
    f.at(node)
    return handler(f, node, want)


def body_value(f: Frame, body: ast.Node) -> Val:
    """The value of a function's body."""
    value = expr(f, body)
    f.at(body)
    return value


def assigns(fn: Callable[[Frame, ast.Node, Val, Span], None]) -> Callable[[Frame, ast.Node, Val, Span], None]:
    """Declare what assigns to targets."""
    _TARGETS.append(fn)
    return fn


def assign_target(f: Frame, target: ast.Node, val: Val, span: Span) -> None:
    """`target = val`, for any kind of target."""
    _TARGETS[0](f, target, val, span)
