"""Expressions: literals, calls, comparisons, conditions, tuples, indexing, fields, strings."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from dsl.diagnostics import Span, error
from dsl.lower.annotations import concrete, pattern
from dsl.lower.calls import call_name, call_value, closure
from dsl.lower.control import Facts, branch
from dsl.lower.convert import convert_value
from dsl.lower.declarations import StructDecl
from dsl.lower.frame import Frame, Slot
from dsl.lower.lowering import expr, handles
from dsl.lower.names import name_value
from dsl.lower.patterns import Pattern, matches, type_meant
from dsl.lower.scopes import FunctionScope
from dsl.lower.values import UNIT, Val, fn_val, is_number, items_of, named_val, show_type, text_of, tuple_val, type_val
from dsl.records import replace
from dsl.syntax import ast
from dsl.types import (
    BOOLEAN,
    F32,
    F64,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    FnType,
    IterType,
    NamedTupleType,
    OptionalType,
    StringLit,
    SymbolLit,
    TupleType,
    TypeValue,
    VectorType,
    leaves,
)  # fmt: skip

# ---------------------------------------------------------------- literals


@handles(ast.Number)
def lower_number(f: Frame, node: ast.Number, want: bool) -> Val:
    if node.single:
        return Val(FLOAT32, (f.b.const(float(node.value), F32),))
    if isinstance(node.value, int):
        return int_val(f, node.value)
    return Val(FLOAT64, (f.b.const(node.value, F64),))


def int_val(f: Frame, n: int) -> Val:
    """A known integer."""
    return Val(INT64, (f.b.i64(n),), n)


def bool_val(f: Frame, value: bool) -> Val:
    """An answer known from types alone."""
    return Val(BOOLEAN, (f.b.bool(value),), value)


@handles(ast.Bool)
def lower_bool(f: Frame, node: ast.Bool, want: bool) -> Val:
    return Val(BOOLEAN, (f.b.bool(node.value),))


@handles(ast.Nothing)
def lower_nothing(f: Frame, node: ast.Nothing, want: bool) -> Val:
    return UNIT


@handles(ast.Symbol)
def lower_symbol(f: Frame, node: ast.Symbol, want: bool) -> Val:
    return Val(SymbolLit(node.id))


@handles(ast.String)
def lower_string(f: Frame, node: ast.String, want: bool) -> Val:
    return join_text([Val(StringLit(p)) if isinstance(p, str) else expr(f, p) for p in node.parts])


def join_text(parts: Sequence[Val]) -> Val:
    """Text made of parts: a literal where all are known, else a template that keeps the values."""
    pieces: list[Val] = []
    for v in parts:
        if isinstance(v.type, IterType) and v.type.kind == "text":
            at = 0
            for t in v.type.items:
                n = len(leaves(t))
                pieces.append(Val(t, v.leaves[at : at + n]))
                at += n
        else:
            pieces.append(v)
    if all(text_of(v.type) is not None for v in pieces):
        return Val(StringLit("".join(text_of(v.type) or "" for v in pieces)))
    return Val(IterType("text", tuple(v.type for v in pieces)), tuple(leaf for v in pieces for leaf in v.leaves))


@handles(ast.Tuple)
def lower_tuple(f: Frame, node: ast.Tuple, want: bool) -> Val:
    return tuple_val(arguments(f, node.items))


@handles(ast.NamedTuple)
def lower_named_tuple(f: Frame, node: ast.NamedTuple, want: bool) -> Val:
    return named_val(node.names, [expr(f, i) for i in node.items])


@handles(ast.Pair)
def lower_pair(f: Frame, node: ast.Pair, want: bool) -> Val:
    return named_val(("first", "second"), [expr(f, node.left), expr(f, node.right)])


@handles(ast.Range)
def lower_range(f: Frame, node: ast.Range, want: bool) -> Val:
    start = expr(f, node.start)
    step = expr(f, node.step) if node.step is not None else None
    stop = expr(f, node.stop)
    f.at(node)
    return call_name(f, ":", [start, stop] if step is None else [start, step, stop], node.span)


# ---------------------------------------------------------------- calls


def arguments(f: Frame, nodes: Sequence[ast.Expr]) -> list[Val]:
    """Arguments in order, splatted tuples spread out."""
    args: list[Val] = []
    for node in nodes:
        if isinstance(node, ast.Splat):
            args += spread(f, expr(f, node.value), node.span)
        else:
            args.append(expr(f, node))
    return args


def spread(f: Frame, v: Val, span: Span) -> list[Val]:
    if isinstance(v.type, TupleType | NamedTupleType):
        return items_of(v)
    if isinstance(v.type, IterType | VectorType):
        raise error("E0901", f"`...` of a {show_type(v.type)}, whose length is known at run time only, is not "
                    "supported yet", span, hint="use a tuple, or `reduce(f, v)`")  # fmt: skip
    return [v]


@handles(ast.Call)
def lower_call(f: Frame, node: ast.Call, want: bool) -> Val:
    special = _SPECIAL.get(node.fn.id) if isinstance(node.fn, ast.Name) else None
    if special is not None and f.scope.lookup(node.fn.id) is None:  # type: ignore[attr-defined]
        value = special(f, node)
        if value is not None:
            return value
    fn = callee(f, node.fn)
    args = arguments(f, node.args)
    keywords = {k.name: expr(f, k.value) for k in node.keywords if not isinstance(k, ast.Splat)}
    f.at(node)
    return call_value(f, fn, args, keywords, node.span)


def callee(f: Frame, node: ast.Expr) -> Val:
    """What is called. A type with parameters (`Dict{K, V}(…)`) is called as it is written."""
    if isinstance(node, ast.TypeApply):
        return type_val(type_here(f, node))  # type: ignore[arg-type]
    if isinstance(node, ast.Field) and isinstance(node.value, ast.Name) and node.value.id == "Base":
        return name_value(f, node.name, node.span)
    return expr(f, node)


def type_here(f: Frame, node: ast.Expr | None) -> Pattern:
    """The type that an expression means in a function: its type variables are known, `typeof(x)` of its values, and
    `new{T}` in an inner constructor."""
    names: dict[str, Pattern] = dict(f.types)
    return pattern(f.namespace, None if node is None else _resolved(f, node, names), names)


def _resolved(f: Frame, node: ast.Expr, names: dict[str, Pattern]) -> ast.Expr:
    """A type expression with what only this place knows replaced by names."""
    match node:
        case ast.TypeApply():
            base = node.base
            if isinstance(base, ast.Name) and base.id == "new" and isinstance(f.constructing, StructDecl):
                base = ast.Name(f.constructing.name, span=base.span)
            return replace(node, base=base, params=tuple(_resolved(f, p, names) for p in node.params))
        case ast.Call(fn=ast.Name(id="typeof"), args=(ast.Name() as name,)) if f.scope.lookup(name.id) is None and (
            f.namespace.function(name.id) is not None
        ):
            return node
        case ast.Call(fn=ast.Name(id="typeof"), args=(_,)):
            value = expr(f, node)
            assert isinstance(value.type, TypeValue)
            names[node.span.text] = value.type.type
            return ast.Name(node.span.text, span=node.span)
    return node


def _literal_power(f: Frame, node: ast.Call) -> Val | None:
    """`x^2` with a literal exponent."""
    if len(node.args) != 2:
        return None
    n = literal_int(node.args[1])
    if n is None:
        return None
    base = expr(f, node.args[0])
    f.at(node)
    return call_name(f, "literal_pow", [base, int_val(f, n)], node.span)


def literal_int(node: ast.Expr) -> int | None:
    match node:
        case ast.Number(value=int() as n, single=False):
            return n
        case ast.Call(fn=ast.Name(id="-"), args=(ast.Number(value=int() as n, single=False),)):
            return -n
    return None


def _isa(f: Frame, node: ast.Call) -> Val | None:
    if len(node.args) != 2:
        return None
    return isa(f, expr(f, node.args[0]), type_here(f, node.args[1]))


def isa(f: Frame, v: Val, p: Pattern) -> Val:
    if isinstance(v.type, OptionalType):
        item, none = (matches(t, p, {}) for t in (v.type.item, NOTHING))
        if item != none:
            return Val(BOOLEAN, (v.leaves[0] if item else f.b.prim("not", v.leaves[0]),))
        return bool_val(f, item)
    return bool_val(f, matches(v.type, p, {}))


def _convert(f: Frame, node: ast.Call) -> Val | None:
    if len(node.args) != 2:
        return None
    to = concrete(type_here(f, node.args[0]))
    value = expr(f, node.args[1])
    f.at(node)
    return value if to is None else convert_value(f, value, to, node.span)


_SPECIAL = {"^": _literal_power, "isa": _isa, "convert": _convert}


@handles(ast.ArrayLit)
def lower_array(f: Frame, node: ast.ArrayLit, want: bool) -> Val:
    if node.rows is not None:
        rows = [arguments(f, row) for row in node.rows]
        f.at(node)
        return call_name(f, "hvcat", [tuple_val(row) for row in rows], node.span)
    if not node.items:
        return call_name(f, "empty_vector", [] if node.eltype is None else [_element_type(f, node.eltype)], node.span)
    items = arguments(f, node.items)
    f.at(node)
    if node.eltype is None and all(is_number(v.type) for v in items):
        return call_name(f, "vect", items, node.span)
    first = [_element_type(f, node.eltype)] if node.eltype is not None else [UNIT]
    return call_name(f, "vector_of", [*first, *items], node.span)


def _element_type(f: Frame, node: ast.Expr) -> Val:
    return type_val(type_here(f, node))  # type: ignore[arg-type]


@handles(ast.Comprehension)
def lower_comprehension(f: Frame, node: ast.Comprehension, want: bool) -> Val:
    scope = f.scope.children[id(node)]
    assert isinstance(scope, FunctionScope)
    items = closure(f, [scope], "generator", node.span)
    if node.generator:
        return items
    return call_name(f, "comprehension", [items, *([] if node.eltype is None else [_element_type(f, node.eltype)])],
                     node.span)  # fmt: skip


@handles(ast.Lambda)
def lower_lambda(f: Frame, node: ast.Lambda, want: bool) -> Val:
    scope = f.scope.children[id(node)]
    assert isinstance(scope, FunctionScope)
    return closure(f, [scope], "λ", node.span)


@handles(ast.Prime)
def lower_prime(f: Frame, node: ast.Prime, want: bool) -> Val:
    value = expr(f, node.value)
    f.at(node)
    return call_name(f, "'", [value], node.span)


# ---------------------------------------------------------------- comparisons and conditions


def lower_compare(f: Frame, node: ast.Compare) -> Val:
    """A comparison without dots (`broadcast` has both)."""
    if node.operators == ("isa",):
        return isa(f, expr(f, node.operands[0]), type_here(f, node.operands[1]))
    return _chain(f, node, expr(f, node.operands[0]), 0)


def _chain(f: Frame, node: ast.Compare, left: Val, k: int) -> Val:
    """`a < b <= c` from the k-th operator on: each operand once, later ones only where needed."""
    right = expr(f, node.operands[k + 1])
    f.at(node)
    first = _decided(f, node, k, left, right) or compare(f, node.operators[k], left, right, node.span)
    if k == len(node.operators) - 1:
        return first
    if first.type != BOOLEAN:
        raise error("E0203", f"a chain of comparisons needs Bool, not {show_type(first.type)}", node.span)
    return branch(f, first.leaf, lambda: _chain(f, node, right, k + 1), lambda: bool_of(f, False), True)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _decided(f: Frame, node: ast.Compare, k: int, left: Val, right: Val) -> Val | None:
    """A comparison with a number that the types decide (`length(xs) == 0`), so that it chooses what is lowered. Those
    of literals and variables are left to run time: which branch they take is no matter of types."""
    decide = _ORDER.get(node.operators[k])
    calls = any(isinstance(e, ast.Call) for e in node.operands[k : k + 2])
    if decide is None or not calls or type(left.known) is not int or type(right.known) is not int:
        return None
    return bool_val(f, decide(left.known, right.known))


def bool_of(f: Frame, value: bool) -> Val:
    return Val(BOOLEAN, (f.b.bool(value),))


def compare(f: Frame, operator: str, left: Val, right: Val, span: Span) -> Val:
    match operator:
        case "!=" | "≠":
            return call_name(f, "!=", [left, right], span)
        case "!==" | "≢":
            return call_name(f, "!", [call_name(f, "===", [left, right], span)], span)
        case "∉":
            return call_name(f, "!", [call_name(f, "in", [left, right], span)], span)
        case "!≈" | "≉":
            return call_name(f, "!", [call_name(f, "≈", [left, right], span)], span)
    operator = {"≤": "<=", "≥": ">=", "∈": "in", "≡": "==="}.get(operator, operator)
    local = f.scope.lookup(operator)
    if local is not None:
        return call_value(f, name_value(f, operator, span), [left, right], {}, span)
    return call_name(f, operator, [left, right], span)


def condition(f: Frame, node: ast.Expr) -> tuple[Val, Facts, Facts]:
    """A condition, with what it tells about optional variables where it holds and where it does not."""
    value = expr(f, node)
    if value.type != BOOLEAN:
        raise error("E0203", f"a condition must be a Bool, not {show_type(value.type)}", node.span,
                    hint=_condition_hint(value))  # fmt: skip
    f.at(node)
    holds, fails = facts(f, node)
    return value, holds, fails


def _condition_hint(v: Val) -> str:
    if v.type in (INT64, FLOAT64, FLOAT32):
        return "compare with zero: `x != 0`"
    return "compare with nothing: `x !== nothing`" if isinstance(v.type, OptionalType) else ""


_NOTHING_TESTS = frozenset({"===", "==", "!==", "!="})


def facts(f: Frame, node: ast.Expr) -> tuple[Facts, Facts]:
    match node:
        case ast.Compare(operators=(op,), operands=(ast.Name() as name, ast.Nothing())) if op in _NOTHING_TESTS:
            none, some = _optional_facts(f, name)
            return (none, some) if op in ("===", "==") else (some, none)
        case ast.Call(fn=ast.Name(id="isnothing"), args=(ast.Name() as name,)):
            return _optional_facts(f, name)
        case ast.Compare(operators=("isa",), operands=(ast.Name() as name, wanted)) | ast.Call(
            fn=ast.Name(id="isa"), args=(ast.Name() as name, wanted)
        ):
            none, some = _optional_facts(f, name)
            return (none, some) if type_here(f, wanted) == NOTHING else (some, none)
        case ast.Call(fn=ast.Name(id="!"), args=(inner,)):
            holds, fails = facts(f, inner)
            return fails, holds
        case ast.And():
            return (*facts(f, node.left)[0], *facts(f, node.right)[0]), ()
        case ast.Or():
            return (), (*facts(f, node.left)[1], *facts(f, node.right)[1])
    return (), ()


def _optional_facts(f: Frame, name: ast.Name) -> tuple[Facts, Facts]:
    var = f.scope.lookup(name.id)
    slot = f.env.get(var) if var is not None and not var.boxed else None
    if var is None or slot is None or not isinstance(slot.val.type, OptionalType):
        return (), ()
    item = Val(slot.val.type.item, slot.val.leaves[1:])
    return ((var, Slot(UNIT, None, None, slot.span)),), ((var, Slot(item, None, None, slot.span)),)


@handles(ast.And)
def lower_and(f: Frame, node: ast.And, want: bool) -> Val:
    cond, holds, fails = condition(f, node.left)
    if cond.known is not None:
        return expr(f, node.right, want) if cond.known else cond
    f.at(node)
    return branch(f, cond.leaf, lambda: expr(f, node.right, want), lambda: bool_of(f, False), want, (holds, fails))


@handles(ast.Or)
def lower_or(f: Frame, node: ast.Or, want: bool) -> Val:
    cond, holds, fails = condition(f, node.left)
    if cond.known is not None:
        return cond if cond.known else expr(f, node.right, want)
    f.at(node)
    return branch(f, cond.leaf, lambda: bool_of(f, True), lambda: expr(f, node.right, want), want, (holds, fails))


@handles(ast.If)
def lower_if(f: Frame, node: ast.If, want: bool) -> Val:
    cond, holds, fails = condition(f, node.cond)

    def orelse() -> Val:
        return UNIT if node.orelse is None else expr(f, node.orelse, want)

    if cond.known is not None:
        f.env.update(holds if cond.known else fails)
        return expr(f, node.then, want) if cond.known else orelse()
    f.at(node)
    return branch(f, cond.leaf, lambda: expr(f, node.then, want), orelse, want, (holds, fails))


# ---------------------------------------------------------------- parts


@handles(ast.Index)
def lower_index(f: Frame, node: ast.Index, want: bool) -> Val:
    value = expr(f, node.value)
    element = element_type(value)
    if element is not None:
        name = "vector_of" if node.indices else "empty_vector"
        return call_name(f, name, [element, *arguments(f, node.indices)], node.span)
    indices = index_values(f, value, node.indices)
    f.at(node)
    return call_name(f, "getindex", [value, *indices], node.span)


def element_type(v: Val) -> Val | None:
    """The `T` of `T[…]`, where what is indexed is a type."""
    meant = type_meant(v.type)
    return None if meant is None else type_val(meant)  # type: ignore[arg-type]


def index_values(f: Frame, value: Val, nodes: Sequence[ast.Expr]) -> list[Val]:
    found: list[Val] = []
    for k, node in enumerate(nodes):
        of = [value] if len(nodes) == 1 else [value, int_val(f, k + 1)]
        f.index_ends.append(lambda of=of: call_name(f, "lastindex", of))  # type: ignore[misc]
        try:
            found += arguments(f, [node])
        finally:
            f.index_ends.pop()
    return found


@handles(ast.End)
def lower_end(f: Frame, node: ast.End, want: bool) -> Val:
    if not f.index_ends:
        raise error("E0201", "`end` has a meaning inside an index only", node.span)
    return f.index_ends[-1]()


@handles(ast.Colon)
def lower_colon(f: Frame, node: ast.Colon, want: bool) -> Val:
    return Val(IterType("colon", ()))


@handles(ast.Field)
def lower_field(f: Frame, node: ast.Field, want: bool) -> Val:
    if isinstance(node.value, ast.Name) and node.value.id == "Base":
        return name_value(f, node.name, node.span)
    value = expr(f, node.value)
    f.at(node)
    return call_name(f, "getproperty", [value, Val(SymbolLit(node.name))], node.span)


@handles(ast.TypeApply)
def lower_type_apply(f: Frame, node: ast.TypeApply, want: bool) -> Val:
    return type_val(type_here(f, node))  # type: ignore[arg-type]


@handles(ast.Typed)
def lower_typed(f: Frame, node: ast.Typed, want: bool) -> Val:
    value = expr(f, node.value)
    wanted = type_here(f, node.type)
    if not matches(value.type, wanted, {}):
        raise error("E0209", f"a value of type {wanted} was promised, this is a {show_type(value.type)}", node.span)
    return value


@handles(ast.Splat)
def lower_splat(f: Frame, node: ast.Splat, want: bool) -> Val:
    raise error("E0301", "`...` has a meaning among arguments and in tuples only", node.span)


def generator_scope(t: object) -> FunctionScope | None:
    """The scope of a generator, where a type is that of one."""
    if isinstance(t, FnType):
        functions = getattr(t.key, "functions", ())
        if functions and isinstance(functions[0].node, ast.Comprehension):
            return functions[0]  # type: ignore[no-any-return]
    return None


__all__ = ["condition", "fn_val", "generator_scope"]
