"""Ensemble filters and smoothers on batches: each run is what it is alone, whatever the others are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.assimilation.cycle import assimilate
from pipeline_lib.assimilation.ensemble import ETKF, EnKF
from pipeline_lib.assimilation.localisation import ring_taper
from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.assimilation.smoother import rauch_tung_striebel
from tests.assimilation.linear_gaussian import ensemble, forecast, generator, normal, problem, run


@pytest.mark.parametrize("analysis", [ETKF(), ETKF(ring_taper(8, 1.5))])
@pytest.mark.parametrize("lag", [0, 1])
def test_a_batch_is_what_its_runs_are(analysis, lag):
    members, values = normal(4, 6, 8), normal(4, 5, 8, seed=1)
    mask = normal(4, 5, 8, seed=2) > 0
    mask[1, 3] = False
    rotate = lambda x: x.roll(1, -1) * 1.05  # noqa: E731
    together = assimilate(analysis, rotate, members, Observations(values, 0.5, mask=mask), lag=lag)
    for i in range(4):
        alone = assimilate(analysis, rotate, members[i], Observations(values[i], 0.5, mask=mask[i]), lag=lag)
        torch.testing.assert_close(together.mean[i], alone.mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(together.spread[i], alone.spread, rtol=0, atol=1e-12)


@given(data=st.data(), inflation=st.sampled_from([1.0, 1.3]), lag=st.sampled_from([0, 2, None]))
def test_a_run_does_not_depend_on_when_others_are_observed(data, inflation, lag):
    """Inflation included; neither does the backward pass."""
    times = data.draw(st.lists(st.sets(st.integers(0, 4)), min_size=2, max_size=3))
    members, values = normal(len(times), 5, 3), normal(len(times), 5, 3, seed=1)
    mask = torch.tensor([[[t in seen] for t in range(5)] for seen in times]).expand(values.shape)
    together = run(ETKF(), members, Observations(values, 0.5, mask=mask), inflation=inflation, lag=lag)
    smoothed = rauch_tung_striebel(together)
    for i in range(len(times)):
        alone = run(ETKF(), members[i], Observations(values[i], 0.5, mask=mask[i]), inflation=inflation, lag=lag)
        torch.testing.assert_close(together.analyses[i], alone.analyses, rtol=0, atol=1e-11)
        torch.testing.assert_close(smoothed.mean[i], rauch_tung_striebel(alone).mean, rtol=0, atol=1e-9)


@pytest.mark.parametrize("analysis", [EnKF(), ETKF(), EnKF(torch.ones(3, 3).double()), ETKF(torch.ones(3, 3).double())])
def test_a_run_that_is_not_observed_is_its_forecast_to_the_bit(analysis):
    mask = torch.tensor([True, False]).reshape(2, 1, 1).expand(2, 4, 3)
    found = run(analysis, ensemble(5), Observations(normal(2, 4, 3), 0.5, mask=mask), inflation=1.5, lag=1).analyses
    state = ensemble(5)
    for time in range(4):
        assert torch.equal(found[1, time], state)
        state = forecast(state)
    assert (found[0, 0] - ensemble(5)).abs().max() > 0.01


def test_a_batch_of_the_stochastic_filter_is_what_its_runs_are():
    """Its random numbers are those of the whole batch: they are handed out here."""
    members, values, noise = normal(3, 6, 4), normal(3, 4, seed=1), normal(3, 6, 4, seed=5)
    together = EnKF()(members, members, Observations(values.unsqueeze(-2), 0.5).at(0), generator(5))
    for i in range(3):
        x = members[i].numpy()
        drawn = (noise[i] - noise[i].mean(0)).numpy() * math.sqrt(6 / 5 * 0.5)
        gain = np.cov(x.T) @ np.linalg.inv(np.cov(x.T) + 0.5 * np.eye(4))
        np.testing.assert_allclose(together[i], x + (values[i].numpy() + drawn - x) @ gain.T, rtol=0, atol=1e-12)


def test_one_ensemble_serves_many_windows():
    values = normal(3, 4, 3)
    found = assimilate(ETKF(), forecast, ensemble(6), Observations(values, 0.5))
    assert found.mean.shape == (3, 4, 3)
    alone = assimilate(ETKF(), forecast, ensemble(6), Observations(values[1], 0.5))
    torch.testing.assert_close(found.mean[1], alone.mean)


@pytest.mark.parametrize("analysis", [EnKF(), ETKF()])
def test_a_run_that_diverges_leaves_the_others_alone(analysis):
    members = torch.stack([ensemble(6), ensemble(6) * 1e200])
    explode = lambda states: torch.where(states.abs() > 1e100, torch.inf, 1.0) * forecast(states)  # noqa: E731
    found = assimilate(analysis, explode, members, problem(), generator=generator(), lag=1, keep=True)
    assert torch.isfinite(found.mean[0]).all()
    assert not torch.isfinite(found.mean[1, -1]).any()
    smoothed = rauch_tung_striebel(found)
    assert torch.isfinite(smoothed.mean[0]).all()
    assert not torch.isfinite(smoothed.mean[1, 0]).any()
