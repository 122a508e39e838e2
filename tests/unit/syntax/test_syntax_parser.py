"""The parser as a whole: spans, names, strings, documentation, prompts, hostile input."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest
from trees import short, tree

from dsl.diagnostics import DslError, DslErrors, Source
from dsl.syntax import ast, is_incomplete, parse_expression, parse_file, read_source, show
from dsl.syntax.contexts import MAX_NESTING
from dsl.syntax.finish import MAX_DEPTH, children
from dsl.syntax.lexer import MAX_LINE


def parse(text: str) -> ast.File:
    return parse_file(Source("<test>", text))


def failure(text: str) -> DslError:
    with pytest.raises(DslError) as caught:
        parse(text)
    return caught.value


# ---------------------------------------------------------------- spans


def test_every_node_has_the_span_of_its_text() -> None:
    text = 'f(x, y=1) = 2x^2 + g(-y)[1, end]\nif a (b) end\nz = "n = $(x + 1)"\n'.replace("a (b)", "a; (b)")
    stack: list[ast.Node] = [*parse(text).statements]
    seen = 0
    while stack:
        node = stack.pop()
        assert node.span.source.text == text and 0 <= node.span.start < node.span.end <= len(text)
        for child in children(node):
            if node.span.text != "":
                assert node.span.start <= child.span.start and child.span.end <= node.span.end, (node, child)
            stack.append(child)
        seen += 1
    assert seen > 25


@pytest.mark.parametrize(
    ("text", "path", "covered"),
    [
        ("x + (a * b)", ["args", 1], "(a * b)"),
        ('"a $(b + c) d"', ["parts", 1], "b + c"),
        ('"a $b d"', ["parts", 1], "b"),
        ("f(x)[1]'", ["value"], "f(x)[1]"),
        ("if a\n  b\nelse\n  c\nend", ["orelse", "statements", 0], "c"),
        ("g(2) do x\n  x\nend", ["args", 0], "do x\n  x\nend"),
        ("a < b < c", ["operands", 2], "c"),
    ],
)
def test_span_of_a_part(text: str, path: list[str | int], covered: str) -> None:
    node: object = parse_expression(Source("<test>", text))
    for step in path:
        node = node[step] if isinstance(step, int) else getattr(node, step)  # type: ignore[index]
    assert isinstance(node, ast.Node) and node.span.text == covered


# ---------------------------------------------------------------- names and strings


def test_names_are_normalised() -> None:
    composed, decomposed = "ȳ", unicodedata.normalize("NFD", "ȳ")
    assert composed != decomposed
    assert tree(decomposed) == composed
    assert tree(f"p.{decomposed}") == f"p.{composed}"
    assert tree(f":{decomposed}") == f":{composed}"
    assert tree(f'"${decomposed}"') == f"(text {composed})"


@pytest.mark.parametrize("name", ["α₁", "∂f", "x̄", "σ²", "x′", "ϵ", "_a", "x_1", "push!", "∇f", "Δ", "名前", "end_"])
def test_identifiers(name: str) -> None:
    assert tree(f"{name} + 1") == f"(+ {unicodedata.normalize('NFC', name)} 1)"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('"""\n  a\n    b\n  """', "a\n  b\n"),
        ('"""a\n  b\n  c"""', "a\nb\nc"),
        ('"""\n  say "hi"\n\n  bye"""', 'say "hi"\n\nbye'),
        (r'"\x41é\U1F600\\"', "Aé😀\\"),
        ('"a # no comment"', "a # no comment"),
    ],
)
def test_string_values(source: str, value: str) -> None:
    assert tree(source) == f"(text {value!r})"


def test_comments_are_blanks() -> None:
    assert tree("1 + #= a #= nested =# b =# 2 # end") == "(+ 1 2)"
    assert len(parse("# only a comment\n\n#= and\nanother =#\n").statements) == 0


def test_documentation_belongs_to_the_definition_behind_it() -> None:
    definition, value = parse('"Squares."\nf(x) = x^2\n\n"no documentation"\ny = 1\n').statements[0::2]
    assert isinstance(definition, ast.FunctionDef) and definition.doc == "Squares."
    assert short(value) == "(= y 1)"
    struct = parse('"""\nA point.\n"""\nstruct P\n  x\nend').statements[0]
    assert isinstance(struct, ast.StructDef) and struct.doc == "A point."


def test_int64_limits() -> None:
    assert tree("-9223372036854775808") == "-9223372036854775808"
    assert failure("9223372036854775808").code == "E0104"
    assert failure("x = 0xffffffffffffffff").code == "E0104"
    assert failure("1e999").code == "E0104"


# ---------------------------------------------------------------- prompt


@pytest.mark.parametrize(
    "text",
    [
        "f(x", "function f(x)", "x = 1 +", '"""abc', "f(x) = [1,\n 2", "if x", "#= a", "for i in 1:3\n x", "a ?",
        "y = x ->", "f(x) do y", "struct P", "x = (begin\n 1", "a,", "begin",
    ],
)  # fmt: skip
def test_incomplete(text: str) -> None:
    assert is_incomplete(text)


