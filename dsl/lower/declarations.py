"""What a program declares: functions with their methods, structs, abstract types, globals, and the names of these.

Declarations know nothing of lowering. The key of a function type is one of these objects (or of `functions`), which
are compared by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dsl.diagnostics import NO_SPAN, Span
from dsl.lower.patterns import ANY, Abstract, GenericP, Pattern, TypeVarP
from dsl.lower.scopes import FunctionScope, analyse
from dsl.records import dataclass, field
from dsl.syntax import ast
from dsl.types import BOTTOM, LangType, StructType, leaves

if TYPE_CHECKING:
    from dsl.lower.builtins.registry import Builtin


@dataclass(eq=False)
class Parameter:
    """A parameter of a method: what it takes, and what it is when it is not given."""

    name: str
    pattern: Pattern
    default: ast.Expr | None = None
    variadic: bool = False
    target: ast.Node | None = None


@dataclass(eq=False)
class Method:
    """One method. `required` positional parameters must be given; `struct` is set for inner constructors."""

    name: str
    node: ast.FunctionDef | ast.Lambda
    params: list[Parameter]
    keywords: list[Parameter]
    namespace: Namespace
    scope: FunctionScope
    type_vars: dict[str, TypeVarP]
    result: Pattern | None = None
    struct: StructDecl | None = None
    specialisations: int = 0

    @property
    def span(self) -> Span:
        return self.node.span

    @property
    def required(self) -> int:
        return sum(p.default is None and not p.variadic for p in self.params)

    @property
    def variadic(self) -> bool:
        return bool(self.params) and self.params[-1].variadic

    @property
    def signature(self) -> str:
        shown = []
        for p in self.params:
            text = p.name if p.pattern is ANY else f"{p.name}::{p.pattern}"
            shown.append(text + ("..." if p.variadic else "") + ("=…" if p.default is not None else ""))
        return f"{self.name}({', '.join(shown)})"


@dataclass(eq=False)
class GenericFunction:
    """A function by name: its methods, and the built-in meaning that they extend. `rules` are the derivative rules
    given with `@adjoint`."""

    name: str
    namespace: Namespace
    builtin: Builtin | None = None
    methods: list[Method] = field(default_factory=list)
    rules: list[Method] = field(default_factory=list)
    ruled: bool = False  # some `rrule` or `frule` names it
    doc: str = ""

    def __repr__(self) -> str:
        return f"<function {self.name}>"


@dataclass(eq=False)
class StructDecl:
    """A struct. Fields whose type is not declared (or abstract) are further, hidden type parameters of an immutable
    struct; of a mutable one their types belong to the site that makes it."""

    name: str
    type_vars: tuple[TypeVarP, ...]
    names: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    supertype: Abstract
    mutable: bool
    node: ast.StructDef
    open_fields: tuple[bool, ...]
    substitute: Callable[[Pattern, dict[str, LangType]], Pattern]
    inner: list[Method] = field(default_factory=list)
    outer: GenericFunction | None = None
    calls: GenericFunction | None = None
    doc: str = ""

    @property
    def hidden(self) -> tuple[int, ...]:
        """The fields that are hidden type parameters."""
        return () if self.mutable else tuple(k for k, o in enumerate(self.open_fields) if o)

    def site_fields(self) -> tuple[int, ...]:
        return tuple(k for k, o in enumerate(self.open_fields) if o) if self.mutable else ()

    def plain(self) -> StructType | None:
        """The type, where it has no parameters of any kind."""
        return None if self.type_vars or any(self.open_fields) else self.instantiate(())

    def instantiate(
        self, params: tuple[LangType, ...], open_items: tuple[LangType, ...] = (), site: int = 0
    ) -> StructType:
        """The type for parameters (the declared ones, then the hidden ones)."""
        binds = {v.name: p for v, p in zip(self.type_vars, params, strict=False)}
        given = iter(open_items if self.mutable else params[len(self.type_vars) :])
        items = tuple(
            next(given, BOTTOM) if is_open else self.substitute(p, binds)
            for p, is_open in zip(self.patterns, self.open_fields, strict=True)
        )
        return StructType(self, self.name, params, self.names, items, self.mutable, site)  # type: ignore[arg-type]

    def with_items(self, t: StructType, items: tuple[LangType, ...], site: int) -> StructType:
        """A mutable struct's type with other types for its open fields."""
        return StructType(self, self.name, t.params, self.names, items, self.mutable, site)

    def field_offset(self, t: StructType, k: int) -> int:
        return sum(len(leaves(i)) for i in t.items[:k])

    def __repr__(self) -> str:
        return f"<struct {self.name}>"


