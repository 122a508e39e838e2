"""The tree builder: one method a production of the grammar, called bottom-up by the parser.

The grammar reads more than the language has (any expression before `=`, any list as parameters); the methods here turn
such general forms into targets, parameters and signatures, or say why they cannot be. Children are the terminals and
finished nodes of the production in order; nothing here recurses over a tree but along one signature or target.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from dsl.diagnostics import NO_SPAN, Span, error
from dsl.syntax import ast
from dsl.syntax.lexer import INT64_LIMIT
from dsl.syntax.tokens import Terminal

Child = Any  # a Terminal, a Node, or one of the lists below


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


def fail(message: str, span: Span, hint: str = "", code: str = "E0114") -> NoReturn:
    raise error(code, message, span, hint)


def _span(children: list[Child]) -> Span:
    return cast(Span, children[0].span.to(children[-1].span))


def _nodes(children: list[Child]) -> tuple[Any, ...]:
    return tuple(c for c in children if not isinstance(c, Terminal))


class Builder:
    # ------------------------------------------------------------ atoms

    def number(self, c: list[Child]) -> ast.Node:
        value, single = c[0].value
        return ast.Number(value, single, span=c[0].span)

    def name(self, c: list[Child]) -> ast.Node:
        return ast.Name(c[0].value, span=c[0].span)

    def symbol(self, c: list[Child]) -> ast.Node:
        return ast.Symbol(c[0].value, span=c[0].span)

    def true(self, c: list[Child]) -> ast.Node:
        return ast.Bool(True, span=c[0].span)

    def false(self, c: list[Child]) -> ast.Node:
        return ast.Bool(False, span=c[0].span)

    def nothing(self, c: list[Child]) -> ast.Node:
        return ast.Nothing(span=c[0].span)

    def break_(self, c: list[Child]) -> ast.Node:
        return ast.Break(span=c[0].span)

    def continue_(self, c: list[Child]) -> ast.Node:
        return ast.Continue(span=c[0].span)

    def colon(self, c: list[Child]) -> ast.Node:
        return ast.Colon(span=c[0].span)

    def end_index(self, c: list[Child]) -> ast.Node:
        return ast.End(span=c[0].span)

    def string(self, c: list[Child]) -> ast.Node:
        parts = _dedented(c) if c[0].value == '"""' else [_piece(p) for p in c[1:-1]]
        return ast.String(_merged(parts), span=_span(c))

    def in_text(self, c: list[Child]) -> ast.Node:
        return cast(ast.Node, c[1])

    # ------------------------------------------------------------ operators

    def chain(self, c: list[Child]) -> ast.Node:
        """Operators of one level, from the left. Runs of `+` and of `*` become one call."""
        result: ast.Expr = c[0]
        k = 1
        while k < len(c):
            run = k + 2
            if c[k].value in ("+", "*"):
                while run < len(c) and c[run].value == c[k].value:
                    run += 2
            result = _binary(c[k], result, *c[k + 1 : run : 2])
            k = run
        return result

    def juxtaposed(self, c: list[Child]) -> ast.Node:
        factors = c[::2]
        return ast.Call(ast.Name("*", span=_span(c)), tuple(factors), infix=True, span=_span(c))

    def power(self, c: list[Child]) -> ast.Node:
        return _binary(c[1], c[0], c[2])

    def unary(self, c: list[Child]) -> ast.Node:
        op, operand = c
        span = _span(c)
        if op.value in ("+", "-") and isinstance(operand, ast.Number) and op.span.end == operand.span.start:
            value = -operand.value if op.value == "-" else operand.value
            return ast.Number(value, operand.single, span=span)
        if op.value.startswith("."):
            return ast.DotCall(ast.Name(op.value[1:], span=op.span), (operand,), infix=True, span=span)
        return ast.Call(ast.Name(op.value, span=op.span), (operand,), span=span)

    def range(self, c: list[Child]) -> ast.Node:
        return ast.Range(c[0], c[2] if len(c) == 5 else None, c[-1], span=_span(c))

    def comparison(self, c: list[Child]) -> ast.Node:
        operators = [op.value for op in c[1::2]]
        dotted = [op.startswith(".") for op in operators]
        if any(dotted) and not all(dotted):
            fail("comparisons with and without dots cannot be chained", _span(c), "write two comparisons")
        names = tuple(op[1:] if dot else op for op, dot in zip(operators, dotted, strict=True))
        return ast.Compare(names, tuple(c[::2]), any(dotted), span=_span(c))

    def conjunction(self, c: list[Child]) -> ast.Node:
        return ast.And(c[0], c[2], span=_span(c))

    def disjunction(self, c: list[Child]) -> ast.Node:
        return ast.Or(c[0], c[2], span=_span(c))

    def ternary(self, c: list[Child]) -> ast.Node:
        return ast.If(c[0], c[2], c[4], True, span=_span(c))

    def pair(self, c: list[Child]) -> ast.Node:
        return ast.Pair(c[0], c[2], span=_span(c))

    def splat(self, c: list[Child]) -> ast.Node:
        return ast.Splat(c[0], span=_span(c))

    def typed(self, c: list[Child]) -> ast.Node:
        return ast.Typed(c[0], c[2], span=_span(c))

    def nameless(self, c: list[Child]) -> ast.Node:
        """`::T`, a parameter without a name."""
        return ast.Typed(ast.Name("", span=c[0].span), c[1], span=_span(c))

    def where(self, c: list[Child]) -> ast.Node:
        if isinstance(c[0], Where):
            return Where(c[0].signature, (*c[0].variables, *c[2]), span=c[0].span)
        return Where(c[0], c[2], span=c[0].span)

    def type_variables(self, c: list[Child]) -> tuple[ast.TypeVar, ...]:
        return _nodes(c)

    def type_variable(self, c: list[Child]) -> ast.TypeVar:
        return ast.TypeVar(c[0].value, c[2] if len(c) == 3 else None, span=_span(c))

    def subtype_of(self, c: list[Child]) -> ast.Node:
        return ast.SubtypeOf(c[1], span=_span(c))

    # ------------------------------------------------------------ postfix forms

    def call(self, c: list[Child]) -> ast.Node:
        fn, sections = c[0], c[2]
        span = _span(c)
        if len(sections) > 2:
            fail("a call has one `;`, before its keywords", span)
        items = list(sections[0].items)
        keywords = [dataclasses.replace(_keyword(i), among=True) for i in items if isinstance(i, ast.Assign)]
        args = tuple(i for i in items if not isinstance(i, ast.Assign))
        if len(sections) == 2:
            keywords += [_keyword(i) for i in sections[1].items]
        if isinstance(fn, ast.Name) and fn.id == "include" and not keywords:
            return _include(args, span)
        return ast.Call(fn, args, tuple(keywords), span=span)

    def do_call(self, c: list[Child]) -> ast.Node:
        call, do, parameters, body, end = c
        if not isinstance(call, ast.Call):
            fail("`do` must follow a call", do.span, "as in `map(v) do x … end`")
        fn = ast.Lambda(tuple(map(_parameter, parameters)), body, span=do.span.to(end.span))
        return dataclasses.replace(call, args=(fn, *call.args), span=_span(c))

    def parameters(self, c: list[Child]) -> tuple[ast.Expr, ...]:
        if not c:
            return ()
        return c[0].items if isinstance(c[0], ast.Tuple) and not _in_parentheses(c[0]) else (c[0],)

    def dot_call(self, c: list[Child]) -> ast.Node:
        if len(c[2]) > 1 or any(isinstance(i, ast.Assign) for i in c[2][0].items):
            fail("a broadcast call takes no keywords", _span(c), "wrap the function: `(x -> f(x; k=1)).(v)`")
        return ast.DotCall(c[0], c[2][0].items, span=_span(c))

    def prime(self, c: list[Child]) -> ast.Node:
        return ast.Prime(c[0], span=_span(c))

    def field(self, c: list[Child]) -> ast.Node:
        return ast.Field(c[0], c[2].value, span=_span(c))

    def apply_type(self, c: list[Child]) -> ast.Node:
        return ast.TypeApply(c[0], c[2], span=_span(c))

    def type_parameters(self, c: list[Child]) -> tuple[ast.Expr, ...]:
        return _nodes(c)

    def index(self, c: list[Child]) -> ast.Node:
        """`a[i]`, `T[]`. Only where the brackets hold what no index can (rows, an applied type) is it an array."""
        value, cells = c[0], c[2]
        span = _span(c)
        if cells.rows is not None or isinstance(value, ast.TypeApply):
            return _array(cells, value, span)
        if len(cells.items) == 1 and isinstance(cells.items[0], ast.Comprehension):
            return _array(cells, value, span)
        return ast.Index(value, cells.items, span=span)

    def cells(self, c: list[Child]) -> Cells:
        return Cells(_nodes(c))

    def row(self, c: list[Child]) -> tuple[ast.Expr, ...]:
        return _nodes(c)

    def rows(self, c: list[Child]) -> Cells:
        rows = [(r,) if isinstance(r, ast.Node) else r for r in c if not isinstance(r, Terminal)]
        return Cells((), tuple(rows))

    def array(self, c: list[Child]) -> ast.Node:
        return _array(c[1], None, _span(c))

    # ------------------------------------------------------------ parentheses

    def inside(self, c: list[Child]) -> tuple[Section, ...]:
        return _nodes(c)

    def section(self, c: list[Child]) -> Section:
        return Section(_nodes(c), bool(c) and isinstance(c[-1], Terminal))

    def group(self, c: list[Child]) -> ast.Node:
        return _group(c[1], _span(c))

    def generated(self, c: list[Child]) -> ast.Node:
        iterators, condition = c[1]
        return ast.Comprehension(c[0], iterators, condition, True, span=c[0].span.to(iterators[-1].span))

    def generator(self, c: list[Child]) -> tuple[tuple[ast.Iterator_, ...], ast.Expr | None]:
        return c[1], c[3] if len(c) == 4 else None

    def iterators(self, c: list[Child]) -> tuple[ast.Iterator_, ...]:
        return _nodes(c)

    def iterator(self, c: list[Child]) -> ast.Iterator_:
        return ast.Iterator_(_target(c[0]), c[2], span=_span(c))

    # ------------------------------------------------------------ statements

    def listing(self, c: list[Child]) -> ast.Node:
        return ast.Tuple(_nodes(c), span=_span(c))

    def assign(self, c: list[Child]) -> ast.Node:
        left, op, right = c
        span = _span(c)
        spelt = op.value
        dotted = spelt.startswith(".")
        name = spelt[dotted:-1]
        if name:
            return ast.OpAssign(name, _op_target(left), right, dotted, span=span)
        if not dotted and (definition := _definition(left, right, span)):
            return definition
        return ast.Assign(_target(left), right, dotted, span=span)

    def const(self, c: list[Child]) -> ast.Node:
        if not isinstance(c[1], ast.Assign):
            fail("`const` needs a value", _span(c), "as in `const g = 9.81`")
        return ast.Const(c[1], span=_span(c))

    def local(self, c: list[Child]) -> ast.Node:
        word, what = c
        value = what.value if isinstance(what, ast.Assign) else None
        target = what.target if isinstance(what, ast.Assign) else what
        targets = target.items if isinstance(target, ast.Tuple) else (target,)
        names = tuple(t.id for t in targets if isinstance(t, ast.Name))
        if len(names) != len(targets):
            fail(f"`{word.value}` takes names", target.span, f"as in `{word.value} x` or `{word.value} x = 1`")
        return ast.Local(names, value, word.value == "global", span=_span(c))

    def path(self, c: list[Child]) -> Terminal:
        return Terminal("NAME", ".".join(t.value for t in c[::2]), _span(c))

    def import_modules(self, c: list[Child]) -> ast.Node:
        imports = tuple(ast.Import(str(p.value), (), span=c[0].span.to(p.span)) for p in c[1::2])
        return imports[0] if len(imports) == 1 else ast.Block(imports, span=_span(c))

    def import_names(self, c: list[Child]) -> ast.Node:
        return ast.Import(c[1].value, tuple(t.value for t in c[3::2]), span=_span(c))

    def return_(self, c: list[Child]) -> ast.Node:
        return ast.Return(c[1] if len(c) == 3 else None, span=_span(c))

    def macro(self, c: list[Child]) -> ast.Node:
        return _macro(c[0], _nodes(c), _span(c))

    def macro_function(self, c: list[Child]) -> ast.Node:
        return _macro(c[0], tuple(i for section in c[2] for i in section.items), _span(c))

    # ------------------------------------------------------------ blocks

    def block(self, c: list[Child]) -> ast.Node:
        statements: tuple[ast.Expr, ...] = _nodes(c)
        return ast.Block(statements, span=_span(list(statements)) if statements else c[0].span)

    def begin(self, c: list[Child]) -> ast.Node:
        return ast.Block(c[1].statements, span=_span(c))

    def if_(self, c: list[Child]) -> ast.Node:
        end = c[-1].span
        orelse = c[-2] if isinstance(c[-3], Terminal) and c[-3].type == "ELSE" else None
        heads = [k for k, t in enumerate(c) if isinstance(t, Terminal) and t.type in ("IF", "ELSEIF")]
        for k in reversed(heads):
            orelse = ast.If(_condition(c[k + 1]), c[k + 2], orelse, span=c[k].span.to(end))
        return cast(ast.Node, orelse)

    def while_(self, c: list[Child]) -> ast.Node:
        return ast.While(_condition(c[1]), c[2], span=_span(c))

    def for_(self, c: list[Child]) -> ast.Node:
        return ast.For(c[1], c[2], span=_span(c))

    def let(self, c: list[Child]) -> ast.Node:
        return ast.Let(c[1], c[2], span=_span(c))

    def bindings(self, c: list[Child]) -> tuple[ast.Assign, ...]:
        for item in _nodes(c):
            if not isinstance(item, ast.Assign):
                fail("`let` takes assignments", item.span, "as in `let a = 1, b = 2`")
        return _nodes(c)

    def function(self, c: list[Child]) -> ast.Node:
        if isinstance(c[1], ast.Assign):
            hint = "write `function f(x) … end`; the last expression is the result"
            fail("the results of a function are not named", c[1].span, hint)
        definition = _definition(c[1], c[2], _span(c), short=False)
        if definition is None:
            fail("`function` needs a name and parameters", c[1].span, "as in `function f(x, y) … end`")
        return definition

    def anonymous(self, c: list[Child]) -> ast.Node:
        params, keywords = _parameters(c[1])
        return ast.Lambda(params, c[2], keywords, span=_span(c))

    def lambda_(self, c: list[Child]) -> ast.Node:
        params, keywords = _parameters(c[0])
        return ast.Lambda(params, c[2], keywords, span=_span(c))

    def head(self, c: list[Child]) -> Head:
        variables = tuple(v for v in c if isinstance(v, ast.TypeVar))
        supertype = c[-1] if isinstance(c[-2:][0], Terminal) and c[-2:][0].type == "SUBTYPE" else None
        return Head(c[0].value, variables, supertype)

    def struct(self, c: list[Child]) -> ast.Node:
        head, body = c[1], c[2]
        fields, inner = [], []
        for statement in body.statements:
            if isinstance(statement, ast.FunctionDef):
                inner.append(statement)
            elif isinstance(statement, ast.Name | ast.Typed):
                fields.append(_parameter(statement))
            elif not isinstance(statement, ast.String):
                fail("a struct holds fields and constructors", statement.span, "a field is `name` or `name::Type`")
        mutable = c[0].type == "MUTABLE"
        return ast.StructDef(
            head.name, head.variables, head.supertype, tuple(fields), mutable, tuple(inner), span=_span(c)
        )

    def abstract(self, c: list[Child]) -> ast.Node:
        return ast.AbstractDef(c[1].name, c[1].supertype, span=_span(c))


