"""Calls: which method is meant, its specialisation, and the call itself.

What can be called is open: `CALLERS` maps the class of a function type's key to how it is called. Here are named
functions, closures and values that are called like functions; derivatives, compositions and constructors add theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsl.diagnostics import DslError, Span, error
from dsl.lower.annotations import concrete, pattern, substitute
from dsl.lower.arrays import is_array
from dsl.lower.control import branch
from dsl.lower.convert import convert_value
from dsl.lower.declarations import GenericFunction, Method, Namespace, Parameter, make_method
from dsl.lower.frame import Frame, Slot
from dsl.lower.joins import adapt
from dsl.lower.library import stdlib_sources
from dsl.lower.lowering import assign_target, body_value
from dsl.lower.patterns import ANY, Abstract, TypeVarP, matches, narrower, widen_literal
from dsl.lower.scopes import FunctionScope, Var
from dsl.lower.sites import erase
from dsl.lower.specialise import Spec
from dsl.lower.suggest import did_you_mean
from dsl.lower.values import Val, flatten, is_number, show_type, split, tuple_val
from dsl.records import dataclass
from dsl.syntax import ast
from dsl.types import (
    BOTTOM,
    NOTHING,
    STRING,
    FnType,
    IterType,
    LangType,
    OptionalType,
    StringLit,
    StructType,
    TupleType,
    TypeValue,
    VariantType,
    VectorType,
    leaves,
)  # fmt: skip

Keywords = Mapping[str, Val]
Caller = Callable[[Frame, Val, list[Val], Keywords, Span], Val]
CALLERS: dict[type, Caller] = {}
# How functions with a derivative rule are called; filled by `builtins.rules`.
RULED: list[Callable[[Frame, GenericFunction, list[Val], Span], Val | None]] = []
MANY_LITERALS = 40  # after so many specialisations of a method, literal symbols and strings become plain ones


def caller(key: type) -> Callable[[Caller], Caller]:
    def register(fn: Caller) -> Caller:
        CALLERS[key] = fn
        return fn

    return register


# ---------------------------------------------------------------- any value


def call_value(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    match fn.type:
        case FnType():
            return CALLERS[type(fn.type.key)](f, fn, args, keywords, span)
        case VariantType():
            return _call_variant(f, fn, args, keywords, span)
        case TypeValue():
            return CALLERS[TypeValue](f, fn, args, keywords, span)
        case StructType():
            calls = fn.type.key.calls  # type: ignore[attr-defined]
            if calls is not None:
                return call_function(f, calls, [fn, *args], keywords, span)
    shown = ", ".join(show_type(a.type) for a in args)
    if is_number(fn.type):
        raise error("E0303", f"a number is called like a function, with ({shown})", span,
                    hint="write `*` to multiply: `(x - 1) * (x + 2)`")  # fmt: skip
    raise error("E0303", f"a value of type {show_type(fn.type)} is called like a function", span)


def _call_variant(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    """One of several functions: a chain of branches on the tag."""
    assert isinstance(fn.type, VariantType)
    parts = list(split(fn.leaves[1:], fn.type.alternatives))

    def at(k: int) -> Val:
        f.b.span = span
        if k == len(parts) - 1:
            return call_value(f, parts[k], args, keywords, span)
        here = f.b.prim("eq", fn.leaves[0], f.b.i64(k))
        return branch(f, here, lambda: call_value(f, parts[k], args, keywords, span), lambda: at(k + 1), True)

    return at(0)


def call_name(f: Frame, name: str, args: Sequence[Val], span: Span | None = None) -> Val:
    """A call of what a name means in the built-in namespace, the user's methods of it included."""
    fn = f.namespace.builtins(name)
    assert fn is not None, name
    return call_function(f, fn, list(args), {}, span or f.span)


# ---------------------------------------------------------------- dispatch


def accepts(m: Method, types: Sequence[LangType], keywords: Sequence[str] = ()) -> bool:
    n = len(types)
    if n < m.required or (n > len(m.params) and not m.variadic):
        return False
    binds: dict[str, LangType] = {}
    for k, t in enumerate(types):
        p = m.params[min(k, len(m.params) - 1)]
        if not matches(t, p.pattern, binds):
            return False
    return True


def select_method(fn: GenericFunction, types: Sequence[LangType], span: Span) -> Method | None:
    """The most specific method that takes these types."""
    candidates = [m for m in fn.methods if accepts(m, types)]
    best = [m for m in candidates if all(m is o or _more_specific(m, o, len(types)) for o in candidates)]
    if candidates and not best:
        shown = ", ".join(map(show_type, types))
        raise error(
            "E0302", f"the call {fn.name}({shown}) is ambiguous", span,
            hint="define a method for exactly these types",
            notes=tuple((f"{m.signature} is one candidate", m.span) for m in candidates[:4]),
        )  # fmt: skip
    return max(reversed(best), key=_tie_break) if best else None


