"""The derivative entries of the primitive table, put to work.

`contribution(…)` builds one term: d times the partial derivative of a primitive. `needed(…)` says which primal values
the terms mention, by building them once on placeholders; this is what reverse mode has to keep.

A cotangent or tangent that is *conditional* (zero because the path taken does not use the value) contributes an exact
zero, whatever the partial derivative is there: the branch not taken never makes a NaN. Its factors are those of
`strongmul` and `strongdiv`: one that only happens to be zero keeps its own derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isfinite

from dsl.ir.core import Op, Region, Value
from dsl.ops import PRIMITIVES, Builder, Sym, known
from dsl.ops.core import Operand
from dsl.types import LeafType, tangent


class Conditional(Sym):
    """A derivative that may be zero because of the path: a product or quotient with it keeps that zero."""

    __slots__ = ()

    def _binary(self, name: str, other: Operand, swap: bool = False) -> Sym:
        left, right = self._other(other)
        if name not in ("mul", "div") or _harmless(known(right.v)):
            return Conditional(self.b, super()._binary(name, other, swap).v)
        return Conditional(self.b, self.b.prim(f"strong{name}", left.v, right.v))

    # Python asks the right operand of `x * d` first where it has a method of its own
    def __rmul__(self, o: Operand) -> Sym:
        return self._binary("mul", o, True)

    def __neg__(self) -> Sym:
        return Conditional(self.b, super().__neg__().v)


def _harmless(number: float | None) -> bool:
    """Whether zero times or by a constant is zero anyway."""
    return number is not None and isfinite(number) and number != 0.0


def contribution(
    b: Builder, name: str, k: int, d: Value, operands: Sequence[Value], out: Value, to: LeafType, conditional: bool
) -> Value:
    """d · ∂name/∂operand k, as a value of type `to`."""
    entry = PRIMITIVES[name].derivative[k]
    assert entry is not None
    syms = [Sym(b, v) for v in operands]
    ds = Conditional(b, d) if conditional else Sym(b, d)
    return entry(ds, *syms, Sym(b, out)).to(to).v


def plus(b: Builder, x: Value, y: Value) -> Value:
    """The sum of two terms. How a product in it is rounded is open until what adds up here has been simplified."""
    total = b.op("add", (x, y), (x.type,), free=True)
    return total.result


def is_selection(term: Value) -> bool:
    """Whether a term may be zero because an operand was not chosen (`ifelse`, `max`, …) or not used (a conditional
    factor of the derivative that is differentiated)."""
    made = term.owner
    while isinstance(made, Op) and made.name == "neg":
        made = made.args[0].owner
    return isinstance(made, Op) and made.name in ("select", "strongmul", "strongdiv")


def active_operands(op: Op, active: Sequence[bool]) -> list[int]:
    """Operands that have a derivative entry and are active."""
    entries = PRIMITIVES[op.name].derivative
    return [k for k, entry in enumerate(entries) if entry is not None and active[k]]


def needed(op: Op, operands: Sequence[int]) -> list[Value]:
    """The primal values (operands of op and its result) that the terms for some operands mention."""
    types = tuple(a.type for a in op.args)
    indices = _needed(op.name, types, op.result.type, tuple(operands))
    values = [*op.args, op.result]
    return [values[i] for i in indices]


@cache
def _needed(name: str, types: tuple[LeafType, ...], out: LeafType, operands: tuple[int, ...]) -> tuple[int, ...]:
    b = Builder(Region())
    values = [Value(t) for t in types] + [Value(out)]
    d_type = tangent(out)
    assert d_type is not None
    used: set[Value] = set()
    for k in operands:
        to = tangent(types[k])
        assert to is not None
        used.add(contribution(b, name, k, Value(d_type), values[:-1], values[-1], to, False))
    for op in b.region.ops:
        used.update(op.args)
    return tuple(i for i, v in enumerate(values) if v in used)
