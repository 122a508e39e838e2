"""The tree builder: one method a production of the grammar, called bottom-up by the parser.

The grammar reads more than the language has (any expression before `=`, any list as parameters); `signatures` turns
such forms into targets, parameters and definitions, or says why they cannot be. Children are the terminals and finished
nodes of the production in order; nothing here recurses over a tree but along one signature or target.
"""

from __future__ import annotations

from typing import Any, cast

from dsl.diagnostics import Span
from dsl.records import replace
from dsl.syntax import ast
from dsl.syntax.forms import Cells, Head, Parameters, Section, Where, in_parentheses, refused
from dsl.syntax.signatures import definition, keyword, op_target, parameter, parameters, target
from dsl.syntax.strings import parts_of
from dsl.syntax.tokens import Terminal

Child = Any  # a Terminal, a Node, or one of `forms`


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
        return ast.End(span=c[0].span) if c[0].value == "end" else ast.Number(1, span=c[0].span)

    def string(self, c: list[Child]) -> ast.Node:
        return ast.String(parts_of(c), span=_span(c))

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
            raise refused("comparisons with and without dots cannot be chained", _span(c), "write two comparisons")
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
            raise refused("a call has one `;`, before its keywords", span)
        items = list(sections[0].items)
        keywords = [replace(keyword(i), among=True) for i in items if isinstance(i, ast.Assign)]
        args = tuple(i for i in items if not isinstance(i, ast.Assign))
        if len(sections) == 2:
            keywords += [keyword(i) for i in sections[1].items]
        if isinstance(fn, ast.Name) and fn.id == "include" and not keywords:
            return _include(args, span)
        return ast.Call(fn, args, tuple(keywords), span=span)

    def do_call(self, c: list[Child]) -> ast.Node:
        call, do, parameters, body, end = c
        if not isinstance(call, ast.Call):
            raise refused("`do` must follow a call", do.span, "as in `map(v) do x … end`")
        fn = ast.Lambda(tuple(map(parameter, parameters)), body, span=do.span.to(end.span))
        return replace(call, args=(fn, *call.args), span=_span(c))

    def parameters(self, c: list[Child]) -> tuple[ast.Expr, ...]:
        if not c:
            return ()
        return c[0].items if isinstance(c[0], ast.Tuple) and not in_parentheses(c[0]) else (c[0],)

    def dot_call(self, c: list[Child]) -> ast.Node:
        if len(c[2]) > 1 or any(isinstance(i, ast.Assign) for i in c[2][0].items):
            raise refused("a broadcast call takes no keywords", _span(c), "wrap the function: `(x -> f(x; k=1)).(v)`")
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
        return ast.Iterator_(target(c[0]), c[2], span=_span(c))

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
            return ast.OpAssign(name, op_target(left), right, dotted, span=span)
        if not dotted and (method := definition(left, right, span)):
            return method
        return ast.Assign(target(left), right, dotted, span=span)

    def const(self, c: list[Child]) -> ast.Node:
        if not isinstance(c[1], ast.Assign):
            raise refused("`const` needs a value", _span(c), "as in `const g = 9.81`")
        return ast.Const(c[1], span=_span(c))

    def local(self, c: list[Child]) -> ast.Node:
        word, what = c
        value = what.value if isinstance(what, ast.Assign) else None
        target = what.target if isinstance(what, ast.Assign) else what
        targets = target.items if isinstance(target, ast.Tuple) else (target,)
        names = tuple(t.id for t in targets if isinstance(t, ast.Name))
        if len(names) != len(targets):
            raise refused(f"`{word.value}` takes names", target.span, f"as in `{word.value} x` or `{word.value} x = 1`")
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
                raise refused("`let` takes assignments", item.span, "as in `let a = 1, b = 2`")
        return _nodes(c)

    def function(self, c: list[Child]) -> ast.Node:
        if isinstance(c[1], ast.Assign):
            hint = "write `function f(x) … end`; the last expression is the result"
            raise refused("the results of a function are not named", c[1].span, hint)
        method = definition(c[1], c[2], _span(c), short=False)
        if method is None:
            raise refused("`function` needs a name and parameters", c[1].span, "as in `function f(x, y) … end`")
        return method

    def anonymous(self, c: list[Child]) -> ast.Node:
        params, keywords = parameters(c[1])
        return ast.Lambda(params, c[2], keywords, span=_span(c))

    def lambda_(self, c: list[Child]) -> ast.Node:
        params, keywords = parameters(c[0])
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
                fields.append(parameter(statement))
            elif not isinstance(statement, ast.String):
                raise refused(
                    "a struct holds fields and constructors", statement.span, "a field is `name` or `name::Type`"
                )
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


def _include(args: tuple[ast.Expr, ...], span: Span) -> ast.Node:
    if len(args) == 1 and isinstance(args[0], ast.String) and all(isinstance(p, str) for p in args[0].parts):
        return ast.Include("".join(cast(tuple[str, ...], args[0].parts)), span=span)
    raise refused("`include` takes the name of a file as a literal string", span, 'as in `include("model.dfl")`')


def _array(cells: Cells, eltype: ast.Expr | None, span: Span) -> ast.Node:
    only = cells.items[0] if len(cells.items) == 1 else None
    if isinstance(only, ast.Comprehension) and only.generator and not in_parentheses(only):
        return replace(only, generator=False, eltype=eltype, span=span)
    return ast.ArrayLit(cells.items, cells.rows, eltype, span=span)


def _group(sections: tuple[Section, ...], span: Span) -> ast.Node:
    first = sections[0]
    if len(sections) == 1:
        return _comma_group(first, span)
    if not first.items and len(sections) == 2:  # (; a = 1)
        pairs = [keyword(i) for i in sections[1].items]
        return ast.NamedTuple(tuple(k.name for k in pairs), tuple(k.value for k in pairs), span=span)
    if len(sections) == 2 and (len(first.items) > 1 or first.comma or len(sections[1].items) > 1):
        return Parameters(first.items, sections[1].items, span=span)
    if any(len(s.items) > 1 for s in sections):
        raise refused("`,` and `;` cannot be mixed here", span, "`(a, b)` is a tuple, `(a; b)` a block")
    return ast.Block(tuple(i for s in sections for i in s.items), span=span)


def _comma_group(section: Section, span: Span) -> ast.Node:
    items = section.items
    if len(items) == 1 and not section.comma:
        if isinstance(items[0], ast.Assign):  # so that it is no keyword where it is an argument
            return ast.Block(items, span=span)
        return replace(items[0], span=span)
    if items and all(isinstance(i, ast.Assign) and isinstance(i.target, ast.Name) for i in items):
        pairs = [keyword(i) for i in items]
        return ast.NamedTuple(tuple(k.name for k in pairs), tuple(k.value for k in pairs), span=span)
    return ast.Tuple(items, span=span)


def _condition(cond: ast.Expr) -> ast.Expr:
    if isinstance(cond, ast.Assign | ast.FunctionDef):
        raise refused("a condition compares with `==`; `=` assigns", cond.span, "write `==`", code="E0101")
    return cond


def _macro(word: Terminal, args: tuple[ast.Expr, ...], span: Span) -> ast.Node:
    name = str(word.value)
    if name == "adjoint":
        if len(args) != 1 or not isinstance(args[0], ast.FunctionDef):
            raise refused(
                "`@adjoint` takes the definition of a function", span, "as in `@adjoint f(x) = f(x), ȳ -> (2x * ȳ,)`"
            )
        return replace(args[0], adjoint=True, span=span)
    return ast.MacroCall(name, args, span=span)
