"""Analog forecasting as a network without weights."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import torch
from scipy.spatial import KDTree
from torch import Tensor

from pipeline_lib.errors import DataError
from pipeline_lib.learning.forecaster import Forecaster, forecast_error

if TYPE_CHECKING:
    from pipeline_lib.models.analog import Analog

logger = logging.getLogger(__name__)

_TREE_DIMENSIONS = 10
"""Beyond that a tree visits all states anyway."""
_LEAST_FREEDOM = 1e-3
"""Of a covariance: where a single analog has nearly all the weight, there is no spread to tell."""
_QUERIES = 1000
"""States that are compared with the whole catalogue at once."""


class AnalogStep(Forecaster):
    """Forecasts a state by the successors of the nearest states of a catalogue.

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
        self._tree: KDTree | None = None

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
        self._tree = None

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
        index = self._nearest(state.detach(), int(self.neighbours))
        near, after = self.states[index], self.successors[index]
        squares = (near - state[:, None]).square().sum(dim=-1)
        typical = squares.median(dim=1, keepdim=True).values.clamp_min(torch.finfo(squares.dtype).tiny)
        weights = torch.softmax(-squares / typical, dim=1)[..., None]
        if self._options.method == "local_linear":
            mean, departures = _regression(near - state[:, None], after, weights)
        else:
            values = after if self._options.method == "locally_constant" else state[:, None] + after - near
            mean = (weights * values).sum(dim=1)
            departures = values - mean[:, None]
        return (mean + _drawn(departures, weights) if self._sampled else mean), memory

    def _nearest(self, state: Tensor, count: int) -> Tensor:
        """Return the numbers (batch, count) of the nearest states."""
        if state.shape[1] <= _TREE_DIMENSIONS and state.device.type == "cpu":
            if self._tree is None:
                self._tree = KDTree(self.states.numpy())
            _, found = self._tree.query(state.numpy(), k=range(1, count + 1), workers=torch.get_num_threads())
            return torch.from_numpy(found)
        found = [
            torch.cdist(part, self.states).topk(count, largest=False).indices for part in torch.split(state, _QUERIES)
        ]
        return torch.cat(found)


def _regression(offsets: Tensor, after: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted linear regression of successors on offsets from the state: its value at offset zero, and what it misses.

    offsets, after (batch, analogs, dimension), weights (batch, analogs, 1).
    """
    features, roots = torch.cat([torch.ones_like(offsets[..., :1]), offsets], dim=-1), weights.sqrt()
    # The default driver on the CPU gives other last bits when arrays lie elsewhere in memory.
    driver = "gelsd" if offsets.device.type == "cpu" else None
    coefficients: Tensor = torch.linalg.lstsq(roots * features, roots * after, driver=driver).solution
    return coefficients[:, 0], after - features @ coefficients


def _drawn(departures: Tensor, weights: Tensor) -> Tensor:
    """Draw from a normal distribution with the weighted covariance of departures (batch, analogs, dimension)."""
    scale = (weights / (1 - weights.square().sum(dim=1, keepdim=True)).clamp_min(_LEAST_FREEDOM)).sqrt()
    return (scale * departures * torch.randn_like(departures[..., :1])).sum(dim=1)
