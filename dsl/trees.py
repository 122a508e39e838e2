"""Values of Python as trees of numbers: flattening, zeros of the same shape, central differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsl.runtime.convert import Record


def children(value: Any) -> dict[Any, Any] | None:
    """The parts of a tuple, record, dict or struct by name or index; None for a value without parts."""
    if isinstance(value, dict):
        return value
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    return dict(enumerate(value)) if isinstance(value, tuple) else None


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def leaves(value: Any) -> Iterator[Any]:
    """The values without parts inside a value, in order."""
    parts = children(value)
    if parts is None:
        yield value
    else:
        for part in parts.values():
            yield from leaves(part)


def numbers(value: Any) -> list[float]:
    return [leaf for leaf in leaves(value) if is_number(leaf)]


def with_zeros(entry: Any, argument: Any) -> Any:
    """A gradient's entry where zeros of the argument's shape stand for None."""
    parts = children(argument)
    if parts is None:
        return 0.0 if entry is None and is_number(argument) else entry
    entries = children(entry) or {}
    filled = {key: with_zeros(entries.get(key), part) for key, part in parts.items()}
    if isinstance(argument, dict):
        return filled
    if hasattr(argument, "_asdict"):
        return Record(tuple(filled), tuple(filled.values()))
    return tuple(filled.values())


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same value with `change` made to every number in it, in order."""
    parts = children(value)
    if parts is None:
        return change(value) if is_number(value) else value
    new = {key: changed(part, change) for key, part in parts.items()}
    if isinstance(value, dict):
        return new
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
