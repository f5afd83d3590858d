"""The Snakemake that submits to Slurm, and what tests ask about the jobs it submitted."""

from __future__ import annotations

import subprocess
from itertools import combinations
from pathlib import Path

from tests.cluster.cluster import Cluster, wait_until
from tests.workflow.project import environment

MODEL = Path("results/tiny/eddynet/seed0/model.json")
TRAINING = "rule_train_wildcards_tiny_eddynet_0"
"""What Slurm knows as the comment of the job that makes :data:`MODEL`."""
ENOUGH_SECONDS = 900


class Driver:
    """``snakemake --profile slurm`` in a project's folder, as a process."""

    def __init__(self, cluster: Cluster, folder: Path, *arguments: str) -> None:
        self.cluster, self.folder = cluster, folder
        self.output = folder / "driver.log"
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                ["snakemake", "--profile", "slurm", *arguments],
                cwd=folder, env={**environment(), "SLURM_CONF": cluster.environment["SLURM_CONF"]},
                stdout=out, stderr=out,
            )  # fmt: skip

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(ENOUGH_SECONDS)

    @property
    def told(self) -> str:
        """What it said so far."""
        return self.output.read_text()

    def job(self, comment: str = TRAINING) -> dict[str, str]:
        """Return the newest job with a comment; empty if there is none."""
        found = [job for job in jobs_of(self.cluster, self.folder) if job["Comment"] == comment]
        return max(found, key=lambda job: int(job["JobId"]), default={})

    def wait_for_training(self) -> dict[str, str]:
        """Wait until training has written a checkpoint; return its job."""
        wait_until(lambda: epochs(self.folder) or self.process.poll() is not None, ENOUGH_SECONDS, "a checkpoint")
        assert self.process.poll() is None, self.told
        job = self.job()
        assert job["JobState"] == "RUNNING"
        return job


def epochs(folder: Path) -> int:
    """The newest epoch that the training has a checkpoint of; 0 without any."""
    found = folder.glob(f"{MODEL.parent}/checkpoints-*/epoch-*.ckpt")
    return max((int(file.stem.removeprefix("epoch-")) for file in found), default=0)


def jobs_of(cluster: Cluster, folder: Path) -> list[dict[str, str]]:
    """Jobs that a Snakemake submitted from a folder, also those that have ended."""
    return [job for job in cluster.jobs() if job["WorkDir"] == str(folder) and "Comment" in job]


def assert_never_twice(cluster: Cluster, folder: Path) -> None:
    """No two jobs for the same work were ever on a node at the same time, and none is left."""
    jobs = {job["JobId"]: job["Comment"] for job in jobs_of(cluster, folder)}
    stays = [stay for stay in cluster.stays() if stay["JobId"] in jobs]
    assert {stay["JobId"] for stay in stays} == set(jobs)
    for one, other in combinations(stays, 2):
        if jobs[one["JobId"]] == jobs[other["JobId"]]:
            apart = one["EndTime"] <= other["StartTime"] or other["EndTime"] <= one["StartTime"]
            assert apart, f"{jobs[one['JobId']]}: {one} and {other}"
    assert not [job for job in cluster.queue() if job["WorkDir"] == str(folder)]
