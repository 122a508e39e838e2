"""Derivative rules given by the user: `@adjoint`, `rrule`, `frule`, and the functions that are nothing but a rule:
`hook`, `checkpointed`.

A call of a function with a rule goes to a specialisation of its own, whose `rule` attribute names the functions that
`ad` uses instead of differentiating it (`ir.core.Rule`). It has to stay a call until every derivative around it is
expanded. Inside its own rule the function is called like anywhere else.

Arrays: a rule sees cotangents as arrays of the sizes of the primal, and gives such. What a pullback keeps is never
memory that anybody else has: an argument, or the value, that it captures is copied first. So a pullback may be called
after its arguments have changed. Memory that a function with a rule gives is its own, too; where it would be that of an
argument, it is a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.analysis.influence import walk_cell
from dsl.diagnostics import DslError, Span, error
from dsl.ir.core import Rule, Value
from dsl.lower.arrays import geometry, is_array, load_at, new_array, order_of, rank_of, store_at
from dsl.lower.builtins import copies, duals
from dsl.lower.builtins.derivatives import (
    all_duals,
    arguments,
    is_function,
    seeds_given,
    shared_cells,
    tangent_of,
    target,
)
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
from dsl.lower.joins import adapt, join
from dsl.lower.nests import choose, is_null, over
from dsl.lower.scopes import FunctionScope
from dsl.lower.sites import erase
from dsl.lower.specialise import Spec
from dsl.lower.values import UNIT, Val, items_of, show_type, split_at, tuple_val
from dsl.records import dataclass
from dsl.syntax import ast
from dsl.types import (
    BOTTOM,
    NOTHING,
    FnType,
    LangType,
    NamedTupleType,
    ObjType,
    StructType,
    TupleType,
    is_ref,
    leaves,
    tangent,
)  # fmt: skip

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


def flat(vals: Sequence[Val]) -> list[Value]:
    return [leaf for v in vals for leaf in v.leaves]


def loose(values: Sequence[Value]) -> Val:
    """Leaves as a tuple."""
    return tuple_val([Val(duals.language_type(v.type), (v,)) for v in values])


def has_memory(types: Sequence[LangType]) -> bool:
    return any(is_ref(leaf) for t in types for leaf in leaves(t))


def check_types(types: Sequence[LangType], name: str, span: Span) -> None:
    """Refuse what rules cannot take."""
    for t in types:
        if any(isinstance(x, ObjType) for x in _inside(t)):
            raise error("E0901", f"a derivative rule for {name} with a pullback as argument or result is not supported",
                        span)  # fmt: skip
        duals.dual_type(t, span)


def _inside(t: LangType) -> list[LangType]:
    """A type and those of its parts."""
    found, work = [], [t]
    while work:
        x = work.pop()
        found.append(x)
        for name in ("item", "vector", "key", "value"):
            inner = getattr(x, name, None)
            if inner is not None and type(inner).__module__ == "dsl.types":
                work.append(inner)
        work += getattr(x, "items", ())
        work += [c for _, c in getattr(x, "captures", ())]
    return found


# ---------------------------------------------------------------- a rule, from two functions on values


@dataclass(frozen=True)
class Given:
    """A reverse rule as the program has it. `forward(frame, arguments)` gives the value and what `backward` needs,
    `backward(frame, that, cotangent of the value)` a cotangent (`nothing`: zero) for each argument but the first
    `inactive` ones."""

    name: str
    key: tuple[object, ...]
    span: Span
    forward: Callable[[Frame, list[Val]], tuple[Val, Val]]
    backward: Callable[[Frame, Val, Val], list[Val]]
    inactive: int = 0
    shared: bool = False  # arguments are taken, and kept, as they are, changes by others included


def make_reverse(f: Frame, what: str, spec: Spec, types: Sequence[LangType], given: Given) -> tuple[str, str]:
    """The functions `forward` and `reverse` of a rule (`ir.core.Rule`)."""
    span = given.span

    def run(frame: Frame, vals: list[Val]) -> Val:
        value, kept = given.forward(frame, vals)
        return tuple_val([conform(frame, value, spec.result, given.name, span), kept])

    raw = helper(f, f"{what}.rule", given.key, types, given.name, span, run)
    if raw.result == BOTTOM:
        return raw.name, raw.name
    _refuse_writing(f, raw, given.name, span)
    copied = _copied(f, raw) if not given.shared else [False] * len(raw.fn.results)

    def keep(frame: Frame, vals: list[Val]) -> Val:
        result = call_spec(frame, raw, flat(vals), span)
        copy = tuple(split_at(copied, (spec.result, *_kept_types(raw))))
        value, *kept = items_of(result)
        if any(copy[0]):
            value = copies.own(frame, value)
        parts = [copies.own(frame, v) if any(c) else v for v, c in zip(_unpacked(kept), copy[1:], strict=True)]
        shapes = [leaf for v in (*vals[given.inactive :], value) for leaf in duals.shape_of(frame, _still(frame, v))]
        return tuple_val([value, *parts, Val(TupleType(shape_types), tuple(shapes))])

    wrt = types[given.inactive :]
    shape_types = tuple(s for t in (*wrt, spec.result) for s in duals.shape_type(t))
    made = helper(f, f"{what}.keep", given.key, types, given.name, span, keep)
    assert isinstance(made.result, TupleType)
    kept_types, whole = made.result.items[1:-1], _kept(raw)
    seeds = [duals.language_type(d) for leaf in leaves(spec.result) if (d := tangent(leaf)) is not None]
    shadows = [duals.language_type(d) for d in duals.dual_leaves(wrt) if is_ref(d)]

    def pull(frame: Frame, vals: list[Val]) -> Val:
        k = len(kept_types)
        parts, shape, rest = vals[:k], vals[k].leaves, flat(vals[k + 1 :])
        inner = _packed(whole, parts)
        cotangent = _seed_value(frame, spec.result, duals.split_shapes(shape, [*wrt, spec.result])[-1],
                                rest[: len(seeds)])  # fmt: skip
        cotangents = given.backward(frame, inner, cotangent)
        return _scatter(frame, wrt, shape, rest[len(seeds) :], cotangents, given)

    params = [*kept_types, TupleType(shape_types), *seeds, *shadows]
    back = helper(f, f"{what}.back", (*given.key, tuple(types)), params, given.name, span, pull)
    return made.name, back.name


def _still(f: Frame, v: Val) -> Val:
    """A value whose shape can be kept: where the shape is the value itself, a copy."""
    return copies.own(f, v) if duals.nested(v.type) else v


def _kept(raw: Spec) -> LangType:
    assert isinstance(raw.result, TupleType)
    return raw.result.items[1]


def _kept_types(raw: Spec) -> tuple[LangType, ...]:
    kept = _kept(raw)
    return duals.parts_of(kept) if isinstance(kept, FnType | TupleType) else (kept,)


def _unpacked(kept: list[Val]) -> list[Val]:
    (v,) = kept
    return items_of(v) if isinstance(v.type, FnType | TupleType) else [v]


def _packed(t: LangType, parts: Sequence[Val]) -> Val:
    """What a pullback keeps, put together again. (Copies of strided arrays are of another type.)"""
    if not isinstance(t, FnType | TupleType):
        return parts[0]
    return Val(copies.with_parts(t, [p.type for p in parts]), tuple(flat(parts)))


def _copied(f: Frame, raw: Spec) -> list[bool]:
    """Which leaves of what a rule's function gives (the value, then what it keeps) have to be copied: those whose
    memory is an argument's, or both the value's and kept."""
    if raw.low is not None:  # not final, so nothing is known yet
        return [is_ref(t) for t in raw.fn.results]
    flow = f.unit.influence.flow(raw.name)
    n = len(leaves(raw.result.items[0]))  # type: ignore[union-attr]
    shared = {id(c) for c in shared_cells(f, raw)} | _met_twice(f, raw, n)
    value = {id(c) for k, root in flow.result_cells.items() if k < n for c in walk_cell(root)}
    out = []
    for k, t in enumerate(raw.fn.results):
        inside = {id(c) for c in walk_cell(flow.result_cells[k])} if is_ref(t) else set()
        out.append(bool(inside & (shared if k < n else shared | value)))
    return out


def _met_twice(f: Frame, spec: Spec, n: int) -> set[int]:
    """The memory that two of the first n leaves of what a function gives may refer to, or that may be met twice in
    one: its cotangent would count twice."""
    met: set[int] = set()
    twice: set[int] = set()
    for k, root in f.unit.influence.flow(spec.name).result_cells.items():
        if k < n:
            inside = [id(c) for c in walk_cell(root)]
            twice |= met.intersection(inside) | set(inside[1:])
            met.update(inside)
    return twice


def _refuse_writing(f: Frame, spec: Spec, name: str, span: Span, first: int | None = None) -> None:
    """A function with a rule changes none of its (`first`) parameters: the rule could not say so."""
    if spec.low is None and _writes(f, spec, first):
        raise error("E0505", f"{name} has a derivative rule, but changes its argument", span,
                    hint="let it give a new array, or leave the rule out")  # fmt: skip


def _seed_value(f: Frame, t: LangType, shape: Sequence[Value], seeds: Sequence[Value]) -> Val:
    """The cotangent of a rule's value, from the seeds of all its leaves that have one."""
    have = [leaf for leaf in zip(leaves(t), duals.carried(t), strict=True) if tangent(leaf[0]) is not None]
    carried = [d for d, (_, c) in zip(seeds, have, strict=True) if c]
    return duals.dual_value(f, *duals.settle_all(f, t, shape, carried))


