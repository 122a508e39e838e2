"""The examples of `dfl explain`: each wrong one raises its code, each right one raises nothing."""

from __future__ import annotations

import pytest

import dsl
from dsl.diagnostics.pages import PAGES


def run(program: str, python: bool) -> None:
    if python:
        exec(program, {"dsl": dsl})
    else:
        dsl.loads(program, print_expressions=True, out=lambda text: None)


@pytest.mark.parametrize("code", [code for code, page in PAGES.items() if not page.harmful])
def test_the_wrong_example_raises_its_code(code: str) -> None:
    page = PAGES[code]
    with pytest.raises(dsl.DslError) as caught:
        run(page.wrong, page.python)
    assert caught.value.code == code, caught.value.render()


@pytest.mark.parametrize("code", PAGES)
def test_the_right_example_raises_nothing(code: str) -> None:
    page = PAGES[code]
    run(page.right, page.python)


@pytest.mark.parametrize("code", PAGES)
def test_a_page_is_readable_in_a_terminal(code: str) -> None:
    page = PAGES[code]
    assert page.meaning.endswith((".", ")"))
    assert max(map(len, page.render().splitlines())) <= 250
