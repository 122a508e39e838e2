"""Inlining: the body of a small function in the place of its call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dsl.ir.core import TERMINATORS, Function, Op, Program, Region, Value, clone_op
from dsl.passes.common import called, components, is_recursive, references, substitute

SMALL = 60  # a function of at most so many ops is inlined wherever it is called
BUDGET = 4000  # a function that has grown to so many ops takes in tiny functions only
TINY = 8  # about what the call itself costs


def inline(program: Program, roots: Sequence[str], rules: bool = False) -> bool:
    """Replace calls of small functions, and of functions called once, by their bodies, callees first.
    Recursive functions stay calls, `noinline` ones, too, and ones with a rule unless `rules` says so."""
    inliner = _Inliner(program, roots, rules)
    groups = components(program, [r for r in roots if r in program.functions])
    for group in groups:
        for name in group:
            inliner.function(program.functions[name])
        inliner.offer(group)
    return inliner.changed


class _Inliner:
    def __init__(self, program: Program, roots: Sequence[str], rules: bool) -> None:
        self.program = program
        self.rules = rules
        self.changed = False
        self.uses = Counter(roots)
        for fn in program.functions.values():
            self.uses.update(references(fn))
        self.sizes: dict[str, int] = {}  # of the functions that may be inlined

    def offer(self, group: list[str]) -> None:
        fn = self.program.functions[group[0]]
        if is_recursive(self.program, group) or fn.attrs.get("noinline") or ("rule" in fn.attrs and not self.rules):
            return
        self.sizes[fn.name] = size(fn)

    def wanted(self, name: str, room: int) -> bool:
        if name not in self.sizes:
            return False
        length = self.sizes[name]
        return length <= TINY or (length <= room and (length <= SMALL or self.uses[name] == 1))

    def function(self, fn: Function) -> None:
        if any(op.name == "call" and called(op) in self.sizes for op in fn.body.walk()):
            self.room = BUDGET - size(fn)
            self.mapping: dict[Value, Value] = {}
            self.region(fn.body)

    def region(self, region: Region) -> None:
        ops: list[Op] = []
        for op in region.ops:
            substitute(op, self.mapping)
            if op.name == "call" and self.wanted(called(op), self.room):
                self.changed = True
                self.room -= self.sizes[called(op)]
                if not self.splice(op, ops):
                    ops.append(Op("unreachable", span=op.span))
                    break
                continue
            for inner in op.regions:
                self.region(inner)
            ops.append(op)
        region.ops = ops

    def splice(self, call: Op, ops: list[Op]) -> bool:
        """Append the callee's ops. False where it never returns."""
        callee = self.program.functions[called(call)]
        arguments = dict(zip(callee.params, call.args, strict=True))
        body = Region()
        body.ops = [clone_op(op, arguments) for op in callee.body.ops]
        returns = sum(op.name == "return" for op in body.walk())
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
