"""The Python interface: modules of compiled functions, and the family of derivatives.

    m = dsl.load("model.dfl")            a Module: functions, structs and values of the file are its attributes
    m.f(2.0)                             compiled for the types of the arguments at the first call
    dsl.gradient(m.f, 2.0)               a tuple, one entry an argument; None where an argument has no influence
    dsl.grad(m.f)                        a Function again, as all transforms

Whatever is wrong raises `DslError`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from dsl.diagnostics import Source, error
from dsl.driver import Mode, Options
from dsl.syntax.files import read_source
from dsl.trees import central_differences, is_array, numbers, with_zeros
from dsl.workspace import Argnums, Code, Function, Workspace


class Module:
    """A loaded program. Its functions, structs and top-level values are attributes.

    Only the names below are taken; a function of the program that is called like one of them is reached as `m["eval"]`.
    """

    def __init__(self, load: Callable[[], Workspace]) -> None:
        self._load = load
        self._workspace = load()

    def reload(self) -> None:
        """Read and load the program again; where that fails, the module stays as it was. Functions that were taken from
        the module before are those of the program as it was."""
        self._workspace = self._load()

    @property
    def functions(self) -> list[str]:
        """The names of the functions and structs that the file defines, in its order."""
        return list(self._workspace.session.functions())

    @property
    def timings(self) -> dict[str, float]:
        """Seconds spent in each stage since the module was loaded."""
        return dict(self._workspace.timings)

    def __getitem__(self, name: str) -> Any:
        return self._workspace.lookup(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._workspace.lookup(name)
        except NameError as missing:
            raise AttributeError(str(missing)) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._workspace.names()]

    def eval(self, text: str) -> Any:
        """The value of an expression, with the module's definitions in sight."""
        work = self._workspace
        return work.value(work.evaluate(work.expression(text)))

    def code_ast(self, text: str) -> Code:
        """The syntax tree of an expression."""
        return self._workspace.code("ast", text)

    def code_lowered(self, text: str) -> Code:
        """The SSA of a call as it was lowered."""
        return self._workspace.code("lowered", text)

    def code_typed(self, text: str) -> Code:
        """The SSA of a call after differentiation and all passes."""
        return self._workspace.code("typed", text)

    def code_adjoint(self, text: str) -> Code:
        """The SSA of the reverse of a call."""
        return self._workspace.code("adjoint", text)

    def code_plan(self, text: str) -> Code:
        """What the reverse of a call keeps, recomputes and saves."""
        return self._workspace.code("plan", text)

    def code_llvm(self, text: str, optimize: bool = True, raw: bool = False) -> Code:
        """The LLVM IR of a call; `raw` is the whole module, with attributes and line tables."""
        return self._workspace.code("llvm", text, optimize, raw)

    def code_native(self, text: str) -> Code:
        """The machine code of a call."""
        return self._workspace.code("native", text)


# ---------------------------------------------------------------- loading


def load(path: str | os.PathLike[str], **options: Any) -> Module:
    """Load a .dfl file. Options (keyword only): `opt_level`, `mode`, `checks`, `optimize`, `interpreter`, `verify`
    (see `driver.Options`), and `out`, a function that gets what the program prints."""
    return Module(lambda: open_workspace(read_source(os.fspath(path)), **options))


def loads(text: str, *, name: str = "<string>", **options: Any) -> Module:
    """Load a program from its text; `name` is what messages call it. The options are those of `load`."""
    return Module(lambda: open_workspace(Source(name, text), **options))


def open_workspace(
    source: Source, *, out: Callable[[str], None] | None = None, print_expressions: bool = False, **options: Any
) -> Workspace:
    """The workspace of a source, for commands. With `print_expressions` the values of bare expressions are printed."""
    return Workspace(source, Options(**options), out or _write, print_expressions)


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
    entries: tuple[Any, ...] = f.workspace.builtin("gradient", (f, *args), mode or f.mode)
    return tuple(with_zeros(e, a) for e, a in zip(entries, args, strict=True)) if zeros else entries


def grad(fn: Function, argnums: Argnums = 0, *, mode: Mode | None = None) -> Function:
    """The gradient with respect to one argument (or a tuple of several), as a function."""
    return _function(fn).transformed("grad", argnums, mode)


def value_and_grad(fn: Function, argnums: Argnums = 0, *, mode: Mode | None = None) -> Function:
    """The value and the gradient, as a function that gives the pair."""
    return _function(fn).transformed("value_and_grad", argnums, mode)


def jacfwd(fn: Function) -> Function:
    """The derivative of a function of one number, by forward mode."""
    return _function(fn).transformed("derivative", mode="forward")


def jacrev(fn: Function) -> Function:
    """The derivative of a function of one number, by reverse mode."""
    return _function(fn).transformed("derivative", mode="reverse")


def hessian(fn: Function, *, mode: Mode | None = None) -> Function:
    """The second derivative, as a function."""
    return _function(fn).transformed("hessian", mode=mode)


def hvp(fn: Function, x: Any, v: Any, *, mode: Mode | None = None) -> Any:
    """The product of the Hessian at x with v."""
    return _function(fn).transformed("hvp", mode=mode)(x, v)


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(value, tangent) at `primals` in the direction `tangents`."""
    f = _function(fn)
    push = f.workspace.builtin("pushforward", (f, *primals), f.mode)
    return f(*primals), push(*tangents)


def vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """The value, and the function from a cotangent to those of the arguments; it may be kept and called again."""
    f = _function(fn)
    value, back = f.workspace.builtin("pullback", (f, *primals), f.mode)
    return value, back


def check_grads(
    fn: Function, args: Sequence[Any], order: int = 1, *, rtol: float = 1e-6, atol: float = 1e-8, step: float = 1e-5
) -> None:
    """Compare forward mode, reverse mode and central differences; AssertionError where they disagree.

    `order=2` also compares the derivatives of each first derivative with respect to a number, and of a weighted sum of
    those with respect to the elements of an array.
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
        for k, (arg, entry) in enumerate(zip(args, gradient(f, *args), strict=True)):
            if isinstance(arg, float) or (is_array(arg) and entry is not None):
                first = f.transformed("grad_sum" if is_array(arg) else "grad", k)
                check_grads(first, args, order - 1, rtol=rtol * 10, atol=atol * 10, step=step)
