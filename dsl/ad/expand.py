"""Replaces the derivative ops of a program by calls, innermost first.

A function is differentiated when no derivative op is left in anything it calls, and after the passes that are allowed
before differentiation have run on it. A function whose derivative contains the derivative of itself has no finite
expansion: an error (E0504).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from dsl.ad.activity import has_tangent, root_pattern
from dsl.ad.apart import apart_in, flat_parameters
from dsl.ad.derive import Deriver, Pair, dual_type
from dsl.ad.forward import returned_duals
from dsl.ad.plan import Plan
from dsl.ad.restore import Restorer
from dsl.ad.rules import plus
from dsl.ad.shadows import nested_types
from dsl.ad.taylor import Functions
from dsl.diagnostics import error
from dsl.ir.core import Function, Op, Program, Region, Rule, Value
from dsl.ops import Builder, known
from dsl.passes import pipeline
from dsl.records import replace
from dsl.types import BOOL, I64, OBJ, LeafType, Mem, is_ref, tangent

Mode = Literal["auto", "forward", "reverse"]
# Inputs of a loop for which one pass of forward mode is cheaper than a tape. Lorenz's equations, 10^6 steps, times the
# value's: 2 inputs 1.1 forward, 1.8 reverse; 3 inputs 1.3 and 1.9; 4 inputs 2.2 and 1.7.
FEW = 3
MOST_LANES = 8  # directions that one pass of forward mode carries
DERIVE = frozenset({"jvp", "vjp", "vjp_fwd", "vjp_rev"})


def expand(program: Program, mode: Mode = "auto", fma: bool = True) -> None:
    """Replace every derivative op of a program (and every `shadow`) by calls of functions made here.

    `mode` decides how a `vjp` is done: "forward" runs forward mode, several inputs in one pass (memory that refers to
    memory aside), "reverse" reverse mode, "auto" forward mode for a single input, and for few inputs of a loop. Raises
    E0503 and E0504 (module docstring). `fma`: whether products are rounded together with sums (`passes.contract`).
    """
    Expander(program, mode, fma).run()


def reverse_plan(program: Program, name: str, wrt: Sequence[int]) -> Plan:
    """The plan of the reverse of a function with respect to leaf parameters. The program must be expanded already."""
    deriver = Deriver(program)
    fn = program.functions[name]
    pattern = root_pattern(fn, deriver.influence, frozenset(wrt))
    pair = deriver.pair(fn, pattern)
    deriver.note_fused(fn, pattern)
    for block in pair.again:
        deriver.note_fused(block.fn, block.pattern)
    pair.plan.callees = [callee.plan for callee in (*pair.again, *pair.reach()[1:])]
    return pair.plan


class Expander:
    def __init__(self, program: Program, mode: Mode, fma: bool) -> None:
        self.program = program
        self.mode = mode
        self.fma = fma
        self.deriver = Deriver(program)
        self.taylor = Functions(self.deriver)
        self._done: set[str] = set()
        self._prepared: dict[str, Function] = {}
        self._made: dict[tuple[str, str, tuple[int, ...], frozenset[int]], Function] = {}
        # by function, the parameters that are none of its other parameters' memories
        self._apart = {
            fn.name: flat_parameters(fn) for fn in program.functions.values() if fn.attrs.pop("apart", False)
        }

    def run(self) -> None:
        for name in [*self._apart, *self.program.functions]:
            self.function(name)
        for name in list(self.program.functions):
            self._expand_shadows(self.program.functions[name].body)

    # ------------------------------------------------------------ order
    def function(self, name: str) -> None:
        """Replace the derivative ops in one function."""
        if name in self._done:
            return
        self._done.add(name)
        fn = self.program.functions[name]
        _drop_unwanted(fn)
        self._region(fn, fn.body)

    def _region(self, fn: Function, region: Region) -> None:
        out: list[Op] = []
        for op in region.ops:
            if op.attrs.pop("ways", False) and (way := self._way(fn, op)) is not None:
                out.append(_decide(op, way))
            for inner in op.regions:
                self._region(fn, inner)
            if op.name in DERIVE:
                target = self._ready(fn, op)
                op.name, op.attrs = "call", {"fn": target.name}
            out.append(op)
        region.ops[:] = out

    def _way(self, fn: Function, op: Op) -> int | None:
        """Which region of an `if` to keep whose regions do the same by forward and by reverse mode; None: both."""
        if self.mode != "auto":
            return 0 if self.mode == "forward" else 1
        for inner in (o for k in op.regions[0].ops for o in (k, *(i for r in k.regions for i in r.walk()))):
            if inner.name == "jvp":
                prepared = self._prepare(inner.attrs["fn"], self._reach_apart(fn, inner))
                if not self._forward_possible(prepared, tuple(inner.attrs["wrt"])):
                    return 1
        cheaper = known(op.args[0])
        return None if cheaper is None else int(not cheaper)

    def _reach_apart(self, fn: Function, op: Op) -> set[str]:
        """What the function of a derivative op reaches, which must not be the function that the op is in."""
        name = op.attrs["fn"]
        reach = self._reach(name)
        if fn.name in reach:
            target = self.program.functions[name]
            raise error(
                "E0504",
                f"the derivative of {target.title or name} needs the derivative of itself, of every order",
                op.span,
                "take the derivative outside the recursion",
            )
        return reach

    def _ready(self, fn: Function, op: Op) -> Function:
        """The function that does what a derivative op asks for."""
        name, wrt = op.attrs["fn"], tuple(op.attrs["wrt"])
        reach = self._reach_apart(fn, op)
        silent, width = bool(op.attrs.get("silent")), op.attrs.get("width", 1)
        order = op.attrs.get("order", 1)
        kind = f"{op.name}.{width}.{order}{'.silent' if silent else ''}"
        apart = self._apart_operands(fn, op, reach)
        if (kind, name, wrt, apart) not in self._made:
            prepared = self._prepare(name, reach)
            match op.name:
                case "vjp":
                    made = self._make_vjp(prepared, wrt, silent, apart)
                case "jvp" if order > 1:
                    made = self._make_taylor(prepared, wrt, silent, order)
                case "jvp" if width == 1:
                    made = self._jvp(prepared, wrt, silent, apart)
                case "jvp":
                    made = self._wide_jvp(prepared, wrt, silent, width, apart)
                case _:  # the halves of a pullback are made together: they agree on what a record is
                    half = kind.removeprefix(op.name)
                    self._made[f"vjp_fwd{half}", name, wrt, apart] = self._make_vjp_fwd(prepared, wrt, silent)
                    self._made[f"vjp_rev{half}", name, wrt, apart] = self._make_vjp_rev(prepared, wrt, silent)
                    return self._made[kind, name, wrt, apart]
            self._made[kind, name, wrt, apart] = made
        return self._made[kind, name, wrt, apart]

    def _apart_operands(self, fn: Function, op: Op, reach: set[str]) -> frozenset[int]:
        """The operands of a derivative op that are memories by themselves, those of the primal and those of the
        derivative. What its function is told of them holds for it where nothing else uses it."""
        if op.name not in ("vjp", "jvp"):
            return frozenset()
        name, known = op.attrs["fn"], self._apart.get(fn.name, frozenset())
        target = self.program.functions[name]
        n = len(target.params)
        primals = apart_in(fn, op.args[:n], known)
        if primals and name not in self._done and self._uses(name) == 1:
            self._apart[name] = primals
        return primals | {k for k in apart_in(fn, op.args, known) if k >= n}

    def _uses(self, name: str) -> int:
        """How many ops and rules name a function."""
        total = 0
        for fn in self.program.functions.values():
            rule = fn.attrs.get("rule")
            total += isinstance(rule, Rule) and name in (rule.forward, rule.reverse, rule.pushforward)
            total += sum(op.attrs.get("fn") == name for op in fn.body.walk())
        return total

    def _reach(self, name: str) -> set[str]:
        """Functions that a function calls or differentiates, directly or not, rules included."""
        found: set[str] = set()
        work = [name]
        while work:
            f = work.pop()
            if f in found:
                continue
            found.add(f)
            fn = self.program.functions[f]
            rule = fn.attrs.get("rule")
            if isinstance(rule, Rule):
                work += [r for r in (rule.forward, rule.reverse, rule.pushforward) if r]
            work += [op.attrs["fn"] for op in fn.body.walk() if "fn" in op.attrs]
        return found

    def _prepare(self, name: str, reach: set[str]) -> Function:
        """A function to differentiate: nothing left to expand in it, simplified, and leaving its arguments alone."""
        if name in self._prepared:
            return self._prepared[name]
        for f in sorted(reach):
            self.function(f)
        for f in sorted(self._reach(name)):
            self._expand_shadows(self.program.functions[f].body)
        part = Program({f: self.program.functions[f] for f in sorted(self._reach(name))})
        pipeline.optimise(part, [name], "before-ad", shared=True, fma=self.fma)
        self.deriver.refresh()
        fn = self.program.functions[name]
        restorer = Restorer(self.program, self.deriver.influence)
        if restorer.writes(fn):
            fn = restorer.restoring(fn)
            self.deriver.refresh()
        self._prepared[name] = fn
        return fn

    def _expand_shadows(self, region: Region) -> None:
        out: list[Op] = []
        for op in region.ops:
            for inner in op.regions:
                self._expand_shadows(inner)
            if op.name != "shadow":
                out.append(op)
                continue
            scratch = Region()
            made = self.deriver.shadows.make(op.args[0], Builder(scratch, op.span))
            call = scratch.ops.pop()
            assert made.owner is call
            op.name, op.args, op.attrs = "call", call.args, call.attrs
            out += [*scratch.ops, op]
        region.ops[:] = out

    # ------------------------------------------------------------ shadows of arguments
    def _argument_shadows(
        self, fn: Function, params: Sequence[Value], wanted: Sequence[int], given: dict[int, Value], b: Builder,
        apart: frozenset[int] = frozenset(),
    ) -> dict[int, Value]:
        """Shadows for the reference parameters `wanted`. A shadow handed in is used as it is where no other way can
        lead to the same memory; otherwise all are made here, one for each memory (see `_hand_over`). `apart`: the
        parameters, and shadows handed in, that are memories by themselves."""
        if self._alone(fn, wanted, given) and not self._grows(fn, fn.params[wanted[0]].type):
            return dict(given)
        own = apart.issuperset(wanted) and all(_place(s) in apart for s in given.values())
        if own and not any(self._grows(fn, fn.params[i].type) for i in wanted):
            return {i: given[i] if i in given else self.deriver.shadows.make(params[i], b) for i in wanted}
        registries = self.deriver.shadows.registries([fn.params[i].type for i in wanted], b)
        return {i: self.deriver.shadows.make(params[i], b, registries) for i in wanted}

    def _alone(self, fn: Function, wanted: Sequence[int], given: dict[int, Value]) -> bool:
        return len(wanted) == 1 and set(given) == set(wanted) and len(nested_types(fn.params[wanted[0]].type)) == 1

    def _grows(self, fn: Function, t: LeafType) -> bool:
        """Whether a memory of this type may get longer in a function: its shadow would, too."""
        reach = (self.program.functions[f] for f in self._reach(fn.name))
        return any(op.name == "push" and op.args[0].type == t for g in reach for op in g.body.walk())

    def _hand_over(self, given: dict[int, Value], own: dict[int, Value], b: Builder) -> None:
        """Add what our own shadows collected to those that were handed in, cut to their length."""
        for i, s in given.items():
            if own[i] is not s:
                self.deriver.shadows.add_to(s, own[i], b)

    # ------------------------------------------------------------ jvp
    def _jvp(
        self, fn: Function, wrt: tuple[int, ...], silent: bool, apart: frozenset[int] = frozenset()
    ) -> Function:
        """(primals…, tangents of wrt…) -> (results…, tangents of results…)"""
        key = ("jvp.silent" if silent else "jvp.op", fn.name, wrt, apart)
        if key in self._made:
            return self._made[key]
        d = self.deriver
        outputs = [k for k, t in enumerate(fn.results) if _dual(t)]
        params = [p.type for p in fn.params] + [dual_type(fn.params[i].type) for i in wrt]
        results = [*fn.results, *(dual_type(fn.results[k]) for k in outputs)]
        new = self._made[key] = d.new_function(f"{fn.name}.pushforward", params, results, fn)
        b = Builder(new.body, fn.span)
        pattern = replace(root_pattern(fn, d.influence, frozenset(wrt), apart=apart), silent=silent, in_place=False)
        tangents = dict(zip(wrt, new.params[len(fn.params) :], strict=True))
        refs = sorted(i for i in pattern.params if is_ref(fn.params[i].type))
        given = {i: t for i, t in tangents.items() if i in refs}
        shadows = self._argument_shadows(fn, new.params, refs, given, b, apart)
        for i, t in given.items():
            if shadows[i] is not t:
                d.shadows.add_to(shadows[i], t, b)
        inner = d.jvp(fn, pattern)
        duals = [shadows[i] if i in shadows else tangents[i] for i in sorted(pattern.params)]
        made = b.call(inner, [*new.params[: len(fn.params)], *duals])
        n = len(fn.results)
        returned = dict(zip(returned_duals(fn, d.activity(fn, pattern), scalars=True), made[n:], strict=True))
        out = [returned[k] if k in returned else self._no_dual(fn, k, made[k], b) for k in outputs]
        b.return_(*made[:n], *out)
        return new

    def _no_dual(self, fn: Function, k: int, result: Value, b: Builder) -> Value:
        """The dual of a result that nothing flows to."""
        if isinstance(fn.results[k], Mem) and has_tangent(fn.results[k]):
            return self.deriver.shadows.make(result, b)
        return b.zero(dual_type(fn.results[k]))

    def _wide_jvp(
        self, fn: Function, wrt: tuple[int, ...], silent: bool, width: int, apart: frozenset[int] = frozenset()
    ) -> Function:
        """The same for several directions at once: where there was one tangent there are `width` side by side."""
        d = self.deriver
        outputs = [k for k, t in enumerate(fn.results) if _dual(t)]
        lanes = range(width)
        params = [p.type for p in fn.params] + [dual_type(fn.params[i].type) for i in wrt for _ in lanes]
        results = [*fn.results, *(dual_type(fn.results[k]) for k in outputs for _ in lanes)]
        new = d.new_function(f"{fn.name}.pushforward{width}", params, results, fn)
        b = Builder(new.body, fn.span)
        p, n = len(fn.params), len(fn.results)
        tangents = {i: new.params[p + j * width : p + (j + 1) * width] for j, i in enumerate(wrt)}
        pattern = replace(root_pattern(fn, d.influence, frozenset(wrt), apart=apart), silent=silent, in_place=False)
        inner = d.wide_jvp(fn, pattern, width)
        if inner is None:  # one after the other; the program prints once
            made = [
                b.call(self._jvp(fn, wrt, silent or lane > 0), [*new.params[:p], *(tangents[i][lane] for i in wrt)])
                for lane in lanes
            ]
            b.return_(*made[0][:n], *(made[lane][n + j] for j in range(len(outputs)) for lane in lanes))
            return new
        refs = sorted(i for i in pattern.params if is_ref(fn.params[i].type))
        shadows: list[dict[int, Value]] = []
        for lane in lanes:
            given = {i: t[lane] for i, t in tangents.items() if i in refs}
            shadows.append(self._argument_shadows(fn, new.params, refs, given, b, apart))
            for i, t in given.items():
                if shadows[lane][i] is not t:
                    d.shadows.add_to(shadows[lane][i], t, b)
        duals = [shadows[lane][i] if i in refs else tangents[i][lane] for i in sorted(pattern.params) for lane in lanes]
        done = b.call(inner, [*new.params[:p], *duals])
        returned = {
            k: done[n + j * width : n + (j + 1) * width]
            for j, k in enumerate(returned_duals(fn, d.activity(fn, pattern), scalars=True))
        }
        out = [
            returned[k][lane] if k in returned else self._no_dual(fn, k, done[k], b) for k in outputs for lane in lanes
        ]
        b.return_(*done[:n], *out)
        return new

    def _make_taylor(self, fn: Function, wrt: tuple[int, ...], silent: bool, order: int) -> Function:
        """(primals…, tangents of wrt…) -> (results…, coefficients 1 to `order` of each result that has a tangent…): the
        arguments move by their tangents."""
        d = self.deriver
        outputs = [k for k, t in enumerate(fn.results) if _dual(t)]
        params = [p.type for p in fn.params] + [dual_type(fn.params[i].type) for i in wrt]
        results = [*fn.results, *(dual_type(fn.results[k]) for k in outputs for _ in range(order))]
        new = d.new_function(f"{fn.name}.series{order}", params, results, fn)
        b = Builder(new.body, fn.span)
        p, n = len(fn.params), len(fn.results)
        pattern = replace(root_pattern(fn, d.influence, frozenset(wrt)), silent=silent, in_place=False)
        tangents = dict(zip(wrt, new.params[p:], strict=True))
        refs = sorted(i for i in pattern.params if is_ref(fn.params[i].type))
        memories = [self._argument_shadows(fn, new.params, refs, {}, b) for _ in range(order)]
        for i in refs:
            if i in tangents:
                d.shadows.add_to(memories[0][i], tangents[i], b)
        given = tuple(order if i in refs else 1 for i in sorted(pattern.params))
        inner, returned = self.taylor.function(fn, pattern, order, given)
        series = [
            memories[k][i] if i in refs else tangents[i]
            for i, count in zip(sorted(pattern.params), given, strict=True) for k in range(count)
        ]  # fmt: skip
        made = b.call(inner, [*new.params[:p], *series])
        parts = {k: made[n + j * order : n + (j + 1) * order] for j, k in enumerate(returned)}
        out = [parts[k][j] if k in parts else self._no_dual(fn, k, made[k], b) for k in outputs for j in range(order)]
        b.return_(*made[:n], *out)
        return new

    # ------------------------------------------------------------ vjp
    def _make_vjp(self, fn: Function, wrt: tuple[int, ...], silent: bool, apart: frozenset[int]) -> Function:
        """(primals…, seeds…, shadows of the references in wrt…) -> (results…, cotangents of the scalars in wrt…)"""
        forward = self._forward_possible(fn, wrt)
        scalars = [i for i in wrt if not is_ref(fn.params[i].type)]
        if self.mode == "forward" and forward:
            return self._vjp_forward(fn, wrt, silent)
        few = len(scalars) == len(wrt) and (len(wrt) == 1 or (len(wrt) <= FEW and self._loops(fn)))
        if self.mode == "auto" and forward and (few or self._reverse_impossible(fn)):
            return self._vjp_forward(fn, wrt, silent)
        return self._vjp_reverse(fn, wrt, silent, apart)

    def _loops(self, fn: Function) -> bool:
        """Whether a function (or what it calls) has a loop, so that reverse mode would write a tape."""
        reach = (self.program.functions[name] for name in self._reach(fn.name))
        return any(op.name in ("for", "loop") for g in reach for op in g.body.walk())

    def _forward_possible(self, fn: Function, wrt: tuple[int, ...]) -> bool:
        """Memory that refers to memory has no unit tangents here; a pullback that is not linear no transpose."""
        types = [*(fn.params[i].type for i in wrt), *fn.results]
        if any(is_ref(t) and len(nested_types(t)) != 1 for t in types):
            return False
        for name in self._reach(fn.name):
            callee = self.program.functions[name]
            rule = callee.attrs.get("rule")
            if not isinstance(rule, Rule) or rule.pushforward or not rule.reverse:
                continue
            if self.mode != "forward" and not self.deriver.can_transpose(callee, rule):
                return False
        return True

    def _reverse_impossible(self, fn: Function) -> bool:
        """Whether something that a function calls has a rule for forward mode only, and takes or gives memory."""
        callees = [self.program.functions[name] for name in self._reach(fn.name)]
        rules = [(callee, callee.attrs.get("rule")) for callee in callees]
        return any(
            isinstance(rule, Rule) and rule.pushforward and not rule.reverse
            and any(is_ref(t) and has_tangent(t) for t in (*callee.results, *(p.type for p in callee.params)))
            for callee, rule in rules
        )  # fmt: skip

    def _vjp_signature(self, fn: Function, wrt: tuple[int, ...]) -> tuple[list[int], list[int], list[int]]:
        """Results with a seed, scalars and references of wrt."""
        refs = [i for i in wrt if is_ref(fn.params[i].type)]
        return [k for k, t in enumerate(fn.results) if _dual(t)], [i for i in wrt if i not in refs], refs

    def _new_vjp(self, fn: Function, wrt: tuple[int, ...]) -> tuple[Function, dict[int, Value], dict[int, Value]]:
        outputs, scalars, refs = self._vjp_signature(fn, wrt)
        params = [p.type for p in fn.params] + [dual_type(fn.results[k]) for k in outputs]
        params += [dual_type(fn.params[i].type) for i in refs]
        results = [*fn.results, *(dual_type(fn.params[i].type) for i in scalars)]
        new = self.deriver.new_function(f"{fn.name}.gradient", params, results, fn)
        for p, q in zip(new.params, fn.params, strict=False):
            p.hint = q.hint
        n = len(fn.params)
        seeds = dict(zip(outputs, new.params[n:], strict=False))
        given = dict(zip(refs, new.params[n + len(outputs) :], strict=True))
        return new, seeds, given

    def _vjp_reverse(self, fn: Function, wrt: tuple[int, ...], silent: bool, apart: frozenset[int]) -> Function:
        d = self.deriver
        new, seeds, given = self._new_vjp(fn, wrt)
        b = Builder(new.body, fn.span)
        pattern = replace(root_pattern(fn, d.influence, frozenset(wrt), apart=apart), silent=silent)
        primals = new.params[: len(fn.params)]
        refs = sorted(i for i in pattern.params if is_ref(fn.params[i].type))
        wanted = {i: s for i, s in given.items() if i in refs}
        shadows = self._argument_shadows(fn, primals, refs, wanted, b, apart)
        results, backward = d.gradient_body(fn, pattern, primals, shadows, seeds, b)
        self._hand_over({i: s for i, s in given.items() if i in shadows}, shadows, b)
        scalars = [i for i in wrt if not is_ref(fn.params[i].type)]
        b.return_(*results, *(d.final(backward, i, b) for i in scalars))
        return new

    def _vjp_forward(self, fn: Function, wrt: tuple[int, ...], silent: bool) -> Function:
        """Forward mode once for each input: each cotangent is the seeds times the tangents of the results, memory
        included."""
        new, seeds, given = self._new_vjp(fn, wrt)
        b = Builder(new.body, fn.span)
        primals = new.params[: len(fn.params)]
        outputs = [k for k, t in enumerate(fn.results) if _dual(t)]
        results: list[Value] = []
        cotangents = []
        scalars = tuple(i for i in wrt if i not in given)
        for first in range(0, len(scalars), MOST_LANES):
            chunk = scalars[first : first + MOST_LANES]
            made, lanes = self._directions(fn, chunk, primals, silent or bool(results), b)
            results = results or made
            cotangents += [self._weighed(dict(zip(outputs, lane, strict=True)), seeds, b) for lane in lanes]
        if not results:
            results = b.call(fn, primals)
        for i, s in given.items():
            self._each_place(fn, i, primals, s, seeds, outputs, b)
        b.return_(*results, *cotangents)
        return new

    def _directions(
        self, fn: Function, wrt: tuple[int, ...], primals: Sequence[Value], silent: bool, b: Builder
    ) -> tuple[list[Value], list[list[Value]]]:
        """The results, and for each of some scalar parameters the tangents of the results, in one pass."""
        n, width = len(fn.results), len(wrt)
        units = [b.const(float(i == j), dual_type(fn.params[i].type)) for i in wrt for j in wrt]
        made = b.call(
            self._jvp(fn, wrt, silent) if width == 1 else self._wide_jvp(fn, wrt, silent, width), [*primals, *units]
        )
        return made[:n], [made[n + lane :: width] for lane in range(width)]

    def _weighed(self, tangents: dict[int, Value], seeds: dict[int, Value], b: Builder) -> Value:
        total: Value | None = None
        for k, seed in seeds.items():
            if is_ref(seed.type):
                term = self.deriver.shadows.dot(seed, tangents[k], b)
            else:
                term = b.prim("mul", seed, tangents[k])
            total = term if total is None else plus(b, total, term)
        return b.f64(0.0) if total is None else total

    def _each_place(
        self,
        fn: Function,
        i: int,
        primals: Sequence[Value],
        out: Value,
        seeds: dict[int, Value],
        outputs: list[int],
        b: Builder,
    ) -> None:
        """Forward mode for each number in a memory: `out` gets the seeds times the tangents."""
        assert isinstance(out.type, Mem)
        jvp = self._jvp(fn, (i,), silent=True)
        tangent = self.deriver.shadows.make(primals[i], b)
        n = len(fn.results)
        for f, t in enumerate(out.type.fields):
            if t == BOOL or is_ref(t):
                continue
            region = Region([I64])
            body = Builder(region, b.span)
            place = region.params[0]
            self.deriver.shadows.clear(tangent, body)
            body.op("store", (tangent, place, body.const(1.0, t)), first=f)
            made = body.call(jvp, [*primals, tangent])
            total = self._weighed(dict(zip(outputs, made[n:], strict=True)), seeds, body)
            body.op("acc", (out, place, total), first=f)
            body.next_()
            last = b.prim("sub", b.op("len", (primals[i],), (I64,)).result, b.i64(1))
            b.op("for", (b.i64(0), last, b.i64(1)), (), [region])

    # ------------------------------------------------------------ pullbacks
    def _make_vjp_fwd(self, fn: Function, wrt: tuple[int, ...], silent: bool) -> Function:
        """(primals…) -> (results…, record): the forward sweep; the record owns its tapes and shadows."""
        d = self.deriver
        pair, refs = self._pullback_pair(fn, wrt, silent)
        new = d.new_function(f"{fn.name}.pullback", [p.type for p in fn.params], [*fn.results, OBJ], fn)
        b = Builder(new.body, fn.span)
        shadows = self._argument_shadows(fn, new.params, refs, {}, b)
        tapes = [b.op("new", (b.i64(0),), (c.record,)).result for c in pair.constructs()]
        made = b.call(self.program.functions[pair.forward], [*new.params, *(shadows[i] for i in refs), *tapes])
        n = len(fn.results)
        packed = b.op("pack", [*tapes, *(shadows[i] for i in refs), *made[n:]], (OBJ,)).result
        b.return_(*made[:n], packed)
        return new

    def _make_vjp_rev(self, fn: Function, wrt: tuple[int, ...], silent: bool) -> Function:
        """(record, seeds…, shadows of the references in wrt…) -> cotangents of the scalars in wrt. What the sweep
        leaves in the record's own shadows is handed over and cleared, so it may run again."""
        d = self.deriver
        pair, refs = self._pullback_pair(fn, wrt, silent)
        outputs, scalars, wrt_refs = self._vjp_signature(fn, wrt)
        params: list[LeafType] = [OBJ, *(dual_type(fn.results[k]) for k in outputs)]
        params += [dual_type(fn.params[i].type) for i in wrt_refs]
        results = [dual_type(fn.params[i].type) for i in scalars]
        new = d.new_function(f"{fn.name}.back", params, results, fn)
        b = Builder(new.body, fn.span)
        tapes = [c.record for c in pair.constructs()]
        given_back = returned_duals(fn, pair.activity, scalars=False)
        types = [*tapes, *(dual_type(fn.params[i].type) for i in refs)]
        types += [*(dual_type(fn.results[k]) for k in given_back), *([I64] if pair.keeps else [])]
        parts = b.op("unpack", (new.params[0],), types).results
        seeds = dict(zip(outputs, new.params[1:], strict=False))
        first = len(tapes) + len(refs)
        for k, s in zip(given_back, parts[first:], strict=False):
            if isinstance(s.type, Mem):
                d.shadows.add_to(s, seeds[k], b)
        args = [*parts[first + len(given_back) :], *(seeds[k] for k in pair.seeds()), *parts[: len(tapes)]]
        cotangents = dict(zip(pair.inputs(), b.call(self.program.functions[pair.reverse], args), strict=True))
        shadows = dict(zip(refs, parts[len(tapes) :], strict=False))
        given = dict(zip(wrt_refs, new.params[1 + len(outputs) :], strict=True))
        self._hand_over({i: s for i, s in given.items() if i in shadows}, shadows, b)
        for s in shadows.values():
            d.shadows.clear(s, b)
        b.return_(*(cotangents[i] if i in cotangents else b.zero(dual_type(fn.params[i].type)) for i in scalars))
        return new

    def _pullback_pair(self, fn: Function, wrt: tuple[int, ...], silent: bool) -> tuple[Pair, list[int]]:
        pattern = replace(root_pattern(fn, self.deriver.influence, frozenset(wrt), reusable=True), silent=silent)
        pair = self.deriver.pair(fn, pattern)
        self.deriver.emit_pair(pair)
        return pair, pair.shadows()


