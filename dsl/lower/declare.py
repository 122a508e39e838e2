"""Entering declarations: types first, then functions and their methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

from dsl.diagnostics import error
from dsl.lower.annotations import is_open, pattern, substitute
from dsl.lower.calls import OPERATOR_NAMES
from dsl.lower.declarations import GenericFunction, Method, Namespace, StructDecl, make_method
from dsl.lower.patterns import ABSTRACTS, CONCRETE, Abstract, FunctionP, Pattern, TypeVarP
from dsl.lower.suggest import did_you_mean
from dsl.syntax import ast

if TYPE_CHECKING:
    from dsl.lower.session import Session


def declare_all(session: Session, ns: Namespace, nodes: Sequence[ast.Expr]) -> None:
    _check_structs([n for n in nodes if isinstance(n, ast.StructDef)])
    for node in nodes:
        if isinstance(node, ast.AbstractDef):
            ns.types[node.name] = Abstract(node.name, _supertype(ns, node.supertype, {}))
        elif isinstance(node, ast.StructDef):
            ns.types[node.name] = _struct(ns, node)
        elif isinstance(node, ast.Import):
            _import(ns, node)
        elif isinstance(node, ast.Const):
            _alias(ns, node)
    functions = {id(n): _function_for(session, ns, n) for n in nodes if _is_named(n)}  # all names before all signatures
    for node in nodes:
        if isinstance(node, ast.StructDef):
            _inner_constructors(ns, node)
        elif isinstance(node, ast.FunctionDef):
            declare_function(ns, node, functions.get(id(node)))
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and id(node) in functions:
            _check_rule(node, functions[id(node)])


RULES = frozenset({"rrule", "frule"})
# What these have is there without being asked for; programs written for Julia ask.
LIBRARY = frozenset({
    "Base", "Core", "Main", "LinearAlgebra", "Statistics", "SpecialFunctions", "LogExpFunctions", "ChainRulesCore",
    "Zygote", "ForwardDiff",
})  # fmt: skip


def _import(ns: Namespace, node: ast.Import) -> None:
    module = node.module.split(".")[0]
    if module not in LIBRARY:
        raise error("E0901", f"there is no package {module} here", node.span,
                    hint=did_you_mean(module, LIBRARY) or "only the standard library can be imported; "
                    '`include("name.dfl")` takes in another file')  # fmt: skip
    if module == "Base":
        ns.imported.update(node.names)


def _check_structs(nodes: Sequence[ast.StructDef]) -> None:
    """A file may declare a struct again as it is, not as another one."""
    seen: dict[str, ast.StructDef] = {}
    for node in nodes:
        first = seen.setdefault(node.name, node)
        if first.span.text != node.span.text:
            raise error("E0208", f"the struct {node.name} is declared twice", node.span, hint="use another name",
                        notes=((f"{node.name} is declared here", first.span),))  # fmt: skip


def _check_rule(node: ast.FunctionDef, fn: GenericFunction) -> None:
    """A rule is for a function that there is."""
    if node.adjoint and fn.builtin is None and not fn.methods:
        raise error("E0201", f"{node.name} is not defined: a rule is for a function that there is", node.span)


def _is_named(node: ast.Expr) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.callee is None


def _alias(ns: Namespace, node: ast.Const) -> None:
    """`const Points = Vector{Point}`: a name for a type, known to all signatures."""
    target, value = node.assign.target, node.assign.value
    is_type = isinstance(value, ast.TypeApply) or (
        isinstance(value, ast.Name) and (value.id in CONCRETE or value.id in ABSTRACTS or value.id in ns.types)
    )
    if isinstance(target, ast.Name) and is_type:
        ns.types[target.id] = pattern(ns, value, {})  # type: ignore[assignment]


# ---------------------------------------------------------------- types


def _supertype(ns: Namespace, e: ast.Expr | None, names: dict[str, Pattern]) -> Abstract:
    if isinstance(e, ast.TypeApply):
        e = e.base
    p = pattern(ns, e, names)
    if not isinstance(p, Abstract):
        raise error("E0205", f"{p} is no abstract type", e.span if e is not None else ns.span)
    return p


def _struct(ns: Namespace, node: ast.StructDef) -> StructDecl:
    names: dict[str, Pattern] = {}
    variables = []
    for v in node.type_vars:
        names[v.name] = TypeVarP(v.name, pattern(ns, v.bound, names))
        variables.append(names[v.name])
    for p in node.fields:
        if p.type is not None and isinstance(p.type, ast.Name) and p.type.id == node.name:
            raise error("E0901", f"the struct {node.name} contains itself", p.span,
                        hint="recursive types are not supported: use vectors and indices")  # fmt: skip
    patterns = tuple(pattern(ns, p.type, names) for p in node.fields)
    return StructDecl(
        node.name, tuple(variables), tuple(p.name for p in node.fields), patterns,  # type: ignore[arg-type]
        _supertype(ns, node.supertype, names), node.mutable, node, tuple(map(is_open, patterns)),
        substitute, doc=node.doc,
    )  # fmt: skip


def _inner_constructors(ns: Namespace, node: ast.StructDef) -> None:
    decl = ns.types[node.name]
    assert isinstance(decl, StructDecl)
    names: dict[str, Pattern] = {v.name: v for v in decl.type_vars}
    for inner in node.inner:
        method = make_method(inner, ns, pattern, outer_types=names)
        method.struct = decl
        decl.inner.append(method)


# ---------------------------------------------------------------- functions


def declare_function(ns: Namespace, node: ast.FunctionDef, fn: GenericFunction | None) -> None:
    if fn is None:
        _callable_struct(ns, node)
        return
    method = make_method(node, ns, pattern)
    method.name = node.name.removeprefix("Base.")
    if node.adjoint:
        fn.rules.append(method)
        return
    _add(fn, method)
    fn.doc = node.doc or fn.doc
    if method.name in ("rrule", "frule"):
        for p in method.params:
            if isinstance(p.pattern, FunctionP) and isinstance(p.pattern.key, GenericFunction):
                p.pattern.key.ruled = True


def _callable_struct(ns: Namespace, node: ast.FunctionDef) -> None:
    assert node.callee is not None
    method = make_method(node, ns, pattern)
    target = method.params[0].pattern
    decl = getattr(target, "decl", None) or getattr(target, "key", None)
    if not isinstance(decl, StructDecl):
        raise error("E0205", "only values of a struct can be made callable", node.callee.span)
    method.name = decl.name
    if decl.calls is None:
        decl.calls = GenericFunction(decl.name, ns)
    _add(decl.calls, method)


def _function_for(session: Session, ns: Namespace, node: ast.FunctionDef) -> GenericFunction:
    """What a definition adds to: a function of the same file, a constructor, what was imported, or a new function."""
    name = node.name
    declared = ns.types.get(name)
    if isinstance(declared, StructDecl):
        if declared.outer is None:
            declared.outer = GenericFunction(name, ns)
        return declared.outer
    base_name = name.split(".", 1)[1] if "." in name else name
    extends = "." in name or name in ns.imported or name in OPERATOR_NAMES or node.adjoint or name in RULES
    if name in ns.functions:
        return ns.functions[name]
    if extends:
        found = ns.function(base_name)
        if found is not None:
            return found
        if "." in name or name in ns.imported:
            raise error("E0201", f"Base has no function {base_name}", node.span)
    if name in ns.globals:
        taken = ns.globals[name]
        raise error("E0208", f"{name} has a value: it cannot be defined as a function", node.span,
                    hint="use another name", notes=((f"{name} is set here", taken.span),))  # fmt: skip
    made = ns.functions[name] = GenericFunction(name, ns)
    return made


def _add(fn: GenericFunction, method: Method) -> None:
    """Add a method; one for the same types is replaced."""
    signature = [p.pattern for p in method.params]
    for k, old in enumerate(fn.methods):
        if [p.pattern for p in old.params] == signature and old.variadic == method.variadic:
            fn.methods[k] = method
            return
    fn.methods.append(method)
