"""Processes that are killed, that compete, or that the disk refuses: what is there is whole, the next run ends well."""

from __future__ import annotations

import codecs
import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.errors import StoreError
from pipeline_lib.io import manifest as manifest_module
from pipeline_lib.io.manifest import Artefact, read_manifest
from tests.faults.project import Project, branch, command, content, harmed, small_maps

CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "open"})
"""Audit events of a process that changes a folder (PEP 578)."""


@pytest.fixture(scope="module")
def delivered(tmp_path_factory) -> Project:
    """A fetched source and the dataset that an uninterrupted run makes of it."""
    project = Project(tmp_path_factory.mktemp("delivered")).deliver(small_maps())
    assert project.preprocess().code == 0
    return project


@pytest.fixture
def beside(delivered) -> Path:
    """An empty folder as far from the raw files as the uninterrupted dataset, so that manifests are equal."""
    return Path(tempfile.mkdtemp(dir=delivered.folder))


def steps_of(folder: Path, act: Callable[[int], None]) -> None:
    """Call ``act`` with the number of each change below ``folder`` that this process is about to make."""
    count = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal count
        if event in CHANGES and str(arguments[0]).startswith(str(folder)):
            act(count)
            count += 1

    sys.addaudithook(watch)


def count_steps(folder: Path, ledger: Path) -> None:
    steps_of(folder, lambda step: ledger.open("a").write("."))


def die_at(folder: Path, fatal: int) -> None:
    steps_of(folder, lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == fatal else None)


def whole_or_absent(path: Path, *identities: str) -> bool:
    """Whether there is an artefact; if there is one it must be whole and one of those expected."""
    if not path.exists():
        return False
    assert read_manifest(path, verify="deep").identity in identities
    return True


def test_killed_at_any_step_then_run_again_gives_the_uninterrupted_bytes(tmp_path, beside, delivered):
    """Steps of writing, and each of the commit, in turn with and without an earlier artefact in place."""
    whole = content(delivered.output.parent)
    new = read_manifest(delivered.output).identity
    before = Project(tmp_path / "before").deliver(small_maps(seed=1))
    assert before.preprocess().code == 0
    old = read_manifest(before.output).identity
    ledger = tmp_path / "ledger"
    branch(delivered.arguments(beside / "2005-04.json"), count_steps, beside, ledger).join()
    steps = ledger.stat().st_size
    assert steps > 50
    writing = np.random.default_rng().integers(0, steps - 11, 2)
    found = []
    committing = [steps - back for back in (11, 10, 9, 5, 4, 1)]  # around each removal and each renaming
    for number, step in enumerate([*writing, *committing]):
        output = beside.with_name(f"{beside.name}-{step}") / "2005-04.json"
        if number % 2:
            shutil.copytree(before.output.parent, output.parent)
        process = branch(delivered.arguments(output), die_at, output.parent, step)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        found.append(whole_or_absent(output, old, new))
        assert delivered.preprocess(output).code == 0
        assert content(output.parent) == whole
        shutil.rmtree(output.parent)
    assert found.count(False) > 1


def test_killed_at_random_moments_then_run_again_gives_the_uninterrupted_bytes(beside, delivered):
    whole = content(delivered.output.parent)
    identity = read_manifest(delivered.output).identity
    start = time.monotonic()
    branch(delivered.arguments(beside / "2005-04.json")).join()
    duration = time.monotonic() - start
    killed = 0
    for number, share in enumerate(np.random.default_rng().uniform(0.05, 0.95, 3)):
        output = beside.with_name(f"{beside.name}-{number}") / "2005-04.json"
        process = branch(delivered.arguments(output))
        time.sleep(duration * share)
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        whole_or_absent(output, identity)
        assert delivered.preprocess(output).code == 0
        assert content(output.parent) == whole
    assert killed


def test_several_processes_at_once_never_both_write(beside, delivered):
    whole = content(delivered.output.parent)
    refusals = 0
    for attempt in range(2):
        output = beside.with_name(f"{beside.name}-{attempt}") / "2005-04.json"
        processes = [branch(delivered.arguments(output)) for _ in range(4)]
        for process in processes:
            process.join()
        codes = [process.exitcode for process in processes]
        assert set(codes) <= {0, StoreError.exit_code}
        assert 0 in codes
        refusals += codes.count(StoreError.exit_code)
        assert content(output.parent) == whole
    assert refusals


def test_a_lock_on_a_folder_that_its_writer_has_removed_is_no_lock(tmp_path, monkeypatch):
    """Between opening the staging folder and locking it, its writer may end and a third process begin."""
    path = tmp_path / "2005-04.json"
    third: list[Artefact] = []
    lock = manifest_module.fcntl.flock

    def slow(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        staging.rmdir()
        third.append(Artefact(path, kind="dataset", code="c").__enter__())
        third[0].payload("a").write_text("a")
        lock(descriptor, how)

    monkeypatch.setattr(manifest_module.fcntl, "flock", slow)
    second = Artefact(path, kind="dataset", code="c")
    staging = second.staging
    with pytest.raises(StoreError, match="another process is writing it"):
        second.__enter__()
    assert (staging / "a").exists()
    third[0].__exit__(None, None, None)
    read_manifest(path)


def file_size_limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_is_one_line_and_earlier_months_stay(tmp_path, delivered):
    output = tmp_path / "dataset" / "2005-04.json"
    assert delivered.preprocess(output).code == 0
    before = content(output.parent)
    largest = max(len(data) for data in before.values())
    june = delivered.arguments(output.with_name("2005-06.json"), "2005-06")
    done = harmed(june, file_size_limit, largest // 2)
    assert done.code == StoreError.exit_code
    assert len(done.problems) == 1, done.problems
    assert "2005-06.json: cannot be written: File too large" in done.problems[0]
    assert content(output.parent) == before
    assert command(*june).code == 0


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach too, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def open_path() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def become_nobody() -> None:
    if os.geteuid() == 0:  # root may write everywhere
        codecs.lookup("unicode_escape")  # needed later, from a folder that may be open to root only
        os.setegid(65534)
        os.seteuid(65534)


@pytest.mark.parametrize("what", ["folder", "log"])
def test_a_read_only_folder_is_one_line(open_path, what):
    project = Project(open_path).deliver(small_maps())
    closed = open_path / "closed"
    closed.mkdir(mode=0o555)
    arguments = project.arguments(closed / "2005-04.json")
    if what == "log":
        arguments += ["--log", str(closed / "x.log")]
    done = harmed(arguments, become_nobody)
    assert done.code == StoreError.exit_code
    assert len(done.problems) == 1, done.problems
    assert "cannot be written: Permission denied" in done.problems[0]
    assert list(closed.iterdir()) == []
