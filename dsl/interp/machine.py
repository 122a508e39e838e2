"""The reference interpreter: what programs mean, op by op, with nothing clever in it.

Guarantees: every op of `OPSET` and every primitive, in program order; errors are DslErrors at the op's place; recursion
too deep is such an error, never Python's own. Numbers are what the arithmetic says (`FLOAT`: the bits of native code).
Not handled: `jvp`, `vjp`, `vjp_fwd`, `vjp_rev`, which `ad` replaces before a program is run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias

from dsl.diagnostics import error
from dsl.interp.values import Memory, Packed, zero
from dsl.ir.core import Function, Op, Program, Region, Value
from dsl.ir.message import message
from dsl.ops import FLOAT, PRIMITIVES, Arithmetic
from dsl.ops.kernels import KERNELS
from dsl.types import F32, I64, LeafType, Mem, tangent

MAX_DEPTH = 20_000  # calls within calls, before a program's recursion counts as too deep
PYTHON_FRAMES = 10_000_000  # enough for that many calls, each some regions deep; Python's own frames are on the heap

Env: TypeAlias = dict[Value, Any]
# How a region was left: the name of its terminator, the depth of a `break`, and the values handed on.
Exit: TypeAlias = tuple[str, int, list[Any]]


def run(
    program: Program,
    name: str,
    args: Sequence[Any],
    out: Callable[[str], object] | None = None,
    arithmetic: Arithmetic = FLOAT,
    globals_: Mapping[tuple[str, int], Any] | None = None,
) -> list[Any]:
    """Call a function with leaves as arguments; gives the leaves of its results. `out` receives what is printed
    (default: standard output); `globals_` the value of each `global` (name, index) that is left in the program."""
    machine = _Machine(program, out or sys.stdout.write, arithmetic, globals_ or {})
    with _deep_recursion():
        return machine.call(program.functions[name], list(args))


class _Machine:
    def __init__(
        self,
        program: Program,
        out: Callable[[str], object],
        arithmetic: Arithmetic,
        globals_: Mapping[tuple[str, int], Any],
    ) -> None:
        self.program = program
        self.out = out
        self.arithmetic = arithmetic
        self.globals = globals_
        self.depth = 0
        self.regions: list[list[Memory]] = []  # for each region around, what belongs to it

    # ------------------------------------------------------------ functions and regions
    def call(self, fn: Function, args: list[Any]) -> list[Any]:
        assert len(args) == len(fn.params), f"@{fn.name} takes {len(fn.params)} leaves, got {len(args)}"
        kind, _, values = self.region(fn.body, dict(zip(fn.params, args, strict=True)))
        assert kind == "return", f"@{fn.name} ended in {kind}"
        return values

    def region(self, region: Region, env: Env) -> Exit:
        """Run the ops of a region up to the terminator that leaves it, its own or one inside an arm."""
        for op in region.ops:
            name = op.name
            if name in PRIMITIVES:
                types = [a.type for a in op.args]
                values = [env[a] for a in op.args]
                env[op.results[0]] = self.arithmetic.primitive(name, types, values)
            elif name in _STRAIGHT:
                _STRAIGHT[name](self, op, env)
            elif name in _CONTROL:
                left = _CONTROL[name](self, op, env)
                if left is not None:
                    return left
            elif name == "unreachable":
                raise AssertionError("control came to an `unreachable`")
            else:
                return name, op.attrs.get("depth", 0), [env[a] for a in op.args]
        raise AssertionError("a region without a terminator")

    def number(self, name: str, type: LeafType, *values: Any) -> Any:
        """A primitive on operands of one type."""
        return self.arithmetic.primitive(name, [type] * len(values), values)


def _bind(env: Env, names: Sequence[Value], values: Sequence[Any]) -> None:
    env.update(zip(names, values, strict=True))


# ---------------------------------------------------------------- control flow: None, or the exit that leaves further


def _if(m: _Machine, op: Op, env: Env) -> Exit | None:
    left = m.region(op.regions[0 if env[op.args[0]] else 1], env)
    if left[0] != "yield":
        return left
    _bind(env, op.results, left[2])
    return None


def _for(m: _Machine, op: Op, env: Env) -> Exit | None:
    low, high, step, *carried = [env[a] for a in op.args]
    (body,) = op.regions
    assert step != 0, "a `for` with step 0"
    numbers = range(low, high + (1 if step > 0 else -1), step)
    for i in reversed(numbers) if op.attrs.get("lanes") else numbers:  # the order of lanes does not matter
        _bind(env, body.params, [i, *carried])
        kind, depth, carried = m.region(body, env)
        if kind != "next":
            return kind, depth, carried
    _bind(env, op.results, carried)
    return None


def _loop(m: _Machine, op: Op, env: Env) -> Exit | None:
    (body,) = op.regions
    carried = [env[a] for a in op.args]
    while True:
        _bind(env, body.params, carried)
        kind, depth, carried = m.region(body, env)
        if kind == "break" and depth == 0:
            _bind(env, op.results, carried)
            return None
        if kind == "break":
            return kind, depth - 1, carried
        if kind != "next":
            return kind, depth, carried


_CONTROL: dict[str, Callable[[_Machine, Op, Env], Exit | None]] = {"if": _if, "for": _for, "loop": _loop}


# ---------------------------------------------------------------- constants, calls, effects


def _const(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = m.arithmetic.constant(op.attrs["value"], op.results[0].type)


def _null(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = None


def _global(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = m.globals[op.attrs["name"], op.attrs["index"]]


def _stop(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = env[op.args[0]]


def _call(m: _Machine, op: Op, env: Env) -> None:
    fn = m.program.functions[op.attrs["fn"]]
    if m.depth >= MAX_DEPTH:
        raise error("E0406", "the recursion is too deep", fn.span)
    m.depth += 1
    inner = [m.regions.pop() for _ in range(op.attrs.get("out", 0))]
    _bind(env, op.results, m.call(fn, [env[a] for a in op.args]))
    m.regions += reversed(inner)
    m.depth -= 1


def _text(op: Op, operands: Sequence[Value], env: Env) -> str:
    return message(op.attrs["text"], [env[a] for a in operands], [a.type for a in operands])


def _check(m: _Machine, op: Op, env: Env) -> None:
    if not env[op.args[0]]:
        raise error(op.attrs["code"], _text(op, op.args[1:], env), op.span, op.attrs.get("hint", ""))


def _print(m: _Machine, op: Op, env: Env) -> None:
    m.out(_text(op, op.args, env))


def _derivative(m: _Machine, op: Op, env: Env) -> NoReturn:
    raise AssertionError(f"`{op.name}` is not run: `ad.expand` replaces it first")


# ---------------------------------------------------------------- memory


def _record(env: Env, op: Op) -> list[Any]:
    """The record that args (memory, index) name."""
    memory, index = env[op.args[0]], env[op.args[1]]
    assert memory is not None, f"`{op.name}` of the null reference"
    assert 0 <= index < len(memory.rows), f"`{op.name}` of record {index} of {len(memory.rows)}"
    record: list[Any] = memory.rows[index]
    return record


def _fields(t: LeafType) -> tuple[LeafType, ...]:
    assert isinstance(t, Mem)
    return t.fields


def _new(m: _Machine, op: Op, env: Env) -> None:
    """What is blank holds nothing, so that reading it before it is written fails."""
    fields = _fields(op.results[0].type)
    blank, out = op.attrs.get("blank"), op.attrs.get("out", 0)
    rows = [[None if blank else _zero(m, f) for f in fields] for _ in range(env[op.args[0]])]
    memory = env[op.results[0]] = Memory(rows)
    if len(m.regions) > out:
        m.regions[-1 - out].append(memory)


def _zero(m: _Machine, t: LeafType) -> Any:
    value = zero(t)
    return value if value is None else m.arithmetic.constant(value, t)


def _len(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = len(env[op.args[0]].rows)


def _load(m: _Machine, op: Op, env: Env) -> None:
    first = op.attrs.get("first", 0)
    _bind(env, op.results, _record(env, op)[first : first + len(op.results)])


def _store(m: _Machine, op: Op, env: Env) -> None:
    first = op.attrs.get("first", 0)
    values = [env[a] for a in op.args[2:]]
    _record(env, op)[first : first + len(values)] = values


def _acc(m: _Machine, op: Op, env: Env) -> None:
    record, first = _record(env, op), op.attrs.get("first", 0)
    for k, operand in enumerate(op.args[2:], start=first):
        record[k] = m.number("add", operand.type, record[k], env[operand])


def _treesum(m: _Machine, op: Op, env: Env) -> None:
    first = env[op.args[1]]
    numbers = [value for (value,) in env[op.args[0]].rows[first : first + op.attrs["count"]]]
    env[op.result] = _by_halves(m, op.result.type, numbers)


def _lanesum(m: _Machine, op: Op, env: Env) -> None:
    type, count = op.result.type, op.attrs["count"]
    rows = env[op.args[0]].rows[: env[op.args[1]] * count]
    sums = [_zero(m, type)] * count
    for k, (value,) in enumerate(rows):
        sums[k % count] = m.number("add", type, sums[k % count], value)
    env[op.result] = _by_halves(m, type, sums)


def _by_halves(m: _Machine, type: LeafType, numbers: list[Any]) -> Any:
    while len(numbers) > 1:
        half = len(numbers) // 2
        numbers = [m.number("add", type, x, y) for x, y in zip(numbers[:half], numbers[half:], strict=True)]
    return numbers[0]


def _growing(op: Op, env: Env) -> list[list[Any]]:
    memory = env[op.args[0]]
    assert memory.growable, f"`{op.name}` of memory that cannot grow"
    rows: list[list[Any]] = memory.rows
    return rows


def _push(m: _Machine, op: Op, env: Env) -> None:
    _growing(op, env).append([env[a] for a in op.args[1:]])


def _pop(m: _Machine, op: Op, env: Env) -> None:
    _bind(env, op.results, _growing(op, env).pop())


def _growable(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = env[op.args[0]].growable


def _kernel(m: _Machine, op: Op, env: Env) -> None:
    """What the kernel's reference does; then what it wrote is brought to the numbers that the memories' type has."""
    kernel = KERNELS[op.attrs["kernel"]]
    count = len(kernel.roles)
    memories = [env[a].rows for a in op.args[:count]]
    _bind(env, op.results, kernel.evaluate(memories, [env[a] for a in op.args[count:]]))
    for role, operand, rows in zip(kernel.roles, op.args, memories, strict=False):
        (type,) = _fields(operand.type)
        if role != "in" and type in (F32, I64):
            rows[:] = [[m.arithmetic.constant(value, type)] for (value,) in rows]


def _same(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = env[op.args[0]] is env[op.args[1]]


def _address(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = id(env[op.args[0]])


def _mark(m: _Machine, op: Op, env: Env) -> None:
    m.regions.append([])


def _renew(m: _Machine, op: Op, env: Env) -> None:
    m.regions.append(_moved(m.regions.pop(), op, env))


def _release(m: _Machine, op: Op, env: Env) -> None:
    moved = _moved(m.regions.pop(), op, env)
    if m.regions:
        m.regions[-1] += moved


def _moved(region: list[Memory], op: Op, env: Env) -> list[Memory]:
    """End what belongs to a region; the operands that do are moved."""
    belongs = set(map(id, region))
    moved: dict[int, Memory] = {}
    for operand, result in zip(op.args, op.results, strict=True):
        memory = env[operand]
        if id(memory) in belongs and id(memory) not in moved:
            moved[id(memory)] = memory.move()
        env[result] = moved.get(id(memory), memory)
    for memory in region:
        if id(memory) not in moved:
            memory.end()
    return list(moved.values())


def _pack(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = Packed(tuple(env[a] for a in op.args), tuple(a.type for a in op.args))


def _unpack(m: _Machine, op: Op, env: Env) -> None:
    _bind(env, op.results, env[op.args[0]].values)


def _shadow(m: _Machine, op: Op, env: Env) -> None:
    env[op.results[0]] = _shadow_of(m, env[op.args[0]], op.args[0].type, {})


def _shadow_of(m: _Machine, value: Any, t: LeafType, made: dict[int, Memory]) -> Any:
    """Zeros of the tangent type. A memory that is reached twice (or holds itself) has one shadow."""
    if not isinstance(t, Mem) or value is None:
        return _zero(m, tangent(t) or t)
    if id(value) not in made:
        shadow = made[id(value)] = Memory([])
        for row in value.rows:
            shadow.rows.append([_shadow_of(m, v, f, made) for v, f in zip(row, t.fields, strict=True)])
    return made[id(value)]


_STRAIGHT: dict[str, Callable[[_Machine, Op, Env], None]] = {
    "const": _const, "null": _null, "global": _global, "stop": _stop, "call": _call, "check": _check, "print": _print,
    "new": _new, "len": _len, "load": _load, "store": _store, "acc": _acc, "push": _push, "pop": _pop, "same": _same,
    "address": _address, "treesum": _treesum, "lanesum": _lanesum,
    "growable": _growable, "kernel": _kernel, "mark": _mark, "renew": _renew, "release": _release, "pack": _pack,
    "unpack": _unpack, "shadow": _shadow,
    "jvp": _derivative, "vjp": _derivative, "vjp_fwd": _derivative, "vjp_rev": _derivative,
}  # fmt: skip


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """Lets the machine recurse as deep as a program may."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, PYTHON_FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
