"""Runs one program in every way and says where two ways disagree.

Bit for bit: values, forward gradients and reverse gradients by the interpreter, natively at O0 and at O3. Forward and
reverse mode agree within rounding that the program's own conditioning allows; both agree with central differences where
the function has no kink nearby. An error is a disagreement too: the programs are well-typed and stay in every domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import dsl
from dsl.runtime.convert import to_leaves, type_of
from dsl.runtime.engine import compile_unit
from dsl.workspace import Result
from fuzzing.agree import POINTS, Disagreement, Failure, close, compare_with_differences, internal_error, same_bits

MODES: tuple[Literal["forward", "reverse"], ...] = ("forward", "reverse")


class Subject:
    """A program in each engine: interpreted as it was lowered, without any pass; native after all passes, one SSA
    compiled at O0 and at O3."""

    def __init__(self, text: str) -> None:
        self.plain = dsl.loads(text, interpreter=True, optimize=False, verify=True)
        self.native = dsl.loads(text, interpreter=False)
        self._units: dict[int, Any] = {}

    @property
    def f(self) -> Any:
        return self.native["f"]

    def everywhere(self, name: str, leading: Sequence[str], point: Sequence[Any], mode: Any = None) -> dict[str, Any]:
        """A call of a function of the language, with some functions of the program before the numbers."""
        found = {}
        for engine, module in (("interpreter", self.plain), ("O3", self.native)):
            work = module._workspace
            args = [*(work.function(g) for g in leading), *point]
            found[engine] = work.value(work.apply(work.function(name), args, {}, mode))
        found["O0"] = self._at_level_0(name, leading, point, mode)
        return found

    def _at_level_0(self, name: str, leading: Sequence[str], point: Sequence[Any], mode: Any) -> Any:
        work = self.native._workspace
        args = [*(work.function(g) for g in leading), *point]
        compiled = work.compiled(work.function(name), [type_of(a) for a in args], (), mode)
        unit = self._units.get(id(compiled))
        if unit is None:
            unit = self._units[id(compiled)] = compile_unit(compiled.program, compiled.entry.name, opt_level=0)
        leaves = [leaf for a in args for leaf in to_leaves(a, type_of(a))]
        leaves += [compiled.entry.globals[g][k] for g, k in compiled.globals]
        return work.value(Result(compiled.entry.result, unit.call(leaves, print)))


def check(text: str, second: bool = False) -> Failure | None:
    """None where all ways agree. `second` compares second derivatives, too."""
    try:
        subject = Subject(text)
        for point in POINTS:
            compare_at(subject, point, differences="stop_gradient" not in text)
        if second:
            compare_second(subject, POINTS[0])
    except Disagreement as d:
        return d.failure
    except dsl.DslError as e:
        return Failure("error", f"{e.code} {_shape(e.message)}", str(e))
    except Exception as e:  # whatever it is, it is a defect of the compiler
        return internal_error(e)
    return None


def compare_at(subject: Subject, point: tuple[float, float, int], differences: bool) -> None:
    same_bits("value", subject.everywhere("f", (), point), point)
    gradients = {}
    for mode in MODES:
        found = subject.everywhere("gradient", ("f",), point, mode)
        same_bits(f"{mode} gradient", found, point)
        gradients[mode] = found["interpreter"]
    f = subject.f
    close("gradient", gradients["forward"], gradients["reverse"], lambda p: dsl.gradient(f, *p, mode="forward"), point)
    for k in (0, 1) if differences else ():
        compare_with_differences(f, gradients["reverse"][k], point, k)


def compare_second(subject: Subject, point: tuple[float, float, int]) -> None:
    gradients = {}
    for mode in MODES:
        found = {}
        for name, module in (("interpreter", subject.plain), ("O3", subject.native)):
            derivative = dsl.grad(module["f"], mode=mode)
            found[name] = dsl.gradient(derivative, *point, mode=mode)
        same_bits(f"second {mode} gradient", found, point)
        gradients[mode] = found["O3"]
    derivative = dsl.grad(subject.f, mode="forward")

    def forward(p: Sequence[Any]) -> Any:
        return dsl.gradient(derivative, *p, mode="forward")

    close("second gradient", gradients["forward"], gradients["reverse"], forward, point, 1e-8)


def _shape(message: str) -> str:
    """A message without the names in it, so that a reduction may change them."""
    return "".join("#" if c.isdigit() else c for c in message)[:60]
