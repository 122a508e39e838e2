"""Solving, determinants, factorisations and functions of matrices: where the program asks for one.

The algorithms and their derivative rules are functions of the library (`stdlib/lu.dfl` and others). Here elements
become Float64, shapes are checked, and what the algorithm found wrong (a zero pivot, a minor that is not positive) is
raised with the place in the program.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.lower.arrays import adjoint, geometry, is_array, item_of, order_of, rank_of
from dsl.lower.broadcast import combine, materialise, operand
from dsl.lower.builtins.linalg import converted, in_columns, require_equal, require_square, shape_text, written
from dsl.lower.builtins.registry import Lower, builtin, extend
from dsl.lower.calls import call_name
from dsl.lower.frame import Frame
from dsl.lower.values import Val, is_number, items_of, named_val
from dsl.records import dataclass
from dsl.types import BOTTOM, FLOAT32, FLOAT64

# What an algorithm may find, by its code: the message, and a hint. {0} is its number.
FOUND = {
    "E0413": ("the matrix is singular: pivot {0} is zero", ""),
    "E0414": (
        "the matrix is not positive definite: its leading minor of order {0} is not positive",
        "`cholesky` reads the upper triangle only",
    ),
    "E0401": ("{1} of a matrix with elements that are not finite", ""),
}


def is_matrix(v: Val) -> bool:
    return is_array(v.type) and rank_of(v.type) == 2


def floats(f: Frame, args: Sequence[Val]) -> list[Val]:
    """Arrays of real numbers with elements Float64, column by column; others as they are."""
    if not all(is_number(item_of(f, a.type)) for a in args):
        return list(args)
    return [in_columns(f, converted(f, a, FLOAT64)) for a in args]


def _all_f32(f: Frame, args: Sequence[Val]) -> bool:
    return all(item_of(f, a.type) == FLOAT32 for a in args)


def as_given(f: Frame, result: Val, args: Sequence[Val]) -> Val:
    """A result with elements Float32 where all arguments had these."""
    if not _all_f32(f, args):
        return result
    if not is_array(result.type):
        return f.number(result, FLOAT32) if result.type == FLOAT64 else result
    return materialise(f, combine(f, [operand(f, result)], lambda items: f.number(items[0], FLOAT32)))


def checked(f: Frame, name: str, code: str, result: Val) -> list[Val]:
    """The parts of a result but the last, which is 0 or the number of what is wrong."""
    *parts, info = items_of(result)
    text, hint = FOUND[code]
    f.check(f.b.prim("eq", info.leaf, f.b.i64(0)), code, written(f) + text.replace("{1}", name), info.leaf, hint=hint)
    return parts


# ---------------------------------------------------------------- functions of one matrix


@dataclass(frozen=True)
class Task:
    """A function of one matrix.

    inner    the library's function that computes it
    square   whether the matrix must be square
    code     of the error where `inner` gives a last part that is not 0; "" where it gives the result itself
    names    of the parts of a named tuple that is the result
    made_by  the library's function of the parts that makes the result
    kept     whether a result for Float32 is Float32
    mirror   whether that of the transpose is the transpose of the result: a matrix that lies row by row is taken for
             its transpose then, and not copied"""

    inner: str
    square: bool = True
    code: str = ""
    names: tuple[str, ...] = ()
    made_by: str = ""
    kept: bool = False
    symmetric: bool = False
    mirror: bool = False


TASKS = {
    "inv": Task("_inverted", code="E0413", kept=True, mirror=True),
    "det": Task("_det", kept=True, mirror=True),
    "logabsdet": Task("_logabsdet", mirror=True),
    "cholesky": Task("_cholesky", code="E0414", made_by="_cholesky_of"),
    "lu": Task("_lu", code="E0413", made_by="_lu_of"),
    "qr": Task("_qr", square=False, names=("Q", "R")),
    "eigen": Task("_eigen", code="E0401", names=("values", "vectors"), symmetric=True),
    "eigvals": Task("_eigvals", code="E0401", symmetric=True),
    "svd": Task("_svd", square=False, code="E0401", names=("U", "S", "V", "Vt")),
    "svdvals": Task("_svdvals", square=False, code="E0401"),
    "exp": Task("_exponential", kept=True, mirror=True),
}


def run(f: Frame, name: str, args: list[Val]) -> Val | None:
    """A function of one matrix, by the table."""
    task = TASKS[name]
    if len(args) != 1 or not is_matrix(args[0]) or item_of(f, args[0].type) == BOTTOM:
        return None
    if task.square:
        require_square(f, args[0], name)
    mirrored = task.mirror and order_of(args[0].type) == "C"
    (a,) = floats(f, [adjoint(f, args[0])] if mirrored else args)
    if task.inner not in _ANY_NUMBER and item_of(f, a.type) != FLOAT64:
        return None
    if task.symmetric:
        ok = call_name(f, "_nearly_symmetric", [a])
        f.check(ok.leaf, "E0409", f"{written(f)}{name} is of symmetric matrices, this one is not symmetric",
                hint="`(A + A') / 2` is the symmetric part of A")  # fmt: skip
    result = call_name(f, task.inner, [a])
    parts = checked(f, name, task.code, result) if task.code else items_of(result) if task.names else [result]
    if task.names:
        if name == "svd":
            parts.insert(2, adjoint(f, parts[2]))
        return named_val(task.names, parts)
    if task.made_by:
        return call_name(f, task.made_by, parts)
    result = adjoint(f, parts[0]) if mirrored and is_array(parts[0].type) else parts[0]
    return as_given(f, result, args) if task.kept else result


_ANY_NUMBER = ("_inverted", "_det")  # have a method for Complex and a user's numbers


def _task(name: str) -> Lower:
    return lambda f, args: run(f, name, args)


for _name in TASKS:
    (extend(_name) if _name in ("inv", "exp") else builtin(_name, forms=(f"{_name}(A)",)))(_task(_name))


@builtin("logdet", forms=("logdet(A)",))
def lower_logdet(f: Frame, args: list[Val]) -> Val | None:
    """log(det(A)), without overflow."""
    result = run(f, "logabsdet", args)
    if result is None:
        return None
    value, sign = items_of(result)
    negative = f.b.prim("lt", sign.leaf, f.b.f64(0.0))  # a sign that is NaN is not
    f.check(f.b.prim("not", negative), "E0401", f"{written(f)}the determinant is negative",
            hint="`logabsdet(A)` gives log|det(A)| and the sign")  # fmt: skip
    return as_given(f, value, args)


# ---------------------------------------------------------------- solving


@extend("\\")
def lower_solve(f: Frame, args: list[Val]) -> Val | None:
    """`A \\ B`: square systems by LU, others by least squares."""
    if len(args) != 2 or not is_matrix(args[0]) or not is_array(args[1].type) or rank_of(args[1].type) > 2:
        return None
    return solve(f, *args)


def solve(f: Frame, a: Val, b: Val) -> Val:
    sizes = [*geometry(f, a).sizes, *geometry(f, b).sizes]
    if sizes[0] is not sizes[2]:
        told = f"{shape_text(2, False, 0)} and {shape_text(rank_of(b.type), False, 2)} have different numbers of rows"
        f.check(f.b.prim("eq", sizes[0], sizes[2]), "E0412", written(f) + told, *sizes)
    mirrored = order_of(a.type) == "C" and is_number(item_of(f, a.type))
    name = "_solved_by_transpose" if mirrored else "_solved"
    operands = floats(f, [adjoint(f, a) if mirrored else a, b])
    (x,) = checked(f, "\\", "E0413", call_name(f, name, operands))
    return as_given(f, x, [a, b])


@extend("/")
def lower_divide(f: Frame, args: list[Val]) -> Val | None:
    """`A / B` is the X with X B = A."""
    if len(args) != 2 or not all(is_matrix(a) for a in args):
        return None
    a, b = args
    columns = geometry(f, a).sizes[1], geometry(f, b).sizes[1]
    require_equal(f, columns[0], columns[1], "matrices of {0} and {1} columns")
    return adjoint(f, solve(f, adjoint(f, in_columns(f, b)), adjoint(f, in_columns(f, a))))