def _scatter(
    f: Frame, types: Sequence[LangType], shape: Sequence[Value], shadows: Sequence[Value], cotangents: Sequence[Val],
    given: Given,
) -> Val:  # fmt: skip
    """Add the cotangents of arrays to the shadows; the others, of all numbers, are the result."""
    about = duals.Given(f"a cotangent in the rule of {given.name}", given.span, "E0505", "E0505")
    rest, out = iter(shadows), []
    count = sum(duals.shape_leaves([t]) for t in types)
    for t, s, cotangent in zip(types, duals.split_shapes(shape[:count], types), cotangents, strict=True):
        into = [next(rest) if is_ref(d) else None for d in duals.dual_leaves([t])]
        out += [d for d in duals.absorb(f, t, s, into, cotangent, about) if not is_ref(d.type)]
    return loose(out)


def _writes(f: Frame, spec: Spec, first: int | None = None) -> bool:
    flow = f.unit.influence.flow(spec.name)
    roots = [flow.cell(p) for p in flow.fn.params[:first] if is_ref(p.type)]
    return any(c.written for root in roots for c in walk_cell(root))


def conform(f: Frame, v: Val, t: LangType, name: str, span: Span) -> Val:
    """The value that a rule gives as one of the type that the function gives: arrays may lie in another way."""
    if v.type == t:
        return v
    if is_array(v.type) and is_array(t) and rank_of(v.type) == rank_of(t):
        source = geometry(f, v)
        made = new_array(f, t.item, source.sizes, order_of(t))  # type: ignore[union-attr]
        to = geometry(f, made)
        over(f, source.sizes, lambda at: store_at(
            f, to, at, conform(f, load_at(f, source, at), to.item, name, span)))  # fmt: skip
        if made.type == t:
            return made
    same = TupleType | NamedTupleType | StructType
    if isinstance(v.type, same) and isinstance(t, same) and has_memory([t]) and len(v.type.items) == len(t.items):
        parts = [conform(f, p, i, name, span) for p, i in zip(items_of(v), t.items, strict=True)]
        return Val(t, tuple(flat(parts)))
    if join(v.type, t, f.sites) != t:
        raise error("E0505", f"the rule of {name} gives {show_type(v.type)}, the function {show_type(t)}", span)
    return adapt(f, v, t)


