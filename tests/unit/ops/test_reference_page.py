"""The generated reference page is what the table says."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_page_is_up_to_date() -> None:
    done = subprocess.run([ROOT / "tools" / "reference", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_page_shows_derivatives_as_formulas() -> None:
    text = (ROOT / "grammar" / "PRIMITIVES.md").read_text(encoding="utf-8")
    entry = text[text.index("**`tanh(x)`**") :].split("\n\n")[0]
    assert "derivative by x: `d * ((1 - out) * (1 + out))`" in entry
