"""Dictionaries. A Dict written with known keys is one record; one with computed keys is a hash table.

A record becomes a hash table when a key that it does not have is put into it (its site says so, and the entry is
lowered again). A hash table has its entries in the order of insertion, and beside them open addressing over entry
numbers. Its keys are integers, symbols, strings, Bools, and tuples of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from dsl.diagnostics import error
from dsl.ir.core import Function, Region, Value
from dsl.lower.builtins.records import select
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import call_name, call_value
from dsl.lower.control import branch
from dsl.lower.convert import convert_value, try_convert
from dsl.lower.frame import Frame
from dsl.lower.joins import adapt, join
from dsl.lower.loops import Plan, for_each, static_items, static_key
from dsl.lower.patterns import widen_literal
from dsl.lower.values import UNIT, Val, flatten, items_of, show_type
from dsl.ops import Builder
from dsl.types import (
    BOOL,
    BOOLEAN,
    BOTTOM,
    I64,
    INT64,
    STRING,
    SYMBOL,
    DictType,
    FnType,
    LangType,
    LeafType,
    Mem,
    NamedTupleType,
    StaticDictType,
    StringLit,
    SymbolLit,
    TupleType,
    leaves,
)  # fmt: skip

Key = str | int | StringLit
PAIR = ("first", "second")
HASH_FACTOR = 0x9E3779B97F4A7C15 - (1 << 64)  # 2^64 / golden ratio, as a signed number
FIRST_CAPACITY = 8


def is_dict(t: LangType) -> bool:
    return isinstance(t, StaticDictType | DictType)


# ---------------------------------------------------------------- making one


def dict_of(f: Frame, args: Sequence[Val], declared: DictType | None) -> Val:
    """`Dict(pairs…)`, `Dict{K, V}(pairs…)`, also of a generator or vector of pairs."""
    if len(args) == 1 and not _is_pair(args[0].type):
        made = new_dict(f, declared or _table_type(f, _site(f)))
        key = f.unit.fresh_key(f, "dict")
        for_each(f, args[0], Plan(key, (), key, False), lambda kv: set_item(f, made, *items_of(kv)))
        return made
    if not all(_is_pair(a.type) for a in args):
        raise error("E0301", "a Dict is made of pairs `key => value`", f.span)
    pairs = [tuple(items_of(a)) for a in args]
    keys = [known_key(k) for k, _ in pairs]
    if declared is None and args and None not in keys and len(set(keys)) == len(keys):
        site = _site(f)
        if not f.sites.is_dynamic(site):
            return _static(f, [k for k in keys if k is not None], [v for _, v in pairs], site)
    made = new_dict(f, declared or _table_type(f, _site(f)))
    for k, v in pairs:
        set_item(f, made, k, v)
    return made


def _is_pair(t: LangType) -> bool:
    return (isinstance(t, NamedTupleType) and t.names == PAIR) or (isinstance(t, TupleType) and len(t.items) == 2)


def _site(f: Frame) -> int:
    return f.site(("dict", f.span.source, f.span.start, f.span.end))


def _table_type(f: Frame, dict_site: int) -> DictType:
    """The hash table that a Dict of a site is; its key and value types have a site of their own."""
    site = f.sites.at(("table", f.sites.find(dict_site)))
    key, value = f.contents(site, 2)
    return DictType(key, value, site)


def known_key(v: Val) -> Key | None:
    """A key known while compiling."""
    match v.type:
        case SymbolLit():
            return v.type.name
        case StringLit():
            return v.type
    return v.known if v.type == INT64 and type(v.known) is int else None


def _static(f: Frame, keys: list[Key], values: list[Val], site: int) -> Val:
    have = f.contents(site, len(keys))
    merged = tuple(join(h, v.type, f.sites) or v.type for h, v in zip(have, values, strict=True))
    f.sites.set(site, TupleType(merged))
    t = StaticDictType(tuple(keys), merged, f.sites.find(site))
    mem = f.b.op("new", (f.b.i64(1),), leaves(t)).result
    f.store(mem, 0, Val(TupleType(merged), flatten(adapt(f, v, i) for v, i in zip(values, merged, strict=True))))
    return Val(t, (mem,))


def as_hash_table(f: Frame, d: Val) -> Val:
    """A Dict with known keys as one that takes others."""
    assert isinstance(d.type, StaticDictType)
    made = new_dict(f, _table_type(f, d.type.site))
    for k, v in static_items(f, d):
        set_item(f, made, k, v)
    return made


def new_dict(f: Frame, t: DictType) -> Val:
    entries, table = leaves(t)
    return Val(t, (f.b.op("new", (f.b.i64(0),), (entries,)).result, f.b.op("new", (f.b.i64(0),), (table,)).result))


# ---------------------------------------------------------------- reading and writing


def get_item(f: Frame, d: Val, key: Val) -> Val:
    return look_up(f, d, key, lambda: _missing(f, key))


def _missing(f: Frame, key: Val) -> NoReturn:
    text, operands = f.unit.session.template(f, key, quoted=True)
    f.fail("E0403", f"there is no key {text}", *operands)


def look_up(f: Frame, d: Val, key: Val, absent: Callable[[], Val]) -> Val:
    """The value of a key, or what `absent` gives."""
    if isinstance(d.type, StaticDictType):
        return _look_up_static(f, d, key, absent)
    assert isinstance(d.type, DictType)
    key_type, value_type = f.current(d.type)
    fitting = None if value_type == BOTTOM else try_convert(f, key, key_type)
    if fitting is None:
        return absent()
    at = find(f, d, fitting)
    there = f.b.prim("ge", at, f.b.i64(0))
    first = len(leaves(key_type))
    return branch(f, there, lambda: f.load(d.leaves[0], at, value_type, first), absent, True)


def _look_up_static(f: Frame, d: Val, key: Val, absent: Callable[[], Val]) -> Val:
    assert isinstance(d.type, StaticDictType)
    known = known_key(key)
    if known is not None:
        if known not in d.type.keys:
            return absent()
        return _field(f, d, d.type.keys.index(known))
    found = [(k, v) for k, v in static_items(f, d) if widen_literal(k.type) == key.type]
    if not found:
        return absent()
    t: LangType | None = found[0][1].type
    for _, v in found[1:]:
        t = None if t is None else join(t, v.type, f.sites)
    if t is None:
        raise error("E0202", "the values of this Dict have different types: its keys must be known here", f.span)
    hits = [_equals(f, key, k) for k, _ in found]
    any_hit = hits[0]
    for hit in hits[1:]:
        any_hit = f.b.prim("or", any_hit, hit)

    def chosen() -> Val:
        value = adapt(f, found[-1][1], t)
        for hit, (_, v) in zip(hits[-2::-1], found[-2::-1], strict=True):
            value = select(f, hit, adapt(f, v, t), value)
        return value

    return branch(f, any_hit, chosen, absent, True)


def _field(f: Frame, d: Val, k: int) -> Val:
    items = f.current(d.type)
    return f.load(d.leaf, 0, items[k], sum(len(leaves(t)) for t in items[:k]))


def _equals(f: Frame, a: Val, b: Val) -> Value:
    return call_name(f, "==", [a, b]).leaf


def set_item(f: Frame, d: Val, key: Val, value: Val) -> None:
    if isinstance(d.type, StaticDictType):
        _set_static(f, d, key, value)
        return
    assert isinstance(d.type, DictType)
    key, value = _fit_entry(f, d.type, key, value)
    first = len(leaves(key.type))
    if not f.layout_fits(d.leaves[0], 0, (*leaves(key.type), *leaves(value.type))):
        return
    at = f.b.op("call", (*d.leaves, *key.leaves), (I64,), fn=_slot_function(f, d.type, key.type)).result
    f.store(d.leaves[0], at, value, first)


def _fit_entry(f: Frame, t: DictType, key: Val, value: Val) -> tuple[Val, Val]:
    key = adapt(f, key, widen_literal(key.type))
    if not _can_be_key(key.type):
        raise error("E0206", f"a {show_type(key.type)} cannot be a key", f.span,
                    hint="keys are integers, symbols, strings, Bools, and tuples of these")  # fmt: skip
    if not t.site:
        return convert_value(f, key, t.key, f.span), convert_value(f, value, t.value, f.span)
    fitted = f.fit(key, t, 0, "the keys of this Dict", f.span)
    return fitted, f.fit(value, t, 1, "this Dict", f.span)


def _can_be_key(t: LangType) -> bool:
    if isinstance(t, TupleType):
        return all(map(_can_be_key, t.items))
    return t in (INT64, SYMBOL, STRING, BOOLEAN)


def _set_static(f: Frame, d: Val, key: Val, value: Val) -> None:
    assert isinstance(d.type, StaticDictType)
    known = known_key(key)
    if known is not None and known not in d.type.keys:
        _grow_static(f, d.type)
        return
    if known is not None:
        k = d.type.keys.index(known)
        _store_field(f, d, k, value)
        return
    there = [k for k, own in enumerate(d.type.keys) if widen_literal(static_key(f, own).type) == key.type]
    if not there or d.type.site:
        _grow_static(f, d.type)
        return

    def at(n: int) -> Val:
        if n == len(there):
            _missing(f, key)
        own = static_key(f, d.type.keys[there[n]])  # type: ignore[union-attr]

        def store() -> Val:
            _store_field(f, d, there[n], value)
            return UNIT

        return branch(f, _equals(f, key, own), store, lambda: at(n + 1), False)

    at(0)


def _grow_static(f: Frame, t: StaticDictType) -> None:
    """A key that the record does not have: this Dict has to be a hash table."""
    kinds = {type(k) for k in t.keys}
    value: LangType | None = t.items[0] if t.items else BOTTOM
    for i in t.items[1:]:
        value = None if value is None else join(value, i, f.sites)
    if not t.site or value is None or len(kinds) > 1:
        raise error("E0202", "this Dict has a fixed set of keys, since its values have different types or it came "
                    "from outside: no other key can be put in", f.span)  # fmt: skip
    f.sites.make_dynamic(t.site)


def _store_field(f: Frame, d: Val, k: int, value: Val) -> None:
    assert isinstance(d.type, StaticDictType)
    if d.type.site:
        value = f.fit(value, d.type, k, "this Dict", f.span)
    else:
        value = convert_value(f, value, d.type.items[k], f.span)
    f.store(d.leaf, 0, value, sum(len(leaves(t)) for t in f.current(d.type)[:k]))


# ---------------------------------------------------------------- functions of Dicts


@builtin("haskey")
def lower_haskey(f: Frame, args: list[Val]) -> Val | None:
    d, key = args if len(args) == 2 else (UNIT, UNIT)
    if isinstance(d.type, NamedTupleType) and isinstance(key.type, SymbolLit):
        return Val(BOOLEAN, (f.b.bool(key.type.name in d.type.names),), key.type.name in d.type.names)
    if isinstance(d.type, StaticDictType):
        known = known_key(key)
        if known is not None:
            return Val(BOOLEAN, (f.b.bool(known in d.type.keys),), known in d.type.keys)
        result = f.b.bool(False)
        for own in d.type.keys:
            k = static_key(f, own)
            if widen_literal(k.type) == key.type:
                result = f.b.prim("or", result, _equals(f, key, k))
        return Val(BOOLEAN, (result,))
    if not isinstance(d.type, DictType):
        return None
    key_type, value_type = f.current(d.type)
    fitting = None if value_type == BOTTOM else try_convert(f, key, key_type)
    if fitting is None:
        return Val(BOOLEAN, (f.b.bool(False),))
    return Val(BOOLEAN, (f.b.prim("ge", find(f, d, fitting), f.b.i64(0)),))


@builtin("get", forms=("get(dict, key, default)",))
def lower_get(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 3:
        return None
    if isinstance(args[0].type, FnType) and is_dict(args[1].type):
        return look_up(f, args[1], args[2], lambda: call_value(f, args[0], [], {}, f.span))
    if isinstance(args[0].type, NamedTupleType) and isinstance(args[1].type, SymbolLit):
        there = args[1].type.name in args[0].type.names
        return call_name(f, "getproperty", args[:2]) if there else args[2]
    if not is_dict(args[0].type):
        return None
    return look_up(f, args[0], args[1], lambda: args[2])


@builtin("get!")
def lower_get_or_put(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 3:
        return None
    make = isinstance(args[0].type, FnType)
    d, key = (args[1], args[2]) if make else (args[0], args[1])
    if not is_dict(d.type):
        return None

    def put() -> Val:
        value = call_value(f, args[0], [], {}, f.span) if make else args[2]
        set_item(f, d, key, value)
        return value

    if isinstance(d.type, DictType) and f.current(d.type)[1] == BOTTOM:
        return put()
    return look_up(f, d, key, put)


@builtin("delete!", "merge!")
def lower_delete(f: Frame, args: list[Val]) -> Val:
    raise error("E0901", "taking keys out of a Dict is not supported", f.span)


# ---------------------------------------------------------------- the hash table


def find(f: Frame, d: Val, key: Val) -> Value:
    """The number of the entry with a key, or -1."""
    assert isinstance(d.type, DictType)
    if not f.layout_fits(d.leaves[0], 0, leaves(key.type)):
        return f.b.i64(-1)
    return f.b.op("call", (*d.leaves, *key.leaves), (I64,), fn=_find_function(f, d.type, key.type)).result


def _parameters(f: Frame, d: DictType, key: LangType) -> list[tuple[LeafType, str]]:
    """A Dict's two memories and a key."""
    entries, table = leaves(DictType(key, f.current(d)[1]))
    return [(entries, "entries"), (table, "table"), *((t, "key") for t in leaves(key))]


