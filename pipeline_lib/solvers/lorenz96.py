"""The systems of Lorenz (1996): a ring of sites under advection, damping and forcing, with one scale or with two."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_RING = 4
"""With three sites, the neighbours whose difference advects are one and the same."""


def advection(ring: Tensor) -> Tensor:
    """Return the quadratic term (x[j+1] - x[j-2]) x[j-1], which conserves the sum of squares.

    Parameters
    ----------
    ring
        Values at the sites, shape ``(..., J)``.

    Raises
    ------
    ValueError
        If there are fewer than four sites.
    """
    if ring.shape[-1] < SMALLEST_RING:
        raise ValueError(f"{ring.shape[-1]} sites: a ring has at least {SMALLEST_RING}")
    return (ring.roll(-1, -1) - ring.roll(2, -1)) * ring.roll(1, -1)


@dataclass(frozen=True)
class Lorenz96:
    """x[j]' = (x[j+1] - x[j-2]) x[j-1] - x[j] + F (Lorenz 1996, Predictability: a problem partly solved, eq. 1).

    Called with states of shape ``(..., J)`` and a time, which plays no part; returns tendencies of the same shape. One
    unit of time is five days (Lorenz 1996); variables have no unit.

    Parameters
    ----------
    forcing
        F: a number, or a tensor that broadcasts against the state, ``(..., 1)`` or ``(..., J)``, and may need
        gradients. The equilibrium is x = F everywhere. Chaotic at the default.
    """

    forcing: float | Tensor = 8.0

    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return the time derivative; raise ValueError for fewer than four sites."""
        return advection(state) - state + self.forcing


@dataclass(frozen=True)
class TwoScaleLorenz96:
    """Slow sites X, each coupled to its own sector of fast ones Y (Lorenz 1996, eqs. 2-3).

    ``X[k]' = (X[k+1] - X[k-2]) X[k-1] - X[k] + F - (h c / b) (sum of Y over sector k)``;
    ``Y[i]' = c b (Y[i-1] - Y[i+2]) Y[i+1] - c Y[i] + (h c / b) X[k of i]``.

    The fast sites form one ring through all sectors. A state holds the slow sites and then the fast ones sector by
    sector: component ``K + k J + j`` is fast site j of sector k; shape ``(..., K (1 + J))``. Called with states and a
    time, which plays no part.

    Parameters
    ----------
    sites
        K, the number of slow sites, at least four.
    forcing, coupling, ratio, speed
        F, h, b and c: numbers, or tensors that broadcast as ``(..., 1)`` and may need gradients. The fast sites are c
        times as fast and about b times as small as the slow ones. The defaults are those of Lorenz (1996) as recalled,
        not checked against the text.

    Raises
    ------
    ValueError
        If there are fewer than four slow sites, or a state does not divide into sectors.
    """

    sites: int
    forcing: float | Tensor = 10.0
    coupling: float | Tensor = 1.0
    ratio: float | Tensor = 10.0
    speed: float | Tensor = 10.0

    def __post_init__(self) -> None:
        if self.sites < SMALLEST_RING:
            raise ValueError(f"{self.sites} slow sites: a ring has at least {SMALLEST_RING}")

    def split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return slow sites ``(..., K)`` and fast sites ``(..., K, J)`` of states.

        Raises
        ------
        ValueError
            If the fast sites do not divide into one sector for each slow site.
        """
        fast = state.shape[-1] - self.sites
        if fast <= 0 or fast % self.sites:
            raise ValueError(f"{state.shape[-1]} components are not {self.sites} slow sites and as many equal sectors")
        sectors = state[..., self.sites :].reshape(*state.shape[:-1], self.sites, -1)
        return state[..., : self.sites], sectors

    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return the time derivative; raise ValueError for a state of another layout."""
        slow, sectors = self.split(state)
        exchange = self.coupling * self.speed / self.ratio
        fast = sectors.flatten(-2)
        drive = slow.repeat_interleave(sectors.shape[-1], -1)
        slow_trend = advection(slow) - slow + self.forcing - exchange * sectors.sum(-1)
        # Small scales are advected the other way around.
        turned = advection(fast.flip(-1)).flip(-1)
        fast_trend = self.speed * (self.ratio * turned - fast) + exchange * drive
        return torch.cat((slow_trend, fast_trend), -1)
