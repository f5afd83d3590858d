"""Tapers that cut off spurious covariances between distant sites of a ring."""

from __future__ import annotations

import torch
from torch import Tensor


def gaspari_cohn(distance: Tensor) -> Tensor:
    """Return the fifth-order piecewise rational correlation of Gaspari and Cohn.

    Gaspari & Cohn (1999, Q. J. R. Meteorol. Soc. 125), equation 4.10.

    Parameters
    ----------
    distance
        Distance in units of the half-width c; the sign does not matter.

    Returns
    -------
    Tensor
        Same shape: 1 at 0, 5/24 at 1, exactly 0 from 2 on.
    """
    r = distance.abs()
    near = 1 + r**2 * (-5 / 3 + r * (5 / 8 + r * (1 / 2 - r / 4)))
    # Powers of r, but for the last term; below 1 it is not used, and must not divide by 0 there.
    s = r.clamp(min=1.0)
    far = 4 + s * (-5 + s * (5 / 3 + s * (5 / 8 + s * (-1 / 2 + s / 12)))) - 2 / (3 * s)
    # Cancellation leaves +-1e-16 next to 2, and a taper has no negative value.
    return torch.where(r < 1, near, torch.where(r < 2, far.clamp(min=0.0), 0.0))


def ring_distance(sites: int) -> Tensor:
    """Return distances between the sites of a ring, the shorter way round: shape ``(sites, sites)``, float64."""
    site = torch.arange(sites, dtype=torch.float64)
    apart = (site[:, None] - site).abs()
    return torch.minimum(apart, sites - apart)


def ring_taper(sites: int, half_width: float) -> Tensor:
    """Return the taper of Gaspari and Cohn between the sites of a ring.

    Parameters
    ----------
    sites
        Number of sites.
    half_width
        c, in sites: the taper is 0 from 2 c on.

    Returns
    -------
    Tensor
        Shape ``(sites, sites)``, float64: symmetric, positive semi-definite, 1 on the diagonal.

    Raises
    ------
    ValueError
        If the half-width is not positive, or 2 c is more than half the ring: wrapped around, it is no correlation any
        more.
    """
    if not 0 < 4 * half_width <= sites:
        raise ValueError(f"half-width {half_width}: must lie above 0 and at most at a quarter of the {sites} sites")
    return gaspari_cohn(ring_distance(sites) / half_width)
