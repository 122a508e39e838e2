"""A function at many points, which threads share: native code that takes long lets other threads run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from dsl.diagnostics import error
from dsl.functions import Axes, Function, argument_names
from dsl.runtime.arrays import joined
from dsl.types import LangType

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

ENOUGH = 2e-3  # seconds of work that are worth another thread: results of several have to be put together


class Shared:
    """What `vmap` gives for several threads. The points are divided among them where a call before, for arguments of
    the same types, has shown that there is enough to do; the results are the same bits. One thread alone does what
    writes to its arguments. An error is that of the first point that has one, as with one thread."""

    def __init__(self, function: Function, axes: Axes, threads: int) -> None:
        self.function = function
        self.axes = axes
        self.threads = threads
        self._seconds: dict[tuple[LangType, ...], float] = {}  # a point takes, by the types of the arguments

    def __repr__(self) -> str:
        return f"<{self.function!r} at points, {self.threads} threads>"

    def __reduce__(self) -> Any:
        return Shared, (self.function, self.axes, self.threads)

    def __call__(self, *args: Any) -> Any:
        work = self.function.workspace
        types = work.types_of(args, argument_names(len(args)))
        axes = self.axes if isinstance(self.axes, tuple) else (self.axes,) * len(args)
        points = _points(args, axes)
        pieces = min(self.threads, int(points * self._seconds.get(types, 0.0) / ENOUGH))
        if pieces > 1:
            return self._shared(args, axes, [points * k // pieces for k in range(pieces + 1)])
        start = perf_counter()
        value = self.function(*args)
        alone = work.compiled(self.function, types).access.changed
        self._seconds[types] = 0.0 if alone else (perf_counter() - start) / max(points, 1)
        return value

    def _shared(self, args: Sequence[Any], axes: Sequence[int | None], bounds: Sequence[int]) -> Any:
        def piece(first: int, last: int) -> Any:
            return self.function(*(_cut(a, k, first, last) for a, k in zip(args, axes, strict=True)))

        pool = _pool(self.threads)
        others = [pool.submit(piece, *ends) for ends in pairwise(bounds[1:])]
        try:
            found = [piece(*bounds[:2])]
        finally:
            for other in others:
                other.exception()  # none is left running
        return joined([*found, *(other.result() for other in others)])


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads, "dfl-points")


def checked_axes(axes: Any) -> Axes:
    """The axes that arguments are to have points along. DslError E0409 where that is something else."""
    if _is_int(axes) or (isinstance(axes, tuple) and axes and all(a is None or _is_int(a) for a in axes)):
        return cast(Axes, axes)
    raise error(
        "E0409",
        f"in_axes is {axes!r}, which is neither an int nor a tuple of these",
        hint="an axis for all arguments, or one for each; None for what is the same at all points",
    )


def checked_threads(threads: Any) -> int:
    if not _is_int(threads) or threads < 1:
        raise error("E0409", f"threads is {threads!r}, which is no positive int")
    return int(threads)


def _is_int(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def _points(args: Sequence[Any], axes: Sequence[int | None]) -> int:
    """How many points there are, as far as that can be told of arrays; 0 where something is not as it should be, which
    the function says better."""
    counts = {c for a, k in zip(args, axes, strict=False) if k is not None for c in _counts(a, k)}
    return counts.pop() if len(counts) == 1 and len(args) == len(axes) else 0


def _counts(x: Any, axis: int) -> list[int]:
    if isinstance(x, tuple):
        return [c for part in x for c in _counts(part, axis)]
    shape = getattr(x, "shape", ())
    return [shape[axis] if -len(shape) <= axis < len(shape) else 0]


def _cut(x: Any, axis: int | None, first: int, last: int) -> Any:
    """The points from `first` to before `last`; no array is copied."""
    if axis is None:
        return x
    if isinstance(x, tuple):
        return tuple(_cut(part, axis, first, last) for part in x)
    return x[(slice(None),) * (axis % x.ndim) + (slice(first, last),)]
