"""Numbers and texts in the notation of the language, Julia's: the fewest digits that read back to the same number."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable


def show_float(x: float) -> str:
    """A Float64: `36.0`, `0.1`, `1.0e-5`, `1.0e6`, `Inf`, `NaN`."""
    return _special(x) or _notation(*_digits(repr(x)))


def show_float32(x: float) -> str:
    """A Float32 (held in a Python float): `1.5f0`, `1.0f-5`, `Inf32`, `NaN32`."""
    special = _special(x)
    if special:
        return f"{special}32"
    text = _notation(*_digits(_shortest_f32(x)))
    return text.replace("e", "f") if "e" in text else f"{text}f0"


def show_element(x: float | bool, bool_: bool) -> str:
    """A Bool or a Float32 as an element of an array, which names their type: `1`, `1.5`, `1.0e-5`, `Inf`."""
    if bool_:
        return "1" if x else "0"
    text = show_float32(x)
    return text[:-2] if text.endswith(("Inf32", "NaN32")) else text.removesuffix("f0").replace("f", "e")


def show_int(n: int) -> str:
    return str(n)


def show_bool(x: bool) -> str:
    return "true" if x else "false"


def quote(text: str) -> str:
    """A string as a literal of the language."""
    return '"' + "".join(_ESCAPES.get(c, c) for c in text) + '"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "$": "\\$", "\0": "\\0"}


def _special(x: float) -> str:
    if x != x:
        return "NaN"
    return "" if math.isfinite(x) else "Inf" if x > 0 else "-Inf"


def _digits(text: str) -> tuple[str, str, int]:
    """Sign, significant digits without trailing zeros, and the place of the point behind the first of them."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.removeprefix("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) - len(fraction) + len(digits) - 1
    significant = digits.rstrip("0")
    return sign, significant, point if significant else 0


def _notation(sign: str, digits: str, point: int) -> str:
    """Positional from 1e-5 (exclusive) to 1e6 (exclusive), as Julia has it, else with an exponent."""
    if not digits:
        return f"{sign}0.0"
    if not -5 < point < 6:
        return f"{sign}{digits[0]}.{digits[1:] or '0'}e{point}"
    if point < 0:
        return f"{sign}0.{'0' * (-point - 1)}{digits}"
    whole = digits[: point + 1].ljust(point + 1, "0")
    return f"{sign}{whole}.{digits[point + 1 :] or '0'}"


def _shortest_f32(x: float) -> str:
    """The decimal with fewest digits that rounds to this Float32."""
    for precision in range(1, 10):
        text = f"{x:.{precision}g}"
        if _to_f32(float(text)) == x:
            return text
    return repr(x)


def _to_f32(x: float) -> float:
    try:
        (value,) = struct.unpack("<f", struct.pack("<f", x))
    except OverflowError:
        return math.copysign(math.inf, x)
    return float(value)


# ---------------------------------------------------------------- templates

_FIELD = re.compile(r"\{\{|\}\}|\{(\d+)(?::(\w+))?\}")


def fill(template: str, show: Callable[[int, str], str]) -> str:
    """The text of a `check` or `print` op: each `{k}` or `{k:style}` replaced by `show(k, style)`, doubled braces by
    single ones, all else as it stands."""

    def field(m: re.Match[str]) -> str:
        return m[0][0] if m[1] is None else show(int(m[1]), m[2] or "")

    return _FIELD.sub(field, template)


def escape(text: str) -> str:
    """A text with its braces doubled, so that `fill` gives it back."""
    return text.replace("{", "{{").replace("}", "}}")
