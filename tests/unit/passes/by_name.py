"""Every pass by its name, as a function of a program whose root is `main`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dsl.ir.core import Function, Program
from dsl.passes.carry import carry
from dsl.passes.common import quiet_functions
from dsl.passes.copies import copies
from dsl.passes.cse import cse
from dsl.passes.dce import dce
from dsl.passes.flatten import flatten
from dsl.passes.fold import fold
from dsl.passes.fresh import fresh
from dsl.passes.gaps import gaps
from dsl.passes.globals import bind_globals
from dsl.passes.inline import inline
from dsl.passes.licm import licm
from dsl.passes.localise import localise
from dsl.passes.lockstep import lockstep
from dsl.passes.merge import merge
from dsl.passes.outside import outside
from dsl.passes.pipeline import optimise
from dsl.passes.promote import promote
from dsl.passes.putback import putback
from dsl.passes.reachable import reachable
from dsl.passes.release import release
from dsl.passes.simplify import drop_stops, simplify
from dsl.passes.spread import spread
from dsl.passes.unroll import unroll
from dsl.passes.upwards import upwards


def each(transform: Callable[[Function], bool]) -> Callable[[Program], object]:
    return lambda program: [transform(fn) for fn in program.functions.values()]


def dead_code(program: Program) -> None:
    quiet = quiet_functions(program, ["main"])
    each(partial(dce, quiet=quiet))(program)


PASSES: dict[str, Callable[[Program], object]] = {
    "inline": lambda p: inline(p, ["main"]),
    "reachable": lambda p: reachable(p, ["main"]),
    "unroll": each(unroll),
    "promote": each(promote),
    "fold": each(fold),
    "flatten": each(flatten),
    "simplify": each(simplify),
    "cse": each(cse),
    "copies": each(copies),
    "fresh": each(fresh),
    "gaps": each(gaps),
    "merge": each(merge),
    "licm": each(partial(licm, exact=False)),
    "exact licm": each(partial(licm, exact=True)),
    "localise": each(localise),
    "outside": each(outside),
    "put back": each(putback),
    "dce": dead_code,
    "drop stops": each(drop_stops),
    "release": lambda p: release(p, ["main"]),
}

# Those that change what a call means (its parameters), or the order of accumulations, and whole pipelines.
OTHERS: dict[str, Callable[[Program], object]] = {
    "carry": each(carry),
    "lockstep": each(lockstep),
    "spread": each(spread),
    "upwards": each(upwards),
    "globals": lambda p: bind_globals(p, "main"),
    "inline rules": lambda p: inline(p, ["main"], rules=True),
    "before-ad": lambda p: optimise(p, ["main"], "before-ad", verify=True),
    "after-ad": lambda p: optimise(p, ["main"], "after-ad", verify=True),
}
