"""The syntax tree: frozen dataclasses, each with the span it was read from.

Operators are calls: `x + 1` is `Call(Name("+"), (x, 1))`, `-x` is `Call(Name("-"), (x,))`, `x'` is `Prime(x)`.
Chains of `+` and `*` are one n-ary call, as in Julia. Broadcasting (`f.(x)`, `x .+ y`) is `DotCall`.
"""

from __future__ import annotations

from typing import TypeAlias

from dsl.diagnostics import NO_SPAN, Span
from dsl.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    span: Span = field(default=NO_SPAN, kw_only=True, compare=False, repr=False)


# ---------------------------------------------------------------- atoms


@dataclass(frozen=True, slots=True)
class Number(Node):
    """`value` is an int (Int64) or a float; `single` for `3.0f0`."""

    value: int | float
    single: bool = False


@dataclass(frozen=True, slots=True)
class Bool(Node):
    value: bool


@dataclass(frozen=True, slots=True)
class Nothing(Node):
    pass


@dataclass(frozen=True, slots=True)
class Name(Node):
    """An identifier (NFC), or an operator used as a function. π and \\pi are `pi`… spelt `π`; ℯ stays `ℯ`."""

    id: str


@dataclass(frozen=True, slots=True)
class Symbol(Node):
    """`:a`, also `:+`."""

    id: str


@dataclass(frozen=True, slots=True)
class String(Node):
    """Literal text and interpolated expressions, in order."""

    parts: tuple[str | Expr, ...]


@dataclass(frozen=True, slots=True)
class Colon(Node):
    """A lone `:` as an index."""


@dataclass(frozen=True, slots=True)
class End(Node):
    """`end` inside an index."""


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Keyword(Node):
    """`name = value` after the `;` (or `among` the arguments) of a call."""

    name: str
    value: Expr
    among: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Splat(Node):
    """`xs...`"""

    value: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`fn(args…; keywords…)`; a `do` block is its first argument. `infix` for operators written between operands."""

    fn: Expr
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    infix: bool = False


@dataclass(frozen=True, slots=True)
class DotCall(Node):
    """`f.(args…)`, or a dotted operator."""

    fn: Expr
    args: tuple[Expr, ...]
    infix: bool = False


@dataclass(frozen=True, slots=True)
class Prime(Node):
    """`x'`"""

    value: Expr


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`value[indices…]`"""

    value: Expr
    indices: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Field(Node):
    """`value.name`"""

    value: Expr
    name: str


@dataclass(frozen=True, slots=True)
class TypeApply(Node):
    """`T{params…}`"""

    base: Expr
    params: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class SubtypeOf(Node):
    """`<:T` as a type parameter (`Vector{<:Real}`)."""

    bound: Expr


