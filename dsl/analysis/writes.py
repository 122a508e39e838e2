"""Which memory of its caller a function may write: a points-to analysis of a program from one function on.

Memory is told apart by inclusion (Andersen, "Program analysis and specialization for the C programming language",
1994): each reference has the set of things that it may refer to, so that joining two references at control flow does
not make what they refer to one thing. In `h = x; for …; h = fresh; end`, a write to the fresh memory is no write to x.
Insensitive to the order of statements, to indices and to the place that a function is called from.

Derivative ops leave what they are given as it was, as far as a caller sees; once `ad` has replaced them, every write
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TypeAlias

from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ops.kernels import KERNELS
from dsl.types import Mem, is_ref

Path: TypeAlias = tuple[int, ...]
Thing: TypeAlias = Hashable  # a Path of the root's parameters, an op that makes memory, or a global
Things: TypeAlias = set[Thing]
_DERIVES = frozenset({"jvp", "vjp", "vjp_fwd", "vjp_rev"})


def written_paths(program: Program, root: str) -> frozenset[Path]:
    """The memory that a call of `root` may write, of that which its parameters lead to: `(k,)` is the memory of
    parameter k, `(k, f)` that of field f of its records, and so on."""
    points = _Points(program)
    fn = program.functions[root]
    for k, p in enumerate(fn.params):
        if isinstance(p.type, Mem):
            points.enter((k,), p.type)
            points.of(p).add((k,))
    points.visit(fn)
    points.solve()
    return frozenset(thing for thing in points.written if isinstance(thing, tuple) and _is_path(thing))


def _is_path(thing: tuple[Hashable, ...]) -> bool:
    return all(isinstance(part, int) for part in thing)


class _Points:
    """Sets of things, and the rules by which they grow. A rule is a function that applies it once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.written: Things = set()
        self._of: dict[Value, Things] = {}
        self._inside: dict[tuple[Thing, int], Things] = {}
        self._returned: dict[tuple[str, int], Things] = {}
        self._visited: set[str] = set()
        self._waiting: list[Function] = []
        self._rules: list[Callable[[], None]] = []
        self._grew = False

    def of(self, v: Value) -> Things:
        return self._of.setdefault(v, set())

    def inside(self, thing: Thing, field: int) -> Things:
        return self._inside.setdefault((thing, field), set())

    def enter(self, path: Path, type: Mem) -> None:
        """What a parameter leads to."""
        for f, t in enumerate(type.fields):
            if isinstance(t, Mem):
                self.inside(path, f).add((*path, f))
                self.enter((*path, f), t)

    def solve(self) -> None:
        while True:
            self._grew = False
            for rule in self._rules:
                rule()
            if not self._grew:
                return

    # ------------------------------------------------------------ rules
    def grow(self, target: Things, source: Things) -> None:
        if not source <= target:
            target |= source
            self._grew = True

    def flow(self, targets: Sequence[Value], sources: Sequence[Value]) -> None:
        for target, source in zip(targets, sources, strict=False):
            if is_ref(target.type) and is_ref(source.type):
                self._include(self.of(target), self.of(source))

    def _include(self, target: Things, source: Things) -> None:
        self._rules.append(lambda: self.grow(target, source))

    def _write(self, memory: Value) -> None:
        self._include(self.written, self.of(memory))

    def _put(self, memory: Value, first: int, values: Sequence[Value]) -> None:
        def rule(field: int, v: Value) -> None:
            for thing in list(self.of(memory)):
                self.grow(self.inside(thing, field), self.of(v))

        self._rules += [partial(rule, k, v) for k, v in enumerate(values, first) if is_ref(v.type)]

    def _take(self, results: Sequence[Value], memory: Value, first: int) -> None:
        def rule(field: int, r: Value) -> None:
            for thing in list(self.of(memory)):
                self.grow(self.of(r), self.inside(thing, field))

        self._rules += [partial(rule, k, r) for k, r in enumerate(results, first) if is_ref(r.type)]

    # ------------------------------------------------------------ ops
    def visit(self, fn: Function) -> None:
        """Make the rules of a function and of all that it calls."""
        self._visited.add(fn.name)
        self._waiting.append(fn)
        while self._waiting:
            here = self._waiting.pop()
            self._region(here, here.body, [])

    def _region(self, fn: Function, region: Region, stack: list[Op]) -> None:
        for op in region.ops:
            self._op(fn, op, stack)
            for inner in op.regions:
                self._region(fn, inner, [*stack, op])

    def _op(self, fn: Function, op: Op, stack: list[Op]) -> None:
        first = op.attrs.get("first", 0)
        match op.name:
            case "for":
                self.flow(op.regions[0].params[1:], op.args[3:])
                self.flow(op.results, op.args[3:])
            case "loop":
                self.flow(op.regions[0].params, op.args)
            case "yield":
                self.flow(stack[-1].results, op.args)
            case "next":
                self._next(op, stack)
            case "break":
                loops = [o for o in stack if o.name != "if"]
                self.flow(loops[-1 - op.attrs.get("depth", 0)].results, op.args)
            case "return":
                for k, v in enumerate(op.args):
                    self._include(self._result(fn.name, k), self.of(v))
            case "call":
                self._call(op)
            case "load":
                self._take(op.results, op.args[0], first)
            case "store" | "acc":
                self._write(op.args[0])
                self._put(op.args[0], first, op.args[2:])
            case "push":
                self._write(op.args[0])
                self._put(op.args[0], 0, op.args[1:])
            case "pop":
                self._write(op.args[0])
                self._take(op.results, op.args[0], 0)
            case "kernel":
                for memory, role in zip(op.args, KERNELS[op.attrs["kernel"]].roles, strict=False):
                    if role != "in":
                        self._write(memory)
            case "new" | "shadow":
                self.of(op.result).add(op)
            case "pack":
                self.of(op.result).add(op)
                self._put(op.result, 0, op.args)
            case "unpack":
                self._take(op.results, op.args[0], 0)
            case "global":
                self.of(op.result).add(("global", op.attrs["name"], op.attrs["index"]))
            case name if name in _DERIVES:
                self._derivative(op)
            case "if":
                pass
            case _:
                for r in op.results:
                    self.flow([r] * len(op.args), [a for a in op.args if a.type == r.type])

    def _next(self, op: Op, stack: list[Op]) -> None:
        loop = next(o for o in reversed(stack) if o.name != "if")
        if loop.name == "for":
            self.flow(loop.regions[0].params[1:], op.args)
            self.flow(loop.results, op.args)
        else:
            self.flow(loop.regions[0].params, op.args)

    def _result(self, name: str, k: int) -> Things:
        return self._returned.setdefault((name, k), set())

    def _call(self, op: Op) -> None:
        callee = self.program.functions[op.attrs["fn"]]
        if callee.name not in self._visited:
            self._visited.add(callee.name)
            self._waiting.append(callee)
        self.flow(callee.params, op.args)
        for k, r in enumerate(op.results):
            if is_ref(r.type):
                self._include(self.of(r), self._result(callee.name, k))

    def _derivative(self, op: Op) -> None:
        """What comes out is new, or what went in: primal results primal arguments, shadows shadows."""
        fn = self.program.functions[op.attrs["fn"]]
        arguments, results = len(fn.params), len(fn.results)
        for k, r in enumerate(op.results):
            if is_ref(r.type):
                self.of(r).add((op, k))
            for a in op.args[:arguments] if k < results else op.args[arguments:]:
                if a.type == r.type:
                    self.flow([r], [a])
