"""AST → SSA: names, types, methods, specialisation. `Session` and `Entry` are what the driver uses."""

from dsl.lower.library import stdlib_sources
from dsl.lower.session import Entry, Session

__all__ = ["Entry", "Session", "stdlib_sources"]
