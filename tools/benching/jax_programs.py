"""The rows in JAX, as its users would write them: loops by `fori_loop` and `scan`, arrays as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benching.harness import Arguments, Peer, Row, Run


def peer(f: Callable[..., Any], wanted: Callable[[Any, Row], Any] | None = None, forward: bool = False) -> Peer:
    """A function of JAX: compiled, on arguments that are its own arrays already; integers are constants. `wanted` makes
    something else of it than value and gradient; `forward`: the gradient by forward mode."""

    def make(row: Row, args: Arguments) -> tuple[Run, Run]:
        import jax

        places = [k for k, a in enumerate(args) if not isinstance(a, int)]
        given = [jax.numpy.asarray(args[k], dtype=float) for k in places]

        def whole(*numbers: Any) -> Any:
            full = list(args)
            for k, x in zip(places, numbers, strict=True):
                full[k] = x
            return f(*full)

        where = tuple(places.index(k) for k in row.wrt)
        if wanted is not None:
            derived = wanted(whole, row)
        elif forward:
            derived = lambda *xs: (whole(*xs), jax.jacfwd(whole, where)(*xs))  # noqa: E731
        else:
            derived = jax.value_and_grad(whole, where)
        value, both = jax.jit(whole), jax.jit(derived)
        return lambda: jax.block_until_ready(value(*given)), lambda: jax.block_until_ready(both(*given))

    return make


def scalar(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.log(1 + jnp.exp(5 * jnp.sin(x) + 5 * x + 2))


def total(x: Any) -> Any:
    return scalar(x).sum()


def logistic_map(v: Any, n: int) -> Any:
    import jax

    return jax.lax.fori_loop(0, n, lambda _, v: 4 * v * (1 - v), v)


def my_func(a: Any, b: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.lax.fori_loop(0, 100, lambda i, z: a * jnp.cos(z + i) + z * jnp.sin(b - i), 0.0)


def power(x: Any, n: int) -> Any:
    import jax

    return jax.lax.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 1, s[1] * x), (jax.numpy.asarray(n), 1.0))[1]


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def hvp(f: Any, row: Row) -> Any:
    import jax

    return lambda x, v: jax.jvp(jax.grad(lambda x: f(x, v)), (x,), (v,))[1]


def lorenz(x: Any, y: Any, z: Any, s: Any, r: Any, b: Any, n: int) -> Any:
    import jax

    h = 5 / n

    def slope(x: Any, y: Any, z: Any) -> Any:
        return s * (y - x), x * (r - z) - y, x * y - b * z

    def step(state: Any, _: Any) -> Any:
        def at(h: float, k: Any) -> Any:
            return tuple(a + h * b for a, b in zip(state, k, strict=True))

        k1 = slope(*state)
        k2 = slope(*at(h / 2, k1))
        k3 = slope(*at(h / 2, k2))
        k4 = slope(*at(h, k3))
        return at(h / 6, [a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)]), None

    return jax.lax.scan(jax.checkpoint(step), (x, y, z), None, length=n)[0][0]


def black_scholes(S: Any, K: Any, T: Any, r: Any, v: Any) -> Any:
    import jax.numpy as jnp
    from jax.scipy.special import erf

    def normal(x: Any) -> Any:
        return (1 + erf(x / np.sqrt(2))) / 2

    d1 = (jnp.log(S / K) + (r + v**2 / 2) * T) / (v * jnp.sqrt(T))
    return (S * normal(d1) - K * jnp.exp(-r * T) * normal(d1 - v * jnp.sqrt(T))).sum()


def logistic_regression(w: Any, b: Any, X: Any, y: Any) -> Any:
    import jax
    import jax.numpy as jnp

    z = X @ w + b
    return jnp.mean(jax.nn.softplus(z) - y * z)


def perceptron(W1: Any, b1: Any, W2: Any, b2: Any, X: Any, Y: Any) -> Any:
    import jax.numpy as jnp

    return jnp.mean((jnp.tanh(X @ W1 + b1) @ W2 + b2 - Y) ** 2)


def deep(W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any, X: Any, Y: Any) -> Any:
    import jax.numpy as jnp

    return jnp.mean((jnp.tanh(jnp.tanh(X @ W1 + b1) @ W2 + b2) @ W3 + b3 - Y) ** 2)


def gmm(alpha: Any, mu: Any, icf: Any, X: Any) -> Any:
    import jax.numpy as jnp
    from jax.scipy.special import logsumexp

    n, d = X.shape
    columns, rows = np.triu_indices(d, 1)  # below the diagonal, column by column
    Q = jnp.zeros((len(alpha), d, d)).at[:, rows, columns].set(icf[:, d:])
    Q = Q.at[:, np.arange(d), np.arange(d)].set(jnp.exp(icf[:, :d]))
    y = jnp.einsum("kji,kni->knj", Q, X[None] - mu[:, None])
    terms = (alpha + icf[:, :d].sum(1))[:, None] - (y**2).sum(2) / 2
    return logsumexp(terms, 0).sum() - n * logsumexp(alpha) + (Q**2).sum() / 2


def heat(u: Any, c: Any, steps: int) -> Any:
    import jax

    def step(u: Any, _: Any) -> Any:
        inner = u[1:-1, 1:-1]
        sides = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * inner
        return u.at[1:-1, 1:-1].set(inner + c * sides), None

    return (jax.lax.scan(step, u, None, length=steps)[0] ** 2).sum()


def lotka_volterra(a: Any, b: Any, c: Any, d: Any, times: Any, seen: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def slope(s: Any) -> Any:
        return jnp.stack([s[0] * (a - b * s[1]), s[1] * (c * s[0] - d)])

    def advance(state: Any) -> Any:
        t, h, s, end = state
        h = jnp.minimum(h, end - t)
        k1 = slope(s)
        k2 = slope(s + h / 2 * k1)
        k3 = slope(s + 3 * h / 4 * k2)
        s4 = s + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        rest = jax.lax.stop_gradient(-5 * k1 / 72 + k2 / 12 + k3 / 9 - slope(s4) / 8)
        error = h * jnp.sqrt((rest**2).sum()) / 1e-8
        good = error <= 1
        t, s = jnp.where(good, t + h, t), jnp.where(good, s4, s)
        return t, h * jnp.clip(0.9 * (error + 1e-30) ** (-1 / 3), 0.2, 5.0), s, end

    def observe(state: Any, point: Any) -> Any:
        end, there = point
        t, h, s, _ = jax.lax.while_loop(lambda q: q[0] < q[3], advance, (*state, end))
        return (t, h, s), ((s - there) ** 2).sum()

    return jax.lax.scan(observe, (0.0, 0.01, jnp.ones(2)), (times, seen))[1].sum()


def bell(x: Any, s: Any) -> Any:
    import jax.numpy as jnp

    return jnp.exp(-(x**2) / (2 * s**2))


def derivative(order: int) -> Callable[[Any, Row], Any]:
    def made(f: Any, row: Row) -> Any:
        import jax

        for _ in range(order):
            f = jax.grad(f)
        return f

    return made


def bodies(X: Any, V: Any, m: Any, steps: int) -> Any:
    import jax
    import jax.numpy as jnp

    h = 0.01

    def step(state: Any, _: Any) -> Any:
        X, V = state
        X = X + h / 2 * V
        D = X[:, None, :] - X[:, :, None]
        r = (D**2).sum(0) + 0.01
        V = V + h * (D * (m / (r * jnp.sqrt(r)))).sum(2)
        return (X + h / 2 * V, V), None

    return (jax.lax.scan(step, (X, V), None, length=steps)[0][0] ** 2).sum()


def exponential(A: Any) -> Any:
    import jax

    return jax.scipy.linalg.expm(A).sum()


def solve(A: Any, b: Any) -> Any:
    import jax.numpy as jnp

    return (jnp.linalg.solve(A, b) ** 2).sum()


def factor(A: Any) -> Any:
    import jax.numpy as jnp

    return (jnp.linalg.cholesky(A) ** 3).sum()
