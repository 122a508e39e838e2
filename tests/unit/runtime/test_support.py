"""Support code: compiled once a process, and no part of units."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import dsl
from dsl.backend.support import areas, core, interface, kernel, shared
from dsl.runtime import llvm
from dsl.runtime.support import functions

PROGRAM = """
f(x) = sum([x[i]^2 for i in 1:length(x)])
g(A, B) = sum(A * B)
"""
KERNELS = ("gemm.f64", "gemm.f32", "gemm.i64", "getrf", "potrf", "trsm", "qr", "syev", "svd")
PIECES = (core(), areas(), *map(kernel, KERNELS))


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_every_piece_is_a_module_with_its_functions(piece):
    found = functions(piece.symbol)
    assert found.keys() == set(piece.exports)
    assert all(found.values())
    assert functions(piece.symbol) is found


def test_an_interface_declares_what_it_does_not_contain():
    text = interface([core()])
    assert "declare ptr @dfl.new(ptr %ctx, i64 %n, i64 %size) nounwind\n" in text
    assert "define internal ptr @dfl.alloc(ptr %ctx, i64 %bytes) alwaysinline" in text
    assert "define internal ptr @dfl.new(" not in text


def test_a_second_unit_compiles_its_own_functions_only(monkeypatch):
    texts = []
    compile = llvm.object_code
    monkeypatch.setattr(llvm, "object_code", lambda text, level: texts.append(text) or compile(text, level))
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    first, second = dsl.loads(PROGRAM), dsl.loads(PROGRAM)
    assert first.f([3.0, 4.0]) == 25.0
    assert first.g(x, x) == 7 + 10 + 15 + 22
    texts.clear()
    assert second.f([3.0, 4.0]) == 25.0
    assert second.g(x, x) == 7 + 10 + 15 + 22
    assert len(texts) == 2
    assert not any("define internal i1 @dfl.grow" in text or "@dfl.blas" in text for text in texts)


def test_a_long_kernel_of_numbers_is_shared_outside_of_loops_only():
    assert shared("powi.f64") is None
    piece = shared("tanh.f64")
    assert piece.exports == ["dfl.shared.tanh.f64"]
    (address,) = functions(piece.symbol).values()
    module = dsl.loads(
        "f(x) = tanh(x)\ng(v) = (s = zero(v[1]); for i in eachindex(v); s += tanh(v[i]); end; s)", interpreter=False
    )
    assert address
    straight, loop = module.code_llvm("f(0.5)", raw=True), module.code_llvm("g([0.5])", raw=True)
    assert "@dfl.shared.tanh.f64" in straight
    assert "@dfl.shared.tanh.f64" not in loop
    x = np.linspace(-3, 3, 41)
    assert [module.f(a) for a in x] == [module.g(np.array([a])) for a in x]


def test_memory_outlives_the_unit_that_made_it():
    made = dsl.loads("f(n) = [1.0i for i in 1:n]").f(100_000)
    gc.collect()
    assert np.array_equal(made, np.arange(1.0, 100_001.0))
