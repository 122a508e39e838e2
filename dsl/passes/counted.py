"""Loops that count become `for`: their number of iterations is known on entry, nothing leaves them.

    loop (%k = %k0, %c = %c0) { %more = lt %k, %n; if %more { yield } else { break … }; …; next %k + 1, … }

becomes `for %k = %k0, %n - 1, 1 (%c = %c0) { … }`, where %n comes from outside and that `break` is the only way out
(`gt` and a step of -1 alike). The bound must not wrap: it is a constant, a length, or the count starts at a constant.
Exact in value and derivative: a counter of a `for` has no tangent, so a count that starts at a variable may only count.
Before that, lengths of memory that does not grow in a loop are taken before the loop.
"""

from __future__ import annotations

from collections.abc import Collection

from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ops import Builder, known, made_by
from dsl.passes.common import called, is_pure, substitute
from dsl.types import I64, LeafType

_STEPS = {"lt": 1, "gt": -1}
_ENDS = frozenset({-(1 << 63), (1 << 63) - 1})


def counted(program: Program, names: Collection[str] | None = None) -> set[str]:
    """Apply to these functions of a program, or all; gives those that have changed."""
    wanted = program.functions if names is None else names
    resizing = resized_types(program)
    changed = set()
    for name, fn in program.functions.items():
        if name in wanted and (_hoist_lengths(fn.body, resizing) | _rewrite(fn)):
            changed.add(name)
    return changed


# ---------------------------------------------------------------- lengths


def resized_types(program: Program) -> dict[str, set[LeafType]]:
    """For each function, the types of memory that may grow or shrink in it or its callees."""
    found: dict[str, set[LeafType]] = {}
    calls: dict[str, set[str]] = {}
    for name, fn in program.functions.items():
        types = found[name] = set()
        callees = calls[name] = set()
        for op in fn.body.walk():
            if op.attrs and (callee := called(op)):
                callees.add(callee)
            elif op.name == "push" or op.name == "pop":
                types.add(op.args[0].type)
    again = any(found.values())
    while again:
        again = False
        for name, callees in calls.items():
            more = set().union(*(found[c] for c in callees if c in found)) - found[name]
            found[name] |= more
            again |= bool(more)
    return found


def _resized(region: Region, resizing: dict[str, set[LeafType]]) -> set[LeafType]:
    types: set[LeafType] = set()
    for op in region.walk():
        if op.name in ("push", "pop"):
            types.add(op.args[0].type)
        types |= resizing.get(called(op), set())
    return types


def _hoist_lengths(region: Region, resizing: dict[str, set[LeafType]]) -> bool:
    """Move each `len` whose memory comes from outside a loop, and keeps its length there, before the loop. (It may be
    taken where the loop or an arm would not have come to it: it reads no more than the header.)"""
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        for inner in op.regions:
            changed |= _hoist_lengths(inner, resizing)
        if op.name in ("loop", "for"):
            moved = _take_lengths(op.regions[0], _resized(op.regions[0], resizing), _defined(op.regions[0]))
            ops += moved
            changed |= bool(moved)
        ops.append(op)
    region.ops[:] = ops
    return changed


def _defined(region: Region) -> set[Value]:
    """The values defined in a region, nested ones included."""
    values = set(region.params)
    for op in region.walk():
        values.update(op.results)
        for inner in op.regions:
            values.update(inner.params)
    return values


def _take_lengths(region: Region, resized: set[LeafType], inside: set[Value]) -> list[Op]:
    """Take those at the loop's own level out of it; arms may look into memory that is null otherwise."""
    taken = [op for op in region.ops
             if op.name == "len" and op.args[0] not in inside and op.args[0].type not in resized]  # fmt: skip
    region.ops[:] = [op for op in region.ops if op not in taken]
    return taken


# ---------------------------------------------------------------- loops


def _rewrite(fn: Function) -> bool:
    mapping: dict[Value, Value] = {}
    return _region(fn.body, mapping)


def _region(region: Region, mapping: dict[Value, Value]) -> bool:
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        substitute(op, mapping)
        for inner in op.regions:
            changed |= _region(inner, mapping)
        made = _as_for(op, mapping) if op.name == "loop" else None
        changed |= made is not None
        ops += [op] if made is None else made
    region.ops[:] = ops
    return changed


