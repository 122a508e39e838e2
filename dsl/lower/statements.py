"""Statements: blocks, assignment to every kind of target, exits, `let`, macros."""

from __future__ import annotations

from dsl.diagnostics import Span, error
from dsl.lower.annotations import concrete
from dsl.lower.arrays import is_array
from dsl.lower.broadcast import broadcast_assign
from dsl.lower.calls import call_name, closure
from dsl.lower.convert import convert_value
from dsl.lower.expressions import arguments, condition, index_values, type_here
from dsl.lower.frame import Frame, Loop
from dsl.lower.lowering import assign_target, assigns, expr, handles
from dsl.lower.scopes import FunctionScope
from dsl.lower.suggest import did_you_mean
from dsl.lower.values import UNIT, Val, items_of, show_type, tuple_val
from dsl.syntax import ast
from dsl.types import INT64, LangType, NamedTupleType, RangeType, StructType, SymbolLit, TupleType


@handles(ast.Block)
def lower_block(f: Frame, node: ast.Block, want: bool) -> Val:
    value = UNIT
    last = len(node.statements) - 1
    for k, statement in enumerate(node.statements):
        value = expr(f, statement, want and k == last)
    return value


@handles(ast.Let)
def lower_let(f: Frame, node: ast.Let, want: bool) -> Val:
    outer, scope = f.scope, f.scope.children[id(node)]
    f.scope = scope
    f.declare_boxes(scope)
    try:
        for binding in node.bindings:
            expr(f, binding, False)
        return expr(f, node.body, want)
    finally:
        f.scope = outer
        for var in scope.names.values():
            f.env.pop(var, None)


# ---------------------------------------------------------------- assignment