Fill = Callable[[Builder, list[Value]], None]


def _internal(f: Frame, what: str, params: Sequence[tuple[LeafType, str]], fill: Fill) -> str:
    """An internal function, made once for these parameters, that gives an i64."""
    types = tuple(t for t, _ in params)
    name = f.unit.internal.get((what, types))
    if name is None:
        name = f.unit.program.fresh(f"dict.{what}")
        f.unit.internal[what, types] = name
        body = Region(types, [hint for _, hint in params])
        f.unit.program.add(Function(name, body, (I64,), f"Dict {what}", f.span))
        fill(Builder(body, f.span), body.params)
    return name


def _hash(b: Builder, key: Sequence[Value], mask: Value) -> Value:
    """Multiply and shift, for each part of a key."""
    h = b.i64(0)
    for part in key:
        number = b.prim("booltoi64", part) if part.type == BOOL else part
        mixed = b.prim("mul", b.prim("add", h, b.prim("add", number, b.i64(1))), b.i64(HASH_FACTOR))
        h = b.prim("ixor", mixed, b.prim("ushr", mixed, b.i64(32)))
    return b.prim("iand", h, mask)


def _same_key(b: Builder, xs: Sequence[Value], ys: Sequence[Value]) -> Value:
    same = b.bool(True)
    for x, y in zip(xs, ys, strict=True):
        same = b.prim("and", same, b.prim("eq", x, y))
    return same


