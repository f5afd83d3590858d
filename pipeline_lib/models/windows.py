"""What models that fill windows of partly observed states have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.models.states import States

if TYPE_CHECKING:
    import torch


class WindowModel(NetworkModel):
    """A model that turns a first guess, observed values and their mask into the states of a window.

    Its network is called with three tensors (batch, component, time), normalised, and returns one. If it holds a prior,
    what the dynamics expect of a trajectory, that is its attribute ``prior``.
    """

    threads = 1  # arrays too small to be worth dividing

    @classmethod
    def build(cls, options: Any, **sizes: Any) -> torch.nn.Module:  # noqa: ANN401 - own Options; what `States` holds
        """Return a freshly initialised network for states that ``sizes`` describe."""
        states = States(**sizes)
        if len(states.shape) != 1:
            raise ConfigError(f"fills states of one axis, not of {len(states.shape)}", where=cls.card.title)
        return cls.reconstructor(options, states)

    @classmethod
    @abstractmethod
    def reconstructor(cls, options: Any, states: States) -> torch.nn.Module:  # noqa: ANN401 - own Options
        """Return a freshly initialised network.

        Parameters
        ----------
        options
            An instance of this class's ``Options``.
        states
            What is sought.
        """
