"""What coarse equations get from scales below the grid: closures as fluxes through the faces of cells.

A closure is called with fields of shape ``(batch, channels, *grid)``, periodic and in units in which they are of order
one, and returns the flux through the upper face of each cell along each axis, ``(batch, axes, *grid)``. What one cell
loses its neighbour gains: the sum over the grid of the tendency is 0 to round-off, whatever the weights. In a box the
solver itself turns fluxes at the points into a tendency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline_lib.learning.forecaster import Forecaster
from pipeline_lib.solvers.schemes import SCHEMES, Tendency

if TYPE_CHECKING:
    from pipeline_lib.models.closures import ClosureOptions
    from pipeline_lib.models.states import States


def convergence(flux: Tensor, spacing: float) -> Tensor:
    """Return the tendency (batch, *grid) by fluxes (batch, axes, *grid) through the upper faces of the cells."""
    parts = flux.unbind(1)
    axes = range(-len(parts), 0)
    inflow = torch.stack([part.roll(1, axis) - part for part, axis in zip(parts, axes, strict=True)])
    return inflow.sum(0) / spacing


def magnitude(parts: Tensor) -> Tensor:
    """Return the root of the sum of squares along the first axis; where that is 0, so is the derivative."""
    squares = parts.square().sum(0)
    # The square root has no derivative at 0.
    return torch.where(squares > 0, torch.where(squares > 0, squares, 1.0).sqrt(), 0.0)


class StencilFlux(nn.Module):
    """Fluxes from the cells around: the same function at every cell, zero before training.

    Parameters
    ----------
    axes
        Of the grid, 1 to 3.
    channels
        Fields that it sees.
    width
        Cells that a convolution sees along each axis; of an even number half lie on either side of the face.
    layers
        Convolutions, one on the other.
    hidden
        Their channels, followed by tanh, and by another layer that sees a cell alone; 0 makes the flux linear in the
        fields, on the same stencil.
    fluxes
        How many come out; by default one along each axis.
    """

    def __init__(
        self, axes: int, channels: int, *, width: int, layers: int = 1, hidden: int = 0, fluxes: int | None = None
    ) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        fluxes = fluxes or axes
        self._axes = range(-axes, 0)
        self._before, self._after = layers * ((width - 1) // 2), layers * (width // 2)
        # A constant flux has no convergence: the last layer needs no bias.
        if hidden:
            sizes = [channels] + [hidden] * layers
            parts = [p for s in sizes[:-1] for p in (convolution(s, hidden, width), nn.Tanh())]
            last = convolution(hidden, fluxes, 1, bias=False)
            self.net = nn.Sequential(*parts, convolution(hidden, hidden, 1), nn.Tanh(), last)
        else:
            last = convolution(channels, fluxes, layers * (width - 1) + 1, bias=False)
            self.net = nn.Sequential(last)
        nn.init.zeros_(last.weight)

    def forward(self, fields: Tensor) -> Tensor:
        """Return fluxes (batch, fluxes, *grid)."""
        for axis in self._axes:
            size = fields.shape[axis]
            parts = [fields.narrow(axis, size - self._before, self._before), fields]
            fields = torch.cat([*parts, fields.narrow(axis, 0, self._after)], axis)
        flux: Tensor = self.net(fields)
        return flux


class ClosureStep(Forecaster):
    """Steps of a coarse solver, to whose tendency a closure is added, from one state to the next.

    Parameters
    ----------
    options
        Options of the model.
    states
        What is advanced.
    """

    system: Any
    """The coarse equations, which know their ``closure``."""

    def __init__(self, options: ClosureOptions, states: States) -> None:
        super().__init__()
        self._states, self._substeps, self._take = states, options.substeps, SCHEMES[options.scheme].start()

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the next state."""
        return self.normalised(self.stepped(self.system, self.fields(state))).to(state.dtype), memory

    def term(self, state: Tensor) -> Tensor:
        """Return what the closure adds to the tendency of the fields."""
        return added(self.system.closure, self.fields(state))

    def fields(self, state: Tensor) -> Tensor:
        """Return fields (..., *shape), in their own units, of normalised states (..., dimension)."""
        return (state * self._states.scale + self._states.mean).reshape(*state.shape[:-1], *self._states.shape)

    def normalised(self, fields: Tensor) -> Tensor:
        """Return the states of fields."""
        return (fields.flatten(-len(self._states.shape)) - self._states.mean) / self._states.scale

    def stepped(self, system: Tendency, fields: Tensor) -> Tensor:
        """Return the fields of a system at the time of the next state; the present one is its time 0."""
        substep = self._states.step / self._substeps
        for number in range(self._substeps):
            fields = self._take(system, fields, number * substep, substep)
        return fields


def added(closure: nn.Module | None, fields: Tensor) -> Tensor:
    """Return what a closure, if there is one, adds to the tendency of fields."""
    if closure is None:
        return torch.zeros_like(fields)
    term: Tensor = closure(fields)
    return term
