"""Comparison: order of numbers, equality of anything, identity, `in`, `≈`."""

from __future__ import annotations

from collections.abc import Sequence

from dsl.diagnostics import error
from dsl.ir.core import Value
from dsl.lower.arrays import is_array, item_of, rank_of, sizes_of
from dsl.lower.builtins.numbers import common, type_of
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name
from dsl.lower.control import branch, run_loop
from dsl.lower.declarations import StructDecl
from dsl.lower.frame import Frame, Loop, Slot
from dsl.lower.joins import adapt
from dsl.lower.loops import Plan, for_each
from dsl.lower.values import FLOATS, UNIT, Val, is_number, items_of, split, text_of, type_val
from dsl.types import (
    BOOLEAN,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    FnType,
    IterType,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    StringLit,
    StructType,
    SymbolLit,
    TupleType,
    TypeValue,
    VariantType,
    is_ref,
    leaves,
)  # fmt: skip


def answer(f: Frame, value: bool) -> Val:
    """A Bool known from types alone."""
    return Val(BOOLEAN, (f.b.bool(value),), value)


def _order(symbol: str, name: str) -> None:
    @builtin(symbol)
    def lower(f: Frame, args: list[Val]) -> Val | None:
        if len(args) != 2:
            return None
        both = common(f, args)
        if both is not None:
            return Val(BOOLEAN, (f.b.prim(name, *(v.leaf for v in both[0])),))
        if all(isinstance(a.type, TupleType) for a in args) and name == "lt":
            return _tuple_less(f, items_of(args[0]), items_of(args[1]))
        return None


for _symbol, _name in (("<", "lt"), ("<=", "le"), (">", "gt"), (">=", "ge")):
    _order(_symbol, _name)


@builtin("isless", forms=("isless(a, b)",))
def lower_isless(f: Frame, args: list[Val]) -> Val | None:
    """`<`, but -0.0 comes before 0.0, and NaN after all other numbers."""
    if len(args) != 2:
        return None
    less = call_name(f, "<", args)
    numbers = common(f, args) if all(is_number(a.type) for a in args) else None
    if numbers is None or numbers[1] not in FLOATS:
        return less
    b, (x, y) = f.b, (v.leaf for v in numbers[0])
    last = b.prim("and", b.prim("ne", y, y), b.prim("eq", x, x))
    signs = [call_name(f, "signbit", [v]).leaf for v in numbers[0]]
    zeros = b.prim("and", b.prim("eq", x, y), b.prim("and", signs[0], b.prim("not", signs[1])))
    return Val(BOOLEAN, (b.prim("or", less.leaf, b.prim("or", last, zeros)),))


def _tuple_less(f: Frame, xs: list[Val], ys: list[Val]) -> Val:
    """Lexicographic order."""
    if not xs or not ys:
        return answer(f, len(xs) < len(ys))
    less = call_name(f, "<", [xs[0], ys[0]])
    equal = call_name(f, "==", [xs[0], ys[0]])
    rest = branch(f, equal.leaf, lambda: _tuple_less(f, xs[1:], ys[1:]), lambda: Val(BOOLEAN, (f.b.bool(False),)), True)
    return Val(BOOLEAN, (f.b.prim("or", less.leaf, rest.leaf),))


# ---------------------------------------------------------------- equality


@builtin("==")
def lower_equal(f: Frame, args: list[Val]) -> Val | None:
    return equal(f, args[0], args[1], same=False) if len(args) == 2 else None


@builtin("isequal", forms=("isequal(a, b)",))
def lower_isequal(f: Frame, args: list[Val]) -> Val | None:
    """`==`, but NaN is equal to itself and 0.0 is not -0.0."""
    if len(args) != 2:
        return None
    a, b = args
    if isinstance(a.type, TupleType | NamedTupleType) and _same_shape(a.type, b.type):
        return _all(f, [call_name(f, "isequal", [x, y]) for x, y in zip(items_of(a), items_of(b), strict=True)])
    equal_values = call_name(f, "==", args)
    if not all(t in FLOATS for t in (a.type, b.type)):
        return equal_values
    numbers = common(f, args)
    assert numbers is not None
    nan, sign = ([call_name(f, name, [v]).leaf for v in numbers[0]] for name in ("isnan", "signbit"))
    same_sign = f.b.prim("eq", *sign)
    return Val(BOOLEAN, (f.b.prim("or", f.b.prim("and", equal_values.leaf, same_sign), f.b.prim("and", *nan)),))


