"""Where the reverse sweep takes each value from that it needs of the forward sweep.

    in scope    both sweeps are one function: the body's own values are at hand
    recompute   made again by cheap operations from values that are at hand
    reload      read again from memory that still holds the same (`settled`), loaded from there or stored there
    save        kept in the record of the construct that defines it

A value is made again where what that takes is kept further out than the value itself would be (fewer times), or is kept
anyway. `SAVE_ALL` saves instead whatever is not a constant, a counter or in scope.

What is made again depends only on what is defined earlier, so there is no circle; each such value is made once in a
region of the reverse sweep, and one that would take more than `LIMIT` operations is saved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING

from dsl.ir.core import Op, Value
from dsl.ops import PRIMITIVES

if TYPE_CHECKING:
    from dsl.ad.plan import Key, Plan


class How(Enum):
    IN_SCOPE = "in scope"
    RECOMPUTE = "recompute"
    RELOAD = "reload"
    SAVE = "save"


KEPT = frozenset({How.IN_SCOPE, How.SAVE})
LIMIT = 16  # operations to make one value again

# Operations that take about as long as reading a saved value does.
_CHEAP = """
    add sub mul neg abs sign min max clamp fma muladd div select copysign flipsign relu
    eq ne lt le gt ge and or not xor
    iand ior ixor inot shl shr ushr idiv irem ifld imod
    tof64 tof32 toi64 booltof64 booltoi64 floor ceil trunc round
"""
CHEAP = frozenset(_CHEAP.split())


def save_all() -> bool:
    """Whether the environment asks for the plan that saves everything (`DFL_PLAN=save`), to compare with."""
    return os.environ.get("DFL_PLAN") == "save"


class Decisions:
    """`how[key]` for each key that is asked for with `need`, and all that these are made from."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.how: dict[Key, How] = {}
        self._levels: dict[Key, int] = {}
        self._sources: dict[Key, list[Key] | None] = {}
        self._all = save_all()

    # ------------------------------------------------------------ what a value can be made from
    def sources(self, key: Key) -> list[Key] | None:
        """What a value is made again from; None: it cannot be."""
        if key not in self._sources:
            self._sources[key] = self._find_sources(key)
        return self._sources[key]

    def _find_sources(self, key: Key) -> list[Key] | None:
        kind, what = key
        if kind == "trips":
            return None if self._all else [("primal", v) for v in what.args[:3]]
        assert isinstance(what, Value)
        if what in self.plan.counter:
            loop = self.plan.counter[what]
            return [("primal", loop.args[0]), ("primal", loop.args[2])] if kind == "primal" else None
        op = what.owner
        if not isinstance(op, Op):
            return None
        if op.name in ("const", "null"):
            return []
        if kind == "shadow" and what in self.plan.local:
            return [("primal", op.args[0])]
        if self._all:
            return None
        if op.name == "load" and self.plan.settled.contents(op, op.args[0]):
            return [(kind, op.args[0]), ("primal", op.args[1])]
        if kind == "primal" and op.name == "len" and self.plan.settled.length(op, op.args[0]):
            return [("primal", op.args[0])]
        if kind == "primal" and op.name in CHEAP:
            return [("primal", a) for a in op.args]
        store = self.stored(key)
        return None if store is None else [("primal", a) for a in store.args[:2]]

    def stored(self, key: Key) -> Op | None:
        """The store that has put a value where it can be read again: of values that are dear to make."""
        kind, v = key
        op = v.owner if kind == "primal" and isinstance(v, Value) else None
        if not isinstance(op, Op) or op.name not in PRIMITIVES or op.name in CHEAP:
            return None
        store = self.plan.settled.stored(v)
        c = self.plan.owner[op]
        return store if store is not None and c.before[op] == c.before[store] else None

    def is_free(self, key: Key) -> bool:
        """Constants: made where they are used."""
        return self.sources(key) == []

    # ------------------------------------------------------------ decisions
    def level(self, key: Key) -> int:
        """How many loops are around what must be kept to have a value, at best; -1: nothing needs to be."""
        if key not in self._levels:
            own = self.own_level(key)
            sources = None if own == 0 and self._in_scope(key) else self.sources(key)
            if sources is not None and self._is_cheap(key):
                own = min(own, max(map(self.level, sources), default=-1))
            self._levels[key] = own
        return self._levels[key]

    def own_level(self, key: Key) -> int:
        return self.plan.depth(self.plan.key_owner(key))

    def _in_scope(self, key: Key) -> bool:
        return self.plan.activity.pattern.in_place and self.own_level(key) == 0 and not self.is_free(key)

    def _is_cheap(self, key: Key) -> bool:
        """Whether few operations make a value again. What is defined further out counts as at hand."""
        own, seen, work = self.own_level(key), {key}, [key]
        while work and len(seen) <= LIMIT:
            for s in self.sources(work.pop()) or ():
                if s not in seen and self.own_level(s) == own and self.sources(s):
                    seen.add(s)
                    work.append(s)
        return len(seen) <= LIMIT

    def need(self, key: Key) -> None:
        """Decide about a value and all that it is made from."""
        work = [key]
        while work:
            key = work.pop()
            if key in self.how:
                continue
            sources = self.sources(key)
            if self._in_scope(key):
                self.how[key] = How.IN_SCOPE
            elif sources is not None and (not sources or self._is_better_made(key)):
                self.how[key] = self._again(key)
                work += sources
            else:
                self.how[key] = How.SAVE

    def _is_better_made(self, key: Key) -> bool:
        local = key[0] == "shadow" and key[1] in self.plan.local
        return local or self.level(key) < self.own_level(key)

    def settle(self, in_order: Iterable[Key]) -> None:
        """Of what is saved, drop what can be made from the rest. `in_order`: the latest last."""
        for key in reversed(list(in_order)):
            sources = self.sources(key)
            if self.how.get(key) is How.SAVE and sources is not None and self._is_cheap(key):
                own = self.own_level(key)
                made: dict[Key, None] = {}
                if all(self._derivable(s, own, made) for s in sources):
                    self.how[key] = self._again(key)
                    for k in made:
                        if self.own_level(k) < own:
                            self.need(k)
                        else:
                            self.how[k] = self._again(k)

    def _derivable(self, key: Key, own: int, made: dict[Key, None]) -> bool:
        """Whether a value is at hand, or is kept further out, or can be made from such; notes what is new."""
        if key in self.how or key in made:
            return True
        sources = self.sources(key)
        if self.own_level(key) == own and not (
            sources is not None and all(self._derivable(s, own, made) for s in sources)
        ):
            return False
        made[key] = None
        return True

    def _again(self, key: Key) -> How:
        what = key[1]
        op = what.owner if isinstance(what, Value) else None
        loaded = isinstance(op, Op) and op.name == "load"
        return How.RELOAD if loaded or self.stored(key) is not None else How.RECOMPUTE

    def kept(self) -> list[Key]:
        return [key for key, how in self.how.items() if how in KEPT]


__all__ = ["CHEAP", "KEPT", "LIMIT", "Decisions", "How", "save_all"]
