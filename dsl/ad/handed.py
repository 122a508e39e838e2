"""Memory that the iterations of a loop hand on, each the memory that it made: its shadow is the reverse sweep's alone.

    %r = for … (%u: mem<f64> = %init) { %next = new %n; … load %u[%i] …; store %next[%i], %x …; next %next }

The shadows of all these memories together are as much memory as a tape, and each is used in two iterations only. So the
forward sweep makes none of them. The reverse loop carries the shadow of what the iteration handed on, makes that of
%u, and hands it on; the shadow of %r is made where the reverse sweep enters the region of the loop, and what the loop
leaves is added to the shadow of %init.

So there are two shadows of one memory, that of %init and the one that the reverse loop ends with (or, where the loop
does not run, that of %r). Cotangents that are added may be added in two places, but what takes them, the adjoint of a
write, would have to look at both. So
- %u and %r are only read, by their names;
- %next is read and written, by its name, and handed on once; it is made in each iteration, of a size that is known
  before the loop or of that of %u;
- from the beginning of the loop to the end of the region that it is in, memory of this type is only written that has
  been made there, and nothing is called;
- these are memories of numbers, and the loop and what is beside it have no other exits than their ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dsl.ad.apart import is_flat
from dsl.ir.core import Op, Region, Value
from dsl.ops import PRIMITIVES, made_by
from dsl.records import dataclass

if TYPE_CHECKING:
    from dsl.ad.plan import Plan

_READS = frozenset({"load", "len"})
_WRITES = frozenset({"store", "acc"})
_UNDERSTOOD = _READS | _WRITES | {
    "const", "null", "new", "same", "if", "for", "loop", "yield", "next", "break", "return", "check", "print", "stop",
}  # fmt: skip


@dataclass(frozen=True)
class Handed:
    """The names of it: what the loop begins with, its parameter, what an iteration makes, what the loop gives."""

    init: Value
    param: Value
    made: Value
    result: Value

    @property
    def names(self) -> tuple[Value, ...]:
        """Those whose shadow the reverse sweep makes."""
        return self.param, self.made, self.result

    @property
    def size(self) -> Value | None:
        """Of what an iteration makes; None: that of what was handed to it."""
        assert isinstance(self.made.owner, Op)
        size = self.made.owner.args[0]
        return None if is_length(size, self.param) else size


def is_length(size: Value, m: Value) -> bool:
    length = made_by(size, "len")
    return length is not None and length.args[0] is m


def find_handed(plan: Plan) -> dict[Op, list[Handed]]:
    """What each loop hands on in this way."""
    body = plan.fn.body
    found: dict[Op, list[Handed]] = {}
    uses: dict[Value, list[tuple[Op, int]]] = {}
    for region in _regions(body):
        for k, op in enumerate(region.ops):
            if op.name == "for" and any(is_flat(v.type) for v in op.args[3:]) and _ends_only(plan, region, op):
                uses = uses or _uses(body)
                handed = [h for h in _candidates(op, uses) if _is_understood(plan, region, k, h)]
                if handed:
                    found[op] = handed
    return found


def _regions(body: Region) -> Iterator[Region]:
    yield body
    for op in body.walk():
        yield from op.regions


def _ends_only(plan: Plan, region: Region, loop: Op) -> bool:
    around = plan.owner[loop]
    exits = (op.regions and around.after[op] > around.before[op] for op in region.ops)
    return loop in plan.activity.live and len(plan.loop[loop].exits) == 1 and not any(exits)


def _uses(body: Region) -> dict[Value, list[tuple[Op, int]]]:
    """Where each reference is an operand."""
    found: dict[Value, list[tuple[Op, int]]] = {}
    for op in body.walk():
        for k, a in enumerate(op.args):
            if is_flat(a.type):
                found.setdefault(a, []).append((op, k))
    return found


def _candidates(loop: Op, uses: dict[Value, list[tuple[Op, int]]]) -> Iterator[Handed]:
    (body,) = loop.regions
    defined = set(body.params) | {r for op in body.walk() for r in op.results}
    places = zip(loop.args[3:], body.params[1:], body.terminator.args, loop.results, strict=True)
    for init, param, made, result in places:
        new = made.owner
        if not is_flat(param.type) or not isinstance(new, Op) or new.name != "new" or new not in body.ops:
            continue
        others = [(op, k) for op, k in uses[made] if op is not body.terminator]
        if (
            (new.args[0] not in defined or is_length(new.args[0], param))
            and len(others) == len(uses[made]) - 1
            and all(k == 0 and op.name in _READS | _WRITES for op, k in others)
            and all(k == 0 and op.name in _READS for v in (param, result) for op, k in uses.get(v, ()))
        ):
            yield Handed(init, param, made, result)


def _is_understood(plan: Plan, region: Region, k: int, handed: Handed) -> bool:
    """Whether from the loop on only memory is written that is made there."""
    part = [inner for op in region.ops[k:] for inner in (op, *(o for r in op.regions for o in r.walk()))]
    made = {op.result for op in part if op.name == "new"}
    written = {op.args[0] for op in part if op.name in _WRITES and op.args[0].type == handed.made.type}
    return (
        plan.activity.shadowed(handed.made)
        and written <= made
        and all(op.name in _UNDERSTOOD or op.name in PRIMITIVES for op in part)
    )
