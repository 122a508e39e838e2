"""A loaded program at work: functions as Python objects, compiled for the types they are called with, and listings.

`Workspace` is what modules, commands and the interactive session stand on. Compiled code is kept by function, argument
types and mode, until a definition changes. Transforms are functions of the language, made from the texts in
`TRANSFORMS`: what they give can be called, differentiated again and looked at like any other function.

A program that is known from an earlier process is not read before something is asked for that was not kept. Until then
functions are known by their `Origin`, which also stands for their types in calls.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import chain
from math import factorial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

from dsl import importing, programs
from dsl.copies import Copied, reduced_function
from dsl.diagnostics import Source, error
from dsl.options import Mode, Options, Timings
from dsl.records import dataclass, replace
from dsl.runtime import kept
from dsl.runtime.convert import from_leaves, to_leaves, write_back
from dsl.runtime.entries import entry_of
from dsl.runtime.lock import LOCK
from dsl.runtime.native import Callable as NativeCallable
from dsl.runtime.native import note_stack
from dsl.runtime.show import show_leaves, to_json
from dsl.runtime.specialised import Specialised
from dsl.runtime.typeof import type_of
from dsl.store import store
from dsl.syntax.files import read_source
from dsl.types import (
    BOOLEAN,
    COMPLEX,
    FLOAT64,
    INT64,
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

_PYTHON_TYPES: dict[object, LangType] = {float: FLOAT64, int: INT64, bool: BOOLEAN}
Argnums: TypeAlias = int | tuple[int, ...]
MOST_ENTRIES = 8  # of a function: arguments of other types take the general way

# Transforms as functions of the language; {g} stands for the entries of the gradient g that were asked for.
TRANSFORMS = {
    "gradient": "f -> (xs...) -> gradient(f, xs...)",
    "grad": "f -> (xs...) -> (g = gradient(f, xs...); {g})",
    "value_and_grad": "f -> (xs...) -> (r = withgradient(f, xs...); g = r.grad; (r.val, {g}))",
    "grad_sum": "f -> (xs...) -> (g = gradient(f, xs...); s = 0.0; for (i, x) in enumerate({g}) s += i*x end; s)",
    "jacobian": "f -> (xs...) -> (g = __jacobian(f, xs...); {g})",
    "hessian": "f -> (xs...) -> __hessian(f, {k}, xs...)",
    "hvp": "f -> (x, v, others...) -> hvp(y -> f(y, others...), x, v)",
    "weighted": "f -> (xs...) -> (s = 0.0; for (i, y) in enumerate(f(xs...)) s += i*y end; s)",
    "pushforward at": "f -> (x, v, others...) -> pushforward(y -> f(y, others...), x)(v)",
    "pullback at": "f -> (x, w, others...) -> pullback(y -> f(y, others...), x)[2](w)[1]",
    "derivative": "f -> (x -> derivative(f, x))",
    "taylor": "f -> (x -> taylor(f, x, {k}))",
    "nth derivative": "f -> (x -> {factorial}*taylor(f, x, {k})[{k} + 1])",
}


class Code(str):
    """A listing. It shows itself as it is, not as a quoted string, at a Python prompt."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Result:
    """A value of the language: its type and its leaves."""

    type: LangType
    leaves: Sequence[Any]

    def __str__(self) -> str:
        """In the language's own notation."""
        return show_leaves(self.leaves, self.type)

    def short(self, most: int = 400) -> str:
        """The same for a terminal: of an array of more than `most` elements only the beginning and the end."""
        return show_leaves(self.leaves, self.type, most)

    def json(self) -> Any:
        return to_json(self.leaves, self.type)


