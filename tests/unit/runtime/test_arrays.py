"""NumPy arrays in and out: which type they have, that they are used where they lie, and what comes back."""

from __future__ import annotations

import gc
import warnings
from collections import namedtuple
from typing import Any

import numpy
import pytest

import dsl
from dsl.runtime.typeof import type_of
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    STRING,
    SYMBOL,
    ArrayType,
    LangType,
    NamedTupleType,
    OptionalType,
    TupleType,
    VectorType,
)

PROGRAM = """
total(A) = (s = 0.0; for a in A s += a end; s)
first(v) = v[1]
corner(A) = A[2, 1]
same(A) = A
mirror(A) = A'
columns(A) = A[:, 1:end]
sizes(A) = size(A)
double(v) = v .* 2
set!(v, x) = (v[1] = x; v)
fill_corner!(A, x) = (A[2, 1] = x; nothing)
count(v) = length(v)
table(n) = (t = Tuple{Int, Float64}[]; for k in 1:n push!(t, (k, 1.0k)) end; t)
vectors() = [[1.0], [2.0, 3.0]]
weighted(p) = p[1][1][2, 1] * p[2][2][1]
struct Layer
    W
    b
end
bias(layer) = layer.b[2]
mutable struct Box
    v
end
box(v) = Box(v)
raise!(b) = (b.v[1] += 1.0; b)
adder(v) = x -> (v[1] += x; v[1])
flat = [1.0, 2.0, 3.0]
get_flat() = flat
grow_flat!(x) = (push!(flat, x); length(flat))
"""


@pytest.fixture(scope="module", params=[False, True], ids=["native", "interpreter"])
def m(request: pytest.FixtureRequest) -> Any:
    return dsl.loads(PROGRAM, interpreter=request.param)


BASE = numpy.arange(24.0).reshape(4, 6)
MATRICES = {
    "C": numpy.ascontiguousarray(BASE),
    "F": numpy.asfortranarray(BASE),
    "every other": BASE[::2, ::3],
    "backwards": BASE[::-1, ::-2],
    "turned": BASE[1:, :].T[::-1],
    "one value": numpy.broadcast_to(1.5, (3, 4)),
    "one row": BASE[:2, :1],
}

# ---------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (numpy.zeros(3), VectorType(FLOAT64)),
        (numpy.zeros(3, "f4"), VectorType(FLOAT32)),
        (numpy.zeros(3, int), VectorType(INT64)),
        (numpy.zeros(3, bool), VectorType(BOOLEAN)),
        (numpy.zeros(3)[::2], ArrayType(FLOAT64, 1, "S")),
        (numpy.zeros(3)[::-1], ArrayType(FLOAT64, 1, "S")),
        (numpy.zeros((2, 3)), ArrayType(FLOAT64, 2, "C")),
        (numpy.zeros((2, 3), order="F"), ArrayType(FLOAT64, 2, "F")),
        (numpy.zeros((4, 3))[::2], ArrayType(FLOAT64, 2, "S")),
        (numpy.zeros((2, 3, 4)).transpose(2, 1, 0), ArrayType(FLOAT64, 3, "F")),
        (numpy.zeros((2, 3, 4)).transpose(1, 0, 2), ArrayType(FLOAT64, 3, "S")),
        (numpy.zeros((5, 1), order="F"), ArrayType(FLOAT64, 2, "C")),
        (numpy.zeros((0, 3)), ArrayType(FLOAT64, 2, "C")),
        (numpy.zeros((4, 3), "i4")[::2], ArrayType(INT64, 2, "C")),
        (numpy.zeros((4, 3), ">f8", order="F"), ArrayType(FLOAT64, 2, "F")),
        (numpy.zeros(3, "f2"), VectorType(FLOAT64)),
        (numpy.array(2.5), FLOAT64),
        (numpy.array(2, "i1"), INT64),
    ],
)
def test_types_of_arrays(array: Any, expected: LangType) -> None:
    assert type_of(array) == expected


