"""Fused multiply-adds: a product that is added to something, or that something is taken from, is rounded with the sum.

    %p = mul %a, %b; … %s = add %p, %c      becomes      %s = fma %a, %b, %c

The rule, for f64 and f32 alike:

- The product (`mul`, a square `powi %a, 2`, or `add %a, %a`; negated or not) is in the region of the sum, which alone
  uses it.
- A sum or difference of two products stays as it is, wherever they come from, for they may cancel: x*x - y*y is 0 where
  x is y, and (a + bi)(a - bi) is real. A product with a power of two is exact: it does not count, and to take it up
  changes no bits, but at the ends of the range.
- In a counted loop without a loop in it, what does not depend on all the iterations before is vector code, also where
  it is added up in order. A product of this kind stays out of a sum that does.

It is applied to each function by itself as it was lowered, before anything is inlined, folded or shared: so a
function has the same bits wherever and however it is called, in a derivative and beside it, and a derivative that
computes something again comes to the same. What differentiation adds up is `free` (an attribute of `add`): that
is decided, with `terms`, when the function that it made has been simplified, before that is inlined or differentiated
again. It is nobody's formula whose symmetry could be missed, so there one of two products is taken up: the one that is
there later, so that a chain of operations gets shorter; of two that are there at once, the first. What a counted loop
without a loop in it adds up in order is `loose` from then on: `passes.spread` may add it up in another one.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from math import frexp

from dsl.ir.core import Function, Op, Region, Value
from dsl.ops import Builder, known, made_by
from dsl.records import dataclass
from dsl.types import F32, F64

FREE = "free"
LOOSE = "loose"  # an `add` of a sum that a loop carries, whose terms come in an order that does not matter
_LOOPS = frozenset({"for", "loop"})
_MAKES_PRODUCTS = frozenset({"mul", "powi", "add", "neg"})
# How long an operation takes: the sign is part of the instruction that uses it.
_TIME = {"neg": 0, **dict.fromkeys(("add", "sub", "mul", "fma", "abs", "tof64", "tof32", "select"), 1)}
_LONG = 5  # any other


def contract(fn: Function, terms: bool = False) -> bool:
    """Apply to a function; `terms`: to the sums that are free, which they are no longer."""
    if terms and not has_terms(fn):
        return False
    contractor = _Contractor(fn, terms)
    contractor.region(fn.body)
    return contractor.changed


def has_terms(fn: Function) -> bool:
    """Whether there are sums in a function of which `contract` has not decided yet."""
    return any(op.attrs and FREE in op.attrs for op in fn.body.walk())


def round_each(fn: Function) -> bool:
    """Decide that every sum is rounded by itself."""
    for op in fn.body.walk():
        op.attrs.pop(FREE, None)
    return False


def waiting(body: Region) -> list[Value]:
    """What a counted loop carries that depends on what was carried. (Anything else is of one iteration before, and may
    be a vector, too.)"""
    carried = body.params[1:]
    while carried:
        found = set(carried)
        for op in body.walk():
            if op.name != "next" and not found.isdisjoint(chain(op.args, *(r.terminator.args for r in op.regions))):
                found.update(op.results)
        handed = zip(body.params[1:], body.terminator.args, strict=True)
        left = [p for p, v in handed if p in carried and v in found]
        if left == carried:
            break
        carried = left
    return carried


@dataclass(eq=False)
class _Product:
    """What a value is: the product of two factors, or the opposite of that, and the ops that make it of these."""

    x: Value
    y: Value | float
    negative: bool
    ops: list[Op]

    @property
    def exact(self) -> bool:
        """Whether it is not rounded: a factor is a power of two."""
        return any(k is not None and k and abs(frexp(k)[0]) == 0.5 for k in map(_number, (self.x, self.y)))


def _product(v: Value) -> _Product | None:
    owner = v.owner
    if not isinstance(owner, Op) or owner.name not in _MAKES_PRODUCTS:
        return None
    signs, v = _signs(v)
    square = made_by(v, "powi")
    if square is not None and known(square.args[1]) == 2:
        return _Product(square.args[0], square.args[0], len(signs) % 2 == 1, [*signs, square])
    double = made_by(v, "add")
    if double is not None and double.args[0] is double.args[1]:
        return _Product(double.args[0], 2.0, len(signs) % 2 == 1, [*signs, double])
    product = made_by(v, "mul")
    if product is None:
        return None
    (of_x, x), (of_y, y) = map(_signs, product.args)
    return _Product(x, y, (len(signs) + len(of_x) + len(of_y)) % 2 == 1, [*signs, product])


def _signs(v: Value) -> tuple[list[Op], Value]:
    """The ops that negate a value, and the value within."""
    ops: list[Op] = []
    while (op := made_by(v, "neg")) is not None:
        ops.append(op)
        v = op.args[0]
    return ops, v


class _Contractor:
    def __init__(self, fn: Function, terms: bool) -> None:
        self.terms = terms
        self.uses = Counter(chain.from_iterable(op.args for op in fn.body.walk()))
        self.there: dict[Value, int] = dict.fromkeys(fn.params, 0)  # what depends on these, or on what a loop carries
        self.in_order = False  # in a loop in which that alone is no vector code
        self.changed = False

    # -- walking
    def region(self, region: Region) -> None:
        here: dict[Op, None] = {}
        for op in region.ops:
            if op.name in _LOOPS:
                self.loop(op)
            elif op.regions:
                for arm in op.regions:
                    self.region(arm)
            elif self.is_open(op):
                self.sum(op, here)
                if self.terms and self.in_order and op.name == "add" and not self.there.keys().isdisjoint(op.args):
                    op.attrs[LOOSE] = True
            here[op] = None
            self.note(op)
        region.ops[:] = here

    def loop(self, op: Op) -> None:
        (body,) = op.regions
        outside = self.there, self.in_order
        self.in_order = op.name == "for" and not any(inner.name in _LOOPS for inner in body.walk())
        serial = waiting(body) if self.in_order else body.params
        self.there = {p: 0 for p in serial if p.type in (F64, F32)}
        self.region(body)
        self.there, self.in_order = outside

    def note(self, op: Op) -> None:
        """When the results of an op are there, where they wait for something."""
        there, last = self.there, -1
        for a in [*op.args, *(a for r in op.regions for a in r.terminator.args)] if op.regions else op.args:
            if a in there and there[a] > last:
                last = there[a]
        if last >= 0:
            time = last + _TIME.get(op.name, _LONG)
            for r in op.results:
                there[r] = time

    def is_open(self, op: Op) -> bool:
        """Whether it is to be decided here how an op is rounded."""
        if self.terms:
            return bool(op.attrs and op.attrs.pop(FREE, False))
        return op.name in ("add", "sub") and op.result.type in (F64, F32)

    # -- sums
    def sum(self, op: Op, here: dict[Op, None]) -> None:
        """Make a sum an `fma` where the rule says so."""
        products = [_product(v) for v in op.args]
        takes = op.name == "sub"
        first, second = products
        if first and second and not (self.terms or first.exact or second.exact):
            return
        fit = [k for k, p in enumerate(products) if p and self.is_fit(p, op.args[1 - k], here)]
        if not fit:
            return
        k = max(fit, key=lambda k: self.there.get(op.args[k], -1))  # the first of the latest
        product, other = products[k], op.args[1 - k]
        assert product is not None
        for made in product.ops:
            del here[made]
        b = Builder(Region(), op.span)
        x, y = _factors(product, product.negative is not (takes and k == 1), b)
        if takes and k == 0:
            other = _opposite(other, b)
        here.update(dict.fromkeys(b.region.ops))
        op.name, op.args = "fma", [x, y, other]
        self.changed = True

    def is_fit(self, p: _Product, other: Value, here: dict[Op, None]) -> bool:
        """Whether a product is in this region, of no other use, and not better off among vectors."""
        if self.in_order and other in self.there and self.there.keys().isdisjoint((p.x, p.y)):
            return False
        return all(op in here and self.uses[op.result] == 1 for op in p.ops)


def _number(v: Value | float) -> float | None:
    return v if isinstance(v, float) else known(v)


def _factors(p: _Product, negate: bool, b: Builder) -> tuple[Value, Value]:
    """Two factors of a product, or of its opposite: of a constant that costs nothing."""
    if isinstance(p.y, float):
        return p.x, b.const(-p.y if negate else p.y, p.x.type)
    if not negate:
        return p.x, p.y
    return (p.x, _opposite(p.y, b)) if known(p.y) is not None else (_opposite(p.x, b), p.y)


def _opposite(v: Value, b: Builder) -> Value:
    number = known(v)
    if number is not None:
        return b.const(-number, v.type)
    negated = made_by(v, "neg")
    return negated.args[0] if negated else b.prim("neg", v)
