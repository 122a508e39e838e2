"""Functions on whole memories, made for a type when they are first needed: shadows, sums, clearing.

`shadow` ops are expanded to calls of these. A registry (per memory type a `mem` of pairs of references) makes one
shadow of one memory, however many ways lead to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.ad.activity import has_tangent
from dsl.ir.core import Function, Program, Region, Value
from dsl.ops import Builder
from dsl.types import BOOL, F64, I64, LeafType, Mem, is_ref, tangent


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
        self._names: dict[tuple[str, LeafType], str] = {}

    def registries(self, types: Sequence[LeafType], b: Builder) -> dict[Mem, Value]:
        """Empty registries for all memory types reachable from the given ones."""
        out: dict[Mem, Value] = {}
        for t in types:
            for m in nested_types(t):
                if m not in out:
                    out[m] = b.op("new", (b.i64(0),), (Mem((m, shadow_type(m))),)).result
        return out

    def make(self, m: Value, b: Builder, registries: dict[Mem, Value] | None = None) -> Value:
        """A zeroed shadow of a memory: one already in the registries, or a new one."""
        assert isinstance(m.type, Mem)
        if registries is None:
            registries = self.registries([m.type], b)
        fn = self._get("shadow", m.type, self._build_shadow)
        (out,) = b.call(fn, [m, *(registries[t] for t in nested_types(m.type))])
        return out

    def add_to(self, target: Value, source: Value, b: Builder, seen: dict[Mem, Value] | None = None) -> None:
        """Add every number of one shadow to the same place of another, once however many ways lead there."""
        types = nested_types(target.type)
        if seen is None and len(types) == 1:  # nothing in it to be met twice
            b.call(self._get("add", target.type, self._build_add), [target, source])
            return
        if seen is None:
            seen = {t: b.op("new", (b.i64(0),), (Mem((t,)),)).result for t in types}
        once = self._get("add once", target.type, self._build_add)
        b.call(once, [target, source, *(seen[t] for t in types)])

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
                params += [Mem((m, shadow_type(m))) for m in nested_types(t)]
                results = (shadow_type(t),)
            elif what == "dot":
                params.append(t)
                results = (F64,)
            elif what.startswith("add"):
                params.append(t)
            if what == "add once":
                params += [Mem((m,)) for m in nested_types(t)]
            fn = self.program.add(Function(name, Region(params), results, f"{what} {t}"))
            build(fn, t)
        return self.program.functions[name]

    # ------------------------------------------------------------ bodies
    def _build_shadow(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        m, own = fn.params[0], fn.params[1]
        registries = dict(zip(nested_types(t), fn.params[1:], strict=True))
        s_type = shadow_type(t)

        def null(arm: Builder) -> None:
            arm.return_(arm.zero(s_type))

        b.if_(b.op("same", (m, b.zero(t)), (BOOL,)).result, (), null, lambda arm: arm.yield_())

        def known(body: Builder, i: Value) -> None:
            pair = body.op("load", (own, i), (t, s_type), first=0).results
            same = body.op("same", (pair[0], m), (BOOL,)).result
            body.if_(same, (), lambda arm: arm.return_(pair[1]), lambda arm: arm.yield_())

        _search(b, b.op("len", (own,), (I64,)).result, known)
        n = b.op("len", (m,), (I64,)).result
        s = b.op("new", (n,), (s_type,)).result
        b.op("push", (own, m, s))

        def fill(body: Builder, i: Value) -> None:
            for f, inner in enumerate(t.fields):
                if isinstance(inner, Mem) and has_tangent(inner):
                    child = body.op("load", (m, i), (inner,), first=f).result
                    body.op("store", (s, i, self.make(child, body, registries)), first=f)

        if any(isinstance(f, Mem) and has_tangent(f) for f in t.fields):
            _each(b, n, fill)
        b.return_(s)

    def _build_add(self, fn: Function, t: Mem) -> None:
        b = Builder(fn.body)
        target, source, *sets = fn.params
        seen = dict(zip(nested_types(t), sets, strict=True)) if sets else {}
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

        _each(b, n, one)
        b.return_()

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

        _each(b, b.op("len", (m,), (I64,)).result, one)
        b.return_()

    def _unless_null(self, m: Value, b: Builder) -> None:
        b.if_(_is_null(m, b), (), lambda arm: arm.return_(), lambda arm: arm.yield_())

    def _unless_in(self, m: Value, seen: Value, b: Builder) -> None:
        """Return where a memory is in a set, else put it in."""

        def known(body: Builder, i: Value) -> None:
            member = body.op("load", (seen, i), (m.type,), first=0).result
            same = body.op("same", (member, m), (BOOL,)).result
            body.if_(same, (), lambda arm: arm.return_(), lambda arm: arm.yield_())

        _search(b, b.op("len", (seen,), (I64,)).result, known)
        b.op("push", (seen, m))


def _is_null(m: Value, b: Builder) -> Value:
    return b.op("same", (m, b.zero(m.type)), (BOOL,)).result


def _each(b: Builder, n: Value, body: Callable[[Builder, Value], None]) -> None:
    """`for i in 0:n-1`"""
    region = Region([I64])
    inner = Builder(region, b.span)
    body(inner, region.params[0])
    inner.next_()
    b.op("for", (b.i64(0), b.prim("sub", n, b.i64(1)), b.i64(1)), (), [region])


def each_record(m: Value, b: Builder, body: Callable[[Builder, Value], None]) -> None:
    """Do something for the place of each record of a memory."""
    _each(b, b.op("len", (m,), (I64,)).result, body)


def _search(b: Builder, n: Value, body: Callable[[Builder, Value], None]) -> None:
    """The same as a loop whose body may return."""
    region = Region([I64])
    inner = Builder(region, b.span)
    i = region.params[0]
    inner.if_(inner.prim("lt", i, n), (), lambda arm: arm.yield_(), lambda arm: arm.break_())
    body(inner, i)
    inner.next_(inner.prim("add", i, inner.i64(1)))
    b.op("loop", (b.i64(0),), (), [region])
