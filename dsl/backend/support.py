"""Support code: the memory core, regions, kernels on whole arrays and long ones of numbers, which units call but do
not contain.

It is the same for every program, so the runtime compiles each piece once a process and tells the units where its
functions are. What is marked `alwaysinline` is a few instructions on a fast path: units contain it. Kernels of numbers
are part of a unit where it calls them in loops, so that these become vector code; elsewhere a long one is not copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from dsl.backend import gemm, kernels, lapack, memory, regions, transpose
from dsl.records import dataclass

_FUNCTION = re.compile(r"^define (?:internal )?(?P<head>[^\n]*?@(?P<name>[\w.]+)\([^\n]*) \{\n.*?^\}\n", re.M | re.S)
_FOR_VECTORS = re.compile(rf"^{kernels.FOR_VECTORS}.*?^\}}\n", re.M | re.S)
LONG = 40  # lines
SHARED = "dfl.shared."
_C_LIBRARY = "declare noalias ptr @malloc(i64)\ndeclare void @free(ptr)\n"


@dataclass(frozen=True)
class Piece:
    """LLVM IR that is compiled by itself. `needs`: the pieces whose functions it calls; `blas`: what it calls of BLAS
    and LAPACK; `entry`: its only function for others (none: all that are not inlined)."""

    name: str
    source: str
    needs: tuple[Piece, ...] = ()
    blas: tuple[str, ...] = ()
    entry: str = ""

    @property
    def symbol(self) -> str:
        """What units call the piece: `piece` finds it again."""
        return self.entry or self.name

    @property
    def exports(self) -> list[str]:
        if self.entry:
            return [self.entry]
        return [m["name"] for m in _FUNCTION.finditer(self.source) if "alwaysinline" not in m["head"]]

    @property
    def text(self) -> str:
        """The module: its functions can be called from elsewhere, those of other pieces are declared."""
        source = self.source if self.entry else self.source.replace("define internal", "define")
        return interface(self.needs) + source


@cache
def core() -> Piece:
    """The arena and the growable runs of records in it."""
    return Piece("memory", memory.source())


@cache
def areas() -> Piece:
    return Piece("regions", _C_LIBRARY + regions.source(), (core(),))


@cache
def kernel(name: str) -> Piece:
    """A kernel on whole arrays: `gemm.f64`, `qr`."""
    if name.startswith("gemm."):
        texts, called = gemm.functions(name.removeprefix("gemm."))
    elif name.startswith("transpose."):
        texts, called = [transpose.function(name.removeprefix("transpose."))], ()
    else:
        make, called = lapack.FUNCTIONS[name]
        texts = [make()]
    source = "\n".join(texts)
    counts = {c: re.search(rf"@dfl\.blas\.{c}\(([^)]*)\)", source) for c in called}
    declared = [
        f"declare void @dfl.blas.{c}({', '.join(['ptr'] * len(found[1].split(',')))}) nounwind\n"
        for c, found in counts.items()
        if found is not None
    ]
    return Piece(name, "".join([_C_LIBRARY, *declared, source]), (), called)


def piece(symbol: str) -> Piece:
    """The piece that units call this."""
    if symbol in ("memory", "regions"):
        return core() if symbol == "memory" else areas()
    found = shared(symbol.removeprefix(SHARED)) if symbol.startswith(SHARED) else kernel(symbol)
    assert found is not None
    return found


@cache
def shared(name: str) -> Piece | None:
    """A long kernel of numbers (`sin.f64`) as `@dfl.shared.NAME`; None: it is short."""
    names, declared = kernels.needed(name)
    source = "\n".join([*declared.values(), *map(kernels.definition, names)]) + "\n"
    source = _FOR_VECTORS.sub("", source)
    if source.count("\n") < LONG:
        return None
    entry = f"{SHARED}{name}"
    result, operands = next(
        (m["head"].split()[0], m["head"].partition("(")[2].partition(")")[0])
        for m in _FUNCTION.finditer(source)
        if m["name"] == f"dfl.{name}"
    )
    head = f"define {result} @{entry}({operands}) nounwind willreturn memory(none)"
    body = f"  %r = call {result} @dfl.{name}({operands})\n  ret {result} %r\n"
    return Piece(name, f"{source}{head} {{\n{body}}}\n", entry=entry)


def interface(pieces: Iterable[Piece]) -> str:
    """What a module begins with that calls functions of these pieces: their declarations, and the bodies of those that
    are inlined."""
    parts = []
    for piece in pieces:
        for function in _FUNCTION.finditer(piece.source):
            if piece.entry not in ("", function["name"]):
                continue
            inlined = "alwaysinline" in function["head"]
            parts.append(function[0] if inlined else f"declare {function['head']}\n")
    return "".join(parts)
