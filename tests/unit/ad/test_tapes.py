"""Where the records of loops go: tapes of exact size, with places by number, and those that grow."""

from __future__ import annotations

import re

import pytest

import dsl


@pytest.fixture(autouse=True)
def _loops_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of loops have tests of their own (`test_checkpoint`)."""
    monkeypatch.setenv("DFL_CHECKPOINT", "off")


def adjoint(text: str, call: str) -> str:
    return str(dsl.loads(text).code_adjoint(call))


def tapes(text: str, call: str) -> tuple[int, int]:
    """How many records are stored at places, not counting zeros, and how many are pushed."""
    listing = adjoint(text, call)
    zeros = set(re.findall(r"(%\S+): \w+ = const 0(?:\.0)?$", listing, re.M))
    stored = [set(values.split(", ")) for values in re.findall(r"\bstore %\S+\[\S+\], (.*)", listing)]
    return sum(not values <= zeros for values in stored), len(re.findall(r"\bpush %", listing))


NEST = """
function f(x, n, m)
  s = x
  for i in 1:n
    BEFORE
    for j in INNER
      s = sin(s * x)
    end
    AFTER
  end
  s
end
"""


def nest(inner: str, before: str = "", after: str = "") -> tuple[int, int]:
    text = NEST.replace("INNER", inner).replace("BEFORE", before).replace("AFTER", after)
    return tapes(text, "f(0.5, 3, 4)")


@pytest.mark.parametrize("inner", ["1:m", "1:5", "2:2:m", "m:-1:1"])
def test_a_nest_of_known_trip_counts_has_places_by_number(inner: str) -> None:
    assert nest(inner) == (1, 0)


def test_records_of_both_loops() -> None:
    assert nest("1:m", after="s = cos(s)") == (2, 0)


def test_an_inner_loop_that_differs_grows() -> None:
    stored, pushed = nest("1:i")
    assert (stored, pushed) == (1, 1)  # the outer loop's record says where the inner one's begin


def test_an_inner_loop_that_is_not_always_run_grows() -> None:
    _, pushed = nest("1:m", before="if s < 0.2; continue; end")
    assert pushed >= 1


def test_a_loop_of_unknown_length_grows() -> None:
    text = "function f(x, n)\n s = x\n while s > 0.01 * n\n s = sin(s) * x\n end\n s\nend"
    assert tapes(text, "f(0.5, 3)") == (0, 2)  # at either of its exits


def test_more_records_than_there_is_memory_for() -> None:
    """The product of the trip counts does not fit into 64 bits: an error, not a small tape."""
    g = dsl.loads(NEST.replace("INNER", "1:m").replace("BEFORE", "").replace("AFTER", ""), mode="reverse").f
    with pytest.raises(dsl.DslError) as caught:
        dsl.gradient(g, 0.5, 2**33, 2**31)
    assert caught.value.kind == "OutOfMemoryError"


SHAPES = [
    "for i in 1:n; s = sin(s * x); for j in 1:m; s = s * x + cos(s); end; end",
    "for i in 1:n, j in 1:m, k in 1:2; s = sin(s * x + k); end",
    "for i in n:-1:1; for j in m:-2:-3; s = sin(s * x + j); end; s = s * x; end",
    "for i in 1:0; for j in 1:m; s = sin(s * x); end; end",
    "for i in 1:n; for j in 5:m; s = sin(s * x); end; end",
    "for i in 1:n; for j in 1:i; s = sin(s * x); end; for j in 1:m; s = cos(s * x); end; end",
    "if x > 0; for i in 1:n; s = sin(s * x); end; end; for i in 1:m; s = cos(s * x); end",
    "k = 0; while k < n; k += 1; for j in 1:m; s = sin(s * x); end; end",
    "for i in 1:n; if s > 0.4; for j in 1:m; s = sin(s * x); end; end; end",
]


@pytest.mark.parametrize("body", SHAPES)
def test_gradients_agree_with_forward_mode(body: str) -> None:
    text = f"function f(x, n, m)\n s = x\n {body}\n s\nend"
    forward = dsl.loads(text, mode="forward").eval("gradient(f, 0.7, 3, 4)[1]")
    for interpreter in (False, True):
        reverse = dsl.loads(text, mode="reverse", interpreter=interpreter).eval("gradient(f, 0.7, 3, 4)[1]")
        assert reverse == pytest.approx(forward, rel=1e-13)
    second = "gradient(x -> gradient(f, x, 3, 4)[1], 0.7)"
    assert dsl.loads(text, mode="reverse").eval(second) == pytest.approx(
        dsl.loads(text, mode="forward").eval(second), rel=1e-12
    )
