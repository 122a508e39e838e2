"""The ways to run a program: by interpreter or natively, in forward or in reverse mode.

`evaluate` gives the value of an expression after a program, in one way. Modules are kept, so that several expressions
after one program compile it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dsl


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    mode: str
    opt_level: int = 3
    interpreter: bool = False


WAYS = tuple(
    Way(f"{engine}/{mode}", mode, level, engine == "interpreter")
    for engine, level in (("interpreter", 0), ("O0", 0), ("O3", 3))
    for mode in ("forward", "reverse")
)
REVERSE = tuple(w for w in WAYS if w.mode == "reverse")
NATIVE = tuple(w for w in WAYS if not w.interpreter)
FAST = tuple(w for w in WAYS if w.name in ("O0/forward", "O3/reverse"))  # each mode, each level


@lru_cache(maxsize=24)
def load(program: str, way: Way) -> Any:
    return dsl.loads(program, opt_level=way.opt_level, mode=way.mode, interpreter=way.interpreter)


def evaluate(program: str, expression: str, way: Way) -> Any:
    return load(program, way).eval(expression)


def error_of(program: str, expression: str, way: Way) -> str:
    """The kind of the error that loading the program or evaluating the expression gives; "" where there is none."""
    try:
        module = load(program, way)
        if expression:
            module.eval(expression)
    except dsl.DslError as e:
        return e.kind
    return ""
