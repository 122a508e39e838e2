"""Functions, transforms, modules and values are copied to other processes by the text of their program."""

from __future__ import annotations

import copy
import importlib.util
import multiprocessing
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dsl

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = r'''
f(x) = 5sin(x) + x^2
g(v, k) = sum(v .^ k)
struct Point{T}; x::T; y::T; end
mutable struct Counter; n::Int64; at::Point{Float64}; end
norm2(p) = p.x^2 + p.y^2
up!(c) = (c.n += 1; c.n)
scaled(a) = x -> a * x
twice = scaled(2.0)
label(x) = x > 0 ? :positive : :negative
mutable struct Tag; name::Symbol; end
tag(x) = Tag(label(x))
named(t) = t.name
for i in 1:1 println("loading") end
'''
QUIET: dict[str, Any] = {"out": lambda text: None}
MODULE = dsl.loads(PROGRAM, **QUIET)


def fresh(code: str, *values: Any) -> str:
    """What a new Python prints that is handed these values by pickle."""
    code = f"import pickle, sys\nvalues = pickle.load(sys.stdin.buffer)\n{code}"
    given = pickle.dumps(values)
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, cwd=ROOT, check=True)
    return done.stdout.decode().strip()


def test_in_the_same_process_it_is_the_same() -> None:
    for value in (MODULE.f, MODULE.f.grad, dsl.grad(MODULE.g, (0,), mode="forward"), MODULE.twice, MODULE.Point):
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(MODULE)).f == MODULE.f


def test_in_a_new_process() -> None:
    values = (
        MODULE.f, MODULE.f.grad, dsl.hessian(MODULE.f, mode="reverse"), dsl.grad(MODULE.g, 0), MODULE.twice,
        dsl.grad(MODULE.twice), MODULE,
    )  # fmt: skip
    code = (
        "f, df, ddf, dg, twice, dtwice, module = values\nimport dsl\n"
        "assert module.f == f and dsl.grad(f) == df and ddf.mode == 'reverse'\n"
        "print(repr((f(2.0), df(2.0), ddf(2.0), dg([1.0, 2.0], 3).tolist(), twice(4.0), dtwice(1.0), "
        "dsl.gradient(module.f, 2.0))))"
    )
    expected = (
        MODULE.f(2.0), MODULE.f.grad(2.0), dsl.hessian(MODULE.f, mode="reverse")(2.0), [3.0, 12.0], 8.0, 2.0,
        dsl.gradient(MODULE.f, 2.0),
    )  # fmt: skip
    assert fresh(code, *values) == repr(expected)


def test_structs_and_what_shares_them() -> None:
    point, counter, tag = MODULE.Point(3.0, 4.0), MODULE.Counter(1, MODULE.Point(1.0, 2.0)), MODULE.tag(1.0)
    again = pickle.loads(pickle.dumps((point, counter, counter, tag)))
    assert again[0] == point and MODULE.norm2(again[0]) == 25.0
    assert again[1] is again[2] and again[1] != counter
    assert MODULE["up!"](again[1]) == 2 and (again[1].n, counter.n, again[1].at.y) == (2, 1, 2.0)
    code = (
        "m, p, c, t = values\nm['up!'](c)\n"
        "print(m.norm2(p), c.n, c.at, m.named(t), t.name)"
    )  # fmt: skip
    assert fresh(code, MODULE, point, counter, tag) == "25.0 2 Point(1.0, 2.0) positive positive"


def test_included_files_go_with_the_program(tmp_path: Path) -> None:
    (tmp_path / "main.dfl").write_text('include("inner.dfl")\nf(x) = k * x\n')
    (tmp_path / "inner.dfl").write_text("k = 3.0\n")
    data = dsl.load(tmp_path / "main.dfl").f
    given = pickle.dumps((data,))
    (tmp_path / "inner.dfl").unlink()
    code = "import pickle, sys\nprint(pickle.load(sys.stdin.buffer)[0](2.0))"
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, cwd=ROOT, check=True)
    assert done.stdout == b"6.0\n"


def test_what_cannot_be_copied_says_so() -> None:
    _, back = dsl.vjp(MODULE.f, 2.0)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(back)
    module = dsl.loads("f(x) = x")
    module._workspace.define("g(x) = 2x", "<more>", False)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(module.g)


def test_arrays_of_a_caller_are_copied_not_lent() -> None:
    module = dsl.loads("mutable struct Box; v::Vector{Float64}; end\nlast(b) = b.v[end]")
    v = np.array([1.0, 2.0, 3.0])
    box = module.Box(v)
    again = pickle.loads(pickle.dumps(box))
    v[:] = 0.0
    assert module.last(again) == 3.0


def apply(job: tuple[Any, float]) -> float:
    function, x = job
    return float(function(x))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    points = [0.1 * k for k in range(8)]
    df = MODULE.f.grad
    expected = [df(x) for x in points]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(apply, [(df, x) for x in points]) == expected


def test_a_process_forked_while_another_thread_compiles() -> None:
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("this system cannot fork")
    stop = threading.Event()

    def work() -> None:
        k = 0
        while not stop.is_set():
            k += 1
            dsl.loads(f"f(x, n) = x^n + {k}").f(2.0, 3)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for k in range(5):
            module = dsl.loads(f"h(x, n) = x^n - {k}")
            with multiprocessing.get_context("fork").Pool(1) as pool:
                found = pool.apply_async(power, (module.h,))
                assert found.get(timeout=60) == 8.0 - k
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def power(function: Any) -> float:
    return float(function(2.0, 3))


@pytest.mark.parametrize("package", ["joblib", "cloudpickle", "dask"])
def test_packages_for_parallel_work(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    points, df = [0.5, 1.5], MODULE.f.grad
    expected = [df(x) for x in points]
    if package == "joblib":
        import joblib

        assert joblib.Parallel(n_jobs=2)(joblib.delayed(df)(x) for x in points) == expected
    elif package == "cloudpickle":
        import cloudpickle

        again = pickle.loads(cloudpickle.dumps(lambda x: MODULE.f.grad(x)))
        assert [again(x) for x in points] == expected
    else:
        import dask

        found = dask.compute(*[dask.delayed(df)(x) for x in points], scheduler="processes")
        assert list(found) == expected
