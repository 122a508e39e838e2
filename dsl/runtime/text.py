"""A value as text in the language's notation, given by its leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsl.diagnostics.format import quote, show_bool, show_element, show_float, show_float32, show_int
from dsl.interp import Memory
from dsl.runtime.shape import Items, make
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    STRING,
    SYMBOL,
    AdjointType,
    FnType,
    Irrational,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    RefType,
    StringLit,
    StructType,
    SymbolLit,
    TypeValue,
    interned,
    is_complex_number,
)

_NUMBERS: dict[LangType, Any] = {
    FLOAT64: show_float, FLOAT32: show_float32, INT64: show_int, BOOLEAN: show_bool,
}  # fmt: skip


# Numbers that are written in another way as elements of an array, which names their type.
_SHORT: dict[LangType, Callable[[Any], str]] = {
    FLOAT32: lambda x: show_element(x, False), BOOLEAN: lambda x: show_element(x, True),
}  # fmt: skip


def joined(parts: Sequence[tuple[LangType, Sequence[Any]]]) -> str:
    """The text of `"x = $x"`: strings and symbols as they are, other values as the language writes them."""
    return "".join(_inside_text(type, leaves) for type, leaves in parts)


def _inside_text(type: LangType, leaves: Sequence[Any]) -> str:
    match type:
        case StringLit():
            return type.text
        case SymbolLit():
            return type.name
        case OptionalType():
            return _inside_text(type.item, leaves[1:]) if leaves[0] else "nothing"
    return interned(leaves[0]) if type in (SYMBOL, STRING) else make(leaves, type, Text())


def _listed(items: Sequence[str]) -> str:
    """Items of a tuple: one alone has a comma behind it."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _complex(real: str, imaginary: str) -> str:
    """`1.0 - 2.0im`, `1.0 + NaN*im`"""
    sign, size = ("-", imaginary[1:]) if imaginary.startswith("-") else ("+", imaginary)
    return f"{real} {sign} {size}{'' if size[0].isdigit() else '*'}im"


def _unit(real: str, imaginary: str) -> str:
    """A complex number of Bools: `im` itself, as a rule."""
    return "im" if (real, imaginary) == ("false", "true") else f"Complex({real}, {imaginary})"


class Text:
    """A `Maker` of texts. Of an array with more than `most` elements (None: any) only the beginning and the end of
    each of its directions are shown."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most

    def atom(self, type: LangType, leaf: Any) -> str:
        match type:
            case SymbolLit():
                return _symbol(type.name)
            case StringLit():
                return quote(type.text)
            case Irrational():
                return type.name
            case TypeValue():
                return str(type.type)
        if type in _NUMBERS:
            return str(_NUMBERS[type](leaf))
        if type in (SYMBOL, STRING):
            return _symbol(interned(leaf)) if type == SYMBOL else quote(interned(leaf))
        return "nothing"

    def function(self, type: LangType, leaves: Sequence[Any]) -> str:
        return type.name if isinstance(type, FnType) else str(type)

    def text(self, parts: Sequence[tuple[LangType, Sequence[Any]]]) -> str:
        return quote(joined(parts))

    def tuple(self, items: Sequence[str]) -> str:
        return _listed(items)

    def named(self, type: NamedTupleType, items: Sequence[str]) -> str:
        return _listed([f"{n} = {i}" for n, i in zip(type.names, items, strict=True)]) if items else "NamedTuple()"

    def struct(self, type: StructType, items: Sequence[str], memory: Memory | None) -> str:
        if is_complex_number(type):
            return _complex(*items) if type.items[0] != BOOLEAN else _unit(*items)
        return f"{type.name}({', '.join(items)})"

    def ref(self, type: RefType, item: str, memory: Memory) -> str:
        return f"Ref({item})"

    def array(self, type: LangType, values: Sequence[Any], items: Items[str]) -> str:
        """`[1.0, 2.0]`, `[1.0 2.0; 3.0 4.0]`, `[1 2;;; 3 4]`, `Bool[1, 0]`, `Float64[]`."""
        item = type.vector.item if isinstance(type, AdjointType) else type.item  # type: ignore[union-attr]
        sizes, short = items.sizes, _SHORT.get(item)
        if 0 in sizes:
            return f"{item}[]" if len(sizes) == 1 else f"{_full_name(item, len(sizes))}(undef, {_plain(sizes)})"
        if short is None:
            return f"[{_listing(items.at, sizes, self.most)}]"
        return f"{item}[{_listing(Items(type, values, _Elements(short)).at, sizes, self.most)}]"

    def dict(self, keys: Sequence[str], values: Sequence[str], memory: Memory) -> str:
        return f"Dict({', '.join(f'{k} => {v}' for k, v in zip(keys, values, strict=True))})"

    def range(self, type: RangeType, start: Any, step: Any, length: int) -> str:
        number = _NUMBERS[type.item]
        stop = start + step * (length - 1)
        middle = "" if step == 1 and type.item == INT64 else f"{number(step)}:"
        return f"{number(start)}:{middle}{number(stop)}"

    def missing(self, type: LangType) -> str:
        return "nothing"


def _symbol(name: str) -> str:
    return f":{name}" if name.isidentifier() or not any(c.isspace() or c in '"()[]{},;' for c in name) else (
        f"Symbol({quote(name)})"
    )


# ---------------------------------------------------------------- arrays


class _Elements(Text):
    """Texts of numbers in the way of `_SHORT`."""

    def __init__(self, number: Callable[[Any], str]) -> None:
        super().__init__()
        self.number = number

    def atom(self, type: LangType, leaf: Any) -> str:
        return self.number(leaf)


def _full_name(item: LangType, rank: int) -> str:
    return f"Matrix{{{item}}}" if rank == 2 else f"Array{{{item}, {rank}}}"


def _plain(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


def _listing(at: Callable[[Sequence[int]], str], sizes: Sequence[int], most: int | None) -> str:
    """The elements with their separators: `, ` in a vector; blanks in rows, `; ` between rows, `;;; ` and so on between
    what is of a higher rank. Where the last size is 1, its separator stands at the end."""
    rank, count = len(sizes), 1
    for n in sizes:
        count *= n
    limit = None if most is None or count <= most else max(4, int(most ** (1 / rank)))
    if rank == 1:
        return ", ".join("…" if k is None else at((k,)) for k in _shown(sizes[0], limit))

    def block(behind: tuple[int, ...]) -> str:
        free = rank - len(behind)
        if free == 2:
            return "; ".join("⋮" if i is None else row(i, behind) for i in _shown(sizes[0], limit))
        parts = ["…" if k is None else block((k, *behind)) for k in _shown(sizes[free - 1], limit)]
        return f"{';' * free} ".join(parts)

    def row(i: int, behind: tuple[int, ...]) -> str:
        return " ".join("…" if j is None else at((i, j, *behind)) for j in _shown(sizes[1], limit))

    return block(()) + ";" * rank * (sizes[-1] == 1)


def _shown(n: int, limit: int | None) -> Iterator[int | None]:
    """Indices of the elements to show, None where some are left out."""
    if limit is None or n <= limit:
        yield from range(n)
    else:
        yield from range((limit + 1) // 2)
        yield None
        yield from range(n - limit // 2, n)