def _tie_break(m: Method) -> tuple[int, bool, bool]:
    """Between methods for the same types: one that asks for equal types, no variable number, no defaults. (Of those
    alike the last one counts.)"""
    names = [p.pattern.name for p in m.params if isinstance(p.pattern, TypeVarP)]
    return len(names) - len(set(names)), not m.variadic, m.required == len(m.params)


def _more_specific(m: Method, o: Method, n: int) -> bool:
    """Whether m is as specific as o at each of n arguments (later definitions win where both are the same)."""
    for k in range(n):
        p = m.params[min(k, len(m.params) - 1)].pattern
        q = o.params[min(k, len(o.params) - 1)].pattern
        if not narrower(p, q):
            return False
    return True


def overridden(fn: GenericFunction, m: Method, types: Sequence[LangType]) -> bool:
    """A method for abstract number types does not replace the built-in one for numbers, which is more specific."""
    if fn.builtin is None or not all(is_number(t) for t in types):
        return False
    return any(isinstance(p.pattern, Abstract) or concrete(p.pattern) is None for p in m.params)


def call_function(f: Frame, fn: GenericFunction, args: list[Val], keywords: Keywords, span: Span) -> Val:
    """A call of a named function, by its derivative rule where it has one."""
    if (fn.rules or fn.ruled) and not keywords:
        f.b.span = span
        for call_ruled in RULED:
            result = call_ruled(f, fn, args, span)
            if result is not None:
                return result
    return call_plain(f, fn, args, keywords, span)


def call_plain(f: Frame, fn: GenericFunction, args: list[Val], keywords: Keywords, span: Span) -> Val:
    """A call of the method that fits, or of the built-in function."""
    f.b.span = span
    types = [a.type for a in args]
    method = select_method(fn, types, span)
    if method is not None and not overridden(fn, method, types):
        return call_method(f, method, FnType(fn, fn.name), (), args, keywords, span)
    if fn.builtin is not None:
        unknown = [k for k in keywords if k not in fn.builtin.keywords]
        if unknown:
            raise error("E0304", f"{fn.name} has no keyword argument {unknown[0]}", span,
                        hint=did_you_mean(unknown[0], fn.builtin.keywords))  # fmt: skip
        result = fn.builtin.lower(f, args, **keywords)
        if result is not None:
            return result
    if method is not None:  # the built-in function is none for so many arguments
        return call_method(f, method, FnType(fn, fn.name), (), args, keywords, span)
    split_result = _split_optional(f, fn, args, keywords, span)
    if split_result is not None:
        return split_result
    if fn.name in ("+", "*") and len(args) > 2:  # chains are one call: a method for two folds them from the left
        return call_function(f, fn, [call_function(f, fn, args[:2], {}, span), *args[2:]], keywords, span)
    if fn.builtin is not None and f.unit.session.take(fn.name):  # the library has methods for it
        return call_function(f, fn, args, keywords, span)
    raise no_method(fn, args, span)


def _split_optional(f: Frame, fn: GenericFunction, args: list[Val], keywords: Keywords, span: Span) -> Val | None:
    """A function without a method for `Union{T, Nothing}` is chosen at run time."""
    k = next((k for k, a in enumerate(args) if isinstance(a.type, OptionalType)), None)
    if k is None:
        return None
    chosen = args[k]
    assert isinstance(chosen.type, OptionalType)

    def call(val: Val) -> Val:
        f.b.span = span
        return call_function(f, fn, [*args[:k], val, *args[k + 1 :]], keywords, span)

    def absent() -> Val:
        types = [*(a.type for a in args[:k]), NOTHING, *(a.type for a in args[k + 1 :])]
        if (fn.builtin is None and select_method(fn, types, span) is None) or fn.builtin is not None:
            shown = ", ".join(map(show_type, types))
            f.fail("E0301", f"no method matching {fn.name}({shown})", hint="the value is nothing here")
        return call(Val(NOTHING))

    item = Val(chosen.type.item, chosen.leaves[1:])
    return branch(f, chosen.leaves[0], lambda: call(item), absent, True)


