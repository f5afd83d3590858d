"""The transformer sees the past and nothing else."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.models.registry import MODELS


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = MODELS.get("transformer")
    network = model.build(model.Options(window=6), shape=(3,), step=0.01, mean=0.0, scale=1.0).double().eval()
    torch.nn.init.normal_(network.out.weight)
    return network


def test_what_comes_later_changes_nothing(network):
    states = torch.randn(2, 6, 3, dtype=torch.float64)
    before = network.increments(states)
    for time in range(1, 6):
        later = states.clone()
        later[:, time:] += torch.randn_like(later[:, time:])
        torch.testing.assert_close(network.increments(later)[:, :time], before[:, :time])
        assert not torch.allclose(network.increments(later)[:, time:], before[:, time:])


def test_forecasts_step_by_step_are_those_of_the_whole_window(network):
    states = torch.randn(2, 3, dtype=torch.float64)
    forecasts = Rollout(network, 6)(states)
    fed = torch.cat([states[:, None], forecasts[:, :-1]], dim=1)
    torch.testing.assert_close(forecasts, fed + network.increments(fed))


def test_an_untrained_network_is_persistence_and_the_window_slides():
    model = MODELS.get("transformer")
    network = model.build(model.Options(window=2), shape=(3,), step=0.01, mean=0.0, scale=1.0)
    states = torch.randn(4, 3)
    torch.testing.assert_close(Rollout(network, 5)(states), states[:, None].expand(-1, 5, -1))
    _, memory = network.advance(states, torch.randn(4, 2, 3))
    assert memory.shape == (4, 2, 3)
    torch.testing.assert_close(memory[:, -1], states)


def test_heads_must_share_the_width():
    with pytest.raises(ValidationError, match="width 30 is no multiple of 4 heads"):
        MODELS.get("transformer").Options(width=30)
