"""Derivative rules given by the user: `@adjoint`, `rrule`, `frule`, and the functions that are nothing but a rule:
`hook`, `checkpointed`.

A call of a function with a rule goes to a specialisation of its own, whose `rule` attribute names the functions that
`ad` uses instead of differentiating it (`ir.core.Rule`). It has to stay a call until every derivative around it is
expanded. Inside its own rule the function is called like anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import Span, error
from dsl.ir.core import Rule, Value
from dsl.lower.builtins.derivatives import (
    arguments,
    duals_of,
    is_function,
    target,
)
from dsl.lower.builtins.entries import tangent_item
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import (
    RULED,
    call_method,
    call_plain,
    call_spec,
    call_value,
    ir_name,
    select_method,
)
from dsl.lower.declarations import GenericFunction, Method
from dsl.lower.frame import Frame
from dsl.lower.joins import adapt
from dsl.lower.scopes import FunctionScope
from dsl.lower.sites import erase
from dsl.lower.specialise import Spec
from dsl.lower.values import UNIT, Val, items_of, show_type, tuple_val
from dsl.syntax import ast
from dsl.types import BOTTOM, F32, FLOAT32, FLOAT64, NOTHING, FnType, LangType, TupleType, is_ref, leaves, tangent

Body = Callable[[Frame, list[Val]], Val]


def helper(
    f: Frame, what: str, key: tuple[object, ...], types: Sequence[LangType], name: str, span: Span, body: Body
) -> Spec:
    """An internal specialisation with parameters of these types."""

    def lower(frame: Frame, vals: list[Val]) -> None:
        frame.leave(body(frame, vals), span)

    return f.unit.specialise(
        (what, *key, tuple(types)), (what, tuple(map(erase, types))), owner=(what, name),
        stem=f"{ir_name(name)}.{what}", title=f"{name}({', '.join(map(show_type, types))})", span=span,
        namespace=f.namespace, scope=FunctionScope(None, ast.Nothing(), 0),
        params=[(t, f"x{k + 1}" if len(types) > 1 else "x") for k, t in enumerate(types)], lower=lower,
    )  # fmt: skip


def scalars_of(types: Sequence[LangType]) -> list[int]:
    """Leaf numbers, among the leaves of these types, that have a tangent."""
    flat = [leaf for t in types for leaf in leaves(t)]
    return [k for k, leaf in enumerate(flat) if tangent(leaf) is not None]


def float_types(types: Sequence[LangType]) -> list[LangType]:
    """The language type of each scalar leaf's tangent."""
    flat = [leaf for t in types for leaf in leaves(t) if tangent(leaf) is not None]
    return [FLOAT32 if leaf == F32 else FLOAT64 for leaf in flat]


def float_vals(values: Sequence[Value]) -> Val:
    return tuple_val([Val(FLOAT32 if v.type == F32 else FLOAT64, (v,)) for v in values])


def refuse_memory(types: Sequence[LangType], name: str, span: Span) -> None:
    if any(is_ref(leaf) for t in types for leaf in leaves(t)):
        text = f"a derivative rule for {name} with a mutable argument or result is not supported yet"
        raise error("E0901", text, span)


# ---------------------------------------------------------------- rules of named functions


def call_ruled(f: Frame, fn: GenericFunction, args: list[Val], span: Span) -> Val | None:
    """A call of a function for which a rule may have been given; None where there is none for these types."""
    args = [Val(a.type, a.leaves) for a in args]
    types = [a.type for a in args]
    callee = Val(FnType(fn, fn.name))
    reverse = _reverse_rule(f, fn, types, callee, span)
    forward = _forward_rule(f, types, callee, span)
    if reverse is None and forward is None:
        return None
    refuse_memory(types, fn.name, span)

    def body(frame: Frame, vals: list[Val]) -> Val:
        return call_plain(frame, fn, vals, {}, span)

    spec = helper(f, "ruled", (fn,), types, fn.name, span, body)
    operands = [leaf for a in args for leaf in a.leaves]
    if not spec.active and spec.result != BOTTOM and "rule" not in spec.fn.attrs:
        spec.fn.attrs["rule"] = Rule()  # calls in the rule itself find it made
        refuse_memory([spec.result], fn.name, span)
        spec.fn.attrs["rule"] = _make_rule(f, fn, spec, types, reverse, forward, span)
    return call_spec(f, spec, operands, span)


RULED.append(call_ruled)