setattr(Builder, "lambda", Builder.lambda_)  # the grammar's own name, a keyword of Python


# ---------------------------------------------------------------- helpers: operators, brackets


def _binary(op: Terminal, *operands: ast.Expr) -> ast.Node:
    name = str(op.value)
    span = operands[0].span.to(operands[-1].span)
    if name.startswith("."):
        return ast.DotCall(ast.Name(name[1:], span=op.span), operands, infix=True, span=span)
    return ast.Call(ast.Name(name, span=op.span), operands, infix=True, span=span)


def _keyword(item: ast.Expr) -> ast.Keyword:
    if isinstance(item, ast.Assign) and isinstance(item.target, ast.Name) and not item.dotted:
        return ast.Keyword(item.target.id, item.value, span=item.span)
    if isinstance(item, ast.Name):  # f(; k) is f(; k = k)
        return ast.Keyword(item.id, item, span=item.span)
    if isinstance(item, ast.Assign) and isinstance(item.target, ast.Typed) and isinstance(item.target.value, ast.Name):
        return ast.Keyword(item.target.value.id, item, span=item.span)  # k::T = v, in a signature
    if isinstance(item, ast.Typed) and isinstance(item.value, ast.Name):
        return ast.Keyword(item.value.id, item, span=item.span)
    fail("a keyword is `name = value`", item.span)


