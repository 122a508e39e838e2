"""Derivatives of the op `kernel`, as data: which kernels are bilinear, and which products their derivatives are.

A kernel that is not in `BILINEAR` has no derivative here: what uses it is a function with a rule. The products are ops
`kernel` themselves, so every order and nesting follows. They multiply numbers as they are: a zero cotangent times an
infinite element is NaN, as in any product of matrices.

Factors are needed as they were when the kernel ran. Where their memory may be overwritten since, `contents` makes a
dense copy of the elements in question (not of the memory, which may be much larger); integers become floats in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsl.ad.activity import Activity
from dsl.diagnostics import error
from dsl.ir.core import Op, Region, Value
from dsl.ops import Builder
from dsl.ops.kernels import KERNELS
from dsl.records import dataclass
from dsl.types import F64, I64, Mem, tangent


@dataclass(frozen=True)
class Elements:
    """The elements of a matrix operand: names of the numbers that say where they lie."""

    offset: str
    counts: tuple[str, str]
    strides: tuple[str, str]


@dataclass(frozen=True)
class Product:
    """One term of a derivative: a kernel, its memories as places among the operands of the one that is differentiated,
    its numbers as names of that one's."""

    kernel: str
    memories: tuple[int, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Bilinear:
    """A kernel that adds to the memory `target` a product of two others, linear in each of them.

    factors    the operands that are multiplied
    adjoints   for each factor the product that gives its cotangent: into the factor's shadow, of the target's shadow
               and the other factor"""

    target: int
    factors: Mapping[int, Elements]
    adjoints: Mapping[int, Product]

    def other(self, factor: int) -> int:
        (found,) = (f for f in self.factors if f != factor)
        return found


BILINEAR: dict[str, Bilinear] = {
    # C += A B:  Ā += C̄ B',  B̄ += A' C̄
    "gemm": Bilinear(
        target=0,
        factors={1: Elements("a0", ("m", "k"), ("ai", "ak")), 2: Elements("b0", ("k", "n"), ("bk", "bj"))},
        adjoints={
            1: Product("gemm", (1, 0, 2), ("m", "k", "n", "a0", "ai", "ak", "c0", "ci", "cj", "b0", "bj", "bk")),
            2: Product("gemm", (2, 1, 0), ("k", "n", "m", "b0", "bk", "bj", "a0", "ak", "ai", "c0", "ci", "cj")),
        },
    ),
}


def written_memories(op: Op) -> list[Value]:
    """The memories whose contents or length an op itself changes (a call's are its callee's matter)."""
    if op.name == "kernel":
        roles = KERNELS[op.attrs["kernel"]].roles
        return [m for m, role in zip(op.args, roles, strict=False) if role != "in"]
    return op.args[:1] if op.name in ("store", "acc", "push", "pop") else []


def memories_of(op: Op) -> list[Value]:
    """The memory operands of a kernel."""
    return op.args[: len(KERNELS[op.attrs["kernel"]].roles)]


def bilinear(op: Op, activity: Activity) -> Bilinear | None:
    """The derivative of a kernel that has something to do; None where nothing that it writes carries a derivative."""
    if not any(activity.shadowed(m) for m in written_memories(op)):
        return None
    name = op.attrs["kernel"]
    if name not in BILINEAR:
        raise error(
            "E0901", f"the operation `{name}` has no derivative", op.span,
            "the functions of the library that use it have rules of their own: differentiate these",
        )  # fmt: skip
    return BILINEAR[name]


def active_factors(op: Op, rule: Bilinear, activity: Activity) -> list[int]:
    return [f for f in rule.factors if activity.shadowed(op.args[f])]


def numbers_of(op: Op) -> dict[str, Value]:
    """The numbers of a kernel by name."""
    kernel = KERNELS[op.attrs["kernel"]]
    return dict(zip(kernel.numbers, op.args[len(kernel.roles) :], strict=True))


def contents_type(m: Value) -> Mem:
    """The type of a copy of contents: what multiplies the operand's (co)tangents."""
    assert isinstance(m.type, Mem)
    (field,) = m.type.fields
    return Mem((tangent(field) or F64,))


def needs_copy(m: Value) -> bool:
    """Whether a factor cannot stand beside (co)tangents as it is: integers cannot."""
    return m.type != contents_type(m)


def contents(m: Value, elements: Elements, numbers: Mapping[str, Value], b: Builder) -> Value:
    """A dense copy of the elements of a matrix, column by column."""
    rows, columns = (numbers[name] for name in elements.counts)
    type = contents_type(m)
    copy = b.op("new", (b.prim("mul", rows, columns),), (type,)).result
    zero, one = b.i64(0), b.i64(1)

    def place(i: Value, j: Value, offset: Value | None, strides: Sequence[Value | None], b: Builder) -> Value:
        terms = [x if s is None else b.prim("mul", x, s) for x, s in zip((i, j), strides, strict=True)]
        at = b.prim("add", *terms)
        return at if offset is None else b.prim("add", offset, at)

    column, inner = Region([I64]), Region([I64])
    outer_b, inner_b = Builder(column, b.span), Builder(inner, b.span)
    i, j = inner.params[0], column.params[0]
    source = place(i, j, numbers[elements.offset], [numbers[s] for s in elements.strides], inner_b)
    assert isinstance(m.type, Mem)
    x = inner_b.op("load", (m, source), m.type.fields, first=0).result
    if needs_copy(m):
        x = inner_b.prim("tof64", x)
    inner_b.op("store", (copy, place(i, j, None, (None, rows), inner_b), x), first=0)
    inner_b.next_()
    outer_b.op("for", (zero, outer_b.prim("sub", rows, one), one), (), [inner])
    outer_b.next_()
    b.op("for", (zero, b.prim("sub", columns, one), one), (), [column])
    return copy


def dense_numbers(elements: Elements, rows: Value, b: Builder) -> dict[str, Value]:
    """Where the elements lie in a copy that `contents` made."""
    return {elements.offset: b.i64(0), elements.strides[0]: b.i64(1), elements.strides[1]: rows}


def adjoint_numbers(rule: Bilinear, factor: int, copied: bool) -> list[str]:
    """The numbers that the adjoint of a factor mentions, where the other one is a copy or is not."""
    other = rule.factors[rule.other(factor)]
    known = {other.offset, *other.strides} if copied else set()
    return [name for name in rule.adjoints[factor].numbers if name not in known]


def tangents(
    op: Op, rule: Bilinear, values: Mapping[Value, Value], duals: Mapping[int, Value], b: Builder
) -> None:
    """Forward mode: the target's shadow gets a product for each factor that has a shadow. `duals` by operand."""
    numbers = {name: values[v] for name, v in numbers_of(op).items()}
    for f in rule.factors:
        if f not in duals:
            continue
        other = rule.other(f)
        operands = {rule.target: duals[rule.target], f: duals[f], other: values[op.args[other]]}
        mine = dict(numbers)
        if needs_copy(op.args[other]):
            elements = rule.factors[other]
            operands[other] = contents(operands[other], elements, numbers, b)
            mine |= dense_numbers(elements, numbers[elements.counts[0]], b)
        memories = [operands[k] for k in sorted(operands)]
        b.op("kernel", [*memories, *mine.values()], (), kernel=op.attrs["kernel"])


def adjoint(
    rule: Bilinear, factor: int, operands: Mapping[int, Value], numbers: Mapping[str, Value], b: Builder
) -> None:
    """Reverse mode of one factor. `operands`: the shadows of the target and of the factor, the other one's contents."""
    product = rule.adjoints[factor]
    args = [*(operands[k] for k in product.memories), *(numbers[name] for name in product.numbers)]
    b.op("kernel", args, (), kernel=product.kernel)