def _as_for(op: Op, mapping: dict[Value, Value]) -> list[Op] | None:
    """The ops that do what a loop does, where it counts; results of the loop are noted in `mapping`."""
    (body,) = op.regions
    head = next((i for i, o in enumerate(body.ops) if o.regions or not (is_pure(o) or o.name == "len")), None)
    if head is None or not _only_way_out(body, body.ops[head]):
        return None
    test, leaver = body.ops[head].args[0].owner, body.ops[head].regions[1].ops[-1]
    if not isinstance(test, Op) or test.name not in _STEPS or test.args[0] not in body.params:
        return None
    k, bound, step = body.params.index(test.args[0]), test.args[1], _STEPS[test.name]
    if body.params[k].type != I64 or not _counts(body, k, step) or bound in _defined(body):
        return None
    if not _safe(bound, op.args[k]) or not (known(op.args[k]) is not None or _only_counts(body, k, test)):
        return None
    inside = _defined(body) - set(body.params)
    if any(v in inside for v in leaver.args):
        return None
    return _build(op, k, head, bound, step, leaver, mapping)


def _only_way_out(body: Region, check: Op) -> bool:
    """Whether the loop is left by the `else` of this `if` alone, and goes on at its end alone."""
    if check.name != "if" or body.terminator.name != "next":
        return False
    then, orelse = check.regions
    if [o.name for o in then.ops] != ["yield"] or [o.name for o in orelse.ops] != ["break"] or check.results:
        return False
    if orelse.ops[-1].attrs.get("depth", 0) != 0:
        return False
    return not any(_leaves(o, 0) for o in body.ops if o is not check and o is not body.terminator)


def _leaves(op: Op, depth: int) -> bool:
    """Whether something in an op ends an iteration of the loop around it, `depth` loops out, or the function."""
    if op.name == "return" or (op.name == "next" and depth == 0):
        return True
    if op.name == "break" and op.attrs.get("depth", 0) >= depth:
        return True
    inner = depth + (op.name in ("loop", "for"))
    return any(_leaves(o, inner) for region in op.regions for o in region.ops)


def _counts(body: Region, k: int, step: int) -> bool:
    """Whether parameter k goes on by the step."""
    ahead = body.terminator.args[k].owner
    if not isinstance(ahead, Op) or ahead.name not in ("add", "sub"):
        return False
    by = known(ahead.args[1])
    if ahead.name == "add" and ahead.args[1] is body.params[k]:
        by = known(ahead.args[0])
    elif ahead.args[0] is not body.params[k]:
        return False
    return by == (step if ahead.name == "add" else -step)


def _only_counts(body: Region, k: int, test: Op) -> bool:
    """Whether parameter k is used for nothing but the test and the next count."""
    users = [op for op in body.walk() if body.params[k] in op.args]
    return {id(op) for op in users} <= {id(test), id(body.terminator.args[k].owner)}


def _safe(bound: Value, start: Value) -> bool:
    """Whether bound - step does not wrap, or the loop runs all the same as it should."""
    fixed = [known(v) for v in (bound, start)]
    return made_by(bound, "len") is not None or any(v is not None and v not in _ENDS for v in fixed)


def _build(
    op: Op, k: int, head: int, bound: Value, step: int, leaver: Op, mapping: dict[Value, Value]
) -> list[Op]:  # fmt: skip
    (body,) = op.regions
    out = Region()
    b = Builder(out, op.span)
    last = b.prim("sub", bound, b.i64(step))
    counter, carried = body.params[k], [p for p in body.params if p is not body.params[k]]
    end = body.terminator
    end.args[:] = [a for i, a in enumerate(end.args) if i != k]
    del body.ops[head]
    body.params[:] = [counter, *carried]
    inits = [a for i, a in enumerate(op.args) if i != k]
    bounds = [op.args[k], last, b.i64(step)]
    made = Op("for", [*bounds, *inits], [p.type for p in carried], dict(op.attrs), [body], op.span)
    out.ops.append(made)
    given = dict(zip(carried, made.results, strict=True))
    if counter in leaver.args:
        given[counter] = _end(b, op.args[k], bound, step)
    for old, v in zip(op.results, leaver.args, strict=True):
        new = given.get(v, v)
        new.hint = new.hint or old.hint
        mapping[old] = new
    return out.ops



def _end(b: Builder, start: Value, bound: Value, step: int) -> Value:
    """Where a count ends: as far from the start as iterations were made, which is a number without tangent."""
    away = b.prim("sub", bound, start) if step > 0 else b.prim("sub", start, bound)
    trips = b.op("stop", (b.prim("max", away, b.i64(0)),), (I64,)).result
    return b.prim("add" if step > 0 else "sub", start, trips)
