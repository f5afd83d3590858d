"""The copy of its frames that a training reads from: nothing of it is left, however the training ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml

from pipeline_lib.tasks.nowcasting import train as train_module
from pipeline_lib.tasks.nowcasting import windows as windows_module
from tests.faults.project import branch, command
from tests.faults.radar import TIMES, Radar, frames

LARGE = 5_000
"""Bytes; a copy of the training's frames has 5,760."""
NETWORK = {"patch": 2, "kernel_input": 3, "kernel_state": 3, "widths": [2]}


@pytest.fixture(scope="module")
def radar(tmp_path_factory) -> Radar:
    """The project up to the datasets of its training, with a network beside the last frame."""
    folder = tmp_path_factory.mktemp("radar")
    made = Radar.deliver(folder, frames(TIMES, folder))
    described = yaml.safe_load(made.experiment.read_text())
    described["models"] = ["last_frame", {"name": "network", "model": "convlstm", "options": NETWORK}]
    described["training"] |= {"max_epochs": 1, "windows": 4, "batch_size": 2}
    made.experiment.write_text(yaml.safe_dump(described))
    made.prepare()
    assert made.train().code == 0
    return made


def arguments(radar: Radar) -> list[str]:
    learnt = radar.at(radar.datasets("train", "validation"))
    output = radar.folder / "results/tiny/network/seed0/model.json"
    words = ["train", radar.experiment, "--model", "network", "--seed", 0, "--device", "cpu", "--threads", 1]
    words += ["--statistics", radar.folder / "results/tiny/statistics.json", "--datasets", *learnt, "--output", output]
    return [str(word) for word in words]


def large(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and file.stat().st_size > LARGE]


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_with_the_copy_made() -> None:
    train_module.NowcastingProblem = die


def die_while_it_is_written() -> None:
    write, calls = windows_module.stacked, iter(range(99))
    windows_module.time_chunk = lambda **_: 10
    windows_module.stacked = lambda *given: die() if next(calls) == 4 else write(*given)


@pytest.mark.parametrize("when", [die_with_the_copy_made, die_while_it_is_written])
def test_a_killed_training_leaves_no_copy_of_its_frames(radar, when):
    process = branch(arguments(radar), when)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert large(radar.folder / "results/tiny/network") == []


def test_what_learns_nothing_makes_no_copy(radar, monkeypatch):
    copies, make = [], windows_module.mapped
    monkeypatch.setattr(windows_module, "mapped", lambda *given: copies.append(1) or make(*given))
    radar.model.unlink()
    assert radar.train().code == 0
    assert radar.model.exists()
    assert not copies
    assert command(*arguments(radar)).code == 0
    assert len(copies) == len(("train", "validation"))
