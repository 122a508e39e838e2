"""What programs mean: small ones with their values, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.unit.lower.support import Lowered, value_of

E = math.e
PROGRAMS: list[tuple[str, str, str, Any]] = [
    # ---------------------------------------------------------------- numbers
    ("promotion", "", "(1 + 2, 1 + 2.0, 7 / 2, 6 / 3, 2 * 3.0, true + true)", (3, 3.0, 3.5, 2.0, 6.0, 2)),
    ("division", "", "(7 ÷ 2, -7 ÷ 2, -7 % 3, mod(-7, 3), fld(-7, 2), 7.5 ÷ 2.0)", (3, -3, -1, 2, -4, 3.0)),
    ("powers", "f(n) = 2^n", "(2^10, 2^-1, 2.0^-2, f(5), 4^0.5, (-2.0)^3)", (1024, 0.5, 0.25, 32, 2.0, -8.0)),
    ("wrap-around", "", "9223372036854775807 + 1", -(2**63)),
    ("single precision", "", "1.5f0 + 1", 2.5),
    ("constants", "", "(π / π, 2π > 6.28, ℯ^1)", (1.0, True, E)),
    (
        "rounding",
        "",
        "(round(2.5), round(Int, 3.5), floor(-0.5), ceil(Int, 0.2), trunc(-1.7))",
        (2.0, 4, -1.0, 1, -1.0),
    ),
    ("n-ary", "", "(+(1, 2, 3), *(2, 3, 4), max(1, 3.0, 2), min(4, 2))", (6, 24, 3.0, 2)),
    ("chained comparison", "f(x) = 0 < x <= 1 != 2", "(f(0), f(0.5), f(1), f(2))", (False, True, True, False)),
    ("a chain stops early", "f(x) = x < 0 < error(\"not needed\")", "f(1)", False),
    (
        "equality",
        "",
        "((1, 2) == (1.0, 2), :a == :a, \"a\" == \"b\", 1 === 1.0, nothing === nothing)",
        (True, True, False, False, True),
    ),
    ("approximately", "", "(1.0 ≈ 1.0 + 1e-12, 1.0 ≈ 1.1)", (True, False)),
    ("zero and one", "f(x) = (zero(x), one(x))", "(f(2.5), f(3), zero(Float64))", (0.0, 1.0, 0, 1, 0.0)),
    # ---------------------------------------------------------------- control flow
    (
        "widening by a loop",
        "function f(x)\n"
        " s = 0\n"
        " for i in 1:3\n"
        "  s += x\n"
        " end\n"
        " s\n"
        "end",
        "f(1.5)",
        4.5,
    ),
    (
        "no trip keeps the entry",
        "function f(x)\n"
        " s = 0\n"
        " for i in 1:0\n"
        "  s += x\n"
        " end\n"
        " s\n"
        "end",
        "f(1.5)",
        0.0,
    ),
    (
        "guards",
        "function f(x)\n"
        " x > 2 && return 2\n"
        " x > 1 && return 1.5\n"
        " 0\n"
        "end",
        "(f(3), f(2), f(0))",
        (2.0, 1.5, 0.0),
    ),
    (
        "break leaves all iterators",
        "function f()\n"
        " s = 0\n"
        " for i in 1:3, j in 1:3\n"
        "  i * j == 4 && break\n"
        "  s += 1\n"
        " end\n"
        " s\n"
        "end",
        "f()",
        4,
    ),
    (
        "continue",
        "function f()\n"
        " s = 0\n"
        " for i in 1:6\n"
        "  i % 2 == 0 && continue\n"
        "  s += i\n"
        " end\n"
        " s\n"
        "end",
        "f()",
        9,
    ),
    (
        "continue in while",
        "function f()\n"
        " s = i = 0\n"
        " while i < 6\n"
        "  i += 1\n"
        "  i == 3 && continue\n"
        "  s += i\n"
        " end\n"
        " s\n"
        "end",
        "f()",
        18,
    ),
    (
        "return from two loops",
        "function f(n)\n"
        " for i in 1:n\n"
        "  for j in 1:n\n"
        "   i * j > 5 && return (i, j)\n"
        "  end\n"
        " end\n"
        " (0, 0)\n"
        "end",
        "(f(3), f(2))",
        (2, 3, 0, 0),
    ),
    (
        "while true",
        "function f(x)\n"
        " n = 0\n"
        " while true\n"
        "  x < 1 && break\n"
        "  x /= 2\n"
        "  n += 1\n"
        " end\n"
        " n\n"
        "end",
        "f(9.0)",
        4,
    ),
    (
        "a loop variable is fresh",
        "function f()\n"
        " i = 7\n"
        " for i in 1:3\n"
        " end\n"
        " i\n"
        "end",
        "f()",
        7,
    ),
    (
        "steps",
        "function f()\n"
        " s = 0\n"
        " for i in 10:-3:1\n"
        "  s = 10s + i\n"
        " end\n"
        " s\n"
        "end",
        "f()",
        10741,
    ),
    ("a float range", "f() = sum(0.0:0.25:1.0)", "(f(), length(0.0:0.25:1.0), length(0:0.1:1))", (2.5, 5, 11)),
    (
        "unrolling",
        "function f(t)\n"
        " s = 0.0\n"
        " for x in t\n"
        "  x isa Bool && continue\n"
        "  x > 5 && break\n"
        "  s += x\n"
        " end\n"
        " s\n"
        "end",
        "f((1, true, 2.5, 6, 100))",
        3.5,
    ),
    (
        "one arm only",
        "function f(c)\n"
        " if c\n"
        "  y = 1\n"
        " else\n"
        "  y = 2.5\n"
        " end\n"
        " y\n"
        "end",
        "(f(true), f(false))",
        (1.0, 2.5),
    ),
    (
        "narrowing",
        "function f(x)\n"
        " y = x > 0 ? x : nothing\n"
        " y === nothing ? -1.0 : y + 1\n"
        "end",
        "(f(2.0), f(-2.0))",
        (3.0, -1.0),
    ),
    (
        "dead code",
        "function f(x)\n"
        " return x\n"
        " undefined_thing\n"
        "end",
        "f(1)",
        1,
    ),
    # ---------------------------------------------------------------- functions
    ("defaults", "f(x, y=2x; k=1) = x * y + k", "(f(3), f(3, 4), f(3; k=2), f(3, 1, k=0))", (19, 13, 20, 3)),
    (
        "varargs",
        "f(x, ys...) = x + sum(ys)\n"
        "g(xs...) = f(xs...)",
        "(f(1, 2), g(1, 2, 3.0))",
        (3, 6.0),
    ),
    ("recursion", "f(n) = n <= 1 ? n : f(n - 1) + f(n - 2)", "f(15)", 610),
    (
        "mutual recursion",
        "even(n) = n == 0 ? true : odd(n - 1)\n"
        "odd(n) = n == 0 ? false : even(n - 1)",
        "(even(10), even(7))",
        (True, False),
    ),
    ("a recursion that widens", "f(x, n) = n == 0 ? 1 : x * f(x, n - 1)", "(f(1.5, 2), f(2, 3))", (2.25, 8)),
    (
        "methods",
        "f(x::Int) = 1\n"
        "f(x::Real) = 2\n"
        "f(x) = 3\n"
        "f(x::Int, y::T) where T<:Real = 4",
        "(f(1), f(1.0), f(:a), f(1, 2.0))",
        (1, 2, 3, 4),
    ),
    (
        "one type variable",
        "f(x::T, y::T) where T = 1\n"
        "f(x, y) = 2",
        "(f(1, 2), f(1, 2.0))",
        (1, 2),
    ),
    ("a declared result", "f(x)::Float64 = x > 0 ? 1 : 2", "f(1)", 1.0),
    ("composition", "f = sqrt ∘ abs", "(f(-4), -9 |> abs |> sqrt)", (2.0, 3.0)),
    (
        "shadowing a built-in",
        "tanh(x) = 2x\n"
        "f(x) = tanh(x)",
        "f(3)",
        6,
    ),
    ("functions in a tuple", "f(fs, x) = map(g -> g(x), fs)", "f((sqrt, abs, x -> x + 1), 4)", (2.0, 4, 5)),
    ("one of several functions", "f(b, x) = (b ? abs : y -> y * x)(x)", "(f(true, -3), f(false, -3))", (3, 9)),
    (
        "fixed-point combinator",
        "Y(f) = (x -> x(x))(x -> f(y -> x(x)(y)))\n"
        "fact = Y(self -> n -> n == 0 ? 1 : n * self(n - 1))",
        "fact(5)",
        120,
    ),
    ("a name for a type", "const V = Vector{Float64}\nf(v::V) = 1\nf(v) = 2", "(f(Float64[]), f(Int[]))", (1, 2)),
    ("an annotated variable", "function f(x)\n y::Float64 = 1\n y = x\n y\nend", "f(3)", 3.0),
    ("given type parameters", "struct S{T}\n v::T\n n::Int\nend\nS(x) = S(x, 0)", "S{Float64}(1, 2).v", 1.0),
    ("isa narrows", "f(x) = (y = x > 0 ? x : nothing; y isa Nothing ? 0 : y + 1)", "(f(1), f(-1))", (2, 0)),
    (
        "nothing is dispatched at run time",
        "g(x::Int) = x\ng(::Nothing) = 0\nf(x) = g(x > 0 ? x : nothing)",
        "(f(1), f(-1))",
        (1, 0),
    ),
    # ---------------------------------------------------------------- closures
    (
        "a shared box",
        "function f(x)\n"
        " c = x\n"
        " inc() = (c += 1; nothing)\n"
        " inc(); inc()\n"
        " c\n"
        "end",
        "(f(1), f(1.5))",
        (3, 3.5),
    ),
    (
        "a box that widens",
        "function f(x)\n"
        " c = 0\n"
        " add(y) = (c += y; c)\n"
        " add(1)\n"
        " add(x)\n"
        "end",
        "f(1.5)",
        2.5,
    ),
    (
        "each iteration its own",
        "function f()\n"
        " fs = Function[]\n"
        " for i in 1:3\n"
        "  push!(fs, x -> x * i)\n"
        " end\n"
        " sum(g(10) for g in fs)\n"
        "end",
        "f()",
        60,
    ),
    (
        "local recursion",
        "function f(x)\n"
        " g(n) = n == 0 ? x : 2g(n - 1)\n"
        " g(3)\n"
        "end",
        "f(1.5)",
        12.0,
    ),
    (
        "counters are apart",
        "counter() = (c = 0; () -> (c += 1))\n"
        "function f()\n"
        " a = counter(); b = counter()\n"
        " a(); a(); b()\n"
        " (a(), b())\n"
        "end",
        "f()",
        (3, 2),
    ),
    # ---------------------------------------------------------------- data
    (
        "structs",
        "struct P\n"
        " x\n"
        " y\n"
        "end\n"
        "import Base: +\n"
        "a::P + b::P = P(a.x + b.x, a.y + b.y)\n"
        "f() = P(1, 2.0) + P(3, 4)",
        "f()",
        (4, 6.0),
    ),
    (
        "field conversion",
        "struct P\n"
        " x::Float64\n"
        "end",
        "P(1).x",
        1.0,
    ),
    (
        "inner constructor",
        "struct P\n"
        " x\n"
        " y\n"
        " P(x) = new(x, 2x)\n"
        "end",
        "(P(3).x, P(3).y)",
        (3, 6),
    ),
    (
        "outer constructor",
        "struct P\n"
        " x\n"
        " y\n"
        "end\n"
        "P(x) = P(x, x)",
        "P(3).y",
        3,
    ),
    (
        "callable struct",
        "struct A\n"
        " w\n"
        " b\n"
        "end\n"
        "(m::A)(x) = m.w * x + m.b",
        "A(2, 3)(4)",
        11,
    ),
    (
        "mutable struct",
        "mutable struct A\n"
        " v\n"
        "end\n"
        "function f()\n"
        " a = A(1)\n"
        " b = a\n"
        " b.v += 1.5\n"
        " a.v\n"
        "end",
        "f()",
        2.5,
    ),
    ("named tuples", "f(p) = p.a + p[:b] + p[1]", "f((a = 1, b = 2))", 4),
    (
        "destructuring",
        "function f((a, (b, c)), d)\n"
        " x, y... = (a, b, c, d)\n"
        " x + sum(y)\n"
        "end",
        "f((1, (2, 3)), 4)",
        10,
    ),
    (
        "swap",
        "function f()\n"
        " a, b = 1, 2.5\n"
        " a, b = b, a\n"
        " (a, b)\n"
        "end",
        "f()",
        (2.5, 1),
    ),
    (
        "Ref",
        "function f()\n"
        " r = Ref(0)\n"
        " for i in 1:3\n"
        "  r[] += i / 2\n"
        " end\n"
        " r[]\n"
        "end",
        "f()",
        3.0,
    ),
    (
        "vectors",
        "function f()\n"
        " v = []\n"
        " push!(v, 1)\n"
        " push!(v, 2.5)\n"
        " v[1] = 4\n"
        " (pop!(v), v[end], length(v))\n"
        "end",
        "f()",
        (2.5, 4.0, 1),
    ),
    (
        "append to itself",
        "function f()\n"
        " v = Int[]\n"
        " push!(v, 1, 2)\n"
        " append!(v, v)\n"
        " sum(v)\n"
        "end",
        "f()",
        6,
    ),
    ("a tuple by a run-time index", "f(i) = (1, 2.5, 3)[i]", "(f(2), f(3))", (2.5, 3.0)),
    # ---------------------------------------------------------------- Dicts
    ("known keys", "f(k) = Dict(:a => 1, :b => 2.5)[k]", "(f(:a), f(:b))", (1, 2.5)),
    (
        "run-time keys",
        "function f(n)\n"
        " d = Dict(:a => 1, :b => 2)\n"
        " k = n > 0 ? :a : :b\n"
        " d[k] += 10\n"
        " (d[:a], d[:b])\n"
        "end",
        "(f(1), f(-1))",
        (11, 2, 1, 12),
    ),
    (
        "a new key",
        "function f()\n"
        " d = Dict(\"a\" => 1.0)\n"
        " d[\"b\"] = 2\n"
        " sum(values(d))\n"
        "end",
        "f()",
        3.0,
    ),
    (
        "computed keys",
        "function f(n)\n"
        " d = Dict()\n"
        " for i in 1:n\n"
        "  d[i * i] = i\n"
        " end\n"
        " (d[49], length(d), haskey(d, 5), get(d, 5, -1))\n"
        "end",
        "f(100)",
        (7, 100, False, -1),
    ),
    (
        "tuple keys",
        "function f()\n"
        " d = Dict{Tuple{Int,Int},Float64}()\n"
        " d[(1, 2)] = 3\n"
        " d[(2, 1)] = 4\n"
        " d[(1, 2)]\n"
        "end",
        "f()",
        3.0,
    ),
    (
        "memoisation",
        "function f(n)\n"
        " memo = Dict{Int,Int}()\n"
        " g(k) = k < 2 ? k : get!(() -> g(k - 1) + g(k - 2), memo, k)\n"
        " g(n)\n"
        "end",
        "f(60)",
        1548008755920,
    ),
    (
        "order of insertion",
        "function f()\n"
        " d = Dict{Int,Int}()\n"
        " for i in 5:-1:1\n"
        "  d[i] = i\n"
        " end\n"
        " s = 0\n"
        " for (k, v) in d\n"
        "  s = 10s + k\n"
        " end\n"
        " s\n"
        "end",
        "f()",
        54321,
    ),
    # ---------------------------------------------------------------- iteration
    (
        "enumerate and zip",
        "f(t) = sum(i * x for (i, x) in enumerate(t))\n"
        "g() = sum(a * b for (a, b) in zip(1:3, (4, 5, 6)))",
        "(f((1, 2, 3)), g())",
        (14, 32),
    ),
    (
        "generators",
        "",
        "(sum(i * j for i in 1:3, j in 1:i if i != j), prod(i for i in 1:5), count(i % 2 == 0 for i in 1:7))",
        (11, 120, 3),
    ),
    (
        "folds",
        "",
        "(foldl(-, (1, 2, 3)), foldr(-, (1, 2, 3)), mapreduce(x -> x^2, +, 1:3), reduce(max, (3, 5, 1)))",
        (-4, 2, 14, 5),
    ),
    (
        "extremes",
        "",
        "(maximum((1, 3.5, 2)), minimum(x -> -x, 1:4), argmax((2, 7, 7)), any(x -> x > 2, 1:3), all(iseven, (2, 4)))",
        (3.5, -4, 2, True, True),
    ),
    ("any stops early", "f() = any(x -> x > 0 ? true : error(\"not needed\"), (1, -1))", "f()", True),
    (
        "find",
        "f(t) = findfirst(x -> x > 2, t)\n"
        "g(t) = (k = f(t); k === nothing ? 0 : k)",
        "(g((1, 5, 3)), g((1, 2)))",
        (2, 0),
    ),
    ("collect", "", "collect(1:2:9)[end]", 9),
    (
        "reversed",
        "function f()\n"
        " s = 0\n"
        " for i in reverse(1:3)\n"
        "  s = 10s + i\n"
        " end\n"
        " s\n"
        "end",
        "f()",
        321,
    ),
]


@pytest.mark.parametrize(("program", "call", "expected"), [p[1:] for p in PROGRAMS], ids=[p[0] for p in PROGRAMS])
def test_value(program: str, call: str, expected: Any) -> None:
    value = value_of(program, call)
    assert value == expected
    kinds = [type(v) for v in value] if isinstance(value, tuple) else type(value)
    assert kinds == ([type(v) for v in expected] if isinstance(expected, tuple) else type(expected))


PRINTED = [
    ('println("x = $(1 + 1), ", :a, " ", 2.5, true)', "x = 2, a 2.5true\n"),
    ("println((1, \"a\", :b), (x = 1.0,), nothing)", '(1, "a", :b)(x = 1.0,)nothing\n'),
    ("@show 1 + 2", "1 + 2 = 3\n"),
    ("println(1:3, 1:2:5)", "1:31:2:5\n"),
    ("println(Dict(:a => 1.0))", "Dict(:a => 1.0)\n"),
    ("begin\n v = Float64[]\n print(v)\n push!(v, 1, 2.5)\n println(v)\nend", "Float64[][1.0, 2.5]\n"),
    ("println(f(1), f(-1))", "1nothing\n"),
    ("println(P(1, 2.5))", "P(1, 2.5)\n"),
    ("println(\"{0} \\$\")", "{0} $\n"),
]


@pytest.mark.parametrize(("statement", "expected"), PRINTED)
def test_printing(statement: str, expected: str) -> None:
    lowered = Lowered("f(x) = x > 0 ? x : nothing\nstruct P\n x\n y\nend")
    lowered.value(statement)
    assert "".join(lowered.out) == expected


TYPES = [
    ("1", "Int64"),
    ("(1, 2.0)", "Tuple{Int64, Float64}"),
    ("1 > 2 ? 1 : nothing", "Union{Nothing, Int64}"),
    ("(a = 1,)", "@NamedTuple{a::Int64}"),
    ("gradient((x, n) -> x^2, 2, 3)", "Tuple{Float64, Nothing}"),
    ("1:3", "Range{Int64}"),
]


@pytest.mark.parametrize(("expression", "expected"), TYPES)
def test_types(expression: str, expected: str) -> None:
    assert Lowered("").type(expression) == expected
