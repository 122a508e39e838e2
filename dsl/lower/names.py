"""What a name means as a value: a local variable, a global, a function, a type, a constant."""

from __future__ import annotations

import math

from dsl.diagnostics import Span, error
from dsl.lower.calls import closure
from dsl.lower.declarations import Global, StructDecl
from dsl.lower.frame import Frame
from dsl.lower.lowering import handles
from dsl.lower.patterns import ABSTRACTS, CONCRETE, GenericP, Pattern, TupleP
from dsl.lower.scopes import FunctionScope
from dsl.lower.suggest import did_you_mean
from dsl.lower.values import UNIT, Val, fn_val, type_val
from dsl.lower.widening import widen_scalars
from dsl.syntax import ast
from dsl.types import BOOLEAN, F32, F64, FLOAT32, FLOAT64, I64, Irrational, IterType, Scalar, leaves

_FLOAT_CONSTANTS = {"Inf": math.inf, "NaN": math.nan, "Inf64": math.inf, "NaN64": math.nan}
_FLOAT32_CONSTANTS = {"Inf32": math.inf, "NaN32": math.nan}
_GENERIC_TYPES: dict[str, Pattern] = {
    "Tuple": TupleP((), ABSTRACTS["Any"]),
    "Matrix": GenericP("Matrix"),
    "Array": GenericP("Array"),
    "Vector": GenericP("Vector"),
    "Ref": GenericP("Ref"),
    "Dict": GenericP("Dict"),
}
# Constants that are records of the library, made of Bools: the struct and its fields.
_OF_THE_LIBRARY = {"im": ("Complex", (False, True)), "I": ("UniformScaling", (True,))}
UNDEF = IterType("undef", ())  # the type of `undef`, as in `Vector{Float64}(undef, n)`
CONSTANTS = ("π", "pi", "ℯ", "im", "I", "nothing", "undef", *_FLOAT_CONSTANTS, *_FLOAT32_CONSTANTS)


@handles(ast.Name)
def lower_name(f: Frame, node: ast.Name, want: bool) -> Val:
    return name_value(f, node.id, node.span)


def name_value(f: Frame, name: str, span: Span) -> Val:
    var = f.scope.lookup(name)
    if var is not None:
        if var.functions:
            return closure(f, var.functions, name, span)
        return f.read(var, span)
    name = name.removeprefix("Base.")
    if name in f.types:
        return type_val(f.types[name])
    found = f.namespace.global_(name)
    if found is not None:
        return global_value(f, name, found)
    value = _declared(f, name)
    if value is not None:
        return value
    known = [*_visible(f), *f.namespace.names(), *f.unit.session.builtin_names(), *CONSTANTS]
    hint = _elsewhere(f, name) or _NOT_HERE.get(name) or did_you_mean(name, known)
    raise error("E0201", f"{name} is not defined", span, hint=hint)


_NOISE = "programs give the same result each time: pass random numbers in as arguments"
_NOT_HERE = {"rand": _NOISE, "randn": _NOISE, "np": "functions of mathematics have no prefix: `sin(x)`"}


def _elsewhere(f: Frame, name: str) -> str:
    """A hint where the name is that of a variable of a loop of this function."""
    work = list(f.scope.function.children.values())
    while work:
        scope = work.pop()
        if isinstance(scope, FunctionScope):
            continue
        if name in scope.names:
            where = "the loop" if scope.is_loop else "the block"
            return f"{name} is local to {where}: give it a value before it"
        work += scope.children.values()
    return ""


def _declared(f: Frame, name: str) -> Val | None:
    declared = f.namespace.type(name)
    if isinstance(declared, StructDecl):
        return fn_val(declared, name)
    if declared is not None:
        return type_val(declared)  # type: ignore[arg-type]
    if name in CONSTANTS and name not in f.namespace.functions:
        return _constant(f, name)
    function = f.namespace.function(name)
    if function is not None:
        return fn_val(function, name)
    for table in (CONCRETE, ABSTRACTS, _GENERIC_TYPES):
        if name in table:
            return type_val(table[name])  # type: ignore[arg-type]
    return None


def _constant(f: Frame, name: str) -> Val:
    if name in ("π", "pi", "ℯ"):
        return Val(Irrational("ℯ" if name == "ℯ" else "π"))
    if name in _OF_THE_LIBRARY:
        struct, parts = _OF_THE_LIBRARY[name]
        declared = f.unit.session.base.type(struct)
        assert isinstance(declared, StructDecl)
        return Val(declared.instantiate((BOOLEAN,)), tuple(map(f.b.bool, parts)))
    if name == "undef":
        return Val(UNDEF)
    if name in _FLOAT_CONSTANTS:
        return Val(FLOAT64, (f.b.const(_FLOAT_CONSTANTS[name], F64),))
    if name in _FLOAT32_CONSTANTS:
        return Val(FLOAT32, (f.b.const(_FLOAT32_CONSTANTS[name], F32),))
    return UNIT


def _visible(f: Frame) -> list[str]:
    return [name for scope in f.scope.chain() for name in scope.names]


def global_value(f: Frame, name: str, g: Global) -> Val:
    """A top-level value: its numbers as constants, its memory by name."""
    now = f.sites.refresh(g.type)
    given = g.leaves if now == g.type else widen_scalars(g.type, now, g.leaves)
    types = leaves(now)
    values = []
    for k, (t, leaf) in enumerate(zip(types, given, strict=True)):
        if isinstance(t, Scalar):
            values.append(f.b.const(leaf, t))
        else:
            values.append(f.b.op("global", (), (t,), name=name, index=k).result)
    known = g.leaves[0] if g.const and types == (I64,) else None
    return Val(now, tuple(values), known)
