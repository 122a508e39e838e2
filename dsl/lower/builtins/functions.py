"""Function values: composition and piping."""

from __future__ import annotations

from dsl.diagnostics import Span
from dsl.lower.builtins.registry import builtin
from dsl.lower.calls import Keywords, call_value, caller
from dsl.lower.frame import Frame
from dsl.lower.values import Val, flatten, items_of, show_type
from dsl.records import dataclass
from dsl.types import FnType, LangType, StructType, TypeValue, VariantType


@dataclass(frozen=True)
class Composition:
    """The code of `f ∘ g`; captures are f and g."""


COMPOSITION = Composition()


def is_function(t: LangType) -> bool:
    if isinstance(t, StructType):
        return t.key.calls is not None  # type: ignore[attr-defined]
    return isinstance(t, FnType | VariantType | TypeValue)


def name_of(t: LangType) -> str:
    """A function's name for titles."""
    return str(getattr(t, "name", "") or show_type(t))


@builtin("∘")
def lower_compose(f: Frame, args: list[Val]) -> Val | None:
    if not args or not all(is_function(a.type) for a in args):
        return None
    composed = args[0]
    for g in args[1:]:
        name = f"{name_of(composed.type)}∘{name_of(g.type)}"
        captures = (("outer", composed.type), ("inner", g.type))
        composed = Val(FnType(COMPOSITION, name, captures), flatten([composed, g]))
    return composed


@caller(Composition)
def call_composition(f: Frame, fn: Val, args: list[Val], keywords: Keywords, span: Span) -> Val:
    outer, inner = items_of(fn)
    return call_value(f, outer, [call_value(f, inner, args, keywords, span)], {}, span)


@builtin("|>")
def lower_pipe(f: Frame, args: list[Val]) -> Val | None:
    return call_value(f, args[1], [args[0]], {}, f.span) if len(args) == 2 else None


# The rules of ChainRules are methods of these; a program and the library add to the same ones.
builtin("rrule", "frule")(lambda f, args: None)
