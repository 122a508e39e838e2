"""Memory that iterations hand on: where the forward sweep makes no shadow of it, and where it just has to."""

from __future__ import annotations

import numpy as np
import pytest

import dsl

STEP = """
    for i in 2:n-1
      next[i] = u[i] + c * u[i] * (u[i-1] + u[i+1] - 2u[i])
    end
"""

BEGIN = """
function f(u0, c, steps)
  n = length(u0)
"""

TAKEN = {
    "a copy": """
  u = copy(u0)
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
  end
  sum(u .^ 2)
end
""",
    "an argument": """
  u = u0
  for _ in 1:steps
    next = zeros(n)
STEP
    u = next
  end
  sum(u .^ 2)
end
""",
    "what it begins with is read before and afterwards": """
  v = 2u0
  u = v
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
  end
  sum(u .* v) + v[1]
end
""",
    "what it begins with is written before": """
  u = zeros(n)
  u[2] = u0[1] * u0[2]
  u[3] = u0[3]
  u[2] *= 3.0
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
  end
  sum(u .^ 2)
end
""",
    "another length": """
  u = vcat(u0, u0)
  for _ in 1:steps
    next = zeros(n)
STEP
    next[1] = u[n] * u[2]
    u = next
  end
  sum(u .^ 2)
end
""",
    "two at once that begin alike": """
  u = u0
  w = u0
  for _ in 1:steps
    next = zeros(n)
    last = copy(w)
STEP
    for i in 1:n
      last[i] = next[i] * u[i] - w[i]
    end
    u = next
    w = last
  end
  sum(u .* w)
end
""",
    "in a loop": """
  total = 0.0
  for k in 1:3
    u = k * u0
    for _ in 1:steps
      next = copy(u)
STEP
      u = next
    end
    total += sum(u .^ 2)
  end
  total
end
""",
    "one behind the other": """
  u = copy(u0)
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
  end
  w = 3u
  for _ in 1:steps
    last = copy(w)
    last[2] = w[1] * w[2] + u[3]
    w = last
  end
  sum(w .^ 2)
end
""",
}

REFUSED = {
    "what it began with is written behind it": """
  v = 2u0
  u = v
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
  end
  v[2] = 3v[1]
  sum(u .^ 2)
end
""",
    "what it began with is written in it": """
  v = 2u0
  u = v
  for _ in 1:steps
    next = copy(u)
STEP
    v[2] *= c
    u = next
  end
  sum(u .^ 2)
end
""",
    "its memory is written when it has been handed on": """
  u = copy(u0)
  for _ in 1:steps
    next = copy(u)
STEP
    u[1] = next[2]
    next[3] += u[1]
    u = next
  end
  sum(u .^ 2)
end
""",
    "what it gives is written": """
  v = 2u0
  u = v
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
  end
  u[2] = u[1] * u[2]
  sum(u .* v)
end
""",
    "what it gives is given on": """
  u = copy(u0)
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
  end
  u
end
""",
    "another name": """
  u = copy(u0)
  w = u
  for _ in 1:steps
    next = copy(w)
STEP
    w = u
    u = next
  end
  sum(u .* w)
end
""",
    "somebody keeps it": """
  u = copy(u0)
  kept = [u]
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
    push!(kept, u)
  end
  sum(u .^ 2) + kept[1][1]
end
""",
    "a size that changes": """
  u = copy(u0)
  for k in 1:steps
    next = zeros(n + k)
STEP
    u = next
  end
  sum(u .^ 2)
end
""",
    "the size of another one": """
  u = copy(u0)
  w = vcat(u0, u0)
  for k in 1:steps
    next = zeros(length(w))
    last = zeros(n + k)
STEP
    last[2] = u[1] * u[3]
    u = next
    w = last
  end
  sum(u .^ 2) + w[2]
end
""",
    "a loop that may be left": """
  u = copy(u0)
  for _ in 1:steps
    next = copy(u)
STEP
    u = next
    if u[2] > 1e3
      break
    end
  end
  sum(u .^ 2)
end
""",
}


def program(text: str) -> dsl.Module:
    return dsl.loads(BEGIN + text.replace("STEP\n", STEP))


def arguments(steps: int) -> tuple[np.ndarray, float, int]:
    return np.array([0.3, 0.8, -0.4, 0.5, 1.1]), 0.3, steps


def shadows(text: str) -> bool:
    """Whether iterations keep shadows."""
    plan = str(program(text).f.code_plan(*arguments(2)))
    return "save shadow of %next" in plan or "save shadow of %u:" in plan


@pytest.mark.parametrize("name", TAKEN)
def test_shadows_are_made_backwards(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_CHECKPOINT", "off")
    assert not shadows(TAKEN[name])
    monkeypatch.setenv("DFL_PLAN", "save")
    assert shadows(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_shadows_that_have_to_be_there_before(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFL_CHECKPOINT", "off")
    assert shadows(REFUSED[name])


@pytest.mark.parametrize("blocks", ["on", "off"])
@pytest.mark.parametrize("name", [*TAKEN, *REFUSED])
def test_gradients(name: str, blocks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the loop does not run, and what it gives is what it began with; of the second order, too."""
    monkeypatch.setenv("DFL_CHECKPOINT", blocks)
    f = program((TAKEN | REFUSED)[name]).f
    for steps in (0, 1, 2, 5):
        dsl.check_grads(f, arguments(steps), order=2 if steps == 2 else 1)


def test_pullbacks_may_be_called_twice() -> None:
    f = program(TAKEN["what it begins with is read before and afterwards"]).f
    args = arguments(4)
    expected = dsl.grad(f, argnums=(0, 1))(*args)
    _, pullback = dsl.vjp(f, *args)
    for factor in (1.0, 2.0, 1.0):
        found = pullback(factor)
        np.testing.assert_allclose(found[0], factor * expected[0], rtol=1e-14)
        assert found[1] == pytest.approx(factor * expected[1], rel=1e-14)
