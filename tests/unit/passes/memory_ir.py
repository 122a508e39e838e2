"""Random programs with much memory: references carried, stored in other memory, packed, handed to calls and back."""

from __future__ import annotations

import random

from random_ir import BOX, RUN, _Generator

from dsl.ir.core import Function, Program, Region, Value
from dsl.ops import Builder
from dsl.types import BOOL, F64, I64, OBJ, LeafType, Mem

HOLDER = Mem((BOX, F64))
REFERENCES: tuple[LeafType, ...] = (BOX, BOX, RUN, HOLDER)


def memory_program(seed: int, functions: int = 3) -> Program:
    """A program whose last function is `main(f64, f64, i64, bool) -> (f64, i64)`."""
    rng = random.Random(seed)
    program = Program()
    for k in range(functions):
        _Memories(rng, program).function("main" if k == functions - 1 else f"f{k}")
    return program


class _Memories(_Generator):
    def function(self, name: str) -> None:
        main = name == "main"
        types: list[LeafType] = [F64, F64, I64, BOOL]
        types += [] if main else self.rng.choices(REFERENCES, k=2)
        self.results = (F64, I64) if main else (F64, self.rng.choice(REFERENCES))
        body = Region(types, ("x", "y", "n", "c"))
        b = Builder(body)
        scope = list(body.params)
        self.statements(b, scope, 0)
        b.return_(*self.pick_all(b, scope, self.results))
        self.program.add(Function(name, body, self.results))

    def constant(self, b: Builder, type: LeafType) -> Value:
        if type == HOLDER:
            holder = b.op("new", (b.i64(1),), (HOLDER,)).result
            b.op("store", (holder, b.i64(0), self.constant(b, BOX), b.f64(0.5)))
            return holder
        if type == RUN:
            run = b.op("new", (b.i64(self.rng.choice((1, 2, 40))),), (RUN,)).result
            b.op("store", (run, b.i64(0), b.f64(2.0)))
            return run
        return super().constant(b, type)

    def some_types(self) -> list[LeafType]:
        return [self.rng.choice([F64, I64, *REFERENCES]) for _ in range(self.rng.randint(0, 3))]

    def memory(self, b: Builder, scope: list[Value], depth: int) -> None:
        zero = b.i64(0)
        match self.rng.randint(0, 8):
            case 0 | 1:
                scope.append(self.constant(b, self.rng.choice(REFERENCES)))
            case 2:
                holder, box = self.pick_all(b, scope, (HOLDER, BOX))
                b.op("store", (holder, zero, box))
            case 3:
                scope.extend(b.op("load", (self.pick(b, scope, HOLDER), zero), (BOX, F64)).results)
            case 4:
                b.op("push", self.pick_all(b, scope, (RUN, F64)))
            case 5:
                scope.append(b.op("load", (self.pick(b, scope, RUN), zero), (F64,)).result)
            case 6:
                packed = b.op("pack", self.pick_all(b, scope, (BOX, RUN)), (OBJ,)).result
                scope.extend(b.op("unpack", (packed,), (BOX, RUN)).results)
            case 7:
                run = self.pick(b, scope, RUN)
                b.op("store", (run, zero, self.pick(b, scope, F64)))
                last = b.prim("sub", b.op("len", (run,), (I64,)).result, b.i64(1))
                scope.append(b.op("load", (run, last), (F64,)).result)
            case _:
                super().memory(b, scope, depth)

    def call(self, b: Builder, scope: list[Value], depth: int) -> None:
        known = [fn for fn in self.program.functions.values() if fn.name != "main"]
        if known:
            fn = self.rng.choice(known)
            args = self.pick_all(b, scope, [p.type for p in fn.params])
            scope.extend(b.call(fn, args))
