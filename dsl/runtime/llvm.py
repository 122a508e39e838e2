"""LLVM behind a few functions: text to optimised text, assembly, object code, linked code.

Everything here happens under one lock and in a fresh LLVM context that is dropped afterwards, so that compiling many
units leaves nothing behind. Objects are position independent, of the small code model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import llvmlite.binding as llvm

_lock = threading.RLock()


@cache
def _set_up() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # loops that add up numbers are vectorised, too: the terms side by side, the additions in their order
    llvm.set_option("", "-force-ordered-reductions")
    # whether memories overlap is asked for each run of a loop: for all runs together, the rows of one array do
    llvm.set_option("", "-hoist-runtime-checks=false")


@cache
def _machine(level: int) -> llvm.TargetMachine:
    _set_up()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=level, reloc="pic", codemodel="small"
    )


@cache
def _pass_builder(level: int) -> llvm.PassBuilder:
    options = llvm.create_pipeline_tuning_options(level)
    options.loop_vectorization = options.slp_vectorization = level > 1
    return llvm.create_pass_builder(_machine(level), options)


@contextmanager
def _module(text: str, level: int) -> Iterator[llvm.ModuleRef]:
    """The optimised module of a text."""
    with _lock:
        machine = _machine(level)
        context = llvm.create_context()
        # the layout must be known before loads and stores are read, for their alignment
        target = f'target datalayout = "{machine.target_data}"\ntarget triple = "{machine.triple}"\n'
        module = llvm.parse_assembly(target + text, context)
        try:
            module.verify()
            if level:
                passes = _pass_builder(level).getModulePassManager()
                passes.run(module, _pass_builder(level))
                # llvmlite does not dispose of it
                llvm.ffi.lib.LLVMPY_DisposeNewModulePassManger(passes)
                passes.detach()
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


class Library:
    """Object code linked into the process. The code is there as long as this object is."""

    def __init__(self, code: bytes, exports: Sequence[str], imports: dict[str, int]) -> None:
        with _lock:
            self._jit = llvm.create_lljit_compiler(_machine(0))
            builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
            for name, address in imports.items():
                builder.import_symbol(name, address)
            for name in exports:
                builder.export_symbol(name)
            self._tracker = builder.link(self._jit, "unit")
            self._imports = imports

    def __getitem__(self, name: str) -> int:
        """The address of an exported or imported symbol."""
        return self._imports[name] if name in self._imports else int(self._tracker[name])

    def keep(self) -> None:
        """The code stays until the process ends, whatever becomes of this object."""
        for part in (self._tracker, self._jit):
            part.detach()

    def __del__(self) -> None:
        # one after the other: the code before the engine it lives in
        for part in (getattr(self, "_tracker", None), getattr(self, "_jit", None)):
            if part is not None:
                with _lock:
                    part.close()
