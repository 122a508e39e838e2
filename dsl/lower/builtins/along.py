"""What runs along one dimension of an array: reductions with `dims`, `cumsum`, `accumulate`, `diff`, `reverse`.

The dimension may be known at run time only: there is then one loop nest for each, since the type of the result is the
same. A reduction keeps the dimension, with size 1. Where the dimension is the one that runs fastest in memory, a
reduction holds its value in a variable; otherwise all values of a row are updated together, in the order of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import (
    Geometry,
    geometry,
    is_array,
    less_one,
    load_at,
    new_array,
    order_of,
    plus,
    rank_of,
    store_at,
)
from dsl.lower.builtins.arrays import common_item
from dsl.lower.builtins.indexing import WHOLE, nest
from dsl.lower.builtins.memory import collected
from dsl.lower.builtins.numbers import to_number
from dsl.lower.builtins.reductions import better, neutral
from dsl.lower.builtins.registry import builtin, extend
from dsl.lower.calls import call_function, call_name, call_value
from dsl.lower.control import branch, run_arm
from dsl.lower.convert import convert_value
from dsl.lower.frame import Frame, Slot
from dsl.lower.loops import Plan, count_up
from dsl.lower.values import UNIT, Val, items_of, show_type
from dsl.types import BOOLEAN, BOTTOM, INT64, AdjointType, FnType, LangType, RangeType, TupleType

Fn = Callable[[Val], Val]
Combine = Callable[[Val, Val], Val]

# ---------------------------------------------------------------- the dimension


def for_dimension(f: Frame, dim: Val, rank: int, make: Callable[[int], Val], beyond: Callable[[], Val]) -> Val:
    """`make(k)` for the dimension (from 0) that a number means; `beyond()` for one that the array does not have."""
    if dim.type != INT64:
        raise error("E0301", f"`dims` is a {show_type(dim.type)}", f.span, hint="a number, or a tuple of numbers")
    if isinstance(dim.known, int):
        f.check(f.b.bool(dim.known >= 1), "E0409", "there is no dimension {0}", dim.leaf, hint="they count from 1")
        return make(dim.known - 1) if 1 <= dim.known <= rank else beyond()
    f.check(f.b.prim("ge", dim.leaf, f.b.i64(1)), "E0409", "there is no dimension {0}", dim.leaf)

    def choose(k: int) -> Val:
        if k == rank:
            return beyond()
        here = f.b.prim("eq", dim.leaf, f.b.i64(k + 1))
        return branch(f, here, lambda: make(k), lambda: choose(k + 1), True)

    return choose(0)


def one_dimension(f: Frame, v: Val, dims: Val | None, make: Callable[[int], Val]) -> Val:
    """The same where the dimension has to be one of the array's; of a vector it need not be named."""
    rank = rank_of(v.type)
    if dims is None:
        if rank > 1:
            raise error("E0305", "say along which dimension: `dims = 1`", f.span)
        return make(0)

    def beyond() -> Val:
        f.fail("E0409", f"there is no dimension {{0}} in an array of {rank}", dims.leaf)

    return for_dimension(f, dims, rank, make, beyond)


def result_type(f: Frame, compute: Callable[[], Val]) -> LangType:
    """The type of what is computed, found by lowering it once, to be thrown away."""
    found: list[LangType] = [BOTTOM]

    def one() -> Val:
        found.append(compute().type)
        return UNIT

    marks = f.pending()
    run_arm(f, one)
    f.forget(marks)
    return found[-1]


def first_item(f: Frame, g: Geometry) -> Val:
    return load_at(f, g, [f.b.i64(0)] * g.rank)


# ---------------------------------------------------------------- reductions


def reduce_dims(f: Frame, v: Val, dims: Val, fn: Fn, combine: Combine, start: Callable[[LangType], Val | None]) -> Val:
    """Combine fn of the elements along a dimension, or several one after the other. `start` gives for the type of the
    items what to begin with; None: the first item."""
    wanted = items_of(dims) if isinstance(dims.type, TupleType) else [dims]
    if not wanted:
        raise error("E0409", "`dims` is empty", f.span)
    for dim in wanted:
        g, order = geometry(f, v), order_of(v.type)
        begin = start(_type_of_first(f, g, fn))
        task = _Reduction(f, g, order, _held_type(f, g, fn, combine, begin), fn, combine, begin)
        v = for_dimension(f, dim, g.rank, task.along, task.nothing)
        fn = _same
    return v


