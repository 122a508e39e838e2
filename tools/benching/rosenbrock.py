"""Rosenbrock's function of n numbers: its gradient and a Hessian-vector product."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from benching.harness import Data, Row, Run, compile_c, dfl_run, pointer

TEXT = """
function rosenbrock(x)
  s = 0.0
  for i in 1:length(x)-1
    s += 100 * (x[i+1] - x[i]^2)^2 + (1 - x[i])^2
  end
  s
end
"""

C = """
double grad(const double *x, long n, double *g) {
  double s = 0;
  for (long i = 0; i < n; i++) g[i] = 0;
  for (long i = 0; i + 1 < n; i++) {
    double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    s += 100 * a * a + b * b;
    g[i + 1] += 200 * a;
    g[i] += -400 * a * x[i] - 2 * b;
  }
  return s;
}
void hvp(const double *x, const double *v, long n, double *h) {
  for (long i = 0; i < n; i++) h[i] = 0;
  for (long i = 0; i + 1 < n; i++) {
    double a = x[i + 1] - x[i] * x[i], da = v[i + 1] - 2 * x[i] * v[i];
    h[i + 1] += 200 * da;
    h[i] += -400 * (da * x[i] + a * v[i]) + 2 * v[i];
  }
}
"""


def data_of(n: int) -> Any:
    def data(random: np.random.Generator) -> Data:
        return {"x": 1 + 0.3 * random.normal(size=n), "v": random.normal(size=n)}

    return data


def dfl(data: Data) -> Run:
    return dfl_run(TEXT, "rosenbrock", (0,), data["x"])


def dfl_hvp(data: Data) -> Run:
    import dsl

    f = dsl.loads(TEXT)["rosenbrock"]
    return lambda: (dsl.hvp(f, data["x"], data["v"]),)


def plain(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def jax_gradient(data: Data) -> Run:
    from benching.harness import jax_run

    return jax_run(plain, (0,), data["x"])


def jax_hvp(data: Data) -> Run:
    import jax

    jax.config.update("jax_enable_x64", True)
    product = jax.jit(lambda x, v: jax.jvp(jax.grad(plain), (x,), (v,))[1])
    x, v = (jax.numpy.asarray(data[k]) for k in "xv")
    return lambda: (jax.block_until_ready(product(x, v)),)


def numpy_gradient(data: Data) -> Run:
    x = data["x"]

    def run() -> tuple[Any, ...]:
        a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        g = np.zeros_like(x)
        g[1:] += 200 * a
        g[:-1] += -400 * a * x[:-1] - 2 * b
        return (100 * a**2 + b**2).sum(), g

    return run


def numpy_hvp(data: Data) -> Run:
    x, v = data["x"], data["v"]

    def run() -> tuple[Any, ...]:
        a, da = x[1:] - x[:-1] ** 2, v[1:] - 2 * x[:-1] * v[:-1]
        h = np.zeros_like(x)
        h[1:] += 200 * da
        h[:-1] += -400 * (da * x[:-1] + a * v[:-1]) + 2 * v[:-1]
        return (h,)

    return run


def c_gradient(data: Data) -> Run:
    lib, x = compile_c(C), data["x"]
    lib.grad.restype = ctypes.c_double

    def run() -> tuple[Any, ...]:
        g = np.empty_like(x)
        return lib.grad(pointer(x), ctypes.c_long(len(x)), pointer(g)), g

    return run


def c_hvp(data: Data) -> Run:
    lib, x, v = compile_c(C), data["x"], data["v"]

    def run() -> tuple[Any, ...]:
        h = np.empty_like(x)
        lib.hvp(pointer(x), pointer(v), ctypes.c_long(len(x)), pointer(h))
        return (h,)

    return run


GRADIENT = {"dfl": dfl, "numpy": numpy_gradient, "jax": jax_gradient, "c": c_gradient}
HVP = {"dfl": dfl_hvp, "numpy": numpy_hvp, "jax": jax_hvp, "c": c_hvp}
ROWS = tuple(
    Row(f"rosenbrock{suffix}-{name}", f"Rosenbrock, n = {n:,}{what}", data_of(n), peers)
    for name, n in (("1e3", 1000), ("1e6", 1_000_000))
    for suffix, what, peers in (("", "", GRADIENT), ("-hvp", ", Hessian-vector product", HVP))
)
