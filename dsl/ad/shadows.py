"""Functions on whole memories, made for a type when they are first needed: shadows, sums, clearing.

`shadow` ops are expanded to calls of these. Registries (one for each memory type, see `registry`) make one shadow of
one memory, however many ways lead to it. Memory that holds no references and is handed in alone needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from dsl.ad.activity import has_tangent
from dsl.ad.registry import TABLE, Registries, Registry, each, new_registry
from dsl.ir.core import Function, Program, Region, Value
from dsl.ops import Builder
from dsl.types import BOOL, F64, I64, LeafType, Mem, is_ref, tangent

Registered: TypeAlias = dict[Mem, Registry]


def nested_types(t: LeafType) -> list[Mem]:
    """A memory type and those its records refer to, each once."""
    found: list[Mem] = []
    work = [t]
    while work:
        x = work.pop()
        if isinstance(x, Mem) and has_tangent(x) and x not in found:
            found.append(x)
            work += x.fields
    return found


def shadow_type(t: LeafType) -> Mem:
    s = tangent(t)
    assert isinstance(s, Mem)
    return s


class Shadows:
    """The helper functions of a program, by name."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sets = Registries(program)
        self._names: dict[tuple[str, LeafType], str] = {}

    def registries(self, types: Sequence[LeafType], b: Builder) -> Registered:
        """Empty registries for the memory types reachable from the given ones: of each memory that gets a shadow its
        type. A type that is met once and holds no references is left out."""
        found = [m for t in types for m in nested_types(t)]
        return {
            m: new_registry(Mem((m, shadow_type(m))), b)
            for m in dict.fromkeys(found)
            if found.count(m) > 1 or m not in types or len(nested_types(m)) > 1
        }

    def make(self, m: Value, b: Builder, registries: Registered | None = None) -> Value:
        """A zeroed shadow of a memory: one already in the registries, or a new one."""
        assert isinstance(m.type, Mem)
        if registries is None:
            registries = self.registries([m.type], b)
        if m.type not in registries:
            (out,) = b.call(self._get("shadow alone", m.type, self._build_alone), [m])
            return out
        fn = self._get("shadow", m.type, self._build_shadow)
        (out,) = b.call(fn, [m, *_flat(registries, m.type)])
        return out

    def add_to(self, target: Value, source: Value, b: Builder, seen: Registered | None = None) -> None:
        """Add every number of one shadow to the same place of another, once however many ways lead there."""
        types = nested_types(target.type)
        if seen is None and len(types) == 1:  # nothing in it to be met twice
            b.call(self._get("add", target.type, self._build_add), [target, source])
            return
        if seen is None:
            seen = {t: new_registry(Mem((t,)), b) for t in types}
        once = self._get("add once", target.type, self._build_add)
        b.call(once, [target, source, *_flat(seen, target.type)])

    def move_to(self, target: Value, source: Value, b: Builder) -> None:
        """Add every number of one shadow to the same place of another, and zero it; nothing, where the two are one.
        Records refer to no memory."""
        b.call(self._get("move", target.type, self._build_move), [target, source])

    def copies(self, memories: Sequence[Value], b: Builder) -> list[Value]:
        """Copies of memories, whose records refer to no memory: one of each, however often it is there."""
        made: list[Value] = []
        for k, m in enumerate(memories):
            copy = partial(self._copy, m)
            made.append(first_same(m, list(zip(memories[:k], made, strict=True)), b, copy))
        return made

    def _copy(self, m: Value, b: Builder) -> Value:
        return b.call(self._get("copy", m.type, self._build_copy), [m])[0]

    def dot(self, x: Value, y: Value, b: Builder) -> Value:
        """The sum over all numbers of two shadows of one memory of their products (null: zero); records refer to no
        memory."""
        (out,) = b.call(self._get("dot", x.type, self._build_dot), [x, y])
        return out

    def clear(self, m: Value, b: Builder) -> None:
        """Zero every number of a shadow."""
        b.call(self._get("clear", m.type, self._build_clear), [m])

    def _get(self, what: str, t: LeafType, build: Callable[[Function, Mem], None]) -> Function:
        assert isinstance(t, Mem)
        name = self._names.get((what, t))
        if name is None:
            name = self._names[what, t] = self.program.fresh(f"dfl.{what}.{len(self._names)}")
            params: list[LeafType] = [t]
            results: tuple[LeafType, ...] = ()
            if what == "shadow":
                params += [p for m in nested_types(t) for p in (Mem((m, shadow_type(m))), TABLE)]
                results = (shadow_type(t),)
            elif what == "shadow alone":
                results = (shadow_type(t),)
            elif what == "dot":
                params.append(t)
                results = (F64,)
            elif what == "copy":
                results = (t,)
            elif what == "move" or what.startswith("add"):
                params.append(t)
            if what == "add once":
                params += [p for m in nested_types(t) for p in (Mem((m,)), TABLE)]
            fn = self.program.add(Function(name, Region(params), results, f"{what} {t}"))
            build(fn, t)
        return self.program.functions[name]

    # ------------------------------------------------------------ bodies
    def _build_shadow(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        m = fn.params[0]
        registries = _paired(t, fn.params[1:])
        own = registries[t].entries
        s_type = shadow_type(t)

        def null(arm: Builder) -> None:
            arm.return_(arm.zero(s_type))

        b.if_(b.op("same", (m, b.zero(t)), (BOOL,)).result, (), null, lambda arm: arm.yield_())

        place = self.sets.place(m, registries[t], b)
        before = b.op("load", (own, place), (s_type,), first=1).result
        b.if_(_is_null(before, b), (), lambda arm: arm.yield_(), lambda arm: arm.return_(before))
        n = b.op("len", (m,), (I64,)).result
        s = b.op("new", (n,), (s_type,)).result
        b.op("store", (own, place, s), first=1)

        def fill(body: Builder, i: Value) -> None:
            for f, inner in enumerate(t.fields):
                if isinstance(inner, Mem) and has_tangent(inner):
                    child = body.op("load", (m, i), (inner,), first=f).result
                    body.op("store", (s, i, self.make(child, body, registries)), first=f)

        if any(isinstance(f, Mem) and has_tangent(f) for f in t.fields):
            each(b, n, fill)
        b.return_(s)

    def _build_alone(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        (m,) = fn.params
        b.if_(_is_null(m, b), (), lambda arm: arm.return_(arm.zero(shadow_type(t))), lambda arm: arm.yield_())
        b.return_(b.op("new", (b.op("len", (m,), (I64,)).result,), (shadow_type(t),)).result)

    def _build_add(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        target, source, *sets = fn.params
        seen = _paired(t, sets) if sets else {}
        self._unless_null(target, b)
        self._unless_null(source, b)
        if seen:
            self._unless_in(target, seen[t], b)
        n = self._shorter(target, source, b)

        def one(body: Builder, i: Value) -> None:
            for f, inner in enumerate(t.fields):
                if isinstance(inner, Mem) and has_tangent(inner):
                    pair = [body.op("load", (m, i), (inner,), first=f).result for m in (target, source)]
                    self.add_to(pair[0], pair[1], body, seen)
                elif inner != BOOL and not is_ref(inner):
                    body.op("acc", (target, i, body.op("load", (source, i), (inner,), first=f).result), first=f)

        each(b, n, one)
        b.return_()

    def _build_move(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        target, source = fn.params
        one = b.op("same", (target, source), (BOOL,)).result
        b.if_(one, (), lambda arm: arm.return_(), lambda arm: arm.yield_())
        self.add_to(target, source, b)
        self.clear(source, b)
        b.return_()

    def _build_copy(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        (m,) = fn.params
        b.if_(_is_null(m, b), (), lambda arm: arm.return_(arm.zero(t)), lambda arm: arm.yield_())
        n = b.op("len", (m,), (I64,)).result
        copy = b.op("new", (n,), (t,)).result

        def one(body: Builder, i: Value) -> None:
            body.op("store", (copy, i, *body.op("load", (m, i), t.fields, first=0).results), first=0)

        each(b, n, one)
        b.return_(copy)

    def _build_dot(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        x, y = fn.params
        for m in fn.params:
            b.if_(_is_null(m, b), (), lambda arm: arm.return_(arm.f64(0.0)), lambda arm: arm.yield_())
        n = self._shorter(x, y, b)
        region = Region([I64, F64])
        inner = Builder(region, b.span)
        i, total = region.params
        for f, item in enumerate(t.fields):
            if item != BOOL:
                pair = [inner.op("load", (m, i), (item,), first=f).result for m in (x, y)]
                term = inner.prim("mul", *(v if item == F64 else inner.prim("tof64", v) for v in pair))
                total = inner.prim("add", total, term)
        inner.next_(total)
        results = b.op("for", (b.i64(0), b.prim("sub", n, b.i64(1)), b.i64(1), b.f64(0.0)), (F64,), [region]).results
        b.return_(*results)

    def _shorter(self, x: Value, y: Value, b: Builder) -> Value:
        lengths = [b.op("len", (m,), (I64,)).result for m in (x, y)]
        return b.prim("select", b.prim("lt", lengths[0], lengths[1]), lengths[0], lengths[1])

    def _build_clear(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        (m,) = fn.params
        self._unless_null(m, b)

        def one(body: Builder, i: Value) -> None:
            for f, inner in enumerate(t.fields):
                if isinstance(inner, Mem):
                    self.clear(body.op("load", (m, i), (inner,), first=f).result, body)
                elif inner != BOOL and not is_ref(inner):
                    body.op("store", (m, i, body.zero(inner)), first=f)

        each(b, b.op("len", (m,), (I64,)).result, one)
        b.return_()

    def _unless_null(self, m: Value, b: Builder) -> None:
        b.if_(_is_null(m, b), (), lambda arm: arm.return_(), lambda arm: arm.yield_())

    def _unless_in(self, m: Value, seen: Registry, b: Builder) -> None:
        """Return where a memory is in a set, else put it in."""
        before = b.op("len", (seen.entries,), (I64,)).result
        known = b.prim("lt", self.sets.place(m, seen, b), before)
        b.if_(known, (), lambda arm: arm.return_(), lambda arm: arm.yield_())


def _flat(registries: Registered, t: LeafType) -> list[Value]:
    """The registries that a function of a memory type takes, as arguments."""
    return [part for m in nested_types(t) for part in (registries[m].entries, registries[m].table)]


def _paired(t: Mem, params: Sequence[Value]) -> Registered:
    """The same from the function's parameters."""
    pairs = zip(params[::2], params[1::2], strict=True)
    return {m: Registry(*pair) for m, pair in zip(nested_types(t), pairs, strict=True)}


def _is_null(m: Value, b: Builder) -> Value:
    return b.op("same", (m, b.zero(m.type)), (BOOL,)).result


def first_same(m: Value, known: Sequence[tuple[Value, Value]], b: Builder, make: Callable[[Builder], Value]) -> Value:
    """What goes with the first of the `known` memories that is the memory m (of those of its type), else what is
    made."""
    pairs = [(x, v) for x, v in known if x.type == m.type]
    if not pairs:
        return make(b)
    (x, v), *rest = pairs

    def other(arm: Builder) -> None:
        arm.yield_(first_same(m, rest, arm, make))

    return b.if_(b.op("same", (m, x), (BOOL,)).result, (v.type,), lambda arm: arm.yield_(v), other)[0]


def or_longer(size: Value, shadow: Value, b: Builder) -> Value:
    """A size, or the length of a shadow that is longer."""

    def longer(arm: Builder) -> None:
        arm.yield_(arm.prim("max", size, arm.op("len", (shadow,), (I64,)).result))

    return b.if_(_is_null(shadow, b), (I64,), lambda arm: arm.yield_(size), longer)[0]


def each_record(m: Value, b: Builder, body: Callable[[Builder, Value], None]) -> None:
    """Do something for the place of each record of a memory."""
    each(b, b.op("len", (m,), (I64,)).result, body)


def clear_memory(shadow: Value, b: Builder) -> None:
    """Zero the numbers of every record of a memory."""
    assert isinstance(shadow.type, Mem)
    region = Region([I64])
    inner = Builder(region, b.span)
    for k, t in enumerate(shadow.type.fields):
        if t != BOOL and not is_ref(t):
            inner.op("store", (shadow, region.params[0], inner.zero(t)), first=k)
    inner.next_()
    last = b.prim("sub", b.op("len", (shadow,), (I64,)).result, b.i64(1))
    b.op("for", (b.i64(0), last, b.i64(1)), (), [region])
