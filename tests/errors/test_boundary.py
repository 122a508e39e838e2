"""Arguments from Python that do not fit, with their exact messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

import dsl

M = dsl.loads("first(v) = v[1]\nset!(v) = (v[1] = 0.0; v)\nadd!(y, x) = (y[1] += x[1]; y)\npush(v) = push!(v, 1.0)")
X = numpy.zeros(4)

MESSAGES: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: M.first(numpy.array([object()])),
        "TypeError[E0602]: argument 1, an array of object of shape (1,), has no counterpart in the language\n"
        "  hint: hand over an array of numbers: numpy.array(…, dtype=float)",
    ),
    (
        lambda: M.first(numpy.array(["a", "bc"])),
        "TypeError[E0602]: argument 1, an array of <U2 of shape (2,), has no counterpart in the language\n"
        "  hint: symbols and strings are handed over one by one, not as arrays",
    ),
    (
        lambda: M.first(numpy.zeros(2, "M8[s]")),
        "TypeError[E0602]: argument 1, an array of datetime64[s] of shape (2,), has no counterpart in the language\n"
        "  hint: dates become numbers by x.astype('int64')",
    ),
    (
        lambda: M.first(numpy.zeros((2, 3), [("a", "f8")])),
        "TypeError[E0602]: argument 1, an array of [('a', '<f8')] of shape (2, 3), has no counterpart in the language\n"
        "  hint: hand over each field as an array of its own: x['name']",
    ),
    (
        lambda: M.first(numpy.array([1 << 63], "u8")),
        "TypeError[E0602]: argument 1, an array of uint64 of shape (1,), has numbers that do not fit into an Int64\n"
        "  hint: x.astype(float) makes them Float64",
    ),
    (
        lambda: M.first(numpy.ma.array([1.0, 2.0], mask=[False, True])),
        "TypeError[E0602]: argument 1, an array of float64 of shape (2,), has no counterpart in the language\n"
        "  hint: masked elements have no value: x.filled(0.0) gives them one",
    ),
    (
        lambda: M["add!"](X, [1.0, "a"]),
        "TypeError[E0602]: argument 2 is a list of different types: Float64, and item 1 is of type Symbol\n"
        "  hint: the items of a list have one type; a tuple may have several",
    ),
    (
        lambda: M.first([1.0, {2}]),
        "TypeError[E0602]: item 1 of argument 1 is a Python set, which has no counterpart in the language\n"
        "  hint: numbers, bools, None, str (symbols), dsl.String, tuples, dicts, lists, arrays, structs and functions "
        "have one",
    ),
    (lambda: M.first([1 << 63]), "InexactError[E0408]: 9223372036854775808 does not fit into an Int64"),
    (
        lambda: M["set!"](numpy.broadcast_to(1.0, (3,))),
        "ArgumentError[E0604]: set! changes argument 1, an array of shape (3,), which is read-only\n"
        "  hint: hand over an array that can be changed: numpy.array(x, 'float64')",
    ),
    (
        lambda: M["set!"](numpy.zeros(3, "i4")),
        "ArgumentError[E0604]: set! changes argument 1, an array of shape (3,), which is converted from int32: "
        "the change would be lost\n"
        "  hint: hand over an array that can be changed: numpy.array(x, 'int64')",
    ),
    (
        lambda: M["add!"](X[1:], X[:2]),
        "ArgumentError[E0605]: add! changes argument 1, whose memory overlaps that of argument 2\n"
        "  hint: hand over a copy of one of them: x.copy()",
    ),
    (
        lambda: M.push(X),
        "ArgumentError[E0409]: the length of an array that was handed over by Python cannot be changed\n"
        " --> <string>:4:11\n"
        "4 | push(v) = push!(v, 1.0)\n"
        "  |           ^^^^^^^^^^^^^\n"
        "  hint: copy(v) is a vector that can grow",
    ),
]


@pytest.mark.parametrize(("call", "text"), MESSAGES, ids=range(len(MESSAGES)))
def test_message(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(dsl.DslError) as caught:
        call()
    assert caught.value.render() == text


def test_sparse_matrices_name_the_way() -> None:
    import scipy.sparse

    with pytest.raises(dsl.DslError) as caught:
        M.first(scipy.sparse.eye_array(3, format="csr"))
    assert caught.value.hint == "a sparse matrix becomes an array by x.toarray()"
