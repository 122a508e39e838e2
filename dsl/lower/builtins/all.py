"""Importing this module fills the table of built-in functions."""

from dsl.lower import broadcast, expressions, loops, names, statements
from dsl.lower.builtins import (
    along,
    arrays,
    compare,
    construct,
    derivatives,
    dicts,
    elementwise,
    factorisations,
    functions,
    indexing,
    iteration,
    jacobians,
    kernels,
    later,
    linalg,
    mapping,
    memory,
    numbers,
    records,
    reductions,
    rules,
    text,
)

TABLES = (
    broadcast, expressions, loops, names, statements, arrays, along, compare, construct, derivatives, dicts,
    elementwise, factorisations, functions, indexing, iteration, jacobians, kernels, later, linalg, mapping, memory,
    numbers, records, reductions, rules, text,
)  # fmt: skip
