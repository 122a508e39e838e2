"""A function for arguments of certain types, ready to be called with leaf values: what all of them have in common, just
compiled or taken from the user's store.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeAlias

from dsl.options import Options, Timings
from dsl.runtime.engine import Unit
from dsl.runtime.lending import Access, arrays_lent
from dsl.types import LangType, LeafType, Mem

Out: TypeAlias = Callable[[str], Any]


class Specialised:
    """`apart`: the parameters that are taken to be different memories; for a call where they are not there is
    `cautious`, which `is_cautious`. `globals`: the leaves of top-level variables that it takes after the
    arguments, whose values are `further`. `keep` is told of native code that has been made."""

    globals: list[tuple[str, int]]
    apart: tuple[int, ...]
    options: Options
    native: Unit | None
    keep: Callable[[Any, Unit, int], None] | None = None
    is_cautious = False

    # what compiled code and kept code know in different ways
    @property
    @abstractmethod
    def timings(self) -> Timings: ...

    @property
    @abstractmethod
    def result(self) -> LangType: ...

    @property
    @abstractmethod
    def params(self) -> tuple[LeafType, ...]: ...

    @property
    @abstractmethod
    def function(self) -> str:
        """What messages call the function."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """What messages call what each parameter belongs to: the function, an argument, or a top-level variable."""

    @property
    @abstractmethod
    def further(self) -> list[Any]: ...

    @property
    @abstractmethod
    def access(self) -> Access:
        """What a call does with the arrays of its caller."""

    @property
    @abstractmethod
    def exact(self) -> bool:
        """Its bits are those of the same call among other code: no function was chosen by the loop it is in."""

    @property
    @abstractmethod
    def cautious(self) -> Specialised: ...

    @property
    @abstractmethod
    def unit(self) -> Unit: ...

    # -- calls
    @cached_property
    def takes_memory(self) -> bool:
        return any(isinstance(t, Mem) for t in self.params)

    def call(self, args: Sequence[Any], out: Out, once: bool = False) -> list[Any]:
        """The leaves of the result; those of the top-level variables it uses are added to the arguments."""
        if not self.takes_memory:
            return self.run([*args, *self.further], out, once)
        with self.lent(args) as (fitting, values):
            return fitting.run(values, out, once)

    @contextmanager
    def lent(self, args: Sequence[Any]) -> Iterator[tuple[Specialised, Sequence[Any]]]:
        """What is right for these arguments, and the values to call it with, while the context lasts: it is other code
        where one memory is two of them."""
        values = [*args, *self.further]
        apart = [id(values[k]) for k in self.apart]
        fitting = self if len(apart) < 2 or len(set(apart)) == len(apart) else self.cautious
        with arrays_lent(values, fitting.params, lambda: fitting.access, fitting.function, fitting.names) as given:
            yield fitting, given

    def run(self, values: Sequence[Any], out: Out, once: bool) -> list[Any]:
        """Call it with all its values. `once`: another way than native code may be sooner done."""
        unit = self.unit
        if unit.outgrown(values):
            with self.timings.stage("llvm"):
                unit.optimise()
        with self.timings.stage("run"):
            return unit.call(values, out)
