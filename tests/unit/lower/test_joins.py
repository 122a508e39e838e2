"""Joins of types: a table, and the laws that the fixpoints rely on."""

from __future__ import annotations

import itertools

import pytest

from dsl.lower.joins import join
from dsl.lower.sites import Sites
from dsl.types import (
    BOOLEAN,
    BOTTOM,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    FnType,
    Irrational,
    LangType,
    NamedTupleType,
    OptionalType,
    RangeType,
    StringLit,
    SymbolLit,
    TupleType,
    VariantType,
    VectorType,
)

PI = Irrational("π")
F, G = FnType("f", "f"), FnType("g", "g")
TABLE: list[tuple[LangType, LangType, LangType | None]] = [
    (INT64, FLOAT64, FLOAT64),
    (FLOAT32, FLOAT64, FLOAT64),
    (INT64, FLOAT32, FLOAT32),
    (PI, INT64, FLOAT64),
    (PI, Irrational("ℯ"), FLOAT64),
    (PI, FLOAT32, FLOAT64),
    (BOOLEAN, INT64, None),
    (BOOLEAN, FLOAT64, None),
    (NOTHING, FLOAT64, OptionalType(FLOAT64)),
    (OptionalType(INT64), FLOAT64, OptionalType(FLOAT64)),
    (OptionalType(INT64), NOTHING, OptionalType(INT64)),
    (NOTHING, NOTHING, NOTHING),
    (SymbolLit("a"), SymbolLit("b"), SYMBOL),
    (SymbolLit("a"), SYMBOL, SYMBOL),
    (StringLit("a"), STRING, STRING),
    (SymbolLit("a"), StringLit("a"), None),
    (TupleType((INT64, FLOAT64)), TupleType((FLOAT64, FLOAT64)), TupleType((FLOAT64, FLOAT64))),
    (TupleType((INT64,)), TupleType((INT64, INT64)), None),
    (NamedTupleType(("a",), (INT64,)), NamedTupleType(("a",), (FLOAT64,)), NamedTupleType(("a",), (FLOAT64,))),
    (NamedTupleType(("a",), (INT64,)), NamedTupleType(("b",), (INT64,)), None),
    (RangeType(INT64), RangeType(FLOAT64), RangeType(FLOAT64)),
    (VectorType(INT64), VectorType(FLOAT64), None),
    (F, FnType("f", "f"), F),
    (BOTTOM, F, F),
    (FLOAT64, F, None),
]
SOME = [BOTTOM, INT64, FLOAT32, FLOAT64, BOOLEAN, NOTHING, PI, SymbolLit("a"), SYMBOL, OptionalType(INT64),
        OptionalType(FLOAT64), TupleType((INT64,)), TupleType((FLOAT64,)), RangeType(INT64), F]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "expected"), TABLE, ids=[f"{a} and {b}" for a, b, _ in TABLE])
def test_join(a: LangType, b: LangType, expected: LangType | None) -> None:
    assert join(a, b, Sites()) == expected
    assert join(b, a, Sites()) == expected


def test_different_functions_are_a_variant() -> None:
    assert join(F, G, Sites()) == VariantType((F, G))
    assert join(VariantType((F, G)), F, Sites()) == VariantType((F, G))


def test_captures_of_one_function_are_joined() -> None:
    a, b = (FnType("f", "f", (("x", t),)) for t in (INT64, FLOAT64))
    assert join(a, b, Sites()) == b


@pytest.mark.parametrize("a", SOME, ids=str)
def test_a_join_is_idempotent_and_bottom_is_neutral(a: LangType) -> None:
    assert join(a, a, Sites()) == a
    assert join(BOTTOM, a, Sites()) == a


def test_a_join_is_associative_and_an_upper_bound() -> None:
    for a, b, c in itertools.product(SOME, repeat=3):
        sites = Sites()
        ab, bc = join(a, b, sites), join(b, c, sites)
        if ab is not None:
            assert join(ab, a, sites) == ab, (a, b)
        if ab is not None and bc is not None:
            assert join(ab, c, sites) == join(a, bc, sites), (a, b, c)


def test_sites_that_meet_become_one() -> None:
    sites = Sites()
    a, b = sites.at("a", TupleType((INT64,))), sites.at("b", TupleType((FLOAT64,)))
    joined = join(VectorType(INT64, a), VectorType(FLOAT64, b), sites)
    assert joined == VectorType(FLOAT64, sites.find(b))
    assert sites.find(a) == sites.find(b)
    assert sites.type(a) == TupleType((FLOAT64,))
    assert sites.dirty


def test_a_site_that_meets_a_declared_type_takes_it_and_is_fixed() -> None:
    sites = Sites()
    a = sites.at("a")
    assert join(VectorType(BOTTOM, a), VectorType(FLOAT64), sites) == VectorType(FLOAT64)
    assert sites.is_fixed(a)
    assert join(VectorType(FLOAT64, a), VectorType(INT64), sites) is None
