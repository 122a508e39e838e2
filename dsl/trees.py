"""Values of Python as trees of numbers: flattening, zeros of the same shape, central differences.

Arrays are leaves of the tree and hold numbers, in C order. NumPy is not imported: an array is what has a dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsl.runtime.convert import Record


def children(value: Any) -> dict[Any, Any] | None:
    """The parts of a tuple, list, record, dict or struct by name or index; None for a value without parts."""
    if isinstance(value, dict):
        return value
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    return dict(enumerate(value)) if isinstance(value, tuple | list) else None


def is_array(value: Any) -> bool:
    return getattr(value, "shape", ()) != () and hasattr(value, "dtype")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def leaves(value: Any) -> Iterator[Any]:
    """The values without parts inside a value, those in arrays included, in order."""
    parts = children(value)
    if is_array(value):
        yield from (x.item() for x in value.flat)
    elif parts is None:
        yield value
    else:
        for part in parts.values():
            yield from leaves(part)


def numbers(value: Any) -> list[float]:
    return [leaf for leaf in leaves(value) if is_number(leaf)]


def with_zeros(entry: Any, argument: Any) -> Any:
    """A gradient's entry where zeros of the argument's shape stand for None."""
    parts = children(argument)
    if is_array(argument):
        return _zeros(argument) if entry is None and argument.dtype.kind in "fiu" else entry
    if parts is None:
        return 0.0 if entry is None and is_number(argument) else entry
    if isinstance(argument, list) and entry is not None and all(map(is_number, argument)):
        return entry  # of numbers: an array, in which there are zeros already
    entries = children(entry) or {}
    filled = {key: with_zeros(entries.get(key), part) for key, part in parts.items()}
    if isinstance(argument, dict):
        return filled
    if hasattr(argument, "_asdict"):
        return Record(tuple(filled), tuple(filled.values()))
    return (list if isinstance(argument, list) else tuple)(filled.values())


def _zeros(array: Any) -> Any:
    """An array of zeros of the same shape and order, of the type that its gradient has."""
    made = array.astype("float32" if array.dtype == "float32" else "float64")
    made.fill(0.0)
    return made


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same value with `change` made to every number in it, in order."""
    parts = children(value)
    if is_array(value):
        made = value.copy("K")
        for k, x in enumerate(value.flat):
            if is_number(x.item()):
                made.flat[k] = change(x.item())
        return made
    if parts is None:
        return change(value) if is_number(value) else value
    new = {key: changed(part, change) for key, part in parts.items()}
    if isinstance(value, dict):
        return new
    if isinstance(value, list):
        return list(new.values())
    if isinstance(value, Record):
        return Record(tuple(new), tuple(new.values()))
    return type(value)(*new.values()) if hasattr(value, "_asdict") else tuple(new.values())


def central_differences(f: Callable[..., float], args: Sequence[Any], step: float) -> list[float | None]:
    """(f(x + h) - f(x - h))/2h for every number x in the arguments; None for an integer, which cannot be moved."""

    def moved(which: int, by: float) -> Any:
        counter = iter(range(total))
        return changed(tuple(args), lambda x: x + by if next(counter) == which else x)

    everything = numbers(tuple(args))
    total = len(everything)
    found: list[float | None] = []
    for k, x in enumerate(everything):
        h = step * max(1.0, abs(x))
        found.append(None if isinstance(x, int) else (f(*moved(k, h)) - f(*moved(k, -h))) / (2 * h))
    return found