def _same(v: Val) -> Val:
    return v


def _type_of_first(f: Frame, g: Geometry, fn: Fn) -> LangType:
    return result_type(f, lambda: fn(first_item(f, g)))


def _held_type(f: Frame, g: Geometry, fn: Fn, combine: Combine, begin: Val | None) -> LangType:
    """The type that a reduction holds: of what it begins with and of what one step gives."""

    def first() -> Val:
        return fn(first_item(f, g))

    before = result_type(f, first) if begin is None else begin.type
    return common_item(f, [before, result_type(f, lambda: combine(begin or first(), first()))])


class _Reduction:
    def __init__(
        self, f: Frame, g: Geometry, order: str, held: LangType, fn: Fn, combine: Combine, begin: Val | None
    ) -> None:
        self.f, self.g, self.order, self.held, self.fn, self.combine = f, g, order, held, fn, combine
        self.begin = None if begin is None else convert_value(f, begin, held, f.span)

    def value(self, at: Sequence[Value]) -> Val:
        return self.fn(load_at(self.f, self.g, at))

    def as_held(self, v: Val) -> Val:
        return convert_value(self.f, v, self.held, self.f.span)

    def along(self, k: int) -> Val:
        f, g = self.f, self.g
        one = f.b.i64(1)
        out = new_array(f, self.held, [one if d == k else n for d, n in enumerate(g.sizes)], self.order)
        if self.begin is None:
            f.check(f.b.prim("gt", g.sizes[k], f.b.i64(0)), "E0409", "a reduction of something empty",
                    hint="give it a start: `init=…`")  # fmt: skip
        fastest = 0 if self.order == "F" else g.rank - 1
        (self._held_in_variable if k == fastest else self._held_in_memory)(geometry(f, out), k)
        return out

    def _others(self, k: int, n: Value) -> list[Value]:
        return [n if d == k else size for d, size in enumerate(self.g.sizes)]

    def _held_in_variable(self, to: Geometry, k: int) -> None:
        f, first = self.f, self.begin is None

        def row(at: list[Value]) -> None:
            key = f.unit.fresh_key(f, "along")
            acc = f.temporary(key, "total")
            f.env[acc] = Slot(self.as_held(self.value(at)) if self.begin is None else self.begin)

            def add(i: Value) -> None:
                here = [(plus(f, i, f.b.i64(1)) if first else i) if d == k else x for d, x in enumerate(at)]
                f.env[acc] = Slot(self.as_held(self.combine(f.env[acc].val, self.value(here))))

            n = self.g.sizes[k]
            count_up(f, less_one(f, n) if first else n, Plan(key, [acc], key, False), add)
            store_at(f, to, at, f.env.pop(acc).val)

        nest(f, self._others(k, f.b.i64(1)), row, self.order)

    def _held_in_memory(self, to: Geometry, k: int) -> None:
        f, zero, first = self.f, self.f.b.i64(0), self.begin is None

        def start(at: list[Value]) -> None:
            store_at(f, to, at, self.as_held(self.value(at)) if self.begin is None else self.begin)

        def add(at: list[Value]) -> None:
            place = [zero if d == k else x for d, x in enumerate(at)]
            here = [plus(f, x, f.b.i64(1)) if d == k and first else x for d, x in enumerate(at)]
            store_at(f, to, place, self.as_held(self.combine(load_at(f, to, place), self.value(here))))

        nest(f, self._others(k, f.b.i64(1)), start, self.order)
        n = self.g.sizes[k]
        nest(f, self._others(k, less_one(f, n) if first else n), add, self.order)

    def nothing(self) -> Val:
        """Along a dimension that the array does not have: each element by itself."""
        f = self.f
        out = new_array(f, self.held, self.g.sizes, self.order)
        to = geometry(f, out)

        def one(at: list[Value]) -> None:
            value = self.value(at)
            store_at(f, to, at, self.as_held(value if self.begin is None else self.combine(self.begin, value)))

        nest(f, self.g.sizes, one, self.order)
        return out


def _mapped(f: Frame, args: Sequence[Val]) -> tuple[Fn, Val] | None:
    """`(A)` and `(g, A)`."""
    if not 1 <= len(args) <= 2 or not is_array(args[-1].type):
        return None
    span = f.span
    return (_same if len(args) == 1 else lambda x: call_value(f, args[0], [x], {}, span)), args[-1]


