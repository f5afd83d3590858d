"""The command line runs inside the tests here; what it does to logging is undone after each. And a web server."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.fetch.conftest import site

__all__ = ["site"]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger("pipeline_lib")
    before = list(logger.handlers), logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])
