"""What is reduced to one value: `sum`, `maximum`, `foldl`, `any`, `mean`, `argmax` and their kin.

A reduction is a loop of the compiler's own around an accumulator. Its items may come from anything that can be
iterated, generators included; where these are numbers it starts from a neutral one, else with the first item.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import is_array
from dsl.lower.builtins.compare import search
from dsl.lower.builtins.iteration import length_value
from dsl.lower.builtins.numbers import to_number
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name, call_value
from dsl.lower.control import branch, run_arm
from dsl.lower.expressions import generator_scope
from dsl.lower.frame import Frame, Slot
from dsl.lower.joins import join
from dsl.lower.loops import Plan, for_each
from dsl.lower.scopes import Var
from dsl.lower.values import FLOATS, UNIT, Val, is_number, items_of, promote, show_type, tuple_val
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT64,
    INT64,
    AdjointType,
    ArrayType,
    DictType,
    FnType,
    IterType,
    LangType,
    NamedTupleType,
    RangeType,
    StaticDictType,
    TupleType,
    TypeValue,
    leaves,
)  # fmt: skip

Combine = Callable[[Val, Val], Val]


def item_types(f: Frame, over: Val, fn: Callable[[Val], Val]) -> LangType:
    """The joined type of fn of the items (found by lowering it once, to be thrown away)."""
    found: list[LangType] = []

    def note(item: Val) -> None:
        found.append(fn(item).type)

    key = (f.unit.fresh_key(f, "probe"), "probe")

    def all_items() -> Val:
        for_each(f, over, Plan(key, (), key, False), note)
        return UNIT

    marks = f.pending()
    run_arm(f, all_items)
    f.forget(marks)
    t: LangType | None = BOTTOM
    for one in found:
        t = None if t is None else join(t, one, f.sites)
    return BOTTOM if t is None else t


def accumulate(f: Frame, over: Val, fn: Callable[[Val], Val], combine: Combine, start: Val | None, what: str) -> Val:
    """Combine fn of the items from the left, beginning with `start` or with the first item."""
    key = f.unit.fresh_key(f, what)
    acc = f.temporary(key, what)
    if start is not None:
        f.env[acc] = Slot(start)
    else:
        f.env.pop(acc, None)

    def add(item: Val) -> None:
        value = fn(item)
        slot = f.env.get(acc)
        if slot is None:
            f.env[acc] = Slot(Val(value.type, value.leaves))
        elif slot.defined is None:
            f.env[acc] = Slot(combine(_held(f, acc), value))
        else:
            held = _held(f, acc)
            both = branch(f, slot.defined, lambda: combine(held, value), lambda: value, True)
            f.env[acc] = Slot(both)

    for_each(f, over, Plan(key, [acc], key, False), add)
    slot = f.env.pop(acc, None)
    if slot is None:
        f.fail("E0409", f"{what} of something empty", hint="give it a start: `init=…`")
    if slot.conflict is not None:
        raise slot.conflict
    if slot.defined is not None:
        f.check(slot.defined, "E0409", f"{what} of something empty", hint="give it a start: `init=…`")
    return slot.val


def _held(f: Frame, acc: Var) -> Val:
    slot = f.env[acc]
    if slot.conflict is not None:
        raise slot.conflict
    return slot.val


def function_and_items(f: Frame, args: list[Val]) -> tuple[Callable[[Val], Val], Val] | None:
    """`sum(f, xs)` and `sum(xs)`."""
    span = f.span
    if len(args) == 1:
        return (lambda v: v), args[0]
    if len(args) == 2:
        return (lambda v: call_value(f, args[0], [v], {}, span)), args[1]
    return None


def neutral(f: Frame, t: LangType, value: int) -> Val | None:
    """The number to begin with, where the items are numbers."""
    if t == BOTTOM or not is_number(t):
        return None
    item = INT64 if t in (INT64, BOOLEAN) else t if t in FLOATS else FLOAT64
    return Val(item, (f.b.const(value if item == INT64 else float(value), leaves(item)[0]),))


def _folding(name: str, symbol: str, unit: int) -> None:
    @builtin(name, keywords=("init",), forms=(f"{name}(xs)", f"{name}(f, xs)"))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        parts = function_and_items(f, args)
        if parts is None or not iterable(parts[1].type):
            return None
        fn, over = parts[0], in_memory_order(parts[1])
        if init is None and isinstance(over.type, TupleType) and over.type.items:
            return accumulate(f, over, fn, lambda a, b: call_name(f, symbol, [a, b]), None, name)
        if init is None:
            t = item_types(f, over, fn)
            init = neutral(f, INT64 if t == BOTTOM else t, unit)
        return accumulate(f, over, fn, lambda a, b: call_name(f, symbol, [a, b]), init, name)


def in_memory_order(over: Val) -> Val:
    """The same elements in the order in which they lie, for what does not depend on their order."""
    t = over.type
    if isinstance(t, ArrayType) and t.layout == "C":
        return Val(ArrayType(t.item, t.rank, "F"), (over.leaves[0], *reversed(over.leaves[1:])))
    return Val(t.vector, over.leaves) if isinstance(t, AdjointType) else over


_folding("sum", "+", 0)
_folding("prod", "*", 1)


def iterable(t: LangType) -> bool:
    if isinstance(t, FnType):
        return generator_scope(t) is not None
    kinds = TupleType | NamedTupleType | RangeType | DictType | StaticDictType | IterType
    return isinstance(t, kinds) or is_array(t) or t in (INT64, FLOAT64)


def _extreme(name: str, symbol: str) -> None:
    """The first of the largest (smallest); NaN where there is one."""

    @builtin(name, keywords=("init",), forms=(f"{name}(xs)", f"{name}(f, xs)"))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        parts = function_and_items(f, args)
        if parts is None or not iterable(parts[1].type):
            return None
        return accumulate(f, parts[1], parts[0], lambda a, b: better(f, symbol, a, b), init, name)


def better(f: Frame, symbol: str, a: Val, b: Val) -> Val:
    """b where it is better than a (or NaN), else a."""
    if not (is_number(a.type) and is_number(b.type)):
        c = call_name(f, symbol, [b, a])
        return branch(f, c.leaf, lambda: b, lambda: a, True)
    t: LangType = BOOLEAN
    if not a.type == b.type == BOOLEAN:
        t = promote(a.type, b.type)
        a, b = to_number(f, a, t), to_number(f, b, t)
    return Val(t, (f.b.prim("select", better_number(f, symbol, a, b), b.leaf, a.leaf),))


def better_number(f: Frame, symbol: str, a: Val, b: Val) -> Value:
    """Whether b is better than a; NaN is better than any number, but not than another NaN."""
    if a.type == BOOLEAN:
        a, b = to_number(f, a, INT64), to_number(f, b, INT64)
    take = f.b.prim({"<": "lt", ">": "gt"}[symbol], b.leaf, a.leaf)
    if a.type == INT64:
        return take
    nan = f.b.prim("and", f.b.prim("ne", b.leaf, b.leaf), f.b.prim("eq", a.leaf, a.leaf))
    return f.b.prim("or", take, nan)


_extreme("maximum", ">")
_extreme("minimum", "<")


@builtin("extrema")
def lower_extrema(f: Frame, args: list[Val]) -> Val | None:
    return tuple_val([call_name(f, "minimum", args), call_name(f, "maximum", args)])


def _fold(name: str, right: bool) -> None:
    @builtin(name, keywords=("init",), forms=(f"{name}(op, xs)",))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        if len(args) != 2 or not iterable(args[1].type):
            return None
        span = f.span
        op, over = args
        if right:
            over = _backwards(over)

        def combine(a: Val, b: Val) -> Val:
            return call_value(f, op, [b, a] if right else [a, b], {}, span)

        return accumulate(f, over, lambda v: v, combine, init, name)


def _backwards(over: Val) -> Val:
    if isinstance(over.type, TupleType):
        return tuple_val(items_of(over)[::-1])
    return Val(IterType("reversed", (over.type,)), over.leaves)


_fold("foldl", False)
_fold("reduce", False)
_fold("foldr", True)


def _mapfold(name: str) -> None:
    @builtin(name, keywords=("init",), forms=(f"{name}(f, op, xs)",))
    def lower(f: Frame, args: list[Val], init: Val | None = None) -> Val | None:
        if len(args) != 3 or not iterable(args[2].type):
            return None
        span = f.span
        fn, op, over = args
        return accumulate(
            f, over, lambda v: call_value(f, fn, [v], {}, span),
            lambda a, b: call_value(f, op, [a, b], {}, span), init, name,
        )  # fmt: skip


_mapfold("mapreduce")
_mapfold("mapfoldl")


def _quantifier(name: str, found: bool) -> None:
    @builtin(name, forms=(f"{name}(xs)", f"{name}(f, xs)"))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        parts = function_and_items(f, args)
        if parts is None or not iterable(parts[1].type):
            return None
        fn, over = parts[0], in_memory_order(parts[1])

        def test(v: Val) -> Val:
            answer = fn(v)
            if answer.type != BOOLEAN:
                raise error("E0203", f"{name} needs Bools, not {show_type(answer.type)}", f.span)
            return answer if found else call_name(f, "!", [answer])

        return search(f, over, test, found)


_quantifier("any", True)
_quantifier("all", False)


@builtin("count", forms=("count(xs)", "count(f, xs)"))
def lower_count(f: Frame, args: list[Val]) -> Val | None:
    if len(args) == 2 and isinstance(args[0].type, TypeValue):  # every item counts
        def one(_: Val) -> Val:
            return Val(INT64, (f.b.i64(1),))

        start = Val(INT64, (f.b.i64(0),))
        return accumulate(f, args[1], one, lambda a, b: call_name(f, "+", [a, b]), start, "count")
    return call_name(f, "sum", args)


@builtin("mean", forms=("mean(xs)", "mean(f, xs)"))
def lower_mean(f: Frame, args: list[Val]) -> Val | None:
    if not args or not iterable(args[-1].type):
        return None
    return call_name(f, "/", [call_name(f, "sum", args), call_name(f, "length", args[-1:])])


def _arg_extreme(name: str, symbol: str) -> None:
    """The number of the first of the largest (smallest) items."""

    @builtin(name, forms=(f"{name}(xs)",))
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 1 or not (is_array(args[0].type) or isinstance(args[0].type, RangeType | TupleType)):
            return None
        n = length_value(f, args[0])
        assert n is not None
        f.check(f.b.prim("gt", n.leaf, f.b.i64(0)), "E0409", f"{name} of something empty")
        pairs = call_name(f, "enumerate", args)

        def combine(a: Val, b: Val) -> Val:
            (k, x), (j, y) = items_of(a), items_of(b)
            if x.type == y.type and is_number(x.type):
                take = better_number(f, symbol, x, y)
                chosen = [f.b.prim("select", take, n, m) for n, m in ((j.leaf, k.leaf), (y.leaf, x.leaf))]
                return tuple_val([Val(INT64, (chosen[0],)), Val(x.type, (chosen[1],))])
            c = call_name(f, symbol, [y, x])
            return branch(f, c.leaf, lambda: tuple_val([j, y]), lambda: tuple_val([k, x]), True)

        best = accumulate(f, pairs, lambda v: Val(v.type, v.leaves), combine, None, name)
        return items_of(best)[0]


_arg_extreme("argmax", ">")
_arg_extreme("argmin", "<")
