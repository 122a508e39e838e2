"""Forward mode of a function that has a pullback only, where memory goes in or comes out: its transpose.

A pullback P is linear in the cotangents ȳ of the results, P(ȳ) = Jᵀȳ; so Jẋ is the gradient of ⟨P(ȳ), ẋ⟩ with respect
to ȳ, at any ȳ. Here ȳ is zero. That the pullback is linear is for the caller to know (`ad.linear`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsl.ad.activity import Pattern
from dsl.ad.rules import plus
from dsl.ir.core import Function, Rule, Value
from dsl.ops import Builder
from dsl.records import dataclass
from dsl.types import F64, LeafType, is_ref, tangent

if TYPE_CHECKING:
    from dsl.ad.derive import Deriver


@dataclass(frozen=True)
class Transposer:
    deriver: Deriver

    def duals(
        self, callee: Function, rule: Rule, args: Sequence[Value], tangents: Sequence[Value | None],
        results: Sequence[Value], b: Builder,
    ) -> dict[int, Value]:  # fmt: skip
        """The duals of a function's results by number, from those of the arguments in `rule.wrt` (None: zero);
        `results` are what the rule's forward function gave."""
        make, n = self.deriver.shadows.make, len(callee.results)
        outputs = [k for k, t in enumerate(callee.results) if tangent(t) is not None]
        refs = [k for k in outputs if is_ref(callee.results[k])]
        zeros = [make(results[k], b) if k in refs else b.zero(_dual(callee.results[k])) for k in outputs]
        made = {k: make(results[k], b) for k in refs}
        given = []
        for k, d in zip(rule.wrt, tangents, strict=True):
            if d is None:
                d = make(args[k], b) if is_ref(args[k].type) else b.zero(_dual(args[k].type))
            given.append(d)
        memory = [args[k] for k in rule.wrt if is_ref(args[k].type)]
        fn = self._transposed(callee, rule)
        out = b.call(fn, [*results[n:], *zeros, *given, *memory, *made.values()])
        return {**dict(zip([k for k in outputs if k not in refs], out, strict=True)), **made}

    def _transposed(self, callee: Function, rule: Rule) -> Function:
        """(parameters of `_product`…, shadows of the memory among the seeds…) -> tangents of the scalars among them;
        those of the memory are added to the shadows."""
        d = self.deriver
        name = f"{callee.name}.transposed"
        known = d.program.functions.get(name)
        if known is not None:
            return known
        product, first, last = self._product(callee, rule)
        seeds = range(first, last)
        refs = [i for i in seeds if is_ref(product.params[i].type)]
        scalars = [i for i in seeds if i not in refs]
        types = [p.type for p in product.params]
        new = d.new_function(
            name, [*types, *(_dual(types[i]) for i in refs)], [_dual(types[i]) for i in scalars], callee
        )
        b = Builder(new.body, callee.span)
        primals = new.params[: len(types)]
        shadows = dict(zip(refs, new.params[len(types) :], strict=True))
        pattern = self._pattern(product, frozenset(seeds))
        registries = d.shadows.registries([types[i] for i in pattern.params if is_ref(types[i])], b)
        for i in sorted(pattern.params):
            if is_ref(types[i]) and i not in shadows:
                shadows[i] = d.shadows.make(primals[i], b, registries)
        _, backward = d.gradient_body(product, pattern, primals, shadows, {0: b.f64(1.0)}, b)
        b.return_(*(d.final(backward, i, b) for i in scalars))
        return new

    def _pattern(self, fn: Function, wrt: frozenset[int]) -> Pattern:
        """The seeds' memory is new, so no other parameter can be the same memory."""
        params = wrt
        while True:
            activity = self.deriver.activity(fn, Pattern(params))
            more = params | {i for i, p in enumerate(fn.params) if activity.shadowed(p)}
            if more == params:
                return Pattern(params)
            params = more

    def _product(self, callee: Function, rule: Rule) -> tuple[Function, int, int]:
        """(captures…, seeds…, duals of the arguments…, the memory among them…) -> ⟨pullback(seeds), duals⟩, and which
        parameters are the seeds."""
        d = self.deriver
        reverse, forward = d.program.functions[rule.reverse], d.program.functions[rule.forward]
        captures = list(forward.results[len(callee.results) :])
        seeds = [t for r in callee.results if (t := tangent(r)) is not None]
        wrt = [callee.params[k].type for k in rule.wrt]
        refs = [t for t in wrt if is_ref(t)]
        first, last = len(captures), len(captures) + len(seeds)
        params: list[LeafType] = [*captures, *seeds, *map(_dual, wrt), *refs]
        new = d.new_function(f"{callee.name}.product", params, [F64], callee)
        b = Builder(new.body, callee.span)
        duals = new.params[last : last + len(wrt)]
        own = [d.shadows.make(m, b) for m in new.params[last + len(wrt) :]]
        cotangents = iter(b.call(reverse, [*new.params[:last], *own]))
        shadows = iter(own)
        total = b.f64(0.0)
        for t, x in zip(wrt, duals, strict=True):
            if is_ref(t):
                term = d.shadows.dot(next(shadows), x, b)
            else:
                term = b.prim("mul", *(b.prim("tof64", v) if v.type != F64 else v for v in (next(cotangents), x)))
            total = plus(b, total, term)
        b.return_(total)
        return new, first, last


def _dual(t: LeafType) -> LeafType:
    d = tangent(t)
    assert d is not None
    return d
