"""Barotropic vorticity, or one-layer quasi-geostrophic, flow in a doubly periodic square; pseudo-spectral.

    dq/dt + J(psi, q) + beta v = -nu (-Lap)^p q - mu q + forcing + closure,   q = (Lap - 1/Ld^2) psi

(Vallis 2017, Atmospheric and Oceanic Fluid Dynamics, chapter 5.) States are grid values of q, of shape
``(..., y, x)``. Products are taken on a grid 3/2 as fine, so that the advection is the exact Galerkin one: it keeps
energy and enstrophy to round-off, and a filter that cuts off modes leads from the equations of one grid to those of
another. Damping is explicit: with viscosity, steps are limited by nu kmax^(2 p) (2.8 for RK4).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline_lib.solvers import spectral

GRAHAM_RINGLER_LENGTH = 5040e3 / math.pi
"""Unit of length of the set-up of Graham & Ringler (2013, Ocean Modelling 65) [m]: the box is 2 pi wide. This and the
constants below are as in the code that goes with Frezat et al. (2022, J. Adv. Model. Earth Syst. 14)."""
GRAHAM_RINGLER_TIME = 1.2e6
"""Unit of time [s]."""
GRAHAM_RINGLER_STEP = 600 / GRAHAM_RINGLER_TIME
"""Time step of 600 s on 512 x 512 points, in units of time."""
GRAHAM_RINGLER_DRAG = 1.25e-8 * GRAHAM_RINGLER_LENGTH
"""Linear drag: 1.25e-8 per metre in units of the set-up, used there as a rate per unit of time."""
GRAHAM_RINGLER_VISCOSITY = 1.375 * GRAHAM_RINGLER_TIME / GRAHAM_RINGLER_LENGTH**2
"""Viscosity of 1.375 m2 s-1 in units of the set-up."""
GRAHAM_RINGLER_SPIN_UP_VISCOSITY = 88 * GRAHAM_RINGLER_TIME / GRAHAM_RINGLER_LENGTH**2
"""Viscosity of 88 m2 s-1, with which the flow is spun up, in units of the set-up."""
GRAHAM_RINGLER_RATE = 1.75e-18 * GRAHAM_RINGLER_TIME**3
"""Strength of the forcing, 1.75e-18 s-3 (an enstrophy per time) in units of the set-up."""
FORCED_WAVENUMBER = 4
"""Wavenumber of the forcing."""
PHASE_FREQUENCY_X = 1.2e-6 * GRAHAM_RINGLER_TIME
"""Frequency with which the phase along x swings between -pi and pi."""
PHASE_FREQUENCY_Y = PHASE_FREQUENCY_X * math.pi / 3
"""The same for the phase along y."""


class QuasiGeostrophic(nn.Module):
    """Tendency of the potential vorticity, for `pipeline_lib.solvers.schemes.integrate`.

    A module in double precision; ``.float()`` and ``.to(device)`` lead to others.

    Parameters
    ----------
    sizes
        Points along y and x.
    length
        Side of the square.
    beta
        Gradient of the planetary vorticity.
    viscosity
        Viscosity nu; a tensor may be trained, or differ within the batch (shape ``(batch, 1, 1)``).
    order
        Power p of the Laplacian: 1 is viscosity, above that hyperviscosity.
    drag
        Linear drag mu.
    deformation_radius
        Radius Ld; infinite in a barotropic flow under a rigid lid.
    forcing
        Callable of the time that returns what is added to the tendency.
    closure
        Callable of the state that returns what is added to the tendency, such as a neural network.

    Raises
    ------
    ValueError
        If the order is below 1.
    """

    wavenumber_y: Tensor
    wavenumber_x: Tensor
    squared: Tensor
    inversion: Tensor

    def __init__(
        self,
        sizes: tuple[int, int],
        *,
        length: float = 2 * math.pi,
        beta: float | Tensor = 0.0,
        viscosity: float | Tensor = 0.0,
        order: int = 1,
        drag: float | Tensor = 0.0,
        deformation_radius: float = math.inf,
        forcing: Callable[[float], Tensor] | None = None,
        closure: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if order < 1:
            raise ValueError(f"order {order} of the viscosity; it is at least 1")
        self.sizes, self.products = tuple(sizes), spectral.dealiased_sizes(sizes)
        self.beta, self.viscosity, self.order, self.drag = beta, viscosity, order, drag
        self.forcing, self.closure = forcing, closure
        for name, wavenumber in zip("yx", spectral.wavenumbers(sizes, length, odd=True), strict=True):
            self.register_buffer(f"wavenumber_{name}", wavenumber, persistent=False)
        y, x = spectral.wavenumbers(sizes, length)
        self.register_buffer("squared", y**2 + x**2, persistent=False)
        # The mean of the streamfunction has no meaning where the mean of q does not set it.
        operator = -(self.squared + deformation_radius**-2)
        self.register_buffer("inversion", torch.where(operator == 0, 0.0, 1 / operator), persistent=False)

    def forward(self, state: Tensor, time: float) -> Tensor:
        """Return dq/dt, shape ``(..., y, x)``."""
        q = spectral.coefficients(state, 2)
        u, v = self._velocity(q)
        change = -self._advection(u, v, q) - self.beta * v
        change = change - (self.viscosity * self.squared**self.order + self.drag) * q
        tendency = spectral.values(change, self.sizes)
        if self.forcing is not None:
            tendency = tendency + self.forcing(time)
        if self.closure is not None:
            tendency = tendency + self.closure(state)
        return tendency

    def _velocity(self, q: Tensor) -> tuple[Tensor, Tensor]:
        streamfunction = 1j * self.inversion * q
        return -self.wavenumber_y * streamfunction, self.wavenumber_x * streamfunction

    def _advection(self, u: Tensor, v: Tensor, q: Tensor) -> Tensor:
        fine = spectral.resized(torch.stack((u, v, q)), self.sizes, self.products)
        flow = spectral.values(fine, self.products)
        flux = spectral.coefficients(flow[:2] * flow[2], 2)
        flux_x, flux_y = spectral.resized(flux, self.products, self.sizes).unbind(0)
        return 1j * (self.wavenumber_x * flux_x + self.wavenumber_y * flux_y)

    def streamfunction(self, state: Tensor) -> Tensor:
        """Return psi, shape ``(..., y, x)``; where Ld is infinite its mean is 0."""
        return spectral.values(self.inversion * spectral.coefficients(state, 2), self.sizes)

    def velocity(self, state: Tensor) -> Tensor:
        """Return u and v, shape ``(..., 2, y, x)``."""
        u, v = self._velocity(spectral.coefficients(state, 2))
        return spectral.values(torch.stack((u, v), -3), self.sizes)

    def energy(self, state: Tensor) -> Tensor:
        """Return the mean energy -<psi q> / 2, kinetic and (where Ld is finite) potential, shape ``(...)``."""
        return -(self.streamfunction(state) * state).mean((-2, -1)) / 2

    def enstrophy(self, state: Tensor) -> Tensor:
        """Return the mean potential enstrophy <q^2> / 2, shape ``(...)``."""
        return (state**2).mean((-2, -1)) / 2

    def energy_spectrum(self, state: Tensor) -> Tensor:
        """Return what each shell of wavenumbers holds of the energy, shape ``(..., shells)``."""
        return spectral.shell_sums(self._energies(spectral.coefficients(state, 2)), self.sizes)

    def enstrophy_spectrum(self, state: Tensor) -> Tensor:
        """Return what each shell of wavenumbers holds of the enstrophy, shape ``(..., shells)``."""
        return spectral.spectrum(state, 2)

    def _energies(self, q: Tensor) -> Tensor:
        return q.abs() ** 2 * self.inversion / -2

    def random_state(self, spectrum: spectral.Spectrum, generator: torch.Generator) -> Tensor:
        """Return a flow with random phases and an energy spectrum.

        Parameters
        ----------
        spectrum
            Energy that each shell of wavenumbers 1, 2, … holds; exactly that, not only on average.
        generator
            Where the random numbers come from.

        Returns
        -------
        Tensor
            Potential vorticity, shape ``(y, x)``, with mean 0 and no Nyquist modes.
        """
        noise = torch.randn(self.sizes, generator=generator, dtype=self.squared.dtype, device=generator.device)
        q = spectral.resized(spectral.coefficients(noise.to(self.squared.device), 2), self.sizes, self.sizes)
        return spectral.values(spectral.scaled_to(q, self._energies(q), spectrum, self.sizes), self.sizes)


def subgrid_term(fine: QuasiGeostrophic, coarse: QuasiGeostrophic, state: Tensor, time: float = 0.0) -> Tensor:
    """Return what the tendency of a fine grid, its high modes cut off, holds beyond the tendency of the coarse grid.

    A closure that returned it would make the coarse equations those of the filtered state.

    Parameters
    ----------
    fine, coarse
        The equations on either grid.
    state
        Fine state, shape ``(..., y, x)``.
    time
        Time of the state.

    Returns
    -------
    Tensor
        Shape ``(..., *coarse grid)``; its mean is 0 if both grids are forced alike.
    """
    filtered = spectral.cut_off(torch.stack((state, fine(state, time))), coarse.sizes)
    missing: Tensor = filtered[1] - coarse(filtered[0], time)
    return missing


class DriftingForcing(nn.Module):
    """Large-scale forcing cos(4 y + phase_y(t)) - cos(4 x + phase_x(t)) of constant variance, with swinging phases.

    Its phases and strength are those of the code that goes with Frezat et al. (2022, J. Adv. Model. Earth Syst. 14),
    for the set-up of Graham & Ringler (2013, Ocean Modelling 65) in a box 2 pi wide.

    Parameters
    ----------
    sizes
        Points along y and x.
    strength
        Half the mean square of the forcing.
    steady
        Whether the phases stay at 0.
    """

    x: Tensor
    y: Tensor

    def __init__(self, sizes: tuple[int, int], strength: float = GRAHAM_RINGLER_RATE, *, steady: bool = False) -> None:
        super().__init__()
        self.amplitude, self.steady = math.sqrt(2 * strength), steady
        for name, size, shape in zip("yx", sizes, ((-1, 1), (1, -1)), strict=True):
            points = 2 * math.pi / size * torch.arange(size, dtype=torch.float64)
            self.register_buffer(name, points.reshape(shape), persistent=False)

    def forward(self, time: float) -> Tensor:
        """Return the forcing of the vorticity at a time, shape ``(y, x)``."""
        moment = 0.0 if self.steady else time
        phase_x = math.pi * math.sin(PHASE_FREQUENCY_X * moment)
        phase_y = math.pi * math.sin(PHASE_FREQUENCY_Y * moment)
        waves = torch.cos(FORCED_WAVENUMBER * self.y + phase_y) - torch.cos(FORCED_WAVENUMBER * self.x + phase_x)
        return self.amplitude * waves


def graham_ringler(
    sizes: tuple[int, int],
    *,
    viscosity: float | Tensor = GRAHAM_RINGLER_VISCOSITY,
    closure: Callable[[Tensor], Tensor] | None = None,
) -> QuasiGeostrophic:
    """Forced and damped barotropic turbulence as set up by Graham & Ringler (2013, Ocean Modelling 65).

    Parameters
    ----------
    sizes
        Points along y and x; 512 x 512 in the set-up.
    viscosity
        In units of the set-up.
    closure
        Callable of the state that returns what is added to the tendency.

    Returns
    -------
    QuasiGeostrophic
        With drag and forcing, in units of `GRAHAM_RINGLER_LENGTH` and `GRAHAM_RINGLER_TIME`.
    """
    forcing = DriftingForcing(sizes)
    return QuasiGeostrophic(sizes, viscosity=viscosity, drag=GRAHAM_RINGLER_DRAG, forcing=forcing, closure=closure)


def steadily_forced(
    sizes: tuple[int, int],
    *,
    viscosity: float | Tensor,
    drag: float | Tensor,
    strength: float,
    closure: Callable[[Tensor], Tensor] | None = None,
) -> QuasiGeostrophic:
    """Barotropic turbulence in a box 2 pi wide under a forcing that stands still, cos(4 y) - cos(4 x).

    Parameters
    ----------
    sizes
        Points along y and x.
    viscosity, drag
        nu and mu.
    strength
        Half the mean square of the forcing.
    closure
        Callable of the state that returns what is added to the tendency.

    Returns
    -------
    QuasiGeostrophic
        Whose tendency does not depend on time.
    """
    forcing = DriftingForcing(sizes, strength, steady=True)
    return QuasiGeostrophic(sizes, viscosity=viscosity, drag=drag, forcing=forcing, closure=closure)