@pytest.mark.parametrize(
    "text",
    ["x = 1", "", '"abc', "end", "x = (1]", "for i in 1:3\n x\nend", "return", "f(x y", "x = foldl(+, v)", "x ** "],
)
def test_not_incomplete(text: str) -> None:
    assert not is_incomplete(text)


def test_several_statements_at_the_prompt_are_a_block() -> None:
    assert tree("a = 1; a + 1") == "{(= a 1); (+ a 1)}"
    assert tree("x\n") == "x"
    with pytest.raises(DslError):
        tree("# nothing")


# ---------------------------------------------------------------- errors


def test_independent_errors_are_reported_together() -> None:
    found = failure("f(x) = x +* 2\ng(x) = x y\nfunction h(x)\n  a = 1 2\n  b = 2 *\nend\nok(x) = x\nz = 'no'\n")
    assert isinstance(found, DslErrors)
    assert [e.span.line for e in found.errors] == [1, 2, 4, 6, 8]


def test_an_error_leaves_no_followers() -> None:
    found = failure("def f(x):\n    return x\n\ny = 2\n")
    assert not isinstance(found, DslErrors)
    assert found.span.line == 1


def test_at_most_twenty_errors() -> None:
    found = failure("x y\n" * 1000)
    assert isinstance(found, DslErrors) and len(found.errors) == 20


DEEP = {
    "parentheses": "(" * 10_000 + "x" + ")" * 10_000,
    "brackets": "[" * 10_000,
    "calls": "f(" * 10_000,
    "blocks": "if x\n" * 10_000,
    "begin": "begin " * 10_000,
    "functions": "function (" * 10_000,
    "strings": '"$(' * 10_000,
    "lambdas": "x -> " * 10_000 + "x",
    "ternaries": "a ? b : " * 10_000 + "c",
    "signs": "- " * 10_000 + "x",
    "powers": "x^" * 10_000 + "x",
    "primes": "x" + "'" * 10_000,
    "fields": "x" + ".y" * 10_000,
    "assignments": "x = " * 10_000 + "x",
    "differences": "x - " * 10_000 + "x",
    "branches": "if x 1\n" + "elseif y 2\n" * 10_000 + "end",
    "macros": "@a " * 10_000,
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_nesting_is_an_error_soon(kind: str) -> None:
    start = time.perf_counter()
    assert failure(DEEP[kind]).code in ("E0109", "E0103")
    assert time.perf_counter() - start < 20


def test_nesting_below_the_limit_is_read_and_shown() -> None:
    depth = MAX_NESTING - 1
    assert tree("(" * depth + "x" + ")" * depth) == "x"
    text = "f(" * depth + "x" + ")" * depth
    assert show(parse_expression(Source("<test>", text))).count("Call") == depth
    assert MAX_DEPTH >= MAX_NESTING


def test_long_lines_are_refused_and_long_sums_read() -> None:
    assert failure("x" * (MAX_LINE + 1)).code == "E0115"
    total = parse_expression(Source("<test>", "x + " * 20_000 + "x"))
    assert isinstance(total, ast.Call) and len(total.args) == 20_001


# ---------------------------------------------------------------- files and printing


def test_reading_files(tmp_path: Path) -> None:
    good = tmp_path / "a.dfl"
    good.write_bytes(b"\xef\xbb\xbff(x) = x\r\n")
    assert short(parse_file(read_source(good)).statements[0]) == "(def f[x] x)"
    for name, data, code in [("latin", b"\xe9 = 1", "E0603"), ("zero", b"x = \0", "E0603")]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DslError) as caught:
            read_source(tmp_path / name)
        assert caught.value.code == code
    for path in [tmp_path, tmp_path / "missing.dfl", tmp_path / "a\0b"]:
        with pytest.raises(DslError) as caught:
            read_source(path)
        assert caught.value.code == "E0601"
    with pytest.raises(DslError) as caught:
        read_source(tmp_path / "a")
    assert "a.dfl" in caught.value.hint


def test_show() -> None:
    text = show(parse("f(x; k=1) = x > 0 ? 2x : nothing").statements[0])
    assert text == (
        "FunctionDef f short\n"
        "  params:\n"
        "    Param x\n"
        "  body: If ternary\n"
        "    cond: Compare >\n"
        "      operands:\n"
        "        Name x\n"
        "        Number 0\n"
        "    then: Call infix\n"
        "      fn: Name *\n"
        "      args:\n"
        "        Number 2\n"
        "        Name x\n"
        "    orelse: Nothing\n"
        "  keywords:\n"
        "    Param k\n"
        "      default: Number 1"
    )
