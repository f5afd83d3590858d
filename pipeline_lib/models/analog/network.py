"""Analog forecasting as a network without weights."""

from __future__ import annotations

import logging
from typing import Any

import torch
from scipy.spatial import KDTree
from torch import Tensor

from pipeline_lib.errors import DataError
from pipeline_lib.learning.forecaster import Forecaster, forecast_error

logger = logging.getLogger(__name__)

_TREE_DIMENSIONS = 10
"""Beyond that a tree visits all states anyway."""
_QUERIES = 1000
"""States that are compared with the whole catalogue at once."""


class AnalogStep(Forecaster):
    """Forecasts a state by the successors of the nearest states of a catalogue.

    Parameters
    ----------
    dimension
        Components of a state.
    size
        States in the catalogue.
    candidates
        Numbers of analogs to choose from.
    method
        ``locally_constant``, ``locally_incremental`` or ``local_linear``.
    """

    states: Tensor
    successors: Tensor
    neighbours: Tensor

    def __init__(self, dimension: int, size: int, candidates: tuple[int, ...], method: str) -> None:
        super().__init__()
        for name in ("states", "successors"):
            self.register_buffer(name, torch.zeros(size, dimension, dtype=torch.float64))
        self.register_buffer("neighbours", torch.tensor(candidates[0]))
        self._candidates, self._method = candidates, method
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
        """Take the number of analogs that forecasts consecutive states (time, dimension) best, up to ``horizon``."""
        errors = {}
        for count in self._candidates:
            self.neighbours.fill_(count)
            errors[count] = forecast_error(self, states, horizon)
            logger.info("%d analogs: validation rmse %.4g", count, errors[count])
        self.neighbours.fill_(min(errors, key=errors.__getitem__))

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the next state."""
        index = self._nearest(state.detach(), int(self.neighbours))
        near, after = self.states[index], self.successors[index]
        squares = (near - state[:, None]).square().sum(dim=-1)
        typical = squares.median(dim=1, keepdim=True).values.clamp_min(torch.finfo(squares.dtype).tiny)
        weights = torch.softmax(-squares / typical, dim=1)[..., None]
        if self._method == "locally_constant":
            return (weights * after).sum(dim=1), memory
        if self._method == "locally_incremental":
            return state + (weights * (after - near)).sum(dim=1), memory
        return _regression(near - state[:, None], after, weights.sqrt()), memory

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


def _regression(offsets: Tensor, after: Tensor, roots: Tensor) -> Tensor:
    """Weighted linear regression of successors on offsets from the state, taken at offset zero.

    offsets, after (batch, analogs, dimension), roots of the weights (batch, analogs, 1) -> (batch, dimension).
    """
    features = torch.cat([torch.ones_like(offsets[..., :1]), offsets], dim=-1)
    coefficients: Tensor = torch.linalg.lstsq(roots * features, roots * after).solution
    return coefficients[:, 0]
