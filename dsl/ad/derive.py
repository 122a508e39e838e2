"""Makes derivative functions: forward mode, gradients in one function, and split pairs for calls.

Signatures (leaf parameters in order; *duals* are of the parameters named, sorted):

    jvp     (primals…, duals of pattern.params…) -> (results…, duals of `returned_duals`…)
    forward (primals…, shadows of the references in pattern.params…, tapes…) -> (results…, shadows…, place)
    reverse (place, seeds…, tapes…) -> cotangents of the scalars in pattern.params
    gradient: see `gradient`

A recursive function's pair calls itself; all pairs of one derivative share one tape for each construct, since the
reverse sweep goes back exactly through what the forward sweep did, and a record's place is a number that its maker
hands on. `place` is missing where a function keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.ad.activity import Activity, Pattern, has_tangent
from dsl.ad.again import forward_again, pattern_again, reverse_again
from dsl.ad.blocks import in_blocks
from dsl.ad.decide import save_all
from dsl.ad.forward import Forward, returned_duals
from dsl.ad.fuse import fuse_nests
from dsl.ad.keep import Saver
from dsl.ad.linear import is_linear
from dsl.ad.plan import Construct, Key, Plan
from dsl.ad.reverse import Backward
from dsl.ad.rules import plus
from dsl.ad.settled import Settled
from dsl.ad.shadows import Shadows, nested_types
from dsl.ad.transpose import Transposer
from dsl.ad.width import Tangents, widened
from dsl.analysis import Influence
from dsl.diagnostics import error
from dsl.ir.core import Function, Op, Program, Region, Rule, Value
from dsl.ops import Builder
from dsl.records import dataclass, field
from dsl.types import F32, F64, I64, LeafType, Mem, is_ref, tangent


def seeded(types: Sequence[LeafType]) -> list[int]:
    """The results that a derivative has seeds (or tangents) for: the scalars with a tangent."""
    return [k for k, t in enumerate(types) if not is_ref(t) and tangent(t) is not None]


def dual_type(t: LeafType) -> LeafType:
    d = tangent(t)
    assert d is not None
    return d


@dataclass(eq=False)
class Pair:
    """The two halves of a function's reverse mode; `tapes` are those of the constructs of every pair it reaches."""

    fn: Function
    pattern: Pattern
    plan: Plan
    callees: list[Pair] = field(default_factory=list)
    again: list[Pair] = field(default_factory=list)  # of calls that are run again, each in one place
    forward: str = ""
    reverse: str = ""

    @property
    def activity(self) -> Activity:
        return self.plan.activity

    @property
    def keeps(self) -> bool:
        return bool(self.plan.root.fields)

    def reach(self) -> list[Pair]:
        found: list[Pair] = []
        work = [self]
        while work:
            p = work.pop()
            if p not in found:
                found.append(p)
                work += reversed(p.callees)
        return found

    def constructs(self) -> list[Construct]:
        """The constructs that share a tape with all their runs."""
        return [c for p in self.reach() for c in p.plan.constructs if c.fields and c not in p.plan.nests]

    def inner_constructs(self) -> list[Construct]:
        """The same, without the body of this function."""
        return [c for c in self.constructs() if c is not self.plan.root or self in self.all_callees()]

    def all_callees(self) -> list[Pair]:
        return [q for p in self.reach() for q in p.callees]

    def shadows(self) -> list[int]:
        return sorted(i for i in self.pattern.params if is_ref(self.fn.params[i].type))

    def inputs(self) -> list[int]:
        return sorted(i for i in self.pattern.params if not is_ref(self.fn.params[i].type))

    def seeds(self) -> list[int]:
        return sorted(self.activity.varied_results())


