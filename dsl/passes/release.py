"""Regions: memory that nothing can reach any more is used again before the call ends.

A loop gets a region where memory is made in its body that does not escape (`passes.escape`): `mark` before the loop,
`renew` where an iteration ends, `release` behind the loop and wherever else control leaves it. A function that is
called gets one around its body where it makes more than it returns. What escapes is made outside of the region: the op
that makes it (for what a callee makes, the call) has the attribute `out`, the number of regions to go out, and the
region is `apart` from the one around it, so that this can grow meanwhile. Functions that may call themselves have no
regions apart, since these take more than what is made in an ordinary one.

The invariant, on which everything rests:

    When a region is renewed or ends, no reference to memory that belongs to it is used afterwards, but through the
    results of the `renew` or `release`.

It holds, because references to such memory are (over-estimated) *inner*; these are not stored into memory from outside,
values of the body are not visible outside, and what leaves through `next`, `break`, `return` or as a result is either
not inner or an operand of the `renew` or `release` there. Several operands may be one memory; its result is one.

Runs last, after differentiation: to passes that move ops a region means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.diagnostics import Span
from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.passes.common import substitute
from dsl.passes.escape import Flow, Summary
from dsl.types import is_ref


def release(program: Program, roots: Sequence[str]) -> bool:
    """Put regions into all functions. Call it once, at the end."""
    summary = Summary.of(program, roots)
    if not summary.makes:
        return False
    changed = False
    for fn in program.functions.values():
        changed |= _Rewriter(fn, summary, fn.name not in roots).run()
    return changed


class _Rewriter:
    def __init__(self, fn: Function, summary: Summary, called: bool) -> None:
        self.fn = fn
        self.summary = summary
        self.flows: dict[Op, Flow] = {}  # the loops that get a region
        self.survivors: dict[Op, list[Value]] = {}  # of these, the results that may be memory of the region
        self.whole: Flow | None = None   # the function gets one
        self.out: dict[Op, list[Flow]] = {}  # the regions that a site is outside of, innermost first
        self.moving: set[Op] = set()  # sites whose memory may be moved where a region is renewed or ends
        self.called = called
        self.moved: dict[Value, Value] = {}

    def run(self) -> bool:
        if self.fn.name not in self.summary.makes:
            return False
        remaining = self.decide(self.fn.body)
        if self.called and self.wasteful(remaining):
            flow = Flow(self.fn.body, self.summary)
            ending = [made for made in remaining if made not in flow.escaping]
            if self.wasteful(ending) and self.gains(flow, remaining):
                self.whole = flow
        if not self.flows and self.whole is None:
            return False
        for site, regions in self.out.items():
            site.attrs["out"] = len(regions)
        self.region(self.fn.body, [])
        if self.whole is not None:
            self.fn.body.ops.insert(0, self.mark(self.whole, self.fn.span))
        return True

    # ------------------------------------------------------------ which loops
    def decide(self, region: Region) -> list[Op | Value]:
        """Choose the loops in a region that get one. The result: what makes memory that remains behind them, and the
        results of loops that may be such memory."""
        remaining: list[Op | Value] = []
        for op in region.ops:
            if self.summary.allocates(op):
                remaining.append(op)
            inside = [made for r in op.regions for made in self.decide(r)]
            if inside and op.name != "if":
                flow = Flow(op.regions[0], self.summary, op)
                if self.gains(flow, inside):
                    self.flows[op] = flow
                    self.survivors[op] = self.surviving(flow, op)
                    inside = [*(m for m in inside if m in flow.escaping), *self.survivors[op]]
            remaining += inside
        return remaining

    def gains(self, flow: Flow, inside: Sequence[Op | Value]) -> bool:
        """Whether a region ends something of what is made inside and remains there. If so, what escapes is told to be
        made outside. What a region inside moves cannot be."""
        escaping = flow.escaping.intersection(inside)
        if len(escaping) == len(inside) or (escaping and self.fn.name in self.summary.recursive):
            return False
        if flow.escaping & self.moving:
            return False
        for site in escaping:
            self.out.setdefault(site, []).append(flow)
        self.moving |= flow.surviving()
        return True

    def surviving(self, flow: Flow, loop: Op) -> list[Value]:
        """The results of a loop that may be memory of its region."""
        sources: dict[Value, list[Value]] = {r: [] for r in loop.results}
        for step in flow.steps:
            op, depth = step.op, sum(o.name != "if" for o in step.around)
            at_end = op.name == "next" and loop.name == "for" and not depth
            if at_end or (op.name == "break" and op.attrs.get("depth", 0) == depth):
                for r, v in zip(loop.results, op.args, strict=True):
                    sources[r].append(v)
        return [r for r, found in sources.items() if any(map(flow.is_inner, found))]

    def wasteful(self, remaining: Sequence[Op | Value]) -> bool:
        """Whether the function makes memory that it does not simply return."""
        returned = {v for op in self.fn.body.walk() if op.name == "return" for v in op.args}
        made = [v for m in remaining for v in (m.results if isinstance(m, Op) else [m])]
        return not all(v in returned for v in made if is_ref(v.type))

    # ------------------------------------------------------------ rewriting
    def region(self, region: Region, loops: list[Op]) -> None:
        """`loops`: those around, outermost first."""
        out: list[Op] = []
        for op in region.ops:
            original = list(op.args)
            substitute(op, self.moved)
            if op in self.flows:
                out.append(self.mark(self.flows[op], op.span))
            for inner in op.regions:
                self.region(inner, loops if op.name == "if" else [*loops, op])
            if op.name in ("next", "break", "return"):
                self.leave(op, original, loops, out)
            out.append(op)
            if op in self.flows:
                out += self.ending("release", op.span, self.survivors[op], self.moved)
        region.ops = out

    def mark(self, flow: Flow, span: Span) -> Op:
        apart = any(flow in regions for regions in self.out.values())
        return Op("mark", attrs={"apart": 1} if apart else {}, span=span)

    def leave(self, op: Op, original: list[Value], loops: list[Op], out: list[Op]) -> None:
        """Before control leaves an iteration, or more."""
        if op.name == "next":
            self.end("renew", self.flows.get(loops[-1]), op, original, out)
            return
        depth = len(loops) if op.name == "return" else op.attrs.get("depth", 0)
        for loop in reversed(loops[len(loops) - depth :]):
            self.end("release", self.flows.get(loop), op, original, out)
        if op.name == "return":
            self.end("release", self.whole, op, original, out)

    def end(self, name: str, flow: Flow | None, op: Op, original: list[Value], out: list[Op]) -> None:
        """End an iteration of a region, or the region. `original`: the operands as the flow knows them."""
        if flow is None:
            return
        pairs = {v: now for v, now in zip(original, op.args, strict=True) if flow.is_inner(v)}
        moved: dict[Value, Value] = {}
        out += self.ending(name, op.span, list(pairs.values()), moved)
        substitute(op, moved)

    @staticmethod
    def ending(name: str, span: Span, survivors: Sequence[Value], moved: dict[Value, Value]) -> list[Op]:
        """The op; `moved` gets what stands for the survivors from now on."""
        survivors = list(dict.fromkeys(survivors))
        op = Op(name, survivors, [v.type for v in survivors], span=span)
        for old, new in zip(survivors, op.results, strict=True):
            new.hint = old.hint
            moved[old] = new
        return [op]
