"""Loops in blocks that are run again, and functions that are: the same derivatives, of every order, as without."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import dsl
from dsl.ad import blocks, reverse_plan
from dsl.ir.text import parse_program

LINES = Path(__file__).with_name("checkpoint_programs.txt").read_text(encoding="utf-8").splitlines()
PROGRAMS = [line for line in LINES if not line.startswith("#")]
TWICE = [p for p in PROGRAMS if "hook" not in p]  # a hook means something else to each mode
POINT = "[0.7, 0.8, 0.45]"


def numbers(program: str, call: str, **options: object) -> list[float]:
    text = f"function whole(x, n, m)\n{program}\nend\nf(x) = whole(x, 7, 0)"
    found = dsl.loads(text, **options).eval(call)
    return [float(d) for d in (found[0] if isinstance(found, tuple) else found).ravel()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_gradient(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = f"gradient(f, {POINT})"
    forward = numbers(program, call, mode="forward", opt_level=0)
    monkeypatch.setenv("DFL_CHECKPOINT", "on")
    for options in ({"interpreter": True}, {"interpreter": False, "verify": True}):
        reverse = numbers(program, call, mode="reverse", **options)
        assert reverse == pytest.approx(forward, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("program", TWICE)
def test_hessian_and_reverse_over_reverse(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_CHECKPOINT", "off")
    want = numbers(program, f"hessian(f, {POINT})", mode="forward", opt_level=0)
    monkeypatch.setenv("DFL_CHECKPOINT", "on")
    assert numbers(program, f"hessian(f, {POINT})", opt_level=0) == pytest.approx(want, rel=1e-9, abs=1e-11)
    along = f"gradient(x -> sum(gradient(f, x)[1] .* [1.0, 2.0, 4.0]), {POINT})"
    rows = [want[3 * k] + 2 * want[3 * k + 1] + 4 * want[3 * k + 2] for k in range(3)]
    assert numbers(program, along, mode="reverse", opt_level=0) == pytest.approx(rows, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("program", PROGRAMS)
def test_pullbacks_called_late_and_twice(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    want = numbers(program, f"gradient(f, {POINT})", mode="forward", opt_level=0)
    monkeypatch.setenv("DFL_CHECKPOINT", "on")
    calls = "y, b = pullback(f, x); z, c = pullback(f, x .* 1.5); p = b(1.0)[1]; c(1.0); p .+ 2 .* b(1.0)[1]"
    found = numbers(program, f"(x -> begin; {calls}; end)({POINT})", opt_level=0)
    assert found == pytest.approx([3 * d for d in want], rel=1e-12, abs=1e-13)


# ---------------------------------------------------------------- functions, structs, arguments

MORE = {
    "recursion": ("""
function f(x, n)
  s = x
  for i in 1:n
    s = sin(s * x) + 0.1
    s = i == 2 && n > 2 ? f(s, n - 2) : s
  end
  s
end""", "gradient(f, 0.7, 7)"),
    "a function called in a loop": ("""
function walk(s, p, n)
  for i in 1:n
    s = sin(s * p) + 0.1
  end
  s
end
function f(x, n)
  s = x
  for i in 1:n
    s = walk(s, x, i) * 0.9
  end
  s
end""", "gradient(f, 0.7, 7)"),
    "mutable structs": ("""
mutable struct Cell
  v::Float64
  w::Float64
end
function f(x, n)
  c = Cell(x, 2x)
  for i in 1:n
    c.v, c.w = sin(c.w), c.v * x
  end
  c.v * c.w
end""", "gradient(f, 0.7, 7)"),
    "structs": ("""
struct Point
  a::Float64
  b::Float64
end
function f(x, n)
  p = Point(x, 2x)
  for i in 1:n
    p = Point(sin(p.b), p.a * x)
  end
  p.a * p.b
end""", "gradient(f, 0.7, 7)"),
    "an argument that is changed": ("""
function f(u, n)
  for i in 1:n
    u[1] = sin(u[2]) * u[1]
    u[2] = u[1] + 0.2
  end
  sum(u .* u)
end""", "gradient(f, [0.7, 0.3], 7)"),
    "one argument twice": ("""
function g(u, v, n)
  for i in 1:n
    u[1] = sin(v[2]) * u[1]
    v[2] = u[1] + 0.2
  end
  sum(u .* v)
end
f(x, n) = (w = x .* 1; g(w, w, n))""", "gradient(f, [0.7, 0.3], 7)"),
}


@pytest.mark.parametrize("name", MORE)
def test_functions_structs_and_arguments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, call = MORE[name]
    monkeypatch.setenv("DFL_CHECKPOINT", "on")
    forward, reverse = (dsl.loads(text, mode=mode).eval(call)[0] for mode in ("forward", "reverse"))
    assert np.ravel(reverse) == pytest.approx(np.ravel(forward), rel=1e-12)


def test_an_argument_is_as_it_was_and_a_result_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_CHECKPOINT", "on")
    module = dsl.loads("""
