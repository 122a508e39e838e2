"""The scalar primitives: one table by subject a module, complete as soon as this package is imported."""

from dsl.ops import arith, compare, convert, elementary, special
from dsl.ops.core import PRIMITIVES, Builder, Primitive, Rewrite, Sym, known, made_by, prim, result_type, select
from dsl.ops.evaluation import FLOAT, Arithmetic, Evaluator, evaluate

__all__ = [
    "FLOAT", "PRIMITIVES", "Arithmetic", "Builder", "Evaluator", "Primitive", "Rewrite", "Sym", "arith", "compare",
    "convert", "elementary", "evaluate", "known", "made_by", "prim", "result_type", "select", "special",
]  # fmt: skip
