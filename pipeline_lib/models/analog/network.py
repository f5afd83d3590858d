"""Analog forecasting as a network without weights."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pipeline_lib.errors import DataError
from pipeline_lib.learning.forecaster import Forecaster, forecast_error
from pipeline_lib.models.analog.pool import Pool, windows

if TYPE_CHECKING:
    from pipeline_lib.models.analog import Analog

logger = logging.getLogger(__name__)

_LEAST_FREEDOM = 1e-3
"""Of a covariance: where a single analog has nearly all the weight, there is no spread to tell."""
_QUERIES = 1000
"""Forecasts that are made at once."""


class AnalogStep(Forecaster):
    """Forecasts a state by the successors of the nearest states of a catalogue.

    Where the options say how far a site of a ring sees, each site by itself: by the successors of the sites around
    which the nearest windows of the catalogue lie.

    Parameters
    ----------
    dimension
        Components of a state.
    options
        Options of the model.
    """

    states: Tensor
    successors: Tensor
    neighbours: Tensor

    def __init__(self, dimension: int, options: Analog.Options) -> None:
        super().__init__()
        for name in ("states", "successors"):
            self.register_buffer(name, torch.zeros(options.catalogue, dimension, dtype=torch.float64))
        self.register_buffer("neighbours", torch.tensor(options.neighbours[0]))
        self._options, self._sampled = options, options.sampled
        self._pools: list[Pool] = []

    def remember(self, states: Tensor) -> None:
        """Take consecutive states (time, dimension) as the catalogue; raise :class:`DataError` if they are too few."""
        size = len(self.states)
        if len(states) <= size:
            raise DataError(
                f"{len(states)} training states have {len(states) - 1} successors, the catalogue is to hold {size}",
                where="analog.catalogue",
                fix="set it lower, or give more training days",
            )
        self.states.copy_(states[-size - 1 : -1])
        self.successors.copy_(states[-size:])
        self._pools = []

    def choose(self, states: Tensor, horizon: int) -> None:
        """Take the number of analogs that forecasts consecutive states (time, dimension) best, up to ``horizon``.

        By mean forecasts, also where forecasts are drawn: the choice is no matter of chance.

        Raises
        ------
        DataError
            If forecasts blow up with each.
        """
        errors = {}
        self._sampled = False
        for count in self._options.neighbours:
            self.neighbours.fill_(count)
            errors[count] = forecast_error(self, states, horizon)
            logger.info("%d analogs: validation rmse %.4g", count, errors[count])
        finite = [count for count in errors if math.isfinite(errors[count])]
        if not finite:
            raise DataError("no number of analogs gives finite forecasts", where="analog.neighbours")
        self.neighbours.fill_(min(finite, key=errors.__getitem__))
        self._sampled = self._options.sampled

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the next state, which is NaN where a state is so far off that its distances are no numbers."""
        known = (4 * state.square().sum(dim=1)).isfinite()  # squares of differences are at most twice both squares
        if not known.all():
            found = torch.full_like(state, torch.nan)
            if known.any():
                found[known] = self.advance(state[known], memory)[0]
            return found, memory
        queries = self._divided(windows(state, self._options.reach))
        found = torch.stack(
            [
                torch.cat([self._forecasts(pool, part) for part in torch.split(group, _QUERIES)])
                for pool, group in zip(self._catalogue(), queries, strict=True)
            ]
        )
        if self._options.shared:
            return found.reshape(state.shape), memory
        return found.movedim(0, 1).flatten(1), memory

    def _divided(self, values: Tensor) -> Tensor:
        """Return values (time, window, ...) by the pool that they belong to, (pool, member, ...)."""
        return values.flatten(0, 1)[None] if self._options.shared else values.movedim(1, 0)

    def _catalogue(self) -> list[Pool]:
        """Return the pools that the states are searched in: one for all windows, or one for each."""
        kept = self._pools[0].near if self._pools else None
        if kept is not None and (kept.device, kept.dtype) == (self.states.device, self.states.dtype):
            return self._pools
        after = self.successors[:, None] if self._options.reach is None else self.successors[..., None]
        with torch.inference_mode(mode=False):  # they serve later forecasts, which may want a gradient
            near = self._divided(windows(self.states, self._options.reach))
            self._pools = [Pool(*both) for both in zip(near, self._divided(after), strict=True)]
        return self._pools

    def _forecasts(self, pool: Pool, queries: Tensor) -> Tensor:
        """Return forecasts (batch, values) from states or windows (batch, width)."""
        index = pool.nearest(queries.detach(), int(self.neighbours))
        near, after = pool.near[index], pool.after[index]
        offsets = near - queries[:, None]
        squares = offsets.square().sum(dim=-1)
        typical = squares.median(dim=1, keepdim=True).values.clamp_min(torch.finfo(squares.dtype).tiny)
        weights = torch.softmax(-squares / typical, dim=1)[..., None]
        if self._options.method == "local_linear":
            mean, departures = _regression(offsets, after, weights)
        else:
            values = after if self._options.method == "locally_constant" else after - self._centred(offsets)
            mean = (weights * values).sum(dim=1)
            departures = values - mean[:, None]
        return mean + _drawn(departures, weights) if self._sampled else mean

    def _centred(self, windows: Tensor) -> Tensor:
        """Return the entries (..., values) of windows (..., width) that are forecast."""
        reach = self._options.reach
        return windows if reach is None else windows[..., reach : reach + 1]


def _regression(offsets: Tensor, after: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted linear regression of successors on offsets from the state: its value at offset zero, and what it misses.

    offsets (batch, analogs, width), after (batch, analogs, values), weights (batch, analogs, 1).
    """
    features, roots = torch.cat([torch.ones_like(offsets[..., :1]), offsets], dim=-1), weights.sqrt()
    # The default driver on the CPU gives other last bits when arrays lie elsewhere in memory.
    driver = "gelsd" if offsets.device.type == "cpu" else None
    coefficients: Tensor = torch.linalg.lstsq(roots * features, roots * after, driver=driver).solution
    return coefficients[:, 0], after - features @ coefficients


def _drawn(departures: Tensor, weights: Tensor) -> Tensor:
    """Draw from a normal distribution with the weighted covariance of departures (batch, analogs, values)."""
    scale = (weights / (1 - weights.square().sum(dim=1, keepdim=True)).clamp_min(_LEAST_FREEDOM)).sqrt()
    return (scale * departures * torch.randn_like(departures[..., :1])).sum(dim=1)
