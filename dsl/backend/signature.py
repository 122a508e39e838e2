"""Which form each function gets in LLVM: by what it may do.

A function that cannot fail is plain: its leaves in, its results out. One that may fail (a check, printing, memory that
may run out, recursion that may run too deep, a call of such a function) takes the context first and gives a flag that
is true where it failed, before its results. Many results are written through a pointer that comes last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dsl.backend.layout import register_type
from dsl.records import dataclass
from dsl.types import LeafType

if TYPE_CHECKING:
    from dsl.ir.core import Function, Program

MOST_RESULTS = 12  # as many as are handed over in an aggregate
_NEEDS_CONTEXT = frozenset({"check", "print", "new", "push", "pack", "kernel", "mark", "renew", "release"})


@dataclass(frozen=True)
class Signature:
    symbol: str
    params: tuple[LeafType, ...]
    results: tuple[LeafType, ...]
    context: bool    # takes the context and gives the flag
    recursive: bool  # on a cycle of calls: looks at the stack first

    @property
    def indirect(self) -> bool:
        """Results go through a pointer."""
        return len(self.results) > MOST_RESULTS

    @property
    def parts(self) -> list[str]:
        """The types of what it gives."""
        flag = ["i1"] if self.context else []
        return flag if self.indirect else flag + [register_type(t) for t in self.results]

    @property
    def gives(self) -> str:
        """The LLVM result type."""
        parts = self.parts
        if len(parts) == 1:
            return parts[0]
        return "{ " + ", ".join(parts) + " }" if parts else "void"


def reachable(program: Program, root: str) -> dict[str, frozenset[str]]:
    """The functions that a root calls, directly or not, and what each of them calls, in order of discovery."""
    graph: dict[str, frozenset[str]] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in graph:
            continue
        body = program.functions[name].body
        called = {op.attrs["fn"]: None for op in body.walk() if op.name == "call"}
        graph[name] = frozenset(called)
        waiting.extend(reversed(called))
    return graph


def _without_ends(graph: Mapping[str, frozenset[str]]) -> set[str]:
    """What is left when functions that call nothing that is left are taken away again and again."""
    callers: dict[str, list[str]] = {name: [] for name in graph}
    for name, called in graph.items():
        for other in called:
            callers[other].append(name)
    open_calls = {name: len(called) for name, called in graph.items()}
    ends = [name for name, count in open_calls.items() if not count]
    for name in ends:  # grows while it is read
        for caller in callers[name]:
            open_calls[caller] -= 1
            if not open_calls[caller]:
                ends.append(caller)
    return set(graph) - set(ends)


def signatures(
    program: Program, graph: Mapping[str, frozenset[str]], symbols: Mapping[str, str]
) -> dict[str, Signature]:
    """The form of every function of a call graph."""
    reverse: dict[str, set[str]] = {name: set() for name in graph}
    for name, called in graph.items():
        for other in called:
            reverse[other].add(name)
    # every function on a cycle, and some that lie between two cycles: a guard too many does no harm
    recursive = _without_ends(graph) & _without_ends({n: frozenset(c) for n, c in reverse.items()})
    failing = set(recursive)
    for name in graph:
        if any(op.name in _NEEDS_CONTEXT for op in program.functions[name].body.walk()):
            failing.add(name)
    waiting = list(failing)
    while waiting:
        for caller in reverse[waiting.pop()] - failing:
            failing.add(caller)
            waiting.append(caller)

    def form(fn: Function) -> Signature:
        params = tuple(p.type for p in fn.params)
        return Signature(symbols[fn.name], params, tuple(fn.results), fn.name in failing, fn.name in recursive)

    return {name: form(program.functions[name]) for name in graph}
