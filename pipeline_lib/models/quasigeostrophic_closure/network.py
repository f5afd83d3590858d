"""Coarse two-dimensional turbulence as a forecaster."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from pipeline_lib.models.closure_networks import ClosureStep, StencilFlux, convergence, magnitude
from pipeline_lib.solvers.quasigeostrophic import FORCED_WAVENUMBER, QuasiGeostrophic, steadily_forced

if TYPE_CHECKING:
    from pipeline_lib.models.quasigeostrophic_closure import QuasiGeostrophicClosure
    from pipeline_lib.models.states import States

_LENGTH = 2 * math.pi
_CONSTANTS = {"smagorinsky": 0.11, "leith": 0.22}
"""Before training, as in the code that goes with Frezat et al. (2022, J. Adv. Model. Earth Syst. 14)."""


class EddyViscosity(nn.Module):
    """Fluxes down the gradient of vorticity, with a viscosity that depends on the flow.

    (C dx)^2 |S|, S the strain (Smagorinsky 1963, Mon. Weather Rev. 91), or (C dx)^3 |grad q| (Leith 1996, Physica D
    98), by central differences of second order.

    Parameters
    ----------
    kind
        Which of the two.
    spacing
        dx, in the unit of length of the fields.
    """

    def __init__(self, kind: Literal["smagorinsky", "leith"], spacing: float) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.tensor(_CONSTANTS[kind]))
        self._kind, self._spacing = kind, spacing

    def forward(self, fields: Tensor) -> Tensor:
        """Return fluxes (batch, 2, y, x) of vorticity and streamfunction (batch, 2, y, x)."""
        vorticity, streamfunction = fields.unbind(1)
        if self._kind == "smagorinsky":
            viscosity = (self.constant * self._spacing) ** 2 * self._strain(streamfunction)
        else:
            slopes = [self._slope(vorticity, axis) for axis in (-2, -1)]
            viscosity = (self.constant * self._spacing) ** 3 * magnitude(torch.stack(slopes))
        faces = []
        for axis in (-2, -1):
            at_face = (viscosity + viscosity.roll(-1, axis)) / 2
            faces.append(-at_face * (vorticity.roll(-1, axis) - vorticity) / self._spacing)
        return torch.stack(faces, 1)

    def _slope(self, field: Tensor, axis: int) -> Tensor:
        return (field.roll(-1, axis) - field.roll(1, axis)) / (2 * self._spacing)

    def _strain(self, streamfunction: Tensor) -> Tensor:
        """|S| = sqrt((2 psi_xy)^2 + (psi_xx - psi_yy)^2)."""
        curvature_y, curvature_x = (
            (streamfunction.roll(-1, axis) - 2 * streamfunction + streamfunction.roll(1, axis)) / self._spacing**2
            for axis in (-2, -1)
        )
        shear = 2 * self._slope(self._slope(streamfunction, -1), -2)
        return magnitude(torch.stack([shear, curvature_x - curvature_y]))


class ClosureTerm(nn.Module):
    """The tendency of the vorticity by a flux.

    The flux sees vorticity and streamfunction in the units of time and length that the flow itself sets: the inverses
    of ``scale`` and of the wavenumber of the forcing.

    Parameters
    ----------
    flux
        Of fields in these units.
    system
        Whose streamfunction it is.
    spacing
        Distance of two points, in the unit of the system.
    scale
        Standard deviation of the vorticity.
    """

    def __init__(self, flux: nn.Module, system: QuasiGeostrophic, spacing: float, scale: float) -> None:
        super().__init__()
        self.flux, self._spacing, self._scale = flux, spacing, scale
        self._inverted = system.streamfunction

    def forward(self, state: Tensor) -> Tensor:
        """Return what is added to the tendency of states (..., y, x); its sum is 0."""
        grid = state.shape[-2:]
        fields = torch.stack([state, FORCED_WAVENUMBER**2 * self._inverted(state)], -3) / self._scale
        values = next(self.flux.parameters())
        flux = self.flux(fields.reshape(-1, 2, *grid).to(values.dtype))
        unit = self._scale**2 / FORCED_WAVENUMBER
        return convergence(flux, self._spacing / unit).reshape(state.shape)


class QuasiGeostrophicStep(ClosureStep):
    """Vorticity from one state to the next."""

    diagnostics = MappingProxyType({"kinetic_energy": ("mean kinetic energy", "1")})
    spectra = MappingProxyType({"energy_spectrum": ("kinetic energy", "1"), "enstrophy_spectrum": ("enstrophy", "1")})

    def __init__(self, options: QuasiGeostrophicClosure.Options, states: States) -> None:
        super().__init__(options, states)
        self.term_shape = height, width = states.shape
        self.system = steadily_forced(
            (height, width), viscosity=options.viscosity, drag=options.drag, strength=options.strength
        )
        if options.closure != "none":
            spacing = _LENGTH / width
            self.system.closure = ClosureTerm(_flux(options, spacing), self.system, spacing, states.scale)

    def fields(self, state: Tensor) -> Tensor:
        """Return vorticity (..., y, x), in double precision, of normalised states."""
        return super().fields(state.double())

    def diagnose(self, state: Tensor) -> dict[str, Tensor]:
        """Return the kinetic energy, the squared velocity's half."""
        return {"kinetic_energy": self.system.energy(self.fields(state))}

    def spectrum(self, state: Tensor) -> dict[str, Tensor]:
        """Return the complete shells of energy and enstrophy."""
        vorticity = self.fields(state)
        found = {
            "energy_spectrum": self.system.energy_spectrum(vorticity),
            "enstrophy_spectrum": self.system.enstrophy_spectrum(vorticity),
        }
        return {name: shells[..., : min(self._states.shape) // 2 + 1] for name, shells in found.items()}


def _flux(options: QuasiGeostrophicClosure.Options, spacing: float) -> nn.Module:
    if options.closure in ("smagorinsky", "leith"):
        return EddyViscosity(options.closure, FORCED_WAVENUMBER * spacing)
    hidden = options.hidden if options.closure == "network" else 0
    return StencilFlux(2, 2, width=options.width, layers=options.layers, hidden=hidden)
