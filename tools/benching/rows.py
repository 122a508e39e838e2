"""All rows, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benching import jax_programs as jaxes
from benching import numpy_programs as numpys
from benching.harness import Arguments, Row

Random = np.random.Generator
Make = Callable[[Random], Arguments]
Kernels = Mapping[str, tuple[tuple[str, ...], str]]  # by peer: for the value, what is wanted, and both; and the flags


def given(*args: Any) -> Make:
    return lambda random: args


def kernels(fast: str = "fast", prefix: str = "", **more: tuple[str, ...]) -> Kernels:
    """The usual kernels, the second time with the flags `fast`, and others by the end of their peer's name."""
    names = (prefix, f"{prefix}_gradient", f"{prefix}_both") if prefix else ("value", "gradient", "both")
    usual = {"c": (names, "plain"), **({"c-fast": (names, fast)} if fast else {})}
    return {**usual, **{f"c-{name}": (("value", *rest), "plain") for name, rest in more.items()}}


# ---------------------------------------------------------------- arguments


def normal(n: int) -> Make:
    return lambda random: (1 + 0.3 * random.normal(size=n),)


def point_and_direction(n: int) -> Make:
    return lambda random: (1 + 0.3 * random.normal(size=n), random.normal(size=n))


def uniform(n: int) -> Make:
    return lambda random: (random.uniform(-2, 2, n),)


def options(n: int) -> Make:
    """Prices now and agreed, years, rates, volatilities."""
    ranges = ((50, 150), (50, 150), (0.1, 2), (0, 0.08), (0.1, 0.6))
    return lambda random: tuple(random.uniform(low, high, size=n) for low, high in ranges)


def labelled(n: int, d: int) -> Make:
    def make(random: Random) -> Arguments:
        x = random.normal(size=(n, d))
        w = random.normal(size=d) / 5
        y = (random.uniform(size=n) < 1 / (1 + np.exp(-x @ w))).astype(float)
        return w + 0.1, 0.2, x, y

    return make


