"""Loops in blocks that are run again, and functions that are: the same derivatives, of every order, as without."""

from __future__ import annotations

from pathlib import Path

import pytest

import dsl

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
    text = f"((x) -> begin; y, b = pullback(f, x); z, c = pullback(f, x .* 1.5); p = b(1.0)[1]; c(1.0); p .+ 2 .* b(1.0)[1]; end)({POINT})"
    assert numbers(program, text, opt_level=0) == pytest.approx([3 * d for d in want], rel=1e-12, abs=1e-13)
