"""Programs whose gradients depend on which memory is read, written and shared when, each beside the same function in
Python. The Python side works on lists of numbers of any precision, so that its derivatives come from differences at 60
digits and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpmath import cos, exp, log, sin, sqrt


@dataclass(frozen=True)
class Program:
    """`text` defines f; `twin` is f in Python; `args` are numbers, vectors (lists) and matrices (lists of rows)."""

    text: str
    twin: Callable[..., Any]
    args: tuple[Any, ...]


PROGRAMS: dict[str, Program] = {}


def program(text: str, *args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(twin: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[twin.__name__] = Program(text, twin, args)
        return twin

    return declare


V3, V4, M23 = [1.3, -0.7, 2.1], [0.4, 1.9, -1.2, 0.8], [[0.5, -1.1, 2.0], [1.7, 0.3, -0.6]]

# ---------------------------------------------------------------- overwriting


@program("f(v) = (w = copy(v); y = w[1] * w[2]; w[1] = w[2]^2; y + w[1] * w[3])", V3)
def overwritten_after_read(v):  # type: ignore[no-untyped-def]
    return v[0] * v[1] + v[1] ** 2 * v[2]


@program("""
function f(v)
  w = copy(v)
  for i in 2:length(w)
    w[i] = w[i] * sin(w[i-1])
  end
  w[end]
end""", V4)
def running_product_in_place(v):  # type: ignore[no-untyped-def]
    w = list(v)
    for i in range(1, len(w)):
        w[i] = w[i] * sin(w[i - 1])
    return w[-1]


@program("""
function f(v, n)
  w = copy(v)
  for t in 1:n
    for i in 1:length(w)
      w[i] = w[i]^2 + 0.1 * w[1]
    end
  end
  sum(w)
end""", [0.3, -0.5, 0.6], 3)
def squared_again_and_again(v, n):  # type: ignore[no-untyped-def]
    w = list(v)
    for _ in range(round(float(n))):
        for i in range(len(w)):
            w[i] = w[i] ** 2 + w[0] / 10
    return sum(w)


@program("f(v) = (v[1] = v[1]^2; v[2] = v[1] * v[2]; v[1] = v[2] + v[3]; v[1] * v[2])", V3)
def argument_overwritten(v):  # type: ignore[no-untyped-def]
    a = v[0] ** 2
    b = a * v[1]
    return (b + v[2]) * b


@program("""
function f(x, v)
  a = [x, x, x]
  a .= v .* x
  a .*= a
  a[2] = 1.0
  sum(a .* v)
end""", 1.7, V3)
def broadcast_over_itself(x, v):  # type: ignore[no-untyped-def]
    return (v[0] * x) ** 2 * v[0] + v[1] + (v[2] * x) ** 2 * v[2]


@program("""
function f(v)
  w = copy(v)
  s = 0.0
  for i in 1:length(w)
    if w[i] > 0
      w[i] = exp(w[i])
    else
      w[1] += w[i]^2
    end
    s += w[i] * w[1]
  end
  s
end""", V4)
def written_in_arms(v):  # type: ignore[no-untyped-def]
    w, s = list(v), 0
    for i in range(len(w)):
        if w[i] > 0:
            w[i] = exp(w[i])
        else:
            w[0] += w[i] ** 2
        s += w[i] * w[0]
    return s


@program("""
function f(x)
  a = zeros(4)
  for i in 1:9
    a[(i * i) % 4 + 1] += x^i / i
  end
  a[1] * a[2] + a[3] - a[4]
