"""Tangents, cotangents and gradients as values of the language, and as what the IR has of them.

In the IR a dual stands leaf by leaf: a float beside each number, a *shadow* beside each memory (the same structure, a
float in the place of each number, `types.tangent`). In the language it is a value in the shape of the primal: a number
for a number, an array for an array, a named tuple for a struct, `nothing` where there is no number at all.

    dual_value  a dual of the IR as a value        absorb  a value that the user gave, added to a dual of the IR

Neither needs the primal itself but only its *shape* (`shape_of`): the sizes, offsets and strides of its arrays. Where
memory refers to memory the shape is the value, since its parts have shapes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.diagnostics import Span, error
from dsl.ir.core import Value
from dsl.lower.arrays import (
    Geometry,
    dense_strides,
    geometry,
    is_array,
    load_at,
    product,
    rank_of,
    record_at,
)
from dsl.lower.builtins.copies import item_in, load_record, with_parts
from dsl.lower.frame import Frame
from dsl.lower.nests import choose, each, is_null, over, unless
from dsl.lower.values import UNIT, Val, is_number, named_val, part_types, show_type, split_at, tuple_val
from dsl.records import dataclass, replace
from dsl.types import (
    BOOL,
    BOOLEAN,
    F32,
    FLOAT32,
    FLOAT64,
    I64,
    INT64,
    NOTHING,
    AdjointType,
    ArrayType,
    DictType,
    FnType,
    IterType,
    LangType,
    LeafType,
    Mem,
    NamedTupleType,
    Obj,
    ObjType,
    OptionalType,
    Prim,
    RefType,
    StaticDictType,
    StructType,
    TupleType,
    VariantType,
    VectorType,
    is_ref,
    leaves,
    tangent,
)  # fmt: skip

REALS = (FLOAT64, FLOAT32, INT64)

# ---------------------------------------------------------------- which leaves carry a derivative


def carried(t: LangType) -> tuple[bool, ...]:
    """For each leaf whether it carries a derivative: sizes, tags, keys and numbers of symbols do not."""
    match t:
        case Prim():
            return (t in REALS,) * len(leaves(t))
        case TupleType() | NamedTupleType() | IterType() | FnType() | StructType(mutable=False):
            return tuple(c for item in parts_of(t) for c in carried(item))
        case VectorType() | RefType():
            return (any(carried(t.item)),)
        case StructType() | StaticDictType():
            return (any(any(carried(i)) for i in t.items),)
        case ArrayType():
            return (any(carried(t.item)), *(False,) * (len(leaves(t)) - 1))
        case AdjointType():
            return carried(t.vector)
        case DictType():
            return (any(carried(t.value)), False)
        case OptionalType():
            return (False, *carried(t.item))
        case VariantType():
            return (False, *(c for a in t.alternatives for c in carried(a)))
        case ObjType():
            return (True,)
    return (False,) * len(leaves(t))


def parts_of(t: LangType) -> tuple[LangType, ...]:
    return t.items if isinstance(t, IterType) else part_types(t)


def dual_leaves(types: Sequence[LangType]) -> list[LeafType]:
    """The leaf types of the duals of values, those that are carried."""
    flat = [(leaf, c) for t in types for leaf, c in zip(leaves(t), carried(t), strict=True)]
    return [d for leaf, c in flat if c and (d := tangent(leaf)) is not None]


def carried_places(types: Sequence[LangType]) -> list[int]:
    """The numbers of the leaves, among those of these types, that carry a derivative."""
    return [k for k, c in enumerate(c for t in types for c in carried(t)) if c]


def names_of(t: LangType) -> tuple[str, ...] | None:
    """The names of the parts in a dual; None for a tuple."""
    match t:
        case NamedTupleType() | StructType():
            return t.names
        case FnType():
            return tuple(name for name, _ in t.captures)
        case RefType():
            return ("x",)
    return None


def dual_type(t: LangType, span: Span) -> LangType:
    """The type of `dual_value`: every number has a tangent, whatever has influence."""
    if not any(carried(t)) or isinstance(t, ObjType):
        return NOTHING
    match t:
        case Prim():
            return FLOAT32 if t == FLOAT32 else FLOAT64
        case VectorType():
            return VectorType(dual_type(t.item, span))
        case ArrayType():
            return ArrayType(dual_type(t.item, span), t.rank, t.layout)
        case AdjointType():
            return AdjointType(dual_type(t.vector, span))
        case OptionalType() if not any(map(is_ref, leaves(t))):
            return dual_type(t.item, span)
        case StaticDictType():
            return StaticDictType(t.keys, tuple(dual_type(i, span) for i in t.items))
        case DictType():
            return DictType(t.key, dual_type(t.value, span))
        case TupleType() | NamedTupleType() | StructType() | RefType() | FnType():
            items = tuple(dual_type(i, span) for i in ((t.item,) if isinstance(t, RefType) else parts_of(t)))
            names = names_of(t)
            return TupleType(items) if names is None else NamedTupleType(names, items)
    raise error("E0901", f"the derivative with respect to {show_type(t)} is not supported yet", span)


def language_type(leaf: LeafType) -> LangType:
    """A type of the language with this one leaf."""
    if isinstance(leaf, Mem):
        return VectorType(TupleType(tuple(map(language_type, leaf.fields))))
    if isinstance(leaf, Obj):
        return ObjType()
    return {BOOL: BOOLEAN, I64: INT64, F32: FLOAT32}.get(leaf, FLOAT64)


# ---------------------------------------------------------------- shapes


def nested(t: LangType) -> bool:
    """Whether a memory's records refer to memory (or have keys that tell them apart)."""
    return isinstance(t, DictType) or any(isinstance(x, Mem) and any(map(is_ref, x.fields)) for x in leaves(t))


