"""Which memory of its caller a function may write."""

from __future__ import annotations

import numpy
import pytest

import dsl
from dsl.analysis.writes import written_paths
from tests.unit.runtime.programs import parsed

HELPERS = """
fn @set(%m: mem<f64>) -> f64 {
  %zero: i64 = const 0
  %x: f64 = const 1.0
  store %m[%zero], %x
  return %x
}
fn @give(%a: mem<f64>, %b: mem<f64>) -> mem<f64> {
  return %b
}
"""
PROGRAMS = {
    "reading": ("%x: f64 = load %a[%zero]", set()),
    "storing": ("store %a[%zero], %one", {(0,)}),
    "adding": ("acc %b[%zero], %one {0}", {(1,)}),
    "pushing": ("push %a, %one", {(0,)}),
    "popping": ("%x: f64 = pop %b", {(1,)}),
    "in a callee": ("%x: f64 = call @set(%b)", {(1,)}),
    "what a callee gives": ("%r: mem<f64> = call @give(%a, %b)\n  store %r[%zero], %one", {(1,)}),
    "inside records": ("%r: mem<f64> = load %c[%zero]\n  store %r[%zero], %one", {(2, 0)}),
    "records themselves": ("store %c[%zero], %a", {(2,)}),
    "through what was put in": (
        "store %c[%zero], %a\n  %r: mem<f64> = load %c[%zero]\n  store %r[%zero], %one", {(2,), (2, 0), (0,)},
    ),
    "fresh memory": ("%r: mem<f64> = new %zero\n  push %r, %one", set()),
    "fresh records": (
        "%n: mem<mem<f64>> = new %zero\n  push %n, %b\n  %r: mem<f64> = load %n[%zero]\n  store %r[%zero], %one",
        {(1,)},
    ),
    "packed": ("%o: obj = pack %one, %b\n  %x: f64, %r: mem<f64> = unpack %o\n  store %r[%zero], %one", {(1,)}),
    "either": (
        "%r: mem<f64> = if %yes {\n    yield %a\n  } else {\n    yield %b\n  }\n  store %r[%zero], %one", {(0,), (1,)},
    ),
    "carried by a loop": (
        "%r: mem<f64> = for %i = %zero, %zero, %zero (%h: mem<f64> = %a) {\n    next %b\n  }\n  push %r, %one",
        {(0,), (1,)},
    ),
    "read, then replaced": (
        "%r: mem<f64> = for %i = %zero, %zero, %zero (%h: mem<f64> = %a) {\n    %x: f64 = load %h[%zero]\n"
        "    %f: mem<f64> = new %zero\n    push %f, %x\n    next %f\n  }", set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_paths(name: str) -> None:
    body, expected = PROGRAMS[name]
    program = parsed(f"""{HELPERS}
fn @f(%a: mem<f64>, %b: mem<f64>, %c: mem<mem<f64>>, %yes: bool) -> i64 {{
  %zero: i64 = const 0
  %one: f64 = const 1.0
  {body}
  return %zero
}}
""")
    assert written_paths(program, "f") == frozenset(expected)


def test_recursion() -> None:
    program = parsed("""
fn @f(%a: mem<f64>, %b: mem<f64>, %n: i64) -> i64 {
  %zero: i64 = const 0
  %more: bool = gt %n, %zero
  if %more {
    %k: i64 = call @f(%b, %a, %zero)
    yield
  } else {
    %x: f64 = const 1.0
    store %a[%zero], %x
    yield
  }
  return %n
}
""")
    assert written_paths(program, "f") == {(0,), (1,)}


def test_a_layer_after_the_other_changes_no_input() -> None:
    m = dsl.loads("""
function chain(layers, x)
    h = x
    for (W, b) in layers
        out = copy(b)
        for i in 1:size(W, 1), j in 1:size(W, 2)
            out[i] += W[i, j] * h[j]
        end
        h = out
    end
    h[1]
end
""")
    x = numpy.array([1.0, 2.0])
    layers = [(numpy.array([[1.0, 2.0], [3.0, 4.0]]), numpy.array([0.5, 0.25]))] * 2
    for array in (x, *(a for layer in layers for a in layer)):
        array.flags.writeable = False
    assert m.chain(layers, x) == 5.5 + 2 * 11.25 + 0.5
    assert dsl.gradient(m.chain, layers, x)[1].tolist() == [7.0, 10.0]
