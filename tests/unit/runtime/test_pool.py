"""Large memory is used again by later calls: nothing that is still in use is, nothing is lost, little is kept."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import dsl
from dsl.backend.pool import SLOTS, Pool
from dsl.runtime import pool

MB = 1 << 20


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """No test sees what another one left."""
    gc.collect()
    dsl.release_memory()
    yield
    pool._pool[Pool.LIMIT] = pool.DEFAULT_LIMIT * MB


MODEL = dsl.loads("""
line(n, a) = [a*i for i in 1:n]
twice(v) = 2 .* v
both(v) = (w = v .+ 1; (w, w))
scratch(n) = (s = 0.0; for k in 1:3 w = zeros(n); w[k] = k; s += sum(w) end; s)
function grown(n)
    v = Float64[]
    for i in 1:n push!(v, i) end
    v
end
energy(v) = sum(v .^ 2)
parts(n) = [[1.0*i for i in 1:n], [2.0*i for i in 1:n]]
strided(n) = (A = zeros(3, n); A[2, :] .= 1:n; A')
""")


def test_results_that_are_kept_keep_their_contents() -> None:
    n = 20_000
    kept = [MODEL.line(n, float(a)) for a in range(30)]
    for a, result in enumerate(kept):
        assert np.array_equal(result, a * np.arange(1.0, n + 1))
    del kept[::2]
    again = [MODEL.line(n, -float(a)) for a in range(40)]
    for a, result in enumerate(kept):
        assert np.array_equal(result, (2 * a + 1) * np.arange(1.0, n + 1))
    for a, result in enumerate(again):
        assert np.array_equal(result, -a * np.arange(1.0, n + 1))


def test_a_view_of_a_result_keeps_all_of_it() -> None:
    n = 50_000
    tail = MODEL.line(n, 1.0)[-3:]
    for _ in range(5):
        MODEL.line(n, 7.0)
    assert tail.tolist() == [n - 2.0, n - 1.0, n]


def test_a_result_goes_in_again() -> None:
    n = 30_000
    v = MODEL.line(n, 1.0)
    for _ in range(4):
        v = MODEL.twice(v)
    assert np.array_equal(v, 16 * np.arange(1.0, n + 1))


def test_results_that_are_one_memory_are_two_arrays() -> None:
    first, second = MODEL.both(np.zeros(20_000))
    first[:] = 5.0
    assert (second == 1.0).all()


def test_memory_that_is_used_again_is_zeroed() -> None:
    assert [MODEL.scratch(40_000) for _ in range(3)] == [6.0] * 3


def test_memory_that_grows() -> None:
    for n in (5_000, 100_000, 30_000, 100_000):
        assert np.array_equal(MODEL.grown(n), np.arange(1.0, n + 1))


def test_nested_and_strided_results() -> None:
    n = 20_000
    one, two = MODEL.parts(n)
    turned = MODEL.strided(n)
    MODEL.parts(n)
    MODEL.strided(n)
    assert np.array_equal(2 * np.asarray(one), np.asarray(two))
    assert np.array_equal(turned, np.array([np.zeros(n), np.arange(1, n + 1), np.zeros(n)]).T)


def test_the_second_call_takes_nothing_new() -> None:
    gradient = dsl.grad(MODEL.energy)
    x = np.ones(200_000)
    gradient(x)
    first = pool.held()
    for _ in range(10):
        gradient(x)
    assert 0 < first == pool.held()


def test_what_is_kept_is_limited_and_can_be_given_back() -> None:
    kept = [MODEL.line(MB // 8, 1.0) for _ in range(SLOTS + 20)]
    del kept
    assert SLOTS * MB <= pool.held() <= SLOTS * (MB + 100)
    dsl.release_memory()
    assert pool.held() == 0
    pool._pool[Pool.LIMIT] = 3 * MB
    kept = [MODEL.line(MB // 8, 1.0) for _ in range(6)]
    del kept
    assert 0 < pool.held() <= 3 * MB
    pool._pool[Pool.LIMIT] = 0
    MODEL.line(MB // 8, 1.0)
    dsl.release_memory()
    MODEL.line(MB // 8, 1.0)
    assert pool.held() == 0


def test_threads_share_the_memory() -> None:
    wrong: list[int] = []

    def work(a: int) -> None:
        kept = []
        for k in range(60):
            n = 9_000 + 3_000 * ((k + a) % 5)
            kept.append((n, k, MODEL.line(n, float(a * 100 + k))))
            if len(kept) > 3:
                n, j, result = kept.pop(0)
                if not np.array_equal(result, (a * 100.0 + j) * np.arange(1.0, n + 1)):
                    wrong.append(j)

    threads = [threading.Thread(target=work, args=(a,)) for a in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    gc.collect()
    assert pool.held() > 0
    dsl.release_memory()
    assert pool.held() == 0


def test_an_array_outlives_its_module() -> None:
    module = dsl.loads("line(n) = [1.0*i for i in 1:n]")
    result = module.line(30_000)
    del module
    gc.collect()
    assert np.array_equal(result, np.arange(1.0, 30_001))


def test_a_failed_call_leaves_nothing() -> None:
    module = dsl.loads("bad(n) = (v = zeros(n); v[n + 1])")
    for _ in range(5):
        with pytest.raises(dsl.DslError):
            module.bad(100_000)
    gc.collect()
    assert pool.held() < 4 * MB
