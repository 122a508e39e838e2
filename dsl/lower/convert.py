"""Conversion to a declared type: of fields, stores, results and `convert`, as Julia's `convert` does it.

Only what loses nothing converts by itself: integers to floats, floats to integers where they are whole (an
`InexactError` at run time where not), Bool to numbers, items of tuples.
"""

from __future__ import annotations

from dsl.diagnostics import Span, error
from dsl.ir.core import Value
from dsl.lower.frame import Frame
from dsl.lower.joins import adapt, join
from dsl.lower.values import FLOATS, Val, flatten, is_real, items_of, show_type
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    LangType,
    OptionalType,
    TupleType,
)  # fmt: skip


def convert_value(f: Frame, v: Val, to: LangType, span: Span) -> Val:
    converted = try_convert(f, v, to)
    if converted is None:
        raise error("E0206", f"a {show_type(v.type)} cannot be converted to {show_type(to)}", span)
    return converted


def try_convert(f: Frame, v: Val, to: LangType) -> Val | None:
    if v.type == to:
        return v
    if to in (FLOAT64, FLOAT32) and (is_real(v.type) or v.type == BOOLEAN):
        return as_float(f, v, to)
    if to == INT64 and (is_real(v.type) or v.type == BOOLEAN):
        return as_int(f, v)
    if to == BOOLEAN and v.type == INT64:
        zero, one = f.b.i64(0), f.b.i64(1)
        is_one = f.b.prim("eq", v.leaf, one)
        f.check(f.b.prim("or", is_one, f.b.prim("eq", v.leaf, zero)), "E0408", "{0} is no Bool", v.leaf)
        return Val(BOOLEAN, (is_one,))
    if isinstance(to, OptionalType) and not isinstance(v.type, OptionalType):
        inner = v if join(v.type, to, f.sites) == to else try_convert(f, v, to.item)
        return None if inner is None else adapt(f, inner, to)
    if isinstance(to, TupleType) and isinstance(v.type, TupleType) and len(to.items) == len(v.type.items):
        items = [try_convert(f, x, t) for x, t in zip(items_of(v), to.items, strict=True)]
        return None if None in items else Val(to, flatten(x for x in items if x is not None))
    return adapt(f, v, to) if join(v.type, to, f.sites) == to else None


def as_float(f: Frame, v: Val, to: LangType = FLOAT64) -> Val:
    if v.type == BOOLEAN:
        v = Val(FLOAT64, (f.b.prim("booltof64", v.leaf),))
    if v.type == FLOAT64 and to == FLOAT32:
        return Val(FLOAT32, (f.b.prim("tof32", v.leaf),))
    return f.number(v, to)


def as_int(f: Frame, v: Val, what: str = "Int64") -> Val:
    """An integer; a float must be whole and in range."""
    if v.type == INT64:
        return v
    if v.type == BOOLEAN:
        return Val(INT64, (f.b.prim("booltoi64", v.leaf),))
    if v.type not in FLOATS:
        v = f.number(v, FLOAT64)
    x = v.leaf
    whole = f.b.prim("eq", f.b.prim("trunc", x), x)
    f.check(f.b.prim("and", whole, in_range(f, x)), "E0408", f"{what}({{0}}) is not exact", x,
            hint="use round(Int, x), floor(Int, x) or trunc(Int, x)")  # fmt: skip
    return Val(INT64, (f.b.prim("toi64", x),))


def in_range(f: Frame, x: Value) -> Value:
    """Whether a float fits an Int64."""
    t = x.type
    low = f.b.prim("ge", x, f.b.const(-(2.0**63), t))
    high = f.b.prim("lt", x, f.b.const(2.0**63, t))
    return f.b.prim("and", low, high)

