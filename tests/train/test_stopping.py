"""A training that is stopped by a signal or ahead of its time limit has saved, and goes on with the next batch."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time

import pytest

from pipeline_lib.errors import Interrupted
from pipeline_lib.train.stopping import RESERVE, Signals
from tests.train.tiny_problem import run, weights_hash

RECIPE = {"max_epochs": 3, "averaging": 0.9, "schedule": "cosine", "batch_size": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The training that nobody stops."""
    return run(tmp_path_factory.mktemp("whole"), **RECIPE)


def same(result, whole):
    equal = weights_hash(result.weights) == weights_hash(whole.weights) and result.history.equals(whole.history)
    return equal and result.last.read_bytes() == whole.last.read_bytes()


def send(number):
    return functools.partial(os.kill, os.getpid(), number)


MOMENTS = {
    "first batch": ("train", 0, 0),
    "within the first epoch": ("train", 0, 2),
    "last batch of an epoch": ("train", 1, 4),
    "first batch of a later epoch": ("train", 1, 0),
    "validation": ("validation", 1, 1),
    "first validation": ("validation", 0, 0),
    "last validation batch of all": ("validation", 2, 3),
}


@pytest.mark.parametrize("at", MOMENTS.values(), ids=MOMENTS.keys())
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signalled_training_is_saved_and_goes_on_to_the_same_weights(at, number, whole, tmp_path):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"stopped by {number.name} in epoch .* everything is saved; run again"):
        run(tmp_path, at=at, act=send(number), **RECIPE)
    assert signal.getsignal(number) == before
    assert same(run(tmp_path, **RECIPE), whole)


def test_signal_within_an_epoch_loses_no_step(whole, tmp_path, caplog):
    with pytest.raises(Interrupted, match="after step 8"):
        run(tmp_path, at=("train", 1, 3), act=send(signal.SIGTERM), **RECIPE)
    assert [f.name for f in sorted(tmp_path.glob("*.ckpt"))] == ["batch-000001-000003.ckpt", "epoch-000001.ckpt"]
    caplog.set_level("INFO", logger="pipeline_lib")
    assert same(run(tmp_path, **RECIPE), whole)
    assert "resuming after epoch 1, step 8" in caplog.text


def test_any_time_limit_gets_to_the_end_with_the_same_weights(whole, tmp_path):
    stopped = []
    result = None
    while result is None:
        try:
            result = run(tmp_path, end=time.time() - 1, **RECIPE)
        except Interrupted as error:
            stopped.append(error)
    assert same(result, whole)
    assert len(stopped) == 3 * 5 - 1  # one step in each sitting
    assert all("ahead of the time limit" in error.what and error.exit_code == 75 for error in stopped)


def test_it_uses_its_time_and_stops_before_the_limit(tmp_path):
    working = 1.0
    begin = time.time()
    with pytest.raises(Interrupted, match="ahead of the time limit"):
        run(tmp_path, end=begin + working + RESERVE, max_epochs=100_000)
    assert working / 2 < time.time() - begin < working + RESERVE


def test_enough_time_changes_nothing(whole, tmp_path):
    assert same(run(tmp_path, end=time.time() + 3600, **RECIPE), whole)


def test_a_save_or_a_validation_that_took_long_is_begun_earlier():
    from pipeline_lib.train.stopping import CAUTION, Clock

    clock = Clock(time.time() + RESERVE + 100)
    assert clock.allows(90 / CAUTION)
    assert not clock.allows(110 / CAUTION)
    assert Clock(None).allows(1e9)


def test_signals_are_left_alone_outside_the_main_thread():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with Signals() as signals:
            seen.append((signals.received, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
