"""What is kept of a specialisation, so that a later process can call it without its program being read: a plain tree of
tuples, numbers and texts, and the object code of its unit.

Not everything can be written down: types that are told apart by identity (functions, structs and references of a
program) have no name here, save a function by its `Origin`. What cannot be kept simply is not.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import dsl.types as all_types
from dsl.backend.signature import Signature
from dsl.backend.unit import EmittedUnit
from dsl.backend.unit import Site as FailureSite
from dsl.diagnostics import NO_SPAN, Source, Span
from dsl.options import Options, Timings
from dsl.runtime.engine import Unit
from dsl.runtime.lending import Access
from dsl.runtime.lock import LOCK
from dsl.runtime.objects import KIND as OBJECT
from dsl.runtime.objects import object_key
from dsl.runtime.specialised import Specialised
from dsl.store import Store, digest
from dsl.types import (
    BOOL,
    COMPLEX,
    F32,
    F64,
    I64,
    OBJ,
    FnType,
    LangType,
    LeafType,
    Mem,
    Origin,
    is_complex_number,
)

KIND = "code"
Values: TypeAlias = Callable[[str], Sequence[Any]]


class Unkeepable(Exception):
    """Something that has no name outside of its process."""


# ---------------------------------------------------------------- types

# The fields of the types that are written down, in order. A `site` is a number of this process: it is left out.
_FIELDS: dict[str, tuple[str, ...]] = {
    "Prim": ("name",), "SymbolLit": ("name",), "StringLit": ("text",), "Irrational": ("name",), "TypeValue": ("type",),
    "TupleType": ("items",), "NamedTupleType": ("names", "items"), "VectorType": ("item",),
    "ArrayType": ("item", "rank", "layout"), "AdjointType": ("vector",), "StaticDictType": ("keys", "items"),
    "DictType": ("key", "value"), "OptionalType": ("item",), "RangeType": ("item",), "IterType": ("kind", "items"),
}  # fmt: skip


def written_type(t: Any, named: bool = False) -> Any:
    """A type, or what is in a field of one. `named`: structs are written by their names, for who knows the program."""
    if isinstance(t, str | int):
        return t
    if isinstance(t, tuple):
        return ("()", *(written_type(part, named) for part in t))
    if isinstance(t, FnType) and isinstance(t.key, Origin) and not t.captures:
        return ("Origin", *t.key)
    if is_complex_number(t) and t.params == COMPLEX.params:
        return ("Complex",)
    name = type(t).__name__
    if named and name in _NAMED and not t.site:
        return (name, *(written_type(getattr(t, f), named) for f in _NAMED[name]))
    if name not in _FIELDS:
        raise Unkeepable(t)
    return (name, *(written_type(getattr(t, f), named) for f in _FIELDS[name]))


def read_type(tree: Any, declared: Callable[[str], object] = str) -> Any:
    """What `written_type` wrote; `declared` knows the structs that are named."""
    if not isinstance(tree, tuple):
        return tree
    name, *parts = tree
    if name == "Origin":
        return Origin(parts).type
    if name == "Complex":
        return COMPLEX
    values = [read_type(part, declared) for part in parts]
    if name == "StructType":
        return all_types.StructType(declared(values[0]), *values)
    return tuple(values) if name == "()" else getattr(all_types, name)(*values)


# Those that a struct's declaration, or a place in a program, belongs to.
_NAMED: dict[str, tuple[str, ...]] = {
    "StructType": ("name", "params", "names", "items", "mutable"), "RefType": ("item",),
}  # fmt: skip

_LEAVES: dict[str, LeafType] = {"f64": F64, "f32": F32, "i64": I64, "bool": BOOL, "obj": OBJ}


def written_leaf(t: LeafType) -> Any:
    return tuple(map(written_leaf, t.fields)) if isinstance(t, Mem) else str(t)


def read_leaf(tree: Any) -> LeafType:
    return Mem(tuple(map(read_leaf, tree))) if isinstance(tree, tuple) else _LEAVES[tree]


def written_leaves(types: Sequence[LeafType]) -> Any:
    return tuple(map(written_leaf, types))


def read_leaves(trees: Any) -> tuple[LeafType, ...]:
    return tuple(map(read_leaf, trees))


# ---------------------------------------------------------------- units

_PLAIN = ("name", "externals", "support", "operands", "stack_reserve", "allocates", "size", "recursive", "loops")


def _written_unit(unit: EmittedUnit) -> Any:
    root = unit.root
    sources: dict[Source, int] = {}

    def place(span: Span) -> Any:
        if span.source is NO_SPAN.source:
            return None
        return sources.setdefault(span.source, len(sources)), span.start, span.end

    signature = root.symbol, written_leaves(root.params), written_leaves(root.results), root.context, root.recursive
    sites = tuple((s.code, s.text, s.hint, place(s.span), written_leaves(s.types)) for s in unit.sites)
    prints = tuple((text, written_leaves(types)) for text, types in unit.prints)
    texts = tuple((source.name, source.text) for source in sources)
    plain = tuple(getattr(unit, name) for name in _PLAIN)
    return signature, sites, prints, texts, plain, unit.text if unit.straight else ""  # it may soon be optimised


def _read_unit(tree: Any) -> EmittedUnit:
    (symbol, params, results, context, recursive), sites, prints, texts, plain, text = tree
    sources = [Source(name, text) for name, text in texts]

    def span(place: Any) -> Span:
        return NO_SPAN if place is None else Span(sources[place[0]], place[1], place[2])

    return EmittedUnit(
        text=text,
        root=Signature(symbol, read_leaves(params), read_leaves(results), context, recursive),
        sites=tuple(FailureSite(c, t, hint, span(at), read_leaves(types)) for c, t, hint, at, types in sites),
        prints=tuple((text, read_leaves(types)) for text, types in prints),
        **dict(zip(_PLAIN, plain, strict=True)),
    )


# ---------------------------------------------------------------- specialisations


def name_of(*parts: str) -> str:
    """What a specialisation is kept under, given by texts: its code is for this machine."""
    from dsl.runtime.llvm import target

    return digest(target(), *parts)


def keep(kept: Store, key: str, made: Specialised, unit: Unit, level: int) -> None:
    """Keep a specialisation whose unit has been linked, of code of a level, where it can be kept."""
    try:
        result = written_type(made.result)
    except Unkeepable:
        return
    access = (made.access.changed, made.access.touched) if made.takes_memory else ((), ())
    call = (
        result, written_leaves(made.params), made.function, tuple(made.names), tuple(made.apart),
        tuple(map(tuple, access)), made.exact, tuple(map(tuple, made.globals)), made.is_cautious,
    )  # fmt: skip
    if made.is_cautious:
        key = digest(key, "cautious")
    code = object_key(unit.llvm_raw, level), level, unit.opt_level, unit.size, unit.provisional
    record: Any = call, _written_unit(unit.emitted), code, tuple(all_types.all_interned())
    kept.put(KIND, key, marshal.dumps(record))


def find(
    kept: Store, key: str, options: Options, timings: Timings, again: Callable[[], Specialised], values: Values,
    careless: bool = True,
) -> Kept | None:  # fmt: skip
    """The specialisation that was kept under a key, or the cautious one beside it, which is right for all arguments
    (that alone, where `careless` is false). `again` compiles it, for what was not kept; `values` gives the leaves of a
    top-level value."""
    record = kept.get(KIND, key) if careless else None
    record = record or kept.get(KIND, digest(key, "cautious"))
    if record is None:
        return None
    call, unit, code, texts = marshal.loads(record)
    objects = kept.get(OBJECT, code[0])
    if objects is None:
        return None
    for text in texts:
        all_types.intern(text)
    made = Kept(call, unit, code, objects, options, timings, again, values)
    made.beside = partial(find, kept, key, options, timings, again, values, False)
    made.keep = partial(keep, kept, key)
    return made


class Kept(Specialised):
    """A specialisation that an earlier process has compiled. `beside`: the cautious one, if that was kept, too."""

    beside: Callable[[], Kept | None]

    def __init__(
        self, call: Any, unit: Any, code: Any, objects: bytes, options: Options, timings: Timings,
        again: Callable[[], Specialised], values: Values,
    ) -> None:  # fmt: skip
        result, params, self._function, names, self.apart, (changed, touched), self._exact, *more = call
        globals_, self.is_cautious = more
        _, self.level, opt_level, size, provisional = code
        self.options = options
        self.globals = list(globals_)
        self._values = values
        self._timings = timings
        self._result = read_type(result)
        self._params = read_leaves(params)
        self._names = list(names)
        self._access = Access(frozenset(changed), frozenset(touched))
        self._again = again
        self.native = made = Unit(_read_unit(unit), opt_level, size, options.cache)
        made.provisional = provisional
        made.code = objects
        made.again = None if made.emitted.text else self._emitted
        made.linked = self._linked

    def _emitted(self) -> EmittedUnit:
        made = self._again()
        return (made.cautious if self.is_cautious else made).unit.emitted

    def _linked(self, unit: Unit, level: int) -> None:
        if level != self.level and self.keep is not None:  # it has been optimised
            self.keep(self, unit, level)

    @property
    def timings(self) -> Timings:
        return self._timings

    @property
    def result(self) -> LangType:
        return self._result  # type: ignore[no-any-return]

    @property
    def params(self) -> tuple[LeafType, ...]:
        return self._params

    @property
    def function(self) -> str:
        return self._function  # type: ignore[no-any-return]

    @property
    def names(self) -> list[str]:
        return self._names

    @property
    def further(self) -> list[Any]:
        return [self._values(name)[index] for name, index in self.globals]

    @property
    def access(self) -> Access:
        return self._access

    @property
    def exact(self) -> bool:
        return self._exact  # type: ignore[no-any-return]

    @cached_property
    def cautious(self) -> Specialised:
        return self.beside() or self._again().cautious

    @property
    def unit(self) -> Unit:
        assert self.native is not None
        if self.native.boundary is None:
            with LOCK, self._timings.stage("llvm"):
                self.native.link()
        return self.native
