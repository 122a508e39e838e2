"""The top level of a file: declarations first, then the statements in order.

Functions and types of a file are known to all of it, whatever their order. Every other statement becomes an entry that
is run once: the globals that it assigns come in as variables and go out as results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.diagnostics import DslError, error
from dsl.lower import declare as declarations
from dsl.lower.calls import call_name, closure
from dsl.lower.declarations import Global, Namespace
from dsl.lower.frame import Frame
from dsl.lower.lowering import expr
from dsl.lower.names import global_value
from dsl.lower.scopes import Var, analyse, assigned_names, children, target_names
from dsl.lower.values import UNIT, Val, tuple_val
from dsl.syntax import ast
from dsl.types import BOOLEAN, NOTHING, TupleType
from dsl.types import leaves as leaves_of

if TYPE_CHECKING:
    from dsl.lower.session import Session

DECLARATIONS = (ast.FunctionDef, ast.StructDef, ast.AbstractDef, ast.Import)
_EFFECTS = (ast.Assign, ast.OpAssign, ast.For, ast.While, ast.If, ast.Const, ast.Local, ast.Let, ast.MacroCall)


def declare(session: Session, namespace: Namespace, statements: Sequence[ast.Expr]) -> None:
    """Enter the functions and types that statements declare; where one is wrong, none."""
    known = [*namespace.functions.values(), *(fn for fn in session.extended())]
    before = dict(namespace.functions), dict(namespace.types), [(fn, list(fn.methods), list(fn.rules)) for fn in known]
    try:
        _declare(session, namespace, statements)
    except DslError:
        namespace.functions, namespace.types = before[0], before[1]
        for fn, methods, rules in before[2]:
            library = [m for m in fn.methods if m.namespace is not namespace and m not in methods]  # taken in meanwhile
            fn.methods, fn.rules = [*methods, *library], rules
        raise


def _declare(session: Session, namespace: Namespace, statements: Sequence[ast.Expr]) -> None:
    declarations.declare_all(session, namespace, [s for s in statements if isinstance(s, (*DECLARATIONS, ast.Const))])


def run(session: Session, statements: Sequence[ast.Expr], print_expressions: bool) -> None:
    """Declarations, then everything else in order."""
    statements = _included(session, statements, ())
    declare(session, session.namespace, statements)
    for node in statements:
        if isinstance(node, DECLARATIONS):
            continue
        if print_expressions or _assigns(node) or _changes(node):
            _run_statement(session, node, print_expressions and _has_value(node))


def _included(session: Session, statements: Sequence[ast.Expr], inside: tuple[str, ...]) -> list[ast.Expr]:
    out: list[ast.Expr] = []
    for node in statements:
        if isinstance(node, ast.Block) and all(isinstance(s, ast.Import) for s in node.statements):
            out += node.statements  # using A, B
            continue
        if isinstance(node, ast.Local) and node.is_global and node.value is not None:  # all is global here
            out += [ast.Assign(ast.Name(n, span=node.span), node.value, span=node.span) for n in node.names]
            continue
        if not isinstance(node, ast.Include):
            out.append(node)
            continue
        if session.read is None:
            raise error("E0601", "include is not possible here", node.span)
        path = str(Path(node.span.source.name).parent / node.path)  # beside the file that includes it
        if path in inside or len(inside) > 50:
            raise error("E0601", f"{node.path} includes itself", node.span)
        out += _included(session, session.parse(session.read(path)).statements, (*inside, path))
    return out


def _assigns(node: ast.Expr) -> bool:
    """Whether a statement is more than an expression to look at."""
    if isinstance(node, ast.MacroCall):
        return False
    if isinstance(node, ast.Block):
        return any(_assigns(s) for s in node.statements)
    if isinstance(node, ast.If) and node.ternary:
        return bool(assigned_names(node))
    return isinstance(node, _EFFECTS) and not isinstance(node, ast.Let)


def _changes(node: ast.Expr) -> bool:
    """Whether an expression is there for what it does: `push!(v, 1)`."""
    return isinstance(node, ast.Call) and isinstance(node.fn, ast.Name) and node.fn.id[:-1] + "!" == node.fn.id != "!"


def _has_value(node: ast.Expr) -> bool:
    """Whether a statement ends in an expression whose value is worth showing."""
    if isinstance(node, ast.Block):
        return bool(node.statements) and _has_value(node.statements[-1])
    if isinstance(node, ast.If):
        return not assigned_names(node)
    return not _assigns(node)


def _names(session: Session, node: ast.Expr) -> list[str]:
    """The globals that a statement assigns: its own names, and in loops those that exist already."""
    names = dict.fromkeys(assigned_names(node))
    known = session.namespace.globals
    work = list(children(node))
    while work:
        n = work.pop()
        if isinstance(n, ast.Lambda | ast.FunctionDef | ast.Comprehension | ast.Let):
            continue
        if isinstance(n, ast.Assign | ast.OpAssign) and not n.dotted:
            names.update(dict.fromkeys(t for t in target_names(n.target) if t in known))
        work += children(n)
    if isinstance(node, ast.Let):
        return []
    return list(names)


def _is_definition(node: ast.Expr) -> bool:
    """`f = x -> …`: the old value of f plays no part."""
    node = node.assign if isinstance(node, ast.Const) else node
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)


def _run_statement(session: Session, node: ast.Expr, shown: bool) -> None:
    names = _names(session, node)
    known = session.namespace.globals
    for name in names:
        old = known.get(name)
        if old is not None and old.const and not isinstance(node, ast.Const):
            raise error("E0208", f"{name} is a constant", node.span, notes=((f"{name} is set here", old.span),))
        _check_not_declared(session, name, node)
    preset = [] if _is_definition(node) else [n for n in names if n in known]
    scope = analyse(node, (), node, preset)
    for name in names:
        scope.declare(name)

    def lower(f: Frame, _: list[Val]) -> Val:
        for name in preset:
            f.assign(scope.names[name], global_value(f, name, known[name]), known[name].span)
        value = expr(f, node, shown)
        if shown:
            if value.type != NOTHING:
                call_name(f, "display", [value])
            value = UNIT
        return tuple_val([_final(f, scope.names[n], node) for n in names])

    entry = session._entry("toplevel", (), lower, scope, node.span)
    leaves = list(session.evaluate(entry))
    assert isinstance(entry.result, TupleType)
    at = 0
    for name, t in zip(names, entry.result.items, strict=True):
        assert isinstance(t, TupleType)
        n = len(leaves_of(t))
        part, at = leaves[at : at + n], at + n
        if part[0]:
            known[name] = Global(t.items[1], tuple(part[1:]), isinstance(node, ast.Const), node.span)


def _check_not_declared(session: Session, name: str, node: ast.Expr) -> None:
    """A function or struct keeps its name."""
    fn, struct = session.namespace.functions.get(name), session.namespace.types.get(name)
    span = fn.methods[0].span if fn is not None and fn.methods else getattr(getattr(struct, "node", None), "span", None)
    if span is not None:
        kind = "function" if fn is not None else "struct"
        raise error("E0208", f"{name} is a {kind}: it cannot be given a value", node.span, hint="use another name",
                    notes=((f"{name} is defined here", span),))  # fmt: skip


def _final(f: Frame, var: Var, node: ast.Expr) -> Val:
    """A variable's value at the end, with whether it has one."""
    if var.functions:
        return tuple_val([Val(BOOLEAN, (f.b.bool(True),)), closure(f, var.functions, var.name, node.span)])
    slot = f.env.get(var)
    if slot is None:
        return tuple_val([Val(BOOLEAN, (f.b.bool(False),)), UNIT])
    defined = slot.defined if slot.defined is not None else f.b.bool(True)
    if slot.conflict is not None:
        raise slot.conflict
    value = f.load_box(slot.val, var.name) if var.boxed else slot.val
    return tuple_val([Val(BOOLEAN, (defined,)), Val(value.type, value.leaves)])