end""", 1.1)
def accumulated_at_computed_places(x):  # type: ignore[no-untyped-def]
    a = [0 * x] * 4
    for i in range(1, 10):
        a[(i * i) % 4] += x**i / i
    return a[0] * a[1] + a[2] - a[3]


# ---------------------------------------------------------------- aliasing


@program("f(v) = (w = v; w[1] = v[2] * v[3]; v[2] = w[1] * w[2]; v[1] + w[2])", V3)
def two_names(v):  # type: ignore[no-untyped-def]
    a = v[1] * v[2]
    return a + a * v[1]


@program("""
g!(a, b) = (a[1] = b[2] * a[1]; b[2] = a[1] * b[1]; nothing)
f(v) = (w = copy(v); g!(w, w); w[1] * w[2] + w[3])""", V3)
def one_memory_as_two_arguments(v):  # type: ignore[no-untyped-def]
    a = v[1] * v[0]
    b = a * a
    return a * b + v[2]


@program("f(v) = (w = copy(v); p = view(w, 1:2); q = view(w, 2:3); p[2] = p[1] * q[2]; q[1] = q[1]^2; sum(w))", V3)
def overlapping_views(v):  # type: ignore[no-untyped-def]
    return v[0] + (v[0] * v[2]) ** 2 + v[2]


@program("f(v) = (w = copy(v); p = view(w, 4:-1:1); r = view(p, 2:3); r .= r .* p[1]; p[4] * w[2] + w[3])", V4)
def a_view_of_a_reversed_view(v):  # type: ignore[no-untyped-def]
    return v[0] * (v[1] * v[3]) + v[2] * v[3]


@program("f(A) = (B = copy(A); c = view(B, :, 2); r = view(B, 1, :); c[1] = r[3] * c[2]; r .= r .^ 2; sum(B))", M23)
def a_row_and_a_column_that_cross(a):  # type: ignore[no-untyped-def]
    top = [a[0][0], a[0][2] * a[1][1], a[0][2]]
    return sum(t * t for t in top) + sum(a[1])


@program("f(A) = (B = A'; B[3, 1] = B[1, 2] * B[2, 1]; A[1, 1] = A[1, 3]^2; sum(A .* A))", M23)
def a_transpose_shares_memory(a):  # type: ignore[no-untyped-def]
    corner = a[1][0] * a[0][1]
    return corner**4 + a[0][1] ** 2 + corner**2 + sum(x * x for x in a[1])


@program("""
function f(v)
  w = copy(v)
  t = (w, view(w, 2:3))
  for a in t
    a[1] = a[1] * a[2]
  end
  w[1] + w[2]^2
end""", V3)
def aliases_in_a_tuple(v):  # type: ignore[no-untyped-def]
    return v[0] * v[1] + (v[1] * v[2]) ** 2


@program("""
function f(v, c)
  a = copy(v)
  b = c > 0 ? a : copy(a)
  b[1] = b[2]^3
  a[1] * v[3]
end""", V3, 1.0)
def perhaps_an_alias(v, c):  # type: ignore[no-untyped-def]
    return v[1] ** 3 * v[2] + 0 * c


@program("f(v) = (w = copy(v); w[1:2] = w[2:3] .* w[1]; w[2:3] .= view(w, 1:2); sum(w .* w))", V3)
def overlapping_assignment(v):  # type: ignore[no-untyped-def]
    w = [v[1] * v[0], v[2] * v[0], v[2]]
    w = [w[0], w[0], w[1]]
    return sum(x * x for x in w)


# ---------------------------------------------------------------- swapping and carrying


@program("""
function f(u0, k)
  u = copy(u0)
  v = copy(u0)
  for t in 1:5
    for i in 2:length(u)-1
      v[i] = u[i] + k * (u[i-1] - 2u[i] + u[i+1]) * u[i]
    end
    u, v = v, u
  end
  u[2] * u[3]
end""", V4, 0.2)
def swapped_buffers(u0, k):  # type: ignore[no-untyped-def]
    u, v = list(u0), list(u0)
    for _ in range(5):
        for i in range(1, len(u) - 1):
            v[i] = u[i] + k * (u[i - 1] - 2 * u[i] + u[i + 1]) * u[i]
        u, v = v, u
    return u[1] * u[2]


@program("""
function f(a0, b0, c0)
  a, b, c = copy(a0), copy(b0), copy(c0)
  for i in 1:4
    a[1] += b[2] * c[1]
    a, b, c = b, c, a
  end
  a[1] * b[2] - c[1]
end""", [1.0, 2.0], [0.5, -1.5], [3.0, 0.25])
def three_that_go_round(a0, b0, c0):  # type: ignore[no-untyped-def]
    a, b, c = list(a0), list(b0), list(c0)
    for _ in range(4):
        a[0] += b[1] * c[0]
        a, b, c = b, c, a
    return a[0] * b[1] - c[0]


@program("""
function f(v)
  a = copy(v)
  b = a
  for i in 1:3
    if i == 2
      a = a .* v
    end
    b[1] = b[1] * a[2] + i
  end
  a[1] + b[1]