def _include(args: tuple[ast.Expr, ...], span: Span) -> ast.Node:
    if len(args) == 1 and isinstance(args[0], ast.String) and all(isinstance(p, str) for p in args[0].parts):
        return ast.Include("".join(cast(tuple[str, ...], args[0].parts)), span=span)
    fail("`include` takes the name of a file as a literal string", span, 'as in `include("model.dfl")`')


def _array(cells: Cells, eltype: ast.Expr | None, span: Span) -> ast.Node:
    only = cells.items[0] if len(cells.items) == 1 else None
    if isinstance(only, ast.Comprehension) and only.generator and not _in_parentheses(only):
        return dataclasses.replace(only, generator=False, eltype=eltype, span=span)
    return ast.ArrayLit(cells.items, cells.rows, eltype, span=span)


def _group(sections: tuple[Section, ...], span: Span) -> ast.Node:
    first = sections[0]
    if len(sections) == 1:
        return _comma_group(first, span)
    if not first.items and len(sections) == 2:  # (; a = 1)
        pairs = [_keyword(i) for i in sections[1].items]
        return ast.NamedTuple(tuple(k.name for k in pairs), tuple(k.value for k in pairs), span=span)
    if len(sections) == 2 and (len(first.items) > 1 or first.comma or len(sections[1].items) > 1):
        return Parameters(first.items, sections[1].items, span=span)
    if any(len(s.items) > 1 for s in sections):
        fail("`,` and `;` cannot be mixed here", span, "`(a, b)` is a tuple, `(a; b)` a block")
    return ast.Block(tuple(i for s in sections for i in s.items), span=span)


