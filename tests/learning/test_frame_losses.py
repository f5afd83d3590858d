"""Losses of nowcasts against the scores of the same name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.learning.frame_losses import balanced_loss, soft_cross_entropy
from pipeline_lib.skill.balanced import balanced_errors
from pipeline_lib.skill.continuous import cross_entropy_sums, error_sums
from tests.scales import HKO7
from tests.skill.cases import draw

cases = st.builds(draw, st.integers(0, 2**32 - 1), st.just((2, 3, 6, 7)), st.sampled_from([0.5, 1.0]))


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


@settings(max_examples=30)
@given(cases)
def test_the_balanced_loss_is_the_mean_of_the_scores(case):
    forecast, truth, valid = case
    sums = balanced_errors(forecast, truth, HKO7, valid)
    wanted = 1e-5 * (sums["balanced_squared_error"] + sums["balanced_absolute_error"]).mean()
    forecast, truth, valid = tensors(*case)
    assert balanced_loss(forecast, truth, HKO7, valid).item() == pytest.approx(wanted, rel=1e-12)


@settings(max_examples=30)
@given(cases)
def test_without_weights_it_is_the_mean_of_the_plain_errors(case):
    sums = error_sums(*case)
    wanted = 5e-5 * (sums["squared_error"] + sums["absolute_error"]).mean()
    forecast, truth, valid = tensors(*case)
    assert balanced_loss(forecast, truth, HKO7, valid, balanced=False).item() == pytest.approx(wanted, rel=1e-12)


@settings(max_examples=30)
@given(cases)
def test_cross_entropy_is_summed_over_a_sequence_and_averaged_over_sequences(case):
    output, truth, valid = 10 * case[0] - 5, case[1], case[2]
    forecast = 1 / (1 + np.exp(-output))
    wanted = cross_entropy_sums(forecast, truth, valid)["cross_entropy"].sum(axis=1).mean()
    assert soft_cross_entropy(*tensors(output, truth, valid)).item() == pytest.approx(wanted, rel=1e-9)


LOSSES = {
    "balanced": lambda f, t, v=None: balanced_loss(f, t, HKO7, v),
    "unbalanced": lambda f, t, v=None: balanced_loss(f, t, HKO7, v, balanced=False),
    "cross entropy": soft_cross_entropy,
}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@losses
def test_no_mask_is_a_mask_of_all(loss):
    forecast, truth, valid = tensors(*draw(0, (2, 3, 6, 7)))
    assert loss(forecast, truth) == loss(forecast, truth, torch.ones_like(valid))
    assert loss(forecast, truth, valid[0, 0]) == loss(forecast, truth, valid[0, 0].expand(valid.shape))


@losses
def test_masked_cells_reach_neither_the_loss_nor_its_gradient(loss):
    forecast, truth, valid = tensors(*draw(1, (2, 3, 6, 7)))
    clean = loss(forecast, truth, valid)
    forecast = forecast.masked_fill(~valid, torch.nan).requires_grad_()
    value = loss(forecast, truth.masked_fill(~valid, torch.nan), valid)
    assert value == clean
    value.backward()
    assert (forecast.grad[~valid] == 0).all()
    assert torch.isfinite(forecast.grad).all()
    assert (forecast.grad[valid] != 0).any()


@losses
def test_gradients_are_those_of_differences(loss):
    forecast, truth, valid = tensors(*draw(2, (1, 2, 3, 3)))
    # Away from the kink of the absolute error.
    forecast = (forecast + 0.033).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: loss(f, truth, valid) * 1e5, forecast, eps=1e-6, atol=1e-3)


@losses
def test_half_precision_is_computed_in_single(loss):
    forecast, truth, valid = tensors(*draw(3, (2, 2, 32, 32)))
    half = forecast.bfloat16()
    value = loss(half, truth.float(), valid)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(half.double(), truth, valid).item(), rel=1e-5)


def test_cross_entropy_of_a_sure_network_stays_finite():
    output = torch.tensor([1e4, -1e4]).reshape(1, 1, 1, 2)
    assert soft_cross_entropy(output, torch.tensor([0.0, 0.0]).reshape(1, 1, 1, 2)).item() == pytest.approx(1e4)
