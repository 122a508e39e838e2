"""Runs a program in SSA form in every way and says where two ways disagree: see `agree`.

Also compared: what runs before any pass with what runs after all of them, and each mode over each for second order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsl.ad import expand
from dsl.diagnostics import DslError
from dsl.interp import run
from dsl.ir.core import Function, Program, Region, Value, clone_function
from dsl.ir.verifier import verify
from dsl.ops import Builder
from dsl.passes.pipeline import optimise
from dsl.runtime.engine import compile_unit
from dsl.types import F64
from fuzzing.agree import POINTS, Disagreement, Failure, close, compare_with_differences, internal_error, same_bits


def copy(p: Program) -> Program:
    return Program({name: clone_function(fn, name) for name, fn in p.functions.items()})


def with_derivatives(source: Program) -> Program:
    """The program with functions for its gradient by a jvp for each of x and y, by a vjp, and of second order."""
    p = copy(source)
    f = p.functions["f"]

    def derived(name: str, make: Callable[[Builder, list[Value]], list[Value]]) -> None:
        region = Region([v.type for v in f.params])
        b = Builder(region)
        values = make(b, region.params)
        b.return_(*values)
        p.add(Function(name, region, tuple(v.type for v in values)))

    def forward(of: str) -> Callable[[Builder, list[Value]], list[Value]]:
        def make(b: Builder, args: list[Value]) -> list[Value]:
            seeds = ((b.f64(1.0), b.f64(0.0)), (b.f64(0.0), b.f64(1.0)))
            ops = [b.op("jvp", (*args, *s), (F64, F64), fn=of, wrt=(0, 1)) for s in seeds]
            return [op.results[1] for op in ops]

        return make

    def reverse(of: str) -> Callable[[Builder, list[Value]], list[Value]]:
        return lambda b, args: b.op("vjp", (*args, b.f64(1.0)), (F64, F64, F64), fn=of, wrt=(0, 1)).results[1:]

    def first(of: str) -> Callable[[Builder, list[Value]], list[Value]]:
        return lambda b, args: [b.call(p.functions[of], args)[0]]

    derived("forward", forward("f"))
    derived("reverse", reverse("f"))
    derived("forward_x", first("forward"))
    derived("reverse_x", first("reverse"))
    for outer, make in (("forward", forward), ("reverse", reverse)):
        for inner in ("forward", "reverse"):
            derived(f"{outer}_{inner}", make(f"{inner}_x"))
    return p


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

    def values(self, point: tuple[float, ...]) -> dict[str, Any]:
        found = {"interpreter": tuple(run(self.program, self.name, list(point), lambda text: None))}
        found |= {level: tuple(unit.call(point)) for level, unit in self.units.items()}
        return found

    def unoptimised(self, point: tuple[float, ...]) -> tuple[Any, ...]:
        return tuple(run(self.raw, self.name, list(point), lambda text: None))


def compare(source: Program, second: bool) -> None:
    verify(source)
    p = with_derivatives(source)
    verify(p)
    value = Compiled(p, "f", "auto")
    gradients = {mode: Compiled(p, mode, mode) for mode in ("forward", "reverse")}
    for point in POINTS:
        found = value.values(point)
        same_bits("value", found, point)
        same_bits("value", {"unoptimised": value.unoptimised(point), **found}, point)
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
    if second:
        compare_second(p)


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
