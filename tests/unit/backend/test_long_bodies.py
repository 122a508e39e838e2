"""Long code: where LLVM would take time that grows faster than the code."""

from __future__ import annotations

import itertools
import subprocess
import sys

from dsl.backend.function import LONG_BLOCK
from dsl.interp import run
from dsl.ir.text import parse_program
from dsl.runtime.engine import compile_unit

PROGRAM = '''
import dsl
m = dsl.loads(r"""
struct P
  x
  y
end
mutable struct M
  u::Float64
  w::Float64
end
struct H
  r
  k
end
maybe(z) = z > 0.2 ? sin(z) : nothing
function h1(a2)
  n = 0
  o3 = maybe(max(a2, (!(-1.0 < stop_gradient(a2) <= 1.0) ? a2 : a2)))
  if o3 !== nothing
    a2 += 0.1 * sin(o3 * sum([a2, a2, a2]))
  end
  a4 = atan.([(-0.88), a2, a2])
  return cos(a2)
end
function f(x, y, n)
  a5 = cos.(([x, x, x] .* [x, y, 1.0]))
  d6 = Dict(1 => cos(ifelse(-1.0 < y <= 1.0, y, sqrt(abs(x) + 0.1))), 2 => 1.5tanh(0.7 * (y |> sin)), 3 => 0.5)
  x -= 0.2tanh(min(y, (n < n ? y : y)))
  x = 1.5tanh(0.7 * get(d6, n, y))
  a7 = cos.(a5)
  a7 .= tanh.(a7 .- 1.5tanh(0.7 * mapreduce(sin, +, a5)))
  v8 = cos(inv(1.5 + (max((y / ((abs(n) % (abs(n) + 2)) + 10)), (-1.546)))^2))
  v10 = sin(y)
  for i9 in 1:mod(n, 3) + 1
  v10 += a5[i9] * a5[4 - i9] + tanh(h1(mapreduce(sin, +, a7)))
  end
  v10 = tanh(v10)
  if -1.0 < (clamp(2.0, -1.5, 1.5 + sin(1.991)) > 0.1 ? v8 : v10) <= 1.0
    d6[mod(n, 4) + 1] = 1.5tanh(0.7 * atan(sum(a7), 2.0 + (1.25)^2))
    for v11 in (0.5 * a5)
      d6[mod(n, 4) + 1] = sin(let z = P(v11, y).x; z * ((2.0) / (1.5 + (2.0)^2)) end)
    end
  else
    d6[mod(n, 4) + 1] = tanh((cbrt(2.0 + sin(2.0)) |> sin))
    y, x = x, atan(x)
    a7, a5 = a5, a7
  end
  for i13 in 1:2:5
    v15 = atan(y)
    for i14 in 1:mod(i13, 3) + 1
    v15 += sin(x) * a5[mod(i14, 3) + 1]^2
    end
    v15 = tanh(v15)
    a7 .= atan.(([x, x, v8] + ([y, (-0.7), x] .- a7)))
  end
  a7 = tanh.((a5 ./ (1.5 .+ a5 .^ 2))[3:-1:1])
  return softplus(sin(hypot(ifelse(2 >= max(n, 2), x, v10), max(x, 1.25) + 3.5))) +
    x + y + v8 + v10 + get(d6, 4, y) + get(d6, 0, 1.25) + d6[mod(2, 3) + 1] + sum(a5) + sum(a7)
end
""", opt_level=3, cache=False)
print(m.f(0.5, 0.25, 7))
'''


def test_long_blocks_are_divided() -> None:
    """Also where an arm or a body ends in another block than it began with."""

    def additions(stem: str, first: str, count: int) -> str:
        values = [first, *(f"%{stem}{k}" for k in range(count))]
        return "\n".join(f"{v}: f64 = add {u}, %x" for u, v in itertools.pairwise(values))

    n = 3 * LONG_BLOCK
    last = f"{n - 1}"
    text = f"""
    fn @f(%x: f64, %c: bool, %n: i64) -> f64 {{
      %1: i64 = const 1
      {additions("a", "%x", n)}
      %s: f64 = if %c {{
        {additions("b", "%a" + last, n)}
        yield %b{last}
      }} else {{
        yield %x
      }}
      %t: f64 = for %i = %1, %n, %1 (%u: f64 = %s) {{
        {additions("d", "%u", n)}
        next %d{last}
      }}
      return %t
    }}
    """
    program = parse_program(text)
    for level in (0, 3):
        unit = compile_unit(program, "f", level)
        blocks = [block.count("\n") for block in unit.llvm_raw.split(":\n")]
        assert max(blocks[1:]) <= LONG_BLOCK + 10
        for args in ([0.1, True, 3], [0.1, False, 0]):
            assert unit.call(args) == run(program, "f", args)


def test_sums_of_long_terms_are_compiled_in_time() -> None:
    """They are not put side by side: LLVM took minutes to look whether that would pay."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
