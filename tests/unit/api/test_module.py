"""Modules and functions as Python sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

import dsl

PROGRAM = """\
"The square, and more."
f(x) = x^2 + 2x + 1
scale(x; by = 2.0) = x*by
struct Point
  x::Float64
  y::Float64
end
norm2(p::Point) = p.x^2 + p.y^2
mutable struct Counter
  n::Int
end
function bump(c::Counter)
  c.n += 1
  return c.n
end
origin = Point(0.5, 0.25)
adder(a) = x -> x + a
apply(g, x) = g(x)
swap(t) = (t[2], t[1])
first_of(d) = d[:a]
function count(n)
  println("n is $n")
  return n
end
"""


@pytest.fixture(scope="module")
def m() -> dsl.Module:
    return dsl.loads(PROGRAM)


def test_functions_are_called_by_the_types_of_their_arguments(m: dsl.Module) -> None:
    assert (m.f(5), m.f(5.0)) == (36, 36.0)
    assert isinstance(m.f(5), int) and isinstance(m.f(5.0), float)


def test_names_as_attributes_and_items(m: dsl.Module) -> None:
    assert m["f"](2) == 9
    assert {"f", "Point", "norm2"} <= set(m.functions)
    assert "norm2" in dir(m)
    with pytest.raises(AttributeError, match="nobody"):
        _ = m.nobody
    with pytest.raises(dsl.DslError, match="nobody"):
        m["nobody"]


def test_only_few_names_are_taken() -> None:
    m = dsl.loads("apply(x) = x\nvalue(x) = 2x\neval(x) = 3x\n")
    assert (m.apply(1), m.value(1), m["eval"](1)) == (1, 2, 3)


def test_keywords(m: dsl.Module) -> None:
    assert m.scale(3.0) == 6.0
    assert m.scale(3.0, by=5.0) == 15.0


def test_documentation(m: dsl.Module) -> None:
    assert m.scale.__doc__ is None
    assert m.f.__doc__ == "The square, and more."
    assert m.f.__name__ == "f"


def test_structs(m: dsl.Module) -> None:
    p = m.Point(3, 4)
    assert (p.x, p.y) == (3.0, 4.0)
    assert repr(p) == "Point(3.0, 4.0)"
    assert m.norm2(p) == 25.0
    assert m.origin.y == 0.25


def test_a_mutable_argument_is_changed(m: dsl.Module) -> None:
    c = m.Counter(4)
    assert [m.bump(c), m.bump(c)] == [5, 6]
    assert c.n == 6


def test_closures_and_functions_as_values(m: dsl.Module) -> None:
    add = m.adder(2.0)
    assert isinstance(add, dsl.Function)
    assert add(3.0) == 5.0
    assert m.apply(add, 4.0) == 6.0
    assert m.apply(m.f, 1.0) == 4.0


def test_values_in_and_out(m: dsl.Module) -> None:
    assert m.swap((1, 2.5)) == (2.5, 1)
    assert m.first_of({"a": 7.0}) == 7.0
    assert m.eval("nothing") is None
    assert m.eval("(a = 1, b = true)") == (1, True)
    assert m.eval("(a = 1, b = true)").b is True


def test_a_value_without_counterpart_is_an_error(m: dsl.Module) -> None:
    with pytest.raises(dsl.DslError) as caught:
        m.f(object())
    assert caught.value.code == "E0602"


def test_printing_goes_where_it_is_sent() -> None:
    said: list[str] = []
    m = dsl.loads(PROGRAM, out=said.append)
    assert m.count(3) == 3
    assert "".join(said) == "n is 3\n"


@pytest.mark.parametrize("options", [{"opt_level": 4}, {"mode": "backward"}])
def test_wrong_options_are_errors(options: dict[str, object]) -> None:
    with pytest.raises(dsl.DslError) as caught:
        dsl.loads("", **options)
    assert caught.value.code == "E0409"


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        dsl.loads("", no_such_option=True)


def test_reload_reads_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "model.dfl"
    path.write_text("f(x) = x", encoding="utf-8")
    m = dsl.load(path)
    assert m.f(3) == 3
    path.write_text("f(x) = 2x", encoding="utf-8")
    old = m.f
    m.reload()
    assert m.f(3) == 6
    assert old(3) == 3


def test_a_reload_that_fails_keeps_the_module(tmp_path: Path) -> None:
    path = tmp_path / "model.dfl"
    path.write_text("f(x) = x", encoding="utf-8")
    m = dsl.load(path)
    path.write_text("f(x) = (2x", encoding="utf-8")
    with pytest.raises(SyntaxError):
        m.reload()
    assert m.f(3) == 3


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(dsl.DslError) as caught:
        dsl.load("no/such/file.dfl")
    assert caught.value.code == "E0601"


def test_errors_are_also_the_errors_of_python(m: dsl.Module) -> None:
    with pytest.raises(NameError):
        m.eval("nowhere + 1")
    with pytest.raises(ValueError):
        m.eval("sqrt(-1.0)")
    with pytest.raises(SyntaxError):
        m.eval("(1 +")


def test_without_checks_a_domain_error_is_nan() -> None:
    m = dsl.loads("f(x) = sqrt(x)", checks=False)
    assert str(m.f(-1.0)) == "nan"


def test_timings_grow_with_what_is_compiled() -> None:
    m = dsl.loads("f(x) = x^2")
    before = m.timings
    m.f(2.0)
    after = m.timings
    assert "llvm" not in before and after["llvm"] > 0
    assert after["lower"] > before.get("lower", 0.0)


def test_code_shows_itself(m: dsl.Module) -> None:
    text = m.code_llvm("f(2.0)")
    assert repr(text) == str(text)
    assert text.startswith("define double @")
    assert m.f.code_llvm(float) == text == m.f.code_llvm(1.5)
