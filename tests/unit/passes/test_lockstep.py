"""Iterations of an outer loop side by side: the same numbers, bit for bit, and the same failures. (What is decided, and
what just not: tests/files/passes/lockstep_*.ir.)"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import dsl
from dsl.diagnostics import DslError
from dsl.ir.core import Program
from dsl.ir.text import parse_program, print_program
from dsl.ir.verifier import verify
from dsl.passes.jam import jammed
from dsl.passes.lockstep import lockstep
from dsl.passes.uniform import Shape

D = 5
SIZES = (0, 1, 15, 16, 17, 31, 32, 33, 40)  # of the outer loop, around the numbers of lanes

# Parts of an iteration p, each with what it may use: x(j) and w(j) are numbers, y is an array of the iteration's own.
FILLS = (
    "for j in 1:d\n y[j] = w[j] * (X[p, j] - 0.5)\n end",
    "for j in d:-1:1\n y[j] = X[p, j] + j\n end",
    "for j in 1:d\n y[j] = w[d+1-j]\n end",
)
PARTS = (
    "for i in 1:d\n δ = X[p, i] - w[i]\n for j in i+1:d\n y[j] += w[i] * δ\n end\n end",
    "for j in 1:d\n s += y[j]^2\n end",
    "for j in 1:d\n s = s * 0.5 + y[j] * X[p, j]\n end",
    "for j in 2:2:d\n s -= y[j-1] * y[j]\n end",
    "for j in 1:d\n s = max(s, y[j])\n end",
    "for i in 1:2\n for j in 1:d\n s += y[j] / i\n t = s * 0.25\n end\n end",
    "for j in 1:d\n s, t = t, s + y[j]\n end",
    "if s > 0.5\n t = 2s\n else\n t = s - 1\n end",
    "s > 0.0 && (y[2] = s)",
    "place = 0\n for i in 1:d\n for j in 1:i\n place += 1\n s += V[place] * y[j]\n end\n end",
    "k = 1\n for j in 1:d\n k = k % d + 1\n s += y[k]\n end",
    "for j in 1:d\n if w[j] > 0.1\n s += w[j]^3\n end\n end",
    "for j in 1:d\n s += w[j] > 0.1 ? w[j] * X[p, j] : w[j]\n end",
    "w[1] > 0.1 && (s += w[2]^2)",
    "t = sqrt(s * s + 1)",
    "s = exp(-s * s) + log(t * t + 2)",
    "for j in 1:d\n t += U[j, p]\n end",
    "s += Z[p]",
    "for j in 1:d\n s += Z[p] * w[j]\n end",
)
ENDS = ("total += s", "total = total * 0.5 + s + t", "total = s > total ? s : total + t", "last = s\n total += t")
STORES = ("out[p] = s", "out[n+1-p] = s * t", "")


def program(rng: random.Random) -> str:
    parts = [rng.choice(FILLS), *(rng.choice(PARTS) for _ in range(rng.randint(1, 4))), rng.choice(STORES)]
    if rng.random() < 0.3:
        parts.insert(2, rng.choice(FILLS))
    own = rng.random() < 0.5
    body = "\n".join(["y = zeros(d)"] * own + ["s = 0.0", "t = 0.25", *parts, rng.choice(ENDS)])
    head = "function f(w, X, U, V, Z)\n n, d = size(X)\n total = 0.0\n last = 0.0\n out = zeros(n)\n"
    loop = rng.choice(("1:n", "1:n", "n:-1:1"))
    return f"{head}{'' if own else 'y = zeros(d)'}\nfor p in {loop}\n{body}\nend\ntotal + last + sum(out)\nend"


def arguments(n: int, seed: int = 1) -> list[np.ndarray]:
    random_ = np.random.default_rng(seed)
    shapes = ((D,), (n, D), (D, n), (D * (D + 1) // 2,), (n,))
    return [random_.uniform(-1, 1, shape) for shape in shapes]


def blocks(module: Any, *args: Any) -> int:
    return module.f.code_typed(*args).count("for{lanes}")


@pytest.mark.parametrize("seed", range(40))
def test_values_of_random_programs(seed: int) -> None:
    """Native code, with vectors, and what it was made of before, iteration by iteration: the lanes of a block, too, are
    in another order in the interpreter. Exponentials have their two forms, each within an ulp."""
    text = program(random.Random(seed))
    fast, plain = dsl.loads(text), dsl.loads(text, optimize=False, interpreter=True)
    again = dsl.loads(text, interpreter=True)
    for n in SIZES:
        args = arguments(n, seed)
        found, known = fast.f(*args), plain.f(*args)
        assert found == pytest.approx(known, rel=1e-14, abs=1e-14) if "exp" in text else found == known, text
        assert again.f(*args) == found, text
    assert dsl.loads(text, opt_level=0).f(*args) == found, text


@pytest.mark.parametrize("seed", range(100, 125))
def test_gradients_of_random_programs(seed: int) -> None:
    text = program(random.Random(seed))
    args = arguments(35, seed)
    which = tuple(range(5))
    forward = dsl.loads(text, mode="forward", opt_level=0, optimize=False)
    known = dsl.grad(forward.f, argnums=which)(*args)
    for options in ({}, {"interpreter": True}):
        found = dsl.grad(dsl.loads(text, mode="reverse", **options).f, argnums=which)(*args)
        for a, b in zip(found, known, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10, err_msg=text)


def test_what_each_iteration_adds_in_an_arm_is_added_by_each() -> None:
    """The same number at the same place, on a condition that is the same in all iterations."""
    text = """
