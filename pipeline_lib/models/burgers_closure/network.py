"""The coarse equation of Burgers as a forecaster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline_lib.models.closure_networks import ClosureStep, StencilFlux, added, convergence
from pipeline_lib.solvers.burgers import FiniteVolumeBurgers, drifted

if TYPE_CHECKING:
    from pipeline_lib.models.burgers_closure import BurgersClosure
    from pipeline_lib.models.states import States

_CONSTANT = 0.16
"""Smagorinsky's before training, as in closures for this equation with which the subject is taught (DLGD2021)."""


class SmagorinskyFlux(nn.Module):
    """-(Cs dx)^2 |u_x| u_x: viscosity in proportion to the local slope (Smagorinsky 1963, Mon. Weather Rev. 91)."""

    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.tensor(_CONSTANT))

    def forward(self, fields: Tensor) -> Tensor:
        """Return fluxes (batch, 1, n) of velocities (batch, 1, n)."""
        jump = fields.roll(-1, -1) - fields  # dx u_x
        return -(self.constant**2) * jump.abs() * jump


class ClosureTerm(nn.Module):
    """The tendency of velocities (..., n) by a flux.

    Parameters
    ----------
    flux
        Of velocities in units of ``scale``, in units of its square.
    spacing
        Width of a cell.
    scale
        Standard deviation of the states.
    """

    def __init__(self, flux: nn.Module, spacing: float, scale: float) -> None:
        super().__init__()
        self.flux, self._spacing, self._scale = flux, spacing, scale

    def forward(self, velocity: Tensor) -> Tensor:
        """Return what is added to the tendency; its sum is 0."""
        fields = velocity.reshape(-1, 1, velocity.shape[-1]) / self._scale
        return convergence(self.flux(fields), self._spacing / self._scale**2).reshape(velocity.shape)


class BurgersStep(ClosureStep):
    """Velocity and force from one state to the next."""

    def __init__(self, options: BurgersClosure.Options, states: States) -> None:
        super().__init__(options, states)
        self._options = options
        self.closure = _closure(options, states)
        self.term_shape = states.shape[1:]

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the next state."""
        frequencies = self._options.frequencies
        velocity, force = self.fields(state).unbind(-2)
        system = FiniteVolumeBurgers(
            self._options.viscosity,
            self._options.length,
            forcing=lambda _, time: drifted(force, frequencies, time),
            closure=self.closure,
        )
        later = self.stepped(system, velocity), drifted(force, frequencies, self._states.step)
        return self.normalised(torch.stack(later, dim=-2)), memory

    def term(self, state: Tensor) -> Tensor:
        """Return what the closure adds to the tendency of the velocity."""
        return added(self.closure, self.fields(state)[..., 0, :])


def _closure(options: BurgersClosure.Options, states: States) -> ClosureTerm | None:
    flux: nn.Module
    if options.closure == "none":
        return None
    if options.closure == "smagorinsky":
        flux = SmagorinskyFlux()
    else:
        flux = StencilFlux(1, 1, width=options.width, hidden=options.hidden if options.closure == "network" else 0)
    return ClosureTerm(flux, options.length / states.shape[1], states.scale)