def _reverse_rule(
    f: Frame, fn: GenericFunction, types: Sequence[LangType], callee: Val, span: Span
) -> tuple[Method, bool] | None:
    """The method of `@adjoint` (False) or `rrule` (True) for these types."""
    if fn.rules:
        table = GenericFunction(fn.name, fn.namespace, None, fn.rules)
        method = select_method(table, types, span)
        if method is not None:
            return method, False
    rrule = f.namespace.function("rrule")
    if rrule is not None and rrule.methods:
        method = select_method(rrule, [callee.type, *types], span)
        if method is not None:
            return method, True
    return None


def _forward_rule(f: Frame, types: Sequence[LangType], callee: Val, span: Span) -> Method | None:
    frule = f.namespace.function("frule")
    if frule is None or not frule.methods:
        return None
    duals = TupleType((NOTHING, *(_dual_type(t, span) for t in types)))
    return select_method(frule, [duals, callee.type, *types], span)


def _dual_type(t: LangType, span: Span) -> LangType:
    return tangent_item(t, span) if scalars_of([t]) else NOTHING


def _make_rule(
    f: Frame, fn: GenericFunction, spec: Spec, types: Sequence[LangType], reverse: tuple[Method, bool] | None,
    forward: Method | None, span: Span,
) -> Rule:  # fmt: skip
    names = {"forward": "", "reverse": "", "pushforward": ""}
    if reverse is not None:
        names["forward"], names["reverse"] = _make_reverse(f, fn, spec, types, *reverse, span)
    if forward is not None:
        names["pushforward"] = _make_pushforward(f, fn, spec, types, forward, span)
    return Rule(**names, wrt=tuple(scalars_of(types)))


def _make_reverse(
    f: Frame, fn: GenericFunction, spec: Spec, types: Sequence[LangType], method: Method, named: bool, span: Span
) -> tuple[str, str]:
    """The rule's function, and its pullback: with `named` it is ChainRules' (the function is an argument, and has the
    first cotangent)."""
    callee = Val(FnType(fn, fn.name))

    def value_and_back(frame: Frame, vals: list[Val]) -> Val:
        given = [callee, *vals] if named else vals
        result = call_method(frame, method, FnType(fn, fn.name), (), given, {}, span)
        if not (isinstance(result.type, TupleType) and len(result.type.items) == 2):
            text = f"the rule of {fn.name} must give the value and a pullback, not {show_type(result.type)}"
            raise error("E0505", text, method.span, hint="`y, ȳ -> (x̄,)`")
        value, back = items_of(result)
        return tuple_val([adapt(frame, value, spec.result), back])

    made = helper(f, "rule", (fn, method), types, fn.name, span, value_and_back)
    assert isinstance(made.result, TupleType)
    back_type = made.result.items[1]
    refuse_memory([back_type], fn.name, span)
    seed = tangent_item(spec.result, span)

    def pull(frame: Frame, vals: list[Val]) -> Val:
        cotangents = call_value(frame, vals[0], [vals[1]], {}, span)
        parts = items_of(cotangents) if isinstance(cotangents.type, TupleType) else [cotangents]
        wanted = len(types) + named
        if len(parts) != wanted:
            raise error("E0505", f"the pullback of {fn.name} gives {len(parts)} cotangents for {wanted} "
                        f"{'of the function and its arguments' if named else 'arguments'}", method.span)  # fmt: skip
        flat = [d for t, p in zip(types, parts[named:], strict=True)
                for d in duals_of(frame, t, p, f"a cotangent in the rule of {fn.name}", method.span)]  # fmt: skip
        return float_vals(flat)

    back = helper(f, "back", (fn, method), [back_type, seed], fn.name, span, pull)
    return made.name, back.name


def _make_pushforward(
    f: Frame, fn: GenericFunction, spec: Spec, types: Sequence[LangType], method: Method, span: Span
) -> str:
    callee = Val(FnType(fn, fn.name))
    n = len(types)

    def push(frame: Frame, vals: list[Val]) -> Val:
        rest = [leaf for v in vals[n:] for leaf in v.leaves]
        duals = []
        for t in types:
            d = _dual_type(t, span)
            k = len(leaves(d))
            duals.append(Val(d, tuple(rest[:k])))
            rest = rest[k:]
        given = [tuple_val([UNIT, *duals]), callee, *vals[:n]]
        result = call_method(frame, method, FnType(fn, fn.name), (), given, {}, span)
        if not (isinstance(result.type, TupleType) and len(result.type.items) == 2):
            raise error("E0505", f"the frule of {fn.name} must give the value and its tangent, not "
                        f"{show_type(result.type)}", method.span, hint="`y, ẏ`")  # fmt: skip
        value, dual = items_of(result)
        flat = duals_of(frame, spec.result, dual, f"the tangent in the frule of {fn.name}", method.span)
        return tuple_val([adapt(frame, value, spec.result), float_vals(flat)])

    return helper(f, "push", (fn, method), [*types, *float_types(types)], fn.name, span, push).name