def no_method(fn: GenericFunction, args: Sequence[Val], span: Span) -> Exception:
    shown = ", ".join(show_type(a.type) for a in args)
    own = [m for m in fn.methods if fn.builtin is None or m.span.source not in stdlib_sources()]
    notes = tuple((f"candidate: {m.signature}", m.span) for m in own[:4])
    hint = ""
    kinds = [a.type for a in args]
    if fn.name in ("+", "-") and any(map(is_array, kinds)) and any(map(is_number, kinds)):
        hint = f"`.{fn.name}` adds a number to each element" if fn.name == "+" else "`.-` works on each element"
    elif own and all(len(m.params) != len(args) and not m.variadic for m in own):
        n = len(own[0].params)
        hint = f"{fn.name} takes {n} argument{'s' if n != 1 else ''}"
    elif any(isinstance(t, FnType) for t in kinds) and fn.name in ("+", "-", "*", "/", "^"):
        hint = "an argument is a function: call it first"
    elif fn.name == "+" and kinds and all(map(_is_text, kinds)):
        hint = "`*` joins strings"
    elif fn.name in ("getindex", "setindex!") and isinstance(kinds[0], VectorType | TupleType):
        hint = "an index is an Int64"
    elif fn.builtin is not None and fn.builtin.forms:
        hint = "it is called as " + " or ".join(f"`{form}`" for form in fn.builtin.forms)
    return error("E0301", f"no method matching {fn.name}({shown})", span, hint=hint, notes=notes)


def _is_text(t: LangType) -> bool:
    return t == STRING or isinstance(t, StringLit) or (isinstance(t, IterType) and t.kind == "text")


