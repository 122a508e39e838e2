"""What is known of integers: bounds of counters and lengths decide comparisons, checks that must hold are dropped.

A value is seen as base + constant. The base is nothing (the value is a constant), a size (the length of a memory that
is not resized in the function, or a parameter that the function's attr `sizes` names: it is not negative, and far from
where integers wrap), or any other value. A counter lies
between the bounds of its `for`. With a base of the last kind no constant may be involved, since it might wrap.
What a `check` has found true is true behind it. Sums of constants are put together: (x + 1) - 1 is x. The length of a
memory that is not resized in the function is taken once.
Exact in value and derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import TypeAlias

from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ops import Builder, known, made_by
from dsl.passes.common import substitute
from dsl.passes.counted import resized_types
from dsl.types import I64, LeafType

Linear: TypeAlias = tuple[Hashable, int]  # base (None: a constant) and what is added to it
NOWHERE_NEAR = 1 << 40  # constants in this range added to a length do not wrap
DEEP = 6  # how many bounds of bounds are looked at


def ranges(program: Program, names: Collection[str] | None = None) -> set[str]:
    """Apply to these functions of a program, or all; gives those that have changed."""
    wanted = program.functions if names is None else names
    resized = resized_types(program)
    return {name for name, fn in program.functions.items() if name in wanted and _function(fn, resized[name])}


def _function(fn: Function, resized: set[LeafType]) -> bool:
    decider = _Decider(resized, {fn.params[k] for k in fn.attrs.get("sizes", ())})
    decider.region(fn.body)
    return decider.changed


class _Decider:
    def __init__(self, resized: set[LeafType], sizes: set[Value]) -> None:
        self.resized = resized
        self.sizes = sizes
        self.low: dict[Value, Value] = {}  # bounds of counters
        self.high: dict[Value, Value] = {}
        self.true: set[Value] = set()  # what checks have found
        self.lengths: dict[Value, Value] = {}  # of memories, taken before
        self.mapping: dict[Value, Value] = {}
        self.changed = False

    # ------------------------------------------------------------ walking
    def region(self, region: Region) -> None:
        out = Region()
        b = Builder(out)
        found: list[Value] = []
        measured: list[Value] = []
        for op in region.ops:
            substitute(op, self.mapping)
            b.span = op.span
            if op.name == "check" and self.holds(op.args[0]):
                self.changed = True
                continue
            new = self.rewritten(op, b)
            if new is not None:
                self.mapping[op.result] = new
                self.changed = True
                continue
            if op.name == "for":
                self.bound(op)
            for inner in op.regions:
                self.region(inner)
            out.ops.append(op)
            if op.name == "check":
                found += self.learn(op.args[0])
            elif op.name == "len" and op.args[0].type not in self.resized:
                self.lengths[op.args[0]] = op.result
                measured.append(op.args[0])
        self.true.difference_update(found)
        for m in measured:
            del self.lengths[m]
        region.ops = out.ops

    def bound(self, op: Op) -> None:
        low, high, step = op.args[:3]
        by = known(step)
        if by is not None and by != 0:
            low, high = (low, high) if by > 0 else (high, low)
            self.low[op.regions[0].params[0]] = low
            self.high[op.regions[0].params[0]] = high

    def learn(self, cond: Value) -> list[Value]:
        """Take a bool for true, and its parts; gives what was not known before."""
        work, new = [cond], []
        while work:
            c = work.pop()
            if c not in self.true:
                self.true.add(c)
                new.append(c)
                both = made_by(c, "and")
                work += both.args if both else []
        return new

    def holds(self, cond: Value) -> bool:
        both = made_by(cond, "and")
        return known(cond) is True or cond in self.true or (both is not None and all(map(self.holds, both.args)))

    # ------------------------------------------------------------ rewriting
    def rewritten(self, op: Op, b: Builder) -> Value | None:
        """What an op's result is, where it can be said more simply."""
        if op.name in _DECIDE and op.args[0].type == I64:
            answer = _DECIDE[op.name](self, *op.args)
            return None if answer is None else b.bool(answer)
        if op.name == "len" and op.args[0].type not in self.resized:
            made = made_by(op.args[0], "new")
            return self.lengths.get(op.args[0]) if made is None else made.args[0]
        if op.name in ("ifld", "idiv") and known(op.args[1]) == 1:
            return op.args[0]
        if op.name == "max" and op.args[0].type == I64:
            return self.larger(*op.args)
        if op.name in ("add", "sub") and op.args[0].type == I64:
            return self.put_together(op, b)
        return None

    def larger(self, x: Value, y: Value) -> Value | None:
        if self.at_most(x, y):
            return y
        return x if self.at_most(y, x) and isinstance(self.linear(x)[0], tuple) else None

    def put_together(self, op: Op, b: Builder) -> Value | None:
        """base + constant, where that is less than what is there."""
        base, c = _peel(op.result)
        if base is op.result or base is None:
            return None
        if c == 0:
            return base
        inner = [a.owner for a in op.args if isinstance(a.owner, Op) and a.owner.name in ("add", "sub")]
        if not any(i.result is not base and _peel(i.result)[0] is base for i in inner):
            return None
        return b.prim("add" if c > 0 else "sub", base, b.i64(abs(c)))

    # ------------------------------------------------------------ deciding
    def linear(self, v: Value) -> Linear:
        base, c = _peel(v)
        if base is None:
            return None, c
        length = made_by(base, "len")
        if length is not None and length.args[0].type not in self.resized:
            return ("len", length.args[0]), c
        return (("size", base) if base in self.sizes else base), c

    def at_most(self, x: Value, y: Value, strictly: bool = False) -> bool:
        """Whether x <= y (or x < y) is certain."""
        above = self.bounds(self.linear(x), self.high)
        below = self.bounds(self.linear(y), self.low)
        return any(a == b and self.fits(a, u, lo) and u + strictly <= lo for a, u in above for b, lo in below)

    def fits(self, base: Hashable, *constants: int) -> bool:
        if base is None or isinstance(base, tuple):
            return all(abs(c) < NOWHERE_NEAR for c in constants)
        return not any(constants)

    def bounds(self, v: Linear, table: dict[Value, Value]) -> list[Linear]:
        """The value itself and what bounds it, from above or below."""
        found = [v]
        for _ in range(DEEP):
            base, c = found[-1]
            if isinstance(base, tuple) and table is self.low:
                return [*found, (None, c)]  # a size is not negative
            if not isinstance(base, Value) or base not in table:
                return found
            further, more = self.linear(table[base])
            found.append((further, c + more))
        return found


