"""LLVM behind a few functions: text to optimised text, assembly, object code, linked code.

Everything here happens under one lock and in a fresh LLVM context that is dropped afterwards, so that compiling many
units leaves nothing behind. Objects are position independent, of the small code model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from dsl import importing
from dsl.backend.unit import STRAIGHT
from dsl.runtime.lock import LOCK

with importing():
    import llvmlite.binding as llvm


@cache
def _set_up() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # loops that add up numbers are vectorised, too: the terms side by side, the additions in their order
    llvm.set_option("", "-force-ordered-reductions")
    # whether memories overlap is asked for each run of a loop: for all runs together, the rows of one array do
    llvm.set_option("", "-hoist-runtime-checks=false")


@cache
def target() -> str:
    """What object code is made by and for, as a text."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.llvm_version_info} {llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features}"


def has_feature(name: str) -> bool:
    """Whether the processor has what LLVM calls so."""
    return bool(llvm.get_host_cpu_features().get(name))


@cache
def _machine(level: int) -> llvm.TargetMachine:
    _set_up()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=level, reloc="pic", codemodel="small"
    )


class _Builder:
    """LLVM's builder of passes at a level, for so many runs: each run leaves hooks in it, which all later ones go
    through, and each builder leaves something that llvmlite cannot free."""

    RUNS = 64
    current: dict[int, _Builder] = {}  # noqa: RUF012 - one for all

    def __init__(self, level: int) -> None:
        self.options = llvm.create_pipeline_tuning_options(level)
        self.options.loop_vectorization = self.options.slp_vectorization = level > 1
        self.passes = llvm.create_pass_builder(_machine(level), self.options)
        self.runs = 0

    @classmethod
    def next(cls, level: int) -> llvm.PassBuilder:
        """For one more run."""
        builder = cls.current.get(level)
        if builder is None or builder.runs == cls.RUNS:
            if builder is not None:
                builder.passes.close()
                builder.options.close()
            builder = cls.current[level] = cls(level)
        builder.runs += 1
        return builder.passes


def _optimise(module: llvm.ModuleRef, level: int, straight: bool) -> None:
    builder = _Builder.next(level)
    _run(_few_passes() if straight else builder.getModulePassManager(), module, builder)
    for_vectors = [f for f in module.functions if f.visibility == llvm.Visibility.hidden and not f.is_declaration]
    if for_vectors:
        for f in for_vectors:
            f.visibility = llvm.Visibility.default  # what is internal has no other
            f.linkage = llvm.Linkage.internal
        _run(_for_vectors_inlined(), module, builder)


def _run(passes: llvm.ModulePassManager, module: llvm.ModuleRef, builder: llvm.PassBuilder) -> None:
    try:
        passes.run(module, builder)
    finally:
        llvm.ffi.lib.LLVMPY_DisposeNewModulePassManger(passes)  # llvmlite does not dispose of it
        passes.detach()


def _few_passes() -> llvm.ModulePassManager:
    """Those that find something in short code without loops; the others find nothing, in four times the time."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    passes.add_tail_call_elimination_pass()
    passes.add_global_dead_code_eliminate_pass()
    return passes


def _for_vectors_inlined() -> llvm.ModulePassManager:
    """Forms of functions for vectors (those that are hidden) are inlined, now that loops over the functions have become
    calls of them, and what nothing calls goes."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    return passes


@contextmanager
def _module(text: str, level: int) -> Iterator[llvm.ModuleRef]:
    """The optimised module of a text."""
    with LOCK:
        machine = _machine(level)
        context = llvm.create_context()
        # the layout must be known before loads and stores are read, for their alignment
        target = f'target datalayout = "{machine.target_data}"\ntarget triple = "{machine.triple}"\n'
        module = llvm.parse_assembly(target + text, context)
        try:
            module.verify()
            if level:
                _optimise(module, level, text.startswith(STRAIGHT))
            yield module
        finally:
            module.close()
            context.close()


def optimised(text: str, level: int) -> str:
    with _module(text, level) as module:
        return str(module)


def assembly(text: str, level: int) -> str:
    with _module(text, level) as module:
        return str(_machine(level).emit_assembly(module))


def object_code(text: str, level: int) -> bytes:
    with _module(text, level) as module:
        return bytes(_machine(level).emit_object(module))


class _Linker:
    """An engine for so many libraries, which goes with the last of them: making one takes longer than linking, but what
    it remembers of libraries that have gone grows. `stays`: one of them is kept."""

    MOST = 32
    current: _Linker | None = None

    def __init__(self) -> None:
        self.jit = llvm.create_lljit_compiler(_machine(0))
        self.count = 0
        self.stays = False

    def __del__(self) -> None:
        with LOCK:
            if self.stays:
                self.jit.detach()
            else:
                self.jit.close()

    @classmethod
    def next(cls) -> _Linker:
        """The linker of one more library, whose number is `count`."""
        if cls.current is None or cls.current.count == cls.MOST:
            cls.current = cls()
        cls.current.count += 1
        return cls.current


class Library:
    """Object code linked into the process. The code is there as long as this object is."""

    def __init__(self, code: bytes, exports: Sequence[str], imports: dict[str, int]) -> None:
        with LOCK:
            self._linker = _Linker.next()
            builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
            for name, address in imports.items():
                builder.import_symbol(name, address)
            for name in exports:
                builder.export_symbol(name)
            self._tracker = builder.link(self._linker.jit, f"unit {self._linker.count}")
            self._imports = imports

    def __getitem__(self, name: str) -> int:
        """The address of an exported or imported symbol."""
        return self._imports[name] if name in self._imports else int(self._tracker[name])

    def keep(self) -> None:
        """The code stays until the process ends, whatever becomes of this object."""
        self._tracker.detach()
        self._linker.stays = True

    def __del__(self) -> None:
        with LOCK:
            if hasattr(self, "_tracker"):  # else it could not be linked
                self._tracker.close()
