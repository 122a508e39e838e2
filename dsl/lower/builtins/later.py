"""Names of the language whose time has not come: rational numbers. Calling one says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from dsl.diagnostics import error
from dsl.lower.builtins.registry import builtin
from dsl.lower.frame import Frame
from dsl.lower.values import Val

_RATIONAL = ("//", "numerator", "denominator")


def _later(name: str, what: str) -> Callable[[Frame, list[Val]], NoReturn]:
    def lower(f: Frame, args: list[Val]) -> NoReturn:
        raise error("E0901", f"{name} is not supported yet: it needs {what}", f.span)

    return lower


for _name in _RATIONAL:
    builtin(_name)(_later(_name, "rational numbers"))
