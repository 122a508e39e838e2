"""The element types of memory that is made without a declared one: `[]`, `Dict()`, `Ref(0)`, boxes, untyped fields.

Each place in the program that makes such memory (for each specialisation) is a *site*, a number that its type
carries. A site's type starts as nothing and is widened by what is stored; where that happens after types have been
used, `dirty` is set and the whole entry is lowered again, until nothing widens any more. Two sites that may be the
same memory are merged.
"""

from __future__ import annotations

from collections.abc import Hashable

from dsl.records import fields, replace
from dsl.types import (
    BOTTOM,
    DictType,
    LangType,
    RefType,
    StaticDictType,
    StructType,
    TupleType,
    VectorType,
)  # fmt: skip


class Sites:
    def __init__(self) -> None:
        self.dirty = False
        self._numbers: dict[Hashable, int] = {}
        self._parents: list[int] = [0]  # site 0: a declared type, no site
        self._types: list[LangType] = [BOTTOM]
        self._fixed: list[bool] = [True]
        self._dynamic: set[int] = set()

    def at(self, key: Hashable, initial: LangType = BOTTOM) -> int:
        """The site of a place, made at the first call."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._parents)
            self._parents.append(number)
            self._types.append(initial)
            self._fixed.append(False)
        return self.find(number)

    def find(self, site: int) -> int:
        while self._parents[site] != site:
            site = self._parents[site]
        return site

    def type(self, site: int) -> LangType:
        return self._types[self.find(site)]

    def is_fixed(self, site: int) -> bool:
        """Whether the site was found to be the same memory as one of a declared type."""
        return self._fixed[self.find(site)]

    def set(self, site: int, type: LangType) -> None:
        site = self.find(site)
        if self._types[site] != type:
            self._types[site] = type
            self.dirty = True

    def fix(self, site: int) -> None:
        self._fixed[self.find(site)] = True

    def is_dynamic(self, site: int) -> bool:
        """Whether a Dict written with known keys must take others, too."""
        return self.find(site) in self._dynamic

    def make_dynamic(self, site: int) -> None:
        site = self.find(site)
        if site not in self._dynamic:
            self._dynamic.add(site)
            self.dirty = True

    def merge(self, a: int, b: int) -> int:
        """Make two sites one; the caller sets its type. Gives its number."""
        a, b = self.find(a), self.find(b)
        if a != b:
            a, b = min(a, b), max(a, b)
            self._parents[b] = a
            self._fixed[a] = self._fixed[a] or self._fixed[b]
            self.dirty = True
        return a

    def refresh(self, t: LangType) -> LangType:
        """The type with what its sites hold by now."""
        return _refresh(t, self)


def _refresh(t: LangType, sites: Sites) -> LangType:
    changes: dict[str, object] = {}
    for f in fields(t):
        value = getattr(t, f.name)
        if f.name in ("item", "key", "value", "vector") and type(value).__module__ == "dsl.types":
            changes[f.name] = _refresh(value, sites)
        elif f.name in ("items", "alternatives"):
            changes[f.name] = tuple(_refresh(i, sites) for i in value)
        elif f.name == "captures":
            changes[f.name] = tuple((n, _refresh(c, sites)) for n, c in value)
    new: LangType = replace(t, **changes) if changes else t  # type: ignore[arg-type]
    site = getattr(t, "site", 0)
    if not site:
        return new
    contents = sites.type(site)
    if not isinstance(contents, TupleType):
        return new
    site = sites.find(site)
    match new:
        case DictType():
            return replace(new, key=contents.items[0], value=contents.items[1], site=site)
        case StructType() | StaticDictType():
            return replace(new, items=contents.items, site=site)
        case RefType() | VectorType():
            return replace(new, item=contents.items[0], site=site)
    return new


def erase(t: LangType) -> LangType:
    """The type without its sites, and without what these found, for keys that must not grow with them."""
    changes: dict[str, object] = {}
    for f in fields(t):
        value = getattr(t, f.name)
        if f.name == "site":
            changes["site"] = 0
        elif f.name in ("item", "key", "value", "vector", "type") and type(value).__module__ == "dsl.types":
            changes[f.name] = erase(value)
        elif f.name in ("items", "params", "alternatives"):
            changes[f.name] = tuple(erase(i) for i in value)
        elif f.name == "captures":
            changes[f.name] = tuple((n, erase(c)) for n, c in value)
    return replace(t, **changes) if changes else t  # type: ignore[arg-type]
