"""Dask on workers: real processes, the same bytes as threads, and a lost worker that fails the job."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline_lib.errors import ConfigError, WorkerError
from pipeline_lib.io import zarr_store
from pipeline_lib.parallel import INSTALL
from tests.faults.project import Outcome, Project, command, content, harmed, small_maps
from tests.workflow.project import eddy_maps

LOCAL = {"cluster": "local", "workers": 2, "cores": 1, "memory": "1 GB"}
SLURM = {"cluster": "slurm", "workers": 2, "cores": 1, "memory": "1 GB", "runtime": 5, "wait": 2}
ROOT = Path(__file__).parents[1]


def few_maps_in_a_chunk() -> None:
    zarr_store.CHUNK_BYTES = 3 * 16 * 20 * 4  # ten chunks a month instead of one


def with_dask(project: Project, options: dict, output: Path | None = None) -> list[str]:
    return [*project.arguments(output), "--dask", json.dumps(options)]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory) -> Project:
    """A fetched source, and its April as threads make it."""
    project = Project(tmp_path_factory.mktemp("dask")).deliver(small_maps())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zarr_store, "CHUNK_BYTES", 3 * 16 * 20 * 4)
        assert project.preprocess().code == 0
    return project


def test_worker_processes_write_the_same_bytes_as_threads(delivered):
    output = delivered.folder / "workers" / "2005-04.json"
    done = harmed(with_dask(delivered, LOCAL, output), few_maps_in_a_chunk)
    assert done == Outcome(0, [])
    assert content(output.parent) == content(delivered.output.parent)


def test_a_bad_file_is_told_in_the_same_words_by_a_worker(tmp_path):
    maps = small_maps()
    maps["adt"][3] = float("nan")
    project = Project(tmp_path).deliver(maps)
    by_threads = project.preprocess()
    by_workers = command(*with_dask(project, LOCAL))
    assert by_workers.code == by_threads.code == 4
    assert by_workers.problems[0][8:] == by_threads.problems[0][8:]  # but for the time of day
    assert len(by_workers.problems) == 1


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    """Worker processes; the one that tracks shared resources is none."""
    return [p for p in process.children(recursive=True) if "multiprocessing.spawn" in " ".join(p.cmdline())]


def kill_workers_once_they_write(folder: Path) -> None:
    while not list(folder.glob(".*.partial/*.zarr/adt/c/*")):
        time.sleep(0.01)
    for worker in workers_below(psutil.Process()):
        worker.send_signal(signal.SIGKILL)


def watched(folder: Path) -> None:
    """In the process of the job: few maps in a chunk, and a thread that kills the workers half-way."""
    zarr_store.CHUNK_BYTES = 100 * 140 * 4  # thirty chunks
    threading.Thread(target=kill_workers_once_they_write, args=(folder,), daemon=True).start()


def test_a_killed_worker_fails_the_job_and_leaves_what_was_there(tmp_path):
    project = Project(tmp_path).deliver(eddy_maps(rows=100, columns=140))
    assert project.preprocess().code == 0
    before = content(project.output.parent)
    done = harmed(with_dask(project, LOCAL), watched, project.output.parent)
    assert done.code == WorkerError.exit_code
    assert len(done.problems) == 1, done.problems
    assert "a Dask worker was lost while it computed" in done.problems[0]
    assert content(project.output.parent) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": "pbs"}, "--dask: cluster: "),
        ({"cluster": "slurm", "partition": "main; rm -rf ~"}, "--dask: partition: "),
        ({"cluster": "slurm", "directives": ["--wrap\nreboot"]}, "--dask: directives"),
        ({"cluster": "slurm", "memory": "much"}, "--dask: memory: "),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_starts(delivered, options, message):
    done = command(*with_dask(delivered, options, delivered.folder / "never" / "2005-04.json"))
    assert done.code == ConfigError.exit_code
    assert message in done.problems[0]
    assert not (delivered.folder / "never").exists()


def test_other_sources_keep_their_threads(delivered, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no sbatch
    options = SLURM | {"sources": ["another"]}
    assert command(*with_dask(delivered, options, delivered.folder / "plain" / "2005-04.json")).code == 0


def test_a_missing_package_is_named_with_what_to_install(delivered, monkeypatch):
    find = "pipeline_lib.parallel.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    done = command(*with_dask(delivered, SLURM, delivered.folder / "never" / "2005-04.json"))
    assert done.code == ConfigError.exit_code
    assert f"needs the package dask-jobqueue; {INSTALL}" in done.problems[0]


STAND_IN = """#!/bin/sh
# Runs a job script at once, on this machine.
[ "$1" = --test-only ] && { grep -q 'SBATCH -p closed' "$2" && { echo 'invalid partition' >&2; exit 1; }; exit 0; }
cp "$1" "$1.kept"
setsid sh "$1.kept" >/dev/null 2>&1 &
echo "Submitted batch job $!"
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """``sbatch`` and ``scancel`` that start and end the job scripts of dask-jobqueue on this machine."""
    pytest.importorskip("dask_jobqueue", reason=INSTALL)
    pytest.importorskip("cryptography", reason=INSTALL)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(STAND_IN)
    (folder / "scancel").write_text('#!/bin/sh\nkill -- "-$1"\n')
    for file in folder.iterdir():
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return folder


def test_job_scripts_start_workers_that_write_the_same_bytes(delivered, stand_in):
    output = delivered.folder / "scripts" / "2005-04.json"
    done = command(*with_dask(delivered, SLURM | {"partition": "main"}, output))
    assert done == Outcome(0, [])
    written = content(output.parent)
    by_threads = delivered.folder / "once" / "2005-04.json"
    assert delivered.preprocess(by_threads).code == 0
    assert written == content(by_threads.parent)


def test_what_slurm_refuses_is_told_in_its_words(delivered, stand_in):
    done = command(*with_dask(delivered, SLURM | {"partition": "closed"}, delivered.folder / "never" / "2005-04.json"))
    assert done.code == ConfigError.exit_code
    assert "Slurm refuses the workers: invalid partition" in done.problems[0]


@pytest.mark.slurm
def test_slurm_jobs_write_the_same_bytes_as_threads(delivered, monkeypatch):
    if shutil.which("sbatch") is None:
        pytest.skip("sbatch is not on PATH")
    monkeypatch.chdir(delivered.folder)
    output = delivered.folder / "slurm" / "2005-04.json"
    done = harmed(with_dask(delivered, SLURM | {"wait": 5}, output), few_maps_in_a_chunk)
    assert done == Outcome(0, [])
    assert content(output.parent) == content(delivered.output.parent)
