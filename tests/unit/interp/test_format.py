"""Numbers and templates as the language writes them."""

from __future__ import annotations

import math
import random
import struct

import pytest

from dsl.diagnostics.format import escape, fill, quote, show_float, show_float32
from dsl.ir.message import message
from dsl.types import BOOL, F32, F64, I64, intern


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (36.0, "36.0"), (0.1, "0.1"), (-2.5, "-2.5"), (0.0, "0.0"), (-0.0, "-0.0"), (1e-4, "0.0001"), (1e-5, "1.0e-5"),
        (0.00012345, "0.00012345"), (123456.0, "123456.0"), (999999.5, "999999.5"), (1e6, "1.0e6"),
        (1234567.0, "1.234567e6"), (7.38905609893065, "7.38905609893065"), (1e22, "1.0e22"), (5e-324, "5.0e-324"),
        (math.inf, "Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (100000.0, "100000.0"),
    ],
)  # fmt: skip
def test_float(x: float, text: str) -> None:
    assert show_float(x) == text


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (1.5, "1.5f0"), (struct.unpack("<f", struct.pack("<f", 0.1))[0], "0.1f0"), (1e10, "1.0f10"),
        (2.0**24, "1.6777216f7"), (2.0**-149, "1.0f-45"), (math.inf, "Inf32"), (math.nan, "NaN32"), (-0.0, "-0.0f0"),
    ],
)  # fmt: skip
def test_float32(x: float, text: str) -> None:
    assert show_float32(x) == text


def test_floats_read_back() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        (x,) = struct.unpack("<d", rng.randbytes(8))
        if math.isfinite(x):
            assert float(show_float(x)) == x
        (y,) = struct.unpack("<f", rng.randbytes(4))
        if math.isfinite(y):
            assert struct.unpack("<f", struct.pack("<f", float(show_float32(y).replace("f", "e"))))[0] == y


def test_templates() -> None:
    number = intern("some key")
    text = "{0} {1} {2:plus1} {3:sym} {3:quoted} {3:symbol} {4} {{0}} {x}"
    shown = message(text, [1.0, True, 4, number, 0.5], [F64, BOOL, I64, I64, F32])
    assert shown == '1.0 true 5 some key "some key" :some key 0.5f0 {0} {x}'


def test_escaped_text_comes_back() -> None:
    text = "a {0} {{ }} {1:sym} }"
    assert fill(escape(text), lambda k, style: "?") == text


def test_quoting() -> None:
    assert quote('a "b" $x\n\\') == '"a \\"b\\" \\$x\\n\\\\"'