@builtin("===")
def lower_identical(f: Frame, args: list[Val]) -> Val | None:
    return equal(f, args[0], args[1], same=True) if len(args) == 2 else None


@builtin("!=", "≠")
def lower_different(f: Frame, args: list[Val]) -> Val | None:
    return call_name(f, "!", [call_name(f, "==", args)]) if len(args) == 2 else None


def equal(f: Frame, a: Val, b: Val, same: bool) -> Val | None:
    """`a == b`, or with `same` `a === b`, which also asks for the same type of number and the same memory."""
    if is_number(a.type) and is_number(b.type):
        return _equal_numbers(f, a, b, same)
    if any(isinstance(v.type, IterType) and v.type.kind == "text" for v in (a, b)):
        raise error("E0901", "comparing text that is made at run time is not supported yet", f.span,
                    hint="compare the values that are in it")  # fmt: skip
    if isinstance(a.type, OptionalType) or isinstance(b.type, OptionalType):
        return _equal_optional(f, a, b, same)
    for kinds, plain in (((SymbolLit,), SYMBOL), ((StringLit,), STRING)):
        if all(isinstance(v.type, kinds) or v.type == plain for v in (a, b)):
            if a.type != plain and b.type != plain:
                return answer(f, text_of(a.type) == text_of(b.type))
            x, y = adapt(f, a, plain), adapt(f, b, plain)
            return Val(BOOLEAN, (f.b.prim("eq", x.leaf, y.leaf),))
    if isinstance(a.type, TypeValue) or isinstance(b.type, TypeValue):
        return answer(f, _type_meant(a) == _type_meant(b))
    if isinstance(a.type, RangeType) and isinstance(b.type, RangeType):
        return _all(f, [call_name(f, "==", [x, y]) for x, y in zip(_range_parts(a), _range_parts(b), strict=True)])
    if is_array(a.type) and is_array(b.type) and not same:
        return _equal_arrays(f, a, b)
    if isinstance(a.type, VariantType) or isinstance(b.type, VariantType):
        return _equal_variants(f, a, b)
    if _has_parts(a.type) and _same_shape(a.type, b.type):
        name = "===" if same else "=="
        return _all(f, [call_name(f, name, [x, y]) for x, y in zip(items_of(a), items_of(b), strict=True)])
    if a.type == b.type and leaves(a.type) and all(is_ref(t) for t in leaves(a.type)):
        return _all(f, [Val(BOOLEAN, (f.b.op("same", (x, y), leaves(BOOLEAN)).result,))
                        for x, y in zip(a.leaves, b.leaves, strict=True)])  # fmt: skip
    return answer(f, a.type == b.type and not a.leaves)


def _equal_numbers(f: Frame, a: Val, b: Val, same: bool) -> Val | None:
    if same and a.type != b.type:
        return answer(f, False)
    if a.type == BOOLEAN and b.type == BOOLEAN:
        return Val(BOOLEAN, (f.b.prim("eq", a.leaf, b.leaf),))
    both = common(f, [a, b])
    assert both is not None
    (x, y), _ = both
    return Val(BOOLEAN, (f.b.prim("eq", x.leaf, y.leaf),))


