"""Training as a job: it stops in time and is run again, it ignores Slurm's ranks, it uses several processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline_lib.errors import Interrupted
from pipeline_lib.io.manifest import read_manifest
from tests.workflow.project import edit_yaml, environment, snakemake

EXPERIMENT = "config/experiments/tiny.yaml"
MODEL = Path("results/tiny/eddynet/seed0/model.json")
MONTHS = ("2005-04", "2005-05")
SLURM = {
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_NNODES": "2",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_NODELIST": "node[1-2]",
}


def train(folder: Path, output: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Train as the rule does, with the threads that the finished project was trained with."""
    source = folder / "data/tiny-adt"
    label_set = next((source / "labels").iterdir())
    words = ["train", folder / EXPERIMENT, "--model", "eddynet", "--seed", "0"]
    words += ["--datasets", *(source / f"dataset/{month}.json" for month in MONTHS)]
    words += ["--labels", *(label_set / f"{month}.json" for month in MONTHS)]
    words += ["--statistics", folder / "results/tiny/statistics.json", "--threads", "1", "--output", output]
    return subprocess.run(
        [sys.executable, "-m", "pipeline_lib", *map(str, words), *arguments],
        env={**environment(), **variables},
        capture_output=True,
        text=True,
    )


def identity(manifest: Path) -> str:
    return read_manifest(manifest, kind="model", verify="deep").identity


def test_slurm_ranks_change_nothing(finished, tmp_path):
    # Rank 1 of 2 would leave all writing to rank 0, which does not exist.
    done = train(finished, tmp_path / "model.json", **SLURM, GYRE_END_TIME=str(time.time() + 3600))
    assert done.returncode == 0, done.stderr
    assert "the job has 2 tasks, a training is one" in done.stderr
    assert identity(tmp_path / "model.json") == identity(finished / MODEL)


def test_time_limit_ends_with_its_own_code_and_the_same_command_goes_on(finished, tmp_path):
    output = tmp_path / "model.json"
    done = train(finished, output, "--time-limit", "1s")
    assert done.returncode == Interrupted.exit_code == 75, done.stderr
    [line] = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert "stopped ahead of the time limit in epoch 1 of 2, after step 1; everything is saved; run again" in line
    assert not output.exists()
    done = train(finished, output)
    assert done.returncode == 0, done.stderr
    assert "resuming after epoch 0, step 1" in done.stderr
    assert identity(output) == identity(finished / MODEL)
    assert not list(tmp_path.glob("checkpoints-*"))


@pytest.mark.parametrize("text", ["4", "1w", "-3h", "soon"])
def test_time_limit_that_is_none_is_refused(text, finished, tmp_path):
    done = train(finished, tmp_path / "model.json", f"--time-limit={text}")
    assert done.returncode == 2
    assert "is no duration: write a number and one of s, m, h, d, such as 4h" in done.stderr


def test_two_processes_write_one_model_and_one_log(finished, tmp_path):
    output, log = tmp_path / "model.json", tmp_path / "train.log"
    done = train(finished, output, "--devices", "2", "--log", str(log))
    assert done.returncode == 0, done.stderr
    assert log.read_text().count("epoch 2/2:") == done.stderr.count("epoch 2/2:") == 1
    assert read_manifest(output, verify="deep").content["devices"] == 2
    assert identity(output) != identity(finished / MODEL)


def test_snakemake_runs_an_interrupted_training_again(own, monkeypatch):
    spec = yaml.safe_load((own / EXPERIMENT).read_text())
    edit_yaml(own / EXPERIMENT, training={**spec["training"], "max_epochs": 1})  # two steps
    monkeypatch.setenv("GYRE_END_TIME", "1")  # long ago: one step in each attempt
    output = snakemake(own, "--retries", "1", str(MODEL)).stdout
    assert "after step 1; everything is saved; run again" in output
    assert output.count("Trying to restart job") == 1
    assert read_manifest(own / MODEL).content["stopped_epoch"] == 1


def test_number_of_processes_is_a_reason_to_train_again_only(own):
    edit_yaml(own / "config/config.yaml", devices=2)
    output = snakemake(own, "--dry-run").stdout
    assert "rule train:" in output
    assert "rule label:" not in output
    assert "rule preprocess:" not in output
