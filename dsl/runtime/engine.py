"""Native units: a function of a program, compiled with all that it calls, ready to be called.

A unit owns its code; both go when the last reference to it, or to memory that it gave, is dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from dsl.backend.emit import EmittedUnit, emit
from dsl.backend.listing import assembly_of, function_of
from dsl.ir.core import Program
from dsl.runtime.boundary import Boundary, Out, boundary, exports
from dsl.runtime.support import imports

MOST_OPTIMISED = 20_000  # ops: what is larger is compiled at level 0, since LLVM takes time quadratic in its size


def compile_unit(program: Program, root: str, opt_level: int = 2, *, lines: bool = True) -> Unit:
    """The unit of a function. `lines`: with line tables (they do not change the code)."""
    return Unit(emit(program, root, lines=lines), opt_level)


class Unit:
    """Compiled when it is first called; listings are made when they are asked for."""

    def __init__(self, emitted: EmittedUnit, opt_level: int) -> None:
        self.emitted = emitted
        self.opt_level = opt_level if emitted.size <= MOST_OPTIMISED else 0
        self.boundary: Boundary | None = None  # there is one when it has been linked

    def call(self, args: Sequence[Any], out: Out | None = None) -> list[Any]:
        """The leaves of the results. Arguments are leaves: float, int, bool, Memory, None or an ObjHandle; `out` gets
        what is printed (default: the standard output)."""
        if self.boundary is None:
            self.link()
        assert self.boundary is not None
        return self.boundary.call(args, out or _write)

    def link(self) -> None:
        """Compile and link, if that has not been done."""
        if self.boundary is None:
            from dsl.runtime.llvm import Library, object_code

            code = object_code(self.emitted.text, self.opt_level)
            self.boundary = boundary(self.emitted, Library(code, exports(self.emitted), imports(self.emitted.support)))

    @property
    def llvm_raw(self) -> str:
        """The module before optimisation."""
        return self.emitted.text

    @property
    def llvm_optimized(self) -> str:
        """The module after optimisation."""
        from dsl.runtime.llvm import optimised

        return optimised(self.emitted.text, self.opt_level)

    def llvm(self, optimize: bool = True, raw: bool = False) -> str:
        """The IR of the root function alone, without attributes and metadata; `raw`: the whole module."""
        from dsl.runtime.llvm import optimised

        if raw:
            return self.llvm_optimized if optimize else self.llvm_raw
        # printed by LLVM in both cases, so that both look alike
        text = optimised(self.emitted.text, self.opt_level if optimize else 0)
        return function_of(text, self.emitted.root, self.emitted.name)

    @property
    def assembly(self) -> str:
        """The machine code of the root function."""
        from dsl.runtime.llvm import assembly

        return assembly_of(assembly(self.emitted.text, self.opt_level), self.emitted.root)


def _write(text: str) -> None:
    sys.stdout.write(text)
