"""Native units: a function of a program, compiled with all that it calls, ready to be called.

A unit owns its code; both go when the last reference to it, or to memory that it gave, is dropped. What a unit is made
of is kept in the user's store (`runtime/kept.py`), so that one can be made again from there, without its text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dsl.backend.unit import EmittedUnit
from dsl.runtime.boundary import Boundary, Out, boundary, exports
from dsl.runtime.objects import known, object_code
from dsl.runtime.support import LEVEL, imports, missing

if TYPE_CHECKING:
    from dsl.ir.core import Program

BEST = 3                 # of LLVM: it takes checks that are the same in each iteration out of loops, 2 does not
AT_ONCE = 400            # ops: what is larger is compiled at level 0 first, which takes a tenth of the time; with the
                         # lines of support code that it would be the first to need
WORTH_AN_OP = 50e-6      # seconds: what optimising takes; code that has run for as long is worth it
AN_OP = 1e-9             # seconds that an op takes longer at level 0, for each element or count
MOST_OPTIMISED = 20_000  # ops: what is larger stays at level 0, since LLVM takes time quadratic in its size


def compile_unit(
    program: Program, root: str, opt_level: int | None = None, *, lines: bool = True, cache: bool = False
) -> Unit:
    """The unit of a function. `opt_level` None: large code is compiled quickly at first, and optimised when it has run
    for long; so is straight code, which is optimised when it is called again: much of it never is. `lines`: with line
    tables (they do not change the code). `cache`: the object code is taken from the user's store and kept there."""
    from dsl.backend.emit import emit

    emitted = emit(program, root, lines=lines)
    wanted = BEST if opt_level is None else opt_level
    level = wanted if emitted.size <= MOST_OPTIMISED else 0
    size = emitted.size + missing(emitted.support)  # of what optimising it goes through
    unit = Unit(emitted, level, size, cache)
    unit.provisional = opt_level is None and level > 0 and (size > AT_ONCE or emitted.straight)
    if unit.provisional and cache and known(emitted.text, level):  # an earlier process has optimised it
        unit.provisional = False
    return unit


class Unit:
    """Linked when it is first called; listings are made when they are asked for."""

    def __init__(self, emitted: EmittedUnit, opt_level: int, size: int, cache: bool = False) -> None:
        """`size`: ops, as a measure of how long it takes to optimise it."""
        self.emitted = emitted
        self.opt_level = opt_level
        self.size = size
        self.cache = cache
        self.provisional = False
        self.spent = 0.0  # seconds in provisional code
        self.boundary: Boundary | None = None  # there is one when it has been linked
        self.code: bytes | None = None  # object code, from where it is made until it is linked
        self.again: Callable[[], EmittedUnit] | None = None  # emits it, where its text was not kept
        self.linked: Callable[[Unit, int], None] | None = None  # told of each level that has been linked

    def outgrown(self, args: Sequence[Any]) -> bool:
        """Whether the code is provisional, and it is time to make it faster: it has run for as long as that takes, or
        once, or it would with these arguments."""
        if not self.provisional:
            return False
        if self.emitted.straight:
            return self.spent > 0.0
        return self.spent > WORTH_AN_OP * self.size or _work(args) > WORTH_AN_OP / AN_OP

    def optimise(self) -> None:
        """Replace provisional code. What runs in it goes on, and the bits are the same."""
        self.provisional = False
        self._link(self.opt_level)

    def call(self, args: Sequence[Any], out: Out | None = None) -> list[Any]:
        """The leaves of the results. Arguments are leaves: float, int, bool, Memory, None or an ObjHandle; `out` gets
        what is printed (default: the standard output)."""
        if self.boundary is None:
            self.link()
        assert self.boundary is not None
        if not self.provisional:
            return self.boundary.call(args, out or _write)
        start = perf_counter()
        try:
            return self.boundary.call(args, out or _write)
        finally:
            self.spent += perf_counter() - start

    def link(self) -> None:
        """Compile and link, if that has not been done."""
        if self.boundary is None:
            if self.provisional:
                self._link(0, 0)
            else:
                self._link(self.opt_level)

    def _link(self, level: int, support: int = LEVEL) -> None:
        from dsl.runtime.llvm import Library

        code = self.code or object_code(self.llvm_raw, level, self.cache)
        self.code = None
        library = Library(code, exports(self.emitted), imports(self.emitted.support, support))
        self.boundary = boundary(self.emitted, library)
        if self.linked is not None:
            self.linked(self, level)
        if not self.provisional:
            self.linked = None  # who waited for it has got it: it need not stay because of this

    @property
    def llvm_raw(self) -> str:
        """The module before optimisation."""
        if self.again is not None:  # all of it is of one piece: sites are told by their numbers
            self.emitted, self.again, self.code = self.again(), None, None
        return self.emitted.text

    @property
    def llvm_optimized(self) -> str:
        """The module after optimisation."""
        from dsl.runtime.llvm import optimised

        return optimised(self.llvm_raw, self.opt_level)

    def llvm(self, optimize: bool = True, raw: bool = False) -> str:
        """The IR of the root function alone, without attributes and metadata; `raw`: the whole module."""
        from dsl.backend.listing import function_of
        from dsl.runtime.llvm import optimised

        if raw:
            return self.llvm_optimized if optimize else self.llvm_raw
        # printed by LLVM in both cases, so that both look alike
        text = optimised(self.llvm_raw, self.opt_level if optimize else 0)
        return function_of(text, self.emitted.root, self.emitted.name)

    @property
    def assembly(self) -> str:
        """The machine code of the root function."""
        from dsl.backend.listing import assembly_of
        from dsl.runtime.llvm import assembly

        return assembly_of(assembly(self.llvm_raw, self.opt_level), self.emitted.root)


def _work(args: Sequence[Any]) -> int:
    """How often a loop runs that goes through all memories, or counts up to a number, roughly."""
    return sum(abs(a) if type(a) is int else getattr(a, "length", 0) for a in args)


def _write(text: str) -> None:
    sys.stdout.write(text)
