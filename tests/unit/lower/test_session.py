"""Sessions: the top level, globals, what entries are made of."""

from __future__ import annotations

import pytest

from dsl.diagnostics import DslError, Source
from dsl.syntax import parse_expression, parse_file
from dsl.types import FLOAT64, INT64, Irrational
from tests.unit.lower.support import Lowered


def test_statements_run_in_order_and_definitions_are_known_everywhere() -> None:
    lowered = Lowered("k = 5\na = f(2)\nb = a + 1\na = 10\nf(x) = x * k\nk = 3")
    assert lowered.value("(a, b, k)") == (10, 11, 3)


def test_top_level_loops_and_branches_change_globals() -> None:
    lowered = Lowered("s = 0\nfor i in 1:3\n  t = i / 2\n  s += t\nend\nif s > 2\n  big = true\nend")
    assert lowered.value("(s, big)") == (3.0, True)
    assert "t" not in lowered.session.globals


def test_destructuring_at_top_level() -> None:
    assert Lowered("a, (b, c) = 1, (2.5, 3)\na, b = b, a").value("(a, b, c)") == (2.5, 1, 3)


def test_functions_see_the_final_value_of_a_global() -> None:
    assert Lowered("k = 1\nf() = k\nk = 2").value("f()") == 2


def test_a_bare_expression_is_shown_only_when_asked() -> None:
    text = '1 + 1\n"a"\nx = 3\n(x, :a)\nnothing\nprintln("hi")'
    assert Lowered(text).out == []
    assert "".join(Lowered(text, print_expressions=True).out) == '2\n"a"\n(3, :a)\nhi\n'


def test_two_names_for_one_memory() -> None:
    lowered = Lowered("a = Ref(1)\nb = a\nb[] = 5")
    assert lowered.value("(a[], b === a)") == (5, True)


def test_memory_widens_when_later_statements_store_other_types() -> None:
    lowered = Lowered("v = []\nw = v\nadd(x) = push!(v, x)\nr = Ref(1)\nr[] += 0.5")
    lowered.value("length(add(1))")
    lowered.value("length(add(2.5))")
    assert lowered.value("(sum(w), length(v), r[])") == (3.5, 2, 1.5)


def test_a_dict_takes_keys_that_it_was_not_written_with() -> None:
    lowered = Lowered("d = Dict(:a => 1)\ne = d\nd[:b] = 2.5")
    assert lowered.value("(length(e), d[:a], e[:b])") == (2, 1.0, 2.5)


def test_redefinition() -> None:
    lowered = Lowered("f(x) = x\ng(x) = f(x) + 1")
    assert lowered.value("g(1)") == 2
    lowered.session.define(parse_file(Source("more", "f(x) = 10x\nh(x) = g(x)")))
    assert lowered.value("(g(1), h(2))") == (11, 21)


def test_a_failing_statement_leaves_the_session_as_it_was() -> None:
    lowered = Lowered("x = 1")
    with pytest.raises(DslError):
        lowered.session.define(parse_file(Source("more", "x = undefined_thing")))
    assert lowered.value("x") == 1


def test_a_failing_declaration_leaves_the_session_as_it_was() -> None:
    lowered = Lowered("f(x) = 1")
    with pytest.raises(DslError):
        lowered.session.define(parse_file(Source("more", "f(x) = 2\ng(x) = 3\nh(x::Blob) = 4")))
    assert lowered.session.functions() == ["f"]
    assert lowered.value("f(0)") == 1


def test_names_and_documentation() -> None:
    lowered = Lowered('"twice"\nf(x) = 2x\nstruct P\n x\nend\nk = 1')
    assert lowered.session.functions() == ["f", "P"]
    assert (lowered.session.doc("f"), lowered.session.doc("P")) == ("twice", "")


def test_call_entry() -> None:
    entry = Lowered("f(x, n; k=1) = x * n + k").session.call_entry("f", [FLOAT64, INT64], [("k", INT64)])
    assert entry.arg_types == (FLOAT64, INT64, INT64)
    assert entry.result == FLOAT64
    assert entry.name == "f"
    assert [str(p.type) for p in entry.program.functions["f"].params] == ["f64", "i64", "i64"]


def test_call_entry_of_a_builtin_with_a_function() -> None:
    lowered = Lowered("f(x) = x^2")
    fn = lowered.session.value_of("f").type
    assert str(lowered.session.call_entry("gradient", [fn, FLOAT64]).result) == "Tuple{Float64}"


def test_code_entry_makes_parameters_of_numbers_only() -> None:
    session = Lowered("f(x) = 5sin(x)").session
    constant = session.code_entry(parse_expression(Source("call", "f'(π)")))
    number = session.code_entry(parse_expression(Source("call", "f'(2.0)")))
    assert constant.arg_types[1:] == (Irrational("π"),)
    assert constant.program.functions[constant.name].params == []
    assert [str(p.type) for p in number.program.functions[number.name].params] == ["f64"]


def test_a_program_holds_what_its_root_reaches_and_nothing_else() -> None:
    entry = Lowered("f(x) = g(x)\ng(x) = 2x\nh(x) = x").session.call_entry("f", [FLOAT64])
    assert sorted(entry.program.functions) == ["f", "g"]


def test_globals_are_named_in_the_program() -> None:
    lowered = Lowered("r = Ref(1.5)\nk = 2\nf() = k * r[]")
    entry = lowered.session.call_entry("f", [])
    assert list(entry.globals) == ["r"]
    assert entry.globals["r"] == lowered.session.globals["r"].leaves


def test_include() -> None:
    files = {"a.dfl": 'include("b.dfl")\nf(x) = g(x) + 1', "b.dfl": "g(x) = 2x\nk = 3"}
    lowered = Lowered("")
    lowered.session.read = lambda path: Source(path, files[path])
    lowered.session.define(parse_file(Source("main", 'include("a.dfl")')))
    assert lowered.value("(f(1), k)") == (3, 3)


def test_a_file_that_includes_itself() -> None:
    lowered = Lowered("")
    lowered.session.read = lambda path: Source(path, f'include("{path}")')
    with pytest.raises(DslError, match="includes itself"):
        lowered.session.define(parse_file(Source("main", 'include("a.dfl")')))


def test_a_bare_call_that_changes_something_is_run_when_a_file_is_loaded() -> None:
    program = Lowered("v = Float64[]\npush!(v, 1.5)\npush!(v, 2.5)\nlength(v)")
    assert program.value("(length(v), v[2])") == (2, 2.5)
    assert program.out == []
