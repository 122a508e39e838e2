"""Which inputs can influence which values by data flow, through control flow, memory and calls.

This is what makes `nothing` static and what differentiation calls *varied*. An input is a path: `(i,)` is the scalar
parameter i, `(i, f)` field f of the records behind the mem parameter i, `(i, f, g)` field g of the memory that field f
refers to. The result is an over-approximation: flow-insensitive for memory, insensitive to indices, and never
influenced by simplification.

Data flow is what carries a derivative: comparisons, indices, lengths, rounding (every operand whose derivative entry in
the primitive table is None) and `stop` carry nothing; conditions carry nothing to the values of their arms.

Memory is told apart by unification (Steensgaard, "Points-to analysis in almost linear time", 1996): each reference
belongs to a `Cell`, references that may be equal share one, fields are kept apart. Calls are summarised per function
and instantiated at each call, recursion by iterating to a fixpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ops import PRIMITIVES
from dsl.ops.kernels import KERNELS
from dsl.types import BOOL, LeafType, Mem, Obj, is_ref

Path: TypeAlias = tuple[int, ...]
_DERIVES = frozenset({"jvp", "vjp", "vjp_fwd", "vjp_rev"})


class Cell:
    """What is known of the memory that some references may refer to.

    masks      for each scalar field the set (as bits) of inputs that may influence its contents
    children   for each reference field (or packed reference) the cell it refers to
    written    some op may change it
    resized    some op may change its length
    made       some op of this function (or of a callee) makes it
    """

    __slots__ = ("children", "forward", "made", "masks", "resized", "type", "written")

    def __init__(self, type: LeafType) -> None:
        self.type = type
        self.masks: dict[int, int] = {}
        self.children: dict[int, Cell] = {}
        self.written = False
        self.resized = False
        self.made = False
        self.forward: Cell | None = None

    def find(self) -> Cell:
        cell = self
        while cell.forward is not None:
            if cell.forward.forward is not None:
                cell.forward = cell.forward.forward
            cell = cell.forward
        return cell

    def child(self, field: int, type: LeafType) -> Cell:
        cell = self.find()
        found = cell.children.get(field)
        if found is None:
            found = cell.children[field] = Cell(type)
        return found.find()


def walk_cell(cell: Cell, seen: set[int] | None = None) -> Iterator[Cell]:
    """A cell and all cells reachable from it."""
    seen = set() if seen is None else seen
    cell = cell.find()
    if id(cell) in seen:
        return
    seen.add(id(cell))
    yield cell
    for child in list(cell.children.values()):
        yield from walk_cell(child, seen)


def _changed(cell: Cell) -> bool:
    return any(c.written or c.resized for c in walk_cell(cell))


class Flow:
    """The influence inside one function: `mask(v)` of a scalar, `cell(v)` of a reference.

    `inputs[b]` is the path of bit b; `results` and `params` are the masks or cells of the function's results and
    parameters. With `merge`, mem parameters of one type share a cell, since a caller may pass one memory twice; those
    `apart` do not.
    """

    def __init__(
        self, owner: Influence, fn: Function, merge: bool = False, apart: frozenset[int] = frozenset()
    ) -> None:
        self.owner = owner
        self.fn = fn
        self.inputs: list[Path] = []
        self.bits: dict[Path, int] = {}
        self._masks: dict[Value, int] = {}
        self._cells: dict[Value, Cell] = {}
        self.changed = False
        self.compared = 0  # inputs that a comparison depends on
        self.result_masks: list[int] = [0] * len(fn.results)
        self.result_cells: dict[int, Cell] = {k: Cell(t) for k, t in enumerate(fn.results) if is_ref(t)}
        by_type: dict[LeafType, Cell] = {}
        for i, p in enumerate(fn.params):
            if not is_ref(p.type):
                self._masks[p] = 0 if p.type == BOOL else self._bit((i,))
                continue
            cell = self._input_cell((i,), p.type)
            self._cells[p] = cell
            if merge and i not in apart:
                for part in list(walk_cell(cell)):
                    other = by_type.setdefault(part.type, part)
                    self._unify(other, part)
        self.run()

    # ------------------------------------------------------------ queries
    def mask(self, v: Value) -> int:
        return self._masks.get(v, 0)

    def cell(self, v: Value) -> Cell:
        found = self._cells.get(v)
        if found is None:
            found = self._cells[v] = Cell(v.type)
        return found.find()

    def content(self, cell: Cell) -> int:
        """Every input that may influence something in a cell or reachable from it."""
        mask = 0
        for part in walk_cell(cell):
            for m in part.masks.values():
                mask |= m
        return mask

    def reaching(self, mask: int) -> frozenset[Path]:
        return frozenset(path for b, path in enumerate(self.inputs) if mask >> b & 1)

    # ------------------------------------------------------------ the analysis
    def run(self) -> bool:
        """Iterate to a fixpoint over the function; True where anything new was found."""
        grew = False
        while True:
            self.changed = False
            self._region(self.fn.body, [])
            if not self.changed:
                return grew
            grew = True

    def _bit(self, path: Path) -> int:
        if path not in self.bits:
            self.bits[path] = 1 << len(self.inputs)
            self.inputs.append(path)
        return self.bits[path]

    def _input_cell(self, path: Path, type: LeafType) -> Cell:
        cell = Cell(type)
        if isinstance(type, Mem):
            for f, t in enumerate(type.fields):
                if is_ref(t):
                    cell.children[f] = self._input_cell((*path, f), t)
                elif t != BOOL:
                    cell.masks[f] = self._bit((*path, f))
        else:
            cell.masks[-1] = self._bit((*path, 0))
        return cell

    def _add(self, v: Value, mask: int) -> None:
        if v.type == BOOL or is_ref(v.type):
            return
        old = self._masks.get(v, 0)
        if mask & ~old:
            self._masks[v] = old | mask
            self.changed = True

    def _add_field(self, cell: Cell, field: int, mask: int) -> None:
        cell = cell.find()
        old = cell.masks.get(field, 0)
        if mask & ~old:
            cell.masks[field] = old | mask
            self.changed = True

    def _mark(self, cell: Cell, *, written: bool = False, resized: bool = False, made: bool = False) -> None:
        cell = cell.find()
        if (written and not cell.written) or (resized and not cell.resized) or (made and not cell.made):
            cell.written |= written
            cell.resized |= resized
            cell.made |= made
            self.changed = True

    def _unify(self, a: Cell, b: Cell) -> None:
        work = [(a, b)]
        while work:
            x, y = (c.find() for c in work.pop())
            if x is y:
                continue
            self.changed = True
            y.forward = x
            x.written |= y.written
            x.resized |= y.resized
            x.made |= y.made
            for f, m in y.masks.items():
                x.masks[f] = x.masks.get(f, 0) | m
            for f, child in y.children.items():
                mine = x.children.setdefault(f, child)
                work.append((mine, child))

    def _join(self, target: Value, source: Value) -> None:
        """Control flow may give `source` to `target`."""
        if is_ref(target.type):
            self._unify(self.cell(target), self.cell(source))
        else:
            self._add(target, self.mask(source))

    def _join_all(self, targets: list[Value], sources: list[Value]) -> None:
        for target, source in zip(targets, sources, strict=True):
            self._join(target, source)

    def _region(self, region: Region, stack: list[Op]) -> None:
        """`stack` holds the enclosing loops and ifs, innermost last."""
        for op in region.ops:
            self._op(op, stack)

    def _op(self, op: Op, stack: list[Op]) -> None:
        handler = getattr(self, f"_op_{op.name}", None)
        if handler is not None:
            handler(op, stack)
        else:
            self._primitive(op)

    def _primitive(self, op: Op) -> None:
        entries = self.owner.derivatives(op.name)
        mask = 0
        for arg, has in zip(op.args, entries, strict=False):
            if has:
                if is_ref(arg.type):
                    self._unify(self.cell(op.results[0]), self.cell(arg))
                else:
                    mask |= self.mask(arg)
        for r in op.results:
            self._add(r, mask)
            if r.type == BOOL:
                for arg in op.args:
                    self._compare(self.mask(arg))

    def _compare(self, mask: int) -> None:
        if mask & ~self.compared:
            self.compared |= mask
            self.changed = True

    # ---- control flow
    def _op_if(self, op: Op, stack: list[Op]) -> None:
        for region in op.regions:
            self._region(region, [*stack, op])

    def _op_for(self, op: Op, stack: list[Op]) -> None:
        (body,) = op.regions
        self._join_all(body.params[1:], op.args[3:])
        self._join_all(op.results, op.args[3:])
        self._region(body, [*stack, op])

    def _op_loop(self, op: Op, stack: list[Op]) -> None:
        (body,) = op.regions
        self._join_all(body.params, op.args)
        self._region(body, [*stack, op])

    def _op_yield(self, op: Op, stack: list[Op]) -> None:
        self._join_all(stack[-1].results, op.args)

    def _op_next(self, op: Op, stack: list[Op]) -> None:
        loop = next(o for o in reversed(stack) if o.name != "if")
        if loop.name == "for":
            self._join_all(loop.regions[0].params[1:], op.args)
            self._join_all(loop.results, op.args)
        else:
            self._join_all(loop.regions[0].params, op.args)

    def _op_break(self, op: Op, stack: list[Op]) -> None:
        loops = [o for o in stack if o.name != "if"]
        self._join_all(loops[-1 - op.attrs.get("depth", 0)].results, op.args)

    def _op_return(self, op: Op, stack: list[Op]) -> None:
        for k, v in enumerate(op.args):
            if is_ref(v.type):
                self._unify(self.result_cells[k], self.cell(v))
            elif self.mask(v) & ~self.result_masks[k]:
                self.result_masks[k] |= self.mask(v)
                self.changed = True

    def _nothing(self, op: Op, stack: list[Op]) -> None:
        """An op that carries no influence."""

    _op_unreachable = _op_const = _op_null = _op_len = _op_same = _op_growable = _op_check = _op_print = _nothing
    _op_stop = _op_address = _nothing

    _op_mark = _nothing

    def _op_renew(self, op: Op, stack: list[Op]) -> None:
        """The results are the operands."""
        self._join_all(op.results, op.args)

    _op_release = _op_renew

    # ---- memory
    def _op_new(self, op: Op, stack: list[Op]) -> None:
        self._mark(self.cell(op.result), made=True)

    def _op_shadow(self, op: Op, stack: list[Op]) -> None:
        cell = self.cell(op.result)
        self._mark(cell, made=True)
        self._mirror(cell, self.cell(op.args[0]), set())

    def _mirror(self, shadow: Cell, cell: Cell, seen: set[int]) -> None:
        if id(cell) in seen:
            return
        seen.add(id(cell))
        for f, child in list(cell.find().children.items()):
            mine = shadow.child(f, child.type)
            self._mark(mine, made=True)
            self._mirror(mine, child.find(), seen)

    def _op_global(self, op: Op, stack: list[Op]) -> None:
        self._unify(self.owner.global_cell(op), self.cell(op.result))

    def _op_load(self, op: Op, stack: list[Op]) -> None:
        cell, first = self.cell(op.args[0]), op.attrs.get("first", 0)
        for k, r in enumerate(op.results):
            self._read(cell, first + k, r)

    def _read(self, cell: Cell, field: int, r: Value) -> None:
        if is_ref(r.type):
            self._unify(cell.child(field, r.type), self.cell(r))
        else:
            self._add(r, cell.find().masks.get(field, 0))

    def _write(self, cell: Cell, field: int, v: Value) -> None:
        if is_ref(v.type):
            self._unify(cell.child(field, v.type), self.cell(v))
        else:
            self._add_field(cell, field, self.mask(v))

    def _op_store(self, op: Op, stack: list[Op]) -> None:
        cell, first = self.cell(op.args[0]), op.attrs.get("first", 0)
        self._mark(cell, written=True)
        for k, v in enumerate(op.args[2:]):
            self._write(cell, first + k, v)

    _op_acc = _op_store

    def _op_push(self, op: Op, stack: list[Op]) -> None:
        cell = self.cell(op.args[0])
        self._mark(cell, written=True, resized=True)
        for k, v in enumerate(op.args[1:]):
            self._write(cell, k, v)

    def _op_pop(self, op: Op, stack: list[Op]) -> None:
        cell = self.cell(op.args[0])
        self._mark(cell, written=True, resized=True)
        for k, r in enumerate(op.results):
            self._read(cell, k, r)

    def _op_kernel(self, op: Op, stack: list[Op]) -> None:
        """Everything that is read may influence everything that is written or given."""
        cells = [(self.cell(m), role) for m, role in zip(op.args, KERNELS[op.attrs["kernel"]].roles, strict=False)]
        mask = 0
        for cell, role in cells:
            mask |= self.content(cell) if role != "out" else 0
        for cell, role in cells:
            if role != "in":
                self._mark(cell, written=True)
                for field in range(len(cell.type.fields) if isinstance(cell.type, Mem) else 0):
                    self._add_field(cell, field, mask)
        for r in op.results:
            self._add(r, mask)

    def _op_pack(self, op: Op, stack: list[Op]) -> None:
        cell = self.cell(op.result)
        self._mark(cell, made=True)
        for k, v in enumerate(op.args):
            if is_ref(v.type):  # numbers that are packed are places and counts
                self._write(cell, k, v)

    def _op_unpack(self, op: Op, stack: list[Op]) -> None:
        cell = self.cell(op.args[0])
        rest = cell.masks.get(-1, 0)
        for k, r in enumerate(op.results):
            self._read(cell, k, r)
            self._add(r, rest)
            if is_ref(r.type):
                self._tint(self.cell(r), rest)

    def _tint(self, cell: Cell, mask: int) -> None:
        """What comes out of a packed record that is an input has that input's influence, all the way down: only here
        does its type become known."""
        work, seen = [cell], set()
        while work:
            part = work.pop().find()
            if id(part) in seen or not isinstance(part.type, Mem):
                continue
            seen.add(id(part))
            for f, t in enumerate(part.type.fields):
                if is_ref(t):
                    work.append(part.child(f, t))
                elif t != BOOL:
                    self._add_field(part, f, mask)

    # ---- calls and derivatives
    def _op_call(self, op: Op, stack: list[Op]) -> None:
        callee = self.owner.summary(op.attrs["fn"])
        if callee is not None:
            self._instantiate(callee, op, self._matched(callee, op))

    def cells_of_call(self, op: Op) -> list[tuple[Cell, Cell]]:
        """Each cell that the parameters and results of a callee lead to, and the one here that it stands for."""
        callee = self.owner.summary(op.attrs["fn"])
        assert callee is not None
        cells = self._matched(callee, op)
        return [(theirs, cells[id(theirs)].find()) for theirs in self._summary_cells(callee)]

    def _matched(self, callee: Flow, op: Op) -> dict[int, Cell]:
        """Our cell for each of the callee's, by identity."""
        cells = self._matched_once(callee, op)
        while any(id(a) not in cells for a in self._summary_cells(callee)):
            cells = self._matched_once(callee, op)  # in recursion the callee's are ours: matching has joined some
        return cells

    def _matched_once(self, callee: Flow, op: Op) -> dict[int, Cell]:
        cells: dict[int, Cell] = {}
        for p, a in zip(callee.fn.params, op.args, strict=True):
            if is_ref(p.type):
                self._match(callee.cell(p), self.cell(a), cells)
        for k, r in enumerate(op.results):
            if is_ref(r.type):
                self._match(callee.result_cells[k].find(), self.cell(r), cells)
        return cells

    def _match(self, theirs: Cell, mine: Cell, cells: dict[int, Cell]) -> None:
        """Let a cell of the callee stand for one of ours, and all that is reachable from it."""
        work = [(theirs.find(), mine.find())]
        while work:
            a, b = work.pop()
            known = cells.get(id(a))
            if known is not None:
                self._unify(known, b)
                continue
            cells[id(a)] = b
            for f, child in list(a.children.items()):
                work.append((child.find(), b.child(f, child.type)))

    def _instantiate(self, callee: Flow, op: Op, cells: dict[int, Cell]) -> None:
        actual = [self._actual(callee, path, op) for path in callee.inputs]

        def translate(mask: int) -> int:
            out, b = 0, 0
            while mask:
                if mask & 1:
                    out |= actual[b]
                mask >>= 1
                b += 1
            return out

        for a in self._summary_cells(callee):
            mine = cells[id(a)]
            self._mark(mine, written=a.written, resized=a.resized, made=a.made)
            for f, m in list(a.masks.items()):
                self._add_field(mine, f, translate(m))
        self._compare(translate(callee.compared))
        for k, r in enumerate(op.results):
            if not is_ref(r.type):
                self._add(r, translate(callee.result_masks[k]))

    def _summary_cells(self, callee: Flow) -> Iterator[Cell]:
        seen: set[int] = set()
        for p in callee.fn.params:
            if is_ref(p.type):
                yield from walk_cell(callee.cell(p), seen)
        for c in callee.result_cells.values():
            yield from walk_cell(c, seen)

    def _actual(self, callee: Flow, path: Path, op: Op) -> int:
        """The influence on what the callee calls an input."""
        arg = op.args[path[0]]
        if not is_ref(arg.type):
            return self.mask(arg)
        cell = self.cell(arg)
        for f in path[1:-1]:
            cell = cell.find().children[f].find()
        if isinstance(cell.type, Obj):
            return self.content(cell)
        return cell.find().masks.get(path[-1], 0)

    def _derive(self, op: Op, stack: list[Op]) -> None:
        """A derivative depends on everything its function and its seeds depend on. Memory that it is handed for its
        function's own parameters changes only where the function changes it."""
        mask = 0
        refs = [a for a in op.args if is_ref(a.type)]
        for a in op.args:
            mask |= self.content(self.cell(a)) if is_ref(a.type) else self.mask(a)
        callee = None if op.name == "vjp_rev" else self.owner.summary(op.attrs["fn"])
        kept = [] if callee is None else [is_ref(p.type) and not _changed(callee.cell(p)) for p in callee.fn.params]
        for k, a in enumerate(op.args):
            if is_ref(a.type) and not (k < len(kept) and kept[k]):
                self._flood(self.cell(a), mask)
        for r in op.results:
            if is_ref(r.type):
                self._mark(self.cell(r), made=True)
                self._flood(self.cell(r), mask)
            else:
                self._add(r, mask)
            for a in refs:
                if is_ref(r.type) and a.type == r.type:
                    self._unify(self.cell(a), self.cell(r))

    _op_jvp = _op_vjp = _op_vjp_fwd = _op_vjp_rev = _derive

    def _flood(self, cell: Cell, mask: int) -> None:
        for part in list(walk_cell(cell)):
            self._mark(part, written=True, resized=True)
            if isinstance(part.type, Mem):
                for f, t in enumerate(part.type.fields):
                    if not is_ref(t) and t != BOOL:
                        self._add_field(part, f, mask)
            else:
                self._add_field(part, -1, mask)


