"""One run of the whole workflow on generated maps, shared by the tests that look at its results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.project import copy_of, snakemake, write_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A project folder in which everything was made; tests must not change it."""
    folder = write_project(tmp_path_factory.mktemp("tiny"))
    snakemake(folder)
    return folder


@pytest.fixture
def own(finished, tmp_path) -> Path:
    """A copy of the finished project that a test may change."""
    return copy_of(finished, tmp_path / "project")
