"""Branches and loops: regions are lowered first, then what they give is joined and the exits are completed.

`branch` and `run_loop` know nothing of the syntax; statements, reductions and builtins all use them. A loop's carried
variables start with the types they have on entry and are widened until the body maps them to themselves; the last
fixpoint of each loop is remembered, so that a nest of loops is not lowered exponentially often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dsl.diagnostics import DslError, Span
from dsl.ir.core import Op, Region, Value
from dsl.lower.frame import Exit, Frame, Loop, Slot
from dsl.lower.joins import adapt, join, join_or_fail
from dsl.lower.scopes import Var
from dsl.lower.values import UNIT, Diverged, Val
from dsl.ops import Builder
from dsl.records import dataclass
from dsl.types import BOOL, BOTTOM, LangType, LeafType, leaves

Facts = Sequence[tuple[Var, Slot]]


@dataclass(eq=False)
class Arm:
    """A region that has been lowered: its variables at the end, and its value (None: control leaves it)."""

    b: Builder
    env: dict[Var, Slot]
    value: Val | None


def run_arm(f: Frame, fill: Callable[[], Val], facts: Facts = ()) -> Arm:
    saved_b, saved_env = f.b, f.env
    f.b, f.env = Builder(Region(), saved_b.span), dict(saved_env)
    f.env.update(facts)
    try:
        value: Val | None = fill()
    except Diverged:
        value = None
    arm = Arm(f.b, f.env, value)
    f.b, f.env = saved_b, saved_env
    return arm


def branch(
    f: Frame,
    cond: Value,
    then: Callable[[], Val],
    orelse: Callable[[], Val],
    want: bool,
    facts: tuple[Facts, Facts] = ((), ()),
) -> Val:
    """An `if` on a bool: lowers both arms, joins variables and (with `want`) values."""
    span = f.span
    arms = [run_arm(f, fill, fact) for fill, fact in zip((then, orelse), facts, strict=True)]
    f.b.span = span
    live = [a for a in arms if a.value is not None]
    merge = _Merge(f, live, span)
    for var in _changed(f.env, live):
        merge.variable(var)
    value = merge.value() if want and live else UNIT
    for a in live:
        a.b.span = span
        a.b.op("yield", merge.yields[id(a)])
    op = Op("if", (cond,), merge.types, regions=[a.b.region for a in arms], span=span)
    f.b.region.ops.append(op)
    merge.bind(op)
    if not live:
        f.unreachable()
    return merge.result(value)


def _changed(before: dict[Var, Slot], arms: Sequence[Arm]) -> list[Var]:
    names: dict[Var, None] = {}
    for a in arms:
        for var, slot in a.env.items():
            if before.get(var) is not slot:
                names[var] = None
    return list(names)


class _Merge:
    """Joins what the live arms of an `if` hold, collecting what each yields."""

    def __init__(self, f: Frame, arms: list[Arm], span: Span) -> None:
        self.f = f
        self.arms = arms
        self.span = span
        self.types: list[LeafType] = []
        self.hints: list[str] = []
        self.yields: dict[int, list[Value]] = {id(a): [] for a in arms}
        self.variables: list[tuple[Var, LangType, list[int | Value], int | Value | None, Span | None]] = []
        self.value_parts: list[int | Value] = []
        self.outer: tuple[Value, ...] = ()  # leaves that the variable at hand had before the `if`

    def _leaf(self, values: Sequence[Value], hint: str) -> int | Value:
        """One leaf from every arm: itself where they agree on one from outside, else the number of a result."""
        if all(v is values[0] for v in values) and (len(self.arms) > 1 or values[0] in self.outer):
            return values[0]
        for a, v in zip(self.arms, values, strict=True):
            self.yields[id(a)].append(v)
        self.types.append(values[0].type)
        self.hints.append(hint)
        return len(self.types) - 1

    def _converted(self, vals: Sequence[Val], t: LangType, hint: str) -> list[int | Value]:
        rows = [adapt_in(self.f, a.b, v, t).leaves for a, v in zip(self.arms, vals, strict=True)]
        return [self._leaf(column, hint) for column in zip(*rows, strict=True)]

    def variable(self, var: Var) -> None:
        slots = [a.env.get(var) for a in self.arms]
        present = [s for s in slots if s is not None]
        conflict = next((s.conflict for s in present if s.conflict is not None), None)
        t: LangType = BOTTOM
        if conflict is None:
            t, conflict = join_slots(self.f, var, present, self.span)
        if conflict is not None:
            self.f.env[var] = Slot(present[0].val, None, conflict)
            return
        vals = [Val(BOTTOM) if s is None else s.val for s in slots]
        before = self.f.env.get(var)
        self.outer = () if before is None else before.val.leaves
        parts = self._converted([self._or_zero(a, v, t) for a, v in zip(self.arms, vals, strict=True)], t, var.name)
        flag: int | Value | None = None
        if len(present) < len(slots) or any(s.defined is not None for s in present):
            flags = []
            for a, s in zip(self.arms, slots, strict=True):
                known = s.defined if s is not None and s.defined is not None else a.b.bool(s is not None)
                flags.append(known)
            flag = self._leaf(flags, f"{var.name}_defined")
        self.variables.append((var, t, parts, flag, present[0].span))

    def _or_zero(self, arm: Arm, v: Val, t: LangType) -> Val:
        return Val(t, tuple(arm.b.zero(leaf) for leaf in leaves(t))) if v.type == BOTTOM else v

    def value(self) -> Val:
        vals = [a.value for a in self.arms if a.value is not None]
        self.outer = ()
        t = vals[0].type
        for a, v in zip(self.arms[1:], vals[1:], strict=True):
            t = join_or_fail(t, v.type, self.f.sites, "this value", self.span, self.arms[0].b.span, a.b.span)
        self.value_parts = self._converted(vals, t, "")
        known = vals[0].known if all(v.known == vals[0].known and v.type == t for v in vals) else None
        return Val(t, (), known)

    def bind(self, op: Op) -> None:
        for r, hint in zip(op.results, self.hints, strict=True):
            r.hint = hint
        self.op = op
        for var, t, parts, flag, span in self.variables:
            defined = None if flag is None else self._value(flag)
            self.f.env[var] = Slot(Val(t, tuple(map(self._value, parts))), defined, None, span)

    def _value(self, part: int | Value) -> Value:
        return self.op.results[part] if isinstance(part, int) else part

    def result(self, value: Val) -> Val:
        return Val(value.type, tuple(map(self._value, self.value_parts)), value.known) if self.value_parts else value


def adapt_in(f: Frame, b: Builder, v: Val, t: LangType) -> Val:
    """Convert a value at the end of another region."""
    saved, f.b = f.b, b
    try:
        return adapt(f, v, t)
    finally:
        f.b = saved


def join_slots(f: Frame, var: Var, slots: Sequence[Slot], span: Span) -> tuple[LangType, DslError | None]:
    """The joined type of a variable; or the error that reading it will raise."""
    t = slots[0].val.type
    for s in slots[1:]:
        try:
            t = join_or_fail(
                t, s.val.type, f.sites, f"the variable {var.name}", span, slots[0].span or span, s.span or span
            )
        except DslError as e:
            if e.code == "E0204":
                raise
            return BOTTOM, e
    return t, None


# ---------------------------------------------------------------- loops


def run_loop(
    f: Frame,
    key: object,
    assigned: Iterable[Var],
    body: Callable[[Loop, Sequence[Value]], None],
    *,
    statement: object,
    counted: tuple[Value, Value, Value] | None = None,
    extra: Sequence[tuple[Value, str]] = (),
    advance: Callable[[Sequence[Value]], Sequence[Value]] = lambda values: values,
    once: bool = False,
) -> None:
    """A loop. `body(loop, values)` lowers one iteration; `values` are the region's own parameters: the counter of a
    counted loop (lo, hi, step), or the `extra` ones, which `advance` takes on to the next iteration. With `once`
    the body is a block that runs once and can be left."""
    runner = _LoopRunner(f, key, [v for v in assigned if not v.boxed and not v.functions], counted, extra)
    while True:
        loop = runner.attempt(body, statement, once)
        if once or runner.settled(loop):
            break
    runner.complete(loop, advance, once)


class _LoopRunner:
    def __init__(
        self,
        f: Frame,
        key: object,
        assigned: list[Var],
        counted: tuple[Value, Value, Value] | None,
        extra: Sequence[tuple[Value, str]],
    ) -> None:
        self.f = f
        self.key = key
        self.assigned = assigned
        self.counted = counted
        self.extra = extra
        self.span = f.span
        self.entry = dict(f.env)
        self.conflicts: dict[Var, DslError] = {}
        self.types: dict[Var, LangType] = {}
        remembered = f.carried.get(key, {})
        for var in assigned:
            slot = self.entry.get(var)
            t = remembered.get(var, BOTTOM)
            if slot is not None and slot.conflict is not None:
                self.conflicts[var] = slot.conflict
            elif slot is not None:
                t = join(t, slot.val.type, f.sites) or slot.val.type
            self.types[var] = t
        self.marks = f.pending()

    def _flagged(self, var: Var) -> bool:
        """Whether the variable may have no value on entry of an iteration."""
        slot = self.entry.get(var)
        return slot is None or slot.defined is not None

    def _carried(self) -> list[Var]:
        return [v for v in self.assigned if self.types[v] != BOTTOM and v not in self.conflicts]

    def attempt(self, body: Callable[[Loop, Sequence[Value]], None], statement: object, once: bool) -> Loop:
        """Lower the body once for the types assumed so far."""
        f = self.f
        f.forget(self.marks)
        carried = [] if once else self._carried()
        types: list[LeafType] = []
        hints: list[str] = []
        if self.counted is not None:
            types.append(self.counted[0].type)
            hints.append("i")
        types += [v.type for v, _ in self.extra]
        hints += [h for _, h in self.extra]
        for var in carried:
            n = leaves(self.types[var])
            types += [*n, BOOL] if self._flagged(var) else n
            hints += [var.name] * len(n) + [f"{var.name}_defined"] * self._flagged(var)
        region = Region(types, hints)
        own = len(self.extra) + (self.counted is not None)
        saved_b, saved_env = f.b, f.env
        f.b, f.env = Builder(region, self.span), dict(self.entry)
        if not once:
            self._enter(carried, region.params[own:])
        loop = Loop(statement, is_for=self.counted is not None, block=once)
        f.loops.append(loop)
        try:
            body(loop, region.params[:own])
            if once:
                loop.breaks.append(Exit(f.b, f.env))
            else:
                loop.nexts.append(Exit(f.b, f.env))
        except Diverged:
            pass
        finally:
            f.loops.pop()
            f.b, f.env = saved_b, saved_env
        self.region = region
        return loop

    def _enter(self, carried: Sequence[Var], params: Sequence[Value]) -> None:
        at = 0
        for var in carried:
            n = len(leaves(self.types[var]))
            val, at = Val(self.types[var], tuple(params[at : at + n])), at + n
            defined = None
            if self._flagged(var):
                defined, at = params[at], at + 1
            old = self.entry.get(var)
            self.f.env[var] = Slot(val, defined, None, old.span if old else None)
        for var in self.assigned:
            if var in self.conflicts:
                self.f.env[var] = Slot(Val(BOTTOM), None, self.conflicts[var])

    def _attrs(self) -> dict[str, bool]:
        return {"checkpoint": True} if self.key in self.f.checkpoints else {}

    def settled(self, loop: Loop) -> bool:
        """Widen the carried types by what reaches the next iteration; True where nothing changed."""
        changed = False
        for var in self.assigned:
            if var in self.conflicts:
                continue
            here = self.types[var]
            slots = [e.env[var] for e in loop.nexts if var in e.env]
            entry = self.entry.get(var)
            conflict = next((s.conflict for s in slots if s.conflict is not None), None)
            first = [Slot(Val(here), None, None, entry.span if entry else None)] if here != BOTTOM else []
            wider = here
            if conflict is None and (first or slots):
                wider, conflict = join_slots(self.f, var, [*first, *slots], self.span)
            if conflict is not None:
                self.conflicts[var] = conflict
                changed = True
            elif wider != here:
                self.types[var] = wider
                changed = True
        self.f.carried[self.key] = dict(self.types)
        return not changed

    def complete(self, loop: Loop, advance: Callable[[Sequence[Value]], Sequence[Value]], once: bool) -> None:
        f = self.f
        carried = [] if once else self._carried()
        own = self.region.params[: len(self.extra) + (self.counted is not None)]
        for e in loop.nexts:
            saved, f.b = f.b, e.b
            ahead = () if self.counted is not None else tuple(advance(own))
            f.b.op("next", (*ahead, *self._leaves(e, carried, self.types)))
            f.b = saved
        inits = [v for v, _ in self.extra] if self.counted is None else list(self.counted)
        args = [*inits, *self._leaves(Exit(f.b, self.entry), carried, self.types)]
        if self.counted is not None:
            self._finish("for", args, carried, self.types, {v: self._flagged(v) for v in carried})
            return
        if not loop.breaks:
            f.b.region.ops.append(Op("loop", args, (), self._attrs(), [self.region], self.span))
            f.spec.raises = True
            f.unreachable()
        self._leave(loop, args)

    def _leave(self, loop: Loop, args: list[Value]) -> None:
        """Give the breaks the joined variables; these are the loop's results."""
        f = self.f
        names = _changed(self.entry, [Arm(e.b, e.env, None) for e in loop.breaks])
        names = [v for v in names if v in self.assigned or v in self.entry]
        types: dict[Var, LangType] = {}
        flags: dict[Var, bool] = {}
        for var in names:
            slots = [e.env[var] for e in loop.breaks if var in e.env]
            conflict = next((s.conflict for s in slots if s.conflict is not None), None)
            t: LangType = BOTTOM
            if conflict is None:
                t, conflict = join_slots(f, var, slots, self.span)
            if conflict is not None:
                f.env[var] = Slot(Val(BOTTOM), None, conflict)
                continue
            types[var] = t
            flags[var] = len(slots) < len(loop.breaks) or any(s.defined is not None for s in slots)
        out = list(types)
        for e in loop.breaks:
            saved, f.b = f.b, e.b
            f.b.op("break", self._leaves(e, out, types, flags), depth=e.depth)
            f.b = saved
        self._finish("loop", args, out, types, flags)

    def _leaves(
        self, e: Exit, carried: Sequence[Var], types: dict[Var, LangType], flags: dict[Var, bool] | None = None
    ) -> list[Value]:
        """The leaves of variables at an exit, converted, with the bools that say whether they are defined."""
        f = self.f
        out: list[Value] = []
        saved, f.b = f.b, e.b
        for var in carried:
            slot = e.env.get(var)
            if slot is None or slot.conflict is not None:
                out += [f.b.zero(t) for t in leaves(types[var])]
            else:
                out += adapt(f, slot.val, types[var]).leaves
            if flags[var] if flags is not None else self._flagged(var):
                known = slot.defined if slot is not None and slot.defined is not None else None
                out.append(known if known is not None else f.b.bool(slot is not None))
        f.b = saved
        return out

    def _finish(
        self, name: str, args: list[Value], out: Sequence[Var], types: dict[Var, LangType], flags: dict[Var, bool]
    ) -> None:
        f = self.f
        result_types: list[LeafType] = []
        for var in out:
            result_types += [*leaves(types[var]), *([BOOL] if flags[var] else [])]
        op = Op(name, args, result_types, self._attrs(), [self.region], self.span)
        f.b.region.ops.append(op)
        at = 0
        for var in out:
            n = len(leaves(types[var]))
            val = Val(types[var], tuple(op.results[at : at + n]))
            for r in val.leaves:
                r.hint = var.name
            at += n
            defined = None
            if flags[var]:
                defined, at = op.results[at], at + 1
            old = self.entry.get(var)
            f.env[var] = Slot(val, defined, None, old.span if old else None)
        for var, conflict in self.conflicts.items():
            f.env[var] = Slot(Val(BOTTOM), None, conflict)
