"""How to compile, and how long each stage took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from dsl.diagnostics import error
from dsl.records import dataclass

Mode: TypeAlias = Literal["auto", "forward", "reverse"]
MODES = ("auto", "forward", "reverse")


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    opt_level    LLVM's level, 0 to 3; the values are the same bits at each. None: 3, where code that takes LLVM long is
                 compiled at 0 first, and once more when it has run for as long as that takes
    mode         how to differentiate: "auto" takes the cheaper way
    checks       False: NaN where a function is outside its domain, instead of a DomainError
    optimize     False: no passes of ours but those that are needed
    interpreter  True: the reference interpreter runs the SSA; False: native code does; None: native code does, save
                 what runs once and is small, where the interpreter is done before LLVM would have begun
    verify       check the invariants of the SSA after every pass
    fma          whether a product is rounded together with the sum it is in, as the manual says; None: where the
                 processor has an instruction for it
    cache        take what has been compiled before from the user's cache, and keep there what is compiled
    """

    opt_level: int | None = None
    mode: Mode = "auto"
    checks: bool = True
    optimize: bool = True
    interpreter: bool | None = None
    verify: bool = False
    cache: bool = True
    fma: bool | None = None

    def told(self) -> tuple[Any, ...]:
        """All of them, in order."""
        return (
            self.opt_level, self.mode, self.checks, self.optimize, self.interpreter, self.verify, self.cache, self.fma
        )  # fmt: skip

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise error("E0409", f"mode is {self.mode!r}, which is none of {', '.join(MODES)}")
        if self.opt_level is not None and self.opt_level not in range(4):
            raise error("E0409", f"opt_level is {self.opt_level!r}, which is none of 0, 1, 2, 3")
        if not isinstance(self.fma, bool | None):
            raise error("E0409", f"fma is {self.fma!r}, which is none of True, False, None")


class Timings(dict[str, float]):
    """Seconds by stage. A stage that runs inside another one is not counted in that one again."""

    def __init__(self) -> None:
        super().__init__()
        self._inner: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._inner.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            whole = time.perf_counter() - start
            own = whole - self._inner.pop()
            self[name] = self.get(name, 0.0) + own
            if self._inner:
                self._inner[-1] += whole