@dataclass(frozen=True)
class Global:
    """A top-level value: its type and its leaves as the driver gave them."""

    type: LangType
    leaves: tuple[Any, ...]
    const: bool = False
    span: Span = NO_SPAN


class Namespace:
    """Names at top level: the user's, with the standard library behind it, with the built-in ones behind that.
    `take` makes the library declare a name, where it has it."""

    def __init__(
        self,
        parent: Namespace | None,
        builtins: Callable[[str], GenericFunction | None],
        take: Callable[[str], object] | None = None,
    ) -> None:
        self.parent = parent
        self.builtins = builtins
        self.take = take
        self.functions: dict[str, GenericFunction] = {}
        self.types: dict[str, StructDecl | Abstract | LangType] = {}
        self.globals: dict[str, Global] = {}
        self.imported: set[str] = set()
        self.span = NO_SPAN

    def chain(self) -> Iterator[Namespace]:
        here: Namespace | None = self
        while here is not None:
            yield here
            here = here.parent

    def function(self, name: str) -> GenericFunction | None:
        for ns in self.chain():
            if name in ns.functions:
                return ns.functions[name]
        return self.builtins(name)

    def type(self, name: str) -> StructDecl | Abstract | LangType | None:
        for ns in self.chain():
            if ns.take is not None:
                ns.take(name)
            if name in ns.types:
                return ns.types[name]
            if name in ns.functions:  # a function of that name is meant, not a type further out
                return None
        return None

    def global_(self, name: str) -> Global | None:
        return next((ns.globals[name] for ns in self.chain() if name in ns.globals), None)

    def type_names(self) -> list[str]:
        return [n for ns in self.chain() for n in ns.types]

    def names(self) -> list[str]:
        return [n for ns in self.chain() for n in (*ns.functions, *ns.globals, *ns.types)]


PatternOf = Callable[["Namespace", "ast.Expr | None", dict[str, Pattern]], Pattern]


def make_method(
    node: ast.FunctionDef | ast.Lambda,
    namespace: Namespace,
    pattern_of: PatternOf,
    scope: FunctionScope | None = None,
    outer_types: dict[str, Pattern] | None = None,
    name: str = "",
) -> Method:
    """A method from its definition. `outer_types` are the type variables in sight around it."""
    names: dict[str, Pattern] = dict(outer_types or {})
    type_vars: dict[str, TypeVarP] = {}
    callee = None
    if isinstance(node, ast.FunctionDef):
        name = node.name
        callee = node.callee
        for v in node.type_vars:
            names[v.name] = type_vars[v.name] = TypeVarP(v.name, pattern_of(namespace, v.bound, names))

    def parameter(p: ast.Param) -> Parameter:
        wanted = pattern_of(namespace, p.type, names)
        if isinstance(wanted, GenericP) and wanted.name == "Vararg":
            return Parameter(p.name, wanted.params[0] if wanted.params else ANY, p.default, True, p.target)
        return Parameter(p.name, wanted, p.default, p.variadic, p.target)

    positional = (callee, *node.params) if callee is not None else node.params
    result = None
    if isinstance(node, ast.FunctionDef) and node.result is not None:
        result = pattern_of(namespace, node.result, names)
    if scope is None:
        scope = analyse(node, (*positional, *node.keywords), node.body)
    params = [parameter(p) for p in positional]
    return Method(name, node, params, [parameter(p) for p in node.keywords], namespace, scope, type_vars, result)