def _in_parentheses(node: ast.Expr) -> bool:
    """Whether a list or generator was written in parentheses of its own (its span holds them)."""
    return node.span.text.startswith("(")


def _comma_group(section: Section, span: Span) -> ast.Node:
    items = section.items
    if len(items) == 1 and not section.comma:
        if isinstance(items[0], ast.Assign):  # so that it is no keyword where it is an argument
            return ast.Block(items, span=span)
        return dataclasses.replace(items[0], span=span)
    if items and all(isinstance(i, ast.Assign) and isinstance(i.target, ast.Name) for i in items):
        pairs = [_keyword(i) for i in items]
        return ast.NamedTuple(tuple(k.name for k in pairs), tuple(k.value for k in pairs), span=span)
    return ast.Tuple(items, span=span)


def _condition(cond: ast.Expr) -> ast.Expr:
    if isinstance(cond, ast.Assign | ast.FunctionDef):
        fail("a condition compares with `==`; `=` assigns", cond.span, "write `==`", code="E0101")
    return cond


def _macro(word: Terminal, args: tuple[ast.Expr, ...], span: Span) -> ast.Node:
    name = str(word.value)
    if name == "adjoint":
        if len(args) != 1 or not isinstance(args[0], ast.FunctionDef):
            fail("`@adjoint` takes the definition of a function", span, "as in `@adjoint f(x) = f(x), ȳ -> (2x * ȳ,)`")
        return dataclasses.replace(args[0], adjoint=True, span=span)
    return ast.MacroCall(name, args, span=span)


