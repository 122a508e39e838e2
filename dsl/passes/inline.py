"""Inlining: the body of a small function in the place of its call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dsl.ir.core import TERMINATORS, Function, Op, Program, Region, Value, clone_op
from dsl.passes.common import Components, call_graph, called, references, substitute

SMALL = 60  # a function of at most so many ops is inlined wherever it is called
BUDGET = 4000  # a function that has grown to so many ops takes in tiny functions only
TINY = 8  # about what the call itself costs


def inline(program: Program, roots: Sequence[str], rules: bool = False, shared: bool = False) -> set[str]:
    """Replace calls of small functions, and of functions called once, by their bodies, callees first.
    Recursive functions stay calls, `noinline` ones, too, and ones with a rule or to be run again (`checkpoint`), unless
    `rules` says so.
    The body of a function called once is moved, not copied, and the function is gone, so that a chain of calls takes
    time linear in its length; unless its functions are `shared` with another program. Gives the names of functions
    that have changed."""
    graph = call_graph(program, [r for r in roots if r in program.functions])
    inliner = _Inliner(program, graph, roots, rules, shared)
    for group in graph.found:
        for name in group:
            inliner.function(program.functions[name])
        inliner.offer(group)
    for fn in program.functions.values():
        inliner.settle(fn)
    return inliner.changed


class _Inliner:
    def __init__(self, program: Program, graph: Components, roots: Sequence[str], rules: bool, shared: bool) -> None:
        self.program = program
        self.graph = graph
        self.rules = rules
        self.shared = shared
        self.changed: set[str] = set()
        self.uses = Counter(roots)
        for name, fn in program.functions.items():
            self.uses.update(graph.edges[name] if name in graph.edges else references(fn))
        self.full: dict[str, int] = {}  # sizes of functions, with what has been inlined
        self.sizes: dict[str, int] = {}  # of the functions that may be inlined
        self.returns: dict[str, int] = {}
        self.operands: dict[Value, Value] = {}  # parameters of bodies that have been moved → what they stand for
        self.unsettled: set[str] = set()  # functions in which there may be such parameters

    def offer(self, group: list[str]) -> None:
        fn = self.program.functions[group[0]]
        kept = fn.attrs.get("noinline") or (not self.rules and ("rule" in fn.attrs or "checkpoint" in fn.attrs))
        if kept or self.graph.is_recursive(group):
            return
        self.sizes[fn.name] = self.full[fn.name]

    def wanted(self, name: str) -> bool:
        """Whether the function that is looked at takes in another one."""
        if name not in self.sizes:
            return False
        length, own = self.sizes[name], self.full[self.name]
        if self.uses[name] == 1 and not self.shared and own <= SMALL:  # little more than another name for it
            return True
        return length <= TINY or (length <= BUDGET - own and (length <= SMALL or self.uses[name] == 1))

    def function(self, fn: Function) -> None:
        self.full[fn.name] = size(fn)
        self.returns[fn.name] = _returns(fn)
        if any(name in self.sizes for name in self.graph.edges[fn.name]):
            self.name = fn.name
            self.mapping: dict[Value, Value] = {}
            if self.region(fn.body):
                self.returns[fn.name] = _returns(fn)

    def settle(self, fn: Function) -> None:
        """Put what parameters of moved bodies stand for in their place: once, when all around them is known."""
        if fn.name not in self.unsettled:
            return
        self.unsettled.discard(fn.name)
        for op in fn.body.walk():
            for k, value in enumerate(op.args):
                while value in self.operands:
                    value = self.operands[value]
                op.args[k] = value

    def region(self, region: Region) -> bool:
        """Whether some of it has been dropped, since what is before it never returns."""
        dropped = False
        ops: list[Op] = []
        for op in region.ops:
            substitute(op, self.mapping)
            if op.name == "call" and self.wanted(called(op)):
                self.changed.add(self.name)
                self.full[self.name] += self.sizes[called(op)] - bool(op.args)
                if not self.splice(op, ops):
                    ops.append(Op("unreachable", span=op.span))
                    dropped = True
                    break
                continue
            for inner in op.regions:
                dropped |= self.region(inner)
            ops.append(op)
        region.ops = ops
        return dropped

    def body(self, callee: Function, call: Op) -> Region:
        """The body of a function for the place of a call: its own where this is the only one, else a copy."""
        body = Region()
        if self.uses[callee.name] == 1 and not self.shared:
            self.operands.update(zip(callee.params, call.args, strict=True))
            self.unsettled.add(self.name)
            del self.program.functions[callee.name]
            body.ops = callee.body.ops
            return body
        self.settle(callee)
        arguments = dict(zip(callee.params, call.args, strict=True))
        body.ops = [clone_op(op, arguments) for op in callee.body.ops]
        self.uses.update(filter(None, map(called, body.walk())))
        return body

    def splice(self, call: Op, ops: list[Op]) -> bool:
        """Append the callee's ops. False where it never returns."""
        callee = self.program.functions[called(call)]
        body = self.body(callee, call)
        returns = self.returns[callee.name]
        if returns == 0:
            ops += body.ops[:-1]
            return False
        if returns == 1 and body.terminator.name == "return":
            ops += body.ops[:-1]
            self.mapping.update(zip(call.results, body.terminator.args, strict=True))
            return True
        _returns_to_breaks(body, 0)
        block = Op("loop", (), callee.results, regions=(body,), span=call.span)
        for result, named in zip(block.results, call.results, strict=True):
            result.hint = named.hint
        ops.append(block)
        self.mapping.update(zip(call.results, block.results, strict=True))
        return True


def _returns(fn: Function) -> int:
    return sum(op.name == "return" for op in fn.body.walk())


def size(fn: Function) -> int:
    """How many ops a function has, those without operands and terminators aside."""
    return sum(bool(op.args or op.regions) and op.name not in TERMINATORS for op in fn.body.walk())


def _returns_to_breaks(region: Region, depth: int) -> None:
    """`return` leaves the block that the body has become, and the `depth` loops inside it."""
    for op in region.ops:
        if op.name == "return":
            op.name, op.attrs = "break", {"depth": depth}
        for inner in op.regions:
            _returns_to_breaks(inner, depth + (op.name == "loop"))