def _step(b: Builder, at: Value, mask: Value) -> Value:
    return b.prim("iand", b.prim("add", at, b.i64(1)), mask)


def _find_function(f: Frame, d: DictType, key: LangType) -> str:
    def fill(b: Builder, params: list[Value]) -> None:
        entries, table, *wanted = params
        capacity = b.op("len", (table,), (I64,)).result
        b.if_(b.prim("eq", capacity, b.i64(0)), (), lambda a: a.return_(a.i64(-1)), lambda a: a.yield_())
        mask = b.prim("sub", capacity, b.i64(1))
        body = Region((I64,), ("at",))
        inner, (at,) = Builder(body, b.span), body.params
        number = inner.op("load", (table, at), (I64,), first=0).result
        free = inner.prim("eq", number, inner.i64(0))
        inner.if_(free, (), lambda a: a.break_(a.i64(-1)), lambda a: a.yield_())
        entry = inner.prim("sub", number, inner.i64(1))
        own = inner.op("load", (entries, entry), [w.type for w in wanted], first=0).results
        inner.if_(_same_key(inner, own, wanted), (), lambda a: a.break_(entry), lambda a: a.yield_())
        inner.next_(_step(inner, at, mask))
        b.return_(*b.op("loop", (_hash(b, wanted, mask),), (I64,), (body,)).results)

    return _internal(f, "find", _parameters(f, d, key), fill)


