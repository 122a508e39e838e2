"""Targets, parameters and signatures: general expressions read as what stands left of `=`, `->` or a body."""

from __future__ import annotations

from dsl.diagnostics import Span
from dsl.records import replace
from dsl.syntax import ast
from dsl.syntax.forms import Parameters, Where, refused


def target(left: ast.Expr) -> ast.Target:
    if isinstance(left, ast.Name | ast.Index | ast.Field):
        return left
    if isinstance(left, ast.Typed) and isinstance(left.value, ast.Name | ast.Field | ast.Index):
        return left
    if isinstance(left, ast.Tuple):
        return ast.Tuple(tuple(map(target, left.items)), span=left.span)
    if isinstance(left, ast.NamedTuple) and _takes_fields(left):
        return left
    if isinstance(left, ast.Splat):
        return ast.Splat(target(left.value), span=left.span)
    hint = ""
    if isinstance(left, ast.Compare | ast.Call | ast.Number | ast.And | ast.Or):
        hint = "`=` assigns; `==` compares"
    raise refused(f"`{_clip(left.span.text)}` cannot be assigned to", left.span, hint, code="E0113")


def _takes_fields(left: ast.NamedTuple) -> bool:
    """`(; x, y) = p` takes the fields of these names."""
    named = all(isinstance(i, ast.Name) and i.id == n for n, i in zip(left.names, left.items, strict=True))
    return named and left.span.text[1:].lstrip().startswith(";")


def op_target(left: ast.Expr) -> ast.Target:
    if isinstance(left, ast.Tuple):
        raise refused("a tuple cannot be updated in place", left.span, "assign each variable on its own", code="E0113")
    return target(left)


def _clip(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= 30 else line[:30] + "…"


def definition(left: ast.Expr, body: ast.Expr, span: Span, short: bool = True) -> ast.FunctionDef | None:
    """The method that `left = body` or `function left body end` defines; None if `left` is no signature."""
    variables: tuple[ast.TypeVar, ...] = ()
    result = None
    signature = left
    if isinstance(signature, Where):
        variables = signature.variables
        signature = signature.signature
    if isinstance(signature, ast.Typed) and isinstance(signature.value, ast.Call):
        result = signature.type
        signature = signature.value
    if not isinstance(signature, ast.Call) or not _can_be_signature(signature):
        return None
    name, callee, more = _method_name(signature.fn)
    positional = _positional(signature)
    keywords = tuple(keyword_parameter(k) for k in signature.keywords if not k.among)
    _check_distinct((*positional, *keywords))
    return ast.FunctionDef(
        name,
        positional,
        body,
        keywords,
        (*variables, *more),
        result,
        callee,
        short=short,
        span=span,
    )  # fmt: skip


def _check_distinct(params: tuple[ast.Param, ...]) -> None:
    seen: set[str] = {"", "_"}
    for p in params:
        if p.name in seen - {"", "_"}:
            raise refused(f"two parameters have the name {p.name}", p.span)
        seen.add(p.name)


def _can_be_signature(call: ast.Call) -> bool:
    """`a::P + b::P = …` defines a method of `+`; `2x = 3` and `x + 1 = 3` define nothing."""
    return not call.infix or all(isinstance(a, ast.Name | ast.Typed) for a in call.args)


def _positional(signature: ast.Call) -> tuple[ast.Param, ...]:
    """The parameters before the `;`, those with a default included, which a call would take as keywords."""
    defaults = [keyword_parameter(k) for k in signature.keywords if k.among]
    return tuple(sorted([*map(parameter, signature.args), *defaults], key=lambda p: p.span.start))


def _method_name(fn: ast.Expr) -> tuple[str, ast.Param | None, tuple[ast.TypeVar, ...]]:
    if isinstance(fn, ast.Name):
        return fn.id, None, ()
    if isinstance(fn, ast.Field):  # Base.sin: kept, since it adds to that function and makes no new one
        return f"{fn.value.id}.{fn.name}" if isinstance(fn.value, ast.Name) else fn.name, None, ()
    if isinstance(fn, ast.Typed):  # (m::Affine)(x)
        callee = parameter(fn)
        return callee.name, callee, ()
    if isinstance(fn, ast.TypeApply) and isinstance(fn.base, ast.Name):  # Point{T}(x)
        return fn.base.id, None, ()
    raise refused("this cannot be the name of a function", fn.span)


def parameters(left: ast.Expr) -> tuple[tuple[ast.Param, ...], tuple[ast.Param, ...]]:
    """The parameters of a lambda: what stands left of `->`, or in the brackets after `function`."""
    if isinstance(left, Where):
        left = left.signature
    if isinstance(left, Parameters):
        return tuple(map(parameter, left.items)), tuple(keyword_parameter(keyword(k)) for k in left.keywords)
    if isinstance(left, ast.NamedTuple):  # (x = 1, y = 2) -> …
        pairs = zip(left.names, left.items, strict=True)
        return tuple(ast.Param(n, None, v, span=left.span) for n, v in pairs), ()
    if isinstance(left, ast.Block):  # (x = 1) -> …, (x; k = 1) -> …
        items = left.statements
        return (parameter(items[0]),), tuple(keyword_parameter(keyword(k)) for k in items[1:])
    items = left.items if isinstance(left, ast.Tuple) else (left,)
    return tuple(map(parameter, items)), ()


def parameter(item: ast.Expr) -> ast.Param:
    span = item.span
    if isinstance(item, ast.Assign):
        return replace(parameter(item.target), default=item.value, span=span)
    if isinstance(item, ast.Splat):
        return replace(parameter(item.value), variadic=True, span=span)
    if isinstance(item, ast.Typed):
        if isinstance(item.value, ast.Name):
            return ast.Param(item.value.id, item.type, span=span)
        return replace(parameter(item.value), type=item.type, span=span)
    if isinstance(item, ast.Name):
        return ast.Param(item.id, span=span)
    if isinstance(item, ast.Tuple) or (isinstance(item, ast.NamedTuple) and _takes_fields(item)):
        return ast.Param("", target=target(item), span=span)
    raise refused(f"`{_clip(span.text)}` cannot be a parameter", span, "a parameter is `x`, `x::Type` or `x = default`")


def keyword_parameter(keyword: ast.Keyword) -> ast.Param:
    value = keyword.value
    if isinstance(value, ast.Assign | ast.Typed) and value.span == keyword.span:
        return parameter(value)
    if isinstance(value, ast.Name) and value.span == keyword.span:
        return ast.Param(keyword.name, span=keyword.span)
    return ast.Param(keyword.name, None, value, span=keyword.span)


def keyword(item: ast.Expr) -> ast.Keyword:
    if isinstance(item, ast.Assign) and isinstance(item.target, ast.Name) and not item.dotted:
        return ast.Keyword(item.target.id, item.value, span=item.span)
    if isinstance(item, ast.Name):  # f(; k) is f(; k = k)
        return ast.Keyword(item.id, item, span=item.span)
    if isinstance(item, ast.Assign) and isinstance(item.target, ast.Typed) and isinstance(item.target.value, ast.Name):
        return ast.Keyword(item.target.value.id, item, span=item.span)  # k::T = v, in a signature
    if isinstance(item, ast.Typed) and isinstance(item.value, ast.Name):
        return ast.Keyword(item.value.id, item, span=item.span)
    raise refused("a keyword is `name = value`", item.span)
