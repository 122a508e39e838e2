"""Random programs with small arrays, whose indices are constants and counters of loops, now and then something else."""

from __future__ import annotations

import random

from random_ir import _Generator

from dsl.ir.core import Program, Region, Value
from dsl.ops import Builder
from dsl.types import F64, I64, LeafType, Mem

ARRAY = Mem((F64,))
SIZE = 4  # counters go from 0 to 3


def small_program(seed: int) -> Program:
    """A program whose last function is `main(f64, f64, i64, bool) -> (f64, i64)`."""
    rng = random.Random(seed)
    program = Program()
    for name in ("f0", "main"):
        _Small(rng, program).function(name)
    return program


class _Small(_Generator):
    def constant(self, b: Builder, type: LeafType) -> Value:
        if type == ARRAY:
            return b.op("new", (b.i64(SIZE),), (ARRAY,)).result
        return super().constant(b, type)

    def memory(self, b: Builder, scope: list[Value], depth: int) -> None:
        arrays = [v for v in scope if v.type == ARRAY]
        if not arrays or self.rng.random() < 0.15:
            scope.append(self.constant(b, ARRAY))
            return
        array, index = self.rng.choice(arrays), self.index(b, scope)
        match self.rng.randint(0, 6):
            case 0 | 1:
                scope.append(b.op("load", (array, index), (F64,)).result)
            case 2 | 3:
                b.op("store", (array, index, self.pick(b, scope, F64)))
            case 4:
                b.op("acc", (array, index, self.pick(b, scope, F64)), first=0)
            case 5:
                scope.append(b.op("len", (array,), (I64,)).result)
            case _:
                super().memory(b, scope, depth)

    def index(self, b: Builder, scope: list[Value]) -> Value:
        counters = [v for v in scope if v.hint == "i" and isinstance(v.owner, Region)]
        kind = self.rng.random()
        if counters and kind < 0.7:
            counter = self.rng.choice(counters)
            return counter if kind < 0.5 else b.prim("sub", b.i64(SIZE - 1), counter)
        if kind > 0.98:  # known only when the program runs
            return b.prim("booltoi64", self.pick(b, scope, b.bool(True).type))
        return b.i64(self.rng.randrange(SIZE))
