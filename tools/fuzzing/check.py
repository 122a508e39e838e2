"""Runs one program in every way and says where two ways disagree.

Bit for bit: values, forward gradients and reverse gradients by the interpreter, natively at O0 and at O3. (The order in
which the parts of a cotangent are added is unspecified in memory: with arrays, the interpreter, which runs what no pass
has changed, agrees within rounding. Programs with kernels that sum, matrix products among them, are defined up to
rounding: there the interpreter and each level agree within rounding, values included.) Forward and reverse mode agree
within rounding that the program's own conditioning allows, and so do reverse gradients whose plans are forced to be
others; all agree with central differences where the function has no kink nearby. An error is a disagreement too: the
programs are well-typed and stay in every domain.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import dsl
from dsl.functions import Function, Result
from dsl.ops.core import IN_LANES
from dsl.records import replace
from dsl.types import FLOAT64, INT64
from fuzzing.agree import POINTS, Disagreement, Failure, close, compare_with_differences, internal_error, same_bits

ENGINES = ("interpreter", "O0", "O3")
MODES: tuple[Literal["forward", "reverse"], ...] = ("forward", "reverse")
NUMBERS = (FLOAT64, FLOAT64, INT64)
PLANS: dict[str, Mapping[str, str]] = {
    "in blocks": {"DFL_CHECKPOINT": "on"},
    "not in blocks": {"DFL_CHECKPOINT": "off"},
    "all saved": {"DFL_PLAN": "save"},
}


def check(text: str, second: bool = False, ordered: bool = True) -> Failure | None:
    """None where all ways agree. `second` compares second derivatives, verifies the SSA after every pass, and goes
    through all again without fused multiply-adds, too; `ordered`: the parts of cotangents are added in one order."""
    try:
        f = dsl.loads(text, verify=second)["f"]
        compare(f, "stop_gradient" not in text, ordered)
        if second:
            compare_second(f, ordered)
            compare(dsl.loads(text, fma=False)["f"], "stop_gradient" not in text, ordered)
    except Disagreement as d:
        return d.failure
    except dsl.DslError as e:
        return Failure("error", f"{e.code} {_shape(e.message)}", str(e))
    except Exception as e:  # whatever it is, it is a defect of the compiler
        return internal_error(e)
    return None


class Compiled:
    """A function of (x, y, n), or its gradient in a mode, in each engine: interpreted without any pass of ours but for
    how sums are rounded, so that the passes are put to the test; native after all of them, one SSA compiled at two
    levels. The passes may choose another exponential, logarithm or power (`passes.lanes`), and another order in which
    cotangents in memory add up (`passes.carry`): then the interpreter agrees within rounding."""

    def __init__(self, fn: Function, mode: Literal["forward", "reverse"] | None = None) -> None:
        self.workspace = fn.workspace
        self.leaves = fn.leaves
        called, types = (fn, NUMBERS) if mode is None else (self.workspace.function("gradient"), (fn.type, *NUMBERS))
        made = self.workspace.compiled_here(called, types, (), mode)
        plain = replace(made.options, interpreter=True, optimize=False, verify=True)
        self.engines = {"interpreter": self.workspace.driver.compile(made.entry, plain)}
        functions = made.entry.program.functions.values()
        self.rounded = any(op.name == "kernel" for fn in functions for op in fn.body.walk())
        passed = made.program.functions.values()
        free = {*IN_LANES.values(), "acc"}
        self.chosen = any(op.name in free for fn in passed for op in fn.body.walk())
        for level in (0, 3):
            native = replace(made.options, interpreter=False, opt_level=level)
            self.engines[f"O{level}"] = replace(made, options=native, native=None)

    def plan(self, name: str) -> None:
        """A further engine: natively, with one of the plans."""
        made = self.engines["O0"]
        with environment(PLANS[name]):
            self.engines[name] = self.workspace.driver.compile(made.entry, made.options)

    def at(self, point: Sequence[Any], engine: str = "O3") -> Any:
        compiled = self.engines[engine]
        leaves = self.workspace.driver.call(compiled, [*self.leaves, *point])
        return self.workspace.value(Result(compiled.entry.result, leaves))

    def agreed(
        self, what: str, point: tuple[Any, ...], engines: Sequence[str] = ENGINES, ordered: bool = True
    ) -> Any:
        """The value on which all engines agree."""
        found = {name: self.at(point, name) for name in engines}
        if self.rounded:
            for name in found.keys() - {"O0"}:
                self.near(f"{what}: {name} and O0", found.pop(name), found["O0"], point)
        elif self.chosen or not ordered:
            self.near(f"{what}: interpreter and O0", found.pop("interpreter"), found["O0"], point)
        same_bits(what, found, point)
        return found["O0"]

    def near(self, what: str, value: Any, reference: Any, point: tuple[Any, ...]) -> None:
        """Within rounding of what O0 gave."""
        close(what, _numbers(reference), _numbers(value), lambda p: _numbers(self.at(p, "O0")), point)


def compare(f: Function, differences: bool, ordered: bool) -> None:
    value = Compiled(f)
    gradients = {mode: Compiled(f, mode) for mode in MODES}
    for plan in PLANS:
        gradients["reverse"].plan(plan)
    for point in POINTS:
        value.agreed("value", point)
        forward, reverse = (gradients[mode].agreed(f"{mode} gradient", point, ordered=ordered) for mode in MODES)
        close("gradient", forward, reverse, gradients["forward"].at, point)
        for plan in PLANS:
            close(f"gradient {plan}", forward, gradients["reverse"].at(point, plan), gradients["forward"].at, point)
        for k in (0, 1) if differences else ():
            compare_with_differences(_spread(value.at), reverse[k], point, k)


def compare_second(f: Function, ordered: bool) -> None:
    point = POINTS[0]
    if dsl.gradient(f, *point)[0] is None:
        return  # `nothing` has no derivative
    gradients = {mode: Compiled(dsl.grad(f, mode=mode), mode) for mode in MODES}
    forward, reverse = (
        gradients[mode].agreed(f"second {mode} gradient", point, ("interpreter", "O0"), ordered) for mode in MODES
    )
    close("second gradient", forward, reverse, lambda p: gradients["forward"].at(p, "O0"), point, 1e-8)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """With these variables and no other setting of plans."""
    kept = {name: os.environ.pop(name) for plan in PLANS.values() for name in plan if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(kept)


def _numbers(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _spread(at: Callable[[Sequence[Any]], float]) -> Callable[..., float]:
    return lambda *point: at(point)


def _shape(message: str) -> str:
    """A message without the names in it, so that a reduction may change them."""
    return "".join("#" if c.isdigit() else c for c in message)[:60]
