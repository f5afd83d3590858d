"""Continuations of a sequence of frames in which nothing is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import atan

import torch
from torch import Tensor

from pipeline_lib.learning.nowcaster import Nowcaster


class Persistence(Nowcaster):
    """The last frame, at every lead.

    Parameters
    ----------
    leads
        Frames to forecast.
    """

    def __init__(self, leads: int) -> None:
        super().__init__()
        self.leads = leads

    def forward(self, frames: Tensor) -> Tensor:
        """Return (batch, leads, height, width)."""
        return frames[:, -1:, 0].repeat(1, self.leads, 1, 1)


@dataclass(frozen=True)
class ArctanResponse:
    """A stretch of values from 0 to 1 around an intensity: the arc tangent, scaled so that 0 and 1 stay where they are.

    Parameters
    ----------
    centre
        Where the stretch is steepest, as a value between 0 and 1.
    sharpness
        Distance from there at which the arc tangent has come half its way, in the same scale.
    """

    centre: float
    sharpness: float

    @property
    def _ends(self) -> tuple[float, float]:
        return atan(-self.centre / self.sharpness), atan((1 - self.centre) / self.sharpness)

    def stretch(self, values: Tensor) -> Tensor:
        """Return the stretched values."""
        low, high = self._ends
        return (((values - self.centre) / self.sharpness).atan() - low) / (high - low)

    def undo(self, stretched: Tensor) -> Tensor:
        """Return the values that were stretched; exactly 0 where the stretched ones are."""
        low, high = self._ends
        values = (low + (high - low) * stretched).tan() * self.sharpness + self.centre
        return torch.where(stretched == 0, 0, values)


class FlowExtrapolation(Nowcaster):
    """The last frame, moved along the flow of the frames before.

    Parameters
    ----------
    leads
        Frames to forecast.
    flow
        Finds the flow from one frame (batch, height, width) to the next, see :mod:`pipeline_lib.motion`.
    advect
        Moves a frame along a flow, for a number of leads.
    weights
        Of the flows between successive frames, the latest first; one more frame than weights is read.
    grey
        Grey values per unit of the frames, when the flow is sought.
    weakest
        Values below are noise: 0 takes their place; ``None`` if values may be of any sign and size.
    response
        Stretches the values before, and is undone after the forecast.
    motion_of
        Channel whose flow is sought, if it is not that of the frames that are moved, 0.
    """

    def __init__(
        self,
        leads: int,
        flow: Callable[[Tensor, Tensor], Tensor],
        advect: Callable[[Tensor, Tensor, int], Tensor],
        *,
        grey: float,
        weights: Sequence[float] = (1.0,),
        weakest: float | None = None,
        response: ArctanResponse | None = None,
        motion_of: int = 0,
    ) -> None:
        super().__init__()
        self.motion_of = motion_of
        self.leads, self.flow, self.advect, self.grey = leads, flow, advect, grey
        self.weights, self.weakest, self.response = tuple(weights), weakest, response

    def forward(self, frames: Tensor) -> Tensor:
        """Return (batch, leads, height, width)."""
        seen = frames[:, -1 - len(self.weights) :, 0]
        seen = seen if self.weakest is None else torch.where(seen < self.weakest, 0, seen)
        seen = self.response.stretch(seen) if self.response else seen
        moving = frames[:, -1 - len(self.weights) :, self.motion_of] if self.motion_of else seen
        flow = self._mean_flow(self.grey * moving)
        forecast = self.advect(seen[:, -1], flow, self.leads)
        return self.response.undo(forecast) if self.response else forecast

    def _mean_flow(self, seen: Tensor) -> Tensor:
        """Return the weighted flow (batch, 2, height, width) of frames (batch, time, height, width)."""
        pairs = len(self.weights)
        found = self.flow(seen[:, :-1].flatten(0, 1), seen[:, 1:].flatten(0, 1))
        flows = found.reshape(-1, pairs, *found.shape[1:])
        weights = torch.tensor(self.weights[::-1], dtype=flows.dtype, device=flows.device)
        return torch.einsum("bpcij,p->bcij", flows, weights)
