"""Top-level variables as parameters: after this pass no function looks at anything but its arguments."""

from __future__ import annotations

from typing import TypeAlias

from dsl.diagnostics import error
from dsl.ir.core import Function, Op, Program, Region, Rule, Value
from dsl.passes.common import called, components, substitute
from dsl.types import LeafType

Leaf: TypeAlias = tuple[str, int]  # a variable, and which of its leaves


def bind_globals(program: Program, root: str) -> list[Leaf]:
    """Replace `global` ops by trailing parameters of all functions that need them, callers included; gives the leaves
    that the root then takes, in order. It runs before differentiation, to which they are captured memory like any
    other. A rule does not know of such parameters: where one needs them, an error (E0901)."""
    needs = _needs(program, root)
    for fn in program.functions.values():
        rule = fn.attrs.get("rule")
        if isinstance(rule, Rule):
            parts = (fn.name, rule.forward, rule.reverse, rule.pushforward)
            leaf = next((leaf for name in parts if name for leaf in needs[name]), None)
            if leaf is not None:
                raise error("E0901", f"{fn.title or fn.name} has a derivative rule and uses the top-level variable "
                            f"{leaf[0]}, which can change; this is not supported yet", fn.span,
                            hint=f"pass {leaf[0]} as an argument")  # fmt: skip
    before = {name: len(fn.params) for name, fn in program.functions.items()}
    for name, leaves in needs.items():
        _bind(program.functions[name], leaves, needs, before)
    return list(needs[root])


def _needs(program: Program, root: str) -> dict[str, dict[Leaf, LeafType]]:
    """The leaves that each function needs, itself or in what it calls, in the order in which they are met."""
    needs: dict[str, dict[Leaf, LeafType]] = {}
    for group in components(program, [root, *program.functions]):
        found: dict[Leaf, LeafType] = {}  # shared by the functions of a group: each may call each
        for name in group:
            needs[name] = found
        for name in group:
            for op in program.functions[name].body.walk():
                if op.name == "global":
                    found[_leaf(op)] = op.result.type
                elif callee := called(op):
                    found.update(needs[callee])
    return needs


def _leaf(op: Op) -> Leaf:
    return op.attrs["name"], op.attrs["index"]


def _bind(
    fn: Function, leaves: dict[Leaf, LeafType], needs: dict[str, dict[Leaf, LeafType]], before: dict[str, int]
) -> None:
    params = {leaf: Value(type, fn.body, leaf[0]) for leaf, type in leaves.items()}
    fn.params.extend(params.values())
    mapping: dict[Value, Value] = {}

    def visit(region: Region) -> None:
        kept = []
        for op in region.ops:
            substitute(op, mapping)
            if op.name == "global":
                mapping[op.result] = params[_leaf(op)]
                continue
            callee = called(op)
            if callee and op.name != "vjp_rev":  # which has its primals in the record
                op.args[before[callee] : before[callee]] = [params[leaf] for leaf in needs[callee]]
            for inner in op.regions:
                visit(inner)
            kept.append(op)
        region.ops = kept

    visit(fn.body)