@builtin("NoTangent", "ZeroTangent", forms=("NoTangent()",))
def no_tangent(f: Frame, args: list[Val]) -> Val | None:
    """In a rule: zero."""
    return None if args else UNIT


# ---------------------------------------------------------------- hook


@builtin("hook", forms=("hook(f, x)",))
def hook(f: Frame, args: list[Val]) -> Val | None:
    """x, whose cotangent goes through f on its way back."""
    if len(args) != 2 or not is_function(args[0]):
        return None
    fn, x = args[0], Val(args[1].type, args[1].leaves)
    span, types = f.span, [args[0].type, args[1].type]
    refuse_memory(types, "hook", span)
    spec = helper(f, "hook", (), types, "hook", span, lambda frame, vals: vals[1])
    if "rule" not in spec.fn.attrs:
        dual = tangent_item(x.type, span)

        def pull(frame: Frame, vals: list[Val]) -> Val:
            cotangent = call_value(frame, vals[0], [vals[1]], {}, span)
            return float_vals(duals_of(frame, x.type, cotangent, "what a hook gives", span))

        keep = helper(f, "hook.keep", (), types, "hook", span, lambda frame, vals: tuple_val([vals[1], vals[0]]))
        back = helper(f, "hook.back", (), [fn.type, dual], "hook", span, pull)
        wrt = tuple(len(fn.leaves) + k for k in scalars_of([x.type]))
        spec.fn.attrs["rule"] = Rule(forward=keep.name, reverse=back.name, wrt=wrt)
    return call_spec(f, spec, [*fn.leaves, *x.leaves], span)


# ---------------------------------------------------------------- checkpointed


@builtin("checkpointed", forms=("checkpointed(f, x…)",))
def checkpointed(f: Frame, args: list[Val]) -> Val | None:
    """f(x…), of which only the inputs are kept: its forward sweep is done again when the reverse sweep gets there."""
    if len(args) < 2 or not is_function(args[0]):
        return None
    span, given = f.span, [args[0], *arguments(f, args[1:])]
    types = [v.type for v in given]
    if any(is_ref(leaf) for t in types for leaf in leaves(t)):
        return call_value(f, given[0], given[1:], {}, span)  # memory may have changed by then: keep everything
    t = target(f, types[0], tuple(types[1:]), span)
    operands = [leaf for v in given for leaf in v.leaves]
    if t.spec.result == BOTTOM or any(is_ref(leaf) for leaf in t.spec.fn.results):
        return call_spec(f, t.spec, operands, span)

    def run(frame: Frame, vals: list[Val]) -> Val:
        return call_spec(frame, t.spec, [leaf for v in vals for leaf in v.leaves], span)

    spec = helper(f, "checkpointed", (), types, "checkpointed", span, run)
    if "rule" not in spec.fn.attrs:
        spec.fn.attrs["rule"] = _checkpoint_rule(f, t.spec, types, span)
    return call_spec(f, spec, operands, span)


def _checkpoint_rule(f: Frame, inner: Spec, types: Sequence[LangType], span: Span) -> Rule:
    wrt = tuple(scalars_of(types))
    results = list(inner.fn.results)
    n = len(types)

    def keep(frame: Frame, vals: list[Val]) -> Val:
        value = call_spec(frame, inner, [leaf for v in vals for leaf in v.leaves], span)
        return tuple_val([value, *vals])

    def again(frame: Frame, vals: list[Val]) -> Val:
        flat = [leaf for v in vals for leaf in v.leaves]
        operands, seeds = flat[: sum(len(leaves(t)) for t in types)], [v.leaf for v in vals[n:]]
        out = [d for k in wrt if (d := tangent(operands[k].type)) is not None]
        made = frame.b.op("vjp", [*operands, *seeds], [*results, *out], fn=inner.name, wrt=wrt, silent=True).results
        return float_vals(made[len(results) :])

    def push(frame: Frame, vals: list[Val]) -> Val:
        flat = [leaf for v in vals for leaf in v.leaves]
        out = [d for r in results if (d := tangent(r)) is not None]
        made = frame.b.op("jvp", flat, [*results, *out], fn=inner.name, wrt=wrt).results
        return tuple_val([Val(inner.result, tuple(made[: len(results)])), float_vals(made[len(results) :])])

    floats = float_types(types)
    forward = helper(f, "checkpointed.keep", (), types, "checkpointed", span, keep)
    seeds = float_types([inner.result])
    reverse = helper(f, "checkpointed.again", (), [*types, *seeds], "checkpointed", span, again)
    pushforward = helper(f, "checkpointed.push", (), [*types, *floats], "checkpointed", span, push)
    return Rule(forward.name, reverse.name, pushforward.name, wrt)
