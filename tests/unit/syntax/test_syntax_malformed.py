"""A slice of `tools/malformed`: hostile and mutated files get an answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_malformed_files_get_an_answer(tmp_path: Path) -> None:
    command = [str(ROOT / "tools" / "malformed"), "--files", "150", "--seed", "1", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("150 files, 0 treated badly")
