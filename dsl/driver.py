"""The driver: the only place that sequences the stages; `Driver.compile` is the compiler from top to bottom.

Guarantees: an entry's lowered program is never changed (passes work on a copy), every stage's time is added up under
its name, and a deep program meets the limits of the stages, not Python's recursion limit.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from dsl.ad import Plan, expand, flat_parameters, reverse_plan
from dsl.analysis.writes import written_paths
from dsl.diagnostics import Source, error
from dsl.interp import run as interpret
from dsl.ir.core import Function, Program, Region, RegionBuilder, clone_function
from dsl.lower.session import Entry, Session
from dsl.ops import Arithmetic
from dsl.ops.core import IN_LANES
from dsl.options import Options, Timings
from dsl.passes.common import called
from dsl.passes.contract import contract
from dsl.passes.globals import bind_globals
from dsl.passes.pipeline import optimise, settle
from dsl.records import dataclass, replace
from dsl.runtime.engine import Unit, compile_unit
from dsl.runtime.lending import Access
from dsl.runtime.lock import LOCK
from dsl.runtime.processor import fuses
from dsl.runtime.specialised import Out, Specialised
from dsl.syntax import parse_expression, parse_file
from dsl.syntax.ast import Expr, File
from dsl.syntax.files import read_source
from dsl.types import ArrayType, FnType, LangType, LeafType, VectorType, is_ref, leaves, tangent

RECURSION_LIMIT = 50_000


@dataclass(eq=False)
class Compiled(Specialised):
    """An entry that has been compiled: `program` is its SSA after all passes. The native unit is made when it is first
    asked for. `globals`: the leaves of top-level variables that its function takes after the arguments."""

    driver: Driver
    entry: Entry
    options: Options
    program: Program
    globals: list[tuple[str, int]]
    apart: tuple[int, ...] = ()
    native: Unit | None = None

    @property
    def timings(self) -> Timings:
        return self.driver.timings

    @property
    def result(self) -> LangType:
        return self.entry.result

    @cached_property
    def params(self) -> tuple[LeafType, ...]:
        return tuple(p.type for p in self.program.functions[self.entry.name].params)

    @property
    def function(self) -> str:
        callee = self.entry.arg_types[0] if self.entry.arg_types else None
        return callee.name if isinstance(callee, FnType) else "the call"

    @cached_property
    def names(self) -> list[str]:
        types = self.entry.arg_types
        whose = [f"what {self.function} captures", *(f"argument {k}" for k in range(1, len(types)))]
        names = [name for name, t in zip(whose, types, strict=False) for _ in leaves(t)]
        return names + [name for name, _ in self.globals]

    @property
    def further(self) -> list[Any]:
        return [self.entry.globals[name][index] for name, index in self.globals]

    @cached_property
    def access(self) -> Access:
        lowered, final, name = self.entry.program, self.program, self.entry.name
        with compiling():
            return Access(written_paths(lowered, name), written_paths(final, name))

    @property
    def exact(self) -> bool:
        polynomials = set(IN_LANES.values())
        return not any(op.name in polynomials for fn in self.program.functions.values() for op in fn.body.walk())

    @cached_property
    def cautious(self) -> Compiled:
        made = self.driver.compile(self.entry, self.options, cautious=True)
        made.is_cautious, made.keep = True, self.keep
        return made

    @property
    def unit(self) -> Unit:
        with LOCK:
            if self.native is None:
                with compiling(), self.timings.stage("emit"):
                    unit = compile_unit(
                        self.program, self.entry.name, self.options.opt_level, cache=self.options.cache
                    )
                    unit.linked = self.linked if self.keep is not None else None
                with self.timings.stage("llvm"):
                    unit.link()
                self.native = unit
        return self.native

    def linked(self, unit: Unit, level: int) -> None:
        """Native code has been made: where it is to be kept, `keep` does."""
        if self.keep is not None:
            self.keep(self, unit, level)

    def run(self, values: Sequence[Any], out: Out, once: bool) -> list[Any]:
        interpreted = self.options.interpreter
        if interpreted or (interpreted is None and once and is_small(self)):
            with self.timings.stage("run"):
                return interpret(self.program, self.entry.name, values, out)
        return super().run(values, out, once)


class Driver:
    """One program's way from text to values."""

    def __init__(
        self,
        source: Source,
        options: Options,
        out: Out,
        timings: Timings | None = None,
        read: Callable[[str], Source] = read_source,
    ) -> None:
        """`read` gives the text of an included file."""
        self.options = options
        self.timings = Timings() if timings is None else timings
        self.out = out
        self.session = Session(source, self.parse, self.evaluate, read=read)

    def parse_expression(self, source: Source) -> Expr:
        with compiling(), self.timings.stage("parse"):
            return parse_expression(source)

    def parse(self, source: Source) -> File:
        with compiling(), self.timings.stage("parse"):
            return parse_file(source)

    def lower(self, make: Callable[[], Entry]) -> Entry:
        """Run a method of the session that makes an entry."""
        with compiling(), self.timings.stage("lower"):
            return make()

    def compile(self, entry: Entry, options: Options | None = None, cautious: bool = False) -> Compiled:
        """The stages, in order: lowered SSA → passes → derivatives → passes (→ LLVM → native code, when called).
        Arguments are taken to be different memories, unless it is to be `cautious`."""
        o = options or self.options
        roots = [entry.name]
        with compiling():
            fma = fuses(o)
            with self.timings.stage("passes"):
                program = taken(entry, fma)
                if not o.checks:
                    drop_domain_checks(program)
                globals_ = bind_globals(program, entry.name)
            drop_unused_rules(program, entry.name)
            root = program.functions[entry.name]
            apart = () if cautious else tuple(sorted(flat_parameters(root)))
            if len(apart) > 1:
                root.attrs["apart"] = True
            root.attrs["present"], root.attrs["sizes"] = present_arrays(entry.arg_types)
            if o.optimize:
                with self.timings.stage("passes"):
                    optimise(program, roots, "before-ad", verify=o.verify, fma=fma)
            with self.timings.stage("ad"):
                expand(program, o.mode, fma)
            if o.optimize:
                with self.timings.stage("passes"):
                    optimise(program, roots, "after-ad", verify=o.verify, fma=fma)
            elif fma:
                with self.timings.stage("passes"):
                    for fn in program.functions.values():
                        settle(fn)
            del root.attrs["present"], root.attrs["sizes"]
            if o.verify:
                from dsl.ir.verifier import verify

                verify(program)
        return Compiled(self, entry, o, program, globals_, apart)

    def call(self, compiled: Specialised, args: Sequence[Any], once: bool = False) -> list[Any]:
        """Call compiled code with leaf values. What runs once and is small is interpreted: the bits are the same."""
        return compiled.call(args, self.out, once)

    def trace(self, compiled: Compiled, args: Sequence[Any], arithmetic: Arithmetic) -> list[Any]:
        """Run compiled code by the interpreter, on numbers of another kind. What it prints is dropped."""
        with compiled.lent(args) as (fitting, lent):
            assert isinstance(fitting, Compiled)
            return interpret(fitting.program, fitting.entry.name, lent, lambda text: None, arithmetic)

    def listing(self, stage: str, entry: Entry, options: Options, optimize: bool, raw: bool) -> str:
        """The text of an entry at a stage: lowered, typed, adjoint, plan, llvm or native."""
        from dsl.ir.text import print_program

        if stage == "lowered":
            return print_program(entry.program)
        if stage == "plan":
            return self.plan(entry, options).show()
        if stage == "adjoint":
            entry, options = adjoint(entry), replace(options, mode="reverse")
        compiled = self.compile(entry, options)
        if stage in ("typed", "adjoint"):
            return print_program(compiled.program)
        if stage == "native":
            return compiled.unit.assembly
        return compiled.unit.llvm(optimize=optimize, raw=raw)

    def evaluate(self, entry: Entry) -> list[Any]:
        """Run an entry that takes no arguments, once: a statement of the top level."""
        return self.call(self.compile(entry), (), once=True)

    def plan(self, entry: Entry, options: Options) -> Plan:
        """What the reverse of an entry's function keeps."""
        with compiling():
            fma = fuses(options)
            program = taken(entry, fma)
            bind_globals(program, entry.name)
            if options.optimize:
                optimise(program, [entry.name], "before-ad", verify=options.verify, fma=fma)
            expand(program, options.mode, fma)
            return reverse_plan(program, entry.name, derivable(entry))


