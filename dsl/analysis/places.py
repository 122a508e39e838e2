"""Which places of a memory a nest of counted loops touches: whether all are different, whether none is left out.

An index is read as a sum of counters times strides, where strides are polynomials of what the loops leave alone. The
places are different where the counters can be put in an order in which the first has a stride of 1 or -1 and each
further one the stride of the one before times the number of its values: i + j*m with i in 0 … m-1. An answer of yes is
sure; sizes are taken not to wrap around, which would need more iterations than can ever be run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from dsl.ir.core import Op, Region, Value
from dsl.ops import known, made_by
from dsl.types import I64

Polynomial: TypeAlias = dict[tuple[Value, ...], int]  # coefficients of products, the factors in the order of `id`
Affine: TypeAlias = dict[Value | None, Polynomial]    # what each counter is multiplied by; None: what is added

ONE: Polynomial = {(): 1}
MOST_TERMS = 8  # of a polynomial: what is longer is no index of an array


def distinct(index: Value, loops: Sequence[Op]) -> bool:
    """Whether an index is another one in every iteration of a nest (`for` ops, the outermost first). There may be gaps
    between the places, as between parts of the rows of an array."""
    reader = _Reader(loops)
    form = reader.read(index)
    rest = {op.regions[0].params[0]: reader.extent(op) for op in loops}
    if form is None or None in rest.values():
        return False
    least = ONE  # how far apart the places of the next counter have to be
    while rest:
        strides = [(*found, c) for c in rest if (found := _stride(form.get(c, {}), least)) is not None]
        if not strides:
            return False
        _, stride, counter = min(strides, key=lambda s: s[0])
        extent = rest.pop(counter)
        assert extent is not None
        least = _product(stride, _if_some(extent[0]))
    return True


def _stride(p: Polynomial, least: Polynomial) -> tuple[int, Polynomial] | None:
    """The absolute value of a stride, and how much more it is than another one, if it is no less; that is positive."""
    for s in (p, _scaled(p, -1)):
        more = difference(s, least)
        if more is not None and more >= 0:
            return more, s
    return None


def _if_some(count: Polynomial) -> Polynomial:
    """What a number of iterations is, if it is not 0: of max(x, 0) that is x."""
    (term, k), *more = count.items() or [((), 0)]
    op = term[0].owner if not more and k == 1 and len(term) == 1 else None
    if isinstance(op, Op) and op.name == "select" and known(op.args[1]) == 0:
        test = made_by(op.args[0], "lt")
        if test is not None and test.args[0] is op.args[2] and known(test.args[1]) == 0:
            return polynomial(op.args[2])
    return count


def reached(index: Value, loops: Sequence[Op]) -> Polynomial | None:
    """The number n of the places, where they are 0 … n-1, each once; None: that is not sure."""
    found = _reach(index, loops)
    if found is None:
        return None
    count, first = found
    return count if not first else None


def span(index: Value, loops: Sequence[Op]) -> tuple[Polynomial, Polynomial] | None:
    """The number of the places and the first one, where they are side by side, each once; None: that is not sure."""
    return _reach(index, loops)


def trips(loop: Op) -> Polynomial | None:
    """How many iterations a loop has, if it has some; None: that is not understood."""
    found = _Reader([loop]).extent(loop)
    return None if found is None else found[0]


def polynomial(v: Value) -> Polynomial:
    """A number as a polynomial of what it is made from."""
    affine = _Reader(()).read(v)
    assert affine is not None
    return affine.get(None, {})


def line(index: Value, loop: Op) -> tuple[int, Polynomial] | None:
    """By how much an index grows with the counter of a loop, where that is a constant, and what it is where the counter
    is 0. (The counter of a loop around is the same in all iterations.)"""
    form = _Reader([loop]).read(index)
    slope = None if form is None else form.get(loop.regions[0].params[0], {})
    if form is None or slope is None or set(slope) - {()}:
        return None
    return slope.get((), 0), form.get(None, {})


def affine(index: Value, loops: Sequence[Op]) -> Affine | None:
    """An index as a sum of counters of a nest times what the nest leaves alone; None: it is none."""
    return _Reader(loops).read(index)


def steady(index: Value, loops: Sequence[Op]) -> bool:
    """Whether an index grows by one with the counter of the innermost loop, and by the same number with that of each
    loop around it."""
    form = affine(index, loops)
    return form is not None and form.get(loops[-1].regions[0].params[0]) == ONE


def less(a: Polynomial, b: Polynomial) -> Polynomial:
    """What the first is more than the second."""
    return _plus(a, _scaled(b, -1))


def difference(a: Polynomial, b: Polynomial) -> int | None:
    """What the first is more than the second, where that is a constant."""
    rest = less(a, b)
    return None if set(rest) - {()} else rest.get((), 0)


def _reach(index: Value, loops: Sequence[Op]) -> tuple[Polynomial, Polynomial] | None:
    """How many places, and the least one; None: they may not be different."""
    reader = _Reader(loops)
    form = reader.read(index)
    extents = {op.regions[0].params[0]: reader.extent(op) for op in loops}
    if form is None or None in extents.values():
        return None
    first, stride = form.get(None, {}), ONE
    rest = dict(extents)
    while rest:
        counter = next((c for c in rest if form.get(c) in (stride, _scaled(stride, -1))), None)
        if counter is None:
            return None
        extent = rest.pop(counter)
        assert extent is not None
        count, low, high = extent
        first = _plus(first, _product(form[counter], low if form[counter] == stride else high))
        stride = _product(stride, count)
    return stride, first


class _Reader:
    """Reads numbers in a nest of loops."""

    def __init__(self, loops: Sequence[Op]) -> None:
        self.counters = {op.regions[0].params[0] for op in loops}
        self.inside: set[Value] = set()
        for op in loops[:1]:
            for region in _regions(op):
                self.inside.update(region.params)
                self.inside.update(r for o in region.ops for r in o.results)
        self.seen: dict[Value, Affine | None] = {}

    def read(self, v: Value) -> Affine | None:
        """None: it depends on the iteration in another way."""
        if v not in self.seen:
            self.seen[v] = self._read(v)
        return self.seen[v]

    def _read(self, v: Value) -> Affine | None:
        if v in self.counters:
            return {v: ONE}
        number = known(v)
        if isinstance(number, int) and v.type == I64:
            return {None: {(): int(number)}} if number else {}
        op = v.owner
        if isinstance(op, Op) and v.type == I64 and op.name in ("add", "sub", "mul"):
            left, right = (self.read(a) for a in op.args)
            made = None if left is None or right is None else _combined(op.name, left, right)
            if made is not None and all(len(p) <= MOST_TERMS for p in made.values()):
                return made
        return None if v in self.inside else {None: {(v,): 1}}

    def extent(self, op: Op) -> tuple[Polynomial, Polynomial, Polynomial] | None:
        """How many values a counter has, the least one and the largest one."""
        first, last = (self._fixed(a) for a in op.args[:2])
        step = known(op.args[2])
        if first is None or last is None or step not in (1, -1):
            return None
        low, high = (first, last) if step == 1 else (last, first)
        return _plus(_plus(high, _scaled(low, -1)), ONE), low, high

    def _fixed(self, v: Value) -> Polynomial | None:
        form = self.read(v)
        return None if form is None or set(form) - {None} else form.get(None, {})


def _regions(op: Op) -> list[Region]:
    return [r for region in op.regions for o in (op, *region.walk()) for r in o.regions]


def _combined(name: str, left: Affine, right: Affine) -> Affine | None:
    if name != "mul":
        other = right if name == "add" else {c: _scaled(p, -1) for c, p in right.items()}
        keys = dict.fromkeys([*left, *other])
        return {c: total for c in keys if (total := _plus(left.get(c, {}), other.get(c, {})))}
    if set(right) - {None}:
        left, right = right, left
    if set(right) - {None}:
        return None
    return {c: made for c, p in left.items() if (made := _product(p, right.get(None, {})))}


def _plus(a: Polynomial, b: Polynomial) -> Polynomial:
    total = dict(a)
    for term, k in b.items():
        total[term] = total.get(term, 0) + k
    return {term: k for term, k in total.items() if k}


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for s, j in a.items():
        for t, k in b.items():
            term = tuple(sorted((*s, *t), key=id))
            total[term] = total.get(term, 0) + j * k
    return {term: k for term, k in total.items() if k}


def _scaled(a: Polynomial, k: int) -> Polynomial:
    return {term: k * c for term, c in a.items()}
