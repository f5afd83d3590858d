"""What models that continue sequences of frames have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from pipeline_lib.models.base import NetworkModel
from pipeline_lib.options import Options

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


class Frames(Options):
    """The frames that a model sees and those that it is to forecast."""

    seen: int
    """Frames of the past."""
    leads: int
    """Frames of the future; all are one time step apart."""
    channels: int
    """Variables of each frame; the first is the one to forecast."""
    height: int
    """Rows."""
    width: int
    """Columns."""


class FrameModel(NetworkModel):
    """A model that continues sequences of frames; its network is a :class:`~pipeline_lib.learning.nowcaster.Nowcaster`.

    A method in which nothing is learned, such as the last frame or an optical flow, is a network without parameters.
    """

    @classmethod
    def build(cls, options: Any, **sizes: Any) -> Nowcaster:  # noqa: ANN401 - own Options; what `Frames` holds
        """Return a freshly initialised network for frames that ``sizes`` describe."""
        return cls.nowcaster(options, Frames(**sizes))

    @classmethod
    @abstractmethod
    def nowcaster(cls, options: Any, frames: Frames) -> Nowcaster:  # noqa: ANN401 - own Options
        """Return a freshly initialised network.

        Parameters
        ----------
        options
            An instance of this class's ``Options``.
        frames
            What it sees and what it is to forecast.

        Raises
        ------
        ConfigError
            If it cannot continue such frames.
        """
