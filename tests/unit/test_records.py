"""`dsl.records` against the standard library's dataclasses: the same declarations behave in the same way."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dsl import records

DECLARATIONS = """
@dataclass(frozen=True, slots=True)
class Node:
    span: int = field(default=0, kw_only=True, compare=False, repr=False)

@dataclass(frozen=True, slots=True)
class Number(Node):
    value: int | float
    single: bool = False

@dataclass(frozen=True, slots=True)
class Nothing(Node):
    pass

@dataclass(frozen=True, slots=True)
class Own:
    name: str
    def __eq__(self, other): return type(other) is Own
    def __hash__(self): return 7
    def __repr__(self): return "own"

@dataclass(frozen=True, slots=True)
class OwnEquality:
    name: str
    def __eq__(self, other): return True

@dataclass
class Open:
    a: int
    b: list = field(default_factory=list)

@dataclass(slots=True)
class OpenSlots:
    a: int
    b: list = field(default_factory=list)
    def total(self): return self.a + len(self.b)

@dataclass(eq=False)
class ById:
    a: int = 1
    many: dict = field(default_factory=dict)

@dataclass(frozen=True)
class Checked:
    a: int
    rest: tuple = field(default=())
    def __post_init__(self):
        if self.a < 0:
            raise ValueError("negative")

class Plain(Checked):
    pass
"""


def declared(by: ModuleType) -> SimpleNamespace:
    space: dict[str, Any] = {"__name__": __name__, "dataclass": by.dataclass, "field": by.field}
    exec("from __future__ import annotations\n" + DECLARATIONS, space)
    return SimpleNamespace(**space)


OURS, THEIRS = declared(records), declared(dataclasses)


def outcome(code: str, kinds: SimpleNamespace, by: ModuleType) -> object:
    """What code gives, or the kind of its failure."""
    space = {**vars(kinds), "replace": by.replace, "fields": by.fields, "nan": math.nan, "copy": copy}
    try:
        return eval(code, space)
    except Exception as e:
        return next(kind for kind in type(e).__mro__ if kind.__module__ == "builtins")


@pytest.mark.parametrize(
    "code",
    [
        "Number(1)", "Number(1, True)", "Number(value=2, single=True, span=5).span", "Number()", "Number(1, 2, 3)",
        "Number(1, nonsense=2)", "Number(1) == Number(1)", "Number(1) == Number(2)", "Number(1) == Number(1, True)",
        "Number(1, span=1) == Number(1, span=2)", "hash(Number(1, span=1)) == hash(Number(1))",
        "Nothing() == Nothing()", "Nothing() == Number(1)", "Nothing() == 1", "Nothing() != Nothing()",
        "len({Nothing(), Nothing()})",
        "Own(1) == Own(2), hash(Own(1)), Own(1)", "Own.__match_args__",
        "OwnEquality(1) == 2", "hash(OwnEquality(1)) == hash(OwnEquality(1))",
        "Number.__match_args__, Nothing.__match_args__, Node.__match_args__",
        "setattr(Number(1), 'value', 2)", "delattr(Number(1), 'value')",
        "setattr(Checked(1), 'a', 2)", "delattr(Checked(1), 'a')", "hasattr(Number(1), '__dict__')",
        "replace(Number(1, span=3), single=True), replace(Number(1, span=3), single=True).span",
        "replace(Checked(1), a=-1)", "replace(Number(1), nonsense=1)", "[f.name for f in fields(Number)]",
        "Open(1), Open(1) == Open(1), Open(1).b is Open(1).b, Open(1, [2])", "hash(Open(1))", "Open(1) == Open(2)",
        "OpenSlots(1, [2]).total(), OpenSlots(1), hasattr(OpenSlots(1), '__dict__')", "setattr(OpenSlots(1), 'c', 1)",
        "ById() == ById()", "ById().many is ById().many", "ById(), ById(2), ById.a", "len({ById(), ById()})",
        "Checked(-1)", "Checked(1), Checked(1).rest, Checked.rest", "Plain(1), Plain(1) == Plain(1), Plain(-1)",
        "Plain(1) == Checked(1)", "copy.copy(Number(1, span=4)).span, copy.deepcopy(Open(1, [2]))",
        "Number.__qualname__, Number.__name__, Number.__module__", "(lambda a: (a.b.append(a), repr(a)))(Open(1))[1]",
    ],
)  # fmt: skip
def test_as_the_standard_library(code: str) -> None:
    theirs, ours = outcome(code, THEIRS, dataclasses), outcome(code, OURS, records)
    assert repr(ours) == repr(theirs)


@records.dataclass(frozen=True, slots=True)
class Pickled:
    a: int
    b: tuple[int, ...] = ()


def test_frozen_records_with_slots_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Pickled(1, (2,)))) == Pickled(1, (2,))


def test_records_are_compared_as_tuples_are() -> None:
    """In every version of Python: a number that is not equal to itself is still the same object. (The standard library
    compares field by field from 3.13 on.)"""
    number = math.nan
    assert Pickled(number, (1,)) == Pickled(number, (1,))  # type: ignore[arg-type]
    assert Pickled(number, (1,)) != Pickled(number, (2,))  # type: ignore[arg-type]


def test_patterns_match() -> None:
    match Pickled(3, (4,)):
        case Pickled(a, (b,)):
            assert (a, b) == (3, 4)
        case _:
            raise AssertionError


def test_the_package_uses_no_others() -> None:
    """Those of the standard library are compiled when they are declared."""
    root = Path(__file__).resolve().parents[2]
    probe = "import sys, dsl.api; sys.exit('dataclasses' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=root).returncode == 0
