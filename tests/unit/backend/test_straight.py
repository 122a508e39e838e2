"""Short code without loops gets few of LLVM's passes: which code that is, and that it is as good as with all."""

from __future__ import annotations

import pytest

import dsl
from dsl.backend.emit import STRAIGHT
from dsl.runtime.llvm import assembly

SHORT = {
    "softplus": ("f(x) = log(1 + exp(5*sin(x) + 5x + 2))", 1),
    "product": ("f(x) = 5sin(x)^2 + x * exp(-x)", 1),
    "rosenbrock": ("f(x, y) = 100*(y - x^2)^2 + (1 - x)^2", 2),
    "quotient": ("f(a, b, c, d) = (a*b + c*d)^2 / (1 + a^2 + b^2 + c^2 + d^2)", 4),
    "pieces": ("f(x) = x > 1 ? x^3 : (x < -1 ? -x : x^2 * exp(x))", 1),
    "lorenz": ("f(x, y, z) = (10*(y - x))^2 + (x*(28 - z) - y)^2 + (x*y - 8/3*z)^2", 3),
}


def module(f: dsl.Function, *types: type) -> str:
    return str(f.code_llvm(*types, optimize=False, raw=True)) + "\n"


def instructions(text: str) -> int:
    return sum(line.startswith("\t") and not line.startswith("\t.") for line in assembly(text, 3).splitlines())


@pytest.mark.parametrize("name", SHORT)
def test_few_passes_make_code_as_short_as_all(name: str) -> None:
    text, count = SHORT[name]
    f = dsl.loads(text).f
    for made in (f, dsl.grad(f, tuple(range(count)))):
        marked = module(made, *[float] * count)
        assert marked.startswith(STRAIGHT)
        assert instructions(marked) <= 1.03 * instructions(marked.removeprefix(STRAIGHT)) + 1


@pytest.mark.parametrize(
    "text",
    [
        "f(x) = sum(x^k for k in 1:9)",
        "function f(x)\n  while x < 9\n    x *= 2\n  end\n  x\nend",
        "f(x) = 3^Int(round(x))",
        "f(x) = x < 1 ? x : f(x / 2)",
        "f(x) = sum([k * x for k in 1:Int(round(x))])",
        "f(x) = " + " + ".join(f"sin({k}x)" for k in range(60)),
    ],
)
def test_other_code_gets_all_passes(text: str) -> None:
    made = module(dsl.loads(text).f, float)
    assert STRAIGHT not in made
