"""One cluster for all tests of this folder, and a project that was run without it, to compare with."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import cluster as slurm
from tests.cluster.cluster import Cluster
from tests.workflow.project import ROOT, edit_yaml, environment, write_project

LONG_ENOUGH = {"steps_per_epoch": 4, "max_epochs": 80, "patience": None}
"""Training that a test has time to disturb: about a quarter of a minute, a checkpoint after each epoch."""
PROFILE = Path("workflow/profiles/slurm/profile.yaml")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    reason = slurm.why_not()
    if reason:
        pytest.skip(reason)
    with slurm.cluster() as started:
        yield started


def clean_copy(folder: Path) -> Path:
    """The repository's files, as a clone has them, with the tiny project's configuration."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, files):
        source, target = ROOT / name, folder / name
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    write_project(folder)
    experiment = folder / "config/experiments/tiny.yaml"
    training = yaml.safe_load(experiment.read_text())["training"]
    # A labeller that needs no compilation: that takes half a minute in a folder where it was never done.
    edit_yaml(experiment, training={**training, **LONG_ENOUGH}, labels={"labeller": "okubo_weiss"})
    site(folder, **{"set-threads": {"train": 1}})  # as many as the local run below, however many cores there are
    return folder


def site(folder: Path, **settings: object) -> None:
    """Change top-level keys of the profile, as a site does."""
    file = folder / PROFILE
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | settings))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """A project that was run on this machine alone; tests must not change it."""
    folder = clean_copy(tmp_path_factory.mktemp("undisturbed"))
    done = subprocess.run(
        ["snakemake", "--cores", "2", "--set-threads", "train=1"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
