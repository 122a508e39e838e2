"""The driver: the only place that sequences the stages; `Driver.compile` is the compiler from top to bottom.

Guarantees: an entry's lowered program is never changed (passes work on a copy), every stage's time is added up under
its name, and a deep program meets the limits of the stages, not Python's recursion limit.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal, TypeAlias

from dsl.ad import Plan, expand, flat_parameters, reverse_plan
from dsl.diagnostics import Source, error
from dsl.interp import run as interpret
from dsl.ir.core import Function, Program, Region, RegionBuilder, clone_function
from dsl.lower.session import Entry, Session
from dsl.ops import Arithmetic
from dsl.passes.common import called
from dsl.passes.globals import bind_globals
from dsl.passes.pipeline import optimise
from dsl.records import dataclass, replace
from dsl.runtime.engine import Unit, compile_unit
from dsl.runtime.lending import Access, arrays_lent
from dsl.syntax import parse_expression, parse_file
from dsl.syntax.ast import Expr, File
from dsl.syntax.files import read_source
from dsl.types import ArrayType, FnType, LangType, LeafType, Mem, VectorType, is_ref, leaves, tangent

Mode: TypeAlias = Literal["auto", "forward", "reverse"]
MODES = ("auto", "forward", "reverse")
RECURSION_LIMIT = 50_000
Out: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    opt_level    LLVM's level, 0 to 3; the values are the same bits at each. None: 3, where code that takes LLVM long is
                 compiled at 0 first, and once more when it has run for as long as that takes
    mode         how to differentiate: "auto" takes the cheaper way
    checks       False: NaN where a function is outside its domain, instead of a DomainError
    optimize     False: no passes of ours but those that are needed
    interpreter  True: the reference interpreter runs the SSA; False: native code does; None: native code does, save
                 what runs once and is small, where the interpreter is done before LLVM would have begun
    verify       check the invariants of the SSA after every pass
    """

    opt_level: int | None = None
    mode: Mode = "auto"
    checks: bool = True
    optimize: bool = True
    interpreter: bool | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise error("E0409", f"mode is {self.mode!r}, which is none of {', '.join(MODES)}")
        if self.opt_level is not None and self.opt_level not in range(4):
            raise error("E0409", f"opt_level is {self.opt_level!r}, which is none of 0, 1, 2, 3")


class Timings(dict[str, float]):
    """Seconds by stage. A stage that runs inside another one is not counted in that one again."""

    def __init__(self) -> None:
        super().__init__()
        self._inner: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._inner.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            whole = time.perf_counter() - start
            own = whole - self._inner.pop()
            self[name] = self.get(name, 0.0) + own
            if self._inner:
                self._inner[-1] += whole


@dataclass(eq=False)
class Compiled:
    """An entry that can be called: `program` is its SSA after all passes, `globals` the leaves of top-level variables
    that its function takes after the arguments. The native unit is made when it is first asked for. `apart`: the
    parameters that are taken to be different memories; for a call where they are not there is `cautious`."""

    entry: Entry
    options: Options
    program: Program
    globals: list[tuple[str, int]]
    timings: Timings
    apart: tuple[int, ...] = ()
    native: Unit | None = None
    cautious: Compiled | None = None

    @cached_property
    def params(self) -> tuple[LeafType, ...]:
        return tuple(p.type for p in self.program.functions[self.entry.name].params)

    @property
    def function(self) -> str:
        """What messages call the function."""
        callee = self.entry.arg_types[0] if self.entry.arg_types else None
        return callee.name if isinstance(callee, FnType) else "the call"

    @cached_property
    def names(self) -> list[str]:
        """What messages call what each parameter belongs to: the function, an argument, or a top-level variable."""
        types = self.entry.arg_types
        whose = [f"what {self.function} captures", *(f"argument {k}" for k in range(1, len(types)))]
        names = [name for name, t in zip(whose, types, strict=False) for _ in leaves(t)]
        return names + [name for name, _ in self.globals]

    @cached_property
    def takes_memory(self) -> bool:
        return any(isinstance(t, Mem) for t in self.params)

    @cached_property
    def access(self) -> Access:
        """What a call does with the arrays of its caller."""
        with compiling():
            return Access.of(self.entry.program, self.program, self.entry.name)

    @property
    def unit(self) -> Unit:
        if self.native is None:
            with compiling(), self.timings.stage("emit"):
                self.native = compile_unit(self.program, self.entry.name, opt_level=self.options.opt_level)
            with compiling(), self.timings.stage("llvm"):
                self.native.link()
        return self.native


