"""Checks the invariants of the IR. A violation is a defect of the compiler, never of the user's program.

What holds in a verified program:

1. A function is filed under its own name; the functions that calls, derivative ops and rules name exist.
2. A value is defined once, `owner` says where, and it is used only where it is visible: after its definition in the
   same region, or in a region nested there. An op and a region stand in one place.
3. A region ends in a terminator and has no other. Arms of an `if` end in `yield`, or leave; the body of a `for` ends in
   `next`; the body of a `loop` in `next`, `break` or `return`; a function in `return`. `unreachable` may stand for any.
4. An arm leaves by `next` or `break` only inside a `loop`, by `return` only outside every `for`; no exit crosses a
   `for`; `break{k}` has k+1 loops to leave.
5. `yield`, `next`, `break` and `return` give what their receiver takes, in number and type.
6. Operands and results of every op have the types that its table entry asks for, and its attributes are there.

Not checked: that loops end, that indices are in bounds, that a rule is a derivative, that `unpack` matches `pack`.
The primitives are known from `opset.RESULT_TYPES`, which fills when `dsl.ops` is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from dsl.diagnostics import CODES
from dsl.ir.core import TERMINATORS, Function, Op, Program, Region, Rule, Value
from dsl.ir.opset import OPSET, RESULT_TYPES
from dsl.ir.text import print_op
from dsl.ops.kernels import KERNELS
from dsl.records import dataclass
from dsl.types import BOOL, F32, F64, I64, OBJ, LeafType, Mem, is_ref, tangent


class VerifierError(AssertionError):
    """The compiler made IR that breaks an invariant."""


def verify(program: Program) -> None:
    """Raise VerifierError where a function breaks an invariant; the message quotes the op."""
    for name, fn in program.functions.items():
        if fn.name != name:
            raise VerifierError(f"@{fn.name} is filed under the name {name}")
        _Checker(program, fn).function()


@dataclass(slots=True)
class _Frame:
    """A loop around the op being checked. `crossable` is false for a `for`."""

    carried: list[LeafType]
    results: list[LeafType]
    crossable: bool


class _Checker:
    def __init__(self, program: Program, fn: Function) -> None:
        self.program = program
        self.fn = fn
        self.visible: set[Value] = set()
        self.defined: set[Value] = set()
        self.placed: set[int] = set()  # identities of ops and regions met
        self.loops: list[_Frame] = []

    # -- failing
    def fail(self, op: Op | None, what: str) -> NoReturn:
        quoted = f"\n    {print_op(self.fn, op)}" if op is not None else ""
        raise VerifierError(f"in @{self.fn.name}: {what}{quoted}")

    def require(self, holds: bool, op: Op | None, what: str) -> None:
        if not holds:
            self.fail(op, what)

    def types(self, op: Op, what: str, values: Sequence[Value], expected: Sequence[LeafType]) -> None:
        got = [v.type for v in values]
        if got != list(expected):
            wanted = ", ".join(map(str, expected)) or "none"
            self.fail(op, f"{what} should be of type {wanted}, not {', '.join(map(str, got)) or 'none'}")

    # -- structure
    def function(self) -> None:
        for value in self.fn.attrs.values():
            if isinstance(value, Rule):
                for name in (value.forward, value.reverse, value.pushforward):
                    self.require(not name or name in self.program.functions, None, f"the rule names @{name}, unknown")
        self.region(self.fn.body, None)

    def define(self, value: Value, owner: Op | Region, op: Op | None) -> None:
        self.require(value not in self.defined, op, "a value is defined twice")
        self.require(value.owner is owner, op, "a value has another owner than its definition")
        self.defined.add(value)
        self.visible.add(value)

    def region(self, region: Region, parent: Op | None) -> None:
        self.require(id(region) not in self.placed, parent, "a region stands in two places")
        self.placed.add(id(region))
        self.require(bool(region.ops), parent, "a region is empty")
        for value in region.params:
            self.define(value, region, parent)
        last = len(region.ops) - 1
        for k, op in enumerate(region.ops):
            self.require(id(op) not in self.placed, op, "an op stands in two places")
            self.placed.add(id(op))
            self.require((op.name in TERMINATORS) == (k == last), op, "a terminator ends a region, and only that")
            self.op(op, parent)
        for op in region.ops:
            self.visible.difference_update(op.results)
        self.visible.difference_update(region.params)

    def op(self, op: Op, parent: Op | None) -> None:
        for value in op.args:
            self.require(value in self.visible, op, f"the operand {value!r} is not visible here")
        if op.name in RESULT_TYPES:
            self.primitive(op)
        elif op.name in TERMINATORS:
            _EXITS[op.name](self, op, parent)
        elif op.name in _RULES:
            self.require(len(op.regions) == _REGIONS.get(op.name, 0), op, "wrong number of regions")
            _RULES[op.name](self, op)
        else:
            self.fail(op, f"there is no op {op.name!r}")
        for value in op.results:
            self.define(value, op, op)

    def primitive(self, op: Op) -> None:
        operands = [a.type for a in op.args]
        try:
            result = RESULT_TYPES[op.name](operands)
        except KeyError:
            self.fail(op, f"{op.name} has no signature for ({', '.join(map(str, operands))})")
        self.types(op, "the result", op.results, (result,))
        self.require(not op.regions, op, "a primitive has no regions")

    # -- what rules ask
    def memory(self, op: Op, value: Value) -> Mem:
        if not isinstance(value.type, Mem):
            self.fail(op, f"{value!r} is no memory")
        return value.type

    def count(self, op: Op, at_least: int) -> None:
        self.require(len(op.args) >= at_least, op, "too few operands")

    def callee(self, op: Op) -> Function:
        fn = self.program.functions.get(op.attrs.get("fn", ""))
        if fn is None:
            self.fail(op, f"there is no function @{op.attrs.get('fn')}")
        return fn

    def fields(self, op: Op, values: Sequence[Value]) -> None:
        """The values are consecutive fields of the record, from `first` on."""
        fields = self.memory(op, op.args[0]).fields
        self.types(op, "the index", op.args[1:2], (I64,))
        first = op.attrs.get("first", 0)
        self.require(isinstance(first, int) and first >= 0, op, "`first` is no place in a record")
        self.types(op, "the fields", values, fields[first : first + len(values)])
        if op.name == "acc":
            self.require(all(v.type in (F64, F32) for v in values), op, "acc adds floats only")


# ---------------------------------------------------------------- terminators


def _yield(c: _Checker, op: Op, parent: Op | None) -> None:
    if parent is None or parent.name != "if":
        c.fail(op, "a yield ends an arm of an if")
    c.types(op, "what is yielded", op.args, [r.type for r in parent.results])


def _inside(c: _Checker, op: Op, parent: Op | None) -> _Frame:
    """The innermost loop, which `op` may leave."""
    if not c.loops or parent is None:
        c.fail(op, "there is no loop to leave")
    c.require(parent.name != "if" or c.loops[-1].crossable, op, "an arm does not leave a for")
    return c.loops[-1]


def _next(c: _Checker, op: Op, parent: Op | None) -> None:
    c.types(op, "what is carried", op.args, _inside(c, op, parent).carried)


def _break(c: _Checker, op: Op, parent: Op | None) -> None:
    _inside(c, op, parent)
    depth = op.attrs.get("depth", 0)
    c.require(isinstance(depth, int) and 0 <= depth < len(c.loops), op, "there are not so many loops to leave")
    left = c.loops[-1 - depth :]
    c.require(all(f.crossable for f in left), op, "a break does not cross a for")
    c.types(op, "what the loop gives", op.args, left[0].results)


def _return(c: _Checker, op: Op, parent: Op | None) -> None:
    c.require(all(f.crossable for f in c.loops), op, "a return does not leave a for")
    c.types(op, "what is returned", op.args, c.fn.results)


def _unreachable(c: _Checker, op: Op, parent: Op | None) -> None:
    c.types(op, "operands", op.args, ())


_EXITS: dict[str, Callable[[_Checker, Op, Op | None], None]] = {
    "yield": _yield, "next": _next, "break": _break, "return": _return, "unreachable": _unreachable,
}  # fmt: skip

# ---------------------------------------------------------------- control flow


def _if(c: _Checker, op: Op) -> None:
    c.types(op, "the condition", op.args, (BOOL,))
    for region in op.regions:
        c.require(not region.params, op, "an arm has no parameters")
        c.region(region, op)


def _for(c: _Checker, op: Op) -> None:
    c.count(op, 3)
    (body,) = op.regions
    carried = [v.type for v in op.args[3:]]
    c.types(op, "the bounds", op.args[:3], (I64, I64, I64))
    c.types(op, "the parameters", body.params, (I64, *carried))
    c.types(op, "the results", op.results, carried)
    c.loops.append(_Frame(carried, carried, False))
    c.region(body, op)
    c.loops.pop()


def _loop(c: _Checker, op: Op) -> None:
    (body,) = op.regions
    carried = [v.type for v in op.args]
    c.types(op, "the parameters", body.params, carried)
    c.loops.append(_Frame(carried, [r.type for r in op.results], True))
    c.region(body, op)
    c.loops.pop()


# ---------------------------------------------------------------- constants and memory


def _const(c: _Checker, op: Op) -> None:
    c.types(op, "operands", op.args, ())
    c.require(len(op.results) == 1, op, "a constant is one value")
    value, type = op.attrs.get("value"), op.results[0].type
    fits: dict[LeafType, bool] = {
        F64: isinstance(value, float),
        F32: isinstance(value, float),
        BOOL: isinstance(value, bool),
        I64: isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
    }
    c.require(fits.get(type, False), op, f"{value!r} is no {type}")


def _null(c: _Checker, op: Op) -> None:
    c.types(op, "operands", op.args, ())
    c.require(len(op.results) == 1 and is_ref(op.results[0].type), op, "null is one reference")


def _new(c: _Checker, op: Op) -> None:
    c.types(op, "the length", op.args, (I64,))
    c.require(len(op.results) == 1 and isinstance(op.results[0].type, Mem), op, "new gives one memory")


def _len(c: _Checker, op: Op) -> None:
    c.count(op, 1)
    c.types(op, "operands", op.args, (c.memory(op, op.args[0]),))
    c.types(op, "the length", op.results, (I64,))


def _load(c: _Checker, op: Op) -> None:
    c.count(op, 2)
    c.require(len(op.args) == 2, op, "load takes a memory and an index")
    c.fields(op, op.results)


def _store(c: _Checker, op: Op) -> None:
    c.count(op, 2)
    c.types(op, "results", op.results, ())
    c.fields(op, op.args[2:])


def _treesum(c: _Checker, op: Op) -> None:
    c.count(op, 2)
    c.types(op, "the place", op.args[1:], (I64,))
    c.require(c.memory(op, op.args[0]).fields == (op.result.type,), op, f"{op.name} gives what the records are")
    count = op.attrs.get("count", 0)
    c.require(count > 0 and not count & (count - 1), op, f"{op.name} adds up a power of two of records")


def _push(c: _Checker, op: Op) -> None:
    c.count(op, 1)
    c.types(op, "results", op.results, ())
    c.types(op, "the record", op.args[1:], c.memory(op, op.args[0]).fields)


def _pop(c: _Checker, op: Op) -> None:
    c.count(op, 1)
    fields = c.memory(op, op.args[0]).fields
    c.types(op, "operands", op.args, (op.args[0].type,))
    c.types(op, "the record", op.results, fields)


def _same(c: _Checker, op: Op) -> None:
    c.require(len(op.args) == 2 and all(is_ref(a.type) for a in op.args), op, "same takes two references")
    c.types(op, "the operands", op.args[:1], (op.args[1].type,))
    c.types(op, "the result", op.results, (BOOL,))


def _address(c: _Checker, op: Op) -> None:
    c.require(len(op.args) == 1 and isinstance(op.args[0].type, Mem), op, "address takes one memory")
    c.types(op, "the result", op.results, (I64,))


def _growable(c: _Checker, op: Op) -> None:
    c.require(len(op.args) == 1 and isinstance(op.args[0].type, Mem), op, "growable takes one memory")
    c.types(op, "the result", op.results, (BOOL,))


def _kernel(c: _Checker, op: Op) -> None:
    kernel = KERNELS.get(op.attrs.get("kernel", ""))
    if kernel is None:
        c.fail(op, "which kernel?")
    n = len(kernel.roles)
    c.require(len(op.args) == n + len(kernel.numbers), op, "a kernel takes its memories and its numbers")
    c.require(all(isinstance(a.type, Mem) and len(a.type.fields) == 1 for a in op.args[:n]), op, "memories of numbers")
    c.types(op, "the numbers", op.args[n:], [I64] * len(kernel.numbers))
    c.types(op, "the results", op.results, kernel.results)


def _mark(c: _Checker, op: Op) -> None:
    c.types(op, "operands", op.args, ())
    c.types(op, "results", op.results, ())


def _release(c: _Checker, op: Op) -> None:
    flat = all(isinstance(a.type, Mem) and not any(map(is_ref, a.type.fields)) for a in op.args)
    c.require(flat, op, "memories without references")
    c.types(op, "the results", op.results, [a.type for a in op.args])


def _pack(c: _Checker, op: Op) -> None:
    c.types(op, "the result", op.results, (OBJ,))


def _unpack(c: _Checker, op: Op) -> None:
    c.types(op, "operands", op.args, (OBJ,))


def _global(c: _Checker, op: Op) -> None:
    c.types(op, "operands", op.args, ())
    c.require(len(op.results) == 1, op, "a global is one leaf")
    c.require(isinstance(op.attrs.get("name"), str) and isinstance(op.attrs.get("index"), int), op, "which global?")


def _shadow(c: _Checker, op: Op) -> None:
    c.require(len(op.args) == 1 and is_ref(op.args[0].type), op, "shadow takes one reference")
    c.types(op, "the shadow", op.results, _tangents(op.args))


def _stop(c: _Checker, op: Op) -> None:
    c.require(len(op.args) == 1, op, "stop takes one value")
    c.types(op, "the result", op.results, (op.args[0].type,))


# ---------------------------------------------------------------- calls, derivatives, effects


def _tangents(values: Sequence[Value]) -> list[LeafType]:
    return [t for v in values if (t := tangent(v.type)) is not None]


def _call(c: _Checker, op: Op) -> None:
    fn = c.callee(op)
    c.types(op, "the arguments", op.args, [p.type for p in fn.params])
    c.types(op, "the results", op.results, fn.results)


@dataclass(slots=True)
class _Shape:
    """The leaf types that a derivative of a function takes and gives."""

    primals: list[LeafType]
    results: list[LeafType]
    tangents: list[LeafType]  # of the parameters in wrt
    seeds: list[LeafType]  # of the results that have one
    shadows: list[LeafType]  # of the references in wrt
    cotangents: list[LeafType]  # of the scalars in wrt


def _shape(c: _Checker, op: Op) -> _Shape:
    fn = c.callee(op)
    wrt = op.attrs.get("wrt")
    c.require(isinstance(wrt, tuple) and all(0 <= k < len(fn.params) for k in wrt), op, "wrt names no parameters")
    assert isinstance(wrt, tuple)
    chosen = [fn.params[k] for k in wrt]
    tangents = _tangents(chosen)
    c.require(len(tangents) == len(chosen), op, "wrt names a parameter that has no tangent")
    seeds = [t for r in fn.results if (t := tangent(r)) is not None]
    return _Shape(
        [p.type for p in fn.params], list(fn.results), tangents, seeds,
        [t for t in tangents if is_ref(t)], [t for t in tangents if not is_ref(t)],
    )  # fmt: skip


def _jvp(c: _Checker, op: Op) -> None:
    s = _shape(c, op)
    width, order = op.attrs.get("width", 1), op.attrs.get("order", 1)
    c.types(op, "the arguments", op.args, s.primals + [t for t in s.tangents for _ in range(width)])
    c.types(op, "the results", op.results, s.results + [t for t in s.seeds for _ in range(width * order)])


def _vjp(c: _Checker, op: Op) -> None:
    s = _shape(c, op)
    c.types(op, "the arguments", op.args, s.primals + s.seeds + s.shadows)
    c.types(op, "the results", op.results, s.results + s.cotangents)


def _vjp_fwd(c: _Checker, op: Op) -> None:
    s = _shape(c, op)
    c.types(op, "the arguments", op.args, s.primals)
    c.types(op, "the results", op.results, [*s.results, OBJ])


def _vjp_rev(c: _Checker, op: Op) -> None:
    s = _shape(c, op)
    c.types(op, "the arguments", op.args, [OBJ, *s.seeds, *s.shadows])
    c.types(op, "the results", op.results, s.cotangents)


def _check(c: _Checker, op: Op) -> None:
    c.types(op, "the condition", op.args[:1], (BOOL,))
    c.types(op, "results", op.results, ())
    c.require(op.attrs.get("code") in CODES, op, "there is no such error code")
    c.require(isinstance(op.attrs.get("text"), str), op, "a check has a text")


def _print(c: _Checker, op: Op) -> None:
    c.types(op, "results", op.results, ())
    c.require(isinstance(op.attrs.get("text"), str), op, "a print has a text")


_REGIONS = {"if": 2, "for": 1, "loop": 1}
_RULES: dict[str, Callable[[_Checker, Op], None]] = {
    "if": _if, "for": _for, "loop": _loop, "const": _const, "null": _null, "new": _new, "len": _len, "load": _load,
    "store": _store, "acc": _store, "push": _push, "pop": _pop, "same": _same, "growable": _growable,
    "address": _address, "treesum": _treesum, "lanesum": _treesum,
    "kernel": _kernel, "mark": _mark, "renew": _release, "release": _release, "pack": _pack, "unpack": _unpack,
    "global": _global, "shadow": _shadow, "stop": _stop,
    "call": _call, "jvp": _jvp, "vjp": _vjp, "vjp_fwd": _vjp_fwd, "vjp_rev": _vjp_rev, "check": _check, "print": _print,
}  # fmt: skip
assert _RULES.keys() | _EXITS.keys() == OPSET.keys(), "an op has no typing rule"
