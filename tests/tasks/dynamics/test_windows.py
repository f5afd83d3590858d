"""Windows: what follows a state, each epoch another draw, all shares together one batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.tasks.assimilation.options import TrainingOptions as AssimilationOptions
from pipeline_lib.tasks.dynamics.options import TrainingOptions as DynamicsOptions
from pipeline_lib.tasks.dynamics.problem import DynamicsProblem
from pipeline_lib.tasks.dynamics.windows import Trajectory
from pipeline_lib.train.seeds import generator
from pipeline_lib.train.share import Share
from pipeline_lib.train.windows import Windows

TIMES = np.datetime64("2000-01-01", "ns") + np.arange(50) * np.timedelta64(864, "s")
TRAJECTORY = Trajectory(np.arange(100, dtype=np.float32).reshape(50, 2), TIMES, horizon=4)


def drawn(seed: int | None = 0, epoch: int = 0, share: Share | None = None) -> list[torch.Tensor]:
    windows = Windows(TRAJECTORY, 8, 64, seed, epoch, share or Share())
    batches = list(windows)
    assert len(batches) == len(windows)
    return [batch.samples[:, 0] for batch in batches]


def test_a_window_is_a_state_and_those_that_follow():
    batch = TRAJECTORY.cut(np.array([3, 45]))
    np.testing.assert_array_equal(batch.inputs, [[6, 7], [90, 91]])
    assert batch.target.shape == (2, 4, 2)
    np.testing.assert_array_equal(batch.target[1, :, 0], [92, 94, 96, 98])
    assert TRAJECTORY.describe(batch.samples) == "2000-01-01T00:43:12; 2000-01-01T10:48:00"


def test_every_window_is_drawn_before_one_is_drawn_again():
    starts = torch.cat(drawn())
    assert sorted(starts[: TRAJECTORY.windows].tolist()) == list(range(46))


def test_epochs_and_seeds_differ_and_repeat():
    assert not torch.equal(torch.cat(drawn()), torch.cat(drawn(epoch=1)))
    assert not torch.equal(torch.cat(drawn()), torch.cat(drawn(seed=1)))
    assert torch.equal(torch.cat(drawn()), torch.cat(drawn()))


def test_shares_of_a_training_batch_make_the_whole():
    parts = [drawn(share=Share(index=i, count=2)) for i in range(2)]
    for whole, first, second in zip(drawn(), *parts, strict=True):
        assert torch.equal(whole, torch.cat([first, second]))


def test_validation_is_spread_evenly_and_shared_by_batches():
    starts = torch.cat(drawn(seed=None))
    assert starts[0] == 0
    assert starts[-1] == 45
    assert (starts.diff() >= 0).all()
    shared = [batch for i in range(2) for batch in drawn(seed=None, share=Share(index=i, count=2))]
    assert sorted(torch.cat(shared).tolist()) == starts.tolist()


def test_too_few_states_are_refused():
    with pytest.raises(DataError, match=r"4 states give no window of 1 \+ 4"):
        Trajectory(TRAJECTORY.states[:4], TIMES[:4], horizon=4)


def test_a_split_with_too_few_states_is_named():
    with pytest.raises(DataError, match=r"^split.validation: 3 states give no window of 1 \+ 4; more days"):
        Trajectory(np.zeros((3, 2), np.float32), TIMES[:3], horizon=4, split="validation")


@pytest.mark.parametrize("options", [DynamicsOptions, AssimilationOptions])
def test_states_are_advanced_in_single_precision_unless_told_otherwise(options):
    assert options().precision == "float32"
    assert options(precision="auto").precision == "auto"


def test_an_epoch_longer_than_memory_begins_at_once():
    first = next(iter(Windows(TRAJECTORY, 8, 10**15, 0)))
    assert torch.equal(first.samples[:, 0], drawn()[0])


def test_rounds_go_on_across_batches():
    rng = generator(0, "windows", 0)
    expected = np.concatenate([rng.permutation(46) for _ in range(2)])[:64]
    np.testing.assert_array_equal(torch.cat(drawn()), expected)


@pytest.mark.parametrize(
    ("batch_size", "windows", "line"),
    [
        (10**12, None, "training.batch_size: is 1000000000000, and the training days have 46 windows; reduce it"),
        (47, 100, "training.batch_size: is 47, and the training days have 46 windows"),
        (40, 32, "training.batch_size: is 40, and training.windows is 32"),
    ],
)
def test_a_batch_that_the_windows_do_not_fill_is_refused(batch_size, windows, line):
    with pytest.raises(ConfigError, match=line):
        DynamicsProblem(DynamicsOptions(batch_size=batch_size, windows=windows), TRAJECTORY, TRAJECTORY, seed=0)
