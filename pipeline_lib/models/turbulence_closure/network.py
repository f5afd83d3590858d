"""A coarse box of turbulence as a forecaster.

Closures see the gradients of velocity and scalar (batch, field, axis, z, y, x), times the distance of two points and in
units of the standard deviation of the states, so that they are of order one whatever the units of the flow. They know
no velocity, only differences: an observer who moves along sees the same term. Fluxes have the same shape and are in
units of the square of the standard deviation.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pipeline_lib.models.closure_networks import ClosureStep, StencilFlux, magnitude
from pipeline_lib.models.turbulence_closure.published import InvariantNetwork, ScalarNetwork
from pipeline_lib.solvers import spectral
from pipeline_lib.solvers.turbulence import COMPONENTS, Turbulence

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_lib.models.states import States
    from pipeline_lib.models.turbulence_closure import TurbulenceClosure

_LENGTH = 2 * math.pi
_CONSTANT = 0.17
"""Smagorinsky's before training (Lilly 1967, as in Pope 2000, Turbulent Flows, section 13.4); for the scalar, too."""
_STRESS = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
"""Where the entries of a symmetric stress stand among six."""


class EddyViscosity(nn.Module):
    """Fluxes down the gradients, -2 (Cs dx)^2 |S| S and -(Cc dx)^2 |S| grad c (Smagorinsky 1963, Mon. Weather Rev. 91).

    Cs^2 / Cc^2 is the turbulent Schmidt number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.constants = nn.Parameter(torch.full((2,), _CONSTANT))

    def forward(self, gradients: Tensor) -> Tensor:
        """Return fluxes of gradients, both (batch, field, axis, z, y, x)."""
        strain, _, slopes = _parts(gradients)
        viscosity, diffusivity = self.constants.square()
        rate = _rate(strain)
        return torch.cat((-2 * viscosity * rate * strain, -diffusivity * rate * slopes), 1)


class ProductsOfGradients(nn.Module):
    """Fluxes linear in the products of two gradients that turn with the axes; seven constants, 0 before training.

    Of the stress |S| S, S S, W W and S W - W S, with the rates of strain S and of rotation W; of the flux of the scalar
    |S| g, S g and W g, with its gradient g. The part of Pope (1975, J. Fluid Mech. 72) that is of second order, as Lund
    & Novikov (1992, CTR Annual Research Briefs) regress it: Smagorinsky's closure and the gradient model of Clark,
    Ferziger & Reynolds (1979, J. Fluid Mech. 91), which is (S + W)(S - W), are in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stress, self.flux = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(3))

    def forward(self, gradients: Tensor) -> Tensor:
        """Return fluxes of gradients, both (batch, field, axis, z, y, x)."""
        strain, rotation, slopes = _parts(gradients)
        rate, mixed = _rate(strain), _product(strain, rotation)
        a, b, c, d = self.stress
        stress = a * rate * strain + b * _product(strain, strain) + c * _product(rotation, rotation)
        stress = stress + d * (mixed + mixed.transpose(1, 2))  # of S W - W S
        a, b, c = self.flux
        flux = a * rate * slopes + b * _product(slopes, strain) - c * _product(slopes, rotation)
        return torch.cat((stress, flux), 1)


class NetworkFlux(nn.Module):
    """A symmetric stress and a flux of the scalar, by convolutions of the gradients; without ``hidden``, linear."""

    def __init__(self, options: TurbulenceClosure.Options, *, hidden: int) -> None:
        super().__init__()
        fields = COMPONENTS + 1
        entries = 1 + max(max(row) for row in _STRESS)
        self.net = StencilFlux(
            COMPONENTS,
            fields * COMPONENTS,
            width=options.width,
            layers=options.layers,
            hidden=hidden,
            fluxes=entries + COMPONENTS,
        )
        self._order = [*(entry for row in _STRESS for entry in row), *range(entries, entries + COMPONENTS)]

    def forward(self, gradients: Tensor) -> Tensor:
        """Return fluxes of gradients, both (batch, field, axis, z, y, x)."""
        fluxes: Tensor = self.net(gradients.flatten(1, 2))
        return fluxes[:, self._order].reshape(gradients.shape)


class FluxTerm(nn.Module):
    """The tendency of velocity and scalar by fluxes.

    Parameters
    ----------
    flux
        Of gradients, in the units of this module.
    system
        Which knows derivatives.
    spacing
        Distance of two points.
    scale
        Standard deviation of the states.
    """

    def __init__(self, flux: nn.Module, system: Turbulence, spacing: float, scale: float) -> None:
        super().__init__()
        self.flux, self._spacing, self._scale = flux, spacing, scale
        self._gradients, self._convergence = system.gradients, system.convergence

    def forward(self, state: Tensor) -> Tensor:
        """Return what is added to the tendency of states (..., field, z, y, x); its sums and its divergence are 0."""
        states = state.reshape(-1, *state.shape[-4:])
        gradients = self._gradients(spectral.truncated(states, state.shape[-3:])) * (self._spacing / self._scale)
        flux = self.flux(gradients.to(next(self.flux.parameters()).dtype)).to(gradients.dtype)
        return self._convergence(flux * self._scale**2).reshape(state.shape)


