"""Derivatives of more than one number: `jacobian`, `hessian`, `hvp`; `taylor`.

A Jacobian is a matrix for each argument: a row for each number of the result, a column for each number of the argument,
both in column-major order (of an array of tuples or structs the fields of an element follow each other; a number counts
as one). It is made column by column (forward mode, several at once) where there are not more columns than rows, else
row by row (one forward sweep, a reverse sweep for each row). Which is cheaper is known when sizes are, at run time, and
what is possible or asked for (`mode`) only when derivatives are expanded: so both ways stand in an `if` that has the
attribute `ways`, of which `ad.expand` may leave one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from dsl.diagnostics import Span, error
from dsl.ir.core import Region, Value
from dsl.lower.arrays import (
    Geometry,
    geometry,
    is_array,
    load_at,
    new_array,
    number_at,
    plus,
    product,
    reshaped,
    sizes_of,
    store_at,
    times,
)
from dsl.lower.builtins import copies, duals
from dsl.lower.builtins.derivatives import (
    DERIVATIVE,
    Target,
    active_leaves,
    all_duals,
    arguments,
    derivative,
    emit_vjp,
    is_function,
    push_once,
    reach_of,
    require_real,
    target,
)
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import Keywords, call_spec, call_value, caller
from dsl.lower.frame import Frame
from dsl.lower.nests import each, unless
from dsl.lower.values import Val, fn_val, is_number, items_of, show_type, split_at, tuple_val
from dsl.ops import Builder, known
from dsl.records import dataclass, replace
from dsl.types import (
    BOTTOM,
    F32,
    FLOAT32,
    FLOAT64,
    INT64,
    OBJ,
    FnType,
    LangType,
    LeafType,
    Mem,
    NamedTupleType,
    Prim,
    StructType,
    TupleType,
    is_ref,
    leaves,
    tangent,
)  # fmt: skip

WIDTH = 4  # columns of an array that one pass of forward mode makes
SCALAR_WIDTH = 8  # columns of single numbers


# ---------------------------------------------------------------- the numbers of a value


@dataclass(frozen=True)
class Part:
    """Some of the numbers in a value: one number, or those of an array (`where`), of each element the given fields.
    `leaf` is the leaf that holds them."""

    leaf: int
    where: Geometry | None = None
    fields: tuple[int, ...] = (0,)

    def count(self, f: Frame) -> Value:
        if self.where is None:
            return f.b.i64(1)
        return times(f, product(f, self.where.sizes), f.b.i64(len(self.fields)))


def parts(f: Frame, v: Val, first: int, what: str) -> list[Part]:
    """The numbers of a value in order; `first` is the number of its first leaf."""
    t = v.type
    if not any(duals.carried(t)):
        return []
    if isinstance(t, Prim):
        return [Part(first)]
    if isinstance(t, TupleType | NamedTupleType) or (isinstance(t, StructType) and not t.mutable):
        found = []
        for item, part in zip(t.items, split_at(v.leaves, t.items), strict=True):
            found += parts(f, Val(item, tuple(part)), first, what)
            first += len(part)
        return found
    if is_array(t) and not any(map(is_ref, leaves(copies.item_in(t)))):
        fields = tuple(k for k, c in enumerate(duals.carried(copies.item_in(t))) if c)
        return [Part(first, geometry(f, v), fields)]
    raise error("E0901", f"a matrix of derivatives {what} {show_type(t)} is not supported yet", f.span,
                hint="numbers, arrays of numbers and tuples of these have one; `pullback` takes anything")  # fmt: skip


def placed(f: Frame, of: Sequence[Part]) -> Iterator[tuple[Part, Value]]:
    """Parts with the row or column (from 0) of their first number."""
    at = f.b.i64(0)
    for part in of:
        yield part, at
        at = plus(f, at, part.count(f))


def total(f: Frame, of: Sequence[Part]) -> Value:
    n = f.b.i64(0)
    for part in of:
        n = plus(f, n, part.count(f))
    return n


def elements(f: Frame, part: Part, base: Value, body: Callable[[Value, int, Value], None]) -> None:
    """`body(record, field, number)` for each number of an array."""
    assert part.where is not None
    where, c = part.where, len(part.fields)

    def one(k: Value) -> None:
        record = number_at(f, where, k)
        for n, field in enumerate(part.fields):
            body(record, field, plus(f, base, plus(f, times(f, k, f.b.i64(c)), f.b.i64(n))))

    each(f, product(f, where.sizes), one)


# ---------------------------------------------------------------- a Jacobian being made


@dataclass
class Making:
    """`columns` are the parts of each argument, `out` those of the value; `matrices` what is filled, one an argument.
    `silent`: the function has run already, so what it prints is printed."""

    t: Target
    operands: list[Value]
    wrt: list[int]
    columns: list[list[Part]]
    out: list[Part]
    matrices: list[Geometry]
    silent: bool

    @property
    def result(self) -> LangType:
        return self.t.spec.result

    def pass_forward(self, f: Frame, lanes: Sequence[dict[int, Value]]) -> list[dict[int, Value]]:
        """The tangents of the leaves of the value, in each lane, from tangents of leaves of the operands (the same ones
        in each lane)."""
        wrt = tuple(sorted(lanes[0]))
        results, width = self.t.spec.fn.results, len(lanes)
        given = [lane[k] for k in wrt for lane in lanes]
        carrying = [k for k, r in enumerate(results) if tangent(r) is not None]
        types = [d for k in carrying if (d := tangent(results[k])) is not None for _ in lanes]
        op = f.b.op("jvp", [*self.operands, *given], [*results, *types], fn=self.t.spec.name, wrt=wrt)
        op.attrs.update(self.options() | ({"width": width} if width > 1 else {}))
        made = op.results[len(results) :]
        self.silent = True
        return [{k: made[i * width + lane] for i, k in enumerate(carrying)} for lane in range(width)]

    def options(self) -> dict[str, object]:
        return {"silent": True} if self.silent else {}

    def store(self, f: Frame, which: int, row: Value, column: Value, d: Value) -> None:
        g = self.matrices[which]
        store_at(f, g, [row, column], f.number(duals.number_val(d), g.item))


def fill_columns(f: Frame, m: Making) -> None:
    """Forward mode: one column for each unit tangent of an argument."""
    numbers = []
    for which, of in enumerate(m.columns):
        for part, at in placed(f, of):
            if part.leaf in m.wrt and part.where is None:
                numbers.append((which, part.leaf, at))
            elif part.leaf in m.wrt:
                _array_columns(f, m, which, part, at)
    for k in range(0, len(numbers), SCALAR_WIDTH):
        chunk = numbers[k : k + SCALAR_WIDTH]
        lanes = []
        for _, mine, _ in chunk:
            types = {leaf: tangent(m.operands[leaf].type) for _, leaf, _ in chunk}
            lanes.append({leaf: f.b.const(float(leaf == mine), d) for leaf, d in types.items() if d is not None})
        for (which, _, at), made in zip(chunk, m.pass_forward(f, lanes), strict=True):
            _store_column(f, m, which, at, made)


def _array_columns(f: Frame, m: Making, which: int, part: Part, base: Value) -> None:
    """The columns of an array, several in one pass; what is too much in the last pass is left zero and dropped."""
    where, c = part.where, len(part.fields)
    assert where is not None
    n = product(f, where.sizes)
    memory = m.operands[part.leaf]
    for k, field in enumerate(part.fields):

        def block(i: Value, k: int = k, field: int = field) -> None:
            start = times(f, i, f.b.i64(WIDTH))
            places = [plus(f, start, f.b.i64(lane)) for lane in range(WIDTH)]
            lanes = [{part.leaf: _shadow(f, memory)} for _ in places]
            for place, lane in zip(places, lanes, strict=True):
                unit = partial(_set_unit, f, lane[part.leaf], number_at(f, where, place), field)
                _where(f, f.b.prim("lt", place, n), unit)
            for place, made in zip(places, m.pass_forward(f, lanes), strict=True):
                column = plus(f, base, plus(f, times(f, place, f.b.i64(c)), f.b.i64(k)))
                _where(f, f.b.prim("lt", place, n), partial(_store_column, f, m, which, column, made))

        blocks = f.b.prim("idiv", plus(f, n, f.b.i64(WIDTH - 1)), f.b.i64(WIDTH))
        each(f, blocks, block)


def _shadow(f: Frame, memory: Value) -> Value:
    d = tangent(memory.type)
    assert d is not None
    return f.b.op("shadow", (memory,), (d,)).result


def _set_unit(f: Frame, shadow: Value, record: Value, field: int) -> None:
    f.b.op("store", (shadow, record, f.b.const(1.0, shadow.type.fields[field])), first=field)  # type: ignore[union-attr]


def _where(f: Frame, condition: Value, body: Callable[[], None]) -> None:
    unless(f, f.b.prim("not", condition), body)


def _store_column(f: Frame, m: Making, which: int, column: Value, made: dict[int, Value]) -> None:
    for part, base in placed(f, m.out):
        d = made[part.leaf]
        if part.where is None:
            m.store(f, which, base, column, d)
            continue

        def one(record: Value, field: int, row: Value, d: Value = d) -> None:
            t = d.type.fields[field]  # type: ignore[union-attr]
            m.store(f, which, row, column, f.b.op("load", (d, record), (t,), first=field).result)

        elements(f, part, base, one)


def fill_rows(f: Frame, m: Making) -> None:
    """Reverse mode: one row for each unit cotangent of the value."""
    results = m.t.spec.fn.results
    op = f.b.op("vjp_fwd", m.operands, [*results, OBJ], fn=m.t.spec.name, wrt=tuple(m.wrt))
    op.attrs.update(m.options())
    *value, record = op.results

    def row(at: Value, leaf: int, seed: Callable[[], Value]) -> None:
        zeros = [f.b.zero(d) for d in duals.dual_leaves([m.result])]
        places = duals.carried_places([m.result])
        seeds = [seed() if k == leaf else z for k, z in zip(places, zeros, strict=True)]
        _store_row(f, m, at, record, all_duals(f, m.result, seeds))

    for part, base in placed(f, m.out):
        t = tangent(value[part.leaf].type)
        assert t is not None
        if part.where is None:
            row(base, part.leaf, partial(f.b.const, 1.0, t))
            continue

        def one(place: Value, field: int, at: Value, leaf: int = part.leaf) -> None:
            def unit() -> Value:
                shadow = _shadow(f, value[leaf])
                _set_unit(f, shadow, place, field)
                return shadow

            row(at, leaf, unit)

        elements(f, part, base, one)


def _store_row(f: Frame, m: Making, row: Value, record: Value, seeds: list[Value]) -> None:
    shadows = {k: _shadow(f, m.operands[k]) for k in m.wrt if is_ref(m.operands[k].type)}
    scalars = [k for k in m.wrt if k not in shadows]
    types = [d for k in scalars if (d := tangent(m.operands[k].type)) is not None]
    op = f.b.op("vjp_rev", [record, *seeds, *shadows.values()], types, fn=m.t.spec.name, wrt=tuple(m.wrt))
    op.attrs.update(m.options())
    cotangents = dict(zip(scalars, op.results, strict=True))
    for which, of in enumerate(m.columns):
        for part, base in placed(f, of):
            if part.leaf in cotangents:
                m.store(f, which, row, base, cotangents[part.leaf])
            elif part.leaf in shadows:
                s = shadows[part.leaf]

                def one(place: Value, field: int, column: Value, s: Value = s, which: int = which) -> None:
                    t = s.type.fields[field]  # type: ignore[union-attr]
                    m.store(f, which, row, column, f.b.op("load", (s, place), (t,), first=field).result)

                elements(f, part, base, one)


def two_ways(f: Frame, cond: Value, forward: Callable[[], None], reverse: Callable[[], None]) -> None:
    """Two ways to do the same by differentiation: the first where the condition holds, unless `ad` decides."""
    outer, regions = f.b, (Region(), Region())
    for region, fill in zip(regions, (forward, reverse), strict=True):
        f.b = Builder(region, outer.span)
        fill()
        f.b.yield_()
    f.b = outer
    f.b.op("if", (cond,), (), regions, ways=True)


# ---------------------------------------------------------------- jacobian


def fill_jacobians(f: Frame, fn: Val, xs: Sequence[Val], prefer_forward: bool = False) -> tuple[list[Val], Val] | Val:
    """The matrices, and the value (for its shape); the call itself where it never gives a value."""
    t = target(f, fn.type, tuple(x.type for x in xs), f.span, own=True)
    operands = [*fn.leaves, *(leaf for x in xs for leaf in x.leaves)]
    if t.spec.result == BOTTOM:
        return call_spec(f, t.spec, operands, f.span)
    results = t.spec.fn.results
    has_arrays = any(is_ref(r) for r in (*results, *(o.type for o in operands)))
    if has_arrays:  # run once: the sizes of the value, and what it prints
        made = f.b.op("jvp", operands, _with_tangents(results), fn=t.spec.name, wrt=()).results
        value = Val(t.spec.result, tuple(made[: len(results)]))
    else:
        value = Val(t.spec.result, tuple(f.b.zero(r) for r in results))
    columns, at = [], t.first
    for x in xs:
        columns.append(parts(f, x, at, "with respect to"))
        at += len(x.leaves)
    out = parts(f, value, 0, "of")
    wrt = active_leaves(t, reach_of(f, t))
    rows, widths = total(f, out), [total(f, c) for c in columns]
    item = _item(operands, results, columns, out)
    matrices = [new_array(f, item, (rows, n)) for n in widths]
    m = Making(t, operands, wrt, columns, out, [geometry(f, j) for j in matrices], has_arrays)
    if wrt:
        _fill(f, m, rows, widths, prefer_forward)
    return matrices, value


def _with_tangents(results: Sequence[LeafType]) -> list[LeafType]:
    return [*results, *(d for r in results if (d := tangent(r)) is not None)]


def _item(operands: Sequence[Value], results: Sequence[LeafType], columns: list[list[Part]], out: list[Part]) -> Prim:
    """The element type: Float32 where all numbers are."""
    types = [operands[p.leaf].type for c in columns for p in c] + [results[p.leaf] for p in out]
    flat = [x for t in types for x in (t.fields if isinstance(t, Mem) else (t,))]
    return FLOAT32 if flat and all(x == F32 for x in flat) else FLOAT64


def _fill(f: Frame, m: Making, rows: Value, widths: Sequence[Value], prefer_forward: bool) -> None:
    n = f.b.i64(0)
    for width in widths:
        n = plus(f, n, width)
    if prefer_forward or known(n) == 1:
        cheaper = f.b.bool(True)
    elif known(n) is not None and known(rows) is not None:
        cheaper = f.b.bool(known(n) <= known(rows))  # type: ignore[operator]
    elif known(rows) == 1:
        cheaper = f.b.bool(False)
    else:
        cheaper = f.b.prim("le", n, rows)
    two_ways(f, cheaper, lambda: fill_columns(f, replace(m)), lambda: fill_rows(f, replace(m)))


@builtin("jacobian", forms=("jacobian(f, x…)",))
def jacobian(f: Frame, args: list[Val]) -> Val | None:
    """A tuple of matrices, one for each argument."""
    if len(args) < 2 or not is_function(args[0]):
        return None
    made = fill_jacobians(f, args[0], arguments(f, args[1:]))
    return made if isinstance(made, Val) else tuple_val(made[0])


# ---------------------------------------------------------------- the gradient as a function of one argument


class GradientCode:
    """The key of x -> gradient(f, x)[1] with a number for every number of x; its one capture is f."""


GRADIENT = GradientCode()


def gradient_of(fn: Val) -> Val:
    name = fn.type.name if isinstance(fn.type, FnType) else "f"
    return fn_val(GRADIENT, f"the gradient of {name}", [("f", fn)])


@caller(GradientCode)
def _call_gradient(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    f.b.span = span
    (inner,) = items_of(fn)
    (x,) = args
    t = target(f, inner.type, (x.type,), span)
    require_real(t.spec.result, "hessian", span)
    operands = [*inner.leaves, *x.leaves]
    if t.spec.result == BOTTOM:
        return call_spec(f, t.spec, operands, span)
    reach = reach_of(f, t)
    _, source = emit_vjp(f, t, operands, active_leaves(t, reach), reach)
    made = []
    for k in duals.carried_places([t.fn, *t.args]):
        d = tangent(operands[k].type)
        if k < t.first or d is None:
            continue
        have = source.shadow(k) if is_ref(d) else source.leaf(k)
        if have is None:
            have = f.b.op("shadow", (operands[k],), (d,)).result if is_ref(d) else f.b.zero(d)
        made.append(have)
    return duals.dual_value(f, x.type, duals.shape_of(f, x), made)


@builtin("hessian", forms=("hessian(f, x)",))
def hessian(f: Frame, args: list[Val]) -> Val | None:
    """A matrix, by forward mode over the gradient; of a function of one number the second derivative."""
    if len(args) != 2 or not is_function(args[0]):
        return None
    fn, (x,) = args[0], arguments(f, args[1:])
    if is_number(x.type):
        return derivative(f, [fn_val(DERIVATIVE, "f'", [("f", fn)]), x])
    if not any(duals.carried(x.type)):
        return None
    made = fill_jacobians(f, gradient_of(fn), [x], prefer_forward=True)
    return made if isinstance(made, Val) else made[0][0]


@builtin("hvp", forms=("hvp(f, x, v)",))
def hvp(f: Frame, args: list[Val]) -> Val | None:
    """The product of the Hessian at x with v, in the shape of x: forward mode over the gradient, once."""
    if len(args) != 3 or not is_function(args[0]):
        return None
    fn, (x,), v = args[0], arguments(f, args[1:2]), args[2]
    if is_number(x.type):
        if not is_number(v.type):
            return None
        second = hessian(f, [fn, x])
        assert second is not None
        return Val(second.type, (f.b.prim("mul", second.leaf, f.number(v, second.type).leaf),))
    if not any(duals.carried(x.type)):
        return None
    return push_once(f, gradient_of(fn), [x], [v], f.span)[1]


# ---------------------------------------------------------------- for the interface to Python
# Names with two underscores are no part of the language: the transforms of `workspace` are made of them.


def shaped(f: Frame, matrix: Val, out: Val, x: Val) -> Val:
    """A matrix of derivatives as an array whose sizes are those of the result, then those of the argument; a number
    where both are numbers. Tuples count as vectors."""
    g = geometry(f, matrix)
    sizes = [*_sizes(f, out, g.sizes[0]), *_sizes(f, x, g.sizes[1])]
    if not sizes:
        return load_at(f, g, [f.b.i64(0), f.b.i64(0)])
    return reshaped(g.item, g.mem, sizes)


def _sizes(f: Frame, v: Val, count: Value) -> list[Value]:
    if is_array(v.type):
        return list(sizes_of(f, v))
    return [] if isinstance(v.type, Prim) else [count]


@builtin("__jacobian")
def jacobian_arrays(f: Frame, args: list[Val]) -> Val | None:
    if len(args) < 2 or not is_function(args[0]):
        return None
    xs = arguments(f, args[1:])
    made = fill_jacobians(f, args[0], xs)
    if isinstance(made, Val):
        return made
    matrices, value = made
    return tuple_val([shaped(f, j, value, x) for j, x in zip(matrices, xs, strict=True)])


@dataclass(frozen=True)
class PartialCode:
    """The key of a function of one argument, the one at `place`; it captures a function and its other arguments."""

    place: int


@caller(PartialCode)
def _call_partial(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    assert isinstance(fn.type, FnType) and isinstance(fn.type.key, PartialCode)
    inner, *others = items_of(fn)
    place = fn.type.key.place
    return call_value(f, inner, [*others[:place], *args, *others[place:]], {}, span)


@builtin("__hessian")
def hessian_array(f: Frame, args: list[Val]) -> Val | None:
    """(f, place from 0, arguments…): the Hessian with respect to one argument."""
    if len(args) < 3 or not is_function(args[0]) or not isinstance(args[1].known, int):
        return None
    fn, place, xs = args[0], args[1].known, arguments(f, args[2:])
    place += len(xs) if place < 0 else 0
    if not 0 <= place < len(xs):
        raise error("E0409", f"there is no argument number {place + 1}: the function is given {len(xs)}", f.span)
    x, others = xs[place], [v for k, v in enumerate(xs) if k != place]
    if others:
        captured = [("f", fn), *((f"x{k}", v) for k, v in enumerate(others))]
        fn = fn_val(PartialCode(place), fn.type.name if isinstance(fn.type, FnType) else "f", captured)
    made = hessian(f, [fn, x])
    if made is None or not is_array(made.type):
        return made
    return shaped(f, made, x, x)


@builtin("__jvp")
def value_and_tangent(f: Frame, args: list[Val]) -> Val | None:
    """(f, (arguments…), (tangents…)): the value and its tangent."""
    if len(args) != 3 or not all(isinstance(a.type, TupleType) for a in args[1:]):
        return None
    xs, tangents = arguments(f, items_of(args[1])), items_of(args[2])
    if len(xs) != len(tangents):
        raise error("E0301", f"{len(xs)} arguments have {len(xs)} tangents, not {len(tangents)}", f.span)
    return tuple_val(push_once(f, args[0], xs, tangents, f.span))


# ---------------------------------------------------------------- taylor

MAX_ORDER = 100  # the code of each operation grows with the square


@builtin("taylor", forms=("taylor(f, x, n)",))
def taylor(f: Frame, args: list[Val]) -> Val | None:
    """The coefficients 0 to n of the power series of f at x: f(x), f'(x), f''(x)/2 …, as a vector."""
    if len(args) != 3 or not is_function(args[0]) or args[2].type != INT64:
        return None
    (x,) = arguments(f, args[1:2])
    if not is_number(x.type) or not any(duals.carried(x.type)):
        return None
    series = coefficients(f, args[0], x, order_of(f, args[2]))
    if isinstance(series, Val):
        return series
    out = new_array(f, FLOAT64, (f.b.i64(len(series)),))
    for k, c in enumerate(series):
        store_at(f, geometry(f, out), [f.b.i64(k)], f.number(duals.number_val(c), FLOAT64))
    return out


