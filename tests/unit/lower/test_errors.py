"""Wrong programs: the code of the error, the text it points at, and what its message or hint must say."""

from __future__ import annotations

import time

import pytest

from tests.unit.lower.support import error_of, value_of

POINT = "struct P\n x::Float64\nend\n"
WRONG = [
    # program, expression, code, text pointed at, part of the message or hint
    ("", "undefined_thing", "E0201", "undefined_thing", "undefined_thing is not defined"),
    ("velocity = 1", "velocty", "E0201", "velocty", "did you mean velocity?"),
    ("f(x) = x ? 1 : 2", "f(1.0)", "E0203", "x", "x != 0"),
    ("f(x) = x > 0 ? 1 : true", "f(1)", "E0202", "x > 0 ? 1 : true", "Int64 on one way and Bool on another"),
    ("f(x::Blob) = 1", "", "E0201", "Blob", "the type Blob is not defined"),
    (POINT + "f(p) = p.z", "f(P(1))", "E0207", "p.z", "the fields are x"),
    (POINT + "f(p) = (p.x = 2; p)", "f(P(1))", "E0208", "p.x = 2", "mutable struct P"),
    (POINT, "P(1, 2)", "E0301", "P(1, 2)", "the fields are x::Float64"),
    (POINT, 'P("a")', "E0206", 'P("a")', "x::Float64"),
    ("const c = 1\nc = 2", "", "E0208", "c = 2", "c is a constant"),
    ("f(x::Int) = 1", "f(1.0)", "E0301", "f(1.0)", "no method matching f(Float64)"),
    ("f(x, y) = 1", "f(1)", "E0301", "f(1)", "f takes 2 arguments"),
    ("f(x::Int, y) = 1\nf(x, y::Int) = 2", "f(1, 1)", "E0302", "f(1, 1)", "ambiguous"),
    ("f(x) = (x - 1)(x + 2)", "f(3)", "E0303", "(x - 1)(x + 2)", "write `*`"),
    ("f(x; size=1) = x", "f(1; sise=2)", "E0304", "f(1; sise=2)", "did you mean size?"),
    ("f(x; k) = x", "f(1)", "E0305", "f(1)", "keyword argument k of f is missing"),
    ("", "sqrt(-1.0)", "E0401", "sqrt(-1.0)", "-1.0"),
    ("", "(-1.0)^0.5", "E0401", "(-1.0)^0.5", "power"),
    ("f(n) = 2^n", "f(-1)", "E0401", "2^n", "2.0^n"),
    ("f(t, i) = t[i]", "f((1, 2), 0)", "E0402", "t[i]", "indices start at 1"),
    ("", "(1, 2)[3]", "E0402", "(1, 2)[3]", "index 3 is out of bounds for length 2"),
    ("function f()\n v = Int[]\n v[1]\nend", "f()", "E0402", "v[1]", "index 1 is out of bounds for length 0"),
    ("d = Dict(:a => 1)\nf(k) = d[k]", "f(:b)", "E0403", "d[k]", "there is no key :b"),
    ("function f()\n d = Dict{Int,Int}()\n d[3]\nend", "f()", "E0403", "d[3]", "there is no key 3"),
    ('f(x) = error("bad $x")', "f(3)", "E0404", 'error("bad $x")', "bad 3"),
    ("f(x) = @assert x > 0", "f(-1)", "E0405", "@assert x > 0", "x > 0"),
    ('f(x) = @assert x > 0 "got $x"', "f(-1)", "E0405", '@assert x > 0 "got $x"', "got -1"),
    ("", "1 ÷ 0", "E0407", "1 ÷ 0", "by zero"),
    ("", "Int(2.5)", "E0408", "Int(2.5)", "round(Int, x)"),
    ("", "1:0:5", "E0409", "1:0:5", "step"),
    ("", "maximum(())", "E0409", "maximum(())", "empty"),
    ("f() = pop!([])", "f()", "E0409", "pop!([])", "empty"),
    ("function f(c)\n if c\n  y = 1\n end\n y\nend", "f(false)", "E0410", "y", "y is read before it has a value"),
    ("c = 1\nf() = (c += 1)", "f()", "E0410", "c", "the global c is another variable"),
    ("f(x) = (x, x)", "gradient(f, 1.0)", "E0501", "gradient(f, 1.0)", "Tuple{Float64, Float64}"),
    ("", "[1, 2] + 1", "E0301", "[1, 2] + 1", "`.+` adds a number to each element"),
    ("", "[1, 2] + [1 2]", "E0412", "[1, 2] + [1 2]", "arrays of 1 and 2 dimensions have no common shape"),
    ("", "[1 2; 3]", "E0412", "[1 2; 3]", "the rows of this matrix have 2, 1 elements"),
    ("", "cumsum([1 2; 3 4])", "E0305", "cumsum([1 2; 3 4])", "say along which dimension"),
    ("", "map(+, [1 2], [1])", "E0412", "map(+, [1 2], [1])", "no common shape"),
    ("", "[1, 2][true]", "E0301", "[1, 2][true]", "a Bool is no index"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "expression", "code", "text", "says"), WRONG, ids=[f"{w[2]} {w[1] or w[0]}" for w in WRONG]
)
def test_error(program: str, expression: str, code: str, text: str, says: str) -> None:
    e = error_of(program, expression)
    assert (e.code, e.span.text) == (code, text), str(e)
    assert says in e.message or says in e.hint, str(e)


