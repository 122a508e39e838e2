"""Control flow in its simplest form: less nesting, no loop that runs once."""

from __future__ import annotations

from collections import defaultdict

from dsl.ir.core import TERMINATORS, Function, Op, Region, Value
from dsl.passes.common import substitute
from dsl.records import dataclass, field

# A block (a loop that runs once) with more exits than this stays one: as nested `if`s it would nest as deeply.
MAX_EXITS = 8


def flatten(fn: Function) -> bool:
    """Move the arm of an `if` behind it where the other arm leaves; dissolve loops that run once. No op is duplicated,
    and each is done under the same conditions as before: exact in value and derivative."""
    flattener = _Flattener(_exits(fn.body))
    flattener.region(fn.body)
    return flattener.changed


@dataclass(slots=True)
class _Exits:
    """What ends an iteration of a loop."""

    nexts: int = 0
    breaks: list[Op] = field(default_factory=list)
    deep: bool = False  # a break from a loop inside


def _exits(body: Region) -> defaultdict[Op, _Exits]:
    found: defaultdict[Op, _Exits] = defaultdict(_Exits)

    def visit(region: Region, loops: list[Op]) -> None:
        for op in region.ops:
            if op.name == "next":
                found[loops[-1]].nexts += 1
            elif op.name == "break":
                depth = op.attrs.get("depth", 0)
                exits = found[loops[-1 - depth]]
                exits.breaks.append(op)
                exits.deep |= depth > 0
            inner = loops if op.name == "if" else [*loops, op]
            for nested in op.regions:
                visit(nested, inner)

    visit(body, [])
    return found


class _Flattener:
    def __init__(self, exits: defaultdict[Op, _Exits]) -> None:
        self.exits = exits
        self.mapping: dict[Value, Value] = {}
        self.dissolved: list[bool] = []  # for each loop around, whether it will be gone
        self.changed = False

    def region(self, region: Region) -> None:
        ops: list[Op] = []
        ops.append(self.fill(region.ops, ops))
        region.ops = ops

    def fill(self, source: list[Op], ops: list[Op]) -> Op:
        """Append the ops of a region, flattened; gives its terminator, not appended."""
        for op in source:
            substitute(op, self.mapping)
            if op.name in TERMINATORS:
                return self.terminator(op)
            leaving = self.op(op, ops)
            if leaving is not None:
                return leaving
        raise AssertionError("a region without terminator")

    def terminator(self, op: Op) -> Op:
        depth = op.attrs.get("depth", 0)
        if op.name == "break" and depth and any(self.dissolved[-depth:]):
            op.attrs["depth"] = depth - sum(self.dissolved[-depth:])
        return op

    def op(self, op: Op, ops: list[Op]) -> Op | None:
        """Append an op; gives the terminator behind which control does not get, if it meets one."""
        if op.name == "if":
            return self.conditional(op, ops)
        if op.name == "loop" and self.exits[op].nexts == 0:
            return self.block(op, ops)
        for region in op.regions:
            self.dissolved.append(False)
            self.region(region)
            self.dissolved.pop()
        ops.append(op)
        return None

    # -- if
    def conditional(self, op: Op, ops: list[Op]) -> Op | None:
        yielding = [r for r in op.regions if r.terminator.name == "yield"]
        if len(yielding) != 1 or (len(yielding[0].ops) == 1 and not op.results):
            for region in op.regions:
                self.region(region)
            ops.append(op)
            return None
        self.changed = True
        (arm,) = yielding
        (other,) = (r for r in op.regions if r is not arm)
        self.region(other)
        rest, results = arm.ops, op.results
        arm.ops, op.results = [Op("yield", span=arm.terminator.span)], []
        ops.append(op)
        end = self.fill(rest, ops)
        if end.name != "yield":
            return end
        self.mapping.update(zip(results, end.args, strict=True))
        return None

    # -- loops that run once
    def block(self, op: Op, ops: list[Op]) -> Op | None:
        (body,) = op.regions
        exits = self.exits[op]
        self.changed |= bool(op.args)
        self.mapping.update(zip(body.params, op.args, strict=True))
        op.args, body.params = [], []
        last = body.terminator
        if all(exit is last for exit in exits.breaks):
            return self.dissolve(op, ops)
        self.dissolved.append(False)
        self.region(body)
        self.dissolved.pop()
        if exits.deep or len(exits.breaks) > MAX_EXITS or not _closable(body.ops, exits.breaks):
            ops.append(op)
            return None
        self.changed = True
        _shallower(body, exits.breaks, 0)
        ops += _closed(body.ops, exits.breaks, op)
        end = ops.pop()
        if end.name != "yield":
            return end
        self.mapping.update(zip(op.results, end.args, strict=True))
        return None

    def dissolve(self, op: Op, ops: list[Op]) -> Op | None:
        """A block that ends at its end, and only there (or never): its ops in its place."""
        self.changed = True
        (body,) = op.regions
        last = body.terminator
        here = last in self.exits[op].breaks
        self.dissolved.append(True)
        end = self.fill(body.ops, ops)
        self.dissolved.pop()
        if end is not last or not here:
            return end
        self.mapping.update(zip(op.results, end.args, strict=True))
        return None


# ---------------------------------------------------------------- a block as nested ifs


def _holds(op: Op, exits: list[Op]) -> bool:
    """Whether one of the exits stands in the arms of an `if`."""
    return op.name == "if" and any(o in exits or _holds(o, exits) for r in op.regions for o in r.ops)


def _closable(ops: list[Op], exits: list[Op]) -> bool:
    """Whether every path to an exit goes through `if`s of which at most one arm goes on: what follows such an `if` can
    then stand in that arm, once."""
    for op in ops:
        if _holds(op, exits):
            going_on = [r for r in op.regions if r.terminator.name == "yield"]
            if len(going_on) > 1 or any(len(r.ops) > 1 or op.results for r in going_on):
                return False
            if not all(_closable(r.ops, exits) for r in op.regions if r not in going_on):
                return False
    return True


def _closed(ops: list[Op], exits: list[Op], block: Op) -> list[Op]:
    """The ops of a block, its exits made `yield`s: what follows an `if` with exits moves into the arm that goes on."""
    for k, op in enumerate(ops):
        if _holds(op, exits):
            rest = ops[k + 1 :]
            for region in op.regions:
                going_on = region.terminator.name == "yield"
                region.ops = _closed(rest if going_on else region.ops, exits, block)
            yielding = any(r.terminator.name == "yield" for r in op.regions)
            op.results = [Value(r.type, op, r.hint) for r in block.results] if yielding else []
            end = Op("yield", op.results, span=op.span) if yielding else Op("unreachable", span=op.span)
            return [*ops[: k + 1], end]
    last = ops[-1]
    return [*ops[:-1], Op("yield", last.args, span=last.span) if last in exits else last]


def _shallower(region: Region, exits: list[Op], inside: int) -> None:
    """Count the block no longer in the depth of breaks that cross it. `inside`: loops around, within the block."""
    for op in region.ops:
        if op.name == "break" and op not in exits and op.attrs.get("depth", 0) >= inside + 1:
            op.attrs["depth"] -= 1
        for nested in op.regions:
            _shallower(nested, exits, inside + (op.name != "if"))
