"""Wind-driven shallow water in a closed basin: the model whose forcing Brajard et al. learn (arXiv:1903.07358).

    du/dt =  (f + zeta) v - d/dx[u^2 + v^2 + g h] + theta_u
    dv/dt = -(f + zeta) u - d/dy[u^2 + v^2 + g h] + theta_v
    dh/dt = -d/dx[u (H + h)] - d/dy[v (H + h)]

The equations of shallow water have (u^2 + v^2) / 2 in the brackets. Here the kinetic energy counts twice, as in the
published code of the authors: where there is nothing but u(x), du/dt is -2 u du/dx. It stays so because states, and
what was learned from them, are to be those of that code.

on a C-grid: h at the centre of a cell, u on its east face, v on its south face, vorticity at its south-eastern corner;
beyond the basin every field, the vorticity too, is 0. So u in the last column and v in the first row lie on walls.
Discretisation and constants are those of the published code of the authors, except that the wind stress is divided
by the depth of the present step, as friction and diffusion are taken of the present step.

A state of the basin has shape ``(..., 3, y, x)``: u, v, h. With `Leapfrog` the state is ``(..., 2, 3, y, x)``: the
fields and their filtered copies, which is all that a restart needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pipeline_lib.solvers.schemes import Stepper, Tendency

Theta = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Forcing of the momentum from u, v, h (each ``(..., y, x)``) and the wind stress tau ``(2, y, x)`` [N m-2]; returns
``(..., 2, y, x)`` [m s-2]."""

DENSITY = 1000.0
"""Density of water rho0 [kg m-3]."""
WIND_STRESS = 0.15
"""Amplitude of the zonal wind stress [N m-2]."""
FRICTION = 2e-7
"""Linear friction gamma [s-1]."""
ASSELIN = 0.025
"""Coefficient of the Asselin filter."""
CORNER_MEAN = 1 / 8
"""Mean of two vorticities times the mean of four velocities."""
WIDTH = 1.6e6
"""Side of the basin [m]."""
UNIT = 200 * 86400.0
"""Unit of time of stored states [s]: 200 days, so that a month of a source's calendar holds years of the basin."""
_WHOLE = 1e-6
"""Part of a step by which a duration may miss a whole number of steps: round-off of its unit."""


@dataclass(frozen=True)
class Basin:
    """A square basin: its grid, and the constants of Brajard et al.

    Parameters
    ----------
    size
        Cells along each side.
    spacing
        Side of a cell [m].
    step
        Time step [s].
    viscosity
        Viscosity nu [m2 s-1].
    depth
        Depth at rest H [m].
    gravity
        Reduced gravity g* [m s-2].
    coriolis
        Coriolis parameter f0 in the middle of the basin [s-1].
    beta
        Gradient of the Coriolis parameter [m-1 s-1].
    """

    size: int = 80
    spacing: float = 20e3
    step: float = 1800.0
    viscosity: float = 0.72
    depth: float = 500.0
    gravity: float = 0.02
    coriolis: float = 3.5e-5
    beta: float = 2.11e-11

    @classmethod
    def of_size(cls, size: int) -> Basin:
        """Return the basin of Brajard et al. with so many cells along a side.

        Spacing, time step and viscosity are inversely proportional to the number of cells, as in their `BASINS`.
        """
        ratio = cls.size / size
        return cls(size, WIDTH / size, cls.step * ratio, cls.viscosity * ratio)

    def steps(self, duration: float) -> int:
        """Return the number of time steps in a duration, given in units of `UNIT`.

        Raises
        ------
        ValueError
            If it is not a whole number.
        """
        count = duration * UNIT / self.step
        if count < 1 or abs(count - round(count)) > _WHOLE:
            raise ValueError(f"{duration:g} units of 200 days are {count:g} steps of {self.step:g} s")
        return round(count)

    def northing(self) -> Tensor:
        """Return y of the rows [m], from wall to wall as in the code of Brajard et al., float64, shape ``(y, 1)``."""
        edge = self.size * self.spacing / 2
        return torch.linspace(-edge, edge, self.size, dtype=torch.float64).unsqueeze(-1)

    def wind(self) -> Tensor:
        """Return the wind stress [N m-2] of a double gyre, along x only, float64, shape ``(2, y, x)``."""
        angle = 2 * math.pi * self.northing() / (self.size * self.spacing)
        zonal = (WIND_STRESS * torch.cos(angle)).expand(self.size, self.size)
        return torch.stack((zonal, torch.zeros_like(zonal)))


