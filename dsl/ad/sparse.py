"""Sparse derivatives: which entries of a Jacobian can be other than zero, and how few directions determine them all.

The pattern is found by running a program on numbers that remember which inputs they depend on (`Tracking`, an
arithmetic of the interpreter): exactly what flows, along the path that these inputs take, through memory, calls and
products of matrices. It holds at other points, too, unless an input decided where the program went (`steered`).

Columns that have no row in common can be told apart in one product J·(their sum): a colouring of the columns gives the
directions (Curtis, Powell, Reid: On the estimation of sparse Jacobian matrices, 1974). A symmetric matrix needs fewer:
a star colouring lets each entry be read from its row or from its column (Gebremedhin, Manne, Pothen: What color is your
Jacobian?, SIAM Review 47, 2005).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dsl.ops import FLOAT, PRIMITIVES
from dsl.types import LeafType

Pattern = list[list[int]]  # for each row the columns that may hold something, ascending


class Tracked(float):
    """A number that remembers, as bits, the inputs it depends on. Python's arithmetic keeps this, for the references of
    kernels that sum products."""

    __slots__ = ("inputs",)
    inputs: int

    def __new__(cls, value: float, inputs: int) -> Tracked:
        made = super().__new__(cls, value)
        made.inputs = inputs
        return made

    def _with(self, value: float, other: object) -> Tracked:
        return Tracked(value, self.inputs | getattr(other, "inputs", 0))

    def __add__(self, other: Any) -> Any: return self._with(float(self) + float(other), other)
    def __mul__(self, other: Any) -> Any: return self._with(float(self) * float(other), other)
    __radd__, __rmul__ = __add__, __mul__


class Tracking:
    """The arithmetic of floats on numbers that remember. `steered`: a comparison or a conversion to an integer has
    looked at an input."""

    def __init__(self) -> None:
        self.steered = False

    def constant(self, value: float | int | bool, type: LeafType) -> Any:
        return value if isinstance(value, Tracked) else FLOAT.constant(value, type)

    def primitive(self, name: str, types: Sequence[LeafType], values: Sequence[Any]) -> Any:
        if name == "select":
            return values[1] if values[0] else values[2]
        if not any(type(v) is Tracked for v in values):
            return FLOAT.primitive(name, types, values)
        result = FLOAT.primitive(name, types, [float(v) if type(v) is Tracked else v for v in values])
        if isinstance(result, bool | int):
            self.steered = True
            return result
        inputs = 0
        for v, entry in zip(values, PRIMITIVES[name].derivative, strict=True):
            if entry is not None and type(v) is Tracked:
                inputs |= v.inputs
        return Tracked(result, inputs) if inputs else result


def bits(mask: int) -> Iterator[int]:
    """The places of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def columns_of(value: Any) -> list[int]:
    """The inputs that a number depends on."""
    return list(bits(value.inputs)) if type(value) is Tracked else []


# ---------------------------------------------------------------- colourings


def transposed(pattern: Pattern, columns: int) -> Pattern:
    rows: Pattern = [[] for _ in range(columns)]
    for i, row in enumerate(pattern):
        for j in row:
            rows[j].append(i)
    return rows


def column_colours(pattern: Pattern, columns: int) -> list[int]:
    """A colour for each column, so that no row has two columns of one colour. Greedy, columns with most entries
    first."""
    rows_of = transposed(pattern, columns)
    colours = [-1] * columns
    for j in sorted(range(columns), key=lambda j: -len(rows_of[j])):
        taken = {colours[k] for i in rows_of[j] for k in pattern[i]}
        colours[j] = _first_free(taken)
    return colours


def star_colours(pattern: Pattern) -> list[int]:
    """A colour for each column of a symmetric pattern, so that neighbours differ and no path of four columns has two
    colours only. Greedy, columns with most entries first."""
    near = [[j for j in row if j != i] for i, row in enumerate(pattern)]
    colours = [-1] * len(pattern)
    for v in sorted(range(len(pattern)), key=lambda v: -len(near[v])):
        taken = {colours[w] for w in near[v]}
        for w in near[v]:
            for x in near[w]:
                if x == v or colours[x] < 0 or colours[x] in taken:
                    continue
                if colours[w] < 0 or any(y != w and colours[y] == colours[w] for y in near[x]):
                    taken.add(colours[x])  # v - w - x, or v - w - x - y, would have two colours
        colours[v] = _first_free(taken)
    return colours


def _first_free(taken: set[int]) -> int:
    colour = 0
    while colour in taken:
        colour += 1
    return colour


def read_symmetric(pattern: Pattern, colours: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """(i, j, row, colour): entry (i, j) of a symmetric matrix H is entry (row, colour) of the products of H with the
    sums of the columns of each colour."""
    for i, row in enumerate(pattern):
        count: dict[int, int] = {}
        for j in row:
            count[colours[j]] = count.get(colours[j], 0) + 1
        for j in row:
            alone = count[colours[j]] == 1
            yield (i, j, i, colours[j]) if alone else (i, j, j, colours[i])


