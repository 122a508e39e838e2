"""Loops that are done together with their reverse, and those just beyond."""

from __future__ import annotations

import re

import pytest

import dsl

SUM = """
function f(x, y)
  s = 0.0
  for i in 1:length(x)
    BODY
  end
  RESULT
end
"""


def loops(body: str, result: str = "s", call: str = "f([1.0, 2.0], [3.0, 4.0])") -> list[str]:
    plan = dsl.loads(SUM.replace("BODY", body).replace("RESULT", result)).code_plan(call)
    return [line.split(": ", 1)[1] for line in plan.splitlines() if "for loop" in line]


DONE_AT_ONCE = "keeps 0 bytes an iteration, done with its reverse"


@pytest.mark.parametrize(
    "body",
    [
        "s += sin(x[i]) * y[i]",
        "t = exp(x[i]); s += t * t * y[1]",  # y[1] is used by all iterations
        "if x[i] > 1.5; s += sin(x[i]); else; s -= exp(x[i] * y[i]); end",
        "t = [x[i], sin(y[i])]; s += t[1] * t[2]",  # memory that the iteration makes
    ],
)
def test_sums_of_independent_terms(body: str) -> None:
    assert loops(body) == [DONE_AT_ONCE]


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("s = sin(s + x[i])", "s"),  # a recurrence
        ("s += sin(x[i])", "log(s)"),  # the cotangent of s comes from s
        ("s += exp(x[i]); x[i] = s", "s"),  # what is written is read by whoever has x
        ("s += sin(x[i]); i == 3 && return s", "s"),  # it may be left
    ],
)
def test_what_needs_the_iterations_that_follow(body: str, result: str) -> None:
    assert all("done with its reverse" not in loop for loop in loops(body, result))


CHANGED = """
function f(v)
  x = copy(v)
  s = 0.0
  for i in 1:length(x)
    s += sin(x[i])
  end
  AFTER
  s + x[1] * x[2]
end
"""


@pytest.mark.parametrize(
    ("after", "fused"),
    [
        ("x[1] = 3.0", False),
        ("x[1] = x[1] * x[2]", False),
        ("for i in 1:length(x); x[i] = x[i] * 2; end", False),
        ("x .= 0.5", False),
        ("y = x[1]; x[2] = y * y", False),
        ("pop!(x); push!(x, 3.0)", False),
        ("w = x; w[1] = s", False),
        ("x[2] > 0 && (x[2] = s)", False),
        ("s += g(x)", False),
        ("y = [1.0, 2.0]; y[1] = s * x[1]; s += y[1] * y[2]", False),  # the cotangent of s comes out of y's shadow
        ("y = [1.0, 2.0]; y[1] = x[1]; s += y[1] * y[2]", True),
        ("s += x[1]^2", True),
    ],
)
@pytest.mark.parametrize("interpreter", [False, True])
def test_what_is_written_behind_the_loop(after: str, fused: bool, interpreter: bool) -> None:
    """The cotangent of an element that is overwritten later belongs to what is written: it is taken away before the
    adjoint of the loop adds to it."""
    text = CHANGED.replace("AFTER", after) + "g(x) = (x[1] = 2x[1]; x[1])\n"
    module = dsl.loads(text, mode="reverse", interpreter=interpreter)
    (reverse,), (forward,) = (m.eval("gradient(f, [0.3, 0.4])") for m in (module, dsl.loads(text, mode="forward")))
    assert list(reverse) == pytest.approx(list(forward), rel=1e-14)
    (loop,) = re.findall(r"for loop \(line 5\): (.*)", module.code_plan("f([0.3, 0.4])"))
    assert (loop == DONE_AT_ONCE) is fused


def test_a_fused_multiply_add_is_a_sum() -> None:
    body = "for j in 1:2; s += x[i] end; s += sin(x[i]) * y[i]"
    assert "fma" in dsl.loads(SUM.replace("BODY", body).replace("RESULT", "s"), fma=True).code_typed("f([1.0], [3.0])")
    assert loops(body) == [DONE_AT_ONCE] * 2


def test_nests_are_fused_from_outside() -> None:
    outer, *inner = loops("for j in 1:3; s += sin(x[i] * j) end")
    assert outer == DONE_AT_ONCE and all(loop == DONE_AT_ONCE for loop in inner)


def test_a_row_of_a_product_is_gone_through_twice_in_one_iteration() -> None:
    """The inner sum is needed by its own reverse: the outer loop is fused, the inner one is not."""
    text = """
function f(A, w)
  s = 0.0
  for i in 1:size(A, 1)
    t = 0.0
    for j in 1:length(w)
      t += A[i, j] * w[j]
    end
    s += sin(t)
  end
  s
end
"""
    plan = dsl.loads(text).code_plan("f([1.0 2.0; 3.0 4.0], [3.0, 4.0])")
    outer, inner = [line.split(": ", 1)[1] for line in plan.splitlines() if "for loop" in line]
    assert (outer, inner) == (DONE_AT_ONCE, "keeps 0 bytes an iteration")


PROGRAMS = [
    "s += sin(x[i]) * y[i]",
    "s += x[i] ^ 3 * y[1] + y[i]",
    "if x[i] > 1.5; s += sin(x[i]) * y[1]; else; s -= exp(x[i] * y[i]); end",
    "t = [x[i], sin(y[i])]; t[1] = t[1] * t[2] * y[2]; s += t[1] * t[2]",
    "for j in 1:i; s += sin(x[j] * y[i]); end",
    "for j in i:-1:1; s += sin(x[j] * y[j]) * x[i]; end",
    "k = i; while k > 0; s += x[k] * y[i] * k; k -= 1; end",
    "x[i] > 10 && continue; s += cos(y[i] * x[i])",
]


@pytest.mark.parametrize("body", PROGRAMS)
@pytest.mark.parametrize("interpreter", [False, True])
def test_gradients_are_those_of_the_plan_that_saves_everything(
    body: str, interpreter: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "gradient(f, [0.5, 1.0, 2.0], [0.3, 0.2, -0.7])"
    text = SUM.replace("BODY", body).replace("RESULT", "s")

    def value() -> list[float]:
        found = dsl.loads(text, interpreter=interpreter, mode="reverse").eval(call)
        return [d for part in found for d in part]

    fused = value()
    monkeypatch.setenv("DFL_PLAN", "save")
    assert fused == pytest.approx(value(), rel=1e-14)
    forward = dsl.loads(text, mode="forward").eval(call)
    assert fused == pytest.approx([d for part in forward for d in part], rel=1e-12)


TOO_MANY = str(1 << 60)  # what a tape for two loops is compared with, so that the product of their counts does not wrap


@pytest.mark.parametrize(("step", "own"), [("s += t * t", True), ("s += t * sin(s)", False)])
def test_a_tape_inside_is_an_iterations_own(step: str, own: bool) -> None:
    """Of a loop that is done with its reverse; otherwise one tape holds what is kept in all iterations."""
    module = dsl.loads(f"""
function f(x, y)
  s = 0.0
  for p in 1:length(y)
    t = 0.0
    for j in 1:length(x)
      t += exp(x[j] * y[p])
    end
    {step}
  end
  s
end
""", mode="reverse")
    adjoint = module.code_adjoint("f([1.0, 2.0], [3.0, 4.0])")
    assert (TOO_MANY not in adjoint) == own
    assert "tape=True" in adjoint
