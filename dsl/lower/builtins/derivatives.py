"""Derivatives as functions of the language: `f'`, `gradient`, `withgradient`, `pullback`, `pushforward`, `hessian` …

All of them name a *target*: the IR function that calls the value f with arguments of the given types. What an entry of
a gradient is (a number, `nothing`, a named tuple …) is settled here, from the types and from the influence of each
input on the result in the target as it was written; the ops `vjp`, `jvp`, `vjp_fwd`, `vjp_rev` do the rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from dsl.analysis.influence import Cell, Path, walk_cell
from dsl.diagnostics import DslWarning, Span, error
from dsl.ir.core import Value
from dsl.lower.arrays import adjoint, is_array
from dsl.lower.builtins import copies, duals
from dsl.lower.builtins.duals import REALS
from dsl.lower.builtins.entries import Entries, entry
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import ClosureCode, Keywords, accepts, call_name, call_spec, call_value, caller, ir_name
from dsl.lower.declarations import GenericFunction
from dsl.lower.frame import Frame
from dsl.lower.scopes import FunctionScope
from dsl.lower.sites import erase
from dsl.lower.specialise import Spec
from dsl.lower.values import Val, fn_val, is_number, items_of, named_val, show_type, tuple_val
from dsl.records import dataclass
from dsl.syntax import ast
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT64,
    I64,
    NOTHING,
    OBJ,
    AdjointType,
    ArrayType,
    FnType,
    Irrational,
    LangType,
    LeafType,
    Mem,
    NamedTupleType,
    ObjType,
    StructType,
    TupleType,
    VariantType,
    VectorType,
    is_complex_number,
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


def target(f: Frame, fn: LangType, args: tuple[LangType, ...], span: Span, own: bool = False) -> Target:
    """Make (or find) a target. With `own` its result is memory of its own, where it matters. A derivative of a function
    that is still being lowered needs itself: an error."""
    if own:
        plain = target(f, fn, args, span)
        return _owning(f, plain, span) if _must_own(f, plain) else plain
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


def _must_own(f: Frame, t: Target) -> bool:
    """Whether the result is to be copied: a strided one, and an argument that the function has changed, since a
    derivative call leaves it as it was."""
    result = t.spec.result
    if not any(is_ref(leaf) for leaf in leaves(result)):
        return False
    return copies.own_type(result) != result or any(cell.written for cell in shared_cells(f, t.spec))


def shared_cells(f: Frame, spec: Spec) -> list[Cell]:
    """The memory that the result of a function may have in common with what it was given."""
    flow = f.unit.influence.flow(spec.name)
    given: set[int] = set()
    for p in flow.fn.params:
        if is_ref(p.type):
            given |= {id(c) for c in walk_cell(flow.cell(p))}
    for op in flow.fn.body.walk():
        if op.name == "global":
            given |= {id(c) for c in walk_cell(flow.cell(op.result))}
    return [c for root in flow.result_cells.values() for c in walk_cell(root) if id(c) in given]


def _owning(f: Frame, t: Target, span: Span) -> Target:
    def lower(frame: Frame, vals: list[Val]) -> None:
        value = call_spec(frame, t.spec, [leaf for v in vals for leaf in v.leaves], span)
        frame.leave(copies.own(frame, value), span)

    names = [p.hint for p in t.spec.fn.params]
    types, at, params = (t.fn, *t.args), 0, []
    for x in types:
        params.append((x, names[at] if leaves(x) else ""))
        at += len(leaves(x))
    spec = f.unit.specialise(
        ("apply own", t.fn, t.args), ("apply own", erase(t.fn), tuple(map(erase, t.args))), owner=("own", t.spec.title),
        stem=f"{t.spec.name}.own", title=t.spec.title, span=span, namespace=f.namespace,
        scope=FunctionScope(None, ast.Nothing(), 0), params=params, lower=lower,
    )  # fmt: skip
    return Target(spec, t.fn, t.args)


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
        case VectorType() | ArrayType() | AdjointType():
            return "take an element or the sum of the result, or use `jacobian` or `pullback`"
        case FnType():
            return "the result is a function: call it"
    return "use `pullback` for a result that is no number"


# ---------------------------------------------------------------- inputs that matter


def reach_of(f: Frame, t: Target) -> frozenset[Path]:
    """The inputs of a target that may influence its result."""
    influence = f.unit.influence
    found: frozenset[Path] = frozenset()
    for k in duals.carried_places([t.spec.result]):
        found |= influence.reaching(t.spec.name, k)
    return found


def active_leaves(t: Target, reach: frozenset[Path]) -> list[int]:
    """The leaf parameters to differentiate with respect to, captures left out."""
    heads = {path[0] for path in reach}
    return [k for k in duals.carried_places([t.fn, *t.args]) if k >= t.first and k in heads]


def warn_of_steering(f: Frame, t: Target, reach: frozenset[Path], names: Sequence[str], span: Span) -> None:
    """An input that only decides which way the program goes has no derivative; people expect one of a float."""
    compared = f.unit.influence.compared(t.spec.name)
    for k, p in enumerate(t.spec.fn.params[t.first :], t.first):
        if (k,) in compared and (k,) not in reach and p.type != I64:
            what = names[k - t.first] if k - t.first < len(names) else p.hint
            place = f" ({span.source.name}:{span.line})" if span.source.name else ""
            f.unit.session.warned += 1
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
    if is_complex_number(v.type):
        return call_name(f, "conj", [v])
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


# ---------------------------------------------------------------- pullback


@dataclass(frozen=True)
class PullbackCode:
    """The key of what `pullback` gives: the types of the function and its arguments. It captures the record, the shape
    of the value, the function and the arguments (the latter for the shapes of their gradients)."""

    fn: LangType
    args: tuple[LangType, ...]


@builtin("pullback", forms=("pullback(f, x…)",))
def pullback(f: Frame, args: list[Val]) -> Val | None:
    if len(args) < 2 or not is_function(args[0]):
        return None
    span, fn, xs = f.span, args[0], arguments(f, args[1:])
    types = tuple(x.type for x in xs)
    t = target(f, fn.type, types, span, own=True)
    operands = [*fn.leaves, *(leaf for x in xs for leaf in x.leaves)]
    if t.spec.result == BOTTOM:
        return call_spec(f, t.spec, operands, span)
    wrt = active_leaves(t, reach_of(f, t))
    results = t.spec.fn.results
    made = f.b.op("vjp_fwd", operands, [*results, OBJ], fn=t.spec.name, wrt=tuple(wrt)).results
    name = fn.type.name if isinstance(fn.type, FnType) else "f"
    value = Val(t.spec.result, tuple(made[:-1]))
    shape = Val(TupleType(duals.shape_type(value.type)), tuple(duals.shape_of(f, value)))
    captured = [("record", Val(ObjType(), (made[-1],))), ("shape", shape), ("f", fn)]
    captured += [(f"x{k + 1}", x) for k, x in enumerate(xs)]
    return tuple_val([value, fn_val(PullbackCode(fn.type, types), f"pullback of {name}", captured)])


@caller(PullbackCode)
def _call_pullback(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    f.b.span = span
    assert isinstance(fn.type, FnType) and isinstance(fn.type.key, PullbackCode)
    if len(args) != 1:
        raise error("E0301", f"a pullback takes one cotangent, not {len(args)} arguments", span,
                    hint="one that has the shape of the result")  # fmt: skip
    t = target(f, fn.type.key.fn, fn.type.key.args, span, own=True)
    record, shape, _, *xs = items_of(fn)
    operands = [*(leaf for v in items_of(fn)[2:] for leaf in v.leaves)]
    reach = reach_of(f, t)
    wrt = active_leaves(t, reach)
    shadows = make_shadows(f, wrt, operands)
    scalars = [k for k in wrt if k not in shadows]
    seeds = seeds_given(f, t.spec.result, shape.leaves, args[0], span)
    types = [d for k in scalars if (d := tangent(operands[k].type)) is not None]
    op_args = [record.leaf, *seeds, *shadows.values()]
    made = f.b.op("vjp_rev", op_args, types, fn=t.spec.name, wrt=tuple(wrt)).results
    source = Entries(f, dict(zip(scalars, made, strict=True)), shadows, reach)
    out, at = [], t.first
    for x in xs:
        out.append(entry(f, x.type, at, source, x.leaves))
        at += len(x.leaves)
    return tuple_val(out)


def seeds_given(f: Frame, t: LangType, shape: Sequence[Value], given: Val, span: Span) -> list[Value]:
    """A seed for each result that has one, from a cotangent that the user gave."""
    empty = [f.b.zero(d) for d in duals.dual_leaves([t])]
    t, shape, zeros = duals.settle_all(f, t, shape, empty)
    into = [z if is_ref(z.type) else None for z in zeros]
    return all_duals(f, t, duals.absorb(f, t, shape, into, given, duals.Given("the cotangent", span)))


def all_duals(f: Frame, t: LangType, given: Sequence[Value]) -> list[Value]:
    """The duals of all leaves of a value that the IR has one for, from those of the carried leaves: sizes have zero."""
    rest = iter(given)
    pairs = zip(leaves(t), duals.carried(t), strict=True)
    return [next(rest) if c else f.b.zero(d) for leaf, c in pairs if (d := tangent(leaf)) is not None]


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
    return push_once(f, inner, xs, args, span)[1]


def push_once(f: Frame, fn: Val, xs: Sequence[Val], args: Sequence[Val], span: Span) -> tuple[Val, Val]:
    """The value of a function, and its tangent in the direction of the tangents `args`."""
    t = target(f, fn.type, tuple(x.type for x in xs), span, own=True)
    operands = [*fn.leaves, *(leaf for x in xs for leaf in x.leaves)]
    about = duals.Given("a tangent", span)
    tangents = [d for x, a in zip(xs, args, strict=True) for d in tangent_of(f, x, a, about)]
    wrt = [k for k in duals.carried_places([t.fn, *t.args]) if k >= t.first]
    results = t.spec.fn.results
    if t.spec.result == BOTTOM:
        never = call_spec(f, t.spec, operands, span)
        return never, never
    chosen = [(k, d) for k, d in zip(wrt, tangents, strict=True) if d.type != OBJ]
    outputs = [d for r in results if (d := tangent(r)) is not None]
    op_args = [*operands, *(d for _, d in chosen)]
    made = f.b.op("jvp", op_args, [*results, *outputs], fn=t.spec.name, wrt=tuple(k for k, _ in chosen)).results
    value, rest = Val(t.spec.result, tuple(made[: len(results)])), iter(made[len(results) :])
    by_leaf = [None if tangent(r) is None else next(rest) for r in results]
    carried = [d for d, c in zip(by_leaf, duals.carried(value.type), strict=True) if c and d is not None]
    return value, duals.dual_value(f, value.type, duals.shape_of(f, value), carried)


def tangent_of(f: Frame, x: Val, given: Val, about: duals.Given) -> list[Value]:
    """The duals to differentiate with, of the leaves that carry one, from a tangent that the user gave for x. Memory is
    copied: the function may write its argument, and the tangent with it."""
    into: list[Value | None] = []
    for leaf, carries in zip(x.leaves, duals.carried(x.type), strict=True):
        if carries:
            d = tangent(leaf.type) if isinstance(leaf.type, Mem) else None
            into.append(None if d is None else f.b.op("shadow", (leaf,), (d,)).result)
    return duals.absorb(f, x.type, duals.shape_of(f, x), into, given, about)


# ---------------------------------------------------------------- no derivative through here


@builtin("ignore_derivatives", forms=("ignore_derivatives(x)", "ignore_derivatives(() -> …)"))
def ignore_derivatives(f: Frame, args: list[Val]) -> Val | None:
    """The value, or that of a function without arguments, as a constant to differentiation."""
    if len(args) == 1 and isinstance(args[0].type, FnType):
        return stop_gradient(f, [call_value(f, args[0], [], {}, f.span)])
    return stop_gradient(f, args)


@builtin("stop_gradient", "dropgrad", forms=("stop_gradient(x)",))
def stop_gradient(f: Frame, args: list[Val]) -> Val | None:
    """The same value, as a constant to differentiation. Memory is copied: what is written to the copy later is no
    constant, and does not reach the original."""
    if len(args) != 1:
        return None
    (v,) = args
    if isinstance(v.type, FnType) and not v.leaves:
        return v
    return copies.own(f, v, lambda leaf: f.b.op("stop", (leaf,), (leaf.type,)).result)
