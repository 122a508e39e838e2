"""What a scalar primitive is: one frozen record, declared once, that every layer reads.

A record that lacks something fails on import (`declare`); a derivative that is provably zero is said to be None.
The tables themselves are in the other modules of this package, by subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dsl.ir.core import RegionBuilder, Value
from dsl.ir.opset import SIGNATURES
from dsl.types import BOOL, F32, F64, I64, LeafType, Scalar

Signature: TypeAlias = tuple[tuple[Scalar, ...], Scalar]


class Builder(RegionBuilder):
    """Appends ops and primitives to a region."""

    def prim(self, name: str, *args: Value) -> Value:
        """A scalar primitive; its result type comes from the table."""
        return self.op(name, args, (result_type(name, [a.type for a in args]),)).result


class Sym:
    """An SSA value that builds IR when it is computed with, so that rules read as formulas.

    `+ - * /`, unary minus and the named functions of `prim` build primitives; Python numbers become constants of the
    other operand's type; an i64 met by a float is converted (`tofloat`).
    """

    __slots__ = ("b", "v")

    def __init__(self, b: Builder, v: Value) -> None:
        self.b = b
        self.v = v

    def _other(self, other: Operand) -> tuple[Sym, Sym]:
        """Both operands, brought to one type."""
        left = self
        if not isinstance(other, Sym):
            kind = self.v.type if self.v.type in (F64, F32) or isinstance(other, int) else F64
            other = Sym(self.b, self.b.const(float(other) if kind in (F64, F32) else other, kind))
        if left.v.type == I64 and other.v.type in (F64, F32):
            left = left.to(other.v.type)
        elif other.v.type == I64 and left.v.type in (F64, F32):
            other = other.to(left.v.type)
        elif left.v.type == F32 and other.v.type == F64:
            left = left.to(F64)
        elif left.v.type == F64 and other.v.type == F32:
            other = other.to(F64)
        return left, other

    def to(self, type: LeafType) -> Sym:
        """This value as a f64, f32 or i64 (unchanged where it is one)."""
        if self.v.type == type:
            return self
        name = {F64: "tof64", F32: "tof32"}[type]  # type: ignore[index]
        return Sym(self.b, self.b.prim(name, self.v))

    def _binary(self, name: str, other: Operand, swap: bool = False) -> Sym:
        left, right = self._other(other)
        if swap:
            left, right = right, left
        return Sym(self.b, self.b.prim(name, left.v, right.v))

    def __add__(self, o: Operand) -> Sym: return self._binary("add", o)
    def __radd__(self, o: Operand) -> Sym: return self._binary("add", o, True)
    def __sub__(self, o: Operand) -> Sym: return self._binary("sub", o)
    def __rsub__(self, o: Operand) -> Sym: return self._binary("sub", o, True)
    def __mul__(self, o: Operand) -> Sym: return self._binary("mul", o)
    def __rmul__(self, o: Operand) -> Sym: return self._binary("mul", o, True)
    def __truediv__(self, o: Operand) -> Sym: return self._binary("div", o)
    def __rtruediv__(self, o: Operand) -> Sym: return self._binary("div", o, True)
    def __neg__(self) -> Sym: return Sym(self.b, self.b.prim("neg", self.v))
    def __gt__(self, o: Operand) -> Sym: return self._binary("gt", o)
    def __lt__(self, o: Operand) -> Sym: return self._binary("lt", o)
    def __ge__(self, o: Operand) -> Sym: return self._binary("ge", o)
    def __le__(self, o: Operand) -> Sym: return self._binary("le", o)
    def eq(self, o: Operand) -> Sym: return self._binary("eq", o)


Operand: TypeAlias = Sym | float | int


def prim(name: str, *args: Operand) -> Sym:
    """Build a primitive on Syms and numbers (numbers become constants of the first Sym's type; f64 for an i64 one)."""
    first = next(a for a in args if isinstance(a, Sym))
    values = []
    for a in args:
        if not isinstance(a, Sym):
            kind = first.v.type if first.v.type in (F64, F32) else F64
            a = Sym(first.b, first.b.const(float(a), kind))
        values.append(a.v)
    return Sym(first.b, first.b.prim(name, *values))


def select(c: Sym, x: Operand, y: Operand) -> Sym:
    """`c ? x : y`, both computed; the one not chosen leaves no trace (a strong zero in derivatives)."""
    some = x if isinstance(x, Sym) else y
    assert isinstance(some, Sym)
    xs = x if isinstance(x, Sym) else Sym(c.b, c.b.const(float(x), some.v.type))
    ys = y if isinstance(y, Sym) else Sym(c.b, c.b.const(float(y), some.v.type))
    return Sym(c.b, c.b.prim("select", c.v, xs.v, ys.v))


# A derivative entry, one for each operand: None (provably zero) or a function of (d, operands…, result) that gives
# d times the partial derivative, as a formula linear in d. Being a scaling, it serves forward mode (d is the operand's
# tangent) and reverse mode (d is the result's cotangent) alike. Operands and result are Syms of their own types (an
# i64 operand meets floats by conversion). Entries use unchecked operations only.
Derivative: TypeAlias = Callable[..., Sym] | None


@dataclass(frozen=True, slots=True)
class Primitive:
    """One scalar operation.

    signatures    (operand types, result type) pairs; the operand types decide
    evaluate      Python function of the operands (ints wrapped to 64 bits, f32 rounded by the caller), for the
                  interpreter and for folding: the same bits as the native code. A dict by first operand type where
                  they differ
    llvm          how it is emitted, by first operand type (key None: any): a template `"fadd double {0}, {1}"` whose
                  {k} are operands and {t} the LLVM type; or "libm:NAME" for a call of the C library; or "kernel:NAME"
                  for a function of `backend.kernels` written in LLVM IR
    derivative    one entry an operand
    domain        None, or (predicate, text): a Sym formula of the operands that must hold, which *lowering* checks
                  before the op (`DomainError`, text with {0} … for operands); the op itself never fails
    simplify      pairs (name of the rewrite, function) used by `passes.simplify`; exact in value and derivative
    commutative   operands may be swapped with the same bits
    doc           one line for the reference page
    sample        ranges (lo, hi) of the operands for generic tests (ints where the operand is i64)
    kinks         True where the derivative jumps inside the sample range (tests keep away from ties)
    """

    name: str
    signatures: tuple[Signature, ...]
    evaluate: Callable[..., Any] | dict[LeafType, Callable[..., Any]]
    llvm: dict[LeafType | None, str]
    derivative: tuple[Derivative, ...]
    doc: str
    sample: tuple[tuple[float, float], ...]
    domain: tuple[Callable[..., Sym], str] | None = None
    commutative: bool = False
    kinks: bool = False
    simplify: tuple[tuple[str, Callable[..., Any]], ...] = field(default=())

    def result_type(self, types: Sequence[LeafType]) -> LeafType:
        key = tuple(types)
        for operands, result in self.signatures:
            if operands == key:
                return result
        raise KeyError(f"{self.name} has no signature for ({', '.join(map(str, types))})")

    def evaluator(self, first: LeafType) -> Callable[..., Any]:
        return self.evaluate[first] if isinstance(self.evaluate, dict) else self.evaluate


PRIMITIVES: dict[str, Primitive] = {}


def declare(p: Primitive) -> Primitive:
    """Put a primitive in the table; raises AssertionError where its record is incomplete."""
    assert p.name not in PRIMITIVES, f"{p.name} is declared twice"
    arity = {len(operands) for operands, _ in p.signatures}
    assert len(arity) == 1, f"{p.name}: signatures differ in arity"
    (n,) = arity
    assert len(p.derivative) == n, f"{p.name}: {len(p.derivative)} derivatives for {n} operands"
    assert len(p.sample) == n, f"{p.name}: {len(p.sample)} sample ranges for {n} operands"
    assert p.doc, f"{p.name}: no doc"
    for operands, _ in p.signatures:
        assert None in p.llvm or operands[0] in p.llvm, f"{p.name}: no LLVM form for {operands[0]}"
    PRIMITIVES[p.name] = p
    SIGNATURES[p.name] = p.signatures
    return p


def result_type(name: str, types: Sequence[LeafType]) -> LeafType:
    """The result type of a primitive for operand types. KeyError where there is none."""
    return PRIMITIVES[name].result_type(types)


# signatures that several tables use
FF: Signature = ((F64,), F64)
FFF: Signature = ((F64, F64), F64)
UNARY: tuple[Signature, ...] = (((F64,), F64), ((F32,), F32))
BINARY: tuple[Signature, ...] = (((F64, F64), F64), ((F32, F32), F32))
BINARY_I: tuple[Signature, ...] = (*BINARY, ((I64, I64), I64))
COMPARE: tuple[Signature, ...] = (((F64, F64), BOOL), ((F32, F32), BOOL), ((I64, I64), BOOL))
