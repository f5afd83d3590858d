"""``snakemake --profile slurm``, typed literally in a clean copy of the repository, on a real Slurm."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster.conftest import clean_copy
from tests.cluster.driver import TRAINING, Driver, assert_never_twice, jobs_of

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def done(cluster, tmp_path_factory) -> Driver:
    driver = Driver(cluster, clean_copy(tmp_path_factory.mktemp("clone")))
    assert driver.wait() == 0, driver.told
    return driver


def manifests(folder: Path) -> dict[str, bytes]:
    """Every manifest of a project."""
    found = [file for place in ("data", "results") for file in (folder / place).rglob("*.json")]
    texts = {str(file.relative_to(folder)): _placeless(file.read_bytes()) for file in found if ".zarr" not in str(file)}
    return {name: text for name, text in texts.items() if b'"identity"' in text}


def _placeless(manifest: bytes) -> bytes:
    """Without the hash of the folder that local raw files came from."""
    return re.sub(rb'"local [0-9a-f]{10} ', b'"local ', manifest)


def test_all_hashes_are_those_of_a_local_run(done, undisturbed):
    here, there = manifests(done.folder), manifests(undisturbed)
    assert {name.split("/")[2] for name in there} >= {"raw", "dataset", "labels", "statistics.json", "eddynet"}
    assert here == there
    assert (done.folder / "results/tiny/report.html").is_file()


def test_each_stage_ran_where_it_belongs(cluster, done):
    jobs = {job["Comment"].removeprefix("rule_"): job for job in jobs_of(cluster, done.folder)}
    rules = [name.partition("_wildcards")[0] for name in jobs]
    assert not {"all", "fetch"} & set(rules)
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}
    for name, job in jobs.items():
        on_gpu = name.startswith("train_")
        assert job["Partition"] == ("gpu" if on_gpu else "main")
        assert job.get("TresPerJob") == ("gres:gpu:1" if on_gpu else None)
        assert job["Requeue"] == "1"
    assert len(jobs) == 10, sorted(jobs)  # periods, statistics, 2 trainings, 4 predictions, scores, board
    assert jobs[TRAINING.removeprefix("rule_")]["TimeLimit"] == "04:00:00"
    assert_never_twice(cluster, done.folder)


def test_a_second_run_has_nothing_to_do_and_recover_neither(cluster, done):
    submitted = len(jobs_of(cluster, done.folder))
    again = Driver(cluster, done.folder)
    assert again.wait() == 0
    assert "Nothing to be done" in again.told
    assert len(jobs_of(cluster, done.folder)) == submitted


def test_nothing_is_left_behind_by_the_cluster_itself(cluster):
    """Started beside the first one, with ports and sockets of its own; then stopped."""
    from tests.cluster import cluster as slurm

    with slurm.cluster() as second:
        assert second.folder != cluster.folder
        daemons = [process.pid for process in second._daemons.values()]
        second.run("sbatch", "-o", "/dev/null", "--wrap", "sleep 600")
    assert not second.folder.exists()
    assert not [pid for pid in daemons if Path(f"/proc/{pid}").exists()]
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(second.folder) not in left
    assert os.environ.get("SLURM_CONF") != second.environment["SLURM_CONF"]
