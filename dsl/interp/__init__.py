"""The reference interpreter: slow, obvious, complete. It defines what programs mean."""

from typing import TYPE_CHECKING, Any

from dsl.interp.values import Memory, Packed

if TYPE_CHECKING:
    from dsl.interp.machine import run

__all__ = ["Memory", "Packed", "run"]


def __getattr__(name: str) -> Any:
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dsl.interp.machine import run

    return run
