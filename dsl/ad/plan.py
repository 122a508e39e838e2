"""What reverse mode keeps: a pure function from a function and its activity to a printable plan.

A *construct* is the body of the function or of one of its loops; each run through a construct (an iteration) leaves
one *record*. Records of a loop go to its tape, one an iteration, so a record's place is a number; the record of the
function's body stays in scope where forward and reverse sweep are one function, and is the last thing on a tape where
they are two (`calls`).

Where each primal value comes from that some derivative mentions is decided in `decide`: in scope, recomputed, reloaded,
or saved in the record of the construct that defines it. Places and codes of exits are kept where the reverse sweep asks
for them, as further entries (`Key`).

Exits: the terminators that end an iteration of a construct are numbered in program order, nested ifs and loops
included. That number (the code) says how far the iteration came: an op was passed if the code is at least the count
of exits before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from struct import calcsize
from typing import Any, TypeAlias

from dsl.ad.activity import Activity
from dsl.ad.again import CHECKPOINT, copied
from dsl.ad.decide import Decisions, How, save_all
from dsl.ad.handed import find_handed
from dsl.ad.held import HEADER, Held, held
from dsl.ad.kernels import (
    active_factors,
    adjoint_numbers,
    bilinear,
    contents_type,
    memories_of,
    needs_copy,
    numbers_of,
)
from dsl.ad.readings import Reading
from dsl.ad.rules import active_operands, needed
from dsl.ad.settled import Settled
from dsl.ir.core import Function, Op, Program, Region, Rule, Value
from dsl.ops import PRIMITIVES, known
from dsl.records import dataclass, field
from dsl.types import I64, LeafType, Mem, is_ref, tangent

# What can be kept, as (kind, of what):
#   ("primal", v)    a value                        ("shadow", v)   the shadow of a reference
#   ("start", loop)  its tape's length before       ("end", loop)   and after it
#   ("tape", for)  a tape of its own, of exact size (`Plan.nest`)
#   ("count", loop)  iterations begun               ("trips", for)  iterations
#   ("code", loop)   the break that ended it        ("itercode", construct)  the exit of one iteration
#   ("index", op)    place of a push or pop         ("record", call)  place of the callee's record
#   ("capture", (call, i))  what a rule's forward function kept
#   ("contents", (op, k))  a copy of what memory operand k of a kernel or call held
#   ("copy", load)   a copy of what a nest reads by it (`readings`)
Key: TypeAlias = tuple[str, Any]


@dataclass(eq=False)
class Construct:
    """`op` is the loop (None: the function's body); `parent` the construct around it."""

    op: Op | None
    region: Region
    parent: Construct | None
    exits: list[Op] = field(default_factory=list)
    before: dict[Op | Region, int] = field(default_factory=dict)
    after: dict[Op, int] = field(default_factory=dict)
    fields: dict[Key, LeafType] = field(default_factory=dict)

    def code(self, exit: Op) -> int:
        return self._codes[exit]

    @cached_property
    def _codes(self) -> dict[Op, int]:
        return {op: i for i, op in enumerate(self.exits)}

    def exits_in(self, op: Op) -> list[Op]:
        """The exits of this construct inside an op of it."""
        return self.exits[self.before[op] : self.after[op]]

    @cached_property
    def nexts(self) -> list[Op]:
        """Its own exits that go on with the next iteration."""
        return [e for e in self.exits if e.name == "next"]

    @cached_property
    def breaks(self) -> list[Op]:
        """Its own exits that end this loop and no other."""
        return [e for e in self.exits if e.name == "break" and e.attrs.get("depth", 0) == self.depth_of[e]]

    depth_of: dict[Op, int] = field(default_factory=dict)  # loops between an exit and this construct

    @property
    def per_iteration_code(self) -> bool:
        """More than one way to go on: the code is kept for each iteration."""
        return len(self.nexts) > 1

    @property
    def record(self) -> Mem:
        return Mem(tuple(self.fields.values()))


class Plan:
    """Constructs of a function, what each keeps, and where everything is defined."""

    def __init__(self, fn: Function, activity: Activity, program: Program, settled: Settled) -> None:
        self.fn = fn
        self.activity = activity
        self.program = program
        self.settled = settled
        self.root = Construct(None, fn.body, None)
        self.constructs: list[Construct] = [self.root]
        self.owner: dict[Value | Op, Construct] = {}
        self.loop: dict[Op, Construct] = {}
        self.counter: dict[Value, Op] = {}  # parameter of a `for` → the op
        self.induction: dict[Value, Op] = {}  # carried integer of a `for` → the `add` or `sub` that makes the next one
        for p in fn.params:
            self.owner[p] = self.root
        self._map(fn.body, [self.root])
        self.keys: set[Key] = set()
        self.fused: set[Construct] = set()  # loops whose reverse is done in the same iterations (`fuse`)
        self.nests = self._find_nests() if activity.pattern.in_place else {}
        self.local = frozenset() if save_all() else self._find_local()
        self.handed = {} if save_all() else find_handed(self)
        self.handed_on = {v: h for handed in self.handed.values() for h in handed for v in h.names}
        self.again = self._find_again()
        self.notes: dict[Op, str] = {}  # on loops, for a person
        self.blocks: set[Op] = set()  # loops whose iterations are blocks of another one (`blocks`)
        self.decisions = Decisions(self)
        for op in activity.live:
            self._needs_of(op)
        self.decisions.settle()
        self.keys |= set(self.decisions.kept())
        for construct in reversed(self.constructs):
            self._finish(construct)

    # ------------------------------------------------------------ structure
    def _map(self, region: Region, stack: list[Construct]) -> None:
        """Find constructs, owners, exits and their numbers. `stack` holds the enclosing constructs."""
        here = stack[-1]
        here.before[region] = len(here.exits)
        for op in region.ops:
            self.owner[op] = here
            for r in op.results:
                self.owner[r] = here
            for c in stack:
                c.before[op] = len(c.exits)
            if op.name in ("loop", "for"):
                self._map_loop(op, stack)
            else:
                for inner in op.regions:
                    self._map(inner, stack)
            self._note_exit(op, stack)
            for c in stack:
                c.after[op] = len(c.exits)

    def _map_loop(self, op: Op, stack: list[Construct]) -> None:
        construct = Construct(op, op.regions[0], stack[-1])
        self.constructs.append(construct)
        self.loop[op] = construct
        for p in op.regions[0].params:
            self.owner[p] = construct
        if op.name == "for":
            self.counter[op.regions[0].params[0]] = op
        self._map(op.regions[0], [*stack, construct])
        if op.name == "for" and len(construct.nexts) == 1:
            self._find_inductions(construct)

    def _find_inductions(self, c: Construct) -> None:
        """Carried integers to which each iteration adds the same number."""
        for p, last in zip(c.region.params[1:], c.nexts[0].args, strict=True):
            op = last.owner
            if isinstance(op, Op) and op.name in ("add", "sub") and p.type == I64 and op.args[0] is p:
                step = op.args[1]
                if known(step) is not None or not self.encloses(c, self.owner[step]):
                    self.induction[p] = op

    def _note_exit(self, op: Op, stack: list[Construct]) -> None:
        match op.name:
            case "next":
                ended = stack[-1:]
            case "break":
                ended = stack[-1 - op.attrs.get("depth", 0) :]
            case "return":
                ended = stack
            case _:
                return
        for distance, c in enumerate(reversed(ended)):
            c.exits.append(op)
            c.depth_of[op] = distance

    def _find_nests(self) -> dict[Construct, list[Construct]]:
        """The nests of counted loops that run once, of which all trip counts are known where the outermost begins: to
        each loop, those from the outermost to it. Its records have places by their numbers in a tape of exact size, so
        that independent iterations stay independent."""
        nests: dict[Construct, list[Construct]] = {}
        for c in self.constructs[1:]:
            assert c.op is not None and c.parent is not None
            outer = nests.get(c.parent, [])
            if c.op.name == "for" and (c.parent is self.root or (outer and self._is_inner(c.op, c.parent))):
                nests[c] = [*outer, c]
        return nests

    def _is_inner(self, op: Op, around: Construct) -> bool:
        """Whether a loop is run in each iteration, the same number of times."""
        return op in around.region.ops and all(
            known(v) is not None or self.owner[v] is self.root for v in op.args[:3]
        )

    def exits_through(self, exit: Op) -> list[Construct]:
        """The constructs of which an exit ends an iteration, innermost first (from the one it stands in)."""
        found: list[Construct] = []
        c: Construct | None = self.owner[exit]
        while c is not None and exit in c.depth_of:
            found.append(c)
            c = c.parent
        return found

    def depth(self, c: Construct) -> int:
        """How many loops are around what a construct's record is of, itself included."""
        depth = 0
        while c.parent is not None:
            depth, c = depth + 1, c.parent
        return depth

    def encloses(self, c: Construct, inner: Construct) -> bool:
        """Whether a construct is another one or around it."""
        at: Construct | None = inner
        while at is not None and at is not c:
            at = at.parent
        return at is c

    def _find_local(self) -> frozenset[Value]:
        """Memory of numbers that is made in a region and only used there, by name: the reverse sweep makes its shadow
        where it enters the region, so the forward sweep needs none."""
        handed: set[Value] = set()
        made: list[tuple[Op, Region]] = []
        for region in (self.fn.body, *(r for op in self.fn.body.walk() for r in op.regions)):
            for op in region.ops:
                own = _OWN_USES.get(op.name, 0) if op.name != "kernel" else len(memories_of(op))
                handed.update(op.args[own:])
                if op.name == "new":
                    made.append((op, region))
        return frozenset(op.result for op, region in made if op.result not in handed and self._may_be_local(op, region))

    def makes_shadow_later(self, m: Value) -> bool:
        """Whether the reverse sweep makes the shadow of a memory."""
        return m in self.local or m in self.handed_on

    def _find_again(self) -> dict[Op, frozenset[int]]:
        """The calls that are run again, and which of their operands are copied for that."""
        found = {}
        for op in self.fn.body.walk():
            callee = self.program.functions[op.attrs["fn"]] if op.name == "call" else None
            if callee is not None and CHECKPOINT in callee.attrs and op in self.activity.live:
                copies = copied(op, callee, self.settled)
                if copies is not None:
                    found[op] = copies
        return found

    def _may_be_local(self, op: Op, region: Region) -> bool:
        c = self.owner[op]
        assert isinstance(op.result.type, Mem)
        return (
            self.activity.shadowed(op.result)
            and not any(is_ref(t) for t in op.result.type.fields)
            and not (c is self.root and self.activity.pattern.in_place)
            and not any(o.regions and c.after[o] > c.before[o] for o in region.ops)
        )

    # ------------------------------------------------------------ needs
    def need(self, v: Value) -> None:
        self.decisions.need(("primal", v))

    def need_shadow(self, v: Value) -> None:
        self.decisions.need(("shadow", v))

    def how(self, key: Key) -> How:
        """Where the reverse sweep takes something from."""
        return self.decisions.how.get(key, How.SAVE)

    def _needs_of(self, op: Op) -> None:
        act = self.activity
        match op.name:
            case "load":
                self.need_shadow(op.args[0])
                self.need(op.args[1])
            case "store" | "acc":
                self.need_shadow(op.args[0])
                self.need(op.args[1])
            case "push" | "pop":
                self.need_shadow(op.args[0])
                self.keys.add(("index", op))
            case "new":
                if not self.makes_shadow_later(op.result):  # else there is nothing to clear
                    self.need_shadow(op.result)
            case "if":
                if all(r.terminator.name == "yield" for r in op.regions):
                    self.need(op.args[0])
            case "for":
                self.decisions.need(("trips", op))
                for v in (v for handed in self.handed.get(op, ()) for v in handed.names):
                    self.need_shadow(v)
            case "call":
                self._needs_of_call(op)
            case "kernel":
                self._needs_of_kernel(op)
            case _ if op.name in PRIMITIVES:
                for v in needed(op, active_operands(op, [act.active(a) for a in op.args])):
                    self.need(v)

    def _needs_of_call(self, op: Op) -> None:
        rule = self.rule_of(op)
        if op in self.again:
            self._needs_of_again(op, self.again[op])
        elif rule is None:
            self.keys.add(("record", op))
        elif rule.reverse:
            n = len(self.program.functions[rule.forward].results) - len(op.results)
            self.keys |= {("capture", (op, i)) for i in range(n)}
            for v in (*op.results, *(op.args[k] for k in rule.wrt)):
                if self.activity.shadowed(v):
                    self.need_shadow(v)
        else:
            for i in self.rule_inputs(op, rule):
                self.keys |= {("capture", (op, (i, j))) for j in self.rule_outputs(op)}

    def _needs_of_again(self, op: Op, copies: frozenset[int]) -> None:
        for k, a in enumerate(op.args):
            if k in copies:
                self.keys.add(("contents", (op, k)))
            else:
                self.need(a)
        for v in (*op.args, *op.results):
            if self.activity.shadowed(v):
                self.need_shadow(v)

    def _needs_of_kernel(self, op: Op) -> None:
        rule = bilinear(op, self.activity)
        for f in active_factors(op, rule, self.activity) if rule is not None else ():
            assert rule is not None
            other = rule.other(f)
            self.need_shadow(op.args[rule.target])
            self.need_shadow(op.args[f])
            copied = self.copies(op, other)
            if copied:
                self.keys.add(("contents", (op, other)))
            else:
                self.need(op.args[other])
            numbers = numbers_of(op)
            for name in adjoint_numbers(rule, f, copied):
                self.need(numbers[name])

    def copies(self, op: Op, k: int) -> bool:
        """Whether a kernel's memory operand is kept as a copy of its contents, not as the reference."""
        m = op.args[k]
        return save_all() or needs_copy(m) or not self.settled.contents(op, m)

    def rule_of(self, op: Op) -> Rule | None:
        rule = self.program.functions[op.attrs["fn"]].attrs.get("rule")
        assert rule is None or isinstance(rule, Rule)
        return rule

    def rule_inputs(self, op: Op, rule: Rule) -> list[int]:
        """Positions in `rule.wrt` whose argument is active."""
        return [i for i, k in enumerate(rule.wrt) if self.activity.active(op.args[k])]

    def rule_outputs(self, op: Op) -> list[int]:
        """Scalar results of a call that have a tangent."""
        return [k for k, r in enumerate(op.results) if not is_ref(r.type) and tangent(r.type) is not None]

    def _finish(self, c: Construct) -> None:
        """Settle the record of a construct, when all inner ones are settled."""
        mine = [key for key in self.keys if self.key_owner(key) is c]
        c.fields = {key: self.key_type(key) for key in sorted(mine, key=self._order)}
        if c.op is None:
            if len(c.exits) > 1:
                c.fields["itercode", c] = I64
            return
        if c.op not in self.activity.live:
            return
        if c.per_iteration_code:
            c.fields["itercode", c] = I64
        if c.fields:
            self.keys.add(("tape" if c in self.nests else "start", c.op))
        if c.op.name == "loop":
            self.keys.add(("end" if c.fields else "count", c.op))
            if len(c.breaks) > 1 and not c.per_iteration_code:
                self.keys.add(("code", c.op))

    def _order(self, key: Key) -> tuple[int, str]:
        """Program order, so that plans and records are the same in every run."""
        what = key[1][0] if isinstance(key[1], tuple) else key[1]
        if isinstance(what, Value) and not isinstance(what.owner, Op):
            return self._param_place[what], key[0]
        op = what.owner if isinstance(what, Value) else what
        assert isinstance(op, Op)
        index = op.results.index(what) if isinstance(what, Value) else 0
        return self._place[op] * 64 + index, f"{key[0]}{key[1][1] if isinstance(key[1], tuple) else ''}"

    @cached_property
    def _place(self) -> dict[Op, int]:
        return {op: i + 1024 for i, op in enumerate(self.fn.body.walk())}

    @cached_property
    def _param_place(self) -> dict[Value, int]:
        return {p: i for c in self.constructs for i, p in enumerate(c.region.params)}

    def key_owner(self, key: Key) -> Construct:
        kind, what = key
        if kind == "itercode":
            assert isinstance(what, Construct)
            return what
        if kind == "tape":
            return self.root
        if kind == "copy":
            return self._reading(what).around
        return self.owner[what[0] if isinstance(what, tuple) else what]

    def key_type(self, key: Key) -> LeafType:
        kind, what = key
        if kind == "primal":
            assert isinstance(what, Value)
            return what.type
        if kind == "shadow":
            assert isinstance(what, Value)
            shadow = tangent(what.type)
            assert shadow is not None
            return shadow
        if kind == "capture":
            op, i = what
            return self._capture_type(op, i)
        if kind == "contents":
            op, k = what
            return contents_type(op.args[k]) if op.name == "kernel" else op.args[k].type
        if kind == "copy":
            return self._reading(what).type
        return self.loop[what].record if kind == "tape" else I64

    def _reading(self, load: Op) -> Reading:
        reading = self.decisions.reading(load)
        assert reading is not None
        return reading

    def copied_bytes(self, reading: Reading) -> int:
        """Bytes of what is copied of an iteration."""
        return record_bytes(reading.fields)

    def key_bytes(self, key: Key) -> int:
        return record_bytes([self.key_type(key)])

    def _capture_type(self, op: Op, i: Any) -> LeafType:
        if isinstance(i, tuple):
            out = tangent(op.results[i[1]].type)
            assert out is not None
            return out
        rule = self.rule_of(op)
        assert rule is not None and isinstance(i, int)
        results = self.program.functions[rule.forward].results
        return results[len(op.results) + i]

    # ------------------------------------------------------------ text
    @cached_property
    def held(self) -> dict[Construct, dict[Key, Held]]:
        """The arrays that records keep alive."""
        return held(self)

    @cached_property
    def of_region(self) -> dict[Any, Construct]:
        """The construct whose body a region is."""
        return {c.region: c for c in self.constructs}

    def in_scope(self, c: Construct) -> bool:
        """Whether a construct's record is never written: forward and reverse sweep of it are done in one place."""
        return c in self.fused or (c is self.root and self.activity.pattern.in_place)

    def bytes_of(self, c: Construct) -> int:
        """Bytes of a construct's record, and of the memory that it keeps alive (without elements whose number is not
        known before); of a body that is in scope, none."""
        if self.in_scope(c):
            return 0
        arrays = self.held[c].values()
        return record_bytes(list(c.fields.values())) + sum(
            HEADER + record_bytes(a.type.fields) * (a.count or 0) for a in arrays
        )

    def bytes(self, iterations: Sequence[int]) -> int:
        """Bytes of all records of a call in which the loops, in the order of the text, ran so many iterations in all
        (without elements of arrays whose number is not known before, and what callees keep)."""
        loops = zip(self.constructs[1:], iterations, strict=True)
        return self.bytes_of(self.root) + sum(self.bytes_of(c) * n for c, n in loops)

    callees: Sequence[Plan] = ()  # those of the functions that it calls, directly or not, where they are known

    def show(self) -> str:
        """The plan for a person: each construct, where what is needed of it comes from, and the bytes of its record;
        then the same of callees."""
        return "".join(plan.paragraph() for plan in (self, *self.callees))

    def paragraph(self) -> str:
        """The plan of this function alone."""
        lines = [f"reverse of {self.fn.title or '@' + self.fn.name}"]
        names: dict[Value, str] = {}
        asked: dict[Construct, list[Key]] = {c: list(c.fields) for c in self.constructs}
        for key in sorted(self.decisions.how, key=self._order):
            c = self.key_owner(key)
            if key not in asked[c] and self._is_worth_showing(key):
                asked[c].append(key)
        for c in self.constructs:
            pad = "  " * (self.depth(c) + 1)
            where = "" if c.op is None else f" (line {c.op.span.line})"
            what, unit = self._what(c)
            exits = f", {len(c.exits)} exits" if len(c.exits) > 1 else ""
            size = f"{self.bytes_of(c)} bytes {unit}{self._show_elements(c, names)}"
            fused = ", done with its reverse" if c in self.fused else ""
            note = f", {self.notes[c.op]}" if c.op in self.notes else ""
            lines.append(f"{pad}{what}{where}: keeps {size}{fused}{exits}{note}")
            for key in asked[c]:
                if key[0] == "tape" and self.loop[key[1]] in self.fused:
                    continue
                what = f"{self._show_how(key, c)} {self._show_key(key, names)}: {self.key_type(key)}"
                lines.append(f"{pad}  {what}{self._show_memory(key, c)}")
        return "\n".join(lines) + "\n"

    def _what(self, c: Construct) -> tuple[str, str]:
        """What a construct is, and what its record is of."""
        if c.op is None:
            return "body", "in all" if self.activity.pattern.in_place else "a call"
        if c.op in self.blocks:
            return "blocks of a loop", "a block"
        return "for loop" if c.op.name == "for" else "loop", "an iteration"

    def _show_elements(self, c: Construct, names: dict[Value, str]) -> str:
        """What arrays add whose length is not known before."""
        if self.in_scope(c):
            return ""
        parts = [
            f"{record_bytes(a.type.fields)} for each element of {self._name(key, names)}"
            for key, a in self.held[c].items()
            if a.count is None
        ]
        return f", and {' and '.join(parts)}" if parts else ""

    def _show_memory(self, key: Key, c: Construct) -> str:
        """What is kept alive by a reference in a record."""
        array = self.held[c].get(key)
        if array is None:
            return ""
        each = record_bytes(array.type.fields)
        if array.count is None:
            return f", and {each} bytes for each of its elements"
        return f", and its {HEADER + each * array.count} bytes"

    def _is_worth_showing(self, key: Key) -> bool:
        """Constants and counters go without saying, and where blocks begin."""
        return self.key_owner(key).op not in self.blocks and not (self.decisions.is_free(key) or key[1] in self.counter)

    def _show_how(self, key: Key, c: Construct) -> str:
        return (How.IN_SCOPE if self.in_scope(c) and key in c.fields else self.how(key)).value

    def _name(self, key: Key, names: dict[Value, str]) -> str:
        kind, what = key
        if not isinstance(what, Value):
            return _LABELS[kind]
        name = what.hint or names.setdefault(what, f"{len(names)}")
        return f"%{name}" if kind == "primal" else f"shadow of %{name}"

    def _show_key(self, key: Key, names: dict[Value, str]) -> str:
        kind, what = key
        if isinstance(what, Value):
            span = what.owner.span if isinstance(what.owner, Op) else None
            text = f" = {span.text.strip()}" if span is not None and span.text and "\n" not in span.text else ""
            return self._name(key, names) + text
        op = what[0] if isinstance(what, tuple) else what
        line = f" (line {op.span.line})" if isinstance(op, Op) and op.span.end else ""
        return _LABELS[kind] + line


_LABELS = {
    "tape": "tape of a loop",
    "start": "tape length before the loop", "end": "tape length after the loop", "count": "iterations begun",
    "trips": "trip count", "code": "exit by which the loop ended", "itercode": "exit of the iteration",
    "index": "place of a push or pop", "record": "record of a call", "capture": "what a rule keeps",
    "contents": "copy of the contents of an array", "copy": "copy of what a nest reads",
}  # fmt: skip

# How many first operands of an op are memory that it reads or writes itself.
_OWN_USES = {"load": 1, "store": 1, "acc": 1, "len": 1, "growable": 1, "same": 2}
_CODES = {"f64": "d", "f32": "f", "i64": "q", "bool": "?"}  # of `struct`; everything else is a reference


def record_bytes(fields: Sequence[LeafType]) -> int:
    """Bytes of a record in memory: natural alignment, padded at its end."""
    codes = [_CODES.get(str(t), "P") for t in fields]
    widest = max(codes, key=calcsize, default="?")
    return calcsize("@" + "".join(codes) + f"0{widest}")
