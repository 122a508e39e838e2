"""Functions that nothing calls are dropped."""

from __future__ import annotations

from collections.abc import Sequence

from dsl.ir.core import Program
from dsl.passes.common import components


def reachable(program: Program, roots: Sequence[str]) -> bool:
    """Keep the functions that the roots need: through calls, derivative ops and rules. Order is kept."""
    needed = {name for group in components(program, roots) for name in group}
    dropped = [name for name in program.functions if name not in needed]
    for name in dropped:
        del program.functions[name]
    return bool(dropped)
