"""Runs a program in SSA form in every way and says where two ways disagree: see `agree`.

Also compared: what runs before any pass with what runs after all of them, and each mode over each for second order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsl.ad import expand
from dsl.diagnostics import DslError
from dsl.interp import run
from dsl.ir.core import Function, Program, Region, Value, clone_function
from dsl.ir.verifier import verify
from dsl.ops import Builder
from dsl.passes.pipeline import optimise
from dsl.runtime.engine import compile_unit
from dsl.types import F64, I64, OBJ, Mem
from fuzzing.agree import POINTS, Disagreement, Failure, close, compare_with_differences, internal_error, same_bits
from fuzzing.ssa_generate import CELLS

CELLS_SHADOW = Mem((F64, F64, F64))


def copy(p: Program) -> Program:
    return Program({name: clone_function(fn, name) for name, fn in p.functions.items()})


class Derivatives:
    """Adds functions of (x, y, n) to a program that give derivatives of `f` and `g` in every way there is."""

    def __init__(self, source: Program) -> None:
        self.program = copy(source)
        self.add("forward", self.forward("f"))
        self.add("reverse", self.reverse("f"))
        self.add("kept", self.kept)
        self.add("g_whole", self.g_whole)
        self.add("g_forward", self.forward("g_whole"))
        self.add("g_reverse", self.through_memory)
        self.add("g_kept", self.kept_with_memory)
        for inner in ("forward", "reverse"):
            self.add(f"{inner}_x", self.first(inner))
            self.add(f"forward_{inner}", self.forward(f"{inner}_x"))
            self.add(f"reverse_{inner}", self.reverse(f"{inner}_x"))

    def add(self, name: str, make: Callable[[Builder, list[Value]], list[Value]]) -> None:
        region = Region([F64, F64, I64])
        b = Builder(region)
        values = make(b, region.params)
        b.return_(*values)
        self.program.add(Function(name, region, tuple(v.type for v in values)))

    def forward(self, of: str) -> Callable[[Builder, list[Value]], list[Value]]:
        def make(b: Builder, args: list[Value]) -> list[Value]:
            seeds = ((b.f64(1.0), b.f64(0.0)), (b.f64(0.0), b.f64(1.0)))
            ops = [b.op("jvp", (*args, *s), (F64, F64), fn=of, wrt=(0, 1)) for s in seeds]
            return [op.results[1] for op in ops]

        return make

    def reverse(self, of: str) -> Callable[[Builder, list[Value]], list[Value]]:
        return lambda b, args: b.op("vjp", (*args, b.f64(1.0)), (F64, F64, F64), fn=of, wrt=(0, 1)).results[1:]

    def first(self, of: str) -> Callable[[Builder, list[Value]], list[Value]]:
        return lambda b, args: [b.call(self.program.functions[of], args)[0]]

    def kept(self, b: Builder, args: list[Value]) -> list[Value]:
        """Two records of f, one of them used late and twice."""
        x, y, n = args
        one, two = (b.op("vjp_fwd", a, (F64, OBJ), fn="f", wrt=(0, 1)).results[1] for a in ((x, y, n), (y, x, n)))

        def back(record: Value) -> list[Value]:
            return b.op("vjp_rev", (record, b.f64(1.0)), (F64, F64), fn="f", wrt=(0, 1)).results

        second, late, again = back(two), back(one), back(one)
        return [late[0], again[1], second[1], second[0]]

    # -- g(m, x, n), where m holds x and y
    def memory(self, b: Builder, x: Value, y: Value) -> Value:
        m = b.op("new", (b.i64(2),), (CELLS,)).result
        b.op("store", (m, b.i64(0), x, b.i64(1), y))
        b.op("store", (m, b.i64(1), y, b.i64(2), x))
        return m

    def g_whole(self, b: Builder, args: list[Value]) -> list[Value]:
        x, y, n = args
        return b.call(self.program.functions["g"], [self.memory(b, x, y), x, n])

    def through_memory(self, b: Builder, args: list[Value]) -> list[Value]:
        """By the cotangents of what is in the memory; then what is in it, which should be what was."""
        x, y, n = args
        m = self.memory(b, x, y)
        s = b.op("shadow", (m,), (CELLS_SHADOW,)).result
        direct = b.op("vjp", (m, x, n, b.f64(1.0), s), (F64, F64), fn="g", wrt=(0, 1)).results[1]
        contents = [v for k in range(2) for v in b.op("load", (m, b.i64(k)), CELLS.fields).results]
        return [*self.collect(b, s, direct), *contents, b.op("len", (m,), (I64,)).result]

    def kept_with_memory(self, b: Builder, args: list[Value]) -> list[Value]:
        """A record of g, used twice after its argument has been overwritten."""
        x, y, n = args
        m = self.memory(b, x, y)
        record = b.op("vjp_fwd", (m, x, n), (F64, OBJ), fn="g", wrt=(0, 1)).results[1]
        b.op("store", (m, b.i64(0), b.f64(9.0), b.i64(3), b.f64(8.0)))
        out: list[Value] = []
        for seed in (3.0, 1.0):
            s = b.op("shadow", (self.memory(b, x, y),), (CELLS_SHADOW,)).result
            direct = b.op("vjp_rev", (record, b.f64(seed), s), (F64,), fn="g", wrt=(0, 1)).result
            out = self.collect(b, s, direct)
        return out

    def collect(self, b: Builder, s: Value, direct: Value) -> list[Value]:
        """The cotangents of x and y from those of the cells that hold them."""

        def cell(k: int, field: int) -> Value:
            return b.op("load", (s, b.i64(k)), (F64,), first=field).result

        return [
            b.prim("add", b.prim("add", cell(0, 0), cell(1, 2)), direct),
            b.prim("add", cell(0, 2), cell(1, 0)),
        ]


class Compiled:
    """A function of the program, runnable by each engine."""

    def __init__(self, source: Program, name: str, mode: str, native: tuple[int, ...] = (0, 3)) -> None:
        self.name = name
        raw = copy(source)
        expand(raw, mode)  # type: ignore[arg-type]
        verify(raw)
        self.raw = raw
        p = copy(source)
        optimise(p, [name], "before-ad", verify=True)
        expand(p, mode)  # type: ignore[arg-type]
        optimise(p, [name], "after-ad", verify=True)
        self.program = p
        self.units = {f"O{level}": compile_unit(p, name, level) for level in native}

    def values(self, point: Sequence[float]) -> dict[str, Any]:
        found = {"interpreter": tuple(run(self.program, self.name, list(point), lambda text: None))}
        found |= {level: tuple(unit.call(point)) for level, unit in self.units.items()}
        return found

    def unoptimised(self, point: Sequence[float]) -> tuple[Any, ...]:
        return tuple(run(self.raw, self.name, list(point), lambda text: None))


def compare(source: Program, second: bool) -> None:
    verify(source)
    p = Derivatives(source).program
    verify(p)
    value = Compiled(p, "f", "auto")
    adds = any(op.name == "acc" for fn in source.functions.values() for op in fn.body.walk())
    gradients = {mode: Compiled(p, mode, mode) for mode in ("forward", "reverse")}
    for point in POINTS:
        found = value.values(point)
        same_bits("value", found, point)
        raw = value.unoptimised(point)
        if adds:  # in whatever order
            close("value: raw, optimised", raw, found["O3"], value.unoptimised, point)
        else:
            same_bits("value", {"unoptimised": raw, **found}, point)
        results = {}
        for mode, compiled in gradients.items():
            found = compiled.values(point)
            same_bits(f"{mode} gradient", found, point)
            results[mode] = found["O3"]
            raw = compiled.unoptimised(point)
            close(f"{mode}: raw, optimised", raw, found["O3"], compiled.unoptimised, point)

        def again(moved: Any) -> Any:
            return tuple(gradients["forward"].units["O3"].call(moved))

        close("gradient", results["forward"], results["reverse"], again, point)
        for k in (0, 1):
            compare_with_differences(lambda *a: value.units["O3"].call(a)[0], results["reverse"][k], point, k)
    compare_memory(p)
    if second:
        compare_second(p)


def compare_memory(p: Program) -> None:
    """Records that are kept, and gradients with respect to memory."""
    forward, reverse, kept = (Compiled(p, name, "reverse", (0,)) for name in ("g_forward", "g_reverse", "g_kept"))
    records = Compiled(p, "kept", "reverse", (0,))
    plain = Compiled(p, "reverse", "reverse", (0,))
    for x, y, n in POINTS:
        point = x, y, n
        found = {c.name: c.values(point) for c in (forward, reverse, kept, records, plain)}
        for name, values in found.items():
            same_bits(name, values, point)
        exact = {name: values["O0"] for name, values in found.items()}
        same_bits("memory after its gradient", {"is": exact["g_reverse"][2:], "was": (x, 1, y, y, 2, x, 2)}, point)
        for name in ("g_reverse", "g_kept"):
            close(f"g_forward, {name}", exact["g_forward"], exact[name][:2], forward.units["O0"].call, point)
        crossed = plain.units["O0"].call((y, x, n))
        close("kept, plain", (*exact["reverse"], *crossed[::-1]), exact["kept"], plain_again(plain), point)


def plain_again(plain: Compiled) -> Callable[[Any], tuple[Any, ...]]:
    def again(moved: Any) -> tuple[Any, ...]:
        x, y, n = moved
        return (*plain.units["O0"].call((x, y, n)), *plain.units["O0"].call((y, x, n))[::-1])

    return again


def compare_second(p: Program) -> None:
    point = POINTS[0]
    found = {}
    for outer in ("forward", "reverse"):
        for inner in ("forward", "reverse"):
            name = f"{outer}_{inner}"
            compiled = Compiled(p, name, "reverse", (0,))
            values = compiled.values(point)
            same_bits(f"second, {outer} over {inner}", values, point)
            found[name] = values["O0"]
            if name == "forward_forward":
                again = compiled.units["O0"].call
    for name, values in found.items():
        close(f"second: forward over forward, {name}", found["forward_forward"], values, again, point, 1e-8)


def check(source: Program, second: bool) -> Failure | None:
    try:
        compare(source, second)
    except Disagreement as d:
        return d.failure
    except DslError as e:
        return Failure("error", f"{e.code} {e.message[:60]}")
    except Exception as e:  # a defect of the compiler, whatever it is
        return internal_error(e)
    return None