end""", V3)
def an_alias_that_ends(v):  # type: ignore[no-untyped-def]
    a = list(v)
    b = a
    for i in (1, 2, 3):
        if i == 2:
            a = [x * y for x, y in zip(a, v, strict=True)]
        b[0] = b[0] * a[1] + i
    return a[0] + b[0]


@program("""
function f(u, p)
  h = 0.1
  for i in 1:8
    k1 = [p[1] * u[2], -sin(u[1])]
    k2 = [p[1] * (u[2] + h * k1[2]), -sin(u[1] + h * k1[1])]
    u = u + h / 2 * (k1 + k2)
  end
  u[1]^2 + u[2]
end""", [0.7, -0.2], [1.2])
def a_state_made_anew(u, p):  # type: ignore[no-untyped-def]
    h = (p[0] * 0 + 1) / 10
    for _ in range(8):
        k1 = [p[0] * u[1], -sin(u[0])]
        k2 = [p[0] * (u[1] + h * k1[1]), -sin(u[0] + h * k1[0])]
        u = [u[j] + h / 2 * (k1[j] + k2[j]) for j in (0, 1)]
    return u[0] ** 2 + u[1]


# ---------------------------------------------------------------- growing


@program("""
function f(x)
  v = [x]
  while length(v) < 6
    push!(v, v[end] * x + length(v))
  end
  v[3] * v[end]
end""", 0.9)
def pushed_from_its_end(x):  # type: ignore[no-untyped-def]
    v = [x]
    while len(v) < 6:
        v.append(v[-1] * x + len(v))
    return v[2] * v[-1]


@program("""
function f(x, y)
  v = [x, y]
  s = 0.0
  for i in 1:6
    a = pop!(v)
    b = pop!(v)
    push!(v, a * b)
    push!(v, a - b * i)
    s += v[1]
  end
  s + v[2]
end""", 0.8, 1.1)
def a_stack(x, y):  # type: ignore[no-untyped-def]
    v, s = [x, y], 0
    for i in range(1, 7):
        a, b = v.pop(), v.pop()
        v += [a * b, a - b * i]
        s += v[0]
    return s + v[1]


@program("""
function f(x)
  v = [x]
  for i in 1:3
    append!(v, v .* x)
    v[1] = v[end]
  end
  sum(v)
end""", 1.1)
def doubled_and_written(x):  # type: ignore[no-untyped-def]
    v = [x]
    for _ in range(3):
        v = v + [y * x for y in v]
        v[0] = v[-1]
    return sum(v)


@program("""
function f(v)
  kept = Float64[]
  for x in v
    x > 0 && push!(kept, x^2)
    length(kept) > 1 && (kept[1] *= x)
  end
  sum(kept) * length(kept)
end""", V4)
def kept_by_a_test(v):  # type: ignore[no-untyped-def]
    kept = []
    for x in v:
        if x > 0:
            kept.append(x**2)
        if len(kept) > 1:
            kept[0] *= x
    return sum(kept) * len(kept)


@program("""
function f(x)
  v = [x, 2x]
  w = v
  push!(w, v[1] * v[2])
  v[1] = 5.0
  sum(v) * w[3]
end""", 0.6)
def grown_through_an_alias(x):  # type: ignore[no-untyped-def]
    return (5 + 2 * x + 2 * x * x) * 2 * x * x


# ---------------------------------------------------------------- arrays of arrays


@program("""
function f(x)
  rows = [[x, 1.0], [2.0, x]]
  rows[1][2] = x^2
  rows[2] = rows[1]
  rows[2][1] = 3x
  rows[1][1] * rows[2][2]
end""", 1.4)
def rows_made_one(x):  # type: ignore[no-untyped-def]
    return 3 * x * x**2


@program("""
function f(v)
  rows = [[v[i], v[i]^2] for i in 1:3]
  for i in 1:2
    rows[i+1][1] += rows[i][2] * rows[i][1]
    rows[i] = rows[i+1]
  end
  rows[1][1] + rows[2][2] * rows[3][1]
