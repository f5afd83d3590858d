"""Windows for networks that fill them: the first guess, the loss, what a prior adds to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline_lib.errors import DataError
from pipeline_lib.tasks.assimilation.filling import Filler, first_guess
from pipeline_lib.tasks.assimilation.options import TrainingOptions
from pipeline_lib.tasks.assimilation.windows import ObservedTrajectory, WindowProblem
from pipeline_lib.train.share import Share

MEAN = np.array([0.3, -1.2], dtype="float32")
"""Of the training states."""


def trajectory(count=60, length=12, margin=0):
    rng = np.random.default_rng(0)
    states = rng.standard_normal((count, 2)).astype("float32")
    observation = np.where(rng.random((count, 2)) < 0.4, states + 0.1, np.nan).astype("float32")
    observation[:, 1] = np.nan
    times = np.datetime64("2000-01-01", "s") + np.arange(count) * np.timedelta64(60, "s")
    return ObservedTrajectory(states, observation, times, MEAN, length, margin)


class Halving(nn.Module):
    """Returns half the first guess; its prior doubles."""

    def prior(self, states):
        return 2 * states

    def forward(self, start, values, mask):
        return start / 2


def test_a_window_is_its_guess_values_mask_and_truth():
    made = trajectory()
    batch = made.cut(np.array([3, 20]))
    assert batch.inputs.shape == (2, 4, 2, 12)
    guess, values, mask, truth = batch.inputs.unbind(1)
    np.testing.assert_array_equal(truth[1].T, made.states[20:32])
    assert torch.equal(batch.target, truth)
    seen = made.observation[3:15]
    np.testing.assert_array_equal(mask[0].T, np.isfinite(seen))
    np.testing.assert_array_equal(values[0].T, np.nan_to_num(seen))
    where = np.flatnonzero(np.isfinite(seen[:, 0]))
    np.testing.assert_allclose(guess[0, 0], np.interp(np.arange(12), where, seen[where, 0]), rtol=1e-5)
    assert guess[:, 1].unique().tolist() == [MEAN[1]]  # never observed
    assert made.describe(batch.samples) == "2000-01-01T00:03:00; 2000-01-01T00:20:00"


def test_the_loss_is_the_published_sum_and_validation_sees_the_error_alone():
    batch = trajectory().cut(np.array([0, 7, 9]))
    problem = WindowProblem(TrainingOptions(prior_loss=0.3, batch_size=3), trajectory(), trajectory(), seed=0)
    filler = Filler(Halving()).train()
    found, truth = batch.inputs[:, 0] / 2, batch.target
    error = (found - truth).square().mean()
    expected = error + 0.15 * (found.square().mean() + truth.square().mean())
    assert problem.loss(filler(batch.inputs), batch) == pytest.approx(float(expected), rel=1e-6)
    scores = problem.new_scores()
    scores.update(filler.eval()(batch.inputs), batch)
    assert scores.result()["loss"] == pytest.approx(float(error), rel=1e-6)
    assert filler(batch.inputs[:, :3]).shape == (3, 1, 2, 12)


def test_epochs_differ_and_repeat_themselves():
    problem = WindowProblem(TrainingOptions(batch_size=8, windows=16), trajectory(), trajectory(), seed=0)
    assert problem.steps_per_epoch == 2
    first, again, other = ([b.inputs for b in problem.training_batches(epoch, Share())] for epoch in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_too_few_states_are_told():
    with pytest.raises(DataError, match="5 states give no window of 12"):
        trajectory(5)


def test_a_window_without_any_observation_is_the_mean_of_each_component():
    guess, values, mask = first_guess(torch.full((1, 4, 2), torch.nan), torch.from_numpy(MEAN)).unbind(1)
    assert torch.equal(guess, torch.from_numpy(MEAN)[:, None].expand(1, 2, 4))
    assert not values.any()
    assert not mask.any()


@given(length=st.integers(2, 20), margin=st.integers(0, 9))
def test_margins_hold_no_observation_and_leave_the_others(length, margin):
    made = trajectory(40, length, margin).cut(np.array([0, 5])).inputs
    whole = trajectory(40, length).cut(np.array([0, 5])).inputs
    inside = range(margin, length - margin)
    for time in range(length):
        assert torch.equal(made[:, 2, :, time], whole[:, 2, :, time] * (time in inside))
        assert torch.equal(made[:, 1, :, time], whole[:, 1, :, time] * (time in inside))
    assert torch.equal(made[:, 3], whole[:, 3])
