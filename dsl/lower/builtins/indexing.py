"""Indexing of arrays: elements, slices, views, and assignment to them.

An index along a dimension is a number (the dimension disappears), `:`, a range, a vector of numbers or a vector of
Bools. Slices are new arrays, views the same memory with another geometry. Every index is checked before it is used:
ranges at their ends, vectors of numbers one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import error
from dsl.ir.core import Op, Value
from dsl.lower.arrays import (
    Geometry,
    geometry,
    is_array,
    item_of,
    less_one,
    load_at,
    new_array,
    number_at,
    order_of,
    plus,
    product,
    rank_of,
    record_at,
    store_at,
    strided,
    times,
)
from dsl.lower.builtins.records import check_bounds
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name
from dsl.lower.control import branch
from dsl.lower.convert import convert_value
from dsl.lower.frame import Frame
from dsl.lower.loops import Plan, count_up, range_item
from dsl.lower.scopes import Var
from dsl.lower.values import Val, show_type
from dsl.records import dataclass
from dsl.types import BOOL, BOOLEAN, BOTTOM, INT64, IterType, LangType, RangeType, VectorType

WHOLE = IterType("colon", ())  # the type of `:` as an index


@dataclass(frozen=True)
class Pick:
    """What is chosen along one dimension. `size` is None for a number; `at(k)` is the index (from 0) of choice k;
    `step` its regular form (first, step), where it has one."""

    size: Value | None
    at: Callable[[Value], Value]
    step: tuple[Value, Value] | None = None


def nest(
    f: Frame, sizes: Sequence[Value], body: Callable[[list[Value]], None], order: str = "F",
    assigned: Sequence[Var] = (),
) -> None:  # fmt: skip
    """`body(indices)` for all indices, counted from 0; of order "F", the first one runs fastest, of "C" the last."""
    ranks = list(range(len(sizes)))
    outermost_first = list(reversed(ranks)) if order == "F" else ranks
    indices: dict[int, Value] = {}

    def level(depth: int) -> None:
        if depth == len(sizes):
            body([indices[k] for k in ranks])
            return
        dim = outermost_first[depth]
        key = f.unit.fresh_key(f, "nest")

        def inner(i: Value) -> None:
            indices[dim] = i
            level(depth + 1)

        count_up(f, sizes[dim], Plan(key, assigned, key, False), inner)

    level(0)


def each_record(f: Frame, g: Geometry, body: Callable[[Value], None]) -> None:
    """`body(record)` for all elements, in the order of memory where they lie without gaps."""
    sizes = (product(f, g.sizes),) if g.dense else g.sizes
    nest(f, sizes, lambda at: body(at[0] if g.dense else record_at(f, g, at)))


# ---------------------------------------------------------------- what an index chooses


def pick(f: Frame, index: Val, n: Value) -> Pick:
    """What an index chooses of a dimension of size n."""
    t, b = index.type, f.b
    if t == INT64:
        check_bounds(f, index.leaf, n)
        place = less_one(f, index.leaf)
        return Pick(None, lambda _: place, (place, b.i64(0)))
    if t == WHOLE:
        return Pick(n, lambda k: k, (b.i64(0), b.i64(1)))
    if isinstance(t, RangeType) and t.item == INT64:
        return _pick_range(f, index, n)
    if is_array(t) and rank_of(t) == 1 and item_of(f, t) == BOTTOM:  # `[]`: nothing is ever put in
        return Pick(b.i64(0), lambda k: k)
    if is_array(t) and rank_of(t) == 1 and item_of(f, t) in (INT64, BOOLEAN):
        return _pick_listed(f, index, n)
    if t == BOOLEAN:
        raise error("E0301", "a Bool is no index", f.span, hint="`findall` gives the places that are true")
    raise error("E0301", f"a {show_type(t)} is no index", f.span,
                hint="indices are integers, ranges, `:` or vectors of integers")  # fmt: skip


def _pick_range(f: Frame, r: Val, n: Value) -> Pick:
    b = f.b
    first, step, size = r.leaves
    last = plus(f, first, times(f, step, less_one(f, size)))

    def inside(i: Value) -> Value:
        return b.prim("and", b.prim("ge", i, b.i64(1)), b.prim("le", i, n))

    empty = b.prim("eq", size, b.i64(0))
    f.check(b.prim("or", empty, b.prim("and", inside(first), inside(last))), "E0402",
            "index {0}:{1} is out of bounds for length {2}", first, last, n, hint="indices start at 1")  # fmt: skip
    start = less_one(f, first)
    return Pick(size, lambda k: less_one(f, range_item(f, r, k).leaf), (start, step))


def _pick_listed(f: Frame, index: Val, n: Value) -> Pick:
    if item_of(f, index.type) == BOOLEAN:
        have = geometry(f, index).sizes[0]
        f.check(f.b.prim("eq", have, n), "E0402", "a mask of length {0} for {1} elements", have, n)
        index = call_name(f, "findall", [index])
    g = geometry(f, index)

    def at(k: Value) -> Value:
        i = load_at(f, g, [k]).leaf
        check_bounds(f, i, n)
        return less_one(f, i)

    return Pick(g.sizes[0], at)


@dataclass(frozen=True)
class Part:
    """A part of an array: its picks, and where the element at given indices of the whole lies."""

    g: Geometry
    picks: list[Pick]
    record: Callable[[Sequence[Value]], Value]

    @property
    def sizes(self) -> list[Value]:
        return [p.size for p in self.picks if p.size is not None]

    def at(self, f: Frame, indices: Sequence[Value]) -> Value:
        """The record of an element, by its indices in the part."""
        rest = iter(indices)
        return self.record([p.at(f.b.i64(0) if p.size is None else next(rest)) for p in self.picks])


def part(f: Frame, v: Val, indices: list[Val]) -> Part:
    """The part of an array that indices choose: one for each dimension, or one for all in column-major order."""
    g = geometry(f, v)
    indices = _indices(f, g, indices)
    if len(indices) == g.rank:
        return Part(g, [pick(f, i, n) for i, n in zip(indices, g.sizes, strict=True)], lambda at: record_at(f, g, at))
    n = product(f, g.sizes)
    return Part(g, [pick(f, indices[0], n)], lambda at: number_at(f, g, at[0]))


def _indices(f: Frame, g: Geometry, indices: list[Val]) -> list[Val]:
    """As many as there are dimensions, or one. Further ones have to be 1."""
    if len(indices) == 1 and is_array(indices[0].type) and rank_of(indices[0].type) > 1:
        return [call_name(f, "vec", indices)]
    for extra in indices[g.rank :]:
        if extra.type != INT64:
            break
        check_bounds(f, extra.leaf, f.b.i64(1))
        indices = indices[:-1]
    if len(indices) not in (1, g.rank):
        raise error("E0301", f"{len(indices)} indices for an array of {g.rank} dimensions", f.span,
                    hint="one for each dimension, or one for all")  # fmt: skip
    return indices


# ---------------------------------------------------------------- reading


def get_part(f: Frame, v: Val, indices: list[Val]) -> Val:
    """`A[indices…]`: an element, or a new array."""
    region = part(f, v, indices)
    if not region.sizes:
        return f.load(region.g.mem, region.at(f, []), region.g.item)
    order = order_of(v.type)
    out = new_array(f, region.g.item, region.sizes, order)
    to = geometry(f, out)

    def one(at: list[Value]) -> None:
        store_at(f, to, at, f.load(region.g.mem, region.at(f, at), region.g.item))

    nest(f, region.sizes, one, order)
    return out


@builtin("view", forms=("view(A, indices…)",))
def lower_view(f: Frame, args: list[Val]) -> Val | None:
    if len(args) < 2 or not is_array(args[0].type):
        return None
    v, *indices = args
    g = geometry(f, v)
    indices = _indices(f, g, indices)
    if len(indices) != g.rank:
        if g.dense != "F":
            raise error("E0901", "a view by one index of a matrix that is not column-major is not supported", f.span,
                        hint="give one index for each dimension")  # fmt: skip
        g = Geometry(g.mem, g.item, None, (product(f, g.sizes),), (f.b.i64(1),), "F")
    offset, sizes, strides = g.offset, [], []
    for index, n, stride in zip(indices, g.sizes, g.strides, strict=True):
        p = pick(f, index, n)
        if p.step is None:
            raise error("E0901", "a view by a vector of indices is not supported", f.span, hint="`A[i]` copies")
        first, step = p.step
        offset = plus(f, offset, times(f, first, stride))
        if p.size is not None:
            sizes.append(p.size)
            strides.append(times(f, step, stride))
    if not sizes:
        raise error("E0901", "a view of one element is not supported", f.span, hint="view a range of length 1")
    return strided(Geometry(g.mem, g.item, offset, tuple(sizes), tuple(strides)), f)


# ---------------------------------------------------------------- writing


def element_for(f: Frame, t: LangType, value: Val) -> Val:
    """A value as an element of an array type."""
    if isinstance(t, VectorType) and t.site:
        return f.fit(value, t, 0, "this vector", f.span)
    return convert_value(f, value, item_of(f, t), f.span)


def set_part(f: Frame, v: Val, value: Val, indices: list[Val]) -> None:
    """`A[indices…] = value`: an element, or as many elements as there are places."""
    region = part(f, v, indices)
    if not region.sizes:
        f.store(region.g.mem, region.at(f, []), element_for(f, v.type, value))
        return
    if isinstance(value.type, RangeType):
        value = call_name(f, "collect", [value])
    if not is_array(value.type):
        raise error("E0301", f"a {show_type(value.type)} cannot be assigned to a part of an array", f.span,
                    hint="`.=` assigns it to each element")  # fmt: skip
    source = geometry(f, unaliased(f, value, region.g.mem))
    check_same_count(f, region.sizes, source)
    nest(f, region.sizes, lambda at: _assign(f, v, region, source, at))


def _assign(f: Frame, v: Val, region: Part, source: Geometry, at: list[Value]) -> None:
    k = at[-1]
    for i, n in zip(reversed(at[:-1]), reversed(region.sizes[:-1]), strict=True):
        k = plus(f, times(f, k, n), i)
    record = record_at(f, source, at) if source.rank == len(at) else number_at(f, source, k)
    item = f.load(source.mem, record, source.item)
    f.store(region.g.mem, region.at(f, at), element_for(f, v.type, item))


def check_same_count(f: Frame, sizes: Sequence[Value], source: Geometry) -> None:
    """Every size alike where the ranks are, else the number of elements."""
    if len(sizes) == source.rank:
        for have, want in zip(source.sizes, sizes, strict=True):
            f.check(f.b.prim("eq", have, want), "E0412", "{0} values for {1} places", have, want)
        return
    have, want = product(f, source.sizes), product(f, sizes)
    f.check(f.b.prim("eq", have, want), "E0412", "{0} values for {1} places", have, want)


def unaliased(f: Frame, value: Val, target: Value) -> Val:
    """The value, or a copy where it lies in the memory that is written."""
    mem = value.leaves[0]
    if mem is target:
        return call_name(f, "copy", [value])
    if mem.type != target.type or _newer(f, mem, target):
        return value
    shared = f.b.op("same", (mem, target), (BOOL,)).result
    return branch(f, shared, lambda: call_name(f, "copy", [value]), lambda: value, True)


def _newer(f: Frame, mem: Value, other: Value) -> bool:
    """Whether a memory was made in the straight line that leads here, after the other one was known."""
    here = f.b.region.ops
    if not isinstance(mem.owner, Op) or mem.owner.name != "new" or mem.owner not in here:
        return False
    return other.owner not in here or here.index(other.owner) < here.index(mem.owner)
