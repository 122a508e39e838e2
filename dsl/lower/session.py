"""A session: one source text (and what it includes), its definitions, its globals, and entries made from it.

What the driver gives
    Session(source, parse, evaluate, *, read=None, library=())
        library: Sources of the standard library, `stdlib_sources()` by default
        parse(Source) -> ast.File                 `dsl.syntax.parse_file`
        evaluate(entry) -> list of leaf values    compiles or interprets an entry without parameters and runs it
        read(path) -> Source                      for `include`: `dsl.syntax.read_source`
What the driver gets
    session.load(print_expressions=False)         runs the top level in order: globals, constants, loops. A bare
                                                  expression is skipped; with print_expressions it is evaluated and
                                                  shown (the entry itself prints, through `print` ops)
    session.define(file: ast.File, print_expressions=True)     the same for further input, as typed at a prompt
    session.call_entry(name, arg_types, keywords=()) -> Entry  name(args…; keywords…); `name` is any function visible
                                                  in the session, builtins like `gradient` included; arg_types are
                                                  language types (also function types); keywords are (name, type) pairs
    session.value_call_entry(callee: LangType, arg_types, keywords=()) -> Entry
                                                  the same for a function value of this type: the leaves of `callee`
                                                  come before the leaves of the arguments
    session.eval_entry(expr: ast.Expr) -> Entry   an expression as a function without parameters
    session.code_entry(expr: ast.Expr) -> Entry   for code_*: the outermost call of the expression becomes the
                                                  function; arguments with leaves (numbers) become parameters
    session.functions() -> list of names          the functions and constructors of the user, in order of definition
    session.globals: dict[str, Global]            Global(type, leaves): top-level values, leaves as `evaluate` gave them
    session.value_of(name) -> Global              a global, or the value of a function or type by its name
    session.doc(name) -> str                      "" where there is none
    session.generation: int                       grows when the memory of a global changes its layout: entries made
                                                  before are stale
    session.structs: dict[str, …]                 constructors are called by `call_entry("Point", …)`

Entry
    program    ir.Program with the raw SSA of everything reachable from `name` (the driver clones it before passes)
    name       the root function's name in it; its leaf parameters are the leaves of `arg_types`, in order
    arg_types  language types of the parameters
    result     the language type of the result; the root returns its leaves
    globals    name -> leaves for the `global` ops in the program (op attrs name and index)

All errors are DslErrors. Lowering leaves a session as it was when it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dsl.lower.builtins.all  # noqa: F401 - fills the table of built-in functions
from dsl.diagnostics import Source, Span, error
from dsl.ir.core import Program
from dsl.lower import toplevel
from dsl.lower.builtins.dicts import as_hash_table
from dsl.lower.builtins.registry import BUILTINS
from dsl.lower.builtins.text import template
from dsl.lower.calls import call_value, ir_name
from dsl.lower.declarations import GenericFunction, Global, Method, Namespace, StructDecl
from dsl.lower.frame import Frame
from dsl.lower.library import index
from dsl.lower.lowering import expr
from dsl.lower.names import global_value, name_value
from dsl.lower.scopes import FunctionScope, analyse
from dsl.lower.sites import Sites
from dsl.lower.specialise import Unit
from dsl.lower.values import Val
from dsl.lower.widening import widen_leaves
from dsl.records import dataclass, field, replace
from dsl.syntax import ast
from dsl.types import LangType, StaticDictType, leaves

MAX_ROUNDS = 60  # lowerings of one entry until the types of its memory settle; each widens something


@dataclass(frozen=True)
class Entry:
    """A root function with everything that it needs. See the top of this module."""

    program: Program
    name: str
    arg_types: tuple[LangType, ...]
    result: LangType
    globals: dict[str, tuple[Any, ...]] = field(default_factory=dict)


_PARSED: dict[Source, ast.File] = {}  # the library's trees: read once a process, they are the same for all sessions


class Session:
    def __init__(
        self,
        source: Source,
        parse: Callable[[Source], ast.File],
        evaluate: Callable[[Entry], Sequence[Any]],
        *,
        read: Callable[[str], Source] | None = None,
        library: Sequence[Source] | None = None,
    ) -> None:
        self.source = source
        self.parse = parse
        self.evaluate = evaluate
        self.read = read
        self.sites = Sites()
        self.warned = 0  # warnings that have been given
        self._converting: set[str] = set()
        self.generation = 0  # grows when top-level memory changes its layout: what was compiled before is stale
        self.closure_methods: dict[tuple[FunctionScope, object], Method] = {}
        self.template = template
        self._builtins: dict[str, GenericFunction] = {}
        self.base = Namespace(None, self.builtin, self._look)
        self.namespace = Namespace(self.base, self.builtin)
        self._library = index(library)
        self._taken: set[Source] = set()

    # ------------------------------------------------------------ names
    def builtin(self, name: str) -> GenericFunction | None:
        """The built-in function of a name, with the methods that were added to it in this session."""
        self._look(name)
        if name not in self._builtins and name in BUILTINS:
            self._builtins[name] = GenericFunction(name, self.base, BUILTINS[name])
        return self._builtins.get(name) or self.base.functions.get(name)

    def _look(self, name: str) -> None:
        """A new name of the library is about to be looked up."""
        if name not in BUILTINS:
            self.take(name)

    def take(self, name: str) -> bool:
        """Take in the files of the library that define a name; whether there were any left."""
        files = [source for source in self._library.get(name, ()) if source not in self._taken]
        for source in files:
            if source not in _PARSED:
                _PARSED[source] = self.parse(source)
            self._taken.add(source)
            toplevel.declare(self, self.base, _PARSED[source].statements)
        return bool(files)

    def extended(self) -> list[GenericFunction]:
        """The built-in functions that have been asked for so far, which may have got methods."""
        return list(self._builtins.values())

    def builtin_names(self) -> list[str]:
        return [*BUILTINS, *self._library]

    @property
    def globals(self) -> dict[str, Global]:
        return self.namespace.globals

    @property
    def structs(self) -> dict[str, StructDecl]:
        return {n: t for n, t in self.namespace.types.items() if isinstance(t, StructDecl)}

    def functions(self) -> list[str]:
        return [*self.namespace.functions, *self.structs]

    def doc(self, name: str) -> str:
        declared = self.namespace.type(name)
        if isinstance(declared, StructDecl):
            return declared.doc
        fn = self.namespace.function(name)
        return "" if fn is None else fn.doc

    def value_of(self, name: str, span: Span | None = None) -> Global:
        """A global, or the value of a function or type by its name."""
        found = self.namespace.global_(name)
        if found is not None:
            return found
        entry = self._entry(name, (), lambda f, _: name_value(f, name, span or f.span))
        return Global(entry.result, ())

    # ------------------------------------------------------------ the top level
    def load(self, print_expressions: bool = False) -> None:
        self.define(self.parse(self.source), print_expressions)

    def define(self, file: ast.File, print_expressions: bool = True) -> None:
        toplevel.run(self, file.statements, print_expressions)

    # ------------------------------------------------------------ entries
    def call_entry(
        self, name: str, arg_types: Sequence[LangType], keywords: Sequence[tuple[str, LangType]] = ()
    ) -> Entry:
        """`name(args…; keywords…)` for arguments of these types."""
        names = [k for k, _ in keywords]

        def call(f: Frame, args: list[Val]) -> Val:
            n = len(args) - len(names)
            return call_value(f, name_value(f, name, f.span), args[:n], dict(zip(names, args[n:], strict=True)), f.span)

        return self._entry(name, [*arg_types, *(t for _, t in keywords)], call)

    def value_call_entry(
        self, callee: LangType, arg_types: Sequence[LangType], keywords: Sequence[tuple[str, LangType]] = ()
    ) -> Entry:
        """A call of a function value: its leaves come first, then those of the arguments."""
        names = [k for k, _ in keywords]

        def call(f: Frame, args: list[Val]) -> Val:
            n = len(args) - len(names)
            return call_value(f, args[0], args[1:n], dict(zip(names, args[n:], strict=True)), f.span)

        stem = getattr(callee, "name", "call")
        return self._entry(stem, [callee, *arg_types, *(t for _, t in keywords)], call)

    def eval_entry(self, e: ast.Expr) -> Entry:
        """An expression as a function without parameters."""
        scope = analyse(e, (), e)
        return self._entry("eval", (), lambda f, _: expr(f, e), scope, e.span)

    def code_entry(self, e: ast.Expr) -> Entry:
        """The outermost call of an expression as a function of its arguments, for a look at its code."""
        while isinstance(e, ast.Block) and len(e.statements) == 1:
            e = e.statements[0]
        if not isinstance(e, ast.Call):
            return self.eval_entry(e)
        parts = (e.fn, *(a.value if isinstance(a, ast.Splat) else a for a in e.args), *(k.value for k in e.keywords))
        if any(isinstance(a, ast.Splat) for a in e.args):
            return self.eval_entry(e)
        types = [self.eval_entry(p).result for p in parts]
        n = 1 + len(e.args)
        keywords = [(k.name, t) for k, t in zip(e.keywords, types[n:], strict=True)]
        return self.value_call_entry(types[0], types[1:n], keywords)

    def _entry(
        self,
        stem: str,
        arg_types: Sequence[LangType],
        value: Callable[[Frame, list[Val]], Val],
        scope: FunctionScope | None = None,
        span: Span | None = None,
    ) -> Entry:
        """Lower until the element types of all memory have settled."""
        names = _parameter_names(arg_types)
        span = span or Span(self.source, 0, 0)
        scope = scope or FunctionScope(None, ast.Nothing(), 0)

        def lower(f: Frame, args: list[Val]) -> None:
            f.declare_boxes(scope)
            f.leave(value(f, args), f.span)

        for _ in range(MAX_ROUNDS):
            self.sites.dirty = False
            unit = Unit(self, self.sites)
            arg_types = [self.sites.refresh(t) for t in arg_types]
            spec = unit.specialise(
                ("entry", stem), ("entry", stem, span.source.name, span.start, span.end), owner="entry",
                stem=ir_name(stem), title=stem, span=span, namespace=self.namespace, scope=scope,
                params=list(zip(arg_types, names, strict=True)), lower=lower,
            )  # fmt: skip
            if not self.sites.dirty:
                break
            self._make_dicts_dynamic()
        else:
            raise error("E0204", "the element types of memory grow without bound", span)
        program = unit.reachable(_forwarded(unit.program, spec.name))
        root = _named(program, next(iter(program.functions)), spec.name)
        used = {op.attrs["name"] for fn in program.functions.values() for op in fn.body.walk() if op.name == "global"}
        self._widen_globals()
        return Entry(program, root, tuple(arg_types), spec.result, {n: self.globals[n].leaves for n in sorted(used)})

    def _as_hash_table(self, name: str, g: Global) -> tuple[tuple[Any, ...], Entry]:
        self._converting.add(name)
        entry = self._entry("dict", (), lambda f, _: as_hash_table(f, global_value(f, name, g)))
        self._converting.discard(name)
        return tuple(self.evaluate(entry)), entry

    def _make_dicts_dynamic(self) -> None:
        """Top-level Dicts that were written with their keys and are given others become hash tables."""
        for name, g in list(self.globals.items()):
            static = isinstance(g.type, StaticDictType) and not self.sites.is_dynamic(g.type.site)
            if not isinstance(g.type, StaticDictType) or static or name in self._converting:
                continue
            leaves, entry = self._as_hash_table(name, g)
            for other, o in list(self.globals.items()):
                if isinstance(o.type, StaticDictType) and o.leaves[0] is g.leaves[0]:
                    self.globals[other] = replace(o, type=entry.result, leaves=leaves)
            self.generation += 1

    def _widen_globals(self) -> None:
        """Bring the top-level values up to the types that their memory has by now."""
        seen: set[int] = set()
        for name, g in self.globals.items():
            now = self.sites.refresh(g.type)
            if now != g.type:
                self.generation += 1
                self.globals[name] = replace(g, type=now, leaves=tuple(widen_leaves(g.type, now, g.leaves, seen)))


def _parameter_names(types: Sequence[LangType]) -> list[str]:
    """x where one parameter has leaves, x1, x2, … where several have; the others are not seen."""
    seen = [k for k, t in enumerate(types) if leaves(t)]
    shown = {k: f"x{n}" for n, k in enumerate(seen, 1)} if len(seen) > 1 else dict.fromkeys(seen, "x")
    return [shown.get(k, f"unseen{k}") for k in range(len(types))]


def _named(program: Program, root: str, name: str) -> str:
    """Give the root a name that is free; the name that it then has."""
    rules = [fn.attrs["rule"] for fn in program.functions.values() if "rule" in fn.attrs]
    if name in program.functions or any(root in (r.forward, r.reverse, r.pushforward) for r in rules):
        return root
    fn = program.functions[root]
    fn.name = name
    program.functions = {f.name: f for f in program.functions.values()}
    for op in (op for f in program.functions.values() for op in f.body.walk()):
        if op.attrs.get("fn") == root:
            op.attrs["fn"] = name
    return name


def _forwarded(program: Program, name: str) -> str:
    """Where a root only calls a function with its own parameters, that function is the root."""
    fn = program.functions[name]
    ops = fn.body.ops
    if len(ops) == 2 and ops[0].name == "call" and ops[1].name == "return":
        same = ops[0].args == fn.params and ops[1].args == ops[0].results
        if same:
            return str(ops[0].attrs["fn"])
    return name