Named = namedtuple("Named", "x y")


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([1.0, 2.0], FLOAT64),
        ([1, 2], INT64),
        ([1, 2.5], FLOAT64),
        ([True, False], BOOLEAN),
        ([], FLOAT64),
        ([numpy.float32(1.5), 2], FLOAT32),
        ([[1.0], [2.0, 3.0]], VectorType(FLOAT64)),
        ([[1], [2.5]], VectorType(FLOAT64)),
        ([(1, 2.0), (3.0, 4)], TupleType((FLOAT64, FLOAT64))),
        ([1.0, None, 2.0], OptionalType(FLOAT64)),
        ([Named(1, 2.0)], NamedTupleType(("x", "y"), (INT64, FLOAT64))),
        ([Named(1, 2.0), Named(1.5, 2)], NamedTupleType(("x", "y"), (FLOAT64, FLOAT64))),
        (["a", "b"], SYMBOL),
        ([dsl.String("a")], STRING),
        ([numpy.zeros((2, 2)), numpy.zeros((2, 2), order="F")], ArrayType(FLOAT64, 2, "S")),
        ([(numpy.zeros((2, 2)), numpy.zeros(2))], TupleType((ArrayType(FLOAT64, 2, "C"), VectorType(FLOAT64)))),
    ],
)
def test_types_of_lists(items: list[Any], expected: LangType) -> None:
    assert type_of(items) == VectorType(expected)


# ---------------------------------------------------------------- in


@pytest.mark.parametrize("name", MATRICES)
def test_every_layout_goes_in(m: Any, name: str) -> None:
    array = MATRICES[name]
    assert m.total(array) == float(array.sum())
    assert m.corner(array) == array[1, 0]
    assert m.sizes(array) == array.shape


@pytest.mark.parametrize("name", [n for n in MATRICES if n != "one value"])
def test_changes_are_seen_and_touch_nothing_else(m: Any, name: str) -> None:
    whole = BASE.copy(order="F" if name == "F" else "C")
    view = {
        "C": whole, "F": whole, "every other": whole[::2, ::3], "backwards": whole[::-1, ::-2],
        "turned": whole[1:, :].T[::-1], "one row": whole[:2, :1],
    }[name]  # fmt: skip
    expected = whole.copy()
    expected[view[1, 0] == expected] = -7.0
    assert m["fill_corner!"](view, -7.0) is None
    assert (whole == expected).all()


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "?", ">f8", ">i4", "i1", "i2", "i4", "u1", "u2", "u4", "u8", "f2"])
def test_every_dtype_goes_in(m: Any, dtype: str) -> None:
    array = numpy.array([1, 0, 1]).astype(dtype)
    first = m.first(array)
    assert first == 1 and type(first) is {"f": float, "b": bool}.get(array.dtype.kind, int)


def test_what_is_misaligned_is_copied(m: Any) -> None:
    packed = numpy.zeros(3, numpy.dtype([("a", "i1"), ("b", "f8")]))
    packed["b"] = [1.0, 2.0, 4.0]
    assert m.total(packed["b"]) == 7.0
    halves = numpy.zeros(3, numpy.dtype([("a", "f4"), ("b", "f8"), ("c", "f4")], align=False))
    halves["b"] = [1.0, 2.0, 4.0]
    assert m.total(halves["b"]) == 7.0


def test_empty_arrays(m: Any) -> None:
    for array in (numpy.zeros((0, 3)), numpy.zeros((3, 0), order="F"), numpy.zeros((4, 3))[::2, :0]):
        assert m.total(array) == 0.0 and m.sizes(array) == array.shape
    assert m.count([]) == m.count(numpy.zeros(0)) == 0
    assert m.double(numpy.zeros(0)).shape == (0,)