def _slot_function(f: Frame, d: DictType, key: LangType) -> str:
    """The number of the entry with a key, which is made (its value zero) where there is none."""
    found = _find_function(f, d, key)
    enter = _enter_function(f, key)
    _, value = f.current(d)

    def fill(b: Builder, params: list[Value]) -> None:
        entries, table, *wanted = params
        at = b.op("call", params, (I64,), fn=found).result
        b.if_(b.prim("ge", at, b.i64(0)), (), lambda a: a.return_(at), lambda a: a.yield_())
        n = b.op("len", (entries,), (I64,)).result
        b.op("push", (entries, *wanted, *(b.zero(t) for t in leaves(value))))
        capacity = b.op("len", (table,), (I64,)).result
        full = b.prim("gt", b.prim("mul", b.prim("add", n, b.i64(1)), b.i64(2)), capacity)

        def rehash(a: Builder) -> None:
            _grow_table(a, table, capacity)
            _enter_all(a, entries, table, n, wanted, enter)
            a.yield_()

        def enter_one(a: Builder) -> None:
            a.op("call", (table, n, *wanted), (I64,), fn=enter)
            a.yield_()

        b.if_(full, (), rehash, enter_one)
        b.return_(n)

    return _internal(f, "slot", _parameters(f, d, key), fill)


