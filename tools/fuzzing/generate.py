"""Random well-typed programs. Their numbers stay bounded: what is assigned goes through a squashing function.

`program(random)` gives a tree whose text defines `f(x, y, n)`: two Float64, one Int64 to one Float64, smooth but for
branches, `abs`, `max` and `min`. Loops are short, recursion has fuel, indices and keys are always in range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from fuzzing.tree import Node, block, leaf, stmt

PRELUDE = ("""struct P
  x
  y
end""", """mutable struct M
  u::Float64
  w::Float64
end""", """struct H
  r
  k
end""", "maybe(z) = z > 0.2 ? sin(z) : nothing")  # fmt: skip

# unary functions that keep bounded numbers bounded; {0} is any Float64
UNARY = (
    "sin({0})", "cos({0})", "tanh({0})", "atan({0})", "exp(sin({0}))", "log(2.0 + ({0})^2)", "sqrt(1.0 + ({0})^2)",
    "({0})^2", "({0})^3", "(-({0}))", "abs({0})", "(1.0 + ({0})^2)^1.5", "exp(-({0})^2)", "(({0}) / (1.5 + ({0})^2))",
    "sigmoid({0})", "hypot({0}, 1.5)", "cbrt(2.0 + sin({0}))", "0.5({0})", "expm1(tanh({0}))", "log1p(({0})^2)",
    "relu({0})", "float({0})", "softplus(sin({0}))", "asinh({0})", "inv(1.5 + ({0})^2)", "abs2({0})",
    "2^-abs(tanh({0}))", "stop_gradient({0})", "sqrt(abs({0}) + 0.1)", "({0} |> sin)", "(1.5 + ({0})^2)^-1",
)  # fmt: skip
BINARY = (
    "({0} + {1})", "({0} - {1})", "({0} * {1})", "({0} + {1})", "({0} * {1})", "({0} / (2.0 + sin({1})))",
    "max({0}, {1})", "min({0}, {1})", "hypot({0}, {1} + 3.5)", "atan({0}, 2.0 + ({1})^2)", "muladd({0}, {1}, 0.25)",
    "(1.2 + ({0})^2)^tanh({1})", "+({0}, {1}, {0})", "clamp({0}, -1.5, 1.5 + sin({1}))",
)  # fmt: skip
SQUASH = ("sin({0})", "tanh({0})", "cos({0})", "atan({0})", "{0} / (1.0 + ({0})^2)", "1.5tanh(0.7 * {0})")
# statements of one line that change a Float64 variable v by an expression, and keep it bounded
UPDATES = (
    "{v} = 0.6{v} + tanh({0})",
    "{v} += 0.1 * sin({0})",
    "{v} *= cos({0})",
    "{v} -= 0.2tanh({0})",
    "{v} /= 1.5 + ({0})^2",
)
REFERENCES = ("M", "R", "V", "D", "K", "H")


@dataclass
class Scope:
    """What is visible: names by type. `frozen` names must not be assigned (loop variables, parameters of closures)."""

    names: dict[str, list[str]] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
    loop: bool = False
    loops: int = 2  # how many loops may still be nested
    returns: bool = False
    depth: int = 0

    def inner(self, **changes: object) -> Scope:
        copied = {t: list(names) for t, names in self.names.items()}
        return replace(self, names=copied, depth=self.depth + 1, **changes)  # type: ignore[arg-type]

    def add(self, type: str, name: str) -> None:
        self.names.setdefault(type, []).append(name)

    def of(self, *types: str) -> list[str]:
        return [n for t in types for n in self.names.get(t, [])]


class Generator:
    """One program. `budget` is the number of statements left; helper functions come first and call earlier ones."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.count = 0
        self.budget = random.choice((6, 12, 12, 20, 30))
        self.nested = False  # whether a derivative may stand here: in some programs, in f, not in one another
        self.helpers: list[tuple[str, tuple[str, ...]]] = []  # name, parameter types (all give Float64)

    # ------------------------------------------------------------ small choices

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def number(self) -> Node:
        value = self.random.choice((0.5, 1.0, 2.0, -0.7, 0.3, 1.25, -1.5, 0.0, round(self.random.uniform(-2, 2), 3)))
        return leaf("F", repr(value) if value >= 0 else f"({value!r})")

    # ------------------------------------------------------------ expressions

    def f(self, scope: Scope, depth: int = 3) -> Node:
        """A Float64 expression."""
        if depth <= 0 or self.chance(0.2):
            return self.f_leaf(scope)
        kind = self.random.random()
        if kind < 0.28:
            return Node("F", self.random.choice(UNARY), [self.f(scope, depth - 1)])
        if kind < 0.62:
            return Node("F", self.random.choice(BINARY), [self.f(scope, depth - 1), self.f(scope, depth - 1)])
        if kind < 0.70:
            form = self.random.choice(("({0} ? {1} : {2})", "({0} ? {1} : {2})", "ifelse({0}, {1}, {2})"))
            return Node("F", form, [self.b(scope), self.f(scope, depth - 1), self.f(scope, depth - 1)])
        if kind < 0.78:
            return self.read(scope, depth)
        if kind < 0.86:
            return self.call(scope, depth)
        if kind < 0.90:
            form = self.random.choice(("({0} * {1})", "({1} / ({0} + 10))", "({1})^mod({0}, 4)", "tanh({0} + {1})"))
            return Node("F", form, [self.i(scope), self.f(scope, depth - 1)])
        if kind < 0.93:
            form = self.random.choice(
                ("({0}, {1})[{k}]", "P({0}, {1}).{f}", "(a = {0}, b = {1}).{n}", "let z = {0}; z * {1} end")
            )
            form = form.replace("{k}", self.random.choice("12")).replace("{f}", self.random.choice("xy"))
            form = form.replace("{n}", self.random.choice("ab"))
            return Node("F", form, [self.f(scope, depth - 1), self.f(scope, depth - 1)])
        if kind < 0.96 and self.nested:
            return self.derivative(scope, depth)
        return self.f_leaf(scope)

    def f_leaf(self, scope: Scope) -> Node:
        names = scope.of("F")
        return leaf("F", self.random.choice(names)) if names and self.chance(0.8) else self.number()

    def read(self, scope: Scope, depth: int) -> Node:
        """The contents of something composite."""
        names = [(t, n) for t in ("T", "P", "NT", *REFERENCES) for n in scope.of(t)]
        if not names:
            return self.f_leaf(scope)
        type, name = self.random.choice(names)
        pick = self.random.choice
        if type == "V":
            return Node("F", name + "[mod({0}, length(" + name + ")) + 1]", [self.i(scope)])
        if type == "D":
            form = pick((name + "[mod({0}, 3) + 1]", "get(" + name + ", {0}, {1})"))
            return Node("F", form, [self.i(scope), self.f(scope, depth - 1)])
        places = {
            "T": ("[1]", "[2]"), "P": (".x", ".y"), "NT": (".a", ".b"), "M": (".u", ".w"), "R": ("[]",),
            "K": ("[:a]", "[:b]"), "H": (".r[]", ".k"),
        }  # fmt: skip
        return leaf("F", name + pick(places[type]))

    def call(self, scope: Scope, depth: int) -> Node:
        """A call of a closure or of a helper."""
        callables: list[tuple[str, tuple[str, ...]]] = [(n, ("F",)) for n in scope.of("C")]
        callables += [(n, ()) for n in scope.of("C0")]
        callables += [h for h in self.helpers if all(t in "FI" or scope.of(t) for t in h[1])]
        if not callables:
            return self.f_leaf(scope)
        name, types = self.random.choice(callables)
        args = [self.argument(scope, t, depth) for t in types]
        places = ", ".join(f"{{{k}}}" for k in range(len(args)))
        return Node("F", f"{name}({places})", args)

    def argument(self, scope: Scope, type: str, depth: int) -> Node:
        if type == "F":
            return self.f(scope, depth - 1)
        if type == "I":
            return Node("I", "mod({0}, 4)", [self.i(scope)])
        return leaf(type, self.random.choice(scope.of(type)))

    def derivative(self, scope: Scope, depth: int) -> Node:
        name = self.fresh("t")
        inner = scope.inner(frozen=scope.frozen | {name})
        inner.add("F", name)
        nested, self.nested = self.nested, False
        body = self.f(inner, 2)
        self.nested = nested
        form = self.random.choice(
            (
                "derivative({v} -> {0}, {1})",
                "gradient({v} -> {0} + {v}, {1})[1]",
                "pullback({v} -> {0} * {v}, {1})[2](1.5)[1]",
            )
        )
        return Node("F", "tanh(" + form.replace("{v}", name) + ")", [body, self.f(scope, depth - 1)])

    def i(self, scope: Scope, depth: int = 1) -> Node:
        """An Int64 expression of modest size."""
        names = scope.of("I")
        if depth <= 0 or self.chance(0.5):
            return leaf(
                "I", self.random.choice(names) if names and self.chance(0.75) else str(self.random.randint(0, 4))
            )
        form = self.random.choice(
            (
                "({0} + {1})",
                "mod({0} * {1}, 5)",
                "({0} - {1})",
                "max({0}, {1})",
                "({0} ÷ (abs({1}) + 1))",
                "(abs({0}) % (abs({1}) + 2))",
            )
        )
        return Node("I", form, [self.i(scope, depth - 1), self.i(scope, depth - 1)])

    def b(self, scope: Scope, depth: int = 1) -> Node:
        kind = self.random.random()
        if depth > 0 and kind < 0.2:
            form = self.random.choice(("({0} && {1})", "({0} || {1})", "!({0})"))
            return Node("B", form, [self.b(scope, depth - 1), self.b(scope, depth - 1)])
        if kind < 0.5:
            form = self.random.choice(("{0} % 2 == 0", "{0} < {1}", "{0} == {1}", "{0} >= {1}", "0 <= {0} < 3"))
            return Node("B", form, [self.i(scope), self.i(scope)])
        form = self.random.choice(("{0} > {1}", "{0} < {1}", "-1.0 < {0} <= 1.0", "{0} > 0.1"))
        return Node("B", form, [self.f(scope, 1), self.f(scope, 1)])

    def bounded(self, scope: Scope, depth: int = 3) -> Node:
        return Node("F", self.random.choice(SQUASH), [self.f(scope, depth)])

    # ------------------------------------------------------------ statements

    def statements(self, scope: Scope, at_most: int) -> list[Node]:
        out: list[Node] = []
        for _ in range(self.random.randint(1, at_most)):
            if self.budget <= 0:
                break
            self.budget -= 1
            out.append(self.statement(scope))
        return out or [self.new_number(scope)]

    def statement(self, scope: Scope) -> Node:
        kinds: list[tuple[float, Callable[[Scope], Node]]] = [
            (3, self.new_number), (4, self.update), (1, self.new_integer), (1.5, self.new_reference),
            (1, self.new_tuple), (3, self.write), (1.5, self.closure), (0.7, self.swap), (0.6, self.alias),
            (0.5, self.functions),
        ]  # fmt: skip
        if scope.depth < 4:
            kinds += [(3, self.branch), (0.6, self.optional)]
        if scope.depth < 4 and scope.loops:
            kinds += [(2.5, self.counted), (1.5, self.while_loop), (0.7, self.other_loop)]
        if scope.loop:
            kinds += [(2, self.leave)]
        if self.nested:
            kinds += [(1.5, self.restored)]
        if scope.returns and scope.depth > 0:
            kinds += [(0.8, self.early_return)]
        return self.random.choices([k for _, k in kinds], [w for w, _ in kinds])[0](scope)

    def new_number(self, scope: Scope) -> Node:
        value = self.bounded(scope)
        name = self.fresh("v")
        scope.add("F", name)
        return stmt(f"{name} = {{0}}", value)

    def new_integer(self, scope: Scope) -> Node:
        old = [n for n in scope.of("I") if n not in scope.frozen]
        value = Node("I", "mod({0}, 9)", [self.i(scope, 2)])
        if old and self.chance(0.5):
            return stmt(f"{self.random.choice(old)} = {{0}}", value)
        name = self.fresh("k")
        scope.add("I", name)
        return stmt(f"{name} = {{0}}", value)

    def assignable(self, scope: Scope) -> list[str]:
        return [n for n in scope.of("F") if n not in scope.frozen]

    def update(self, scope: Scope) -> Node:
        names = self.assignable(scope)
        if not names:
            return self.new_number(scope)
        name = self.random.choice(names)
        if self.chance(0.3):
            return stmt(f"{name} = {{0}}", self.bounded(scope))
        return stmt(self.random.choice(UPDATES).replace("{v}", name), self.f(scope, 2))

    def swap(self, scope: Scope) -> Node:
        names = self.assignable(scope)
        if len(names) < 2:
            return self.new_number(scope)
        a, b = self.random.sample(names, 2)
        return stmt(f"{a}, {b} = {b}, {{0}}", self.bounded(scope, 2))

    def new_tuple(self, scope: Scope) -> Node:
        type, form = self.random.choice((("T", "({0}, {1})"), ("P", "P({0}, {1})"), ("NT", "(a = {0}, b = {1})")))
        parts = self.bounded(scope, 2), self.bounded(scope, 2)
        name = self.fresh(type.lower())
        scope.add(type, name)
        if type == "T" and self.chance(0.3):
            a, b = self.fresh("v"), self.fresh("v")
            scope.add("F", a)
            scope.add("F", b)
            return stmt(f"{name} = ({{0}}, {{1}})\n{a}, {b} = {name}", *parts)
        return stmt(f"{name} = {form}", *parts)

    def new_reference(self, scope: Scope) -> Node:
        type = self.random.choice(REFERENCES)
        refs = scope.of("R")
        if type == "H" and not refs:
            type = "R"
        forms = {
            "M": "M({0}, {1})", "R": "Ref({0})",
            "D": "Dict(1 => {0}, 2 => {1}, 3 => 0.5)", "K": "Dict(:a => {0}, :b => {1})",
        }  # fmt: skip
        parts = [self.bounded(scope, 2), self.bounded(scope, 2)]
        name = self.fresh(type.lower())
        scope.add(type, name)
        if type == "H":
            return stmt(f"{name} = H({self.random.choice(refs)}, {{0}})", parts[0])
        if type == "V":
            return stmt(f"{name} = Float64[]\npush!({name}, {{0}})\npush!({name}, {{1}})", *parts)
        if type == "D" and self.chance(0.5):
            form = f"{name} = Dict{{{{Int, Float64}}}}()\nfor {name}i in 1:3\n  {name}[{name}i] = {{0}} * {name}i\nend"
            return stmt(form, parts[0])
        return stmt(f"{name} = {forms[type]}", *parts)

    def write(self, scope: Scope) -> Node:
        """A change of something that is by reference."""
        names = [(t, n) for t in REFERENCES for n in scope.of(t)]
        if not names:
            return self.new_reference(scope)
        type, name = self.random.choice(names)
        value = self.bounded(scope, 2)
        pick = self.random.choice
        if type == "V":
            form = pick((
                "push!(" + name + ", {0})", name + "[mod({1}, length(" + name + ")) + 1] = {0}",
                "if length(" + name + ") > 1\n  " + name + "[1] = sin(pop!(" + name + ") + {0})\nend",
            ))  # fmt: skip
            return stmt(form, value, self.i(scope))
        if type == "D":
            return stmt(name + "[mod({1}, 4) + 1] = {0}", value, self.i(scope))
        places = {"M": (".u", ".w"), "R": ("[]",), "K": ("[:a]", "[:b]"), "H": (".r[]",)}
        place = name + pick(places[type])
        if self.chance(0.5):
            return stmt(self.random.choice(UPDATES).replace("{v}", place), self.f(scope, 2))
        return stmt(place + " = {0}", value)

    def alias(self, scope: Scope) -> Node:
        names = [(t, n) for t in REFERENCES for n in scope.of(t)]
        if not names:
            return self.new_reference(scope)
        type, old = self.random.choice(names)
        name = self.fresh(type.lower())
        scope.add(type, name)
        others = [n for n in scope.of(type) if n not in (name, old)]
        if others and type in "MR" and self.chance(0.5):
            return stmt(f"{name} = {{0}} ? {old} : {self.random.choice(others)}", self.b(scope))
        return stmt(f"{name} = {old}")

    def closure(self, scope: Scope) -> Node:
        """A closure that reads what is around it; some assign a captured variable, some have several statements."""
        name = self.fresh("g")
        kind = self.random.random()
        assigned = self.assignable(scope)
        if kind < 0.25 and assigned:
            node = stmt(
                f"{name}() = ({self.random.choice(assigned)} = {{0}}; {{1}})", self.bounded(scope, 2), self.f(scope, 2)
            )
            scope.add("C0", name)
            return node
        parameter = self.fresh("y")
        inner = scope.inner(frozen=scope.frozen | {parameter}, loop=False, returns=True, loops=min(scope.loops, 1))
        inner.add("F", parameter)
        if kind < 0.7 or self.budget < 3:
            form = self.random.choice(("{g} = {y} -> {0}", "{g}({y}) = {0}"))
            node = stmt(form.replace("{g}", name).replace("{y}", parameter), self.bounded(inner, 2))
        else:
            body = self.statements(inner, 3)
            body.append(stmt("return {0}", self.bounded(inner, 2)))
            node = stmt(f"function {name}({parameter})\n{{0}}\nend", block(body))
        scope.add("C", name)
        return node

    def functions(self, scope: Scope) -> Node:
        """Closures pushed in a loop, and called."""
        fs, i, y, g = self.fresh("fs"), self.fresh("i"), self.fresh("y"), self.fresh("g")
        names = self.assignable(scope)
        if not names:
            return self.new_number(scope)
        target = self.random.choice(names)
        inner = scope.inner(frozen=scope.frozen | {i, y}, loop=False, returns=False)
        inner.add("I", i)
        inner.add("F", y)
        extra = f"\n  push!({fs}, sin)" if self.chance(0.5) else ""
        form = (
            f"{fs} = Function[]\nfor {i} in 1:{self.random.randint(1, 3)}\n  push!({fs}, {y} -> {{0}}){extra}\nend\n"
            f"for {g} in {fs}\n  {target} = tanh({target} + {g}({{1}}))\nend"
        )
        return stmt(form, self.f(inner, 2), self.f(scope, 1))

    # ------------------------------------------------------------ control flow

    def branch(self, scope: Scope) -> Node:
        arms = [self.statements(scope.inner(), 3) for _ in range(self.random.choice((1, 1, 2, 2, 3)))]
        conditions = [self.b(scope) for _ in arms]
        parts: list[Node] = [conditions[0], block(arms[0])]
        text = "if {0}\n{1}"
        if len(arms) == 3:
            text += "\nelseif {2}\n{3}"
            parts += [conditions[1], block(arms[1])]
        if len(arms) > 1:
            text += f"\nelse\n{{{len(parts)}}}"
            parts.append(block(arms[-1]))
        return stmt(text + "\nend", *parts)

    def body(self, scope: Scope, *integers: str) -> Node:
        inner = scope.inner(frozen=scope.frozen | set(integers), loop=True, loops=scope.loops - 1)
        for name in integers:
            inner.add("I", name)
        return block(self.statements(inner, 4))

    def counted(self, scope: Scope) -> Node:
        i = self.fresh("i")
        last = self.random.choice(("3", "4", "5", "n % 4", "mod(n, 3) + 1"))
        head = self.random.choice((f"1:{last}", f"1:{last}", f"0:{last}", f"{last}:-1:1", f"1:2:{last}"))
        if self.chance(0.15):
            j = self.fresh("j")
            return stmt(f"for {i} in 1:3, {j} in {i}:{last}\n{{0}}\nend", self.body(scope, i, j))
        return stmt(f"for {i} in {head}\n{{0}}\nend", self.body(scope, i))

    def while_loop(self, scope: Scope) -> Node:
        k = self.fresh("k")
        scope_inner = scope.inner(frozen=scope.frozen | {k})
        scope_inner.add("I", k)
        if self.chance(0.4):
            head, first = "while true", f"{k} > {self.random.randint(2, 6)} && break"
            return stmt(f"{k} = 0\n{head}\n  {k} += 1\n  {first}\n{{0}}\nend", self.body(scope_inner))
        return stmt(
            f"{k} = 0\nwhile {k} < {self.random.randint(2, 6)} && {{0}}\n  {k} += 1\n{{1}}\nend",
            self.b(scope_inner), self.body(scope_inner),
        )  # fmt: skip

    def other_loop(self, scope: Scope) -> Node:
        """Over a tuple, a vector, pairs."""
        name, k = self.fresh("v"), self.fresh("i")
        vectors = scope.of("V")
        inner = scope.inner(frozen=scope.frozen | {name, k}, loop=True, loops=scope.loops - 1)
        inner.add("F", name)
        kind = self.random.random()
        # a vector must not grow while it is gone through
        inner.names.pop("V", None)
        inner.names.pop("C", None)
        inner.names.pop("C0", None)
        if vectors and kind < 0.4:
            head, extra = f"for {name} in {self.random.choice(vectors)}", []
        elif kind < 0.7:
            head, extra = f"for {name} in ({{0}}, {{1}}, 0.5)", [self.f(scope, 2), self.f(scope, 2)]
        else:
            head, extra = f"for ({k}, {name}) in enumerate(({{0}}, {{1}}))", [self.f(scope, 2), self.f(scope, 2)]
            inner.add("I", k)
        helpers, self.helpers = self.helpers, [h for h in self.helpers if "V" not in h[1]]
        body = block(self.statements(inner, 3))
        self.helpers = helpers
        return stmt(f"{head}\n{{{len(extra)}}}\nend", *extra, body)

    def leave(self, scope: Scope) -> Node:
        word = self.random.choice(("break", "continue"))
        if self.chance(0.6):
            return stmt(f"{{0}} && {word}", self.b(scope))
        inner = scope.inner()
        return stmt(f"if {{0}}\n{{1}}\n  {word}\nend", self.b(scope), block(self.statements(inner, 2)))

    def restored(self, scope: Scope) -> Node:
        """The derivative of a call that may change what it is given: afterwards that is as it was."""
        places = {"M": (".u", ".w"), "R": ("[]",), "K": ("[:a]", "[:b]"), "D": ("[2]",), "V": ("[1]",)}
        helpers = [(h, t[0]) for h, t in self.helpers if t[1:] == ("F",) and t[0] in places and scope.of(t[0])]
        if not helpers:
            return self.new_number(scope)
        helper, type = self.random.choice(helpers)
        name = self.random.choice(scope.of(type))
        place = name + self.random.choice(places[type])
        old, z, new = self.fresh("v"), self.fresh("z"), self.fresh("v")
        node = stmt(
            f"{old} = {place}\n{new} = tanh(derivative({z} -> {helper}({name}, {z}), {{0}}))\n@assert {place} == {old}",
            self.f(scope, 2),
        )
        scope.add("F", new)
        return node

    def optional(self, scope: Scope) -> Node:
        """A value that may be nothing, narrowed."""
        names = self.assignable(scope)
        if not names:
            return self.new_number(scope)
        name, target = self.fresh("o"), self.random.choice(names)
        form = self.random.choice((
            "{o} = maybe({0})\nif {o} !== nothing\n  {v} += 0.1 * sin({o} * {1})\nend",
            "{o} = maybe({0})\n{v} = tanh({o} === nothing ? {1} : {o} * 1.5)",
        ))  # fmt: skip
        return stmt(form.replace("{o}", name).replace("{v}", target), self.f(scope, 2), self.f(scope, 1))

    def early_return(self, scope: Scope) -> Node:
        if self.chance(0.6):
            return stmt("{0} && return {1}", self.b(scope), self.bounded(scope, 2))
        return stmt("if {0}\n  return {1}\nend", self.b(scope), self.bounded(scope, 2))

    # ------------------------------------------------------------ functions

    def helper(self) -> Node:
        """A function of its own: plain, one that changes its arguments, or a recursive one with fuel."""
        kind = self.random.random()
        if kind < 0.45:
            types: tuple[str, ...] = tuple(self.random.choice("FFFI") for _ in range(self.random.randint(1, 3)))
        elif kind < 0.75:
            types = (
                self.random.choice("MRVDK"),
                *self.random.choice((("F",), ("F", "I"), (self.random.choice("MR"),))),
            )
        else:
            return self.recursive()
        name = self.fresh("h")
        names = [self.fresh("a") for _ in types]
        scope = Scope(returns=True, loops=1)
        scope.add("I", "n")
        for t, n in zip(types, names, strict=True):
            scope.add(t, n)
        body = self.statements(scope, 4)
        body.append(stmt("return {0}", self.bounded(scope)))
        self.helpers.append((name, types))
        return stmt(f"function {name}({', '.join(names)})\n  n = {self.random.randint(0, 5)}\n{{0}}\nend", block(body))

    def recursive(self) -> Node:
        """Recursion with fuel; with a reference that it reads and overwrites, sometimes."""
        name, x, k = self.fresh("r"), self.fresh("a"), self.fresh("k")
        shared = self.random.choice(("", "M", "R", "V"))
        c = self.fresh("c")
        scope = Scope(returns=True, frozen=frozenset({k}), loops=1)
        scope.add("I", k)
        scope.add("F", x)
        if shared:
            scope.add(shared, c)
        before = [self.write(scope)] if shared and self.chance(0.6) else self.statements(scope, 2)
        v, w = self.fresh("v"), self.fresh("v")
        passed = f", {c}" if shared else ""
        calls = [stmt(f"{v} = {name}({{0}}, {k} - 1{passed})", self.bounded(scope, 2))]
        scope.add("F", v)
        if self.chance(0.4):
            calls.append(stmt(f"{w} = {name}({{0}}, {k} - 2{passed})", self.bounded(scope, 2)))
            scope.add("F", w)
        after = [self.write(scope)] if shared and self.chance(0.7) else []
        body = [*before, *calls, *after, stmt("return {0}", self.bounded(scope))]
        base = Scope()
        base.add("F", x)
        if shared:
            base.add(shared, c)
        head = f"function {name}({x}, {k}{passed})\n  n = 2\n  {k} <= 0 && return {{0}}\n{{1}}\nend"
        node = stmt(head, self.bounded(base, 2), block(body))
        self.helpers.append((name, ("F", "I", shared) if shared else ("F", "I")))  # only now: it must not call itself
        return node

    def main(self) -> Node:
        self.budget = max(self.budget, 6)
        self.nested = self.chance(0.15)
        scope = Scope(returns=True, frozen=frozenset({"n"}))
        for name in ("x", "y"):
            scope.add("F", name)
        scope.add("I", "n")
        body: list[Node] = []
        while self.budget > 0:
            self.budget -= 1
            body.append(self.statement(scope))
        body.append(stmt("return {0}", Node("F", "{0} + {1}", [self.f(scope), self.total(scope)])))
        return stmt("function f(x, y, n)\n{0}\nend", block(body))

    def total(self, scope: Scope) -> Node:
        """Something of everything that is left, so that it matters."""
        parts = [leaf("F", n) for n in scope.of("F")]
        parts += [self.read(scope, 1) for _ in range(3)]
        return Node("F", " + ".join(f"{{{k}}}" for k in range(len(parts))), parts)


def program(random: Random) -> Node:
    generator = Generator(random)
    definitions = [stmt(text) for text in PRELUDE]
    for _ in range(random.choice((0, 1, 2, 3))):
        definitions.append(generator.helper())
    definitions.append(generator.main())
    return block(definitions)
