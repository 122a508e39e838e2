"""Forward mode of a loop that carries one number: a product an iteration, where all tangents in it are multiples."""

from __future__ import annotations

from typing import Any

import pytest

import dsl

LOOP = """
function f(x, a, n)
  z = x
  w = a
  for k in 1:n
    BODY
  end
  z + w
end
"""


def module(body: str, mode: str = "forward", **options: bool) -> Any:
    return dsl.loads(LOOP.replace("BODY", body), mode=mode, **options)


def uses_of_the_tangent(body: str) -> int:
    """How often what an iteration hands to the next, the tangent of z, is used in it."""
    text = str(module(body).code_typed("derivative(x -> f(x, 0.3, 9), 0.4)"))
    loop = next(line for line in text.splitlines() if " = for " in line)
    assert "(%z" in loop
    carried = loop.split("%ż")[-1].split(":")[0]
    inside = text[text.index(loop) + len(loop) : text.rindex("next ")]
    return len([word for word in inside.replace(",", " ").split() if word == f"%ż{carried}"])


@pytest.mark.parametrize(
    "body", ["z = 4z * (1 - z)", "z = sin(z) + z * exp(a - z) + z", "z = z^2 - a; z = cos(z) * z", "z = max(z, a) * z"]
)
def test_one_product_an_iteration(body: str) -> None:
    assert uses_of_the_tangent(body) == 1


@pytest.mark.parametrize(
    "body",
    [
        "z = 4z * (x - z)",  # a tangent from outside
        "z = z > 0.3 ? 4z * (1 - z) : z / 2 + z * z * z",  # two ways
        "z = 4z * (1 - z) * sum([z * j for j in 1:k])",  # a loop in it
    ],
)
def test_just_beyond(body: str) -> None:
    assert uses_of_the_tangent(body) > 1


def test_where_the_whole_slope_may_be_zero_because_of_the_path_each_product_is_guarded() -> None:
    text = str(module("z = max(sin(z), a)").code_typed("derivative(x -> f(x, 0.3, 9), 0.4)"))
    assert "mul %ż" in text and "select" in text.split("mul %ż")[1]  # first the product, then the choice


def test_of_two_numbers_that_are_carried_each_is_used_where_it_is() -> None:
    text = str(module("z, w = 4z * (1 - w), w + z * w").code_typed("derivative(x -> f(x, 0.3, 9), 0.4)"))
    assert text.count("fma") > 2


@pytest.mark.parametrize("n", [0, 1, 2, 9])
@pytest.mark.parametrize("body", ["z = 4z * (1 - z)", "z = sin(z) + z * exp(a - z) + z", "z = max(z, a) * z"])
def test_derivatives(body: str, n: int) -> None:
    """As by reverse mode, and by the interpreter."""
    found = dsl.gradient(module(body).f, 0.4, 0.3, n)[0]
    assert found == dsl.gradient(module(body, interpreter=True).f, 0.4, 0.3, n)[0]
    assert found == pytest.approx(dsl.gradient(module(body, "reverse").f, 0.4, 0.3, n)[0], rel=1e-13)


def test_a_tangent_that_is_zero_because_of_the_path_stays_zero() -> None:
    """Whatever the derivative of the body is."""
    m = dsl.loads("""
    function f(x, n)
      z = x < 0 ? x : 1.0
      for k in 1:n
        z = sqrt(z - 1) + 1
      end
      z
    end
    """, mode="forward")
    assert dsl.gradient(m.f, 2.0, 3)[0] == 0.0
