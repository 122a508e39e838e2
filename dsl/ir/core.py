"""The structured SSA: values, ops, regions, functions, and a builder for them.

Guarantees: a value is defined once, by an op or as a parameter of a region or function, and is visible in everything
that follows its definition in the same region, nested regions included. Identity is the object, never a name.
What is *not* guaranteed here (types, terminators in place, visibility) is what `verifier` checks.

Control flow is regions. The ops that have them:

    %r... = if %c { … } else { … }                 both arms end in `yield` (or leave, see below)
    %r... = for %i = %lo, %hi, %step (%c = %init…) { … next … }
                                                   %i = lo, lo+step, … while not past hi (inclusive; step ≠ 0 is
                                                   the caller's duty); gives the carried values; has no exits
    %r... = loop (%c = %init…) { … }               everything else; gives the values of the `break` that ended it

Terminators: `yield v…` (of an arm), `next v…` (the next iteration of the innermost loop or for), `break{depth=k} v…`
(leaves the k+1 innermost `loop`s, giving its values to the outermost of these; never crosses a `for`), `return v…`
(of the function; not inside a `for`), `unreachable` (control never gets here). Inside a `loop`, an arm of an `if` may
end in `next`, `break` or `return`; anywhere, an arm may end in `return` or `unreachable`. What follows the `if` stands
once, after it, for the arms that yield. An arm that leaves yields nothing, so the results of the `if` come from the
other one. `loop` with a body that never reaches `next` is a block that can be left early.

All other ops are listed in `dsl.ops` (scalar primitives) and `dsl.ir.opset` (memory, calls, derivatives, effects).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from dsl.diagnostics import NO_SPAN, Span
from dsl.records import dataclass, field
from dsl.types import BOOL, F32, F64, I64, LeafType

TERMINATORS = frozenset({"yield", "next", "break", "return", "unreachable"})


class Value:
    """One SSA value. `hint` is a name for printing only. `owner` is the defining Op, or the Region whose parameter
    it is."""

    __slots__ = ("hint", "owner", "type")

    def __init__(self, type: LeafType, owner: Op | Region | None = None, hint: str = "") -> None:
        self.type = type
        self.owner = owner
        self.hint = hint

    def __repr__(self) -> str:
        return f"<%{self.hint or '?'}: {self.type}>"


class Op:
    """One instruction. `attrs` holds compile-time data (see `opset` for which op has which)."""

    __slots__ = ("args", "attrs", "name", "regions", "results", "span")

    def __init__(
        self,
        name: str,
        args: Sequence[Value] = (),
        result_types: Sequence[LeafType] = (),
        attrs: dict[str, Any] | None = None,
        regions: Sequence[Region] = (),
        span: Span = NO_SPAN,
    ) -> None:
        self.name = name
        self.args: list[Value] = list(args)
        self.attrs: dict[str, Any] = attrs or {}
        self.regions: list[Region] = list(regions)
        self.results: list[Value] = [Value(t, self) for t in result_types]
        self.span = span

    @property
    def result(self) -> Value:
        (value,) = self.results
        return value

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Region:
    """A straight line of ops, the last of which is a terminator. `params` are the values it is entered with."""

    __slots__ = ("ops", "params")

    def __init__(self, param_types: Sequence[LeafType] = (), hints: Sequence[str] = ()) -> None:
        self.params: list[Value] = [Value(t, self) for t in param_types]
        for value, hint in zip(self.params, hints, strict=False):
            value.hint = hint
        self.ops: list[Op] = []

    @property
    def terminator(self) -> Op:
        return self.ops[-1]

    def walk(self) -> Iterator[Op]:
        """Every op in here, nested ones included, in program order (an op before its regions)."""
        stack = [iter(self.ops)]
        while stack:
            for op in stack[-1]:
                yield op
                if op.regions:
                    stack += [iter(region.ops) for region in reversed(op.regions)]
                    break
            else:
                stack.pop()


@dataclass(eq=False)
class Function:
    """A function: the parameters are `body.params`. Everything else is data about it:

    name       unique in its program, a valid IR identifier (letters, digits, `_ . $ ' ` and unicode letters)
    results    leaf types of what `return` gives
    attrs      'rule': a Rule, derivative rules given by the user (such a function is not inlined before `ad`)
               'noinline': True
               'checkpoint': True, reverse mode keeps what goes into a call and runs it again (not inlined before `ad`)
               'sizes': places of parameters that are sizes of arrays, not printed: they decide what is worth while only
    title      what a person calls it (`f(x::Float64)`), for messages and listings
    """

    name: str
    body: Region
    results: tuple[LeafType, ...]
    title: str = ""
    span: Span = NO_SPAN
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def params(self) -> list[Value]:
        return self.body.params


@dataclass(frozen=True)
class Rule:
    """A derivative rule of a function f, as the names of functions in the same program.

    Reverse: `forward(args…) -> (results…, captures…)` replaces the call; `reverse(captures…, seeds…, shadows…) ->
    cotangents` gives one cotangent for each scalar argument named in `wrt` (indices of f's leaf parameters). `seeds`
    are, in order, for each result of f that has a tangent (`tangent(type)` is not None) the cotangent of a scalar or
    the shadow of a memory; `shadows` are those of the memories in `wrt`, to which their cotangents are added. A shadow
    that is null stands for zero (a seed) or for a cotangent that nobody wants.
    Forward: `pushforward(args…, duals of the arguments in wrt…) -> (results…, duals of the results…)`, where a dual is
    the tangent of a scalar or the shadow of a memory (null: zero).
    The function writes no memory that it was given, and memory that it gives is new; these three do so, too.
    Either may be missing ("").
    """

    forward: str = ""
    reverse: str = ""
    pushforward: str = ""
    wrt: tuple[int, ...] = ()


@dataclass(eq=False)
class Program:
    """Functions by name. `fresh(stem)` gives a name not taken."""

    functions: dict[str, Function] = field(default_factory=dict)

    def add(self, fn: Function) -> Function:
        assert fn.name not in self.functions, fn.name
        self.functions[fn.name] = fn
        return fn

    def fresh(self, stem: str) -> str:
        if stem not in self.functions:
            return stem
        k = 1
        while f"{stem}.{k}" in self.functions:
            k += 1
        return f"{stem}.{k}"


class RegionBuilder:
    """Appends ops to a region. `span` is given to every op made from then on. (`dsl.ops.Builder` has primitives.)"""

    def __init__(self, region: Region, span: Span = NO_SPAN) -> None:
        self.region = region
        self.span = span

    # -- any op
    def op(
        self,
        name: str,
        /,
        args: Sequence[Value] = (),
        result_types: Sequence[LeafType] = (),
        regions: Sequence[Region] = (),
        **attrs: Any,
    ) -> Op:
        op = Op(name, args, result_types, attrs, regions, self.span)
        self.region.ops.append(op)
        return op

    # -- constants
    def const(self, value: float | int | bool, type: LeafType) -> Value:
        return self.op("const", (), (type,), value=value).result

    def f64(self, value: float) -> Value:
        return self.const(float(value), F64)

    def i64(self, value: int) -> Value:
        return self.const(value, I64)

    def bool(self, value: bool) -> Value:
        return self.const(value, BOOL)

    def zero(self, type: LeafType) -> Value:
        """Zero, false or the null reference of a leaf type."""
        if type in (F64, F32):
            return self.const(0.0, type)
        if type == I64:
            return self.const(0, I64)
        if type == BOOL:
            return self.const(False, BOOL)
        return self.op("null", (), (type,)).result

    # -- regions
    def if_(
        self,
        cond: Value,
        result_types: Sequence[LeafType],
        then: Callable[[Self], None],
        orelse: Callable[[Self], None],
    ) -> list[Value]:
        """An `if` whose arms are filled by the callbacks; each must end its region with a terminator."""
        regions = (Region(), Region())
        for region, fill in zip(regions, (then, orelse), strict=True):
            fill(type(self)(region, self.span))
        return self.op("if", (cond,), result_types, regions).results

    def yield_(self, *values: Value) -> None:
        self.op("yield", values)

    def next_(self, *values: Value) -> None:
        self.op("next", values)

    def break_(self, *values: Value, depth: int = 0) -> None:
        self.op("break", values, depth=depth)

    def return_(self, *values: Value) -> None:
        self.op("return", values)

    def call(self, fn: Function, args: Sequence[Value]) -> list[Value]:
        return self.op("call", args, fn.results, fn=fn.name).results


def clone_region(region: Region, mapping: dict[Value, Value]) -> Region:
    """A copy of a region. `mapping` gives replacements for values from outside and receives old → new for all
    values defined inside."""
    copy = Region([p.type for p in region.params], [p.hint for p in region.params])
    mapping.update(zip(region.params, copy.params, strict=True))
    for op in region.ops:
        copy.ops.append(clone_op(op, mapping))
    return copy


def clone_op(op: Op, mapping: dict[Value, Value]) -> Op:
    """A copy of an op and its regions; see `clone_region`."""
    args = [mapping.get(a, a) for a in op.args]
    regions = [clone_region(r, mapping) for r in op.regions]
    new = Op(op.name, args, [r.type for r in op.results], dict(op.attrs), regions, op.span)
    for old, fresh in zip(op.results, new.results, strict=True):
        fresh.hint = old.hint
        mapping[old] = fresh
    return new


def clone_function(fn: Function, name: str) -> Function:
    body = clone_region(fn.body, {})
    return Function(name, body, fn.results, fn.title, fn.span, dict(fn.attrs))
