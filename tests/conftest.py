"""Prints how many of the cases ran. Nothing is kept between tests, but where a test has a store of its own."""

from __future__ import annotations

import os
from typing import Any

# also for the processes that tests start; DFL_TEST_CACHE=1 runs them with a cache, a second time from it
os.environ["DFL_CACHE"] = os.environ.get("DFL_TEST_CACHE", "0")

CASES_RUN: set[tuple[str, str]] = set()


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" and report.passed and "test_cases.py::test_case[" in report.nodeid:
        way, _, name = report.nodeid.partition("[")[2].rstrip("]").partition("-")
        CASES_RUN.add((name, way))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if CASES_RUN:
        names = {name for name, _ in CASES_RUN}
        ways = {way for _, way in CASES_RUN}
        terminalreporter.write_line(f"cases: {len(names)} programs in {len(ways)} ways, {len(CASES_RUN)} agreements")