class Function(NativeCallable):
    """A function of a program: a named one with all its methods, a closure, or what a transform gave.

    Calling it compiles it for the types of the arguments, once; calls that have an entry (`runtime/entries.py`) go
    straight to native code from the third on. `mode` is how its derivatives are made. One that captures nothing and has
    an `origin` is known by that, and its type is found out only where it is needed.
    """

    def __init__(
        self, workspace: Workspace, type: LangType | Origin, leaves: Sequence[Any] = (), mode: Mode | None = None
    ) -> None:
        self.workspace = workspace
        self.origin = type if isinstance(type, Origin) else None
        self._type = None if isinstance(type, Origin) else type
        self.leaves = tuple(leaves)
        self.mode = mode
        self.path: Origin | None = self.origin  # how it is made again, also where it captures something
        self._transformed: dict[tuple[Any, ...], Function] = {}
        self._seen: dict[tuple[LangType, ...], bool] = {}  # argument types: whether there was a try to make an entry

    @property
    def type(self) -> LangType:
        """Its type in the program, which has to be read for it."""
        if self._type is None:
            assert self.origin is not None
            self._type = self.workspace.type_of_origin(self.origin)
        return self._type

    @property
    def known_type(self) -> LangType:
        """Its type, or what stands for it as long as the program need not be read."""
        return self.type if self.origin is None else self.origin.type

    @property
    def __name__(self) -> str:
        if self.origin is not None and len(self.origin) == 1:
            return self.origin[0]
        return self.type.name if isinstance(self.type, FnType) else str(self.type)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.workspace.doc(self.__name__) or None

    def __repr__(self) -> str:
        return f"<dfl function {self.__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((id(self.workspace), self.known_type, self.mode))

    def _identity(self) -> tuple[Any, ...]:
        return id(self.workspace), self.known_type, self.leaves, self.mode

    def __reduce__(self) -> Any:
        return reduced_function(self.workspace, self.path, self.mode, repr(self))

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """The value for these arguments. With `out`, an array of the value's shape, the value is written there; of a
        value and its gradient, `out` gets the gradient."""
        if "out" in keywords and hasattr(keywords["out"], "dtype"):
            out = keywords.pop("out")
            return filled(out, self(*args, **keywords))
        if self.entries:  # in this thread, too, they may ask where the stack ends
            note_stack()
        work, start = self.workspace, perf_counter()
        run = work.timings.get("run", 0.0)
        types = work.types_of((*args, *keywords.values()), (*_argument_names(len(args)), *keywords))
        value = work.value(work.apply(self, args, keywords, types))
        if not keywords and not self._seen.get(types):
            self._learn(types, args, work.timings["run"] - run, perf_counter() - start)
        return value

    _general = __call__  # what native code calls where it has no entry

    def _learn(self, types: tuple[LangType, ...], args: tuple[Any, ...], run: float, whole: float) -> None:
        """Make an entry for arguments of types that come for the second time. `run`, `whole`: how long the native code
        of this call has taken, and the call. Provisional code has no entries, so all that calls of it take counts."""
        compiled = self.workspace.compiled(self, types)
        first = types not in self._seen
        provisional = compiled.native is not None and compiled.native.provisional
        self._seen[types] = not first and not provisional
        if first:
            return
        if provisional:
            compiled.native.spent += whole - run  # type: ignore[union-attr]
            return
        entry = entry_of(compiled, self.leaves, types, args, run)
        if entry is not None:
            note_stack()
            self.set_entries([entry, *self.entries][:MOST_ENTRIES])
            self.workspace.natives[id(self)] = self

    def forget(self) -> None:
        """Nothing that was compiled before is to be called any more."""
        self._seen.clear()
        self.set_entries(())

    def in_mode(self, mode: Mode | None) -> Function:
        """The same function, with derivatives made in another mode."""
        made = Function(self.workspace, self.type if self.origin is None else self.origin, self.leaves, mode)
        made.path = self.path
        return made

    # -- derivatives
    def transformed(self, name: str, argnums: Argnums = 0, mode: Mode | None = None) -> Function:
        """What a transform makes of this function. `argnums` is a number of another kind for some: the order."""
        key = (self.workspace.generation, name, argnums, mode)
        made = self._transformed.get(key)
        if made is None:
            made = self._transformed[key] = self._transform(name, argnums, mode)
        return made

    def _transform(self, name: str, argnums: Argnums, mode: Mode | None) -> Function:
        text = TRANSFORMS[name]
        if "{g}" in text:
            text = text.replace("{g}", _entries(argnums))
        elif "{k}" in text:
            k = _number(argnums)
            text = text.replace("{k}", str(k))
            if "{factorial}" in text:
                text = text.replace("{factorial}", repr(float(factorial(k))))
        return self.workspace.transform(text, self, mode)

    @property
    def grad(self) -> Function:
        """The gradient with respect to the first argument, as a function."""
        return self.transformed("grad")

    @property
    def value_and_grad(self) -> Function:
        """The value and the gradient with respect to the first argument, as a function."""
        return self.transformed("value_and_grad")

    @property
    def jacobian(self) -> Function:
        """The Jacobian with respect to the first argument, as a function."""
        return self.transformed("jacobian")

    @property
    def hessian(self) -> Function:
        """The Hessian with respect to the first argument, as a function."""
        return self.transformed("hessian")

    def hvp(self, x: Any, v: Any, *others: Any) -> Any:
        """The product of the Hessian with respect to the first argument with v; SciPy's `hessp`."""
        return self.transformed("hvp")(x, v, *others)

    # -- looking: arguments are values, or the types float, int and bool
    def code_lowered(self, *args: Any) -> Code:
        return self._listing("lowered", args)

    def code_typed(self, *args: Any) -> Code:
        return self._listing("typed", args)

    def code_adjoint(self, *args: Any) -> Code:
        return self._listing("adjoint", args)

    def code_plan(self, *args: Any) -> Code:
        return self._listing("plan", args)

    def code_llvm(self, *args: Any, optimize: bool = True, raw: bool = False) -> Code:
        return self._listing("llvm", args, optimize, raw)

    def code_native(self, *args: Any) -> Code:
        return self._listing("native", args)

    def _listing(self, stage: str, args: Sequence[Any], optimize: bool = True, raw: bool = False) -> Code:
        types = [
            _PYTHON_TYPES[a] if isinstance(a, type) and a in _PYTHON_TYPES
            else self.workspace.types_of([a], ["an argument"])[0]
            for a in args
        ]  # fmt: skip
        return self.workspace.listing(stage, self.workspace.entry(self.type, types), self.mode, optimize, raw)


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
        names = (*_argument_names(len(args)), *keywords)
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


