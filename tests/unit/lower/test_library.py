"""The library's files are read when they are needed, and the index of their names is that of the parser."""

from __future__ import annotations

import pytest

from dsl.diagnostics import Source
from dsl.lower import Session
from dsl.lower.library import defined_names, stdlib_sources
from dsl.syntax import ast, parse_file


def _declared(node: ast.Node) -> str:
    match node:
        case ast.FunctionDef() | ast.StructDef() | ast.AbstractDef():
            return node.name.removeprefix("Base.")
        case ast.Const():
            assert isinstance(node.assign.target, ast.Name)
            return node.assign.target.id
    raise AssertionError(f"{node} is no definition")


@pytest.mark.parametrize("source", stdlib_sources(), ids=lambda source: source.name)
def test_the_index_has_the_names_that_the_parser_finds(source: Source) -> None:
    nodes = [n for n in parse_file(source).statements if not isinstance(n, ast.Import | ast.Block)]
    own = {n.name for n in nodes if isinstance(n, ast.StructDef)}
    expected = {
        _declared(n)
        for n in nodes
        if not isinstance(n, ast.FunctionDef) or not (n.adjoint or n.callee is not None or _takes(n, own))
    }
    assert set(defined_names(source.text)) == expected


def _takes(node: ast.FunctionDef, structs: set[str]) -> bool:
    """Whether a parameter is of one of these structs."""
    texts = [p.type.span.text.removeprefix("Type{") for p in node.params if p.type is not None]
    return any(text.split("{")[0].rstrip("}") in structs for text in texts)


def test_text_and_comments_define_nothing() -> None:
    text = (
        '"""\nh(x) = 1\n"""\nf(x) =\n  g(x)\n# k(x) = 1\n#=\nl(x) = 1\n=#\n"m(x) = 1"\n+(a, b) = a\n'
        "@adjoint f(x) = f(x), y -> (y,)\n"
        "struct P\n  x\nend\ng(a, p::P) = a\n"
    )
    assert defined_names(text) == ["f", "+", "P"]


LIBRARY = (
    Source("<a>", "twice(x) = 2x\nimport Base: hypot\nhypot(x, y, z) = x + y + z\n"),
    Source("<b>", "struct Pair2\n  a::Float64\nend\nonly_b(x) = twice(x.a)\n"),
)


def _parsed_for(program: str, expression: str) -> list[str]:
    """The files that are parsed for a program and an expression in it."""
    parsed: list[str] = []

    def parse(source: Source) -> ast.File:
        parsed.append(source.name)
        return parse_file(source)

    library = tuple(Source(s.name, s.text) for s in LIBRARY)
    session = Session(Source("test", program), parse, lambda _: [], library=library)
    session.load()
    session.eval_entry(parse(Source("expression", expression)).statements[0])
    return [name for name in parsed if name.startswith("<")]


@pytest.mark.parametrize(
    ("program", "expression", "files"),
    [
        ("f(x) = sin(x)", "f(1.0) + hypot(1.0, 2.0)", []),
        ("", "twice(2)", ["<a>"]),
        ("", "hypot(1, 2, 3)", ["<a>"]),
        ("f(p::Pair2) = p.a", "f(Pair2(1.0))", ["<b>"]),
        ("", "only_b(Pair2(1.0))", ["<b>", "<a>"]),
        ("twice(x) = x", "twice(2)", []),
    ],
)
def test_a_file_is_read_when_a_name_of_it_is_used(program: str, expression: str, files: list[str]) -> None:
    assert _parsed_for(program, expression) == files
