"""Which values of a function carry a derivative, for a given pattern of inputs.

*Varied*: influenced by an active input. *Useful*: may influence a result or active memory. Active is both (forward
mode: varied alone). A reference is *shadowed* when its memory may receive an active value, in this function, in a
caller or in a callee: activity of memory is per allocation, and nested references are shadowed together.
"""

from __future__ import annotations

from functools import cached_property

from dsl.analysis import Flow, Influence
from dsl.analysis.influence import Cell, walk_cell
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES
from dsl.records import dataclass
from dsl.types import BOOL, LeafType, Mem, is_ref


@dataclass(frozen=True)
class Pattern:
    """How a function is differentiated: indices of the active scalar and shadowed reference parameters, indices of
    the reference results that must have a shadow, and options.

    reusable   the reverse may be run more than once: it leaves every shadow zero
    silent     the copy of the primal prints nothing (a second pass over the same program)
    in_place   reverse mode: both sweeps are one function, so that what its body defines is at hand in both
    settled    reverse mode, else: the reference parameters whose memory (and all that it leads to) nobody writes
               between the end of the forward sweep and the reverse sweep
    """

    params: frozenset[int]
    results: frozenset[int] = frozenset()
    reusable: bool = False
    silent: bool = False
    in_place: bool = False
    settled: frozenset[int] = frozenset()


def has_tangent(t: LeafType) -> bool:
    """Whether values of a leaf type can have a tangent or a shadow at all."""
    if isinstance(t, Mem):
        return any(has_tangent(f) for f in t.fields)
    return t != BOOL


def loops_of(stack: list[Op]) -> list[Op]:
    return [o for o in stack if o.name != "if"]