def _peel(v: Value) -> tuple[Value | None, int]:
    """An i64 as base and constant. Sums of constants wrap as the program's would, which is exact."""
    total = 0
    while True:
        n = known(v)
        if isinstance(n, int) and not isinstance(n, bool):
            return None, _wrapped(total + n)
        op = v.owner
        if not isinstance(op, Op) or op.name not in ("add", "sub") or len(op.args) != 2:
            return v, _wrapped(total)
        left, right = (known(a) for a in op.args)
        if isinstance(right, int):
            v, total = op.args[0], total + (right if op.name == "add" else -right)
        elif isinstance(left, int) and op.name == "add":
            v, total = op.args[1], total + left
        else:
            return v, _wrapped(total)


def _wrapped(n: int) -> int:
    """An integer as one of 64 bits."""
    return (n + (1 << 63)) % (1 << 64) - (1 << 63)


def _at_most(d: _Decider, x: Value, y: Value) -> bool | None:
    return True if d.at_most(x, y) else False if d.at_most(y, x, strictly=True) else None


def _less(d: _Decider, x: Value, y: Value) -> bool | None:
    return True if d.at_most(x, y, strictly=True) else False if d.at_most(y, x) else None


def _equal(d: _Decider, x: Value, y: Value) -> bool | None:
    if d.at_most(x, y) and d.at_most(y, x):
        return True
    return False if d.at_most(x, y, strictly=True) or d.at_most(y, x, strictly=True) else None


def _different(d: _Decider, x: Value, y: Value) -> bool | None:
    equal = _equal(d, x, y)
    return None if equal is None else not equal


_DECIDE: dict[str, Callable[[_Decider, Value, Value], bool | None]] = {
    "le": _at_most,
    "lt": _less,
    "ge": lambda d, x, y: _at_most(d, y, x),
    "gt": lambda d, x, y: _less(d, y, x),
    "eq": _equal,
    "ne": _different,
}
