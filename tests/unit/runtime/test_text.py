"""Text that a program makes of values arrives in Python as text."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pytest

import dsl


def test_text_with_values_is_a_str() -> None:
    module = dsl.loads('say(x) = "x = $x: $(:up), $("on"), $(nothing), $((1, "a"))"')
    assert module.say(2.5) == 'x = 2.5: up, on, nothing, (1, "a")'
    assert module.eval('"$(1 + 1)"') == "2"


ARRAYS = [  # the array, its text, how `--json` writes it; all texts are those of Julia's repr
    ([1.0, 2.0], "[1.0, 2.0]", [1.0, 2.0]),
    ([1, 2], "[1, 2]", [1, 2]),
    (numpy.array([True, False]), "Bool[1, 0]", [True, False]),
    (numpy.array([1.5, numpy.inf, 1e10, 32.0], "f4"), "Float32[1.5, Inf, 1.0e10, 32.0]", [1.5, "Inf", 1e10, 32.0]),
    (numpy.zeros(0), "Float64[]", []),
    (numpy.zeros(0, int), "Int64[]", []),
    (numpy.array([[1.0, 2.0], [3.0, 4.0]]), "[1.0 2.0; 3.0 4.0]", [[1.0, 2.0], [3.0, 4.0]]),
    (numpy.array([[1, 2, 3], [4, 5, 6]]).T, "[1 4; 2 5; 3 6]", [[1, 4], [2, 5], [3, 6]]),
    (numpy.array([[1.0, 2.0]]), "[1.0 2.0]", [[1.0, 2.0]]),
    (numpy.array([[1.0], [2.0]]), "[1.0; 2.0;;]", [[1.0], [2.0]]),
    (numpy.array([[1.0]], "f4"), "Float32[1.0;;]", [[1.0]]),
    (numpy.zeros((0, 3)), "Matrix{Float64}(undef, 0, 3)", []),
    (numpy.zeros((2, 0, 2), bool), "Array{Bool, 3}(undef, 2, 0, 2)", [[], []]),
    (numpy.arange(8).reshape(2, 2, 2), "[0 2; 4 6;;; 1 3; 5 7]", [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
    (numpy.arange(4.0).reshape(2, 2)[::-1, ::-1], "[3.0 2.0; 1.0 0.0]", [[3.0, 2.0], [1.0, 0.0]]),
    ([[1.0], [2.0, 3.0]], "[[1.0], [2.0, 3.0]]", [[1.0], [2.0, 3.0]]),
    ([(1, 2.0), (3, 4.5)], "[(1, 2.0), (3, 4.5)]", [[1, 2.0], [3, 4.5]]),
]


@pytest.mark.parametrize("interpreter", [False, True], ids=["native", "interpreter"])
@pytest.mark.parametrize(("array", "text", "encoded"), ARRAYS, ids=[text for _, text, _ in ARRAYS])
def test_arrays_as_text(array: Any, text: str, encoded: Any, interpreter: bool) -> None:
    printed: list[str] = []
    program = 'say(A) = println(A)\ntell(A) = "<$A>"\nsame(A) = A'
    module = dsl.loads(program, interpreter=interpreter, out=printed.append)
    module.say(array)
    assert "".join(printed) == f"{text}\n"
    assert module.tell(array) == f"<{text}>"
    work = module._workspace
    result = work.apply(module.same, (array,), {})
    assert str(result) == text
    assert json.loads(json.dumps(result.json())) == encoded


def test_a_row_is_shown_as_a_matrix() -> None:
    work = dsl.loads("v = [1.0, 2.0]")._workspace
    result = work.evaluate(work.expression("v'"))
    assert str(result) == "[1.0 2.0]" and result.json() == [[1.0, 2.0]]


def test_long_arrays_are_short_on_a_terminal_only() -> None:
    module = dsl.loads("same(A) = A")
    long = module._workspace.apply(module.same, (numpy.arange(1000),), {})
    assert str(long) == f"[{', '.join(map(str, range(1000)))}]"
    assert long.short(4) == "[0, 1, …, 998, 999]"
    assert long.short(1000) == str(long)
    wide = module._workspace.apply(module.same, (numpy.arange(10_000).reshape(100, 100),), {})
    assert wide.short(16) == "[0 1 … 98 99; 100 101 … 198 199; ⋮; 9800 9801 … 9898 9899; 9900 9901 … 9998 9999]"
    assert wide.short().count(";") == 20
