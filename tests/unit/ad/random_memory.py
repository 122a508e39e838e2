"""Random programs of the IR that are hard on what reverse mode reads again: memory that is written, shared, swapped,
made in loops, handed to callees, grown, multiplied as a matrix, reached through memory of memories.

`random_memory_program(seed)` has a function `f(m, n, x)` of two memories of eight numbers and a number; its results are
numbers, its loops are short, every index is in range.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from dsl.ir.core import Program
from dsl.ir.text import parse_program

SIZE = 8

HELPERS = """
fn @put(%m: mem<f64>, %i: i64, %x: f64) {
  store %m[%i], %x
  return
}
fn @get(%m: mem<f64>, %i: i64) -> f64 {
  %a: f64 = load %m[%i]
  %b: f64 = mul %a, %a
  %c: f64 = sin %b
  return %c
}
fn @mix(%m: mem<f64>, %n: mem<f64>, %x: f64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %a: f64 = load %m[%0]
  %ax: f64 = mul %a, %x
  store %n[%0], %ax
  %b: f64 = load %m[%0]
  %c: f64 = mul %a, %b
  %d: f64 = load %n[%1]
  %e: f64 = mul %c, %d
  %r: f64 = sin %e
  return %r
}
fn @made(%m: mem<f64>, %x: f64) -> mem<f64> {
  %0: i64 = const 0
  %7: i64 = const 7
  %8: i64 = const 8
  %1: i64 = const 1
  %r: mem<f64> = new %8
  for %i = %0, %7, %1 () {
    %a: f64 = load %m[%i]
    %b: f64 = mul %a, %x
    %c: f64 = cos %b
    store %r[%i], %c
    next
  }
  return %r
}
fn @down(%m: mem<f64>, %x: f64, %k: i64) -> f64 {
  %0: i64 = const 0
  %1: i64 = const 1
  %c: bool = le %k, %0
  if %c { return %x } else { yield }
  %j: i64 = sub %k, %1
  %a: f64 = load %m[%k]
  %ax: f64 = mul %a, %x
  store %m[%j], %ax
  %b: f64 = load %m[%j]
  %y: f64 = sin %b
  %r: f64 = call @down(%m, %y, %j)
  %d: f64 = load %m[%k]
  %s: f64 = mul %r, %d
  return %s
}
"""


class _Writer:
    """Writes the body of f. Names are unique; the lists hold what is visible at this point."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.count = 0
        self.lines: list[str] = []
        self.numbers = ["%x"]
        self.places = [f"%c{k}" for k in range(SIZE)]
        self.memories = ["%m", "%n"]
        self.nests: list[str] = []
        self.budget = 22
        # a program does not do everything: where little is written, much can be read again
        rare = [self.store, self.add, self.callee, self.product, self.grow, self.nest]
        self.left_out = self.random.sample(rare, self.random.randint(1, len(rare)))
        self.sheltered = self.random.choice([set(), {"%n"}, {"%m", "%n"}, {"%m", "%n"}])

    def name(self, stem: str) -> str:
        self.count += 1
        return f"%{stem}.{self.count}"

    def put(self, line: str) -> None:
        self.lines.append(line)

    def number(self) -> str:
        return self.random.choice(self.numbers[-6:])

    def memory(self) -> str:
        return self.random.choice(self.memories)

    def summed(self, numbers: list[str]) -> str:
        """The sum of some numbers, so that all of them count."""
        total = numbers[0]
        for v in numbers[1:]:
            t = self.name("t")
            self.put(f"{t}: f64 = add {total}, {v}")
            total = t
        return total

    def target(self) -> str:
        """A memory to write to."""
        return self.random.choice([m for m in self.memories if m not in self.sheltered] or self.memories)

    def place(self) -> str:
        return self.random.choice(self.places)

    def statements(self, depth: int) -> None:
        kinds: list[Callable[[], None]] = [
            self.load, self.load, self.load, self.read, self.arithmetic, self.arithmetic, self.store, self.store,
            self.add, self.make, self.callee, self.product, self.grow, self.nest, self.index,
        ]  # fmt: skip
        kinds = [kind for kind in kinds if kind not in self.left_out]
        if depth < 3:
            kinds += [partial(kind, depth) for kind in (self.loop, self.loop, self.swap, self.branch)]
        for _ in range(self.random.randint(2, 6)):
            self.budget -= 1
            if self.budget > 0:
                self.random.choice(kinds)()

    # ------------------------------------------------------------ statements
    def load(self) -> None:
        v, w = self.name("v"), self.name("w")
        self.put(f"{v}: f64 = load {self.memory()}[{self.place()}]")
        self.put(f"{w}: f64 = mul {v}, {self.number()}")
        self.numbers += [v, w]

    def arithmetic(self) -> None:
        v, w = self.name("v"), self.name("w")
        op = self.random.choice(["mul", "add", "sub", "max"])
        self.put(f"{v}: f64 = {op} {self.number()}, {self.number()}")
        self.put(f"{w}: f64 = {self.random.choice(['sin', 'cos', 'tanh'])} {v}")
        self.numbers += [v, w]

    def store(self) -> None:
        self.put(f"store {self.target()}[{self.place()}], {self.number()}")

    def add(self) -> None:
        self.put(f"acc {self.target()}[{self.place()}], {self.number()} {{0}}")

    def read(self) -> None:
        """A call that reads only, in a loop of its own."""
        v, i, s, t = (self.name(stem) for stem in "vist")
        self.put(f"{v}: f64 = for {i} = %c0, %c2, %c1 ({s}: f64 = {self.number()}) {{")
        a, b = self.name("a"), self.name("b")
        self.put(f"{a}: f64 = call @get({self.memory()}, {i})\n{b}: f64 = load {self.memory()}[{i}]")
        p, q = self.name("p"), self.name("q")
        self.put(f"{p}: f64 = mul {a}, {b}\n{q}: f64 = mul {p}, {s}\n{t}: f64 = sin {q}\n next {t}\n}}")
        self.numbers.append(v)

    def index(self) -> None:
        i, j = self.name("i"), self.name("j")
        self.put(f"{i}: i64 = add {self.place()}, {self.place()}")
        self.put(f"{j}: i64 = imod {i}, %size")
        self.places.append(j)

    def make(self) -> None:
        m = self.name("m")
        if self.random.random() < 0.5:
            self.put(f"{m}: mem<f64> = new %size")
            for _ in range(3):
                self.put(f"store {m}[{self.place()}], {self.number()}")
        else:
            self.put(f"{m}: mem<f64> = call @made({self.memory()}, {self.number()})")
        self.memories.append(m)

    def callee(self) -> None:
        v = self.name("v")
        match self.random.randrange(4):
            case 0:
                self.put(f"call @put({self.target()}, {self.place()}, {self.number()})")
                return
            case 1:
                self.put(f"{v}: f64 = call @get({self.memory()}, {self.place()})")
            case 2:
                self.put(f"{v}: f64 = call @mix({self.memory()}, {self.target()}, {self.number()})")
            case _:
                self.put(f"{v}: f64 = call @down({self.target()}, {self.number()}, %c3)")
        self.numbers.append(v)

    def product(self) -> None:
        """The second half of one memory gets a product of first halves (2×2), in some order of rows and columns."""
        c, a, b = self.target(), self.memory(), self.memory()
        strides = [self.random.choice(["%c1, %c2", "%c2, %c1"]) for _ in range(3)]
        target, left, right = strides
        self.put(
            f"kernel {c}, {a}, {b}, %c2, %c2, %c2, %c4, {target}, %c0, {left}, %c0, {right} "
            '{kernel="gemm"}'
        )  # fmt: skip

    def grow(self) -> None:
        m, v, n, k = self.target(), self.name("v"), self.name("n"), self.name("k")
        self.put(f"push {m}, {self.number()}")
        self.put(f"{n}: i64 = len {m}")
        self.put(f"{k}: i64 = sub {n}, %c1")
        self.put(f"{v}: f64 = load {m}[{k}]")
        self.numbers.append(v)
        if self.random.random() < 0.7:
            w = self.name("w")
            self.put(f"{w}: f64 = pop {m}")
            self.numbers.append(w)

    def nest(self) -> None:
        """Memory of two memories: made, a row replaced, a row taken."""
        if not self.nests or self.random.random() < 0.3:
            h = self.name("h")
            self.put(f"{h}: mem<mem<f64>> = new %c2")
            for k in range(2):
                self.put(f"store {h}[%c{k}], {self.memory()}")
            self.nests.append(h)
            return
        h, row = self.random.choice(self.nests), self.random.choice(["%c0", "%c1"])
        if self.random.random() < 0.4:
            self.put(f"store {h}[{row}], {self.memory()}")
        else:
            m = self.name("m")
            self.put(f"{m}: mem<f64> = load {h}[{row}]")
            self.memories.append(m)

    # ------------------------------------------------------------ regions
    def region(self, depth: int, *places: str, memories: tuple[str, ...] = ()) -> tuple[str, str]:
        """Statements inside braces; gives a number and a memory that are visible at their end."""
        outside = [list(self.numbers), list(self.places), list(self.memories), list(self.nests)]
        self.places += places
        self.memories += memories
        self.statements(depth + 1)
        found = self.summed(self.numbers[-5:]), self.memory()
        self.numbers, self.places, self.memories, self.nests = outside
        return found

    def loop(self, depth: int) -> None:
        i, s, r = self.name("i"), self.name("s"), self.name("r")
        bounds = self.random.choice(["%c0, %c2, %c1", "%c3, %c1, %down", "%c1, %c0, %c1", "%c0, %c4, %c2"])
        self.put(f"{r}: f64 = for {i} = {bounds} ({s}: f64 = {self.number()}) {{")
        self.numbers.append(s)
        v, _ = self.region(depth, i)
        t = self.name("t")
        self.put(f"{t}: f64 = sin {v}\n next {t}\n}}")
        self.numbers.remove(s)
        self.numbers.append(r)

    def swap(self, depth: int) -> None:
        """`a, b = b, a`, or a new memory handed on."""
        i, a, b, p, q = (self.name(stem) for stem in "iabpq")
        self.put(
            f"{p}: mem<f64>, {q}: mem<f64> = for {i} = %c0, %c2, %c1 "
            f"({a}: mem<f64> = {self.memory()}, {b}: mem<f64> = {self.memory()}) {{"
        )
        _, last = self.region(depth, i, memories=(a, b))
        self.put(f"next {b}, {self.random.choice([a, last])}\n}}")
        self.memories += [p, q]

    def branch(self, depth: int) -> None:
        c, r = self.name("c"), self.name("r")
        self.put(f"{c}: bool = lt {self.number()}, {self.number()}")
        self.put(f"{r}: f64 = if {c} {{")
        v, _ = self.region(depth)
        self.put(f"yield {v}\n}} else {{")
        v, _ = self.region(depth)
        self.put(f"yield {v}\n}}")
        self.numbers.append(r)


def random_memory_program(seed: int) -> Program:
    w = _Writer(seed)
    w.make()
    w.make()
    w.statements(0)
    while w.budget > 12:
        w.statements(0)
    end = []
    total = "%x"
    for m in ("%m", "%n", w.memories[-1]):
        for k in (0, 1, 3, 5):
            v, t = w.name("v"), w.name("t")
            end += [f"{v}: f64 = load {m}[%c{k}]", f"{t}: f64 = add {total}, {v}"]
            total = t
    constants = [f"%c{k}: i64 = const {k}" for k in range(SIZE)] + ["%size: i64 = const 8", "%down: i64 = const -1"]
    last = w.summed(w.numbers[-8:])
    body = "\n".join([*constants, *w.lines, *end, f"return {total}, {last}"])
    return parse_program(f"fn @f(%m: mem<f64>, %n: mem<f64>, %x: f64) -> f64, f64 {{\n{body}\n}}\n{HELPERS}")
