"""Sparse Jacobians and Hessians for SciPy: the pattern is detected, a few directions determine all entries.

The pattern is kept for a function and a length of x, where no input decides which way the program goes; else it is
detected at each x. The colourings are those of `ad.sparse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsl.ad.sparse import (
    Pattern,
    Tracked,
    Tracking,
    column_colours,
    columns_of,
    read_symmetric,
    star_colours,
    transposed,
)
from dsl.diagnostics import error
from dsl.functions import Function, as_function
from dsl.interp import Memory
from dsl.runtime.convert import to_leaves
from dsl.runtime.sparse import as_vector, flat, sparse_matrix, sums_of_units
from dsl.types import FLOAT32, FLOAT64, INT64, LangType, TupleType, VectorType

NUMBERS = (FLOAT64, FLOAT32, INT64)
TRACKED = frozenset({"gemm", "transpose"})  # kernels of which the references show what they read


def sparse_jacobian(fn: Function, x: Any, *others: Any) -> Any:
    """The Jacobian of a function from a vector to a vector (or a tuple of numbers, or a number) at (x, others…) with
    respect to x, as a `scipy.sparse.csc_matrix`: by forward mode, one direction for each colour of the columns, or by
    reverse mode for the colours of the rows, whichever are fewer."""
    f, x = as_function(fn), as_vector(x)
    pattern, result = pattern_of(f, x, others)
    across = transposed(pattern, len(x))
    columns, rows = column_colours(pattern, len(x)), column_colours(across, len(pattern))
    shape = (len(pattern), len(x))
    if max(columns, default=0) <= max(rows, default=0):
        push = f.transformed("pushforward at")
        products = [flat(push(x, v, *others)) for v in sums_of_units(columns, len(x))]
        entries = [(i, j, products[columns[j]][i]) for i, row in enumerate(pattern) for j in row]
    else:
        pull = f.transformed("pullback at")
        products = [flat(pull(x, _cotangent(w, result), *others)) for w in sums_of_units(rows, len(pattern))]
        entries = [(i, j, products[rows[i]][j]) for i, row in enumerate(pattern) for j in row]
    return sparse_matrix(entries, shape)


def sparse_hessian(fn: Function, x: Any, *others: Any) -> Any:
    """The Hessian of a real function of a vector at (x, others…) with respect to x, as a `scipy.sparse.csc_matrix`: a
    Hessian-vector product for each colour of a star colouring."""
    f, x = as_function(fn), as_vector(x)
    n = len(x)
    of_gradient, _ = pattern_of(f.transformed("grad"), x, others)
    across = transposed(of_gradient, n)
    pattern = [sorted({*row, *column}) for row, column in zip(of_gradient, across, strict=True)]
    colours = star_colours(pattern)
    product = f.transformed("hvp")
    products = [flat(product(x, v, *others)) for v in sums_of_units(colours, n)]
    entries = [(i, j, products[c][row]) for i, j, row, c in read_symmetric(pattern, colours)]
    return sparse_matrix(entries, (n, n))


def pattern_of(f: Function, x: Any, others: Sequence[Any]) -> tuple[Pattern, LangType]:
    """Which entries of the Jacobian of f with respect to x may be other than zero, and the type of its result."""
    work = f.workspace
    key = (f, len(x), work.generation)
    if not others and key in work.patterns:
        found: tuple[Pattern, LangType] = work.patterns[key]
        return found
    given = (x, *others)
    types = work.types_of(given, [f"argument {k}" for k in range(1, len(given) + 1)])
    compiled = work.compiled_here(f, types)
    arithmetic = Tracking()
    numbers = Memory([[Tracked(value, 1 << k)] for k, value in enumerate(x.tolist())])
    rest = [leaf for v, t in zip(others, types[1:], strict=True) for leaf in to_leaves(v, t)]
    results = work.driver.trace(compiled, [*f.leaves, numbers, *rest], arithmetic)
    result = compiled.result
    pattern = [columns_of(v) for v in _numbers(result, results)]
    if any(op.name == "kernel" and op.attrs["kernel"] not in TRACKED for g in compiled.program.functions.values()
           for op in g.body.walk()):  # fmt: skip
        pattern = [list(range(len(x))) for _ in pattern]  # references of factorisations forget what they read
    elif not others and not arithmetic.steered:
        work.patterns[key] = pattern, result
    return pattern, result


def _cotangent(w: Any, t: LangType) -> Any:
    """A vector as a cotangent of a result of type t."""
    if isinstance(t, VectorType):
        return w
    return tuple(w.tolist()) if isinstance(t, TupleType) else w.item()


def _numbers(t: LangType, leaves: Sequence[Any]) -> list[Any]:
    """The numbers of a result, in order."""
    if isinstance(t, VectorType) and t.item in NUMBERS:
        return [value for (value,) in leaves[0].rows]
    if t in NUMBERS or (isinstance(t, TupleType) and all(i in NUMBERS for i in t.items)):
        return list(leaves)
    raise error("E0602", f"a sparse Jacobian has a row for each number of a vector; the function gives {t}",
                hint="give a vector, as by vec(A), or a tuple of numbers")  # fmt: skip