class Activity:
    """Answers for one function and pattern. `flow` is the function's influence."""

    def __init__(self, fn: Function, flow: Flow, pattern: Pattern, influence: Influence) -> None:
        self.fn = fn
        self.flow = flow
        self.pattern = pattern
        self.influence = influence
        self.bits = 0
        for path, bit in flow.bits.items():
            if path[0] in pattern.params:
                self.bits |= bit

    # ------------------------------------------------------------ forward
    def varied(self, v: Value) -> bool:
        return v.type != BOOL and not is_ref(v.type) and bool(self.flow.mask(v) & self.bits)

    def shadowed(self, v: Value) -> bool:
        return is_ref(v.type) and has_tangent(v.type) and id(self.flow.cell(v)) in self._shadowed_cells

    def shadowed_results(self) -> frozenset[int]:
        cells = self.flow.result_cells
        return frozenset(
            k for k, t in enumerate(self.fn.results)
            if is_ref(t) and has_tangent(t) and id(cells[k].find()) in self._shadowed_cells
        )  # fmt: skip

    def varied_results(self) -> frozenset[int]:
        return frozenset(
            k for k, t in enumerate(self.fn.results)
            if not is_ref(t) and t != BOOL and self.flow.result_masks[k] & self.bits
        )  # fmt: skip

    @cached_property
    def _shadowed_cells(self) -> set[int]:
        """Cells with active contents or that must be shadowed, closed over nesting in both directions."""
        cells: dict[int, Cell] = {}
        roots = [self.flow.cell(v) for v in self._refs()]
        roots += [c.find() for c in self.flow.result_cells.values()]
        for root in roots:
            for c in walk_cell(root):
                cells[id(c)] = c
        near: dict[int, set[int]] = {i: set() for i in cells}
        for i, c in cells.items():
            for child in c.children.values():
                j = id(child.find())
                near[i].add(j)
                near[j].add(i)
        work = [i for i, c in cells.items() if any(m & self.bits for m in c.masks.values())]
        work += [id(self.flow.cell(self.fn.params[i])) for i in self.pattern.params if is_ref(self.fn.params[i].type)]
        work += [id(self.flow.result_cells[k].find()) for k in self.pattern.results]
        found: set[int] = set()
        while work:
            i = work.pop()
            if i not in found and has_tangent(cells[i].type):
                found.add(i)
                work += near[i]
        return found

    def _refs(self) -> list[Value]:
        refs = [p for p in self.fn.params if is_ref(p.type)]
        for op in self.fn.body.walk():
            refs += [r for r in op.results if is_ref(r.type)]
            for region in op.regions:
                refs += [p for p in region.params if is_ref(p.type)]
        return refs

    # ------------------------------------------------------------ backward
    @cached_property
    def _useful(self) -> set[Value]:
        useful: set[Value] = set()
        while True:
            before = len(useful)
            self._back(self.fn.body, [], useful)
            if len(useful) == before:
                return useful

    def _back(self, region: Region, stack: list[Op], useful: set[Value]) -> None:
        for op in reversed(region.ops):
            for v in self._used_by(op, stack, useful):
                useful.add(v)
            for inner in reversed(op.regions):
                self._back(inner, [*stack, op], useful)

    def _used_by(self, op: Op, stack: list[Op], useful: set[Value]) -> list[Value]:
        """The operands of an op that are useful, given what is known so far."""
        match op.name:
            case "return":
                return op.args
            case "yield":
                return _where(op.args, stack[-1].results, useful)
            case "break":
                return _where(op.args, loops_of(stack)[-1 - op.attrs.get("depth", 0)].results, useful)
            case "next":
                loop = loops_of(stack)[-1]
                if loop.name == "for":
                    params = loop.regions[0].params[1:]
                    return _where(op.args, params, useful) + _where(op.args, loop.results, useful)
                return _where(op.args, loop.regions[0].params, useful)
            case "for":
                inits, carried = op.args[3:], op.regions[0].params[1:]
                results = _where(inits, op.results, useful) + _where(carried, op.results, useful)
                return _where(inits, carried, useful) + results
            case "loop":
                return _where(op.args, op.regions[0].params, useful)
            case "store" | "acc":
                return op.args[2:] if self.shadowed(op.args[0]) else []
            case "push":
                return op.args[1:] if self.shadowed(op.args[0]) else []
            case "pack":
                return op.args if self.shadowed(op.result) else []
            case "call":
                live = any(r in useful or self.shadowed(r) for r in op.results)
                return op.args if live or any(self.shadowed(a) for a in op.args) else []
        primitive = PRIMITIVES.get(op.name)
        if primitive is None or op.result not in useful:
            return []
        return [a for a, d in zip(op.args, primitive.derivative, strict=True) if d is not None]

    def active(self, v: Value) -> bool:
        """Whether a scalar has a cotangent in reverse mode."""
        return self.varied(v) and v in self._useful

    @cached_property
    def live(self) -> set[Op]:
        """The ops that have something to do in the reverse sweep."""
        found: set[Op] = set()
        self._live(self.fn.body, found)
        return found

    def _live(self, region: Region, found: set[Op]) -> bool:
        any_live = False
        for op in region.ops:
            inner = [self._live(r, found) for r in op.regions]
            if any(inner) or self._live_op(op):
                found.add(op)
                any_live = True
        return any_live

    def _live_op(self, op: Op) -> bool:
        match op.name:
            case "store" | "push" | "acc":  # references go into shadows in the forward sweep
                return self.shadowed(op.args[0]) and any(v.type != BOOL and not is_ref(v.type) for v in op.args[1:])
            case "new":
                return self.pattern.reusable and self.shadowed(op.result)
            case "kernel":
                return any(self.shadowed(m) for m in op.args)
            case "call":
                return any(self.active(r) or self.shadowed(r) for r in op.results) or any(
                    self.shadowed(a) for a in op.args
                )
            case "pop" | "load":
                return self.shadowed(op.args[0]) and any(self.active(r) for r in op.results)
            case "return" | "yield" | "break" | "next":
                return any(self.active(a) for a in op.args)
            case "const" | "null" | "stop":
                return False
        return any(self.active(r) for r in op.results)


def _where(sources: list[Value], targets: list[Value], useful: set[Value]) -> list[Value]:
    return [s for s, t in zip(sources, targets, strict=True) if t in useful]


def root_pattern(
    fn: Function, influence: Influence, wrt: frozenset[int], reusable: bool = False, apart: frozenset[int] = frozenset()
) -> Pattern:
    """The pattern of a derivative asked for with respect to the parameters `wrt`: to these come the references whose
    memory may become active, also because a caller passed one memory as two parameters of one type. The parameters
    `apart` are certainly no other's memory."""
    influence.flow(fn.name)
    flow = Flow(influence, fn, merge=True, apart=apart)
    params = frozenset(i for i in wrt if has_tangent(fn.params[i].type))
    while True:
        activity = Activity(fn, flow, Pattern(params), influence)
        more = params | {i for i, p in enumerate(fn.params) if activity.shadowed(p)}
        if more == params:
            return Pattern(params, activity.shadowed_results(), reusable, in_place=not reusable)
        params = frozenset(more)
