"""What passes ask about ops and functions: effects by table, what a loop's exits are, who calls whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set

from dsl.ir.core import Function, Op, Program, Region, Rule, Value
from dsl.ir.opset import OPSET, OpInfo
from dsl.ops import PRIMITIVES, Builder
from dsl.ops.kernels import KERNELS

_PRIMITIVE = OpInfo("primitive", "", "any scalar primitive", pure=True)


def info(op: Op) -> OpInfo:
    """What an op may do. Ops with regions: themselves only, not what is inside."""
    found = OPSET.get(op.name)
    if found is None:
        assert op.name in PRIMITIVES, op.name
        return _PRIMITIVE
    return found


def is_pure(op: Op) -> bool:
    return info(op).pure


def inner(op: Op) -> Iterator[Op]:
    """The ops in the regions of an op."""
    for region in op.regions:
        yield from region.walk()


def mentioned(op: Op) -> dict[Value, None]:
    """The operands of an op and of all inside it, in order."""
    return dict.fromkeys([*op.args, *(a for o in inner(op) for a in o.args)])


class Mentions:
    """The ops of each region that mention a value, themselves or inside. `only`: it is asked about these values."""

    def __init__(self, only: Set[Value] | None = None) -> None:
        self._only = only
        self._found: dict[Region, dict[Value, list[Op]]] = {}

    def of(self, region: Region, v: Value) -> list[Op]:
        if region not in self._found:
            found: dict[Value, list[Op]] = {}
            for op in region.ops:
                for a in mentioned(op):
                    if self._only is None or a in self._only:
                        found.setdefault(a, []).append(op)
            self._found[region] = found
        return self._found[region].get(v, [])


def rewrite(region: Region, change: Callable[[Op], list[Op] | None]) -> bool:
    """Put what `change` makes of an op in its place, the outer ones first; None: it stays, and what is inside is asked
    about. Gives whether anything was changed."""
    changed = False
    ops: list[Op] = []
    for op in region.ops:
        made = change(op)
        changed |= made is not None
        if made is None:
            made = [op]
            for r in op.regions:
                changed |= rewrite(r, change)
        ops += made
    region.ops[:] = ops
    return changed


def twice(condition: Value, one: Op, other: Op, b: Builder) -> None:
    """Emit an `if` with two ops, of which the second one's results become its own: a loop as it was, for example."""
    results = other.results
    other.results = [Value(r.type, other, r.hint) for r in results]
    arms = []
    for op in (one, other):
        arm = Region()
        arm.ops.append(op)
        Builder(arm, op.span).yield_(*op.results)
        arms.append(arm)
    chosen = b.op("if", (condition,), (), arms)
    chosen.results = results
    for r in results:
        r.owner = chosen


def constants(region: Region) -> dict[Value, float | int | bool]:
    """The values of all constants in a region, nested ones included."""
    return {op.results[0]: op.attrs["value"] for op in region.walk() if op.name == "const"}


def substitute(op: Op, mapping: dict[Value, Value]) -> None:
    """Replace the operands of an op (not those of ops inside its regions)."""
    if mapping:
        for k, value in enumerate(op.args):
            if value in mapping:
                op.args[k] = mapping[value]


def for_counter(v: Value, loop: Op, counter: Value, b: Builder) -> Value:
    """What the body of a `for` makes of its counter by scalar operations alone, made again for another counter."""
    (body,) = loop.regions
    made: dict[Value, Value] = {body.params[0]: counter}
    definitions = {r: op for op in body.ops for r in op.results}

    def again(v: Value) -> Value:
        if v in definitions and v not in made:
            op = definitions[v]
            made[v] = b.op(op.name, [again(a) for a in op.args], (v.type,), **op.attrs).result
        return made.get(v, v)

    return again(v)


def local_memory(op: Op) -> bool:
    """Whether an op changes only memory that an op of the same function made."""
    i = info(op)
    return i.writes and not (i.makes or i.raises or i.effect) and all(_made_here(m) for m in written(op))


def _made_here(memory: Value) -> bool:
    return isinstance(memory.owner, Op) and info(memory.owner).makes


def written(op: Op) -> list[Value]:
    """The memories that an op changes, but for those that it makes; calls are left out."""
    if op.name == "kernel":
        return [m for m, role in zip(op.args, KERNELS[op.attrs["kernel"]].roles, strict=False) if role != "in"]
    return op.args[:1] if info(op).writes and not info(op).makes else []


def called(op: Op) -> str:
    """The function that an op names, "" where it names none."""
    name = op.attrs.get("fn", "")
    return name if isinstance(name, str) else ""


def references(fn: Function) -> Iterator[str]:
    """The functions that a function names: in calls, derivative ops and rules; some more than once."""
    for value in fn.attrs.values():
        if isinstance(value, Rule):
            yield from filter(None, (value.forward, value.reverse, value.pushforward))
    for op in fn.body.walk():
        if op.attrs and (name := called(op)):
            yield name


def components(program: Program, roots: Sequence[str]) -> list[list[str]]:
    """The groups of mutually recursive functions reachable from the roots, callees before callers (Tarjan)."""
    return call_graph(program, roots).found


def call_graph(program: Program, roots: Sequence[str]) -> Components:
    """What the roots reach: `found` has the groups as `components` gives them, `edges` whom each function names."""
    graph = Components(program)
    for root in roots:
        if root not in graph.number:
            graph.visit(root)
    return graph


class Components:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.edges: dict[str, Counter[str]] = {}  # with how many times
        self.number: dict[str, int] = {}
        self.low: dict[str, int] = {}
        self.stack: list[str] = []
        self.on_stack: set[str] = set()
        self.found: list[list[str]] = []

    def visit(self, root: str) -> None:
        """Depth first, without recursion: chains of calls may be long."""
        work = [(root, self.enter(root))]
        while work:
            name, rest = work[-1]
            for callee in rest:
                if callee not in self.number:
                    work.append((callee, self.enter(callee)))
                    break
                if callee in self.on_stack:
                    self.low[name] = min(self.low[name], self.number[callee])
            else:
                work.pop()
                if work:
                    caller = work[-1][0]
                    self.low[caller] = min(self.low[caller], self.low[name])
                self.leave(name)

    def enter(self, name: str) -> Iterator[str]:
        self.number[name] = self.low[name] = len(self.number)
        self.stack.append(name)
        self.on_stack.add(name)
        self.edges[name] = Counter(references(self.program.functions[name]))
        return iter(sorted(self.edges[name]))

    def is_recursive(self, group: Sequence[str]) -> bool:
        return len(group) > 1 or group[0] in self.edges[group[0]]

    def leave(self, name: str) -> None:
        if self.low[name] != self.number[name]:
            return
        group: list[str] = []
        while not group or group[-1] != name:
            group.append(self.stack.pop())
            self.on_stack.discard(group[-1])
        self.found.append(group)


def quiet_functions(program: Program, roots: Sequence[str]) -> set[str]:
    """Functions whose call does nothing but give its results: no error, no output, no write to memory of others.
    Recursive ones are not counted, for their recursion may be too deep."""
    quiet: set[str] = set()
    graph = call_graph(program, roots)
    for group in graph.found:
        fn = program.functions[group[0]]
        if not graph.is_recursive(group) and all(_is_quiet(op, quiet) for op in fn.body.walk()):
            quiet.add(fn.name)
    return quiet


def _is_quiet(op: Op, quiet: set[str]) -> bool:
    i = info(op)
    if op.name == "call":
        return called(op) in quiet
    return i.makes or local_memory(op) or not (i.writes or i.raises or i.effect)
