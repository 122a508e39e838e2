"""Random programs that work with arrays: vectors of length 3 (`A`), views of them (`W`) and 2×3 matrices (`Q`).

Every expression has its size by construction, so all programs are well-typed and stay in bounds. Elements are kept
bounded by squashing them. Everything else is as in `generate`.

One program in ten has products of matrices in them, what is solved with them, norms: these are defined up to
rounding. Their elements are moved by numbers that no other place has, so that two of them that are equal by algebra (of
A'A, say) do not meet in a comparison, and no norm is taken near 0: what rounding could decide does not happen.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from fuzzing.generate import PRELUDE, Generator, Scope
from fuzzing.tree import Node, block, leaf, stmt

ELEMENTWISE = ("sin.({0})", "tanh.({0})", "cos.({0})", "atan.({0})", "exp.(.-abs2.({0}))", "({0} ./ (1.5 .+ {0} .^ 2))")
OF_TWO = ("({0} .+ {1})", "({0} .* {1})", "({0} .- {1})", "({0} + {1})", "({0} - {1})", "max.({0}, {1})",
          "ifelse.({0} .> {1}, {0}, sin.({1}))")  # fmt: skip
OF_ONE = ("copy({0})", "reverse({0})", "{0}[3:-1:1]", "{0}[[3, 1, 2]]", "{0}[[1, 1, 3]]", "cumsum({0})", "sort({0})",
          "vcat({0}[2:3], {0}[1])", "(0.5 * {0})", "(-{0})", "collect({0})", "diff(vcat({0}, 0.5))")  # fmt: skip
SUMS = ("sum({0})", "maximum({0})", "minimum({0})", "sum(abs2, {0})", "prod({0})", "sum({0} .* {0})", "{0}[2]",
        "{0}[end]", "{0}[mod({1}, 3) + 1]", "mapreduce(sin, +, {0})", "foldl((p, q) -> tanh(p - q), {0})",
        "sum(t^2 for t in {0} if t > 0.1)", "sum({0} .* reverse({0}))")  # fmt: skip
OF_MATRIX = ("{0}[1, 2]", "{0}[2, mod({1}, 3) + 1]", "sum({0})", "maximum({0})", "sum({0}[:, 2])",
             "sum({0}', dims=1)[2]",
             "sum({0}[1, :] .* {0}[2, :])", "{0}[mod({1}, 6) + 1]", "sum(sum({0}, dims=1) .^ 2)")  # fmt: skip

# {0}, {1}: 2×3 matrices; {2}, {3}: vectors of length 3; {4}: an integer
PRODUCTS = ("({0}' * ({1} * {2}))", "(({0}' * {1}) * {2})", "vec({2}' * ({0}' * {1}))",
            "({0}' * {1}[:, mod({4}, 3) + 1])", "(transpose({0}) * (view({1}, 1:2, 3:-1:1) * {2}))",
            "({2} * {3}' * {3})", "({2} .* ({0} * {1}')[1, 2])", "((2.0I + {0}' * {0}) \\ {2})",
            "(inv(2.0I + {0}' * {0}) * {2})", "({0}'[:, 2:-1:1] * ({1} * {2}))",
            "((2.0I + {0}' * {0}) \\ (I + {1}' * {1}))[:, 3]", "(view({0}', :, 1:2) * [{2}[1], {3}[3]])",
            "vec(({1} * {3})' * {0})")  # fmt: skip
NUMBERS_OF_PRODUCTS = (
    "dot({2}, {3})", "({2} ⋅ {0}[1, :])", "({2}' * {3})", "({2}' * ({0}' * {1}) * {3})", "norm(vcat({2}, 0.7))",
    "norm({0})^2", "norm({0} * {2} .+ [9.0, 0.0])", "det(2.0I + {0}' * {0})", "log(det(I + {0} * {0}'))",
    "sum({0} * {1}')", "logdet(2.0I + {0}' * {0})", "tr({0} * {1}')", "({0} * {1}')[mod({4}, 4) + 1]", "dot({0}, {1})",
    "dot(view({0}, 2, :), {1}'[:, 1])", "(view({0}, :, 3:-2:1) * {1}[:, 1:2])[2, mod({4}, 2) + 1]",
    "batched_mul(cat({0}, {1}, dims=3), permutedims(cat({1}, {0}, dims=3), (2, 1, 3)))[2, 1, mod({4}, 2) + 1]",
    "let z = [sin({2}[2] * i - {3}[1] * j) for i in 1:8, j in 1:7]; (z * z')[mod({4}, 8) + 1, 3] end",
)  # fmt: skip
MATRICES_OF_PRODUCTS = ("tanh.({0} * (0.2I + {1}' * {0}) .+ {5})", "sin.(({0} * {1}') * {0} .+ {5})",
                        "tanh.([{2}[1], {2}[3]] * {3}' .+ {5})", "cos.((I + {0} * {0}') \\ {1} .+ {5})")  # fmt: skip


class ArrayGenerator(Generator):
    """The same with arrays in it."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.budget = random.choice((3, 4, 5, 6, 8, 12, 20))  # mostly short: more programs in the same time find more
        self.products = self.chance(0.1)

    # ------------------------------------------------------------ expressions
    def f(self, scope: Scope, depth: int = 3) -> Node:
        if depth > 0 and self.chance(0.15):
            return self.sum(scope, depth)
        return super().f(scope, depth)

    def sum(self, scope: Scope, depth: int) -> Node:
        """A number made of an array."""
        if self.products and scope.of("Q") and self.chance(0.4):
            return self.product("F", NUMBERS_OF_PRODUCTS, f"({{}} + {self.offset()})", scope, depth)
        if scope.of("Q") and self.chance(0.3):
            form = self.random.choice(OF_MATRIX)
            return Node("F", form, [self.q(scope), self.i(scope)])
        return Node("F", self.random.choice(SUMS), [self.a(scope, depth - 1), self.i(scope)])

    def a(self, scope: Scope, depth: int = 2) -> Node:
        """A vector of length 3."""
        names = scope.of("A", "W")
        if depth <= 0 or self.chance(0.25):
            if names and self.chance(0.85):
                return leaf("A", self.random.choice(names))
            return Node("A", "[{0}, {1}, {2}]", [self.f_leaf(scope) for _ in range(3)])
        if self.products and scope.of("Q") and self.chance(0.3):
            shift = ", ".join(self.offset() for _ in range(3))
            return self.product("A", PRODUCTS, f"({{}} .+ [{shift}])", scope, depth)
        kind = self.random.random()
        if kind < 0.2:
            return Node("A", self.random.choice(ELEMENTWISE), [self.a(scope, depth - 1)])
        if kind < 0.4:
            return Node("A", self.random.choice(OF_TWO), [self.a(scope, depth - 1), self.a(scope, depth - 1)])
        if kind < 0.55:
            return Node("A", self.random.choice(OF_ONE), [self.a(scope, depth - 1)])
        if kind < 0.65:
            return Node("A", "({0} .* {1})", [self.a(scope, depth - 1), self.f(scope, 1)])
        if kind < 0.85:
            return self.comprehension(scope, depth)
        if kind < 0.92:
            return Node("A", "({0} ? {1} : {2})", [self.b(scope), self.a(scope, depth - 1), self.a(scope, depth - 1)])
        if scope.of("Q"):
            return Node("A", self.random.choice(("{0}[1, :]", "{0}[2, :]", "vec(sum({0}, dims=1))")), [self.q(scope)])
        return self.a(scope, 0)

    def comprehension(self, scope: Scope, depth: int) -> Node:
        name = self.fresh("t")
        inner = scope.inner(frozen=scope.frozen | {name})
        if self.chance(0.5):
            inner.add("I", name)
            return Node("A", f"[{{0}} for {name} in 1:3]", [self.f(inner, 2)])
        inner.add("F", name)
        form = self.random.choice((f"[{{0}} for {name} in {{1}}]", f"map({name} -> {{0}}, {{1}})",
                                   f"({name} -> {{0}}).({{1}})"))  # fmt: skip
        return Node("A", form, [self.f(inner, 2), self.a(scope, depth - 1)])

    def product(self, type: str, forms: tuple[str, ...], around: str, scope: Scope, depth: int) -> Node:
        operands = [self.q(scope), self.q(scope), self.a(scope, depth - 1), self.a(scope, 0), self.i(scope)]
        return Node(type, around.format(self.random.choice(forms)), operands)

    def offset(self) -> str:
        return repr(round(self.random.uniform(0.01, 0.6), 6))

    def product_matrix(self, scope: Scope) -> tuple[str, list[Node]]:
        """A 2×3 matrix with bounded elements."""
        rows = "; ".join(" ".join(self.offset() for _ in range(3)) for _ in range(2))
        made = self.product("Q", MATRICES_OF_PRODUCTS, "{}", scope, 1)
        return made.template.replace("{5}", f"[{rows}]"), made.children

    def q(self, scope: Scope) -> Node:
        return leaf("Q", self.random.choice(scope.of("Q")))

    # ------------------------------------------------------------ statements
    def statement(self, scope: Scope) -> Node:
        if self.products and not scope.of("Q") and self.chance(0.5):
            return self.new_matrix(scope)
        if self.chance(0.45):
            kinds: list[tuple[float, Callable[[Scope], Node]]] = [
                (2, self.new_array), (1.5, self.new_matrix), (4, self.write_array), (1, self.view),
                (0.8, self.alias_array), (1, self.swap_arrays), (1.2, self.rebind),
            ]  # fmt: skip
            if scope.depth < 4 and scope.loops:
                kinds += [(1, self.over_array), (2, self.add_up)]
            return self.random.choices([k for _, k in kinds], [w for w, _ in kinds])[0](scope)
        return super().statement(scope)

    def squashed(self, scope: Scope, depth: int = 2) -> Node:
        return Node("A", self.random.choice(ELEMENTWISE[:4]), [self.a(scope, depth)])

    def new_array(self, scope: Scope) -> Node:
        value = self.squashed(scope)
        name = self.fresh("a")
        scope.add("A", name)
        return stmt(f"{name} = {{0}}", value)

    def new_matrix(self, scope: Scope) -> Node:
        i, j = self.fresh("i"), self.fresh("j")
        inner = scope.inner(frozen=scope.frozen | {i, j})
        inner.add("I", i)
        inner.add("I", j)
        form, parts = self.random.choice((
            ("[{0} {1} 0.5; {2} {3} {4}]", [self.bounded(scope, 1) for _ in range(5)]),
            (f"[sin({{0}}) for {i} in 1:2, {j} in 1:3]", [self.f(inner, 2)]),
            ("tanh.([{0}, {1}] .* [{2} 1.0 0.5])", [self.f_leaf(scope) for _ in range(3)]),
            ("zeros(2, 3) .+ sin({0})", [self.f(scope, 1)]),
        ))  # fmt: skip
        if self.products and scope.of("Q") and self.chance(0.5):
            form, parts = self.product_matrix(scope)
        name = self.fresh("q")
        scope.add("Q", name)
        return stmt(f"{name} = {form}", *parts)

    def write_array(self, scope: Scope) -> Node:
        """A change of elements."""
        if scope.of("Q") and self.chance(0.3):
            return self.write_matrix(scope)
        names = scope.of("A", "W")
        if not names:
            return self.new_array(scope)
        a = self.random.choice(names)
        form = self.random.choice((
            "{a}[2] = {0}", "{a}[mod({2}, 3) + 1] = {0}", "{a}[mod({2}, 3) + 1] *= cos({0})", "{a} .= {1}",
            "{a} .*= cos.({1})", "{a} .*= cos({0})", "{a}[1:2] .= {1}[2:3]", "{a}[2:3] = {a}[1:2]", "{a}[3:-1:1] = {1}",
            "{a}[1:2] .+= 0.1 .* sin.({1}[1:2])", "{a}[2:3] .= view({a}, 1:2)", "{a}[1], {a}[3] = {a}[3], {0}",
            "{a} .= tanh.({a} .- {0})",
        ))  # fmt: skip
        return stmt(form.replace("{a}", a), self.bounded(scope, 2), self.squashed(scope), self.i(scope))

    def write_matrix(self, scope: Scope) -> Node:
        if self.products and self.chance(0.4):
            form, parts = self.product_matrix(scope)
            return stmt(f"{self.random.choice(scope.of('Q'))}{self.random.choice((' .=', '[:, :] ='))} {form}", *parts)
        form = self.random.choice((
            "{q}[1, 2] = {0}", "{q}[2, :] = {1}", "{q}[:, 3] .= {0}", "{q}[1, :] .*= cos.({1})", "{q} .*= cos({0})",
            "{q}[mod({2}, 6) + 1] = {0}", "{q}[1, :] .= {q}[2, :] .* {0}", "{q} .= tanh.({q} .+ {1}')",
            "{q}[2, 1:2] = view({q}, 1, 2:3)",
        ))  # fmt: skip
        q = self.random.choice(scope.of("Q"))
        return stmt(form.replace("{q}", q), self.bounded(scope, 2), self.squashed(scope), self.i(scope))

    def view(self, scope: Scope) -> Node:
        names = scope.of("A", "W")
        if not names:
            return self.new_array(scope)
        form = self.random.choice(("view({a}, 3:-1:1)", "view({a}, 1:3)", "@view {a}[3:-1:1]"))
        if scope.of("Q") and self.chance(0.4):
            form = self.random.choice(("view({q}, 2, :)", "view({q}, 1, 3:-1:1)", "view({q}', :, 1)"))
            form = form.replace("{q}", self.random.choice(scope.of("Q")))
        name = self.fresh("w")
        node = stmt(f"{name} = {form.replace('{a}', self.random.choice(names))}")
        scope.add("W", name)
        return node

    def alias_array(self, scope: Scope) -> Node:
        type = self.random.choice([t for t in "AQ" if scope.of(t)] or [""])
        if not type:
            return self.new_array(scope)
        old, other = self.random.choice(scope.of(type)), self.random.choice(scope.of(type))
        name = self.fresh(type.lower())
        node = stmt(f"{name} = {{0}} ? {old} : {other}", self.b(scope)) if self.chance(0.4) else stmt(f"{name} = {old}")
        scope.add(type, name)
        return node

    def swap_arrays(self, scope: Scope) -> Node:
        names = [n for n in scope.of("A") if n not in scope.frozen]
        if len(names) < 2:
            return self.new_array(scope)
        a, b = self.random.sample(names, 2)
        return stmt(f"{a}, {b} = {b}, {a}")

    def rebind(self, scope: Scope) -> Node:
        names = [n for n in scope.of("A") if n not in scope.frozen]
        if not names:
            return self.new_array(scope)
        return stmt(f"{self.random.choice(names)} = {{0}}", self.squashed(scope))

    def over_array(self, scope: Scope) -> Node:
        name, k = self.fresh("v"), self.fresh("i")
        inner = scope.inner(frozen=scope.frozen | {name, k}, loop=True, loops=scope.loops - 1)
        inner.add("F", name)
        head = f"for {name} in {{0}}"
        if self.chance(0.4):
            head = f"for ({k}, {name}) in enumerate({{0}})"
            inner.add("I", k)
        over = self.a(scope, 1)
        return stmt(f"{head}\n{{1}}\nend", over, block(self.statements(inner, 3)))

    def add_up(self, scope: Scope) -> Node:
        """A loop of independent terms, which read an array that is changed behind it, mostly."""
        names = scope.of("A", "W")
        if not names:
            return self.new_array(scope)
        a, k, name = self.random.choice(names), self.fresh("i"), self.fresh("v")
        inner = scope.inner(frozen=scope.frozen | {k}, loop=False, loops=scope.loops - 1)
        inner.add("I", k)
        form = self.random.choice((
            f"sin({a}[{k}]) * {{1}}", f"{a}[{k}] * {a}[4 - {k}] + {{1}}", f"{{1}} * {a}[mod({k}, 3) + 1]^2",
        ))  # fmt: skip
        loop = f"{name} = {{0}}\nfor {k} in 1:mod({{2}}, 3) + 1\n{name} += {form}\nend\n{name} = tanh({name})"
        node = stmt(loop, self.bounded(scope, 1), self.bounded(inner, 2), self.i(scope))
        scope.add("F", name)
        return block([node, self.write_array(scope)]) if self.chance(0.7) else node

    # ------------------------------------------------------------ functions
    def helper(self) -> Node:
        """A function of arrays that changes them, in half of the cases."""
        if self.chance(0.5):
            return super().helper()
        types = self.random.choice((("A",), ("A", "F"), ("A", "A"), ("A", "I"), ("Q", "F")))
        name = self.fresh("h")
        names = [self.fresh("a") for _ in types]
        scope = Scope(returns=True, loops=1)
        scope.add("I", "n")
        for t, n in zip(types, names, strict=True):
            scope.add(t, n)
        body = [self.write_array(scope), *self.statements(scope, 3), stmt("return {0}", self.bounded(scope))]
        self.helpers.append((name, types))
        return stmt(f"function {name}({', '.join(names)})\n  n = {self.random.randint(0, 5)}\n{{0}}\nend", block(body))

    def total(self, scope: Scope) -> Node:
        parts = [super().total(scope)]
        parts += [leaf("F", f"sum({n})") for n in scope.of("A", "W", "Q")]
        return Node("F", " + ".join(f"{{{k}}}" for k in range(len(parts))), parts)


def program(random: Random) -> Node:
    generator = ArrayGenerator(random)
    definitions = [stmt(text) for text in PRELUDE]
    for _ in range(random.choice((0, 0, 1, 2))):
        definitions.append(generator.helper())
    definitions.append(generator.main())
    return block(definitions)

