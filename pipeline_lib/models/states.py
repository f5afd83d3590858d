"""What models that advance states have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from pipeline_lib.models.base import NetworkModel
from pipeline_lib.options import Options

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


class States(Options):
    """The states that a model is to advance."""

    shape: tuple[int, ...]
    """Sizes of the axes of a state."""
    step: float
    """Time between two states, in the unit of the source: a day of the calendar."""
    mean: float
    """Subtracted from the values before a network sees them."""
    scale: float
    """Then divided by."""

    @property
    def dimension(self) -> int:
        """Number of values of a state."""
        return math.prod(self.shape)


class StateModel(NetworkModel):
    """A model that advances states; its network is a :class:`~pipeline_lib.learning.forecaster.Forecaster`."""

    threads = 1  # arrays too small to be worth dividing

    @classmethod
    def build(cls, options: Any, **sizes: Any) -> Forecaster:  # noqa: ANN401 - own Options; what `States` holds
        """Return a freshly initialised network for states that ``sizes`` describe."""
        return cls.forecaster(options, States(**sizes))

    @classmethod
    @abstractmethod
    def forecaster(cls, options: Any, states: States) -> Forecaster:  # noqa: ANN401 - own Options
        """Return a freshly initialised network.

        Parameters
        ----------
        options
            An instance of this class's ``Options``.
        states
            What it is to advance, flattened and normalised.

        Raises
        ------
        ConfigError
            If it cannot advance such states.
        """
