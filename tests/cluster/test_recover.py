"""When ``recover`` must not touch anything; what it does on a real queue is in test_faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.project import environment

REFUSED = 8
RUN = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder in which a driver was killed: its log and its lock are there, and nothing else."""
    (tmp_path / ".snakemake/log").mkdir(parents=True)
    (tmp_path / ".snakemake/locks").mkdir()
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/x\n")
    write_log(tmp_path, os.uname().nodename)
    (tmp_path / "Snakefile").write_text("rule all:\n")
    slurm(tmp_path, squeue="", scancel="")
    return tmp_path


def log_of(folder: Path) -> Path:
    return folder / ".snakemake/log/2026-11-21T120000.000000.snakemake.log"


def write_log(folder: Path, host: str) -> None:
    log_of(folder).write_text(
        f"SNAKEMAKE\n  Host: {host}\n\nBuilding DAG of jobs...\nSLURM run ID: {RUN}\nSelect jobs to execute...\n"
    )


def slurm(folder: Path, **commands: str) -> None:
    """Put commands called as Slurm's into the folder ``bin``."""
    (folder / "bin").mkdir(exist_ok=True)
    for name, text in commands.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "bin" / name).chmod(0o755)


def recover(folder: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    own = f"{folder / 'bin'}{os.pathsep}{environment()['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "pipeline_lib", "recover", *arguments],
        cwd=folder, env={**environment(), "PATH": own if path is None else path}, capture_output=True, text=True,
    )  # fmt: skip


def assert_refused(done: subprocess.CompletedProcess[str], folder: Path, message: str) -> None:
    assert done.returncode == REFUSED, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (folder / ".snakemake/locks/0.output.lock").exists()


def test_a_folder_without_a_run_on_slurm_has_nothing_to_do(tmp_path):
    done = recover(tmp_path)
    assert done.returncode == 0
    assert "nothing to do" in done.stderr


def test_an_empty_queue_unlocks_and_a_second_time_has_nothing_to_do(folder):
    done = recover(folder)
    assert done.returncode == 0, done.stderr
    assert "is unlocked" in done.stderr
    assert not (folder / ".snakemake/locks/0.output.lock").exists()
    assert "nothing to do" in recover(folder).stderr


def test_a_driver_that_lives_is_left_alone_and_a_reader_of_its_log_is_none(folder):
    hold = f"import sys; f = open({str(log_of(folder))!r}, sys.argv[1]); print('open', flush=True); input()"
    for mode, refused in (("a", True), ("r", False)):
        with subprocess.Popen(
            [sys.executable, "-c", hold, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            other.stdout.readline()
            done = recover(folder)
            if refused:
                assert_refused(done, folder, f"Snakemake still runs here (process {other.pid})")
            else:
                assert done.returncode == 0, done.stderr
            other.stdin.close()


def test_a_driver_on_another_machine_may_live(folder):
    write_log(folder, "login2")
    assert_refused(recover(folder), folder, "this run was started on login2")
    assert recover(folder, "--driver-is-gone").returncode == 0


def test_a_dry_run_changes_nothing(folder):
    slurm(folder, squeue=f"echo '7|RUNNING|{RUN}|rule_train'", scancel="touch cancelled")
    done = recover(folder, "--dry-run")
    assert done.returncode == 0
    assert "would cancel 1 jobs" in done.stderr
    assert (folder / ".snakemake/locks/0.output.lock").exists()
    assert not (folder / "cancelled").exists()


def test_slurm_that_is_absent_or_does_not_answer(folder):
    assert_refused(recover(folder, path="/nowhere"), folder, "squeue: is not on the path")
    slurm(folder, squeue="echo 'Unable to contact slurm controller' >&2; exit 1")
    assert_refused(recover(folder), folder, "squeue: failed: Unable to contact slurm controller")


def test_a_folder_that_cannot_be_unlocked_is_told_with_the_reason(folder):
    (folder / "Snakefile").write_text("rule all\n")
    done = recover(folder)
    assert done.returncode == REFUSED
    assert "Snakemake cannot unlock: " in done.stderr