function f(w, X)
  total = 0.0
  for i in 1:size(X, 1)
    s = 0.0
    for j in 1:length(w)
      s = s * 0.5 + tanh(X[i, j] * w[j])
    end
    for j in 1:length(w)
      if w[j] > 0
        s += w[j]^3
      end
    end
    total += s
  end
  total
end
"""
    module, plain = dsl.loads(text), dsl.loads(text, optimize=False, interpreter=True)
    w, X = np.linspace(-1, 1, D), arguments(35)[1]
    assert "for{lanes}" in dsl.grad(module.f).code_typed(w, X)
    np.testing.assert_allclose(dsl.grad(module.f)(w, X), dsl.grad(plain.f)(w, X), rtol=1e-13)


def test_most_of_these_are_done_in_blocks() -> None:
    done = [blocks(dsl.loads(program(random.Random(seed))), *arguments(18)) > 0 for seed in range(40)]
    assert sum(done) > 20


# ---------------------------------------------------------------- failures

FAILING = """
function f(w, X)
  n, d = size(X)
  total = 0.0
  y = zeros(d)
  for p in 1:n
    for j in 1:d
      y[j] = w[j] * X[p, j]
    end
    s = 0.0
    for j in 1:d
      s += sqrt(y[j]) + y[j] * 0.5
    end
    for j in 1:{last}
      s += w[j] * y[d]
    end
    total += log(s)
  end
  total
end
"""


def failure(module: Any, *args: Any) -> str:
    with pytest.raises(DslError) as caught:
        module.f(*args)
    return str(caught.value)


@pytest.mark.parametrize("last", ["d", "d + 1"])
@pytest.mark.parametrize("short", [0, 1])
@pytest.mark.parametrize("bad", [(3, 4), (0, 0), (17, 0), (39, 4), None])
@pytest.mark.parametrize("worse", [(5, 1), (1, 1), (38, 2), None])
def test_the_first_failure(last: str, short: int, bad: tuple[int, int] | None, worse: tuple[int, int] | None) -> None:
    """Roots of negative numbers in some iterations, a zero vector (`log(0)` is no failure), places out of bounds: what
    fails first is what failed first before, with the same numbers in its message."""
    text = FAILING.replace("{last}", last)
    fast, plain = dsl.loads(text), dsl.loads(text, optimize=False, interpreter=True)
    w, X = np.linspace(1, 2, D - short), np.random.default_rng(3).uniform(0.5, 1, (40, D))
    for place, number in ((bad, -0.5), (worse, -0.25)):
        if place is not None:
            X[place] = number
    assert blocks(fast, w, X) > 0
    if last == "d" and not short and bad is None and worse is None:
        assert fast.f(w, X) == pytest.approx(plain.f(w, X), rel=1e-14)
    else:
        assert failure(fast, w, X) == failure(plain, w, X)


def test_a_check_that_ends_a_loop_that_would_not_end() -> None:
    """What looks at the checks before ends where the loop would."""
    text = """