def shape_type(t: LangType) -> tuple[LangType, ...]:
    """The types of a shape."""
    match t:
        case TupleType() | NamedTupleType() | FnType() | StructType(mutable=False):
            return tuple(s for item in parts_of(t) for s in shape_type(item))
        case AdjointType():
            return shape_type(t.vector)
        case _ if not any(carried(t)):
            return ()
        case _ if nested(t):
            return (t,)
        case VectorType():
            return (INT64,)
        case ArrayType():
            return (INT64,) * (len(leaves(t)) - 1)
    return ()


def shape_of(f: Frame, v: Val) -> list[Value]:
    """The leaves of a value's shape."""
    t = v.type
    match t:
        case TupleType() | NamedTupleType() | FnType() | StructType(mutable=False):
            pairs = zip(parts_of(t), split_at(v.leaves, parts_of(t)), strict=True)
            return [s for item, part in pairs for s in shape_of(f, Val(item, tuple(part)))]
        case AdjointType():
            return shape_of(f, Val(t.vector, v.leaves))
        case _ if not any(carried(t)):
            return []
        case _ if nested(t):
            return [*v.leaves]
        case VectorType():
            return [f.b.op("len", v.leaves, (I64,)).result]
        case ArrayType():
            return [*v.leaves[1:]]
    return []


def shape_leaves(types: Sequence[LangType]) -> int:
    return sum(len(leaves(s)) for t in types for s in shape_type(t))


def split_shapes(shape: Sequence[Value], types: Sequence[LangType]) -> list[Sequence[Value]]:
    """A list of leaves cut into the shapes of values of these types."""
    out, at = [], 0
    for t in types:
        n = shape_leaves([t])
        out.append(shape[at : at + n])
        at += n
    assert at == len(shape)
    return out


def _split_duals(duals: Sequence[Value], types: Sequence[LangType]) -> list[Sequence[Value]]:
    out, at = [], 0
    for t in types:
        n = sum(carried(t))
        out.append(duals[at : at + n])
        at += n
    assert at == len(duals)
    return out


