"""Runs one program in every way and says where two ways disagree.

Bit for bit: values, forward gradients and reverse gradients by the interpreter, natively at O0 and at O3. Forward and
reverse mode agree within rounding that the program's own conditioning allows; both agree with central differences where
the function has no kink nearby. An error is a disagreement too: the programs are well-typed and stay in every domain.
"""

from __future__ import annotations

import math
import struct
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dsl
import dsl.driver

POINTS = ((0.37, -0.82, 3), (-1.13, 0.59, 6))
ENGINES: dict[str, dict[str, Any]] = {
    "interpreter": {"interpreter": True},
    "O0": {"opt_level": 0},
    "O3": {"opt_level": 3},
}
MODES: tuple[Literal["forward", "reverse"], ...] = ("forward", "reverse")

# what runs once may be interpreted to save LLVM's time; here the native code is what is to be run
dsl.driver.is_small = lambda compiled: False


@dataclass(frozen=True)
class Failure:
    """`kind` and `what` say what went wrong; a reduction keeps them. `detail` is for people."""

    kind: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}\n{self.detail}".rstrip()


class Disagreement(Exception):
    def __init__(self, kind: str, what: str, detail: str = "") -> None:
        super().__init__(kind)
        self.failure = Failure(kind, what, detail)


def check(text: str, second: bool = False) -> Failure | None:
    """None where all ways agree. `second` compares second derivatives, too."""
    try:
        modules = {name: dsl.loads(text, verify=name == "interpreter", **options) for name, options in ENGINES.items()}
        for point in POINTS:
            compare_at(modules, point)
        if second:
            compare_second(modules, POINTS[0])
    except Disagreement as d:
        return d.failure
    except dsl.DslError as e:
        return Failure("error", f"{e.code} {_shape(e.message)}", str(e))
    except RecursionError:
        return Failure("internal error", "RecursionError")
    except Exception as e:  # whatever it is, it is a defect of the compiler
        where = traceback.extract_tb(e.__traceback__)[-1]
        place = f"{where.filename.rpartition('/')[2]}:{where.name}"
        return Failure("internal error", f"{type(e).__name__} in {place}", traceback.format_exc(limit=-8))
    return None


def compare_at(modules: dict[str, Any], point: tuple[float, float, int]) -> None:
    values = {name: m["f"](*point) for name, m in modules.items()}
    same_bits("value", values, point)
    gradients = {}
    for mode in MODES:
        found = {name: dsl.gradient(m["f"], *point, mode=mode) for name, m in modules.items()}
        same_bits(f"{mode} gradient", found, point)
        gradients[mode] = found["interpreter"]
    f = modules["O3"]["f"]
    close("gradient", gradients["forward"], gradients["reverse"], lambda p: dsl.gradient(f, *p, mode="forward"), point)
    for k in (0, 1):
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


# ---------------------------------------------------------------- comparisons


def same_bits(what: str, found: dict[str, Any], point: object) -> None:
    first, *others = found
    for other in others:
        if bits(found[first]) != bits(found[other]):
            raise Disagreement(
                "bits", f"{what}: {first} and {other}", f"{found[first]!r}\n{found[other]!r}\nat {point}"
            )


def bits(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(bits(v) for v in value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("d", value)
    return value


def close(
    what: str,
    forward: Any,
    reverse: Any,
    again: Callable[[Sequence[Any]], Any],
    point: tuple[float, ...],
    rel: float = 1e-10,
) -> None:
    """Within rounding: what the forward derivative itself moves by when the point does, is allowed a thousandfold."""
    detail = f"forward {forward!r}\nreverse {reverse!r}\nat {point}"
    if [e is None for e in forward] != [e is None for e in reverse]:
        raise Disagreement("nothing", what, detail)
    for k, (a, b) in enumerate(zip(forward, reverse, strict=True)):
        if a is None or _near(a, b, rel):
            continue
        nearby = (again([*(x * (1 + s * 2**-46) for x in point[:2]), *point[2:]])[k] for s in (1, -1, 3))
        spread = max(abs(n - a) for n in nearby)
        if not abs(a - b) <= 1e3 * spread:
            raise Disagreement("forward and reverse", what, detail)


def _near(a: float, b: float, rel: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= rel * max(1.0, abs(a), abs(b))


def compare_with_differences(f: Callable[..., float], entry: float | None, point: tuple[float, ...], k: int) -> None:
    """Central differences at two steps; where they, or the two sides, disagree there is a kink or a jump nearby."""

    def at(h: float) -> float:
        moved = list(point)
        moved[k] += h
        return f(*moved)

    derivative = 0.0 if entry is None else entry
    here = f(*point)
    estimates = []
    for h in (1e-5, 3e-6):
        right, left = at(h), at(-h)
        centre = (right - left) / (2 * h)
        sides = (right - here) / h, (here - left) / h
        if not abs(sides[0] - sides[1]) <= 0.02 * (1 + abs(centre)):
            return
        estimates.append(centre)
    if not abs(estimates[0] - estimates[1]) <= 1e-4 * (1 + abs(estimates[0])):
        return
    if not abs(derivative - estimates[1]) <= 1e-3 * (1 + abs(estimates[1])):
        raise Disagreement(
            "differences", f"argument {k + 1}", f"derivative {entry!r}\ndifferences {estimates}\nat {point}"
        )


def _shape(message: str) -> str:
    """A message without the names in it, so that a reduction may change them."""
    return "".join("#" if c.isdigit() else c for c in message)[:60]