@caller(GenericFunction)
def _call_generic(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    assert isinstance(fn.type, FnType) and isinstance(fn.type.key, GenericFunction)
    return call_function(f, fn.type.key, args, keywords, span)


# ---------------------------------------------------------------- closures


@dataclass(frozen=True)
class ClosureCode:
    """The code of a lambda or local function: its definitions, and the type variables it was made under."""

    functions: tuple[FunctionScope, ...]
    name: str
    namespace: Namespace
    types: tuple[tuple[str, LangType], ...] = ()

    def captures(self) -> list[Var]:
        return list({v: None for fn in self.functions for v in fn.captures})


def method_of(f: Frame, scope: FunctionScope, code: ClosureCode) -> Method:
    """The method that one definition of a closure is; the same object each time, since it is part of keys."""
    made = f.unit.session.closure_methods
    key = (scope, code)
    if key not in made:
        node = scope.node
        assert isinstance(node, ast.Lambda | ast.FunctionDef)
        made[key] = make_method(node, code.namespace, pattern, scope, dict(code.types), code.name)
    method: Method = made[key]
    return method


def closure(f: Frame, functions: Sequence[FunctionScope], name: str, span: Span) -> Val:
    """The function value of a lambda or local function: its code and what it captures, as it is here."""
    code = ClosureCode(tuple(functions), name, f.namespace, tuple(sorted(f.types.items(), key=lambda kv: kv[0])))
    captured = []
    for var in code.captures():
        if var.boxed:
            captured.append((var.name, f.env[var].val))
        else:
            val = f.read(var, span)
            captured.append((var.name, Val(val.type, val.leaves)))
    return Val(FnType(code, name, tuple((n, v.type) for n, v in captured)), flatten(v for _, v in captured))


@caller(ClosureCode)
def _call_closure(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    assert isinstance(fn.type, FnType) and isinstance(fn.type.key, ClosureCode)
    code = fn.type.key
    methods = [method_of(f, s, code) for s in code.functions]
    table = GenericFunction(code.name, f.namespace, None, methods)
    method = select_method(table, [a.type for a in args], span)
    if method is None:
        split_result = _split_optional(f, table, args, keywords, span)
        if split_result is not None:
            return split_result
        raise no_method(table, args, span)
    return call_method(f, method, fn.type, fn.leaves, args, keywords, span)


# ---------------------------------------------------------------- methods


def call_method(
    f: Frame, m: Method, callee: FnType, captures: Sequence[Any], args: list[Val], keywords: Keywords, span: Span
) -> Val:
    for k in keywords:
        if all(p.name != k and not p.variadic for p in m.keywords):
            raise error("E0304", f"{m.name} has no keyword argument {k}", span,
                        hint=did_you_mean(k, [p.name for p in m.keywords]))  # fmt: skip
    for p in m.keywords:
        if p.default is None and not p.variadic and p.name not in keywords:
            raise error("E0305", f"the keyword argument {p.name} of {m.name} is missing", span,
                        notes=((f"{m.name} is defined here", m.span),))  # fmt: skip
    if m.specialisations > MANY_LITERALS:
        args = [adapt(f, a, widen_literal(a.type)) for a in args]
    try:
        spec = spec_of_method(f, m, callee, [a.type for a in args], {k: v.type for k, v in keywords.items()}, span)
    except DslError as e:
        raise _outside_library(e, span) from None
    operands = [*captures, *flatten(args), *flatten(keywords.values())]
    return call_spec(f, spec, operands, span)


def _outside_library(e: DslError, span: Span) -> DslError:
    """An error in the library as one of the program's line that led there."""
    if e.span.source not in stdlib_sources() or span.source in stdlib_sources():
        return e
    return error(e.code, e.message, span, e.hint, (("in the library, here", e.span), *e.notes))


def call_spec(f: Frame, spec: Spec, operands: Sequence[Any], span: Span) -> Val:
    f.b.span = span
    f.unit.depend_on(spec)
    result = spec.result
    op = f.b.op("call", operands, leaves(result), fn=spec.name)
    if result == BOTTOM:
        if not spec.active:
            f.spec.raises = f.spec.raises or spec.raises
        f.unreachable()
    return Val(result, tuple(op.results))


def spec_of_method(
    f: Frame, m: Method, callee: FnType, types: Sequence[LangType], keywords: Mapping[str, LangType], span: Span
) -> Spec:
    key = (m, callee.captures, tuple(types), tuple(keywords.items()))
    site_key = (m, tuple(erase(t) for _, t in callee.captures), tuple(map(erase, types)), tuple(keywords.items()))
    shown = [f"{p.name}::{show_type(t)}" for p, t in zip(m.params, types, strict=False)]
    shown += [show_type(t) for t in types[len(shown) :]]
    title = f"{m.name}({', '.join(shown)})"
    hints = [p.name or "_" for p in m.params]
    hints += [hints[-1] if hints else "_"] * (len(types) - len(hints))
    params = [
        *((t, n) for n, t in callee.captures),
        *zip(types, hints, strict=False),
        *((t, n) for n, t in keywords.items()),
    ]
    if key not in f.unit.specs:
        m.specialisations += 1

    def lower(frame: Frame, vals: list[Val]) -> None:
        lower_method(frame, m, callee, vals, list(keywords))

    return f.unit.specialise(
        key, site_key, owner=m, stem=ir_name(m.name), title=title, span=span if m.span.end == 0 else m.span,
        namespace=m.namespace, scope=m.scope, params=params, lower=lower,
    )  # fmt: skip

OPERATOR_NAMES = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow", "÷": "idiv", "%": "rem", "\\": "ldiv", "//": "frac",
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "∘": "compose", "!": "not", "√": "sqrt",
    "≈": "isapprox", "===": "egal", "∈": "in", "⋅": "dot", "×": "cross", "|>": "pipe", "&": "and", "|": "or",
}  # fmt: skip


def ir_name(name: str) -> str:
    """A name that the IR can print."""
    name = OPERATOR_NAMES.get(name, name)
    clean = "".join(c if c.isalnum() or c in "_.$'" else "_" for c in name)
    return clean if clean and not clean[0].isdigit() else f"f{clean}"


def lower_method(frame: Frame, m: Method, callee: FnType, vals: list[Val], keywords: list[str]) -> None:
    """The body of a specialisation: bind captures and parameters, then lower the body."""
    n = len(callee.captures)
    captured = callee.key.captures() if isinstance(callee.key, ClosureCode) else []
    for var, val in zip(captured, vals[:n], strict=True):
        frame.env[var] = Slot(val)
    if isinstance(callee.key, ClosureCode):
        frame.types.update(callee.key.types)
    frame.types.update(_bindings(m, [v.type for v in vals[n : len(vals) - len(keywords)]]))
    frame.constructing = m.struct
    frame.declare_boxes(m.scope)
    given = dict(zip(keywords, vals[len(vals) - len(keywords) :], strict=True)) if keywords else {}
    bind_parameters(frame, m, vals[n : len(vals) - len(keywords)], given)
    if m.result is not None:
        frame.declared_result = concrete(substitute(m.result, frame.types))
    value = body_value(frame, m.node.body)
    if frame.declared_result is not None:
        value = convert_value(frame, value, frame.declared_result, frame.span)
    frame.leave(value, frame.span)


def _bindings(m: Method, types: Sequence[LangType]) -> dict[str, LangType]:
    binds: dict[str, LangType] = {}
    for k, t in enumerate(types):
        matches(t, m.params[min(k, len(m.params) - 1)].pattern, binds)
    return {name: t for name, t in binds.items() if not name.startswith("<:")}


def bind_parameters(frame: Frame, m: Method, args: list[Val], keywords: Mapping[str, Val]) -> None:
    for k, p in enumerate(m.params):
        if p.variadic:
            _bind(frame, m, p, tuple_val(args[k:]))
        elif k < len(args):
            _bind(frame, m, p, args[k])
        else:
            assert p.default is not None
            _bind(frame, m, p, body_value(frame, p.default))
    for p in m.keywords:
        if p.name in keywords:
            val = keywords[p.name]
            want = concrete(p.pattern) if p.pattern is not ANY else None
            if want is not None:
                val = convert_value(frame, val, want, m.span)
            _bind(frame, m, p, val)
        else:
            assert p.default is not None
            _bind(frame, m, p, body_value(frame, p.default))


def _bind(frame: Frame, m: Method, p: Parameter, val: Val) -> None:
    if p.target is not None:
        assign_target(frame, p.target, val, m.span)
        return
    if p.name:
        frame.assign(m.scope.names[p.name], val, m.span)