class Influence:
    """The influence inside and between the functions of a program (as it is now: make a new one after changes)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._flows: dict[str, Flow] = {}
        self._active: list[str] = []
        self._globals: dict[tuple[str, int], Cell] = {}
        self._entries: dict[str, tuple[bool, ...]] = {}

    def derivatives(self, primitive: str) -> tuple[bool, ...]:
        """For each operand of a primitive whether it has a derivative."""
        found = self._entries.get(primitive)
        if found is None:
            found = self._entries[primitive] = tuple(d is not None for d in PRIMITIVES[primitive].derivative)
        return found

    def global_cell(self, op: Op) -> Cell:
        return self._globals.setdefault((op.attrs["name"], op.attrs["index"]), Cell(op.result.type)).find()

    def summary(self, name: str) -> Flow | None:
        """The flow of a function, up to date; None while it is being made for the first time."""
        flow = self._flows.get(name)
        if flow is None and name not in self._active:
            self.flow(name)
            flow = self._flows.get(name)
        return flow

    def flow(self, name: str) -> Flow:
        """The flow of a function. Mutually recursive functions are iterated together until nothing grows."""
        if name in self._flows:
            return self._flows[name]
        group = self._group(name)
        self._active += group
        for member in group:
            self._flows[member] = Flow(self, self.program.functions[member])
        grew = len(group) > 1 or name in self._callees(name)
        while grew:
            grew = False
            for member in group:
                grew |= self._flows[member].run()
        del self._active[len(self._active) - len(group) :]
        return self._flows[name]

    def _callees(self, name: str) -> set[str]:
        return {op.attrs["fn"] for op in self.program.functions[name].body.walk() if op.name == "call"}

    def _group(self, name: str) -> list[str]:
        """The functions that `name` calls and that call `name`, directly or not (its strongly connected group)."""
        reach: dict[str, set[str]] = {}
        work = [name]
        while work:
            f = work.pop()
            if f not in reach:
                reach[f] = self._callees(f)
                work += reach[f]
        callers: dict[str, set[str]] = {f: set() for f in reach}
        for f, callees in reach.items():
            for g in callees:
                callers[g].add(f)
        back, work = set(), [name]
        while work:
            f = work.pop()
            if f not in back:
                back.add(f)
                work += callers[f]
        return [name, *sorted(back - {name})]

    def reaching(self, name: str, result: int) -> frozenset[Path]:
        """The input paths that may influence a result of a function (of a memory: anything in it), where a caller may
        have passed the same memory for two parameters of one type."""
        self.flow(name)
        flow = Flow(self, self.program.functions[name], merge=True)
        cell = flow.result_cells.get(result)
        return flow.reaching(flow.result_masks[result] if cell is None else flow.content(cell))

    def compared(self, name: str) -> frozenset[Path]:
        """The input paths that some comparison depends on."""
        flow = self.flow(name)
        return flow.reaching(flow.compared)
