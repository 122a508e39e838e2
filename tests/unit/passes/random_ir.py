"""Random well-formed programs of the IR, which end: every loop has fuel, calls go to earlier functions only.

They use all control flow (arms that yield, go on, break out of one or two loops, return), boxes and growable memory,
references that are handed on, calls, checks, and primitives of all types.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from dsl.ir.core import Function, Program, Region, Value
from dsl.ops import Builder
from dsl.types import BOOL, F64, I64, LeafType, Mem

BOX = Mem((F64, I64))
RUN = Mem((F64,))
FLOATS = ("add", "sub", "mul", "div", "max")
UNARY = ("neg", "abs", "sin", "sqrt")
INTS = ("add", "sub", "mul")
COMPARISONS = ("lt", "le", "gt", "eq")


def random_program(seed: int, functions: int = 3) -> Program:
    """A program whose last function is `main(f64, f64, i64, bool) -> (f64, i64)`."""
    rng = random.Random(seed)
    program = Program()
    for k in range(functions):
        _Generator(rng, program).function("main" if k == functions - 1 else f"f{k}")
    return program


class _Generator:
    def __init__(self, rng: random.Random, program: Program) -> None:
        self.rng = rng
        self.program = program
        self.loops: list[tuple[list[LeafType], list[LeafType], Value | None]] = []  # carried, results, fuel; None: for
        self.size = 0

    def function(self, name: str) -> None:
        types: list[LeafType] = [F64, F64, I64, BOOL]
        self.results: tuple[LeafType, ...] = (F64, I64)
        body = Region(types, ("x", "y", "n", "c"))
        fn = Function(name, body, self.results)
        b = Builder(body)
        scope = list(body.params)
        self.statements(b, scope, 0)
        b.return_(*self.pick_all(b, scope, self.results))
        self.program.add(fn)

    # -- values
    def pick(self, b: Builder, scope: list[Value], type: LeafType) -> Value:
        """A visible value of a type, or a new constant."""
        found = [v for v in scope if v.type == type]
        if found and self.rng.random() < 0.85:
            return self.rng.choice(found[-8:])
        return self.constant(b, type)

    def constant(self, b: Builder, type: LeafType) -> Value:
        if isinstance(type, Mem):
            return b.op("new", (b.i64(1),), (type,)).result
        if type == F64:
            return b.f64(self.rng.choice([0.0, -0.0, 1.0, -1.5, 2.0, 0.25, 1e300]))
        return b.i64(self.rng.randint(-2, 3)) if type == I64 else b.bool(self.rng.random() < 0.5)

    def pick_all(self, b: Builder, scope: list[Value], types: Sequence[LeafType]) -> list[Value]:
        return [self.pick(b, scope, t) for t in types]

    def some_types(self) -> list[LeafType]:
        return [self.rng.choice([F64, F64, I64, BOOL, BOX]) for _ in range(self.rng.randint(0, 3))]

    # -- statements
    def statements(self, b: Builder, scope: list[Value], depth: int) -> None:
        for _ in range(self.rng.randint(2, 6)):
            self.size += 1
            if self.size > 60:
                return
            weights = [6, 3, 2, 3, 1, 1, 1] if depth < 4 else [6, 3, 0, 0, 0, 0, 1]
            kinds = [self.scalar, self.memory, self.conditional, self.exit, self.counted, self.loop, self.call]
            self.rng.choices(kinds, weights)[0](b, scope, depth)

    def scalar(self, b: Builder, scope: list[Value], depth: int) -> None:
        kind = self.rng.choice([F64, F64, I64, BOOL, BOOL])
        if kind == BOOL:
            t = self.rng.choice([F64, I64])
            scope.append(b.prim(self.rng.choice(COMPARISONS), *self.pick_all(b, scope, (t, t))))
        elif self.rng.random() < 0.2:
            scope.append(b.prim("select", *self.pick_all(b, scope, (BOOL, kind, kind))))
        elif kind == F64 and self.rng.random() < 0.2:
            scope.append(b.prim(self.rng.choice(UNARY), self.pick(b, scope, F64)))
        else:
            names = FLOATS if kind == F64 else INTS
            scope.append(b.prim(self.rng.choice(names), *self.pick_all(b, scope, (kind, kind))))

    def memory(self, b: Builder, scope: list[Value], depth: int) -> None:
        boxes = [v for v in scope if v.type == BOX]
        if not boxes or self.rng.random() < 0.3:
            scope.append(b.op("new", (b.i64(1),), (BOX,)).result)
            return
        box, zero = self.rng.choice(boxes), b.i64(0)
        match self.rng.randint(0, 5):
            case 0:
                scope.extend(b.op("load", (box, zero), (F64, I64)).results)
            case 1:
                scope.append(b.op("load", (box, zero), (I64,), first=1).result)
            case 2:
                b.op("store", (box, zero, *self.pick_all(b, scope, (F64, I64))))
            case 3:
                b.op("store", (box, zero, self.pick(b, scope, I64)), first=1)
            case 4:
                b.op("acc", (box, zero, self.pick(b, scope, F64)), first=0)
            case 5:
                self.run(b, scope)

    def run(self, b: Builder, scope: list[Value]) -> None:
        """Growable memory, used here."""
        memory = b.op("new", (b.i64(0),), (RUN,)).result
        for _ in range(self.rng.randint(1, 3)):
            b.op("push", (memory, self.pick(b, scope, F64)))
        scope.append(b.op("len", (memory,), (I64,)).result)
        if self.rng.random() < 0.7:
            scope.append(b.op("pop", (memory,), (F64,)).result)

    def conditional(self, b: Builder, scope: list[Value], depth: int) -> None:
        types = self.some_types()
        condition = self.pick(b, scope, BOOL)
        regions = (Region(), Region())
        for region in regions:
            inner, local = Builder(region), list(scope)
            self.statements(inner, local, depth + 1)
            inner.yield_(*self.pick_all(inner, local, types))
        scope.extend(b.op("if", (condition,), types, regions).results)

    def exit(self, b: Builder, scope: list[Value], depth: int) -> None:
        """An `if` of which one arm leaves."""
        if any(fuel is None for _, _, fuel in self.loops[-1:]):
            return
        types = self.some_types()
        leaving, staying = Region(), Region()
        inner, local = Builder(leaving), list(scope)
        if self.rng.random() < 0.3:
            self.statements(inner, local, depth + 1)
        self.leave(inner, local)
        inner, local = Builder(staying), list(scope)
        if self.rng.random() < 0.3:
            self.statements(inner, local, depth + 1)
        inner.yield_(*self.pick_all(inner, local, types))
        arms = (leaving, staying) if self.rng.random() < 0.5 else (staying, leaving)
        scope.extend(b.op("if", (self.pick(b, scope, BOOL),), types, arms).results)

    def leave(self, b: Builder, scope: list[Value]) -> None:
        crossable = 0
        while crossable < len(self.loops) and self.loops[-1 - crossable][2] is not None:
            crossable += 1
        choices = ["break"] * crossable + ["next"] * (crossable > 0) + ["return"] * (crossable == len(self.loops))
        match self.rng.choice(choices):
            case "return":
                b.return_(*self.pick_all(b, scope, self.results))
            case "next":
                self.next(b, scope)
            case "break":
                k = self.rng.randrange(crossable)
                b.break_(*self.pick_all(b, scope, self.loops[-1 - k][1]), depth=k)

    def next(self, b: Builder, scope: list[Value]) -> None:
        carried, _, fuel = self.loops[-1]
        values = self.pick_all(b, scope, carried)
        if fuel is not None:
            values = [b.prim("sub", fuel, b.i64(1)), *values]
        b.next_(*values)

    def counted(self, b: Builder, scope: list[Value], depth: int) -> None:
        carried = self.some_types()
        low, high, step = self.rng.choice([(1, 3, 1), (0, -1, 1), (2, 2, 1), (3, 0, -2), (1, 0, 1)])
        inits = self.pick_all(b, scope, carried)
        body = Region([I64, *carried], ["i"])
        inner = Builder(body)
        self.loops.append((carried, carried, None))
        local = [*scope, *body.params]
        self.statements(inner, local, depth + 1)
        self.next(inner, local)
        self.loops.pop()
        args = (b.i64(low), b.i64(high), b.i64(step), *inits)
        scope.extend(b.op("for", args, carried, (body,)).results)

    def loop(self, b: Builder, scope: list[Value], depth: int) -> None:
        carried, results = self.some_types(), self.some_types()
        inits = self.pick_all(b, scope, carried)
        body = Region([I64, *carried], ["fuel"])
        inner, local = Builder(body), [*scope, *body.params]
        self.loops.append((carried, results, body.params[0]))
        empty = inner.prim("le", body.params[0], inner.i64(0))
        out, on = Region(), Region()
        leaving = Builder(out)
        leaving.break_(*self.pick_all(leaving, local, results))
        Builder(on).yield_()
        inner.op("if", (empty,), (), (out, on))
        self.statements(inner, local, depth + 1)
        if self.rng.random() < 0.3:
            inner.break_(*self.pick_all(inner, local, results))
        else:
            self.next(inner, local)
        self.loops.pop()
        scope.extend(b.op("loop", (b.i64(self.rng.randint(0, 3)), *inits), results, (body,)).results)

    def call(self, b: Builder, scope: list[Value], depth: int) -> None:
        if not self.program.functions:
            b.op("check", (self.pick(b, scope, BOOL),), code="E0404", text="no")
            return
        fn = self.rng.choice(list(self.program.functions.values()))
        scope.extend(b.call(fn, self.pick_all(b, scope, [p.type for p in fn.params])))


def count_ops(program: Program) -> int:
    return sum(1 for fn in program.functions.values() for _ in fn.body.walk())