@cache
def _argument_names(count: int) -> tuple[str, ...]:
    """What messages call the arguments of a call."""
    return tuple(f"argument {k}" for k in range(1, count + 1))


def as_function(fn: object) -> Function:
    """What is to be differentiated, where it is a function of a module."""
    if isinstance(fn, Function):
        return fn
    raise error(
        "E0602",
        f"{getattr(fn, '__name__', fn)!r} is no function of a dfl module",
        hint="derivatives are those of functions written in the language: m = dsl.loads(…), then m.f",
    )


def filled(out: Any, value: Any) -> Any:
    """The array `out`, which has got the value; of a number and an array, the number and `out`, which has got that."""
    match value:
        case (int() | float() as number, array) if hasattr(array, "dtype"):
            return number, filled(out, array)
    if getattr(value, "shape", ()) != out.shape:
        raise error("E0602", f"out has shape {out.shape}, and the result {getattr(value, 'shape', ())}",
                    hint="give an array of the result's shape, or none")  # fmt: skip
    if not out.flags.writeable:
        raise error("E0602", "out is read-only", hint="give an array that may be written")
    if out.dtype.kind != "f" or out.dtype.itemsize < getattr(value, "dtype", out.dtype).itemsize:
        raise error("E0602", f"out holds {out.dtype}, and the result {getattr(value, 'dtype', 'float64')}",
                    hint=f"make it by numpy.empty({out.shape})")  # fmt: skip
    out[...] = value
    return out


def _number(argnums: Argnums) -> int:
    if isinstance(argnums, tuple):
        raise error("E0409", f"one argument is named here, not {argnums}", hint="take one after the other")
    return argnums


def _entries(argnums: Argnums) -> str:
    """The entries of the gradient `g` that were asked for, as an expression of the language."""
    if isinstance(argnums, tuple):
        return f"({''.join(f'{_entries(k)}, ' for k in argnums)})"
    return f"g[{argnums + 1}]" if argnums >= 0 else f"g[end - {-argnums - 1}]"
