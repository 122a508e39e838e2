"""The cotangents that are known at a place of the reverse sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.ad.plan import Construct, Key
from dsl.ir.core import Region, Value
from dsl.ops import Builder

if TYPE_CHECKING:
    from dsl.ad.reverse import Backward


class Scope:
    """Cotangents known at one place of the reverse code. `conditional` are those that may be zero only because the
    path taken did not use the value."""

    def __init__(self, parent: Scope | None) -> None:
        self.parent = parent
        self.table: dict[Value, Value] = {}
        self.made: dict[Key, Value] = {}  # what has been made again here

    def lookup(self, v: Value) -> Value | None:
        if v in self.table:
            return self.table[v]
        return self.parent.lookup(v) if self.parent is not None else None


class LoopScope(Scope):
    """The body of a reverse loop: the first use of an outer value's cotangent makes it carried."""

    def __init__(self, parent: Scope, region: Region, construct: Construct, sweep: Backward, outside: Builder) -> None:
        super().__init__(parent)
        self.parent_scope = parent
        self.region = region
        self.construct = construct
        self.sweep = sweep
        self.outside = outside
        self.carried: list[tuple[Value, Value, Value]] = []  # (primal, region parameter, initial value)

    def lookup(self, v: Value) -> Value | None:
        if v in self.table:
            return self.table[v]
        if self.sweep.plan.encloses(self.construct, self.sweep.plan.owner[v]):
            return None
        assert self.parent is not None
        init = self.parent.lookup(v)
        if init is None:
            init = self.sweep.zero_cotangent(v, self.outside)
        param = Value(init.type, self.region, v.hint)
        self.region.params.append(param)
        self.carried.append((v, param, init))
        self.table[v] = param
        if init in self.sweep.conditional:
            self.sweep.conditional.add(param)
        return param
