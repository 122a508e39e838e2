"""Taylor mode: a copy of a function that carries the first coefficients of power series beside its values.

Beside the value y(0) of each varied number stand y₁ … yₙ with y(t) = y(0) + y₁t + y₂t² + …; beside each memory that may
hold such numbers stand n memories of the same structure. Sums and products follow the usual recurrences. Everything
else follows from its entry in the primitive table, y' = Σ ∂y/∂xᵢ · xᵢ', read as an equation of series:

    yₖ = Σᵢ Σⱼ j/k xᵢⱼ (∂y/∂xᵢ)ₖ₋ⱼ ,  j = 1 … k

(the weighed xᵢⱼ wait for nothing that is made on the way: no division is between a coefficient and the next)
where the series of the partial derivative is made in the same way from the formula of the entry. A formula that it
mentions again is the same one (sin asks for cos, which asks for sin), so the work is quadratic in n; powers with an
exponent that is no small constant make a chain of n formulas, and cubic work. (Griewank, Walther: Evaluating
Derivatives, SIAM 2008, chapter 13.)

Control flow is the primal's. A series that is zero because of the path taken is *conditional*, as in `ad.rules`.
Functions with a derivative rule of their own, matrix products and packed records (pullbacks) are refused: E0503.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from dsl.ad.activity import Activity, Pattern, has_tangent, loops_of
from dsl.ad.forward import returned_duals
from dsl.ad.rules import contribution, plus
from dsl.diagnostics import Span, error
from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import PRIMITIVES, Builder, evaluate, known
from dsl.types import I64, LeafType, Mem, is_ref, tangent

if TYPE_CHECKING:
    from dsl.ad.derive import Deriver

Coefficients = list[Value | None]  # of t, t², …; None: zero
MAX_FORMULAS = 4000  # of one operation; only Bessel functions of an order known at run time have so many


def refuse(what: str, span: Span) -> Exception:
    return error("E0503", f"`taylor` goes through {what}, of which no series is made", span,
                 "take the derivatives one by one: f', f'' …")  # fmt: skip


# ---------------------------------------------------------------- series of formulas


class Node:
    """A number with its series. `conditional`: the coefficients may be zero because of the path taken."""

    def __init__(self, value: Value, coefficients: Coefficients, conditional: bool = False) -> None:
        self.value = value
        self.known = coefficients
        self.conditional = conditional
        self.name = ""
        self.operands: list[Node] = []
        self.partials: dict[int, Node] | None = None
        self.weighed: dict[tuple[int, int], Value] = {}  # coefficient j times j/k, by j and k


class Series:
    """Makes the coefficients of one operation, and of the formulas that its derivative asks for, in one region."""

    def __init__(self, b: Builder, order: int) -> None:
        self.b = b
        self.order = order
        self.nodes: dict[Value, Node] = {}
        self._same: dict[tuple[object, ...], Node] = {}

    def given(self, v: Value, coefficients: Coefficients, conditional: bool) -> None:
        self.nodes[v] = Node(v, coefficients, conditional)

    def node(self, v: Value) -> Node:
        """The node of a value; what is not known to vary is a constant."""
        if v not in self.nodes:
            number = known(v)
            if number is None:
                self.nodes[v] = Node(v, [None] * self.order)
            else:
                key = ("const", v.type, repr(number))
                self.nodes[v] = self._same.setdefault(key, Node(v, [None] * self.order))
        return self.nodes[v]

    def formula(self, op: Op, span: Span) -> Node:
        """The node of what a primitive gives."""
        operands = [self.node(a) for a in op.args]
        numbers = [known(n.value) for n in operands]
        if op.result.type == I64 and all(isinstance(x, int) for x in numbers):  # so that n - 1 + 1 is n again
            folded = self.b.const(evaluate(op.name, [a.type for a in op.args], numbers), I64)
            self.nodes[op.result] = self.node(folded)
            return self.nodes[op.result]
        key = (op.name, *map(id, operands))
        made = self._same.get(key)
        if made is None:
            if len(self._same) > MAX_FORMULAS:
                raise refuse(f"`{op.name}`, whose derivatives multiply,", span)
            made = self._same[key] = Node(op.result, [])
            made.name, made.operands = op.name, operands
            entries = PRIMITIVES[op.name].derivative
            active = [n for n, entry in zip(operands, entries, strict=True) if entry is not None and self.varies(n)]
            if not active:
                made.name, made.known = "", [None] * self.order
            made.conditional = bool(active) and (op.name == "select" or all(n.conditional for n in active))
        self.nodes[op.result] = made
        return made

    def varies(self, n: Node) -> bool:
        return bool(n.name) or any(c is not None for c in n.known)

    # ------------------------------------------------------------ coefficients
    def at(self, n: Node, k: int) -> Value | None:
        """Coefficient k of a node; 0 is the value, as a float."""
        if k == 0:
            return self.b.prim("tof64", n.value) if n.value.type == I64 else n.value
        while len(n.known) < k:
            n.known.append(self._make(n, len(n.known) + 1))
        return n.known[k - 1]

    def _make(self, n: Node, k: int) -> Value | None:
        match n.name, n.operands:
            case "add", (x, y):
                return self.sum(self.at(x, k), self.at(y, k))
            case "sub", (x, y):
                return self.sum(self.at(x, k), self.negative(self.at(y, k)))
            case "neg", (x,):
                return self.negative(self.at(x, k))
            case ("mul" | "strongmul"), (x, y):
                return self.product(x, y, k, n.name == "strongmul")
            case "fma", (x, y, z):
                return self.sum(self.product(x, y, k, False), self.at(z, k))
            case "div", (x, y):
                return self.quotient(n, x, y, k)
            case "select", (c, x, y):
                return self.selected(n, c, x, y, k)
        return self.by_derivative(n, k)

    def sum(self, x: Value | None, y: Value | None) -> Value | None:
        if x is None or y is None:
            return x if y is None else y
        return plus(self.b, x, y)

    def negative(self, x: Value | None) -> Value | None:
        return None if x is None else self.b.prim("neg", x)

    def times(self, x: Value | None, y: Value | None, x_may_be_void: bool, y_may_be_void: bool) -> Value | None:
        """x * y; a factor that is zero because of the path makes the product zero."""
        if x is None or y is None:
            return None
        if x_may_be_void:
            return self.b.prim("strongmul", x, y)
        return self.b.prim("strongmul", y, x) if y_may_be_void else self.b.prim("mul", x, y)

    def product(self, x: Node, y: Node, k: int, strong: bool) -> Value | None:
        total: Value | None = None
        for j in range(k + 1):
            void = ((x.conditional or strong) and j > 0, y.conditional and j < k)
            if self._there(x, j) and self._there(y, k - j):
                total = self.sum(total, self.times(self.at(x, j), self.at(y, k - j), *void))
        return total

    def _there(self, n: Node, k: int) -> bool:
        """Whether a coefficient is not zero for sure; asked before anything is emitted for its factor."""
        return k == 0 or self.at(n, k) is not None

    def quotient(self, n: Node, x: Node, y: Node, k: int) -> Value | None:
        rest = self.at(x, k)
        for j in range(1, k + 1):
            if self._there(y, j) and self._there(n, k - j):
                term = self.times(self.at(y, j), self.at(n, k - j), y.conditional, n.conditional and j < k)
                rest = self.sum(rest, self.negative(term))
        below = self.at(y, 0)
        if rest is None or below is None:
            return None
        return self.b.prim("strongdiv" if n.conditional else "div", rest, below)

    def selected(self, n: Node, c: Node, x: Node, y: Node, k: int) -> Value | None:
        arms = [self.at(x, k), self.at(y, k)]
        if arms == [None, None]:
            return None
        t = tangent(n.value.type)
        assert t is not None
        return self.b.prim("select", c.value, *(self.b.zero(t) if a is None else a for a in arms))

    def by_derivative(self, n: Node, k: int) -> Value | None:
        if n.partials is None:
            n.partials = self._partials(n)
        t = tangent(n.value.type)
        assert t is not None
        total: Value | None = None
        for i, p in n.partials.items():
            x = n.operands[i]
            for j in range(1, k + 1):
                if self._there(x, j) and self._there(p, k - j):
                    void = (x.conditional, p.conditional and j < k)
                    total = self.sum(total, self.times(self.weighed(x, j, k), self.at(p, k - j), *void))
        return total

    def weighed(self, x: Node, j: int, k: int) -> Value:
        """Coefficient j of a node, which is there, times j/k."""
        made = x.weighed.get((j, k))
        if made is None:
            c = self.at(x, j)
            assert c is not None
            made = x.weighed[j, k] = c if j == k else self.b.prim("mul", c, self.b.const(j / k, c.type))
        return made

    def _partials(self, n: Node) -> dict[int, Node]:
        """The partial derivatives by the operands that vary, as formulas of the operands and the result."""
        to = tangent(n.value.type)
        assert to is not None
        values = [x.value for x in n.operands]
        found = {}
        for i, (x, entry) in enumerate(zip(n.operands, PRIMITIVES[n.name].derivative, strict=True)):
            if entry is None or not self.varies(x):
                continue
            start = len(self.b.region.ops)
            d = self.b.const(1.0, to)
            self.nodes.update((v, m) for v, m in zip([*values, n.value], [*n.operands, n], strict=True))
            made = contribution(self.b, n.name, i, d, values, n.value, to, False)
            for op in self.b.region.ops[start:]:
                if op.name in PRIMITIVES:
                    self.formula(op, self.b.span)
            found[i] = self.node(made)
        return found


# ---------------------------------------------------------------- functions


class Return(Protocol):
    """What to do at a `return` of the function that is copied."""

    def __call__(self, sweep: Taylor, op: Op, b: Builder, /) -> None: ...


Given = tuple[int, ...]  # of each parameter with a series: how many coefficients are given; the others are zero


class Functions:
    """Makes functions with series of functions of a program, each once: (primals…, coefficients of the parameters of
    the pattern…) -> (results…, coefficients of the results `returned`…)."""

    def __init__(self, deriver: Deriver) -> None:
        self.deriver = deriver
        self._made: dict[tuple[str, Pattern, int, Given], tuple[str, list[int]]] = {}
        self._making: list[str] = []  # names of functions

    def function(self, fn: Function, pattern: Pattern, order: int, given: Given) -> tuple[Function, list[int]]:
        d, key = self.deriver, (fn.name, pattern, order, given)
        if key not in self._made:
            activity = d.activity(fn, pattern)
            varied, returned = sorted(pattern.params), returned_duals(fn, activity, scalars=True)
            counts = dict(zip(varied, given, strict=True))
            params = [p.type for p in fn.params] + [_dual(fn.params[i].type) for i in varied for _ in range(counts[i])]
            results = [*fn.results, *(_dual(fn.results[k]) for k in returned for _ in range(order))]
            new = d.new_function(f"{fn.name}.taylor{order}", params, results, fn)
            self._made[key] = new.name, returned

            def leave(s: Taylor, op: Op, b: Builder) -> None:
                more = [c for k in returned for c in s.coefficients(op.args[k], b)]
                b.return_(*(s.values[v] for v in op.args), *more)

            sweep = Taylor(activity, self, order, leave)
            sweep.values.update(zip(fn.params, new.params, strict=False))
            coefficients = iter(new.params[len(fn.params) :])
            for i in varied:
                known: Coefficients = [next(coefficients) for _ in range(counts[i])]
                sweep.series[fn.params[i]] = known + [None] * (order - counts[i])
            self._making.append(fn.name)
            sweep.region(fn.body, Builder(new.body, fn.span), [])
            self._making.pop()
        name, returned = self._made[key]
        return d.program.functions[name], returned

    def call(self, sweep: Taylor, op: Op, b: Builder) -> None:
        """Copy a call with its series."""
        callee = self.deriver.program.functions[op.attrs["fn"]]
        pattern = self.deriver.call_pattern(sweep.activity, op, "varied")
        if not (pattern.params or pattern.results or pattern.silent):
            sweep.plain_call(op, b)
            return
        if self.deriver.rule_of(callee.name) is not None and (pattern.params or pattern.results):
            raise refuse(f"{callee.title or callee.name}, which has a derivative rule", op.span)
        varied = [op.args[i] for i in sorted(pattern.params)]
        again = callee.name in self._making  # as often as it calls itself, others might be given
        given = tuple(sweep.order if again or is_ref(a.type) else sweep.given(a) for a in varied)
        fn, returned = self.function(callee, pattern, sweep.order, given)
        coefficients = [c for a, count in zip(varied, given, strict=True) for c in sweep.coefficients(a, b)[:count]]
        made = b.call(fn, [*(sweep.values[a] for a in op.args), *coefficients])
        sweep.receive_call(op, made, returned)


def _dual(t: LeafType) -> LeafType:
    d = tangent(t)
    assert d is not None
    return d


class Taylor:
    """Copies regions of `activity.fn` to builders. `values` maps the original's values, `series` the numbers to their
    coefficients and the references to their memories of coefficients."""

    def __init__(self, activity: Activity, calls: Functions, order: int, leave: Return) -> None:
        self.activity = activity
        self.calls = calls
        self.order = order
        self.leave = leave
        self.values: dict[Value, Value] = {}
        self.series: dict[Value, Coefficients] = {}
        self.conditional: set[Value] = set()

    def carries(self, v: Value) -> bool:
        return self.activity.shadowed(v) or self.activity.varied(v)

    def coefficients(self, v: Value, b: Builder) -> list[Value]:
        """The coefficients of a value, zeros where there are none."""
        t = tangent(v.type)
        assert t is not None
        return [b.zero(t) if c is None else c for c in self.series.get(v, [None] * self.order)]

    def given(self, v: Value) -> int:
        """How many coefficients of a value there are, up to the last that is not zero for sure."""
        return max((k for k, c in enumerate(self.series.get(v, ()), 1) if c is not None), default=0)

    # ------------------------------------------------------------ control flow
    def types(self, vs: Sequence[Value]) -> list[LeafType]:
        """The types of copies of values, then those of their coefficients."""
        more = [t for v in vs if self.carries(v) and (t := tangent(v.type)) is not None for _ in range(self.order)]
        return [v.type for v in vs] + more

    def extend(self, vs: Sequence[Value], like: Sequence[Value], b: Builder) -> list[Value]:
        """Copies of values, then the coefficients of those whose counterpart in `like` has them."""
        more = [c for v, slot in zip(vs, like, strict=True) if self.carries(slot) for c in self.coefficients(v, b)]
        return [self.values[v] for v in vs] + more

    def receive(self, vs: Sequence[Value], new: Sequence[Value], like: Sequence[Value] = ()) -> None:
        """Bind what `types` laid out. What comes out of control flow may be zero because of the path."""
        for v, n in zip(vs, new, strict=False):
            n.hint = v.hint
            self.values[v] = n
        at = len(vs)
        for v, slot in zip(vs, like or vs, strict=True):
            if self.carries(slot):
                self.series[v] = list(new[at : at + self.order])
                self.conditional.add(v)
                at += self.order

    def receive_call(self, op: Op, made: Sequence[Value], returned: Sequence[int]) -> None:
        """Bind the results of a call and the coefficients of those in `returned`."""
        n = len(op.results)
        for r, v in zip(op.results, made, strict=False):
            v.hint = r.hint
            self.values[r] = v
        for j, k in enumerate(returned):
            if self.carries(op.results[k]):
                self.series[op.results[k]] = list(made[n + j * self.order : n + (j + 1) * self.order])
                self.conditional.add(op.results[k])

    def region(self, region: Region, b: Builder, stack: list[Op]) -> None:
        for op in region.ops:
            b.span = op.span
            handler = getattr(self, f"_op_{op.name}", None)
            if handler is not None:
                handler(op, b, stack)
                continue
            self._copy(op, b)
            if op.name in PRIMITIVES:
                self._primitive(op, b)

    def _copy(self, op: Op, b: Builder) -> Op:
        new = b.op(op.name, [self.values[a] for a in op.args], [r.type for r in op.results], **op.attrs)
        for r, n in zip(op.results, new.results, strict=True):
            n.hint = r.hint
            self.values[r] = n
        return new

    def _op_if(self, op: Op, b: Builder, stack: list[Op]) -> None:
        regions = [self._inner(r, [], stack, op) for r in op.regions]
        new = b.op("if", [self.values[op.args[0]]], self.types(op.results), regions)
        self.receive(op.results, new.results)

    def _inner(self, region: Region, types: Sequence[LeafType], stack: list[Op], op: Op) -> Region:
        new = Region(types)
        first = 1 if op.name == "for" else 0
        for p, n in zip(region.params[:first], new.params, strict=False):
            self.values[p] = n
        self.receive(region.params[first:], new.params[first:])
        self.region(region, Builder(new, op.span), [*stack, op])
        return new

    def _op_for(self, op: Op, b: Builder, stack: list[Op]) -> None:
        carried = op.regions[0].params[1:]
        types = self.types(carried)
        inits = self.extend(op.args[3:], carried, b)
        body = self._inner(op.regions[0], [I64, *types], stack, op)
        bounds = [self.values[a] for a in op.args[:3]]
        self.receive(op.results, b.op("for", [*bounds, *inits], types, [body]).results, carried)

    def _op_loop(self, op: Op, b: Builder, stack: list[Op]) -> None:
        carried = op.regions[0].params
        inits = self.extend(op.args, carried, b)
        body = self._inner(op.regions[0], self.types(carried), stack, op)
        self.receive(op.results, b.op("loop", inits, self.types(op.results), [body]).results)

    def _op_yield(self, op: Op, b: Builder, stack: list[Op]) -> None:
        b.yield_(*self.extend(op.args, stack[-1].results, b))

    def _op_next(self, op: Op, b: Builder, stack: list[Op]) -> None:
        loop = loops_of(stack)[-1]
        params = loop.regions[0].params[1 if loop.name == "for" else 0 :]
        b.next_(*self.extend(op.args, params, b))

    def _op_break(self, op: Op, b: Builder, stack: list[Op]) -> None:
        depth = op.attrs.get("depth", 0)
        b.break_(*self.extend(op.args, loops_of(stack)[-1 - depth].results, b), depth=depth)

    def _op_return(self, op: Op, b: Builder, stack: list[Op]) -> None:
        self.leave(self, op, b)

    def _op_print(self, op: Op, b: Builder, stack: list[Op]) -> None:
        if not self.activity.pattern.silent:
            self._copy(op, b)

    # ------------------------------------------------------------ numbers
    def _primitive(self, op: Op, b: Builder) -> None:
        if is_ref(op.result.type):  # a `select` between references
            if self.activity.shadowed(op.result):
                arms = [self.coefficients(a, b) for a in op.args[1:]]
                chosen = self.values[op.args[0]]
                self.series[op.result] = [b.prim(op.name, chosen, x, y) for x, y in zip(*arms, strict=True)]
            return
        if not self.activity.varied(op.result):
            return
        made = Series(b, self.order)
        copies = [self.values[a] for a in op.args]
        for a, v in zip(op.args, copies, strict=True):
            if a in self.series:
                made.given(v, self.series[a], a in self.conditional)
        new = self.values[op.result].owner
        assert isinstance(new, Op)
        node = made.formula(new, op.span)
        self.series[op.result] = [made.at(node, k) for k in range(1, self.order + 1)]
        if node.conditional:
            self.conditional.add(op.result)

    # ------------------------------------------------------------ memory
    def _op_null(self, op: Op, b: Builder, stack: list[Op]) -> None:
        self._copy(op, b)
        if self.activity.shadowed(op.result):
            self.series[op.result] = list(self.coefficients(op.result, b))

    def _op_new(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        t = tangent(op.result.type)
        if t is not None and self.activity.shadowed(op.result):
            self.series[op.result] = [b.op("new", new.args, (t,)).result for _ in range(self.order)]

    def _op_load(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        self._load(op, new.args[1], op.attrs.get("first", 0), b)

    def _load(self, op: Op, index: Value, first: int, b: Builder) -> None:
        if not self.activity.shadowed(op.args[0]):
            return
        memories = self.coefficients(op.args[0], b)
        for k, r in enumerate(op.results):
            if self.carries(r):
                t = tangent(r.type)
                assert t is not None
                self.series[r] = [b.op("load", (m, index), (t,), first=first + k).result for m in memories]
                self.conditional.add(r)

    def _op_store(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        if self.activity.shadowed(op.args[0]):
            self._store(op.args[0], new.args[1], op.attrs.get("first", 0), op.args[2:], b, op.name)

    _op_acc = _op_store

    def _store(self, m: Value, index: Value, first: int, values: Sequence[Value], b: Builder, name: str) -> None:
        for k, v in enumerate(values):
            if tangent(v.type) is None or (is_ref(v.type) and not has_tangent(v.type)):
                continue
            if name == "acc" and v not in self.series:
                continue
            for memory, c in zip(self.coefficients(m, b), self.coefficients(v, b), strict=True):
                b.op(name, (memory, index, c), first=first + k)

    def _op_push(self, op: Op, b: Builder, stack: list[Op]) -> None:
        index = b.op("len", (self.values[op.args[0]],), (I64,)).result
        self._copy(op, b)
        if self.activity.shadowed(op.args[0]):
            for memory in self.coefficients(op.args[0], b):
                self._grow(memory, index, b)
            self._store(op.args[0], index, 0, op.args[1:], b, "store")

    def _grow(self, memory: Value, index: Value, b: Builder) -> None:
        """Give a memory a slot at `index`, where it has none yet: it never shrinks."""
        assert isinstance(memory.type, Mem)
        fields = memory.type.fields

        def grow(arm: Builder) -> None:
            arm.op("push", (memory, *(arm.zero(t) for t in fields)))
            arm.yield_()

        short = b.prim("le", b.op("len", (memory,), (I64,)).result, index)
        b.if_(short, (), grow, lambda arm: arm.yield_())

    def _op_pop(self, op: Op, b: Builder, stack: list[Op]) -> None:
        new = self._copy(op, b)
        self._load(op, b.op("len", new.args, (I64,)).result, 0, b)

    # ------------------------------------------------------------ the rest
    def _op_pack(self, op: Op, b: Builder, stack: list[Op]) -> None:
        if self.activity.shadowed(op.result):
            raise refuse("a pullback", op.span)
        self._copy(op, b)

    def _op_unpack(self, op: Op, b: Builder, stack: list[Op]) -> None:
        if self.activity.shadowed(op.args[0]):
            raise refuse("a pullback", op.span)
        self._copy(op, b)

    def _op_kernel(self, op: Op, b: Builder, stack: list[Op]) -> None:
        if any(self.carries(v) for v in (*op.args, *op.results)):
            raise refuse("an operation on whole matrices", op.span)
        self._copy(op, b)

    def _op_call(self, op: Op, b: Builder, stack: list[Op]) -> None:
        self.calls.call(self, op, b)

    def plain_call(self, op: Op, b: Builder) -> None:
        self._copy(op, b)