def _with_dims(name: str, combine: Callable[[Frame], Combine], start: Callable[[Frame, LangType], Val | None]) -> None:
    @extend(name, keywords=("dims", "init"))
    def lower(f: Frame, args: list[Val], dims: Val | None = None, init: Val | None = None) -> Val | None:
        if dims is None:
            return None
        if dims.type == WHOLE:
            return _whole(f, name, args, init)
        parts = _mapped(f, args)
        if parts is None:
            return None
        return reduce_dims(f, parts[1], dims, parts[0], combine(f), lambda t: start(f, t) if init is None else init)


def _whole(f: Frame, name: str, args: list[Val], init: Val | None) -> Val:
    fn = f.namespace.builtins(name)
    assert fn is not None
    return call_function(f, fn, args, {} if init is None else {"init": init}, f.span)


def _operator(symbol: str) -> Callable[[Frame], Combine]:
    return lambda f: lambda a, b: call_name(f, symbol, [a, b])


_with_dims("sum", _operator("+"), lambda f, t: neutral(f, t, 0))
_with_dims("prod", _operator("*"), lambda f, t: neutral(f, t, 1))
_with_dims("maximum", lambda f: lambda a, b: better(f, ">", a, b), lambda f, t: None)
_with_dims("minimum", lambda f: lambda a, b: better(f, "<", a, b), lambda f, t: None)
_with_dims("any", _operator("|"), lambda f, t: Val(BOOLEAN, (f.b.bool(False),)))
_with_dims("all", _operator("&"), lambda f, t: Val(BOOLEAN, (f.b.bool(True),)))
_with_dims("count", _operator("+"), lambda f, t: neutral(f, t, 0))


def _fold_with_dims(name: str, mapped: bool) -> None:
    @extend(name, keywords=("dims", "init"))
    def lower(f: Frame, args: list[Val], dims: Val | None = None, init: Val | None = None) -> Val | None:
        if dims is None or len(args) != 2 + mapped or not is_array(args[-1].type):
            return None
        span = f.span
        fn = (lambda x: call_value(f, args[0], [x], {}, span)) if mapped else _same
        op = args[1] if mapped else args[0]
        return reduce_dims(f, args[-1], dims, fn, lambda a, b: call_value(f, op, [a, b], {}, span), lambda _: init)


_JOINS = {"vcat": "__join_rows", "hcat": "__join_columns"}


@extend("reduce", "foldl")
def lower_join(f: Frame, args: list[Val]) -> Val | None:
    """`reduce(vcat, arrays)` and `reduce(hcat, arrays)` in one go."""
    if len(args) != 2 or not isinstance(args[0].type, FnType) or args[0].type.name not in _JOINS:
        return None
    builtin_one = f.namespace.builtins(args[0].type.name)
    if args[0].type.key is not builtin_one or not is_array(args[1].type) or not is_array(geometry(f, args[1]).item):
        return None
    n = call_name(f, "length", args[1:]).leaf
    f.check(f.b.prim("gt", n, f.b.i64(0)), "E0409", "a reduction of something empty")
    return call_name(f, _JOINS[args[0].type.name], args[1:])


_fold_with_dims("reduce", False)
_fold_with_dims("mapreduce", True)


@extend("mean", keywords=("dims",))
def lower_mean_dims(f: Frame, args: list[Val], dims: Val | None = None) -> Val | None:
    """The mean along a dimension."""
    if dims is None or _mapped(f, args) is None:
        return None
    if dims.type == WHOLE:
        return _whole(f, "mean", args, None)
    fn = f.namespace.builtins("sum")
    assert fn is not None
    total = call_function(f, fn, args, {"dims": dims}, f.span)
    n = Val(INT64, (f.b.i64(1),), 1)
    for dim in items_of(dims) if isinstance(dims.type, TupleType) else [dims]:
        n = call_name(f, "*", [n, call_name(f, "size", [args[-1], dim])])
    return call_name(f, "/", [total, n])


# ---------------------------------------------------------------- running totals


