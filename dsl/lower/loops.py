"""Iteration: `for` statements, and `for_each`, the one way in which anything is gone through.

A counted loop (`for` of the IR) is used where the number of iterations is fixed on entry and nothing leaves the loop;
otherwise a `loop`, whose exits are terminators. Tuples are unrolled, so their items may have different types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import Geometry, geometry, is_array, load_at, number_at, plus, product, strided, times
from dsl.lower.calls import ClosureCode, call_name
from dsl.lower.control import branch, run_loop
from dsl.lower.expressions import condition, generator_scope, literal_int
from dsl.lower.frame import Frame, Loop, Slot
from dsl.lower.lowering import assign_target, expr, handles
from dsl.lower.scopes import Scope, Var, children
from dsl.lower.values import UNIT, Val, items_of, named_val, show_type, split, tuple_val
from dsl.records import dataclass, replace
from dsl.syntax import ast
from dsl.types import (
    BOTTOM,
    FLOAT64,
    I64,
    INT64,
    AdjointType,
    ArrayType,
    DictType,
    FnType,
    IterType,
    NamedTupleType,
    OptionalType,
    RangeType,
    StaticDictType,
    StringLit,
    SymbolLit,
    TupleType,
    VectorType,
)  # fmt: skip

Body = Callable[[Val], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How a loop is to be made: its variables, the statement it belongs to, whether something may leave it, and
    whether its body has a `continue`."""

    key: object
    assigned: Sequence[Var]
    statement: object
    exits: bool
    continues: bool = False

    def inner(self, part: object) -> Plan:
        return replace(self, key=(self.key, part))


# ---------------------------------------------------------------- statements


@handles(ast.While)
def lower_while(f: Frame, node: ast.While, want: bool) -> Val:
    outer, scope = f.scope, f.scope.children[id(node)]
    forever = isinstance(node.cond, ast.Bool) and node.cond.value

    def body(loop: Loop, _: Sequence[Value]) -> None:
        f.scope = scope
        try:
            f.declare_boxes(scope)
            if not forever:
                _while_condition(f, node, loop)
            expr(f, node.body, False)
        finally:
            f.scope = outer

    run_loop(f, id(node), scope.assigned, body, statement=node)
    return UNIT


def _while_condition(f: Frame, node: ast.While, loop: Loop) -> None:
    cond, holds, fails = condition(f, node.cond)
    if cond.known is True:
        f.env.update(holds)
        return
    if cond.known is False:
        f.break_from(loop)
    branch(f, cond.leaf, lambda: UNIT, lambda: f.break_from(loop), False, (holds, fails))


@handles(ast.For)
def lower_for(f: Frame, node: ast.For, want: bool) -> Val:
    _nest(f, node, f.scope, list(node.iterators), leaves_loop(node.body))
    return UNIT


def _nest(f: Frame, node: ast.For, outer: Scope, iterators: list[ast.Iterator_], exits: bool) -> None:
    """The loops of a `for`, the first iterator outermost."""
    it, rest = iterators[0], iterators[1:]
    scope = outer.children[id(it)]

    def body(item: Val) -> None:
        f.scope = scope
        try:
            f.declare_boxes(scope)
            assign_target(f, it.target, item, it.target.span)
            if rest:
                _nest(f, node, scope, rest, exits)
            else:
                expr(f, node.body, False)
        finally:
            f.scope = outer

    f.at(it)
    plan = Plan(id(it), list(scope.assigned), node, exits, not rest and _own(node.body, ast.Continue))
    for_each(f, iterable(f, it.iterable), plan, body)


def iterable(f: Frame, node: ast.Expr) -> Val:
    """What is gone through. A range of integers that stands in the loop's head needs no length."""
    if isinstance(node, ast.Range):
        step = 1 if node.step is None else literal_int(node.step)
        if step:
            start, stop = expr(f, node.start), expr(f, node.stop)
            if start.type == stop.type == INT64:
                f.at(node)
                return Val(IterType("counted", (INT64, INT64, INT64)), (start.leaf, stop.leaf, f.b.i64(step)))
            f.at(node)
            args = [start, stop] if node.step is None else [start, Val(INT64, (f.b.i64(step),), step), stop]
            return call_name(f, ":", args, node.span)
    return expr(f, node)


