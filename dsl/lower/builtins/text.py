"""Text: strings and symbols, printing, errors with messages.

Text that depends on run-time values exists only on its way to the output or into an error: as a template with operands
for the `print` and `check` ops. What has a shape known only at run time (optional values, vectors, Dicts, variants) is
printed by control flow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from dsl.diagnostics import error
from dsl.diagnostics.format import escape, quote
from dsl.ir.core import Value
from dsl.lower.arrays import Geometry, geometry, less_one, load_at, product
from dsl.lower.builtins.registry import BUILTINS, builtin
from dsl.lower.calls import call_name
from dsl.lower.control import branch
from dsl.lower.expressions import join_text
from dsl.lower.frame import Frame, Slot
from dsl.lower.loops import Plan, for_each, static_items
from dsl.lower.values import UNIT, Val, is_real, items_of, show_type, split, text_of
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    AdjointType,
    ArrayType,
    DictType,
    FnType,
    Irrational,
    IterType,
    LangType,
    NamedTupleType,
    OptionalType,
    Prim,
    RangeType,
    RefType,
    StaticDictType,
    StringLit,
    StructType,
    SymbolLit,
    TupleType,
    TypeValue,
    VariantType,
    VectorType,
    is_complex_number,
    record_leaves,
)  # fmt: skip

_PAIR = ("first", "second")


class _Printer:
    """Collects text and operands. `flush` makes a `print` op of them; without one, what needs control flow is shown
    by its type only."""

    def __init__(self, f: Frame, printing: bool = True) -> None:
        self.f = f
        self.printing = printing
        self.text = ""
        self.operands: list[Value] = []

    def flush(self) -> None:
        if self.text:
            self.f.b.op("print", self.operands, (), text=self.text)
        self.text, self.operands = "", []

    def add(self, text: str) -> None:
        self.text += escape(text)

    def leaf(self, value: Value, style: str = "") -> None:
        self.text += f"{{{len(self.operands)}{style}}}"
        self.operands.append(value)

    def value(self, v: Val, quoted: bool) -> None:
        handler = _SHOWN.get(type(v.type))
        if handler is not None:
            handler(self, v, quoted)
        elif v.type in (FLOAT64, FLOAT32, INT64, BOOLEAN):
            self.leaf(v.leaf)
        elif v.type == SYMBOL:
            self.leaf(v.leaf, ":symbol" if quoted else ":sym")
        elif v.type == STRING:
            self.leaf(v.leaf, ":quoted" if quoted else ":sym")
        elif v.type == NOTHING:
            self.add("nothing")
        else:
            self.add(show_type(v.type))

    def listed(self, items: list[Val], opening: str, closing: str, names: tuple[str, ...] = ()) -> None:
        self.add(opening)
        for k, item in enumerate(items):
            self.add(", " if k else "")
            if names:
                self.add(f"{names[k]} = ")
            self.value(item, True)
        self.add(closing)

    def choice(self, cond: Value, then: Callable[[], None], orelse: Callable[[], None]) -> None:
        """Two ways to go on, decided at run time."""
        self.flush()

        def arm(show: Callable[[], None]) -> Callable[[], Val]:
            def fill() -> Val:
                show()
                self.flush()
                return UNIT

            return fill

        branch(self.f, cond, arm(then), arm(orelse), False)

    def each(self, over: Val, show: Callable[[Val], None], between: str = ", ") -> None:
        """The items of something, with something between them."""
        f = self.f
        self.flush()
        key = f.unit.fresh_key(f, "print")
        first = f.temporary(key, "first")
        f.env[first] = Slot(Val(BOOLEAN, (f.b.bool(True),)))

        def body(item: Val) -> None:
            self.choice(f.env[first].val.leaf, lambda: None, lambda: self.add(between))
            f.env[first] = Slot(Val(BOOLEAN, (f.b.bool(False),)))
            show(item)
            self.flush()

        for_each(f, over, Plan(key, [first], key, False), body)
        f.env.pop(first)


def _show_tuple(p: _Printer, v: Val, quoted: bool) -> None:
    items = items_of(v)
    p.listed(items, "(", ",)" if len(items) == 1 else ")")


def _show_named(p: _Printer, v: Val, quoted: bool) -> None:
    assert isinstance(v.type, NamedTupleType)
    items = items_of(v)
    if v.type.names == _PAIR:
        p.value(items[0], True)
        p.add(" => ")
        p.value(items[1], True)
    elif items:
        p.listed(items, "(", ",)" if len(items) == 1 else ")", v.type.names)
    else:
        p.add("NamedTuple()")


def _show_struct(p: _Printer, v: Val, quoted: bool) -> None:
    assert isinstance(v.type, StructType)
    if is_complex_number(v.type) and v.type.items[0] != BOOLEAN:
        _show_complex(p, *items_of(v))
    elif not v.type.mutable:
        p.listed(items_of(v), f"{v.type.name}(", ")")
    elif not p.printing:
        p.add(f"{v.type.name}(…)")
    else:
        parts = TupleType(p.f.current(v.type))
        p.listed(items_of(p.f.load(v.leaf, 0, parts)), f"{v.type.name}(", ")")


def _show_complex(p: _Printer, real: Val, imaginary: Val) -> None:
    """`1.0 - 2.0im`, `1.0 + NaN*im`; in a message, where nothing is decided, `1.0 + -2.0im`."""
    p.value(real, True)
    if not p.printing:
        p.add(" + ")
        p.value(imaginary, True)
        p.add("im")
        return
    f = p.f
    p.choice(call_name(f, "signbit", [imaginary]).leaf, lambda: p.add(" - "), lambda: p.add(" + "))
    p.value(call_name(f, "abs", [imaginary]), True)
    p.choice(call_name(f, "isfinite", [imaginary]).leaf, lambda: p.add("im"), lambda: p.add("*im"))


def _show_optional(p: _Printer, v: Val, quoted: bool) -> None:
    assert isinstance(v.type, OptionalType)
    item = Val(v.type.item, v.leaves[1:])
    if p.printing:
        p.choice(v.leaves[0], lambda: p.value(item, quoted), lambda: p.add("nothing"))
    else:
        p.value(item, quoted)


def _show_variant(p: _Printer, v: Val, quoted: bool) -> None:
    assert isinstance(v.type, VariantType)
    parts = list(split(v.leaves[1:], v.type.alternatives))

    def at(k: int) -> None:
        if k == len(parts) - 1 or not p.printing:
            p.value(parts[k], quoted)
        else:
            here = p.f.b.prim("eq", v.leaves[0], p.f.b.i64(k))
            p.choice(here, lambda: p.value(parts[k], quoted), lambda: at(k + 1))

    at(0)


_SHORT = (BOOLEAN, FLOAT32)  # an array of these names its type


def _show_array(p: _Printer, v: Val, quoted: bool) -> None:
    """`[1.0, 2.0]`, `[1 2; 3 4]`, `[1 2;;; 3 4]`, `Bool[1, 0]`, `Float64[]`, `Matrix{Float64}(undef, 0, 3)`."""
    if not p.printing:
        p.add(show_type(v.type))
        return
    f, g = p.f, geometry(p.f, v)
    name = "Any" if g.item == BOTTOM else show_type(g.item)

    def nothing_in_it() -> None:
        if g.rank == 1:
            p.add(f"{name}[]")
            return
        p.add(f"Matrix{{{name}}}(undef" if g.rank == 2 else f"Array{{{name}, {g.rank}}}(undef")
        for n in g.sizes:
            p.add(", ")
            p.leaf(n)
        p.add(")")

    def elements() -> None:
        p.add(f"{name}[" if g.item in _SHORT else "[")
        _show_block(p, g, ())
        if g.rank > 1:  # where the last size is 1, its separator stands at the end
            p.choice(f.b.prim("eq", g.sizes[-1], f.b.i64(1)), lambda: p.add(";" * g.rank), lambda: None)
        p.add("]")

    p.choice(f.b.prim("eq", product(f, g.sizes), f.b.i64(0)), nothing_in_it, elements)


def _show_block(p: _Printer, g: Geometry, behind: tuple[Value, ...]) -> None:
    """The part of an array where the last indices are given: matrices row by row, of higher ranks slice by slice."""
    f, free = p.f, g.rank - len(behind)

    def over(k: int, show: Callable[[Value], None], between: str) -> None:
        counted = Val(IterType("counted", (INT64,) * 3), (f.b.i64(0), less_one(f, g.sizes[k]), f.b.i64(1)))
        p.each(counted, lambda i: show(i.leaf), between)

    def element(*indices: Value) -> None:
        item = load_at(f, g, indices)
        if item.type in _SHORT:
            p.leaf(item.leaf, ":element")
        else:
            p.value(item, True)

    if free == 1:
        over(0, lambda i: element(i), ", ")
    elif free == 2:
        over(0, lambda i: over(1, lambda j: element(i, j, *behind), " "), "; ")
    else:
        over(free - 1, lambda k: _show_block(p, g, (k, *behind)), f"{';' * free} ")


def _show_pair(p: _Printer, k: Val, v: Val) -> None:
    p.value(k, True)
    p.add(" => ")
    p.value(v, True)


def _show_static_dict(p: _Printer, v: Val, quoted: bool) -> None:
    p.add("Dict(")
    for k, (key, value) in enumerate(static_items(p.f, v) if p.printing else []):
        p.add(", " if k else "")
        _show_pair(p, key, value)
    p.add(")")


def _show_dict(p: _Printer, v: Val, quoted: bool) -> None:
    p.add("Dict(")
    if p.printing:
        p.each(v, lambda kv: _show_pair(p, *items_of(kv)))
    p.add(")")


def _show_ref(p: _Printer, v: Val, quoted: bool) -> None:
    p.add(f"{show_type(v.type)}(")
    if p.printing and record_leaves(v.type):
        p.value(p.f.load(v.leaf, 0, p.f.current(v.type)[0]), True)
    p.add(")")


def _show_range(p: _Printer, v: Val, quoted: bool) -> None:
    assert isinstance(v.type, RangeType)
    f, item = p.f, v.type.item
    start, step, n = split(v.leaves, (item, item, INT64))
    steps = call_name(f, "*", [step, call_name(f, "-", [n, Val(INT64, (f.b.i64(1),), 1)])])
    last = call_name(f, "+", [start, steps])
    parts = [start, last] if item == INT64 and _is_one(step) else [start, step, last]
    for k, part in enumerate(parts):
        p.add(":" if k else "")
        p.value(part, False)


def _is_one(v: Val) -> bool:
    owner = v.leaf.owner
    return getattr(owner, "name", "") == "const" and owner.attrs["value"] == 1  # type: ignore[union-attr]


def _show_text(p: _Printer, v: Val, quoted: bool) -> None:
    assert isinstance(v.type, IterType)
    if v.type.kind != "text":
        p.add(show_type(v.type))
        return
    p.add('"' if quoted else "")
    for part in split(v.leaves, v.type.items):
        p.value(part, False)
    p.add('"' if quoted else "")


def _literal(p: _Printer, v: Val, quoted: bool) -> None:
    text = text_of(v.type) or ""
    if quoted:
        text = quote(text) if isinstance(v.type, StringLit) else f":{text}"
    p.add(text)


_SHOWN: dict[type, Callable[[_Printer, Val, bool], None]] = {
    TupleType: _show_tuple, NamedTupleType: _show_named, StructType: _show_struct, OptionalType: _show_optional,
    VariantType: _show_variant, VectorType: _show_array, ArrayType: _show_array, AdjointType: _show_array,
    StaticDictType: _show_static_dict, DictType: _show_dict,
    RefType: _show_ref, RangeType: _show_range, IterType: _show_text, SymbolLit: _literal, StringLit: _literal,
    Irrational: lambda p, v, q: p.add(v.type.name),  # type: ignore[union-attr]
    TypeValue: lambda p, v, q: p.add(show_type(v.type.type)),  # type: ignore[union-attr]
    FnType: lambda p, v, q: p.add(v.type.name),  # type: ignore[union-attr]
}  # fmt: skip


def template(f: Frame, v: Val, quoted: bool = False) -> tuple[str, tuple[Value, ...]]:
    """A message as the text and operands of a `check` op."""
    p = _Printer(f, printing=False)
    p.value(v, quoted)
    return p.text, tuple(p.operands)


# ---------------------------------------------------------------- printing


@builtin("println")
def lower_println(f: Frame, args: list[Val]) -> Val:
    return _print(f, args, "\n")


@builtin("print")
def lower_print(f: Frame, args: list[Val]) -> Val:
    return _print(f, args, "")


def _print(f: Frame, args: list[Val], end: str) -> Val:
    p = _Printer(f)
    for v in args:
        p.value(v, False)
    p.add(end)
    p.flush()
    return UNIT


@builtin("display")
def lower_display(f: Frame, args: list[Val]) -> Val:
    """A value as the language writes it, on a line of its own."""
    p = _Printer(f)
    p.value(args[0], True)
    p.add("\n")
    p.flush()
    return UNIT


@builtin("show_line")
def lower_show_line(f: Frame, args: list[Val]) -> Val:
    """`@show x`: the text of the expression, then its value."""
    p = _Printer(f)
    p.add(f"{text_of(args[0].type)} = ")
    p.value(args[1], True)
    p.add("\n")
    p.flush()
    return args[1]


# ---------------------------------------------------------------- errors


def _raise(code: str) -> Callable[[Frame, list[Val]], NoReturn]:
    def lower(f: Frame, args: list[Val]) -> NoReturn:
        parts = [part for a in args for part in (Val(StringLit(": ")), a)][1:] if code != "E0404" else args
        text, operands = template(f, join_text(parts))
        f.fail(code, text, *operands)

    return lower


builtin("error", "throw")(_raise("E0404"))
for _name, _code in (
    ("ErrorException", "E0404"), ("ArgumentError", "E0409"), ("DomainError", "E0401"), ("BoundsError", "E0402"),
    ("KeyError", "E0403"),
):  # fmt: skip
    builtin(_name)(_raise(_code))

# ---------------------------------------------------------------- strings as values


def is_text(t: LangType) -> bool:
    return isinstance(t, StringLit) or t == STRING or (isinstance(t, IterType) and t.kind == "text")


@builtin("string")
def lower_string(f: Frame, args: list[Val]) -> Val:
    return join_text([Val(StringLit(str(a.known))) if isinstance(a.known, int) else a for a in args])


@builtin("*")
def lower_times(f: Frame, args: list[Val]) -> Val | None:
    """Numbers are multiplied, strings put together."""
    if args and all(is_text(a.type) for a in args):
        if any(a.type == STRING for a in args):
            raise error("E0901", "putting run-time strings together is not supported yet", f.span)
        return join_text(args)
    return None if any(is_text(a.type) for a in args) else _multiply(f, args)


def _multiply(f: Frame, args: list[Val]) -> Val | None:
    scaled = _scaled_range(f, args)
    return BUILTINS["multiply"].lower(f, args) if scaled is None else scaled


def _scaled_range(f: Frame, args: list[Val]) -> Val | None:
    """`2*(1:3)` is the range 2:2:6."""
    if len(args) != 2:
        return None
    r, by = args if isinstance(args[0].type, RangeType) else args[::-1]
    if not isinstance(r.type, RangeType) or not is_real(by.type):
        return None
    start, step = (call_name(f, "*", [Val(r.type.item, (x,)), by]) for x in r.leaves[:2])
    assert isinstance(start.type, Prim)
    return Val(RangeType(start.type), (start.leaf, step.leaf, r.leaves[2]))


@builtin("Symbol")
def lower_make_symbol(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1:
        return None
    text = text_of(args[0].type)
    if text is not None:
        return Val(SymbolLit(text))
    return Val(SYMBOL, args[0].leaves) if args[0].type in (STRING, SYMBOL) else None


@builtin("String")
def lower_make_string(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 1:
        return None
    text = text_of(args[0].type)
    if text is not None:
        return Val(StringLit(text))
    return Val(STRING, args[0].leaves) if args[0].type in (STRING, SYMBOL) else None

