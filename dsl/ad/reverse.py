"""The reverse sweep: each op's adjoint, in the opposite order, from what the plan kept.

Cotangents are SSA values, one current value per primal value and scope. An arm of a reverse `if` yields what it
changed; a reverse loop carries what it adds to, found while its body is made. Regions are mirrored: an `if` runs the
adjoint of the arm that was taken, a `for` counts down, a `loop` reads its records from the last to the first.

An iteration that left early is gone back through from where it left: each part of a body between possible exits is
guarded by the exit's code (`plan`), nothing is done twice, and no flag is carried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from dsl.ad.activity import Activity
from dsl.ad.costs import GUARDED, LONGEST_PEELED, PEELED
from dsl.ad.decide import KEPT
from dsl.ad.handed import Handed
from dsl.ad.keep import place_in_nest, trip_count
from dsl.ad.kernels import active_factors, adjoint, adjoint_numbers, bilinear, dense_numbers, numbers_of
from dsl.ad.order import Order
from dsl.ad.plan import Construct, Key, Plan
from dsl.ad.readings import Reading
from dsl.ad.rules import active_operands, contribution, is_selection, needed, plus
from dsl.ad.scopes import LoopScope, Scope
from dsl.ad.shadows import Shadows, clear_memory, or_longer
from dsl.ir.core import Op, Region, Value
from dsl.ops import PRIMITIVES, Builder
from dsl.types import BOOL, I64, LeafType, is_ref, tangent


class ReverseCalls(Protocol):
    shadows: Shadows

    def reverse_call(self, sweep: Backward, op: Op) -> None:
        """The adjoint of a call."""


class Backward:
    """Emits the adjoint of `plan.fn` to a builder. `root_record` holds what was kept of the function's body."""

    def __init__(
        self,
        plan: Plan,
        calls: ReverseCalls,
        b: Builder,
        root_record: Mapping[Key, Value],
        tapes: Mapping[Construct, Value],
        seeds: Mapping[int, Value],
    ) -> None:
        self.plan = plan
        self.activity: Activity = plan.activity
        self.calls = calls
        self.b = b
        self.tapes = tapes
        self.seeds = seeds
        self.records: dict[Construct, Mapping[Key, Value]] = {plan.root: root_record}
        self.codes: dict[Construct, Value | None] = {plan.root: None}
        if len(plan.root.exits) > 1:
            self.codes[plan.root] = root_record["itercode", plan.root]
        self.scope: Scope = Scope(None)
        self.here = plan.root
        self.lengths: dict[Handed, Value] = {}  # of the shadows of what loops hand on
        self.mirrors: dict[Op, Op] = {}  # to each `for` its reverse
        self.order = Order(plan)
        self.conditional: set[Value] = set()
        self.given: dict[Op, dict[int, Value]] = {}  # cotangents of the results of the ifs and loops we are in
        self.carried: dict[Op, dict[int, Value]] = {}  # … of what the loop carries, at the end of this iteration
        self.counters: dict[Op, Value] = {}  # number of this iteration of a `for`
        self._if: Op | None = None  # the `if` whose arm we are in
        self.passed = True  # of the op that may leave whose adjoint is being made: control went on behind it
        self._doubtful: dict[Op, set[int]] = {}  # carried values of loops whose cotangent is conditional

    def run(self) -> None:
        self.region(self.plan.fn.body)

    # ------------------------------------------------------------ values
    def fetch(self, key: Key) -> Value:
        return self.records[self.plan.key_owner(key)][key]

    def primal(self, v: Value) -> Value:
        return self.value(("primal", v))

    def shadow(self, v: Value) -> Value:
        return self.value(("shadow", v))

    def value(self, key: Key) -> Value:
        """Something of the forward sweep: kept, or made again as the plan says."""
        if self.plan.how(key) in KEPT:
            return self.fetch(key)
        scope: Scope | None = self.scope
        while scope is not None:
            if key in scope.made:
                return scope.made[key]
            scope = scope.parent
        return self._outside_loops(key)

    def _outside_loops(self, key: Key) -> Value:
        """Make something again outside the loops that its definition is outside of: what defines it was run where these
        loops were."""
        owner, outer_b, outer = self.plan.key_owner(key), self.b, self.scope
        scope: Scope | None = outer
        while scope is not None:
            if isinstance(scope, LoopScope) and not self.plan.encloses(scope.construct, owner):
                self.b, self.scope = scope.outside, scope.parent_scope
            scope = scope.parent
        made = self.scope.made[key] = self._again(key)
        self.b, self.scope = outer_b, outer
        return made

    def _again(self, key: Key) -> Value:
        kind, what = key
        if kind == "trips":
            return trip_count([self.primal(a) for a in what.args[:3]], self.b)
        assert isinstance(what, Value)
        if what in self.plan.counter:
            loop = self.plan.counter[what]
            offset = self.b.prim("mul", self.counters[loop], self.primal(loop.args[2]))
            return self.b.prim("add", self.primal(loop.args[0]), offset)
        if what in self.plan.induction:
            return self._induction(what, self.plan.induction[what])
        op = what.owner
        assert isinstance(op, Op)
        type = what.type if kind == "primal" else tangent(what.type)
        assert type is not None
        if op.name == "null":
            return self.b.zero(type)
        reading = self.plan.decisions.reading(op) if op.name == "load" and kind == "primal" else None
        if reading is not None:
            copy = self.fetch(("copy", reading.load))
            if not reading.loops:
                return copy
            return self.b.op("load", (copy, self._place_in_copy(reading)), (type,), first=op.results.index(what)).result
        if op.name == "load":
            args = (self.value((kind, op.args[0])), self.primal(op.args[1]))
            return self.b.op("load", args, (type,), first=op.attrs.get("first", 0) + op.results.index(what)).result
        store = self.plan.decisions.stored(key)
        if store is not None:
            field = store.attrs.get("first", 0) + store.args.index(what, 2) - 2
            return self.b.op("load", [self.primal(a) for a in store.args[:2]], (type,), first=field).result
        return self.b.op(op.name, [self.primal(a) for a in op.args], (type,), **op.attrs).result

    def _place_in_copy(self, reading: Reading) -> Value:
        """Where a copy of what a nest reads has what this iteration read."""
        numbers = [self.counters[c.op] for c in reading.loops if c.op is not None]
        trips = [self.value(("trips", c.op)) for c in reading.loops[1:]]
        return place_in_nest(numbers, [*numbers[:1], *trips], self.b)

    def _induction(self, v: Value, step: Op) -> Value:
        """A carried integer by the number of the iteration."""
        loop = self.plan.owner[v].op
        assert loop is not None
        first = self.primal(loop.args[2 + loop.regions[0].params.index(v)])
        return self.b.prim(step.name, first, self.b.prim("mul", self.counters[loop], self.primal(step.args[1])))

    def zero_cotangent(self, v: Value, b: Builder) -> Value:
        t = tangent(v.type)
        assert t is not None
        z = b.zero(t)
        self.conditional.add(z)
        return z

    def cotangent(self, v: Value) -> Value | None:
        return self.scope.lookup(v)

    def add(self, v: Value, term: Value) -> None:
        """Add a term to the cotangent of v."""
        if not self.activity.active(v):
            return
        old = self.scope.lookup(v)
        new = term if old is None else plus(self.b, old, term)
        if old is not None and old in self.conditional and term in self.conditional:
            self.conditional.add(new)
        if new.hint == "" and v.hint:
            new.hint = v.hint
        self.scope.table[v] = new

    # ------------------------------------------------------------ regions
    def region(self, region: Region, passed: bool = False) -> None:
        """The adjoint of a region that was entered, from the exit by which the construct's iteration ended, or from
        its end (`passed`).

        From the end, in parts: an op that may leave, and what follows it up to the next such op. What follows was done
        where the iteration passed that op; where it was not passed, it was left in it (or before it)."""
        for op in region.ops:
            if op.name == "new" and op.result in self.plan.local and self.plan.how(("shadow", op.result)) not in KEPT:
                self._make_shadow(op)
        for op in region.ops:
            for handed in self.plan.handed.get(op, ()):
                self._begin_handed(handed)
        ops, hi = region.ops, len(region.ops)
        while hi > 0:
            j = hi - 1
            while j >= 0 and not self._may_leave(ops[j]):
                j -= 1
            self._part(ops[j] if j >= 0 else None, ops[j + 1 : hi], self.here.before[region], passed)
            hi = j

    def _make_shadow(self, op: Op) -> None:
        """The shadow of a memory that is only used in the region that makes it (`Plan.local`)."""
        t = tangent(op.result.type)
        assert t is not None
        length = self.primal(op.args[0])
        self.scope.made["shadow", op.result] = self.b.op("new", (length,), (t,)).result

    def _begin_handed(self, handed: Handed) -> None:
        """The shadow of what a loop gives, as long as that of what it begins with is, if it may be that."""
        size = self.b.i64(0) if handed.size is None else self.primal(handed.size)
        init = self.shadow(handed.init)
        length = or_longer(size, init, self.b)
        self.lengths[handed] = length
        self.scope.made["shadow", handed.result] = self.b.op("new", (length,), (init.type,)).result

    def _does(self, op: Op) -> bool:
        return op in self.activity.live

    def _may_leave(self, op: Op) -> bool:
        return bool(op.regions) and self.here.after[op] > self.here.before[op]

    def _part(self, leaver: Op | None, rest: Sequence[Op], entry: int, passed: bool) -> None:
        """Adjoints of `rest`, then of the op before it that may leave."""
        c, code = self.here, self.codes[self.here]

        def follow(passed: bool) -> Callable[[], None]:
            def emit() -> None:
                if passed:
                    for op in reversed(rest):
                        if self._does(op):
                            self.b.span = op.span
                            self.op(op)
                if leaver is not None and self._does(leaver):
                    self.b.span = leaver.span
                    self._leaver(leaver, passed)

            return emit

        if leaver is None or passed:
            follow(True)()
            return
        local = {r for op in (leaver, *rest) for r in op.results}
        if code is None:
            follow(False)()  # the only exit is in there
        elif any(self._does(op) for op in (leaver, *rest)):

            def left() -> None:
                if c.before[leaver] == entry:
                    follow(False)()
                elif self._does(leaver):
                    inside = self.b.prim("ge", code, self.b.i64(c.before[leaver]))
                    self._arms(inside, follow(False), lambda: None, local)

            if self._falls(leaver):
                came_by = self.b.prim("ge", code, self.b.i64(c.after[leaver]))
                self._arms(came_by, follow(True), left, local)
            else:
                left()

    def _falls(self, op: Op) -> bool:
        """Whether control can go on behind an op that may leave."""
        if op.name == "if":
            return any(r.terminator.name == "yield" for r in op.regions)
        return op.name == "for" or bool(self.plan.loop[op].breaks)

    def _leaver(self, op: Op, passed: bool) -> None:
        """The adjoint of an op that may leave, where it is known whether it was passed or left."""
        outer = self.passed
        self.passed = passed
        self.op(op)
        self.passed = outer

    def _arms(self, cond: Value, then: Callable[[], None], orelse: Callable[[], None], local: set[Value]) -> None:
        """An `if` of the reverse sweep: cotangents changed in an arm are yielded."""
        outer_b, outer = self.b, self.scope
        made: list[tuple[Region, Builder, dict[Value, Value]]] = []
        for emit in (then, orelse):
            region = Region()
            self.b = Builder(region, outer_b.span)
            self.scope = Scope(outer)
            emit()
            made.append((region, self.b, self.scope.table))
        self.b, self.scope = outer_b, outer
        changed = [v for v in dict.fromkeys([*made[0][2], *made[1][2]]) if v not in local]
        before = {v: outer.lookup(v) for v in changed}
        types: list[LeafType] = []
        doubtful: list[bool] = []
        for _, arm, table in made:
            out = []
            for v in changed:
                value = table.get(v, before[v])
                out.append(self.zero_cotangent(v, arm) if value is None else value)
            arm.yield_(*out)
            types = [o.type for o in out]
            doubtful = [a or o in self.conditional for a, o in zip(doubtful or [False] * len(out), out, strict=True)]
        results = outer_b.op("if", (cond,), types, [m[0] for m in made]).results
        for v, r, d in zip(changed, results, doubtful, strict=True):
            outer.table[v] = r
            if d:
                self.conditional.add(r)

    # ------------------------------------------------------------ ops
    def op(self, op: Op) -> None:
        handler: Callable[[Op], None] | None = getattr(self, f"_op_{op.name}", None)
        if handler is not None:
            handler(op)
        elif op.name in PRIMITIVES:
            self._primitive(op)

    def _primitive(self, op: Op) -> None:
        d = self.cotangent(op.result)
        if d is None:
            return
        operands = active_operands(op, [self.activity.active(a) for a in op.args])
        known = set(needed(op, operands))
        values = [self.primal(v) if v in known else v for v in (*op.args, op.result)]
        for k in operands:
            to = tangent(op.args[k].type)
            assert to is not None
            doubtful = d in self.conditional
            term = contribution(self.b, op.name, k, d, values[:-1], values[-1], to, doubtful)
            if doubtful or is_selection(term):
                self.conditional.add(term)
            self.add(op.args[k], term)

    # ---- exits
    def _pass_on(self, args: Sequence[Value], cotangents: Mapping[int, Value]) -> None:
        for k, v in enumerate(args):
            if k in cotangents and self.activity.active(v):
                self.add(v, cotangents[k])

    def _op_return(self, op: Op) -> None:
        self._pass_on(op.args, self.seeds)

    def _op_yield(self, op: Op) -> None:
        assert self._if is not None
        self._pass_on(op.args, self.given[self._if])

    def _op_next(self, op: Op) -> None:
        assert self.here.op is not None
        self._pass_on(op.args, self.carried[self.here.op])

    def _op_break(self, op: Op) -> None:
        target = self.plan.exits_through(op)[op.attrs.get("depth", 0)]
        assert target.op is not None
        self._pass_on(op.args, self.given[target.op])

    # ---- if

    def _take(self, op: Op) -> None:
        """Remember the cotangents of an op's results, for the exits that give them."""
        cotangents = {k: self.cotangent(r) for k, r in enumerate(op.results) if self.activity.active(r)}
        self.given[op] = {k: d for k, d in cotangents.items() if d is not None}

    def _op_if(self, op: Op) -> None:
        self._take(op)
        then, orelse = op.regions

        def arm(region: Region) -> Callable[[], None]:
            def emit() -> None:
                outer, self._if = self._if, op
                self.region(region, passed=self.passed)
                self._if = outer

            return emit

        taken = self._taken(op)
        if isinstance(taken, Value):
            local = {r for region in op.regions for inner in region.ops for r in inner.results}
            self._arms(taken, arm(then), arm(orelse), local)
        else:
            arm(then if taken else orelse)()

    def _taken(self, op: Op) -> Value | bool:
        """Whether the first arm was taken: from the predicate, from the exit's code, or known. What was passed ended
        in an arm that falls through; what was not, in one with an exit."""
        c, code = self.here, self.codes[self.here]
        falls = [r.terminator.name == "yield" for r in op.regions]
        middle = c.before[op.regions[1]]
        leaves = [middle > c.before[op], c.after[op] > middle]
        possible = falls if self.passed or not any(leaves) else leaves
        if not all(possible):
            return possible[0]
        if possible is falls:
            return self.primal(op.args[0])
        assert code is not None
        return self.b.prim("lt", code, self.b.i64(middle))

    # ---- loops
    def _op_for(self, op: Op) -> None:
        self._take(op)
        c = self.plan.loop[op]
        carried = c.region.params[1:]
        active = [k for k, p in enumerate(carried) if self.activity.active(p)]
        inits = []
        for k in active:
            d = self.given[op].get(k)
            inits.append(self.zero_cotangent(carried[k], self.b) if d is None else d)
        doubtful = self._doubtful.setdefault(op, set())
        doubtful |= {k for k, init in zip(active, inits, strict=True) if init in self.conditional}
        handed = self.plan.handed.get(op, [])
        shadows = [self.shadow(h.result) for h in handed]
        trips = self.value(("trips", op))
        start = self.fetch(("start", op)) if c.fields and c not in self.plan.nests else None
        before = self.order.begin()

        def begin(params: Sequence[Value], b: Builder) -> None:
            self.counters[op] = params[0]
            self.codes[c] = None
            place = b.prim("add", start, params[0]) if start is not None else self._place_in_nest(c, b)
            self._load_record(c, place, b)
            for h, shadow in zip(handed, params[1:], strict=False):
                self.scope.made["shadow", h.made] = shadow
                self.scope.made["shadow", h.param] = b.op("new", (self.lengths[h],), (shadow.type,)).result

        def body(doubtful: set[int]) -> tuple[LoopScope, list[Value]]:
            types = [I64, *(s.type for s in shadows)]
            return self._body(op, c, types, active, carried, inits, lambda r, b: begin(r.params, b), doubtful)

        scope, ends = body(doubtful)
        b = self.b
        last = b.prim("sub", trips, b.i64(1))
        left = {k for k, end in zip(active, ends, strict=False) if end in self.conditional}
        peeled = left < doubtful and not handed and _is_peeled(c.region, scope.region)
        if peeled:
            inits, certain = self._peel(op, c, last, active, inits, begin)
            scope, ends = body(doubtful - certain)
            last = b.prim("sub", last, b.i64(1))
        args = [last, b.i64(0), b.i64(-1), *shadows, *inits, *(init for _, _, init in scope.carried)]
        ends[:0] = [scope.made["shadow", h.param] for h in handed]
        Builder(scope.region, op.span).next_(*ends)
        mirror = b.op("for", args, [e.type for e in ends], [scope.region])
        if not peeled:
            self.mirrors[op] = mirror
        self.order.end(c, before)
        self._give(op, op.args[3:], active, scope, mirror.results[len(handed) :])
        for h, shadow in zip(handed, mirror.results, strict=False):
            self.order.hands_on(h.init, c)
            self.calls.shadows.add_to(self.shadow(h.init), shadow, self.b)

    def _peel(
        self,
        op: Op,
        c: Construct,
        last: Value,
        active: Sequence[int],
        inits: Sequence[Value],
        begin: Callable[[Sequence[Value], Builder], None],
    ) -> tuple[list[Value], set[int]]:
        """Go back through the last iteration of a `for`, if there was one, by itself. The cotangents of what was handed
        to it, and which of them are certain where there was: often all, where only some of what comes out of the loop
        is used (one coordinate of a system), so that nothing needs a guard in the loop that follows."""
        carried, here = c.region.params[1:], self.here
        certain: set[int] = set()

        def iteration() -> None:
            self.here = c
            self.carried[op] = dict(zip(active, inits, strict=True))
            begin([last], self.b)
            self.region(c.region)
            found = {k: self.scope.table.get(carried[k]) for k in active}
            certain.update(k for k, d in found.items() if d is not None and d not in self.conditional)
            self.here = here

        def none() -> None:
            self.scope.table.update((carried[k], init) for k, init in zip(active, inits, strict=True))

        inside = {r for inner in c.region.ops for r in inner.results}
        self._arms(self.b.prim("ge", last, self.b.i64(0)), iteration, none, inside)
        return [self.scope.table.pop(carried[k]) for k in active], certain

    def _op_loop(self, op: Op) -> None:
        self._take(op)
        c = self.plan.loop[op]
        carried = c.region.params
        active = [k for k, p in enumerate(carried) if self.activity.active(p)]
        zeros = [self.zero_cotangent(carried[k], self.b) for k in active]
        start = self.fetch(("start", op)) if c.fields else self.b.i64(0)
        place = self.fetch(("end" if c.fields else "count", op))
        coded = len(c.exits) > 1 and not c.per_iteration_code
        first_code = [self._last_code(c)] if coded else []
        fixed = [I64, *(I64 for _ in first_code)]
        leaving = Op("break", (), attrs={"depth": 0}, span=op.span)
        previous: list[Value] = []

        def begin(region: Region, b: Builder) -> None:
            more = b.prim("gt", region.params[0], start)
            end = Region()
            end.ops.append(leaving)
            go_on = Region()
            Builder(go_on, op.span).yield_()
            b.op("if", (more,), (), [go_on, end])
            previous[:] = [b.prim("sub", region.params[0], b.i64(1))]
            self._load_record(c, previous[0] if c.fields else None, b)
            self.codes[c] = region.params[1] if coded else None
            if c.per_iteration_code:
                self.codes[c] = self.records[c]["itercode", c]

        scope, ends = self._body(op, c, fixed, active, carried, zeros, begin, self._doubtful.setdefault(op, set()))
        b, region = self.b, scope.region
        leaving.args = region.params[len(fixed) :]
        end_of_body = Builder(region, op.span)
        code = [end_of_body.i64(c.code(c.nexts[0]) if c.nexts else 0)] if coded else []
        end_of_body.next_(previous[0], *code, *ends)
        args = [place, *first_code, *zeros, *(init for _, _, init in scope.carried)]
        results = b.op("loop", args, [e.type for e in ends], [region]).results
        self._give(op, op.args, active, scope, results)

    def _body(
        self,
        op: Op,
        c: Construct,
        fixed: Sequence[LeafType],
        active: Sequence[int],
        carried: Sequence[Value],
        inits: Sequence[Value],
        begin: Callable[[Region, Builder], None],
        doubtful: set[int],
    ) -> tuple[LoopScope, list[Value]]:
        """The body of a reverse loop, and what it hands on. Its parameters are `fixed`, then the cotangents of what the
        iteration handed on. Those that are not `doubtful` are taken for certain, not conditional; where the body shows
        that one is not, it is doubtful, too, and the body is made again. (A loop remembers these, for when it is made
        again as a part of another.) The zeros that a `loop` begins with do not make a cotangent conditional: the last
        iteration hands nothing on."""
        outer_b, outer, here = self.b, self.scope, self.here
        while True:
            region = Region([*fixed, *(i.type for i in inits)])
            incoming = region.params[len(fixed) :]
            scope = LoopScope(outer, region, c, self, outer_b)
            self.b, self.scope, self.here = Builder(region, op.span), scope, c
            self.carried[op] = dict(zip(active, incoming, strict=True))
            for p, k in zip(incoming, active, strict=True):
                p.hint = carried[k].hint
                if k in doubtful:
                    self.conditional.add(p)
            begin(region, self.b)
            self.region(c.region)
            ends = self._ends(scope, active, carried)
            self.b, self.scope, self.here = outer_b, outer, here
            found = {k for k, e in zip(active, ends, strict=False) if e in self.conditional}
            if found <= doubtful:
                return scope, ends
            doubtful |= found

    def _ends(self, scope: LoopScope, active: Sequence[int], carried: Sequence[Value]) -> list[Value]:
        """What an iteration of the reverse loop hands on."""
        ends = []
        for k in active:
            d = scope.table.get(carried[k])
            ends.append(self.zero_cotangent(carried[k], Builder(scope.region)) if d is None else d)
        return ends + [scope.table[v] for v, _, _ in scope.carried]

    def _give(
        self, op: Op, inits: Sequence[Value], active: Sequence[int], scope: LoopScope, results: Sequence[Value]
    ) -> None:
        """After a reverse loop: outer cotangents, then those of the loop's initial values."""
        for (v, param, _), r in zip(scope.carried, results[len(active) :], strict=True):
            self.scope.table[v] = r
            if param in self.conditional:
                self.conditional.add(r)
        for k, r in zip(active, results, strict=False):
            if k in self._doubtful[op]:
                self.conditional.add(r)
            self.add(inits[k], r)

    def _place_in_nest(self, c: Construct, b: Builder) -> Value | None:
        if not c.fields:
            return None
        loops = [loop.op for loop in self.plan.nests[c] if loop.op is not None]
        trips = [self.value(("trips", loop)) for loop in loops]
        return place_in_nest([self.counters[loop] for loop in loops], trips, b)

    def _load_record(self, c: Construct, place: Value | None, b: Builder) -> None:
        if place is None:
            self.records[c] = {}
            return
        tape = self.fetch(("tape", c.op)) if c in self.plan.nests else self.tapes[c]
        results = b.op("load", (tape, place), tuple(c.fields.values()), first=0).results
        self.records[c] = dict(zip(c.fields, results, strict=True))

    def _last_code(self, c: Construct) -> Value:
        """The exit of the last iteration of a loop: its own break, or one that also left what is around it."""
        assert c.op is not None and c.parent is not None
        b, outer = self.b, c.parent
        if self.passed or not outer.exits_in(c.op):
            if len(c.breaks) > 1:
                return self.fetch(("code", c.op))
            return b.i64(c.code(c.breaks[0]) if c.breaks else 0)
        first, *others = outer.exits_in(c.op)
        code = b.i64(c.code(first))
        for exit in others:
            is_it = b.prim("eq", self._code_here(outer), b.i64(outer.code(exit)))
            code = b.prim("select", is_it, b.i64(c.code(exit)), code)
        return code

    def _code_here(self, c: Construct) -> Value:
        code = self.codes[c]
        assert code is not None
        return code

    # ---- memory
    def _scalars(self, types: Sequence[LeafType]) -> list[int]:
        return [k for k, t in enumerate(types) if t != BOOL and not is_ref(t)]

    def _collect(self, m: Value, place: Value, first: int, values: Sequence[Value], clear: bool) -> None:
        """Take the cotangents of what was written."""
        self.order.takes(m, self.here)
        shadow = self.shadow(m)
        for k in self._scalars([v.type for v in values]):
            t = tangent(values[k].type)
            assert t is not None
            if self.activity.active(values[k]):
                d = self.b.op("load", (shadow, place), (t,), first=first + k).result
                self.conditional.add(d)
                self.add(values[k], d)
            if clear:
                self.b.op("store", (shadow, place, self.b.zero(t)), first=first + k)

    def _scatter(self, m: Value, place: Value, first: int, results: Sequence[Value]) -> None:
        """Add the cotangents of what was read."""
        self.order.adds(m, self.here)
        for k in self._scalars([r.type for r in results]):
            d = self.cotangent(results[k])
            if d is not None:
                self.b.op("acc", (self.shadow(m), place, d), first=first + k)

    def _op_load(self, op: Op) -> None:
        self._scatter(op.args[0], self.primal(op.args[1]), op.attrs.get("first", 0), op.results)

    def _op_pop(self, op: Op) -> None:
        self._scatter(op.args[0], self.fetch(("index", op)), 0, op.results)

    def _op_store(self, op: Op) -> None:
        self._collect(op.args[0], self.primal(op.args[1]), op.attrs.get("first", 0), op.args[2:], clear=True)

    def _op_acc(self, op: Op) -> None:
        self._collect(op.args[0], self.primal(op.args[1]), op.attrs.get("first", 0), op.args[2:], clear=False)

    def _op_push(self, op: Op) -> None:
        self._collect(op.args[0], self.fetch(("index", op)), 0, op.args[1:], clear=True)

    def _op_new(self, op: Op) -> None:
        """Memory begins as zero: what remains of its cotangent is dropped, so that the reverse may run again."""
        if not self.plan.makes_shadow_later(op.result):
            self.order.takes(op.result, self.here)
            clear_memory(self.shadow(op.result), self.b)

    def _op_kernel(self, op: Op) -> None:
        """Each factor's cotangent is a product of the target's and the other factor, as it was."""
        rule = bilinear(op, self.activity)
        if rule is None:
            return
        self.order.takes(op.args[rule.target], self.here)
        for f in active_factors(op, rule, self.activity):
            self.order.adds(op.args[f], self.here)
            other = rule.other(f)
            copied = self.plan.copies(op, other)
            names = numbers_of(op)
            numbers = {name: self.primal(names[name]) for name in adjoint_numbers(rule, f, copied)}
            if copied:
                elements = rule.factors[other]
                numbers |= dense_numbers(elements, numbers[elements.counts[0]], self.b)
                factor = self.fetch(("contents", (op, other)))
            else:
                factor = self.primal(op.args[other])
            shadows = {k: self.shadow(op.args[k]) for k in (rule.target, f)}
            adjoint(rule, f, {**shadows, other: factor}, numbers, self.b)

    # ---- calls
    def _op_call(self, op: Op) -> None:
        self.order.calls(op, self.here)
        self.calls.reverse_call(self, op)


def _is_peeled(body: Region, reverse: Region) -> bool:
    """Whether a loop of which the last iteration hands on fewer conditional cotangents than it gets has that one apart:
    where it is short, and the reverse of its body guards some products."""
    if any(op.regions for op in body.ops) or len(reverse.ops) > LONGEST_PEELED:
        return False
    return sum(op.name in GUARDED for op in reverse.ops) >= PEELED
