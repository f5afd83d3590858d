"""Faults on a real Slurm: each time the run completes by itself, with the bytes of a run that nobody disturbed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster, wait_until
from tests.cluster.conftest import PROFILE, site
from tests.cluster.driver import ENOUGH_SECONDS, MODEL, TRAINING, Driver, assert_never_twice, epochs, jobs_of
from tests.workflow.project import ROOT, gyre

pytestmark = pytest.mark.slurm

REFUSED = 8
LATE_SECONDS = 51
"""Of a minute: a training stops when ten seconds are left."""


@pytest.fixture
def project(undisturbed, tmp_path) -> Path:
    """A copy of the finished project that lacks the trained network."""
    folder = tmp_path / "project"
    shutil.copytree(undisturbed, folder, symlinks=True)
    shutil.rmtree(folder / MODEL.parent)
    return folder


@pytest.fixture
def start(cluster, project) -> Callable[..., Driver]:
    """Start ``snakemake --profile slurm`` for the network; what it left behind is ended after the test."""
    drivers = []

    def begin(*arguments: str) -> Driver:
        drivers.append(Driver(cluster, project, *arguments, str(MODEL)))
        return drivers[-1]

    yield begin
    for driver in drivers:
        driver.process.kill()
        driver.process.wait()
    for job in jobs_of(cluster, project):
        cluster.run("scancel", job["JobId"], check=False)
    wait_until(lambda: not cluster.queue(), ENOUGH_SECONDS, "the queue to be empty")
    for node in ("g1", "g2"):
        cluster.start_node(node)


def ask(project: Path, **resources: object) -> None:
    """Set resources of training in the profile."""
    others = yaml.safe_load((project / PROFILE).read_text())["set-resources"]
    site(project, **{"set-resources": others | {"train": others["train"] | resources}})


def assert_undisturbed(driver: Driver, undisturbed: Path, *, resumed: bool = True) -> None:
    """The run ended well, went on from a checkpoint, and made the same bytes."""
    assert driver.wait() == 0, driver.told
    assert (driver.folder / MODEL).read_bytes() == (undisturbed / MODEL).read_bytes()
    log = (driver.folder / "logs/train/tiny/eddynet-seed0.log").read_text()
    assert bool(re.search(r"resuming after epoch \d+", log)) is resumed
    assert_never_twice(driver.cluster, driver.folder)


def attempts(driver: Driver) -> list[dict[str, str]]:
    """The Slurm jobs that trained, in order."""
    found = [job for job in jobs_of(driver.cluster, driver.folder) if job["Comment"] == TRAINING]
    return sorted(found, key=lambda job: int(job["JobId"]))


def states(driver: Driver) -> list[str]:
    """How each stay of the training on a node ended."""
    ids = {job["JobId"] for job in attempts(driver)}
    return [stay["JobState"] for stay in driver.cluster.stays() if stay["JobId"] in ids]


def processes_of(job: dict[str, str]) -> list[int]:
    """The training's own processes of a job."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"SLURM_JOB_ID={job['JobId']}".encode() in environment and command[1:4] == [
            b"-m",
            b"pipeline_lib",
            b"train",
        ]:
            found.append(int(process.name))
    return found


def test_a_node_dies_in_mid_training(cluster: Cluster, project, start, undisturbed):
    driver = start()
    job = driver.wait_for_training()
    cluster.kill_node(job["NodeList"])
    assert_undisturbed(driver, undisturbed)
    assert states(driver) == ["NODE_FAIL", "COMPLETED"]


def test_a_job_hangs_until_its_time_is_over(cluster, project, start, undisturbed):
    driver = start()
    job = driver.wait_for_training()
    for pid in processes_of(job):
        os.kill(pid, signal.SIGSTOP)
    cluster.run("scontrol", "update", f"jobid={job['JobId']}", "timelimit=1")  # minutes, since its start
    assert_undisturbed(driver, undisturbed)
    assert states(driver) == ["TIMEOUT", "COMPLETED"]
    assert driver.job()["TimeLimit"] == "08:00:00"  # twice what the first attempt had asked for


def test_training_stops_ahead_of_its_time_limit(cluster, project, start, undisturbed):
    """It asks Slurm when it will be ended: saved, exit code 75, submitted again; Slurm has nothing to kill."""
    ask(project, runtime="attempt")
    driver = start()
    job = driver.wait_for_training()
    processes = processes_of(job)
    for pid in processes:  # most of the minute passes
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: seconds_run(cluster, job) > LATE_SECONDS, ENOUGH_SECONDS, "the end to be near")
    for pid in processes:
        os.kill(pid, signal.SIGCONT)
    assert_undisturbed(driver, undisturbed)
    assert states(driver) == ["FAILED", "COMPLETED"]
    assert "stopped ahead of the time limit" in Path(attempts(driver)[0]["StdOut"]).read_text()


def seconds_run(cluster: Cluster, job: dict[str, str]) -> int:
    """How long a job has been running, below an hour."""
    minutes, seconds = cluster.run("squeue", "-h", "-j", job["JobId"], "-o", "%M").strip().split(":")
    return 60 * int(minutes) + int(seconds)