def test_nothing_is_copied_on_the_way_in() -> None:
    """A call takes the same time whatever the size: told by what memory the call needs."""
    import tracemalloc

    first = dsl.loads(PROGRAM).first
    array = numpy.ones(1_000_000)
    first(array)
    tracemalloc.start()
    first(array)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_lists_are_copied(m: Any) -> None:
    items = [1.0, 2.0]
    assert m["set!"](items, 5.0).tolist() == [5.0, 2.0]
    assert items == [1.0, 2.0]
    assert m.count([True, False, True]) == 3
    assert m.first([(1, 2.0)]) == (1, 2.0)


def test_lists_of_arrays_are_lists_of_the_same_arrays(m: Any) -> None:
    W, b = numpy.arange(4.0).reshape(2, 2), numpy.array([3.0])
    params = [(W, b), (W + 1, b * 2)]
    assert m.weighted(params) == 12.0
    columns = [numpy.zeros(2), numpy.zeros(2)]
    change = dsl.loads("change!(vs) = (vs[2][1] = 4.0; nothing)")["change!"]
    change(columns)
    assert columns[1].tolist() == [4.0, 0.0]


def test_arrays_in_dicts() -> None:
    m = dsl.loads("grow!(d) = (d[:W] = d[:W] .* 2.0; d[:b][1] += 1.0; nothing)")
    W, b = numpy.ones((2, 2), order="F"), numpy.zeros(2)
    d = {"W": W, "b": b}
    m["grow!"](d)
    assert d["W"].tolist() == [[2.0, 2.0], [2.0, 2.0]] and d["b"] is b
    assert W[0, 0] == 1.0 and b.tolist() == [1.0, 0.0]
    d = {"W": [1.0, 2.0], "b": [0.5]}
    m["grow!"](d)
    assert d == {"W": [2.0, 4.0], "b": [1.5]}


def test_lists_of_names(m: Any) -> None:
    assert m.same(["a", "b"]) == ["a", "b"]
    assert m.same([dsl.String("x"), dsl.String("y z")]) == ["x", "y z"]
    assert m.same([("a", 1), ("b", 2.5)]) == [("a", 1.0), ("b", 2.5)]


def test_anything_with_an_array_inside_is_one(m: Any) -> None:
    class Series:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return numpy.array([2.0, 3.0])

    assert m.total(Series()) == 5.0


# ---------------------------------------------------------------- out


@pytest.mark.parametrize("name", MATRICES)
def test_results_are_fresh(m: Any, name: str) -> None:
    array = MATRICES[name]
    for result, expected in ((m.mirror(array), array.T), (m.columns(array), array)):
        assert (result == expected).all() and result.flags.writeable
        assert not numpy.shares_memory(result, array)


@pytest.mark.parametrize("name", [n for n in MATRICES if n != "one value"])  # whose elements share a place: copied
def test_an_argument_that_comes_back_is_the_argument(m: Any, name: str) -> None:
    array = MATRICES[name]
    assert m.same(array) is array
    if array.shape[0] == array.shape[1]:
        assert m.mirror(array) is not array


def test_the_adjoint_of_a_square_matrix_is_another_one(m: Any) -> None:
    square = numpy.arange(4.0).reshape(2, 2)
    assert m.mirror(square).tolist() == [[0.0, 2.0], [1.0, 3.0]]


def test_a_row_is_a_matrix(m: Any) -> None:
    row = m.mirror(numpy.array([1.0, 2.0]))
    assert row.shape == (1, 2) and row.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8"])
def test_results_keep_the_element_type(m: Any, dtype: str) -> None:
    result = m.double(numpy.array([1, 2], dtype))
    assert result.dtype == dtype and result.tolist() == [2, 4]


def test_the_order_of_results_is_that_of_their_type(m: Any) -> None:
    double = dsl.loads("double(A) = A .* 2").double
    assert double(numpy.ones((3, 2), order="F")).flags.f_contiguous
    assert m.mirror(numpy.ones((3, 2))).flags.f_contiguous
    assert m.mirror(numpy.ones((3, 2), order="F")).flags.c_contiguous