function f(x, m)
  s = 0.0
  for p in 1:20
    t = 0.0
    for j in 1:m
      t = t * 0.5 + x[j] * p
    end
    s += t
  end
  s
end
"""
    assert "out of bounds for length 3" in failure(dsl.loads(text), np.ones(3), 10**17)


@pytest.mark.parametrize("same", [True, False])
def test_one_array_by_two_names(same: bool) -> None:
    """What iterations store is read by later ones, if the two are one."""
    text = """
function f!(out, x)
  for p in 1:32
    s = 0.0
    for j in 1:3
      s = s * 0.5 + x[j]
    end
    out[p] = s
  end
end
function f(x, same)
  y, z = copy(x), copy(x)
  f!(y, same ? y : z)
  y
end
"""
    module, plain = dsl.loads(text), dsl.loads(text, optimize=False, interpreter=True)
    x = np.linspace(1, 2, 34)
    assert blocks(module, x, same) > 0
    assert module.f(x, same).tolist() == plain.f(x, same).tolist()


def test_no_word_of_llvm_reaches_the_user(capfd: pytest.CaptureFixture[str]) -> None:
    text = program(random.Random(3))
    dsl.grad(dsl.loads(text, cache=False, opt_level=3).f, argnums=(0, 1))(*arguments(18))
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- what is decided


def taken(inner: str, behind: str = "", end: str = "%s", within: str = "") -> bool:
    """Whether it is done in blocks."""
    program = loops(inner, behind, end, within)
    before = print_program(program)
    changed = lockstep(program.functions["f"])
    verify(program)
    assert changed == (print_program(program) != before) == ("for{lanes}" in print_program(program))
    return changed


def in_blocks(**parts: str) -> Program:
    program = loops(**parts)
    assert lockstep(program.functions["f"])
    return program


def loops(inner: str, behind: str = "", end: str = "%s", within: str = "") -> Program:
    """A loop over %i, with an inner loop over %j that carries %z."""
    program = parse_program(f"""
