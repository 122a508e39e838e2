"""SSA to the text of an LLVM module, in time linear in the size of the program.

Guarantees: the same bits as the interpreter at every optimisation level (no fast-math, no contraction, the C library's
functions are called and never replaced by others); no input makes native code abort; the code does not depend on
whether line tables are asked for. Expects a verified program without derivative ops, shadows and globals (`ad` and
`passes` have replaced them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsl.backend import kernels, memory
from dsl.backend.debug import DebugInfo, Metadata
from dsl.backend.function import FunctionEmitter, identifier
from dsl.backend.layout import WORD, Context, record_type, register_type
from dsl.backend.signature import Signature, reachable, signatures
from dsl.backend.support import Piece, areas, core, interface, kernel, shared
from dsl.backend.unit import ENTRY, STRAIGHT, EmittedUnit, Site
from dsl.diagnostics import Span
from dsl.ir.core import Function, Op, Program
from dsl.types import BOOL, LeafType, Mem

_SHORT = 100  # ops
_OF_TYPES = frozenset({"gemm", "transpose"})  # kernels that there are for elements of several types
_STACK_RESERVE = 1 << 18  # for the C library, Python's printing, and functions that do not look at the stack
_FRAME_A_VALUE = 24       # an upper estimate of the stack that a value takes where it is spilled


def emit(program: Program, root: str, *, lines: bool = True) -> EmittedUnit:
    """The module of a function and all that it calls. `lines`: with line tables."""
    return UnitEmitter(program, root, lines).unit()


class UnitEmitter:
    """What the functions of a module share: symbols, records, metadata, failure sites."""

    def __init__(self, program: Program, root: str, lines: bool) -> None:
        graph = reachable(program, root)
        self.lines = lines
        self.root = program.functions[root]
        self.functions: list[Function] = [program.functions[name] for name in graph]
        self.externals: dict[str, str] = {}  # functions of the C library: name → declaration
        self.kernels: dict[str, None] = {}   # names, in order
        self.pieces: dict[str, Piece] = {}   # kernels that are called but are not part of the unit
        self.signatures = signatures(program, graph, _symbols(list(graph)))
        self.grown = _grown(program, graph)  # types of memory that a function, or what it calls, pushes to
        self.metadata = Metadata()
        self.debug = DebugInfo(self.metadata)
        self.sites: list[Site] = []
        self.prints: list[tuple[str, tuple[LeafType, ...]]] = []
        self.records: dict[tuple[LeafType, ...], str] = {}
        self.uses_memory = False
        self.uses_regions = False
        self.likely = ", !prof " + self.metadata.node('!{!"branch_weights", i32 2000, i32 1}')
        self.unlikely = ", !prof " + self.metadata.node('!{!"branch_weights", i32 1, i32 2000}')
        self.length_range = ", !range " + self.metadata.node(f"!{{i64 0, i64 {1 << 62}}}")
        self._alias_root = self.metadata.node('!{!"dfl"}')
        self._accesses: dict[str, str] = {}

    def unit(self) -> EmittedUnit:
        root = self.signatures[self.root.name]
        bodies = [FunctionEmitter(self, fn, self.signatures[fn.name]).text() for fn in self.functions]
        takes_memory = any(isinstance(t, Mem) for t in root.params)
        allocates = self.uses_memory or takes_memory
        support = (*[core()] * allocates, *[areas()] * self.uses_regions, *self.pieces.values())
        parts = [
            *[STRAIGHT.rstrip()] * self._straight(allocates),
            *(f"%record.{k} = type {record_type(fields)}" for k, fields in enumerate(self.records)),
            *self.externals.values(),
            *bodies,
        ]
        operands = max((len(site.types) for site in self.sites), default=0)
        size = sum(1 for fn in self.functions for _ in fn.body.walk())
        unit = EmittedUnit(
            self.root.name, "", root, tuple(self.sites), tuple(self.prints), tuple(self.externals),
            tuple(piece.symbol for piece in support), operands, _STACK_RESERVE + _FRAME_A_VALUE * size, allocates, size,
            any(s.recursive for s in self.signatures.values()), self._may_take_long(),
        )  # fmt: skip
        if not unit.direct:
            parts.append(_entry(root, self.uses_regions))
        parts.append(interface(support))
        parts += [kernels.definition(name) for name in self.kernels]
        parts += self.debug.listing()
        parts += self.metadata.listing()
        return EmittedUnit(**{**vars(unit), "text": "\n".join(parts) + "\n"})

    def _may_take_long(self) -> bool:
        """Whether there is a loop, recursion or a kernel on arrays."""
        ops = {op.name for fn in self.functions for op in fn.body.walk()}
        return bool(ops & {"for", "loop", "kernel"}) or any(s.recursive for s in self.signatures.values())

    def _straight(self, allocates: bool) -> bool:
        """Whether the module is short code of one function without loops and memory."""
        ops = [op.name for op in self.root.body.walk()]
        loops = not {"for", "loop", "call"}.isdisjoint(ops) or not kernels.WITH_LOOPS.isdisjoint(self.kernels)
        return not loops and not allocates and len(ops) <= _SHORT

    # ------------------------------------------------------------ what functions ask for
    def site(self, code: str, text: str, hint: str, span: Span, types: tuple[LeafType, ...]) -> int:
        self.sites.append(Site(code, text, hint, span, types))
        return len(self.sites) - 1

    def printing(self, text: str, types: tuple[LeafType, ...]) -> int:
        self.prints.append((text, types))
        return len(self.prints) - 1

    def record(self, fields: tuple[LeafType, ...]) -> str:
        """The name of a record's type."""
        return self.records.setdefault(fields, f"%record.{len(self.records)}")

    def access(self, kind: str) -> str:
        """The suffix of a load or store: memory of different kinds does not overlap."""
        if kind not in self._accesses:
            type = self.metadata.node(f'!{{!"{kind}", {self._alias_root}, i64 0}}')
            self._accesses[kind] = ", !tbaa " + self.metadata.node(f"!{{{type}, {type}, i64 0}}")
        return self._accesses[kind]

    def instructions(self, op: Op, operands: list[str], register: str, prefix: str, once: bool) -> list[str]:
        """The instructions of a primitive, whose result is `register`; names inside begin with the prefix. `once`: they
        are in no loop of their function."""
        types = [a.type for a in op.args]
        lines = kernels.instructions(op.name, types, operands, register.removeprefix("%"), prefix)
        for name, declaration in kernels.declarations(lines).items():
            if not name.startswith("llvm."):
                self.externals[name] = declaration
        for name in kernels.kernels_called(lines):
            piece = shared(name) if once else None
            if piece is not None:
                self.pieces[piece.entry] = piece
                lines = [line.replace(f"@dfl.{name}(", f"@{piece.entry}(") for line in lines]
                continue
            names, declared = kernels.needed(name)
            self.kernels |= dict.fromkeys(names)
            self.externals |= declared
        return lines

    def array_kernel(self, name: str, types: Sequence[LeafType]) -> str:
        """The symbol of a kernel on whole arrays: it gives the op's result, -1 where there is no memory."""
        self.uses_memory = True
        symbol = f"{name}.{types[0]}" if name in _OF_TYPES else name
        self.pieces[symbol] = kernel(symbol)
        return f"@dfl.{symbol}"


