"""Which calls have a native entry: the shape of a call, by the types of its arguments and of its result.

An entry takes numbers, `nothing` and dense arrays of numbers, and gives these, tuples and named tuples of them. Its
code prints nothing, keeps no record for later, and needs no memory but that of its arguments, and dense arrays that are
captured or of the top level. An array that is written and restored must not be used as it is (another thread may read
it meanwhile), so such calls take the general way, as all others do. Both ways give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsl.backend.shapes import Argument, Dense, Named, Nothing, Number, Part, Shape, Tuple
from dsl.records import replace
from dsl.runtime.arrays import dtype_of
from dsl.runtime.boundary import Direct, Through
from dsl.runtime.buffers import Flat, Lent
from dsl.runtime.native import SUPPORTED, NativeEntry, numpy_is_known
from dsl.runtime.specialised import Specialised
from dsl.runtime.values import Record
from dsl.types import (
    NOTHING,
    ArrayType,
    LangType,
    NamedTupleType,
    Prim,
    Scalar,
    TupleType,
    VectorType,
    leaves,
)

SHORT = 20e-6         # seconds: what takes longer gives the interpreter to other threads, which costs 50 ns
MEASURABLE = 200e-6   # seconds: what the general way takes by itself does not matter then
AN_OP = 0.3e-9        # seconds an op of the code takes for each element, roughly


def entry_of(
    compiled: Specialised, captured: Sequence[Any], types: Sequence[LangType], args: Sequence[Any], seconds: float
) -> NativeEntry | None:
    """The entry of a compiled function, None where it needs the general way. `args`: those of a call that has just
    taken `seconds`."""
    native = compiled.native
    if not SUPPORTED or native is None or native.provisional or compiled.options.interpreter:
        return None
    boundary = native.boundary
    values = [*captured, *compiled.further]
    if not isinstance(boundary, Direct | Through) or boundary.unit.prints or not _can_stay(values):
        return None
    shape = shape_of(compiled, boundary, len(captured), types)
    if shape is None or (_has_arrays(shape) and not numpy_is_known()):
        return None
    result = compiled.result
    if _contains_array(shape.result) and any(isinstance(x, Lent) for x in values):
        if any(isinstance(a, Dense) and a.written for a in shape.arguments):
            return None  # it might have to be called again, when an array that is captured comes out
        shape = replace(shape, lent=True)
    records = _records(result) if _names_something(result) else None
    return NativeEntry(boundary, shape, values, _limit(boundary, args, seconds), records)


def shape_of(
    compiled: Specialised, boundary: Direct | Through, captured: int, types: Sequence[LangType]
) -> Shape | None:
    written = _written(compiled, captured, types)
    result = part_of(compiled.result)
    if written is None or result is None:
        return None
    arguments = [_argument(t, w) for t, w in zip(types, written, strict=True)]
    known = [a for a in arguments if a is not None]
    if len(known) < len(arguments):
        return None
    unit = boundary.unit
    params = unit.root.params
    behind = len(compiled.globals)
    operands = -(-unit.operands // 4) * 4  # fewer stubs
    return Shape(
        params[:captured], tuple(known), params[len(params) - behind :], result, isinstance(boundary, Direct),
        unit.recursive, unit.loops, operands,
    )  # fmt: skip


def _can_stay(values: Sequence[Any]) -> bool:
    """Whether native code can keep these leaves: numbers, and memory that lies where it is for long."""
    return all(isinstance(x, float | int | Flat) for x in values)


def _written(compiled: Specialised, captured: int, types: Sequence[LangType]) -> list[bool] | None:
    """Which arguments are arrays that a call changes; None where it writes to something else, or for a while."""
    if not compiled.takes_memory:
        return [False] * len(types)
    access = compiled.access
    changed = {path[0] for path in access.changed}
    written, place = [], captured
    for t in types:
        written.append(place in changed)
        place += len(leaves(t))
    whole = all(len(path) == 1 for path in access.changed) and len(changed) == sum(written)
    return written if whole and not access.touched - access.changed else None


def _argument(t: LangType, written: bool) -> Argument | None:
    part = part_of(t)
    if isinstance(part, Dense):
        return Dense(part.dtype, part.rank, part.layout, written)
    return part if isinstance(part, Number | Nothing) else None


def part_of(t: LangType) -> Part | None:
    """A type of the language as a part of a shape; None where it cannot be one."""
    match t:
        case Prim():
            found = leaves(t)
            if t == NOTHING:
                return Nothing()
            return Number(found[0]) if t.name not in ("Symbol", "String") and isinstance(found[0], Scalar) else None
        case TupleType() | NamedTupleType():
            items = [part for item in t.items if (part := part_of(item)) is not None]
            if len(items) < len(t.items):
                return None
            return Tuple(tuple(items)) if isinstance(t, TupleType) else Named(tuple(items))
        case VectorType():
            dtype = dtype_of(t.item)
            return None if dtype is None else Dense(dtype, 1, "C")
        case ArrayType() if t.layout != "S":
            dtype = dtype_of(t.item)
            return None if dtype is None else Dense(dtype, t.rank, t.layout)
    return None


def _has_arrays(shape: Shape) -> bool:
    return any(isinstance(a, Dense) for a in shape.arguments) or _contains_array(shape.result)


def _contains_array(part: Part) -> bool:
    return any(map(_contains_array, part.items)) if isinstance(part, Tuple | Named) else isinstance(part, Dense)


def _names_something(t: LangType) -> bool:
    return isinstance(t, NamedTupleType) or (isinstance(t, TupleType) and any(map(_names_something, t.items)))


def _records(t: LangType) -> Callable[[Any], Any]:
    """What makes records of the tuples of a value that stand for some."""
    if not _names_something(t):
        return lambda value: value
    assert isinstance(t, NamedTupleType | TupleType)
    inner = [_records(item) for item in t.items]
    if isinstance(t, NamedTupleType):
        names = t.names
        return lambda value: Record(names, [make(v) for make, v in zip(inner, value, strict=True)])
    return lambda value: tuple([make(v) for make, v in zip(inner, value, strict=True)])


def _limit(boundary: Direct | Through, args: Sequence[Any], seconds: float) -> int:
    """How much work (elements of arrays, integers) takes about as long as `SHORT`."""
    limit = SHORT / (AN_OP * max(boundary.unit.size, 1))
    if seconds > MEASURABLE:
        work = 1 + sum(getattr(a, "size", abs(a) if isinstance(a, int) else 0) for a in args)
        limit = min(limit, work * SHORT / seconds)
    return int(limit)