def leaves_loop(body: ast.Node) -> bool:
    """Whether a body has a `break` of its loop or a `return` of its function."""
    return _own(body, ast.Break) or _own(body, ast.Return)


def _own(body: ast.Node, kind: type) -> bool:
    """Whether a loop's body has an exit of some kind that is its own, not one of a loop or function inside."""
    work = [body]
    while work:
        node = work.pop()
        if isinstance(node, kind):
            return True
        inner = isinstance(node, ast.For | ast.While) and kind is not ast.Return
        if not inner and not isinstance(node, ast.Lambda | ast.FunctionDef | ast.Comprehension):
            work += children(node)
    return False


# ---------------------------------------------------------------- any iterable


def for_each(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    """Lower `body` for each item of a value."""
    match over.type:
        case IterType():
            _ITERATORS[over.type.kind](f, over, plan, body)
        case RangeType():
            _over_range(f, over, plan, body)
        case TupleType() | NamedTupleType():
            unroll(f, items_of(over), plan, body)
        case VectorType():
            _over_vector(f, over, plan, body)
        case ArrayType() | AdjointType():
            _over_array(f, over, plan, body)
        case DictType():
            _over_dict(f, over, plan, body, lambda k, v: named_val(("first", "second"), (k, v)))
        case StaticDictType():
            unroll(f, [named_val(("first", "second"), p) for p in static_items(f, over)], plan, body)
        case FnType() if generator_scope(over.type) is not None:
            _over_generator(f, over, plan, body)
        case _ if over.type in (INT64, FLOAT64):
            unroll(f, [over], plan, body)
        case _:
            hint = "it may be nothing: test `=== nothing` first" if isinstance(over.type, OptionalType) else ""
            raise error("E0301", f"a {show_type(over.type)} cannot be iterated", f.span, hint=hint)


def unroll(f: Frame, items: Iterable[Val], plan: Plan, body: Body) -> None:
    """One copy of the body for each item; blocks that can be left where the body has `break` or `continue`."""
    items = list(items)
    if not isinstance(plan.statement, ast.Node):
        for item in items:
            body(item)
        return

    def all_items(outer: Loop, _: Sequence[Value]) -> None:
        for k, item in enumerate(items):
            _block(f, plan.inner(k), body, item)

    if plan.exits or plan.continues:
        run_loop(f, plan.key, plan.assigned, all_items, statement=plan.statement, once=True)
    else:
        for item in items:
            body(item)


def _block(f: Frame, plan: Plan, body: Callable[[T], None], item: T) -> None:
    """The body as a block that `continue` leaves."""
    run_loop(f, plan.key, plan.assigned, lambda loop, own: body(item), statement=plan.statement, once=True)


def count_up(f: Frame, n: Value, plan: Plan, body: Callable[[Value], None]) -> None:
    """`body(k)` for k = 0 … n-1."""
    counted(f, f.b.i64(0), f.b.prim("sub", n, f.b.i64(1)), f.b.i64(1), plan, body)


def counted(f: Frame, lo: Value, hi: Value, step: Value, plan: Plan, body: Callable[[Value], None]) -> None:
    """`body(i)` for i = lo, lo+step, … up to hi; the step is a constant other than 0."""
    if not plan.exits:
        if plan.continues:
            inner, block = body, plan.inner("block")
            body = lambda i: _block(f, block, inner, i)  # noqa: E731 - nothing leaves an iteration of a counted loop
        run_loop(f, plan.key, plan.assigned, lambda _, own: body(own[0]), statement=plan.statement,
                 counted=(lo, hi, step))  # fmt: skip
        return
    n = range_length(f, lo, step, hi)

    def iteration(loop: Loop, own: Sequence[Value]) -> None:
        more = f.b.prim("lt", own[0], n)
        branch(f, more, lambda: UNIT, lambda: f.break_from(loop), False)
        body(f.b.prim("add", lo, f.b.prim("mul", own[0], step)))

    run_loop(f, plan.key, plan.assigned, iteration, statement=plan.statement, extra=[(f.b.i64(0), "k")],
             advance=lambda own: [f.b.prim("add", own[0], f.b.i64(1))])  # fmt: skip


def range_length(f: Frame, lo: Value, step: Value, hi: Value) -> Value:
    """How many integers there are from lo to hi by a step other than 0."""
    zero, one = f.b.i64(0), f.b.i64(1)
    n = f.b.prim("add", f.b.prim("ifld", f.b.prim("sub", hi, lo), step), one)
    return f.b.prim("max", n, zero)


def _over_counted(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    lo, hi, step = over.leaves
    counted(f, lo, hi, step, plan, lambda i: body(Val(INT64, (i,))))


def _over_range(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    assert isinstance(over.type, RangeType)
    count_up(f, over.leaves[2], plan, lambda k: body(range_item(f, over, k)))


def range_item(f: Frame, r: Val, k: Value) -> Val:
    """Item k (from 0) of a range."""
    assert isinstance(r.type, RangeType)
    start, step, _ = r.leaves
    if r.type.item != INT64:
        k = f.number(Val(INT64, (k,)), r.type.item).leaf
    return Val(r.type.item, (f.b.prim("add", start, f.b.prim("mul", k, step)),))


def while_index(f: Frame, length: Callable[[], Value], plan: Plan, body: Callable[[Value], None]) -> None:
    """`body(k)` for k = 0, 1, … while k is less than a length that may change."""

    def iteration(loop: Loop, own: Sequence[Value]) -> None:
        more = f.b.prim("lt", own[0], length())
        branch(f, more, lambda: UNIT, lambda: f.break_from(loop), False)
        body(own[0])

    run_loop(f, plan.key, plan.assigned, iteration, statement=plan.statement, extra=[(f.b.i64(0), "k")],
             advance=lambda own: [f.b.prim("add", own[0], f.b.i64(1))])  # fmt: skip


def _length(f: Frame, mem: Value) -> Value:
    return f.b.op("len", (mem,), (I64,)).result


def _over_vector(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    mem = over.leaf
    (item,) = f.current(over.type)
    if item == BOTTOM:  # nothing is ever put in
        return
    while_index(f, lambda: _length(f, mem), plan, lambda k: body(f.load(mem, k, item)))


def _over_array(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    """In column-major order: one loop where the elements lie so in memory, else one for each dimension."""
    g = geometry(f, over)
    if g.dense == "F" or g.rank == 1:
        count_up(f, product(f, g.sizes), plan, lambda k: body(f.load(g.mem, number_at(f, g, k), g.item)))
        return
    indices: list[Value] = []

    def level(dim: int) -> None:
        def inner(i: Value) -> None:
            indices.insert(0, i)
            if dim:
                level(dim - 1)
            else:
                body(load_at(f, g, indices))
            indices.pop(0)

        count_up(f, g.sizes[dim], replace(plan.inner(dim), continues=plan.continues and dim == 0), inner)

    level(g.rank - 1)


def _over_prefix(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    """The items that a vector had at some time, by their number then."""
    vector, n = _parts(over)
    (item,) = f.current(vector.type)
    if item != BOTTOM:
        count_up(f, n.leaf, plan, lambda k: body(f.load(vector.leaf, k, item)))


def _over_dict(f: Frame, over: Val, plan: Plan, body: Body, pick: Callable[[Val, Val], Val]) -> None:
    entries = over.leaves[0]
    key, value = f.current(over.type)
    if value == BOTTOM:
        return

    def entry(k: Value) -> None:
        both = f.load(entries, k, TupleType((key, value)))
        body(pick(*items_of(both)))

    while_index(f, lambda: _length(f, entries), plan, entry)


def static_items(f: Frame, d: Val) -> list[tuple[Val, Val]]:
    """Keys and values of a static Dict."""
    assert isinstance(d.type, StaticDictType)
    values = items_of(f.load(d.leaf, 0, TupleType(f.current(d.type))))
    return [(static_key(f, k), v) for k, v in zip(d.type.keys, values, strict=True)]


def static_key(f: Frame, key: str | int | StringLit) -> Val:
    if isinstance(key, str):
        return Val(SymbolLit(key))
    return Val(key) if isinstance(key, StringLit) else Val(INT64, (f.b.i64(key),), key)


# ---------------------------------------------------------------- generators


def _over_generator(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    """The iterators of a generator as nested loops; its captures are in sight in it, ours in the body."""
    assert isinstance(over.type, FnType) and isinstance(over.type.key, ClosureCode)
    code = over.type.key
    (scope,) = code.functions
    node = scope.node
    assert isinstance(node, ast.Comprehension)
    enter, leave = _sides(f, over)

    def consume(innermost: Scope) -> None:
        f.scope = innermost
        value = expr(f, node.body)
        leave()
        body(value)
        enter()

    enter()
    f.declare_boxes(scope)
    try:
        _generator_nest(f, node, scope, list(node.iterators), plan, consume)
    finally:
        leave()


def _sides(f: Frame, over: Val) -> tuple[Callable[[], None], Callable[[], None]]:
    """What puts a generator's scope and captures in sight, and what puts ours back."""
    assert isinstance(over.type, FnType) and isinstance(over.type.key, ClosureCode)
    code = over.type.key
    (scope,) = code.functions
    captured = dict(zip(code.captures(), (Slot(v) for v in items_of(over)), strict=True))
    ours = {v: f.env.get(v) for v in captured}
    outer = f.scope, f.types, f.namespace

    def enter() -> None:
        f.scope, f.types, f.namespace = scope, dict(code.types), code.namespace
        f.env.update(captured)

    def leave() -> None:
        f.scope, f.types, f.namespace = outer
        for var, slot in ours.items():
            if slot is None:
                f.env.pop(var, None)
            else:
                f.env[var] = slot

    return enter, leave


@contextmanager
def inside_generator(f: Frame, over: Val) -> Iterator[None]:
    """A generator's scope and captures are in sight."""
    enter, leave = _sides(f, over)
    enter()
    try:
        yield
    finally:
        leave()


def _generator_nest(
    f: Frame, node: ast.Comprehension, outer: Scope, iterators: list[ast.Iterator_], plan: Plan,
    consume: Callable[[Scope], None],
) -> None:  # fmt: skip
    it, rest = iterators[0], iterators[1:]
    scope = outer.children[id(it)]

    def chosen() -> Val:
        consume(scope)
        return UNIT

    def body(item: Val) -> None:
        f.scope = scope
        f.declare_boxes(scope)
        assign_target(f, it.target, item, it.target.span)
        if rest:
            _generator_nest(f, node, scope, rest, plan, consume)
        elif node.condition is not None:
            cond, holds, _ = condition(f, node.condition)
            branch(f, cond.leaf, chosen, lambda: UNIT, False, (holds, ()))
        else:
            consume(scope)
        f.scope = outer

    f.scope = outer
    over = iterable(f, it.iterable)
    for_each(f, over, replace(plan.inner(id(it)), assigned=[*plan.assigned, *scope.assigned]), body)


# ---------------------------------------------------------------- enumerate, zip and their like


def _parts(over: Val) -> list[Val]:
    assert isinstance(over.type, IterType)
    return list(split(over.leaves, over.type.items))


def _over_enumerate(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    (inner,) = _parts(over)
    if isinstance(inner.type, TupleType | NamedTupleType | StaticDictType):
        static = isinstance(inner.type, StaticDictType)
        items = [v for _, v in static_items(f, inner)] if static else items_of(inner)
        numbered = [tuple_val([Val(INT64, (f.b.i64(k + 1),), k + 1), v]) for k, v in enumerate(items)]
        unroll(f, numbered, plan, body)
        return
    counter = f.temporary(plan.key, "k")
    f.env[counter] = Slot(Val(INT64, (f.b.i64(0),)))

    def numbered_item(item: Val) -> None:
        k = Val(INT64, (f.b.prim("add", f.env[counter].val.leaf, f.b.i64(1)),))
        f.env[counter] = Slot(k)
        body(tuple_val([k, item]))

    for_each(f, inner, replace(plan.inner("enumerate"), assigned=[*plan.assigned, counter]), numbered_item)
    f.env.pop(counter, None)


def _over_zip(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    parts = _parts(over)
    if all(isinstance(p.type, TupleType) for p in parts):
        unroll(f, [tuple_val(row) for row in zip(*map(items_of, parts), strict=False)], plan, body)
        return
    for p in parts:
        if not (isinstance(p.type, TupleType | RangeType | IterType) or is_array(p.type)):
            raise error("E0301", f"zip of a {show_type(p.type)} is not supported", f.span)

    def length() -> Value:
        lengths = [call_name(f, "length", [p]).leaf for p in parts]
        n = lengths[0]
        for other in lengths[1:]:
            n = f.b.prim("min", n, other)
        return n

    def row(k: Value) -> None:
        body(tuple_val([item_at(f, p, k) for p in parts]))

    while_index(f, length, plan, row)


def indexed(over: Val) -> bool:
    """Whether `item_at` finds the items of something, whose number is known before the first."""
    t = over.type
    if isinstance(t, IterType) and t.kind in ("zip", "enumerate"):
        return all(indexed(p) for p in _parts(over))
    if isinstance(t, IterType) and t.kind in SLICES:
        return True
    return is_array(t) or isinstance(t, RangeType) or (isinstance(t, IterType) and t.kind == "counted")


def item_at(f: Frame, over: Val, k: Value) -> Val:
    """Item k (from 0, in range) of something with an order."""
    if isinstance(over.type, IterType) and over.type.kind in ("zip", "enumerate"):
        items = [item_at(f, p, k) for p in _parts(over)]
        if over.type.kind == "enumerate":
            items.insert(0, Val(INT64, (f.b.prim("add", k, f.b.i64(1)),)))
        return tuple_val(items)
    if isinstance(over.type, IterType) and over.type.kind in SLICES:
        return slice_of(f, over, k)
    if isinstance(over.type, IterType) and over.type.kind == "counted":
        lo, _, step = over.leaves
        return Val(INT64, (f.b.prim("add", lo, f.b.prim("mul", k, step)),))
    if isinstance(over.type, RangeType):
        return range_item(f, over, k)
    if is_array(over.type):
        g = geometry(f, over)
        return f.load(g.mem, number_at(f, g, k), g.item)
    return call_name(f, "getindex", [over, Val(INT64, (f.b.prim("add", k, f.b.i64(1)),))])


def _over_pairs(pick: Callable[[Val, Val], Val]) -> Callable[[Frame, Val, Plan, Body], None]:
    def over_pairs(f: Frame, over: Val, plan: Plan, body: Body) -> None:
        (d,) = _parts(over)
        if isinstance(d.type, StaticDictType):
            unroll(f, [pick(k, v) for k, v in static_items(f, d)], plan, body)
        elif isinstance(d.type, NamedTupleType):
            named = zip(d.type.names, items_of(d), strict=True)
            unroll(f, [pick(Val(SymbolLit(n)), v) for n, v in named], plan, body)
        elif isinstance(d.type, DictType):
            _over_dict(f, d, plan, body, pick)
        else:
            _over_enumerate(f, over, plan, lambda kv: body(pick(*items_of(kv))))

    return over_pairs


def _over_reversed(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    (inner,) = _parts(over)
    n = call_name(f, "length", [inner]).leaf
    last = f.b.prim("sub", n, f.b.i64(1))
    count_up(f, n, plan, lambda k: body(item_at(f, inner, f.b.prim("sub", last, k))))


# The dimension that `eachrow` and `eachcol` go along.
SLICES = {"eachrow": 0, "eachcol": 1}


def slices(f: Frame, over: Val) -> tuple[Geometry, int]:
    """The matrix that rows or columns are taken from, and the dimension that is gone along."""
    assert isinstance(over.type, IterType)
    return geometry(f, Val(over.type.items[0], over.leaves)), SLICES[over.type.kind]


def slice_of(f: Frame, over: Val, k: Value) -> Val:
    """Row or column k (from 0), a view."""
    g, dim = slices(f, over)
    start = plus(f, g.offset, times(f, k, g.strides[dim]))
    return strided(Geometry(g.mem, g.item, start, (g.sizes[1 - dim],), (g.strides[1 - dim],)), f)


def _over_slices(f: Frame, over: Val, plan: Plan, body: Body) -> None:
    g, dim = slices(f, over)
    count_up(f, g.sizes[dim], plan, lambda k: body(slice_of(f, over, k)))


_ITERATORS: dict[str, Callable[[Frame, Val, Plan, Body], None]] = {
    "counted": _over_counted,
    "prefix": _over_prefix,
    "enumerate": _over_enumerate,
    "zip": _over_zip,
    "pairs": _over_pairs(lambda k, v: named_val(("first", "second"), (k, v))),
    "keys": _over_pairs(lambda k, v: k),
    "values": _over_pairs(lambda k, v: v),
    "reversed": _over_reversed,
    "eachrow": _over_slices,
    "eachcol": _over_slices,
}
