"""The reference interpreter: slow, obvious, complete. It defines what programs mean."""

from dsl.interp.machine import run
from dsl.interp.values import Memory, Packed

__all__ = ["Memory", "Packed", "run"]
