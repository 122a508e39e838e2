"""Runs one program in every way and says where two ways disagree.

Bit for bit: values, forward gradients and reverse gradients by the interpreter, natively at O0 and at O3. Forward and
reverse mode agree within rounding that the program's own conditioning allows; both agree with central differences where
the function has no kink nearby. An error is a disagreement too: the programs are well-typed and stay in every domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import dsl
import dsl.driver
from fuzzing.agree import POINTS, Disagreement, Failure, close, compare_with_differences, internal_error, same_bits

ENGINES: dict[str, dict[str, Any]] = {
    "interpreter": {"interpreter": True},
    "O0": {"opt_level": 0},
    "O3": {"opt_level": 3},
}
MODES: tuple[Literal["forward", "reverse"], ...] = ("forward", "reverse")

# what runs once may be interpreted to save LLVM's time; here the native code is what is to be run
dsl.driver.is_small = lambda compiled: False


def check(text: str, second: bool = False) -> Failure | None:
    """None where all ways agree. `second` compares second derivatives, too."""
    try:
        modules = {name: dsl.loads(text, verify=name == "interpreter", **options) for name, options in ENGINES.items()}
        for point in POINTS:
            compare_at(modules, point, differences="stop_gradient" not in text)
        if second:
            compare_second(modules, POINTS[0])
    except Disagreement as d:
        return d.failure
    except dsl.DslError as e:
        return Failure("error", f"{e.code} {_shape(e.message)}", str(e))
    except Exception as e:  # whatever it is, it is a defect of the compiler
        return internal_error(e)
    return None


def compare_at(modules: dict[str, Any], point: tuple[float, float, int], differences: bool) -> None:
    values = {name: m["f"](*point) for name, m in modules.items()}
    same_bits("value", values, point)
    gradients = {}
    for mode in MODES:
        found = {name: dsl.gradient(m["f"], *point, mode=mode) for name, m in modules.items()}
        same_bits(f"{mode} gradient", found, point)
        gradients[mode] = found["interpreter"]
    f = modules["O3"]["f"]
    close("gradient", gradients["forward"], gradients["reverse"], lambda p: dsl.gradient(f, *p, mode="forward"), point)
    for k in (0, 1) if differences else ():
        compare_with_differences(f, gradients["reverse"][k], point, k)


def compare_second(modules: dict[str, Any], point: tuple[float, float, int]) -> None:
    gradients = {}
    for mode in MODES:
        found = {}
        for name in ("interpreter", "O0"):
            derivative = dsl.grad(modules[name]["f"], mode=mode)
            found[name] = dsl.gradient(derivative, *point, mode=mode)
        same_bits(f"second {mode} gradient", found, point)
        gradients[mode] = found["O0"]
    derivative = dsl.grad(modules["O0"]["f"], mode="forward")

    def forward(p: Sequence[Any]) -> Any:
        return dsl.gradient(derivative, *p, mode="forward")

    close("second gradient", gradients["forward"], gradients["reverse"], forward, point, 1e-8)


def _shape(message: str) -> str:
    """A message without the names in it, so that a reduction may change them."""
    return "".join("#" if c.isdigit() else c for c in message)[:60]
