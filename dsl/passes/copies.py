"""Copies that nothing changes are not made: what is read of one is read where it was copied from.

    %m = new %n; for … { %a = load %v[%i]; acc %m[%i], %a; next }; … %b = load %m[%j]

reads %v[%j], and `dce` drops %m. (This is what becomes of a direction that is handed to forward mode.) The first thing
that the region of the `new` does with it, the length aside, is a nest of `for` that stores each record once, or adds to
each, the same place of a parameter (`analysis.places`); all else only reads. The parameter is as it was, for the
function only writes to memory that it has made. Each index is one of the memory, and so one of the parameter.

Exact in value. Runs late: derivatives of a copy are not those of what was copied.
"""

from __future__ import annotations

from dsl.analysis.places import difference, polynomial, reached
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import Builder, made_by
from dsl.passes.common import info, mentioned, written
from dsl.types import F32, F64, Mem


def copies(fn: Function) -> bool:
    """Apply to a function."""
    inside = list(fn.body.walk())
    if not any(op.name == "new" for op in inside) or not all(map(_only_own, inside)):
        return False
    return _Reader(fn).region(fn.body)


def _only_own(op: Op) -> bool:
    """Whether an op changes only memory that an op has made."""
    return op.name != "call" and (not info(op).writes or info(op).makes or all(made_by(m, "new") for m in written(op)))


class _Reader:
    def __init__(self, fn: Function) -> None:
        self.params = frozenset(fn.params)

    def region(self, region: Region) -> bool:
        changed = False
        made: dict[Value, Op] = {}
        users: dict[Value, list[Op]] = {}  # the ops of this region that mention a memory, lengths aside
        for op in region.ops:
            for inner in op.regions:
                changed |= self.region(inner)
            if users and op.name != "len":
                for m in mentioned(op):
                    if m in users:
                        users[m].append(op)
            if op.name == "new" and op.result.type in (Mem((F64,)), Mem((F32,))):
                made[op.result] = op
                users[op.result] = []
        for m, op in made.items():
            if users[m]:
                changed |= self.copy(op, region, users[m])
        return changed

    def copy(self, made: Op, region: Region, users: list[Op]) -> bool:
        """Read what a memory is a copy of, if it is one."""
        m = made.result
        nest, *later = users
        source = self.source(nest, made)
        if source is None:
            return False
        uses = [op for part in later for op in _all(part) if m in op.args]
        if any(op.name not in ("load", "len") for op in uses):
            return False
        loaded, added = source
        loads = {op for op in uses if op.name == "load"}
        for op in loads:
            op.args[0] = loaded
        if added:
            for r in (region, *(r for part in later for op in _all(part) for r in op.regions)):
                _add_zeros(r, loads)
        return bool(loads)

    def source(self, nest: Op, made: Op) -> tuple[Value, bool] | None:
        """The memory that a nest copies all of to another one, and whether it adds to it."""
        m = made.result
        loops: list[Op] = []
        at = nest
        while at.name == "for" and m not in at.args:
            loops.append(at)
            uses = [op for op in at.regions[0].ops if m in mentioned(op)]
            if len(uses) != 1:
                return None
            (at,) = uses
        if at.name not in ("store", "acc") or at.args[0] is not m or not loops:
            return None
        if len(loops) > 1 and not made.attrs.get("filled"):
            return None
        load = made_by(at.args[2], "load")
        if load is None or load.args[0] not in self.params or load.args[0].type != m.type or load.attrs.get("first"):
            return None
        same = load.args[1] is at.args[1] or difference(polynomial(load.args[1]), polynomial(at.args[1])) == 0
        whole = same and reached(at.args[1], loops) == polynomial(made.args[0])
        return (load.args[0], at.name == "acc") if whole else None


def _all(op: Op) -> list[Op]:
    """An op and all inside it."""
    return [op, *(inner for r in op.regions for inner in r.walk())]


def _add_zeros(region: Region, loads: set[Op]) -> None:
    """What was added to zeroed memory is no negative zero."""
    out = Region()
    b = Builder(out)
    for op in region.ops:
        out.ops.append(op)
        if op in loads:
            b.span = op.span
            (result,) = op.results
            op.results = [Value(result.type, op)]
            total = b.op("add", (op.result, b.zero(result.type)), ())
            total.results, result.owner = [result], total
    region.ops[:] = out.ops
