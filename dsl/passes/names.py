"""Which references are certainly to different memories, however they came about, and which nobody else has."""

from __future__ import annotations

from collections.abc import Collection

from dsl.ir.core import Function, Op, Value
from dsl.types import is_ref

MAKE = frozenset({"new", "shadow"})
_HANDS_ON = {"store": 1, "push": 1, "pack": 0}  # from which operand on another memory refers to them
BY_NAME = frozenset({"load", "store", "acc", "len"})  # all that is done to memory by the name of which we look for it


class Names:
    """Of a function. Private memories are known by one name only, that of what makes them, as long as the function
    runs; to those that are handed on another memory may refer."""

    def __init__(self, fn: Function) -> None:
        self.params = frozenset(fn.params)
        made: set[Value] = set()
        known_by_more: set[Value] = set()
        references = [p for p in fn.params if is_ref(p.type)]
        for op in fn.body.walk():
            references += [r for r in op.results if is_ref(r.type)]
            for region in op.regions:
                references += [p for p in region.params if is_ref(p.type)]
            if op.name in MAKE:
                made.add(op.result)
            if op.name != "return":
                known_by_more.update(op.args[op.name in BY_NAME :])
        self.number = {v: k for k, v in enumerate(references)}  # in the order in which they come about
        self.private = frozenset(made - known_by_more)
        self.handed_on = frozenset(
            a for op in fn.body.walk() if op.name in _HANDS_ON for a in op.args[_HANDS_ON[op.name] :]
        )

    def dies(self, m: Value) -> bool:
        """Whether nobody can look at a memory when the function has failed: it has made it, and handed it to none."""
        return isinstance(m.owner, Op) and m.owner.name == "new" and m not in self.handed_on

    def differ(self, m: Value, x: Value, later: Collection[Value] = ()) -> bool:
        """Whether two memories are certainly different ones; m is there before anything of `later` is made. (Of two
        names that are in scope, the one that comes about last is no other's memory where it is made.)"""
        if m is x:
            return False
        if m in self.private or x in self.private or (x in later and is_made(x)):
            return True
        if m in self.number and x in self.number and is_made(max(m, x, key=self.number.__getitem__)):
            return True
        return (is_made(m) and (is_made(x) or x in self.params)) or (m in self.params and is_made(x))


def is_made(m: Value) -> bool:
    return isinstance(m.owner, Op) and m.owner.name in MAKE
