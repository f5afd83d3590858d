"""Networks that take a state one step on, and the loop that makes a forecast of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

_OF_STATES = 2
"""Axes of a batch of single states."""
_STARTS = 1000
"""Forecasts at most by which an error is told."""


class Forecaster(nn.Module):
    """A network that advances states of shape (batch, dimension), normalised, by one time step.

    Attributes
    ----------
    diagnostics
        Long name and unit of each scalar that :meth:`diagnose` makes of a state, by name; by default there is none.
    spectra
        Likewise of each isotropic spectrum that :meth:`spectrum` makes of a state.
    term_shape
        Sizes of the axes of the :meth:`term`, the last ones of a state; ``None`` of a network that knows no closure.
    """

    diagnostics: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType({})
    spectra: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType({})
    term_shape: tuple[int, ...] | None = None

    def diagnose(self, state: Tensor) -> dict[str, Tensor]:
        """Return the ``diagnostics`` (batch,) of states, in their own units."""
        return {}

    def spectrum(self, state: Tensor) -> dict[str, Tensor]:
        """Return the ``spectra`` (batch, shells) of states, in their own units: of wavenumbers 0, 1, ... of the box."""
        return {}

    def term(self, state: Tensor) -> Tensor:
        """Return what a closure adds to the tendency of states, (batch, *term_shape).

        In the unit of the states, not normalised, per unit of time of the source; zeros where there is no closure.
        """
        raise NotImplementedError(f"{type(self).__name__} knows no closure")

    def begin(self, state: Tensor) -> Any:  # noqa: ANN401 - what a network remembers is its own
        """Return what the network remembers before its first step; by default nothing."""
        return None

    def recall(self, past: Tensor) -> Any:  # noqa: ANN401 - its own
        """Return what the network remembers of true states (batch, time, dimension) before the first of its steps.

        They are in the order of time, and at least one. By default it steps through them and forgets its answers.
        """
        memory = self.begin(past[:, 0])
        for state in past.unbind(1):
            _, memory = self.advance(state, memory)
        return memory

    @abstractmethod
    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - its own
        """Return the next state, of the same shape, and the memory after it."""


class TermAlone(nn.Module):
    """The term of a closure, without the solver that it belongs to.

    Parameters
    ----------
    forecaster
        The network; it has a ``term_shape``.
    unit
        What terms are divided by, in the unit of the states per unit of time.
    """

    def __init__(self, forecaster: Forecaster, unit: float) -> None:
        super().__init__()
        self.forecaster, self._unit = forecaster, unit

    def forward(self, state: Tensor) -> Tensor:
        """Return the terms (batch, *term_shape) of states (batch, dimension), in their number format."""
        return (self.forecaster.term(state) / self._unit).to(state.dtype)


class Rollout(nn.Module):
    """Forecasts by feeding a network its own answers.

    Parameters
    ----------
    forecaster
        The network.
    steps
        Number of time steps.
    """

    def __init__(self, forecaster: Forecaster, steps: int) -> None:
        super().__init__()
        self.forecaster, self.steps = forecaster, steps

    def forward(self, known: Tensor) -> Tensor:
        """Return the forecasts (batch, steps, dimension) of states (batch, dimension).

        Where more is known than the present state, these are (batch, history, dimension), in the order of time.
        """
        if known.ndim == _OF_STATES:
            state, memory = known, self.forecaster.begin(known)
        else:
            state, memory = known[:, -1], self.forecaster.recall(known[:, :-1])
        found = []
        for _ in range(self.steps):
            state, memory = self.forecaster.advance(state, memory)
            found.append(state)
        return torch.stack(found, dim=1)


@torch.no_grad()
def forecast_error(forecaster: Forecaster, states: Tensor, horizon: int) -> float:
    """Return the root mean square error of forecasts of up to ``horizon`` steps from states evenly spread.

    Parameters
    ----------
    forecaster
        The network.
    states
        Consecutive normalised states (time, dimension).
    horizon
        Steps of each forecast.
    """
    available = len(states) - horizon
    starts = torch.linspace(0, available - 1, min(available, _STARTS)).long()
    future = torch.stack([states[starts + step] for step in range(1, horizon + 1)], dim=1)
    return float((Rollout(forecaster, horizon)(states[starts]) - future).square().mean().sqrt())