def test_both_lines_are_shown_where_types_do_not_join() -> None:
    e = error_of("function f(c)\n if c\n  y = 1\n else\n  y = true\n end\n y\nend", "f(true)")
    assert e.code == "E0202"
    assert [span.line for _, span in e.notes] == [3, 5]


def test_a_conflict_that_is_never_read_is_none() -> None:
    text = "function f(c)\n if c\n  t = 1\n  s = t + 1\n else\n  t = true\n  s = t ? 1 : 2\n end\n s\nend"
    assert value_of(text, "(f(true), f(false))") == (2, 1)


GROWING = [
    ("no way out", "g(n) = g(n + 1)", "g(1)", "E0406"),
    ("no way out of two", "a(n) = b(n)\nb(n) = a(n + 1)", "a(1)", "E0406"),
    ("a deeper tuple", "f(x, n) = n == 0 ? 1 : f((x, x), n - 1)", "f(1, 100)", "E0204"),
    ("a longer tuple", "f(x, n) = n == 0 ? 1 : f((x..., 1), n - 1)", "f((), 100)", "E0204"),
    ("a derivative of a derivative", "f(g, n) = n == 0 ? 1.0 : f(g', n - 1)", "f(sin, 5)", "E0204"),
    ("closures in closures", "f(g, n) = n == 0 ? 1.0 : f(x -> g(x), n - 1)", "f(sin, 5)", "E0204"),
    ("a derivative inside itself", "f(x) = x < 1 ? x : x * derivative(f, x - 1)", "f(3.0)", "E0504"),
    ("a box in a box", "function f(n)\n t = 1\n for i in 1:n\n  t = (t, i)\n end\n t\nend", "f(3)", "E0202"),
    ("an element that grows", "function f(n)\n v = []\n for i in 1:n\n  push!(v, v)\n end\n v\nend", "f(3)", "E0204"),
]


@pytest.mark.parametrize(("program", "expression", "code"), [g[1:] for g in GROWING], ids=[g[0] for g in GROWING])
def test_growth_is_an_error_soon(program: str, expression: str, code: str) -> None:
    start = time.process_time()
    assert error_of(program, expression).code == code
    assert time.process_time() - start < 5


def test_a_recursion_that_always_raises_is_no_endless_one() -> None:
    e = error_of('f(n) = n == 0 ? error("end") : f(n - 1)', "f(3)")
    assert (e.code, e.message) == ("E0404", "end")