def array_leaves(t: LangType, mem: Value, shape: Sequence[Value]) -> tuple[Value, ...]:
    """The leaves of an array over a memory (of another element type, maybe) in a shape."""
    if isinstance(t, AdjointType):
        return array_leaves(t.vector, mem, shape)
    if isinstance(t, VectorType):
        return (mem,)
    return (mem, *(shape[1:] if nested(t) else shape))


def shadow_geometry(f: Frame, t: LangType, mem: Value, shape: Sequence[Value]) -> Geometry:
    """Where the duals of an array's elements lie in its shadow."""
    match t:
        case VectorType():
            n = f.b.op("len", (shape[0],), (I64,)).result if nested(t) else shape[0]
            return Geometry(mem, item_in(t), None, (n,), (f.b.i64(1),), "F")
        case AdjointType():
            g = shadow_geometry(f, t.vector, mem, shape)
            return replace(g, sizes=(f.b.i64(1), *g.sizes), strides=(f.b.i64(1), *g.strides))
    return geometry(f, Val(t, array_leaves(t, mem, shape)))


# ---------------------------------------------------------------- from the IR to the language


def dual_value(f: Frame, t: LangType, shape: Sequence[Value], duals: Sequence[Value]) -> Val:
    """The value of type `dual_type(t)` for the duals of the carried leaves of a value of type t. Arrays are not
    copied, where the records of the shadow are those of the value."""
    if not any(carried(t)) or isinstance(t, ObjType):
        return UNIT
    match t:
        case Prim():
            return number_val(duals[0])
        case OptionalType() if not any(map(is_ref, leaves(t))):
            return dual_value(f, t.item, shape, duals)
        case VectorType() | ArrayType() | AdjointType():
            return _array_value(f, t, shape, duals[0])
        case DictType():
            return _dictionary(f, t, shape, duals[0])
        case RefType() | StaticDictType() | StructType(mutable=True):
            return combine(f, t, _contents(f, t, shape, duals[0]))
        case TupleType() | NamedTupleType() | StructType() | FnType():
            types = parts_of(t)
            parts = zip(types, split_shapes(shape, types), _split_duals(duals, types), strict=True)
            return combine(f, t, [dual_value(f, i, s, d) for i, s, d in parts])
    raise error("E0901", f"the derivative with respect to {show_type(t)} is not supported yet", f.span)


def number_val(d: Value) -> Val:
    return Val(FLOAT32 if d.type == F32 else FLOAT64, (d,))


def combine(f: Frame, t: LangType, parts: list[Val]) -> Val:
    """The dual of a value of several parts from theirs."""
    if isinstance(t, StaticDictType):
        made = StaticDictType(t.keys, tuple(p.type for p in parts))
        m = f.b.op("new", (f.b.i64(1),), leaves(made)).result
        values = [leaf for p in parts for leaf in p.leaves]
        f.b.op("store", (m, f.b.i64(0), *values), first=0)
        return Val(made, (m,))
    names = names_of(t)
    return tuple_val(parts) if names is None else named_val(names, parts)



def record_dual(f: Frame, t: LangType, primal: Value | None, shadow: Value, at: Value, first: int = 0) -> Val:
    """The dual of a value of type t in a record, from its field number `first` on. `primal` is the memory itself,
    where it refers to memory."""
    n = len(leaves(t))
    fields = load_record(f, shadow, at)[first : first + n]
    shape = [] if primal is None else shape_of(f, Val(t, tuple(load_record(f, primal, at)[first : first + n])))
    return dual_value(f, t, shape, [d for d, c in zip(fields, carried(t), strict=True) if c])


def _contents(f: Frame, t: LangType, shape: Sequence[Value], shadow: Value) -> list[Val]:
    parts, at = [], 0
    for item in items_behind(t):
        parts.append(record_dual(f, item, shape[0] if nested(t) else None, shadow, f.b.i64(0), at))
        at += len(leaves(item))
    return parts