@pytest.mark.parametrize("hidden", [(), ("SLURM_JOB_END_TIME",)], ids=["told", "asked"])
def test_a_job_knows_when_it_will_be_ended(hidden, cluster, tmp_path):
    code = "import time; from pipeline_lib.train import deadline as d; print(d.end_of_job(None, begin=0) - time.time())"
    unset = "".join(f"unset {name}; " for name in hidden)
    output = tmp_path / "left"
    command = f"{unset}cd {shlex.quote(str(ROOT))}; {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    cluster.run("sbatch", "--wait", "--time=7", f"--chdir={tmp_path}", f"--output={output}", f"--wrap={command}")
    assert 5 * 60 < float(output.read_text()) <= 7 * 60


def test_a_job_exceeds_its_memory(cluster, project, start, undisturbed):
    ask(project, mem_mb="400 * attempt ** 2")
    driver = start()
    assert_undisturbed(driver, undisturbed, resumed=False)
    first, second = attempts(driver)
    assert first["JobState"] in {"OUT_OF_MEMORY", "FAILED"}
    assert re.search("oom|out of memory", Path(first["StdOut"]).read_text(), flags=re.IGNORECASE)
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("400M", "1600M")


def test_a_node_is_drained_and_its_job_queued_again(cluster: Cluster, project, start, undisturbed):
    driver = start()
    job = driver.wait_for_training()
    cluster.drain(job["NodeList"])
    before = epochs(project)
    wait_until(lambda: epochs(project) > before, ENOUGH_SECONDS, "training to go on")
    assert driver.job()["JobState"] == "RUNNING"
    cluster.run("scontrol", "requeue", job["JobId"])
    assert_undisturbed(driver, undisturbed)
    assert [job["Restarts"] for job in attempts(driver)] == ["1"]
    assert driver.job()["NodeList"] != job["NodeList"]


def test_a_more_urgent_job_takes_the_node(cluster: Cluster, project, start, undisturbed):
    driver = start()
    job = driver.wait_for_training()
    urgent = ["-p", "urgent", "-w", job["NodeList"], "--exclusive", "-D", "/", "-o", "/dev/null", "--wrap", "sleep 3"]
    cluster.run("sbatch", *urgent)
    assert_undisturbed(driver, undisturbed)
    assert states(driver)[0] == "PREEMPTED"
    assert [job["Restarts"] for job in attempts(driver)] == ["1"]


def test_a_job_is_cancelled_by_hand(cluster, project, start, undisturbed):
    driver = start()
    job = driver.wait_for_training()
    cluster.run("scancel", job["JobId"])
    assert_undisturbed(driver, undisturbed)
    assert states(driver) == ["CANCELLED", "COMPLETED"]


def test_the_driver_is_killed_and_recover_cleans_up(cluster, project, start, undisturbed, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    driver = start()
    job = driver.wait_for_training()
    refused = gyre("recover", cwd=project)
    assert refused.returncode == REFUSED
    assert f"Snakemake still runs here (process {driver.process.pid})" in refused.stderr

    driver.process.kill()
    driver.process.wait()
    shown = gyre("recover", "--dry-run", cwd=project)
    assert shown.returncode == 0, shown.stderr
    assert f"running job {job['JobId']}: {TRAINING}" in shown.stderr
    assert "would cancel 1 jobs" in shown.stderr
    assert driver.job()["JobState"] == "RUNNING"

    cluster.run("sbatch", "-J", "another", "-D", str(project), "-o", "/dev/null", "--wrap", "sleep 600")
    done = gyre("recover", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "now start again: " in done.stderr
    (other,) = cluster.queue()
    assert other["JobName"] == "another"  # of the same user, from the same folder, but not of the driver
    cluster.run("scancel", other["JobId"])
    wait_until(lambda: not cluster.queue(), ENOUGH_SECONDS, "the queue to be empty")
    assert driver.job()["JobState"] == "CANCELLED"
    assert_undisturbed(start(), undisturbed)
    assert gyre("recover", cwd=project).returncode == 0  # nothing is left to do


def test_a_partition_that_does_not_exist_is_told_in_slurms_words(cluster, project, start):
    ask(project, slurm_partition="nowhere")
    driver = start()
    assert driver.wait() != 0
    assert re.search(r"sbatch: error: invalid partition specified: nowhere", driver.told)
    assert not jobs_of(cluster, project)


def test_the_log_of_a_failed_job_is_found_from_the_message(cluster, project, start):
    chunk = next(file for file in (project / "data/tiny-adt/dataset/2005-04.zarr/adt/c").rglob("*") if file.is_file())
    chunk.unlink()
    driver = start("--retries", "0")
    assert driver.wait() != 0
    stage_log, slurm_log = re.search(r"log: (\S+), (\S+) \(check log file", driver.told).groups()
    assert Path(slurm_log).is_relative_to(project / "logs/slurm/rule_train")
    assert Path(slurm_log).stem == driver.job()["JobId"]
    for log in (project / stage_log, Path(slurm_log)):
        assert "is missing" in log.read_text()
    assert "is missing" in driver.told  # the log itself is shown as well
