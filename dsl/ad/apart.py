"""Which memories that an op is given are certainly no other's: then each has a derivative by itself.

A memory that a `new` or a `shadow` in sight makes is no other memory, and so is a parameter of which the caller says so
(the attribute `apart` of a function: its parameters without references are different memories, and nothing that other
parameters lead to; the caller of compiled code looks at each call). Whatever else may be one memory with another of
its type.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsl.ir.core import Function, Op, Value
from dsl.types import LeafType, Mem, is_ref

_MAKE = frozenset({"new", "shadow"})


def is_flat(t: LeafType) -> bool:
    """Whether a type is that of memory without references."""
    return isinstance(t, Mem) and not any(map(is_ref, t.fields))


def apart_in(fn: Function, args: Sequence[Value], apart: frozenset[int]) -> frozenset[int]:
    """Indices of the operands of an op in `fn` that are memories which no other operand is, or leads to. `apart`: the
    parameters of fn that are none of its other parameters' memories."""
    found: set[int] = set()
    for t in {a.type for a in args if is_flat(a.type)}:
        if any(t in _inside(a.type) for a in args):
            continue
        group = [(k, _origin(fn, a, apart)) for k, a in enumerate(args) if a.type == t]
        origins = [origin for _, origin in group]
        if None not in origins:
            found.update(k for k, origin in group if origins.count(origin) == 1)
    return frozenset(found)


def flat_parameters(fn: Function) -> frozenset[int]:
    """The parameters that `apart` speaks of, where it is an attribute of the function."""
    types = [p.type for p in fn.params]
    inside = {t for p in types for t in _inside(p)}
    return frozenset(k for k, t in enumerate(types) if is_flat(t) and t not in inside)


def _origin(fn: Function, v: Value, apart: frozenset[int]) -> Value | None:
    """The value itself where it stands for one memory that no other such value stands for."""
    if isinstance(v.owner, Op):
        return v if v.owner.name in _MAKE else None
    return v if v.owner is fn.body and fn.body.params.index(v) in apart else None


def _inside(t: LeafType) -> set[LeafType]:
    """The types of memory that records of a type refer to, directly or not; of a packed record any."""
    found: set[LeafType] = set()
    work = list(t.fields) if isinstance(t, Mem) else []
    while work:
        x = work.pop()
        if x not in found and isinstance(x, Mem):
            found.add(x)
            work += x.fields
    return found
