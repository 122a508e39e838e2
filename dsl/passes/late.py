"""Domain checks of innermost counted loops that are looked at behind the loop, so that LLVM makes vector code of it.

    for … { …; check %good, %x {E0401 …}; … }

becomes a loop that carries whether all of them are good, and, where they are not, the loop as it was, which comes to
the same failure at the same iteration with the same operands. So that it does, and that nothing can tell that
iterations behind the failure were begun, the loop only stores, or adds, to memory that the function made, that nothing
else refers to and that the loop does not load from, has no other checks (these guard memory), and none in an arm of an
`if`.
Exact in value. What is checked does not matter to the iterations themselves: outside its domain a function gives NaN.
"""

from __future__ import annotations

from dsl.ir.core import Function, Op, Region, Value, clone_op
from dsl.ops import Builder
from dsl.passes.common import info, rewrite
from dsl.passes.names import Names
from dsl.types import BOOL, is_ref

DOMAIN = "E0401"
_FILLS = frozenset({"store", "acc"})
MOST_OPS = 300  # of a loop: it is there twice afterwards


def late_checks(fn: Function) -> bool:
    """Apply to a function. Call it once: what it makes has the same loop in it."""
    names = Names(fn)
    return rewrite(fn.body, lambda op: _late(op) if op.name == "for" and _can_be_late(op.regions[0], names) else None)


def _can_be_late(body: Region, names: Names) -> bool:
    checks = [op for op in body.ops if op.name == "check" and op.attrs["code"] == DOMAIN]
    inside = list(body.walk())
    if not checks or len(inside) > MOST_OPS:
        return False
    stored = {op.args[0] for op in inside if op.name in _FILLS}
    others = {a for op in inside if op.name not in _FILLS for a in op.args if is_ref(a.type)}
    return (
        stored.isdisjoint(others)
        and all(map(names.dies, stored))
        and all(op in checks or _is_quiet(op) for op in inside)
    )


def _is_quiet(op: Op) -> bool:
    """Nothing happens but that its results are there (numbers: no reference to what is stored to), or a store."""
    if op.name in _FILLS or op.name in ("if", "yield", "next"):
        return not any(is_ref(a.type) for a in op.args[1:])
    i = info(op)
    only_reads = not (i.writes or i.makes or i.raises or i.effect)
    return (i.pure or (i.reads and only_reads)) and not any(is_ref(r.type) for r in op.results)


def _late(loop: Op) -> list[Op]:
    """The loop that carries one bool more, and the `if` behind it with the loop as it was."""
    before = Region()
    b = Builder(before, loop.span)
    again = clone_op(loop, {})
    (body,) = loop.regions
    loop.args.append(b.const(True, BOOL))
    good = Value(BOOL, body, "good")
    body.params.append(good)
    ops: list[Op] = []
    for op in body.ops:
        if op.name == "check":
            both = Op("and", (good, op.args[0]), (BOOL,), span=op.span)
            good = both.result
            ops.append(both)
        else:
            ops.append(op)
    body.ops[:] = ops
    body.terminator.args.append(good)
    fine = Value(BOOL, loop, "fine")
    loop.results.append(fine)
    before.ops.append(loop)
    arms = (Region(), Region())
    Builder(arms[0], loop.span).yield_()
    arms[1].ops += [again, Op("unreachable", span=loop.span)]
    b.op("if", (fine,), (), arms)
    return before.ops
