"""What Slurm and other launchers say about ranks is kept from Lightning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_lib.train.ranks import is_rank_variable, one_task

SLURM = {
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "2",
    "SLURM_NPROCS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_NNODES": "2",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_NODELIST": "node[1-2]",
    "SLURM_STEP_ID": "0",
}


def test_rank_variables_are_hidden_and_come_back(monkeypatch):
    for name, value in {**SLURM, "RANK": "1", "PMI_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with one_task():
        assert not any(is_rank_variable(name) for name in os.environ)
        # The job itself may be known: its number, its name, where it runs.
        assert {"SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_NODELIST", "SLURM_NNODES"} <= set(os.environ)
    assert dict(os.environ) == before


def test_they_come_back_after_an_error(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(KeyError), one_task():
        raise KeyError
    assert os.environ["SLURM_PROCID"] == "1"


def test_a_job_with_several_tasks_is_told_so(monkeypatch, caplog):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    with one_task():
        pass
    assert "the job has 4 tasks, a training is one" in caplog.text


CODE = """
import sys
from pipeline_lib.train.ranks import one_task
if sys.argv[1] == "hidden":
    with one_task():
        import pytorch_lightning
else:
    import pytorch_lightning
from pytorch_lightning.utilities.rank_zero import rank_zero_only
print(rank_zero_only.rank)
"""


@pytest.mark.parametrize(("how", "rank"), [("hidden", "0"), ("seen", "1")])
def test_lightning_takes_itself_for_the_only_process(how, rank):
    done = subprocess.run(
        [sys.executable, "-c", CODE, how],
        env={**os.environ, **SLURM, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [rank]  # "seen" shows that the variables do matter to it
