"""The Python interface: modules of compiled functions, and the family of derivatives.

    m = dsl.load("model.dfl")            a Module: functions, structs and values of the file are its attributes
    m.f(2.0)                             compiled for the types of the arguments at the first call
    dsl.gradient(m.f, 2.0)               a tuple, one entry an argument; None where an argument has no influence
    dsl.grad(m.f)                        a Function again, as all transforms

Transforms are functions of the language, made from the texts in `_TRANSFORMS`: what they give can be called,
differentiated again and looked at like any other function. Whatever is wrong raises `DslError`.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from dsl.diagnostics import Source, error
from dsl.driver import Compiled, Driver, Mode, Options
from dsl.lower.session import Entry, Session
from dsl.runtime.convert import from_leaves, to_leaves, type_of, write_back
from dsl.runtime.show import show_leaves, to_json
from dsl.syntax import show
from dsl.syntax.ast import Call, Expr, Name
from dsl.syntax.files import read_source
from dsl.trees import central_differences, numbers, with_zeros
from dsl.types import BOOLEAN, FLOAT64, INT64, FnType, LangType

_PYTHON_TYPES: dict[object, LangType] = {float: FLOAT64, int: INT64, bool: BOOLEAN}

# Transforms as functions of the language; {g} stands for the entries of the gradient g that were asked for.
_TRANSFORMS = {
    "grad": "f -> (xs...) -> (g = gradient(f, xs...); {g})",
    "value_and_grad": "f -> (xs...) -> (r = withgradient(f, xs...); g = r.grad; (r.val, {g}))",
    "derivative": "f -> f'",
    "hessian": "f -> x -> hessian(f, x)",
    "hvp": "f -> (x, v) -> hvp(f, x, v)",
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

    def json(self) -> Any:
        return to_json(self.leaves, self.type)


class Function:
    """A function of a module: a named one with all its methods, a closure, or what a transform gave.

    Calling it compiles it for the types of the arguments, once. `mode` is how its derivatives are made.
    """

    def __init__(self, module: Module, type: LangType, leaves: Sequence[Any] = (), mode: Mode | None = None) -> None:
        self.module = module
        self.type = type
        self.leaves = tuple(leaves)
        self.mode = mode
        self.__name__ = type.name if isinstance(type, FnType) else str(type)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.module.doc(self.__name__) or None

    def __repr__(self) -> str:
        return f"<dfl function {self.__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and (self.module, self.type, self.leaves) == (
            other.module,
            other.type,
            other.leaves,
        )

    def __hash__(self) -> int:
        return hash((id(self.module), self.type))

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self.module.value(self.module.apply(self, args, keywords))

    # -- derivatives, as attributes
    @property
    def grad(self) -> Function:
        return grad(self)

    @property
    def value_and_grad(self) -> Function:
        return value_and_grad(self)

    def hvp(self, x: Any, v: Any) -> Any:
        return hvp(self, x, v)

    # -- looking: arguments are values or the types float, int, bool
    def code_lowered(self, *args: Any) -> Code:
        return self.module.listing("lowered", self._entry(args), self.mode)

    def code_typed(self, *args: Any) -> Code:
        return self.module.listing("typed", self._entry(args), self.mode)

    def code_adjoint(self, *args: Any) -> Code:
        return self.module.listing("adjoint", self._entry(args), self.mode)

    def code_plan(self, *args: Any) -> Code:
        return self.module.listing("plan", self._entry(args), self.mode)

    def code_llvm(self, *args: Any, optimize: bool = True, raw: bool = False) -> Code:
        return self.module.listing("llvm", self._entry(args), self.mode, optimize, raw)

    def code_native(self, *args: Any) -> Code:
        return self.module.listing("native", self._entry(args), self.mode)

    def _entry(self, args: Sequence[Any]) -> Entry:
        types = [_PYTHON_TYPES[a] if a in _PYTHON_TYPES else type_of(a) for a in args]
        return self.module.entry(self.type, types)


class Module:
    """A loaded program. Its functions, structs and top-level values are attributes (`m["f"]` where a name is taken)."""

    def __init__(self, read: Callable[[], Source], options: Options, out: Callable[[str], None], show: bool) -> None:
        self._read = read
        self._options = options
        self._out = out
        self._show = show
        self.reload()

    def reload(self) -> None:
        """Read and load the program again; where that fails, the module stays as it was."""
        driver = Driver(self._read(), self._options, self._out)
        with driver.timings.stage("load"):
            driver.session.load(print_expressions=self._show)
        self._driver = driver
        self._compiled: dict[tuple[Any, ...], Compiled] = {}
        self._functions: dict[str, Function] = {}

    # -- names
    @property
    def functions(self) -> list[str]:
        """The names of the functions and structs that the file defines, in its order."""
        return list(self._session.functions())

    @property
    def timings(self) -> dict[str, float]:
        """Seconds spent in each stage since the module was loaded."""
        return dict(self._driver.timings)

    @property
    def _session(self) -> Session:
        return self._driver.session

    def doc(self, name: str) -> str:
        """The documentation string of a definition, "" without one."""
        return self._session.doc(name)

    def __getitem__(self, name: str) -> Any:
        names = self._names()
        wanted = unicodedata.normalize("NFC", name)
        if wanted not in names:  # Python has turned .ϵ into .ε
            alike = [n for n in names if unicodedata.normalize("NFKC", n) == name]
            if not alike:
                hint = f"it defines {', '.join(names) or 'nothing'}"
                raise error("E0201", f"the module defines no {name}", hint=hint)
            wanted = alike[0]
        found = self._session.globals.get(wanted)
        return self._function(wanted) if found is None else self.value(Result(found.type, found.leaves))

    def _function(self, name: str) -> Function:
        """A function of the file, a struct or a built-in function, as a value."""
        made = self._functions.get(name)
        if made is None:
            made = self._functions[name] = Function(self, self._session.value_of(name).type)
        return made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except NameError as missing:
            raise AttributeError(str(missing)) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._names()]

    def _names(self) -> list[str]:
        return [*self._session.functions(), *self._session.globals]

    # -- values
    def eval(self, text: str) -> Any:
        """The value of an expression, with the module's definitions in sight."""
        return self.value(self.evaluate(text))

    def evaluate(self, text: str, once: bool = False) -> Result:
        """The same, with its type. What is evaluated `once` and is small is interpreted, which needs no LLVM."""
        return self._run(self._expression(text), once)

    def gradient_of(self, text: str, once: bool = False) -> Result:
        """The gradient of a call, as in "f(2.0, 3)", with respect to its arguments."""
        call = self._expression(text)
        if not isinstance(call, Call):
            raise error("E0409", "the gradient is that of a call, as in f(2.0, 3)", call.span)
        call = replace(call, fn=Name("gradient", span=call.span), args=(call.fn, *call.args), infix=False)
        return self._run(call, once)

    def define(self, text: str, name: str = "<input>", show: bool = True) -> None:
        """More of the program: definitions, statements, and expressions, whose values are printed if `show`."""
        file = self._driver.parse(Source(name, text))
        self._compiled.clear()
        self._functions.clear()
        with self._driver.timings.stage("load"):
            self._session.define(file, print_expressions=show)

    def value(self, result: Result) -> Any:
        """A value of the language as one of Python."""
        return from_leaves(result.leaves, result.type, self._wrap)

    def _wrap(self, type: LangType, leaves: Sequence[Any]) -> Function:
        return Function(self, type, leaves)

    def _expression(self, text: str) -> Expr:
        return self._driver.parse_expression(Source("<expression>", text))

    def _run(self, expression: Expr, once: bool) -> Result:
        entry = self._driver.lower(lambda: self._session.eval_entry(expression))
        return Result(entry.result, self._driver.call(self._driver.compile(entry), (), once))

    # -- calls
    def apply(self, fn: Function, args: Sequence[Any], keywords: dict[str, Any], mode: Mode | None = None) -> Result:
        """Call a function with Python values; compiled code is kept by the types of the arguments."""
        values = (*args, *keywords.values())
        types = tuple(type_of(value, f"argument {k}") for k, value in enumerate(values, 1))
        options = replace(self._options, mode=mode or fn.mode or self._options.mode)
        key = (fn.type, types, tuple(keywords), options.mode)
        compiled = self._compiled.get(key)
        if compiled is None:
            named = tuple(zip(keywords, types[len(args) :], strict=True))
            compiled = self._driver.compile(self.entry(fn.type, types[: len(args)], named), options)
            self._compiled[key] = compiled
        parts = [to_leaves(value, t) for value, t in zip(values, types, strict=True)]
        results = self._driver.call(compiled, [*fn.leaves, *chain.from_iterable(parts)])
        for value, t, part in zip(values, types, parts, strict=True):
            if isinstance(value, dict | tuple):  # all else by reference shares its memory with the leaves
                write_back(value, t, part, self._wrap)
        return Result(compiled.entry.result, results)

    def entry(
        self, callee: LangType, types: Sequence[LangType], keywords: Sequence[tuple[str, LangType]] = ()
    ) -> Entry:
        """A call of a value of type `callee`, lowered."""
        return self._driver.lower(lambda: self._session.value_call_entry(callee, tuple(types), tuple(keywords)))

    def builtin(self, name: str, args: Sequence[Any], mode: Mode | None) -> Any:
        """The value of a call of a function that the language has."""
        return self.value(self.apply(self._function(name), args, {}, mode))

    def transform(self, text: str, fn: Function) -> Function:
        """What a function of the language, given by its text, makes of `fn`."""
        helper = self._functions.get(text)
        if helper is None:
            helper = self._functions[text] = self.eval(text)
        made: Function = helper(fn)
        made.mode = fn.mode
        return made

    # -- looking
    def code_ast(self, text: str) -> Code:
        """The syntax tree of an expression."""
        return Code(show(self._expression(text)))

    def code_lowered(self, text: str) -> Code:
        """The SSA of a call as it was lowered."""
        return self.listing("lowered", self._code_entry(text))

    def code_typed(self, text: str) -> Code:
        """The SSA of a call after differentiation and all passes."""
        return self.listing("typed", self._code_entry(text))

    def code_adjoint(self, text: str) -> Code:
        """The SSA of the reverse of a call."""
        return self.listing("adjoint", self._code_entry(text))

    def code_plan(self, text: str) -> Code:
        """What the reverse of a call keeps, recomputes and saves."""
        return self.listing("plan", self._code_entry(text))

    def code_llvm(self, text: str, optimize: bool = True, raw: bool = False) -> Code:
        """The LLVM IR of a call; `raw` is the whole module, with attributes and line tables."""
        return self.listing("llvm", self._code_entry(text), None, optimize, raw)

    def code_native(self, text: str) -> Code:
        """The machine code of a call."""
        return self.listing("native", self._code_entry(text))

    def _code_entry(self, text: str) -> Entry:
        expression = self._expression(text)
        return self._driver.lower(lambda: self._session.code_entry(expression))

    def listing(
        self, stage: str, entry: Entry, mode: Mode | None = None, optimize: bool = True, raw: bool = False
    ) -> Code:
        """The text of an entry at a stage: lowered, typed, adjoint, plan, llvm or native."""
        options = replace(self._options, mode=mode or self._options.mode)
        return Code(self._driver.listing(stage, entry, options, optimize, raw))