fn @f(%x: mem<f64>, %y: mem<f64>, %q: mem<i64>, %n: i64, %m: i64, %w: i64) -> f64 {{
  %0: i64 = const 0
  %1: i64 = const 1
  %nil: f64 = const 0.0
  %own: mem<f64> = new %n
  %total: f64 = for %i = %1, %n, %1 (%t: f64 = %nil) {{
    %iw: i64 = mul %i, %w
    {within}
    %s: f64 = for %j = %1, %m, %1 (%z: f64 = %nil) {{
      %b: f64 = load %x[%j]
      %if: f64 = tof64 %i
      %c: f64 = mul %b, %if
      %d: f64 = add %z, %c
      %d2: f64 = mul %d, %b
      {inner}
      next %d2
    }}
    {behind}
    %u: f64 = add %t, {end}
    next %u
  }}
  return %total
}}
""")
    verify(program)
    return program


@pytest.mark.parametrize(("more", "lanes"), [
    ({"inner": "acc %y[%j], %d {0}"}, 32),
    ({"inner": "", "behind": "acc %y[%0], %s {0}"}, 16),
    ({"inner": "", "behind": "for %k = %1, %w, %1 {\nacc %y[%k], %s {0}\nnext\n}"}, 16),
])  # fmt: skip
def test_how_many_lanes(more: dict[str, str], lanes: int) -> None:
    """More where inner loops add them up, that is where they are not jammed."""
    text = print_program(in_blocks(**more))
    assert f"const {lanes - 1}\n" in text and f"const {47 - lanes}\n" not in text


CHECK = 'check {0}, {1} {{{2} "{{0}}"}}'
NOTICED = "%l: bool = ge %s, %nil\n" + CHECK.format("%l", "%s", "E0401") + "\n"


@pytest.mark.parametrize(
    ("there", "beyond"),
    [
        # what is carried, in order behind the inner loop; but not where that needs it
        ({"inner": ""}, {"inner": "%k: f64 = mul %t, %b"}),
        # stored to, at another place in each iteration; but not where that is unsure, or it is read
        ({"inner": "", "behind": "store %y[%i], %s"}, {"inner": "", "behind": "store %y[%iw], %s"}),
        ({"inner": "", "behind": "store %y[%i], %s"}, {"inner": "", "behind": "store %x[%i], %s"}),
        ({"inner": "", "behind": "store %y[%i], %s"}, {"inner": "", "behind": "store %y[%0], %s"}),
        # added to; but not where it is read, or where that is a place for each in an arm
        ({"inner": "acc %y[%j], %d {0}"}, {"inner": "acc %x[%j], %d {0}"}),
        ({"inner": "", "behind": "acc %y[%iw], %s {0}"},
         {"inner": "", "behind": "%p: bool = lt %s, %nil\nif %p {\nacc %y[%iw], %s {0}\nyield\n} else {\nyield\n}"}),
        # places that grow steadily are in bounds where they are at both ends; other ones may not be
        ({"inner": "%p: i64 = add %i, %j\n%l: bool = le %p, %m\n" + CHECK.format("%l", "%p", "E0402")},
         {"inner": "%p: i64 = mul %i, %j\n%l: bool = le %p, %m\n" + CHECK.format("%l", "%p", "E0402")}),
        ({"inner": "%l: bool = ge %d, %nil\n" + CHECK.format("%l", "%d", "E0401")},
         {"inner": "%l: bool = ge %d, %nil\n" + CHECK.format("%l", "%d", "E0409")}),
        # what iterations behind a failure have stored nobody may see
        ({"inner": "", "behind": NOTICED + "store %own[%i], %s"},
         {"inner": "", "behind": NOTICED + "store %y[%i], %s"}),
        # checks that depend on uniform numbers; but not on numbers in memory, which has to be looked at in order
        ({"inner": "%l: bool = le %j, %w\n" + CHECK.format("%l", "%j", "E0402")},
         {"inner": "%e: i64 = load %q[%j]\n%l: bool = le %e, %w\n" + CHECK.format("%l", "%e", "E0402")}),
        # inner loops that count the same way in all iterations
        ({"inner": "", "behind": "for %k = %1, %w, %1 {\nacc %y[%k], %s {0}\nnext\n}"},
         {"inner": "", "behind": "for %k = %1, %i, %1 {\nacc %y[%k], %s {0}\nnext\n}"}),
        # own memory of one size
        ({"inner": "", "within": "%o: mem<f64> = new %w"}, {"inner": "", "within": "%o: mem<f64> = new %i"}),
        # what is read side by side, mostly
        ({"inner": "%h: i64 = add %iw, %j\n%a: f64 = load %y[%h]\n%g: f64 = mul %a, %d"},
         {"inner": "".join(f"%h{k}: i64 = mul %iw, %j\n%a{k}: f64 = load %y[%h{k}]\n" for k in range(3))}),
    ],
)  # fmt: skip
def test_what_is_done_in_blocks(there: dict[str, str], beyond: dict[str, str]) -> None:
    assert taken(**there)
    assert not taken(**beyond)


# ---------------------------------------------------------------- loops that are jammed

ALONG = "%a: f64 = load %x[%q]\n%w: f64 = mul %a, %z\n"
ADDED = ALONG + "acc %g[%k], %w {0}"


def is_jammed(body: str, low: str = "%0, %m, %1", within: str = "") -> bool:
    """Whether a loop over %k, in one over %i, is done for one lane after the other."""
    program = parse_program(f"""