@dataclass(frozen=True, slots=True)
class Typed(Node):
    """`value::type` as an expression (an assertion)."""

    value: Expr
    type: Expr


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`a < b <= c`: operands one more than operators; the operators `&&`-ed, each operand evaluated once."""

    operators: tuple[str, ...]
    operands: tuple[Expr, ...]
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class And(Node):
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Or(Node):
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Tuple(Node):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class NamedTuple(Node):
    """`(a = 1, b = 2)`"""

    names: tuple[str, ...]
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Range(Node):
    """`start:stop`, `start:step:stop`"""

    start: Expr
    step: Expr | None
    stop: Expr


@dataclass(frozen=True, slots=True)
class Pair(Node):
    """`a => b`"""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class ArrayLit(Node):
    """`[a, b]`; a matrix `[a b; c d]` has `rows`. `eltype` for `T[…]`."""

    items: tuple[Expr, ...]
    rows: tuple[tuple[Expr, ...], ...] | None = None
    eltype: Expr | None = None


@dataclass(frozen=True, slots=True)
class Iterator_(Node):
    """`target in iterable` of a `for` or a comprehension."""

    target: Target
    iterable: Expr


@dataclass(frozen=True, slots=True)
class Comprehension(Node):
    """`[e for i in a, j in b if c]`; `generator` for the form without brackets (an argument of a call)."""

    body: Expr
    iterators: tuple[Iterator_, ...]
    condition: Expr | None
    generator: bool
    eltype: Expr | None = None


@dataclass(frozen=True, slots=True)
class Param(Node):
    """A parameter of a function. `name` is "" for `::T`; `target` a destructuring tuple; `default` after `=`."""

    name: str
    type: Expr | None = None
    default: Expr | None = None
    variadic: bool = False
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class TypeVar(Node):
    """`T<:bound` of a `where` or of a struct's parameters."""

    name: str
    bound: Expr | None = None


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """`x -> e`, `(x, y) -> e`, `function (x) … end`, a `do` block."""

    params: tuple[Param, ...]
    body: Expr
    keywords: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if`/`elseif`/`else`/`end` and `? :`. `orelse` is another If for an `elseif`, None without an else."""

    cond: Expr
    then: Expr
    orelse: Expr | None
    ternary: bool = False


@dataclass(frozen=True, slots=True)
class Block(Node):
    """Statements in order; its value is the last one's. `begin … end`, bodies, `(a; b)`."""

    statements: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Let(Node):
    bindings: tuple[Assign, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class MacroCall(Node):
    """`@assert c "text"`, `@show x`, `@view a[1:2]`, `@simd for …`, `@code_llvm f(x)`, `@checkpoint for …`"""

    name: str
    args: tuple[Expr, ...]


# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`target = value`; an expression, too (its value is the right side). `target` is a Name, Typed, Index, Field or
    Tuple of targets (with Splat); `dotted` for `.=`."""

    target: Target
    value: Expr
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class OpAssign(Node):
    """`target op= value`; `op` is "+", … ; `dotted` for `.+=`."""

    op: str
    target: Target
    value: Expr
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class While(Node):
    cond: Expr
    body: Block


@dataclass(frozen=True, slots=True)
class For(Node):
    """Several iterators are nested loops that one `break` leaves together."""

    iterators: tuple[Iterator_, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Break(Node):
    pass


@dataclass(frozen=True, slots=True)
class Continue(Node):
    pass


@dataclass(frozen=True, slots=True)
class Return(Node):
    value: Expr | None


@dataclass(frozen=True, slots=True)
class Local(Node):
    """`local x`, `local x = 1`, `global x` (`is_global`)."""

    names: tuple[str, ...]
    value: Expr | None = None
    is_global: bool = False


@dataclass(frozen=True, slots=True)
class FunctionDef(Node):
    """A named method. `name` is an identifier or operator; `callee` a Param for a callable struct `(m::Affine)(x)`.
    `result` is the declared return type; `adjoint` for `@adjoint f(x) = …`. The name of `Base.sin(x) = …` is
    `Base.sin`."""

    name: str
    params: tuple[Param, ...]
    body: Expr
    keywords: tuple[Param, ...] = ()
    type_vars: tuple[TypeVar, ...] = ()
    result: Expr | None = None
    callee: Param | None = None
    adjoint: bool = False
    doc: str = ""
    short: bool = False


@dataclass(frozen=True, slots=True)
class StructDef(Node):
    """Fields are Params (name, type). `inner` are constructors written inside."""

    name: str
    type_vars: tuple[TypeVar, ...]
    supertype: Expr | None
    fields: tuple[Param, ...]
    mutable: bool = False
    inner: tuple[FunctionDef, ...] = ()
    doc: str = ""


@dataclass(frozen=True, slots=True)
class AbstractDef(Node):
    """`abstract type Shape <: Any end`"""

    name: str
    supertype: Expr | None = None


@dataclass(frozen=True, slots=True)
class Const(Node):
    assign: Assign


@dataclass(frozen=True, slots=True)
class Import(Node):
    """`import Base: +, -`, `using LinearAlgebra`."""

    module: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Include(Node):
    path: str


@dataclass(frozen=True, slots=True)
class File(Node):
    """A whole file: its top-level statements in order. `doc` strings are on the definitions."""

    statements: tuple[Expr, ...]


Expr: TypeAlias = Node
Target: TypeAlias = Node
