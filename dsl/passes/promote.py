"""Memory to values: a box, or a small array of known size, that stays in its function becomes SSA values."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import Builder, known
from dsl.passes.common import substitute
from dsl.passes.unroll import MOST_RECORDS
from dsl.types import LeafType, Mem

Field: TypeAlias = tuple[Value, int]  # a box, and the place among the fields of all its records
Types: TypeAlias = dict[Field, LeafType]

# Ops that a box may be the memory of, if the index is a constant.
_ACCESS = frozenset({"load", "store", "acc"})


def promote(fn: Function) -> bool:
    """Turn each `new` of one record, or a few, whose reference is only loaded from and stored to here, at places that
    are known, into values that `if`s yield and loops carry. Exact in value and derivative; what is carried in vain is
    left for `dce`."""
    boxes = _boxes(fn.body)
    if not boxes:
        return False
    promoter = _Promoter(boxes)
    promoter.collect(fn.body, [])
    promoter.region(fn.body, [], [])
    return True


def _boxes(body: Region) -> dict[Value, int]:
    """The memories of a known length whose reference does not escape, and where every index is known."""
    sizes = {op.result: _constant(op.args[0]) for op in body.walk() if op.name == "new"}
    made = {box: size for box, size in sizes.items() if 1 <= size <= MOST_RECORDS}
    if not made:
        return {}
    uses: Counter[Value] = Counter()
    harmless: Counter[Value] = Counter()
    for op in body.walk():
        uses.update(op.args)
        if op.name == "len" or (op.name in _ACCESS and 0 <= _constant(op.args[1]) < made.get(op.args[0], 0)):
            harmless[op.args[0]] += 1
    return {box: size for box, size in made.items() if uses[box] == harmless[box]}


def _constant(index: Value) -> int:
    """A constant integer; -1 for what is none."""
    value = known(index)
    return value if isinstance(value, int) else -1


class _Promoter:
    def __init__(self, boxes: dict[Value, int]) -> None:
        self.boxes = boxes
        self.changes: dict[Op, Types] = {}  # op with regions → the fields stored to inside
        self.current: dict[Field, Value] = {}
        self.mapping: dict[Value, Value] = {}

    def collect(self, region: Region, around: list[Op]) -> None:
        for op in region.ops:
            if op.name in ("store", "acc") and op.args[0] in self.boxes:
                for field, value in zip(_fields(op, len(op.args) - 2), op.args[2:], strict=True):
                    for outer in reversed(around):
                        if field in self.changes.setdefault(outer, {}):
                            break
                        self.changes[outer][field] = value.type
            for inner in op.regions:
                self.collect(inner, [*around, op])

    # -- walking
    def region(self, region: Region, yielded: list[Field], loops: list[list[Field]]) -> None:
        """`yielded`: the fields that this arm hands out; `loops`: for each loop around, those that it carries and
        gives."""
        out = Region()
        for op in region.ops:
            substitute(op, self.mapping)
            match op.name:
                case "yield":
                    op.args += self.now(yielded)
                case "next":
                    op.args += self.now(loops[-1])
                case "break":
                    op.args += self.now(loops[-1 - op.attrs.get("depth", 0)])
                case "if":
                    self.conditional(op, loops)
                case "for" | "loop":
                    self.loop(op, loops)
                case _:
                    if self.memory(op, Builder(out, op.span)):
                        continue
            out.ops.append(op)
        region.ops = out.ops

    def now(self, fields: list[Field]) -> list[Value]:
        return [self.current[f] for f in fields]

    def memory(self, op: Op, b: Builder) -> bool:
        """Do what an op does to a box. False where it has to do with none."""
        if op.name == "new" and op.result in self.boxes:
            assert isinstance(op.result.type, Mem)
            for place, type in enumerate(op.result.type.fields * self.boxes[op.result]):
                self.current[op.result, place] = b.zero(type)
            return True
        if not op.args or op.args[0] not in self.boxes:
            return False
        match op.name:
            case "len":
                self.mapping[op.result] = b.i64(self.boxes[op.args[0]])
            case "load":
                self.mapping.update(zip(op.results, self.now(_fields(op, len(op.results))), strict=True))
            case "store":
                self.current.update(zip(_fields(op, len(op.args) - 2), op.args[2:], strict=True))
            case "acc":
                for field, value in zip(_fields(op, len(op.args) - 2), op.args[2:], strict=True):
                    self.current[field] = b.prim("add", self.current[field], value)
        return True

    # -- control flow
    def changed(self, op: Op) -> Types:
        """The fields of boxes from outside that an op's regions store to."""
        return {f: t for f, t in self.changes.get(op, {}).items() if f in self.current}

    def results(self, op: Op, fields: Types) -> None:
        """New results, which are the fields from now on."""
        for field, type in fields.items():
            value = Value(type, op, field[0].hint)
            op.results.append(value)
            self.current[field] = value

    def conditional(self, op: Op, loops: list[list[Field]]) -> None:
        fields = self.changed(op)
        before = {f: self.current[f] for f in fields}
        for region in op.regions:
            self.region(region, list(fields), loops)
            self.current.update(before)
        self.results(op, fields)

    def loop(self, op: Op, loops: list[list[Field]]) -> None:
        (body,) = op.regions
        fields = self.changed(op)
        op.args += self.now(list(fields))
        for field, type in fields.items():
            value = Value(type, body, field[0].hint)
            body.params.append(value)
            self.current[field] = value
        self.region(body, [], [*loops, list(fields)])
        self.results(op, fields)


def _fields(op: Op, count: int) -> list[Field]:
    """The fields that an access means."""
    box, index = op.args[:2]
    assert isinstance(box.type, Mem)
    first = len(box.type.fields) * _constant(index) + op.attrs.get("first", 0)
    return [(op.args[0], place) for place in range(first, first + count)]
