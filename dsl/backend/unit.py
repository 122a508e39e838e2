"""What the runtime knows of a unit: how its code is called, and what its failures say."""

from __future__ import annotations

from dsl.backend.signature import Signature
from dsl.diagnostics import Span
from dsl.records import dataclass
from dsl.types import LeafType, Scalar

ENTRY = "dfl.entry"
STRAIGHT = "; short, without loops and memory\n"  # begins the text of such a module


@dataclass(frozen=True)
class Site:
    """A place where a call can fail: what to say, and the types of the operands that the text is filled with."""

    code: str
    text: str
    hint: str
    span: Span
    types: tuple[LeafType, ...]


@dataclass(frozen=True)
class EmittedUnit:
    """A module's text and what the runtime needs to know to call its root."""

    name: str  # of the root in its program
    text: str
    root: Signature
    sites: tuple[Site, ...]
    prints: tuple[tuple[str, tuple[LeafType, ...]], ...]
    externals: tuple[str, ...]  # functions of the C library that it calls
    support: tuple[str, ...]    # the pieces of support code that it calls but does not contain
    operands: int               # words for operands in the context
    stack_reserve: int          # bytes that a recursive function leaves free
    allocates: bool             # it, or its caller for it, makes memory
    size: int                   # how many ops it was made of
    recursive: bool             # it looks at the limit of the stack
    loops: bool                 # a call may take long

    @property
    def straight(self) -> bool:
        """A call is done at once, whatever the level. (As far as the text is there.)"""
        return self.text.startswith(STRAIGHT)

    @property
    def direct(self) -> bool:
        """The root takes and gives scalars only and cannot fail: it is called without an entry."""
        root = self.root
        scalar = all(isinstance(t, Scalar) for t in (*root.params, *root.results))
        return scalar and not root.context and len(root.results) <= 1
