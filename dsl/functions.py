"""Functions as objects of Python: what a call does, transforms, and listings.

Transforms are functions of the language, made from the texts in `TRANSFORMS`: what they give can be called,
differentiated again and looked at like any other function. Everything that a function asks of its program it asks of
its `Workspace`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import factorial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from dsl.copies import reduced_function
from dsl.diagnostics import error
from dsl.options import Mode
from dsl.records import dataclass
from dsl.runtime.entries import entry_of
from dsl.runtime.native import Callable as NativeCallable
from dsl.runtime.native import note_stack
from dsl.runtime.show import show_leaves, to_json
from dsl.types import BOOLEAN, FLOAT64, INT64, FnType, LangType, Origin

if TYPE_CHECKING:
    from dsl.workspace import Workspace

_PYTHON_TYPES: dict[object, LangType] = {float: FLOAT64, int: INT64, bool: BOOLEAN}
Argnums: TypeAlias = int | tuple[int, ...]
Axes: TypeAlias = int | tuple[int | None, ...]
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
    "vmap": "f -> (xs...) -> __vmap(f, {axes}, xs...)",
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
        types = work.types_of((*args, *keywords.values()), (*argument_names(len(args)), *keywords))
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
    def transformed(self, name: str, argnums: Argnums | Axes = 0, mode: Mode | None = None) -> Function:
        """What a transform makes of this function. `argnums` is something else for some: the order, the axes."""
        key = (self.workspace.generation, name, argnums, mode)
        made = self._transformed.get(key)
        if made is None:
            made = self._transformed[key] = self._transform(name, argnums, mode)
        return made

    def _transform(self, name: str, argnums: Argnums | Axes, mode: Mode | None) -> Function:
        text = TRANSFORMS[name]
        if "{g}" in text:
            text = text.replace("{g}", _entries(argnums))
        elif "{axes}" in text:
            text = text.replace("{axes}", _axes(argnums))
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


@cache
def argument_names(count: int) -> tuple[str, ...]:
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
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int | float):
        return value[0], filled(out, value[1])
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


def _number(argnums: Argnums | Axes) -> int:
    if isinstance(argnums, tuple):
        raise error("E0409", f"one argument is named here, not {argnums}", hint="take one after the other")
    return argnums


def _entries(argnums: Any) -> str:
    """The entries of the gradient `g` that were asked for, as an expression of the language."""
    if isinstance(argnums, tuple):
        return f"({''.join(f'{_entries(k)}, ' for k in argnums)})"
    return f"g[{argnums + 1}]" if argnums >= 0 else f"g[end - {-argnums - 1}]"


def _axes(axes: Axes) -> str:
    """The axis of each argument of `xs`, as an expression of the language."""
    if isinstance(axes, int):
        return f"map(x -> {axes}, xs)"
    return f"({''.join('nothing, ' if k is None else f'{k}, ' for k in axes)})"