def owning(f: Frame, what: str, key: tuple[object, ...], types: Sequence[LangType], name: str, span: Span,
           body: Body) -> Spec:  # fmt: skip
    """The specialisation that a rule is for: it gives memory of its own."""
    raw = helper(f, f"{what}.plain", key, types, name, span, body)
    if raw.result == BOTTOM or not has_memory([raw.result]):
        return raw
    strided = copies.own_type(raw.result) != raw.result
    if raw.low is None and not (strided or shared_cells(f, raw) or _met_twice(f, raw, len(raw.fn.results))):
        return raw
    return helper(f, what, key, types, name, span, lambda frame, vals: copies.own(
        frame, call_spec(frame, raw, flat(vals), span)))  # fmt: skip


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
    args = [contiguous(f, a) for a in args]
    types = [a.type for a in args]
    check_types(types, fn.name, span)

    def body(frame: Frame, vals: list[Val]) -> Val:
        return call_plain(frame, fn, vals, {}, span)

    spec = owning(f, "ruled", (fn,), types, fn.name, span, body)
    operands = flat(args)
    if not spec.active and spec.result != BOTTOM and not has_rule(f, spec):
        spec.fn.attrs["rule"] = Rule()  # calls in the rule itself find it made
        check_types([spec.result], fn.name, span)
        _refuse_writing(f, spec, fn.name, span)
        spec.fn.attrs["rule"] = _make_rule(f, fn, spec, types, reverse, forward, span)
    return call_spec(f, spec, operands, span)


