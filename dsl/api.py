"""The Python interface: modules of compiled functions, and the family of derivatives.

    m = dsl.load("model.dfl")            a Module: functions, structs and values of the file are its attributes
    m.f(2.0)                             compiled for the types of the arguments at the first call
    dsl.gradient(m.f, 2.0)               a tuple, one entry an argument; None where an argument has no influence
    dsl.grad(m.f)                        a Function again, as all transforms

Whatever is wrong raises `DslError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from dsl.diagnostics import Source
from dsl.functions import Argnums, Axes, Code, Function, as_function, filled
from dsl.options import Mode, Options
from dsl.points import Shared, checked_axes, checked_threads
from dsl.syntax.files import read_source
from dsl.trees import with_zeros
from dsl.workspace import Workspace


class Module:
    """A loaded program. Its functions, structs and top-level values are attributes.

    Only the names below are taken; a function of the program that is called like one of them is reached as `m["eval"]`.
    """

    def __init__(self, load: Callable[[], Workspace], workspace: Workspace | None = None) -> None:
        self._load = load
        self._enter(load() if workspace is None else workspace)

    def __reduce__(self) -> Any:
        """A copy in another process is the program as it was read here; what it prints there goes to the standard
        output, and values of its top level are as after loading."""
        return _module_of, (self._workspace,)

    def reload(self) -> None:
        """Read and load the program again; where that fails, the module stays as it was. Functions that were taken from
        the module before are those of the program as it was."""
        self._enter(self._load())

    def _enter(self, workspace: Workspace) -> None:
        self._workspace = workspace
        workspace.changed = self._forget
        self._forget()

    def _forget(self) -> None:
        """Look functions up again. What is found is kept, also as a plain attribute, which Python finds fastest."""
        self._found: dict[str, Function] = {}
        for name in [name for name in vars(self) if not name.startswith("_")]:
            delattr(self, name)

    @property
    def functions(self) -> list[str]:
        """The names of the functions and structs that the file defines, in its order."""
        return list(self._workspace.functions())

    @property
    def timings(self) -> dict[str, float]:
        """Seconds spent in each stage since the module was loaded."""
        return dict(self._workspace.timings)

    def __getitem__(self, name: str) -> Any:
        found = self._found.get(name)
        if found is None:
            found = self._workspace.lookup(name)
            if isinstance(found, Function):
                self._found[name] = found
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            found = self[name]
        except NameError as missing:
            raise AttributeError(str(missing)) from None
        if isinstance(found, Function):
            vars(self)[name] = found
        return found

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
    """Load a .dfl file. Options (keyword only): `opt_level`, `mode`, `checks`, `optimize`, `interpreter`, `verify`,
    `cache`, `fma` (see `driver.Options`), and `out`, a function that gets what the program prints."""
    return Module(lambda: open_workspace(read_source(os.fspath(path)), **options))


def loads(text: str, *, name: str = "<string>", **options: Any) -> Module:
    """Load a program from its text; `name` is what messages call it. The options are those of `load`."""
    return Module(lambda: open_workspace(Source(name, text), **options))


def _module_of(work: Workspace) -> Module:
    return Module(lambda: Workspace(work.source, work.options, work.out, work.shown, work.read), work)


def open_workspace(
    source: Source, *, out: Callable[[str], None] | None = None, print_expressions: bool = False, **options: Any
) -> Workspace:
    """The workspace of a source, for commands. With `print_expressions` the values of bare expressions are printed."""
    return Workspace(source, Options(**options), out, print_expressions)


# ---------------------------------------------------------------- derivatives


def gradient(fn: Function, *args: Any, zeros: bool = False, mode: Mode | None = None) -> tuple[Any, ...]:
    """The gradient of a real function: a tuple, one entry an argument. None stands where nothing can influence the
    result; with `zeros`, zeros of the argument's shape."""
    entries: tuple[Any, ...] = as_function(fn).transformed("gradient", mode=mode)(*args)
    return tuple(with_zeros(e, a) for e, a in zip(entries, args, strict=True)) if zeros else entries