# ---------------------------------------------------------------- loading


def load(path: str | os.PathLike[str], **options: Any) -> Module:
    """Load a .dfl file. Options (keyword only): `opt_level`, `mode`, `checks`, `optimize`, `interpreter`, `verify`
    (see `driver.Options`), and `out`, a function that gets what the program prints."""
    return _module(lambda: read_source(path), **options)


def loads(text: str, *, name: str = "<string>", **options: Any) -> Module:
    """Load a program from its text; `name` is what messages call it. The options are those of `load`."""
    return _module(lambda: Source(name, text), **options)


def _module(
    read: Callable[[], Source],
    *,
    out: Callable[[str], None] | None = None,
    print_expressions: bool = False,
    **options: Any,
) -> Module:
    return Module(read, Options(**options), out or _write, print_expressions)


def _write(text: str) -> None:
    sys.stdout.write(text)


# ---------------------------------------------------------------- derivatives


def _function(fn: object) -> Function:
    if isinstance(fn, Function):
        return fn
    raise error(
        "E0602",
        f"{getattr(fn, '__name__', fn)!r} is no function of a dfl module",
        hint="derivatives are those of functions written in the language: m = dsl.loads(…), then m.f",
    )


def gradient(fn: Function, *args: Any, zeros: bool = False, mode: Mode | None = None) -> tuple[Any, ...]:
    """The gradient of a real function: a tuple, one entry an argument. None stands where nothing can influence the
    result; with `zeros`, zeros of the argument's shape."""
    f = _function(fn)
    entries: tuple[Any, ...] = f.module.builtin("gradient", (f, *args), mode or f.mode)
    return tuple(with_zeros(e, a) for e, a in zip(entries, args, strict=True)) if zeros else entries