def scan(f: Frame, v: Val, dims: Val | None, fn: Fn, combine: Combine, init: Val | None = None) -> Val:
    """All values that a reduction along a dimension goes through."""
    g = geometry(f, v)

    def first(x: Val) -> Val:
        return fn(x) if init is None else combine(init, fn(x))

    begin = result_type(f, lambda: first(first_item(f, g)))
    item = common_item(f, [begin, result_type(f, lambda: combine(first(first_item(f, g)), fn(first_item(f, g))))])

    def along(k: int) -> Val:
        out = new_array(f, item, g.sizes, order_of(v.type))
        to = geometry(f, out)

        def start(at: list[Value]) -> None:
            store_at(f, to, at, convert_value(f, first(load_at(f, g, at)), item, f.span))

        def onward(at: list[Value]) -> None:
            here = [plus(f, x, f.b.i64(1)) if d == k else x for d, x in enumerate(at)]
            value = combine(load_at(f, to, at), fn(load_at(f, g, here)))
            store_at(f, to, here, convert_value(f, value, item, f.span))

        n, one = g.sizes[k], f.b.i64(1)
        some = f.b.prim("min", n, one)
        nest(f, [some if d == k else size for d, size in enumerate(g.sizes)], start, order_of(v.type))
        rest = less_one(f, n)
        nest(f, [rest if d == k else size for d, size in enumerate(g.sizes)], onward, order_of(v.type))
        return out

    return one_dimension(f, v, dims, along)


def array_of(f: Frame, v: Val) -> Val | None:
    """An array, or the items of a range or a row as one."""
    if isinstance(v.type, RangeType):
        return collected(f, v)
    return v if is_array(v.type) and not isinstance(v.type, AdjointType) else None


def _running(name: str, symbol: str) -> None:
    @builtin(name, keywords=("dims",), forms=(f"{name}(v)", f"{name}(A; dims = k)"))
    def lower(f: Frame, args: list[Val], dims: Val | None = None) -> Val | None:
        v = array_of(f, args[0]) if len(args) == 1 else None
        if v is None:
            return None
        as_number = (lambda x: to_number(f, x, INT64)) if geometry(f, v).item == BOOLEAN else _same
        return scan(f, v, dims, as_number, lambda a, b: call_name(f, symbol, [a, b]))


_running("cumsum", "+")
_running("cumprod", "*")


@builtin("accumulate", keywords=("dims", "init"), forms=("accumulate(op, v)", "accumulate(op, A; dims = k)"))
def lower_accumulate(f: Frame, args: list[Val], dims: Val | None = None, init: Val | None = None) -> Val | None:
    v = array_of(f, args[1]) if len(args) == 2 else None
    if v is None:
        return None
    span = f.span
    return scan(f, v, dims, _same, lambda a, b: call_value(f, args[0], [a, b], {}, span), init)


@builtin("diff", keywords=("dims",), forms=("diff(v)", "diff(A; dims = k)"))
def lower_diff(f: Frame, args: list[Val], dims: Val | None = None) -> Val | None:
    """Differences of neighbours; one less along the dimension."""
    v = array_of(f, args[0]) if len(args) == 1 else None
    if v is None:
        return None
    g, order = geometry(f, v), order_of(v.type)
    item = result_type(f, lambda: call_name(f, "-", [first_item(f, g)] * 2))

    def along(k: int) -> Val:
        fewer = f.b.prim("max", less_one(f, g.sizes[k]), f.b.i64(0))
        out = new_array(f, item, [fewer if d == k else n for d, n in enumerate(g.sizes)], order)
        to = geometry(f, out)

        def one(at: list[Value]) -> None:
            ahead = [plus(f, x, f.b.i64(1)) if d == k else x for d, x in enumerate(at)]
            store_at(f, to, at, call_name(f, "-", [load_at(f, g, ahead), load_at(f, g, at)]))

        nest(f, to.sizes, one, order)
        return out

    return one_dimension(f, v, dims, along)


# ---------------------------------------------------------------- the other way round


@extend("reverse", keywords=("dims",))
def lower_reverse_array(f: Frame, args: list[Val], dims: Val | None = None) -> Val | None:
    """A new array with the elements in the opposite order along a dimension, or along all."""
    if len(args) != 1 or not is_array(args[0].type):
        return None
    v = args[0]
    g, order = geometry(f, v), order_of(v.type)

    def turned(which: Sequence[int]) -> Val:
        out = new_array(f, g.item, g.sizes, order)
        to = geometry(f, out)

        def one(at: list[Value]) -> None:
            there = [f.b.prim("sub", less_one(f, g.sizes[d]), x) if d in which else x for d, x in enumerate(at)]
            store_at(f, to, at, load_at(f, g, there))

        nest(f, g.sizes, one, order)
        return out

    if dims is None or dims.type == WHOLE:
        return turned(range(g.rank))
    return one_dimension(f, v, dims, lambda k: turned([k]))