def order_of(f: Frame, n: Val) -> int:
    """An order of differentiation, which is a number known while compiling."""
    order = n.known
    if not isinstance(order, int) or not 0 <= order <= MAX_ORDER:
        raise error("E0409", f"the order of a series is a literal number from 0 to {MAX_ORDER}", f.span,
                    hint="it decides what code is made, so it cannot be computed by the program")  # fmt: skip
    return order


def coefficients(f: Frame, fn: Val, x: Val, order: int) -> list[Value] | Val:
    """The numbers of `taylor`; the call itself where it never gives a value."""
    t = target(f, fn.type, (x.type,), f.span)
    require_real(t.spec.result, "taylor", f.span)
    operands = [*fn.leaves, *x.leaves]
    if t.spec.result == BOTTOM or order == 0:
        value = call_spec(f, t.spec, operands, f.span)
        return value if t.spec.result == BOTTOM else [f.number(value, FLOAT64).leaf]
    (place,) = [k for k in duals.carried_places([t.fn, *t.args]) if k >= t.first]
    d = tangent(operands[place].type)
    dual = tangent(t.spec.fn.results[0])
    assert d is not None and dual is not None
    wrt = (place,) if active_leaves(t, reach_of(f, t)) else ()
    given = [f.b.const(1.0, d) for _ in wrt]
    results = [*t.spec.fn.results, *(dual for _ in range(order))]
    op = f.b.op("jvp", [*operands, *given], results, fn=t.spec.name, wrt=wrt)
    if order > 1:
        op.attrs["order"] = order
    return [f.number(Val(t.spec.result, (op.results[0],)), FLOAT64).leaf, *op.results[1:]]
