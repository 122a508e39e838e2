"""Dead code: what nothing needs is dropped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set

from dsl.ir.core import TERMINATORS, Function, Op, Region, Value
from dsl.passes.common import called, info, local_memory, written


def dce(fn: Function, quiet: Set[str] = frozenset()) -> bool:
    """Drop ops, results and carried values that neither an effect nor the function's result depends on, memory that
    is only written included. `quiet`: functions whose calls have no effect. A loop without effect counts as ending."""
    marker = _Marker(quiet)
    marker.collect(fn.body, None, [])
    marker.propagate()
    return _Sweeper(marker).region(fn.body, [])


class _Marker:
    """Finds what is live, from the effects backwards; each op and value is looked at once."""

    def __init__(self, quiet: Set[str]) -> None:
        self.quiet = quiet
        self.live: set[Value] = set()
        self.live_ops: set[Op] = set()
        self.parent: dict[Op, Op | None] = {}
        self.sources: defaultdict[Value, list[Value]] = defaultdict(list)  # where a result or parameter comes from
        self.exits: defaultdict[Op, list[Op]] = defaultdict(list)  # loop → next and break in arms and inner loops
        self.writers: defaultdict[Value, list[Op]] = defaultdict(list)  # memory made here → ops that change it
        self.pending: list[Op | Value] = []

    # -- collecting
    def collect(self, region: Region, parent: Op | None, loops: list[Op]) -> None:
        for op in region.ops:
            self.parent[op] = parent
            if op.name in TERMINATORS:
                self.terminator(op, parent, loops)
                continue
            if op.name == "for":
                self.flow(op.regions[0].params[1:], op.args[3:])
                self.flow(op.results, op.regions[0].params[1:])
            elif op.name == "loop":
                self.flow(op.regions[0].params, op.args)
            elif not self.droppable(op):
                self.pending.append(op)
            inner = loops if op.name == "if" else [*loops, op]
            for nested in op.regions:
                self.collect(nested, op, inner)

    def flow(self, targets: list[Value], sources: list[Value]) -> None:
        for target, source in zip(targets, sources, strict=True):
            self.sources[target].append(source)

    def terminator(self, op: Op, parent: Op | None, loops: list[Op]) -> None:
        match op.name:
            case "return":
                self.pending.append(op)
            case "yield":
                assert parent is not None
                self.flow(parent.results, op.args)
            case "next":
                self.flow(carried(loops[-1]), op.args)
                self.exits[loops[-1]].append(op)
            case "break":
                target = loops[-1 - op.attrs.get("depth", 0)]
                self.flow(target.results, op.args)
                self.exits[target].append(op)

    def droppable(self, op: Op) -> bool:
        i = info(op)
        if i.makes or not (i.writes or i.raises or i.effect):
            return True
        if local_memory(op):
            for memory in written(op):
                self.writers[memory].append(op)
            return True
        return op.name == "call" and called(op) in self.quiet

    # -- marking
    def propagate(self) -> None:
        while self.pending:
            item = self.pending.pop()
            if isinstance(item, Value):
                if item not in self.live:
                    self.live.add(item)
                    self.value(item)
            elif item not in self.live_ops:
                self.live_ops.add(item)
                self.op(item)

    def value(self, value: Value) -> None:
        if isinstance(value.owner, Op):
            self.pending.append(value.owner)
        self.pending += self.sources.get(value, ())
        self.pending += self.writers.get(value, ())

    def op(self, op: Op) -> None:
        parent = self.parent[op]
        if parent is not None:
            self.pending.append(parent)
        match op.name:
            case "yield" | "next" | "break" | "loop":
                pass  # carried values are live one by one
            case "for":
                self.pending += op.args[:3]
            case _:
                self.pending += op.args
        self.pending += self.exits.get(op, ())


def carried(loop: Op) -> list[Value]:
    """The parameters of a `loop` or `for` that `next` gives."""
    params = loop.regions[0].params
    return params[1:] if loop.name == "for" else params


class _Sweeper:
    """Drops what is not live."""

    def __init__(self, marker: _Marker) -> None:
        self.live = marker.live
        self.live_ops = marker.live_ops

    def keep(self, values: list[Value], like: list[Value]) -> list[Value]:
        """The values whose counterparts in `like` are live."""
        return [v for v, counterpart in zip(values, like, strict=True) if counterpart in self.live]

    def region(self, region: Region, loops: list[tuple[list[Value], list[Value]]]) -> bool:
        """`loops` has, for each loop around, its carried parameters and its results as they were."""
        before = len(region.ops)
        region.ops = [op for op in region.ops if op in self.live_ops or op.name in TERMINATORS]
        changed = len(region.ops) != before
        for op in region.ops:
            if op.regions:
                changed |= self.nested(op, loops)
            elif op.name == "next":
                op.args = self.keep(op.args, loops[-1][0])
            elif op.name == "break":
                op.args = self.keep(op.args, loops[-1 - op.attrs.get("depth", 0)][1])
        return changed

    def nested(self, op: Op, loops: list[tuple[list[Value], list[Value]]]) -> bool:
        results = op.results
        params = [] if op.name == "if" else carried(op)
        op.results = self.keep(results, params if op.name == "for" else results)
        changed = len(op.results) != len(results)
        if op.name != "if":
            changed |= self.drop_carried(op, params)
            loops = [*loops, (params, results)]
        for region in op.regions:
            if op.name == "if" and region.terminator.name == "yield":
                region.terminator.args = self.keep(region.terminator.args, results)
            changed |= self.region(region, loops)
        return changed

    def drop_carried(self, op: Op, params: list[Value]) -> bool:
        (body,) = op.regions
        first = len(op.args) - len(params)
        op.args = op.args[:first] + self.keep(op.args[first:], params)
        kept = self.keep(params, params)
        body.params = body.params[: len(body.params) - len(params)] + kept
        return len(kept) != len(params)
