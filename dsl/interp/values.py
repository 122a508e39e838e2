"""What references are while the interpreter runs. Scalars are Python floats, ints and bools; null is None."""

from __future__ import annotations

from typing import Any

from dsl.records import dataclass
from dsl.types import BOOL, F32, F64, I64, LeafType


@dataclass(eq=False)
class Memory:
    """A run of records, each a list of its fields. Equal only to itself: it stands for a place. It cannot grow where
    it stands for memory that Python owns."""

    rows: list[list[Any]]
    growable: bool = True

    def move(self) -> Memory:
        """The contents at another place. What still refers to this one is a defect, and fails."""
        other = Memory(self.rows, self.growable)
        self.end()
        return other

    def end(self) -> None:
        del self.rows


@dataclass(eq=False, frozen=True)
class Packed:
    """What `pack` made: the values and their types."""

    values: tuple[Any, ...]
    types: tuple[LeafType, ...] = ()


def zero(t: LeafType) -> Any:
    """What memory of a field type holds when it is made."""
    if t in (F64, F32):
        return 0.0
    if t == I64:
        return 0
    return False if t == BOOL else None