def grad(fn: Function, argnums: int | tuple[int, ...] = 0, *, mode: Mode | None = None) -> Function:
    """The gradient with respect to one argument (or a tuple of several), as a function."""
    return _transform("grad", fn, argnums, mode)


def value_and_grad(fn: Function, argnums: int | tuple[int, ...] = 0, *, mode: Mode | None = None) -> Function:
    """The value and the gradient, as a function that gives the pair."""
    return _transform("value_and_grad", fn, argnums, mode)


def jacfwd(fn: Function) -> Function:
    """The derivative of a function of one number, by forward mode."""
    return _transform("derivative", fn, 0, "forward")


def jacrev(fn: Function) -> Function:
    """The derivative of a function of one number, by reverse mode."""
    return _transform("derivative", fn, 0, "reverse")


def hessian(fn: Function, *, mode: Mode | None = None) -> Function:
    """The second derivative, as a function."""
    return _transform("hessian", fn, 0, mode)


def hvp(fn: Function, x: Any, v: Any, *, mode: Mode | None = None) -> Any:
    """The product of the Hessian at x with v."""
    return _transform("hvp", fn, 0, mode)(x, v)


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(value, tangent) at `primals` in the direction `tangents`."""
    f = _function(fn)
    push = f.module.builtin("pushforward", (f, *primals), f.mode)
    return f(*primals), push(*tangents)


def vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """The value, and the function from a cotangent to those of the arguments; it may be kept and called again."""
    f = _function(fn)
    value, back = f.module.builtin("pullback", (f, *primals), f.mode)
    return value, back


def check_grads(
    fn: Function, args: Sequence[Any], order: int = 1, *, rtol: float = 1e-6, atol: float = 1e-8, step: float = 1e-5
) -> None:
    """Compare forward mode, reverse mode and central differences; AssertionError where they disagree.

    `order=2` also compares the derivatives of each first derivative with respect to a number.
    """
    f = _function(fn)
    differences = central_differences(f, args, step)
    for way in ("forward", "reverse"):
        entries = numbers(gradient(f, *args, zeros=True, mode=way))
        for k, (entry, numeric) in enumerate(zip(entries, differences, strict=True)):
            if numeric is not None and not abs(entry - numeric) <= atol + rtol * max(abs(entry), abs(numeric)):
                raise AssertionError(
                    f"{f.__name__}{tuple(args)}: the derivative by number {k + 1} is {entry!r} in {way} mode and "
                    f"{numeric!r} by central differences"
                )
    if order > 1:
        for k in (k for k, arg in enumerate(args) if isinstance(arg, float)):
            check_grads(grad(f, k), args, order - 1, rtol=rtol * 10, atol=atol * 10, step=step)


def _transform(name: str, fn: Function, argnums: int | tuple[int, ...], mode: Mode | None) -> Function:
    f = _function(fn)
    text = _TRANSFORMS[name]
    if isinstance(argnums, tuple):
        picked = "".join(f"g{_place(k)}, " for k in argnums)
        text = text.replace("{g}", f"({picked})")
    else:
        text = text.replace("{g}", f"g{_place(argnums)}")
    made = f.module.transform(text, f)
    made.mode = mode or f.mode
    return made


def _place(argnum: int) -> str:
    """An index of Python's as one of the language."""
    return f"[{argnum + 1}]" if argnum >= 0 else f"[end - {-argnum - 1}]"
