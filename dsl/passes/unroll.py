"""Small arrays of known size, made ready for `promote`: their lengths become numbers, and the loops that index them are
written out, so that every index is a number (after `fold`) and the elements can be values.

A memory counts where it is made with a constant length and its reference is used for loads, stores and lengths only. A
`for` is written out where its bounds are constants, its counter decides which element of a small such memory is meant,
every other index of that memory is decided in the same way, and what results is not too long. Exact in value and
derivative: the same ops in the same order.
"""

from __future__ import annotations

from collections import defaultdict

from dsl.ir.core import Function, Op, Region, Value, clone_op
from dsl.ops import PRIMITIVES, Builder, known
from dsl.passes.common import substitute

MOST_RECORDS = 16  # of a memory that becomes values, as `promote` has it, too
MOST_TRIPS = 16
MOST_OPS = 400     # of a loop when it is written out

_ACCESS = frozenset({"load", "store", "acc"})


def unroll(fn: Function) -> bool:
    memories = fixed_memories(fn.body)
    if not memories:
        return False
    mapping: dict[Value, Value] = {}
    changed = _lengths(fn.body, memories, mapping)
    loops = _Choice(fn.body, memories).loops()
    if loops:
        _write_out(fn.body, loops, mapping)
    return changed or bool(loops)


def fixed_memories(body: Region) -> dict[Value, int]:
    """The memories that are made with a constant length and do not escape, with their lengths."""
    sizes = {op.result: known(op.args[0]) for op in body.walk() if op.name == "new"}
    made = {m: size for m, size in sizes.items() if isinstance(size, int) and size >= 0}
    if not made:
        return {}
    escaped: set[Value] = set()
    for op in body.walk():
        if op.name in _ACCESS:
            escaped.update(op.args[1:])
        elif op.name not in ("len", "new"):
            escaped.update(op.args)
    return {m: size for m, size in made.items() if m not in escaped}


def _lengths(region: Region, memories: dict[Value, int], mapping: dict[Value, Value]) -> bool:
    """Replace the lengths of these memories."""
    changed = False
    out = Region()
    for op in region.ops:
        substitute(op, mapping)
        for inner in op.regions:
            changed |= _lengths(inner, memories, mapping)
        if op.name == "len" and op.args[0] in memories:
            mapping[op.result] = Builder(out, op.span).i64(memories[op.args[0]])
            changed = True
        else:
            out.ops.append(op)
    region.ops = out.ops
    return changed


class _Choice:
    """Which loops are written out."""

    def __init__(self, body: Region, memories: dict[Value, int]) -> None:
        self.small = {m for m, size in memories.items() if 1 < size <= MOST_RECORDS}
        self.sizes: dict[Op, int] = {}            # how many ops a loop that may be written out comes to
        self.counters: dict[Value, Op] = {}       # of these loops
        self.indices: defaultdict[Value, list[Value]] = defaultdict(list)
        self._measure(body)
        for op in body.walk():
            if op.name in _ACCESS and op.args[0] in self.small:
                self.indices[op.args[0]].append(op.args[1])

    def _measure(self, region: Region) -> int:
        total = 0
        for op in region.ops:
            size = 1 + sum(self._measure(inner) for inner in op.regions)
            if op.name == "for" and not op.attrs:
                count = trips(op)
                if count is not None and 1 < count <= MOST_TRIPS and size * count <= MOST_OPS:
                    size *= count
                    self.sizes[op] = size
                    self.counters[op.regions[0].params[0]] = op
            total += size
        return total

    def loops(self) -> set[Op]:
        """The loops whose counters decide all indices of some small memory."""
        chosen: set[Op] = set()
        for indices in self.indices.values():
            found = [self.deciding(i) for i in indices]
            if all(f is not None for f in found):
                chosen.update(loop for f in found if f is not None for loop in f)
        return chosen

    def deciding(self, index: Value) -> set[Op] | None:
        """The loops whose counters an index is computed from; None where it is computed from anything else."""
        loops: set[Op] = set()
        waiting = [index]
        seen: set[Value] = set()
        while waiting:
            v = waiting.pop()
            if v in seen:
                continue
            seen.add(v)
            if v in self.counters:
                loops.add(self.counters[v])
            elif isinstance(v.owner, Op) and v.owner.name in PRIMITIVES:
                waiting += v.owner.args
            elif known(v) is None:
                return None
        return loops


def trips(loop: Op) -> int | None:
    """How often a `for` runs, where its bounds are constants."""
    low, high, step = (known(v) for v in loop.args[:3])
    if not isinstance(low, int) or not isinstance(high, int) or not isinstance(step, int) or step == 0:
        return None
    return max(0, (high - low) // step + 1)


def _write_out(region: Region, loops: set[Op], mapping: dict[Value, Value]) -> None:
    """Put the iterations of these loops in their places, one behind the other."""
    out: list[Op] = []
    for op in region.ops:
        substitute(op, mapping)
        for inner in op.regions:
            _write_out(inner, loops, mapping)
        if op in loops:
            mapping.update(zip(op.results, _iterations(op, out), strict=True))
        else:
            out.append(op)
    region.ops = out


def _iterations(loop: Op, out: list[Op]) -> list[Value]:
    """Append all iterations of a loop; gives what it carries at the end."""
    (body,) = loop.regions
    low, step = known(loop.args[0]), known(loop.args[2])
    count = trips(loop)
    assert isinstance(low, int) and isinstance(step, int) and count is not None
    carried = loop.args[3:]
    for k in range(count):
        place = Region()
        counter = Builder(place, loop.span).i64(low + k * step)
        out += place.ops
        names = dict(zip(body.params, [counter, *carried], strict=True))
        out += [clone_op(op, names) for op in body.ops[:-1]]
        carried = [names.get(v, v) for v in body.terminator.args]
    return carried
