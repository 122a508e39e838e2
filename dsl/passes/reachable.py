"""Functions that nothing calls are dropped."""

from __future__ import annotations

from collections.abc import Sequence

from dsl.ir.core import Program
from dsl.passes.common import call_graph


def reachable(program: Program, roots: Sequence[str]) -> bool:
    """Keep the functions that the roots need: through calls, derivative ops and rules. Order is kept."""
    needed = call_graph(program, roots).edges
    dropped = [name for name in program.functions if name not in needed]
    for name in dropped:
        del program.functions[name]
    return bool(dropped)