def _drop_unwanted(fn: Function) -> None:
    """Take out of the `wrt` of each `vjp` what nobody looks at: shadows made for it alone, and unused cotangents."""
    uses = Counter(a for op in fn.body.walk() for a in op.args)
    for op in fn.body.walk():
        if op.name != "vjp":
            continue
        wrt = op.attrs["wrt"]
        params = [a.type for a in op.args]
        refs, scalars = [i for i in wrt if is_ref(params[i])], [i for i in wrt if not is_ref(params[i])]
        shadows = dict(zip(refs, op.args[len(op.args) - len(refs) :], strict=True))
        cotangents = dict(zip(scalars, op.results[len(op.results) - len(scalars) :], strict=True))
        idle = {i for i, s in shadows.items() if uses[s] == 1 and isinstance(s.owner, Op) and s.owner.name == "shadow"}
        idle |= {i for i, r in cotangents.items() if not uses[r]}
        if idle and len(idle) < len(wrt):
            op.attrs["wrt"] = tuple(i for i in wrt if i not in idle)
            op.args[len(op.args) - len(refs) :] = [s for i, s in shadows.items() if i not in idle]
            op.results[len(op.results) - len(scalars) :] = [r for i, r in cotangents.items() if i not in idle]


def _place(v: Value) -> int:
    """The number of a parameter."""
    assert isinstance(v.owner, Region)
    return v.owner.params.index(v)


def _decide(op: Op, way: int) -> Op:
    """Leave one region of an `if`; the other one gives zeros. Gives the new condition, which comes before."""
    condition = Op("const", (), (BOOL,), {"value": way == 0}, (), op.span)
    op.args = [condition.result]
    op.regions[1 - way] = Region()
    b = Builder(op.regions[1 - way], op.span)
    b.yield_(*(b.zero(r.type) for r in op.results))
    return condition


def _dual(t: LeafType) -> bool:
    return tangent(t) is not None
