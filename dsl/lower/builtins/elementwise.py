"""Arithmetic of whole arrays without dots: `A + B`, `A - B`, `-A`, `2A`, `A / 2`.

Arrays that are added have one shape; nothing is stretched. A chain of sums is one loop. Rows (`v'`) stay rows.
Products of arrays are no matter of elements: they are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from dsl.diagnostics import error
from dsl.lower.arrays import adjoint, is_array, sizes_of
from dsl.lower.broadcast import combine, materialise, operand
from dsl.lower.builtins import numbers, text  # noqa: F401 - their operators are extended here
from dsl.lower.builtins.registry import extend
from dsl.lower.calls import call_name
from dsl.lower.frame import Frame
from dsl.lower.patterns import NUMBER, supertype
from dsl.lower.values import Val, is_number
from dsl.types import AdjointType, LangType, RangeType, StructType

Apply = Callable[[Sequence[Val]], Val]


def arrayish(t: LangType) -> bool:
    return is_array(t) or isinstance(t, RangeType)


def scalar(t: LangType) -> bool:
    """What multiplies each element: numbers, and structs that are numbers."""
    return is_number(t) or (isinstance(t, StructType) and supertype(t).within(NUMBER))


def elementwise(f: Frame, args: Sequence[Val], apply: Apply) -> Val:
    """One loop over arrays of one shape, or one array and scalars."""
    arrays = [a for a in args if arrayish(a.type)]
    if all(isinstance(a.type, AdjointType) for a in arrays):
        plain = [adjoint(f, a) if isinstance(a.type, AdjointType) else a for a in args]
        return adjoint(f, elementwise(f, plain, apply))
    require_one_shape(f, arrays)
    return materialise(f, combine(f, [operand(f, a) for a in args], apply))


def require_one_shape(f: Frame, arrays: Sequence[Val]) -> None:
    shapes = [sizes_of(f, a) if is_array(a.type) else a.leaves[2:] for a in arrays]
    for shape in shapes[1:]:
        if len(shape) != len(shapes[0]):
            ranks = f"{len(shapes[0])} and {len(shape)} dimensions"
            raise error("E0412", f"arrays of {ranks} have no common shape", f.span,
                        hint="an operator with a dot stretches the missing dimension")  # fmt: skip
        same = [f.b.prim("eq", n, m) for n, m in zip(shapes[0], shape, strict=True) if n is not m]
        if same:
            names = [" × ".join(f"{{{k * len(shape) + i}}}" for i in range(len(shape))) for k in (0, 1)]
            f.check(reduce(lambda a, b: f.b.prim("and", a, b), same), "E0412",
                    f"arrays of sizes {names[0]} and {names[1]} have no common shape", *shapes[0], *shape,
                    hint="an operator with a dot stretches what has size 1")  # fmt: skip


def _fold(f: Frame, symbol: str) -> Apply:
    def apply(items: Sequence[Val]) -> Val:
        total = items[0]
        for item in items[1:]:
            total = call_name(f, symbol, [total, item])
        return total

    return apply


@extend("+")
def add(f: Frame, args: list[Val]) -> Val | None:
    if not args or not all(arrayish(a.type) for a in args):
        return None
    return elementwise(f, args, _fold(f, "+")) if len(args) > 1 else args[0]


@extend("-")
def subtract(f: Frame, args: list[Val]) -> Val | None:
    if len(args) not in (1, 2) or not all(arrayish(a.type) for a in args):
        return None
    return elementwise(f, args, lambda items: call_name(f, "-", items))


@extend("*")
def scale(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or sum(is_array(a.type) for a in args) != 1 or not any(scalar(a.type) for a in args):
        return None
    return elementwise(f, args, lambda items: call_name(f, "*", items))


@extend("/")
def divide(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not arrayish(args[0].type) or not scalar(args[1].type):
        return None
    return elementwise(f, args, lambda items: call_name(f, "/", items))


@extend("\\")
def divide_left(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not arrayish(args[1].type) or not scalar(args[0].type):
        return None
    return elementwise(f, args, lambda items: call_name(f, "\\", items))