# ---------------------------------------------------------------- helpers: targets, parameters, signatures


def _target(left: ast.Expr) -> ast.Target:
    if isinstance(left, ast.Name | ast.Index | ast.Field):
        return left
    if isinstance(left, ast.Typed) and isinstance(left.value, ast.Name | ast.Field | ast.Index):
        return left
    if isinstance(left, ast.Tuple):
        return ast.Tuple(tuple(map(_target, left.items)), span=left.span)
    if isinstance(left, ast.Splat):
        return ast.Splat(_target(left.value), span=left.span)
    hint = ""
    if isinstance(left, ast.Compare | ast.Call | ast.Number | ast.And | ast.Or):
        hint = "`=` assigns; `==` compares"
    fail(f"`{_clip(left.span.text)}` cannot be assigned to", left.span, hint, code="E0113")


def _op_target(left: ast.Expr) -> ast.Target:
    if isinstance(left, ast.Tuple):
        fail("a tuple cannot be updated in place", left.span, "assign each variable on its own", code="E0113")
    return _target(left)


def _clip(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= 30 else line[:30] + "…"


def _definition(left: ast.Expr, body: ast.Expr, span: Span, short: bool = True) -> ast.FunctionDef | None:
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
    return ast.FunctionDef(
        name,
        _positional(signature),
        body,
        tuple(_keyword_parameter(k) for k in signature.keywords if not k.among),
        (*variables, *more),
        result,
        callee,
        short=short,
        span=span,
    )  # fmt: skip


def _can_be_signature(call: ast.Call) -> bool:
    """`a::P + b::P = …` defines a method of `+`; `2x = 3` and `x + 1 = 3` define nothing."""
    return not call.infix or all(isinstance(a, ast.Name | ast.Typed) for a in call.args)


def _positional(signature: ast.Call) -> tuple[ast.Param, ...]:
    """The parameters before the `;`, those with a default included, which a call would take as keywords."""
    defaults = [_keyword_parameter(k) for k in signature.keywords if k.among]
    return tuple(sorted([*map(_parameter, signature.args), *defaults], key=lambda p: p.span.start))


def _method_name(fn: ast.Expr) -> tuple[str, ast.Param | None, tuple[ast.TypeVar, ...]]:
    if isinstance(fn, ast.Name):
        return fn.id, None, ()
    if isinstance(fn, ast.Field):  # Base.sin: kept, since it adds to that function and makes no new one
        return f"{fn.value.id}.{fn.name}" if isinstance(fn.value, ast.Name) else fn.name, None, ()
    if isinstance(fn, ast.Typed):  # (m::Affine)(x)
        callee = _parameter(fn)
        return callee.name, callee, ()
    if isinstance(fn, ast.TypeApply) and isinstance(fn.base, ast.Name):  # Point{T}(x)
        return fn.base.id, None, ()
    fail("this cannot be the name of a function", fn.span)


def _parameters(left: ast.Expr) -> tuple[tuple[ast.Param, ...], tuple[ast.Param, ...]]:
    """The parameters of a lambda: what stands left of `->`, or in the brackets after `function`."""
    if isinstance(left, Where):
        left = left.signature
    if isinstance(left, Parameters):
        return tuple(map(_parameter, left.items)), tuple(_keyword_parameter(_keyword(k)) for k in left.keywords)
    if isinstance(left, ast.NamedTuple):  # (x = 1, y = 2) -> …
        pairs = zip(left.names, left.items, strict=True)
        return tuple(ast.Param(n, None, v, span=left.span) for n, v in pairs), ()
    if isinstance(left, ast.Block):  # (x = 1) -> …, (x; k = 1) -> …
        items = left.statements
        return (_parameter(items[0]),), tuple(_keyword_parameter(_keyword(k)) for k in items[1:])
    items = left.items if isinstance(left, ast.Tuple) else (left,)
    return tuple(map(_parameter, items)), ()


def _parameter(item: ast.Expr) -> ast.Param:
    span = item.span
    if isinstance(item, ast.Assign):
        return dataclasses.replace(_parameter(item.target), default=item.value, span=span)
    if isinstance(item, ast.Splat):
        return dataclasses.replace(_parameter(item.value), variadic=True, span=span)
    if isinstance(item, ast.Typed):
        if isinstance(item.value, ast.Name):
            return ast.Param(item.value.id, item.type, span=span)
        return dataclasses.replace(_parameter(item.value), type=item.type, span=span)
    if isinstance(item, ast.Name):
        return ast.Param(item.id, span=span)
    if isinstance(item, ast.Tuple):
        return ast.Param("", target=_target(item), span=span)
    fail(f"`{_clip(span.text)}` cannot be a parameter", span, "a parameter is `x`, `x::Type` or `x = default`")


def _keyword_parameter(keyword: ast.Keyword) -> ast.Param:
    value = keyword.value
    if isinstance(value, ast.Assign | ast.Typed) and value.span == keyword.span:
        return _parameter(value)
    if isinstance(value, ast.Name) and value.span == keyword.span:
        return ast.Param(keyword.name, span=keyword.span)
    return ast.Param(keyword.name, None, value, span=keyword.span)


# ---------------------------------------------------------------- helpers: strings


def _piece(part: Child) -> str | ast.Expr:
    if not isinstance(part, Terminal):
        return cast(ast.Expr, part)
    if part.type == "NAME_IN_TEXT":
        return ast.Name(str(part.value), span=part.span)
    return "".join(text for text, _ in cast(list[tuple[str, bool]], part.value))


def _merged(parts: list[str | ast.Expr]) -> tuple[str | ast.Expr, ...]:
    merged: list[str | ast.Expr] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return tuple(merged)


def _dedented(c: list[Child]) -> list[str | ast.Expr]:
    """The parts of a triple-quoted string without the indentation that all its lines share (the last line counts)."""
    # Each part as (text, may hold line starts); the first line starts where the text starts on a line of its own.
    raw: list[tuple[str, bool] | ast.Expr] = []
    for part in c[1:-1]:
        if isinstance(part, Terminal) and part.type == "TEXT":
            raw += cast(list[tuple[str, bool]], part.value)
        else:
            raw.append(cast(ast.Expr, _piece(part)))
    if c[1:-1] and c[1].span.start > c[0].span.end:  # a newline followed the opening quotes
        raw.insert(0, ("\n", False))
    indents: list[str] = []
    for k, piece in enumerate(raw):
        if piece == ("\n", False):
            after = raw[k + 1] if k + 1 < len(raw) else ("", True)
            text = after[0] if isinstance(after, tuple) and not after[1] else ""
            blank = text[: len(text) - len(text.lstrip(" \t"))]
            if text != "\n" and not (blank == text and k + 2 < len(raw) and raw[k + 2] == ("\n", False)):
                indents.append(blank)
    shared = _common_prefix(indents)
    parts: list[str | ast.Expr] = []
    for k, piece in enumerate(raw):
        if not isinstance(piece, tuple):
            parts.append(piece)
        elif k and raw[k - 1] == ("\n", False) and not piece[1]:
            parts.append(piece[0].removeprefix(shared))
        else:
            parts.append(piece[0])
    if c[1:-1] and c[1].span.start > c[0].span.end:
        parts.pop(0)
    return parts


def _common_prefix(texts: list[str]) -> str:
    if not texts:
        return ""
    low, high = min(texts), max(texts)
    return low[: next((k for k in range(len(low)) if low[k] != high[k]), len(low))]


# ---------------------------------------------------------------- finished statements

MAX_DEPTH = 400


def check(statement: ast.Node) -> ast.Node:
    """What only the finished tree shows: its depth, numbers beyond Int64, forms that only a definition could hold."""
    stack: list[tuple[ast.Node, int]] = [(statement, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            hint = "give inner expressions names of their own"
            fail(f"expressions are nested more than {MAX_DEPTH} deep", node.span, hint, code="E0109")
        if isinstance(node, ast.Number):
            if isinstance(node.value, int) and node.value >= INT64_LIMIT:
                fail("this number is too large for an Int64", node.span, "write it as a Float64", code="E0104")
        elif isinstance(node, ast.Keyword) and _is_typed_keyword(node):
            fail("a keyword of a call is `name = value`", node.span, "types belong to definitions")
        elif isinstance(node, Where):
            fail("`where` belongs behind the parameters of a method", node.span, "as in `f(x::T) where T<:Real = x`")
        elif isinstance(node, Parameters):
            fail("`,` and `;` cannot be mixed here", node.span, "`(a, b)` is a tuple, `(a; b)` a block")
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
            result[-1] = dataclasses.replace(statement, doc=text.strip("\n"))
        else:
            result.append(statement)
    return tuple(result)


def _literal(node: ast.Node) -> str | None:
    if not isinstance(node, ast.String) or not all(isinstance(p, str) for p in node.parts):
        return None
    return "".join(cast(tuple[str, ...], node.parts))


__all__ = ["MAX_DEPTH", "NO_SPAN", "Builder", "check", "children", "documented"]