end""", V3)
def rows_that_move_up(v):  # type: ignore[no-untyped-def]
    rows = [[x, x**2] for x in v]
    for i in (0, 1):
        rows[i + 1][0] += rows[i][1] * rows[i][0]
        rows[i] = rows[i + 1]
    return rows[0][0] + rows[1][1] * rows[2][0]


@program("""
function f(v)
  lists = [Float64[], Float64[]]
  for i in 1:length(v)
    push!(lists[i % 2 + 1], v[i]^2)
  end
  lists[1][end] * lists[2][1] + sum(lists[1])
end""", V4)
def lists_that_grow_in_turn(v):  # type: ignore[no-untyped-def]
    lists = [[], []]
    for i, x in enumerate(v, 1):
        lists[i % 2].append(x**2)
    return lists[0][-1] * lists[1][0] + sum(lists[0])


@program("""
mutable struct Cell
  v::Vector{Float64}
  s::Float64
end
function f(v, x)
  a = Cell(copy(v), x)
  b = Cell(a.v, a.s)
  a.v[1] = b.v[2] * x
  b.v = copy(b.v)
  b.v[1] *= a.s
  a.s = sum(b.v)
  a.s * a.v[1]
end""", V3, 1.6)
def structs_that_share(v, x):  # type: ignore[no-untyped-def]
    first = v[1] * x
    return (first * x + v[1] + v[2]) * first


# ---------------------------------------------------------------- closures, calls, recursion


@program("""
function f(v, x)
  w = copy(v)
  bump = i -> (w[i] *= x; w[i])
  bump(1) + bump(2) * bump(1) + sum(w)
end""", V3, 1.3)
def a_closure_that_writes(v, x):  # type: ignore[no-untyped-def]
    a1 = v[0] * x
    b = v[1] * x
    a2 = a1 * x
    return a1 + b * a2 + a2 + b + v[2]


@program("""
function f(v)
  fs = [x -> x * v[i] for i in 1:3]
  v[2] = v[2]^2
  fs[1](2.0) * fs[2](3.0) + fs[3](v[1])
end""", V3)
def closures_over_an_array(v):  # type: ignore[no-untyped-def]
    return v[0] * 2 * (v[1] ** 2 * 3) + v[0] * v[2]


@program("""
scale!(v, s) = (for i in 1:length(v); v[i] *= s; end; v)
function f(x, s)
  v = [x, x^2]
  w = scale!(v, s)
  w[1] = w[1] + v[2]
  scale!(w, v[1])
  sum(v)
end""", 0.9, 1.2)
def a_callee_that_changes_its_argument(x, s):  # type: ignore[no-untyped-def]
    a, b = x * s, x**2 * s
    a = a + b
    return a * a + b * a


@program("""
function halves!(v, lo, hi)
  if lo == hi
    v[lo] = sin(v[lo])
    return v[lo]
  end
  mid = (lo + hi) ÷ 2
  a = halves!(v, lo, mid)
  b = halves!(v, mid + 1, hi)
  v[lo] = a * b
  v[lo] + v[hi]
end
f(v) = (w = copy(v); halves!(w, 1, 4) * w[1])""", V4)
def recursion_over_one_array(v):  # type: ignore[no-untyped-def]
    w = list(v)

    def halves(lo, hi):  # type: ignore[no-untyped-def]
        if lo == hi:
            w[lo] = sin(w[lo])
            return w[lo]
        mid = (lo + 1 + hi + 1) // 2 - 1
        a = halves(lo, mid)
        b = halves(mid + 1, hi)
        w[lo] = a * b
        return w[lo] + w[hi]

    return halves(0, 3) * w[0]


@program("""
total(v) = length(v) == 1 ? v[1]^2 : v[1] * total(v[2:end]) + total(view(v, 1:length(v)-1))
f(v) = total(v)""", V4)
def recursion_over_slices_and_views(v):  # type: ignore[no-untyped-def]
    def total(v):  # type: ignore[no-untyped-def]
        return v[0] ** 2 if len(v) == 1 else v[0] * total(v[1:]) + total(v[:-1])

    return total(list(v))


# ---------------------------------------------------------------- early exits


@program("""
function f(v)
  w = copy(v)
  for i in 1:length(w)
    w[i] = w[i]^2 + 1
    if w[i] > 3
      w[1] *= w[i]
      return w[1] + sum(w)
    end
  end
  0.0
