"""What models that advance states have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline_lib.errors import ConfigError
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
    history: int = 1
    """True ones that a forecast starts from, the present one included."""

    @property
    def dimension(self) -> int:
        """Number of values of a state."""
        return math.prod(self.shape)


class StateModel(NetworkModel):
    """A model that advances states; its network is a :class:`~pipeline_lib.learning.forecaster.Forecaster`.

    Attributes
    ----------
    remembers
        Whether states before the present one change its forecasts.
    """

    threads = 1  # arrays too small to be worth dividing
    remembers: ClassVar[bool] = False

    @classmethod
    def build(cls, options: Any, **sizes: Any) -> Forecaster:  # noqa: ANN401 - own Options; what `States` holds
        """Return a freshly initialised network for states that ``sizes`` describe.

        Raises
        ------
        ConfigError
            If it cannot advance such states, or makes nothing of those before the present one.
        """
        states = States(**sizes)
        cls.check_history(options, states.history)
        return cls.forecaster(options, states)

    @classmethod
    def diagnosed(cls, options: Any) -> frozenset[str]:  # noqa: ANN401, ARG003 - own Options, for subclasses
        """Return the names of the ``diagnostics`` that the network tells of its states, which metrics may ask for."""
        return frozenset()

    @classmethod
    def check_history(cls, options: Any, history: int) -> None:  # noqa: ANN401, ARG003 - own Options, for subclasses
        """Refuse so many true states at the start of a forecast if the model makes nothing of them.

        Raises
        ------
        ConfigError
            If they have no effect, or are not enough.
        """
        if history > 1 and not cls.remembers:
            fix = "leave it out, or choose models with a memory"
            raise ConfigError(
                f"is {history}, and {cls.card.title} sees the present state alone", where="training.history", fix=fix
            )

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
