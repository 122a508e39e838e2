"""A loaded program at work: functions as Python objects, compiled for the types they are called with, and listings.

`Workspace` is what modules, commands and the interactive session stand on. Compiled code is kept by function, argument
types and mode, until a definition changes. Transforms are functions of the language, made from the texts in
`TRANSFORMS`: what they give can be called, differentiated again and looked at like any other function.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from math import factorial
from time import perf_counter
from typing import Any, TypeAlias
from weakref import WeakSet

from dsl.diagnostics import DslError, Source, error
from dsl.driver import Compiled, Driver, Mode, Options
from dsl.lower.declarations import StructDecl
from dsl.lower.session import Entry
from dsl.records import dataclass, replace
from dsl.runtime.convert import from_leaves, to_leaves, write_back
from dsl.runtime.entries import entry_of
from dsl.runtime.native import Callable as NativeCallable
from dsl.runtime.native import note_stack
from dsl.runtime.show import show_leaves, to_json
from dsl.runtime.typeof import type_of
from dsl.syntax import show
from dsl.syntax.ast import Call, Expr, Name
from dsl.types import BOOLEAN, FLOAT64, INT64, FnType, LangType, leaves

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
    straight to native code from the third on. `mode` is how its derivatives are made.
    """

    def __init__(
        self, workspace: Workspace, type: LangType, leaves: Sequence[Any] = (), mode: Mode | None = None
    ) -> None:
        self.workspace = workspace
        self.type = type
        self.leaves = tuple(leaves)
        self.mode = mode
        self._transformed: dict[tuple[Any, ...], Function] = {}
        self._seen: dict[tuple[LangType, ...], bool] = {}  # argument types: whether there was a try to make an entry
        self.__name__ = type.name if isinstance(type, FnType) else str(type)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.workspace.doc(self.__name__) or None

    def __repr__(self) -> str:
        return f"<dfl function {self.__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((id(self.workspace), self.type))

    def _identity(self) -> tuple[Any, ...]:
        return id(self.workspace), self.type, self.leaves, self.mode

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """The value for these arguments. With `out`, an array of the value's shape, the value is written there; of a
        value and its gradient, `out` gets the gradient."""
        if "out" in keywords and hasattr(keywords["out"], "dtype"):
            out = keywords.pop("out")
            return filled(out, self(*args, **keywords))
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
            self.workspace.natives.add(self)

    def forget(self) -> None:
        """Nothing that was compiled before is to be called any more."""
        self._seen.clear()
        self.set_entries(())

    # -- derivatives
    def transformed(self, name: str, argnums: Argnums = 0, mode: Mode | None = None) -> Function:
        """What a transform makes of this function. `argnums` is a number of another kind for some: the order."""
        key = (self.workspace.session.generation, name, argnums, mode)
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


