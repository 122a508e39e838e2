"""Derivatives as functions of the language: `f'`, `gradient`, `withgradient`, `pullback`, `pushforward`, `hessian` …

All of them name a *target*: the IR function that calls the value f with arguments of the given types. What an entry of
a gradient is (a number, `nothing`, a named tuple …) is settled here, from the types and from the influence of each
input on the result in the target as it was written; the ops `vjp`, `jvp`, `vjp_fwd`, `vjp_rev` do the rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from dsl.analysis.influence import Path
from dsl.diagnostics import DslWarning, Span, error
from dsl.ir.core import Region, Value
from dsl.lower.arrays import adjoint, is_array
from dsl.lower.builtins.entries import REALS, Entries, entry
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import ClosureCode, Keywords, accepts, call_spec, call_value, caller, ir_name
from dsl.lower.declarations import GenericFunction
from dsl.lower.frame import Frame
from dsl.lower.scopes import FunctionScope
from dsl.lower.sites import erase
from dsl.lower.specialise import Spec
from dsl.lower.values import Val, fn_val, is_number, items_of, named_val, show_type, tuple_val
from dsl.ops import Builder
from dsl.syntax import ast
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT32,
    FLOAT64,
    I64,
    NOTHING,
    OBJ,
    FnType,
    Irrational,
    LangType,
    LeafType,
    Mem,
    NamedTupleType,
    ObjType,
    Prim,
    StructType,
    TupleType,
    VariantType,
    VectorType,
    is_ref,
    leaves,
    tangent,
)  # fmt: skip

# ---------------------------------------------------------------- targets


@dataclass(frozen=True)
class Target:
    """The function that applies a value of type `fn` to arguments of types `args`; `spec` is its specialisation."""

    spec: Spec
    fn: LangType
    args: tuple[LangType, ...]

    @property
    def first(self) -> int:
        """The number of leaves before those of the arguments."""
        return len(leaves(self.fn))


def target(f: Frame, fn: LangType, args: tuple[LangType, ...], span: Span) -> Target:
    """Make (or find) a target. A derivative of a function that is still being lowered needs itself: an error."""
    name = fn.name if isinstance(fn, FnType | StructType) else "f"
    names = parameter_names(fn, args)

    def lower(frame: Frame, vals: list[Val]) -> None:
        result = call_value(frame, vals[0], vals[1:], {}, span)
        if isinstance(result.type, Irrational):
            result = frame.number(result, FLOAT64)
        frame.leave(result, span)

    spec = f.unit.specialise(
        ("apply", fn, args), ("apply", erase(fn), tuple(map(erase, args))), owner=("apply", name),
        stem=f"{ir_name(name)}.call", title=f"{name}({', '.join(map(show_type, args))})", span=span,
        namespace=f.namespace, scope=FunctionScope(None, ast.Nothing(), 0),
        params=[(fn, name), *zip(args, names, strict=True)], lower=lower,
    )  # fmt: skip
    if spec.active or spec.low is not None:
        raise error(
            "E0504", f"the derivative of {name} is taken inside {name} itself, so every order of it is needed", span,
            hint="take the derivative outside the recursion",
        )  # fmt: skip
    return Target(spec, fn, args)


def parameter_names(fn: LangType, args: Sequence[LangType]) -> list[str]:
    """What the user calls the parameters that these arguments go to; x, x2 … where there is no such name."""
    nodes: Sequence[ast.Node] = ()
    if isinstance(fn, FnType) and isinstance(fn.key, GenericFunction):
        nodes = [m.node for m in fn.key.methods if accepts(m, args)]
    elif isinstance(fn, FnType) and isinstance(fn.key, ClosureCode):
        nodes = [scope.node for scope in fn.key.functions]
    given = [p.name for p in getattr(nodes[0], "params", ())] if len(nodes) == 1 else []
    return [given[k] if k < len(given) and given[k] else f"x{k + 1 if k else ''}" for k in range(len(args))]


def arguments(f: Frame, args: Sequence[Val]) -> list[Val]:
    """Arguments to differentiate with respect to: π and ℯ are numbers here."""
    return [f.number(a, FLOAT64) if isinstance(a.type, Irrational) else Val(a.type, a.leaves) for a in args]


def is_function(v: Val) -> bool:
    return isinstance(v.type, FnType | VariantType) or (isinstance(v.type, StructType) and not v.type.mutable)


def require_real(t: LangType, what: str, span: Span) -> None:
    if t in REALS or t == BOTTOM:
        return
    if isinstance(t, StructType) and t.name == "Complex":
        raise error("E0502", f"{what} needs a real result; this function gives {show_type(t)}", span,
                    hint="take `real(…)`, `imag(…)` or `abs2(…)` of it")  # fmt: skip
    raise error("E0501", f"{what} needs a function that gives one real number; this one gives {show_type(t)}", span,
                hint=_scalar_hint(t))  # fmt: skip


def _scalar_hint(t: LangType) -> str:
    match t:
        case StructType() | NamedTupleType() if t.names:
            return f"take a field of the result (`.{t.names[0]}`), or use `jacobian` or `pullback`"
        case TupleType():
            return "take an element of the result (`[1]`), or use `jacobian` or `pullback`"
        case VectorType():
            return "take an element or the sum of the result, or use `jacobian` or `pullback`"
        case FnType():
            return "the result is a function: call it"
    return "use `pullback` for a result that is no number"


# ---------------------------------------------------------------- inputs that matter


def reach_of(f: Frame, t: Target) -> frozenset[Path]:
    """The inputs of a target that may influence any of its scalar results."""
    influence = f.unit.influence
    found: frozenset[Path] = frozenset()
    for k, leaf in enumerate(t.spec.fn.results):
        if not is_ref(leaf):
            found |= influence.reaching(t.spec.name, k)
    return found


def active_leaves(t: Target, reach: frozenset[Path]) -> list[int]:
    """The leaf parameters to differentiate with respect to, captures left out."""
    heads = {path[0] for path in reach}
    types = t.spec.fn.params
    return [k for k in range(t.first, len(types)) if k in heads and tangent(types[k].type) is not None]


def warn_of_steering(f: Frame, t: Target, reach: frozenset[Path], names: Sequence[str], span: Span) -> None:
    """An input that only decides which way the program goes has no derivative; people expect one of a float."""
    compared = f.unit.influence.compared(t.spec.name)
    for k, p in enumerate(t.spec.fn.params[t.first :], t.first):
        if (k,) in compared and (k,) not in reach and p.type != I64:
            what = names[k - t.first] if k - t.first < len(names) else p.hint
            place = f" ({span.source.name}:{span.line})" if span.source.name else ""
            warnings.warn(f"{what} only steers control flow, so its derivative is nothing{place}", DslWarning, 2)


# ---------------------------------------------------------------- gradients


def seeds_for(f: Frame, results: Sequence[LeafType]) -> list[Value]:
    """The seed 1.0 for each scalar result."""
    return [f.b.const(1.0, d) for r in results if not is_ref(r) and (d := tangent(r)) is not None]


def run_gradient(f: Frame, fn: Val, args: list[Val], what: str) -> tuple[Val, list[Val]]:
    """The value of a function and the gradient entries of its arguments."""
    span = f.span
    args = arguments(f, args)
    t = target(f, fn.type, tuple(a.type for a in args), span)
    require_real(t.spec.result, what, span)
    operands = [*fn.leaves, *(leaf for a in args for leaf in a.leaves)]
    reach = reach_of(f, t)
    warn_of_steering(f, t, reach, [a.hint for a in t.spec.fn.params[t.first :]], span)
    wrt = active_leaves(t, reach)
    plain = not wrt and not any(is_ref(o.type) for o in operands)  # else what the call writes is to be restored
    if plain or t.spec.result == BOTTOM:
        value = call_spec(f, t.spec, operands, span)
        source = Entries(f, {}, {}, reach)
    else:
        value, source = emit_vjp(f, t, operands, wrt, reach)
    f.b.span = span
    out, at = [], t.first
    for a in args:
        n = len(a.leaves)
        out.append(entry(f, a.type, at, source, a.leaves))
        at += n
    return value, out


def emit_vjp(
    f: Frame, t: Target, operands: Sequence[Value], wrt: list[int], reach: frozenset[Path]
) -> tuple[Val, Entries]:
    shadows = make_shadows(f, wrt, operands)
    scalars = [k for k in wrt if k not in shadows]
    results = list(t.spec.fn.results)
    types = results + [d for k in scalars if (d := tangent(operands[k].type)) is not None]
    op_args = [*operands, *seeds_for(f, results), *shadows.values()]
    made = f.b.op("vjp", op_args, types, fn=t.spec.name, wrt=tuple(wrt)).results
    n = len(results)
    return Val(t.spec.result, tuple(made[:n])), Entries(f, dict(zip(scalars, made[n:], strict=True)), shadows, reach)


def make_shadows(f: Frame, wrt: Sequence[int], operands: Sequence[Value]) -> dict[int, Value]:
    out = {}
    for k in wrt:
        t = operands[k].type
        if is_ref(t):
            d = tangent(t)
            assert d is not None
            out[k] = f.b.op("shadow", (operands[k],), (d,)).result
    return out


@builtin("gradient", forms=("gradient(f, x…)",))
def gradient(f: Frame, args: list[Val]) -> Val | None:
    if len(args) < 2 or not is_function(args[0]):
        return None
    return tuple_val(run_gradient(f, args[0], args[1:], "gradient")[1])


@builtin("withgradient", forms=("withgradient(f, x…)",))
def withgradient(f: Frame, args: list[Val]) -> Val | None:
    if len(args) < 2 or not is_function(args[0]):
        return None
    value, entries = run_gradient(f, args[0], args[1:], "withgradient")
    return named_val(("val", "grad"), [value, tuple_val(entries)])


@builtin("derivative", forms=("derivative(f, x)",))
def derivative(f: Frame, args: list[Val]) -> Val | None:
    if len(args) != 2 or not is_function(args[0]) or not is_number(args[1].type) or args[1].type == BOOLEAN:
        return None
    _, (d,) = run_gradient(f, args[0], args[1:], "a derivative")
    if d.type == NOTHING:
        return Val(FLOAT64, (f.b.f64(0.0),))
    return d


# ---------------------------------------------------------------- f'


class DerivativeCode:
    """The key of `f'`; its one capture is f."""


DERIVATIVE = DerivativeCode()


@builtin("'", forms=("f'", "x'"))
def prime(f: Frame, args: list[Val]) -> Val | None:
    """The derivative of a function; a number is its own conjugate and transpose."""
    (v,) = args
    if isinstance(v.type, FnType):
        return fn_val(DERIVATIVE, f"{v.type.name}'", [("f", v)])
    if isinstance(v.type, VariantType) or (isinstance(v.type, StructType) and is_callable(v.type)):
        return fn_val(DERIVATIVE, "f'", [("f", v)])
    if is_array(v.type):
        return adjoint(f, v)
    return v if is_number(v.type) else None


def is_callable(t: StructType) -> bool:
    return getattr(t.key, "calls", None) is not None


@caller(DerivativeCode)
def _call_derivative(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    f.b.span = span
    (inner,) = items_of(fn)
    result = derivative(f, [inner, *args])
    if result is None:
        assert isinstance(fn.type, FnType)
        shown = ", ".join(show_type(a.type) for a in args)
        raise error("E0301", f"no method matching {fn.type.name}({shown})", span,
                    hint=f"`{fn.type.name}` takes one number; `gradient(f, x…)` takes any arguments")  # fmt: skip
    return result


@builtin("hessian", forms=("hessian(f, x)",))
def hessian(f: Frame, args: list[Val]) -> Val | None:
    """Of a function of one number: the second derivative."""
    if len(args) != 2 or not is_function(args[0]):
        return None
    if isinstance(args[1].type, VectorType):
        raise error("E0901", "hessian of a function of a vector is not supported yet", f.span)
    return derivative(f, [fn_val(DERIVATIVE, "f'", [("f", args[0])]), args[1]])


@builtin("hvp", forms=("hvp(f, x, v)",))
def hvp(f: Frame, args: list[Val]) -> Val | None:
    """Of a function of one number: the second derivative times v."""
    if len(args) == 3 and is_function(args[0]) and any(isinstance(a.type, VectorType) for a in args[1:]):
        raise error("E0901", "hvp of a function of a vector is not supported yet", f.span)
    if len(args) != 3 or not is_number(args[2].type):
        return None
    second = hessian(f, args[:2])
    if second is None:
        return None
    v = f.number(args[2], second.type)
    return Val(second.type, (f.b.prim("mul", second.leaf, v.leaf),))


@builtin("jacobian", forms=("jacobian(f, x…)",))
def jacobian(f: Frame, args: list[Val]) -> Val | None:
    raise error("E0901", "jacobian gives matrices, which are not supported yet", f.span,
                hint="`gradient` for one real result, `pullback` or `pushforward` for several")  # fmt: skip


@builtin("taylor", forms=("taylor(f, x, n)",))
def taylor(f: Frame, args: list[Val]) -> Val | None:
    raise error("E0901", "taylor gives a vector of coefficients, which is not supported yet", f.span,
                hint="`f'(x)`, `f''(x)` … are the derivatives")  # fmt: skip


# ---------------------------------------------------------------- pullback


@dataclass(frozen=True)
class PullbackCode:
    """The key of what `pullback` gives: the types of the function and its arguments. It captures the record, the
    function and the arguments (the latter for the shapes of their gradients)."""

    fn: LangType
    args: tuple[LangType, ...]


@builtin("pullback", forms=("pullback(f, x…)",))
def pullback(f: Frame, args: list[Val]) -> Val | None:
    if len(args) < 2 or not is_function(args[0]):
        return None
    span, fn, xs = f.span, args[0], arguments(f, args[1:])
    types = tuple(x.type for x in xs)
    t = target(f, fn.type, types, span)
    operands = [*fn.leaves, *(leaf for x in xs for leaf in x.leaves)]
    if t.spec.result == BOTTOM:
        return call_spec(f, t.spec, operands, span)
    wrt = active_leaves(t, reach_of(f, t))
    results = t.spec.fn.results
    made = f.b.op("vjp_fwd", operands, [*results, OBJ], fn=t.spec.name, wrt=tuple(wrt)).results
    name = fn.type.name if isinstance(fn.type, FnType) else "f"
    captured = [("record", Val(ObjType(), (made[-1],))), ("f", fn), *((f"x{k + 1}", x) for k, x in enumerate(xs))]
    back = fn_val(PullbackCode(fn.type, types), f"pullback of {name}", captured)
    return tuple_val([Val(t.spec.result, tuple(made[:-1])), back])


@caller(PullbackCode)
def _call_pullback(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    f.b.span = span
    assert isinstance(fn.type, FnType) and isinstance(fn.type.key, PullbackCode)
    if len(args) != 1:
        raise error("E0301", f"a pullback takes one cotangent, not {len(args)} arguments", span,
                    hint="one that has the shape of the result")  # fmt: skip
    t = target(f, fn.type.key.fn, fn.type.key.args, span)
    record, _, *xs = items_of(fn)
    operands = [*(leaf for v in items_of(fn)[1:] for leaf in v.leaves)]
    reach = reach_of(f, t)
    wrt = active_leaves(t, reach)
    shadows = make_shadows(f, wrt, operands)
    scalars = [k for k in wrt if k not in shadows]
    seeds = duals_of(f, t.spec.result, args[0], "the cotangent", span)
    if any(is_ref(s.type) for s in seeds):
        raise error("E0901", f"the pullback of a result that is {show_type(t.spec.result)} is not supported yet", span,
                    hint="give the numbers as a tuple")  # fmt: skip
    types = [d for k in scalars if (d := tangent(operands[k].type)) is not None]
    op_args = [record.leaf, *seeds, *shadows.values()]
    made = f.b.op("vjp_rev", op_args, types, fn=t.spec.name, wrt=tuple(wrt)).results
    source = Entries(f, dict(zip(scalars, made, strict=True)), shadows, reach)
    out, at = [], t.first
    for x in xs:
        out.append(entry(f, x.type, at, source, x.leaves))
        at += len(x.leaves)
    return tuple_val(out)


def duals_of(f: Frame, t: LangType, given: Val, what: str, span: Span) -> list[Value]:
    """The tangents or cotangents of a value of type t, leaf by leaf, from what the user gave: a number for a number,
    parts for parts, `nothing` for zero."""
    if given.type == NOTHING:
        if any(is_ref(leaf) for leaf in leaves(t)):
            raise error("E0901", f"{what} of {show_type(t)} is not supported yet", span)
        return [f.b.zero(d) for leaf in leaves(t) if (d := tangent(leaf)) is not None]
    match t:
        case Prim() if t in REALS and is_number(given.type):
            return [f.number(given, FLOAT32 if t == FLOAT32 else FLOAT64).leaf]
        case TupleType() | NamedTupleType() | StructType(mutable=False):
            if isinstance(given.type, TupleType | NamedTupleType | StructType):
                parts = items_of(given)
                if len(parts) == len(t.items):
                    return [d for i, p in zip(t.items, parts, strict=True) for d in duals_of(f, i, p, what, span)]
        case VectorType():
            d = tangent(leaves(t)[0])
            if isinstance(given.type, VectorType) and leaves(given.type) == (d,):
                return [given.leaf]
    if not any(tangent(leaf) is not None for leaf in leaves(t)):
        return []
    raise error("E0301", f"{what} is {show_type(given.type)}, which does not fit {show_type(t)}", span,
                hint="a number for a number, a tuple for a tuple, `nothing` for zero")  # fmt: skip


# ---------------------------------------------------------------- pushforward


@dataclass(frozen=True)
class PushforwardCode:
    """The key of what `pushforward` gives. It captures the function and the arguments."""

    fn: LangType
    args: tuple[LangType, ...]


@builtin("pushforward", forms=("pushforward(f, x…)",))
def pushforward(f: Frame, args: list[Val]) -> Val | None:
    if len(args) < 2 or not is_function(args[0]):
        return None
    fn, xs = args[0], arguments(f, args[1:])
    captured = [("f", fn), *((f"x{k + 1}", x) for k, x in enumerate(xs))]
    return fn_val(PushforwardCode(fn.type, tuple(x.type for x in xs)), "pushforward", captured)


@caller(PushforwardCode)
def _call_pushforward(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    f.b.span = span
    assert isinstance(fn.type, FnType) and isinstance(fn.type.key, PushforwardCode)
    inner, *xs = items_of(fn)
    if len(args) != len(xs):
        raise error("E0301", f"this pushforward takes {len(xs)} tangents, not {len(args)}", span,
                    hint="one for each argument of the function")  # fmt: skip
    t = target(f, fn.type.key.fn, fn.type.key.args, span)
    operands = [*inner.leaves, *(leaf for x in xs for leaf in x.leaves)]
    duals = [d for x, a in zip(xs, args, strict=True) for d in duals_of(f, x.type, a, "a tangent", span)]
    wrt = [k for k in range(t.first, len(operands)) if tangent(operands[k].type) is not None]
    wrt = [k for k in wrt if not isinstance(operands[k].type, type(OBJ))]
    results = t.spec.fn.results
    if t.spec.result == BOTTOM or len(duals) != len(wrt):
        return call_spec(f, t.spec, operands, span)
    duals = [own_tangent(f, operands[k], d) for k, d in zip(wrt, duals, strict=True)]
    outputs = [k for k, r in enumerate(results) if tangent(r) is not None]
    types = [*results, *(d for k in outputs if (d := tangent(results[k])) is not None)]
    made = f.b.op("jvp", [*operands, *duals], types, fn=t.spec.name, wrt=tuple(wrt)).results
    tangents = dict(zip(outputs, made[len(results) :], strict=True))
    refs = {k: v for k, v in tangents.items() if is_ref(v.type)}
    source = Entries(f, {k: v for k, v in tangents.items() if k not in refs}, refs, frozenset())
    return entry(f, t.spec.result, 0, source, made[: len(results)])


def own_tangent(f: Frame, m: Value, given: Value) -> Value:
    """A tangent to differentiate with: that of a vector must be as long, and is copied, since the function may write
    its argument, and the tangent with it."""
    if not isinstance(given.type, Mem):
        return given
    b = f.b
    want, got = (b.op("len", (v,), (I64,)).result for v in (m, given))
    f.check(b.prim("eq", want, got), "E0409", "a tangent of length {0} for a vector of length {1}", got, want)
    copy = b.op("new", (got,), (given.type,)).result
    region = Region([I64])
    body = Builder(region, b.span)
    record = body.op("load", (given, region.params[0]), given.type.fields, first=0).results
    body.op("store", (copy, region.params[0], *record), first=0)
    body.next_()
    b.op("for", (b.i64(0), b.prim("sub", got, b.i64(1)), b.i64(1)), (), (region,))
    return copy


# ---------------------------------------------------------------- no derivative through here


@builtin("ignore_derivatives", forms=("ignore_derivatives(x)", "ignore_derivatives(() -> …)"))
def ignore_derivatives(f: Frame, args: list[Val]) -> Val | None:
    """The value, or that of a function without arguments, as a constant to differentiation."""
    if len(args) == 1 and isinstance(args[0].type, FnType):
        return stop_gradient(f, [call_value(f, args[0], [], {}, f.span)])
    return stop_gradient(f, args)


@builtin("stop_gradient", "dropgrad", forms=("stop_gradient(x)",))
def stop_gradient(f: Frame, args: list[Val]) -> Val | None:
    """The same value, as a constant to differentiation."""
    if len(args) != 1:
        return None
    (v,) = args
    if isinstance(v.type, FnType) and not v.leaves:
        return v
    if any(is_ref(leaf.type) for leaf in v.leaves):
        raise error("E0901", f"stop_gradient of {show_type(v.type)} is not supported yet", f.span,
                    hint="stop the numbers in it")  # fmt: skip
    return Val(v.type, tuple(f.b.op("stop", (leaf,), (leaf.type,)).result for leaf in v.leaves))
