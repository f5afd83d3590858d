"""Networks that continue a sequence of frames."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn


class Nowcaster(nn.Module):
    """A network that sees some frames and answers with those that follow.

    Attributes
    ----------
    link
        What turns the output into the values of frames: nothing, or the logistic function, with which values lie
        between 0 and 1 and a cross entropy can be computed from the output without loss.
    """

    link: ClassVar[Literal["identity", "logistic"]] = "identity"

    @abstractmethod
    def forward(self, frames: Tensor) -> Tensor:
        """Return the output (batch, leads, height, width), before the link.

        Parameters
        ----------
        frames
            (batch, seen, channels, height, width), the oldest first; channel 0 is the one to forecast. Nothing is
            missing: gaps were filled.
        """

    def forecast(self, frames: Tensor) -> Tensor:
        """Return the forecast frames (batch, leads, height, width) in the values of channel 0."""
        output: Tensor = self(frames)
        return output.sigmoid() if self.link == "logistic" else output
