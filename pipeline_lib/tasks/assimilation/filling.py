"""Networks that fill windows, as training and prediction call them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline_lib.assimilation.interpolation import interpolate
from pipeline_lib.assimilation.observations import Observations


def without_margins(observation: Tensor, margin: int) -> Tensor:
    """Return windows (..., time, component) without what was observed in so many times at both ends."""
    time = torch.arange(observation.shape[-2], device=observation.device).unsqueeze(-1)
    inside = (time >= margin) & (time < len(time) - margin)
    return torch.where(inside, observation, torch.nan)


def first_guess(observation: Tensor, mean: Tensor) -> Tensor:
    """Return interpolation, values and mask (batch, 3, component, time) of observations (batch, time, component).

    Between observations of a component values are interpolated in time; a component that is never observed is its mean
    over the training states, (component,). Values where there is no observation are 0.
    """
    mask = observation.isfinite()
    observations = Observations(observation, 1.0, mask=mask)
    guess = interpolate(observations, observation.shape[-1], fill=mean)
    return torch.stack([guess, observations.known, mask.to(guess.dtype)], dim=1).mT


class Filler(nn.Module):
    """A network that fills windows, and its prior, as the training loop calls them.

    Takes (batch, 3 or 4, component, time): first guess, values, mask, and in training the true states. Returns
    (batch, 1 or 3, component, time): the states, and in training what the prior makes of these and of the true ones.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the states and what the prior makes of them."""
        start, values, mask, *truth = inputs.unbind(1)
        found: Tensor = self.network(start, values, mask > 0)
        prior = getattr(self.network, "prior", None)
        if prior is None or not truth or not self.training:
            return found[:, None]
        return torch.stack([found, prior(found), prior(truth[0])], dim=1)
