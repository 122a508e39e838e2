"""One function while it is being lowered: where ops go, what the variables hold, and which exits are pending.

A frame guarantees that an exit (`return`, `break`, `continue`) is completed only when the types of all exits to the
same place are known: until then it is a record of the region it ends and the variables there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from dsl.diagnostics import DslError, Span, error
from dsl.ir.core import Region, Value
from dsl.lower import joins
from dsl.lower.scopes import Scope, Var
from dsl.lower.values import Diverged, Val, depth, show_type
from dsl.ops import Builder
from dsl.records import dataclass, field
from dsl.syntax import ast
from dsl.types import BOTTOM, LangType, RefType, TupleType, leaves

if TYPE_CHECKING:
    from dsl.lower.declarations import Namespace
    from dsl.lower.sites import Sites
    from dsl.lower.specialise import Spec, Unit


@dataclass(frozen=True, slots=True)
class Slot:
    """What a variable holds. `defined` is a bool that says at run time whether it has a value (None: it has).
    `conflict` is the error to raise when it is read: its types did not join. `span` is where it was assigned."""

    val: Val
    defined: Value | None = None
    conflict: DslError | None = None
    span: Span | None = None


@dataclass(eq=False)
class Exit:
    """A place where control leaves: the builder of the region that ends there, and the variables at that point."""

    b: Builder
    env: dict[Var, Slot]
    depth: int = 0


@dataclass(eq=False)
class Loop:
    """A loop (or block that can be left) being lowered. Loops of one statement share `statement`."""

    statement: object
    is_for: bool = False
    nexts: list[Exit] = field(default_factory=list)
    breaks: list[Exit] = field(default_factory=list)
    block: bool = False  # runs once: `continue` leaves it


@dataclass(eq=False)
class Return:
    b: Builder
    val: Val
    span: Span


class Frame:
    def __init__(self, unit: Unit, spec: Spec, namespace: Namespace, scope: Scope, body: Region, span: Span) -> None:
        self.unit = unit
        self.spec = spec
        self.namespace = namespace
        self.scope = scope
        self.b = Builder(body, span)
        self.env: dict[Var, Slot] = {}
        self.types: dict[str, LangType] = {}
        self.returns: list[Return] = []
        self.loops: list[Loop] = []
        self.carried: dict[object, dict[Var, LangType]] = {}  # fixpoints of loops, by node, from the last time
        self.checkpoints: set[object] = set()  # the loops marked `@checkpoint`, by key
        self.temporaries: dict[tuple[object, str], Var] = {}
        self.declared_result: LangType | None = None
        self.index_ends: list[Callable[[], Val]] = []  # what `end` means, innermost index last
        self.constructing: object | None = None  # the struct whose inner constructor this is

    @property
    def sites(self) -> Sites:
        return self.unit.sites

    @property
    def span(self) -> Span:
        return self.b.span

    # ------------------------------------------------------------ variables
    def read(self, var: Var, span: Span) -> Val:
        slot = self.env.get(var)
        if slot is None:
            hint = ""
            if self.namespace.global_(var.name) is not None:
                hint = f"{var.name} is assigned here, so it is local; the global {var.name} is another variable"
            self.fail("E0410", f"{var.name} is read before it has a value", hint=hint)
        if slot.conflict is not None:
            raise slot.conflict
        if slot.defined is not None:
            self.check(slot.defined, "E0410", f"{var.name} is read before it has a value")
            slot = self.env[var] = Slot(slot.val, None, None, slot.span)
        if var.boxed:
            return self.load_box(slot.val, var.name)
        return slot.val

    def assign(self, var: Var, val: Val, span: Span) -> None:
        if var.boxed:
            self.store_box(self.env[var].val, val, var.name, span)
        else:
            self.env[var] = Slot(val, None, None, span)

    def declare_boxes(self, scope: Scope) -> None:
        """Make the boxes of a scope that is entered."""
        for var in scope.names.values():
            if var.boxed and var.scope is scope:
                self.env[var] = Slot(self.new_box(var))

    def temporary(self, key: object, name: str) -> Var:
        """A variable of the compiler's own; the same one each time the same place is lowered."""
        found = self.temporaries.get((key, name))
        if found is None:
            found = self.temporaries[key, name] = Var(name, self.scope)
        return found

    # ------------------------------------------------------------ boxes
    def new_box(self, key: object) -> Val:
        site = self.site(key)
        (item,) = self.contents(site, 1)
        t = RefType(item, site)
        (leaf,) = leaves(t)
        return Val(t, (self.b.op("new", (self.b.i64(1),), (leaf,)).result,))

    def load_box(self, box: Val, name: str) -> Val:
        assert isinstance(box.type, RefType)
        item = self.current(box.type)[0]
        if item == BOTTOM:
            self.fail("E0410", f"{name} is read before it has a value")
        return self.load(box.leaf, 0, item)

    def store_box(self, box: Val, val: Val, name: str, span: Span) -> None:
        assert isinstance(box.type, RefType)
        val = self.fit(val, box.type, 0, f"the captured variable {name}", span)
        self.store(box.leaf, 0, val)

    # ------------------------------------------------------------ memory
    def site(self, key: object) -> int:
        return self.sites.at((self.spec.site_key, key))

    def contents(self, site: int, n: int) -> tuple[LangType, ...]:
        t = self.sites.type(site)
        return t.items if isinstance(t, TupleType) else (BOTTOM,) * n

    def current(self, t: LangType) -> tuple[LangType, ...]:
        """The element types of a memory type as known by now (its site may have been widened since)."""
        site = getattr(t, "site", 0)
        declared = joins.contents_of(t)
        return self.contents(site, len(declared)) if site else declared

    def fit(self, val: Val, t: LangType, k: int, what: str, span: Span) -> Val:
        """A value converted to element type k of a memory type, which is widened to hold it where it may be."""
        site = getattr(t, "site", 0)
        have = self.current(t)
        joined = joins.join(have[k], val.type, self.sites)
        if joined == have[k]:
            return joins.adapt(self, val, joined)
        if joined is None or not site or self.sites.is_fixed(site):
            raise error("E0202", f"{what} holds {show_type(have[k])} and is given {show_type(val.type)}", span)
        if depth(joined) > joins.MAX_DEPTH:
            raise joins.too_deep(joined, span)
        self.sites.set(site, TupleType((*have[:k], joined, *have[k + 1 :])))
        return joins.adapt(self, val, joined)

    def load(self, mem: Value, index: Value | int, t: LangType, first: int = 0) -> Val:
        if t == BOTTOM:  # nothing is known to be in there: nothing is, or this will be lowered again
            self.unreachable()
        at = self.b.i64(index) if isinstance(index, int) else index
        wanted = leaves(t)
        if not self.layout_fits(mem, first, wanted):
            return Val(t, tuple(self.b.zero(w) for w in wanted))
        if not wanted:
            return Val(t)
        return Val(t, tuple(self.b.op("load", (mem, at), wanted, first=first).results))

    def store(self, mem: Value, index: Value | int, val: Val, first: int = 0) -> None:
        at = self.b.i64(index) if isinstance(index, int) else index
        if val.leaves and self.layout_fits(mem, first, leaves(val.type)):
            self.b.op("store", (mem, at, *val.leaves), first=first)

    def layout_fits(self, mem: Value, first: int, wanted: tuple[object, ...]) -> bool:
        """False in a lowering that will be done again, since a site has been widened after the memory was made."""
        fields = mem.type.fields  # type: ignore[union-attr]
        if fields[first : first + len(wanted)] == wanted:
            return True
        assert self.sites.dirty, (mem.type, first, wanted)
        return False

    # ------------------------------------------------------------ numbers, checks
    def number(self, v: Val, to: LangType) -> Val:
        return joins.number(self, v, to)

    def check(self, ok: Value, code: str, text: str, *operands: Value, hint: str = "") -> None:
        self.b.op("check", (ok, *operands), code=code, text=text, hint=hint)

    def fail(self, code: str, text: str, *operands: Value, hint: str = "") -> NoReturn:
        """An error that is raised whenever control gets here."""
        self.check(self.b.bool(False), code, text, *operands, hint=hint)
        self.spec.raises = True
        self.unreachable()

    def unreachable(self) -> NoReturn:
        self.b.op("unreachable")
        raise Diverged

    # ------------------------------------------------------------ exits
    def leave(self, val: Val, span: Span) -> NoReturn:
        """`return val`"""
        self.returns.append(Return(self.b, val, span))
        raise Diverged

    def break_from(self, loop: Loop) -> NoReturn:
        depth = len(self.loops) - 1 - self.loops.index(loop)
        loop.breaks.append(Exit(self.b, dict(self.env), depth))
        raise Diverged

    def continue_in(self, loop: Loop) -> NoReturn:
        if loop.block:
            self.break_from(loop)
        loop.nexts.append(Exit(self.b, dict(self.env)))
        raise Diverged

    def pending(self) -> list[tuple[list[object], int]]:
        """The lists of pending exits with their lengths, to forget what an abandoned attempt adds."""
        lists: list[list[object]] = [self.returns]  # type: ignore[list-item]
        for loop in self.loops:
            lists += [loop.nexts, loop.breaks]  # type: ignore[list-item]
        return [(entries, len(entries)) for entries in lists]

    @staticmethod
    def forget(marks: list[tuple[list[object], int]]) -> None:
        for entries, n in marks:
            del entries[n:]

    # ------------------------------------------------------------ spans
    def at(self, node: ast.Node) -> None:
        if node.span.end > node.span.start:
            self.b.span = node.span
