"""Arrays of a caller during a call: who may change them, and what is done about it.

`Access` says of the memory that a function's parameters lead to what a call may change for its caller (`changed`), and
what compiled code may write in passing (`touched`: a derivative call writes what its function writes, and restores
it). Arrays that are changed must be writable, be the caller's own memory (no converted copy) and overlap no other
argument: anything else is an error before the call begins. Arrays that are only touched are replaced by copies, so
that a read-only array, or one that other threads read, can be differentiated at. All others are used as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from dsl.diagnostics import error
from dsl.interp import Memory
from dsl.records import dataclass
from dsl.runtime.buffers import Flat, Lent
from dsl.types import LeafType, Mem

if TYPE_CHECKING:
    from dsl.analysis.writes import Path

MOST_WORK = 100_000  # steps to find out whether two strided arrays overlap


@dataclass(frozen=True)
class Access:
    """Paths as those of `analysis.writes`: `(k,)` is the memory of parameter k, `(k, f)` that of field f of its
    records."""

    changed: frozenset[Path]
    touched: frozenset[Path]


# ---------------------------------------------------------------- before and after a call


@contextmanager
def arrays_lent(
    values: Sequence[Any], types: Sequence[LeafType], access: Callable[[], Access], function: str,
    names: Sequence[str],
) -> Iterator[Sequence[Any]]:
    """The leaves for a call of a function, whose arrays may be used while the context lasts. `names` is what messages
    call what each leaf belongs to."""
    arrays = lent_in(values, types)
    copies = admitted(arrays, access(), function, names) if arrays else {}
    by = {k: copy for k, (_, copy) in copies.items()}
    try:
        yield replaced(values, types, by) if by else values
    finally:
        if by:  # what is reached through memory was replaced in place
            replaced(values, types, {id(copy): lent for lent, copy in copies.values()})
        for _, lent in arrays:
            lent.settle()


def lent_in(values: Sequence[Any], types: Sequence[LeafType]) -> list[tuple[Path, Lent]]:
    """The callers' arrays among leaves and in all that they lead to."""
    found: list[tuple[Path, Lent]] = []
    for k, (value, type) in enumerate(zip(values, types, strict=False)):
        if isinstance(type, Mem) and value is not None:
            found += _lent((k,), value, type)
    return found


def _lent(path: Path, value: Memory, type: Mem) -> Iterator[tuple[Path, Lent]]:
    if isinstance(value, Lent):
        yield path, value
    elif not isinstance(value, Flat):
        references = [(f, t) for f, t in enumerate(type.fields) if isinstance(t, Mem)]
        for row in value.rows if references else ():
            for f, t in references:
                if row[f] is not None:
                    yield from _lent((*path, f), row[f], t)


def admitted(
    found: Sequence[tuple[Path, Lent]], access: Access, function: str, names: Sequence[str]
) -> dict[int, tuple[Lent, Lent]]:
    """The arrays that are touched, each with the copy to be used instead, by their identity. Raises where an array that
    is changed cannot be."""

    def name(path: Path) -> str:
        return f"an array in {names[path[0]]}" if len(path) > 1 else names[path[0]]

    changed = [(path, lent) for path, lent in found if path in access.changed]
    for path, lent in changed:
        _must_be_changeable(lent, f"{function} changes {name(path)}")
        for where, other in found:
            if other is not lent and _overlap(lent, other):
                raise error("E0605", f"{function} changes {name(path)}, whose memory overlaps that of {name(where)}",
                            hint="hand over a copy of one of them: x.copy()")  # fmt: skip
    kept = {id(lent) for _, lent in changed}
    return {id(lent): (lent, lent.private()) for path, lent in found if path in access.touched and id(lent) not in kept}


def _must_be_changeable(lent: Lent, what: str) -> None:
    array, reason = lent.array, ""
    if not getattr(getattr(lent.given, "flags", None), "writeable", True):
        reason = "which is read-only"
    elif lent.lost:
        reason = f"which is {lent.lost}: the change would be lost"
    if reason:
        raise error("E0604", f"{what}, an array of shape {array.shape}, {reason}",
                    hint=f"hand over an array that can be changed: numpy.array(x, {str(array.dtype)!r})")  # fmt: skip


def _overlap(a: Lent, b: Lent) -> bool:
    """Whether two arrays have an element in common; if that is too hard to find out, they count as overlapping."""
    import numpy

    if not numpy.may_share_memory(a.array, b.array):
        return False
    try:
        return bool(numpy.shares_memory(a.array, b.array, max_work=cast("Any", MOST_WORK)))
    except numpy.exceptions.TooHardError:
        return True


def replaced(values: Sequence[Any], types: Sequence[LeafType], by: Mapping[int, Lent]) -> list[Any]:
    """The leaves with other memory instead of some, also inside what they lead to (there in place)."""
    return [
        _replaced(v, t, by) if isinstance(t, Mem) and v is not None else v for v, t in zip(values, types, strict=True)
    ]


def _replaced(value: Memory, type: Mem, by: Mapping[int, Lent]) -> Memory:
    if isinstance(value, Flat):
        return by.get(id(value), value)
    references = [(f, t) for f, t in enumerate(type.fields) if isinstance(t, Mem)]
    for row in value.rows if references else ():
        for f, t in references:
            if row[f] is not None:
                row[f] = _replaced(row[f], t, by)
    return value
