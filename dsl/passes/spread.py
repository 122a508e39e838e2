"""Sums of a counted loop that have no order are added up side by side.

    %c = for %i = %lo, %hi, %1 (%s: f64 = %init) { …; %t = add %s, %x {loose}; next %t }

waits in each iteration for the one before, which takes longer than all the rest where that is vector code. What is to
be added is put aside, `STRIP` iterations at a time, and then added up in 16 lanes (the op `lanesum`):

    if (there are `FEW` iterations or more) {
      for (strips) (%s: f64 = %init) {
        for %i = (a strip) { …; store %aside[…], %x; next }
        (where an iteration takes long, in two loops: whole vectors, and the `few` iterations that are left)
        … zeros up to a multiple of 16; %sum = lanesum %aside, …; %t = add %s, %sum; next %t
      }
    } else { … the loop as it was … }

Only sums that differentiation makes are `loose` (or still `free`, see `passes.contract`): cotangents have no order in
which they add up. Which one it is depends on the number of iterations alone, so it is the same at every level and in
the interpreter. Only where all else in the loop can be vector code: nothing else that waits for all the iterations
before, loops, calls and checks aside, and memory written at places that move on. Runs after differentiation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from dsl.analysis.places import line
from dsl.ir.core import Function, Op, Region, Value, clone_op
from dsl.ops import PRIMITIVES, Builder, known
from dsl.passes.contract import FREE, LOOSE, waiting
from dsl.types import F32, F64, I64, LeafType, Mem

Aside: TypeAlias = dict[tuple[LeafType, int], Op]  # memory for the sums of a loop, by type and number

LANES = 16
STRIP = 15 * LANES
FEW = 32
GROUP = 8  # iterations that are whole vectors, however wide these are
MOST_SUMS = 6
MOST_OPS = 150  # of a loop that is there twice afterwards

_ALLOWED = frozenset({"const", "load", "store", "acc", "len", "next"})
_WRITES = frozenset({"store", "acc"})
_QUICK = frozenset({
    "neg", "add", "sub", "mul", "fma", "strongmul", "abs", "min", "max", "select", "tof64", "tof32", "toi64",
    "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not",
})  # fmt: skip


def spread(fn: Function) -> bool:
    """Apply to a function. Call it once: a loop that is left for few iterations looks like what it looks for."""
    if not any(_is_loose(op) for op in fn.body.walk()):
        return False
    aside: Aside = {}
    if not _region(fn.body, aside):
        return False
    b = Builder(Region(), fn.span)
    size = b.i64(STRIP + LANES)
    for made in aside.values():
        made.args = [size]
    fn.body.ops[:0] = [*b.region.ops, *aside.values()]
    return True


def _is_loose(op: Op) -> bool:
    return op.name == "add" and bool(op.attrs) and (FREE in op.attrs or LOOSE in op.attrs)


def _region(region: Region, aside: Aside) -> bool:
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        for inner in op.regions:
            changed |= _region(inner, aside)
        sums = _sums(op) if op.name == "for" else {}
        if sums:
            ops += _spread(op, sums, aside)
            changed = True
        else:
            ops.append(op)
    region.ops[:] = ops
    return changed


# ---------------------------------------------------------------- which loops


def _sums(loop: Op) -> dict[int, list[Op]]:
    """The sums of a loop, where it is one to change: which of the carried values, by what additions."""
    (body,) = loop.regions
    if len(body.params) == 1 or loop.attrs or known(loop.args[2]) not in (1, -1) or len(body.ops) > MOST_OPS:
        return {}
    if not all(op.name in _ALLOWED or op.name in PRIMITIVES for op in body.ops):
        return {}
    first, last = map(known, loop.args[:2])
    if isinstance(first, int) and isinstance(last, int) and abs(last - first) < FEW:
        return {}
    sums = loose_sums(body)
    if not sums or len(sums) > MOST_SUMS or len(waiting(body)) > len(sums):
        return {}
    moving = (op for op in body.ops if op.name in _WRITES)
    return sums if all((found := line(op.args[1], loop)) is not None and found[0] for op in moving) else {}


def loose_sums(body: Region) -> dict[int, list[Op]]:
    """Which of the values that a counted loop carries are sums without an order, and by what additions."""
    users: dict[Value, list[Op]] = defaultdict(list)
    for op in body.walk():
        for a in op.args:
            users[a].append(op)
    pairs = zip(body.params[1:], body.terminator.args, strict=True)
    return {k: chain for k, (p, end) in enumerate(pairs) if (chain := _chain(p, end, users))}


def _chain(p: Value, end: Value, users: Mapping[Value, list[Op]]) -> list[Op]:
    """The additions by which a carried value becomes what is handed on, if these are all that is done with it."""
    chain: list[Op] = []
    v = p
    while v is not end:
        if len(users[v]) != 1:
            return []
        (op,) = users[v]
        if op.name == "for" and v in op.args[3:]:
            v = op.results[op.args.index(v) - 3]  # where this is a sum
        elif _is_loose(op):
            v = op.result
        else:
            return []
        chain.append(op)
    return chain if len(users[v]) == 1 and p.type in (F64, F32) else []


# ---------------------------------------------------------------- what they become


def _spread(loop: Op, sums: Mapping[int, list[Op]], aside: Aside) -> list[Op]:
    """An `if` with the loop by strips, and as it was for few iterations."""
    before = Region()
    b = Builder(before, loop.span)
    given, upwards = loop.results, known(loop.args[2]) == 1
    first, last = loop.args[:2] if upwards else loop.args[1::-1]
    distance = b.prim("sub", last, first)  # negative, where it is more than can be counted
    many = b.prim("and", b.prim("le", first, last), b.prim("ge", distance, b.i64(FEW - 1)))
    plain = clone_op(loop, {})
    arms = (Region(), Region())
    arm = Builder(arms[0], loop.span)
    arm.yield_(*_strips(loop, sums, distance, aside, arm))
    arms[1].ops.append(plain)
    Builder(arms[1], loop.span).yield_(*plain.results)
    chosen = b.op("if", (many,), (), arms)
    chosen.results = given
    for r in given:
        r.owner = chosen
    return before.ops


def _strips(loop: Op, sums: Mapping[int, list[Op]], distance: Value, aside: Aside, b: Builder) -> list[Value]:
    low, _, step, *inits = loop.args
    types = [v.type for v in inits]
    strip = Region([I64, *types])
    inside = Builder(strip, loop.span)
    number, *carried = strip.params
    past = inside.prim("mul", number, inside.i64(STRIP))
    left = inside.prim("min", inside.prim("sub", distance, past), inside.i64(STRIP - 1))
    way = "add" if known(step) == 1 else "sub"
    first = inside.prim(way, low, past)
    memories = _put_aside(loop, sums, first, aside)
    kept = [k for k in range(len(types)) if k not in sums]
    loop.args = [first, inside.prim(way, first, left), step, *(carried[k] for k in kept)]
    loop.results = [Value(types[k], loop) for k in kept]
    count = inside.prim("add", left, inside.i64(1))
    strip.ops.append(loop)
    parts = _in_groups(loop, left, count, inside) if _takes_long(loop) else loop.results
    following = dict(zip(kept, parts, strict=True))
    _fill_up(memories.values(), count, inside)
    groups = inside.prim("idiv", inside.prim("add", left, inside.i64(LANES)), inside.i64(LANES))
    for k, m in memories.items():
        total = inside.op("lanesum", (m, groups), (types[k],), count=LANES).result
        following[k] = inside.prim("add", carried[k], total)
    inside.next_(*(following[k] for k in range(len(types))))
    strips = b.prim("idiv", distance, b.i64(STRIP))
    return b.op("for", (b.i64(0), strips, b.i64(1), *inits), types, [strip]).results


def _takes_long(loop: Op) -> bool:
    """Whether an iteration by itself takes so long that a few of them should be a vector, too."""
    return any(op.name in PRIMITIVES and op.name not in _QUICK for op in loop.regions[0].ops)


def _in_groups(loop: Op, left: Value, count: Value, b: Builder) -> list[Value]:
    """A loop in two parts: so many iterations as make whole vectors, and the few that are left. (Where none are, the
    second one is from the last index to the one before, since there may be no index behind.)"""
    first, last, _, *inits = loop.args
    onwards, back = ("add", "sub") if known(loop.args[2]) == 1 else ("sub", "add")
    whole = b.prim("mul", b.prim("idiv", count, b.i64(GROUP)), b.i64(GROUP))
    none = b.prim("select", b.prim("eq", whole, count), b.i64(1), b.i64(0))
    few = clone_op(loop, dict(zip(inits, loop.results, strict=True)))
    few.args[:2] = b.prim(onwards, first, b.prim("min", whole, left)), b.prim(back, last, none)
    few.attrs["few"] = True
    loop.args[1] = b.prim(onwards, first, b.prim("sub", whole, b.i64(1)))
    b.region.ops.remove(loop)
    b.region.ops += [loop, few]
    return few.results


def _put_aside(loop: Op, sums: Mapping[int, list[Op]], first: Value, aside: Aside) -> dict[int, Value]:
    """Let a loop store what it adds up, from the beginning of one memory for each sum."""
    (body,) = loop.regions
    end = body.ops.pop()
    additions = {op for chain in sums.values() for op in chain}
    body.ops[:] = [op for op in body.ops if op not in additions]
    b = Builder(body, loop.span)
    counter, *carried = body.params
    place = b.prim("sub", *((counter, first) if known(loop.args[2]) == 1 else (first, counter)))
    memories: dict[int, Value] = {}
    for k, chain in sums.items():
        before = [carried[k], *(op.result for op in chain)]
        total, *more = [a for op, v in zip(chain, before, strict=False) for a in op.args if a is not v]
        for term in more:
            total = b.op("add", (total, term), (total.type,), free=True).result
        memories[k] = _memory(total.type, len(memories), aside)
        b.op("store", (memories[k], place, total), first=0)
    b.next_(*(v for k, v in enumerate(end.args) if k not in sums))
    body.params = [counter, *(p for k, p in enumerate(carried) if k not in sums)]
    return memories


def _memory(t: LeafType, number: int, aside: Aside) -> Value:
    """Memory in the frame, the same for all loops of a function."""
    if (t, number) not in aside:
        made = Op("new", (), attrs={"frame": True})
        made.results = [Value(Mem((t,)), made)]
        aside[t, number] = made
    return aside[t, number].result


def _fill_up(memories: Iterable[Value], start: Value, b: Builder) -> None:
    """Zeros behind what has been put aside."""
    body = Region([I64])
    inside = Builder(body, b.span)
    place = inside.prim("add", start, body.params[0])
    for m in memories:
        assert isinstance(m.type, Mem)
        inside.op("store", (m, place, inside.zero(m.type.fields[0])), first=0)
    inside.next_()
    b.op("for", (b.i64(0), b.i64(LANES - 1), b.i64(1)), (), [body], lanes=True)
