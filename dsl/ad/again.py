"""Calls that are run again: the forward sweep keeps what goes into the call, and no tape; when the reverse sweep gets
to it, the callee's forward and reverse sweep are done in one place.

A function with the attribute `checkpoint` asks for this (`blocks` makes such functions of parts of loops). What has to
hold, so that the second run does what the first one did and nobody sees it:

- The callee finds the memory that it was given as it was. What nobody writes until then is handed to it as it is;
  anything else as a copy that was made before the call, so a second run never writes memory that others see. Copies
  are of memory whose records refer to no memory; one memory has one copy. A callee that asks which memory is which gets
  copies of all memory of a type, or of none.
- Memory that the callee makes is made again, and is another one. Its shadow, as the rest of the program knows it, is
  made beside the call; the second run takes over the cotangents in it (`Shadows.move_to`).
- It prints nothing (`Pattern.silent`). Its checks hold, since they did: only where the second run is rounded otherwise
  (as a loop that became vector code) could one fail that lies on the very edge, and then it fails.

A call of which one of these cannot be had (`copied` gives None) is an ordinary one, with a tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from dsl.ad.activity import Activity, Pattern
from dsl.ad.settled import Settled
from dsl.ad.shadows import Shadows, first_same
from dsl.analysis.influence import walk_cell
from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ops import Builder, made_by
from dsl.records import replace
from dsl.types import LeafType, Mem, is_ref

if TYPE_CHECKING:
    from dsl.ad.forward import Forward
    from dsl.ad.reverse import Backward

CHECKPOINT = "checkpoint"  # the attribute of functions, and of loops marked by hand


def flat(t: LeafType) -> bool:
    """Whether a type is of memory whose records refer to no memory."""
    return isinstance(t, Mem) and not any(is_ref(f) for f in t.fields)


def copied(op: Op, callee: Function, settled: Settled) -> frozenset[int] | None:
    """Which operands of a call are copied, so that it can be run again; None: it cannot be."""
    flow = settled.influence.flow(callee.name)
    found = set()
    for k, (a, p) in enumerate(zip(op.args, callee.params, strict=True)):
        if is_ref(a.type):
            if any(c.resized for c in walk_cell(flow.cell(p))):
                return None
            if _is_carried(a) and flat(a.type):
                found.add(k)
            elif not settled.untouched(op, a):
                if not flat(a.type):
                    return None
                found.add(k)
    deep = [a for a in op.args if is_ref(a.type) and not flat(a.type)]
    leading = [part.type for a in deep for part in walk_cell(settled.flow.cell(a))]
    types = {op.args[k].type for k in found}
    whole = types.isdisjoint(leading) and not any(a.type in types and k not in found for k, a in enumerate(op.args))
    if not whole and not types.isdisjoint(_compared(settled.influence.program, callee.name)):
        return None
    for r in op.results:
        if is_ref(r.type) and (not flat(r.type) or r.type in leading or settled.flow.cell(r).resized):
            return None
    return frozenset(found)


def _compared(program: Program, name: str) -> set[LeafType]:
    """The types of references that a function, or what it calls, tells apart: a copy is another memory."""
    found: set[LeafType] = set()
    seen, work = {name}, [name]
    while work:
        for op in program.functions[work.pop()].body.walk():
            if op.name == "address" or (op.name == "same" and not any(made_by(a, "null") for a in op.args)):
                found.update(a.type for a in op.args)
            callee = op.attrs.get("fn", name)
            if callee not in seen:
                seen.add(callee)
                work.append(callee)
    return found


def _is_carried(v: Value) -> bool:
    """Whether a loop carries a value. Were its memory kept as it is, everything that may become that value had to live
    as long (`passes.escape`), in the loops of the callee, too."""
    return isinstance(v.owner, Region) and any(op.name == "next" for op in v.owner.ops)


def pattern_again(pattern: Pattern) -> Pattern:
    """How the second run is differentiated, of how the call is."""
    return replace(pattern, in_place=True, silent=True, settled=frozenset())


class Again(Protocol):
    """What is asked of whoever makes derivative functions."""

    shadows: Shadows

    def muted(self, name: str, activity: Activity) -> Function: ...
    def call_pattern(self, activity: Activity, op: Op, scalar: str) -> Pattern: ...
    def again(self, fn: Function, pattern: Pattern) -> Function: ...


def forward_again(deriver: Again, sweep: Forward, op: Op, copies: frozenset[int], b: Builder) -> None:
    """The call in the forward sweep: the function itself, what is needed to run it again, shadows of what it gives."""
    assert sweep.keeper is not None
    order = sorted(copies)
    for k, copy in zip(order, deriver.shadows.copies([sweep.values[op.args[k]] for k in order], b), strict=True):
        sweep.keeper.define(("contents", (op, k)), copy)
    results = b.call(deriver.muted(op.attrs["fn"], sweep.activity), [sweep.values[a] for a in op.args])
    known = [(sweep.values[a], sweep.dual_or_zero(a, b)) for a in op.args if sweep.activity.shadowed(a)]
    for r, v in zip(op.results, results, strict=True):
        sweep.set_value(r, v)
        if sweep.activity.shadowed(r):
            shadow = first_same(v, known, b, lambda b, v=v: deriver.shadows.make(v, b))  # type: ignore[misc]
            sweep.set_dual(r, shadow, b)
            known.append((v, shadow))


def reverse_again(
    deriver: Again, sweep: Backward, op: Op, callee: Function, copies: frozenset[int], seeds: Sequence[Value]
) -> list[Value]:
    """The second run and the adjoint: the cotangents of the active scalar operands. `seeds` are those of the scalar
    results that are varied."""
    b, activity = sweep.b, sweep.activity
    order = sorted(copies)
    kept = [sweep.fetch(("contents", (op, k))) for k in order]
    if activity.pattern.reusable:  # they are written, and needed once more
        kept = deriver.shadows.copies(kept, b)
    mine = dict(zip(order, kept, strict=True))
    primals = [mine[k] if k in mine else sweep.primal(a) for k, a in enumerate(op.args)]
    shadows = [sweep.shadow(v) for v in (*op.args, *op.results) if activity.shadowed(v)]
    again = deriver.again(callee, deriver.call_pattern(activity, op, "active"))
    return b.call(again, [*primals, *seeds, *shadows])
