"""When the job will be ended: the option, our variable, Slurm's variable, Slurm's answer, in this order."""

from __future__ import annotations

import time

import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.train.deadline import end_of_job, time_left


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch):
    for name in ("GYRE_END_TIME", "SLURM_JOB_END_TIME", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """``squeue(script)`` puts a program of that name in front of the others."""

    def install(script):
        program = tmp_path / "squeue"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setenv("SLURM_JOB_ID", "17")

    return install


def test_nobody_says():
    assert end_of_job(None, begin=time.time()) is None


def test_the_first_that_is_given_counts(monkeypatch, squeue):
    squeue('test "$*" = "--noheader --jobs 17 --format %L" && echo 1:00:00')
    assert end_of_job(None, begin=0) == pytest.approx(time.time() + 3600, abs=30)
    monkeypatch.setenv("SLURM_JOB_END_TIME", "2000000000")
    assert end_of_job(None, begin=0) == 2e9
    monkeypatch.setenv("GYRE_END_TIME", "1900000000.5")
    assert end_of_job(None, begin=0) == 1900000000.5
    assert end_of_job(60, begin=1000) == 1060


@pytest.mark.parametrize("script", ["exit 1", "echo slurm_load_jobs error >&2; exit 1"])
def test_slurm_that_does_not_answer_stops_no_training(script, squeue, caplog):
    squeue(script)
    assert end_of_job(None, begin=0) is None
    assert "Slurm does not say when job 17 ends" in caplog.text
    assert "--time-limit" in caplog.text


def test_missing_squeue_stops_no_training(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert end_of_job(None, begin=0) is None
    assert "Slurm does not say" in caplog.text


@pytest.mark.parametrize("value", ["0", "", "Unknown"])
def test_an_end_time_that_is_none_is_asked_for(value, monkeypatch, squeue):
    squeue("echo UNLIMITED")
    monkeypatch.setenv("SLURM_JOB_END_TIME", value)
    assert end_of_job(None, begin=0) is None


def test_garbage_in_our_variable_is_told(monkeypatch):
    monkeypatch.setenv("GYRE_END_TIME", "tomorrow")
    with pytest.raises(ConfigError, match=r"GYRE_END_TIME: 'tomorrow' is no Unix time; give seconds"):
        end_of_job(None, begin=0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:09\n", 9),
        ("03:04", 184),
        ("2:03:04", 7384),
        ("1-02:03:04", 93784),
        ("UNLIMITED", None),
        ("NOT_SET", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_time_left_as_squeue_prints_it(text, seconds):
    assert time_left(text) == seconds
