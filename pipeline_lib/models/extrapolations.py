"""Continuations of a sequence of frames in which nothing is learned."""

from __future__ import annotations

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
