"""The equation of Burgers, u_t + (u^2 / 2)_x = nu u_xx + f: by Fourier modes, and by finite volumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Forcing = Callable[[Tensor, float], Tensor]
"""Force at positions and a time; the result broadcasts against a state."""
Closure = Callable[[Tensor], Tensor]
"""What scales below the grid add to the tendency of a state."""


def points(count: int, length: float = 1.0, *, like: Tensor | None = None) -> Tensor:
    """Return the positions of the unknowns of :class:`SpectralBurgers`: 0, dx, ..., length - dx.

    In float64 on the CPU, or in the precision and on the device of ``like``.
    """
    dtype, device = (torch.float64, None) if like is None else (like.dtype, like.device)
    return torch.arange(count, dtype=dtype, device=device) * (length / count)


def centres(count: int, length: float = 1.0, *, like: Tensor | None = None) -> Tensor:
    """Return the centres of the cells of :class:`FiniteVolumeBurgers`: dx / 2, ..., length - dx / 2.

    In float64 on the CPU, or in the precision and on the device of ``like``.
    """
    return points(count, length, like=like) + length / count / 2


def box_filtered(values: Tensor, cells: int) -> Tensor:
    """Return the means over coarse cells.

    Parameters
    ----------
    values
        Cell averages, shape ``(..., n)``.
    cells
        Number of coarse cells; divides n.

    Returns
    -------
    Tensor
        Shape ``(..., cells)``.

    Raises
    ------
    ValueError
        If the fine cells do not divide evenly.
    """
    if cells < 1 or values.shape[-1] % cells:
        raise ValueError(f"{values.shape[-1]} cells do not divide into {cells}")
    return values.reshape(*values.shape[:-1], cells, -1).mean(-1)


@dataclass(frozen=True)
class SpectralBurgers:
    """Pseudo-spectral and periodic; the product is free of aliases by the 3/2 rule (Orszag 1971, J. Atmos. Sci. 28).

    Called with states ``(..., n)``, values at :func:`points`, and a time; returns their time derivative. The highest
    mode of an even n, whose derivative vanishes at the points, takes no part in advection; the others exchange energy
    among themselves and lose none by it.

    Parameters
    ----------
    viscosity
        nu [length^2 / time]: a number, or a tensor ``(..., 1)`` that broadcasts against the state and may need
        gradients.
    length
        Period of the domain.
    forcing
        Force at the points.
    """

    viscosity: float | Tensor
    length: float = 1.0
    forcing: Forcing | None = None

    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return the time derivative of states of shape ``(..., n)``."""
        count = state.shape[-1]
        modes = torch.fft.rfft(state, norm="forward")
        number = torch.arange(modes.shape[-1], dtype=state.dtype, device=state.device)
        wavenumber = number * (2 * math.pi / self.length)
        has_slope = 2 * number < count
        # Products have up to twice as many modes; from 3/2 n points on, none of them folds back onto one that is kept.
        fine = torch.fft.irfft(modes * has_slope, 3 * count // 2, norm="forward")
        flux = torch.fft.rfft(fine**2 / 2, norm="forward")[..., : modes.shape[-1]] * has_slope
        trend = -1j * wavenumber * flux - self.viscosity * wavenumber**2 * modes
        change: Tensor = torch.fft.irfft(trend, count, norm="forward")
        return change if self.forcing is None else change + self.forcing(points(count, self.length, like=state), time)


@dataclass(frozen=True)
class FiniteVolumeBurgers:
    """Finite volumes of second order in conservative form: each face passes u^2 / 2 - nu u_x from cell to cell.

    Called with states ``(..., n)``, cell averages, and a time; returns their time derivative. The advective flux
    (a^2 + a b + b^2) / 6 between cells a and b neither makes nor destroys energy (Tadmor 1987, Math. Comput. 49), so
    energy falls for any positive viscosity; fronts thinner than a cell oscillate, and stay bounded.

    Parameters
    ----------
    viscosity
        nu [length^2 / time]: a number, or a tensor ``(..., 1)`` that broadcasts against the state and may need
        gradients.
    length
        Length of the domain.
    boundary
        ``periodic``, or ``wall``: u = 0 at both ends. A wall is a mirror that turns the sign: the cell behind it holds
        minus the value of the cell before it, so that the face value is 0 and the solution is, to round-off, half of
        the periodic one on twice the length. Momentum leaves through walls, by viscosity alone up to second order.
    forcing
        Force on the cells, given their centres; second order, or exact if it is itself averaged over cells.
    closure
        Callable of the state that returns what is added to the tendency, such as a neural network.

    Raises
    ------
    ValueError
        If the boundary is not known.
    """

    viscosity: float | Tensor
    length: float = 1.0
    boundary: Literal["periodic", "wall"] = "periodic"
    forcing: Forcing | None = None
    closure: Closure | None = None

    def __post_init__(self) -> None:
        if self.boundary not in ("periodic", "wall"):
            raise ValueError(f"boundary {self.boundary!r}: known are periodic, wall")

    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return the time derivative of states of shape ``(..., n)``."""
        count = state.shape[-1]
        spacing = self.length / count
        first, last = state[..., :1], state[..., -1:]
        ends = (last, state, first) if self.boundary == "periodic" else (-first, state, -last)
        with_ends = torch.cat(ends, -1)
        left, right = with_ends[..., :-1], with_ends[..., 1:]
        flux = (left**2 + left * right + right**2) / 6 - self.viscosity * (right - left) / spacing
        change = -flux.diff(dim=-1) / spacing
        if self.forcing is not None:
            change = change + self.forcing(centres(count, self.length, like=state), time)
        return change if self.closure is None else change + self.closure(state)


def subgrid_term(
    fine: FiniteVolumeBurgers, coarse: FiniteVolumeBurgers, state: Tensor, cells: int, time: float = 0.0
) -> Tensor:
    """Return what the box-filtered tendency of a fine grid holds beyond the tendency of the coarse grid.

    A closure that returned it would make the coarse equations those of the filtered state: it stands for the scales
    below the coarse grid and for the errors of the coarse discretisation alike.

    Parameters
    ----------
    fine, coarse
        The equations on either grid.
    state
        Fine state, shape ``(..., n)``.
    cells
        Number of coarse cells; divides n.
    time
        Time of the state.

    Returns
    -------
    Tensor
        Shape ``(..., cells)``; on a periodic domain with the same mean force on both grids its sum is 0.
    """
    return box_filtered(fine(state, time), cells) - coarse(box_filtered(state, cells), time)


def n_wave(position: Tensor, reynolds: float | Tensor, time: float = 0.0) -> Tensor:
    """Return the steepening ramp and front with which closures for this equation are taught, at a time.

    u = x / s / (1 + sqrt(s / t0) exp(Re x^2 / (4 s))), s = 1 + time, t0 = exp(Re / 8): the transform of Hopf (1950,
    Communications on Pure and Applied Mathematics 3) of phi = 1 + sqrt(t0 / s) exp(-Re x^2 / (4 s)), hence an exact
    solution on the line for nu = 1 / Re, and an initial condition (time 0) for any viscosity. It is 0 at x = 0, and
    nearly so at x = 1 as long
    as the front, which starts at x = 1/2, is away from there.

    Parameters
    ----------
    position
        x, shape ``(..., n)``.
    reynolds
        Re, which broadcasts against ``position``; a family has shape ``(cases, 1)``.
    time
        Time since the initial condition, at least 0.
    """
    age = 1 + time
    # The exponential itself would overflow in single precision.
    exponent = reynolds * (position**2 / (4 * age) - 1 / 16) + math.log(age) / 2
    return position / age * torch.sigmoid(-exponent)


@dataclass(frozen=True)
class RandomForcing:
    """A sum of travelling waves, a sin(omega t + 2 pi k x / period + phase).

    Parameters
    ----------
    amplitude, frequency, wavenumber, phase
        a [length / time^2], omega [radian / time], k and phase [radian], each of shape ``(..., modes)``.
    period
        Length of the domain.
    """

    amplitude: Tensor
    frequency: Tensor
    wavenumber: Tensor
    phase: Tensor
    period: float = 2 * math.pi

    def __call__(self, position: Tensor, time: float) -> Tensor:
        """Return the force at positions of shape ``(n)``, shape ``(..., n)``."""
        wave = self.wavenumber.unsqueeze(-1) * (2 * math.pi / self.period) * position
        angle = wave + (self.frequency * time + self.phase).unsqueeze(-1)
        return (self.amplitude.unsqueeze(-1) * angle.sin()).sum(-2)

    def to(self, like: Tensor) -> RandomForcing:
        """Return the same forcing in the precision and on the device of a tensor."""
        return replace(
            self,
            amplitude=self.amplitude.to(like),
            frequency=self.frequency.to(like),
            wavenumber=self.wavenumber.to(like),
            phase=self.phase.to(like),
        )

    def averaged(self, cells: int) -> RandomForcing:
        """Return the forcing whose values at the centres are this one's exact averages over that many cells.

        Averages over coarse cells are then the box-filtered ones over fine cells: nothing is left for a closure.
        """
        return replace(self, amplitude=self.amplitude * torch.sinc(self.wavenumber / cells))

    @classmethod
    def draw(
        cls,
        generator: torch.Generator,
        batch: Sequence[int] = (),
        *,
        modes: int = 20,
        amplitude: float = 0.5,
        frequency: float = 0.4,
        wavenumbers: Sequence[int] = (1, 2, 3),
        period: float = 2 * math.pi,
    ) -> RandomForcing:
        """Draw forcings for a batch, on the generator's device, in float64.

        Amplitudes are uniform in [-amplitude, amplitude), frequencies likewise, phases in [0, 2 pi); wavenumbers take
        either sign. The defaults are those of the code published with Bar-Sinai et al. (2019, PNAS 116); the paper's
        own wavenumbers are 3 to 6 as recalled, not checked.
        """

        def uniform() -> Tensor:
            return torch.rand((*batch, modes), generator=generator, device=generator.device, dtype=torch.float64)

        signed = torch.tensor([sign * k for k in wavenumbers for sign in (-1, 1)], device=generator.device)
        return cls(
            amplitude=amplitude * (2 * uniform() - 1),
            frequency=frequency * (2 * uniform() - 1),
            wavenumber=signed.to(torch.float64)[(uniform() * len(signed)).long()],
            phase=2 * math.pi * uniform(),
            period=period,
        )


def drifted(force: Tensor, frequencies: Sequence[float], time: float) -> Tensor:
    """Return a force some time later if each of its wavenumbers is one wave that travels.

    Such a force, a sum of sin(2 pi k x / period + omega_k t + phase_k), tells its own future: the mode of wavenumber k
    turns by omega_k t, at whatever points or averaged over whatever cells.

    Parameters
    ----------
    force
        Values on a periodic grid, shape ``(..., n)``.
    frequencies
        omega_k [radian / time] for k = 1, 2, ...; fewer than n / 2. Higher wavenumbers and the mean stand still.
    time
        How much later.
    """
    modes = torch.fft.rfft(force, norm="forward")
    angle = torch.zeros(modes.shape[-1], dtype=force.dtype, device=force.device)
    angle[1 : 1 + len(frequencies)] = torch.tensor(frequencies, dtype=force.dtype, device=force.device) * time
    later: Tensor = torch.fft.irfft(modes * torch.polar(torch.ones_like(angle), angle), force.shape[-1], norm="forward")
    return later
