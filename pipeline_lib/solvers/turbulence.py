"""Homogeneous isotropic turbulence with passive scalars in a periodic cube; pseudo-spectral.

    du/dt + div(u u) = -grad p + nu Lap u + A u',   div u = 0,   dc/dt + div(u c) = kappa Lap c - G u

States are grid values of shape ``(..., 3 + scalars, z, y, x)``: the velocities along x, y and z, then the scalars.
Products are taken on a grid 3/2 as fine, so that the advection is the exact Galerkin one. A u', proportional to the
departure of the velocity from its mean, is the linear forcing of Lundgren (2003, CTR Annual Research Briefs) in the
form that Rosales & Meneveau (2005, Phys. Fluids 17) use. G is a mean gradient of the scalars along x, from which c
departs: it keeps scalars in balance as well (Overholt & Pope 1996, Phys. Fluids 8). All three as recalled, not checked
against the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipeline_lib.solvers import spectral

COMPONENTS = 3
"""Components of the velocity, the first channels of a state."""


class Turbulence(nn.Module):
    """Tendency of velocity and scalars, for `pipeline_lib.solvers.schemes.integrate`.

    A module in double precision; ``.float()`` and ``.to(device)`` lead to others.

    Parameters
    ----------
    size
        Points along each axis of the cube, whose side is 2 pi.
    viscosity
        Viscosity nu; a tensor may be trained, or differ within the batch (shape ``(batch, 1, 1, 1, 1)``).
    diffusivity
        Diffusivity kappa of the scalars, likewise.
    forcing
        Rate A of the linear forcing.
    gradient
        Mean gradient G of the scalars along x.
    closure
        Callable of the state that returns what is added to the tendency, such as a neural network.
    """

    wavenumber_x: Tensor
    wavenumber_y: Tensor
    wavenumber_z: Tensor
    squared: Tensor

    def __init__(
        self,
        size: int,
        *,
        viscosity: float | Tensor,
        diffusivity: float | Tensor = 0.0,
        forcing: float | Tensor = 0.0,
        gradient: float | Tensor = 0.0,
        closure: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.sizes = (size,) * COMPONENTS
        self.products = spectral.dealiased_sizes(self.sizes)
        self.viscosity, self.diffusivity, self.forcing, self.gradient = viscosity, diffusivity, forcing, gradient
        self.closure = closure
        for name, wavenumber in zip("zyx", spectral.wavenumbers(self.sizes, odd=True), strict=True):
            self.register_buffer(f"wavenumber_{name}", wavenumber, persistent=False)
        z, y, x = spectral.wavenumbers(self.sizes)
        self.register_buffer("squared", z**2 + y**2 + x**2, persistent=False)

    @property
    def _wavenumbers(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.wavenumber_x, self.wavenumber_y, self.wavenumber_z

    def forward(self, state: Tensor, time: float) -> Tensor:
        """Return the tendency, shape of the state."""
        hat = spectral.coefficients(state, COMPONENTS)
        transport = self._flux_divergence(hat)
        velocity, scalars = _split(hat)
        fluctuation = velocity * (self.squared != 0)
        momentum = self._projected(-transport[..., :COMPONENTS, :, :, :])
        momentum = momentum - self.viscosity * self.squared * velocity + self.forcing * fluctuation
        mixing = -transport[..., COMPONENTS:, :, :, :] - self.diffusivity * self.squared * scalars
        mixing = mixing - self.gradient * velocity[..., :1, :, :, :]
        tendency = spectral.values(torch.cat((momentum, mixing), -4), self.sizes)
        return tendency if self.closure is None else tendency + self.closure(state)

    def _flux_divergence(self, hat: Tensor) -> Tensor:
        flow = spectral.values(spectral.resized(hat, self.sizes, self.products), self.products)
        total = torch.zeros_like(hat)
        for component, wavenumber in enumerate(self._wavenumbers):
            flux = spectral.coefficients(flow[..., component, None, :, :, :] * flow, COMPONENTS)
            total = total + 1j * wavenumber * spectral.resized(flux, self.products, self.sizes)
        return total

    def _divergence(self, velocity: Tensor) -> Tensor:
        u, v, w = velocity.unbind(-4)
        return 1j * (self.wavenumber_x * u + self.wavenumber_y * v + self.wavenumber_z * w)

    def _projected(self, velocity: Tensor) -> Tensor:
        squared = self.wavenumber_x**2 + self.wavenumber_y**2 + self.wavenumber_z**2
        potential = 1j * self._divergence(velocity) / torch.where(squared == 0, 1.0, squared)
        return velocity + torch.stack([wavenumber * potential for wavenumber in self._wavenumbers], -4)

    def projected(self, velocity: Tensor) -> Tensor:
        """Return the part of a velocity without divergence, shape ``(..., 3, z, y, x)``."""
        return spectral.values(self._projected(spectral.coefficients(velocity, COMPONENTS)), self.sizes)

    def divergence(self, state: Tensor) -> Tensor:
        """Return the divergence of the velocity, shape ``(..., z, y, x)``."""
        velocity, _ = _split(spectral.coefficients(state, COMPONENTS))
        return spectral.values(self._divergence(velocity), self.sizes)

    def gradients(self, state: Tensor) -> Tensor:
        """Return the derivatives of each channel along x, y and z, shape ``(..., channels, 3, z, y, x)``."""
        hat = spectral.coefficients(state, COMPONENTS)
        slopes = torch.stack([1j * wavenumber * hat for wavenumber in self._wavenumbers], -4)
        return spectral.values(slopes, self.sizes)

    def convergence(self, flux: Tensor) -> Tensor:
        """Return the tendency by fluxes of each channel along x, y and z, of the velocity without its divergence.

        Parameters
        ----------
        flux
            Shape ``(..., 3 + scalars, 3, z, y, x)``: velocities along x, y and z first.

        Returns
        -------
        Tensor
            Shape ``(..., 3 + scalars, z, y, x)``, with means 0 and no Nyquist modes.
        """
        hat = spectral.resized(spectral.coefficients(flux, COMPONENTS), self.sizes, self.sizes)
        along = zip(self._wavenumbers, hat.unbind(-4), strict=True)
        velocity, scalars = _split(-1j * torch.stack([wavenumber * part for wavenumber, part in along]).sum(0))
        return spectral.values(torch.cat((self._projected(velocity), scalars), -4), self.sizes)

    def energy(self, state: Tensor) -> Tensor:
        """Return the mean kinetic energy <u^2> / 2, shape ``(...)``."""
        return (_split(state)[0] ** 2).sum(-4).mean((-3, -2, -1)) / 2

    def dissipation(self, state: Tensor) -> Tensor:
        """Return the mean viscous dissipation nu <|grad u|^2>, shape ``(...)``."""
        velocity, _ = _split(spectral.coefficients(state, COMPONENTS))
        power = (self.viscosity * self.squared * velocity.abs() ** 2).sum(-4)
        return spectral.shell_sums(power, self.sizes).sum(-1)

    def energy_spectrum(self, state: Tensor) -> Tensor:
        """Return what each shell of wavenumbers holds of the kinetic energy, shape ``(..., shells)``."""
        return spectral.spectrum(_split(state)[0], COMPONENTS).sum(-2)

    def random_state(
        self,
        spectrum: spectral.Spectrum,
        generator: torch.Generator,
        *,
        scalars: Sequence[spectral.Spectrum] = (),
    ) -> Tensor:
        """Return a flow without divergence, and scalars, with random phases and given spectra.

        Parameters
        ----------
        spectrum
            Energy that each shell of wavenumbers 1, 2, … holds; exactly that, not only on average.
        generator
            Where the random numbers come from.
        scalars
            For each scalar, half the variance that each shell holds.

        Returns
        -------
        Tensor
            Shape ``(3 + scalars, z, y, x)``, with means 0 and no Nyquist modes.
        """
        shape = (COMPONENTS + len(scalars), *self.sizes)
        noise = torch.randn(shape, generator=generator, dtype=self.squared.dtype, device=generator.device)
        hat = spectral.coefficients(noise.to(self.squared.device), COMPONENTS)
        velocity, rest = _split(spectral.resized(hat, self.sizes, self.sizes))
        velocity = self._projected(velocity)
        parts = [spectral.scaled_to(velocity, _power(velocity), spectrum, self.sizes)]
        for wanted, scalar in zip(scalars, rest.unbind(-4), strict=True):
            scalar = scalar.unsqueeze(-4)
            parts.append(spectral.scaled_to(scalar, _power(scalar), wanted, self.sizes))
        return spectral.values(torch.cat(parts, -4), self.sizes)


def subgrid_term(fine: Turbulence, coarse: Turbulence, state: Tensor) -> Tensor:
    """Return what the tendency of a fine box, its high modes cut off, holds beyond the tendency of the coarse box.

    A closure that returned it would make the coarse equations those of the filtered state. The filter is
    `pipeline_lib.solvers.spectral.truncated`: a velocity keeps to have no divergence.

    Parameters
    ----------
    fine, coarse
        The equations on either grid.
    state
        Fine state, shape ``(..., 3 + scalars, z, y, x)``.

    Returns
    -------
    Tensor
        Shape ``(..., 3 + scalars, *coarse grid)``: the velocity's part has no divergence, all means are 0.
    """
    filtered = spectral.truncated(torch.stack((state, fine(state, 0.0))), coarse.sizes)
    missing: Tensor = filtered[1] - coarse(filtered[0], 0.0)
    return missing


def _split(channels: Tensor) -> tuple[Tensor, Tensor]:
    return channels[..., :COMPONENTS, :, :, :], channels[..., COMPONENTS:, :, :, :]


def _power(hat: Tensor) -> Tensor:
    return (hat.abs() ** 2).sum(-4, keepdim=True) / 2
