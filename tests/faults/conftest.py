"""The command line runs inside the tests here; what it does to logging is undone after each. And a web server."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.fetch.conftest import site

__all__ = ["site"]


COUNTED = "counted"
"""Name under which a test records a line for the summary."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the kill matrix counted, also when several workers ran it."""
    for report in terminalreporter.getreports("passed"):
        for name, line in report.user_properties:
            if name == COUNTED:
                terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger("pipeline_lib")
    before = list(logger.handlers), logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])
