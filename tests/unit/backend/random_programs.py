"""Random well-typed scalar programs: every kind of region and exit, calls, and all primitives."""

from __future__ import annotations

import random
from collections.abc import Callable

from dsl.ir.core import Function, Program, Region, Value
from dsl.ops import PRIMITIVES, Builder
from dsl.types import BOOL, F32, F64, I64, LeafType

TYPES: tuple[LeafType, ...] = (F64, F64, F64, I64, I64, BOOL, F32)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 3.7, -2.25, 1e-300, 1e300, 7.0, float("inf"), float("nan"))
INTEGERS = (0, 1, -1, 2, 3, 7, -12, 63, 1 << 40, (1 << 63) - 1, -(1 << 63))


class Generator:
    """Makes one function. `pool` holds the values in sight, innermost last."""

    def __init__(self, rng: random.Random, program: Program) -> None:
        self.rng = rng
        self.program = program
        self.pool: list[Value] = []
        self.budget = 40

    def function(self, name: str) -> Function:
        params = [self.rng.choice(TYPES) for _ in range(self.rng.randint(1, 4))]
        results = tuple(self.rng.choice(TYPES) for _ in range(self.rng.randint(1, 3)))
        fn = Function(name, Region(params), results)
        self.results = results
        self.pool = list(fn.params)
        b = Builder(fn.body)
        self.straight(b, 0, [])
        b.return_(*(self.pick(b, t) for t in results))
        return self.program.add(fn)

    def constant(self, b: Builder, t: LeafType) -> Value:
        if t == BOOL:
            return b.bool(self.rng.random() < 0.5)
        if t == I64:
            return b.i64(self.rng.choice(INTEGERS))
        return b.const(self.rng.choice(FLOATS[:7]), t)

    def pick(self, b: Builder, t: LeafType) -> Value:
        known = [v for v in self.pool if v.type == t]
        if not known or self.rng.random() < 0.15:
            return self.constant(b, t)
        return self.rng.choice(known[-6:])

    def scoped(self, b: Builder, fill: Callable[[], None]) -> None:
        """Values made inside are out of sight afterwards."""
        before = len(self.pool)
        fill()
        del self.pool[before:]

    def straight(self, b: Builder, depth: int, loops: list[tuple[str, list[LeafType]]]) -> None:
        """Some ops, with regions among them. `loops` are those around, outermost first, with what they give."""
        for _ in range(self.rng.randint(1, 6)):
            self.budget -= 1
            if self.budget < 0:
                return
            kind = self.rng.random()
            if depth < 4 and kind < 0.12:
                self.branch(b, depth, loops)
            elif depth < 4 and kind < 0.2:
                self.counted(b, depth, loops)
            elif depth < 4 and kind < 0.28:
                self.loop(b, depth, loops)
            elif kind < 0.33 and self.program.functions:
                fn = self.rng.choice(list(self.program.functions.values()))
                self.pool += b.call(fn, [self.pick(b, p.type) for p in fn.params])
            else:
                self.primitive(b)

    def primitive(self, b: Builder) -> None:
        p = self.rng.choice(list(PRIMITIVES.values()))
        operands, _ = self.rng.choice(p.signatures)
        self.pool.append(b.prim(p.name, *(self.pick(b, t) for t in operands)))

    def branch(self, b: Builder, depth: int, loops: list[tuple[str, list[LeafType]]]) -> None:
        types = [self.rng.choice(TYPES) for _ in range(self.rng.randint(0, 2))]
        leaves = self.rng.randint(0, 2)  # which arm may leave

        def arm(which: int) -> Callable[[Builder], None]:
            def fill(inner: Builder) -> None:
                def ops() -> None:
                    self.straight(inner, depth + 1, loops)
                    if which == leaves and self.leave(inner, loops):
                        return
                    inner.yield_(*(self.pick(inner, t) for t in types))

                self.scoped(inner, ops)

            return fill

        self.pool += b.if_(self.pick(b, BOOL), types, arm(0), arm(1))

    def leave(self, b: Builder, loops: list[tuple[str, list[LeafType]]]) -> bool:
        """End an arm by leaving something, where there is something to leave."""
        reach = 0
        while reach < len(loops) and loops[-1 - reach][0] == "loop":
            reach += 1
        if reach:
            depth = self.rng.randrange(reach)
            b.break_(*(self.pick(b, t) for t in loops[-1 - depth][1]), depth=depth)
            return True
        if not loops and self.rng.random() < 0.5:
            b.return_(*(self.pick(b, t) for t in self.results))
            return True
        return False

    def counted(self, b: Builder, depth: int, loops: list[tuple[str, list[LeafType]]]) -> None:
        carried = [self.rng.choice(TYPES) for _ in range(self.rng.randint(0, 2))]
        step = self.rng.choice((1, 1, -1, 2, -3))
        low = self.rng.randint(-3, 3)
        bounds = [b.i64(low), b.i64(low + step * self.rng.randint(-1, 4)), b.i64(step)]
        inits = [self.pick(b, t) for t in carried]
        body = Region([I64, *carried])
        inner = Builder(body)

        def ops() -> None:
            self.pool += body.params
            self.straight(inner, depth + 1, [*loops, ("for", carried)])
            inner.next_(*(self.pick(inner, t) for t in carried))

        self.scoped(b, ops)
        self.pool += b.op("for", [*bounds, *inits], carried, [body]).results

    def loop(self, b: Builder, depth: int, loops: list[tuple[str, list[LeafType]]]) -> None:
        """Carries a counter besides, so that it ends."""
        carried = [self.rng.choice(TYPES) for _ in range(self.rng.randint(0, 2))]
        gives = [self.rng.choice(TYPES) for _ in range(self.rng.randint(0, 2))]
        inits = [b.i64(self.rng.randint(0, 4)), *(self.pick(b, t) for t in carried)]
        body = Region([I64, *carried])
        inner = Builder(body)

        def ops() -> None:
            self.pool += body.params[1:]
            fuel = inner.prim("gt", body.params[0], inner.i64(0))
            inner.if_(
                fuel, [], lambda c: c.yield_(), lambda c: c.break_(*(self.pick(c, t) for t in gives))
            )
            self.straight(inner, depth + 1, [*loops, ("loop", gives)])
            less = inner.prim("sub", body.params[0], inner.i64(1))
            inner.next_(less, *(self.pick(inner, t) for t in carried))

        self.scoped(b, ops)
        self.pool += b.op("loop", inits, gives, [body]).results


def random_program(seed: int) -> tuple[Program, str, list[list[float | int | bool]]]:
    """A program, its root, and some arguments for it."""
    rng = random.Random(seed)
    program = Program()
    for k in range(rng.randint(0, 2)):
        Generator(rng, program).function(f"g{k}")
    root = Generator(rng, program).function("f")
    return program, "f", [[argument(rng, p.type) for p in root.params] for _ in range(6)]


def argument(rng: random.Random, t: LeafType) -> float | int | bool:
    if t == BOOL:
        return rng.random() < 0.5
    if t == I64:
        return rng.choice((*INTEGERS, rng.randint(-9, 9)))
    value = rng.choice((*FLOATS, rng.uniform(-3, 3)))
    return value if t == F64 else 0.5 * round(value) if abs(value) < 1e9 else 1.5
