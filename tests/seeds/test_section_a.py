"""The seed listings in Julia's notation, verbatim, with the answers that are known for them."""

from __future__ import annotations

import math
import re

import pytest

import dsl
from tests.support.compare import difference
from tests.support.ways import WAYS, Way, evaluate, load

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)


def check(program: str, expression: str, expected: object, way: Way, rel: float = 1e-14) -> None:
    assert difference(evaluate(program, expression, way), expected, rel) == ""


@each_way
def test_quadratic(way: Way) -> None:
    program = "f(x) = x^2 + 2x + 1"
    check(program, "f(5)", 36, way)
    check(program, "gradient(f, 5)", (12.0,), way)
    check(program, "f'(5)", 12.0, way)


@each_way
def test_sine_at_pi(way: Way) -> None:
    check("g(x) = sin(x)", "g'(π)", -1.0, way)


@each_way
def test_log_exp(way: Way) -> None:
    check("", "gradient(log, 2)", (0.5,), way)
    check("", "gradient(exp, 2)", (7.38905609893065,), way)


@each_way
def test_softplus_like(way: Way) -> None:
    expected = (5 * math.cos(1) + 5) / (1 + math.exp(-(5 * math.sin(1) + 7)))
    check("f(x) = log(1 + exp(5*sin(x) + 5x + 2))", "f'(1)", expected, way)
    assert abs(expected - 7.701) < 1e-3


@each_way
def test_two_arguments(way: Way) -> None:
    check("g(a, b) = a*b", "gradient(g, 3, 4)", (4.0, 3.0), way)


@each_way
def test_recursion(way: Way) -> None:
    program = """
function foo(x, n)
  if n == 0
    return x
  end
  return foo(x*n, n-1)
end
"""
    check(program, "gradient(x->foo(x, 4), 5)", (24.0,), way)


SINE = "f(x) = 5*sin(x)"


@pytest.mark.parametrize("pi", ["π", "pi", "\\pi"])
@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_code_llvm(pi: str, mode: str) -> None:
    text = str(dsl.loads(SINE, mode=mode).code_llvm(f"f'({pi})"))
    assert _body(text) == ["ret double -5.000000e+00"]


def test_code_llvm_of_a_number_depends_on_it() -> None:
    text = str(dsl.loads(SINE).code_llvm("f'(2.0)"))
    assert re.search(r"define .*double @\S*\(double [^,)]*%x", text)
    assert _body(text) != ["ret double -5.000000e+00"]


def _body(text: str) -> list[str]:
    """The instructions of the one function in a listing, without labels, comments and metadata."""
    (body,) = re.findall(r"^define [^{]*\{\n(.*?)^\}", text, re.S | re.M)
    lines = [re.sub(r", !dbg !\d+|;.*", "", line).strip() for line in body.splitlines()]
    return [line for line in lines if line and not line.endswith(":")]


@each_way
def test_dict_of_functions(way: Way) -> None:
    check("d = Dict(:a=>sin, :b=>cos)", "gradient(d[:a], 5)", (0.28366218546322625,), way)


POINTS = """
import Base: +, -
struct Point
  x::Float64
  y::Float64
end
a::Point + b::Point = Point(a.x + b.x, a.y + b.y)
a = Point(1, 2)
b = Point(3, 4)
"""


@each_way
def test_struct_operator(way: Way) -> None:
    check(POINTS, "gradient(x->(x+b).x, a)", ({"x": 1.0, "y": None},), way)


@each_way
def test_scalar_output_only(way: Way) -> None:
    with pytest.raises(dsl.DslError) as caught:
        evaluate(POINTS, "gradient(x -> x + b, a)", way)
    assert caught.value.kind == "NonScalarOutput"
    assert "Point" in caught.value.message
    assert re.search("field|jacobian|pullback", caught.value.hint)


DUAL = """
import Base: *, sin, log
struct Dual{T<:Real} <: Real
  x::T
  ϵ::T
end
a::Dual * b::Dual = Dual(a.x*b.x, a.x*b.ϵ + a.ϵ*b.x)
a::Real * b::Dual = Dual(a*b.x, a*b.ϵ)
sin(a::Dual) = Dual(sin(a.x), cos(a.x)*a.ϵ)
log(a::Dual) = Dual(log(a.x), a.ϵ/a.x)
D(f, x) = f(Dual(x, one(x))).ϵ
f(x) = 5*sin(log(x))
"""


@each_way
def test_dual_number(way: Way) -> None:
    expected = 5 * math.cos(math.log(3.0)) / 3.0
    check(DUAL, "D(f, 3.0)", expected, way)
    check(DUAL, "f'(3.0)", expected, way)
    check(DUAL, "(Dual(2.0, 1.0) * Dual(3.0, 5.0)).ϵ", 13.0, way)  # the most specific method, not a::Real * b::Dual


POW = """
function pow(x, n)
  r = 1
  while n > 0
    n -= 1
    r *= x
  end
  return r
end
"""


@each_way
def test_pow_loop(way: Way) -> None:
    check(POW, "gradient(pow, 2, 3)", (12.0, None), way)


@each_way
def test_grad_pow_tape(way: Way) -> None:
    program = (
        POW
        + """
function grad_pow(x, n)
  r = 1
  Bs = Tuple{Int, Int}[]
  while n > 0
    push!(Bs, (r, x))
    n -= 1
    r *= x
  end
  dx = 0
  dr = 1
  for i = length(Bs):-1:1
    (r, x) = Bs[i]
    dx += dr*r
    dr = dr*x
  end
  return dx
end
"""
    )
    check(program, "grad_pow(2, 3)", 12, way)
    check(program, "grad_pow(3, 5) == gradient(pow, 3, 5)[1]", True, way)


WENGERT = "f(x) = 5sin(log(x))"


@pytest.mark.parametrize("expression", ["f(2.0)", "f'(2.0)"])
@pytest.mark.parametrize("command", ["code_lowered", "code_typed", "code_warntype"])
def test_code_typed(command: str, expression: str) -> None:
    module = dsl.loads(WENGERT)
    show = getattr(module, command, None) or module.code_typed
    lines = [line.strip() for line in str(show(expression)).splitlines() if line.strip()]
    assert any(line.startswith("fn @") for line in lines)
    steps = [line for line in lines if line.startswith("%")]
    assert steps
    assert all(re.match(r"%[^ ]+: \S+(, %[^ ]+: \S+)* = \S", line) for line in steps)  # one typed instruction a line


def test_code_typed_is_the_wengert_list() -> None:
    text = str(dsl.loads(WENGERT).code_typed("f(2.0)"))
    log, sin, mul = (re.search(rf"%(\S+): f64 = {op} .*", text) for op in ("log", "sin", "mul"))
    assert log and sin and mul
    assert f"%{log[1]}" in sin[0]
    assert f"%{sin[1]}" in mul[0]


def test_functions_can_be_called_from_python() -> None:
    module = load("f(x) = x^2 + 2x + 1\ng(a, b) = a*b", WAYS[-1])
    assert module.f(5) == 36
    assert module.f(0.5) == 2.25
    assert dsl.gradient(module.f, 5) == (12.0,)
    assert dsl.grad(module.f)(5.0) == 12.0
    assert dsl.gradient(module.g, 3, 4) == (4.0, 3.0)
