"""Advection and diffusion of a tracer, u_t = -d_i(v_i u) + d_i(k_ij d_j u), on a periodic line or rectangle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline_lib.solvers.schemes import EULER, HEUN, RK4, SSP3, RungeKutta

Field = float | Tensor
"""A number, or a tensor that broadcasts against a state and may need gradients; the last axes are those of space."""

STABLE: dict[RungeKutta, tuple[float, float]] = {
    EULER: (2.0, 0.0),
    HEUN: (2.0, 0.0),
    SSP3: (2.5127453266183286, math.sqrt(3)),
    RK4: (2.785293563405282, 2 * math.sqrt(2)),
}
"""How far a scheme is stable along the negative real and the imaginary axis: where its stability function, the
exponential truncated at the order, has modulus 1 (Hairer & Wanner 1996, section IV.2). Each region holds the triangle
that these points span."""

SIZES = {(1, 1): 1, (2, 3): 2}
"""Dimensions by the number of components of velocity and of diffusivity."""


@dataclass(frozen=True)
class AdvectionDiffusion:
    """Centred differences of second order in flux form: what leaves a cell enters its neighbour.

    Called with states, cell averages ``(..., n)`` on a line or ``(..., ny, nx)`` on a rectangle, and a time, which
    plays no part; returns their time derivative. Directions are numbered x, y; x is the last axis. Velocity and
    diffusivity are given at the centres of cells and averaged to faces and, on a rectangle, to corners. There, slopes
    for k_xy meet at the corners and k_xx and k_yy are averaged so that the sum of squares never grows by diffusion if
    the tensor is positive semi-definite in every cell. New extremes never appear by diffusion if, besides, k_xy is 0.

    Parameters
    ----------
    diffusivity
        ``(k,)`` on a line, ``(k_xx, k_xy, k_yy)`` on a rectangle [length^2 / time].
    velocity
        ``(v,)`` or ``(v_x, v_y)`` [length / time].
    length
        Size of the domain in each direction.

    Raises
    ------
    ValueError
        If the numbers of components and lengths do not fit.
    """

    diffusivity: tuple[Field, ...]
    velocity: tuple[Field, ...]
    length: tuple[float, ...]

    def __post_init__(self) -> None:
        if SIZES.get((len(self.velocity), len(self.diffusivity))) != len(self.length):
            raise ValueError(
                f"{len(self.velocity)} velocities, {len(self.diffusivity)} diffusivities, {len(self.length)} lengths: "
                "a line has 1, 1, 1 and a rectangle 2, 3, 2"
            )

    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return the time derivative of states."""
        directions = range(len(self.length))
        spacing = self._spacings(state.shape)
        slope = [(_next(state, a) - state) / spacing[a] for a in directions]
        velocity = self._tensors(self.velocity, state)
        corners = [_ahead(k, *directions) for k in self._tensors(self.diffusivity, state)]
        change = torch.zeros_like(state)
        for a in directions:
            others = [b for b in directions if b != a]
            flux = _ahead(velocity[a], a) * _ahead(state, a) - _behind(corners[2 * a], *others) * slope[a]
            for b in others:
                flux = flux - _behind(corners[1] * _ahead(slope[b], a), b)
            change = change - (flux - flux.roll(1, -1 - a)) / spacing[a]
        return change

    def largest_step(self, shape: Sequence[int], scheme: RungeKutta = RK4) -> float:
        """Return the step up to which a scheme is stable.

        1 / (sum of 4 k_ii / dx_i^2 / r + sum of abs(v_i) / dx_i / s), with r and s from :data:`STABLE` and the largest
        of each field. Sufficient for constant fields, and sharp where one of the two sums is 0, but for modes that the
        grid happens not to hold; for fields that vary, the same with frozen coefficients. The mixed diffusivity of a
        positive semi-definite tensor makes no difference. Pure diffusion by Euler, or by Heun and SSP3 with Euler's
        step, makes no new extremes up to there if k_xy is 0.

        Parameters
        ----------
        shape
            Shape of the states; only the sizes in space matter.
        scheme
            One of EULER, HEUN, SSP3 and RK4.

        Returns
        -------
        float
            The step [time]; infinite if nothing moves.

        Raises
        ------
        ValueError
            If the scheme is another, or is not stable along the imaginary axis and there is a velocity.
        """
        if scheme not in STABLE:
            raise ValueError("the step limit is known for EULER, HEUN, SSP3 and RK4")
        real, imaginary = STABLE[scheme]
        spacing = self._spacings(shape)
        decay = sum(4 * _largest(k) / dx**2 for k, dx in zip(self.diffusivity[::2], spacing, strict=True))
        turning = sum(_largest(v) / dx for v, dx in zip(self.velocity, spacing, strict=True))
        if turning and not imaginary:
            raise ValueError("EULER and HEUN have no limit for advection alone; use SSP3 or RK4")
        rate = decay / real + (turning / imaginary if turning else 0.0)
        return 1 / rate if rate else math.inf

    def exact(self, state: Tensor, time: float) -> Tensor:
        """Return the exact solution after a time, for fields that are constant in space: each Fourier mode by itself.

        Parameters
        ----------
        state
            Initial values at equidistant points; modes that reach the highest wavenumber of an even number of points
            are taken as cosines.
        time
            Time since then.

        Raises
        ------
        ValueError
            If a field varies in space.
        """
        axes = list(range(-len(self.length), 0))
        velocity, diffusivity = self._tensors(self.velocity, state), self._tensors(self.diffusivity, state)
        if any(field.shape[-len(axes) :].numel() != 1 for field in (*velocity, *diffusivity)):
            raise ValueError("the exact solution is known for fields that are constant in space")
        wave = list(self._wavenumbers(state))
        rate = state.new_zeros(())
        for v, k, w in zip(velocity, diffusivity[::2], wave, strict=True):
            rate = rate + k * w**2 + 1j * v * w
        if len(axes) > 1:
            rate = rate + 2 * diffusivity[1] * wave[0] * wave[1]
        modes = torch.fft.fftn(state, dim=axes) * torch.exp(-time * rate)
        solution: Tensor = torch.fft.ifftn(modes, dim=axes).real
        return solution

    def _tensors(self, fields: Sequence[Field], state: Tensor) -> list[Tensor]:
        """Return fields as tensors with all axes of space."""
        tensors = [field if isinstance(field, Tensor) else state.new_full((), field) for field in fields]
        return [tensor[(None,) * max(0, len(self.length) - tensor.dim())] for tensor in tensors]

    def _spacings(self, shape: Sequence[int]) -> list[float]:
        return [size / shape[-1 - a] for a, size in enumerate(self.length)]

    def _wavenumbers(self, state: Tensor) -> Iterator[Tensor]:
        for a, dx in enumerate(self._spacings(state.shape)):
            number = torch.fft.fftfreq(state.shape[-1 - a], dx, dtype=state.dtype, device=state.device)
            yield 2 * math.pi * number.reshape(-1, *[1] * a)


def _next(values: Tensor, direction: int) -> Tensor:
    return values.roll(-1, -1 - direction)


def _ahead(values: Tensor, *directions: int) -> Tensor:
    """Return means with the next neighbour, halfway to it; a field that is constant in a direction is its own mean."""
    for a in directions:
        if values.shape[-1 - a] > 1:
            values = (values + _next(values, a)) / 2
    return values


def _behind(values: Tensor, *directions: int) -> Tensor:
    for a in directions:
        if values.shape[-1 - a] > 1:
            values = (values + values.roll(1, -1 - a)) / 2
    return values


def _largest(field: Field) -> float:
    return float(field.abs().max()) if isinstance(field, Tensor) else abs(field)
