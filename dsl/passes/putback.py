"""What is taken out of memory, zeroed there, and added again at the same place stays where it is.

    %x = load %m[%i]; store %m[%i], 0.0; …; acc %m[%i], %x

is what the adjoint of `m[i] += …` does: the cotangent of what was there is that of what is there. The store and the
`acc` are dropped, where nothing in between does anything with the memory, which nobody knows by another name. Exact in
value, but for the sign of a zero, which a cotangent does not have. No derivative is taken afterwards.
"""

from __future__ import annotations

from collections.abc import Set

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import known
from dsl.passes.common import mentioned
from dsl.passes.names import Names


def putback(fn: Function) -> bool:
    """Apply to a function."""
    if not any(op.name == "acc" for op in fn.body.walk()):
        return False
    return _region(fn.body, Names(fn).private)


def _region(region: Region, private: Set[Value]) -> bool:
    changed = False
    loaded: dict[Value, Op] = {}  # by memory, as long as nothing else is done with it: the load
    zeroed: dict[Value, Op] = {}  # and the store behind it
    gone: set[Op] = set()
    for op in region.ops:
        for inner in op.regions:
            changed |= _region(inner, private)
        m = op.args[0] if op.args else None
        if op.name == "load" and m in private:
            assert m is not None
            zeroed.pop(m, None)
            loaded[m] = op
        elif op.name == "store" and m in loaded and _is_zeroing(op, loaded[m]):
            zeroed[m] = op
        elif op.name == "acc" and m in zeroed and _is_same(op, loaded[m], op.args[2:]):
            gone |= {op, zeroed.pop(m)}
            del loaded[m]
        elif loaded and op.name != "len":
            for v in mentioned(op):
                loaded.pop(v, None)
                zeroed.pop(v, None)
    region.ops[:] = [op for op in region.ops if op not in gone]
    return changed or bool(gone)


def _is_zeroing(store: Op, load: Op) -> bool:
    return _is_same(store, load, load.results) and all(known(v) == 0.0 for v in store.args[2:])


def _is_same(op: Op, load: Op, values: list[Value]) -> bool:
    """Whether an op is at the place of a load, and these are the values that it gave."""
    return op.args[1] is load.args[1] and op.attrs.get("first", 0) == load.attrs.get("first", 0) and (
        values == load.results and len(op.args) - 2 == len(load.results)
    )  # fmt: skip
