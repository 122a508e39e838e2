"""Importing this module fills the table of built-in functions."""

from dsl.lower import expressions, loops, names, statements
from dsl.lower.builtins import (
    compare,
    derivatives,
    dicts,
    functions,
    iteration,
    later,
    memory,
    numbers,
    records,
    rules,
    text,
)

TABLES = (
    expressions, loops, names, statements, compare, derivatives, dicts, functions, iteration, later, memory, numbers,
    records, rules, text,
)  # fmt: skip