def contiguous(f: Frame, v: Val) -> Val:
    """A value without strided arrays: rules are made for contiguous ones only, since a pullback had to copy a view
    in any case."""
    return v if copies.own_type(v.type) == v.type else copies.own(f, v)


def has_rule(f: Frame, spec: Spec) -> bool:
    """Whether a specialisation has its rule. (One whose parts were unfinished has to be made again with them.)"""
    rule = spec.fn.attrs.get("rule")
    if not isinstance(rule, Rule):
        return False
    return all(name in f.unit.program.functions for name in (rule.forward, rule.reverse, rule.pushforward) if name)


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
    tangents = TupleType((NOTHING, *(duals.dual_type(t, span) for t in types)))
    return select_method(frule, [tangents, callee.type, *types], span)


def _make_rule(
    f: Frame, fn: GenericFunction, spec: Spec, types: Sequence[LangType], reverse: tuple[Method, bool] | None,
    forward: Method | None, span: Span,
) -> Rule:  # fmt: skip
    names = {"forward": "", "reverse": "", "pushforward": ""}
    if reverse is not None:
        given = _given(fn, types, *reverse, span)
        names["forward"], names["reverse"] = make_reverse(f, "ruled", spec, types, given)
    if forward is not None:
        names["pushforward"] = _make_pushforward(f, fn, spec, types, forward, span)
    return Rule(**names, wrt=tuple(duals.carried_places(types)))


def _given(fn: GenericFunction, types: Sequence[LangType], method: Method, named: bool, span: Span) -> Given:
    """A rule and its pullback: with `named` it is ChainRules' (the function is an argument, and has the first
    cotangent)."""
    callee = Val(FnType(fn, fn.name))

    def value_and_back(f: Frame, vals: list[Val]) -> tuple[Val, Val]:
        given = [callee, *vals] if named else vals
        result = call_method(f, method, FnType(fn, fn.name), (), given, {}, span)
        if not (isinstance(result.type, TupleType) and len(result.type.items) == 2):
            text = f"the rule of {fn.name} must give the value and a pullback, not {show_type(result.type)}"
            raise error("E0505", text, method.span, hint="`y, ȳ -> (x̄,)`")
        value, back = items_of(result)
        return value, back

    def pull(f: Frame, back: Val, cotangent: Val) -> list[Val]:
        cotangents = call_value(f, back, [cotangent], {}, span)
        parts = items_of(cotangents) if isinstance(cotangents.type, TupleType) else [cotangents]
        wanted = len(types) + named
        if len(parts) != wanted:
            raise error("E0505", f"the pullback of {fn.name} gives {len(parts)} cotangents for {wanted} "
                        f"{'of the function and its arguments' if named else 'arguments'}", method.span)  # fmt: skip
        return parts[named:]

    return Given(fn.name, (fn, method), method.span, value_and_back, pull)


