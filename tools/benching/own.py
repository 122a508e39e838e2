"""The rows in the language itself."""

from __future__ import annotations

from typing import Any

import dsl
from benching.harness import PROGRAMS, Arguments, Row
from benching.native import Repeated, of_unit
from dsl.functions import Function


class Own:
    """A row's function and what is wanted of it, with the row's arguments: as calls from Python, and as native code."""

    def __init__(self, row: Row, args: Arguments, **options: Any) -> None:
        self.row = row
        self.args = args
        self.module = dsl.load(PROGRAMS / f"{row.program}.dfl", **options)
        self.function: Function = self.module[row.function]
        self.of_value = args[:1] if row.wanted == "hvp" else args
        if row.wanted == "gradient":
            self.wanted = dsl.grad(self.function, argnums=row.wrt)
            self.both = dsl.value_and_grad(self.function, argnums=row.wrt)
        else:
            hvp = row.wanted == "hvp"
            self.wanted = self.function.transformed("hvp") if hvp else self.module[row.wanted]
            self.both = self.wanted

    def value(self) -> Any:
        return self.function(*self.of_value)

    def call(self) -> Any:
        """What is wanted, with the value where that comes with it."""
        return self.both(*self.args)

    def numbers(self) -> tuple[Any, ...]:
        """The value and what is wanted."""
        return self.call() if self.row.wanted == "gradient" else (self.value(), self.call())

    def repeats(self) -> dict[str, Repeated]:
        """What repeats the native code."""
        made = {"value": of_unit(self.function, self.of_value), "gradient": of_unit(self.wanted, self.args)}
        if self.row.wanted == "gradient":
            made["both"] = of_unit(self.both, self.args)
        return made
