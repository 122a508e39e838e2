"""Making arrays: literals, comprehensions, concatenation."""

from __future__ import annotations

from collections.abc import Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import geometry, is_array, less_one, load_at, new_array, rank_of, store_at
from dsl.lower.builtins.indexing import nest
from dsl.lower.builtins.memory import append, new_vector
from dsl.lower.builtins.reductions import item_types
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import ClosureCode, call_name
from dsl.lower.convert import convert_value
from dsl.lower.expressions import generator_scope
from dsl.lower.frame import Frame
from dsl.lower.joins import join
from dsl.lower.loops import Plan, for_each, indexed, inside_generator, item_at
from dsl.lower.lowering import assign_target, expr
from dsl.lower.scopes import children, target_names
from dsl.lower.values import UNIT, Val, is_number, items_of, promote, show_type
from dsl.syntax import ast
from dsl.types import BOTTOM, FnType, LangType, TypeValue

# ---------------------------------------------------------------- literals


def common_item(f: Frame, types: Sequence[LangType]) -> LangType:
    """The element type of an array of these."""
    t: LangType | None = BOTTOM
    for other in types:
        if t is not None and t != other and is_number(t) and is_number(other):
            t = promote(t, other)
        else:
            t = None if t is None else join(t, other, f.sites)
    if t is None:
        shown = " and ".join(dict.fromkeys(map(show_type, types)))
        raise error("E0202", f"an array of {shown}: elements have one type", f.span)
    return t


@builtin("vect")
def lower_vect(f: Frame, args: list[Val]) -> Val:
    """`[a, b, …]` of numbers."""
    item = common_item(f, [a.type for a in args])
    out = new_array(f, item, [f.b.i64(len(args))])
    for k, a in enumerate(args):
        f.store(out.leaf, k, convert_value(f, a, item, f.span))
    return out


@builtin("hvcat")
def lower_hvcat(f: Frame, args: list[Val]) -> Val | None:
    """`[a b; c d]`: rows as tuples. Of numbers a matrix; of arrays, blocks."""
    rows = [items_of(row) for row in args]
    flat = [v for row in rows for v in row]
    if not any(is_array(v.type) for v in flat):
        return _matrix(f, rows)
    blocks = [call_name(f, "hcat", row) if len(row) > 1 else row[0] for row in rows]
    return call_name(f, "vcat", blocks) if len(blocks) > 1 else blocks[0]


def _matrix(f: Frame, rows: list[list[Val]]) -> Val | None:
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        counts = ", ".join(str(len(row)) for row in rows)
        raise error("E0412", f"the rows of this matrix have {counts} elements", f.span,
                    hint="`;` or a new line ends a row")  # fmt: skip
    if width == 1 and len(rows) > 1:
        return lower_vect(f, [row[0] for row in rows])
    item = common_item(f, [v.type for row in rows for v in row])
    out = new_array(f, item, [f.b.i64(len(rows)), f.b.i64(width)])
    for i, row in enumerate(rows):
        for j, v in enumerate(row):
            f.store(out.leaves[0], i + j * len(rows), convert_value(f, v, item, f.span))
    return out


# ---------------------------------------------------------------- comprehensions


@builtin("comprehension")
def lower_comprehension(f: Frame, args: list[Val]) -> Val:
    """`[e for i in a, j in b if c]` of a generator: an array of the shape of what is gone through, or with a condition
    (or where a later iterator depends on an earlier one) a vector."""
    over = args[0]
    scope = generator_scope(over.type)
    assert scope is not None and isinstance(scope.node, ast.Comprehension)
    item = args[1].type.type if len(args) > 1 and isinstance(args[1].type, TypeValue) else None
    if item is None:
        item = item_types(f, over, lambda v: v)
    if scope.node.condition is None and not _dependent(scope.node):
        made = _shaped(f, over, item)
        if made is not None:
            return made
    out = new_vector(f, item)
    key = f.unit.fresh_key(f, "comprehension")
    for_each(f, over, Plan(key, (), key, False), lambda v: append(f, out, v))
    return out


def _dependent(node: ast.Comprehension) -> bool:
    """Whether a later iterable mentions the variable of an earlier iterator."""
    bound: set[str] = set()
    for it in node.iterators:
        if bound & _names(it.iterable):
            return True
        bound |= set(target_names(it.target))
    return False


def _names(node: ast.Node) -> set[str]:
    found, work = set(), [node]
    while work:
        n = work.pop()
        if isinstance(n, ast.Name):
            found.add(n.id)
        work += children(n)
    return found


def _shaped(f: Frame, over: Val, item: LangType) -> Val | None:
    """An array with a place for each combination; None where something has no number of items in advance."""
    assert isinstance(over.type, FnType) and isinstance(over.type.key, ClosureCode)
    (scope,) = over.type.key.functions
    node = scope.node
    assert isinstance(node, ast.Comprehension)
    with inside_generator(f, over):
        f.declare_boxes(scope)
        sources = [expr(f, it.iterable) for it in node.iterators]
        if not all(indexed(s) for s in sources):
            return None
        shapes = [_shape(f, s) for s in sources]
        sizes = [n for shape in shapes for n in shape]
        out = new_array(f, item, sizes)
        g = geometry(f, out)
        scopes = []
        inner = scope
        for it in node.iterators:
            inner = inner.children[id(it)]  # type: ignore[assignment]
            scopes.append(inner)
        assigned = [v for s in scopes for v in s.assigned]

        def one(at: list[Value]) -> None:
            rest = list(at)
            for it, s, source, shape in zip(node.iterators, scopes, sources, shapes, strict=True):
                own, rest = rest[: len(shape)], rest[len(shape) :]
                f.scope = s
                f.declare_boxes(s)
                assign_target(f, it.target, _item(f, source, own), it.target.span)
            value = convert_value(f, expr(f, node.body), item, node.body.span)
            store_at(f, g, at, value)
            f.scope = scope

        nest(f, sizes, one, "F", assigned)
    return out


def _shape(f: Frame, source: Val) -> list[Value]:
    if is_array(source.type):
        return list(geometry(f, source).sizes)
    return [call_name(f, "length", [source]).leaf]


def _item(f: Frame, source: Val, at: list[Value]) -> Val:
    if is_array(source.type) and rank_of(source.type) > 1:
        return load_at(f, geometry(f, source), at)
    return item_at(f, source, at[0])




# ---------------------------------------------------------------- elements without a check


@builtin("__at")
def lower_at(f: Frame, args: list[Val]) -> Val | None:
    """`__at(v, k)`: element k of a vector, which has to be there."""
    v, k = args
    return item_at(f, v, less_one(f, k.leaf))


@builtin("__put!")
def lower_put(f: Frame, args: list[Val]) -> Val | None:
    """`__put!(v, k, x)`: x, of the element type, becomes element k of a vector, which has to be there."""
    v, k, x = args
    store_at(f, geometry(f, v), [less_one(f, k.leaf)], x)
    return v


@builtin("__same_size")
def lower_same_size(f: Frame, args: list[Val]) -> Val | None:
    """`__same_size(m, n)`: an error where two sizes differ."""
    m, n = (a.leaf for a in args)
    f.check(f.b.prim("eq", m, n), "E0412", "sizes {0} and {1} do not fit together", m, n)
    return UNIT
