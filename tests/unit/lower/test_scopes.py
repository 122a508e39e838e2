"""Which variables are captured, and which of these need a box."""

from __future__ import annotations

import pytest

from dsl.diagnostics import Source
from dsl.lower.scopes import FunctionScope, Scope, analyse
from dsl.syntax import ast, parse_file


def scope_of(text: str) -> FunctionScope:
    """The scope of the first function of a program."""
    node = parse_file(Source("test", text)).statements[0]
    assert isinstance(node, ast.FunctionDef)
    return analyse(node, node.params, node.body)


def functions_in(scope: Scope) -> list[FunctionScope]:
    found = []
    for child in scope.children.values():
        found += [child] if isinstance(child, FunctionScope) else []
        found += functions_in(child)
    return found


def boxed(scope: Scope) -> set[str]:
    names = {n for n, v in scope.names.items() if v.boxed}
    return names.union(*(boxed(c) for c in scope.children.values()))


BOXES = [
    ("a captured parameter", "f(x) = y -> x + y", set()),
    ("assigned before the closure only", "function f(x)\n c = x\n c = c + 1\n y -> c * y\nend", set()),
    ("assigned after the closure", "function f(x)\n c = x\n g = y -> c * y\n c = 2\n g(1)\nend", {"c"}),
    ("assigned in the closure", "function f(x)\n c = x\n inc() = (c += 1)\n inc()\n c\nend", {"c"}),
    ("assigned on two arms before", "function f(x)\n if x > 0\n  c = 1\n else\n  c = 2\n end\n y -> c * y\nend", set()),
    ("a loop variable", "function f(x)\n for i in 1:3\n  g = y -> y + i\n end\nend", set()),
    ("new in each iteration", "function f(x)\n for i in 1:3\n  t = i * x\n  g = y -> y + t\n end\nend", set()),
    (
        "assigned and captured in one loop, living outside",
        "function f(x)\n s = x\n for i in 1:3\n  s = s + i\n  g = y -> y + s\n end\n s\nend",
        {"s"},
    ),
    (
        "captured by a generator that is used up",
        "function f(x)\n s = x\n for i in 1:3\n  s += sum(s * j for j in 1:2)\n end\n s\nend",
        set(),
    ),
]


@pytest.mark.parametrize(("text", "expected"), [b[1:] for b in BOXES], ids=[b[0] for b in BOXES])
def test_boxes(text: str, expected: set[str]) -> None:
    assert boxed(scope_of(text)) == expected


def test_recursion_among_local_functions_captures_what_they_need() -> None:
    scope = scope_of("function f(x)\n y = 2x\n a(n) = n == 0 ? x : b(n - 1)\n b(n) = a(n - 1) * y\n a(4)\nend")
    a, b = functions_in(scope)
    assert {v.name for v in a.captures} == {"x", "y"}
    assert {v.name for v in b.captures} == {"x", "y"}
    assert boxed(scope) == set()


def test_a_variable_that_is_only_a_lambda_is_a_local_function() -> None:
    scope = scope_of("function f(x)\n fact = n -> n == 0 ? 1 : n * fact(n - 1)\n fact(3)\nend")
    assert scope.names["fact"].functions
    assert functions_in(scope)[0].captures == {}


def test_loops_know_what_they_assign_outside() -> None:
    text = "function f(x)\n s = 0\n for i in 1:3\n  t = i\n  while t > 0\n   s += t\n   t -= 1\n  end\n end\n s\nend"
    scope = scope_of(text)
    (outer,) = scope.children.values()
    assert {v.name for v in outer.assigned} == {"s"}
    (inner,) = outer.children.values()
    assert {v.name for v in inner.assigned} == {"s", "t"}


def test_a_name_assigned_anywhere_is_local_in_all_of_the_function() -> None:
    scope = scope_of("function f(x)\n y = g\n if x > 0\n  g = 1\n end\nend")
    assert set(scope.names) == {"x", "y", "g"}
