"""Rows of memory from outside that the iterations of a block read, put side by side.

A load in an inner loop whose place moves from lane to lane by more than one record is a load for each lane. Where such
loads of an iteration together read a *row*, places side by side (`analysis.places`), the rows of all lanes are copied
once a block to memory of the block's own, a record of each lane side by side (the kernel `transpose`): what follows is
vectors, however often it is read. No place is read that the loads would not read.
"""

from __future__ import annotations

from collections.abc import Set

from dsl.analysis.places import Polynomial, less, polynomial, span, trips
from dsl.ir.core import Op, Value
from dsl.ops import Builder, known
from dsl.passes.uniform import Shape, nested
from dsl.records import dataclass
from dsl.types import F32, F64, I64, Mem

_MOVED = ((F64,), (F32,), (I64,))  # by the kernel


@dataclass(eq=False)
class Row:
    """What an iteration reads of a memory: so many places from the first on, which is further by `apart` for each that
    the iteration's counter is more, if none of these loops is empty."""

    memory: Value
    first: Polynomial
    apart: Polynomial
    count: Polynomial
    loops: list[Op]

    def is_same(self, other: Row) -> bool:
        mine, theirs = ([trips(loop) for loop in row.loops] for row in (self, other))
        return (self.memory, self.first, self.count) == (other.memory, other.first, other.count) and (
            None not in mine and all(n in theirs for n in mine) and all(n in mine for n in theirs)
        )  # fmt: skip

    def size(self, b: Builder) -> Value:
        """How many places these are."""
        count = emit(self.count, {}, b)
        for loop in self.loops:
            step = known(loop.args[2])
            some = b.prim("le" if isinstance(step, int) and step > 0 else "ge", *loop.args[:2])
            count = b.prim("select", some, count, b.i64(0))
        return count


@dataclass(eq=False)
class Packs:
    """Of a shape: its rows, and for the loads that read them which one, and where in it."""

    rows: list[Row]
    loads: dict[Op, tuple[Row, Polynomial]]

    @staticmethod
    def of(shape: Shape, jam: Set[Op]) -> Packs:
        packs = Packs([], {})
        arms = {o for op in shape.body.walk() if op.name == "if" for r in op.regions for o in r.walk()}
        for op, around in nested(shape.body, ()):
            if op not in arms and jam.isdisjoint(around) and is_strided(op, shape):
                packs._add(op, around, shape)
        return packs

    def _add(self, op: Op, around: tuple[Op, ...], shape: Shape) -> None:
        memory = op.args[0].type
        assert isinstance(memory, Mem)
        if memory.fields not in _MOVED:
            return
        place = polynomial(op.args[1])
        mentioned = {v for term in place for v in term}
        moving = [loop for loop in around if loop.regions[0].params[0] in mentioned]
        found = span(op.args[1], moving) if moving else None
        if found is None:
            return
        count, first = found
        within = less(place, first)
        inside = shape.inside
        known = all(v not in inside for term in count for v in term)
        known &= all(v is shape.counter or v not in inside for term in first for v in term)
        known &= all(v not in inside for loop in around for v in loop.args[:2])
        if not known or any(v in shape.varying for term in within for v in term):
            return
        apart = _slope(first, shape.counter)
        if apart is None:
            return
        row = Row(op.args[0], first, apart, count, list(around))
        row = next((r for r in self.rows if r.is_same(row)), row)
        if row not in self.rows:
            self.rows.append(row)
        self.loads[op] = row, within


def _slope(p: Polynomial, counter: Value) -> Polynomial | None:
    """By how much a polynomial grows with a counter; None: not by the same everywhere."""
    slope: Polynomial = {}
    for term, factor in p.items():
        rest = tuple(v for v in term if v is not counter)
        if len(rest) < len(term) - 1:
            return None
        if len(rest) < len(term):
            slope[rest] = factor
    return slope


def is_strided(op: Op, shape: Shape) -> bool:
    """Whether an op loads from memory from outside, at a place that depends on the iteration by integer arithmetic, and
    is more than a record away in the next one."""
    if op.name != "load" or op.args[0] in shape.own or op.args[1] not in shape.varying:
        return False
    assert isinstance(op.args[0].type, Mem)
    if shape.slope(op.args[1]) in (1, -1) and len(op.args[0].type.fields) == 1:
        return False
    counter = shape.counter
    return all(v is counter or v not in shape.varying for term in polynomial(op.args[1]) for v in term)


def emit(p: Polynomial, env: dict[Value, Value], b: Builder) -> Value:
    """A polynomial as a number."""
    total: Value | None = None
    for term, factor in p.items():
        product: Value | None = b.i64(factor) if factor != 1 or not term else None
        for v in term:
            v = env.get(v, v)
            product = v if product is None else b.prim("mul", product, v)
        assert product is not None
        total = product if total is None else b.prim("add", total, product)
    return b.i64(0) if total is None else total
