"""What models that continue sequences of frames have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

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
    lowest_dbz: float | None = None
    """Reflectivity of the value 0 of the first variable [dBZ]; nothing if it is no rain."""
    highest_dbz: float | None = None
    """That of its value 1."""

    @property
    def known(self) -> KnownFrames:
        """All of it, as :meth:`FrameModel.check_frames` takes it."""
        ends = None if self.lowest_dbz is None or self.highest_dbz is None else (self.lowest_dbz, self.highest_dbz)
        return KnownFrames(self.seen, self.channels, self.height, self.width, ends, ends is not None)


class KnownFrames(NamedTuple):
    """What is known of frames, perhaps before there are any: ``None`` where only the data tell."""

    seen: int
    """Frames of the past."""
    channels: int | None
    """Variables of each frame, a level of one being one; the first is the one to forecast."""
    height: int | None
    """Rows."""
    width: int | None
    """Columns."""
    dbz: tuple[float, float] | None
    """Reflectivity of the values 0 and 1 of the first variable, if it is rain."""
    rain: bool | None
    """Whether it is."""


class FrameModel(NetworkModel):
    """A model that continues sequences of frames; its network is a :class:`~pipeline_lib.learning.nowcaster.Nowcaster`.

    A method in which nothing is learned, such as the last frame or an optical flow, is a network without parameters.
    """

    @classmethod
    def build(cls, options: Any, **sizes: Any) -> Nowcaster:  # noqa: ANN401 - own Options; what `Frames` holds
        """Return a freshly initialised network for frames that ``sizes`` describe."""
        return cls.nowcaster(options, Frames(**sizes))

    @classmethod
    def check_frames(cls, options: Any, known: KnownFrames) -> None:  # noqa: ANN401 - own Options
        """Refuse what no forecast can be made of, as far as it is known; planning asks, and whoever builds it.

        Raises
        ------
        ConfigError
            With the first mistake, ``where`` within the competitor.
        """

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