@handles(ast.Assign)
def lower_assign(f: Frame, node: ast.Assign, want: bool) -> Val:
    if node.dotted:
        return broadcast_assign(f, node.target, node.value)
    if isinstance(node.value, ast.Lambda) and isinstance(node.target, ast.Name):
        return _assign_lambda(f, node, node.target, node.value)
    if isinstance(node.target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        return _assign_parallel(f, node, node.target, node.value, want)
    value = expr(f, node.value)
    f.at(node)
    assign_target(f, node.target, value, node.span)
    return value


def _assign_lambda(f: Frame, node: ast.Assign, target: ast.Name, value: ast.Lambda) -> Val:
    """A variable whose only assignment is a lambda is a local function."""
    scope = f.scope.children[id(value)]
    assert isinstance(scope, FunctionScope)
    var = f.scope.lookup(target.id)
    made = closure(f, [scope], target.id, node.span)
    if var is None or not var.functions:
        assign_target(f, target, made, node.span)
    return made


def _assign_parallel(f: Frame, node: ast.Assign, target: ast.Tuple, value: ast.Tuple, want: bool) -> Val:
    """`a, b = b, a`: all values first."""
    values = arguments(f, value.items)
    f.at(node)
    _bind_items(f, target, values, node.span)
    return tuple_val(values) if want else UNIT


@handles(ast.OpAssign)
def lower_op_assign(f: Frame, node: ast.OpAssign, want: bool) -> Val:
    if node.dotted:
        return broadcast_assign(f, node.target, node.value, node.op)
    place = _Place(f, node.target)
    old = place.read()
    value = expr(f, node.value)
    f.at(node)
    new = call_name(f, node.op, [old, value], node.span)
    place.write(new, node.span)
    return new


class _Place:
    """A target that is read and then written: its object and index are evaluated once."""

    def __init__(self, f: Frame, target: ast.Node) -> None:
        self.f = f
        self.target = target
        self.value: Val | None = None
        self.indices: list[Val] = []
        if isinstance(target, ast.Index):
            self.value = expr(f, target.value)
            self.indices = index_values(f, self.value, target.indices)
        elif isinstance(target, ast.Field):
            self.value = expr(f, target.value)
            self.indices = [Val(SymbolLit(target.name))]

    def read(self) -> Val:
        self.f.at(self.target)
        if self.value is None:
            return expr(self.f, self.target)
        name = "getindex" if isinstance(self.target, ast.Index) else "getproperty"
        return call_name(self.f, name, [self.value, *self.indices])

    def write(self, val: Val, span: Span) -> None:
        if self.value is None:
            assign_target(self.f, self.target, val, span)
        elif isinstance(self.target, ast.Index):
            call_name(self.f, "setindex!", [self.value, val, *self.indices], span)
        else:
            call_name(self.f, "setproperty!", [self.value, *self.indices, val], span)


@assigns
def assign_to(f: Frame, target: ast.Node, val: Val, span: Span) -> None:
    match target:
        case ast.Name():
            _assign_name(f, target, val, span)
        case ast.Typed():
            to = concrete(type_here(f, target.type))
            assign_target(f, target.value, val if to is None else convert_value(f, val, to, span), span)
        case ast.Tuple():
            _bind_items(f, target, _destructured(f, target, val, span), span)
        case ast.NamedTuple():
            for name in target.names:
                part = call_name(f, "getproperty", [val, Val(SymbolLit(name))], span)
                _assign_name(f, ast.Name(name, span=target.span), part, span)
        case ast.Index():
            value = expr(f, target.value)
            indices = index_values(f, value, target.indices)
            f.b.span = span
            call_name(f, "setindex!", [value, val, *indices], span)
        case ast.Field():
            value = expr(f, target.value)
            f.b.span = span
            call_name(f, "setproperty!", [value, Val(SymbolLit(target.name)), val], span)
        case _:
            raise error("E0113", "this cannot be assigned to", target.span)


def _assign_name(f: Frame, target: ast.Name, val: Val, span: Span) -> None:
    if target.id == "_":
        return
    var = f.scope.lookup(target.id)
    if var is None:
        raise error("E0208", f"the global {target.id} cannot be assigned from a function", span,
                    hint="top-level values are fixed when the file is loaded: use a Ref")  # fmt: skip
    if var.annotation is not None:
        to = concrete(type_here(f, var.annotation))
        val = val if to is None else convert_value(f, val, to, span)
    f.assign(var, val, span)


def _destructured(f: Frame, target: ast.Tuple, val: Val, span: Span) -> list[Val]:
    if isinstance(val.type, TupleType | NamedTupleType) or _of_the_library(f, val.type):
        return items_of(val)
    if is_array(val.type) or isinstance(val.type, RangeType):
        n = call_name(f, "length", [val], span).leaf
        enough = f.b.prim("ge", n, f.b.i64(len(target.items)))
        f.check(enough, "E0402", f"{len(target.items)} values are wanted, there are {{0}}", n)
        items = []
        for k in range(len(target.items)):
            items.append(call_name(f, "getindex", [val, Val(INT64, (f.b.i64(k + 1),), k + 1)], span))
        return items
    raise error("E0301", f"a value of type {show_type(val.type)} cannot be taken apart", span)


def _of_the_library(f: Frame, t: LangType) -> bool:
    """Whether a type is a struct of the library: `L, U, p = lu(A)`."""
    return isinstance(t, StructType) and not t.mutable and f.unit.session.base.types.get(t.name) is t.key


def _bind_items(f: Frame, target: ast.Tuple, items: list[Val], span: Span) -> None:
    n = len(target.items)
    splat = next((k for k, t in enumerate(target.items) if isinstance(t, ast.Splat)), None)
    if len(items) < n - (splat is not None):
        raise error("E0402", f"{n} values are wanted, there are {len(items)}", span)
    if splat is not None:
        after = n - splat - 1
        rest = tuple_val(items[splat : len(items) - after])
        items = [*items[:splat], rest, *items[len(items) - after :]]
    for part, value in zip(target.items, items, strict=False):
        assign_target(f, part.value if isinstance(part, ast.Splat) else part, value, span)


@handles(ast.Local)
def lower_local(f: Frame, node: ast.Local, want: bool) -> Val:
    if node.is_global and f.scope.parent is None and node.value is not None:
        raise error("E0208", "a function cannot assign globals", node.span)
    if node.value is None:
        return UNIT
    value = expr(f, node.value)
    for name in node.names:
        assign_target(f, ast.Name(name, span=node.span), value, node.span)
    return value


@handles(ast.Const)
def lower_const(f: Frame, node: ast.Const, want: bool) -> Val:
    return expr(f, node.assign, want)


@handles(ast.FunctionDef)
def lower_function_def(f: Frame, node: ast.FunctionDef, want: bool) -> Val:
    scope = f.scope.children[id(node)]
    assert isinstance(scope, FunctionScope)
    var = f.scope.lookup(node.name)
    if var is None:
        raise error("E0901", "methods of global functions are defined at top level", node.span)
    if var.functions:
        return closure(f, var.functions, node.name, node.span) if want else UNIT
    made = closure(f, [scope], node.name, node.span)
    f.assign(var, made, node.span)
    return made


@handles(ast.StructDef, ast.AbstractDef, ast.Import, ast.Include)
def lower_definition(f: Frame, node: ast.Node, want: bool) -> Val:
    raise error("E0901", "this is allowed at top level only", node.span)


# ---------------------------------------------------------------- exits


@handles(ast.Return)
def lower_return(f: Frame, node: ast.Return, want: bool) -> Val:
    if not isinstance(f.scope.function.node, ast.FunctionDef | ast.Lambda | ast.Comprehension):
        raise error("E0106", "`return` stands outside a function", node.span)
    value = UNIT if node.value is None else expr(f, node.value)
    f.at(node)
    if f.declared_result is not None:
        value = convert_value(f, value, f.declared_result, node.span)
    f.leave(value, node.span)


@handles(ast.Break)
def lower_break(f: Frame, node: ast.Break, want: bool) -> Val:
    innermost = _statement_loop(f, node)
    outermost = next(loop for loop in f.loops if loop.statement is innermost.statement)
    f.break_from(outermost)


@handles(ast.Continue)
def lower_continue(f: Frame, node: ast.Continue, want: bool) -> Val:
    f.continue_in(_statement_loop(f, node))


def _statement_loop(f: Frame, node: ast.Node) -> Loop:
    """The innermost loop of the program's own (reductions that the compiler makes are none)."""
    for loop in reversed(f.loops):
        if isinstance(loop.statement, ast.Node):
            return loop
    raise error("E0106", "this stands outside a loop", node.span)


# ---------------------------------------------------------------- macros

_TRANSPARENT = frozenset({"inbounds", "simd", "inline", "noinline", "fastmath", "views", "time", "checkpoint"})


@handles(ast.MacroCall)
def lower_macro(f: Frame, node: ast.MacroCall, want: bool) -> Val:
    name = node.name.removeprefix("@")
    if name == "checkpoint":
        _checkpoint(f, node)
    if name in _TRANSPARENT and node.args:
        return expr(f, node.args[-1], want)
    match name:
        case "assert":
            return _assert(f, node)
        case "show":
            return _show(f, node)
        case "view":
            return _view(f, node)
    known = [*_TRANSPARENT, "assert", "show", "view"]
    raise error("E0201", f"the macro @{name} is not defined", node.span, hint=did_you_mean(name, known))


def _checkpoint(f: Frame, node: ast.MacroCall) -> None:
    """`@checkpoint for …`: the loop is marked, and lowered as it is."""
    loop = node.args[-1] if node.args else node
    if not isinstance(loop, ast.For | ast.While):
        raise error("E0301", "@checkpoint takes a loop, as in `@checkpoint for i in 1:n`", node.span,
                    hint="a call is run again by `checkpointed(f, x…)`")  # fmt: skip
    f.checkpoints.add(id(loop) if isinstance(loop, ast.While) else id(loop.iterators[0]))


def _view(f: Frame, node: ast.MacroCall) -> Val:
    """`@view A[i, :]`"""
    target = node.args[0] if node.args else node
    if not isinstance(target, ast.Index):
        raise error("E0301", "@view takes an indexed array, as in `@view A[1, :]`", node.span)
    value = expr(f, target.value)
    indices = index_values(f, value, target.indices)
    f.at(node)
    return call_name(f, "view", [value, *indices], node.span)


def _assert(f: Frame, node: ast.MacroCall) -> Val:
    cond, holds, _ = condition(f, node.args[0])
    message = expr(f, node.args[1]) if len(node.args) > 1 else None
    f.at(node)
    text, operands = "assertion failed: " + node.args[0].span.text.replace("{", "{{").replace("}", "}}"), ()
    if message is not None:
        text, operands = f.unit.session.template(f, message)
    f.check(cond.leaf, "E0405", text, *operands)
    f.env.update(holds)
    return UNIT


def _show(f: Frame, node: ast.MacroCall) -> Val:
    value = UNIT
    for arg in node.args:
        value = expr(f, arg)
        f.at(node)
        call_name(f, "show_line", [Val(SymbolLit(arg.span.text)), value], node.span)
    return value
