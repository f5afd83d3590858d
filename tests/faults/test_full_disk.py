"""A disk that is really full, a folder that may not be written: one line, nothing half, earlier work untouched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_lib.errors import TrainingError
from pipeline_lib.io.manifest import read_manifest
from tests.faults.project import Project, command, content, harmed, small_maps
from tests.faults.test_interrupted import become_nobody, open_folder
from tests.train import tiny_problem

FULL = "No space left on device"


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 400 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount")
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]).returncode:
        pytest.skip("needs root and the right to mount a file system in memory")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """Write a file that leaves so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(0, free - leave)))
    return ballast


def refused(done) -> None:
    assert done.code == 5, done.problems
    assert len(done.problems) == 1, done.problems
    assert f"cannot be written: {FULL}" in done.problems[0]


def test_preprocessing_onto_a_full_disk_leaves_earlier_months_and_goes_on_when_there_is_room(tmp_path, small_disk):
    project = Project(tmp_path / "p").deliver(small_maps())
    april, june = small_disk / "2005-04.json", small_disk / "2005-06.json"
    assert project.preprocess(april).code == 0
    before = content(small_disk)
    for room in (0, 8192, 40960):  # not even a folder; the first files; most of them
        ballast = fill(small_disk, leave=room)
        refused(command(*project.arguments(june, "2005-06")))
        ballast.unlink()
        assert content(small_disk) == before
    assert project.preprocess(june, period="2005-06").code == 0
    read_manifest(june, verify="deep")


def test_fetching_onto_a_full_disk_leaves_nothing_half(tmp_path, small_disk):
    project = Project(tmp_path / "p").deliver(small_maps())
    words = ("fetch", "tiny-adt", "--catalog", project.folder / "catalog.yaml", "--output", small_disk / "all.json")
    ballast = fill(small_disk, leave=60_000)
    refused(command(*words))
    assert list(small_disk.iterdir()) == [ballast]
    ballast.unlink()
    maps = small_maps().isel(time=slice(0, 30))  # 77 kB, and once more while it is staged
    project.deliver(maps)
    assert command(*words).code == 0
    read_manifest(small_disk / "all.json", verify="deep")


def test_a_full_disk_ends_a_training_with_one_line_and_it_resumes_when_there_is_room(tmp_path, small_disk):
    whole = tiny_problem.run(tmp_path / "whole", max_epochs=3)
    size = (tmp_path / "whole" / "epoch-000003.ckpt").stat().st_size
    folder = small_disk / "run"
    ballast = fill(small_disk, leave=size + 16_384)  # one checkpoint and its neighbour do not fit together
    with pytest.raises(TrainingError, match=f"checkpoint is lost: cannot be written: {FULL}"):
        tiny_problem.run(folder, max_epochs=3)
    ballast.unlink()
    again = tiny_problem.run(folder, max_epochs=3)
    assert tiny_problem.weights_hash(again.weights) == tiny_problem.weights_hash(whole.weights)


@pytest.mark.skipif(os.geteuid() != 0, reason="others are refused by tests/train/test_checkpoint.py")
def test_a_training_that_may_not_write_its_checkpoints_fails_at_once():
    """R15: Lightning's own writer swallows this error and ends well, without a checkpoint."""
    with open_folder() as folder:
        (folder / "closed").mkdir(mode=0o555)
        assert harmed(["list"], _train_as_nobody, str(folder)).code == 0
        assert list((folder / "closed").iterdir()) == []


def _train_as_nobody(folder: str) -> None:
    tiny_problem.run(f"{folder}/open", max_epochs=1)  # loads what nobody may not read
    become_nobody()
    with pytest.raises(TrainingError, match="checkpoint is lost: cannot be written: Permission denied"):
        tiny_problem.run(f"{folder}/closed", max_epochs=1)
