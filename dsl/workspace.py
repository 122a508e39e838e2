"""A loaded program at work: its names, what has been compiled of it, and listings.

`Workspace` is what modules, commands and the interactive session stand on. Compiled code is kept by function, argument
types and mode, until a definition changes.

A program that is known from an earlier process is not read before something is asked for that was not kept. Until then
functions are known by their `Origin`, which also stands for their types in calls.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from dsl import importing, programs
from dsl.copies import Copied
from dsl.diagnostics import Source, error
from dsl.functions import Code, Function, Result, argument_names
from dsl.options import Mode, Options, Timings
from dsl.records import replace
from dsl.runtime import kept
from dsl.runtime.convert import from_leaves, to_leaves, write_back
from dsl.runtime.lock import LOCK
from dsl.runtime.specialised import Specialised
from dsl.runtime.typeof import type_of
from dsl.store import store
from dsl.syntax.files import read_source
from dsl.types import (
    COMPLEX,
    FLOAT64,
    FnType,
    LangType,
    Origin,
    leaves,
    with_parts,
)

if TYPE_CHECKING:
    from dsl.driver import Compiled, Driver
    from dsl.lower.session import Entry, Session
    from dsl.syntax.ast import Expr

class Workspace(Copied):
    """A program that has been loaded, with what has been compiled of it."""

    def __init__(
        self,
        source: Source,
        options: Options,
        out: Callable[[str], None] | None = None,
        print_expressions: bool = False,
        read: Callable[[str], Source] = read_source,
        quiet: bool = False,
        known: programs.Program | None = None,
    ) -> None:
        """`read` gives the text of a file that is included; `quiet`: what is printed by loading is dropped. `known`:
        what was kept of the program, where that has been looked up; nothing is printed again then."""
        self.read = read
        self.source = source
        self.options = options
        self.out = out or write
        self.shown = print_expressions
        self.timings = Timings()
        self._driver: Driver | None = None  # there is one when the program has been read
        self._compiled: dict[tuple[Any, ...], Specialised] = {}
        self._made_here: dict[tuple[Any, ...], Compiled] = {}
        self._functions: dict[str, Function] = {}
        self._types: dict[Origin, LangType] = {}
        self._complex_type: LangType | None = None  # of the program's library
        self.patterns: dict[Any, Any] = {}  # of sparse Jacobians, as `dsl.sparse` found them
        self.extended = False
        self.natives: WeakValueDictionary[int, Function] = WeakValueDictionary()  # those that have entries, by identity
        self.changed: Callable[[], None] = lambda: None  # called where names may stand for other things from now on
        self._looked_after = 0  # the generation when entries were last looked after
        with self.timings.stage("load"):
            found = known or programs.find(source, options, print_expressions, read)
            if found is None:
                self._load(None, quiet)
            else:
                self.program = found
                for text in found.printed if known is None and not quiet else ():
                    self.out(text)

    def _load(self, known: programs.Program | None, quiet: bool = True) -> None:
        """Read the program and run its top level; where that has been done before, `quiet`, and with the files that it
        included then."""
        with importing():
            from dsl.driver import Driver

        included: dict[str, Source] = {} if known is None else dict(known.included)
        printed: list[str] = []

        def read(path: str) -> Source:
            if path not in included:
                included[path] = self.read(path)
            return included[path]

        def record(text: str) -> None:
            printed.append(text)
            if not quiet:
                self.out(text)

        driver = Driver(self.source, self.options, record, self.timings, read)
        driver.session.load(print_expressions=self.shown)
        driver.out = self.out
        for name, value in known.globals.items() if known is not None else ():
            if value is not None and programs.refers(value[0]):  # it has been in use: what has become of it is kept
                driver.session.globals[name] = replace(driver.session.globals[name], leaves=value[1])
        self._driver = driver
        if known is None:
            caches = self.options.cache and store() is not None
            key = programs.key_of(self.source, self.options, self.shown) if caches else ""
            self.program = programs.of_session(driver.session, key, included, printed)
            if caches and not driver.session.warned:
                programs.keep(self.program, key)

    @property
    def driver(self) -> Driver:
        """What compiles the program; it is read now, if that has not been done."""
        if self._driver is None:
            with LOCK:
                if self._driver is None:
                    self._load(self.program)
        assert self._driver is not None
        return self._driver

    @property
    def session(self) -> Session:
        return self.driver.session

    @property
    def generation(self) -> int:
        """Grows when what was compiled before is no longer right."""
        return self.program.generation if self._driver is None else self._driver.session.generation

    # -- names
    def functions(self) -> list[str]:
        """The functions and structs of the program."""
        return list(self.program.functions) if self._driver is None else self.session.functions()

    def names(self) -> list[str]:
        """The functions, structs and top-level variables of the program."""
        return [*self.functions(), *(self.program.globals if self._driver is None else self.session.globals)]

    def doc(self, name: str) -> str:
        """The documentation string of a definition, "" without one."""
        if self._driver is None and name in self.program.functions:
            return self.program.docs.get(name, "")
        return self.session.doc(name)

    def lookup(self, name: str) -> Any:
        """What a name of the program stands for, as a Python value."""
        names = self.names()
        wanted = unicodedata.normalize("NFC", name)
        if wanted not in names:  # Python has turned .ϵ into .ε
            alike = [n for n in names if unicodedata.normalize("NFKC", n) == name]
            if not alike:
                hint = f"it defines {', '.join(names) or 'nothing'}"
                raise error("E0201", f"the program does not define {name}", hint=hint)
            wanted = alike[0]
        found = self._global(wanted)
        if found is None:
            return self.function(wanted)
        value = from_leaves(found[1], found[0], self.wrap)
        if isinstance(value, Function):
            value.path = Origin((wanted,))
        return value

    def _global(self, name: str) -> tuple[LangType, Sequence[Any]] | None:
        """The type and leaves of a top-level value, None where the name is not one's."""
        if self._driver is None:
            if name not in self.program.globals:
                return None
            value = self.program.globals[name]
            if value is not None:
                return value
        found = self.session.globals.get(name)
        return None if found is None else (found.type, found.leaves)

    def function(self, name: str) -> Function:
        """A function of the program, a struct or a built-in function, as a value."""
        made = self._functions.get(name)
        if made is None:
            made = self._functions[name] = Function(self, Origin((name,)))
        return made

    def define(self, text: str, name: str, print_expressions: bool) -> None:
        """More of the program: definitions, statements, and expressions, whose values may be printed."""
        file = self.driver.parse(Source(name, text))
        self.extended = True
        self._compiled.clear()
        self._made_here.clear()
        self._functions.clear()
        self._types.clear()
        self.patterns.clear()
        self._drop_entries()
        self.changed()
        with self.timings.stage("load"):
            self.session.define(file, print_expressions=print_expressions)

    def _drop_entries(self) -> None:
        for fn in list(self.natives.values()):
            fn.forget()
        self.natives.clear()

    # -- values
    def value(self, result: Result) -> Any:
        """The value of the language that a call has just given, as one of Python."""
        return from_leaves(result.leaves, result.type, self.wrap, own=True)

    def types_of(self, values: Sequence[Any], names: Sequence[str]) -> tuple[LangType, ...]:
        """The types of Python values; `names` are what error messages call them. Functions of the program that have an
        origin, and complex numbers, have types that stand for theirs."""
        return tuple(
            value.known_type if isinstance(value, Function) and value.workspace is self
            else type_of(value, name, COMPLEX)
            for value, name in zip(values, names, strict=True)
        )  # fmt: skip

    def actual(self, t: LangType) -> LangType:
        """The type in the program for one that may stand for others."""
        if isinstance(t, FnType) and isinstance(t.key, Origin):
            return self.type_of_origin(t.key)
        if t == COMPLEX:
            if self._complex_type is None:
                declared: Any = self.session.base.type("Complex")
                self._complex_type = declared.instantiate((FLOAT64,))
            return self._complex_type
        return with_parts(t, self.actual)

    def type_of_origin(self, origin: Origin) -> LangType:
        """The type of a function by its origin."""
        found = self._types.get(origin)
        if found is None:
            if len(origin) == 1:
                found = self.session.value_of(origin[0]).type
            else:
                helper = self._helper(origin[-1])
                found = self.entry(helper.type, (self.type_of_origin(Origin(origin[:-1])),)).result
            self._types[origin] = found
        return found

    def _helper(self, text: str) -> Function:
        """A function of the language, given by its text."""
        helper = self._functions.get(text)
        if helper is None:
            expression = self.expression(text)
            made = self.driver.lower(lambda: self.session.eval_entry(expression))
            helper = self._functions[text] = Function(self, made.result)
        return helper

    def wrap(self, type: LangType, leaves: Sequence[Any]) -> Function:
        """A value that is a function; one that has a name in the program is known by it."""
        name = getattr(type, "name", "")
        declared = self.session.namespace.functions.get(name) or self.session.structs.get(name)
        if declared is not None and isinstance(type, FnType) and type.key is declared:
            return Function(self, Origin((name,)))
        return Function(self, type, leaves)

    def expression(self, text: str) -> Expr:
        return self.driver.parse_expression(Source("<expression>", text))

    def evaluate(self, expression: Expr, once: bool = False) -> Result:
        """The value of an expression. What is evaluated `once` and is small is interpreted, which needs no LLVM."""
        entry = self.driver.lower(lambda: self.session.eval_entry(expression))
        return Result(entry.result, self.driver.call(self.driver.compile(entry), (), once))

    def gradient_call(self, call: Expr) -> Expr:
        """`gradient(f, x, y)` for a call `f(x, y)`."""
        from dsl.syntax.ast import Call, Name

        if not isinstance(call, Call):
            raise error("E0409", "the gradient is that of a call, as in f(2.0, 3)", call.span)
        return replace(call, fn=Name("gradient", span=call.span), args=(call.fn, *call.args), infix=False)

    # -- calls
    def apply(
        self, fn: Function, args: Sequence[Any], keywords: dict[str, Any], types: tuple[LangType, ...] | None = None,
        mode: Mode | None = None, once: bool = False,
    ) -> Result:  # fmt: skip
        """Call a function with Python values; compiled code is kept by the types of the arguments (those of keywords
        last), which are found out where they are not given. `once`: as for `evaluate`."""
        values = (*args, *keywords.values())
        names = (*argument_names(len(args)), *keywords)
        if types is None:
            types = self.types_of(values, names)
        compiled = self.compiled(fn, types, tuple(keywords), mode)
        parts = [to_leaves(value, t, name) for value, t, name in zip(values, types, names, strict=True)]
        results = compiled.call([*fn.leaves, *chain.from_iterable(parts)], self.out, once)
        for value, t, part in zip(values, types, parts, strict=True):
            if isinstance(value, dict | tuple):  # all else by reference shares its memory with the leaves
                write_back(value, t, part, self.wrap)
        return Result(compiled.result, results)

    def compiled(
        self, fn: Function, types: Sequence[LangType], keywords: Sequence[str] = (), mode: Mode | None = None
    ) -> Specialised:
        """A function compiled for arguments of these types, the last of them keywords; by an earlier process, maybe."""
        key = self._key(fn, types, keywords, mode)
        found = self._compiled.get(key)
        if found is None:
            with LOCK:
                found = self._compiled.get(key) or self._kept(key) or self._made(key)
                self._compiled[key] = found
                if self.generation != self._looked_after:  # what has been compiled before is stale
                    self._looked_after = self.generation
                    self._drop_entries()
        return found

    def compiled_before(self, fn: Function, types: Sequence[LangType]) -> Specialised | None:
        """The same where an earlier process has done it, else None."""
        return self._kept(self._key(fn, types, (), None))

    def compiled_here(
        self, fn: Function, types: Sequence[LangType], keywords: Sequence[str] = (), mode: Mode | None = None
    ) -> Compiled:
        """The same with its SSA, which is not kept."""
        return self._made(self._key(fn, types, keywords, mode))

    def _key(
        self, fn: Function, types: Sequence[LangType], keywords: Sequence[str], mode: Mode | None
    ) -> tuple[Any, ...]:
        mode = mode or fn.mode or self.options.mode
        return fn.known_type, tuple(types), tuple(keywords), mode, self.generation

    def _kept(self, key: tuple[Any, ...]) -> Specialised | None:
        """What an earlier process has made and kept."""
        user, name = store(), self._name_of(key)
        if user is None or name is None:
            return None
        options = replace(self.options, mode=key[3])
        return kept.find(user, name, options, self.timings, partial(self._made, key), self._leaves_of)

    def _leaves_of(self, name: str) -> Sequence[Any]:
        """The leaves of a top-level value."""
        found = self._global(name)
        assert found is not None
        return found[1]

    def _made(self, key: tuple[Any, ...]) -> Compiled:
        """Compile it, and keep it for later processes."""
        callee, types, keywords, mode, generation = key
        found = self._made_here.get(key)
        if found is not None:
            return found
        n, warned = len(types) - len(keywords), self.session.warned
        entry = self.entry(callee, types[:n], tuple(zip(keywords, types[n:], strict=True)))
        made = self.driver.compile(entry, replace(self.options, mode=mode))
        user, name = store(), self._name_of(key)
        if user is not None and name is not None and (warned, generation) == (self.session.warned, self.generation):
            made.keep = partial(kept.keep, user, name)
        self._made_here[key] = made
        return made

    def _name_of(self, key: tuple[Any, ...]) -> str | None:
        """What a specialisation is kept under; None where it cannot be."""
        if store() is None or not self.options.cache or self.options.interpreter or self.extended:
            return None
        callee, types, keywords, mode, generation = key
        try:
            wanted = kept.written_type((callee, *types))
        except kept.Unkeepable:
            return None
        return kept.name_of(self.program.identity, repr((wanted, keywords, mode, generation)))

    def entry(
        self, callee: LangType, types: Sequence[LangType], keywords: Sequence[tuple[str, LangType]] = ()
    ) -> Entry:
        """A call of a value of type `callee`, lowered."""
        callee = self.actual(callee)
        types = tuple(map(self.actual, types))
        keywords = tuple((k, self.actual(t)) for k, t in keywords)
        return self.driver.lower(lambda: self.session.value_call_entry(callee, types, keywords))

    def builtin(self, name: str, args: Sequence[Any], mode: Mode | None) -> Any:
        """The value of a call of a function that the language has."""
        return self.value(self.apply(self.function(name), args, {}, mode=mode))

    def transform(self, text: str, fn: Function, mode: Mode | None) -> Function:
        """What a function of the language, given by its text, makes of `fn`."""
        if fn.origin is not None:
            return Function(self, Origin((*fn.origin, text)), (), mode or fn.mode)
        helper = self._helper(text)
        result = self.entry(helper.type, (fn.type,)).result
        captured = self.apply(helper, (fn,), {}, once=True).leaves if leaves(result) else ()
        made = Function(self, result, captured, mode or fn.mode)
        made.path = None if fn.path is None else Origin((*fn.path, text))
        return made

    def declared(self, name: str) -> object:
        return self.session.structs.get(name) or self.session.base.type(name)

    # -- looking
    def code(self, stage: str, text: str, optimize: bool = True, raw: bool = False) -> Code:
        """The text of a call at a stage: ast, lowered, typed, adjoint, plan, llvm or native."""
        expression = self.expression(text)
        if stage == "ast":
            from dsl.syntax import show

            return Code(show(expression))
        entry = self.driver.lower(lambda: self.session.code_entry(expression))
        return self.listing(stage, entry, None, optimize, raw)

    def listing(self, stage: str, entry: Entry, mode: Mode | None, optimize: bool, raw: bool) -> Code:
        options = replace(self.options, mode=mode or self.options.mode)
        return Code(self.driver.listing(stage, entry, options, optimize, raw).rstrip("\n"))


def write(text: str) -> None:
    """Where what programs print goes, if nothing else is said."""
    sys.stdout.write(text)