def grad(fn: Function, argnums: Argnums = 0, *, mode: Mode | None = None) -> Function:
    """The gradient with respect to one argument (or a tuple of several), as a function."""
    return as_function(fn).transformed("grad", argnums, mode)


def value_and_grad(fn: Function, argnums: Argnums = 0, *, mode: Mode | None = None) -> Function:
    """The value and the gradient, as a function that gives the pair."""
    return as_function(fn).transformed("value_and_grad", argnums, mode)


def jacobian(fn: Function, argnums: Argnums = 0, *, mode: Mode | None = None) -> Function:
    """The Jacobian with respect to one argument (or a tuple of several), as a function: an array whose shape is that of
    the result, then that of the argument. The cheaper mode is taken where `mode` does not say."""
    return as_function(fn).transformed("jacobian", argnums, mode)


def jacfwd(fn: Function, argnums: Argnums = 0) -> Function:
    """The Jacobian by forward mode."""
    return jacobian(fn, argnums, mode="forward")


def jacrev(fn: Function, argnums: Argnums = 0) -> Function:
    """The Jacobian by reverse mode."""
    return jacobian(fn, argnums, mode="reverse")


def hessian(fn: Function, argnums: int = 0, *, mode: Mode | None = None) -> Function:
    """The second derivatives with respect to one argument, as a function: forward mode over the gradient."""
    return as_function(fn).transformed("hessian", argnums, mode)


def hvp(fn: Function, x: Any, v: Any, *others: Any, mode: Mode | None = None, out: Any = None) -> Any:
    """The product of the Hessian with respect to the first argument, at (x, others…), with v, in the shape of x. The
    Hessian is not made. With `out`, the product is written there."""
    made = as_function(fn).transformed("hvp", mode=mode)(x, v, *others)
    return made if out is None else filled(out, made)


def vmap(fn: Function, in_axes: Axes = 0, *, threads: int = 1) -> Callable[..., Any]:
    """The function at many points in one call, compiled as one loop: vector code where the function allows it.

    in_axes  the axis of each argument along which it has the points: an int for all arguments, or a tuple with an int,
             or None for what is the same at all points, for each. Negative ones are counted from the last.
             Arrays have up to three dimensions; of a tuple of arrays, each has the points
    threads  how many threads share the points, where these keep each of them busy long enough for that

    Results are stacked along a new first axis: numbers are a vector, vectors the rows of a matrix; of a tuple, each
    entry is; structs are a list. With one thread this is a `Function`, which may be transformed further; with more, a
    `points.Shared`, which is called only.

    Raises `DslError`: E0409 where an argument has no such axis, E0412 where the numbers of points differ."""
    axes = checked_axes(in_axes)
    mapped = as_function(fn).transformed("vmap", axes)
    return mapped if checked_threads(threads) == 1 else Shared(mapped, axes, threads)


def derivative(fn: Function, x: float, order: int = 1, *, mode: Mode | None = None) -> Any:
    """The derivative of a function of one number; of a higher order by its power series, in time that grows with the
    square of the order."""
    f = as_function(fn)
    if order < 2:
        return f.transformed("derivative", mode=mode)(x) if order == 1 else f(x)
    return f.transformed("nth derivative", order, mode)(x)


def taylor(fn: Function, x: float, n: int) -> Any:
    """The coefficients f(x), f'(x), f''(x)/2 … up to order n, as an array."""
    return as_function(fn).transformed("taylor", n)(x)


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(value, tangent) at `primals` in the direction `tangents`."""
    f = as_function(fn)
    value, tangent = f.workspace.builtin("__jvp", (f, tuple(primals), tuple(tangents)), f.mode)
    return value, tangent


def pushforward(fn: Function, *primals: Any) -> Function:
    """The function from tangents, one for each argument, to that of the value."""
    f = as_function(fn)
    made: Function = f.workspace.builtin("pushforward", (f, *primals), f.mode)
    return made


def vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """The value, and the function from a cotangent to those of the arguments; it may be kept and called again."""
    f = as_function(fn)
    value, back = f.workspace.builtin("pullback", (f, *primals), f.mode)
    return value, back
