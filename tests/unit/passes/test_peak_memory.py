"""The peak of a process that runs a long loop, and of its gradient: what `code_plan` says it keeps."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

# Arrays of 100 numbers, everywhere. `whole` of a program: what its loops carry comes from outside.
PROGRAMS = {
    "temporary": """
function f(x, n)
  s = 0.0
  for i in 1:n
    t = [x * j + i for j in 1:100]
    s += sum(sin.(t))
  end
  s
end
""",
    "temporary, read from both ends": """
function f(x, n)
  s = 0.0
  for i in 1:n
    t = [x * j + i for j in 1:100]
    s += sum(sin.(t) .* t[end:-1:1])
  end
  s
end
""",
    "carried": """
function f(x, n)
  u = zeros(100) .+ x
  for i in 1:n
    u = u + 1e-6 * sin.(u)
  end
  sum(u)
end
""",
    "written elementwise": """
function f(x, n)
  u = zeros(100) .+ x
  for i in 1:n
    u = u .+ 1e-6 .* sin.(u)
  end
  sum(u)
end
""",
    "in place": """
function f(x, n)
  u = zeros(100) .+ x
  for i in 1:n
    u .+= 1e-6 .* sin.(u)
  end
  sum(u)
end
""",
    "swapped": """
function f(x, n)
  a = zeros(100) .+ x
  b = zeros(100) .+ x
  for i in 1:n
    for j in 1:100
      b[j] = a[j] + 1e-6 * sin(a[j])
    end
    a, b = b, a
  end
  sum(a)
end
""",
    "two": """
function f(x, n)
  u = (zeros(100) .+ x, zeros(100) .+ 2x)
  for i in 1:n
    a, b = u
    u = (a .+ 1e-6 .* sin.(b), b .- 1e-6 .* cos.(a))
  end
  sum(u[1]) + sum(u[2])
end
""",
    "while": """
function f(x, n)
  u = zeros(100) .+ x
  i = 0
  while i < n
    u = u .+ 1e-6 .* sin.(u)
    i += 1
  end
  sum(u)
end
""",
    "steps": """
function step(u, h)
  k = sin.(u)
  l = sin.(u .+ h .* k)
  u .+ (h / 2) .* (k .+ l)
end
function f(x, n)
  u = zeros(100) .+ x
  for i in 1:n
    u = step(u, 1e-6)
  end
  sum(u)
end
""",
}

# Prints by how many bytes a call raised the peak of the process, above what it had before.
SCRIPT = """
import re, sys, dsl
def status(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
module = dsl.loads(sys.argv[1], opt_level=3)  # nothing is compiled again meanwhile
f = module.f if sys.argv[2] == "value" else dsl.grad(module.f, mode="reverse")
f(0.5, 10)
before, peak = status("VmRSS"), status("VmHWM")
f(0.5, int(sys.argv[3]))
print(status("VmHWM") - (before if status("VmHWM") > peak else status("VmHWM")))
print(module.f.code_plan(0.5, 3))
"""


def measured(text: str, what: str, n: int, blocks: str = "off") -> tuple[int, str]:
    """Bytes in a process of its own, and the plan. `blocks`: whether long loops are put in blocks ("": if they should
    be)."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, text, what, str(n)], capture_output=True, text=True, check=True,
        env={**os.environ, "DFL_CHECKPOINT": blocks},
    )  # fmt: skip
    bytes_, plan = run.stdout.split("\n", 1)
    return int(bytes_), plan


def planned(plan: str) -> int:
    """Bytes an iteration of the outer loop, from the text of the plan; arrays have 100 elements, and inner loops 100
    iterations."""
    total = 0
    for line in plan.splitlines():
        found = re.match(r"    ((?:  )*)(?:for )?loop .*: keeps (\d+) bytes an iteration(.*)", line)
        if found is not None:
            each = int(found[2]) + 100 * sum(map(int, re.findall(r"(\d+) for each element", found[3])))
            total += each * 100 ** (len(found[1]) // 2)
    return total


def test_the_plan_is_read_right() -> None:
    text = """reverse of f
  body: keeps 0 bytes in all
    for loop (line 1): keeps 0 bytes an iteration
    for loop (line 2): keeps 80 bytes an iteration, and 8 for each element of %u and 4 for each element of %v
      save %u: mem<f64>, and 8 bytes for each of its elements
      for loop (line 3): keeps 7 bytes an iteration, 2 exits
    for loop (line 4): keeps 0 bytes an iteration
"""
    assert planned(text) == 80 + 800 + 400 + 700


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_memory_of_a_gradient_is_what_the_plan_says(name: str) -> None:
    """10^5 iterations, hundreds of bytes each, or none: 20 bytes are allowed for what does not grow."""
    n = 100_000
    used, plan = measured(PROGRAMS[name], "gradient", n)
    assert used == pytest.approx(planned(plan) * n, rel=0.05, abs=20 * n), plan


STATES = {
    "numbers": """
function f(x, n)
  a, b = x, 1.0
  for i in 1:n
    a, b = sin(b) * x, cos(a) + 0.1
  end
  a * b
end
""",
    **{name: PROGRAMS[name] for name in ("carried", "written elementwise", "in place", "swapped", "two", "steps")},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_the_memory_of_a_long_loop_in_blocks(name: str) -> None:
    """Tapes of hundreds of megabytes, of which blocks leave a few (`ad/blocks.py`)."""
    n = 10_000_000 if name == "numbers" else 100_000
    used, plan = measured(STATES[name], "gradient", n, blocks="")
    assert used < 8_000_000, plan


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_memory_of_a_value_does_not_grow(name: str) -> None:
    """10^6 iterations, each of which makes at least 800 bytes where nothing is used again."""
    assert measured(PROGRAMS[name], "value", 1_000_000)[0] < 20_000_000