def test_arrays_of_other_things_are_lists(m: Any) -> None:
    assert m.table(2) == [(1, 1.0), (2, 2.0)]
    one, two = m.vectors()
    assert one.tolist() == [1.0] and two.tolist() == [2.0, 3.0]


def test_structs_keep_the_callers_arrays(m: Any) -> None:
    W, b = numpy.zeros((2, 2)), numpy.array([1.0, 2.0])
    layer = m.Layer(W, b)
    assert layer.W is W and layer.b is b
    b[1] = 5.0
    assert m.bias(layer) == 5.0
    held = m.box(b)
    assert m["raise!"](held).v is b
    assert b.tolist() == [2.0, 5.0]


def test_rows_go_back_in(m: Any) -> None:
    with_row = dsl.loads("struct Row\n  r\nend\nrow(v) = Row(v')\nfirst(p) = p.r[1]")
    p = with_row.row(numpy.array([3.0, 4.0]))
    assert p.r.tolist() == [[3.0, 4.0]] and with_row.first(p) == 3.0


def test_what_something_else_refers_to_is_copied() -> None:
    m = dsl.loads("""
    mutable struct Holder
        v::Vector{Float64}
    end
    held = Holder([0.0, 0.0])
    renew(x) = (held.v = [x, x, x]; held.v)
    total() = sum(held.v)
    pair(x) = (w = [x, x]; (w, () -> w[1]))
    """)
    m.renew(1.0)[0] = 50.0
    assert m.total() == 3.0
    w, first = m.pair(2.0)
    w[0] = 50.0
    assert first() == 2.0


def test_closures_keep_the_callers_arrays(m: Any) -> None:
    v = numpy.zeros(2)
    add = m.adder(v)
    assert (add(1.5), add(2.0)) == (1.5, 3.5)
    assert v.tolist() == [3.5, 0.0]


def test_top_level_arrays_are_not_handed_out() -> None:
    m = dsl.loads(PROGRAM)
    m.get_flat()[0] = 9.0
    m.flat[1] = 9.0
    assert m.get_flat().tolist() == m.flat.tolist() == [1.0, 2.0, 3.0]
    for n in range(4, 50):
        assert m["grow_flat!"](float(n)) == n
    assert m.flat.tolist() == [float(k) for k in range(1, 50)]


def test_results_outlive_everything(m: Any) -> None:
    results = [m.double(numpy.full(20_000, float(k))) for k in range(5)]
    gc.collect()
    assert [float(r.sum()) for r in results] == [40_000.0 * k for k in range(5)]


# ---------------------------------------------------------------- complex numbers


def test_complex_numbers_and_arrays(m: Any) -> None:
    z = numpy.array([1 + 2j, 3 - 4j])
    assert m.first(z) == 1 + 2j and type(m.first(z)) is complex
    assert m.first(z[::-1]) == 3 - 4j and m.first(numpy.array([1j], "c8")) == 1j
    assert m.same(z) is z and m.same(2 - 3j) == m.same(numpy.complex128(2 - 3j)) == 2 - 3j
    assert m["set!"](z, 5j) is z and z.tolist() == [5j, 3 - 4j]
    doubled = m.double(z)
    assert doubled.dtype == complex and doubled.tolist() == [10j, 6 - 8j]
    square = numpy.array([[1, 2j], [3, 4]])
    assert m.corner(square) == 3 and m.columns(square[::-1]).tolist() == [[3, 4], [1, 2j]]
    assert m.same([1j, 2j]).tolist() == [1j, 2j]


# ---------------------------------------------------------------- copies


def test_a_large_copy_warns_where_the_user_called() -> None:
    first = dsl.loads(PROGRAM).first
    with pytest.warns(dsl.PerformanceWarning, match=r"argument 1, an array of float16 of shape \(300000,\)") as caught:
        first(numpy.ones(300_000, "f2"))
    assert "2.4 MB" in str(caught[0].message) and "asc" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_small_copies_and_large_arrays_do_not_warn(m: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.first(numpy.ones(1000, "f2"))
        m.first(numpy.ones(100_000)[::-1])