def items_behind(t: LangType) -> tuple[LangType, ...]:
    """The types of the values in the record of a Ref, a mutable struct or a Dict of known keys."""
    return (t.item,) if isinstance(t, RefType) else t.items  # type: ignore[union-attr]



def with_item(t: LangType, item: LangType) -> LangType:
    """The same array type with another element type."""
    match t:
        case AdjointType():
            return AdjointType(with_item(t.vector, item))
        case ArrayType():
            return ArrayType(item, t.rank, t.layout)
    return VectorType(item)


def _array_value(f: Frame, t: LangType, shape: Sequence[Value], shadow: Value) -> Val:
    item = item_in(t)
    to = dual_type(item, f.span)
    made = with_item(t, to)
    assert isinstance(shadow.type, Mem)
    if leaves(to) != shadow.type.fields:
        primal = shape[0] if nested(t) else None
        n = f.b.op("len", (shadow,), (I64,)).result
        copy = f.b.op("new", (n,), (Mem(leaves(to)),)).result
        each(f, n, lambda k: f.store(copy, k, record_dual(f, item, primal, shadow, k)))
        shadow = copy
    return Val(made, array_leaves(t, shadow, shape))


def _dictionary(f: Frame, t: DictType, shape: Sequence[Value], shadow: Value) -> Val:
    """A Dict of the same keys: its entries are the keys with what the shadow has for the values."""
    made = DictType(t.key, dual_type(t.value, f.span))
    b, keys = f.b, leaves(t.key)
    entries = b.op("new", (b.i64(0),), leaves(made)[:1]).result

    def one(k: Value) -> None:
        key = load_record(f, shape[0], k)[: len(keys)]
        value = record_dual(f, t.value, shape[0], shadow, k, len(keys))
        f.b.op("push", (entries, *key, *value.leaves))

    each(f, b.op("len", (shape[0],), (I64,)).result, one)
    return Val(made, (entries, shape[1]))


def settled(f: Frame, t: LangType, shape: Sequence[Value], shadow: Value) -> tuple[LangType, Sequence[Value], Value]:
    """A shadow that may be null (zero), or longer than its memory was (a vector that has grown since), as one that is
    neither. A strided array becomes a contiguous one."""
    def new(n: Value) -> Value:
        return f.b.op("new", (n,), (shadow.type,)).result

    def unless_null(make: Callable[[], Value]) -> Value:
        return choose(f, is_null(f, shadow), shadow.type, make, lambda: shadow)

    if nested(t):
        return t, shape, unless_null(lambda: f.b.op("shadow", (shape[0],), (shadow.type,)).result)
    if not is_array(t):
        return t, shape, unless_null(lambda: new(f.b.i64(1)))
    if isinstance(t, AdjointType):
        vector, shape, shadow = settled(f, t.vector, shape, shadow)
        return AdjointType(vector), shape, shadow
    g = shadow_geometry(f, t, shadow, shape)
    if g.dense:
        return t, shape, _as_long(f, shadow, product(f, g.sizes))
    out = new(product(f, g.sizes))
    to = Geometry(out, g.item, None, g.sizes, dense_strides(f, g.sizes, "F"), "F")

    def gather() -> None:
        over(f, g.sizes, lambda at: _move(f, shadow, record_at(f, g, at), out, record_at(f, to, at)))

    unless(f, is_null(f, shadow), gather)
    dense = VectorType(g.item) if g.rank == 1 else ArrayType(g.item, g.rank, "F")
    return dense, list(g.sizes), out


def _as_long(f: Frame, shadow: Value, n: Value) -> Value:
    """A shadow with n records: itself, its first ones, or zeros for null."""

    def cut() -> Value:
        out = f.b.op("new", (n,), (shadow.type,)).result
        each(f, n, lambda k: _move(f, shadow, k, out, k))
        return out

    def present() -> Value:
        fits = f.b.prim("eq", f.b.op("len", (shadow,), (I64,)).result, n)
        return choose(f, fits, shadow.type, lambda: shadow, cut)

    return choose(f, is_null(f, shadow), shadow.type, lambda: f.b.op("new", (n,), (shadow.type,)).result, present)


