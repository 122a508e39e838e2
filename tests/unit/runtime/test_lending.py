"""Who may change a caller's arrays: what a call is known to change before it begins, and what it does about it."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import dsl

PROGRAM = """
read(v) = v[1] * v[2]
set!(v) = (v[1] = 3.0 * v[2]; v)
through!(v) = (set!(v); nothing)
maybe!(v, c) = (if c v[1] = 0.0 end; v[1])
copied(v) = (w = copy(v); w[1] = 0.0; w)
viewed!(v) = (w = view(v, 2:3); w[1] = 7.0; nothing)
inner!(vs) = (vs[1][1] = 1.0; nothing)
loss(v) = (set!(v); v[1] * v[2])
both(v) = gradient(loss, v)[1]
step!(v) = (g = gradient(read, v)[1]; v .-= 0.1 .* g; nothing)
add!(y, x) = (for i in 1:length(y) y[i] += x[i] end; nothing)
dot2(a, b) = a[1] * b[1] + a[2] * b[2]
change(v) = () -> (v[1] = 1.0; nothing)
fails!(v) = (v[1] = 5.0; error("no"))
"""


@pytest.fixture(scope="module", params=[False, True], ids=["native", "interpreter"])
def m(request: pytest.FixtureRequest) -> Any:
    return dsl.loads(PROGRAM, interpreter=request.param)


def locked(*numbers: float) -> Any:
    array = numpy.array(numbers)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("name", ["set!", "through!", "viewed!", "step!"])
def test_what_is_changed_must_be_writable(m: Any, name: str) -> None:
    array = locked(1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match=f"E0604.*{name} changes argument 1.*read-only"):
        m[name](array)
    assert array.tolist() == [1.0, 2.0, 3.0]


def test_a_change_on_one_way_only_counts(m: Any) -> None:
    with pytest.raises(ValueError, match="E0604"):
        m["maybe!"](locked(1.0), False)


def test_what_is_read_may_be_locked(m: Any) -> None:
    assert m.read(locked(2.0, 3.0)) == 6.0
    assert m.copied(locked(2.0, 3.0)).tolist() == [0.0, 3.0]


def test_arrays_inside_others_and_captured_ones(m: Any) -> None:
    with pytest.raises(ValueError, match=r"E0604.*an array in argument 1"):
        m["inner!"]([locked(1.0)])
    with pytest.raises(ValueError, match=r"E0604.*captures"):
        m.change(locked(1.0))()


def test_a_change_of_a_copy_would_be_lost(m: Any) -> None:
    for array in (numpy.zeros(3, "i4"), numpy.zeros(3, ">f8")):
        with pytest.raises(ValueError, match=r"E0604.*converted from"):
            m["set!"](array)
    assert m["set!"](numpy.array([1, 2])).tolist() == [6, 2], "Int64 is used in place"


def test_derivatives_take_any_array_and_leave_it(m: Any) -> None:
    for array in (locked(1.0, 2.0), numpy.array([1.0, 2.0]), numpy.array([1.0, 2.0], ">f8")):
        before = array.copy()
        (g,) = dsl.gradient(m.loss, array)
        assert g.tolist() == m.both(array).tolist() == [0.0, 12.0]
        value, g = dsl.value_and_grad(m.loss)(array)
        assert (value, g.tolist()) == (12.0, [0.0, 12.0])
        value, back = dsl.vjp(m.loss, array)
        assert value == 12.0 and back(1.0)[0].tolist() == [0.0, 12.0]
        assert (array == before).all()


def test_overlap(m: Any) -> None:
    x = numpy.arange(5.0)
    with pytest.raises(ValueError, match=r"E0605.*add! changes argument 1, whose memory overlaps that of argument 2"):
        m["add!"](x[1:], x[:-1])
    with pytest.raises(ValueError, match="E0605"):
        m["add!"](x, x)
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    m["add!"](x[:2], x[3:])
    m["add!"](x[::2], x[1::2].repeat(2)[:3])
    assert x.tolist() == [8.0, 5.0, 7.0, 3.0, 7.0]
    interleaved = numpy.zeros(6)
    m["add!"](interleaved[::2], interleaved[1::2])


def test_what_is_only_read_may_overlap(m: Any) -> None:
    x = numpy.array([2.0, 3.0, 4.0])
    assert m.dot2(x, x) == 13.0 and m.dot2(x[1:], x[:-1]) == 18.0
    a, b = dsl.gradient(m.dot2, x, x)
    assert a.tolist() == b.tolist() == [2.0, 3.0, 0.0], "each argument by itself"


def test_changes_before_an_error_stay(m: Any) -> None:
    x = numpy.array([1.0])
    with pytest.raises(dsl.DslError, match="no"):
        m["fails!"](x)
    assert x.tolist() == [5.0]


def test_an_optimisers_x_is_never_changed(m: Any) -> None:
    x = numpy.array([1.0, 2.0])
    for _ in range(3):
        m.loss.value_and_grad(x)
        dsl.gradient(m.loss, x, mode="forward")
    assert x.tolist() == [1.0, 2.0]
