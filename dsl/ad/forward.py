"""The forward sweep: a copy of a function that carries duals beside its values.

A *dual* of a scalar is its tangent, of a reference its shadow. Forward mode (`scalars=True`) carries both. The
augmented forward sweep of reverse mode carries shadows only, and hands everything it makes to a `Keeper`, which saves
what the plan asks for. Memory that is shadowed has its shadow beside it at all times: same structure, same places.

A shadow never shrinks: where a vector pops and pushes again, the slot is used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from unicodedata import normalize

from dsl.ad.activity import Activity, has_tangent, loops_of
from dsl.ad.kernels import active_factors, bilinear, contents, numbers_of, tangents
from dsl.ad.plan import Key
from dsl.ad.rules import active_operands, contribution, is_selection, plus
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES, Builder
from dsl.types import I64, LeafType, Mem, is_ref, tangent

DOT, SHADOW = "\u0307", "\u0304"  # written above a primal's name: tangents, shadows and cotangents


class Keeper(Protocol):
    """What the forward sweep tells whoever saves values (reverse mode), and asks of it."""

    def define(self, key: Key, v: Value) -> None:
        """Something is at hand from here on, in this arm."""

    def wants(self, key: Key) -> bool: ...

    def makes_shadow_later(self, m: Value) -> bool:
        """Whether the reverse sweep makes the shadow of a memory."""

    def enter_arm(self) -> None: ...

    def leave_arm(self) -> dict[Key, Value]:
        """What the arm kept; it is not visible after the arm unless it is yielded."""

    def leave(self, exit: Op, b: Builder) -> None:
        """An exit: save the records of the constructs of which it ends an iteration."""

    def before_loop(self, op: Op, b: Builder) -> None: ...

    def enter_loop(self, op: Op, count: Value | None) -> None: ...

    def leave_loop(self) -> None: ...

    def after_loop(self, op: Op, b: Builder) -> None: ...

    def loop_extras(self, op: Op) -> list[Key]:
        """Numbers that a loop gives at its end, besides its results: of ("code", op), ("count", op)."""

    def exit_extras(self, exit: Op, loop: Op, b: Builder) -> list[Value]:
        """Their values at a break of that loop."""


class Calls(Protocol):
    """How a call is copied: with its duals (forward mode) or augmented (reverse mode)."""

    def call(self, sweep: Forward, op: Op, b: Builder) -> None: ...


class Forward:
    """Copies regions of `activity.fn` to builders. `values` and `duals` map the original's values."""

    def __init__(self, activity: Activity, calls: Calls, scalars: bool, keeper: Keeper | None = None) -> None:
        self.activity = activity
        self.calls = calls
        self.scalars = scalars
        self.keeper = keeper
        self.values: dict[Value, Value] = {}
        self.duals: dict[Value, Value] = {}
        self.given: set[Value] = set()  # duals that are parameters
        self.conditional: set[Value] = set()  # tangents that are zero because of the path taken
        self.root_return: Return | None = None
        self.loops: dict[Op, Op] = {}  # to each `for` its copy
        self._alone: dict[Op, Value | None] = {}  # the only number that a `for` carries and that has a tangent
        self._factor: dict[Op, Value] = {}  # … and that tangent, of which all others in the body are multiples
        self._carried_doubts: dict[Op, set[int]] = {}  # carried tangents of a loop that are conditional
        self._handed: dict[Op, tuple[set[int], set[int]]] = {}  # … of the breaks and nexts met in a loop's body

    # ------------------------------------------------------------ duals
    def carries(self, v: Value) -> bool:
        """Whether a dual of v travels through control flow."""
        if self.activity.shadowed(v):
            return self.keeper is None or not self.keeper.makes_shadow_later(v)
        return self.scalars and self.activity.varied(v)

    def dual(self, v: Value) -> Value | None:
        """The dual of a value; None: zero."""
        return self.duals.get(v)

    def dual_or_zero(self, v: Value, b: Builder) -> Value:
        d = self.duals.get(v)
        if d is None:
            t = tangent(v.type)
            assert t is not None
            d = b.zero(t)
            self.conditional.add(d)
        return d

    def set_dual(self, v: Value, d: Value, b: Builder) -> None:
        self.duals[v] = d
        if d.hint == "" and v.hint:
            d.hint = normalize("NFC", v.hint + (SHADOW if is_ref(v.type) else DOT))
        if self.keeper is not None and is_ref(v.type):
            self.keeper.define(("shadow", v), d)

    def set_value(self, v: Value, new: Value) -> None:
        new.hint = v.hint
        self.values[v] = new
        if self.keeper is not None:
            self.keeper.define(("primal", v), new)

    def _extend(self, vs: Sequence[Value], like: Sequence[Value], b: Builder) -> list[Value]:
        """Copies of values, then the duals of those whose counterpart in `like` carries one."""
        out = [self.values[v] for v in vs]
        for v, slot in zip(vs, like, strict=True):
            if self.carries(slot):
                out.append(self.dual_or_zero(v, b))
        return out

    def _types(self, vs: Sequence[Value]) -> list[LeafType]:
        return [v.type for v in vs] + [t for v in vs if self.carries(v) and (t := tangent(v.type)) is not None]

    def _receive(
        self, vs: Sequence[Value], new: Sequence[Value], doubtful: set[int], b: Builder, like: Sequence[Value] = ()
    ) -> None:
        """Bind copies and duals that `_types` laid out (for `like`, where given). `doubtful` says which duals are
        conditional, by place."""
        for v, n in zip(vs, new, strict=False):
            self.set_value(v, n)
        rest = iter(new[len(vs) :])
        for k, (v, slot) in enumerate(zip(vs, like or vs, strict=True)):
            if self.carries(slot):
                d = next(rest)
                self.set_dual(v, d, b)
                if k in doubtful:
                    self.conditional.add(d)

    def _doubts(self, vs: Sequence[Value], like: Sequence[Value], absent: bool = True) -> set[int]:
        """The places where a tangent handed on is conditional, or (`absent`) missing on this way only."""
        if not self.scalars:
            return set()
        found = set()
        for k, (v, slot) in enumerate(zip(vs, like, strict=True)):
            if self.carries(slot) and not is_ref(slot.type):
                d = self.duals.get(v)
                if d in self.conditional if d is not None else absent:
                    found.add(k)
        return found

    # ------------------------------------------------------------ ops
    def region(self, region: Region, b: Builder, stack: list[Op]) -> Op | None:
        """Copy the ops of a region. A `yield` is not copied but returned, for the caller to complete."""
        for op in region.ops:
            b.span = op.span
            if op.name == "yield":
                return op
            self.op(op, b, stack)
        return None

    def op(self, op: Op, b: Builder, stack: list[Op]) -> None:
        handler = getattr(self, f"_op_{op.name}", None)
        if handler is not None:
            handler(op, b, stack)
            return
        self._copy(op, b)
        if self.scalars and op.name in PRIMITIVES:
            self._tangent(op, b)
        elif op.name in PRIMITIVES and op.results and is_ref(op.result.type):
            self._reference(op, b)

    def _copy(self, op: Op, b: Builder) -> Op:
        args = [self.values[a] for a in op.args]
        new = b.op(op.name, args, [r.type for r in op.results], **op.attrs)
        for r, n in zip(op.results, new.results, strict=True):
            self.set_value(r, n)
        return new

    def _op_print(self, op: Op, b: Builder, stack: list[Op]) -> None:
        if not self.activity.pattern.silent:
            self._copy(op, b)

    def _tangent(self, op: Op, b: Builder) -> None:
        """Forward mode of a primitive: the sum of its terms."""
        if is_ref(op.result.type):
            self._reference(op, b)
            return
        if not self.activity.varied(op.result):
            return
        operands = [self.values[a] for a in op.args]
        to = tangent(op.result.type)
        assert to is not None
        total: Value | None = None
        conditional = True
        active = active_operands(op, [a in self.duals for a in op.args])
        # those of given tangents last, which are mostly 1: the product that is left alone goes away then
        for k in sorted(active, key=lambda k: self.duals[op.args[k]] in self.given):
            d = self.duals[op.args[k]]
            term = contribution(b, op.name, k, d, operands, self.values[op.result], to, d in self.conditional)
            conditional &= d in self.conditional or is_selection(term)
            total = term if total is None else plus(b, total, term)
        if total is not None:
            self.set_dual(op.result, total, b)
            if conditional:
                self.conditional.add(total)

    def _reference(self, op: Op, b: Builder) -> None:
        """`select` between references: the shadow is selected alike."""
        if self.activity.shadowed(op.result):
            args = [self.values[op.args[0]], *(self.dual_or_zero(a, b) for a in op.args[1:])]
            self.set_dual(op.result, b.prim(op.name, *args), b)

    def _op_null(self, op: Op, b: Builder, stack: list[Op]) -> None:
        self._copy(op, b)
        t = tangent(op.result.type)
        if t is not None and self.activity.shadowed(op.result):
            self.set_dual(op.result, b.zero(t), b)

    # ---- control flow
    def _op_if(self, op: Op, b: Builder, stack: list[Op]) -> None:
        arms: list[tuple[Region, Builder, Op | None, dict[Key, Value]]] = []
        doubtful: set[int] = set()
        for region in op.regions:
            new = Region()
            arm = Builder(new, op.span)
            if self.keeper is not None:
                self.keeper.enter_arm()
            end = self.region(region, arm, [*stack, op])
            kept = self.keeper.leave_arm() if self.keeper is not None else {}
            arms.append((new, arm, end, kept))
        lifted: dict[Key, LeafType] = {}
        for _, _, end, kept in arms:
            if end is not None:
                lifted.update((key, v.type) for key, v in kept.items())
        for _, arm, end, kept in arms:
            if end is not None:
                doubtful |= self._doubts(end.args, op.results)
                extra = [kept[key] if key in kept else arm.zero(t) for key, t in lifted.items()]
                arm.yield_(*self._extend(end.args, op.results, arm), *extra)
        types = self._types(op.results)
        new_op = b.op("if", [self.values[op.args[0]]], [*types, *lifted.values()], [a[0] for a in arms])
        self._receive(op.results, new_op.results[: len(types)], doubtful, b)
        if self.keeper is not None:
            for key, v in zip(lifted, new_op.results[len(types) :], strict=True):
                self.keeper.define(key, v)

    def _op_for(self, op: Op, b: Builder, stack: list[Op]) -> None:
        if self.keeper is not None:
            self.keeper.before_loop(op, b)
        carried = op.regions[0].params[1:]
        inits = self._extend(op.args[3:], carried, b)
        types = self._types(carried)
        self._alone[op] = self._only_varied(op)
        new, _, doubtful = self._body(op, [I64, *types], 1, carried, op.args[3:], stack)
        bounds = [self.values[a] for a in op.args[:3]]
        self.loops[op] = b.op("for", [*bounds, *inits], types, [new])
        self._receive(op.results, self.loops[op].results, doubtful, b, carried)
        if self.keeper is not None:
            self.keeper.after_loop(op, b)

    def _only_varied(self, op: Op) -> Value | None:
        """The one number that a loop carries of which all tangents in its straight body are multiples. The body's
        derivative is made for itself then, and what is carried waits for one product an iteration."""
        (body,) = op.regions
        varied = [p for p in body.params if self.carries(p)]
        if not self.scalars or len(varied) != 1 or is_ref(varied[0].type):
            return None
        inside = {*body.params, *(r for inner in body.ops for r in inner.results)}
        for inner in body.ops:
            if inner.regions or (inner is not body.terminator and inner.name not in PRIMITIVES):
                return None
            if any(a not in inside and self.carries(a) for a in inner.args):
                return None
        return varied[0]

    def _op_loop(self, op: Op, b: Builder, stack: list[Op]) -> None:
        extras: list[Key] = []
        if self.keeper is not None:
            self.keeper.before_loop(op, b)
            extras = self.keeper.loop_extras(op)
        counted = ("count", op) in extras
        carried = op.regions[0].params
        inits = self._extend(op.args, carried, b)
        types = self._types(carried)
        if counted:
            inits.append(b.i64(0))
            types.append(I64)
        new, doubtful, _ = self._body(op, types, 0, carried, op.args, stack)
        result_types = self._types(op.results)
        results = b.op("loop", inits, [*result_types, *(I64 for _ in extras)], [new]).results
        self._receive(op.results, results[: len(result_types)], doubtful, b)
        if self.keeper is not None:
            for key, v in zip(extras, results[len(result_types) :], strict=True):
                self.keeper.define(key, v)
            self.keeper.after_loop(op, b)

    def _body(
        self,
        op: Op,
        types: Sequence[LeafType],
        fixed: int,
        carried: Sequence[Value],
        inits: Sequence[Value],
        stack: list[Op],
    ) -> tuple[Region, set[int], set[int]]:
        """The copied body of a loop, and which results and carried tangents are conditional. Carried ones are taken for
        certain; where the body shows that one is not, it is copied again (what it learnt is kept for when this loop is
        copied again as a part of another)."""
        params = self._carried_doubts.setdefault(op, set())
        params |= self._doubts(inits, carried, absent=False)
        while True:
            new = Region(types)
            inner = Builder(new, op.span)
            counted = len(new.params) - fixed > len(self._types(carried))
            if fixed:
                self.set_value(op.regions[0].params[0], new.params[0])
            if self.keeper is not None:
                self.keeper.enter_loop(op, new.params[-1] if counted else None)
            self._receive(carried, new.params[fixed:], params, inner)
            alone = self._alone.get(op)
            if alone is not None:
                self._factor[op] = self.duals[alone]
                self.duals[alone] = inner.const(1.0, self.duals[alone].type)
                self.given.add(self.duals[alone])
            self._handed[op] = (set(), set())
            self.region(op.regions[0], inner, [*stack, op])
            if self.keeper is not None:
                self.keeper.leave_loop()
            results, found = self._handed[op]
            if found <= params and self._alone.get(op) is alone:
                return new, results, params
            params |= found

    def _op_next(self, op: Op, b: Builder, stack: list[Op]) -> None:
        loop = loops_of(stack)[-1]
        params = loop.regions[0].params[1:] if loop.name == "for" else loop.regions[0].params
        alone = self._alone.get(loop)
        if alone is not None:
            self._multiply(op.args[params.index(alone)], loop, b)
        args = self._extend(op.args, params, b)
        self._handed[loop][1].update(self._doubts(op.args, params))
        if self.keeper is not None:
            self.keeper.leave(op, b)
            if ("count", loop) in self.keeper.loop_extras(loop):
                args += self.keeper.exit_extras(op, loop, b)
        b.next_(*args)

    def _multiply(self, v: Value, loop: Op, b: Builder) -> None:
        """The tangent of what a loop hands on, from its derivative by what was handed to it. Where that may be zero
        because of the path, each product has to be guarded by itself: the body is made again."""
        d, slope = self._factor[loop], self.dual(v)
        if slope in self.conditional:
            self._alone[loop] = None
        elif slope is not None:
            self.duals[v] = b.prim("strongmul" if d in self.conditional else "mul", d, slope)
            if d in self.conditional:
                self.conditional.add(self.duals[v])

    def _op_break(self, op: Op, b: Builder, stack: list[Op]) -> None:
        depth = op.attrs.get("depth", 0)
        loop = loops_of(stack)[-1 - depth]
        args = self._extend(op.args, loop.results, b)
        self._handed[loop][0].update(self._doubts(op.args, loop.results))
        if self.keeper is not None:
            self.keeper.leave(op, b)
            args += self.keeper.exit_extras(op, loop, b)
        b.break_(*args, depth=depth)

    def _op_return(self, op: Op, b: Builder, stack: list[Op]) -> None:
        assert self.root_return is not None
        if self.keeper is not None:
            self.keeper.leave(op, b)
        self.root_return(self, op, b, len(loops_of(stack)))

    # ---- memory
    def _op_new(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        if self.carries(op.result):
            t = tangent(op.result.type)
            assert t is not None
            self.set_dual(op.result, b.op("new", new.args, (t,)).result, b)

    def _op_load(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        self._load_duals(op, new.args[1], op.attrs.get("first", 0), b)

    def _load_duals(self, op: Op, index: Value, first: int, b: Builder) -> None:
        m = op.args[0]
        if not self.activity.shadowed(m):
            return
        for k, r in enumerate(op.results):
            if self.carries(r):
                t = tangent(r.type)
                assert t is not None
                d = b.op("load", (self.dual_or_zero(m, b), index), (t,), first=first + k).result
                self.set_dual(r, d, b)
                self.conditional.add(d)

    def _store_duals(self, m: Value, index: Value, first: int, values: Sequence[Value], b: Builder, name: str) -> None:
        for k, v in enumerate(values):
            t = tangent(v.type)
            if t is None or (is_ref(v.type) and not has_tangent(v.type)) or not (self.scalars or is_ref(v.type)):
                continue
            d = self.dual(v)
            if d is None and name == "acc":
                continue
            d = self.dual_or_zero(v, b) if d is None else d
            b.op(name, (self.dual_or_zero(m, b), index, d), first=first + k)

    def _op_store(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        if self.activity.shadowed(op.args[0]):
            self._store_duals(op.args[0], new.args[1], op.attrs.get("first", 0), op.args[2:], b, op.name)

    _op_acc = _op_store

    def _op_push(self, op: Op, b: Builder, stack: list[Op]) -> None:
        m = op.args[0]
        index = b.op("len", (self.values[m],), (I64,)).result
        if self.keeper is not None:
            self.keeper.define(("index", op), index)
        self._copy(op, b)
        if self.activity.shadowed(m):
            shadow = self.dual_or_zero(m, b)
            self._grow(shadow, index, b)
            self._store_duals(m, index, 0, op.args[1:], b, "store")

    def _grow(self, shadow: Value, index: Value, b: Builder) -> None:
        """Give a shadow a slot at `index`, where it has none yet."""
        assert isinstance(shadow.type, Mem)
        fields = shadow.type.fields
        short = b.prim("le", b.op("len", (shadow,), (I64,)).result, index)

        def grow(arm: Builder) -> None:
            arm.op("push", (shadow, *(arm.zero(t) for t in fields)))
            arm.yield_()

        b.if_(short, (), grow, lambda arm: arm.yield_())

    def _op_pop(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        index = b.op("len", new.args, (I64,)).result
        if self.keeper is not None:
            self.keeper.define(("index", op), index)
        self._load_duals(op, index, 0, b)

    def _op_pack(self, op: Op, b: Builder, stack: list[Op]) -> None:
        """The shadow of a packed record packs the shadows of its references (and nulls for those without)."""
        self._copy(op, b)
        if self.activity.shadowed(op.result):
            refs = [self.dual_or_zero(a, b) for a in op.args if is_ref(a.type) and has_tangent(a.type)]
            self.set_dual(op.result, b.op("pack", refs, (op.result.type,)).result, b)

    def _op_unpack(self, op: Op, b: Builder, stack: list[Op]) -> None:
        self._copy(op, b)
        if self.activity.shadowed(op.args[0]):
            refs = [r for r in op.results if is_ref(r.type) and has_tangent(r.type)]
            types = [t for r in refs if (t := tangent(r.type)) is not None]
            new = b.op("unpack", (self.dual_or_zero(op.args[0], b),), types)
            for r, d in zip(refs, new.results, strict=True):
                if self.carries(r):
                    self.set_dual(r, d, b)

    def _op_kernel(self, op: Op, b: Builder, stack: list[Op]) -> None:
        self._copy(op, b)
        rule = bilinear(op, self.activity)
        if rule is None:
            return
        if self.scalars:
            shadowed = [rule.target, *active_factors(op, rule, self.activity)]
            tangents(op, rule, self.values, {k: self.dual_or_zero(op.args[k], b) for k in shadowed}, b)
        elif self.keeper is not None:
            numbers = {name: self.values[v] for name, v in numbers_of(op).items()}
            for k, elements in rule.factors.items():
                if self.keeper.wants(("contents", (op, k))):
                    copy = contents(self.values[op.args[k]], elements, numbers, b)
                    self.keeper.define(("contents", (op, k)), copy)

    # ---- calls
    def _op_call(self, op: Op, b: Builder, stack: list[Op]) -> None:
        self.calls.call(self, op, b)

    def plain_call(self, op: Op, b: Builder, fn: Function | None = None) -> None:
        """A call without duals, of another function than the op names where that is given."""
        self._copy(op, b).attrs["fn"] = op.attrs["fn"] if fn is None else fn.name


class Return(Protocol):
    """What to do at a `return` of the function that is copied; `loops` says how many loops are around it."""

    def __call__(self, sweep: Forward, op: Op, b: Builder, loops: int, /) -> None: ...


def returned_duals(fn: Function, activity: Activity, scalars: bool) -> list[int]:
    """The results whose duals a copy of a function returns after the results themselves, in order."""
    shadows = activity.shadowed_results()
    tangents = activity.varied_results() if scalars else frozenset()
    return sorted(shadows | tangents)


__all__ = ["Forward", "Keeper", "Return", "returned_duals"]
