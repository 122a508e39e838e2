"""The primitive tables: each scalar operation declared once, with its types, meaning, native form and derivative."""

from dsl.ops.core import PRIMITIVES, Builder, Primitive, Sym, declare, prim, result_type, select

__all__ = ["PRIMITIVES", "Builder", "Primitive", "Sym", "declare", "prim", "result_type", "select"]