class ScalarTerm(nn.Module):
    """The tendency of the scalar by a network that answers with it, less its mean; the velocity has none.

    Parameters
    ----------
    network
        Of velocity and scalar (batch, field, z, y, x) in units of ``scale``; returns (batch, 1, z, y, x).
    spacing, scale
        As of :class:`FluxTerm`.
    """

    def __init__(self, network: nn.Module, spacing: float, scale: float) -> None:
        super().__init__()
        self.network, self._scale, self._unit = network, scale, scale**2 / spacing

    def forward(self, state: Tensor) -> Tensor:
        """Return what is added to the tendency of states (..., field, z, y, x)."""
        states = state.reshape(-1, *state.shape[-4:])
        values = next(self.network.parameters())
        term = self._unit * self.network((states / self._scale).to(values.dtype)).to(state.dtype)
        term = spectral.truncated(term - term.mean((-3, -2, -1), keepdim=True), state.shape[-3:])
        return torch.cat((torch.zeros_like(states[:, :COMPONENTS]), term), 1).reshape(state.shape)


class TurbulenceStep(ClosureStep):
    """Velocity and scalar from one state to the next."""

    diagnostics = MappingProxyType(
        {"kinetic_energy": ("mean kinetic energy", "1"), "scalar_variance": ("variance of the scalar", "1")}
    )
    spectra = MappingProxyType(
        {"energy_spectrum": ("kinetic energy", "1"), "scalar_spectrum": ("half the variance of the scalar", "1")}
    )

    def __init__(self, options: TurbulenceClosure.Options, states: States) -> None:
        super().__init__(options, states)
        self.term_shape = states.shape
        self.system = Turbulence(
            states.shape[-1],
            viscosity=options.viscosity,
            diffusivity=options.diffusivity,
            forcing=options.forcing,
            gradient=options.gradient,
        ).float()  # whole wavenumbers: in double precision they are the same again
        if options.closure != "none":
            self.system.closure = _term(options, self.system, states)

    def diagnose(self, state: Tensor) -> dict[str, Tensor]:
        """Return the kinetic energy and the variance of the scalar."""
        flow = self.fields(state)
        variance = flow[..., COMPONENTS, :, :, :].var((-3, -2, -1), correction=0)
        return {"kinetic_energy": self.system.energy(flow), "scalar_variance": variance}

    def spectrum(self, state: Tensor) -> dict[str, Tensor]:
        """Return the complete shells of the energy of all three velocities, and of the scalar."""
        flow = self.fields(state)
        scalar = spectral.spectrum(flow[..., COMPONENTS, :, :, :], COMPONENTS)
        found = {"energy_spectrum": self.system.energy_spectrum(flow), "scalar_spectrum": scalar}
        return {name: shells[..., : flow.shape[-1] // 2 + 1] for name, shells in found.items()}


def _term(options: TurbulenceClosure.Options, system: Turbulence, states: States) -> nn.Module:
    spacing = _LENGTH / states.shape[-1]
    if options.closure == "scalar_network":
        return ScalarTerm(ScalarNetwork(), spacing, states.scale)
    if options.closure == "invariant_network":
        return ScalarTerm(InvariantNetwork(), spacing, states.scale)
    fluxes: dict[str, Callable[[], nn.Module]] = {
        "smagorinsky": EddyViscosity,
        "linear": ProductsOfGradients,
        "linear_stencil": lambda: NetworkFlux(options, hidden=0),
        "network": lambda: NetworkFlux(options, hidden=options.hidden),
    }
    return FluxTerm(fluxes[options.closure](), system, spacing, states.scale)


def _parts(gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rates of strain and of rotation (batch, 3, 3, z, y, x), gradients of scalars (batch, scalars, 3, z, y, x)."""
    velocity, slopes = gradients[:, :COMPONENTS], gradients[:, COMPONENTS:]
    turned = velocity.transpose(1, 2)
    return (velocity + turned) / 2, (velocity - turned) / 2, slopes


def _rate(strain: Tensor) -> Tensor:
    """|S| = sqrt(2 S:S), shape (batch, 1, 1, z, y, x)."""
    return math.sqrt(2) * magnitude(strain.flatten(1, 2).movedim(1, 0))[:, None, None]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product over the second and third axes."""
    return torch.einsum("bij...,bjk...->bik...", left, right)