class Workspace:
    """A program that has been loaded, with what has been compiled of it."""

    def __init__(self, source: Source, options: Options, out: Callable[[str], None], print_expressions: bool) -> None:
        self.options = options
        self.driver = Driver(source, options, out)
        self.session = self.driver.session
        self.timings = self.driver.timings
        self._compiled: dict[tuple[Any, ...], Compiled] = {}
        self._functions: dict[str, Function] = {}
        self.patterns: dict[Any, Any] = {}  # of sparse Jacobians, as `dsl.sparse` found them
        self._complex_type: LangType | None = None
        self.natives: WeakSet[Function] = WeakSet()  # those that have entries
        self.changed: Callable[[], None] = lambda: None  # called where names may stand for other things from now on
        self._generation = 0  # the session's, when entries were last looked after
        with self.timings.stage("load"):
            self.session.load(print_expressions=print_expressions)

    # -- names
    def names(self) -> list[str]:
        """The functions, structs and top-level variables of the program."""
        return [*self.session.functions(), *self.session.globals]

    def doc(self, name: str) -> str:
        """The documentation string of a definition, "" without one."""
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
        found = self.session.globals.get(wanted)
        return self.function(wanted) if found is None else from_leaves(found.leaves, found.type, self._wrap)

    def function(self, name: str) -> Function:
        """A function of the program, a struct or a built-in function, as a value."""
        made = self._functions.get(name)
        if made is None:
            made = self._functions[name] = Function(self, self.session.value_of(name).type)
        return made

    def define(self, text: str, name: str, print_expressions: bool) -> None:
        """More of the program: definitions, statements, and expressions, whose values may be printed."""
        file = self.driver.parse(Source(name, text))
        self._compiled.clear()
        self._functions.clear()
        self.patterns.clear()
        self._drop_entries()
        self.changed()
        with self.timings.stage("load"):
            self.session.define(file, print_expressions=print_expressions)

    def _drop_entries(self) -> None:
        for fn in list(self.natives):
            fn.forget()
        self.natives.clear()

    # -- values
    def value(self, result: Result) -> Any:
        """The value of the language that a call has just given, as one of Python."""
        return from_leaves(result.leaves, result.type, self._wrap, own=True)

    def types_of(self, values: Sequence[Any], names: Sequence[str]) -> tuple[LangType, ...]:
        """The types of Python values; `names` are what error messages call them. The library has the type of complex
        numbers, and is asked for it only where something else does not fit."""
        try:
            return self._types_of(values, names, self._complex_type)
        except DslError:
            if self._complex_type is not None:
                raise
            declared = self.session.base.type("Complex")
            assert isinstance(declared, StructDecl)
            self._complex_type = declared.instantiate((FLOAT64,))
            return self._types_of(values, names, self._complex_type)

    def _types_of(self, values: Sequence[Any], names: Sequence[str], complex_: LangType | None) -> tuple[LangType, ...]:
        return tuple(type_of(value, name, complex_) for value, name in zip(values, names, strict=True))

    def _wrap(self, type: LangType, leaves: Sequence[Any]) -> Function:
        return Function(self, type, leaves)

    def expression(self, text: str) -> Expr:
        return self.driver.parse_expression(Source("<expression>", text))

    def evaluate(self, expression: Expr, once: bool = False) -> Result:
        """The value of an expression. What is evaluated `once` and is small is interpreted, which needs no LLVM."""
        entry = self.driver.lower(lambda: self.session.eval_entry(expression))
        return Result(entry.result, self.driver.call(self.driver.compile(entry), (), once))

    def gradient_call(self, call: Expr) -> Expr:
        """`gradient(f, x, y)` for a call `f(x, y)`."""
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
        results = self.driver.call(compiled, [*fn.leaves, *chain.from_iterable(parts)], once)
        for value, t, part in zip(values, types, parts, strict=True):
            if isinstance(value, dict | tuple):  # all else by reference shares its memory with the leaves
                write_back(value, t, part, self._wrap)
        return Result(compiled.entry.result, results)

    def compiled(
        self, fn: Function, types: Sequence[LangType], keywords: Sequence[str] = (), mode: Mode | None = None
    ) -> Compiled:
        """A function compiled for arguments of these types, the last of them keywords."""
        mode = mode or fn.mode or self.options.mode
        key = (fn.type, tuple(types), tuple(keywords), mode, self.session.generation)
        found = self._compiled.get(key)
        if found is None:
            n = len(types) - len(keywords)
            entry = self.entry(fn.type, types[:n], tuple(zip(keywords, types[n:], strict=True)))
            if self.session.generation != self._generation:  # what has been compiled before is stale
                self._generation = self.session.generation
                self._drop_entries()
            found = self._compiled[key] = self.driver.compile(entry, replace(self.options, mode=mode))
        return found

    def entry(
        self, callee: LangType, types: Sequence[LangType], keywords: Sequence[tuple[str, LangType]] = ()
    ) -> Entry:
        """A call of a value of type `callee`, lowered."""
        return self.driver.lower(lambda: self.session.value_call_entry(callee, tuple(types), tuple(keywords)))

    def builtin(self, name: str, args: Sequence[Any], mode: Mode | None) -> Any:
        """The value of a call of a function that the language has."""
        return self.value(self.apply(self.function(name), args, {}, mode=mode))

    def transform(self, text: str, fn: Function, mode: Mode | None) -> Function:
        """What a function of the language, given by its text, makes of `fn`. A function that captures nothing but such
        functions is its type: to know that, nothing has to run."""
        helper = self._functions.get(text)
        if helper is None:
            expression = self.expression(text)
            made = self.driver.lower(lambda: self.session.eval_entry(expression))
            helper = self._functions[text] = Function(self, made.result)
        result = self.entry(helper.type, (fn.type,)).result
        captured = self.apply(helper, (fn,), {}, once=True).leaves if leaves(result) else ()
        return Function(self, result, captured, mode or fn.mode)

    # -- looking
    def code(self, stage: str, text: str, optimize: bool = True, raw: bool = False) -> Code:
        """The text of a call at a stage: ast, lowered, typed, adjoint, plan, llvm or native."""
        expression = self.expression(text)
        if stage == "ast":
            return Code(show(expression))
        entry = self.driver.lower(lambda: self.session.code_entry(expression))
        return self.listing(stage, entry, None, optimize, raw)

    def listing(self, stage: str, entry: Entry, mode: Mode | None, optimize: bool, raw: bool) -> Code:
        options = replace(self.options, mode=mode or self.options.mode)
        return Code(self.driver.listing(stage, entry, options, optimize, raw).rstrip("\n"))


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
