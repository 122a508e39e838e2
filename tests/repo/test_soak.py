"""A slice of the long campaign of calls and compilations: memory stays flat, references are counted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_calls_and_cycles_leave_nothing_behind() -> None:
    command = [str(ROOT / "tools" / "soak"), "--calls", "60000", "--cycles", "150"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "60000 calls, 150 cycles, 0 findings"