end""", V3)
def returned_from_a_loop(v):  # type: ignore[no-untyped-def]
    w = list(v)
    for i in range(len(w)):
        w[i] = w[i] ** 2 + 1
        if w[i] > 3:
            w[0] *= w[i]
            return w[0] + sum(w)
    return 0 * w[0]


@program("""
function f(v)
  w = copy(v)
  for i in 1:3
    for j in 1:4
      w[j] = w[j] * w[i] + 0.1
      j > i && break
    end
    w[4] < 0.05 && continue
    w[4] = sqrt(w[4])
  end
  w[1] + w[2] * w[4]
end""", V4)
def broken_off_and_continued(v):  # type: ignore[no-untyped-def]
    w, tenth = list(v), (v[0] * 0 + 1) / 10
    for i in range(3):
        for j in range(4):
            w[j] = w[j] * w[i] + tenth
            if j > i:
                break
        if w[3] < 0.05:
            continue
        w[3] = sqrt(w[3])
    return w[0] + w[1] * w[3]


@program("""
function f(x)
  v = [x]
  n = 0
  while true
    push!(v, v[end]^2 - 0.4 * v[1])
    n += 1
    if v[end] < 0.2 || n > 20
      break
    end
    v[1] = v[end] + v[1]
  end
  v[1] + v[end] * n
end""", 0.95)
def grown_until(x):  # type: ignore[no-untyped-def]
    v, n, c = [x], 0, (x * 0 + 4) / 10
    while True:
        v.append(v[-1] ** 2 - c * v[0])
        n += 1
        if v[-1] < 0.2 or n > 20:
            break
        v[0] = v[-1] + v[0]
    return v[0] + v[-1] * n


# ---------------------------------------------------------------- matrices in place


@program("""
function f(A)
  B = copy(A)
  for j in 1:3, i in 1:2
    B[i, j] = i == 1 ? B[2, j] * B[1, j] : B[1, j] + B[2, 1]
  end
  sum(B[1, :] .* B[2, :])
end""", M23)
def a_matrix_in_place(a):  # type: ignore[no-untyped-def]
    b = [list(r) for r in a]
    for j in range(3):
        b[0][j] = b[1][j] * b[0][j]
        b[1][j] = b[0][j] + b[1][0]
    return sum(x * y for x, y in zip(b[0], b[1], strict=True))


@program("""
function f(A)
  L = zeros(2, 2)
  S = [A[1, 1]^2 + 2 A[1, 2]; A[1, 2] A[2, 2]^2 + 2]
  for j in 1:2
    s = S[j, j]
    for k in 1:j-1
      s -= L[j, k]^2
    end
    L[j, j] = sqrt(s)
    for i in j+1:2
      L[i, j] = (S[i, j] - (j > 1 ? L[i, 1] * L[j, 1] : 0.0)) / L[j, j]
    end
  end
  L[1, 1] * log(L[2, 2]) + L[2, 1]
end""", [[0.5, -1.1], [0.0, 0.3]])
def factorised_in_place(a):  # type: ignore[no-untyped-def]
    s11, s12, s22 = a[0][0] ** 2 + 2, a[0][1], a[1][1] ** 2 + 2
    l11 = sqrt(s11)
    l21 = s12 / l11
    l22 = sqrt(s22 - l21**2)
    return l11 * log(l22) + l21 + 0 * a[1][0]


@program("""
function f(A, x)
  B = A[:, 2:3]
  A[1, 2] = x * A[2, 3]
  C = A[:, 2:3]
  C[:, 1] .= B[:, 2] .* C[:, 1]
  A[2, :] .= cos.(A[1, :])
  sum(C) + sum(A .* x)
end""", M23, 0.7)
def slices_before_and_after(a, x):  # type: ignore[no-untyped-def]
    b = [row[1:] for row in a]
    m = [list(r) for r in a]
    m[0][1] = x * m[1][2]
    c = [row[1:] for row in m]
    for i in (0, 1):
        c[i][0] = b[i][1] * c[i][0]
    m[1] = [cos(t) for t in m[0]]
    return sum(map(sum, c)) + x * sum(map(sum, m))
