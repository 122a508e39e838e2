"""Models fitted to data: a neural network with tanh layers, logistic regression."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benching.harness import Data, Row, Run, compile_c, dfl_run, jax_run, pointer

# ---------------------------------------------------------------- multi-layer perceptron

MLP = """
layer(X, W, b) = tanh.(X * W .+ b')
loss(W1, b1, W2, b2, W3, b3, X, Y) = sum((layer(layer(layer(X, W1, b1), W2, b2), W3, b3) .- Y) .^ 2) / length(Y)
loss2(W1, b1, W2, b2, X, Y) = sum((layer(layer(X, W1, b1), W2, b2) .- Y) .^ 2) / length(Y)
"""


def mlp_data(batch: int, *widths: int) -> Any:
    def data(random: np.random.Generator) -> Data:
        layers = []
        for n, m in itertools.pairwise(widths):
            layers += [random.normal(size=(n, m)) / np.sqrt(n), 0.1 * random.normal(size=m)]
        return {"params": layers, "x": random.normal(size=(batch, widths[0])),
                "y": np.tanh(random.normal(size=(batch, widths[-1])))}  # fmt: skip

    return data


def mlp_dfl(data: Data) -> Run:
    params = data["params"]
    name = "loss" if len(params) == 6 else "loss2"
    return dfl_run(MLP, name, tuple(range(len(params))), *params, data["x"], data["y"])


def mlp_jax(data: Data) -> Run:
    import jax.numpy as jnp

    n = len(data["params"])

    def loss(*args: Any) -> Any:
        *params, x, y = args
        for k in range(0, n, 2):
            x = jnp.tanh(x @ params[k] + params[k + 1])
        return jnp.mean((x - y) ** 2)

    return jax_run(loss, tuple(range(n)), *data["params"], data["x"], data["y"])


def mlp_numpy(data: Data) -> Run:
    """With the gradient written by hand."""
    params, x0, y = data["params"], data["x"], data["y"]

    def run() -> tuple[Any, ...]:
        outs = [x0]
        for k in range(0, len(params), 2):
            outs.append(np.tanh(outs[-1] @ params[k] + params[k + 1]))
        rest = outs[-1] - y
        value = np.mean(rest**2)
        d = 2 * rest / rest.size
        gradients: list[Any] = []
        for k in range(len(params) - 2, -1, -2):
            d = d * (1 - outs[k // 2 + 1] ** 2)
            gradients = [outs[k // 2].T @ d, d.sum(axis=0), *gradients]
            if k:
                d = d @ params[k].T
        return (value, *gradients)

    return run


# ---------------------------------------------------------------- logistic regression

LOGISTIC = """
function loss(w, b, X, y)
  s = 0.0
  for i in 1:size(X, 1)
    z = b
    for j in 1:length(w)
      z += X[i, j] * w[j]
    end
    s += softplus(z) - y[i] * z
  end
  s / size(X, 1)
end
arrays(w, b, X, y) = (z = X * w .+ b; sum(softplus.(z) .- y .* z) / length(y))
"""


def logistic_data(random: np.random.Generator) -> Data:
    x = random.normal(size=(10_000, 50))
    w = random.normal(size=50) / 5
    y = (random.uniform(size=10_000) < 1 / (1 + np.exp(-x @ w))).astype(float)
    return {"w": w + 0.1, "b": 0.2, "x": x, "y": y}


def logistic_dfl(data: Data) -> Run:
    return dfl_run(LOGISTIC, "loss", (0, 1), data["w"], data["b"], data["x"], data["y"])


def logistic_arrays(data: Data) -> Run:
    return dfl_run(LOGISTIC, "arrays", (0, 1), data["w"], data["b"], data["x"], data["y"])


def logistic_numpy(data: Data) -> Run:
    x, y, w, b = data["x"], data["y"], data["w"], data["b"]

    def run() -> tuple[Any, ...]:
        z = x @ w + b
        value = np.mean(np.logaddexp(0, z) - y * z)
        d = (1 / (1 + np.exp(-z)) - y) / len(y)
        return value, x.T @ d, d.sum()

    return run


def logistic_jax(data: Data) -> Run:
    import jax
    import jax.numpy as jnp

    def loss(w: Any, b: Any, x: Any, y: Any) -> Any:
        z = x @ w + b
        return jnp.mean(jax.nn.softplus(z) - y * z)

    return jax_run(loss, (0, 1), data["w"], data["b"], data["x"], data["y"])


LOGISTIC_C = """
#include <math.h>
void grad(const double *w, double b, const double *x, const double *y, long n, long m, double *out) {
  double s = 0, db = 0, *dw = out + 1;
  for (long j = 0; j < m; j++) dw[j] = 0;
  for (long i = 0; i < n; i++) {
    const double *r = x + i * m;
    double z = b;
    for (long j = 0; j < m; j++) z += r[j] * w[j];
    double e = exp(-fabs(z));
    s += (z > 0 ? z : 0) + log1p(e) - y[i] * z;
    double p = z > 0 ? 1 / (1 + e) : e / (1 + e);
    double d = (p - y[i]) / n;
    for (long j = 0; j < m; j++) dw[j] += d * r[j];
    db += d;
  }
  out[0] = s / n;
  out[m + 1] = db;
}
"""


def logistic_c(data: Data, *flags: str) -> Run:
    import ctypes

    lib = compile_c(LOGISTIC_C, *flags)
    x, y, w = data["x"], data["y"], data["w"]
    out = np.zeros(len(w) + 2)

    def run() -> tuple[Any, ...]:
        n, m = map(ctypes.c_long, x.shape)
        lib.grad(pointer(w), ctypes.c_double(data["b"]), pointer(x), pointer(y), n, m, pointer(out))
        return (out.copy(),)

    return run


def logistic_c_fast(data: Data) -> Run:
    return logistic_c(data, "-ffast-math")


MLP_PEERS = {"dfl": mlp_dfl, "numpy": mlp_numpy, "jax": mlp_jax}
ROWS = (
    Row("mlp-small", "MLP, 128×64 through 64-64-1", mlp_data(128, 64, 64, 1), MLP_PEERS, matrix=True),
    Row("mlp-large", "MLP, 1024×784 through 784-256-10", mlp_data(1024, 784, 256, 10), MLP_PEERS, matrix=True),
    Row("logistic", "logistic regression, 10,000 × 50", logistic_data, {
        "dfl": logistic_dfl, "dfl-arrays": logistic_arrays, "numpy": logistic_numpy, "jax": logistic_jax,
        "c": logistic_c, "c-fast": logistic_c_fast,
    }),
)  # fmt: skip
