"""Where the reverse sweep takes each value from that it needs of the forward sweep.

    in scope    both sweeps are one function: the body's own values are at hand
    recompute   made again by cheap operations from values that are at hand
    reload      read again from memory that still holds the same (`settled`), loaded from there or stored there, or from
                a copy of all that a nest reads there (`readings`), which is kept then
    save        kept in the record of the construct that defines it

Which of the last three is chosen for all values together, so that what is kept and what is done again cost least by
the weights of `costs`, each times the runs of the loops around: a minimum cut. Each value is two nodes, its making and
its being at hand. Behind the cut is what the reverse sweep has. What is needed is at hand; what is made there needs
what it is made from at hand; the edge between a value's two nodes is cut where it is saved, the edge from the source to
its making is where it is made again. `DFL_PLAN=save` saves instead whatever is not a constant, a counter or in scope.

What is made again depends only on what is defined earlier, so there is no circle; each such value is made once in a
region of the reverse sweep.
"""

from __future__ import annotations

import os
from enum import Enum
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from dsl.ad.costs import AGAIN, LOAD, MADE, MOST_RUNS, OPERATION, SAVED_BYTE, SAVED_VALUE, UNKNOWN_TRIPS
from dsl.ad.mincut import INFINITE, Network
from dsl.ad.readings import Reading, find_reading
from dsl.ir.core import Op, Value
from dsl.ops import PRIMITIVES, known

if TYPE_CHECKING:
    from dsl.ad.plan import Construct, Key, Plan


class How(Enum):
    IN_SCOPE = "in scope"
    RECOMPUTE = "recompute"
    RELOAD = "reload"
    SAVE = "save"


KEPT = frozenset({How.IN_SCOPE, How.SAVE})


def save_all() -> bool:
    """Whether the environment asks for the plan that saves everything (`DFL_PLAN=save`), to compare with."""
    return os.environ.get("DFL_PLAN") == "save"


