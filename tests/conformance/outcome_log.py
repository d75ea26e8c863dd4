"""A plugin of pytest that writes each test's start and outcome to the file that ``OUTCOME_LOG`` names, at once.

What it wrote before a crash of the interpreter is there: the test that started last and has no outcome crashed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_OUTCOMES: dict[str, str] = {}


def _write(outcome: str, node: str) -> None:
    with Path(os.environ["OUTCOME_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{outcome} {node}\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    _write("started", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Failures of preparing and of cleaning up count as the test's."""
    if report.failed or report.nodeid not in _OUTCOMES or _OUTCOMES[report.nodeid] == "passed":
        _OUTCOMES[report.nodeid] = report.outcome


def pytest_runtest_logfinish(nodeid: str) -> None:
    _write(_OUTCOMES.get(nodeid, "failed"), nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _write("started", report.nodeid)
        _write("failed", report.nodeid)