BASINS = {size: Basin.of_size(size) for size in (40, 80, 320)}
"""The resolutions of Brajard et al., by the number of cells along a side."""


@dataclass(frozen=True)
class Leapfrog:
    """Leapfrog steps with the filter of Asselin (1972, Mon. Weather Rev. 100).

    The state holds the present fields and the filtered ones of the step before, shape ``(..., 2, 3, y, x)``; the
    tendency sees the present fields. Start from `from_rest`.

    Parameters
    ----------
    asselin
        Coefficient of the filter, which takes the leapfrog's second order down to the first.
    """

    asselin: float = ASSELIN

    def start(self) -> Stepper:
        """Return the scheme itself: what it remembers is in the state."""
        return self

    def __call__(self, tendency: Tendency, state: Tensor, time: float, dt: float) -> Tensor:
        """Return the state at ``time + dt``."""
        present, filtered = state.unbind(-4)
        following = torch.add(filtered, tendency(present, time), alpha=2 * dt)
        curvature = torch.add(filtered + following, present, alpha=-2)
        return torch.stack((following, torch.add(present, curvature, alpha=self.asselin)), -4)

    @staticmethod
    def from_rest(fields: Tensor) -> Tensor:
        """Return the state ``(..., 2, 3, y, x)`` whose filtered copies are the fields themselves."""
        return torch.stack((fields, fields), -4)


class Forcing(nn.Module):
    """Theta of the equations: wind stress over the depth, less linear friction, plus diffusion.

    Parameters
    ----------
    basin
        Grid, depth and viscosity.
    friction
        Rate gamma [s-1]; like the attribute ``viscosity`` it may be set to a tensor, and trained.
    """

    viscosity: float | Tensor

    def __init__(self, basin: Basin, friction: float | Tensor = FRICTION) -> None:
        super().__init__()
        self.basin, self.viscosity, self.friction = basin, basin.viscosity, friction

    def forward(self, u: Tensor, v: Tensor, h: Tensor, tau: Tensor) -> Tensor:
        """Return theta [m s-2], shape ``(..., 2, y, x)``."""
        flow = torch.stack((u, v), -3)
        ringed = pad(flow, (1, 1, 1, 1))
        across = ringed[..., 1:-1, 2:] + ringed[..., 1:-1, :-2] + ringed[..., 2:, 1:-1] + ringed[..., :-2, 1:-1]
        column = pad(h + self.basin.depth, (0, 1, 1, 0), value=self.basin.depth)
        centre = column[..., 1:, :-1]
        column = torch.stack((centre + column[..., 1:, 1:], centre + column[..., :-1, :-1]), -3)
        exchange = self.viscosity / self.basin.spacing**2
        return 2 / DENSITY * tau / column + exchange * across - (4 * exchange + self.friction) * flow