class Driver:
    """One program's way from text to values."""

    def __init__(self, source: Source, options: Options, out: Out) -> None:
        self.options = options
        self.timings = Timings()
        self.out = out
        self.session = Session(source, self.parse, self.evaluate, read=read_source)

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
            program = clone_program(entry.program)
            if not o.checks:
                drop_domain_checks(program)
            with self.timings.stage("passes"):
                globals_ = bind_globals(program, entry.name)
            drop_unused_rules(program, entry.name)
            root = program.functions[entry.name]
            apart = () if cautious else tuple(sorted(flat_parameters(root)))
            if len(apart) > 1:
                root.attrs["apart"] = True
            root.attrs["present"], root.attrs["sizes"] = present_arrays(entry.arg_types)
            if o.optimize:
                with self.timings.stage("passes"):
                    optimise(program, roots, "before-ad", verify=o.verify)
            with self.timings.stage("ad"):
                expand(program, o.mode)
            if o.optimize:
                with self.timings.stage("passes"):
                    optimise(program, roots, "after-ad", verify=o.verify)
            del root.attrs["present"], root.attrs["sizes"]
            if o.verify:
                from dsl.ir.verifier import verify

                verify(program)
        return Compiled(entry, o, program, globals_, self.timings, apart)

    def call(self, compiled: Compiled, args: Sequence[Any], once: bool = False) -> list[Any]:
        """Call compiled code with leaf values; the values of the top-level variables it uses are added. What runs once
        and is small is interpreted: the bits are the same."""
        values = [*args, *(compiled.entry.globals[name][index] for name, index in compiled.globals)]
        if not compiled.takes_memory:
            return self._run(compiled, values, once)
        compiled = self._fitting(compiled, values)
        function, access = compiled.function, lambda: compiled.access
        with arrays_lent(values, compiled.params, access, function, compiled.names) as lent:
            return self._run(compiled, lent, once)

    def _fitting(self, compiled: Compiled, values: Sequence[Any]) -> Compiled:
        """What is right for these arguments: other code where one memory is two of them."""
        apart = [id(values[k]) for k in compiled.apart]
        if len(apart) < 2 or len(set(apart)) == len(apart):
            return compiled
        if compiled.cautious is None:
            compiled.cautious = self.compile(compiled.entry, compiled.options, cautious=True)
        return compiled.cautious

    def trace(self, compiled: Compiled, args: Sequence[Any], arithmetic: Arithmetic) -> list[Any]:
        """Run compiled code by the interpreter, on numbers of another kind. What it prints is dropped."""
        values = [*args, *(compiled.entry.globals[name][index] for name, index in compiled.globals)]
        compiled = self._fitting(compiled, values)
        function, access = compiled.function, lambda: compiled.access
        with arrays_lent(values, compiled.params, access, function, compiled.names) as lent:
            return interpret(compiled.program, compiled.entry.name, lent, lambda text: None, arithmetic)

    def _run(self, compiled: Compiled, values: Sequence[Any], once: bool) -> list[Any]:
        interpreted = compiled.options.interpreter
        if interpreted or (interpreted is None and once and is_small(compiled)):
            with self.timings.stage("run"):
                return interpret(compiled.program, compiled.entry.name, values, self.out)
        unit = compiled.unit
        if unit.outgrown:
            with self.timings.stage("llvm"):
                unit.optimise()
        with self.timings.stage("run"):
            return unit.call(values, self.out)

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
            program = clone_program(entry.program)
            bind_globals(program, entry.name)
            if options.optimize:
                optimise(program, [entry.name], "before-ad", verify=options.verify)
            expand(program, options.mode)
            return reverse_plan(program, entry.name, derivable(entry))


def clone_program(program: Program) -> Program:
    return Program({name: clone_function(fn, name) for name, fn in program.functions.items()})


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