def _grown(program: Program, graph: Mapping[str, frozenset[str]]) -> dict[str, set[LeafType]]:
    """By function."""
    grown = {
        name: {op.args[0].type for op in program.functions[name].body.walk() if op.name == "push"} for name in graph
    }
    changed = any(grown.values())
    while changed:
        changed = False
        for name, called in graph.items():
            more = set[LeafType]().union(*(grown[other] for other in called)) - grown[name]
            grown[name] |= more
            changed |= bool(more)
    return grown


def _symbols(names: list[str]) -> dict[str, str]:
    """The names of functions in the module: their own, but for those that the C library has."""
    taken = kernels.library_functions() | memory.RESERVED
    return {name: f"{name}.dfl" if name in taken or name.startswith(("dfl.", "llvm.")) else name for name in names}


def _entry(root: Signature, regions: bool) -> str:
    """The function that Python calls: arguments and results in slots of eight bytes; 0, or 1 where the call failed.
    `regions`: there are some, and those that a failure has left open end here."""
    lines = [f"define i32 @{ENTRY}(ptr %ctx, ptr %args, ptr %results) nounwind {{"]
    lines += [f"  {line}" for line in (
        f"%plist = getelementptr i8, ptr %ctx, i64 {WORD * Context.CHUNKS}",
        f"%proot = getelementptr i8, ptr %ctx, i64 {WORD * Context.ROOT}",
        "%list = load ptr, ptr %plist", "store ptr %list, ptr %proot",
    )]  # fmt: skip
    operands = ["ptr %ctx"] * root.context
    for k, t in enumerate(root.params):
        lines.append(f"  %p{k} = getelementptr i8, ptr %args, i64 {WORD * k}")
        if t == BOOL:
            lines += [f"  %b{k} = load i8, ptr %p{k}", f"  %a{k} = trunc i8 %b{k} to i1"]
        else:
            lines.append(f"  %a{k} = load {register_type(t)}, ptr %p{k}")
        operands.append(f"{register_type(t)} %a{k}")
    operands += ["ptr %results"] * root.indirect
    call = f"call {root.gives} {identifier('@', root.symbol)}({', '.join(operands)}) noinline"
    parts = root.parts
    lines.append(f"  %whole = {call}" if parts else f"  {call}")
    pieces = ["%whole"] if len(parts) == 1 else [f"%w{k}" for k in range(len(parts))]
    if len(parts) > 1:
        lines += [f"  {w} = extractvalue {root.gives} %whole, {k}" for k, w in enumerate(pieces)]
    for k, (t, piece) in enumerate(zip(root.results, pieces[root.context :], strict=False)):
        lines.append(f"  %r{k} = getelementptr i8, ptr %results, i64 {WORD * k}")
        if t == BOOL:
            lines += [f"  %z{k} = zext i1 {piece} to i8", f"  store i8 %z{k}, ptr %r{k}"]
        else:
            lines.append(f"  store {register_type(t)} {piece}, ptr %r{k}")
    lines += ["  call void @dfl.unwind(ptr %ctx)", "  call void @dfl.spare(ptr %ctx)"] * regions
    lines += [f"  %failed = zext i1 {pieces[0]} to i32", "  ret i32 %failed"] if root.context else ["  ret i32 0"]
    return "\n".join([*lines, "}"])