class Decisions:
    """`how[key]` for each key that is asked for with `need` before `settle`, and all that these are made from."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.how: dict[Key, How] = {}
        self._needed: dict[Key, None] = {}
        self._sources: dict[Key, list[Key] | None] = {}
        self._readings: dict[Op, Reading | None] = {}
        self._runs: dict[Construct, int] = {}
        self._all = save_all()

    def need(self, key: Key) -> None:
        self._needed[key] = None

    def kept(self) -> list[Key]:
        return [key for key, how in self.how.items() if how in KEPT]

    # ------------------------------------------------------------ what a value can be made from
    def sources(self, key: Key) -> list[Key] | None:
        """What a value is made again from; None: it cannot be."""
        if key not in self._sources:
            self._sources[key] = self._find_sources(key)
        return self._sources[key]

    def _find_sources(self, key: Key) -> list[Key] | None:
        kind, what = key
        if kind == "copy":
            return None
        if kind == "trips":
            return None if self._all else [("primal", v) for v in what.args[:3]]
        assert isinstance(what, Value)
        if kind == "shadow" and what in self.plan.handed_on:
            handed = self.plan.handed_on[what]
            size = [] if handed.size is None else [("primal", handed.size)]
            return [*size, ("shadow", handed.init)]
        if what in self.plan.counter:
            loop = self.plan.counter[what]
            return [("primal", loop.args[0]), ("primal", loop.args[2])] if kind == "primal" else None
        if what in self.plan.induction and not self._all:
            around = self.plan.owner[what]
            assert around.op is not None
            first = around.op.args[2 + around.region.params.index(what)]
            return [("primal", first), ("primal", self.plan.induction[what].args[1])]
        op = what.owner
        if not isinstance(op, Op):
            return None
        if op.name in ("const", "null"):
            return []
        if kind == "shadow" and what in self.plan.local:
            return [("primal", op.args[0])]
        if self._all:
            return None
        if op.name == "load":
            if self.plan.settled.contents(op, op.args[0]):
                return [(kind, op.args[0]), ("primal", op.args[1])]
            reading = self.reading(op)
            return None if reading is None else [("copy", reading.load), *(("trips", c.op) for c in reading.loops[1:])]
        if kind == "shadow" or (op.name == "len" and not self.plan.settled.length(op, op.args[0])):
            return None
        if op.name in AGAIN:
            return [("primal", a) for a in op.args]
        store = self.stored(key)
        return None if store is None else [("primal", a) for a in store.args[:2]]

    def stored(self, key: Key) -> Op | None:
        """The store that has put a value where it can be read again: of values that are dear to make."""
        kind, v = key
        op = v.owner if kind == "primal" and isinstance(v, Value) else None
        if not isinstance(op, Op) or op.name not in PRIMITIVES or op.name in AGAIN:
            return None
        store = self.plan.settled.stored(v)
        c = self.plan.owner[op]
        return store if store is not None and c.before[op] == c.before[store] else None

    def reading(self, load: Op) -> Reading | None:
        """The nest whose readings of memory that changes behind it are copied, if they may be."""
        if load not in self._readings:
            settled = self.plan.settled.contents(load, load.args[0])
            self._readings[load] = None if settled else find_reading(self.plan, self._alike.get(load, load))
        return self._readings[load]

    @cached_property
    def _alike(self) -> dict[Op, Op]:
        """To a load the first one in the same region that reads the same, if the memory is left alone meanwhile."""
        found: dict[Op, Op] = {}
        body = self.plan.fn.body
        for region in (body, *(r for op in body.walk() for r in op.regions)):
            first: dict[tuple[object, ...], Op] = {}
            for op in region.ops:
                if op.name == "load":
                    found[op] = first.setdefault((*op.args, op.attrs.get("first", 0), len(op.results)), op)
        return found

    def is_free(self, key: Key) -> bool:
        """Constants: made where they are used."""
        return self.sources(key) == []

    # ------------------------------------------------------------ costs
    def _again(self, key: Key) -> int:
        """The cost of making a value again from what it is made from."""
        if self.sources(key) is None:
            return INFINITE
        what = key[1]
        op = what.owner if isinstance(what, Value) else None
        if self.stored(key) is not None:
            cost = LOAD
        else:  # what is no result of an op is a counter or trip count
            cost = AGAIN.get(op.name, OPERATION) if isinstance(op, Op) else OPERATION
        return cost * self._runs_of(self.plan.key_owner(key))

    def _saved(self, key: Key) -> int:
        """The cost of keeping a value."""
        if key[0] == "shadow" and self.plan.makes_shadow_later(key[1]):
            return INFINITE  # nobody makes it in the forward sweep
        each = SAVED_VALUE + SAVED_BYTE * self.plan.key_bytes(key)
        if key[0] == "copy" and (reading := self.reading(key[1])) is not None:
            each = SAVED_VALUE + SAVED_BYTE * self.plan.copied_bytes(reading)
            each = each * prod(_trips(c.op) for c in reading.loops) + (MADE if reading.loops else 0)
        return each * self._runs_of(self.plan.key_owner(key))

    def _runs_of(self, c: Construct) -> int:
        """How often a construct runs, as far as that is known."""
        if c not in self._runs:
            around = 1 if c.parent is None else self._runs_of(c.parent)
            self._runs[c] = min(MOST_RUNS, around * _trips(c.op))
        return self._runs[c]

    # ------------------------------------------------------------ decisions
    def settle(self) -> None:
        """Decide about all values that are needed."""
        network = Network()
        source, sink = network.node(), network.node()
        nodes = self._build(network, source, sink)
        behind = network.sink_side(source, sink) if nodes else set()
        for key in self._needed:
            self._note(key, nodes, behind)

    def _build(self, network: Network, source: int, sink: int) -> dict[Key, int]:
        """The network of what is needed and all that may be made for it: the number of each value's first node."""
        nodes: dict[Key, int] = {}
        work: list[Key] = []

        def at_hand(key: Key) -> int | None:
            """The node that says that a value is at hand; None where it always is."""
            if self._in_scope(key) or self.is_free(key):
                return None
            if key not in nodes:
                nodes[key] = network.node()
                network.node()
                work.append(key)
            return nodes[key] + 1

        for key in self._needed:
            if (node := at_hand(key)) is not None:
                network.edge(node, sink, INFINITE)
        while work:
            key = work.pop()
            making = nodes[key]
            network.edge(source, making, self._again(key))
            network.edge(making, making + 1, self._saved(key))
            for s in self.sources(key) or ():
                if (node := at_hand(s)) is not None:
                    network.edge(node, making, INFINITE)
        return nodes

    def _in_scope(self, key: Key) -> bool:
        own = self.plan.key_owner(key)
        if key[0] == "shadow" and key[1] in self.plan.handed_on:
            return False
        return self.plan.activity.pattern.in_place and own is self.plan.root and not self.is_free(key)

    def _note(self, key: Key, nodes: dict[Key, int], behind: set[int]) -> None:
        """Write down how a value is had, and what it is made from."""
        work = [key]
        while work:
            key = work.pop()
            if key in self.how:
                continue
            if self._in_scope(key):
                self.how[key] = How.IN_SCOPE
            elif self.is_free(key) or nodes[key] in behind:
                op = key[1].owner if isinstance(key[1], Value) else None
                loaded = (isinstance(op, Op) and op.name == "load") or self.stored(key) is not None
                self.how[key] = How.RELOAD if loaded else How.RECOMPUTE
                work += self.sources(key) or ()
            else:
                self.how[key] = How.SAVE


def _trips(loop: Op | None) -> int:
    """How often a loop goes round, as far as that is known."""
    trips = 1 if loop is None else known_trips(loop)
    return UNKNOWN_TRIPS if trips is None else max(1, trips)


def known_trips(loop: Op) -> int | None:
    """How often a loop goes round, where that is a constant."""
    if loop.name == "for":
        low, high, step = map(known, loop.args[:3])
        if low is not None and high is not None and step:
            return max(0, (int(high) - int(low)) // int(step) + 1)
    return None