def clone_program(program: Program) -> Program:
    return Program({name: clone_function(fn, name) for name, fn in program.functions.items()})


def taken(entry: Entry, fma: bool) -> Program:
    """An entry's program to work on, in which it is decided how everything is rounded."""
    program = clone_program(entry.program)
    if fma:
        for fn in program.functions.values():
            contract(fn)
    return program


def present_arrays(types: Sequence[LangType]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which leaves of arguments of these types are memories of arrays that are there (none that may be `nothing`), and
    which are their sizes (never negative)."""
    memories: list[int] = []
    sizes: list[int] = []
    place = 0
    for t in types:
        if isinstance(t, VectorType | ArrayType):
            memories.append(place)
        if isinstance(t, ArrayType):
            first = place + (2 if t.layout == "S" else 1)
            sizes += range(first, first + t.rank)
        place += len(leaves(t))
    return tuple(memories), tuple(sizes)


def drop_domain_checks(program: Program) -> None:
    """Take out the checks of E0401: what is outside a function's domain gives NaN."""
    for fn in program.functions.values():
        for region in (fn.body, *(r for op in fn.body.walk() for r in op.regions)):
            region.ops = [op for op in region.ops if not (op.name == "check" and op.attrs["code"] == "E0401")]


def drop_unused_rules(program: Program, root: str) -> None:
    """Take out all derivative rules where no derivative is taken: what they name need not be compiled."""
    seen, work = {root}, [root]
    while work:
        for op in program.functions[work.pop()].body.walk():
            name = called(op)
            if name and op.name != "call":
                return
            if name and name not in seen:
                seen.add(name)
                work.append(name)
    for fn in program.functions.values():
        fn.attrs.pop("rule", None)


def is_small(compiled: Compiled) -> bool:
    """Whether the interpreter is sure to be done before LLVM would have begun: straight-line scalar code."""
    fn = compiled.program.functions[compiled.entry.name]
    if len(fn.body.ops) > 200 or any(is_ref(v.type) for v in fn.params):
        return False
    return all(
        not op.regions and op.name != "call" and not any(is_ref(r.type) for r in op.results) for op in fn.body.ops
    )


def derivable(entry: Entry) -> tuple[int, ...]:
    """The parameters of an entry's function that have a tangent."""
    params = entry.program.functions[entry.name].params
    return tuple(k for k, p in enumerate(params) if tangent(p.type) is not None)


def adjoint(entry: Entry) -> Entry:
    """The entry of the reverse of an entry's function: it takes the arguments and the cotangents of the results, and
    gives the results and the cotangents of the arguments."""
    program = clone_program(entry.program)
    fn = program.functions[entry.name]
    if any(is_ref(t) for t in fn.results):
        raise error("E0501", f"{fn.title or fn.name} gives a reference; its reverse needs numbers as results")
    wrt = derivable(entry)
    of_params = {k: t for k in wrt if (t := tangent(fn.params[k].type)) is not None}
    seeds = [t for t in map(tangent, fn.results) if t is not None]
    shadows = [t for t in of_params.values() if is_ref(t)]
    types = [*(p.type for p in fn.params), *seeds, *shadows]
    hints = [*(p.hint for p in fn.params), *("seed" for _ in seeds), *("shadow" for _ in shadows)]
    body = Region(types, hints)
    results = (*fn.results, *(t for t in of_params.values() if not is_ref(t)))
    builder = RegionBuilder(body)
    builder.return_(*builder.op("vjp", body.params, results, fn=fn.name, wrt=wrt).results)
    name = program.fresh(f"{fn.name}.reverse")
    reverse = program.add(Function(name, body, results, f"the reverse of {fn.title or fn.name}"))
    return replace(entry, program=program, name=reverse.name)


@contextmanager
def compiling() -> Iterator[None]:
    """Lets the stages recurse over deeply nested programs. They make many objects, nearly all of which stay, so the
    garbage collector waits: it would go through them again and again."""
    before, collects = sys.getrecursionlimit(), gc.isenabled()
    sys.setrecursionlimit(max(before, RECURSION_LIMIT))
    gc.disable()
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
        if collects:
            gc.enable()
