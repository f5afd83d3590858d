"""A project in operations, made once; tests work on copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import _logging_as_before  # noqa: F401 - commands run inside the tests here as well
from tests.operations.project import deliver, june, maps_of, night, write_daily_project
from tests.workflow.project import copy_of


@pytest.fixture(scope="session")
def begun(tmp_path_factory) -> Path:
    """A project whose first two operational days are finished; tests must not change it."""
    folder = write_daily_project(tmp_path_factory.mktemp("daily"))
    deliver(folder, *june(1, 2), maps=maps_of())
    assert night(folder, june(2)[0]).problems == []
    return folder


@pytest.fixture
def own(begun, tmp_path) -> Path:
    """A copy of the project that a test may change."""
    return copy_of(begun, tmp_path / "project")