def _make_pushforward(
    f: Frame, fn: GenericFunction, spec: Spec, types: Sequence[LangType], method: Method, span: Span
) -> str:
    callee = Val(FnType(fn, fn.name))
    n = len(types)
    given_types = [duals.language_type(d) for d in duals.dual_leaves(types)]

    def run(frame: Frame, vals: list[Val]) -> Val:
        rest, tangents = flat(vals[n:]), []
        for v in vals[:n]:
            k = sum(duals.carried(v.type))
            shape = duals.shape_of(frame, v)
            tangents.append(duals.dual_value(frame, *duals.settle_all(frame, v.type, shape, rest[:k])))
            rest = rest[k:]
        given = [tuple_val([UNIT, *tangents]), callee, *vals[:n]]
        result = call_method(frame, method, FnType(fn, fn.name), (), given, {}, span)
        if not (isinstance(result.type, TupleType) and len(result.type.items) == 2):
            raise error("E0505", f"the frule of {fn.name} must give the value and its tangent, not "
                        f"{show_type(result.type)}", method.span, hint="`y, ẏ`")  # fmt: skip
        value, dual = items_of(result)
        return tuple_val([conform(frame, value, spec.result, fn.name, span), dual])

    raw = helper(f, "ruled.frule", (fn, method), [*types, *given_types], fn.name, span, run)
    if raw.result == BOTTOM:
        return raw.name
    _refuse_writing(f, raw, fn.name, span, sum(len(leaves(t)) for t in types))

    def push(frame: Frame, vals: list[Val]) -> Val:
        value, dual = items_of(call_spec(frame, raw, flat(vals), span))
        if has_memory([spec.result]):
            value = copies.own(frame, value)
        about = duals.Given(f"the tangent in the frule of {fn.name}", method.span, "E0505", "E0505")
        return tuple_val([value, loose(all_duals(frame, value.type, tangent_of(frame, value, dual, about)))])

    return helper(f, "ruled.push", (fn, method), [*types, *given_types], fn.name, span, push).name


@builtin("NoTangent", "ZeroTangent", forms=("NoTangent()",))
def no_tangent(f: Frame, args: list[Val]) -> Val | None:
    """In a rule: zero."""
    return None if args else UNIT


# ---------------------------------------------------------------- hook


@builtin("hook", forms=("hook(f, x)",))
def hook(f: Frame, args: list[Val]) -> Val | None:
    """x, whose cotangent goes through f on its way back. Of an array it is a copy."""
    if len(args) != 2 or not is_function(args[0]):
        return None
    fn, x = args[0], contiguous(f, Val(args[1].type, args[1].leaves))
    span, types = f.span, [fn.type, x.type]
    check_types(types[1:], "hook", span)
    spec = owning(f, "hook", (), types, "hook", span, lambda frame, vals: vals[1])
    if not has_rule(f, spec):

        def pull(frame: Frame, kept: Val, cotangent: Val) -> list[Val]:
            return [call_value(frame, kept, [cotangent], {}, span)]

        def keep(frame: Frame, vals: list[Val]) -> tuple[Val, Val]:
            return copies.own(frame, vals[1]), vals[0]

        given = Given("hook", (), span, keep, pull, inactive=1, shared=True)
        forward, reverse = make_reverse(f, "hook", spec, types, given)
        wrt = tuple(len(fn.leaves) + k for k in duals.carried_places([x.type]))
        spec.fn.attrs["rule"] = Rule(forward=forward, reverse=reverse, wrt=wrt)
    return call_spec(f, spec, [*fn.leaves, *x.leaves], span)


# ---------------------------------------------------------------- checkpointed


@builtin("checkpointed", forms=("checkpointed(f, x…)",))
def checkpointed(f: Frame, args: list[Val]) -> Val | None:
    """f(x…), of which only the inputs are kept (of arrays copies): its forward sweep is done again when the reverse
    sweep gets there. What f changes of its arguments is kept as usual instead."""
    if len(args) < 2 or not is_function(args[0]):
        return None
    span, given = f.span, [args[0], *arguments(f, args[1:])]
    types = [v.type for v in given]
    t = target(f, types[0], tuple(types[1:]), span)
    operands = flat(given)
    if t.spec.result == BOTTOM or _plainly(f, types, t.spec):
        return call_spec(f, t.spec, operands, span)
    given = [contiguous(f, v) for v in given]
    types, operands = [v.type for v in given], flat(given)
    t = target(f, types[0], tuple(types[1:]), span)

    def run(frame: Frame, vals: list[Val]) -> Val:
        return call_spec(frame, t.spec, flat(vals), span)

    inner = owning(f, "checkpointed.inner", (), types, "checkpointed", span, run)

    def call(frame: Frame, vals: list[Val]) -> Val:
        return call_spec(frame, inner, flat(vals), span)

    spec = helper(f, "checkpointed", (), types, "checkpointed", span, call)
    if not has_rule(f, spec):
        spec.fn.attrs["rule"] = _checkpoint_rule(f, spec, inner, types, span)
    return call_spec(f, spec, operands, span)


