"""Broadcasting: nested dotted calls are one loop over the elements of all arrays in them.

Operands are evaluated first, in order, each once; then one element at a time is computed. A dimension of size 1 is
stretched, as is a missing one. Tuples broadcast to tuples; everything else that is no array stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import Geometry, geometry, is_array, new_array, order_of, rank_of, record_at, store_at
from dsl.lower.builtins.indexing import WHOLE, Part, element_for, nest, part, unaliased
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name, call_value
from dsl.lower.control import run_arm
from dsl.lower.expressions import callee, compare, index_values, int_val, literal_int, lower_compare
from dsl.lower.frame import Frame
from dsl.lower.loops import range_item
from dsl.lower.lowering import expr, handles
from dsl.lower.values import UNIT, Val, items_of, show_type, tuple_val
from dsl.ops import known
from dsl.records import dataclass
from dsl.syntax import ast
from dsl.types import BOOLEAN, BOTTOM, ArrayType, LangType, RangeType, RefType, TupleType

At = Callable[[Sequence[Value]], Val]


@dataclass(frozen=True)
class Lazy:
    """What stands at each place of a broadcast. `sizes`: one a dimension; none for a scalar. `order` is how the
    matrices in it lie ("" where there is none); `parts` are the items of a tuple, by number."""

    sizes: tuple[Value, ...]
    at: At
    order: str = ""
    parts: tuple[Val, ...] | None = None


@dataclass(frozen=True)
class Target:
    """The part of an array that a broadcast is assigned to."""

    array: Val
    part: Part


# ---------------------------------------------------------------- operands


def lazy(f: Frame, node: ast.Expr, target: Target | None = None) -> Lazy:
    """The operand that an expression is; dotted calls in it are fused."""
    match node:
        case ast.DotCall():
            return _dot_call(f, node, target)
        case ast.Compare(dotted=True):
            return _comparison(f, node, target)
    return operand(f, expr(f, node), target)


def operand(f: Frame, v: Val, target: Target | None = None) -> Lazy:
    """A value as an operand."""
    t = v.type
    if isinstance(t, RefType):
        v = f.load_box(v, "this Ref")
        return Lazy((), lambda _: v)
    if isinstance(t, TupleType):
        return Lazy((), lambda _: v, parts=tuple(items_of(v)))
    if isinstance(t, RangeType):
        return Lazy((v.leaves[2],), lambda at: range_item(f, v, at[0]))
    if not is_array(t):
        return Lazy((), lambda _: v)
    if target is not None and not _alike(f, v, target):
        v = unaliased(f, v, target.part.g.mem)
    g = geometry(f, v)
    lies = isinstance(v.type, ArrayType) and g.rank > 1  # a vector, as a row too, fits any order
    return Lazy(g.sizes, lambda at: f.load(g.mem, record_at(f, g, at), g.item), order_of(v.type) if lies else "")


def _alike(f: Frame, v: Val, target: Target) -> bool:
    """Whether an array, should it lie in the memory that is assigned to, has each element where it is assigned."""
    g = target.part.g
    whole = all(p.step is not None and known(p.step[0]) == 0 and known(p.step[1]) == 1 for p in target.part.picks)
    return whole and v.type == target.array.type and bool(g.dense) and rank_of(v.type) == len(target.part.picks)


def _dot_call(f: Frame, node: ast.DotCall, target: Target | None) -> Lazy:
    power = _literal_power(node)
    fn = None if power is not None else callee(f, node.fn)
    operands = [lazy(f, a, target) for a in (node.args[:1] if power is not None else node.args)]

    def apply(args: Sequence[Val]) -> Val:
        f.at(node)
        if fn is None:
            assert power is not None
            return call_name(f, "literal_pow", [args[0], int_val(f, power)], node.span)
        return call_value(f, fn, list(args), {}, node.span)

    f.at(node)
    return combine(f, operands, apply)


def _literal_power(node: ast.DotCall) -> int | None:
    if isinstance(node.fn, ast.Name) and node.fn.id == "^" and len(node.args) == 2:
        return literal_int(node.args[1])
    return None


def _comparison(f: Frame, node: ast.Compare, target: Target | None) -> Lazy:
    operands = [lazy(f, a, target) for a in node.operands]

    def apply(args: Sequence[Val]) -> Val:
        f.at(node)
        result = compare(f, node.operators[0], args[0], args[1], node.span)
        for k, name in enumerate(node.operators[1:], 1):
            more = compare(f, name, args[k], args[k + 1], node.span)
            result = Val(BOOLEAN, (f.b.prim("and", result.leaf, more.leaf),))
        return result

    f.at(node)
    return combine(f, operands, apply)


# ---------------------------------------------------------------- together


def combine(f: Frame, operands: Sequence[Lazy], apply: Callable[[Sequence[Val]], Val]) -> Lazy:
    """A function of operands, element by element."""
    if any(o.parts is not None for o in operands):
        if not any(o.sizes for o in operands):
            return _tuples(f, operands, apply)
        operands = [_as_vector(f, o) for o in operands]
    sizes = _common(f, operands)
    fitted = [_fitted(f, o, sizes) for o in operands]
    orders = {o.order for o in operands if o.order}
    order = "" if not orders else "C" if orders == {"C"} else "F"
    return Lazy(sizes, lambda at: apply([o(at) for o in fitted]), order)


def _tuples(f: Frame, operands: Sequence[Lazy], apply: Callable[[Sequence[Val]], Val]) -> Lazy:
    counts = {len(o.parts) for o in operands if o.parts is not None} - {1}
    if len(counts) > 1:
        raise error("E0412", f"tuples of {' and '.join(map(str, sorted(counts)))} items do not broadcast", f.span)
    n = counts.pop() if counts else 1
    zero: list[Value] = []
    items = []
    for k in range(n):
        args = [o.at(zero) if o.parts is None else o.parts[k if len(o.parts) > 1 else 0] for o in operands]
        items.append(apply(args))
    return Lazy((), lambda _: tuple_val(items), parts=tuple(items))


def _as_vector(f: Frame, o: Lazy) -> Lazy:
    if o.parts is None:
        return o
    return operand(f, call_name(f, "vector_of", [UNIT, *o.parts]))


def _common(f: Frame, operands: Sequence[Lazy]) -> tuple[Value, ...]:
    """The size of the result along each dimension: that of all which are not 1."""
    rank = max(len(o.sizes) for o in operands) if operands else 0
    out = []
    for dim in range(rank):
        sizes = list(dict.fromkeys(o.sizes[dim] for o in operands if len(o.sizes) > dim))
        sizes = [n for n in sizes if known(n) != 1] or sizes[:1]
        n = sizes[0]
        for other in sizes[1:]:
            n = _meet(f, n, other)
        out.append(n)
    return tuple(out)


def _meet(f: Frame, m: Value, n: Value) -> Value:
    b = f.b
    one = b.i64(1)
    stretch = b.prim("eq", m, one)
    fits = b.prim("or", b.prim("eq", m, n), b.prim("or", stretch, b.prim("eq", n, one)))
    f.check(fits, "E0412", "arrays of sizes {0} and {1} do not broadcast", m, n)
    return b.prim("select", stretch, n, m)


def _fitted(f: Frame, o: Lazy, sizes: Sequence[Value]) -> At:
    """The operand at indices of the result: index 0 where it is stretched (the form `passes.versions` looks for)."""
    zero = f.b.i64(0)
    stretched: list[Value | None] = []
    for have, want in zip(o.sizes, sizes, strict=False):
        if have is want:
            stretched.append(None)
        else:
            stretched.append(f.b.prim("select", f.b.prim("eq", have, want), f.b.i64(1), zero))

    def at(indices: Sequence[Value]) -> Val:
        own = []
        for i, factor, have in zip(indices, stretched, o.sizes, strict=False):
            if known(have) == 1:
                own.append(zero)
            else:
                own.append(i if factor is None else f.b.prim("mul", i, factor))
        return o.at(own)

    return at


# ---------------------------------------------------------------- results


def materialise(f: Frame, o: Lazy) -> Val:
    """The array (or scalar, or tuple) that a broadcast gives."""
    if not o.sizes:
        return o.at(())
    out = new_array(f, item_type(f, o), o.sizes, o.order or "F", filled=True)
    g = geometry(f, out)
    nest(f, o.sizes, lambda at: store_at(f, g, at, _exactly(o.at(at), g)), o.order or "F")
    return out


def _exactly(v: Val, g: Geometry) -> Val:
    return Val(g.item, v.leaves)


def item_type(f: Frame, o: Lazy) -> LangType:
    """The type of the elements, found by lowering one, to be thrown away."""
    found: list[LangType] = [BOTTOM]

    def one() -> Val:
        found.append(o.at([f.b.i64(0) for _ in o.sizes]).type)
        return UNIT

    marks = f.pending()
    run_arm(f, one)
    f.forget(marks)
    return found[-1]


@handles(ast.DotCall)
def lower_dot_call(f: Frame, node: ast.DotCall, want: bool) -> Val:
    return materialise(f, lazy(f, node))


@handles(ast.Compare)
def lower_any_compare(f: Frame, node: ast.Compare, want: bool) -> Val:
    return materialise(f, lazy(f, node)) if node.dotted else lower_compare(f, node)


# ---------------------------------------------------------------- assignment


def broadcast_assign(f: Frame, place: ast.Node, value: ast.Expr, op: str = "") -> Val:
    """`place .= value`, and with an operator `place .op= value`."""
    target = _target(f, place)
    source = lazy(f, value, target)
    if source.parts is not None:
        source = _as_vector(f, source)
    p = target.part
    if len(source.sizes) > len(p.sizes):
        ranks = len(source.sizes), len(p.sizes)
        raise error("E0412", "an array of {} dimensions does not fit a place of {}".format(*ranks), f.span)
    for have, size in zip(source.sizes, p.sizes, strict=False):
        if have is not size:
            fits = f.b.prim("or", f.b.prim("eq", have, size), f.b.prim("eq", have, f.b.i64(1)))
            f.check(fits, "E0412", "{0} values for {1} places", have, size)
    new = _fitted(f, source, p.sizes)

    def one(at: list[Value]) -> None:
        record = p.at(f, at)
        v = new(at)
        if op:
            v = call_name(f, op, [f.load(p.g.mem, record, p.g.item), v])
        f.store(p.g.mem, record, element_for(f, target.array.type, v))

    nest(f, p.sizes, one, p.g.dense or "F")
    return target.array


def _target(f: Frame, place: ast.Node) -> Target:
    if isinstance(place, ast.Index):
        value = expr(f, place.value)
        indices = index_values(f, value, place.indices)
    else:
        value, indices = expr(f, place), []
    f.at(place)
    if not is_array(value.type):
        raise error("E0301", f"`.=` changes the elements of an array, and this is a {show_type(value.type)}", f.span)
    if not isinstance(place, ast.Index):
        indices = [Val(WHOLE)] * rank_of(value.type)
    return Target(value, part(f, value, indices))




@builtin("broadcast", forms=("broadcast(f, A, B…)",))
def lower_broadcast(f: Frame, args: list[Val]) -> Val | None:
    """`broadcast(f, A, B…)` is `f.(A, B…)`."""
    if len(args) < 2:
        return None
    span = f.span
    operands = [operand(f, a) for a in args[1:]]
    return materialise(f, combine(f, operands, lambda items: call_value(f, args[0], list(items), {}, span)))
