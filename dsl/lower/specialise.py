"""Specialisations: one IR function for each method and argument types, and the fixpoint over recursion.

A result type starts as `Bottom`. A function that (directly or not) called itself while it was being lowered is
lowered again with the result found, until that does not change. What was lowered meanwhile on the strength of an
unfinished result is provisional: it is dropped and made again. So every function in a finished program was lowered
with final result types.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import Any

from dsl.analysis.influence import Influence
from dsl.diagnostics import Span, error
from dsl.ir.core import Function, Program, Region
from dsl.lower.declarations import Namespace
from dsl.lower.frame import Frame
from dsl.lower.joins import MAX_DEPTH, adapt, join_or_fail, too_deep
from dsl.lower.scopes import Scope
from dsl.lower.sites import Sites
from dsl.lower.values import Diverged, Val, depth
from dsl.types import BOTTOM, LangType, LeafType, leaves, sizes

MAX_SPECIALISATIONS = 200


class Spec:
    """A specialisation. `active` while it is being lowered; `low` is the place in the stack of the outermost active
    one that it depends on (None: it depends on none, it is final)."""

    def __init__(self, key: Hashable, site_key: Hashable, name: str, title: str, span: Span, index: int) -> None:
        self.key = key
        self.site_key = site_key
        self.name = name
        self.title = title
        self.span = span
        self.index = index
        self.low: int | None = index
        self.active = True
        self.recursive = False
        self.raises = False
        self.result: LangType = BOTTOM
        self.fn = Function(name, Region(), ())


class Unit:
    """One entry being lowered: its program and its specialisations."""

    def __init__(self, session: object, sites: Sites) -> None:
        self.session: Any = session
        self.sites = sites
        self.program = Program()
        self.specs: dict[Hashable, Spec] = {}
        self.order: list[Spec] = []
        self.stack: list[Spec] = []
        self.counts: dict[object, int] = {}
        self.internal: dict[Hashable, str] = {}  # functions that stand for no method, by what they are for
        self._influence: Influence | None = None

    @property
    def influence(self) -> Influence:
        """Functions are only added while it lives, never changed: it is asked about final ones only."""
        if self._influence is None:
            self._influence = Influence(self.program)
        return self._influence

    def specialise(
        self,
        key: Hashable,
        site_key: Hashable,
        *,
        owner: object,
        stem: str,
        title: str,
        span: Span,
        namespace: Namespace,
        scope: Scope,
        params: Sequence[tuple[LangType, str]],
        lower: Callable[[Frame, list[Val]], None],
    ) -> Spec:
        """The specialisation for a key; `lower(frame, parameters)` lowers its body where it is new."""
        spec = self.specs.get(key)
        if spec is not None:
            self.depend_on(spec)
            return spec
        self._limit(owner, stem, params, span)
        spec = Spec(key, site_key, self.program.fresh(stem), title, span, len(self.stack))
        self.program.add(spec.fn)
        self.specs[key] = spec
        self.order.append(spec)
        self.stack.append(spec)
        mark = len(self.order)
        try:
            while True:
                spec.low, spec.recursive, spec.raises = spec.index, False, False
                result = self._lower_once(spec, namespace, scope, params, lower)
                if not spec.recursive or result == spec.result:
                    break
                spec.result = result
                self._drop_provisional(mark)
        finally:
            self.stack.pop()
        spec.active = False
        if spec.result == BOTTOM and result == BOTTOM and spec.recursive and not spec.raises:
            raise error("E0406", f"{title} calls itself without end: no way through it gives a value", span,
                        hint="add a case that returns without the call")  # fmt: skip
        spec.result = result
        self._finish(spec, mark)
        return spec

    def _limit(self, owner: object, stem: str, params: Sequence[tuple[LangType, str]], span: Span) -> None:
        for t, _ in params:
            if depth(t) > MAX_DEPTH:
                raise too_deep(t, span)
        self.counts[owner] = self.counts.get(owner, 0) + 1
        if self.counts[owner] > MAX_SPECIALISATIONS:
            raise error(
                "E0204", f"{stem} is needed for more than {MAX_SPECIALISATIONS} different argument types", span,
                hint="the type of an argument changes in every call; numbers that vary are no problem, types are",
            )  # fmt: skip

    def depend_on(self, spec: Spec) -> None:
        """Note that what is being lowered calls a specialisation, which may be unfinished."""
        if not self.stack:
            return
        top = self.stack[-1]
        if spec.active:
            spec.recursive = True
            top.low = min(top.low if top.low is not None else top.index, spec.index)
        elif spec.low is not None:
            top.low = min(top.low if top.low is not None else top.index, spec.low)

    def _lower_once(
        self,
        spec: Spec,
        namespace: Namespace,
        scope: Scope,
        params: Sequence[tuple[LangType, str]],
        lower: Callable[[Frame, list[Val]], None],
    ) -> LangType:
        types: list[LeafType] = []
        hints: list[str] = []
        for t, name in params:
            types += leaves(t)
            hints += [name] * len(leaves(t))
        of_arrays = tuple(k for k, size in enumerate(s for t, _ in params for s in sizes(t)) if size)
        if of_arrays:
            spec.fn.attrs["sizes"] = of_arrays
        body = Region(types, hints)
        frame = Frame(self, spec, namespace, scope, body, spec.span)
        vals, at = [], 0
        for t, _ in params:
            n = len(leaves(t))
            vals.append(Val(t, tuple(body.params[at : at + n])))
            at += n
        with suppress(Diverged):
            lower(frame, vals)
        return self._complete(spec, frame, body)

    def _complete(self, spec: Spec, frame: Frame, body: Region) -> LangType:
        """Join what is returned and end the function."""
        result: LangType = BOTTOM
        first = frame.returns[0].span if frame.returns else spec.span
        for r in frame.returns:
            what = f"the result of {spec.title}"
            result = join_or_fail(result, r.val.type, self.sites, what, r.span, first, r.span)
        if spec.recursive and spec.result != BOTTOM and result != BOTTOM:
            what = f"the result of {spec.title}"
            result = join_or_fail(spec.result, result, self.sites, what, spec.span, first, first)
        for r in frame.returns:
            frame.b = r.b
            r.b.op("return", adapt(frame, r.val, result).leaves)
        attrs = spec.fn.attrs
        fn = Function(spec.name, body, leaves(result), spec.title, spec.span, attrs)
        self.program.functions[spec.name] = spec.fn = fn
        return result

    def _drop_provisional(self, mark: int) -> None:
        kept = []
        for s in self.order[mark:]:
            if s.low is None:
                kept.append(s)
            else:
                self.specs.pop(s.key, None)
                self.program.functions.pop(s.name, None)
        self.order[mark:] = kept

    def _finish(self, spec: Spec, mark: int) -> None:
        assert spec.low is not None
        if spec.low == spec.index:
            spec.low = None
            for s in self.order[mark:]:
                s.low = None
        elif self.stack:
            top = self.stack[-1]
            top.low = min(top.low if top.low is not None else top.index, spec.low)
        if self.stack and spec.raises and spec.low is not None:
            self.stack[-1].raises = True

    def fresh_key(self, frame: Frame, name: str) -> object:
        """A key for a loop that stands for no syntax: the same each time the same place is lowered."""
        return (name, len(frame.loops), frame.b.span.start, frame.b.span.end, frame.b.span.source)

    def reachable(self, root: str) -> Program:
        """The program with what the root needs, in the order of first mention."""
        names: dict[str, None] = {}
        work = [root]
        while work:
            name = work.pop()
            if name in names:
                continue
            names[name] = None
            fn = self.program.functions[name]
            for op in fn.body.walk():
                callee = op.attrs.get("fn")
                if callee is not None:
                    work.append(callee)
            rule = fn.attrs.get("rule")
            if rule is not None:
                work += [n for n in (rule.forward, rule.reverse, rule.pushforward) if n]
        return Program({name: self.program.functions[name] for name in names})

