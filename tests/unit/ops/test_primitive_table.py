"""The table is complete: every record says all there is to say, and the oracle knows every function of floats."""

from __future__ import annotations

import pytest
from primitive_oracle import MP
from primitive_samples import CASE_IDS, CASES, inside

from dsl.backend.kernels import library_functions, needed
from dsl.ops import PRIMITIVES, Evaluator, evaluate, libm, result_type
from dsl.ops.core import Primitive, declare
from dsl.ops.evaluation import number
from dsl.types import BOOL, F32, F64, I64, Mem


def test_every_function_of_the_c_library_is_there() -> None:
    assert len(library_functions()) > 50
    assert [name for name in sorted(library_functions()) if not libm.has(name)] == []


def test_what_kernels_call_is_among_them() -> None:
    """The names are known without making a kernel's text."""
    forms = {p.llvm_form(o[0]).partition(":")[::2] for p in PRIMITIVES.values() for o, _ in p.signatures}
    called = {c for kind, name in forms if kind == "kernel" for c in needed(name)[1]}
    assert called | {name for kind, name in forms if kind == "libm"} == library_functions()


def test_the_oracle_covers_all_that_takes_floats() -> None:
    takes_floats = {p.name for p in PRIMITIVES.values() if any(F64 in o for o, _ in p.signatures)}
    assert takes_floats - set(MP) == set()


@pytest.mark.parametrize(("name", "types"), CASES, ids=CASE_IDS)
def test_results_have_the_type_of_the_signature(name: str, types: tuple[object, ...]) -> None:
    python = {F64: float, F32: float, I64: int, BOOL: bool}
    for values in inside(name, types, 5):  # type: ignore[arg-type]
        assert type(evaluate(name, types, values)) is python[result_type(name, types)]  # type: ignore[arg-type]


@pytest.mark.parametrize("p", [p for p in PRIMITIVES.values() if p.domain], ids=lambda p: p.name)
def test_samples_are_inside_the_domain(p: Primitive) -> None:
    assert p.domain is not None
    predicate, text = p.domain
    assert "{" in text
    for types, _ in p.signatures:
        for values in inside(p.name, types, 20):
            e = Evaluator()
            assert number(predicate(*(e.sym(v, t) for v, t in zip(values, types, strict=True)))) is True


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sqrt", [-1e-300]), ("log", [-1.0]), ("log2", [-1.0]), ("log10", [-1.0]), ("log1p", [-1.5]),
        ("asin", [1.5]), ("acos", [-1.5]), ("acosh", [0.5]), ("atanh", [1.5]), ("pow", [-1.0, 0.5]),
        ("gamma", [-2.0]), ("loggamma", [-0.5]), ("erfinv", [1.5]), ("asec", [0.5]), ("acsc", [0.5]),
        ("asech", [1.5]), ("asech", [-0.5]), ("acoth", [0.5]), ("bessely0", [-1.0]), ("bessely1", [-1.0]),
    ],
)  # fmt: skip
def test_domains_exclude(name: str, values: list[float]) -> None:
    domain = PRIMITIVES[name].domain
    assert domain is not None
    e = Evaluator()
    assert number(domain[0](*(e.sym(v, F64) for v in values))) is False


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sqrt", [-0.0]), ("sqrt", [float("nan")]), ("log", [0.0]), ("pow", [-2.0, 3.0]), ("pow", [-2.0, float("nan")]),
        ("pow", [0.0, 0.5]), ("pow", [float("nan"), 0.5]), ("asin", [1.0]), ("atanh", [1.0]), ("acosh", [1.0]),
        ("loggamma", [-1.5]), ("gamma", [-1.5]), ("gamma", [0.0]), ("erfinv", [-1.0]), ("log1p", [-1.0]),
    ],
)  # fmt: skip
def test_domains_include(name: str, values: list[float]) -> None:
    domain = PRIMITIVES[name].domain
    assert domain is not None
    e = Evaluator()
    assert number(domain[0](*(e.sym(v, F64) for v in values))) is True


def test_select_takes_references() -> None:
    memory = Mem((F64,))
    assert result_type("select", [BOOL, memory, memory]) == memory
    with pytest.raises(KeyError):
        result_type("select", [BOOL, memory, Mem((I64,))])


def test_incomplete_records_are_refused() -> None:
    sine = PRIMITIVES["sin"]
    with pytest.raises(AssertionError, match="twice"):
        declare(sine)
    with pytest.raises(AssertionError, match="derivatives"):
        declare(Primitive("half_a_sine", sine.signatures, "x", sine.sample, (), sine.llvm, sine.evaluate))
    assert "half_a_sine" not in PRIMITIVES
