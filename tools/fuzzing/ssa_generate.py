"""Random programs in SSA form, for the layers below lowering: passes, differentiation, interpreter, native code.

They reach shapes that no source text is lowered to: exits at any depth, memory carried round loops and chosen at run
time, recursion that shares memory. Each has a function `f` of two f64 and one i64 to one f64,
and a function `g` of a memory, a f64 and an i64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dsl.ir.core import Function, Program, Region, Value
from dsl.ops import Builder
from dsl.types import BOOL, F64, I64, LeafType, Mem

CELLS = Mem((F64, I64, F64))
NESTED = Mem((F64, CELLS))
UNARY = ("sin", "cos", "tanh", "neg", "atan", "abs", "sigmoid", "relu")
BINARY = ("add", "sub", "mul", "mul", "max", "min", "atan2")


@dataclass
class Frame:
    """What is visible, and what may be left."""

    values: dict[LeafType, list[Value]] = field(default_factory=dict)
    loops: list[tuple[list[LeafType], list[LeafType]]] = field(default_factory=list)  # carried, results; innermost last
    inside_for: bool = False  # a return may not stand here
    depth: int = 0

    def inner(self, **changes: Any) -> Frame:
        copy = {t: list(vs) for t, vs in self.values.items()}
        frame = Frame(copy, list(self.loops), self.inside_for, self.depth + 1)
        for name, value in changes.items():
            setattr(frame, name, value)
        return frame

    def add(self, *values: Value) -> None:
        for v in values:
            self.values.setdefault(v.type, []).append(v)


class Generator:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.program = Program()
        self.budget = 0
        self.helpers: list[Function] = []
        self.results: tuple[LeafType, ...] = (F64,)
        self.loops = 2  # how many loops may still be nested
        self.fuel: list[Value] = []  # of the loops around, innermost last

    def pick(self, frame: Frame, type: LeafType, b: Builder) -> Value:
        found = frame.values.get(type, [])
        if found and self.random.random() < 0.85:
            recent = found[-6:] if self.random.random() < 0.6 else found
            return self.random.choice(recent)
        if type == F64:
            return b.f64(self.random.choice((0.5, -1.25, 2.0, 0.0)))
        if type == I64:
            return b.i64(self.random.randint(0, 4))
        if type == BOOL:
            return self.condition(frame, b)
        if found:
            return self.random.choice(found)
        memory = b.op("new", (b.i64(2),), (type,)).result
        for k in range(2):
            fields = [self.pick(frame, t, b) for t in type.fields]  # type: ignore[union-attr]
            b.op("store", (memory, b.i64(k), *fields))
        frame.add(memory)
        return memory

    def condition(self, frame: Frame, b: Builder) -> Value:
        type = self.random.choice((F64, I64))
        name = self.random.choice(("gt", "lt", "ge") if type == F64 else ("gt", "lt", "eq", "ne"))
        return b.prim(name, self.pick(frame, type, b), self.pick(frame, type, b))

    def squash(self, v: Value, b: Builder) -> Value:
        return b.prim(self.random.choice(("sin", "tanh", "atan", "cos")), v)

    def ending(self, frame: Frame, types: list[LeafType] | tuple[LeafType, ...], b: Builder) -> list[Value]:
        return [self.squash(self.pick(frame, t, b), b) if t == F64 else self.pick(frame, t, b) for t in types]

    # ------------------------------------------------------------ ops

    def ops(self, frame: Frame, b: Builder, at_most: int) -> None:
        for _ in range(self.random.randint(1, at_most)):
            if self.budget <= 0:
                return
            self.budget -= 1
            self.one(frame, b)

    def one(self, frame: Frame, b: Builder) -> None:
        kinds: list[tuple[float, Callable[[Frame, Builder], None]]] = [
            (4, self.arithmetic), (1, self.integer), (2.5, self.read), (3, self.write), (1, self.choose_memory),
            (1.2, self.call),
        ]  # fmt: skip
        if frame.depth < 5:
            kinds.append((2.5, self.branch))
            if self.loops:
                kinds += [(1.5, self.counted), (2, self.loop)]
        self.random.choices([k for _, k in kinds], [w for w, _ in kinds])[0](frame, b)

    def arithmetic(self, frame: Frame, b: Builder) -> None:
        if self.random.random() < 0.4:
            frame.add(b.prim(self.random.choice(UNARY), self.pick(frame, F64, b)))
        elif self.random.random() < 0.12:
            frame.add(b.prim("select", self.pick(frame, BOOL, b), self.pick(frame, F64, b), self.pick(frame, F64, b)))
        elif self.random.random() < 0.1:
            frame.add(b.prim("tof64", self.pick(frame, I64, b)))
        else:
            name = self.random.choice(BINARY)
            second = self.pick(frame, F64, b)
            if name == "atan2":
                second = b.prim("add", b.prim("abs", second), b.f64(1.5))
            frame.add(b.prim(name, self.pick(frame, F64, b), second))

    def integer(self, frame: Frame, b: Builder) -> None:
        total = b.prim(self.random.choice(("add", "sub", "mul")), self.pick(frame, I64, b), self.pick(frame, I64, b))
        frame.add(b.prim("imod", total, b.i64(7)))

    def index(self, frame: Frame, memory: Value, b: Builder) -> Value:
        return b.prim("imod", self.pick(frame, I64, b), b.op("len", (memory,), (I64,)).result)

    def memory(self, frame: Frame, b: Builder) -> Value:
        return self.pick(frame, self.random.choice((CELLS, CELLS, NESTED)), b)

    def read(self, frame: Frame, b: Builder) -> None:
        m = self.memory(frame, b)
        assert isinstance(m.type, Mem)
        first = self.random.randrange(len(m.type.fields))
        types = m.type.fields[first:][: self.random.choice((1, 1, 3))]
        frame.add(*b.op("load", (m, self.index(frame, m, b)), types, first=first).results)

    def write(self, frame: Frame, b: Builder) -> None:
        m = self.memory(frame, b)
        assert isinstance(m.type, Mem)
        kind = self.random.random()
        if kind < 0.65:
            first = self.random.randrange(len(m.type.fields))
            types = m.type.fields[first:][: self.random.choice((1, 1, 3))]
            b.op("store", (m, self.index(frame, m, b), *self.ending(frame, types, b)), first=first)
        elif kind < 0.8 and m.type == CELLS:
            b.op(
                "acc",
                (m, self.index(frame, m, b), self.squash(self.pick(frame, F64, b), b)),
                first=self.random.choice((0, 2)),
            )
        elif kind < 0.92:
            b.op("push", (m, *self.ending(frame, m.type.fields, b)))
        else:
            many = b.prim("gt", b.op("len", (m,), (I64,)).result, b.i64(1))
            types = m.type.fields
            frame.add(*b.if_(many, types, lambda t: t.yield_(*t.op("pop", (m,), types).results),
                             lambda t: t.yield_(*t.op("load", (m, t.i64(0)), types, first=0).results)))  # fmt: skip

    def choose_memory(self, frame: Frame, b: Builder) -> None:
        type = self.random.choice((CELLS, CELLS, NESTED))
        one, other = self.pick(frame, type, b), self.pick(frame, type, b)
        (chosen,) = b.if_(self.condition(frame, b), (type,), lambda t: t.yield_(one), lambda t: t.yield_(other))
        frame.add(chosen)

    def call(self, frame: Frame, b: Builder) -> None:
        if not self.helpers:
            self.arithmetic(frame, b)
            return
        fn = self.random.choice(self.helpers)
        args = [self.pick(frame, p.type, b) for p in fn.params]
        if fn.attrs.get("fuel"):
            args[0] = b.prim("imod", args[0], b.i64(4))
        frame.add(*b.call(fn, args))

    # ------------------------------------------------------------ control flow

    def leave(self, frame: Frame, b: Builder) -> bool:
        """End a region by leaving, where that is possible."""
        ways = []
        if not frame.inside_for:
            ways += ["return"] if self.random.random() < 0.5 else []
        if frame.loops:
            ways += ["next", "break", "break"]
        if not ways:
            return False
        way = self.random.choice(ways)
        if way == "return":
            b.return_(*self.ending(frame, self.results, b))
        elif way == "next":
            carried, _ = frame.loops[-1]
            b.next_(*self.carried(frame, carried, b))
        else:
            depth = self.random.randrange(len(frame.loops))
            b.break_(*self.ending(frame, frame.loops[-1 - depth][1], b), depth=depth)
        return True

    def carried(self, frame: Frame, types: list[LeafType], b: Builder) -> list[Value]:
        """Values for the next iteration of the innermost loop. The first is its fuel, which it alone counts."""
        return [self.fuel[-1], *self.ending(frame, types[1:], b)]

    def types(self) -> list[LeafType]:
        return [self.random.choice((F64, F64, F64, I64, CELLS)) for _ in range(self.random.randint(0, 3))]

    def branch(self, frame: Frame, b: Builder) -> None:
        types = self.types()
        condition = self.condition(frame, b)
        may_leave = self.random.random() < 0.45
        left: list[bool] = []

        def arm(t: Builder) -> None:
            inner = frame.inner()
            self.ops(inner, t, 4)
            if may_leave and not left and self.leave(inner, t):
                left.append(True)
            else:
                t.yield_(*self.ending(inner, types, t))

        arms = (Region(), Region())
        order = list(arms)
        self.random.shuffle(order)
        for region in order:
            arm(Builder(region))
        frame.add(*b.op("if", (condition,), types, arms).results)

    def counted(self, frame: Frame, b: Builder) -> None:
        self.loops -= 1
        types = self.types()
        inits = self.ending(frame, types, b)
        low, high, step = self.random.choice(((0, 2, 1), (1, 3, 1), (3, 0, -1), (0, 5, 2), (2, 1, 1), (0, None, 1)))
        top = b.prim("imod", self.pick(frame, I64, b), b.i64(4)) if high is None else b.i64(high)
        region = Region([I64, *types])
        body = Builder(region)
        inner = frame.inner(loops=[], inside_for=True)
        inner.add(*region.params)
        self.ops(inner, body, 5)
        body.next_(*self.ending(inner, types, body))
        frame.add(*b.op("for", (b.i64(low), top, b.i64(step), *inits), types, (region,)).results)
        self.loops += 1

    def loop(self, frame: Frame, b: Builder) -> None:
        """With fuel: the first carried value counts the iterations down."""
        self.loops -= 1
        carried: list[LeafType] = [I64, *self.types()]
        results = self.types()
        inits = self.ending(frame, carried[1:], b)
        region = Region(carried)
        body = Builder(region)
        inner = frame.inner()
        inner.loops = [*frame.loops, (carried, results)]
        inner.add(*region.params)
        empty = body.prim("le", region.params[0], body.i64(0))
        last = self.ending(inner, results, body)
        body.if_(empty, (), lambda t: t.break_(*last), lambda t: t.yield_())
        left = body.prim("sub", region.params[0], body.i64(1))
        inner.add(left)
        self.fuel.append(left)
        self.ops(inner, body, 5)
        body.next_(*self.carried(inner, carried, body))
        self.fuel.pop()
        frame.add(*b.op("loop", (b.i64(self.random.randint(0, 5)), *inits), results, (region,)).results)
        self.loops += 1

    # ------------------------------------------------------------ functions

    def function(
        self, name: str, params: list[LeafType], results: tuple[LeafType, ...], budget: int, fuel: bool
    ) -> Function:
        region = Region(params)
        b = Builder(region)
        frame = Frame()
        frame.add(*region.params)
        fn = Function(name, region, results)
        self.results, self.budget, self.loops = results, budget, 2 if name == "f" else 1
        if fuel:
            fn.attrs["fuel"] = True
            base = self.ending(frame, results, b)
            b.if_(b.prim("le", region.params[0], b.i64(0)), (), lambda t: t.return_(*base), lambda t: t.yield_())
            self.ops(frame, b, 3)
            for less in self.random.choice(((1,), (1, 2))):
                rest = [self.pick(frame, t, b) for t in params[1:]]
                frame.add(*b.call(fn, [b.prim("sub", region.params[0], b.i64(less)), *rest]))
                self.ops(frame, b, 3)
        while self.budget > 0:
            self.ops(frame, b, 4)
        if name == "f":
            total = [self.squash(v, b) for v in frame.values[F64][-5:]]
            for m in frame.values.get(CELLS, [])[-2:]:
                total.append(b.op("load", (m, self.index(frame, m, b)), (F64,), first=2).result)
            value = total[0]
            for v in total[1:]:
                value = b.prim("add", value, v)
            b.return_(value)
        else:
            b.return_(*self.ending(frame, results, b))
        return self.program.add(fn)

    def whole(self) -> Program:
        for k in range(self.random.choice((0, 1, 2))):
            fuel = self.random.random() < 0.4
            count = self.random.randint(1, 3)
            params: list[LeafType] = [self.random.choice((F64, F64, I64, CELLS, NESTED)) for _ in range(count)]
            if fuel:
                params.insert(0, I64)
            results = tuple(self.random.choice((F64, F64, CELLS, I64)) for _ in range(self.random.randint(1, 2)))
            self.helpers.append(self.function(f"h{k}", params, results, self.random.choice((4, 8)), fuel))
        self.helpers.append(self.function("g", [CELLS, F64, I64], (F64,), self.random.choice((3, 6, 10)), False))
        self.function("f", [F64, F64, I64], (F64,), self.random.choice((5, 10, 18)), False)
        return self.program


def program(random: Random) -> Program:
    return Generator(random).whole()
