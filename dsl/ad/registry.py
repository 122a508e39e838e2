"""Sets of references, for the helper functions of `shadows`: each memory once, found in constant time.

A registry is two memories: the *entries*, records that begin with a reference, each another one, in the order in which
they came; and a table of places in them (plus one; 0: free), with open addressing by `address`, at most half full, its
length a power of two. What is computed depends on the entries and their order alone, so it is the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.ir.core import Function, Program, Region, Value
from dsl.ops import Builder
from dsl.records import dataclass
from dsl.types import BOOL, I64, Mem

TABLE = Mem((I64,))
SMALLEST = 8
SPREAD = 0x1E3779B97F4A7C15  # an odd number whose bits are mixed: neighbouring addresses go far apart


@dataclass(frozen=True)
class Registry:
    entries: Value
    table: Value


def new_registry(entries: Mem, b: Builder) -> Registry:
    """An empty registry with entries of a type."""
    none = b.i64(0)
    return Registry(b.op("new", (none,), (entries,)).result, b.op("new", (none,), (TABLE,)).result)


class Registries:
    """The functions on registries of a program, by the type of the entries."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._names: dict[tuple[str, Mem], str] = {}

    def place(self, m: Value, registry: Registry, b: Builder) -> Value:
        """The number of a memory's entry. Where it had none, one is made behind the others (the rest of it zero)."""
        entries = registry.entries.type
        assert isinstance(entries, Mem)
        fn = self._get("place", entries, (m.type, entries, TABLE), self._build_place)
        (place,) = b.call(fn, [m, registry.entries, registry.table])
        return place

    def _get(
        self, what: str, entries: Mem, params: tuple[object, ...], build: Callable[[Function, Mem], None]
    ) -> Function:
        name = self._names.get((what, entries))
        if name is None:
            name = self._names[what, entries] = self.program.fresh(f"dfl.{what}.{len(self._names)}")
            results = (I64,) if what == "place" else ()
            region = Region(params)  # type: ignore[arg-type]
            fn = self.program.add(Function(name, region, results, f"{what} {entries}"))
            build(fn, entries)
        return self.program.functions[name]

    def _build_place(self, fn: Function, entries: Mem) -> None:
        b = Builder(fn.body)
        m, found, table = fn.params
        n = b.op("len", (found,), (I64,)).result
        full = b.prim("ge", b.prim("mul", n, b.i64(2)), b.op("len", (table,), (I64,)).result)
        grow = self._get("rehash", entries, (entries, TABLE), self._build_rehash)

        def more(arm: Builder) -> None:
            arm.call(grow, [found, table])
            arm.yield_()

        b.if_(full, (), more, lambda arm: arm.yield_())

        def taken(body: Builder, place: Value) -> None:
            other = body.op("load", (found, place), (m.type,), first=0).result
            same = body.op("same", (other, m), (BOOL,)).result
            body.if_(same, (), lambda arm: arm.return_(place), lambda arm: arm.yield_())

        def free(arm: Builder, slot: Value) -> None:
            arm.op("store", (table, slot, arm.prim("add", n, arm.i64(1))), first=0)
            arm.op("push", (found, m, *(arm.zero(t) for t in entries.fields[1:])))
            arm.return_(n)

        _probe(m, table, taken, free, b)
        b.op("unreachable")

    def _build_rehash(self, fn: Function, entries: Mem) -> None:
        """Twice the table, and every entry put in it again."""
        b = Builder(fn.body)
        found, table = fn.params
        old = b.op("len", (table,), (I64,)).result
        size = b.prim("max", b.prim("mul", old, b.i64(2)), b.i64(SMALLEST))

        def clear(body: Builder, i: Value) -> None:
            body.op("store", (table, i, body.i64(0)), first=0)

        def extend(body: Builder, i: Value) -> None:
            body.op("push", (table, body.i64(0)))

        def enter(body: Builder, i: Value) -> None:
            m = body.op("load", (found, i), (entries.fields[0],), first=0).result

            def free(arm: Builder, slot: Value) -> None:
                arm.op("store", (table, slot, arm.prim("add", i, arm.i64(1))), first=0)
                arm.break_()

            _probe(m, table, lambda body, place: None, free, body)

        each(b, old, clear)
        each(b, b.prim("sub", size, old), extend)
        each(b, b.op("len", (found,), (I64,)).result, enter)
        b.return_()


def _probe(
    m: Value,
    table: Value,
    taken: Callable[[Builder, Value], None],
    free: Callable[[Builder, Value], None],
    b: Builder,
) -> None:
    """Look at the slots for a memory, one after the other: `taken` gets the place found in a slot (and may leave the
    loop), `free` the first slot with none (and leaves it)."""
    mask = b.prim("sub", b.op("len", (table,), (I64,)).result, b.i64(1))
    mixed = b.prim("mul", b.op("address", (m,), (I64,)).result, b.i64(SPREAD))
    start = b.prim("iand", b.prim("ushr", mixed, b.i64(32)), mask)
    region = Region([I64])
    body = Builder(region, b.span)
    slot = region.params[0]
    entry = body.op("load", (table, slot), (I64,), first=0).result
    is_free = body.prim("eq", entry, body.i64(0))
    body.if_(is_free, (), lambda arm: free(arm, slot), lambda arm: arm.yield_())
    taken(body, body.prim("sub", entry, body.i64(1)))
    body.next_(body.prim("iand", body.prim("add", slot, body.i64(1)), mask))
    b.op("loop", (start,), (), [region])


def each(b: Builder, n: Value, body: Callable[[Builder, Value], None]) -> None:
    """`for i in 0:n-1`"""
    region = Region([I64])
    inner = Builder(region, b.span)
    body(inner, region.params[0])
    inner.next_()
    b.op("for", (b.i64(0), b.prim("sub", n, b.i64(1)), b.i64(1)), (), [region])


__all__ = ["Registries", "Registry", "each", "new_registry"]
