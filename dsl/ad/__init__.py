"""Differentiation of SSA: forward mode, reverse mode, user rules, any nesting.

`expand(program, mode)` replaces the ops `jvp vjp vjp_fwd vjp_rev` by calls of functions it makes.
`reverse_plan(program, fn, wrt)` says what the reverse of a function keeps, without making it.
"""

from dsl.ad.apart import flat_parameters
from dsl.ad.expand import expand, reverse_plan
from dsl.ad.plan import Plan

__all__ = ["Plan", "expand", "flat_parameters", "reverse_plan"]