def _move(f: Frame, source: Value, i: Value, target: Value, k: Value) -> None:
    f.b.op("store", (target, k, *load_record(f, source, i)), first=0)


def settle_all(
    f: Frame, t: LangType, shape: Sequence[Value], duals: Sequence[Value]
) -> tuple[LangType, list[Value], list[Value]]:
    """The same for the duals of any value: its type, shape and duals with every shadow settled."""
    match t:
        case TupleType() | NamedTupleType() | StructType(mutable=False) | FnType():
            types = parts_of(t)
            parts = zip(types, split_shapes(shape, types), _split_duals(duals, types), strict=True)
            made = [settle_all(f, i, s, d) for i, s, d in parts]
            return (
                with_parts(t, [m[0] for m in made]), [x for m in made for x in m[1]], [x for m in made for x in m[2]]
            )  # fmt: skip
        case _ if any(carried(t)) and is_ref(leaves(t)[0]) and not isinstance(t, ObjType):
            to, sizes, shadow = settled(f, t, shape, duals[0])
            return to, list(sizes), [shadow]
    return t, list(shape), list(duals)



# ---------------------------------------------------------------- from the language to the IR


@dataclass(frozen=True)
class Given:
    """What is told of a dual that the user gave and that does not fit: what it is, the codes of the errors for its
    type and for its sizes."""

    what: str
    span: Span
    type_code: str = "E0301"
    size_code: str = "E0409"

    def misfit(self, given: LangType, t: LangType) -> Exception:
        return error(self.type_code, f"{self.what} is {show_type(given)}, which does not fit {show_type(t)}", self.span,
                     hint="a number for a number, a tuple for a tuple, an array of floats for an array, `nothing` for "
                     "zero")  # fmt: skip


def absorb(
    f: Frame, t: LangType, shape: Sequence[Value], duals: Sequence[Value | None], given: Val, about: Given
) -> list[Value]:
    """Take a dual of a value of type t that the user gave. What it has for memory is added to the shadows in `duals`
    (by carried leaf; None for numbers; a shadow may be null: nothing happens). The result has the duals of all carried
    leaves: the numbers, and these shadows."""
    if given.type == NOTHING or not any(carried(t)):
        pairs = zip(dual_leaves([t]), duals, strict=True)
        return [f.b.zero(leaf) if d is None else d for leaf, d in pairs]
    match t:
        case Prim() if t in REALS and is_number(given.type):
            return [f.number(given, FLOAT32 if t == FLOAT32 else FLOAT64).leaf]
        case TupleType() | NamedTupleType() | StructType(mutable=False) | FnType():
            return _absorb_parts(f, t, shape, duals, given, about)
        case RefType() | StaticDictType() | StructType():
            shadow = _shadow(duals)
            unless(f, is_null(f, shadow), lambda: _absorb_contents(f, t, shape, shadow, given, about))
            return [shadow]
        case VectorType() | ArrayType() | AdjointType() if is_array(given.type):
            shadow = _shadow(duals)
            if rank_of(given.type) == rank_of(t):
                unless(f, is_null(f, shadow), lambda: _absorb_array(f, t, shape, shadow, given, about))
                return [shadow]
    raise about.misfit(given.type, t)


def _shadow(duals: Sequence[Value | None]) -> Value:
    (shadow,) = duals
    assert shadow is not None
    return shadow


