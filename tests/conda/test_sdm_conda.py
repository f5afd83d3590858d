"""``snakemake --sdm conda`` on the tiny project: every job in an environment solved and linked from its file.

Run by ``make test-conda``. It goes up to, and not including, where packages come from: see channel.py.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.driver import TRAINING, jobs_of
from tests.workflow.project import ROOT, environment, identities, write_project

pytestmark = pytest.mark.conda

HERE = Path(__file__).parent
ENVIRONMENTS = sorted(file for file in (ROOT / "envs").glob("*.yaml") if file.stem != "simulate")
"""Those that the tiny project needs."""
logger = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def tool() -> str:
    """A Python with py-rattler."""
    python = os.environ.get("GYRE_CONDA_PYTHON")
    if not python:
        pytest.skip("GYRE_CONDA_PYTHON names no Python with py-rattler: run make test-conda")
    return python


@pytest.fixture(scope="module")
def channels(tool, tmp_path_factory) -> Path:
    """A folder with one channel, called conda-forge as in the environment files; GYRE_CONDA_CHANNELS is kept."""
    kept = os.environ.get("GYRE_CONDA_CHANNELS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("channels")
    if (folder / "conda-forge/linux-64/repodata.json").is_file():
        yield folder
        return
    begin = time.monotonic()
    subprocess.run(
        [tool, "-m", "tests.conda.channel", folder / "conda-forge", ROOT / "constraints.txt", *ENVIRONMENTS],
        cwd=ROOT,
        check=True,
    )
    tell("channel", begin, folder)
    yield folder
    if not kept:
        shutil.rmtree(folder)


def tell(what: str, begin: float, folder: Path) -> None:
    """Log how long something took and how much disk it fills, hard links counted once."""
    seen = {(s.st_dev, s.st_ino): s.st_blocks * 512 for f in folder.rglob("*") if (s := f.lstat())}
    logger.info("%s: %.0f s, %.0f MB", what, time.monotonic() - begin, sum(seen.values()) / 1e6)


def bare_environment(tool: str, channels: Path) -> dict[str, str]:
    """An environment in which no Python on the path has our packages: a job without conda would fail."""
    path = os.pathsep.join([str(HERE / "bin"), "/usr/bin", "/bin"])
    ours = {"PATH": path, "GYRE_CONDA_PYTHON": tool, "GYRE_CONDA_CHANNELS": str(channels)}
    return {**environment(), **ours, "RATTLER_CACHE_DIR": str(channels / "cache")}


class Run:
    """``snakemake --sdm conda`` on the tiny project, whose environments lie beside it and are made once."""

    def __init__(self, tool: str, channels: Path, folder: Path, prefix: Path, *arguments: str, **settings: str) -> None:
        self.folder = write_project(folder)
        command = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
        begin = time.monotonic()
        done = subprocess.run(
            [*command, "--sdm", "conda", "--conda-prefix", prefix, *arguments],
            env=bare_environment(tool, channels) | settings,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.told = done.stdout
        assert done.returncode == 0, self.told
        self.environments = [meta.parent for meta in prefix.glob("*/conda-meta")]
        tell(f"{len(self.environments)} environments and the run", begin, prefix)


@pytest.fixture(scope="module")
def prefix(channels, tmp_path_factory) -> Path:
    """Where the environments lie: on the file system of the channel, as hard links into its cache."""
    return tmp_path_factory.mktemp("environments")


def test_every_stage_runs_in_its_environment_and_gives_the_same_bits(tool, channels, prefix, finished, tmp_path):
    run = Run(tool, channels, tmp_path / "conda", prefix, "--cores", "2")
    assert len(run.environments) == len({file.read_bytes() for file in ENVIRONMENTS})
    assert "Activating conda environment" in run.told
    expected = identities(finished)
    assert len(expected) > len(ENVIRONMENTS)
    assert identities(run.folder) == expected


@pytest.mark.slurm
def test_slurm_jobs_run_in_their_environments_and_give_the_same_bits(
    tool, channels, prefix, finished, tmp_path, cluster
):
    profile = ["--profile", ROOT / "workflow/profiles/slurm", "--set-threads", "train=2"]
    run = Run(tool, channels, tmp_path / "conda", prefix, *profile, SLURM_CONF=cluster.environment["SLURM_CONF"])
    jobs = jobs_of(cluster, run.folder)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert any(job["Comment"] == TRAINING for job in jobs)
    assert identities(run.folder) == identities(finished)
