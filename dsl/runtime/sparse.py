"""Sparse matrices for Python: the one place that makes SciPy's, and the vectors that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsl.diagnostics import error


def as_vector(x: Any) -> Any:
    """The argument as a contiguous vector of float64."""
    import numpy as np

    vector = np.asarray(x)
    if vector.ndim != 1 or vector.dtype.kind not in "fiu":
        what = f"x has shape {vector.shape} and dtype {vector.dtype}"
        raise error("E0602", f"a sparse derivative is taken by a vector of numbers; {what}",
                    hint="hand over x.ravel(), and reshape it in the function")  # fmt: skip
    return np.ascontiguousarray(vector, dtype=np.float64)


def sums_of_units(colours: Sequence[int], n: int) -> list[Any]:
    """For each colour the sum of the unit vectors of that colour, of length n."""
    import numpy as np

    directions = [np.zeros(n) for _ in range(max(colours, default=-1) + 1)]
    for place, colour in enumerate(colours):
        directions[colour][place] = 1.0
    return directions


def flat(value: Any) -> list[float]:
    """A number, vector or tuple of numbers as a list."""
    import numpy as np

    return np.atleast_1d(np.asarray(value, dtype=np.float64)).tolist()  # type: ignore[no-any-return]


def sparse_matrix(entries: Sequence[tuple[int, int, float]], shape: tuple[int, int]) -> Any:
    """A `scipy.sparse.csc_matrix` of (row, column, value); every entry is kept, zeros included."""
    from scipy.sparse import coo_matrix

    rows, columns, values = ([e[k] for e in entries] for k in range(3))
    return coo_matrix((values, (rows, columns)), shape=shape).tocsc()