function f(x)
  u = x .* 1
  for i in 1:9
    u[1] = sin(u[2]) * u[1]
    u[2] = u[1] + 0.2
  end
  u
end""")
    x = np.array([0.7, 0.3])
    y, back = dsl.vjp(module.f, x)
    kept = y.copy()
    first, second = back(np.array([1.0, 0.0]))[0], back(np.array([1.0, 0.0]))[0]
    assert (y == kept).all() and (x == [0.7, 0.3]).all()
    assert first == pytest.approx(second, rel=1e-15)


# ---------------------------------------------------------------- printing and errors

SPEAKING = """
tell(s) = (println("at ", round(Int, s)); nothing)
function f(x, n)
  s = x
  @checkpoint for i in 1:n
    tell(i)
    println(i)
    s = sin(s) * x
  end
  s
end
"""


def test_what_is_run_again_prints_once(capfd: pytest.CaptureFixture[str]) -> None:
    module = dsl.loads(SPEAKING, mode="reverse")
    capfd.readouterr()
    module.eval("gradient(f, 0.7, 5)")
    assert capfd.readouterr().out.split() == [w for i in range(1, 6) for w in ("at", str(i), str(i))]
    module = dsl.loads(SPEAKING + "g(x) = checkpointed(y -> f(y, 3), x)", mode="reverse")
    capfd.readouterr()
    module.eval("gradient(g, 0.7)")
    assert capfd.readouterr().out.split() == [w for i in range(1, 4) for w in ("at", str(i), str(i))]


@pytest.mark.parametrize("setting", ["on", "off"])
def test_an_error_inside_is_the_same(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_CHECKPOINT", setting)
    body = "s = x\n for i in 1:n\n s = sqrt(s - 0.1) * 0.5\n end\n s"
    module = dsl.loads(f"function f(x, n)\n{body}\nend", mode="reverse")
    assert module.eval("gradient(f, 0.9, 3)[1]") > 0
    with pytest.raises(dsl.DslError, match="sqrt") as caught:
        module.eval("gradient(f, 0.9, 30)")
    assert caught.value.span.line == 4


# ---------------------------------------------------------------- what is decided


def decided(body: str, call: str = "f(0.7, 5)", parameters: str = "x, n") -> list[str]:
    """What the plan says of loops and blocks, in the order of the text."""
    plan = str(dsl.loads(f"function f({parameters})\n{body}\nend").code_plan(call)).split("reverse of a block")[0]
    return re.findall(r"((?:not )?in blocks.*)", plan)


SMALL, BIG = (f"in blocks where its tape would take more than {size} MB" for size in (1, 64))


@pytest.fixture
def by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFL_CHECKPOINT", raising=False)


@pytest.mark.usefixtures("by_itself")
@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("s = x; for i in 1:n; s = sin(s) * x; end; s", [BIG]),
        ("s = x; for i in 1:n; s += sin(s); end; s", [BIG]),
        ("s = 0.0; for i in 1:n; s += sin(i * x); end; s", []),  # a sum has no state
        ("s = 0.0; for i in 1:n; s -= sin(i * x); end; s", []),
        ("s = 1.0; t = x; for i in 1:n; t += x; s += sin(t); end; s", []),  # nor has what grows by the same
        ("s = x; for i in 1:n; s = 2s - x; end; s", []),  # keeps nothing
        ("s = x; for i in 1:4194304; s = sin(s); end; s", []),  # a number each: 64 MB are not more than 64 MB …
        ("s = x; for i in 1:8388609; s = sin(s); end; s", [BIG]),
        ("s = x; for i in 1:n; for j in 1:n; s = sin(s) * x; end; end; s", [BIG]),  # the outer one alone
        ("s = x; t = 0.0; for i in 1:n; s = x * i; for j in 1:n; s = sin(s) * x; end; t += s; end; t", [BIG]),
        ("s = x; for i in 1:n; s = sin(s) * x; println(i); end; s", []),
        ("s = x; v = [1.0]; for i in 1:n; s = sin(s) * x; push!(v, s); end; s + v[end]", []),
        ("s = x; for i in 1:n; s = sin(s) * x; if s > 0.9; break; end; end; s", []),
        ("s = x; while s > 0.1; s = sin(s) * x; end; s", []),
        ("u = [x, 2x]; for i in 1:n; u = u .* 2 .* u; end; sum(u)", [BIG]),  # arrays, of which no shadows are kept
        ("u = w = [x, 2x]; for i in 1:n; v = u .* 2 .* u; w = u; u = v; end; sum(w)", [SMALL]),  # with shadows
        ("u = [x, 2x]; for i in 1:n; u = sin.(sin.(sin.(sin.(sin.(u))))) .* exp.(exp.(-u)); end; sum(u)", [BIG]),
        ("u = [x, 2x]; for i in 1:n; u[1] = u[2] * sin(u[1]); end; sum(u)", [BIG]),
        ("u = [[x], [2x]]; for i in 1:n; u[1][1] = u[2][1] * sin(u[1][1]); end; u[1][1]", []),  # not to be copied
        ("@checkpoint for i in 1:n; x = sin(x); end; x", ["in blocks"]),
        ("s = 0.0; @checkpoint for i in 1:n; s += sin(i * x)^2; end; s", ["in blocks"]),
        ("@checkpoint for i in 1:n; x = 2x; end; x", ["not in blocks: it keeps nothing"]),
        ("@checkpoint while x > 0.1; x = sin(x) * 0.9; end; x", ["not in blocks: it is no loop of known length"]),
        ("u = [[x], [2x]]; @checkpoint for i in 1:n; u[1][1] = u[2][1] * sin(u[1][1]); end; u[1][1]",
         ["not in blocks: it changes what cannot be copied"]),
        ("v = [x]; @checkpoint for i in 1:n; push!(v, sin(v[end])); end; v[end]",
         ["not in blocks: it changes the length of a vector"]),
    ],
)  # fmt: skip
def test_which_loops(body: str, found: list[str]) -> None:
    assert decided(body) == found


@pytest.mark.usefixtures("by_itself")
def test_loops_over_arrays_stay() -> None:
    """Their tape is as long as what is there anyway."""
    for bound, found in (("length(v)", []), ("length(v) - 1", []), ("size(A, 1)", []), ("n", [BIG])):
        body = f"s = v[1]; for i in 1:{bound}; s = sin(s) * A[1, 1]; end; s"
        assert decided(body, "f([1.0, 2.0], [1.0 2.0; 3.0 4.0], 2)", "v, A, n") == found


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "s = 0.0; for i in 1:3; s += sin(i * x)^2 * s; end; s"
    monkeypatch.setenv("DFL_CHECKPOINT", "on")
    assert decided(body) == ["in blocks"]
    monkeypatch.setenv("DFL_CHECKPOINT", "off")
    assert decided(body) == []
    assert decided("@checkpoint " + "for i in 1:n; x = sin(x); end; x") == []


LOOP = """
fn @f(%x: f64, %n: i64) -> f64 {
  %0: i64 = const 1
  %1: f64 = MARKfor %i = %0, %n, %0 (%s: f64 = %x) {
    %2: f64 = sin %s
    %3: f64 = mul %2, %x
    next %3
  }
  return %1
}
"""


@pytest.mark.usefixtures("by_itself")
def test_the_blocks_of_a_loop() -> None:
    """A loop over calls that are run again, and the last block, a loop of the same kind, which keeps its tape."""
    for mark in ("", "checkpoint "):
        plan = reverse_plan(parse_program(LOOP.replace("MARK", mark)), "f", (0,))
        outer, last = (op for op in plan.fn.body.ops if op.name == "for")
        (call,) = (op for op in outer.regions[0].ops if op.name == "call")
        assert plan.blocks == {outer} and plan.again == {call: frozenset()}
        assert plan.program.functions[call.attrs["fn"]].attrs == {"checkpoint": True}
        assert last.args[3:] == outer.results
        assert [plan.bytes_of(c) for c in plan.constructs] == [0, 8, 16]  # a state; one and its sine


@pytest.mark.parametrize("cache", [1, 40, 300])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 31, 32, 33, 200])
def test_blocks_of_every_length(cache: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFL_CHECKPOINT", raising=False)
    monkeypatch.setattr(blocks, "BUDGET", 256)
    monkeypatch.setattr(blocks, "CACHE", cache)
    text = """
function f(x, n)
  u = [x, 2x]
  s = x
  for i in 2:3:3n
    u[1] = u[2] * sin(s) + 0.1i
    s = cos(u[1] * s)
    u = u .* 0.5
  end
  sum(u) * s
end"""
    call = f"gradient(f, 0.7, {n})[1]"
    forward = dsl.loads(text, mode="forward", cache=False).eval(call)
    assert dsl.loads(text, mode="reverse", cache=False).eval(call) == pytest.approx(forward, rel=1e-12)


@pytest.mark.parametrize("what", ["x", "sin(x)", "(x; x)", ""])
def test_what_is_no_loop_cannot_be_marked(what: str) -> None:
    with pytest.raises(dsl.DslError, match="@checkpoint takes a loop") as caught:
        dsl.loads(f"f(x) = @checkpoint {what}").f(1.0)
    assert caught.value.code == "E0301" and "checkpointed" in str(caught.value)
