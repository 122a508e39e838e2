"""Loops and branches that lowering writes itself, over memory: their bodies change memory, not variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsl.ir.core import Region, Value
from dsl.lower.frame import Frame
from dsl.ops import Builder
from dsl.types import BOOL, I64, LeafType


def each(f: Frame, n: Value, body: Callable[[Value], None]) -> None:
    """`for k in 0:n-1`"""
    outer, region = f.b, Region([I64])
    f.b = Builder(region, outer.span)
    body(region.params[0])
    f.b.next_()
    f.b = outer
    f.b.op("for", (f.b.i64(0), f.b.prim("sub", n, f.b.i64(1)), f.b.i64(1)), (), (region,))


def over(f: Frame, sizes: Sequence[Value], body: Callable[[list[Value]], None]) -> None:
    """A loop nest over all indices from 0, the first one fastest."""
    if not sizes:
        body([])
        return
    each(f, sizes[-1], lambda k: over(f, sizes[:-1], lambda rest: body([*rest, k])))


def is_null(f: Frame, m: Value) -> Value:
    return f.b.op("same", (m, f.b.zero(m.type)), (BOOL,)).result


def unless(f: Frame, cond: Value, body: Callable[[], None]) -> None:
    """Do something where a condition does not hold."""
    outer = f.b

    def arm(b: Builder) -> None:
        f.b = b
        body()
        f.b.yield_()
        f.b = outer

    f.b.if_(cond, (), lambda b: b.yield_(), arm)


def choose(f: Frame, cond: Value, t: LeafType, then: Callable[[], Value], orelse: Callable[[], Value]) -> Value:
    """One of two values of a leaf type; only what makes it runs."""
    outer = f.b

    def arm(make: Callable[[], Value]) -> Callable[[Builder], None]:
        def fill(b: Builder) -> None:
            f.b = b
            f.b.yield_(make())
            f.b = outer

        return fill

    (out,) = f.b.if_(cond, (t,), arm(then), arm(orelse))
    return out
