"""The end of the command: at once, but nothing that was printed or registered for the end is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest


def ran(arguments: list[str], before: str = "") -> tuple[int, str]:
    end = "from dsl.cli.main import process\nprocess()"
    code = f"import atexit, sys\n{before}\nsys.argv = ['dfl', *{arguments!r}]\n{end}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("traced", ["", "sys.settrace(lambda *event: None)"])
def test_what_is_registered_for_the_end_is_done(traced: str) -> None:
    status, out = ran(["eval", "1 + 1"], f"atexit.register(print, 'bye')\n{traced}")
    assert (status, out) == (0, "2\nbye\n")


def test_long_output_arrives() -> None:
    _, out = ran(["eval", "[k for k in 1:50_000]"])
    assert out.rstrip().endswith("50000]")


@pytest.mark.parametrize(("arguments", "status"), [(["nonsense"], 2), (["eval", "sqrt(-1.0)"], 1), (["--version"], 0)])
def test_exit_codes(arguments: list[str], status: int) -> None:
    assert ran(arguments)[0] == status


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = [sys.executable, "-m", "dsl", "eval", "[k for k in 1:50_000]"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
