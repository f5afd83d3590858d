"""Variational optical flow by multigrid: the combined local-global method."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from pipeline_lib.errors import ConfigError
from pipeline_lib.motion.constancy import inverse, linear_constancy, multiply
from pipeline_lib.motion.depth import check_depth
from pipeline_lib.motion.pyramid import double, halve
from pipeline_lib.motion.sampling import check_pair, smooth

COARSEST_SWEEPS = 40
"""Relaxation sweeps that solve the coarsest grid, ours: it has few cells, or little depends on it."""


@dataclass(frozen=True)
class VariationalSettings:
    """What :func:`variational_flow` can be told; the defaults are those of the HKO-7 benchmark.

    Parameters
    ----------
    max_level
        How often the grid is halved for the coarsest of the grids.
    start_level
        How often it is halved for the finest grid that is solved; its flow is interpolated to the frames.
    n1, n2
        Relaxation sweeps before and after the correction by a coarser grid.
    rho
        Standard deviation, in cells, of the Gaussian over which the constancy of grey values holds together.
    alpha
        Weight of the smoothness of the flow against squared differences of grey values.
    sigma
        Standard deviation, in cells, of the Gaussian under which the frames are seen.
    warps
        Times that the constancy is made linear anew, about the flow found so far; 0 is the published linear method.
    """

    max_level: int = 6
    start_level: int = 0
    n1: int = 2
    n2: int = 2
    rho: float = 1.5
    alpha: float = 2000.0
    sigma: float = 4.5
    warps: int = 0


def check_levels(settings: VariationalSettings, height: int, width: int) -> None:
    """Refuse levels that frames do not have.

    Raises
    ------
    ConfigError
        If the coarsest grid would have fewer than two rows or columns, or be finer than the finest.
    """
    check_depth(settings.max_level, height, width, where="max_level")
    if settings.start_level > settings.max_level:
        raise ConfigError(
            f"the finest grid, level {settings.start_level}, is coarser than the coarsest, level {settings.max_level}",
            where="start_level",
            fix=f"choose at most {settings.max_level}",
        )


@dataclass(frozen=True)
class _Equations:
    """What the flow of one grid solves: ``tensor flow - stiffness laplacian(flow) = target``."""

    tensor: Tensor
    """(batch, 3, height, width): the local 2 x 2 matrix's entries (columns, columns), (columns, rows), (rows, rows)."""
    target: Tensor
    """(batch, 2, height, width)."""
    stiffness: float

    def residual(self, flow: Tensor) -> Tensor:
        """Return what is left of the target."""
        count = _neighbour_count(flow)
        stiff = self.stiffness * (count * flow - _neighbour_sum(flow))
        return self.target - multiply(self.tensor, flow) - stiff

    def relax(self, flow: Tensor, sweeps: int) -> Tensor:
        """Return a better flow: sweeps of Gauss-Seidel over the cells of a chequerboard, both components together."""
        solving = inverse(self.tensor, self.stiffness * _neighbour_count(flow))
        black = _chequerboard(flow)
        for _ in range(sweeps):
            for cells in (black, ~black):
                known = self.target + self.stiffness * _neighbour_sum(flow)
                flow = torch.where(cells, multiply(solving, known), flow)
        return flow

    def coarser(self, target: Tensor) -> _Equations:
        """Return the equations on half the grid, for another target there; lengths are counted in the finest cells."""
        return _Equations(halve(self.tensor), target, self.stiffness / 4)


def variational_flow(first: Tensor, second: Tensor, settings: VariationalSettings | None = None) -> Tensor:
    """Return the flow from one frame to the next.

    Minimised is the sum over cells of ``w^T J w + alpha (|grad u|^2 + |grad v|^2)`` with ``w = (u, v, 1)`` and J the
    Gaussian mean of the products of the frames' derivatives along columns, rows and time: the combined local-global
    method (Bruhn, Weickert, Feddern, Kohlberger, Schnoerr 2003, Real-time optic flow computation with variational
    methods, LNCS 2756; Bruhn, Weickert, Schnoerr 2005, Lucas/Kanade meets Horn/Schunck, IJCV 61). Its linear equations
    are solved by full multigrid: each grid, from the coarsest on, starts from the flow of the one before and makes one
    V-cycle. Grids, transfers between them and the repeated linearisation are ours; so is the use of the mean of both
    frames for derivatives in space, which are exact to second order then.

    Parameters
    ----------
    first, second
        (batch, height, width), one time step apart, in the grey values that ``alpha`` is meant for.
    settings
        See :class:`VariationalSettings`.

    Returns
    -------
    Tensor
        (batch, 2, height, width), see :mod:`pipeline_lib.motion`; zero between frames that are zero.

    Raises
    ------
    ConfigError
        If the frames are too small for the levels.
    DataError
        If the frames are no pairs or hold values that are not finite.
    """
    settings = settings or VariationalSettings()
    check_pair(first, second)
    height, width = first.shape[-2:]
    check_levels(settings, height, width)
    pair = smooth(torch.stack((first, second), dim=1), settings.sigma)
    sizes = []
    for _ in range(settings.start_level):
        sizes.append(tuple(pair.shape[-2:]))
        pair = halve(pair)
    blur = partial(smooth, deviation=settings.rho / 2**settings.start_level)
    flow = torch.zeros_like(pair)
    for _ in range(1 + settings.warps):
        equations = _Equations(*linear_constancy(pair, flow, blur), settings.alpha)
        flow = _solve(equations, settings, settings.start_level)
    for rows, columns in reversed(sizes):
        flow = 2 * double(flow, rows, columns)
    return flow


def _solve(equations: _Equations, settings: VariationalSettings, level: int) -> Tensor:
    """Return the solution by full multigrid."""
    if level == settings.max_level:
        return equations.relax(torch.zeros_like(equations.target), COARSEST_SWEEPS)
    rows, columns = equations.target.shape[-2:]
    coarse = _solve(equations.coarser(halve(equations.target)), settings, level + 1)
    return _cycle(equations, double(coarse, rows, columns), settings, level)


def _cycle(equations: _Equations, flow: Tensor, settings: VariationalSettings, level: int) -> Tensor:
    """Return a better flow: one V-cycle."""
    if level == settings.max_level:
        return equations.relax(flow, COARSEST_SWEEPS)
    rows, columns = flow.shape[-2:]
    flow = equations.relax(flow, settings.n1)
    coarse = equations.coarser(halve(equations.residual(flow)))
    correction = _cycle(coarse, torch.zeros_like(coarse.target), settings, level + 1)
    return equations.relax(flow + double(correction, rows, columns), settings.n2)


def _neighbour_sum(flow: Tensor) -> Tensor:
    """Return the sums over the up to four neighbours of each cell."""
    padded = functional.pad(flow, (1, 1, 1, 1))
    return padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:] + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]


def _neighbour_count(flow: Tensor) -> Tensor:
    """Return how many neighbours each cell has, (height, width)."""
    return _neighbour_sum(torch.ones_like(flow[:1, :1]))[0, 0]


def _chequerboard(flow: Tensor) -> Tensor:
    """Return the black cells, bool (height, width)."""
    height, width = flow.shape[-2:]
    ones = torch.arange(height, device=flow.device)[:, None] + torch.arange(width, device=flow.device)
    return ones % 2 == 0
