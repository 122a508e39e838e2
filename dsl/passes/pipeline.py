"""The order in which passes run, before differentiation and after it.

Before: only rewrites that keep value and derivative at every point; what has a rule stays a call, what is stopped
stays stopped, and no branch becomes a selection. After: no derivative will be taken any more, so rules and stops have
done their work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Literal, TypeAlias

from dsl.ir.core import Function, Program
from dsl.passes.blank import blank
from dsl.passes.carry import carry
from dsl.passes.common import quiet_functions
from dsl.passes.contract import contract, has_terms, round_each
from dsl.passes.copies import copies
from dsl.passes.counted import counted
from dsl.passes.cse import cse
from dsl.passes.dce import dce
from dsl.passes.flatten import flatten
from dsl.passes.fold import fold
from dsl.passes.fresh import fresh
from dsl.passes.gaps import gaps
from dsl.passes.inline import inline
from dsl.passes.lanes import lanes
from dsl.passes.late import late_checks
from dsl.passes.licm import licm
from dsl.passes.localise import localise
from dsl.passes.lockstep import lockstep
from dsl.passes.merge import merge
from dsl.passes.outside import outside
from dsl.passes.promote import promote
from dsl.passes.putback import putback
from dsl.passes.ranges import ranges
from dsl.passes.reachable import reachable
from dsl.passes.release import release
from dsl.passes.simplify import drop_stops, simplify
from dsl.passes.spread import spread
from dsl.passes.strong import strong
from dsl.passes.unroll import unroll
from dsl.passes.upwards import upwards
from dsl.passes.versions import versions

Stage: TypeAlias = Literal["before-ad", "after-ad"]
Trace: TypeAlias = Callable[[str, Program], None]

ROUNDS = 3


def optimise(
    program: Program, roots: Sequence[str], stage: Stage, verify: bool = False, trace: Trace | None = None,
    shared: bool = False, fma: bool = True,
) -> None:
    """Simplify a program in place, for calls of the roots; functions that these do not need are dropped.
    `verify` checks the IR behind every pass, `trace` is told each pass's name and what it made. `shared`: functions may
    be called from outside the program, too. `fma`: products are rounded together with sums where that is still open."""
    run = _Run(program, verify, trace)
    final = stage == "after-ad"
    run.done("reachable", reachable(program, roots))
    if final:
        run.each("drop stops", drop_stops)
    if fma:
        run.each("contract", settle)
    for _ in range(ROUNDS):
        run.next_round()
        if len(program.functions) > 1:
            run.done("inline", inline(program, roots, rules=final, shared=shared))
            run.done("reachable", reachable(program, roots))
        run.each("unroll", unroll, loops=True)
        run.each("promote", promote)
        run.each("fold", fold)
        run.each("flatten", flatten, loops=True)
        run.each("simplify", simplify)
        run.each("cse", cse)
        run.done("ranges", ranges(program, run.active))
        run.done("counted", counted(program, run.active))
        run.each("licm", partial(licm, exact=not final), loops=True)
        run.each("merge", merge, loops=True)
        quiet = quiet_functions(program, roots) if len(program.functions) > 1 else frozenset()
        run.each("dce", partial(dce, quiet=quiet))
        if not run.changed:
            break
    if len(program.functions) > 1:
        run.done("reachable", reachable(program, roots))
    if not final:
        run.each("gaps", gaps, loops=True)
        run.each("localise", localise, loops=True)
    if final:
        run.everything()
        run.each("localise", localise, loops=True)
        run.each("copies", copies, loops=True)
        run.each("blank", blank, loops=True)
        run.each("versions", versions, loops=True)
        run.each("put back", putback)
        run.each("lockstep", lockstep, loops=True)
        run.next_round()
        run.each("simplify", simplify)
        run.each("cse", cse)
        run.each("dce", partial(dce, quiet=quiet))
        run.everything()
        run.each("upwards", upwards, loops=True)
        run.each("carry", carry, loops=True)
        run.each("fresh", fresh, loops=True)
        run.each("spread", spread, loops=True)
        run.each("outside", outside, loops=True)
        run.each("contract", partial(contract, terms=True) if fma else round_each)
        run.each("strong products", strong, loops=True)
        run.each("late checks", late_checks, loops=True)
        run.each("lanes", lanes, loops=True)
        run.done("release", release(program, roots))


def settle(fn: Function) -> bool:
    """Decide how what differentiation has added up in a function is rounded, as soon as that is simple."""
    if not has_terms(fn):
        return False
    for transform in (fold, flatten, simplify, cse, partial(dce, quiet=frozenset())):
        transform(fn)
    contract(fn, terms=True)
    return True


class _Run:
    """A function that no pass has changed in one round is left alone in the next."""

    def __init__(self, program: Program, verify: bool, trace: Trace | None) -> None:
        self.program = program
        self.verify = verify
        self.trace = trace
        self.active: set[str] = set(program.functions)
        self.changed: set[str] = set(program.functions)
        self._straight: dict[str, bool] = {}  # whether a function has no loops, as long as it does not change

    def everything(self) -> None:
        self.active, self.changed = set(self.program.functions), set()

    def next_round(self) -> None:
        self.active, self.changed = self.changed, set()

    def each(self, name: str, transform: Callable[[Function], bool], loops: bool = False) -> None:
        """A pass over every function, or over those that may have `loops`, since it does nothing to others."""
        functions = self.program.functions
        wanted = [f for f in functions if f in self.active and not (loops and self._is_straight(f))]
        self.done(name, {f for f in wanted if transform(functions[f])})

    def _is_straight(self, name: str) -> bool:
        known = self._straight.get(name)
        if known is None:
            known = self._straight[name] = not any(op.regions for op in self.program.functions[name].body.ops)
        return known

    def done(self, name: str, changed: Set[str] | bool) -> None:
        """What follows a pass that has changed these functions."""
        if isinstance(changed, Set):
            self.changed |= changed
            self.active |= changed
            for f in changed:
                self._straight.pop(f, None)
        elif changed:
            self._straight.clear()
        if self.verify:
            from dsl.ir.verifier import verify

            verify(self.program)
        if self.trace is not None:
            self.trace(name, self.program)