class Deriver:
    """Makes derivative functions of the functions of a program, each once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.shadows = Shadows(program)
        self.influence = Influence(program)
        self._jvps: dict[tuple[str, Pattern, bool], str] = {}
        self._doubtful: set[Forward] = set()  # the sweeps of `jvp` that are
        self._tangents: dict[str, Tangents] = {}  # of each function of forward mode, as it was made
        self._pairs: dict[tuple[str, Pattern], Pair] = {}
        self._settled: dict[Activity, Settled] = {}
        self._linear: dict[str, bool] = {}
        self._tape_values: dict[Forward, dict[Construct, Value]] = {}
        self._plans: dict[Forward, Plan] = {}
        self._agains: dict[tuple[str, Pattern], str] = {}

    def refresh(self) -> None:
        """Forget what was derived from functions that have changed since."""
        self.influence = Influence(self.program)
        self._jvps.clear()
        self._tangents.clear()
        self._pairs.clear()
        self._agains.clear()
        self._settled.clear()

    def activity(self, fn: Function, pattern: Pattern) -> Activity:
        return Activity(fn, self.influence.flow(fn.name), pattern, self.influence)

    def settled(self, activity: Activity) -> Settled:
        """What stays as it is until the reverse sweep, for a function and pattern."""
        if activity not in self._settled:
            self._settled[activity] = Settled(activity.fn, activity.flow, activity.pattern, self.influence)
        return self._settled[activity]

    def new_function(
        self, stem: str, params: Sequence[LeafType], results: Sequence[LeafType], of: Function
    ) -> Function:
        fn = Function(self.program.fresh(stem), Region(params), tuple(results), f"{stem} of {of.title}", of.span)
        return self.program.add(fn)

    def call_pattern(self, activity: Activity, op: Op, scalar: str) -> Pattern:
        """How the callee is to be differentiated, seen from a call. `scalar` names the question asked of scalars."""
        asks = getattr(activity, scalar)
        params = frozenset(
            i for i, a in enumerate(op.args) if (activity.shadowed(a) if is_ref(a.type) else asks(a))
        )  # fmt: skip
        results = frozenset(k for k, r in enumerate(op.results) if activity.shadowed(r))
        settled = self.settled(activity) if scalar == "active" else None  # forward mode does not ask
        alone = frozenset(
            i for i, a in enumerate(op.args) if settled is not None and is_ref(a.type) and settled.everything(op, a)
        )
        return Pattern(params, results, activity.pattern.reusable, activity.pattern.silent, settled=alone)

    def rule_of(self, name: str) -> Rule | None:
        rule = self.program.functions[name].attrs.get("rule")
        assert rule is None or isinstance(rule, Rule)
        return rule

    # ------------------------------------------------------------ forward mode
    def jvp(self, fn: Function, pattern: Pattern, doubtful: bool = False) -> Function:
        """The forward-mode copy of a function. With `doubtful` the tangents that it is given may be zero because they
        belong to another direction: such a zero makes no NaN where a partial derivative is infinite."""
        known = self._jvps.get((fn.name, pattern, doubtful))
        if known is not None:
            return self.program.functions[known]
        activity = self.activity(fn, pattern)
        order = sorted(pattern.params)
        returned = returned_duals(fn, activity, scalars=True)
        params = [p.type for p in fn.params] + [dual_type(fn.params[i].type) for i in order]
        results = [*fn.results, *(dual_type(fn.results[k]) for k in returned)]
        new = self.new_function(f"{fn.name}.jvp", params, results, fn)
        self._jvps[fn.name, pattern, doubtful] = new.name
        b = Builder(new.body, fn.span)
        sweep = Forward(activity, self, scalars=True)
        self._bind_params(sweep, fn, new.params, order, b)
        if doubtful:
            self._doubtful.add(sweep)
            sweep.conditional.update(sweep.duals.values())

        def handle(s: Forward, op: Op, arm: Builder, loops: int) -> None:
            duals = [s.dual_or_zero(op.args[k], arm) for k in returned]
            arm.return_(*(s.values[v] for v in op.args), *duals)

        sweep.root_return = handle
        sweep.region(fn.body, b, [])
        self._tangents[new.name] = Tangents(len(fn.params), len(fn.results), frozenset(sweep.duals.values()))
        return new

    def wide_jvp(self, fn: Function, pattern: Pattern, width: int) -> Function | None:
        """The forward-mode copy of a function for several directions at once, their duals side by side; None where they
        have to be done one after the other."""
        return widened(self.program, self._tangents, self.jvp(fn, pattern, doubtful=True).name, width)

    def _bind_params(
        self, sweep: Forward, fn: Function, new: Sequence[Value], duals: Sequence[int], b: Builder
    ) -> None:
        for p, n in zip(fn.params, new, strict=False):
            sweep.set_value(p, n)
        for i, d in zip(duals, new[len(fn.params) :], strict=False):
            sweep.set_dual(fn.params[i], d, b)
            sweep.given.add(d)

    # ------------------------------------------------------------ calls in a forward sweep
    def call(self, sweep: Forward, op: Op, b: Builder) -> None:
        """Copy a call: with tangents in forward mode, augmented in the forward sweep of reverse mode."""
        rule = self.rule_of(op.attrs["fn"])
        if sweep.scalars:
            pattern = self.call_pattern(sweep.activity, op, "varied")
            if rule is not None and pattern.params:
                self._jvp_rule(sweep, op, rule, b)
            elif pattern.params or pattern.results or pattern.silent:
                self._jvp_call(sweep, op, pattern, b)
            else:
                sweep.plain_call(op, b)
        elif op not in sweep.activity.live:
            sweep.plain_call(op, b, self.muted(op.attrs["fn"], sweep.activity))
        elif rule is not None:
            self._augmented_rule(sweep, op, rule, b)
        elif (copies := self._plans[sweep].again.get(op)) is not None:
            forward_again(self, sweep, op, copies, b)
        else:
            self._augmented_call(sweep, op, b)

    def muted(self, name: str, activity: Activity) -> Function:
        """A function, or a copy of it that prints nothing, where the pattern asks for that."""
        fn = self.program.functions[name]
        if activity.pattern.silent and self._prints(name, set()):
            return self.jvp(fn, Pattern(frozenset(), silent=True))
        return fn

    def _jvp_call(self, sweep: Forward, op: Op, pattern: Pattern, b: Builder) -> None:
        callee = self.program.functions[op.attrs["fn"]]
        doubtful = sweep in self._doubtful
        fn = self.jvp(callee, pattern, doubtful)
        returned = returned_duals(callee, self.activity(callee, pattern), scalars=True)
        args = [sweep.values[a] for a in op.args]
        duals = [sweep.dual_or_zero(op.args[i], b) for i in sorted(pattern.params)]
        results = b.call(fn, [*args, *duals])
        n = len(op.results)
        for r, v in zip(op.results, results, strict=False):
            sweep.set_value(r, v)
        for k, d in zip(returned, results[n:], strict=True):
            if sweep.carries(op.results[k]):
                sweep.set_dual(op.results[k], d, b)
                if doubtful:
                    sweep.conditional.add(d)

    def _shadow_results(self, sweep: Forward, op: Op, b: Builder) -> None:
        """Memory that a rule's function gives is new: its shadow is zero."""
        new = [r for r in op.results if sweep.activity.shadowed(r)]
        registries = self.shadows.registries([r.type for r in new], b)
        for r in new:
            sweep.set_dual(r, self.shadows.make(sweep.values[r], b, registries), b)

    def _augmented_call(self, sweep: Forward, op: Op, b: Builder) -> None:
        pair = self.pair_for(sweep.activity, op)
        self.emit_pair(pair)
        tapes = [self._tape_values[sweep][c] for c in pair.constructs()]
        args = [sweep.values[a] for a in op.args]
        shadows = [sweep.dual_or_zero(op.args[i], b) for i in pair.shadows()]
        results = b.call(self.program.functions[pair.forward], [*args, *shadows, *tapes])
        n = len(op.results)
        for r, v in zip(op.results, results, strict=False):
            sweep.set_value(r, v)
        given = returned_duals(pair.fn, pair.activity, scalars=False)
        for k, d in zip(given, results[n:], strict=False):
            sweep.set_dual(op.results[k], d, b)
        if pair.keeps and sweep.keeper is not None:
            sweep.keeper.define(("record", op), results[-1])

    def _augmented_rule(self, sweep: Forward, op: Op, rule: Rule, b: Builder) -> None:
        args = [sweep.values[a] for a in op.args]
        n = len(op.results)
        assert sweep.keeper is not None
        if rule.reverse:
            results = b.call(self.muted(rule.forward, sweep.activity), args)
            for i, v in enumerate(results[n:]):
                sweep.keeper.define(("capture", (op, i)), v)
        elif self._has_memory(op):
            callee = self.program.functions[op.attrs["fn"]]
            text = f"{callee.title or callee.name} has an `frule` only, which does not serve reverse mode for arrays"
            raise error("E0503", text, op.span, "give an `rrule` as well, or use forward mode")
        else:
            fn = self.program.functions[rule.pushforward]
            outputs = seeded(self.program.functions[op.attrs["fn"]].results)
            results = []
            for i in [i for i, k in enumerate(rule.wrt) if sweep.activity.active(op.args[k])]:
                unit = [b.const(float(i == j), _float(op.args[k].type)) for j, k in enumerate(rule.wrt)]
                results = b.call(fn, [*args, *unit])
                for j, d in zip(outputs, results[n:], strict=True):
                    sweep.keeper.define(("capture", (op, (i, j))), d)
            if not results:
                results = b.call(self.program.functions[op.attrs["fn"]], args)
        for r, v in zip(op.results, results, strict=False):
            sweep.set_value(r, v)
        self._shadow_results(sweep, op, b)

    def _has_memory(self, op: Op) -> bool:
        """Whether memory that has a shadow goes into a call, or comes out of it."""
        return any(is_ref(v.type) and has_tangent(v.type) for v in (*op.args, *op.results))

    def _jvp_rule(self, sweep: Forward, op: Op, rule: Rule, b: Builder) -> None:
        """Forward mode of a function with a rule: its pushforward, or its pullback transposed."""
        args = [sweep.values[a] for a in op.args]
        tangents = [sweep.dual(op.args[k]) for k in rule.wrt]
        callee = self.program.functions[op.attrs["fn"]]
        outputs, n = seeded(callee.results), len(op.results)
        out: dict[int, Value] = {}
        if rule.pushforward:
            zeros = [b.zero(dual_type(op.args[k].type)) for k in rule.wrt]
            duals = [z if d is None else d for z, d in zip(zeros, tangents, strict=True)]
            results = b.call(self.program.functions[rule.pushforward], [*args, *duals])
            given = [k for k, t in enumerate(callee.results) if tangent(t) is not None]
            out = dict(zip(given, results[n:], strict=True))
        elif self._has_memory(op):
            self.require_linear(callee, rule, op)
            if any(len(nested_types(op.args[k].type)) > 1 for k in rule.wrt):
                text = f"forward mode through {callee.title or callee.name}, which takes arrays of arrays, needs a rule"
                raise error("E0503", text, op.span, "give an `frule` as well, or use reverse mode")
            results = b.call(self.program.functions[rule.forward], args)
            out = Transposer(self).duals(callee, rule, args, tangents, results, b)
        else:
            self.require_linear(callee, rule, op)
            results = b.call(self.program.functions[rule.forward], args)
            for j in outputs:
                seeds = [b.const(float(i == j), _float(callee.results[i])) for i in outputs]
                rows = b.call(self.program.functions[rule.reverse], [*results[n:], *seeds])
                for p, d in zip(rows, tangents, strict=True):
                    if d is not None:
                        term = b.prim("strongmul", d, p) if d in sweep.conditional else b.prim("mul", p, d)
                        out[j] = plus(b, out[j], term) if j in out else term
        for r, v in zip(op.results, results, strict=False):
            sweep.set_value(r, v)
        for j, d in out.items():
            if sweep.carries(op.results[j]):
                sweep.set_dual(op.results[j], d, b)

    def rule_is_linear(self, callee: Function, rule: Rule) -> bool:
        if callee.name not in self._linear:
            reverse = self.program.functions[rule.reverse]
            n = len(self.program.functions[rule.forward].results) - len(callee.results)
            seeds = [tangent(t) for t in callee.results if tangent(t) is not None]
            self._linear[callee.name] = is_linear(self.program, self.influence, reverse, n, n + len(seeds))
        return self._linear[callee.name]

    def can_transpose(self, callee: Function, rule: Rule) -> bool:
        """Whether forward mode can do with a pullback alone."""
        flat = all(not is_ref(t := callee.params[k].type) or len(nested_types(t)) == 1 for k in rule.wrt)
        return flat and self.rule_is_linear(callee, rule)

    def require_linear(self, callee: Function, rule: Rule, op: Op) -> None:
        if not self.rule_is_linear(callee, rule):
            raise error(
                "E0503",
                f"the pullback of {callee.title or callee.name} is not linear in the cotangent, "
                "so forward mode cannot use it",
                op.span,
                "give an `frule` as well, or use reverse mode",
            )

    # ------------------------------------------------------------ reverse mode: pairs
    def pair_for(self, activity: Activity, op: Op) -> Pair:
        return self.pair(self.program.functions[op.attrs["fn"]], self.call_pattern(activity, op, "active"))

    def pair(self, fn: Function, pattern: Pattern) -> Pair:
        """The pair of a function, planned (with all pairs it reaches) but not emitted."""
        known = self._pairs.get((fn.name, pattern))
        if known is not None:
            return known
        plan = self._in_blocks(self._plan(fn, pattern))
        pair = Pair(plan.fn, pattern, plan)
        self._pairs[fn.name, pattern] = pair
        for op in plan.fn.body.walk():
            if op.name != "call" or op not in pair.activity.live or self.rule_of(op.attrs["fn"]) is not None:
                continue
            once_more = op in plan.again
            callee = self._pair_again(pair.activity, op) if once_more else self.pair_for(pair.activity, op)
            found = pair.again if once_more else pair.callees
            if callee not in found:
                found.append(callee)
        return pair

    def _plan(self, fn: Function, pattern: Pattern) -> Plan:
        activity = self.activity(fn, pattern)
        return Plan(fn, activity, self.program, self.settled(activity))

    def _in_blocks(self, plan: Plan) -> Plan:
        """The plan of the same function with its long loops in blocks, where these can be run again."""
        refused: set[Op] = set()
        while (split := in_blocks(plan, refused)) is not None:
            divided = self._plan(split.fn, plan.activity.pattern)
            divided.notes, divided.blocks = split.notes, split.blocks
            more = {loop for call, loop in split.calls.items() if call not in divided.again}
            if not more:
                return divided
            refused |= more
        return plan

    def _pair_again(self, activity: Activity, op: Op) -> Pair:
        pattern = self.call_pattern(activity, op, "active")
        return self.pair(self.program.functions[op.attrs["fn"]], pattern_again(pattern))

    def emit_pair(self, pair: Pair) -> None:
        """Make the two functions of a pair."""
        if pair.forward:
            return
        fn, plan = pair.fn, pair.plan
        tapes = [c.record for c in pair.constructs()]
        given = returned_duals(fn, pair.activity, scalars=False)
        place: list[LeafType] = [I64] if pair.keeps else []
        shadows = [dual_type(fn.params[i].type) for i in pair.shadows()]
        forward = self.new_function(
            f"{fn.name}.forward",
            [*(p.type for p in fn.params), *shadows, *tapes],
            [*fn.results, *(dual_type(fn.results[k]) for k in given), *place],
            fn,
        )
        reverse = self.new_function(
            f"{fn.name}.reverse",
            [*place, *(dual_type(fn.results[k]) for k in pair.seeds()), *tapes],
            [dual_type(fn.params[i].type) for i in pair.inputs()],
            fn,
        )
        pair.forward, pair.reverse = forward.name, reverse.name
        self._emit_forward(pair, forward, given)
        self._emit_reverse(pair, reverse, plan)

    def _emit_forward(self, pair: Pair, new: Function, given: Sequence[int]) -> None:
        fn, plan, constructs = pair.fn, pair.plan, pair.constructs()
        b = Builder(new.body, fn.span)
        tapes = dict(zip(constructs, new.params[len(new.params) - len(constructs) :], strict=True))
        saver = Saver(plan, tapes)
        sweep = Forward(pair.activity, self, scalars=False, keeper=saver)
        saver.copies = sweep.values
        self._tape_values[sweep], self._plans[sweep] = tapes, plan
        self._bind_params(sweep, fn, new.params, pair.shadows(), b)

        def handle(s: Forward, op: Op, arm: Builder, loops: int) -> None:
            place = []
            if pair.keeps:
                tape = tapes[plan.root]
                place.append(arm.op("len", (tape,), (I64,)).result)
                arm.op("push", (tape, *saver.record(plan.root, op, arm)))
            shadows = [s.dual_or_zero(op.args[k], arm) for k in given]
            arm.return_(*(s.values[v] for v in op.args), *shadows, *place)

        sweep.root_return = handle
        sweep.region(fn.body, b, [])

    def _emit_reverse(self, pair: Pair, new: Function, plan: Plan) -> None:
        constructs = pair.constructs()
        b = Builder(new.body, pair.fn.span)
        tapes = dict(zip(constructs, new.params[len(new.params) - len(constructs) :], strict=True))
        record: dict[Key, Value] = {}
        first = 0
        if pair.keeps:
            first = 1
            types = tuple(plan.root.fields.values())
            loaded = b.op("load", (tapes[plan.root], new.params[0]), types, first=0).results
            record = dict(zip(plan.root.fields, loaded, strict=True))
        seeds = dict(zip(pair.seeds(), new.params[first:], strict=False))
        backward = Backward(plan, self, b, record, tapes, seeds)
        backward.conditional.update(seeds.values())
        backward.run()
        b.return_(*(self.final(backward, i, b) for i in pair.inputs()))

    def final(self, backward: Backward, i: int, b: Builder) -> Value:
        """The cotangent of a parameter."""
        v = backward.plan.fn.params[i]
        d = backward.cotangent(v)
        return b.zero(dual_type(v.type)) if d is None else d

    def reverse_call(self, sweep: Backward, op: Op) -> None:
        """The adjoint of a call."""
        rule = self.rule_of(op.attrs["fn"])
        if rule is not None:
            self._reverse_rule(sweep, op, rule)
            return
        copies = sweep.plan.again.get(op)
        pair = self.pair_for(sweep.activity, op) if copies is None else self._pair_again(sweep.activity, op)
        b = sweep.b
        known = [sweep.cotangent(op.results[k]) for k in pair.seeds()]
        if not pair.shadows() and not pair.activity.shadowed_results() and all(d is None for d in known):
            return
        seeds = [
            b.zero(dual_type(op.results[k].type)) if d is None else d for k, d in zip(pair.seeds(), known, strict=True)
        ]
        if copies is None:
            place = [sweep.fetch(("record", op))] if pair.keeps else []
            tapes = [sweep.tapes[c] for c in pair.constructs()]
            cotangents = b.call(self.program.functions[pair.reverse], [*place, *seeds, *tapes])
        else:
            cotangents = reverse_again(self, sweep, op, self.program.functions[op.attrs["fn"]], copies, seeds)
        doubtful = all(d is None or d in sweep.conditional for d in known)
        self._add_all(sweep, [op.args[i] for i in pair.inputs()], cotangents, doubtful)

    def _add_all(self, sweep: Backward, args: Sequence[Value], cotangents: Sequence[Value], doubtful: bool) -> None:
        for a, d in zip(args, cotangents, strict=True):
            if doubtful:
                sweep.conditional.add(d)
            sweep.add(a, d)

    def _reverse_rule(self, sweep: Backward, op: Op, rule: Rule) -> None:
        b, activity = sweep.b, sweep.activity
        outputs = [k for k, r in enumerate(op.results) if tangent(r.type) is not None]
        memory = [k for k in outputs if activity.shadowed(op.results[k])]
        known = [sweep.cotangent(op.results[k]) for k in outputs if not is_ref(op.results[k].type)]
        if not memory and all(d is None for d in known):
            return
        seeds = [self._rule_dual(sweep, op.results[k]) for k in outputs]
        args = [op.args[k] for k in rule.wrt]
        scalars = [a for a in args if not is_ref(a.type)]
        doubtful = all(d is None or d in sweep.conditional for d in known)
        if rule.reverse:
            n = len(self.program.functions[rule.forward].results) - len(op.results)
            captures = [sweep.fetch(("capture", (op, i))) for i in range(n)]
            callee = self.program.functions[op.attrs["fn"]]
            by_rows = doubtful and not self._has_memory(op) and not self._prints(rule.reverse, set())
            if by_rows and self.rule_is_linear(callee, rule):
                cotangents = self._by_rows(rule, captures, seeds, b)
            else:
                shadows = [self._rule_dual(sweep, a) for a in args if is_ref(a.type)]
                cotangents = b.call(self.program.functions[rule.reverse], [*captures, *seeds, *shadows])
            self._add_all(sweep, scalars, cotangents, doubtful)
            if activity.pattern.reusable:
                for k in memory:
                    self.shadows.clear(sweep.shadow(op.results[k]), b)
            return
        for i in sweep.plan.rule_inputs(op, rule):
            for j, d in zip(outputs, seeds, strict=True):
                partial = sweep.fetch(("capture", (op, (i, j))))
                term = b.prim("strongmul" if doubtful else "mul", d, partial)
                self._add_all(sweep, [args[i]], [term], doubtful)

    def _rule_dual(self, sweep: Backward, v: Value) -> Value:
        """The shadow of a memory or the cotangent of a scalar, or zero."""
        if is_ref(v.type):
            return sweep.shadow(v) if sweep.activity.shadowed(v) else sweep.b.zero(dual_type(v.type))
        d = sweep.cotangent(v)
        return sweep.b.zero(dual_type(v.type)) if d is None else d

    def _by_rows(self, rule: Rule, captures: Sequence[Value], seeds: Sequence[Value], b: Builder) -> list[Value]:
        """A linear pullback of conditional seeds: of unit seeds, each scaled so that a seed's zero stays zero."""
        total: list[Value] = []
        for i, seed in enumerate(seeds):
            units = [b.const(float(i == j), s.type) for j, s in enumerate(seeds)]
            row = b.call(self.program.functions[rule.reverse], [*captures, *units])
            terms = [self._scaled(seed, d, b) for d in row]
            total = [plus(b, x, y) for x, y in zip(total, terms, strict=True)] if total else terms
        return total

    def _scaled(self, seed: Value, d: Value, b: Builder) -> Value:
        """seed · d, of the type of d."""
        if seed.type != d.type:
            seed = b.prim("tof64" if d.type == F64 else "tof32", seed)
        return b.prim("strongmul", seed, d)

    def _prints(self, name: str, seen: set[str]) -> bool:
        """Whether a function shows something: then it is run with the cotangents themselves, as the program says."""
        if name in seen:
            return False
        seen.add(name)
        ops = list(self.program.functions[name].body.walk())
        return any(op.name == "print" or (op.name == "call" and self._prints(op.attrs["fn"], seen)) for op in ops)

    # ------------------------------------------------------------ reverse mode: one function
    def again(self, fn: Function, pattern: Pattern) -> Function:
        """(primals…, seeds of the scalar results that are varied…, shadows of the references in pattern.params and of
        those in pattern.results…) -> cotangents of the scalars in pattern.params: forward and reverse sweep of a call
        that has been made before."""
        key = fn.name, pattern
        if key in self._agains:
            return self.program.functions[self._agains[key]]
        pair = self.pair(fn, pattern_again(pattern))
        results = sorted(pattern.results)
        given = [*(fn.results[k] for k in pair.seeds()), *(fn.params[i].type for i in pair.shadows())]
        types = [dual_type(t) for t in (*given, *(fn.results[k] for k in results))]
        out = [dual_type(fn.params[i].type) for i in pair.inputs()]
        new = self.new_function(f"{fn.name}.again", [*(p.type for p in fn.params), *types], out, fn)
        self._agains[key] = new.name
        b = Builder(new.body, fn.span)
        duals = iter(new.params[len(fn.params) :])
        seeds = {k: next(duals) for k in pair.seeds()}
        shadows = {i: next(duals) for i in pair.shadows()}
        seeds |= {k: next(duals) for k in results}
        _, backward = self.gradient_body(fn, pair.pattern, new.params, shadows, seeds, b, again=True)
        b.return_(*(self.final(backward, i, b) for i in pair.inputs()))
        return new

    def gradient_body(
        self, fn: Function, pattern: Pattern, primals: Sequence[Value], shadows: dict[int, Value],
        seeds: dict[int, Value], b: Builder, again: bool = False,
    ) -> tuple[list[Value], Backward]:
        """Forward and reverse sweep of a function in one place: its results and the sweep that has the cotangents.
        What the body keeps stays in scope; only loops and calls use tapes. The seed of a memory is added to its
        shadow; in a second run (`again`) it is the shadow of the first one, whose cotangents are taken
        over."""  # fmt: skip
        pair = self.pair(fn, pattern)
        fn, plan = pair.fn, pair.plan
        tapes = {c: b.op("new", (b.i64(0),), (c.record,)).result for c in pair.inner_constructs()}
        saver = Saver(plan, tapes)
        sweep = Forward(pair.activity, self, scalars=False, keeper=saver)
        saver.copies = sweep.values
        self._tape_values[sweep], self._plans[sweep] = tapes, plan
        self._bind_params(sweep, fn, [*primals], [], b)
        for i, s in shadows.items():
            sweep.set_dual(fn.params[i], s, b)
        results, shadows_out, record = self._run_forward(pair, sweep, saver, b)
        for k, s in shadows_out.items():
            if k in seeds and isinstance(s.type, Mem):
                hand_over = self.shadows.move_to if again else self.shadows.add_to
                hand_over(s, seeds[k], b)
        backward = Backward(plan, self, b, record, tapes, seeds)
        backward.run()
        if not save_all():
            fuse_nests(b.region, sweep.loops, saver, backward)
        return results, backward

    def note_fused(self, fn: Function, pattern: Pattern) -> None:
        """Tell a function's plan which loops are fused in its gradient: that is only known when it has been made."""
        wrt = sorted(pattern.params)
        outputs = seeded(fn.results)
        types = [dual_type(fn.params[i].type) for i in wrt] + [dual_type(fn.results[k]) for k in outputs]
        trial = self.new_function("trial", [*(p.type for p in fn.params), *types], (), fn)
        given = iter(trial.params[len(fn.params) :])
        duals = {i: next(given) for i in wrt}
        shadows = {i: d for i, d in duals.items() if is_ref(d.type)}
        seeds = dict(zip(outputs, given, strict=True))
        self.gradient_body(fn, pattern, trial.params, shadows, seeds, Builder(trial.body))
        del self.program.functions[trial.name]

    def _run_forward(
        self, pair: Pair, sweep: Forward, saver: Saver, b: Builder
    ) -> tuple[list[Value], dict[int, Value], dict[Key, Value]]:
        """The forward sweep in place: results, the shadows of those that have one, and what is kept. A body that
        returns early is run as a block that is left by `break`."""
        fn, root = pair.fn, pair.plan.root
        keys = list(root.fields)
        given = returned_duals(fn, pair.activity, scalars=False)
        straight = len(root.exits) == 1 and fn.body.terminator.name == "return"
        out: list[Value] = []

        def values(s: Forward, op: Op, arm: Builder) -> list[Value]:
            shadows = [s.dual_or_zero(op.args[k], arm) for k in given]
            return [*(s.values[v] for v in op.args), *shadows, *saver.record(root, op, arm)]

        def fall(s: Forward, op: Op, arm: Builder, loops: int) -> None:
            out.extend(values(s, op, arm))

        def leave(s: Forward, op: Op, arm: Builder, loops: int) -> None:
            arm.break_(*values(s, op, arm), depth=loops)

        sweep.root_return = fall if straight else leave
        if straight:
            sweep.region(fn.body, b, [])
        else:
            region = Region()
            sweep.region(fn.body, Builder(region, fn.span), [])
            types = [*fn.results, *(dual_type(fn.results[k]) for k in given), *root.fields.values()]
            out = b.op("loop", (), types, [region]).results
        n, m = len(fn.results), len(fn.results) + len(given)
        return list(out[:n]), dict(zip(given, out[n:m], strict=True)), dict(zip(keys, out[m:], strict=True))


def _float(t: LeafType) -> LeafType:
    return F32 if t == F32 else F64


__all__ = ["Deriver", "Pair", "dual_type", "seeded"]