class ShallowWater(nn.Module):
    """Tendency of u, v and h, for `pipeline_lib.solvers.schemes.integrate`, with `Leapfrog` as in the paper.

    A module in double precision; ``.float()`` and ``.to(device)`` lead to others.

    Parameters
    ----------
    basin
        Grid and constants.
    theta
        Forcing of the momentum; `Forcing` by default. A neural network may take its place.
    closed
        Whether theta is set to 0 on the walls. Where it is not, water flows through them and mass is not conserved.
    constant_mean
        Whether the mean of the tendency of h is removed.
    """

    tau: Tensor
    f: Tensor
    inside: Tensor

    def __init__(
        self, basin: Basin, theta: Theta | None = None, *, closed: bool = True, constant_mean: bool = False
    ) -> None:
        super().__init__()
        self.basin, self.constant_mean = basin, constant_mean
        self.theta: Theta = Forcing(basin) if theta is None else theta
        inside = torch.ones(2, basin.size, basin.size, dtype=torch.float64)
        if closed:
            inside[0, :, -1] = 0
            inside[1, 0, :] = 0
        self.register_buffer("inside", inside, persistent=False)
        self.register_buffer("tau", basin.wind(), persistent=False)
        self.register_buffer("f", basin.coriolis + basin.beta * basin.northing(), persistent=False)

    def forward(self, state: Tensor, time: float) -> Tensor:
        """Return the tendency of u, v [m s-2] and h [m s-1], shape ``(..., 3, y, x)``."""
        u, v, h = state.unbind(-3)
        along_x, along_y = self._dynamics(u, v, h)
        theta_u, theta_v = (self.inside * self.theta(u, v, h, self.tau)).unbind(-3)
        rise = self._convergence(u, v, h)
        if self.constant_mean:
            rise = rise - rise.mean((-2, -1), keepdim=True)
        return torch.stack((along_x + theta_u, along_y + theta_v, rise), -3)

    def _dynamics(self, u: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        spacing = self.basin.spacing
        eastward = u + pad(u, (1, 0))[..., :-1]
        northward = v + pad(v, (0, 0, 0, 1))[..., 1:, :]
        head = torch.addcmul(self.basin.gravity / spacing * h, eastward, eastward, value=1 / (4 * spacing))
        head = torch.addcmul(head, northward, northward, value=1 / (4 * spacing))
        vorticity = self.vorticity(u, v) + self.f
        # Columns but the last, which is a wall; beyond the northern wall the vorticity is 0.
        corners = vorticity + pad(vorticity, (0, 0, 0, 1))[..., 1:, :]
        four = northward[..., :-1] + northward[..., 1:]
        along_x = torch.addcmul(head[..., :-1] - head[..., 1:], corners[..., :-1], four, value=CORNER_MEAN)
        # Rows but the first, which is a wall; beyond the western wall the vorticity is 0.
        corners = vorticity + pad(vorticity, (1, 0))[..., :-1]
        four = eastward[..., :-1, :] + eastward[..., 1:, :]
        along_y = torch.addcmul(head[..., :-1, :] - head[..., 1:, :], corners[..., 1:, :], four, value=-CORNER_MEAN)
        return pad(along_x, (0, 1)), pad(along_y, (0, 0, 1, 0))

    def _convergence(self, u: Tensor, v: Tensor, h: Tensor) -> Tensor:
        # Half the depth over the spacing, with h = 0 beyond the eastern and southern walls.
        scale = 0.5 / self.basin.spacing
        half = pad(scale * h, (0, 1, 1, 0)) + scale * self.basin.depth
        centre = half[..., 1:, :-1]
        flux_x = pad(u * (centre + half[..., 1:, 1:]), (1, 0))
        flux_y = pad(v * (centre + half[..., :-1, :-1]), (0, 0, 0, 1))
        return flux_x[..., :-1] - flux_x[..., 1:] + flux_y[..., :-1, :] - flux_y[..., 1:, :]

    def vorticity(self, u: Tensor, v: Tensor) -> Tensor:
        """Return zeta at the south-eastern corners [s-1], shape ``(..., y, x)``."""
        shear = pad(v, (0, 1))[..., 1:] - v - u + pad(u, (0, 0, 1, 0))[..., :-1, :]
        return shear / self.basin.spacing

    def kinetic_energy(self, state: Tensor) -> Tensor:
        """Return mean((H + h)(u^2 + v^2) / 2) [m3 s-2], shape ``(...)``, as if u, v and h lay on one point."""
        u, v, h = state.unbind(-3)
        return ((self.basin.depth + h) * (u**2 + v**2)).mean((-2, -1)) / 2

    def potential_energy(self, state: Tensor) -> Tensor:
        """Return mean(g (H + h)^2 / 2) [m3 s-2], shape ``(...)``."""
        return self.basin.gravity / 2 * ((self.basin.depth + state[..., 2, :, :]) ** 2).mean((-2, -1))

    def potential_vorticity(self, state: Tensor) -> Tensor:
        """Return mean((zeta + f) / (H + h)) [m-1 s-1], shape ``(...)``, as if zeta and h lay on one point."""
        u, v, h = state.unbind(-3)
        return ((self.vorticity(u, v) + self.f) / (self.basin.depth + h)).mean((-2, -1))