def _equal_optional(f: Frame, a: Val, b: Val, same: bool) -> Val:
    if not isinstance(a.type, OptionalType):
        a, b = b, a
    assert isinstance(a.type, OptionalType)
    there, item = a.leaves[0], Val(a.type.item, a.leaves[1:])
    if b.type == NOTHING:
        return Val(BOOLEAN, (f.b.prim("not", there),))
    name = "===" if same else "=="
    if isinstance(b.type, OptionalType):
        other, inner = b.leaves[0], Val(b.type.item, b.leaves[1:])
        both = f.b.prim("and", there, other)
        neither = f.b.prim("not", f.b.prim("or", there, other))
        found = branch(f, both, lambda: call_name(f, name, [item, inner]), lambda: Val(BOOLEAN, (neither,)), True)
        return Val(BOOLEAN, found.leaves)
    found = branch(f, there, lambda: call_name(f, name, [item, b]), lambda: Val(BOOLEAN, (f.b.bool(False),)), True)
    return Val(BOOLEAN, found.leaves)


def _type_meant(v: Val) -> object:
    if isinstance(v.type, TypeValue):
        return v.type.type
    if isinstance(v.type, FnType) and isinstance(v.type.key, StructDecl):
        return v.type.key.plain()
    return None


def _range_parts(r: Val) -> list[Val]:
    assert isinstance(r.type, RangeType)
    return list(split(r.leaves, (r.type.item, r.type.item, INT64)))


def _has_parts(t: LangType) -> bool:
    return isinstance(t, TupleType | NamedTupleType | FnType) or (isinstance(t, StructType) and not t.mutable)


def _same_shape(a: LangType, b: LangType) -> bool:
    match a, b:
        case TupleType(), TupleType():
            return len(a.items) == len(b.items)
        case NamedTupleType(), NamedTupleType():
            return a.names == b.names
        case StructType(), StructType():
            return a.key is b.key
        case FnType(), FnType():
            return a.key == b.key
    return False


def _equal_variants(f: Frame, a: Val, b: Val) -> Val:
    """Function values: the same alternative."""
    if not isinstance(a.type, VariantType):
        a, b = b, a
    assert isinstance(a.type, VariantType)
    if isinstance(b.type, VariantType):
        tags = [[f.b.prim("eq", v.leaves[0], f.b.i64(k)) for k, _ in enumerate(v.type.alternatives)] for v in (a, b)]  # type: ignore[union-attr]
        pairs = [
            f.b.prim("and", tags[0][j], tags[1][k])
            for j, s in enumerate(a.type.alternatives) for k, t in enumerate(b.type.alternatives) if s == t
        ]  # fmt: skip
        result = f.b.bool(False)
        for p in pairs:
            result = f.b.prim("or", result, p)
        return Val(BOOLEAN, (result,))
    for k, t in enumerate(a.type.alternatives):
        if t == b.type:
            return Val(BOOLEAN, (f.b.prim("eq", a.leaves[0], f.b.i64(k)),))
    return answer(f, False)


def _all(f: Frame, parts: Sequence[Val | None]) -> Val:
    known = [p for p in parts if p is not None]
    if any(p.known is False for p in known):
        return answer(f, False)
    open_parts = [p for p in known if p.known is None]
    if not open_parts:
        return answer(f, True)
    result = open_parts[0].leaf
    for p in open_parts[1:]:
        result = f.b.prim("and", result, p.leaf)
    return Val(BOOLEAN, (result,))


def _equal_arrays(f: Frame, a: Val, b: Val) -> Val:
    """Equal sizes, and equal element by element."""
    if rank_of(a.type) != rank_of(b.type):
        return answer(f, False)
    alike = f.b.bool(True)
    for n, m in zip(sizes_of(f, a), sizes_of(f, b), strict=True):
        alike = f.b.prim("and", alike, f.b.prim("eq", n, m))

    def items() -> Val:
        over = Val(IterType("zip", (a.type, b.type)), (*a.leaves, *b.leaves))
        return search(f, over, lambda pair: call_name(f, "!=", items_of(pair)), found=False)

    return branch(f, alike, items, lambda: Val(BOOLEAN, (f.b.bool(False),)), True)


