"""Calls with plain numbers and dense arrays: the second call of the same forms gives what the first gave."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

import dsl
from dsl.runtime.quick import Quick, forms

MODEL = dsl.loads("""
scaled(v, a) = a .* v
itself(v) = v
pair(v) = (v, v .+ 1)
both(v) = (w = v .+ 1; (w, w))
turned(A) = copy(A')
mean_of(A) = sum(A) / length(A)
count(v, k) = length(v) + k
flags(v) = [x > 0 for x in v]
nothing_at_all(x) = nothing
deep(v) = ((sum(v), length(v)), v[1] > 0)
at(v, i) = v[i]
add!(v, x) = (v[1] += x; nothing)
talk(v) = (println(sum(v)); sum(v))
named(v) = (total = sum(v), first = v[1])
adder(a) = v -> v .+ a
energy(v) = sum(v .^ 3)
""")


def quick(fn: Any) -> list[Quick | None]:
    return list(fn._quick.values())


def thrice(fn: Any, *args: Any) -> Any:
    """The value, three times the same."""
    values = [fn(*args) for _ in range(3)]
    for value in values[1:]:
        assert repr(value) == repr(values[0])
    return values[-1]


def test_arrays_and_numbers() -> None:
    v = np.array([1.0, -2.0, 3.0])
    assert thrice(MODEL.scaled, v, 2.0).tolist() == [2.0, -4.0, 6.0]
    assert thrice(MODEL.scaled, v, 2).tolist() == [2.0, -4.0, 6.0]
    assert thrice(MODEL.scaled, v.astype(np.float32), 2.0).dtype == np.float64
    assert thrice(MODEL.flags, v).tolist() == [True, False, True]
    assert thrice(MODEL.count, v, 4) == 7
    assert thrice(MODEL.count, v, True) == 4
    assert thrice(MODEL.count, v, np.array(5)) == 8
    assert thrice(MODEL.nothing_at_all, 2.0) is None
    assert thrice(MODEL.deep, v) == ((2.0, 3), True)
    assert thrice(MODEL.adder(1.5), v).tolist() == [2.5, -0.5, 4.5]
    assert thrice(MODEL.energy.grad, v).tolist() == [3.0, 12.0, 27.0]
    assert any(quick(MODEL.scaled)) and any(quick(MODEL.deep))


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (3, 1), (0, 3), (1, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_matrices_of_both_orders(shape: tuple[int, int], order: Any) -> None:
    A = np.asarray(np.arange(float(shape[0] * shape[1])).reshape(shape), order=order)
    assert np.array_equal(thrice(MODEL.turned, A), A.T)
    assert thrice(MODEL.itself, A) is A


def test_what_went_in_comes_out() -> None:
    v = np.array([1.0, 2.0])
    for _ in range(3):
        assert MODEL.itself(v) is v
        first, second = MODEL.pair(v)
        assert first is v and second.tolist() == [2.0, 3.0]
        one, two = MODEL.both(v)
        one[:] = 0.0
        assert two.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("n", [3, 50_000])
def test_results_are_nobody_elses(n: int) -> None:
    v = np.ones(n)
    kept = [MODEL.scaled(v, float(k)) for k in range(8)]
    both = [MODEL.both(v) for _ in range(4)]
    gc.collect()
    assert all((r == k).all() for k, r in enumerate(kept))
    assert all((a == 2.0).all() and (b == 2.0).all() and not np.shares_memory(a, b) for a, b in both)
    assert all(r.flags.writeable for r in kept)


def test_errors_are_the_same() -> None:
    v = np.array([1.0, 2.0])
    for _ in range(3):
        assert MODEL.at(v, 2) == 2.0
        with pytest.raises(dsl.DslError, match=r"E0402.*index 5"):
            MODEL.at(v, 5)
    with pytest.raises(dsl.DslError, match="E0408"):
        MODEL.at(v, 1 << 70)


def test_what_goes_the_general_way() -> None:
    said: list[str] = []
    module = dsl.loads("talk(v) = (println(sum(v)); sum(v))", out=said.append)
    v = np.array([1.0, 2.0])
    assert [module.talk(v) for _ in range(3)] == [3.0] * 3
    assert said == ["3.0\n"] * 3
    for _ in range(3):
        MODEL["add!"](v, 1.0)
        assert MODEL.named(v).total == v.sum()
    assert v.tolist() == [4.0, 2.0]
    v.flags.writeable = False
    with pytest.raises(dsl.DslError, match="E0604"):
        MODEL["add!"](v, 1.0)
    assert not any(quick(MODEL["add!"])) and not any(quick(module.talk))


def test_arrays_of_other_forms_in_between() -> None:
    for x in (np.arange(6.0), np.arange(12.0)[::2], np.arange(6), [1.0, 2.0], np.arange(6.0, dtype=">f8"), range(4)):
        for _ in range(2):
            assert MODEL.mean_of(x) == np.mean(np.asarray(x))


def test_forms_tell_apart_what_is_compiled_apart() -> None:
    v = np.zeros(3)
    A = np.zeros((2, 3))
    different = [forms([x]) for x in (v, v.astype(np.float32), v.astype(int), A, np.asfortranarray(A), 1.0, 1, True)]
    assert len(set(different)) == len(different)
    assert forms([v[::2]]) is forms([None]) is forms(["a"]) is forms([np.float64(1.0)]) is None


def test_a_program_that_changes() -> None:
    module = dsl.loads("f(v) = sum(v)")
    v = np.array([1.0, 2.0])
    assert [module.f(v) for _ in range(2)] == [3.0, 3.0]
    work = module._workspace
    work.define("f(v) = 10 * sum(v)", "<more>", False)
    assert [module.f(v) for _ in range(2)] == [30.0, 30.0]


def test_many_threads() -> None:
    v = np.arange(40.0)
    wrong: list[float] = []

    def work(a: float) -> None:
        for _ in range(300):
            if not np.array_equal(MODEL.scaled(v, a), a * v):
                wrong.append(a)

    threads = [threading.Thread(target=work, args=(float(a),)) for a in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
