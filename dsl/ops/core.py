"""What a scalar primitive is: one frozen record, declared once, that every layer reads.

A record that lacks something fails on import (`declare`); a derivative that is provably zero is said to be None.
The tables themselves are in the other modules of this package, by subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from dsl.ir.core import Op, RegionBuilder, Value
from dsl.ir.opset import RESULT_TYPES
from dsl.records import dataclass, field, replace
from dsl.types import BOOL, F32, F64, I64, LeafType, Scalar, is_ref

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
    kind = some.v.type

    def arm(a: Operand) -> Value:
        return a.v if isinstance(a, Sym) else c.b.const(int(a) if kind == I64 else float(a), kind)

    return Sym(c.b, c.b.prim("select", c.v, arm(x), arm(y)))


# A derivative entry, one for each operand: None (provably zero) or a function of (d, operands…, result) that gives
# d times the partial derivative, as a formula linear in d. Being a scaling, it serves forward mode (d is the operand's
# tangent) and reverse mode (d is the result's cotangent) alike. Operands and result are Syms of their own types (an
# i64 operand meets floats by conversion). What an entry gives may be f64 where f32 is due or the other way round (a
# conversion's entry is `d` itself): `ad` brings it to the type it needs. Entries use unchecked operations only.
Derivative: TypeAlias = Callable[..., Sym] | None


# A rewrite used by `passes.simplify`: given a builder placed before the op, and the op, the value that replaces its
# result (an operand, or something built), or None where the rewrite does not apply. It must be exact in value *and*
# derivative for all operands, NaN, infinities and signed zeros included; `known` and `made_by` look at operands.
Rewrite: TypeAlias = Callable[[Builder, Op], Value | None]


@dataclass(frozen=True, slots=True)
class Primitive:
    """One scalar operation. It never fails and has no effect: any operands give a result (bad ones a defined one).

    signatures    (operand types, result type) pairs; the operand types decide
    evaluate      Python function of the operands, for the interpreter and for folding: the same bits as the native
                  code, once the caller has wrapped ints to 64 bits and rounded f32. A dict by first operand type
                  where they differ. None where `expand` says it all. Callers use `dsl.ops.evaluate`, which does all
                  of this
    llvm          how it is emitted, by first operand type (key None: any; ask `llvm_form`); one of three forms:
                  * a template: one instruction a line. `{0}`, `{1}` … stand for operands (`%name` or a constant,
                    without their types), `{t}` for the LLVM type of the first operand, `{r}` for the result's, `{s}`
                    for the suffix of intrinsics of the first operand (f64 f32 i64 i1), `{u}` for a prefix that is
                    unique to this emission. All lines but the last are `%{u}a = …`, the last is the right-hand side
                    that defines the result. The only functions called are LLVM intrinsics; types stand at every
                    operand of a call, so that the declaration can be read off it
                  * `libm:NAME`: `call {r} @NAME({t} {0}, …)` of the C library, all operands of the type {t}, with
                    the attributes nobuiltin nounwind willreturn memory(none)
                  * `kernel:NAME`: the same call of `@dfl.NAME`, an internal function whose text (and that of all it
                    needs) is `backend.kernels.definition(NAME)`, each operand of its own type
                  `backend.kernels.instructions` does all of this for an emitter
    derivative    one entry an operand
    expand        None, or the whole operation as a formula of other primitives (straight-line, no regions). Its
                  evaluation and its LLVM kernel are made from it, so they agree by construction
    domain        None, or (predicate, text): a Sym formula of the operands that must hold, which *lowering* checks
                  before the op (`DomainError`, text with {0} … for operands)
    simplify      pairs (name of the rewrite, function), see `Rewrite`
    commutative   operands may be swapped with the same bits
    references    besides its signatures, takes references of one type in the place of operands 2, 3 … (`select`)
    doc           one line for the reference page
    sample        ranges (lo, hi) of the operands for generic tests (ints where the operand is i64)
    kinks         True where the derivative jumps inside the sample range (tests keep away from ties)
    """

    name: str
    signatures: tuple[Signature, ...]
    doc: str
    sample: tuple[tuple[float, float], ...]
    derivative: tuple[Derivative, ...]
    llvm: dict[LeafType | None, str] = field(default_factory=dict)
    evaluate: Callable[..., Any] | dict[LeafType, Callable[..., Any]] | None = None
    expand: Callable[..., Sym] | None = None
    domain: tuple[Callable[..., Sym], str] | None = None
    commutative: bool = False
    references: bool = False
    kinks: bool = False
    simplify: tuple[tuple[str, Rewrite], ...] = field(default=())

    def result_type(self, types: Sequence[LeafType]) -> LeafType:
        key = tuple(types)
        for operands, result in self.signatures:
            if operands == key:
                return result
        if self.references and len(key) == 3 and is_ref(key[1]) and key[1] == key[2]:
            return key[1]
        raise KeyError(f"{self.name} has no signature for ({', '.join(map(str, types))})")

    def llvm_form(self, first: LeafType) -> str:
        """The entry of `llvm` for operands of which the first has this type; `expand` makes `kernel:NAME.TYPE`."""
        if self.expand is not None:
            return f"kernel:{self.name}.{first}"
        return self.llvm[first] if first in self.llvm else self.llvm[None]


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
    assert (p.evaluate is None) == (p.expand is not None), f"{p.name}: needs either evaluate or expand"
    for operands, _ in p.signatures if p.expand is None else ():
        assert None in p.llvm or operands[0] in p.llvm, f"{p.name}: no LLVM form for {operands[0]}"
    PRIMITIVES[p.name] = p
    RESULT_TYPES[p.name] = p.result_type
    return p


# What takes a primitive's place in loops whose iterations do not wait for each other (`passes.lanes`): the same
# function as a formula that becomes vector code, where a single one is done sooner by the C library.
IN_LANES: dict[str, str] = {}


def in_lanes(name: str, expand: Callable[..., Sym]) -> Primitive:
    """Declare `NAME_lanes`, which stands for NAME there."""
    base = PRIMITIVES[name]
    IN_LANES[name] = f"{name}_lanes"
    return declare(replace(
        base, name=f"{name}_lanes", doc=f"{base.doc}: {name} where many are computed at once", expand=expand,
        evaluate=None, llvm={}, domain=None, simplify=(),
    ))  # fmt: skip


class _Lanes(Builder):
    """A builder on top of another one, that uses what there is for many at once."""

    def __init__(self, below: Builder) -> None:
        super().__init__(below.region)
        self.below = below

    def const(self, value: float | int | bool, type: LeafType) -> Value:
        return self.below.const(value, type)

    def prim(self, name: str, *args: Value) -> Value:
        return self.below.prim(IN_LANES.get(name, name), *args)


def formula_in_lanes(name: str) -> Primitive:
    """The same for a primitive whose formula names others that there are for many at once."""
    base = PRIMITIVES[name].expand
    assert base is not None

    def expand(*operands: Sym) -> Sym:
        below = operands[0].b
        return Sym(below, base(*(Sym(_Lanes(below), x.v) for x in operands)).v)

    return in_lanes(name, expand)


def known(v: Value) -> float | int | bool | None:
    """The number or bool that a value is, where it is a constant."""
    return v.owner.attrs["value"] if isinstance(v.owner, Op) and v.owner.name == "const" else None


def made_by(v: Value, name: str) -> Op | None:
    """The op that defines a value, where it is one of that name."""
    return v.owner if isinstance(v.owner, Op) and v.owner.name == name else None


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
