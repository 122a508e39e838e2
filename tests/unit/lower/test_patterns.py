"""Matching types against signatures, and which signature is the more specific."""

from __future__ import annotations

import pytest

from dsl.lower.patterns import (
    ABSTRACT_FLOAT,
    ANY,
    FUNCTION,
    INTEGER,
    NUMBER,
    REAL,
    GenericP,
    Pattern,
    TupleP,
    TypeVarP,
    UnionP,
    matches,
    narrower,
)
from dsl.types import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT64,
    NOTHING,
    STRING,
    SYMBOL,
    FnType,
    Irrational,
    LangType,
    OptionalType,
    StringLit,
    SymbolLit,
    TupleType,
    VectorType,
)

T = TypeVarP("T", REAL)
MATCHES: list[tuple[LangType, Pattern, bool]] = [
    (INT64, REAL, True),
    (INT64, INTEGER, True),
    (BOOLEAN, INTEGER, True),
    (FLOAT64, INTEGER, False),
    (FLOAT32, ABSTRACT_FLOAT, True),
    (Irrational("π"), REAL, True),
    (SYMBOL, NUMBER, False),
    (SymbolLit("a"), SYMBOL, True),
    (StringLit("a"), STRING, True),
    (FnType("f", "f"), FUNCTION, True),
    (NOTHING, ANY, True),
    (INT64, UnionP((FLOAT64, INT64)), True),
    (NOTHING, OptionalType(INT64), True),
    (OptionalType(INT64), UnionP((INT64, NOTHING)), True),
    (TupleType((INT64, FLOAT64)), TupleP((REAL, REAL)), True),
    (TupleType((INT64,)), TupleP((REAL, REAL)), False),
    (TupleType((INT64, INT64, INT64)), TupleP((), REAL), True),
    (VectorType(FLOAT64), GenericP("Vector"), True),
    (VectorType(FLOAT64), GenericP("Vector", (REAL,)), False),  # parameters are invariant
    (VectorType(FLOAT64), GenericP("Vector", (TypeVarP("<:", REAL),)), True),
    (FLOAT64, T, True),
    (SYMBOL, T, False),
]
NARROWER: list[tuple[Pattern, Pattern, bool]] = [
    (INT64, REAL, True),
    (REAL, INT64, False),
    (INTEGER, REAL, True),
    (REAL, NUMBER, True),
    (T, REAL, True),
    (INT64, T, True),
    (REAL, ANY, True),
    (UnionP((INT64, FLOAT64)), REAL, True),
    (INT64, UnionP((INT64, FLOAT64)), True),
    (TupleType((INT64,)), TupleP((REAL,)), True),
    (TupleP((REAL, REAL)), TupleP((), ANY), True),
    (VectorType(FLOAT64), GenericP("Vector"), True),
    (GenericP("Vector"), VectorType(FLOAT64), False),
    (SYMBOL, STRING, False),
]


@pytest.mark.parametrize(("t", "p", "expected"), MATCHES, ids=[f"{t} as {p}" for t, p, _ in MATCHES])
def test_matches(t: LangType, p: Pattern, expected: bool) -> None:
    assert matches(t, p, {}) is expected


@pytest.mark.parametrize(("p", "q", "expected"), NARROWER, ids=[f"{p} within {q}" for p, q, _ in NARROWER])
def test_narrower(p: Pattern, q: Pattern, expected: bool) -> None:
    assert narrower(p, q) is expected


def test_a_type_variable_means_one_type() -> None:
    binds: dict[str, LangType] = {}
    assert matches(INT64, T, binds)
    assert binds == {"T": INT64}
    assert not matches(FLOAT64, T, binds)
    assert matches(INT64, T, binds)
