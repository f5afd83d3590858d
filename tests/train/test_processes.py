"""Two processes on the CPU train one network together: same result twice, whole errors, no hanging, no orphan."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from pipeline_lib.errors import ConfigError, Interrupted, TrainingError
from pipeline_lib.train import processes
from pipeline_lib.train.share import Share
from tests.train import tiny_problem
from tests.train.tiny_problem import run, weights_hash

RECIPE = {"max_epochs": 3, "averaging": 0.9}
START = 300
"""Seconds after which a test gives up on processes that should have started, on a busy machine."""
HANG = 60
"""Seconds after which a test gives up on processes that should have ended at once."""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The undisturbed training of two processes."""
    return run(tmp_path_factory.mktemp("two"), devices=2, **RECIPE)


def same(result, other):
    equal = weights_hash(result.weights) == weights_hash(other.weights) and result.history.equals(other.history)
    return equal and result.last.read_bytes() == other.last.read_bytes()


def in_process(index, act):
    """Call ``act`` in one of the processes only."""
    if os.environ.get("LOCAL_RANK") == str(index):
        act()


def kill_self(number):
    os.kill(os.getpid(), number)


def stop_parent(number):
    os.kill(multiprocessing.parent_process().pid, number)
    time.sleep(2 * processes._LOOK_SECONDS)  # until it has told us


def disturbed(index, act, *arguments):
    return functools.partial(in_process, index, functools.partial(act, *arguments))


def test_same_weights_twice_and_checkpoints_of_one_process(together, tmp_path):
    again = run(tmp_path, devices=2, **RECIPE)
    assert same(again, together)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["epoch-000002.ckpt", "epoch-000003.ckpt", "history.csv"]


def test_loss_curve_is_close_to_that_of_one_process(together, tmp_path):
    alone = run(tmp_path, **RECIPE)
    assert weights_hash(alone.weights) != weights_hash(together.weights)  # batch statistics are those of the parts
    assert list(together.history.step) == list(alone.history.step)
    np.testing.assert_allclose(together.history.val_loss, alone.history.val_loss, rtol=0.01)
    np.testing.assert_allclose(together.history.train_loss, alone.history.train_loss, rtol=0.05)


MOMENTS = [("train", 0, 2), ("train", 2, 0), ("validation", 1, 0)]


@pytest.mark.parametrize("at", MOMENTS)
def test_signal_to_one_process_saves_and_all_go_on_to_the_same_weights(at, together, tmp_path):
    with pytest.raises(Interrupted, match="stopped"):
        run(tmp_path, devices=2, at=at, act=disturbed(0, kill_self, signal.SIGTERM), **RECIPE)
    assert same(run(tmp_path, devices=2, **RECIPE), together)


def test_signal_to_the_parent_reaches_them(together, tmp_path):
    with pytest.raises(Interrupted, match="stopped by SIGTERM in epoch 2 of 3"):
        run(tmp_path, devices=2, at=("train", 1, 1), act=disturbed(1, stop_parent, signal.SIGUSR1), **RECIPE)
    assert same(run(tmp_path, devices=2, **RECIPE), together)


@pytest.mark.parametrize("index", [0, 1])
def test_killed_process_ends_the_training_with_an_error_and_it_resumes(index, together, tmp_path):
    begin = time.monotonic()
    with pytest.raises(TrainingError, match=f"training process {index + 1} of 2 was killed by SIGKILL; run again"):
        run(tmp_path, devices=2, at=("train", 1, 3), act=disturbed(index, kill_self, signal.SIGKILL), **RECIPE)
    assert time.monotonic() - begin < HANG
    assert multiprocessing.active_children() == []
    assert same(run(tmp_path, devices=2, **RECIPE), together)


def fail():
    raise OSError("told by the test")


def test_error_of_one_process_is_told_and_ends_all(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)training process 2 of 2 failed.*OSError: told by the test"):
        run(tmp_path, devices=2, at=("train", 0, 1), act=disturbed(1, fail), **RECIPE)
    assert multiprocessing.active_children() == []


def test_early_stopping_agrees(tmp_path):
    result = run(tmp_path, devices=2, max_epochs=60, patience=2, learning_rate=0.05)
    loss = result.history.val_loss.to_numpy()
    best = int(loss.argmin()) + 1
    assert (result.best_epoch, result.stopped_epoch) == (best, best + 2)
    assert result.stopped_epoch < 60


def test_more_processes_than_validation_batches(tmp_path):
    result = run(tmp_path, devices=2, max_epochs=1, validation_patches=3)
    assert np.isfinite(result.history.val_loss[0])


def test_bad_value_in_one_part_stops_all_and_names_the_samples_of_that_part(tmp_path):
    arrays = tiny_problem.arrays(seed=1)
    inputs = arrays.inputs.copy()
    inputs[3, 0, 10, 16] = np.nan  # in every patch that covers the middle of the fourth date
    with pytest.raises(
        TrainingError, match=r"the loss is not finite in epoch \d+, step \d+; batch: [^;]+; [^;]+; look"
    ) as e:
        run(tmp_path, devices=2, train=replace(arrays, inputs=inputs))
    assert "2005-04-04" in e.value.what


def test_batch_that_cannot_be_shared_equally_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"training.batch_size: is 4, which 3 processes cannot share equally"):
        run(tmp_path, devices=3)


def test_checkpoint_of_another_number_of_processes_is_refused(tmp_path):
    run(tmp_path, max_epochs=2)
    with pytest.raises(TrainingError, match="devices = 1, now it is 2"):
        run(tmp_path, devices=2, max_epochs=2)


def test_shares_make_up_the_whole():
    whole = list(range(12))
    for count in (1, 2, 3, 4):
        parts = [whole[Share(i, count).within(12)] for i in range(count)]
        assert list(chain(*parts)) == whole
        assert {len(part) for part in parts} == {12 // count}


def orphan(folder):
    run(folder, devices=2, max_epochs=100_000)


def test_processes_end_with_a_killed_parent(tmp_path):
    """SIGKILL of the parent leaves nothing that trains on."""
    context = multiprocessing.get_context("spawn")
    parent = context.Process(target=orphan, args=(str(tmp_path),))
    parent.start()
    deadline = time.monotonic() + START
    while not list(tmp_path.glob("*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.join()
    time.sleep(0.5)
    last = sorted(tmp_path.glob("*.ckpt"))
    assert last
    time.sleep(1)  # an epoch takes less
    assert sorted(tmp_path.glob("*.ckpt")) == last


@pytest.mark.slow
def test_three_processes_resume_to_the_last_bit(tmp_path):
    """With two, sums do not depend on their order; with three they do."""
    recipe = {"max_epochs": 2, "batch_size": 6}
    expected = run(tmp_path / "whole", devices=3, **recipe)
    with pytest.raises(Interrupted):
        run(tmp_path / "hit", devices=3, at=("train", 0, 3), act=disturbed(0, kill_self, signal.SIGTERM), **recipe)
    assert same(run(tmp_path / "hit", devices=3, **recipe), expected)
