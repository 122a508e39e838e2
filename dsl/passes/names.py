"""Which references are certainly to different memories, however they came about."""

from __future__ import annotations

from collections.abc import Collection

from dsl.ir.core import Function, Op, Value

MAKE = frozenset({"new", "shadow"})
BY_NAME = frozenset({"load", "store", "acc", "len"})  # all that is done to memory by the name of which we look for it


class Names:
    """Of a function. Private memories are known by one name only, that of what makes them."""

    def __init__(self, fn: Function) -> None:
        self.params = frozenset(fn.params)
        made: set[Value] = set()
        known_by_more: set[Value] = set()
        for op in fn.body.walk():
            if op.name in MAKE:
                made.add(op.result)
            known_by_more.update(op.args[op.name in BY_NAME :])
        self.private = frozenset(made - known_by_more)

    def differ(self, m: Value, x: Value, later: Collection[Value] = ()) -> bool:
        """Whether two memories are certainly different ones; m is there before anything of `later` is made."""
        if m is x:
            return False
        if m in self.private or x in self.private or (x in later and is_made(x)):
            return True
        return (is_made(m) and (is_made(x) or x in self.params)) or (m in self.params and is_made(x))


def is_made(m: Value) -> bool:
    return isinstance(m.owner, Op) and m.owner.name in MAKE