def search(f: Frame, over: Val, test: object, found: bool) -> Val:
    """`found` as soon as an item passes a test, else its opposite. Items after that are not looked at."""
    key = f.unit.fresh_key(f, "search")
    result = f.temporary(key, "found")
    f.env[result] = Slot(Val(BOOLEAN, (f.b.bool(not found),)))

    def body(block: Loop, _: Sequence[Value]) -> None:
        def item(v: Val) -> None:
            hit = test(v)  # type: ignore[operator]

            def stop() -> Val:
                f.env[result] = Slot(Val(BOOLEAN, (f.b.bool(found),)))
                f.break_from(block)

            if hit.known is not False:
                branch(f, hit.leaf, stop, lambda: UNIT, False)

        for_each(f, over, Plan((key, "items"), [result], key, True), item)

    run_loop(f, key, [result], body, statement=key, once=True)
    return f.env.pop(result).val


@builtin("in", "∈")
def lower_in(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2:
        return None
    item, over = args
    if isinstance(over.type, RangeType) and over.type.item == INT64 and item.type == INT64:
        start, step, n = over.leaves
        k = f.b.prim("sub", item.leaf, start)
        nonzero = f.b.prim("select", f.b.prim("eq", step, f.b.i64(0)), f.b.i64(1), step)
        hit = f.b.prim("eq", f.b.prim("imod", k, nonzero), f.b.i64(0))
        at = f.b.prim("ifld", k, nonzero)
        low, high = f.b.prim("ge", at, f.b.i64(0)), f.b.prim("lt", at, n)
        return Val(BOOLEAN, (f.b.prim("and", hit, f.b.prim("and", low, high)),))
    return search(f, over, lambda v: call_name(f, "==", [v, item]), found=True)


builtin("∋")(lambda f, args: call_name(f, "in", args[::-1]) if len(args) == 2 else None)


@builtin("isapprox", "≈", keywords=("atol", "rtol"))
def lower_isapprox(f: Frame, args: list[Val], atol: Val | None = None, rtol: Val | None = None) -> Val | None:
    """`|x - y| <= max(atol, rtol * max(|x|, |y|))`, or equal."""
    if len(args) != 2:
        return None
    if isinstance(args[0].type, TupleType) and _same_shape(args[0].type, args[1].type):
        return _all(f, [call_name(f, "≈", [x, y]) for x, y in zip(items_of(args[0]), items_of(args[1]), strict=True)])
    both = common(f, args, floating=True)
    if both is None:
        return None
    (x, y), _ = both
    zero = Val(FLOAT64, (f.b.f64(0.0),))
    relative = rtol or (zero if atol is not None else Val(FLOAT64, (f.b.f64(1.4901161193847656e-8),)))
    scale = call_name(f, "max", [call_name(f, "abs", [x]), call_name(f, "abs", [y])])
    bound = call_name(f, "max", [atol or zero, call_name(f, "*", [relative, scale])])
    distance = call_name(f, "abs", [call_name(f, "-", [x, y])])
    finite = call_name(f, "isfinite", [distance])
    near = f.b.prim("and", finite.leaf, call_name(f, "<=", [distance, bound]).leaf)
    return Val(BOOLEAN, (f.b.prim("or", near, f.b.prim("eq", x.leaf, y.leaf)),))


@builtin("isnothing")
def lower_isnothing(f: Frame, args: list[Val]) -> Val | None:
    return equal(f, args[0], UNIT, same=True) if len(args) == 1 else None


@builtin("typeof")
def lower_typeof(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1:
        return None
    t = args[0].type
    plain = {SymbolLit: SYMBOL, StringLit: STRING}.get(type(t), t)
    return type_val(plain)


@builtin("eltype")
def lower_eltype(f: Frame, args: list[Val]) -> Val | None:
    t = type_of(args[0])
    if is_array(t):
        return type_val(item_of(f, t))
    if isinstance(t, RangeType):
        return type_val(t.item)
    if isinstance(t, TupleType) and len(set(t.items)) == 1:
        return type_val(t.items[0])
    return type_val(t) if is_number(t) else None
