"""Python values, their types in the language, and back; and how values are written."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy
import pytest

from dsl.interp import Memory
from dsl.runtime.convert import Record, Ref, String, from_leaves, struct_class, to_leaves, write_back
from dsl.runtime.show import show, show_leaves, to_json
from dsl.runtime.typeof import type_of
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    DictType,
    FnType,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    RefType,
    StaticDictType,
    StringLit,
    StructType,
    SymbolLit,
    TupleType,
    VariantType,
    VectorType,
    intern,
    leaves,
)  # fmt: skip

POINT = StructType("a declaration", "Point", (), ("x", "y"), (FLOAT64, FLOAT64))
COUNTER = StructType("another", "Counter", (), ("n", "at"), (INT64, POINT), mutable=True)
SIN, COS = FnType("sin", "sin"), FnType("lambda", "λ", (("a", FLOAT64),))

# value, its type, its leaves, how it is written, its JSON
VALUES: list[tuple[Any, LangType, list[Any], str, Any]] = [
    (36, INT64, [36], "36", 36),
    (-0.0, FLOAT64, [-0.0], "-0.0", -0.0),
    (1e-5, FLOAT64, [1e-5], "1.0e-5", 1e-5),
    (float("-inf"), FLOAT64, [float("-inf")], "-Inf", "-Inf"),
    (True, BOOLEAN, [True], "true", True),
    (None, NOTHING, [], "nothing", None),
    ("a", SymbolLit("a"), [], ":a", ":a"),
    (String('a"b'), StringLit('a"b'), [], '"a\\"b"', 'a"b'),
    ((), TupleType(()), [], "()", []),
    ((12.0,), TupleType((FLOAT64,)), [12.0], "(12.0,)", [12.0]),
    (
        (Record(("x", "y"), (1.0, None)),), TupleType((NamedTupleType(("x", "y"), (FLOAT64, NOTHING)),)), [1.0],
        "((x = 1.0, y = nothing),)", [{"x": 1.0, "y": None}],
    ),
    (range(1, 8, 3), RangeType(INT64), [1, 3, 3], "1:3:7", [1, 4, 7]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "type", "made", "text", "encoded"), VALUES)
def test_values_there_and_back(value: Any, type: LangType, made: list[Any], text: str, encoded: Any) -> None:
    assert type_of(value) == type
    assert to_leaves(value, type) == made
    assert len(made) == len(leaves(type))
    back = from_leaves(made, type)
    assert back == value and back.__class__ is value.__class__
    assert show(value, type) == text
    assert json.loads(json.dumps(to_json(made, type))) == encoded


# what has no Python value of its own type, by its leaves: how it is written, its JSON, the Python value
LEAVES: list[tuple[LangType, list[Any], str, Any, Any]] = [
    (FLOAT32, [0.10000000149011612], "0.1f0", 0.10000000149011612, 0.10000000149011612),
    (SYMBOL, [intern("b")], ":b", ":b", "b"),
    (STRING, [intern("s")], '"s"', "s", String("s")),
    (OptionalType(INT64), [True, 3], "3", 3, 3),
    (OptionalType(INT64), [False, 0], "nothing", None, None),
    (POINT, [1.0, 2.0], "Point(1.0, 2.0)", {"x": 1.0, "y": 2.0}, struct_class(POINT)(1.0, 2.0)),
    (StaticDictType(("a", 2, StringLit("t")), (FLOAT64, NOTHING, INT64)), [Memory([[1.5, 4]])],
     'Dict(:a => 1.5, 2 => nothing, "t" => 4)', {":a": 1.5, "2": None, "t": 4}, {"a": 1.5, 2: None, String("t"): 4}),
    (DictType(INT64, FLOAT64), [Memory([[7, 0.5], [2, 1.0]]), Memory([])], "Dict(7 => 0.5, 2 => 1.0)",
     {"7": 0.5, "2": 1.0}, {7: 0.5, 2: 1.0}),
    (VectorType(TupleType((INT64, BOOLEAN))), [Memory([[1, True], [2, False]])], "[(1, true), (2, false)]",
     [[1, True], [2, False]], [(1, True), (2, False)]),
    (RangeType(FLOAT64), [0.0, 0.25, 5], "0.0:0.25:1.0", [0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0]),
    (NamedTupleType(("f",), (SIN,)), [], "(f = sin,)", {"f": "sin"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("type", "made", "text", "encoded", "value"), LEAVES)
def test_leaves_to_values(type: LangType, made: list[Any], text: str, encoded: Any, value: Any) -> None:
    assert show_leaves(made, type) == text
    assert json.loads(json.dumps(to_json(made, type))) == encoded
    if not isinstance(type, NamedTupleType):
        assert from_leaves(made, type) == value


def test_a_vector_of_numbers_is_an_array() -> None:
    array = from_leaves([Memory([[1.5], [2.5]])], VectorType(FLOAT64))
    assert isinstance(array, numpy.ndarray) and array.dtype == numpy.float64
    assert array.tolist() == [1.5, 2.5]
    assert from_leaves([Memory([])], VectorType(INT64)).dtype == numpy.int64
    assert show_leaves([Memory([])], VectorType(INT64)) == "Int64[]"


def test_functions_are_wrapped_with_what_they_capture() -> None:
    made: list[tuple[LangType, list[Any]]] = []

    def wrap(type: LangType, held: Any) -> str:
        made.append((type, list(held)))
        return "wrapped"

    variant = VariantType((SIN, COS))
    assert from_leaves([1, 2.5, 3], TupleType((variant, INT64)), wrap) == ("wrapped", 3)
    assert made == [(COS, [2.5])]
    back = from_leaves([2.5], COS)
    assert (type_of(back), to_leaves(back, COS)) == (COS, [2.5])


def test_numpy_scalars_are_numbers() -> None:
    for value, type in (
        (numpy.float64(1.5), FLOAT64), (numpy.float32(1.5), FLOAT32), (numpy.int32(3), INT64),
        (numpy.array(2.0), FLOAT64),
        (numpy.bool_(True), BOOLEAN), (numpy.uint8(3), INT64),
    ):  # fmt: skip
        assert type_of(value) == type
        (leaf,) = to_leaves(value, type)
        assert leaf == value and leaf.__class__ in (float, int, bool)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ([1.0, "a"], "E0602"), (numpy.array(["a"]), "E0602"), (numpy.array([object()]), "E0602"), (1j, "E0602"),
        (object(), "E0602"), ({1.5: 2}, "E0602"), ((1, [2, (3,)]), "E0602"), ({True: 1}, "E0602"), (b"x", "E0602"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_named(value: Any, code: str) -> None:
    with pytest.raises((TypeError, ValueError), match=code) as caught:
        type_of(value, "argument 2 of f")
    assert "argument 2 of f" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "type", "code"),
    [
        (1 << 63, INT64, "E0408"), (2.5, INT64, "E0408"), ("x", FLOAT64, "E0602"),
        ("1", INT64, "E0602"), (2, BOOLEAN, "E0602"), (10**400, FLOAT64, "E0602"),
        ((1.0,), TupleType((INT64, INT64)), "E0602"),
        (Record(("a",), (1,)), NamedTupleType(("b",), (INT64,)), "E0602"), (numpy.uint64(1 << 63), INT64, "E0408"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error(value: Any, type: LangType, code: str) -> None:
    with pytest.raises((TypeError, ValueError), match=code):
        to_leaves(value, type)


def test_records() -> None:
    r = Record(("x", "ϵ"), (1.0, (2, 3)))
    assert r == (1.0, (2, 3))
    assert (r.x, r["x"], r[0]) == (1.0, 1.0, 1.0)
    assert r.ϵ == r["ϵ"] == (2, 3), "Python turns the attribute into another epsilon"
    assert r._asdict() == {"x": 1.0, "ϵ": (2, 3)}
    assert repr(r) == "Record(x=1.0, ϵ=(2, 3))"
    assert pickle.loads(pickle.dumps(r)) == r == copy.deepcopy(r)
    with pytest.raises(AttributeError, match="no field z"):
        _ = r.z
    with pytest.raises(KeyError):
        _ = r["z"]


def test_fields_may_come_in_any_order() -> None:
    type = NamedTupleType(("b", "a"), (INT64, FLOAT64))
    assert to_leaves({"a": 1.5, "b": 2}, type) == to_leaves(Record(("a", "b"), (1.5, 2)), type) == [2, 1.5]
    assert to_leaves(struct_class(POINT)(3.0, 4.0), POINT) == to_leaves({"y": 4.0, "x": 3.0}, POINT) == [3.0, 4.0]


def test_immutable_structs_are_values() -> None:
    Point = struct_class(POINT)
    p = Point(1.0, 2.0)
    assert Point is struct_class(POINT) and type_of(p) is POINT
    assert (p.x, p.y, repr(p), p._asdict()) == (1.0, 2.0, "Point(1.0, 2.0)", {"x": 1.0, "y": 2.0})
    assert p == Point(1.0, 2.0) != Point(1.0, 3.0) and hash(p) == hash(Point(1.0, 2.0))
    with pytest.raises(AttributeError, match="cannot be changed"):
        p.x = 3.0
    with pytest.raises(AttributeError, match="no field z, only x, y"):
        _ = p.z
    with pytest.raises(TypeError, match="E0602"):
        Point(1.0)


def test_mutable_structs_are_places() -> None:
    memory = Memory([[5, 1.0, 2.0]])
    c = from_leaves([memory], COUNTER)
    assert (c.n, c.at.y, repr(c)) == (5, 2.0, "Counter(5, Point(1.0, 2.0))")
    memory.rows[0][0] = 6
    assert c.n == 6
    c.at = struct_class(POINT)(7.0, 8.0)
    assert memory.rows == [[6, 7.0, 8.0]]
    assert to_leaves(c, COUNTER)[0] is memory
    assert c == from_leaves([memory], COUNTER) != from_leaves([Memory([[6, 7.0, 8.0]])], COUNTER)
    with pytest.raises(ValueError, match="E0408"):
        c.n = 1.5


def test_refs() -> None:
    memory = Memory([[1.5]])
    r = from_leaves([memory], RefType(FLOAT64))
    assert isinstance(r, Ref) and r.value == r[()] == 1.5
    r[()] = 2
    assert memory.rows == [[2.0]] and repr(r) == "Ref(2.0)" and to_leaves(r, type_of(r)) == [memory]


def test_dicts_are_written_back() -> None:
    inner = {"b": 1.0}
    value = (3, {"a": 1.0, "in": inner})
    type = type_of(value)
    made = to_leaves(value, type)
    made[1].rows[0][0] = 2.5
    made[1].rows[0][1].rows[0][0] = -4.0
    write_back(value, type, made)
    assert value == (3, {"a": 2.5, "in": {"b": -4.0}})
    assert value[1]["in"] is inner
