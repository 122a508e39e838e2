"""`tools/bench calls`: what a call from Python takes, beside its native code.

Functions with next to no work, so that what is left is the way from Python and back: ours, an extension in C by hand
(gcc; its functions, and objects of a type of its own that do the same), `math.sin` and a lambda in one process, taking
turns; those of Numba and JAX in processes of their own, with the extension beside them, so that their times can be set
against ours by what the extension takes in both. Times are nanoseconds a call, the loop around it taken off: the median
over the rounds of the least in each.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
import tempfile
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benching.harness import PROGRAMS
from benching.kernels import available
from benching.measure import PEERS_PYTHON, environment, importable

ROWS = {
    "scalar value": "square", "scalar derivative": "slope", "six floats, six back": "six",
    "10-vector into out=": "into", "10-vector, fresh": "fresh",
}  # fmt: skip
LIMITS = {"square": 25, "slope": 25, "six": 110, "into": 70, "fresh": 130}  # ns over the native time
SIX = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
Calls = dict[str, Callable[[], Any]]


def vector() -> Any:
    import numpy

    return numpy.arange(1.0, 11.0) / 8.0


def extension() -> Any:
    """The module of `programs/calls.c`, compiled for the running Python."""
    import numpy

    folder = tempfile.mkdtemp()
    made = Path(folder) / f"calls{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [f"-I{sysconfig.get_paths()['include']}", f"-I{numpy.get_include()}"]
    command = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", *includes, str(PROGRAMS / "calls.c"), "-o", str(made)]
    subprocess.run(command, check=True)
    spec = importlib.util.spec_from_file_location("calls", made)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_c(out: Any) -> dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    c, x = extension(), vector()
    return {
        "square": (c.square, (2.0,), {}), "slope": (c.slope, (2.0,), {}), "six": (c.six, SIX, {}),
        "fresh": (c.fresh, (x,), {}), "into": (c.into, (x, out), {}), "square_object": (c.square_object, (2.0,), {}),
        "slope_object": (c.slope_object, (2.0,), {}),
    }  # fmt: skip


def of_dfl(out: Any) -> dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    import dsl

    m, x = dsl.load(PROGRAMS / "calls.dfl", opt_level=3), vector()
    both = dsl.value_and_grad(m.rosenbrock)
    return {
        "square": (m.square, (2.0,), {}), "slope": (dsl.grad(m.wave), (2.0,), {}),
        "six": (dsl.grad(m.six, argnums=tuple(range(6))), SIX, {}), "fresh": (both, (x,), {}),
        "into": (both, (x,), {"out": out}),
    }  # fmt: skip


def of_numba(out: Any) -> dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    import math

    import numba
    import numpy

    @numba.njit
    def square(x: float) -> float:
        return x * x

    @numba.njit
    def slope(x: float) -> float:
        return 5.0 * math.cos(x)

    @numba.njit
    def six(a: float, b: float, c: float, d: float, e: float, h: float) -> Any:
        return b, a, d * e, c * e, c * d, 2 * h

    @numba.njit
    def into(x: Any, g: Any) -> Any:
        s = 0.0
        g[:] = 0.0
        for i in range(len(x) - 1):
            t, u = x[i + 1] - x[i] * x[i], 1.0 - x[i]
            s += 100.0 * t * t + u * u
            g[i] += -400.0 * t * x[i] - 2.0 * u
            g[i + 1] += 200.0 * t
        return s, g

    @numba.njit
    def fresh(x: Any) -> Any:
        return into(x, numpy.empty_like(x))

    x = vector()
    return {
        "square": (square, (2.0,), {}), "slope": (slope, (2.0,), {}), "six": (six, SIX, {}), "fresh": (fresh, (x,), {}),
        "into": (into, (x, out), {}),
    }  # fmt: skip


def of_jax(out: Any) -> dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    import jax
    from jax import numpy

    jax.config.update("jax_enable_x64", True)

    def rosenbrock(x: Any) -> Any:
        return numpy.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    def six(a: Any, b: Any, c: Any, d: Any, e: Any, h: Any) -> Any:
        return a * b + c * d * e + h * h

    return {
        "square": (jax.jit(lambda x: x * x), (2.0,), {}),
        "slope": (jax.jit(jax.grad(lambda x: 5.0 * numpy.sin(x))), (2.0,), {}),
        "six": (jax.jit(jax.grad(six, argnums=tuple(range(6)))), SIX, {}),
        "fresh": (jax.jit(jax.value_and_grad(rosenbrock)), (vector(),), {}),
    }  # fmt: skip


PEERS = {"dfl": of_dfl, "C": of_c, "numba": of_numba, "jax": of_jax}


def nanoseconds(fn: Any, args: tuple[Any, ...], keywords: dict[str, Any], seconds: float = 0.02) -> float:
    """The least time of a call in some runs."""
    names = [f"a{k}" for k in range(len(args))]
    text = f"f({', '.join([*names, *(f'{k}={k}' for k in keywords)])})"
    space = {"f": fn, **dict(zip(names, args, strict=True)), **keywords}
    timer, empty = timeit.Timer(text, globals=space), timeit.Timer("pass")
    count = 100
    while (took := timer.timeit(count)) < seconds / 4:
        count *= 4
    return 1e9 * (min([took, *timer.repeat(5, count)]) - min(empty.repeat(3, count))) / count


def rounds(peers: list[str], count: int) -> dict[str, list[float]]:
    """In one process: the times of the calls of peers, which take turns."""
    import math

    import numpy

    calls: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {}
    for peer in peers:
        for name, call in PEERS[peer](numpy.empty(10)).items():
            calls[f"{peer} {name}"] = call
            for _ in range(4):
                call[0](*call[1], **call[2])
    if "dfl" in peers:
        calls |= {"math.sin": (math.sin, (2.0,), {}), "lambda": (lambda x: x, (2.0,), {})}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(count):
        for name, call in calls.items():
            found[name].append(nanoseconds(*call))
    return found


def native_times() -> dict[str, float]:
    """Nanoseconds of the native code of ours alone."""
    import numpy

    from benching.native import nothing, of_unit

    def least(repeat: Callable[[int], None], n: int = 100_000) -> float:
        return min(timeit.Timer(lambda: repeat(n)).repeat(7, 1)) / n * 1e9

    loop = least(nothing().in_turn)
    return {
        name: max(least(of_unit(fn, args).in_turn) - loop, 0.0)
        for name, (fn, args, _) in of_dfl(numpy.empty(10)).items()
    }


def measured(peers: list[str], count: int) -> dict[str, list[float]] | str:
    """`rounds` in a process of its own."""
    missing = [p for p in peers if p not in ("dfl", "C") and not importable(p)]
    if missing:
        return f"{missing[0]} is not installed"
    text = f"import json; from benching.calling import rounds; print(json.dumps(rounds({peers!r}, {count})))"
    python = sys.executable if "dfl" in peers else PEERS_PYTHON
    done = subprocess.run([python, "-c", text], capture_output=True, text=True, env=environment())
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(count: int = 15) -> Iterator[str]:
    """A line a call: ours, over the native time, the extension, and what the peers take."""
    beside = ["C"] * available()
    ours = measured(["dfl", *beside], count)
    if isinstance(ours, str):
        yield f"dfl {ours}"
        return
    others = {peer: measured([peer, *beside], count) for peer in ("numba", "jax")}
    native = native_times()
    yield f"math.sin {median(ours['math.sin']):.0f} ns, a lambda {median(ours['lambda']):.0f} ns"
    columns = {"ours": 8, "native": 8, "over it": 9, "limit": 7, "C": 8, "ours/C": 8, "object": 8, "numba": 9, "jax": 9}
    yield " " * 22 + "".join(title.rjust(width) for title, width in columns.items())
    for title, name in ROWS.items():
        mine = median(ours[f"dfl {name}"])
        line = f"{title:22}{mine:8.0f}{native[name]:8.1f}{mine - native[name]:9.0f}{LIMITS[name]:7}"
        if beside:
            ratio = median([a / b for a, b in zip(ours[f"dfl {name}"], ours[f"C {name}"], strict=True)])
            line += f"{median(ours[f'C {name}']):8.0f}{ratio:8.2f}"
            made = ours.get(f"C {name}_object")
            line += f"{median(made):8.0f}" if made else f"{'-':>8}"
        else:
            line += 3 * f"{'-':>8}"
        for found in others.values():
            value = None if isinstance(found, str) else found.get(f"{next(iter(found)).split()[0]} {name}")
            line += f"{median(value):9.0f}" if value else f"{'-':>9}"
        yield line
    for found in others.values():
        if isinstance(found, str):
            yield found