def mixture(n: int, d: int, k: int) -> Make:
    def make(random: Random) -> Arguments:
        icf = 0.3 * random.normal(size=(k, d * (d + 1) // 2))
        return random.normal(size=k), random.normal(size=(k, d)), icf, random.normal(size=(n, d))

    return make


def grid(n: int, steps: int) -> Make:
    return lambda random: (random.normal(size=(n, n)), 0.1, steps)


def observations(n: int, end: float) -> Make:
    """Parameters near those of what was seen, which is made up, until a time."""
    times = np.linspace(end / n, end, n)
    seen = np.stack([2 + np.sin(times), 2 + np.cos(times)], axis=1)
    return given(1.5, 1.0, 0.8, 3.0, times, seen)


def cloud(n: int, steps: int) -> Make:
    return lambda random: (
        random.normal(size=(3, n)), 0.1 * random.normal(size=(3, n)), random.uniform(size=n) / n, steps
    )  # fmt: skip


def layers(batch: int, *widths: int) -> Make:
    return lambda random: numpys.layers(random, batch, *widths)


def square(n: int, form: str) -> Make:
    def make(random: Random) -> Arguments:
        a = random.normal(size=(n, n)) / np.sqrt(n)
        if form == "definite":
            return (a @ a.T + 2 * np.eye(n),)
        return (a + 2 * np.eye(n), random.normal(size=n)) if form == "regular" else (a,)

    return make


# ---------------------------------------------------------------- rows


def lorenz(n: int) -> Make:
    return given(1.0, 2.0, 20.0, 10.0, 28.0, 8 / 3, n)


_BELL = given(0.7, 1.1)
_lorenz = partial(
    Row, program="lorenz", function="lorenz", small=lorenz(100), wrt=tuple(range(6)),
    kernels=kernels(fast="", forward=("forward", "forward_both")),
)  # fmt: skip
_shallow = partial(Row, program="perceptron", function="loss", small=layers(5, 4, 3, 2), wrt=tuple(range(4)))
_deep = partial(Row, program="perceptron", function="deep", small=layers(5, 4, 3, 3, 2), wrt=tuple(range(6)))


def _matrix(name: str, title: str, function: str, form: str, wrt: tuple[int, ...] = (0,)) -> list[Row]:
    peers = {"scipy": getattr(numpys, function), "jax": jaxes.peer(getattr(jaxes, function))}
    return [
        Row(f"{name}-{n}", f"{title}, n = {n}", "matrices", function, square(n, form), square(4, form), wrt,
            peers=peers, tolerance=1e-7)
        for n in (8, 64, 512)
    ]  # fmt: skip


_ALL = (
    Row("a-scalar", "log(1 + exp(5sin x + 5x + 2))", "scalar", "f", given(1.0), given(0.3),
        kernels=kernels(), peers={"jax": jaxes.peer(jaxes.scalar)}, within={"c": 1.0}, tiny=True),
    *(
        Row(f"b-logistic-{n}", f"logistic map, {n} times", "logistic_map", "iterate", given(0.3, n), given(0.3, 7),
            kernels=kernels(fast="", tape=("reverse", "reverse_both")),
            peers={"jax": jaxes.peer(jaxes.logistic_map)}, within={"c": most}, tiny=n < 10)
        for n, most in ((3, 1.0), (1000, 1.1))
    ),
    Row("c-my-func", "100 times through sin and cos", "my_func", "my_func", given(0.4, 1.3), given(0.4, 1.3), (0, 1),
        kernels=kernels(), peers={"jax": jaxes.peer(jaxes.my_func)}, within={"c": 1.0}),
    Row("d-power", "power by while, 1000 times", "power", "pow", given(1.0001, 1000), given(1.1, 9),
        kernels=kernels(fast="", tape=("reverse", "reverse_both")),
        peers={"jax-forward": jaxes.peer(jaxes.power, forward=True)}, within={"c": 1.1}),
    *(
        Row(f"e-rosenbrock-{name}", f"Rosenbrock, n = {n:,}", "rosenbrock", "rosenbrock", normal(n), normal(9),
            kernels=kernels(), peers={"jax": jaxes.peer(jaxes.rosenbrock)}, within={"c": 1.0})
        for name, n in (("1e3", 1000), ("1e6", 1_000_000))
    ),
    *(
        Row(f"e-hvp-{name}", f"Rosenbrock, n = {n:,}, Hessian-vector product", "rosenbrock", "rosenbrock",
            point_and_direction(n), point_and_direction(9), wanted="hvp",
            kernels={"c": (("value", "hvp"), "plain"), "c-fast": (("value", "hvp"), "fast")},
            peers={"jax": jaxes.peer(lambda x, v: jaxes.rosenbrock(x), wanted=jaxes.hvp)}, within={"c": 1.3})
        for name, n in (("1e3", 1000), ("1e6", 1_000_000))
    ),
    *(
        _lorenz(f"f-lorenz-{name}", f"Lorenz system, {n:,} steps of RK4", arguments=lorenz(n),
            peers={"jax": jaxes.peer(jaxes.lorenz)}, within={"c": 1.0})
        for name, n in (("1e4", 10_000), ("1e6", 1_000_000))
    ),
    _lorenz("f-lorenz-1e8", "Lorenz system, 100,000,000 steps of RK4", arguments=lorenz(100_000_000), asked=True),
    Row("g-black-scholes", "Black-Scholes, 1,000,000 options, five greeks each", "black_scholes", "total",
        options(1_000_000), options(9), tuple(range(5)), kernels=kernels("wide"),
        peers={"jax": jaxes.peer(jaxes.black_scholes)}, within={"c-fast": 1.0, "jax": 1.0}),
    *(
        Row(f"h-regression{suffix}", f"logistic regression, 10,000 × 50{what}", "logistic_regression", function,
            labelled(10_000, 50), labelled(9, 3), (0, 1), kernels=kernels(), defines={"COLUMNS": (2, 1)},
            peers={"numpy": numpys.logistic_regression, "jax": jaxes.peer(jaxes.logistic_regression)},
            within={"c": 1.0, "jax": 1.0})
        for suffix, what, function in (("", "", "loss"), ("-arrays", ", with arrays", "arrays"))
    ),
    _shallow("i-perceptron-small", "perceptron, 128×64 through 64-1", arguments=layers(128, 64, 64, 1),
        peers={"numpy": numpys.perceptron, "jax": jaxes.peer(jaxes.perceptron)}, within={"numpy": 1.1}),
    _deep("i-perceptron-deep", "perceptron, 128×64 through 64-64-1", arguments=layers(128, 64, 64, 64, 1),
        peers={"numpy": numpys.perceptron, "jax": jaxes.peer(jaxes.deep)}, within={"numpy": 1.1}),
    _shallow("i-perceptron-large", "perceptron, 1024×784 through 256-10", arguments=layers(1024, 784, 256, 10),
        peers={"numpy": numpys.perceptron, "jax": jaxes.peer(jaxes.perceptron)}, within={"numpy": 1.1}),
    *(
        Row(f"j-gmm-d{d}", f"Gaussian mixture, d = {d}, K = 25, n = 1000", "gmm", "gmm", mixture(1000, d, 25),
            mixture(7, 3, 4), (0, 1, 2), kernels=kernels(),
            defines={"DIMENSION": (3, 1), "COMPONENTS": (0, 0)}, peers={"jax": jaxes.peer(jaxes.gmm)},
            within={"c": 1.0, "jax": 1.0})
        for d in (10, 32)
    ),
    Row("k-heat", "heat equation, 128², 100 steps", "heat", "heat", grid(128, 100), grid(6, 3), (0, 1),
        kernels=kernels(), peers={"jax": jaxes.peer(jaxes.heat)}, within={"value": 2.5, "jax": 1.0}),
    Row("l-lotka-volterra", "Lotka-Volterra fit, adaptive steps", "lotka_volterra", "fit", observations(20, 10.0),
        observations(3, 0.3), (0, 1, 2, 3), kernels=kernels(fast=""),
        peers={"jax-forward": jaxes.peer(jaxes.lotka_volterra, forward=True)},
        within={"value": 2.5, "jax-forward": 1.0}),
    Row("m-points", "the scalar at 10,000,000 points", "scalar", "total", uniform(10_000_000), uniform(600),
        kernels=kernels("wide", "total"), peers={"jax": jaxes.peer(jaxes.total)}, within={"c-fast": 1.0, "jax": 1.0}),
    *(
        Row(f"n-{name}", f"{name} derivative of a Gaussian", "gaussian", "bell", _BELL, given(0.3, 0.9), wanted=name,
            kernels={"c": (("value", name), "plain")}, peers={"jax": jaxes.peer(jaxes.bell, jaxes.derivative(order))},
            within={"c": 1.0} if order == 3 else {}, tiny=True)
        for name, order in (("third", 3), ("tenth", 10))
    ),
    Row("o-bodies", "100 bodies, 100 steps", "bodies", "bodies", cloud(100, 100), cloud(4, 3), (0, 1, 2),
        kernels=kernels(), peers={"jax": jaxes.peer(jaxes.bodies)}, within={"value": 2.5, "jax": 1.0}),
    *_matrix("p-expm", "sum of exp(A)", "exponential", "any"),
    *_matrix("p-solve", "squared solution of A x = b", "solve", "regular", (0, 1)),
    *_matrix("p-cholesky", "cubes of a Cholesky factor", "factor", "definite"),
)  # fmt: skip
ROWS: dict[str, Row] = {row.name: row for row in _ALL}
assert len(ROWS) == len(_ALL)
