"""Reference factorisations of dense matrices on lists of numbers: the textbook algorithms, with LAPACK's conventions.

A matrix is a flat list, column by column. The numbers may be floats or of a type with more digits: only arithmetic,
comparisons and `** 0.5` are used. A result `info` is 0 for success; each function says what others mean. Where a
convention leaves signs open (eigenvectors, singular vectors), the last component that is not negligible is positive.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, inf
from typing import Any

Numbers = list[Any]  # a matrix or vector

SWEEPS = 60            # of Jacobi rotations; a dozen is enough for doubles
NEGLIGIBLE = 2.0**-20  # a component below this part of the largest says nothing about the sign


def getrf(a: Numbers, p: Numbers, n: int) -> int:
    """L and U in place with A = P L U, by Gaussian elimination with partial pivoting. p[k] is the row (from 0) that was
    swapped with row k in step k. info k > 0: the pivot of column k (from 1) is zero."""
    info = 0
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(a[i + k * n]) > abs(a[best + k * n]):
                best = i
        p[k] = best
        if a[best + k * n] == 0:
            info = info or k + 1
            continue
        for j in range(n):
            a[k + j * n], a[best + j * n] = a[best + j * n], a[k + j * n]
        for i in range(k + 1, n):
            a[i + k * n] /= a[k + k * n]
        for j in range(k + 1, n):
            for i in range(k + 1, n):
                a[i + j * n] -= a[i + k * n] * a[k + j * n]
    return info


def potrf(a: Numbers, n: int) -> int:
    """The Cholesky factor L with A = L L' in place, zeros above it; reads the lower triangle only. info k > 0: the
    leading minor of order k is not positive (then the contents are of no use)."""
    for j in range(n):
        for i in range(j):
            a[i + j * n] = 0.0
        for i in range(j, n):
            for k in range(j):
                a[i + j * n] -= a[i + k * n] * a[j + k * n]
        if not a[j + j * n] > 0:
            return j + 1
        root = a[j + j * n] ** 0.5
        for i in range(j, n):
            a[i + j * n] /= root
    return 0


def trsm(a: Numbers, b: Numbers, n: int, nrhs: int, lower: int, trans: int, unit: int) -> None:
    """B becomes the solution X of op(A) X = B, by substitution. Of A one triangle is read; `trans`: op(A) = A';
    `unit`: the diagonal is taken as ones. A zero on the diagonal divides by zero."""
    at: Callable[[int, int], Any] = (lambda i, j: a[j + i * n]) if trans else (lambda i, j: a[i + j * n])
    forwards = bool(lower) != bool(trans)
    rows = list(range(n)) if forwards else list(range(n - 1, -1, -1))
    for r in range(nrhs):
        for done, i in enumerate(rows):
            for k in rows[:done]:
                b[i + r * n] -= at(i, k) * b[k + r * n]
            if not unit:
                b[i + r * n] = divided(b[i + r * n], at(i, i))


def divided(x: Any, y: Any) -> Any:
    """x / y as IEEE has it, where Python would raise."""
    if y != 0:
        return x / y
    return x * copysign(inf, y)


def qr(a: Numbers, r: Numbers, m: int, n: int) -> None:
    """The thin factors of the m×n matrix A, by Householder reflections: Q (m×k, k = min(m, n)) over the start of A,
    the upper triangular R (k×n)."""
    k = min(m, n)
    reflectors: list[tuple[Numbers, Any]] = []  # v and 2 / v'v: each reflection is I - beta v v'
    for j in range(k):
        v = [0.0] * j + a[j + j * m : m + j * m]
        length = norm(v)
        v[j] += length if v[j] >= 0 else -length
        below = sum((x * x for x in v[j + 1 :]), 0.0)
        beta = 2 / (v[j] * v[j] + below) if below > 0 else 0.0  # a column that is zero below stays as it is
        reflectors.append((v, beta))
        for c in range(j, n):
            reflect(a, c * m, v, beta)
    for c in range(n):
        for i in range(k):
            r[i + c * k] = a[i + c * m] if i <= c else 0.0
    a[: m * k] = [float(i == c) for c in range(k) for i in range(m)]
    for v, beta in reversed(reflectors):
        for c in range(k):
            reflect(a, c * m, v, beta)


def reflect(a: Numbers, start: int, v: Numbers, beta: Any) -> None:
    """x - beta v (v'x) for the column x that begins at `start`."""
    factor = beta * sum((x * y for x, y in zip(v, a[start : start + len(v)], strict=True)), 0.0)
    for i, x in enumerate(v):
        a[start + i] -= factor * x


def norm(v: Numbers) -> Any:
    """The Euclidean length, without overflow."""
    largest = max(map(abs, v), default=0.0)
    if largest == 0:
        return largest
    return largest * sum(((x / largest) * (x / largest) for x in v), 0.0) ** 0.5


def finite(a: Numbers) -> bool:
    return all(x - x == 0 for x in a)


def syev(a: Numbers, w: Numbers, n: int) -> int:
    """Eigenvalues w, ascending, and orthonormal eigenvectors (columns, over A) of the symmetric matrix whose lower
    triangle A holds, by cyclic Jacobi rotations. info 1: A is not finite, or they did not converge."""
    s = [a[max(i, j) + min(i, j) * n] for j in range(n) for i in range(n)]
    if not finite(s):
        return 1
    v: Numbers = [float(i == j) for j in range(n) for i in range(n)]
    if not any(_sweep(s, v, n) for _ in range(SWEEPS)):
        return 1
    order = sorted(range(n), key=lambda j: s[j + j * n])
    w[:n] = [s[j + j * n] for j in order]
    a[: n * n] = [x for j in order for x in upright(v[j * n : j * n + n])]
    return 0


def _sweep(s: Numbers, v: Numbers, n: int) -> bool:
    """A rotation for each element off the diagonal that still counts; whether there was none."""
    still = True
    for p in range(n):
        for q in range(p + 1, n):
            off = s[p + q * n]
            if abs(s[p + p * n]) + abs(off) == abs(s[p + p * n]) and abs(s[q + q * n]) + abs(off) == abs(s[q + q * n]):
                continue
            still = False
            c, d = rotation(s[p + p * n], off, s[q + q * n])
            for k in range(n):
                turn(s, k + p * n, k + q * n, c, d)
            for k in range(n):
                turn(s, p + k * n, q + k * n, c, d)
            for k in range(n):
                turn(v, k + p * n, k + q * n, c, d)
            s[p + q * n] = s[q + p * n] = 0 * off
    return still


def rotation(x: Any, off: Any, y: Any) -> tuple[Any, Any]:
    """Cosine and sine that make [x off; off y] diagonal."""
    theta = (y - x) / (2 * off)
    t = 1 / (abs(theta) + (theta * theta + 1) ** 0.5)
    t = t if theta >= 0 else -t
    c = 1 / (t * t + 1) ** 0.5
    return c, t * c


def turn(a: Numbers, i: int, j: int, c: Any, s: Any) -> None:
    a[i], a[j] = c * a[i] - s * a[j], s * a[i] + c * a[j]


def upright(v: Numbers) -> Numbers:
    """The vector or its opposite: the last component that is not negligible is positive."""
    return [-x for x in v] if points_down(v) else v


def points_down(v: Numbers) -> bool:
    least = NEGLIGIBLE * max(map(abs, v), default=0.0)
    return next((x < 0 for x in reversed(v) if abs(x) > least), False)


def svd(a: Numbers, u: Numbers, s: Numbers, vt: Numbers, m: int, n: int) -> int:
    """The thin factors U (m×k), s (k, descending), V' (k×n), k = min(m, n), of the m×n matrix A = U diag(s) V', by
    one-sided Jacobi rotations. A is left without a meaning. info 1: A is not finite, or they did not converge."""
    if not finite(a[: m * n]):
        return 1
    k, rows = min(m, n), max(m, n)
    # columns of the tall one of A and A'
    columns = [a[j * m : j * m + m] for j in range(n)] if m >= n else [a[i : m * n : m] for i in range(m)]
    right = [[float(i == j) for i in range(k)] for j in range(k)]
    if not any(_orthogonalise(columns, right) for _ in range(SWEEPS)):
        return 1
    lengths = [norm(c) for c in columns]
    order = sorted(range(k), key=lambda j: -lengths[j])
    s[:k] = [lengths[j] for j in order]
    least = (lengths[order[0]] if k else 0.0) * 2.0**-200
    left = [[x / lengths[j] for x in columns[j]] if lengths[j] > least else [] for j in order]
    complete(left, rows)
    tall, small = left, [right[j] for j in order]
    lefts, rights = (tall, small) if m >= n else (small, tall)
    for j in range(k):
        sign = -1 if points_down(rights[j]) else 1
        u[j * m : j * m + m] = [sign * x for x in lefts[j]]
        for i, x in enumerate(rights[j]):
            vt[j + i * k] = sign * x
    return 0


def _orthogonalise(columns: list[Numbers], right: list[Numbers]) -> bool:
    """A rotation for each pair of columns that is not orthogonal; whether there was none."""
    still = True
    for p in range(len(columns)):
        for q in range(p + 1, len(columns)):
            x, y = columns[p], columns[q]
            scale = max(norm(x), norm(y))
            if scale == 0:
                continue
            xx, xy, yy = (sum(((f / scale) * (g / scale) for f, g in zip(h, k, strict=True)), 0.0)
                          for h, k in ((x, x), (x, y), (y, y)))  # fmt: skip
            if abs(xy) <= 2.0**-52 * (xx * yy) ** 0.5:
                continue
            still = False
            c, d = rotation(xx, xy, yy)
            for pair in ((x, y), (right[p], right[q])):
                for i in range(len(pair[0])):
                    pair[0][i], pair[1][i] = c * pair[0][i] - d * pair[1][i], d * pair[0][i] + c * pair[1][i]
    return still


def complete(vectors: list[Numbers], size: int) -> None:
    """Orthonormal vectors in the place of empty ones: unit vectors, made orthogonal to the others twice."""
    for j, vector in enumerate(vectors):
        for unit in range(size):
            if vector:
                break
            v: Numbers = [float(i == unit) for i in range(size)]
            for other in [w for w in vectors if w] * 2:
                factor = sum((x * y for x, y in zip(v, other, strict=True)), 0.0)
                v = [x - factor * y for x, y in zip(v, other, strict=True)]
            if norm(v) > 0.5 / size:
                length = norm(v)
                vector = vectors[j] = [x / length for x in v]
