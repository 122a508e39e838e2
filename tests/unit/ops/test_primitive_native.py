"""Every primitive, compiled, gives the bits of its evaluation: on samples, and on special values."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import pytest
from primitive_samples import CASE_IDS, CASES, edges, inside

from dsl.backend import kernels
from dsl.ops import evaluate, result_type
from dsl.types import BOOL, F32, F64, I64, LeafType

C_TYPES: dict[LeafType, Any] = {
    F64: ctypes.c_double, F32: ctypes.c_float, I64: ctypes.c_int64, BOOL: ctypes.c_uint8,
}  # fmt: skip


def memory_type(t: LeafType) -> str:
    return "i8" if t == BOOL else kernels.llvm_type(t)


def module_text() -> str:
    """A function for each primitive and signature; bools are bytes outside."""
    parts, needed, declared = [], set(), {}
    for symbol, (name, types) in zip(CASE_IDS, CASES, strict=True):
        result = result_type(name, types)
        lines = [f"%x{k} = trunc i8 %p{k} to i1" for k, t in enumerate(types) if t == BOOL]
        operands = [f"%{'x' if t == BOOL else 'p'}{k}" for k, t in enumerate(types)]
        lines += kernels.instructions(name, types, operands, "r", "r.")
        if result == BOOL:
            lines.append("%b = zext i1 %r to i8")
        lines.append(f"ret {memory_type(result)} {'%b' if result == BOOL else '%r'}")
        params = ", ".join(f"{memory_type(t)} %p{k}" for k, t in enumerate(types))
        body = "\n".join(f"  {line}" for line in lines)
        parts.append(f'define {memory_type(result)} @"{symbol}"({params}) {{\n{body}\n}}\n')
        declared |= kernels.declarations(lines)
        for kernel in kernels.kernels_called(lines):
            names, externals = kernels.needed(kernel)
            needed |= set(names)
            declared |= externals
    return "\n".join([*declared.values(), *map(kernels.definition, sorted(needed)), *parts])


@pytest.fixture(scope="module", params=[0, 3])
def native(request: pytest.FixtureRequest) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(module_text())
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=request.param, jit=True
    )
    options = llvm.create_pipeline_tuning_options(request.param)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    yield engine
    engine.close()


def function(engine: Any, symbol: str, types: tuple[LeafType, ...], result: LeafType) -> Callable[..., Any]:
    prototype = ctypes.CFUNCTYPE(C_TYPES[result], *(C_TYPES[t] for t in types))
    return prototype(engine.get_function_address(symbol))


def bits(value: Any, t: LeafType) -> Any:
    """What two equal results have in common; NaNs are one value."""
    if t in (F64, F32):
        return "NaN" if value != value else struct.pack("<d", value)
    return int(value)


@pytest.mark.parametrize(("name", "types"), CASES, ids=CASE_IDS)
def test_same_bits(native: Any, name: str, types: tuple[LeafType, ...]) -> None:
    result = result_type(name, types)
    compiled = function(native, CASE_IDS[CASES.index((name, types))], types, result)
    for values in [*inside(name, types, 30), *edges(types)]:
        expected, got = evaluate(name, types, values), compiled(*values)
        assert bits(got, result) == bits(expected, result), f"{name}{tuple(values)}: {got} natively, {expected}"
