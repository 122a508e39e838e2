"""AST → SSA: names, types, methods, specialisation. `Session` and `Entry` are what the driver uses."""

from dsl.lower.session import Entry, Session, stdlib_sources

__all__ = ["Entry", "Session", "stdlib_sources"]
