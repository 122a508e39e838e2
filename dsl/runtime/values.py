"""What values of the language are in Python where Python has no type for them and no memory is behind them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any


class String(str):
    """A string of the language. (A plain `str` is a symbol.)"""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"String({super().__repr__()})"


def find_name(names: Sequence[str], wanted: str) -> int:
    """The place of a name, -1 where it is not there. Python writes attribute names in another normal form (`.ϵ`
    becomes `.ε`), so names that are alike in that form are found, too."""
    if wanted in names:
        return names.index(wanted)
    form = unicodedata.normalize("NFKC", wanted)
    alike = [k for k, name in enumerate(names) if unicodedata.normalize("NFKC", name) == form]
    return alike[0] if len(alike) == 1 else -1


class Record(tuple[Any, ...]):
    """A named tuple: a tuple whose items are attributes, too. `r["x"]` is `r.x`."""

    _fields: tuple[str, ...]

    def __new__(cls, names: Sequence[str], values: Sequence[Any]) -> Record:
        assert len(names) == len(values)
        record = super().__new__(cls, tuple(values))
        record._fields = tuple(names)
        return record

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        place = find_name(self._fields, key)
        if place < 0:
            raise KeyError(key)
        return super().__getitem__(place)

    def __getattr__(self, name: str) -> Any:
        place = -1 if name.startswith("__") else find_name(self._fields, name)
        if place < 0:
            raise AttributeError(f"the record has no field {name}, only {', '.join(self._fields) or 'none'}")
        return super().__getitem__(place)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        return f"Record({', '.join(f'{n}={v!r}' for n, v in self._asdict().items())})"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._fields]

    def __reduce__(self) -> Any:
        return Record, (self._fields, tuple(self))