def _plainly(f: Frame, types: Sequence[LangType], inner: Spec) -> bool:
    """Whether a function cannot be run again: it changes what it is given, or that cannot be kept aside."""
    every = [*types, inner.result]
    if any(isinstance(x, ObjType) or duals.nested(x) for t in every for x in _inside(t)):
        return True
    try:
        for t in every:
            duals.dual_type(t, inner.span)
    except DslError:
        return True
    return inner.low is None and _writes(f, inner)


def _checkpoint_rule(f: Frame, spec: Spec, inner: Spec, types: Sequence[LangType], span: Span) -> Rule:
    wrt = tuple(duals.carried_places(types))

    def keep(frame: Frame, vals: list[Val]) -> tuple[Val, Val]:
        return call_value(frame, vals[0], vals[1:], {}, span), tuple_val(vals)

    def again(frame: Frame, kept: Val, cotangent: Val) -> list[Val]:
        fn, *args = vals = items_of(kept)
        t = target(frame, fn.type, tuple(a.type for a in args), span, own=True)
        return _pulled(frame, t.spec, vals, cotangent, span)

    def push(frame: Frame, vals: list[Val]) -> Val:
        operands, given = flat(vals[: len(types)]), iter(flat(vals[len(types) :]))
        tangents = [_present(frame, operands[k], next(given)) for k in wrt]
        results = list(inner.fn.results)
        out = [*results, *(d for r in results if (d := tangent(r)) is not None)]
        made = frame.b.op("jvp", [*operands, *tangents], out, fn=inner.name, wrt=wrt).results
        return tuple_val([Val(inner.result, tuple(made[: len(results)])), loose(made[len(results) :])])

    given = Given("checkpointed", (), span, keep, again)
    forward, reverse = make_reverse(f, "checkpointed", spec, types, given)
    tangents = [duals.language_type(d) for d in duals.dual_leaves(types)]
    pushforward = helper(f, "checkpointed.push", (), [*types, *tangents], "checkpointed", span, push)
    return Rule(forward, reverse, pushforward.name, wrt)


def _present(f: Frame, m: Value, dual: Value) -> Value:
    """A dual that is not null."""
    if not is_ref(dual.type):
        return dual
    zeros = lambda: f.b.op("shadow", (m,), (dual.type,)).result  # noqa: E731
    return choose(f, is_null(f, dual), dual.type, zeros, lambda: dual)


def _pulled(f: Frame, spec: Spec, vals: Sequence[Val], cotangent: Val, span: Span) -> list[Val]:
    """The cotangents of values from that of a function of them, which is run (again, and prints nothing)."""
    operands, results = flat(vals), list(spec.fn.results)
    wrt = duals.carried_places([v.type for v in vals])
    into = {k: _present(f, operands[k], f.b.zero(d)) if is_ref(d) else None for k in wrt
            if (d := tangent(operands[k].type)) is not None}  # fmt: skip
    shadows = [s for s in into.values() if s is not None]
    seeds = seeds_given(f, spec.result, duals.shape_of(f, cotangent), cotangent, span)
    out = [d for k in wrt if into[k] is None and (d := tangent(operands[k].type)) is not None]
    made = f.b.op("vjp", [*operands, *seeds, *shadows], [*results, *out], fn=spec.name, wrt=tuple(wrt), silent=True)
    rest = iter(made.results[len(results) :])
    found = iter([next(rest) if s is None else s for s in into.values()])
    mine = [[next(found) for c in duals.carried(v.type) if c] for v in vals]
    return [duals.dual_value(f, v.type, duals.shape_of(f, v), d) for v, d in zip(vals, mine, strict=True)]
