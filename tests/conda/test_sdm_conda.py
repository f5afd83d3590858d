"""``snakemake --sdm conda`` on the tiny project: every job in an environment solved and linked from its file.

Run by ``make test-conda``. It goes up to, and not including, where packages come from: see channel.py.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, environment, write_project

pytestmark = pytest.mark.conda

HERE = Path(__file__).parent
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
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


def identities(folder: Path) -> dict[str, str]:
    """Identity by path of every manifest of a project."""
    found = {}
    for top in ("data", "results"):
        for file in (folder / top).rglob("*.json"):
            content = json.loads(file.read_text())
            if isinstance(content, dict) and "identity" in content:
                found[str(file.relative_to(folder))] = content["identity"]
    return found


def test_every_stage_runs_in_its_environment_and_gives_the_same_bits(tool, channels, finished, tmp_path_factory):
    # On the file system of the channel, so that environments are hard links into its cache.
    folder = write_project(tmp_path_factory.mktemp("conda"))
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    begin = time.monotonic()
    done = subprocess.run(
        [*command, "--cores", "2", "--sdm", "conda"],
        env=bare_environment(tool, channels),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    made = [meta.parent for meta in (folder / ".snakemake/conda").glob("*/conda-meta")]
    tell(f"{len(made)} environments and the run", begin, folder)
    assert len(made) == len({file.read_bytes() for file in ENVIRONMENTS})
    assert "Activating conda environment" in done.stdout
    expected = identities(finished)
    assert len(expected) > len(ENVIRONMENTS)
    assert identities(folder) == expected