fn @f(%x: mem<f64>, %g: mem<f64>, %c: mem<f64, f64>, %n: i64, %m: i64) -> f64 {{
  %0: i64 = const 0
  %1: i64 = const 1
  %down: i64 = const -1
  %nil: f64 = const 0.0
  %total: f64 = for %i = %1, %n, %1 (%t: f64 = %nil) {{
    %im: i64 = mul %i, %m
    %z: f64 = tof64 %i
    {within}
    for %k = {low} {{
      %q: i64 = add %im, %k
      {body}
      next
    }}
    %u: f64 = add %t, %z
    next %u
  }}
  return %total
}}
""")
    verify(program)
    (loop,) = (op for op in program.functions["f"].body.ops if op.name == "for")
    return bool(jammed(Shape(loop)))


@pytest.mark.parametrize(
    ("there", "beyond"),
    [
        # places that move by one, the one way or the other; but not by more, or not at all
        ({"body": ADDED}, {"body": ADDED.replace("%g[%k]", "%g[%0]")}),
        ({"body": ADDED, "low": "%m, %0, %down"},
         {"body": "%h: i64 = add %k, %k\n" + ADDED.replace("%g[%k]", "%g[%h]")}),
        ({"body": ADDED.replace("%g[%k]", "%g[%q]")}, {"body": ADDED, "low": "%0, %m, %n"}),
        ({"body": ALONG + "store %g[%q], %w"}, {"body": ALONG + "acc %c[%k], %w {0}"}),
        # what stays is read
        ({"body": "%l: f64 = load %x[%i]\n" + ADDED},
         {"body": "%h: i64 = mul %k, %m\n%l: f64 = load %x[%h]\n" + ADDED}),
        # own memory is read where it is the same in all iterations; but not where lanes lie side by side, nor changed
        ({"body": "%l: f64 = load %o[%k]\n" + ADDED, "within": "%o: mem<f64> = new %m"},
         {"body": "%l: f64 = load %o[%k]\n" + ADDED, "within": "%o: mem<f64> = new %m\nstore %o[%0], %z"}),
        ({"body": ADDED}, {"body": ADDED + "\nacc %o[%k], %nil {0}", "within": "%o: mem<f64> = new %m"}),
        # checks that are looked at before; but not domains, arms and loops
        ({"body": "%l: bool = le %k, %m\n" + CHECK.format("%l", "%k", "E0402") + "\n" + ADDED},
         {"body": "%l: bool = ge %z, %nil\n" + CHECK.format("%l", "%z", "E0401") + "\n" + ADDED}),
        ({"body": ADDED}, {"body": f"%l: bool = lt %k, %n\nif %l {{\n{ADDED}\nyield\n}} else {{\nyield\n}}"}),
        ({"body": ADDED}, {"body": f"for %j = %0, %m, %n {{\n{ADDED}\nnext\n}}"}),
    ],
)  # fmt: skip
def test_what_is_jammed(there: dict[str, str], beyond: dict[str, str]) -> None:
    assert is_jammed(**there)
    assert not is_jammed(**beyond)


def test_a_loop_that_carries_something_is_not_jammed() -> None:
    text = "%s: f64 = for %j = %0, %m, %1 (%y: f64 = %nil) {\n%a: f64 = load %x[%j]\n%b: f64 = add %a, %y\nnext %b\n}"
    assert not is_jammed("", within=text, low="%0, %m, %n")


@pytest.mark.parametrize("m", [1, 3, 8, 17])
@pytest.mark.parametrize("loop", ["1:m", "m:-1:1"])
def test_values_and_gradients_with_jammed_loops(m: int, loop: str) -> None:
    """Rows of what is read, stored to and added to; the order of lanes is that of the iterations."""
    text = f"""
function f(w, X, out)
  n, m = size(X)
  total = 0.0
  for i in 1:n
    z = 0.25
    for j in 1:m
      z += X[i, j] * w[j]
    end
    for j in {loop}
      out[i, j] = X[i, j] * z + w[j]
    end
    total += tanh(z)
  end
  total + sum(out)
end
function g(w, X)
  f(w, X, zeros(size(X, 1), size(X, 2)))
end
"""
    module, plain = dsl.loads(text), dsl.loads(text, optimize=False, interpreter=True)
    for n in SIZES:
        w, X = np.linspace(1, 2, m), np.random.default_rng(n).uniform(-1, 1, (n, m))
        assert module.g(w, X) == plain.g(w, X)
        found, known = (dsl.grad(one.g, argnums=(0, 1))(w, X) for one in (module, plain))
        for a, b in zip(found, known, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)
    assert "for{lanes}" in dsl.grad(module.g, argnums=(0, 1)).code_typed(w, X)
