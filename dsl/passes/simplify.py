"""Algebraic simplification: the rewrites of the primitive tables, and of values that control flow only hands on."""

from __future__ import annotations

from collections import defaultdict

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES, Builder, known, made_by
from dsl.passes.common import info, substitute
from dsl.passes.dce import carried
from dsl.types import BOOL


def simplify(fn: Function) -> bool:
    """Apply the `simplify` entries of PRIMITIVES; replace carried values that never change, and results that are the
    same on every way. Exact in value and derivative."""
    simplifier = _Simplifier(fn)
    simplifier.region(fn.body)
    return simplifier.changed


def drop_stops(fn: Function) -> bool:
    """Replace every `stop` by its operand: for when no derivative will be taken any more."""
    mapping: dict[Value, Value] = {}

    def visit(region: Region) -> None:
        kept: list[Op] = []
        for op in region.ops:
            substitute(op, mapping)
            if op.name == "stop":
                mapping[op.result] = op.args[0]
            else:
                kept.append(op)
                for inner in op.regions:
                    visit(inner)
        region.ops = kept

    visit(fn.body)
    return bool(mapping)


class _Simplifier:
    def __init__(self, fn: Function) -> None:
        self.mapping: dict[Value, Value] = {}
        self.visible: set[Value] = set()
        self.present = {fn.params[k] for k in fn.attrs.get("present", ())}  # references that are not null
        self.changed = False
        self.nexts: defaultdict[Op, list[Op]] = defaultdict(list)
        self.breaks: defaultdict[Op, list[Op]] = defaultdict(list)
        self.collect(fn.body, [])

    def collect(self, region: Region, loops: list[Op]) -> None:
        """Which terminators begin the next iteration of a loop, and which end it."""
        for op in region.ops:
            if op.name == "next":
                self.nexts[loops[-1]].append(op)
            elif op.name == "break":
                self.breaks[loops[-1 - op.attrs.get("depth", 0)]].append(op)
            inner = loops if op.name == "if" else [*loops, op]
            for nested in op.regions:
                self.collect(nested, inner)

    def now(self, value: Value) -> Value:
        return self.mapping.get(value, value)

    def replace(self, old: Value, new: Value) -> None:
        self.mapping[old] = new
        self.changed = True

    # -- walking
    def region(self, region: Region) -> None:
        out = Region()
        builder = Builder(out)
        self.visible.update(region.params)
        for op in region.ops:
            substitute(op, self.mapping)
            if op.regions:
                self.control(op)
            elif op.name in PRIMITIVES:
                builder.span = op.span
                self.primitive(op, builder)
            elif op.name == "unpack":
                self.unpack(op)
            elif op.name == "same":
                builder.span = op.span
                self.same(op, builder)
            out.ops.append(op)
            self.visible.update(op.results)
        region.ops = out.ops
        for op in region.ops:
            self.visible.difference_update(op.results)
        self.visible.difference_update(region.params)

    def primitive(self, op: Op, builder: Builder) -> None:
        """The op itself stays: `dce` drops it."""
        for _, rewrite in PRIMITIVES[op.name].simplify:
            value = rewrite(builder, op)
            if value is not None:
                self.replace(op.result, value)
                return

    def unpack(self, op: Op) -> None:
        """What was packed here need not be unpacked."""
        packed = made_by(op.args[0], "pack")
        if packed and [a.type for a in packed.args] == [r.type for r in op.results]:
            for result, value in zip(op.results, packed.args, strict=True):
                self.replace(result, value)

    def same(self, op: Op, builder: Builder) -> None:
        """One reference is the same as itself; see also `different`."""
        x, y = op.args
        if x is y:
            self.replace(op.result, builder.bool(True))
        elif self.different(x, y) or self.different(y, x):
            self.replace(op.result, builder.bool(False))

    def different(self, x: Value, y: Value) -> bool:
        """What an op has made is nothing that was there before; what is there is not null."""
        null = made_by(y, "null") is not None
        return (_made(x) and (_made(y) or null or y in self.present)) or (x in self.present and null)

    def control(self, op: Op) -> None:
        if op.name == "if":
            self.positive(op)
        else:
            self.invariants(op)
        if op.name == "loop":
            self.common_result(op)
        for region in op.regions:
            self.region(region)
        if op.name == "if":
            self.arms(op)

    def positive(self, op: Op) -> None:
        """`if not c` is `if c` with its arms exchanged."""
        while inner := made_by(op.args[0], "not"):
            op.args = [self.now(inner.args[0])]
            op.regions.reverse()
            self.changed = True

    # -- values handed on
    def arms(self, op: Op) -> None:
        """Results of an `if` that are the same from both arms, or that are its condition."""
        ends = [r.terminator for r in op.regions]
        if not op.results or any(end.name != "yield" for end in ends):
            return
        kept = []
        for k, (result, then, orelse) in enumerate(zip(op.results, ends[0].args, ends[1].args, strict=True)):
            if then is orelse:
                self.replace(result, then)
            elif result.type == BOOL and known(then) is True and known(orelse) is False:
                self.replace(result, op.args[0])
            else:
                kept.append(k)
        if len(kept) < len(op.results):
            op.results = [op.results[k] for k in kept]
            for end in ends:
                end.args = [end.args[k] for k in kept]

    def invariants(self, op: Op) -> None:
        """Carried values that every iteration hands on as they came."""
        (body,) = op.regions
        params = carried(op)
        first = len(op.args) - len(params)
        kept = []
        for k, (param, init) in enumerate(zip(params, op.args[first:], strict=True)):
            if all(n.args[k] is param or self.now(n.args[k]) is init for n in self.nexts[op]):
                self.replace(param, init)
                if op.name == "for":
                    self.replace(op.results[k], init)
            else:
                kept.append(k)
        if len(kept) == len(params):
            return
        for end in self.nexts[op]:
            end.args = [end.args[k] for k in kept]
        body.params = body.params[: len(body.params) - len(params)] + [params[k] for k in kept]
        if op.name == "for":
            op.results = [op.results[k] for k in kept]
        op.args = op.args[:first] + [op.args[first + k] for k in kept]

    def common_result(self, op: Op) -> None:
        """Results of a loop that are one value from outside on every exit."""
        breaks = self.breaks[op]
        if not breaks:
            return
        kept = []
        for k, result in enumerate(op.results):
            values = {self.now(b.args[k]) for b in breaks}
            if len(values) == 1 and values <= self.visible:
                self.replace(result, *values)
            else:
                kept.append(k)
        if len(kept) < len(op.results):
            op.results = [op.results[k] for k in kept]
            for end in breaks:
                end.args = [end.args[k] for k in kept]


def _made(value: Value) -> bool:
    return isinstance(value.owner, Op) and info(value.owner).makes
