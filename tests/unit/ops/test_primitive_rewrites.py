"""Every algebraic rewrite of the table is exact, on special values as well, in value and in derivative."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import pytest
from primitive_oracle import Forward, Paired
from primitive_samples import EDGES, inside

from dsl.ir.core import Op, Region, Value
from dsl.ops import FLOAT, PRIMITIVES, Builder, Evaluator, result_type
from dsl.ops.evaluation import Known
from dsl.types import BOOL, F32, F64, I64, LeafType

CONSTANTS: dict[LeafType, list[Any]] = {
    F64: [0.0, -0.0, 1.0, -1.0, 2.0], F32: [0.0, -0.0, 1.0], I64: [0, 1, -1, 2, 3, -2, -3, 5], BOOL: [False, True],
}  # fmt: skip


def operand_kinds(b: Builder, name: str, t: LeafType, param: Value) -> list[Value]:
    """What an operand of a type may look like: a parameter, a constant, the op itself or a related one of it."""
    kinds = [param, *(b.const(c, t) for c in CONSTANTS[t])]
    for inner in {name, "not", "tof64", "neg"}:
        for types, result in PRIMITIVES[inner].signatures:
            if result == t and len(types) == 1:
                kinds += [b.prim(inner, Builder(region).region.params[0]) for region in [Region(types)]]
    return kinds


def value_of(v: Value, builder: Any, env: dict[Value, Any]) -> Any:
    """A value of a small graph, recomputed by another builder."""
    if v not in env:
        op = v.owner
        assert isinstance(op, Op)
        if op.name == "const":
            env[v] = builder.const(op.attrs["value"], v.type)
        else:
            env[v] = builder.prim(op.name, *(value_of(a, builder, env) for a in op.args))
    return env[v]


def bits(x: Any) -> Any:
    if isinstance(x, float):
        return "NaN" if x != x else struct.pack("<d", x)
    return x


def params_of(v: Value, found: list[Value]) -> list[Value]:
    if isinstance(v.owner, Region):
        found += [v] if v not in found else []
    elif v.owner is not None:
        for a in v.owner.args:
            params_of(a, found)
    return found


def rewritten(name: str, types: tuple[LeafType, ...]) -> list[tuple[str, Value, Value]]:
    """Every way in which a rewrite of a primitive applies: its name, the value before, the value after."""
    found = []
    region = Region(types)
    b = Builder(region)
    kinds = [operand_kinds(b, name, t, p) for t, p in zip(types, region.params, strict=True)]
    if len(types) == 3 and types[1] == types[2]:
        kinds[2].append(region.params[1])
    for operands in itertools.product(*kinds):
        before = b.prim(name, *operands)
        assert isinstance(before.owner, Op)
        for label, rewrite in PRIMITIVES[name].simplify:
            after = rewrite(b, before.owner)
            if after is not None:
                found.append((label, before, after))
    return found


REWRITES = [
    pytest.param(name, types, id=f"{name}-{'-'.join(map(str, types))}")
    for name, p in PRIMITIVES.items() if p.simplify for types, _ in p.signatures
]  # fmt: skip


@pytest.mark.parametrize(("name", "types"), REWRITES)
def test_values_keep_their_bits(name: str, types: tuple[LeafType, ...]) -> None:
    for label, before, after in rewritten(name, types):
        assert after.type == before.type, label
        params = params_of(after, params_of(before, []))
        for values in itertools.product(*(EDGES[p.type] for p in params)):
            known = {p: Known(p.type, v) for p, v in zip(params, values, strict=True)}
            old, new = (value_of(v, Evaluator(), dict(known)).value for v in (before, after))
            assert bits(old) == bits(new), (label, values, old, new)


@pytest.mark.parametrize(("name", "types"), REWRITES)
def test_derivatives_are_kept(name: str, types: tuple[LeafType, ...]) -> None:
    for label, before, after in rewritten(name, types):
        params = params_of(after, params_of(before, []))
        for k, moving in enumerate(params):
            if moving.type == BOOL:
                continue
            for values in [[1.5 if p.type in (F64, F32) else p.type == BOOL or 3 for p in params]]:
                forward = Forward(Evaluator())
                seed = Known(F64 if moving.type == I64 else moving.type, 1.0)
                env: dict[Value, Any] = {
                    p: Paired(Known(p.type, v), seed if j == k else None)
                    for j, (p, v) in enumerate(zip(params, values, strict=True))
                }
                old, new = (value_of(v, forward, dict(env)).tangent for v in (before, after))
                old, new = (0.0 if t is None else t.value for t in (old, new))
                assert math.isclose(old, new, rel_tol=1e-15), (label, values, old, new)


def test_rewrites_fire() -> None:
    """The walk above meets every rewrite of the table."""
    declared = {(p.name, label) for p in PRIMITIVES.values() for label, _ in p.simplify}
    met = {(p.name, label) for p in PRIMITIVES.values() for o, _ in p.signatures for label, *_ in rewritten(p.name, o)}
    assert declared - met == set()


@pytest.mark.parametrize(
    ("name", "operands"),
    [("add", ["x", 0.0]), ("mul", ["x", 0.0]), ("sub", ["x", -0.0]), ("sub", ["x", "x"]), ("div", ["x", "x"])],
)
def test_inexact_algebra_is_left_alone(name: str, operands: list[Any]) -> None:
    region = Region([F64])
    b = Builder(region)
    values = [region.params[0] if a == "x" else b.f64(a) for a in operands]
    op = b.prim(name, *values).owner
    assert isinstance(op, Op)
    assert [label for label, rewrite in PRIMITIVES[name].simplify if rewrite(b, op) is not None] == []


def test_commutative_operands_may_be_swapped() -> None:
    for p in PRIMITIVES.values():
        if not p.commutative:
            continue
        for types, _ in p.signatures:
            edge_values = itertools.product(*(EDGES[t] for t in types))
            for values in [*edge_values, *inside(p.name, types, 20)]:
                swapped = list(reversed(values))
                left, right = FLOAT.primitive(p.name, types, values), FLOAT.primitive(p.name, types, swapped)
                assert bits(left) == bits(right), (p.name, values)
    assert result_type("add", [F64, F64]) == F64
