"""A small experiment with its report, as the stages write it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.report.artefacts import TWO, build


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``data`` and ``results/tiny``; tests must not change it."""
    folder = tmp_path_factory.mktemp("traced")
    build(folder, TWO[:1], days=4, shape=(12, 16)).report()
    return folder


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    shutil.copytree(project, tmp_path / "own")
    return tmp_path / "own"
