"""Calls that go straight to native code: what an entry gives is what the general way gives, errors included."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import dsl
from dsl.runtime.native import SUPPORTED

TEXT = """
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
always(a) = x -> a
energy(v) = sum(v .^ 3)
"""
MODEL = dsl.loads(TEXT, opt_level=3)  # no code is provisional


def thrice(fn: Any, *args: Any) -> Any:
    """The value, four times the same: by the general way, and by an entry where there is one."""
    values = [fn(*args) for _ in range(4)]
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
    assert bool(MODEL.scaled.entries and MODEL.deep.entries) == SUPPORTED


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
    assert not module.talk.entries


def test_arrays_of_other_forms_in_between() -> None:
    for x in (np.arange(6.0), np.arange(12.0)[::2], np.arange(6), [1.0, 2.0], np.arange(6.0, dtype=">f8"), range(4)):
        for _ in range(2):
            assert MODEL.mean_of(x) == np.mean(np.asarray(x))


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


# ---------------------------------------------------------------- entries

MORE = """
const TABLE = [1.0, 2.0, 4.0]
const MATRIX = [1.0 2.0; 3.0 4.0]
grown = [1.0, 2.0]
weighted(v) = sum(TABLE .* v) + MATRIX[2, 1]
total(x) = x * sum(grown)
more!(x) = (push!(grown, x); nothing)
first!(x) = (grown[1] = x; nothing)
depth(n) = n == 0 ? 0 : 1 + depth(n - 1)
scaled(v, a) = a .* v
square(x) = x^2
shift!(v, w) = (v .= v .+ w; nothing)
rosen(x) = (s = 0.0; for i in 1:length(x)-1; s += 100*(x[i+1]-x[i]^2)^2 + (1-x[i])^2; end; s)
slow(n) = (s = 0.0; for i in 1:n; s += sin(i * 1.0) end; s)
kinds(a, b, c) = (a, (b, c), nothing, (x = a, y = (z = b,)))
turned(A) = copy(A')
"""


def loaded() -> Any:
    return dsl.loads(MORE, opt_level=3)


def native(fn: Any, *args: Any) -> Any:
    """The function, which has an entry for these arguments where there can be any."""
    for _ in range(2):
        fn(*args)
    assert bool(fn.entries) == SUPPORTED
    return fn


def test_numbers_of_numpy_and_others() -> None:
    square = native(loaded().square, 1.5)
    native(square, 3)
    assert square(np.float64(2.5)) == 6.25 and type(square(np.float64(2.5))) is float
    assert square(np.int64(-4)) == 16 and type(square(np.int64(4))) is int
    assert square(np.float32(0.5)) == 0.25
    assert square(3037000499) == 3037000499**2
    with pytest.raises(dsl.DslError, match="E0408"):
        square(1 << 63)
    with pytest.raises(dsl.DslError):
        square("a")
    with pytest.raises(dsl.DslError):
        square(1.0, 2.0)
    with pytest.raises(dsl.DslError):
        square()
    with pytest.raises(dsl.DslError):
        square(1.0, k=2.0)


def test_parts_of_a_result() -> None:
    kinds = native(loaded().kinds, 1.5, 2, True)
    value = kinds(2.5, -(1 << 62), False)
    assert value[:3] == (2.5, (-(1 << 62), False), None)
    assert value[3].x == 2.5 and value[3].y.z == -(1 << 62)
    assert [type(v) for v in (value[0], *value[1])] == [float, int, bool]


def test_recursion_has_a_limit_in_every_thread() -> None:
    depth = native(loaded().depth, 10)
    caught: list[str] = []

    def deep() -> None:
        assert depth(1000) == 1000
        with pytest.raises(dsl.DslError) as e:
            depth(10**9)
        caught.append(e.value.kind)

    deep()
    for size in (0, 1 << 20, 1 << 24):
        threading.stack_size(size)
        thread = threading.Thread(target=deep)
        thread.start()
        thread.join()
    threading.stack_size(0)
    assert caught == ["StackOverflowError"] * 4


def test_each_entry_is_tried() -> None:
    """One function for arguments of several shapes, plain ones and others, in every order; then what none takes."""
    text = "square(x) = x * x\nsquare(v::Vector) = sum(v .* v)"
    v = np.array([1.0, 2.0])
    calls = [(2.0, 4.0), (3, 9), (True, 1), (v, 5.0), (np.float32(2.0), 4.0), (v[:0], 0.0)]
    for turn in range(len(calls)):
        square = dsl.loads(text, opt_level=3).square
        for x, expected in (calls[turn:] + calls[:turn]) * 4:
            assert square(x) == expected
        assert len(square.entries) > 2 or not SUPPORTED
        for wrong, keywords in (((), {}), ((2.0, 2.0), {}), ((2.0,), {"out": 3}), ((2.0,), {"x": 2.0}), (("2",), {})):
            with pytest.raises(dsl.DslError):
                square(*wrong, **keywords)


def test_out() -> None:
    module = loaded()
    v, out = np.array([1.0, 2.0]), np.empty(2)
    scaled = native(module.scaled, v, 2.0)
    assert scaled(v, 3.0, out=out) is out and out.tolist() == [3.0, 6.0]
    assert scaled(v, 2.0, out=v) is v and v.tolist() == [2.0, 4.0]
    slope = native(dsl.value_and_grad(module.rosen), v)
    value, gradient = slope(v, out=out)
    assert gradient is out and (value, out.tolist()) == (1.0, [2.0, 0.0])
    for wrong in (np.empty(3), np.empty((2, 1)), np.empty(2, np.float32), np.empty(2, int)):
        with pytest.raises(dsl.DslError, match="E0602"):
            scaled(v, 3.0, out=wrong)
    out.flags.writeable = False
    with pytest.raises(dsl.DslError, match="read-only"):
        slope(v, out=out)
    for keywords in ({"into": out}, {"out": out, "and": 1}, {"a": 3.0}):
        with pytest.raises(dsl.DslError):
            scaled(v, 3.0, **keywords)
    assert scaled(v, 3.0).tolist() == (3.0 * v).tolist()
    strided = np.zeros(4)[::2]
    assert scaled(v, 3.0, out=strided) is strided and strided.tolist() == [6.0, 12.0]


def test_arrays_that_are_written() -> None:
    shift = native(loaded()["shift!"], np.zeros(2), np.ones(2))
    v, w = np.zeros(3), np.ones(3)
    shift(v, w)
    assert v.tolist() == [1.0] * 3
    whole = np.zeros(6)
    shift(whole[:3], whole[3:])  # they touch, and do not overlap
    with pytest.raises(dsl.DslError, match="E0605"):
        shift(whole[:4], whole[2:])
    with pytest.raises(dsl.DslError, match="E0605"):
        shift(v, v)
    v.flags.writeable = False
    with pytest.raises(dsl.DslError, match="E0604"):
        shift(v, w)
    shift(w, v)  # what is read only may be read
    assert w.tolist() == [2.0] * 3
    with pytest.raises(dsl.DslError):
        shift(w, np.ones(2))


def test_top_level_and_captured_arrays() -> None:
    module = loaded()
    v = np.array([1.0, 1.0, 1.0])
    assert native(module.weighted, v)(v) == 10.0
    assert native(dsl.grad(module.weighted), v)(v).tolist() == [1.0, 2.0, 4.0]
    total = native(module.total, 2.0)
    assert total(2.0) == 6.0
    module["first!"](5.0)
    assert total(2.0) == 14.0
    for k in range(100):  # it moves
        module["more!"](1.0)
        assert total(2.0) == 14.0 + 2.0 * (k + 1)
    captured = native(MODEL.adder(v), v)
    v[0] = 7.0
    assert captured(np.zeros(3)).tolist() == [7.0, 1.0, 1.0]
    constant = native(MODEL.always(v), 1.0)
    assert constant(2.0) is v


def test_long_calls_let_other_threads_run() -> None:
    slow = native(loaded().slow, 10)
    counts: list[int] = []
    done = threading.Event()

    def count() -> None:
        n = 0
        while not done.is_set():
            n += 1
        counts.append(n)

    thread = threading.Thread(target=count)
    thread.start()
    slow(10**7)
    done.set()
    thread.join()
    assert counts[0] > 10_000


def test_code_lives_while_it_runs() -> None:
    slow = native(loaded().slow, 10)
    expected = slow(3 * 10**6)
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(slow(3 * 10**6)))
    thread.start()
    slow.forget()
    slow.workspace._compiled.clear()
    gc.collect()
    thread.join()
    assert found == [expected]


def test_many_types_of_arguments() -> None:
    scaled = loaded().scaled
    arrays = [np.ones(2, t) for t in (np.float64, np.float32, np.int64, np.bool_)]
    for _ in range(3):
        for a in arrays:
            for x in (2.0, 2, True):
                assert scaled(a, x).tolist() == [x * 1.0] * 2


def test_references_are_counted() -> None:
    """Nothing is kept of arguments and results, of failures neither."""
    module = loaded()
    v, x, text = np.arange(3.0), 1.5, "x"
    A = np.ones((2, 2))
    calls = (
        (native(module.weighted, v), (v,)), (native(dsl.value_and_grad(module.rosen), v), (v,)),
        (native(module.kinds, x, 2, True), (x, 300, True)), (native(module.turned, A), (A,)),
        (native(MODEL.at, v, 1), (v, 9)), (native(MODEL.pair, v), (v,)), (module.weighted, (text,)),
        (MODEL.at, (v, 1 << 70)), (native(module.depth, 3), (10**9,)),
    )  # fmt: skip

    def rounds(n: int) -> None:
        for fn, args in calls:
            for _ in range(n if fn is not calls[-1][0] else 2):
                with contextlib.suppress(dsl.DslError):
                    fn(*args)

    watched = (v, x, text, None, True, False, *(fn for fn, _ in calls))
    rounds(10)
    gc.collect()
    before = [sys.getrefcount(o) for o in watched]
    blocks = sys.getallocatedblocks()
    rounds(500)
    gc.collect()
    after = [sys.getrefcount(o) for o in watched]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 40
    assert sys.getallocatedblocks() - blocks < 400


@pytest.mark.slow
def test_everything_holds_where_the_insides_are_not_known() -> None:
    """The same tests by the general way alone."""
    environment = {**os.environ, "DFL_NATIVE_CALLS": "0"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", "not everything"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