def _grow_table(b: Builder, table: Value, capacity: Value) -> None:
    """Twice as many places, all free."""
    more = b.prim("max", capacity, b.i64(FIRST_CAPACITY))
    push = Region((I64,), ("k",))
    Builder(push, b.span).op("push", (table, Builder(push, b.span).i64(0)))
    Builder(push, b.span).next_()
    clear = Region((I64,), ("k",))
    inner = Builder(clear, b.span)
    inner.op("store", (table, clear.params[0], inner.i64(0)), first=0)
    inner.next_()
    zero, one = b.i64(0), b.i64(1)
    b.op("for", (zero, b.prim("sub", capacity, one), one), (), (clear,))
    b.op("for", (one, more, one), (), (push,))


def _enter_all(b: Builder, entries: Value, table: Value, last: Value, key: Sequence[Value], enter: str) -> None:
    """Enter the numbers 0 … last."""
    body = Region((I64,), ("k",))
    inner = Builder(body, b.span)
    own = inner.op("load", (entries, body.params[0]), [k.type for k in key], first=0).results
    inner.op("call", (table, body.params[0], *own), (I64,), fn=enter)
    inner.next_()
    b.op("for", (b.i64(0), last, b.i64(1)), (), (body,))


def _enter_function(f: Frame, key: LangType) -> str:
    """Enter the number of an entry whose key is not in the table at the first free place."""

    def fill(b: Builder, params: list[Value]) -> None:
        table, number, *wanted = params
        mask = b.prim("sub", b.op("len", (table,), (I64,)).result, b.i64(1))
        body = Region((I64,), ("at",))
        inner, (at,) = Builder(body, b.span), body.params
        taken = inner.op("load", (table, at), (I64,), first=0).result
        inner.if_(inner.prim("eq", taken, inner.i64(0)), (), lambda a: a.break_(at), lambda a: a.yield_())
        inner.next_(_step(inner, at, mask))
        (place,) = b.op("loop", (_hash(b, wanted, mask),), (I64,), (body,)).results
        b.op("store", (table, place, b.prim("add", number, b.i64(1))), first=0)
        b.return_(place)

    params: list[tuple[LeafType, str]] = [(Mem((I64,)), "table"), (I64, "number"), *((t, "key") for t in leaves(key))]
    return _internal(f, "enter", params, fill)
