"""Which of two functions computes an exponential, a logarithm or a power: in innermost counted loops whose iterations
do not wait for each other the polynomials (`ops.polynomials`), which become vector code; elsewhere the C library,
which has a single result sooner. Both are within 1 ulp. Decided here, for native code and the interpreter alike.

An iteration waits where an operand depends on a value that the loop carries, or on one loaded from memory that the loop
stores to at another index. A loop that calls is left alone. No derivative is taken afterwards.
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops.core import IN_LANES

_LOOPS = frozenset({"for", "loop"})
_NEVER = frozenset({"call", "push", "pop", "print", "kernel"})


def lanes(fn: Function) -> bool:
    """Apply to a function."""
    changed = False
    for op in fn.body.walk():
        if op.name == "for":
            changed |= _loop(op.regions[0])
    return changed


def _loop(body: Region) -> bool:
    ops = list(body.walk())
    candidates = [op for op in ops if op.name in IN_LANES]
    if not candidates or any(op.name in _LOOPS or op.name in _NEVER for op in ops):
        return False
    waiting = _waiting(body, ops)
    free = [op for op in candidates if waiting.isdisjoint(op.args)]
    for op in free:
        op.name = IN_LANES[op.name]
    return bool(free)


def _waiting(body: Region, ops: list[Op]) -> set[Value]:
    """The values of an iteration that need those of the iteration before."""
    stored: dict[Value, set[Value]] = {}
    for op in ops:
        if op.name in ("store", "acc"):
            stored.setdefault(op.args[0], set()).add(op.args[1])
    waiting = set(body.params[1:])
    _spread(body, stored, waiting)
    return waiting


def _spread(region: Region, stored: dict[Value, set[Value]], waiting: set[Value]) -> None:
    """Add what follows from the values that wait, in program order."""
    for op in region.ops:
        given = list(op.args)
        for arm in op.regions:
            _spread(arm, stored, waiting)
            given += arm.terminator.args
        other = op.name == "load" and stored.get(op.args[0], set()) - {op.args[1]}
        if other or not waiting.isdisjoint(given):
            waiting.update(op.results)
