"""Where references go: which values may lead to memory that is made in a loop's body or a function, and which of it may
be reached from outside afterwards.

A *site* is an op that makes memory. Two facts of a reference, each an over-estimate: the sites whose memory may be
reached from it, by any number of loads; and whether it is *outer*, that is, memory that was made outside may be. A site
*escapes* if its memory may be stored into memory from outside, or leaves, unless what leaves is flat: records without
references, which can be moved. What escapes has to be made outside, so it counts as outer from then on; a reference to
memory of any other site is *inner*. Of a called function three things are known: whether it makes memory, whether it
stores references into memory that it has not made, and whether it may call itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsl.ir.core import Op, Program, Region, Value
from dsl.passes.common import call_graph, called
from dsl.records import dataclass, field
from dsl.types import LeafType, Mem, Obj, is_ref


def flat(t: LeafType) -> bool:
    """Whether memory of a type holds no references."""
    return isinstance(t, Mem) and not any(map(is_ref, t.fields))


def holds_references(t: LeafType) -> bool:
    return isinstance(t, Obj) or (isinstance(t, Mem) and not flat(t))


@dataclass
class Summary:
    """What is known of functions, by name."""

    makes: set[str] = field(default_factory=set)   # makes memory, or calls what does
    stores: set[str] = field(default_factory=set)  # stores references into memory that it has not made
    recursive: set[str] = field(default_factory=set)

    @staticmethod
    def of(program: Program, roots: Sequence[str]) -> Summary:
        """Of all functions that the roots need."""
        summary = Summary()
        graph = call_graph(program, roots)
        groups = [[program.functions[name] for name in group] for group in graph.found]
        for group in groups:
            names = [fn.name for fn in group]
            if any(summary.allocates(op) for fn in group for op in fn.body.walk()):
                summary.makes.update(names)
            if graph.is_recursive(names):
                summary.recursive.update(names)
        for group in groups if summary.makes else ():
            before = -1
            while before != len(summary.stores):  # within a recursion, until nothing changes
                before = len(summary.stores)
                summary.stores.update(fn.name for fn in group if Flow(fn.body, summary).stores)
        return summary

    def allocates(self, op: Op) -> bool:
        if op.attrs.get("frame"):
            return False
        return op.name in ("new", "pack", "shadow") or (op.name == "call" and called(op) in self.makes)


@dataclass(frozen=True)
class Step:
    """An op, and the ops with regions around it inside the body that is looked at, outermost first."""

    op: Op
    around: tuple[Op, ...]


@dataclass
class Reach:
    """What a reference may refer to: memory of sites, memory from outside. What is reached from that by loads is what
    these memories hold."""

    sites: set[Op] = field(default_factory=set)
    outer: bool = False

    def add(self, other: Reach) -> bool:
        """Whether this is more than before."""
        before = len(self.sites), self.outer
        self.sites |= other.sites
        self.outer |= other.outer
        return before != (len(self.sites), self.outer)


class Flow:
    """Of one body: a function's, or that of a loop, which is `loop` then.

    escaping   the sites whose memory may be reached from outside, other than by flat memories among what leaves
    stores     whether a reference may be stored into memory that is not made here
    """

    def __init__(self, body: Region, summary: Summary, loop: Op | None = None) -> None:
        self.summary = summary
        self.loop = loop
        self.body = body
        self.escaping: set[Op] = set()
        self.stores = False
        self.steps = [s for s in _steps(body) if any(is_ref(v.type) for v in (*s.op.args, *s.op.results))]
        self.inside = set(body.params)
        for op in body.walk():
            self.inside.update(op.results)
            for region in op.regions:
                self.inside.update(region.params)
        self._reach: dict[Value, Reach] = {}
        self._contents: dict[Op, Reach] = {}  # by site: what references in its memory may lead to
        for p in body.params:
            self._of(p).outer = True
        self._changed = True
        while self._changed:
            self._changed = False
            for step in self.steps:
                self._step(step)

    def is_inner(self, v: Value) -> bool:
        return is_ref(v.type) and bool(self.inner_sites(v))

    def inner_sites(self, v: Value) -> set[Op]:
        """The sites whose memory ends with the body, unless it is moved, that a reference may lead to."""
        return self._of(v).sites - self.escaping

    def surviving(self) -> set[Op]:
        """The sites whose memory may be among what leaves, and is moved then."""
        return {site for step in self.steps for v in self.leaving(step) for site in self.inner_sites(v)}

    # ------------------------------------------------------------ facts
    def _of(self, v: Value) -> Reach:
        """What may be reached from a value, for good: later facts come to it."""
        return self._reach.setdefault(v, Reach(outer=v not in self.inside))

    def _more(self, reach: Reach, other: Reach) -> None:
        self._changed |= reach.add(other)

    def _holds(self, site: Op) -> Reach:
        return self._contents.setdefault(site, Reach())

    def _step(self, step: Step) -> None:
        op = step.op
        if self.summary.allocates(op):
            for r in op.results:
                if is_ref(r.type):
                    self._more(self._of(r), Reach({op}))
        match op.name:
            case "pack":
                self._put(op.result, op.args)
            case "shadow":  # of memory and all that it leads to
                self._into(Reach({op}), Reach({op}))
            case "select":
                for a in op.args[1:]:
                    self._join(op.results, [a])
            case "new" | "null":
                pass
            case "for" | "loop":
                first = 3 if op.name == "for" else 0
                params = op.regions[0].params[1:] if op.name == "for" else op.regions[0].params
                self._join(params, op.args[first:])
                if op.name == "for":
                    self._join(op.results, op.args[first:])
            case "yield" | "next" | "break" | "return":
                for targets in self.targets(step):
                    self._join(targets, op.args)
                for v in self.leaving(step):
                    if not flat(v.type):
                        self._escape(self._of(v))
            case "store" | "push":
                self._put(op.args[0], op.args[2 if op.name == "store" else 1 :])
            case "load" | "pop" | "unpack":
                self._take(op)
            case "call":
                self._call(op)
            case "if":
                pass
            case _:  # nothing else gives references; what does all the same may give any
                for r in filter(lambda r: is_ref(r.type), op.results):
                    self._more(self._of(r), Reach({s.op for s in self.steps if self.summary.allocates(s.op)}, True))

    def _join(self, targets: Sequence[Value], sources: Sequence[Value]) -> None:
        for target, source in zip(targets, sources, strict=True):
            if is_ref(target.type):
                self._more(self._of(target), self._of(source))

    def _put(self, m: Value, values: Sequence[Value]) -> None:
        """References go into a memory, or into what it leads to."""
        for v in values:
            if is_ref(v.type):
                self._into(self._of(m), self._of(v))

    def _into(self, memory: Reach, what: Reach) -> None:
        if memory.outer or memory.sites & self.escaping:
            self.stores |= memory.outer
            self._escape(what)
        for site in memory.sites:
            self._more(self._holds(site), what)

    def _escape(self, what: Reach) -> None:
        """Memory is reached from outside, and so is what is reached from it."""
        work = list(what.sites)
        while work:
            site = work.pop()
            if site not in self.escaping:
                self.escaping.add(site)
                self._changed = True
            work += self._holds(site).sites - self.escaping

    def _take(self, op: Op) -> None:
        """References come out of a memory: those that went in."""
        source = self._of(op.args[0])
        found = Reach(outer=source.outer)
        for site in source.sites:
            found.add(self._holds(site))
        for r in op.results:
            if is_ref(r.type):
                self._more(self._of(r), found)

    def _call(self, op: Op) -> None:
        """What is made in the callee is one site. It, and all that is handed over, may be in all that comes back, and
        in memory that is handed over if the callee stores references there."""
        makes = called(op) in self.summary.makes
        everything = Reach({op} if makes else set())
        for a in op.args:
            if is_ref(a.type):
                everything.add(self._reached(self._of(a)))
        for r in op.results:
            if is_ref(r.type):
                self._more(self._of(r), everything)
        if makes:
            self._into(Reach({op}), everything)
        if called(op) in self.summary.stores:
            for a in op.args:
                if holds_references(a.type):
                    self._into(self._reached(self._of(a)), everything)

    def _reached(self, reach: Reach) -> Reach:
        """The same with what can be loaded from it."""
        found = Reach(set(reach.sites), reach.outer)
        work = [*reach.sites]
        while work:
            held = self._holds(work.pop())
            found.outer |= held.outer
            more = held.sites - found.sites
            found.sites |= more
            work += more
        return found

    def targets(self, step: Step) -> list[list[Value]]:
        """What gets the operands of a terminator, inside the body: nothing where it leaves that."""
        op = step.op
        if op.name == "yield":
            return [step.around[-1].results]
        if op.name == "return":
            return []
        loops = [o for o in step.around if o.name != "if"]
        if op.name == "next":
            if loops:
                return _carried(loops[-1])
            return _carried(self.loop)[:1] if self.loop is not None else []
        depth = op.attrs.get("depth", 0)
        return [loops[-1 - depth].results] if depth < len(loops) else []

    def leaving(self, step: Step) -> list[Value]:
        """The inner references among the operands of a terminator that leaves the body, or its iteration."""
        op = step.op
        loops = [o for o in step.around if o.name != "if"]
        gone = (
            op.name == "return"
            or (op.name == "next" and not loops)
            or (op.name == "break" and op.attrs.get("depth", 0) >= len(loops))
        )
        return [v for v in op.args if self.is_inner(v)] if gone else []


def _carried(loop: Op) -> list[list[Value]]:
    """What gets the operands of a loop's `next`."""
    (body,) = loop.regions
    return [body.params[1:], loop.results] if loop.name == "for" else [body.params]


def _steps(body: Region) -> Iterator[Step]:
    """The ops in a body, each before those in its regions; however deep they are."""
    stack: list[tuple[Iterator[Op], tuple[Op, ...]]] = [(iter(body.ops), ())]
    while stack:
        ops, around = stack[-1]
        op = next(ops, None)
        if op is None:
            stack.pop()
            continue
        yield Step(op, around)
        stack += [(iter(inner.ops), (*around, op)) for inner in reversed(op.regions)]
