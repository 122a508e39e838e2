"""Line tables: which line of which `.dfl` file an instruction comes from.

Only lines are told, no variables. What is made here never changes the code; it is left out where a function has no
source. Metadata nodes are numbered here, for whoever needs one (`DebugInfo.node`).
"""

from __future__ import annotations

from dsl.diagnostics import NO_SPAN, Source, Span
from dsl.ir.core import Function


def quoted(text: str) -> str:
    """A text as LLVM writes it between quotes: bytes that are not plain ASCII as `\\XX`."""
    return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in text.encode())


class Metadata:
    """Numbered nodes, each written once."""

    def __init__(self) -> None:
        self.nodes: dict[str, int] = {}

    def node(self, text: str) -> str:
        """The reference (`!7`) of a node with this text."""
        return f"!{self.nodes.setdefault(text, len(self.nodes))}"

    def loop(self, *properties: str) -> str:
        """The reference of a new node that stands for one loop, with nodes of these texts."""
        parts = [self.node(p) for p in properties]
        number = len(self.nodes)
        return self.node(f"distinct !{{{', '.join([f'!{number}', *parts])}}}")

    def group(self) -> str:
        """The reference of a new node that is nothing but itself: a group of memory accesses."""
        return self.node(f"distinct !{{}} ; {len(self.nodes)}")

    def listing(self) -> list[str]:
        return [f"!{number} = {text}" for text, number in self.nodes.items()]


class DebugInfo:
    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.files: dict[Source, str] = {}
        self.unit = ""
        self.locations: dict[tuple[Span, str], str] = {}

    def subprogram(self, fn: Function, symbol: str) -> str:
        """The reference of a function's node, "" where it has no source."""
        if fn.span.source is NO_SPAN.source:
            return ""
        file = self._file(fn.span.source)
        if not self.unit:
            self.unit = self.metadata.node(
                f"distinct !DICompileUnit(language: DW_LANG_C, file: {file}, isOptimized: true, "
                'runtimeVersion: 0, emissionKind: LineTablesOnly, producer: "dfl")'
            )
        signature = self.metadata.node("!DISubroutineType(types: !{})")
        line = fn.span.line
        return self.metadata.node(
            f'distinct !DISubprogram(name: "{quoted(fn.title or fn.name)}", linkageName: "{quoted(symbol)}", '
            f"file: {file}, line: {line}, scopeLine: {line}, type: {signature}, unit: {self.unit}, "
            "spFlags: DISPFlagDefinition | DISPFlagOptimized)"
        )

    def location(self, span: Span, scope: str, fallback: Span) -> str:
        """The suffix of an instruction (`, !dbg !9`); "" in a function without source."""
        if not scope:
            return ""
        key = (span, scope)
        if key not in self.locations:
            at = span if span.source is fallback.source else fallback
            node = self.metadata.node(f"!DILocation(line: {at.line}, column: {at.column}, scope: {scope})")
            self.locations[key] = f", !dbg {node}"
        return self.locations[key]

    def listing(self) -> list[str]:
        """The module's lines that switch the line tables on."""
        if not self.unit:
            return []
        version = self.metadata.node('!{i32 2, !"Debug Info Version", i32 3}')
        return [f"!llvm.dbg.cu = !{{{self.unit}}}", f"!llvm.module.flags = !{{{version}}}"]

    def _file(self, source: Source) -> str:
        if source not in self.files:
            self.files[source] = self.metadata.node(f'!DIFile(filename: "{quoted(source.name)}", directory: ".")')
        return self.files[source]
