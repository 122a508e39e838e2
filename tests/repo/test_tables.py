"""Tables are complete: nothing that one table names is missing in another."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from dsl.cli.main import COMMANDS
from dsl.diagnostics.codes import CODES
from dsl.diagnostics.errors import DslError, error
from dsl.diagnostics.pages import PAGES
from dsl.ir.opset import OPSET
from dsl.ops import PRIMITIVES

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert set(PAGES) == set(CODES)


def test_codes_stand_in_order() -> None:
    assert list(CODES) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_code_makes_an_error_of_its_kind(code: str) -> None:
    made = error(code, "text")
    assert isinstance(made, DslError)
    assert (made.code, made.kind) == (code, CODES[code].kind)


def test_codes_in_the_package_are_declared() -> None:
    used = {
        code
        for path in (ROOT / "dsl").rglob("*.py")
        if path.parent.name != "diagnostics"
        for code in re.findall(r'"(E\d{4})"', path.read_text(encoding="utf-8"))
    }
    assert used <= set(CODES)


def test_every_declared_code_is_used() -> None:
    paths = [p for p in (ROOT / "dsl").rglob("*.py") if p.parent.name != "diagnostics"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    assert [code for code in CODES if code not in text] == []


def test_ops_and_primitives_have_names_of_their_own() -> None:
    assert not set(OPSET) & set(PRIMITIVES)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_primitive_says_everything(name: str) -> None:
    p = PRIMITIVES[name]
    assert p.doc and not p.doc.endswith("\n")
    operands = len(p.signatures[0][0])
    assert len(p.derivative) == operands == len(p.sample)
    assert all(low <= high for low, high in p.sample)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_a_module_that_configures_and_executes_it(command: str) -> None:
    module = import_module(COMMANDS[command][0])
    assert callable(module.configure)
    assert callable(module.execute)
