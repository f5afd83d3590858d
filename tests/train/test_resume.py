"""A training ends with the same bits however often it is interrupted, and as a function of its seed."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import torch

from pipeline_lib.errors import TrainingError
from pipeline_lib.learning.model_store import ModelSpec, save_model
from tests.train.tiny_problem import Tiny, run, weights_hash

KILLS = 3

RECIPES = {
    "plain": {"max_epochs": 12},
    "averaged, scheduled, clipped": {
        "max_epochs": 12,
        "averaging": 0.9,
        "schedule": "cosine",
        "warm_up": 0.2,
        "gradient_clip": 0.05,
    },
    "momentum, falling in steps": {
        "max_epochs": 12,
        "optimizer": "sgd",
        "learning_rate": 0.02,
        "schedule": "steps",
        "weight_decay": 1e-4,
    },
    "stopped early": {"max_epochs": 40, "patience": 2, "learning_rate": 0.05},
}


def kill_after(epoch, training, folder, delay):
    """Send SIGKILL some time after the checkpoint of ``epoch``; return whether that interrupted the training."""
    while training.process.is_alive():
        done = [int(f.stem.removeprefix("epoch-")) for f in folder.glob("epoch-*.ckpt")]
        if max(done, default=0) >= epoch:
            time.sleep(delay)
            break
        time.sleep(0.001)
    training.process.kill()
    training.process.join()
    return training.process.exitcode != 0


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_killed_and_resumed_training_equals_an_uninterrupted_one(recipe, start_training, tmp_path):
    begin = time.monotonic()
    expected = start_training(tmp_path / "whole", **recipe).result()
    epochs = expected[1]
    per_epoch = (time.monotonic() - begin) / epochs
    if recipe.get("patience"):
        assert epochs < recipe["max_epochs"]  # it did stop early

    moments = np.random.default_rng(0)
    folder = tmp_path / "killed"
    interrupted = [
        kill_after(epoch, start_training(folder, **recipe), folder, moments.uniform(0, per_epoch))
        for epoch in sorted(moments.choice(epochs, KILLS, replace=False))
    ]
    assert start_training(folder, **recipe).result() == expected
    assert any(interrupted)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signal_after_an_epoch_leaves_a_training_that_resumes(number, start_training, tmp_path):
    expected = start_training(tmp_path / "whole", max_epochs=30).result()
    training = start_training(tmp_path / "hit", max_epochs=30)
    while not list((tmp_path / "hit").glob("epoch-*.ckpt")):
        time.sleep(0.001)
    os.kill(training.process.pid, number)
    training.process.join()
    assert training.process.exitcode != 0
    assert start_training(tmp_path / "hit", max_epochs=30).result() == expected


def test_same_seed_same_weights_in_two_processes_and_other_seed_other_weights(start_training, tmp_path):
    runs = [start_training(tmp_path / str(i), seed=seed).result() for i, seed in enumerate((0, 0, 1))]
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_finished_training_is_not_run_again(tmp_path):
    first = run(tmp_path, max_epochs=2)
    before = {f.name: f.stat().st_mtime_ns for f in tmp_path.glob("*.ckpt")}
    again = run(tmp_path, max_epochs=2)
    assert weights_hash(again.weights) == weights_hash(first.weights)
    assert {f.name: f.stat().st_mtime_ns for f in tmp_path.glob("*.ckpt")} == before
    assert again.history.equals(first.history)


def test_a_training_killed_before_its_model_was_stored_stores_the_same_bytes(tmp_path):
    """It reads its weights back, into a network that never computed."""
    stored = []
    for name in ("undisturbed", "again"):
        result = run(tmp_path, max_epochs=2)
        spec = ModelSpec(model="tiny", options={}, task="segmentation", inputs=(), sizes={}, parameters=0)
        weights = result.weights
        path = tmp_path / name / "model.json"
        save_model(path, spec=spec, weights=weights, history=result.history, inputs={}, training={}, code="c")
        stored.append((path.with_name("best.pt").read_bytes(), path.read_bytes()))
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 1}, "seed"), ({"learning_rate": 0.5}, "training"), ({"precision": "bfloat16"}, "precision")],
)
def test_checkpoint_of_another_run_is_refused(change, named, tmp_path):
    base = {"max_epochs": 2, "precision": "float32"}
    run(tmp_path, **base)
    with pytest.raises(TrainingError, match=named):
        run(tmp_path, **{**base, **change})


class Longer(Tiny):
    """Another architecture."""

    @classmethod
    def build(cls, options, *, in_channels, classes):
        return (
            super()
            .build(options, in_channels=in_channels, classes=classes)
            .append(torch.nn.Conv2d(classes, classes, 1))
        )


def test_checkpoint_of_other_data_or_another_architecture_is_refused(tmp_path):
    run(tmp_path, max_epochs=1, identity={"train data": "a"})
    with pytest.raises(TrainingError, match="train data"):
        run(tmp_path, max_epochs=1, identity={"train data": "b"})
    with pytest.raises(TrainingError, match="weights"):
        run(tmp_path, max_epochs=1, identity={"train data": "a"}, model=Longer)


def test_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    whole = run(tmp_path / "whole", max_epochs=4)
    run(tmp_path / "hurt", max_epochs=4)
    last = tmp_path / "hurt" / "epoch-000004.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(bytes(content))
    again = run(tmp_path / "hurt", max_epochs=4)
    assert "SHA-256" in caplog.text
    assert weights_hash(again.weights) == weights_hash(whole.weights)
    assert again.history.equals(whole.history)


def test_global_random_state_of_torch_is_left_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path, max_epochs=1)
    assert torch.equal(torch.rand(3), expected)