def _parts_given(t: LangType, given: Val, about: Given) -> list[Val]:
    """The parts of what was given for a value of several parts: by name where both have names, else in order."""
    if not isinstance(given.type, TupleType | NamedTupleType | StructType):
        raise about.misfit(given.type, t)
    types = parts_of(given.type)
    parts = [Val(i, tuple(p)) for i, p in zip(types, split_at(given.leaves, types), strict=True)]
    have, want = names_of(given.type), names_of(t)
    n = len(items_behind(t)) if isinstance(t, RefType) else len(parts_of(t))
    if isinstance(given.type, NamedTupleType) and have is not None and want is not None and set(have) <= set(want):
        return [parts[have.index(name)] if name in have else UNIT for name in want]
    if len(parts) != n:
        raise about.misfit(given.type, t)
    return parts


def _absorb_parts(
    f: Frame, t: LangType, shape: Sequence[Value], duals: Sequence[Value | None], given: Val, about: Given
) -> list[Value]:
    types = parts_of(t)
    out, at = [], 0
    for item, s, part in zip(types, split_shapes(shape, types), _parts_given(t, given, about), strict=True):
        n = sum(carried(item))
        out += absorb(f, item, s, duals[at : at + n], part, about)
        at += n
    return out


def _absorb_contents(f: Frame, t: LangType, shape: Sequence[Value], shadow: Value, given: Val, about: Given) -> None:
    if isinstance(t, StaticDictType):
        if not (isinstance(given.type, StaticDictType) and set(given.type.keys) <= set(t.keys)):
            raise about.misfit(given.type, t)
        inner = load_record(f, given.leaf, f.b.i64(0))
        have = [Val(i, tuple(p)) for i, p in zip(given.type.items, split_at(inner, given.type.items), strict=True)]
        parts = [have[given.type.keys.index(k)] if k in given.type.keys else UNIT for k in t.keys]
    else:
        parts = _parts_given(t, given, about)
    at = 0
    for item, part in zip(items_behind(t), parts, strict=True):
        absorb_record(f, item, shape[0] if nested(t) else None, shadow, f.b.i64(0), part, about, at)
        at += len(leaves(item))


def absorb_record(
    f: Frame, t: LangType, primal: Value | None, shadow: Value, at: Value, given: Val, about: Given, first: int = 0
) -> None:
    """Add what was given for a value of type t in a record, from its field number `first` on."""
    n, flags = len(leaves(t)), carried(t)
    shape = [] if primal is None else shape_of(f, Val(t, tuple(load_record(f, primal, at)[first : first + n])))
    refs = list(map(is_ref, leaves(t)))
    record = load_record(f, shadow, at)[first : first + n] if any(refs) else [None] * n
    duals = [d if ref else None for d, ref, c in zip(record, refs, flags, strict=True) if c]
    made = absorb(f, t, shape, duals, given, about)
    places = [k for k, c in enumerate(flags) if c]
    for k, d in zip(places, made, strict=True):
        if not is_ref(d.type):
            f.b.op("acc", (shadow, at, d), first=first + k)


def _absorb_array(f: Frame, t: LangType, shape: Sequence[Value], shadow: Value, given: Val, about: Given) -> None:
    to, source = shadow_geometry(f, t, shadow, shape), geometry(f, given)
    check_sizes(f, source.sizes, to.sizes, about)
    item = item_in(t)
    primal = shape[0] if nested(t) else None

    def one(at: list[Value]) -> None:
        absorb_record(f, item, primal, shadow, record_at(f, to, at), load_at(f, source, at), about)

    over(f, to.sizes, one)


def check_sizes(f: Frame, got: Sequence[Value], want: Sequence[Value], about: Given) -> None:
    n = len(want)
    same = f.b.bool(True)
    for x, y in zip(got, want, strict=True):
        same = f.b.prim("and", same, f.b.prim("eq", x, y))
    if n == 1:
        text = f"{about.what} has length {{0}} for a vector of length {{1}}"
    else:
        shown = ["×".join(f"{{{k}}}" for k in range(first, first + n)) for first in (0, n)]
        text = f"{about.what} has size {shown[0]} for an array of size {shown[1]}"
    f.check(same, about.size_code, text, *got, *want)
